//! The partition table of the PC: four entries in the boot sector, and a chain of sectors with one
//! each in the extended partition.
//!
//! Numbers and the reading of the chain follow Linux (`block/partitions/msdos.c`). Sectors are taken
//! to be 512 bytes: the table does not say, and disks with others have a GPT.

use crate::disk::bytes::ReadAt;
use crate::disk::number::le32;
use crate::disk::partition::Kind;
use crate::disk::partition::Partition;
use crate::disk::partition::Scheme;
use crate::disk::partition::Table;
use crate::disk::partition::bytes_at;
use crate::disk::partition::probe;
use crate::disk::partition::types::mbr_type_name;
use crate::error::Result;
use std::collections::HashSet;

const SECTOR: u64 = 512;
const GPT_PROTECTIVE: u8 = 0xee;
/// Each is one read; Linux has 256 minors for a disk, older ones stop at 60.
const LOGICAL_MAX: usize = 256;

#[derive(Clone, Copy, Debug)]
struct Entry {
    kind: u8,
    /// In sectors.
    start: u64,
    count: u64,
}

impl Entry {
    fn is_used(&self) -> bool {
        self.kind != 0 && self.count != 0
    }

    fn is_extended(&self) -> bool {
        matches!(self.kind, 0x05 | 0x0f | 0x85)
    }
}

pub struct BootSector {
    id: u32,
    entries: [Entry; 4],
}

impl BootSector {
    /// `None` where the first sector is no MBR: without its mark, with entries that cannot be, or the
    /// boot sector of a file system, where program code stands in their place.
    pub fn read(disk: &dyn ReadAt) -> Result<Option<BootSector>> {
        let Some(sector) = bytes_at::<512>(disk, 0)? else { return Ok(None) };
        let Some(entries) = entries(&sector) else { return Ok(None) };
        let is_sane = (0..4).all(|at| matches!(sector[446 + at * 16], 0 | 0x80));
        if !is_sane
            || matches!(
                probe::dos(disk)?.map(|found| found.kind),
                Some(Kind::Vfat | Kind::Ntfs | Kind::Exfat)
            )
        {
            return Ok(None);
        }
        Ok(Some(BootSector { id: le32(&sector, 440), entries }))
    }

    pub fn announces_gpt(&self) -> bool {
        self.entries.iter().any(|entry| entry.kind == GPT_PROTECTIVE)
    }

    pub fn is_empty(&self) -> bool {
        !self.entries.iter().any(Entry::is_used)
    }
}

fn entries(sector: &[u8; 512]) -> Option<[Entry; 4]> {
    if sector[510..] != [0x55, 0xaa] {
        return None;
    }
    Some(std::array::from_fn(|at| {
        let entry = &sector[446 + at * 16..][..16];
        Entry { kind: entry[4], start: le32(entry, 8).into(), count: le32(entry, 12).into() }
    }))
}

pub fn read(disk: &dyn ReadAt, boot: &BootSector, table: &mut Table) -> Result<()> {
    table.scheme = Scheme::Mbr;
    table.id = format!("{:08x}", boot.id);
    for (number, entry) in (1..).zip(&boot.entries) {
        // With a GPT that is announced and broken, Linux shows no part of the disk.
        if entry.is_used() && !entry.is_extended() && entry.kind != GPT_PROTECTIVE {
            add(disk, table, number, entry.start, entry);
        }
    }
    let mut number = 5;
    for entry in boot.entries.iter().filter(|entry| entry.is_used() && entry.is_extended()) {
        logical(disk, table, entry, &mut number)?;
    }
    Ok(())
}

/// Walks the chain: each sector has a logical partition, relative to itself, and a link to the next,
/// relative to the first.
fn logical(disk: &dyn ReadAt, table: &mut Table, extended: &Entry, number: &mut u32) -> Result<()> {
    let (mut here, mut count) = (extended.start, extended.count);
    let mut seen = HashSet::new();
    loop {
        if !seen.insert(here) {
            table.problems.push(format!("the chain of logical partitions comes back to sector {here}"));
            return Ok(());
        }
        if seen.len() > LOGICAL_MAX {
            table.problems.push(format!("there are more than {LOGICAL_MAX} logical partitions"));
            return Ok(());
        }
        let Some(entries) = bytes_at::<512>(disk, here * SECTOR)?.as_ref().and_then(entries) else {
            table.problems.push(format!("the chain of logical partitions breaks at sector {here}"));
            return Ok(());
        };
        for (slot, entry) in
            entries.iter().enumerate().filter(|(_, entry)| entry.is_used() && !entry.is_extended())
        {
            let start = here + entry.start;
            // The last two slots are no part of the format; where they hold anything it must make sense.
            let limit = extended.start + extended.count;
            if slot >= 2 && (entry.start + entry.count > count || start + entry.count > limit) {
                continue;
            }
            add(disk, table, *number, start, entry);
            *number += 1;
        }
        match entries.iter().find(|entry| entry.is_used() && entry.is_extended()) {
            Some(next) => (here, count) = (extended.start + next.start, next.count),
            None => return Ok(()),
        }
    }
}

fn add(disk: &dyn ReadAt, table: &mut Table, number: u32, start: u64, entry: &Entry) {
    let partition = Partition {
        number,
        start: 0,
        size: 0,
        type_id: format!("0x{:x}", entry.kind),
        type_name: mbr_type_name(entry.kind),
        name: String::new(),
        uuid: format!("{}-{number:02x}", table.id),
    };
    table.add(disk, start, entry.count, partition);
}
