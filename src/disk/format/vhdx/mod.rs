//! Hyper-V's vhdx, fixed and dynamic.
//!
//! What a crash left in its log is replayed in memory, so the file is read as it would be after a
//! clean open. Refused: differencing disks, and regions or metadata that are required and unknown.
//! Specification: Microsoft, MS-VHDX.

pub mod crc32c;
mod log;
mod overlay;

use crate::disk::bytes::ReadAt;
use crate::disk::format::Format;
use crate::disk::format::Image;
use crate::disk::format::OpenOptions;
use crate::disk::format::detect::VHDX_SIGNATURE;
use crate::disk::format::mapped::Map;
use crate::disk::format::mapped::Mapped;
use crate::disk::format::mapped::Place;
use crate::disk::format::mapped::Run;
use crate::disk::format::source::Source;
use crate::disk::format::table::Tables;
use crate::disk::number::le16;
use crate::disk::number::le32;
use crate::disk::number::le64;
use crate::disk::partition::guid;
use crate::error::Result;
use crc32c::has_checksum;
use std::sync::Arc;

const HEADERS_AT: [u64; 2] = [64 << 10, 128 << 10];
const REGION_TABLES_AT: [u64; 2] = [192 << 10, 256 << 10];
const TABLE_BYTES: usize = 64 << 10;
const REGIONS_MAX: u32 = 2_047;

const BLOCKS_REGION: &str = "2dc27766-f623-4200-9d64-115e9bfd4a08";
const METADATA_REGION: &str = "8b7ca206-4790-4b9a-b8fe-575f050f886e";
const FILE_PARAMETERS: &str = "caa16737-fa36-4d43-b3b6-33f0aa44e76b";
const DISK_SIZE: &str = "2fa54224-cd1b-4876-b211-5dbed83bf4b8";
const DISK_ID: &str = "beca12ab-b2e6-4523-93ef-c309e000c746";
const LOGICAL_SECTOR: &str = "8141bf1d-a96f-4709-ba47-f233a8faab5f";
const PHYSICAL_SECTOR: &str = "cda348c7-445d-4471-9cc9-e9885251c556";

const BLOCK_BYTES: std::ops::RangeInclusive<u64> = 1 << 20..=256 << 20;
/// Offsets in the block table are in MiB.
const MIB_MASK: u64 = !((1 << 20) - 1);

pub fn open(source: Source, options: &OpenOptions) -> Result<Image> {
    if source.array::<8>(0, "the vhdx signature")? != VHDX_SIGNATURE {
        return Err(source.invalid("does not begin as a vhdx does"));
    }
    let header = Header::read(&source)?;
    let mut facts = Vec::new();
    let source = match header.log_id {
        [0, ..] if header.log_id == [0; 16] => source,
        _ => {
            facts.push(("replayed-log", "yes".to_string()));
            let file = log::replay(&source, &header)?;
            Source { file: Arc::new(file), ..source }
        }
    };
    let regions = Regions::read(&source)?;
    let metadata = Metadata::read(&source, regions.metadata)?;
    options.check_size(&source, metadata.size)?;
    facts.push(("block-bytes", metadata.block.to_string()));
    facts.push(("logical-sector-bytes", metadata.logical_sector.to_string()));
    facts.push(("subformat", if metadata.is_fixed { "fixed" } else { "dynamic" }.to_string()));
    let (size, block) = (metadata.size, metadata.block);
    let blocks = size.div_ceil(block);
    // After so many blocks the table has an entry for a bitmap, which only differencing disks use.
    let chunk = (1 << 23) * u64::from(metadata.logical_sector) / block;
    let entries = blocks + blocks.saturating_sub(1) / chunk;
    if entries * 8 > regions.blocks.1 {
        let found = regions.blocks.1 / 8;
        return Err(source.invalid(format!("has a table of {found} blocks; {size} bytes need {entries}")));
    }
    let map = Blocks { block, chunk, table_at: regions.blocks.0, tables: Tables::new(source.clone()) };
    let disk: Arc<dyn ReadAt> = Arc::new(Mapped::new(map, source, size, block, None));
    Ok(Image { format: Format::Vhdx, disk, facts })
}

#[derive(Debug)]
struct Header {
    sequence: u64,
    log_id: [u8; 16],
    log_at: u64,
    log_len: u64,
}

impl Header {
    /// Of the two the sound one that was written last.
    fn read(source: &Source) -> Result<Header> {
        let mut newest: Option<Header> = None;
        for at in HEADERS_AT {
            let bytes: [u8; 4096] = source.array(at, "a vhdx header")?;
            if &bytes[..4] != b"head" || !has_checksum(&bytes) {
                continue;
            }
            let (log_version, version) = (le16(&bytes, 64), le16(&bytes, 66));
            if version != 1 || log_version != 0 {
                let problem = format!("is a vhdx of version {version}.{log_version}; imgit reads 1.0");
                return Err(source.invalid(problem));
            }
            let header = Header {
                sequence: le64(&bytes, 8),
                log_id: bytes[48..64].try_into().expect("16 bytes"),
                log_len: le32(&bytes, 68).into(),
                log_at: le64(&bytes, 72),
            };
            if newest.as_ref().is_none_or(|other| header.sequence > other.sequence) {
                newest = Some(header);
            }
        }
        newest.ok_or_else(|| source.invalid("has no header with a sound checksum"))
    }
}

/// Where things are in the file: offset and length.
struct Regions {
    blocks: (u64, u64),
    metadata: (u64, u64),
}

impl Regions {
    fn read(source: &Source) -> Result<Regions> {
        for at in REGION_TABLES_AT {
            let bytes = source.bytes(at, TABLE_BYTES, "the region table")?;
            if &bytes[..4] == b"regi" && has_checksum(&bytes) {
                return Regions::parse(source, &bytes);
            }
        }
        Err(source.invalid("has no region table with a sound checksum"))
    }

    fn parse(source: &Source, bytes: &[u8]) -> Result<Regions> {
        let (mut blocks, mut metadata) = (None, None);
        let count = le32(bytes, 8);
        if count > REGIONS_MAX {
            return Err(source.invalid(format!("has {count} regions")));
        }
        for entry in bytes[16..].chunks_exact(32).take(count as usize) {
            let (place, is_required) =
                ((le64(entry, 16), u64::from(le32(entry, 24))), le32(entry, 28) & 1 == 1);
            match &guid(entry[..16].try_into().expect("16 bytes"))[..] {
                BLOCKS_REGION => blocks = Some(place),
                METADATA_REGION => metadata = Some(place),
                other if is_required => {
                    return Err(
                        source.invalid(format!("needs the region {other}, which imgit does not know"))
                    );
                }
                _ => {}
            }
        }
        match (blocks, metadata) {
            (Some(blocks), Some(metadata)) => Ok(Regions { blocks, metadata }),
            _ => Err(source.invalid("lacks the region of its blocks or of its metadata")),
        }
    }
}

#[derive(Default)]
struct Metadata {
    size: u64,
    block: u64,
    logical_sector: u32,
    is_fixed: bool,
}

impl Metadata {
    fn read(source: &Source, (at, len): (u64, u64)) -> Result<Metadata> {
        const KEEPS_BLOCKS: u32 = 1;
        const HAS_PARENT: u32 = 2;
        let table = source.bytes(at, TABLE_BYTES, "the metadata table")?;
        if &table[..8] != b"metadata" {
            return Err(source.invalid(format!("has no metadata at {at}")));
        }
        let mut metadata = Metadata::default();
        let count = le16(&table, 10);
        for entry in table[32..].chunks_exact(32).take(count.into()) {
            let (offset, item_len, is_required) =
                (u64::from(le32(entry, 16)), le32(entry, 20), le32(entry, 24) & 4 != 0);
            let item = |bytes: &mut [u8]| {
                if offset + bytes.len() as u64 > len || bytes.len() > item_len as usize {
                    return Err(source.invalid(format!("has metadata at {offset} of {item_len} bytes")));
                }
                source.fill(at.saturating_add(offset), bytes, "a metadata item")
            };
            let (mut small, mut large) = ([0; 4], [0; 8]);
            match &guid(entry[..16].try_into().expect("16 bytes"))[..] {
                FILE_PARAMETERS => {
                    item(&mut large)?;
                    let flags = le32(&large, 4);
                    metadata.block = le32(&large, 0).into();
                    metadata.is_fixed = flags & KEEPS_BLOCKS != 0;
                    if flags & HAS_PARENT != 0 {
                        return Err(
                            source.invalid("is the difference to a parent disk, which imgit does not open")
                        );
                    }
                }
                DISK_SIZE => {
                    item(&mut large)?;
                    metadata.size = le64(&large, 0);
                }
                LOGICAL_SECTOR => {
                    item(&mut small)?;
                    metadata.logical_sector = le32(&small, 0);
                }
                DISK_ID | PHYSICAL_SECTOR => {}
                other if is_required => {
                    return Err(
                        source.invalid(format!("needs the metadata {other}, which imgit does not know"))
                    );
                }
                _ => {}
            }
        }
        let (block, sector) = (metadata.block, metadata.logical_sector);
        if !BLOCK_BYTES.contains(&block) || !block.is_power_of_two() {
            return Err(source.invalid(format!("has blocks of {block} bytes")));
        }
        if !matches!(sector, 512 | 4_096) {
            return Err(source.invalid(format!("has sectors of {sector} bytes")));
        }
        Ok(metadata)
    }
}

struct Blocks {
    block: u64,
    chunk: u64,
    table_at: u64,
    tables: Tables,
}

impl Map for Blocks {
    fn run(&self, offset: u64) -> Result<Run> {
        let (index, inside) = (offset / self.block, offset % self.block);
        let at = self.table_at.saturating_add((index + index / self.chunk) * 8);
        let entry = u64::from_le_bytes(self.tables.entry(at, "an entry of the block table")?);
        let place = match entry & 7 {
            // Not there, undefined, zero, unmapped.
            0..=3 => Place::Zero,
            6 => Place::At((entry & MIB_MASK).saturating_add(inside)),
            state => {
                let problem =
                    format!("has a block at {} in state {state}, which no whole disk has", offset - inside);
                return Err(self.tables.source().invalid(problem));
            }
        };
        Ok(Run { end: (index + 1) * self.block, place })
    }
}
