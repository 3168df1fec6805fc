//! Partition tables and what is in the parts: where on a disk what lies.
//!
//! [`read`] gives the parts of a disk by GPT or MBR, numbered as Linux numbers them, [`probe()`]
//! names what a part or a whole disk holds, [`lvm`] puts logical volumes together. An entry that
//! makes no sense is told as a problem and left out or cut at the disk's end: the rest of the disk is
//! still worth reading.

mod gpt;
mod guid;
pub mod lvm;
mod mbr;
mod probe;
#[doc(hidden)]
pub mod testing;
mod types;

pub use guid::guid;
pub use probe::Kind;
pub use probe::Probe;
pub use probe::probe;

use crate::disk::bytes::Part;
use crate::disk::bytes::ReadAt;
use crate::error::Result;
use std::sync::Arc;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// The disk is one file system, or holds nothing known.
    None,
    Gpt,
    Mbr,
}

impl Scheme {
    /// As `blkid` has it: `gpt`, `dos`; `none` is our own.
    pub fn name(self) -> &'static str {
        match self {
            Scheme::None => "none",
            Scheme::Gpt => "gpt",
            Scheme::Mbr => "dos",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    pub scheme: Scheme,
    /// GPT: the disk's GUID. MBR: eight hex digits.
    pub id: String,
    /// The unit the table counts in.
    pub sector_bytes: u64,
    /// By their start, then by number. All of them lie within the disk.
    pub partitions: Vec<Partition>,
    /// What is wrong with the table, one sentence each.
    pub problems: Vec<String>,
}

/// One part of a disk. The extended partition of an MBR is none: it holds others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// As in `/dev/sda1`.
    pub number: u32,
    /// In bytes.
    pub start: u64,
    pub size: u64,
    /// GPT: a GUID. MBR: as `0x83`.
    pub type_id: String,
    /// Plain words for it, where known.
    pub type_name: Option<&'static str>,
    /// GPT only.
    pub name: String,
    /// As in `PARTUUID=`.
    pub uuid: String,
}

impl Partition {
    pub fn part(&self, disk: &Arc<dyn ReadAt>) -> Result<Part> {
        Part::new(Arc::clone(disk), self.start, self.size)
    }
}

/// Problems that are told of one table; more are counted.
const PROBLEMS_MAX: usize = 50;

/// Reads the table of a disk, if it has one.
pub fn read(disk: &dyn ReadAt) -> Result<Table> {
    let mut table = Table {
        scheme: Scheme::None,
        id: String::new(),
        sector_bytes: 512,
        partitions: Vec::new(),
        problems: Vec::new(),
    };
    let boot = mbr::BootSector::read(disk)?;
    // As Linux: a GPT counts where the MBR announces it, or where there is no MBR to say otherwise.
    let announced = boot.as_ref().is_some_and(|boot| boot.announces_gpt());
    let has_others = boot.as_ref().is_some_and(|boot| !boot.is_empty() && !announced);
    let found = gpt::find(disk)?;
    match found {
        Some(headers) if announced || !has_others => {
            if !announced {
                table.problems.push("the GPT has no protective MBR".to_string());
            }
            gpt::read(disk, headers, &mut table)?;
        }
        found => {
            if announced {
                table.problems.push("the MBR announces a GPT, and there is none that is sound".to_string());
            } else if found.is_some() {
                table.problems.push("there is a GPT too, which the MBR says nothing of".to_string());
            }
            if let Some(boot) = boot.filter(|boot| !boot.is_empty()) {
                mbr::read(disk, &boot, &mut table)?;
            }
        }
    }
    table.finish(disk.size());
    Ok(table)
}

impl Table {
    /// Takes an entry in, counted in sectors, as far as it lies on the disk.
    fn add(&mut self, disk: &dyn ReadAt, first: u64, count: u64, partition: Partition) {
        let (number, size) = (partition.number, disk.size());
        let bytes = |sectors: u64| sectors.checked_mul(self.sector_bytes);
        let range =
            bytes(first).zip(bytes(count)).and_then(|(start, len)| Some((start, start.checked_add(len)?)));
        let (start, end) = match range {
            Some((start, end)) if start < size => (start, end),
            _ => {
                self.problems
                    .push(format!("partition {number} begins at sector {first}, beyond the end of the disk"));
                return;
            }
        };
        if end > size {
            self.problems.push(format!(
                "partition {number} ends at byte {end}, beyond the end of the disk at {size}: cut there"
            ));
        }
        self.partitions.push(Partition { start, size: end.min(size) - start, ..partition });
    }

    fn finish(&mut self, disk_size: u64) {
        self.partitions.sort_by_key(|partition| (partition.start, partition.number));
        // The one of those before that reaches farthest is enough to find every part that is overlapped.
        let mut farthest: Option<&Partition> = None;
        let mut overlaps = Vec::new();
        for partition in &self.partitions {
            debug_assert!(partition.start + partition.size <= disk_size);
            let before = farthest.filter(|other| other.start + other.size > partition.start);
            if let Some(other) = before {
                overlaps.push(format!("partitions {} and {} overlap", other.number, partition.number));
            }
            if farthest.is_none_or(|other| other.start + other.size < partition.start + partition.size) {
                farthest = Some(partition);
            }
        }
        self.problems.append(&mut overlaps);
        if self.problems.len() > PROBLEMS_MAX {
            let more = self.problems.len() - PROBLEMS_MAX;
            self.problems.truncate(PROBLEMS_MAX);
            self.problems.push(format!("and {more} more problems"));
        }
    }
}

/// The bytes at `at`, or `None` where the disk ends before.
fn bytes_at<const N: usize>(disk: &dyn ReadAt, at: u64) -> Result<Option<[u8; N]>> {
    if at.checked_add(N as u64).is_none_or(|end| end > disk.size()) {
        return Ok(None);
    }
    let mut bytes = [0; N];
    disk.read_at(at, &mut bytes)?;
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests;
