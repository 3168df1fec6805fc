//! The recipe of each disk, and of the file it came in where that is wanted.

use super::Taken;
use super::Work;
use crate::disk::bytes::ReadAt;
use crate::disk::document;
use crate::disk::document::Part;
use crate::disk::format::Format;
use crate::disk::machine::Disk;
use crate::disk::machine::Reader;
use crate::disk::partition::Table as PartitionTable;
use crate::disk::skeleton;
use crate::disk::skeleton::Hint;
use crate::disk::skeleton::Region;
use crate::disk::skeleton::Table;
use crate::disk::skeleton::stored::StoredDisk;
use crate::error::Error;
use crate::error::Result;
use crate::error::from_stream;
use crate::history::refs::RefName;
use crate::id::DiffId;
use crate::oci::digest::Digest;
use crate::progress::Progress;
use crate::store::BlobRow;
use crate::store::BlobSource;
use sha2::Digest as _;
use std::collections::BTreeMap;
use std::io::BufWriter;
use std::io::Read;
use std::io::Seek;
use std::io::Write;

/// Up to this many bytes of a recipe stay in memory.
const RECIPE_BYTES_IN_MEMORY: usize = 1 << 20;

/// How many places of a disk are looked at before all of it is hashed, and how much at each.
const SAMPLES: u64 = 256;
const SAMPLE_BYTES: u64 = 4096;

/// Puts what is needed to make the disk again, and says what is known of it.
pub fn keep(
    work: &mut Work,
    disk: &Disk,
    parts: &PartitionTable,
    table: &Table,
    hints: &[Hint],
    progress: &dyn Progress,
) -> Result<document::Disk> {
    let image = &disk.image;
    let regions: Vec<Region> =
        parts.partitions.iter().map(|part| Region { start: part.start, size: part.size }).collect();
    let id = put(work, &*image.disk, &regions, table, hints, progress)?;
    let file_size = disk.file.as_ref().map_or(image.disk.size(), |file| file.len());
    let mut file_digest = None;
    if work.options.disk.exact_file
        && image.format != Format::Raw
        && let Some(file) = &disk.file
    {
        let id = put(work, file, &[], table, &[], progress)?;
        file_digest = Some(Digest::from(id).to_string());
    }
    let facts: BTreeMap<String, String> =
        image.facts.iter().map(|(key, value)| (key.to_string(), value.clone())).collect();
    Ok(document::Disk {
        name: disk.name.clone(),
        format: image.format.name().into(),
        facts,
        size: image.disk.size(),
        digest: Digest::from(id).to_string(),
        file_size,
        file_digest,
        table: parts.scheme.name().into(),
        table_id: parts.id.clone(),
        partitions: (parts.partitions.iter())
            .map(|part| Part {
                number: part.number,
                start: part.start,
                size: part.size,
                type_id: part.type_id.clone(),
                type_name: part.type_name.unwrap_or_default().into(),
                name: part.name.clone(),
            })
            .collect(),
    })
}

fn put(
    work: &mut Work,
    bytes: &dyn ReadAt,
    regions: &[Region],
    table: &Table,
    hints: &[Hint],
    progress: &dyn Progress,
) -> Result<DiffId> {
    let tx = &mut work.tx;
    let found = skeleton::find(bytes, regions, table, hints, &tx.contents()?, progress)?;
    let spool = tempfile::spooled_tempfile_in(RECIPE_BYTES_IN_MEMORY, work.repo.scratch());
    let mut ops = BufWriter::new(spool);
    let written = found.write(bytes, table, [], tx, &mut ops, progress)?;
    let mut ops = ops.into_inner().map_err(|err| from_stream("the recipe", err.into_error()))?;
    ops.flush().and_then(|()| ops.rewind()).map_err(|err| from_stream("the recipe", err))?;
    let length = written.recipe_bytes();
    tx.put_recipe(found.id, length, &mut (&written.head[..]).chain(&mut ops))?;
    let row = BlobRow { source: BlobSource::Recipe(found.id), size: bytes.size(), diff_id: None };
    tx.put_blob(Digest::from(found.id).as_str().as_bytes(), row);
    Ok(found.id)
}

/// What the ref holds already, if these are the very disks it was made from, and nothing is asked for
/// that it has not. Whatever stands in the way of an answer means no.
pub fn same_as_before(
    work: &Work,
    name: &RefName,
    disks: &[Disk],
    progress: &dyn Progress,
) -> Result<Option<Taken>> {
    match compared(work, name, disks, progress) {
        Err(err) if !matches!(err.root(), Error::Interrupted) => Ok(None),
        answer => answer,
    }
}

/// Some places are compared first: hashing all of a disk only to find that it is another one would
/// cost more than it saves.
fn compared(work: &Work, name: &RefName, disks: &[Disk], progress: &dyn Progress) -> Result<Option<Taken>> {
    let options = &work.options.disk;
    let Some(head) = work.repo.reference(name)? else { return Ok(None) };
    let commit = work.repo.commit(&head.commit)?;
    let Some(known) = work.repo.guest(&commit.artifact)? else { return Ok(None) };
    let is_asked_for_more =
        options.read.reader != Reader::Auto || !options.read.keys.is_empty() || !known.problems.is_empty();
    let looks_alike = |known: &document::Disk, disk: &Disk| {
        let file_size = disk.file.as_ref().map_or(disk.image.disk.size(), |file| file.len());
        let has_file =
            known.file_digest.is_some() == (options.exact_file && disk.image.format != Format::Raw);
        known.name == disk.name
            && known.format == disk.image.format.name()
            && known.size == disk.image.disk.size()
            && known.file_size == file_size
            && has_file
    };
    if is_asked_for_more
        || known.disks.len() != disks.len()
        || !known.disks.iter().zip(disks).all(|(known, disk)| looks_alike(known, disk))
    {
        return Ok(None);
    }
    for (known, disk) in known.disks.iter().zip(disks) {
        let digest = Digest::parse(&known.digest)?;
        let bytes = &*disk.image.disk;
        if !looks_the_same(work, &digest, bytes)? || Some(hash(bytes, progress)?) != digest.sha256() {
            return Ok(None);
        }
        if let (Some(digest), Some(file)) = (&known.file_digest, &disk.file)
            && Some(hash(file, progress)?) != Digest::parse(digest)?.sha256()
        {
            return Ok(None);
        }
    }
    Ok(Some(Taken { names: vec![name.clone()], artifact: commit.artifact, trees: commit.trees }))
}

fn looks_the_same(work: &Work, digest: &Digest, disk: &dyn ReadAt) -> Result<bool> {
    let Some(id) = digest.diff_id() else { return Ok(false) };
    let stored = StoredDisk::open(&mut work.repo.open_recipe(&id)?, work.repo.contents())?;
    let step = (disk.size() / SAMPLES).max(SAMPLE_BYTES).next_multiple_of(SAMPLE_BYTES);
    let (mut one, mut other) = ([0; SAMPLE_BYTES as usize], [0; SAMPLE_BYTES as usize]);
    let mut at = 0;
    while at + SAMPLE_BYTES <= disk.size() {
        disk.read_at(at, &mut one)?;
        stored.read_at(at, &mut other)?;
        if one != other {
            return Ok(false);
        }
        at += step;
    }
    Ok(true)
}

fn hash(disk: &dyn ReadAt, progress: &dyn Progress) -> Result<[u8; 32]> {
    progress.begin("comparing the disk", Some(disk.size()));
    let mut hash = sha2::Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    let mut at = 0;
    let mut zeros_until = 0;
    while at < disk.size() {
        crate::progress::check(progress)?;
        let len = (disk.size() - at).min(buffer.len() as u64) as usize;
        if zeros_until <= at {
            let span = disk.span(at)?;
            zeros_until = if span.zero { span.end } else { 0 };
        }
        if zeros_until >= at + len as u64 {
            buffer[..len].fill(0);
        } else {
            disk.read_at(at, &mut buffer[..len])?;
        }
        hash.update(&buffer[..len]);
        at += len as u64;
        progress.advance(len as u64);
    }
    Ok(hash.finalize().into())
}
