//! Microsoft's vhd, which QEMU calls vpc: fixed, which is the raw disk and a footer, and dynamic.
//!
//! Specification: Microsoft, "Virtual Hard Disk Image Format 1.0". Refused: differencing disks.

use crate::disk::bytes::Part;
use crate::disk::bytes::ReadAt;
use crate::disk::format::Format;
use crate::disk::format::Image;
use crate::disk::format::OpenOptions;
use crate::disk::format::detect::TAIL_BYTES;
use crate::disk::format::detect::VHD_COOKIE;
use crate::disk::format::mapped::Map;
use crate::disk::format::mapped::Mapped;
use crate::disk::format::mapped::Place;
use crate::disk::format::mapped::Run;
use crate::disk::format::source::Source;
use crate::disk::format::table::Tables;
use crate::disk::number::be16;
use crate::disk::number::be32;
use crate::disk::number::be64;
use crate::error::Error;
use crate::error::Result;
use crate::path::shown;
use std::sync::Arc;

const SECTOR: u64 = 512;
/// Tools write 2 MiB, or 512 KiB.
const BLOCK_BYTES: std::ops::RangeInclusive<u64> = 512..=256 << 20;
const NOT_THERE: u32 = u32::MAX;
/// The geometry of a disk that is too large to have one.
const GEOMETRY_SECTORS_MAX: u64 = 65_535 * 16 * 255;

pub fn open(source: Source, options: &OpenOptions) -> Result<Image> {
    let footer = footer(&source)?;
    let size = size(&footer);
    options.check_size(&source, size)?;
    let mut facts = vec![("creator", shown(footer[28..32].trim_ascii_end()))];
    let disk: Arc<dyn ReadAt> = match be32(&footer, 60) {
        2 => {
            facts.push(("subformat", "fixed".to_string()));
            Arc::new(Part::new(Arc::clone(&source.file), 0, size)?)
        }
        3 => {
            facts.push(("subformat", "dynamic".to_string()));
            dynamic(source, be64(&footer, 16), size)?
        }
        4 => {
            return Err(source.invalid("is the difference to a parent disk, which imgit does not open"));
        }
        kind => return Err(source.invalid(format!("is a vhd of unknown type {kind}"))),
    };
    Ok(Image { format: Format::Vhd, disk, facts })
}

/// The last 512 bytes; a dynamic disk that was cut off has a copy at its start.
fn footer(source: &Source) -> Result<[u8; 512]> {
    let last = source.array(source.size().saturating_sub(TAIL_BYTES), "the vhd footer")?;
    let footer = match last.starts_with(VHD_COOKIE) {
        true => last,
        false => source.array(0, "the vhd footer")?,
    };
    if !footer.starts_with(VHD_COOKIE) {
        return Err(source.invalid("does not end as a vhd does"));
    }
    check_sum(source, &footer, 64, "footer")?;
    Ok(footer)
}

/// The sum of all bytes but its own four at `at`, inverted.
pub fn checksum(bytes: &[u8], at: usize) -> u32 {
    let sum = |sum: u32, byte: &u8| sum.wrapping_add(u32::from(*byte));
    !bytes[..at].iter().chain(&bytes[at + 4..]).fold(0, sum)
}

fn check_sum(source: &Source, bytes: &[u8], at: usize, what: &str) -> Result<()> {
    let found = checksum(bytes, at);
    let expected = be32(bytes, at);
    if found == expected {
        return Ok(());
    }
    Err(Error::Mismatch {
        thing: format!("checksum of the {what} of {}", source.name),
        expected: format!("{expected:08x}"),
        found: format!("{found:08x}"),
    })
}

/// Virtual PC, and QEMU in its likeness, show the guest a disk as large as its geometry; all others
/// what the footer says. As QEMU tells them apart, but that QEMU cuts VirtualBox's disks short.
fn size(footer: &[u8; 512]) -> u64 {
    let geometry = u64::from(be16(footer, 56)) * u64::from(footer[58]) * u64::from(footer[59]);
    match &footer[28..32] {
        b"vpc " | b"qemu" if geometry < GEOMETRY_SECTORS_MAX => geometry * SECTOR,
        _ => be64(footer, 48),
    }
}

struct Blocks {
    block: u64,
    /// Before the bytes of each block, one bit a sector says whether it was ever written. QEMU reads
    /// none of them: the other sectors of a block are zero.
    bitmap: u64,
    table_at: u64,
    tables: Tables,
}

fn dynamic(source: Source, header_at: u64, size: u64) -> Result<Arc<dyn ReadAt>> {
    let header: [u8; 1024] = source.array(header_at, "the header of a dynamic vhd")?;
    if &header[..8] != b"cxsparse" {
        return Err(source.invalid(format!("has no header of a dynamic vhd at {header_at}")));
    }
    check_sum(&source, &header, 36, "dynamic header")?;
    let (table_at, entries, block) =
        (be64(&header, 16), u64::from(be32(&header, 28)), u64::from(be32(&header, 32)));
    if !BLOCK_BYTES.contains(&block) || !block.is_power_of_two() {
        return Err(source.invalid(format!("has blocks of {block} bytes")));
    }
    if size.div_ceil(block) > entries {
        return Err(source.invalid(format!("has {entries} blocks of {block} bytes for a disk of {size}")));
    }
    let bitmap = (block / SECTOR).div_ceil(8).next_multiple_of(SECTOR);
    let map = Blocks { block, bitmap, table_at, tables: Tables::new(source.clone()) };
    Ok(Arc::new(Mapped::new(map, source, size, block, None)))
}

impl Map for Blocks {
    fn run(&self, offset: u64) -> Result<Run> {
        let (index, inside) = (offset / self.block, offset % self.block);
        let at = self.table_at.saturating_add(index * 4);
        let place = match u32::from_be_bytes(self.tables.entry(at, "an entry of the block table")?) {
            NOT_THERE => Place::Zero,
            sector => Place::At(u64::from(sector) * SECTOR + self.bitmap + inside),
        };
        Ok(Run { end: (index + 1) * self.block, place })
    }
}
