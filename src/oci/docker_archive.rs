//! Docker-archives: what `docker save` and `podman save` write.
//!
//! A tar with a `manifest.json` that lists images: a config, tags, and layers as plain tars. It
//! holds no registry manifest, so one is made here, the same each time: the config as it is, the
//! layers as they are under their diff ids. Since Docker 25 the same tar is an OCI layout too; then
//! the real manifests of that are taken, and only the tags from `manifest.json`.

use crate::error::Doing;
use crate::error::Error;
use crate::error::Result;
use crate::fs::SharedFile;
use crate::oci::config::ImageConfig;
use crate::oci::descriptor::Descriptor;
use crate::oci::digest::Digest;
use crate::oci::digest::Verifier;
use crate::oci::document;
use crate::oci::document::Document;
use crate::oci::files;
use crate::oci::files::Files;
use crate::oci::json;
use crate::oci::json::null_is_default;
use crate::oci::layout;
use crate::oci::layout::Layout;
use crate::oci::manifest::Manifest;
use crate::oci::media_type::Kind;
use crate::oci::members::Members;
use crate::oci::sink::Layers;
use crate::oci::sink::Sink;
use crate::oci::source::Root;
use crate::oci::source::Source;
use crate::oci::stream;
use crate::oci::stream::Compression;
use crate::oci::tar_output::TarOutput;
use crate::oci::tar_output::Target;
use crate::path::TreePath;
use crate::path::shown;
use oci_spec::image::MediaType as Oci;
use serde::Deserialize;
use serde::Serialize;
use sha2::Digest as _;
use std::collections::HashMap;
use std::collections::HashSet;
use std::io::Read;

pub const MANIFEST: &str = "manifest.json";
/// `manifest.json` lists images, so it grows with their number.
const LIST_BYTES_MAX: u64 = 16 << 20;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default, deserialize_with = "null_is_default")]
    layers: Vec<String>,
}

/// Opens a docker-archive; `file` is plain tar, a compressed one is spooled before.
pub fn open(file: SharedFile) -> Result<Box<dyn Source>> {
    let members = Members::of(file.clone())?;
    let Some(bytes) = files::read_small(&members, MANIFEST, LIST_BYTES_MAX)? else {
        let problem = match members.contains("repositories") {
            true => "has no manifest.json: it was written by a Docker older than 1.10",
            false => "is not a docker-archive: it has no manifest.json",
        };
        return Err(Error::invalid(members.place(), problem));
    };
    let thing = format!("{MANIFEST} in {}", members.place());
    let items: Vec<Item> = json::parse(&thing, &bytes, LIST_BYTES_MAX)?;
    if members.contains(layout::MARKER) && members.contains(layout::INDEX) {
        let mut layout = Layout::of(Members::of(file)?)?;
        if name_roots(&mut layout, &items)? {
            return Ok(Box::new(layout));
        }
    }
    Ok(Box::new(DockerArchive::of(members, items)?))
}

/// Gives the layout's images the tags that `manifest.json` has for their configs; `false` when the
/// layout does not hold them all.
fn name_roots(layout: &mut Layout<Members>, items: &[Item]) -> Result<bool> {
    let mut wanted: HashMap<&str, &Item> = HashMap::new();
    for item in items {
        wanted.insert(stem_of(&item.config), item);
    }
    let mut roots = layout.roots()?;
    for root in &mut roots {
        let mut names = Vec::new();
        let mut ignore = |_: &Descriptor| {};
        document::walk(layout, &root.descriptor, &mut document::Missing::Told(&mut ignore), &mut |visit| {
            if let Document::Manifest(manifest) = visit.document
                && let Some(item) = wanted.remove(manifest.config.digest.encoded())
            {
                names.extend(item.repo_tags.iter().flatten().cloned());
            }
            Ok(())
        })
        .doing(|| "cannot read the OCI side of the archive".into())?;
        names.retain(|name| {
            !root.image_names().iter().any(|known| known.tagged() == *name || known.full() == *name)
        });
        root.names.splice(0..0, names);
    }
    *layout.roots_mut() = roots;
    Ok(wanted.is_empty())
}

/// `blobs/sha256/HEX`, `HEX.json` and `sha256:HEX` all say which config it is.
fn stem_of(config: &str) -> &str {
    let name = config.rsplit(['/', ':']).next().unwrap_or(config);
    name.strip_suffix(".json").unwrap_or(name)
}

/// The archive without an OCI side.
struct DockerArchive {
    members: Members,
    /// Configs and the manifests made for them.
    made: HashMap<Digest, Vec<u8>>,
    /// Where the layers are.
    layers: HashMap<Digest, (u64, u64)>,
    file_of: HashMap<(u64, u64), String>,
    roots: Vec<Root>,
}

impl DockerArchive {
    fn of(members: Members, items: Vec<Item>) -> Result<DockerArchive> {
        let mut archive = DockerArchive {
            members,
            made: HashMap::new(),
            layers: HashMap::new(),
            file_of: HashMap::new(),
            roots: Vec::new(),
        };
        for (at, item) in items.into_iter().enumerate() {
            let root = archive
                .image(&item)
                .doing(|| format!("cannot read image {} of {}", at + 1, archive.members.place()))?;
            // Twice the same image under other tags is one image.
            match archive.roots.iter_mut().find(|known| known.descriptor == root.descriptor) {
                Some(known) => known.names.extend(root.names),
                None => archive.roots.push(root),
            }
        }
        Ok(archive)
    }

    fn image(&mut self, item: &Item) -> Result<Root> {
        let name = clean(&item.config)?;
        let Some(bytes) = files::read_small(&self.members, &name, json::CONFIG_BYTES_MAX)? else {
            return Err(Error::not_found("config", name));
        };
        let config = ImageConfig::parse(&bytes)?;
        let config_digest = Digest::of(&bytes);
        let stem = stem_of(&item.config);
        if Digest::parse(&format!("sha256:{stem}")).is_ok() && stem != config_digest.encoded() {
            return Err(Error::Mismatch {
                thing: format!("config {}", shown(name.as_bytes())),
                expected: format!("sha256:{stem}"),
                found: config_digest.to_string(),
            });
        }
        if config.rootfs.diff_ids.len() != item.layers.len() {
            return Err(Error::Mismatch {
                thing: "number of layers".into(),
                expected: format!("{} as in the config", config.rootfs.diff_ids.len()),
                found: format!("{} in {MANIFEST}", item.layers.len()),
            });
        }
        let layers =
            item.layers.iter().zip(&config.rootfs.diff_ids).map(|(name, diff_id)| self.layer(name, diff_id));
        let manifest = Manifest {
            schema_version: 2,
            media_type: Oci::ImageManifest.into(),
            artifact_type: None,
            config: Descriptor::new(Oci::ImageConfig, config_digest.clone(), bytes.len() as u64),
            layers: layers.collect::<Result<_>>()?,
            subject: None,
            annotations: Default::default(),
        };
        let manifest = serde_json::to_vec(&manifest).expect("strings, numbers and lists");
        let mut descriptor = Descriptor::of(Oci::ImageManifest, &manifest);
        descriptor.platform = Some(config.platform()).filter(|platform| !platform.is_unknown());
        self.made.insert(config_digest, bytes);
        self.made.insert(descriptor.digest.clone(), manifest);
        Ok(Root::new(descriptor, item.repo_tags.clone().unwrap_or_default()))
    }

    /// A plain tar has its diff id as its digest, unread. Some tools (kaniko, crane) put compressed
    /// layers here; those are hashed now and keep their bytes.
    fn layer(&mut self, name: &str, diff_id: &Digest) -> Result<Descriptor> {
        let name = clean(name)?;
        let Some((offset, len)) = self.members.find(&name)? else {
            return Err(Error::not_found("layer", name));
        };
        let (head, reader) = match self.members.open(&name)? {
            Some((_, reader)) => stream::peek(&name, reader)?,
            None => return Err(Error::not_found("layer", name)),
        };
        let media_type = match stream::compression_of(&name, &head)? {
            Compression::None => Oci::ImageLayer,
            Compression::Gzip => Oci::ImageLayerGzip,
            Compression::Zstd => Oci::ImageLayerZstd,
        };
        let digest = match media_type {
            Oci::ImageLayer => diff_id.clone(),
            _ => hash(&name, reader)?,
        };
        self.layers.insert(digest.clone(), (offset, len));
        self.file_of.insert((offset, len), name);
        Ok(Descriptor::new(media_type, digest, len))
    }
}

fn hash(thing: &str, mut from: impl Read) -> Result<Digest> {
    let mut hasher = sha2::Sha256::new();
    let mut buffer = vec![0; 128 << 10];
    loop {
        match from.read(&mut buffer).map_err(|err| crate::error::from_stream(thing, err))? {
            0 => return Ok(Digest::from_sha256(hasher.finalize().into())),
            n => hasher.update(&buffer[..n]),
        }
    }
}

fn clean(name: &str) -> Result<String> {
    let path = TreePath::parse(name.as_bytes())?;
    Ok(String::from_utf8(path.as_bytes().to_vec()).expect("parts of a str are UTF-8"))
}

impl Source for DockerArchive {
    fn roots(&self) -> Result<Vec<Root>> {
        Ok(self.roots.clone())
    }

    fn open(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>> {
        let digest = &descriptor.digest;
        if let Some(bytes) = self.made.get(digest) {
            return Ok(Box::new(std::io::Cursor::new(bytes.clone())));
        }
        let name = self.layers.get(digest).and_then(|at| self.file_of.get(at));
        match name.map(|name| self.members.open(name)).transpose()?.flatten() {
            Some((_, reader)) => Ok(Box::new(reader.take(descriptor.size.saturating_add(1)))),
            None => Err(Error::not_found("blob", format!("{digest} in {}", self.members.place()))),
        }
    }

    fn has(&self, descriptor: &Descriptor) -> bool {
        self.made.contains_key(&descriptor.digest) || self.layers.contains_key(&descriptor.digest)
    }
}

/// Writes a docker-archive: `HEX.tar` for each layer, `HEX.json` for each config, `manifest.json`.
///
/// Registry manifests are only read for what they name. The same calls make the same bytes.
pub struct DockerArchiveSink {
    output: TarOutput,
    known: HashSet<Digest>,
    /// Config of each manifest, diff ids of each config.
    configs: HashMap<Digest, Digest>,
    diff_ids: HashMap<Digest, Vec<Digest>>,
}

impl DockerArchiveSink {
    pub fn create(target: Target) -> Result<DockerArchiveSink> {
        Ok(DockerArchiveSink {
            output: TarOutput::create(target)?,
            known: HashSet::new(),
            configs: HashMap::new(),
            diff_ids: HashMap::new(),
        })
    }

    fn item(&self, root: &Root) -> Result<Item> {
        let not_put = |kind, digest: &Digest| Error::not_found(kind, digest.as_str());
        let manifest = &root.descriptor.digest;
        let config = self.configs.get(manifest).ok_or_else(|| not_put("manifest", manifest))?;
        let diff_ids = self.diff_ids.get(config).ok_or_else(|| not_put("config", config))?;
        if let Some(layer) = diff_ids.iter().find(|layer| !self.known.contains(layer)) {
            return Err(not_put("layer", layer));
        }
        // Spelled out, as podman and skopeo write them: to `podman load`, `web:1` would be
        // `localhost/web:1`, and Docker shortens them itself. A bare tag is no name for either.
        let mut names = Vec::new();
        for name in root.image_names() {
            names.push(name.with_tag(name.tag_or_default())?.full());
        }
        Ok(Item {
            config: config_path(config),
            repo_tags: Some(names).filter(|names| !names.is_empty()),
            layers: diff_ids.iter().map(layer_path).collect(),
        })
    }
}

fn config_path(digest: &Digest) -> String {
    format!("{}.json", digest.encoded())
}

fn layer_path(digest: &Digest) -> String {
    format!("{}.tar", digest.encoded())
}

impl Sink for DockerArchiveSink {
    fn wants(&self) -> Layers {
        Layers::Uncompressed
    }

    fn has(&mut self, descriptor: &Descriptor) -> Result<bool> {
        Ok(self.known.contains(&descriptor.digest))
    }

    fn put(&mut self, descriptor: &Descriptor, from: &mut dyn Read) -> Result<()> {
        let digest = &descriptor.digest;
        if self.known.contains(digest) {
            return Ok(());
        }
        let thing = format!("blob {digest}");
        let mut verified = Verifier::new(&thing, digest, descriptor.size, from);
        match descriptor.media_type.kind() {
            Kind::Manifest => {
                let bytes = json::read(&thing, verified, json::MANIFEST_BYTES_MAX)?;
                let manifest = Manifest::parse(&bytes)?;
                if !manifest.is_image() {
                    return Err(Error::Usage(format!(
                        "{thing} is an artifact; a docker-archive holds images only"
                    )));
                }
                self.configs.insert(digest.clone(), manifest.config.digest);
            }
            Kind::Index => {
                return Err(Error::Usage(
                    "a docker-archive holds single images, not an index of several platforms".into(),
                )
                .with_hint("choose one by `--platform`, or export to `oci-archive:`"));
            }
            Kind::Config => {
                let bytes = json::read(&thing, verified, json::CONFIG_BYTES_MAX)?;
                let config = ImageConfig::parse(&bytes)?;
                self.output.file(&config_path(digest), descriptor.size, &mut &bytes[..])?;
                self.diff_ids.insert(digest.clone(), config.rootfs.diff_ids);
            }
            _ => self.output.file(&layer_path(digest), descriptor.size, &mut verified)?,
        }
        self.known.insert(digest.clone());
        Ok(())
    }

    fn finish(mut self: Box<Self>, roots: &[Root]) -> Result<()> {
        let items: Vec<Item> = roots
            .iter()
            .map(|root| self.item(root))
            .collect::<Result<_>>()
            .doing(|| format!("cannot finish {}", self.output.path().display()))?;
        let list = serde_json::to_vec(&items).expect("strings and lists");
        self.output.file(MANIFEST, list.len() as u64, &mut &list[..])?;
        self.output.finish()
    }
}
