//! VirtualBox's vdi: a header, a map of blocks, the blocks. Static ones have every block.
//!
//! Specification: VirtualBox, `VDICore.h`. Refused: differences to a parent, and versions before 1.1.

use crate::disk::format::Format;
use crate::disk::format::Image;
use crate::disk::format::OpenOptions;
use crate::disk::format::detect::VDI_SIGNATURE;
use crate::disk::format::mapped::Map;
use crate::disk::format::mapped::Mapped;
use crate::disk::format::mapped::Place;
use crate::disk::format::mapped::Run;
use crate::disk::format::source::Source;
use crate::disk::format::table::Tables;
use crate::disk::number::le32;
use crate::disk::number::le64;
use crate::error::Result;
use std::sync::Arc;

const VERSION: u32 = 0x0001_0001;
/// Tools write 1 MiB.
const BLOCK_BYTES: std::ops::RangeInclusive<u64> = 4 << 10..=256 << 20;
const NOT_THERE: u32 = u32::MAX;
const ZEROED: u32 = u32::MAX - 1;

struct Blocks {
    block: u64,
    map_at: u64,
    data_at: u64,
    tables: Tables,
}

pub fn open(source: Source, options: &OpenOptions) -> Result<Image> {
    let header: [u8; 512] = source.array(0, "the vdi header")?;
    if le32(&header, 64) != VDI_SIGNATURE {
        return Err(source.invalid("does not begin as a vdi does"));
    }
    let version = le32(&header, 68);
    if version != VERSION {
        let (major, minor) = (version >> 16, version & 0xffff);
        return Err(source.invalid(format!("is a vdi of version {major}.{minor}; imgit reads 1.1")));
    }
    let subformat = match le32(&header, 76) {
        1 => "dynamic",
        2 => "static",
        kind => {
            let problem =
                format!("is the difference to a parent disk (type {kind}), which imgit does not open");
            return Err(source.invalid(problem));
        }
    };
    // The UUID of a parent.
    if header[424..440] != [0; 16] {
        return Err(source.invalid("names a parent disk, which imgit does not open"));
    }
    let (map_at, data_at) = (u64::from(le32(&header, 340)), u64::from(le32(&header, 344)));
    let (size, block, extra) = (le64(&header, 368), u64::from(le32(&header, 376)), le32(&header, 380));
    let blocks = u64::from(le32(&header, 384));
    options.check_size(&source, size)?;
    if !BLOCK_BYTES.contains(&block) || !block.is_power_of_two() {
        return Err(source.invalid(format!("has blocks of {block} bytes")));
    }
    if extra != 0 {
        return Err(
            source.invalid(format!("has {extra} extra bytes with each block, which imgit does not read"))
        );
    }
    if size.div_ceil(block) > blocks {
        return Err(source.invalid(format!("has {blocks} blocks of {block} bytes for a disk of {size}")));
    }
    let facts = vec![("subformat", subformat.to_string()), ("block-bytes", block.to_string())];
    let map = Blocks { block, map_at, data_at, tables: Tables::new(source.clone()) };
    let disk = Arc::new(Mapped::new(map, source, size, block, None));
    Ok(Image { format: Format::Vdi, disk, facts })
}

impl Map for Blocks {
    fn run(&self, offset: u64) -> Result<Run> {
        let (index, inside) = (offset / self.block, offset % self.block);
        let place = match u32::from_le_bytes(
            self.tables.entry(self.map_at + index * 4, "an entry of the block map")?,
        ) {
            NOT_THERE | ZEROED => Place::Zero,
            block => Place::At(self.data_at + u64::from(block) * self.block + inside),
        };
        Ok(Run { end: (index + 1) * self.block, place })
    }
}
