//! The log of a vhdx: writes to its tables that a crash may have kept from the file.
//!
//! A ring of entries, each a whole number of 4 KiB sectors with a checksum and a sequence number. The
//! newest entry says where the oldest that still counts begins; from there to it they are replayed.

use crate::disk::format::source::Source;
use crate::disk::format::vhdx::Header;
use crate::disk::format::vhdx::crc32c::has_checksum;
use crate::disk::format::vhdx::overlay::Overlay;
use crate::disk::format::vhdx::overlay::Patch;
use crate::disk::number::le32;
use crate::disk::number::le64;
use crate::error::Error;
use crate::error::Result;
use std::collections::HashMap;
use std::sync::Arc;

const SECTOR: usize = 4_096;
/// Hyper-V and QEMU write logs of 1 MiB.
const LOG_BYTES_MAX: u64 = 16 << 20;
/// Each costs a look with every read.
const PATCHES_MAX: usize = 1 << 16;
/// Old entries may overlap new ones, but not all of them all of it.
const CHECKED_TIMES_MAX: usize = 8;

/// The file with its log applied.
pub fn replay(source: &Source, header: &Header) -> Result<Overlay> {
    if header.log_len > LOG_BYTES_MAX {
        let thing = format!("log of {}", source.name);
        return Err(Error::Limit { thing, limit: LOG_BYTES_MAX, unit: "bytes" });
    }
    let mut ring = source.bytes(header.log_at, header.log_len as usize, "the log")?;
    ring.truncate(ring.len() / SECTOR * SECTOR);
    let entries = entries(source, &ring, &header.log_id)?;
    let chain = active(&entries, ring.len()).ok_or_else(|| {
        source.invalid("was not closed, and its log is damaged: open it once where it was made")
    })?;
    let newest = chain.last().expect("a chain holds its newest entry");
    if newest.flushed_size > source.size() {
        return Err(source.invalid(format!(
            "has {} bytes; its log says that it had {}",
            source.size(),
            newest.flushed_size
        )));
    }
    let mut overlay = Overlay {
        file: Arc::clone(&source.file),
        size: source.size().max(newest.last_size),
        patches: Vec::new(),
    };
    for entry in chain {
        entry.patches(source, &mut overlay.patches)?;
    }
    Ok(overlay)
}

struct Entry {
    at: usize,
    sequence: u64,
    /// Where in the ring the oldest entry begins that counts with this one.
    tail: usize,
    flushed_size: u64,
    last_size: u64,
    bytes: Vec<u8>,
}

/// All sound entries, by where they begin in the ring.
fn entries(source: &Source, ring: &[u8], id: &[u8; 16]) -> Result<HashMap<usize, Entry>> {
    let mut found = HashMap::new();
    let mut checked = 0;
    for at in (0..ring.len()).step_by(SECTOR) {
        let head = &ring[at..at + SECTOR];
        let len = le32(head, 8) as usize;
        let is_entry = &head[..4] == b"loge" && head[32..48] == *id;
        if !is_entry || len == 0 || len > ring.len() || !len.is_multiple_of(SECTOR) {
            continue;
        }
        checked += len;
        if checked > ring.len() * CHECKED_TIMES_MAX {
            return Err(source.invalid("has a log whose entries overlap"));
        }
        let first = &ring[at..(at + len).min(ring.len())];
        let bytes = [first, &ring[..len - first.len()]].concat();
        if has_checksum(&bytes) {
            let entry = Entry {
                at,
                tail: le32(&bytes, 12) as usize,
                sequence: le64(&bytes, 16),
                flushed_size: le64(&bytes, 48),
                last_size: le64(&bytes, 56),
                bytes,
            };
            found.insert(at, entry);
        }
    }
    Ok(found)
}

/// The entries to replay, oldest first: those of the newest entry that has all it counts on.
fn active(entries: &HashMap<usize, Entry>, ring_len: usize) -> Option<Vec<&Entry>> {
    let mut newest_first: Vec<&Entry> = entries.values().collect();
    newest_first.sort_by_key(|entry| std::cmp::Reverse(entry.sequence));
    newest_first.into_iter().find_map(|newest| {
        let mut chain = vec![entries.get(&newest.tail)?];
        loop {
            let last = *chain.last()?;
            if last.at == newest.at {
                return Some(chain);
            }
            // The numbers rise, so there is an end to it.
            let next = entries.get(&((last.at + last.bytes.len()) % ring_len))?;
            if last.sequence.checked_add(1) != Some(next.sequence) {
                return None;
            }
            chain.push(next);
        }
    })
}

impl Entry {
    fn patches(&self, source: &Source, patches: &mut Vec<Patch>) -> Result<()> {
        let wrong = |what: &str| source.invalid(format!("has a log entry {} with {what}", self.sequence));
        let count = le32(&self.bytes, 24) as usize;
        let descriptors = self.bytes.get(64..).and_then(|rest| rest.get(..count.checked_mul(32)?));
        let descriptors = descriptors.ok_or_else(|| wrong("more descriptors than it has room for"))?;
        let mut data = self.bytes[(64 + descriptors.len()).next_multiple_of(SECTOR).min(self.bytes.len())..]
            .chunks_exact(SECTOR);
        for descriptor in descriptors.chunks_exact(32) {
            if patches.len() == PATCHES_MAX {
                let thing = format!("number of writes in the log of {}", source.name);
                return Err(Error::Limit { thing, limit: PATCHES_MAX as u64, unit: "writes" });
            }
            if le64(descriptor, 24) != self.sequence {
                return Err(wrong("a descriptor of another entry"));
            }
            let at = le64(descriptor, 16);
            match &descriptor[..4] {
                b"zero" => patches.push(Patch { at, len: le64(descriptor, 8), bytes: None }),
                b"desc" => {
                    let sector = data.next().ok_or_else(|| wrong("fewer sectors than descriptors"))?;
                    let sequence = u64::from(le32(sector, 4)) << 32 | u64::from(le32(sector, SECTOR - 4));
                    if &sector[..4] != b"data" || sequence != self.sequence {
                        return Err(wrong("a sector of another entry"));
                    }
                    // The ends of the sector stand in the descriptor: marks have taken their place.
                    let bytes = [&descriptor[8..16], &sector[8..SECTOR - 4], &descriptor[4..8]].concat();
                    patches.push(Patch { at, len: SECTOR as u64, bytes: Some(bytes.into()) });
                }
                _ => return Err(wrong("a descriptor of an unknown kind")),
            }
        }
        Ok(())
    }
}
