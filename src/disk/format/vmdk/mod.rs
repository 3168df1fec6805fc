//! VMware's vmdk: one sparse file, a stream of compressed grains, or a text that names several files.
//!
//! A descriptor may name extents in its own folder, below which [`Folder`] keeps it; nothing else is
//! ever opened. Refused by name: parents, and the formats of ESX (COWD, seSparse). Specification:
//! VMware, "Virtual Disk Format 5.0".

mod descriptor;
mod sparse;

use crate::disk::bytes::Part;
use crate::disk::bytes::ReadAt;
use crate::disk::format::Format;
use crate::disk::format::Image;
use crate::disk::format::OpenOptions;
use crate::disk::format::detect::VMDK_DESCRIPTOR;
use crate::disk::format::detect::VMDK_MAGIC;
use crate::disk::format::source::Source;
use crate::disk::joined::Joined;
use crate::disk::joined::Zeros;
use crate::error::Error;
use crate::error::Result;
use crate::fs::Folder;
use crate::fs::SharedFile;
use crate::path::shown;
use descriptor::DESCRIPTOR_BYTES_MAX;
use descriptor::Descriptor;
use descriptor::Extent;
use descriptor::ExtentKind;
use std::sync::Arc;

const SECTOR: u64 = 512;

pub fn open(source: Source, options: &OpenOptions) -> Result<Image> {
    let mut head = [0; VMDK_DESCRIPTOR.len()];
    source.fill(0, &mut head, "the vmdk header")?;
    if head.starts_with(b"COWD") {
        return Err(source.invalid("is a disk of ESX (COWD), which imgit does not read"));
    }
    let (create_type, disk) = if head.starts_with(VMDK_MAGIC) {
        let (descriptor, disk) = sparse::open(&source, options)?;
        (descriptor.create_type, disk)
    } else if head.eq_ignore_ascii_case(VMDK_DESCRIPTOR) {
        several(&source, options)?
    } else {
        return Err(source.invalid("does not begin as a vmdk does"));
    };
    let create_type = if create_type.is_empty() { "unknown".to_string() } else { create_type };
    Ok(Image { format: Format::Vmdk, disk, facts: vec![("subformat", create_type)] })
}

/// A disk whose descriptor is a file of its own.
fn several(source: &Source, options: &OpenOptions) -> Result<(String, Arc<dyn ReadAt>)> {
    if source.size() > DESCRIPTOR_BYTES_MAX {
        let thing = format!("descriptor {}", source.name);
        return Err(Error::Limit { thing, limit: DESCRIPTOR_BYTES_MAX, unit: "bytes" });
    }
    let text = source.bytes(0, source.size() as usize, "the descriptor")?;
    let descriptor = Descriptor::parse(source, &text)?;
    if descriptor.extents.is_empty() {
        return Err(source.invalid("names no extent"));
    }
    let total = descriptor.extents.iter().try_fold(0_u64, |sum, extent| sum.checked_add(extent.sectors));
    options.check_size(source, total.and_then(|total| total.checked_mul(SECTOR)).unwrap_or(u64::MAX))?;
    let folder = match &source.folder {
        Some(folder) => Some(Folder::open(folder)?),
        None => None,
    };
    let mut disks = Vec::new();
    for extent in &descriptor.extents {
        disks.push(open_extent(source, folder.as_ref(), extent, options)?);
    }
    Ok((descriptor.create_type, Arc::new(Joined::new(disks)?)))
}

fn open_extent(
    source: &Source,
    folder: Option<&Folder>,
    extent: &Extent,
    options: &OpenOptions,
) -> Result<Arc<dyn ReadAt>> {
    let size = extent.sectors * SECTOR;
    match &extent.kind {
        ExtentKind::Zero => Ok(Arc::new(Zeros(size))),
        ExtentKind::Flat { name, first } => {
            let file = beside(source, folder, name)?;
            let start = first.saturating_mul(SECTOR);
            Ok(Arc::new(Part::new(file.file, start, size)?))
        }
        ExtentKind::Sparse { name } => {
            let (_, disk) = sparse::open(&beside(source, folder, name)?, options)?;
            Ok(Arc::new(Part::new(disk, 0, size)?))
        }
    }
}

/// A file that the descriptor names, no way out of its folder.
fn beside(source: &Source, folder: Option<&Folder>, name: &str) -> Result<Source> {
    let told = shown(name.as_bytes());
    let Some(folder) = folder else {
        return Err(
            source.invalid(format!("has the extent {told} in another file, to which there is no way"))
        );
    };
    match folder.open_file(name)? {
        Some(file) => {
            let file = SharedFile::new(file, folder.path().join(name))?;
            Ok(Source { folder: None, ..Source::of(file) })
        }
        None => Err(source.invalid(format!("has the extent {told}, which is not there"))),
    }
}
