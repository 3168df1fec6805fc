use super::session::Session;
use crate::cli::output::bytes;
use crate::error::Result;
use crate::history::commit::ArtifactKind;
use crate::id::CommitId;
use crate::id::TreeId;
use crate::inspect::names::Names;
use crate::inspect::usage;
use serde_json::json;

/// Show what each version weighs, and what it shares
///
/// SIZE is what a version's distinct files weigh, SHARED what it has in common with other versions
/// in the store, UNIQUE what would go with it; RESIDUE, of VMs, what their disks hold beside files:
/// journals, tables, what was deleted. Below stands what the store takes on disk.
#[derive(clap::Args)]
pub struct Args {
    /// Only these versions [default: all that a branch or tag leads to]
    versions: Vec<String>,
}

pub fn run(args: Args, session: &Session) -> Result<u8> {
    let repo = session.repo()?;
    let names = Names::of(&repo)?;
    let asked: Vec<CommitId> =
        args.versions.iter().map(|text| Ok(repo.resolve(text)?.id)).collect::<Result<_>>()?;
    let mut all: Vec<CommitId> = names.commits().copied().collect();
    all.extend(asked.iter().filter(|id| names.get(id).is_none()));
    all.sort_by_key(|id| names.shown(id));
    let (mut groups, mut residues): (Vec<Vec<TreeId>>, _) = (Vec::new(), Vec::new());
    for id in &all {
        let commit = repo.commit(id)?;
        groups.push(commit.trees.iter().map(|tree| tree.tree).collect());
        let is_disk = commit.artifact.kind == ArtifactKind::Disk;
        residues.push(is_disk.then(|| usage::residue(&repo, &[commit.artifact])).transpose()?);
    }
    let has_disks = residues.iter().any(Option::is_some);
    let usages = usage::measure(&repo, &groups)?;
    let disk = repo.disk_usage()?;
    let mut out = session.output();
    let mut rows = Vec::new();
    for ((id, usage), residue) in all.iter().zip(&usages).zip(residues) {
        if !asked.is_empty() && !asked.contains(id) {
            continue;
        }
        if out.is_json() {
            out.record(&json!({
                "version": names.shown(id), "commit": id.to_string(), "files": usage.files, "bytes": usage.bytes,
                "shared_bytes": usage.shared(), "unique_bytes": usage.unique,
                "residue_bytes": residue.unwrap_or_default(),
            }))?;
        } else {
            let mut sizes = [usage.bytes, usage.shared(), usage.unique].map(bytes).to_vec();
            if has_disks {
                sizes.push(residue.map_or("-".to_string(), bytes));
            }
            rows.push([vec![names.shown(id), id.short(), usage.files.to_string()], sizes].concat());
        }
    }
    if out.is_json() {
        out.record(&json!({
            "message_type": "summary", "file_pack_bytes": disk.file_packs, "blob_pack_bytes": disk.blob_packs,
            "index_bytes": disk.index, "contents": disk.contents,
        }))?;
    } else {
        let heads = ["VERSION", "COMMIT", "FILES", "SIZE", "SHARED", "UNIQUE", "RESIDUE"];
        out.table(if has_disks { &heads } else { &heads[..6] }, &rows)?;
        out.line("")?;
        out.line(format!(
            "On disk: {} of files and manifests, {} of index, {} of compressed layers kept whole.",
            bytes(disk.file_packs),
            bytes(disk.index),
            bytes(disk.blob_packs),
        ))?;
    }
    out.finish()?;
    Ok(0)
}
