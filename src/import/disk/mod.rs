//! The disks of a guest: its files as a tree, its bytes as a recipe over them.
//!
//! ```text
//! files on the host -> formats -> bytes -> devices -> file systems -> trees, contents
//!                                   '------------------------------------------> skeleton -> recipe
//! ```
//! The trees say what is in it, the recipe gives the same disk back. What nobody can read as files
//! is bytes like any other. Everything goes through the one transaction of the import.

mod sink;
mod skeletons;
mod system;
mod trees;

use super::Taken;
use super::Work;
use crate::content::ContentSink;
use crate::disk::bytes::ReadAt;
use crate::disk::document;
use crate::disk::document::Document;
use crate::disk::format;
use crate::disk::format::Format;
use crate::disk::format::Ova;
use crate::disk::guest::Image;
use crate::disk::guest::Key;
use crate::disk::guest::devices::Devices;
use crate::disk::skeleton::Fingerprints;
use crate::error::Doing;
use crate::error::Error;
use crate::error::Result;
use crate::fs::SharedFile;
use crate::fs::window::Stamp;
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
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use trees::Places;
use trees::Trees;

#[derive(Clone, Debug, Default)]
pub struct DiskOptions {
    /// More disks of the same guest.
    pub also: Vec<PathBuf>,
    pub reader: Reader,
    pub keys: Vec<Key>,
    /// Opens the backing files that a qcow2 names.
    pub allow_backing: bool,
    /// Keep the file itself too, not only the disk in it.
    pub exact_file: bool,
    /// A folder to remember in whether KVM works.
    pub cache: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reader {
    /// Our own where they know the file system, else the appliance.
    #[default]
    Auto,
    Guestfs,
    Native,
}

/// One disk as it is read.
struct Opened {
    /// Without its folder.
    name: String,
    image: format::Image,
    /// All of the host's file; of a disk in an OVA, none.
    file: Option<SharedFile>,
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
    let file = SharedFile::open_disk(path)?;
    let format = match format::detect_in(&file)? {
        Some(format) => format.name(),
        None if Ova::read(&file)?.is_some() => OVA,
        None => return Ok(None),
    };
    let format = DISKS.into_iter().find(|known| *known == format);
    Ok(Some(Location::Disk { format, path: path.clone() }))
}

const OVA: &str = "ova";

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
    let mut disks = open(path, *format, &options)?;
    for path in &options.also {
        disks.extend(open(path, None, &options).doing(|| format!("disk {}", path.display()))?);
    }
    let before = stamps(&disks)?;
    let bytes: Vec<Arc<dyn ReadAt>> = disks.iter().map(|disk| Arc::clone(&disk.image.disk)).collect();
    if let Some(same) = skeletons::same_as_before(work, &name, &disks, progress)? {
        return Ok(vec![same]);
    }
    let devices = Devices::find(&bytes)?;
    let hints = disks.iter().map(|_| Vec::new()).collect();
    let mut places = Places { prints: Fingerprints::default(), hints };
    let images = for_appliance(&disks, &options);
    let tx = &mut work.tx;
    let trees = trees::read(tx, &devices, images, &options, &mut places, progress)?;
    let Trees { filesystems, volumes, told, mut problems } = trees;
    let system = system::put_together(tx, &filesystems, &volumes, told)?;
    let (table, hints) = (places.prints.finish(), places.hints);
    let mut documents = Vec::new();
    for (number, disk) in disks.iter().enumerate() {
        let parts = &devices.tables[number];
        documents.push(skeletons::keep(work, disk, parts, &table, &hints[number], progress)?);
    }
    if stamps(&disks)? != before {
        let what = disks.iter().map(|disk| disk.name.as_str()).collect::<Vec<_>>().join(", ");
        return Err(Error::invalid(what, "changed while it was read: is the machine running?"));
    }
    let tx = &mut work.tx;
    let mut kept = Vec::new();
    let mut os = None;
    if let Some(system) = system {
        problems.extend(system.problems);
        let tree = tx.put_tree(&system.tree)?;
        kept.push(PlatformTree { platform: String::new(), manifest: String::new(), tree });
        os = system.os;
    }
    if volumes.len() > 1 {
        for filesystem in &filesystems {
            if let Some(volume) = volumes.get(&filesystem.device) {
                let (platform, tree) = (filesystem.device.clone(), tx.put_tree(&volume.tree)?);
                kept.push(PlatformTree { platform, manifest: String::new(), tree });
            }
        }
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

fn open(path: &Path, format: Option<&str>, options: &DiskOptions) -> Result<Vec<Opened>> {
    let file = SharedFile::open_disk(path)?;
    let open_options =
        format::OpenOptions { allow_backing: options.allow_backing, ..format::OpenOptions::default() };
    let forced = format.and_then(Format::named);
    let is_ova = format == Some(OVA) || forced.is_none() && format::detect_in(&file)?.is_none();
    if is_ova && let Some(ova) = Ova::read(&file)? {
        let opened = |disk| -> Result<Opened> {
            let image = ova.open(disk, &open_options)?;
            Ok(Opened { name: file_name(Path::new(&disk.name)), image, file: None })
        };
        return ova.disks.iter().map(opened).collect();
    }
    if format == Some(OVA) {
        return Err(Error::invalid(path.display().to_string(), "is no OVA: a tar with an .ovf and disks"));
    }
    let image = format::open(path, forced, &open_options)?;
    Ok(vec![Opened { name: file_name(path), image, file: Some(file) }])
}

fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(|| "disk".into(), |name| name.to_string_lossy().into_owned())
}

/// The disks as the appliance opens them, or why it cannot.
fn for_appliance(disks: &[Opened], options: &DiskOptions) -> Result<Vec<Image>, String> {
    let image = |disk: &Opened| {
        let file = disk.file.as_ref().ok_or("the appliance cannot read a disk inside of an OVA")?;
        Ok(Image {
            path: file.path().to_path_buf(),
            format: disk.image.format.qemu_name().to_owned(),
            allow_backing: options.allow_backing,
        })
    };
    disks.iter().map(image).collect()
}

/// What changes when somebody writes to a file.
fn stamps(disks: &[Opened]) -> Result<Vec<Stamp>> {
    disks.iter().filter_map(|disk| disk.file.as_ref()).map(SharedFile::stamp).collect()
}
