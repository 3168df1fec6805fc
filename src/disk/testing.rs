//! For fuzzing: whole disks from few bytes, and any disk through everything that reads one.
//!
//! An input is a list of runs, each an offset, a length and bytes, laid over zeros: an image of some
//! MB is a seed of some hundred bytes. Checksums are made sound before it is read, or no change would
//! ever get past them.

use crate::disk::bytes::ReadAt;
use crate::disk::format::OpenOptions;
use crate::disk::format::Source;
use crate::disk::format::open_in;
use crate::disk::format::testing::seal as seal_image;
use crate::disk::partition;
use crate::disk::partition::lvm;
use crate::disk::partition::testing::seal as seal_tables;
use std::sync::Arc;

const DISK_BYTES_MAX: usize = 8 << 20;
/// Zeros that are worth a run of their own.
const GAP_BYTES: usize = 16;

/// Lays the runs of an input over zeros.
pub fn unpack(mut runs: &[u8]) -> Vec<u8> {
    let mut placed = Vec::new();
    while let Some((head, rest)) = runs.split_first_chunk::<6>() {
        let at = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize % DISK_BYTES_MAX;
        let len =
            usize::from(u16::from_le_bytes([head[4], head[5]])).min(rest.len()).min(DISK_BYTES_MAX - at);
        let (run, rest) = rest.split_at(len);
        placed.push((at, run));
        runs = rest;
    }
    let mut disk = vec![0; placed.iter().map(|(at, run)| at + run.len()).max().unwrap_or(0)];
    for (at, run) in placed {
        disk[at..at + run.len()].copy_from_slice(run);
    }
    disk
}

/// The input that makes a disk.
pub fn pack(disk: &[u8]) -> Vec<u8> {
    let mut runs = Vec::new();
    let mut put = |at: usize, bytes: &[u8]| {
        for (number, piece) in bytes.chunks(usize::from(u16::MAX)).enumerate() {
            runs.extend(((at + number * usize::from(u16::MAX)) as u32).to_le_bytes());
            runs.extend((piece.len() as u16).to_le_bytes());
            runs.extend(piece);
        }
    };
    let mut at = 0;
    while at < disk.len() {
        let Some(start) = disk[at..].iter().position(|byte| *byte != 0) else { break };
        let start = at + start;
        let gap = disk[start..].windows(GAP_BYTES).position(|bytes| bytes.iter().all(|byte| *byte == 0));
        let end = gap.map_or(disk.len(), |gap| start + gap);
        put(start, &disk[start..end]);
        at = end;
    }
    // The last byte says how long the disk is.
    put(disk.len().saturating_sub(1), &disk[disk.len().saturating_sub(1)..]);
    runs
}

/// An image of any format: opened, and read where it can be.
pub fn any_image(runs: &[u8]) {
    let mut bytes = unpack(runs);
    for _ in 0..2 {
        let source = Source { file: Arc::new(bytes.clone()), name: "image".into(), folder: None };
        if let Ok(image) = open_in(source, None, &OpenOptions::default()) {
            any_disk(&*image.disk);
        }
        seal_image(&mut bytes);
    }
}

/// A disk: its tables, what its parts hold, and the logical volumes on them.
pub fn any_partitioned(runs: &[u8]) {
    let mut bytes = unpack(runs);
    for _ in 0..2 {
        let disk: Arc<dyn ReadAt> = Arc::new(bytes.clone());
        let mut disks = vec![("disk".to_string(), Arc::clone(&disk))];
        if let Ok(table) = partition::read(&*disk) {
            for part in table.partitions.iter().take(20) {
                let part = part.part(&disk).expect("a partition lies on its disk");
                disks.push(("part".to_string(), Arc::new(part)));
            }
        }
        for (_, disk) in &disks {
            let _ = partition::probe(&**disk);
        }
        if let Ok(found) = lvm::volumes(&disks) {
            found.volumes.iter().take(20).for_each(|volume| any_disk(&*volume.disk));
        }
        seal_tables(&mut bytes);
    }
}

/// Reads the spans and some bytes of a disk, whatever they are.
pub fn any_disk(disk: &dyn ReadAt) {
    let (mut at, mut buffer, zeros) = (0, vec![0; 8 << 10], vec![0; 8 << 10]);
    for _ in 0..200 {
        if at >= disk.size() {
            break;
        }
        let Ok(span) = disk.span(at) else { break };
        assert!(at < span.end && span.end <= disk.size(), "a span ends after it begins, and on the disk");
        let count = buffer.len().min((span.end - at) as usize);
        let read = disk.read_at(at, &mut buffer[..count]);
        assert!(!span.zero || read.is_err() || buffer[..count] == zeros[..count]);
        at = span.end;
    }
    let places = (0..16).map(|step| disk.size() / 16 * step).chain([disk.size().saturating_sub(1)]);
    for at in places.filter(|at| *at < disk.size()) {
        let count = buffer.len().min((disk.size() - at) as usize);
        let _ = disk.read_at(at, &mut buffer[..count]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_packs_into_runs_and_back() {
        let mut disk = vec![0; 300_000];
        disk[5..9].fill(1);
        disk[1_000..100_000].fill(7);
        assert_eq!(unpack(&pack(&disk)), disk);
        disk[299_999] = 3;
        assert_eq!(unpack(&pack(&disk)), disk);
        assert_eq!(unpack(&[0xff; 50]).len(), DISK_BYTES_MAX);
    }
}
