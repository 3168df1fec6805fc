//! A sparse extent: grains found through a directory of tables, plain or each compressed.

use crate::disk::bytes::ReadAt;
use crate::disk::format::OpenOptions;
use crate::disk::format::detect::VMDK_MAGIC;
use crate::disk::format::mapped::Map;
use crate::disk::format::mapped::Mapped;
use crate::disk::format::mapped::Packed;
use crate::disk::format::mapped::Place;
use crate::disk::format::mapped::Run;
use crate::disk::format::source::Source;
use crate::disk::format::table::Tables;
use crate::disk::format::unpack::Packing;
use crate::disk::format::unpack::unpack;
use crate::disk::format::vmdk::SECTOR;
use crate::disk::format::vmdk::descriptor::DESCRIPTOR_BYTES_MAX;
use crate::disk::format::vmdk::descriptor::Descriptor;
use crate::disk::number::le16;
use crate::disk::number::le32;
use crate::disk::number::le64;
use crate::error::Result;
use std::sync::Arc;

/// 16 MiB. Tools write 128 sectors.
const GRAIN_SECTORS_MAX: u64 = 1 << 15;
/// The specification has 512 always.
const TABLE_ENTRIES_MAX: u64 = 512;
/// The directory is where the footer says.
const DIRECTORY_AT_END: u64 = u64::MAX;
/// The footer, which is a header, and the end-of-stream marker after it.
const FOOTER_FROM_END: u64 = 1_024;

const FLAG_ZERO_GRAINS: u32 = 1 << 2;
const FLAG_COMPRESSED: u32 = 1 << 16;
const FLAG_MARKERS: u32 = 1 << 17;
const DEFLATE: u16 = 1;

/// Offsets and sizes in sectors.
#[derive(Debug)]
struct Header {
    flags: u32,
    capacity: u64,
    grain: u64,
    descriptor_at: u64,
    descriptor_len: u64,
    table_entries: u64,
    directory_at: u64,
}

/// The descriptor inside, empty where there is none, and the disk.
pub fn open(source: &Source, options: &OpenOptions) -> Result<(Descriptor, Arc<dyn ReadAt>)> {
    let mut header = Header::read(source, 0)?;
    if header.directory_at == DIRECTORY_AT_END {
        let at = source.size().saturating_sub(FOOTER_FROM_END);
        header = Header::read(source, at)?;
        if header.directory_at == DIRECTORY_AT_END {
            return Err(source.invalid("has a footer that does not say where its directory is"));
        }
    }
    let size = header.capacity.saturating_mul(SECTOR);
    options.check_size(source, size)?;
    if size == 0 {
        // QEMU then obeys the descriptor inside, which may name any file.
        return Err(source.invalid("is a sparse vmdk of no size"));
    }
    let descriptor = match (header.descriptor_at, header.descriptor_len) {
        (0, _) | (_, 0) => Descriptor::default(),
        (at, len) => {
            let at = at.saturating_mul(SECTOR);
            let len = len.saturating_mul(SECTOR).min(DESCRIPTOR_BYTES_MAX);
            Descriptor::parse(source, &source.bytes(at, len as usize, "the descriptor")?)?
        }
    };
    let grain = header.grain * SECTOR;
    let grains = Grains { header, tables: Tables::new(source.clone()) };
    Ok((descriptor, Arc::new(Mapped::new(grains, source.clone(), size, grain, None))))
}

impl Header {
    fn read(source: &Source, at: u64) -> Result<Header> {
        let bytes: [u8; 512] = source.array(at, "the vmdk header")?;
        if &bytes[..4] != VMDK_MAGIC {
            return Err(source.invalid(format!("has no vmdk header at {at}")));
        }
        let version = le32(&bytes, 4);
        if !matches!(version, 1..=3) {
            return Err(source.invalid(format!("is a vmdk of version {version}; imgit reads 1 to 3")));
        }
        let header = Header {
            flags: le32(&bytes, 8),
            capacity: le64(&bytes, 12),
            grain: le64(&bytes, 20),
            descriptor_at: le64(&bytes, 28),
            descriptor_len: le64(&bytes, 36),
            table_entries: le32(&bytes, 44).into(),
            directory_at: le64(&bytes, 56),
        };
        // Written so that a transfer in text mode shows.
        if bytes[73..77] != *b"\n \r\n" {
            return Err(source.invalid("was damaged by a transfer as text"));
        }
        if !header.grain.is_power_of_two() || header.grain > GRAIN_SECTORS_MAX {
            return Err(source.invalid(format!("has grains of {} sectors", header.grain)));
        }
        if !(1..=TABLE_ENTRIES_MAX).contains(&header.table_entries) {
            return Err(source.invalid(format!("has tables of {} grains", header.table_entries)));
        }
        let method = le16(&bytes, 77);
        if header.flags & FLAG_COMPRESSED != 0 && method != DEFLATE {
            return Err(source.invalid(format!("has grains compressed by unknown method {method}")));
        }
        Ok(header)
    }
}

struct Grains {
    header: Header,
    tables: Tables,
}

impl Map for Grains {
    const LAST_MAY_BE_CUT: bool = true;

    fn run(&self, offset: u64) -> Result<Run> {
        let header = &self.header;
        let grain = header.grain * SECTOR;
        let covers = grain * header.table_entries;
        let entry = |sector: u64, index: u64, what: &str| -> Result<u64> {
            let at = sector.saturating_mul(SECTOR).saturating_add(index * 4);
            Ok(u64::from(u32::from_le_bytes(self.tables.entry(at, what)?)))
        };
        let table_at = entry(header.directory_at, offset / covers, "an entry of the grain directory")?;
        if table_at == 0 {
            return Ok(Run { end: (offset / covers + 1) * covers, place: Place::Zero });
        }
        let sector = entry(table_at, offset % covers / grain, "an entry of a grain table")?;
        let start = offset - offset % grain;
        let place = match sector {
            0 => Place::Zero,
            1 if header.flags & FLAG_ZERO_GRAINS != 0 => Place::Zero,
            sector if header.flags & FLAG_COMPRESSED != 0 => {
                // How long it is stands before it, and is read when it is wanted.
                Place::Packed(Packed { unit: start, at: sector * SECTOR, len: 0 })
            }
            sector => Place::At(sector * SECTOR + (offset - start)),
        };
        Ok(Run { end: start + grain, place })
    }

    fn unpack(&self, packed: &Packed) -> Result<Vec<u8>> {
        let source = self.tables.source();
        let grain = self.header.grain * SECTOR;
        // What deflate cannot shrink it makes little longer.
        let len_max = grain * 2;
        let (at, len) = if self.header.flags & FLAG_MARKERS != 0 {
            let marker: [u8; 12] = source.array(packed.at, "the marker of a grain")?;
            let (sector, len) = (le64(&marker, 0), u64::from(le32(&marker, 8)));
            if sector.checked_mul(SECTOR) != Some(packed.unit) {
                return Err(source.invalid(format!(
                    "has the grain of sector {sector} at {}, where that of sector {} belongs",
                    packed.at,
                    packed.unit / SECTOR
                )));
            }
            (packed.at + 12, len)
        } else {
            (packed.at, len_max.min(source.size().saturating_sub(packed.at)))
        };
        if len == 0 || len > len_max {
            return Err(source.invalid(format!("has a grain of {len} compressed bytes at {at}")));
        }
        let bytes = source.bytes(at, len as usize, "a compressed grain")?;
        unpack(Packing::Zlib, &bytes, grain as usize)
            .map_err(|problem| source.invalid(format!("has damaged compressed bytes at {at}: {problem}")))
    }
}
