use super::log;
use super::session::Session;
use crate::cli::output::bytes;
use crate::cli::output::quoted;
use crate::disk::document::Document;
use crate::error::Error;
use crate::error::Result;
use crate::history::commit::ArtifactKind;
use crate::inspect::usage::residue;
use crate::path::shown;
use crate::repo::Repo;
use crate::repo::Version;
use crate::repo::image;
use crate::repo::image::Image;
use crate::tree::Tree;
use serde_json::Value;
use serde_json::json;

/// Show what an image or a VM is: platform, config, layers; system, disks, file systems
///
/// Example: imgit inspect --config web | jq .config.Env
#[derive(clap::Args)]
pub struct Args {
    /// The version: NAME[:REF] with git's ~N, ^N and @{DATE}, or a commit id
    version: String,
    /// Print the manifest, byte for byte; of a VM, the document that names its disks
    #[arg(long, conflicts_with = "config")]
    raw: bool,
    /// Print the config, byte for byte
    #[arg(long)]
    config: bool,
    /// This platform of a multi-platform image, or this file system of a VM (/dev/sda1)
    #[arg(long, visible_alias = "filesystem", value_name = "OS/ARCH[/VARIANT]|DEVICE")]
    platform: Option<String>,
}

pub fn run(args: Args, session: &Session) -> Result<u8> {
    let repo = session.repo()?;
    let version = repo.resolve(&args.version)?;
    let mut out = session.output();
    if args.raw && args.platform.is_none() {
        if let Some(guest) = repo.guest(&version.commit.artifact)? {
            out.raw(&guest.to_json())?;
            return out.finish().map(|()| 0);
        }
        let no_manifest = || Error::Usage(format!("{} is no image: it has no manifest", version.shown));
        let root = version.descriptor()?.ok_or_else(no_manifest)?;
        out.raw(&repo.read_blob(&root.digest, crate::oci::json::MANIFEST_BYTES_MAX)?)?;
        return out.finish().map(|()| 0);
    }
    let tree = match version.commit.trees.is_empty() {
        true => None,
        false => Some(repo.platform_tree(&version, args.platform.as_deref())?),
    };
    let image = tree.as_ref().map(|tree| image::image(&repo, tree)).transpose()?.flatten();
    let guest = repo.guest(&version.commit.artifact)?;
    if args.raw || args.config {
        let image =
            image.ok_or_else(|| Error::Usage(format!("{} is no image: it has no config", version.shown)))?;
        out.raw(if args.raw { &image.manifest_bytes } else { &image.config_bytes })?;
        return out.finish().map(|()| 0);
    }
    let record = tree.as_ref().map(|tree| repo.tree_record(&tree.tree)).transpose()?;
    if out.is_json() {
        out.document(&as_json(&version, image.as_ref(), record.as_ref(), guest.as_ref(), &repo)?)?;
    } else {
        for line in lines(&version, image.as_ref(), record.as_ref(), &repo)? {
            out.line(line)?;
        }
        for line in guest.iter().flat_map(guest_lines) {
            out.line(line)?;
        }
        if guest.is_some() {
            let residue = residue(&repo, std::slice::from_ref(&version.commit.artifact))?;
            out.line(format!("Residue:     {} in no file", bytes(residue)))?;
        }
    }
    out.finish()?;
    Ok(0)
}

fn lines(version: &Version, image: Option<&Image>, tree: Option<&Tree>, repo: &Repo) -> Result<Vec<String>> {
    let commit = &version.commit;
    let mut lines = vec![
        format!("Commit:      {}", version.id),
        format!("Kind:        {} ({})", commit.artifact.kind.word(), commit.artifact.media_type),
        format!("Digest:      {}", commit.artifact.digest),
        format!("Source:      {}", commit.source),
    ];
    if commit.trees.len() > 1 {
        let all: Vec<&str> = commit.trees.iter().map(|tree| tree.platform.as_str()).collect();
        if commit.artifact.kind != ArtifactKind::Disk {
            lines.push(format!("Platforms:   {}", all.join(", ")));
        }
    }
    if let Some(tree) = tree {
        lines.push(format!("Tree:        {} entries, {}", tree.entries, bytes(tree.bytes)));
    }
    let Some(image) = image else { return Ok(lines) };
    let run = &image.config.config;
    let mut field = |name: &str, value: String| {
        if !value.is_empty() {
            lines.push(format!("{:<13}{value}", format!("{name}:")));
        }
    };
    field("Manifest", image.digest.to_string());
    field("Platform", image.config.platform().to_string());
    field("Created", image.config.created.clone().unwrap_or_default());
    field("Author", image.config.author.clone().unwrap_or_default());
    field("User", run.user.clone());
    field("Workdir", run.working_dir.clone());
    field("Entrypoint", words(&run.entrypoint));
    field("Cmd", words(&run.cmd));
    field("Ports", run.exposed_ports.join(" "));
    field("Volumes", run.volumes.join(" "));
    field("Stop", run.stop_signal.clone());
    run.env.iter().for_each(|pair| field("Env", quoted(pair.as_bytes())));
    run.labels.iter().for_each(|(key, value)| field("Label", format!("{key}={}", quoted(value.as_bytes()))));
    let steps: Vec<_> = image.config.layer_history().collect();
    for (at, layer) in image.manifest.layers.iter().enumerate() {
        let by = steps.get(at).and_then(|step| step.created_by.clone()).unwrap_or_default();
        let kept = how_kept(repo, layer)?;
        lines.push(format!(
            "Layer {:<7}{} {} ({kept}) {}",
            at + 1,
            layer.digest.short(),
            bytes(layer.size),
            quoted(by.as_bytes())
        ));
    }
    Ok(lines)
}

/// A VM: its system, its disks, what is on them.
fn guest_lines(guest: &Document) -> Vec<String> {
    let mut lines = Vec::new();
    let mut field = |name: &str, value: String| {
        if !value.is_empty() {
            lines.push(format!("{:<13}{}", format!("{name}:"), shown(value.trim_end().as_bytes())));
        }
    };
    if let Some(os) = &guest.os {
        let version = os.version.map(|(major, minor)| format!("{major}.{minor}")).unwrap_or_default();
        let distro = os.distro.as_deref().unwrap_or_default();
        field("System", os.product.clone().unwrap_or_else(|| format!("{distro} {version}")));
        field("Arch", os.arch.clone().unwrap_or_default());
        field("Hostname", os.hostname.clone().unwrap_or_default());
        field("Kernel", os.kernel.clone().unwrap_or_default());
        os.mounts.iter().for_each(|mount| field("Mount", format!("{} {}", mount.point, mount.device)));
    }
    for disk in &guest.disks {
        let facts: Vec<String> = disk.facts.iter().map(|(key, value)| format!(", {key} {value}")).collect();
        let size = bytes(disk.size);
        let file = bytes(disk.file_size);
        field("Disk", format!("{} {size} ({}, file of {file}{})", disk.name, disk.format, facts.concat()));
        field("Raw", disk.digest.clone());
        field("File", disk.file_digest.clone().unwrap_or_default());
        field("Table", format!("{} {}", disk.table, disk.table_id));
        for part in &disk.partitions {
            let kind = if part.type_name.is_empty() { &part.type_id } else { &part.type_name };
            field(&format!("Part {}", part.number), format!("{} {kind} {}", bytes(part.size), part.name));
        }
    }
    for filesystem in &guest.filesystems {
        let label = filesystem.label.as_ref().map(|label| format!(" label {label}")).unwrap_or_default();
        let uuid = filesystem.uuid.as_ref().map(|uuid| format!(" uuid {uuid}")).unwrap_or_default();
        let kind = &filesystem.kind;
        field("Holds", format!("{} {kind} {}{label}{uuid}", filesystem.device, bytes(filesystem.size)));
    }
    guest.problems.iter().for_each(|problem| field("Problem", problem.clone()));
    lines
}

fn words(list: &[String]) -> String {
    list.iter().map(|word| quoted(word.as_bytes())).collect::<Vec<_>>().join(" ")
}

/// How the store can give a layer's exact bytes.
fn how_kept(repo: &Repo, layer: &crate::oci::descriptor::Descriptor) -> Result<&'static str> {
    Ok(match repo.blob(&layer.digest)? {
        None => "not in the store",
        Some(row) if crate::repo::recipe_of(&row).is_some() => "rebuilt from its files",
        Some(_) => "compressed bytes kept",
    })
}

fn as_json(
    version: &Version,
    image: Option<&Image>,
    tree: Option<&Tree>,
    guest: Option<&Document>,
    repo: &Repo,
) -> Result<Value> {
    let mut value = log::as_json(&version.id, &version.commit, &[]);
    if let Some(tree) = tree {
        value["entries"] = json!(tree.entries);
        value["bytes"] = json!(tree.bytes);
    }
    if let Some(guest) = guest {
        value["guest"] = parsed(&guest.to_json())?;
    }
    let Some(image) = image else { return Ok(value) };
    value["manifest_digest"] = json!(image.digest.to_string());
    value["manifest"] = parsed(&image.manifest_bytes)?;
    value["config"] = parsed(&image.config_bytes)?;
    let mut layers = Vec::new();
    for (layer, diff_id) in image.manifest.layers.iter().zip(&image.config.rootfs.diff_ids) {
        layers.push(json!({
            "digest": layer.digest.to_string(), "diff_id": diff_id.to_string(), "size": layer.size,
            "media_type": layer.media_type.as_str(), "kept": how_kept(repo, layer)?,
        }));
    }
    value["layers"] = Value::Array(layers);
    Ok(value)
}

fn parsed(bytes: &[u8]) -> Result<Value> {
    serde_json::from_slice(bytes).map_err(|err| Error::invalid("document", err.to_string()))
}
