//! The disks of a guest: its files as a tree, its bytes as a recipe over them.
//!
//! ```text
//! files on the host -> formats -> bytes -> devices -> file systems -> trees, contents
//!                                   '------------------------------------------> skeleton -> recipe
//! ```
//! The trees say what is in it, the recipe gives the same disk back. What nobody can read as files
//! is bytes like any other. Everything goes through the one transaction of the import.

mod keeper;
mod skeletons;

use super::Taken;
use super::Work;
use crate::content::ContentSink;
use crate::disk::document;
use crate::disk::document::Document;
use crate::disk::machine;
use crate::disk::machine::Machine;
use crate::disk::machine::ReadOptions;
use crate::error::Error;
use crate::error::Result;
use crate::history::commit::Artifact;
use crate::history::commit::ArtifactKind;
use crate::history::commit::PlatformTree;
use crate::history::refs::RefName;
use crate::oci::digest::Digest;
use crate::oci::location::DISKS;
use crate::oci::location::Location;
use crate::oci::location::Place;
use crate::progress::Progress;
use crate::store::BlobRow;
use crate::store::BlobSource;
use keeper::Staging;

#[derive(Clone, Debug, Default)]
pub struct DiskOptions {
    pub read: ReadOptions,
    /// Keep the file itself too, not only the disk in it.
    pub exact_file: bool,
}

/// The location as that of a disk, if it is one; a path alone is looked at.
pub(super) fn taken_for(location: &Location) -> Result<Option<Location>> {
    let path = match location {
        Location::Disk { .. } => return Ok(Some(location.clone())),
        Location::Bare(Place::Path(path)) if crate::fs::look(path)?.is_some_and(|there| !there.is_dir()) => {
            path
        }
        _ => return Ok(None),
    };
    let Some(format) = machine::recognise(path)? else { return Ok(None) };
    let format = DISKS.into_iter().find(|known| *known == format);
    Ok(Some(Location::Disk { format, path: path.clone() }))
}

pub(super) fn take(
    work: &mut Work,
    location: &Location,
    name: RefName,
    progress: &dyn Progress,
) -> Result<Vec<Taken>> {
    let Location::Disk { format, path } = location else {
        return Err(Error::Usage(format!("{location} is no disk")));
    };
    let options = work.options.disk.clone();
    let machine = Machine::open(path, *format, &options.read)?;
    if let Some(same) = skeletons::same_as_before(work, &name, &machine.disks, progress)? {
        return Ok(vec![same]);
    }
    let mut staging = Staging::new(&mut work.tx, machine.disks.len());
    let machine::Contents { filesystems, whole, os, trees, problems } =
        machine.read(&mut staging, &options.read, progress)?;
    let (table, hints) = staging.places();
    let mut documents = Vec::new();
    for (number, disk) in machine.disks.iter().enumerate() {
        let parts = &machine.devices.tables[number];
        documents.push(skeletons::keep(work, disk, parts, &table, &hints[number], progress)?);
    }
    machine.check_unchanged()?;
    let tx = &mut work.tx;
    let mut kept = Vec::new();
    // One file system alone is the whole of it.
    let parts = if trees.len() > 1 { trees } else { Vec::new() };
    for (platform, tree) in whole.map(|tree| (String::new(), tree)).into_iter().chain(parts) {
        kept.push(PlatformTree { platform, manifest: String::new(), tree: tx.put_tree(&tree)? });
    }
    problems.iter().for_each(|problem| progress.note(problem));
    let document =
        Document { media_type: document::MEDIA_TYPE.into(), disks: documents, filesystems, os, problems };
    let bytes = document.to_json();
    if bytes.len() as u64 > document::BYTES_MAX {
        let thing = "what there is to say of the disks".to_owned();
        return Err(Error::Limit { thing, limit: document::BYTES_MAX, unit: "bytes" });
    }
    let (digest, size) = (Digest::of(&bytes), bytes.len() as u64);
    let content = tx.put(size, &mut &bytes[..])?;
    let row = BlobRow { source: BlobSource::Content(content), size, diff_id: None };
    tx.put_blob(digest.as_str().as_bytes(), row);
    let artifact = Artifact {
        kind: ArtifactKind::Disk,
        media_type: document::MEDIA_TYPE.into(),
        digest: digest.to_string(),
        size,
    };
    Ok(vec![Taken { names: vec![name], artifact, trees: kept }])
}
