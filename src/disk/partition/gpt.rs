//! The GUID partition table: a header in the second sector, one in the last, each with its own copy of
//! the entries, all of them with checksums. Specification: UEFI, chapter 5.

use crate::disk::bytes::ReadAt;
use crate::disk::number::le16;
use crate::disk::number::le32;
use crate::disk::number::le64;
use crate::disk::partition::Partition;
use crate::disk::partition::Scheme;
use crate::disk::partition::Table;
use crate::disk::partition::guid::guid;
use crate::disk::partition::types::gpt_type_name;
use crate::error::Result;
use crate::path::shown;

const SIGNATURE: &[u8] = b"EFI PART";
const HEADER_BYTES: usize = 92;
const SECTORS: [u64; 2] = [512, 4_096];
/// Entries are 128 bytes everywhere; the specification allows 128 times a power of two.
const ENTRY_BYTES: std::ops::RangeInclusive<u32> = 128..=4_096;
/// Of all entries together. Tools write 16 KiB.
const ENTRIES_BYTES_MAX: u64 = 1 << 20;

struct Header {
    sector: u64,
    alternate: u64,
    first_usable: u64,
    last_usable: u64,
    disk_id: [u8; 16],
    entry_bytes: usize,
    entries: Vec<u8>,
}

/// The sound copies of the table, with what is wrong with the other.
pub struct Headers {
    primary: Result<Header, String>,
    backup: Result<Header, String>,
}

/// Looks for a table; `None` when neither copy is sound.
pub fn find(disk: &dyn ReadAt) -> Result<Option<Headers>> {
    for sector in SECTORS {
        let primary = Header::read(disk, sector, 1)?;
        let last = (disk.size() / sector).saturating_sub(1);
        let backup = match &primary {
            // Where the disk has grown, it is no longer the last sector.
            Ok(header) => Header::read(disk, sector, header.alternate)?,
            Err(_) => Header::read(disk, sector, last)?,
        };
        if primary.is_ok() || backup.is_ok() {
            return Ok(Some(Headers { primary, backup }));
        }
    }
    Ok(None)
}

impl Header {
    /// The outer error is the disk's, the inner says what is wrong with this copy.
    fn read(disk: &dyn ReadAt, sector: u64, lba: u64) -> Result<Result<Header, String>> {
        let wrong = |problem: &str| Ok(Err(problem.to_string()));
        let at =
            lba.checked_mul(sector).filter(|at| at.checked_add(sector).is_some_and(|end| end <= disk.size()));
        let Some(at) = at else { return wrong("lies beyond the end of the disk") };
        let mut bytes = vec![0; sector as usize];
        disk.read_at(at, &mut bytes)?;
        if &bytes[..8] != SIGNATURE {
            return wrong("is missing");
        }
        let header_bytes = le32(&bytes, 12) as usize;
        if !(HEADER_BYTES..=bytes.len()).contains(&header_bytes) {
            return wrong("has a header of impossible length");
        }
        let checksum = le32(&bytes, 16);
        bytes[16..20].fill(0);
        if crc32fast::hash(&bytes[..header_bytes]) != checksum {
            return wrong("has a header with a wrong checksum");
        }
        if le64(&bytes, 24) != lba {
            return wrong("has a header that belongs elsewhere");
        }
        let (entries_lba, count, entry_bytes) = (le64(&bytes, 72), le32(&bytes, 80), le32(&bytes, 84));
        if !ENTRY_BYTES.contains(&entry_bytes) || !entry_bytes.is_power_of_two() {
            return wrong("has entries of impossible length");
        }
        let len = u64::from(count) * u64::from(entry_bytes);
        let entries_at = entries_lba.checked_mul(sector).filter(|at| {
            len <= ENTRIES_BYTES_MAX && at.checked_add(len).is_some_and(|end| end <= disk.size())
        });
        let Some(entries_at) = entries_at else {
            return wrong("has entries that lie beyond the end of the disk");
        };
        let mut entries = vec![0; len as usize];
        disk.read_at(entries_at, &mut entries)?;
        if crc32fast::hash(&entries) != le32(&bytes, 88) {
            return wrong("has entries with a wrong checksum");
        }
        Ok(Ok(Header {
            sector,
            alternate: le64(&bytes, 32),
            first_usable: le64(&bytes, 40),
            last_usable: le64(&bytes, 48),
            disk_id: bytes[56..72].try_into().expect("16 bytes"),
            entry_bytes: entry_bytes as usize,
            entries,
        }))
    }
}

/// Fills `table` from the primary copy, or from the backup where that is damaged.
pub fn read(disk: &dyn ReadAt, headers: Headers, table: &mut Table) -> Result<()> {
    let header = match (headers.primary, headers.backup) {
        (Ok(primary), Ok(backup)) => {
            if primary.entries != backup.entries || primary.disk_id != backup.disk_id {
                table
                    .problems
                    .push("the backup GPT differs from the primary one, which was read".to_string());
            }
            primary
        }
        (Ok(primary), Err(problem)) => {
            table.problems.push(format!("the backup GPT {problem}"));
            primary
        }
        (Err(problem), Ok(backup)) => {
            table.problems.push(format!("the primary GPT {problem}; the backup was read"));
            backup
        }
        (Err(_), Err(_)) => return Ok(()),
    };
    table.scheme = Scheme::Gpt;
    table.sector_bytes = header.sector;
    table.id = guid(&header.disk_id);
    for (number, entry) in (1..).zip(header.entries.chunks_exact(header.entry_bytes)) {
        let kind: &[u8; 16] = entry[..16].try_into().expect("16 bytes");
        if *kind == [0; 16] {
            continue;
        }
        let (first, last) = (le64(entry, 32), le64(entry, 40));
        let Some(count) = last.checked_sub(first).and_then(|count| count.checked_add(1)) else {
            table.problems.push(format!("partition {number} ends before it begins"));
            continue;
        };
        if first < header.first_usable || last > header.last_usable {
            table.problems.push(format!(
                "partition {number} leaves the sectors {} to {} that the GPT has for partitions",
                header.first_usable, header.last_usable
            ));
        }
        let type_id = guid(kind);
        let partition = Partition {
            number,
            start: 0,
            size: 0,
            type_name: gpt_type_name(&type_id),
            type_id,
            name: name(&entry[56..128]),
            uuid: guid(entry[16..32].try_into().expect("16 bytes")),
        };
        table.add(disk, first, count, partition);
    }
    Ok(())
}

/// UTF-16, 36 letters, up to the first zero.
fn name(bytes: &[u8]) -> String {
    let letters = bytes.chunks_exact(2).map(|pair| le16(pair, 0)).take_while(|letter| *letter != 0);
    let text: String = char::decode_utf16(letters).map(|letter| letter.unwrap_or('\u{fffd}')).collect();
    shown(text.as_bytes())
}
