//! Where the bytes of an inode lie: trees of extents, and the older lists of blocks.

use crate::disk::files::Extent;
use crate::disk::native::cache::Cache;
use crate::disk::native::content::cut;
use crate::disk::native::content::push;
use crate::disk::native::ext::checksum;
use crate::disk::native::ext::inode::BLOCK_AREA_BYTES;
use crate::disk::native::ext::inode::Inode;
use crate::disk::native::ext::superblock::Superblock;
use crate::disk::native::field::u16_at;
use crate::disk::native::field::u32_at;
use crate::error::Error;
use crate::error::Result;
use crate::progress::Progress;

/// Runs of one file: 96 MiB of memory. A file of 16 GiB may have no two blocks side by side.
const EXTENTS_MAX: usize = 4 << 20;
/// The kernel's own bound: five levels reach any file.
const TREE_DEPTH_MAX: u16 = 5;
const TREE_MAGIC: u16 = 0xf30a;
/// Headers, extents and index entries alike.
const TREE_ENTRY_BYTES: usize = 12;
/// An extent that is longer is unwritten: as long as it is more, and reads as zeros.
const WRITTEN_BLOCKS_MAX: u16 = 0x8000;
/// Block numbers in an inode itself, before those of blocks of block numbers.
const DIRECT_BLOCKS: usize = 12;

/// Collects the runs of an inode.
pub struct Map<'a, 'disk> {
    pub superblock: &'a Superblock,
    pub cache: &'a mut Cache<'disk>,
    pub progress: &'a dyn Progress,
    /// In the order of the file, inside its size, holes and unwritten runs left out.
    pub extents: &'a mut Vec<Extent>,
}

impl Map<'_, '_> {
    /// The inode must not have its bytes inline.
    pub fn read(&mut self, inode: &Inode) -> Result<()> {
        self.extents.clear();
        let area = inode.block_area();
        if inode.has_extents() {
            let mut next = 0;
            self.tree(inode, &area, None, &mut next)?;
        } else {
            self.lists(inode, &area)?;
        }
        cut(self.extents, inode.size);
        Ok(())
    }

    /// One node of the tree. Every extent begins at or after `next`, so that no node is met twice:
    /// each but the root tells at least one.
    fn tree(&mut self, inode: &Inode, node: &[u8], depth: Option<u16>, next: &mut u64) -> Result<()> {
        let thing = || format!("extents of inode {}", inode.number);
        let refuse = |problem: String| Err(Error::invalid(thing(), problem));
        let (entries, found_depth) = (usize::from(u16_at(node, 2)), u16_at(node, 6));
        if u16_at(node, 0) != TREE_MAGIC {
            return refuse(format!("node has the magic number {:#x}", u16_at(node, 0)));
        }
        if found_depth > TREE_DEPTH_MAX || depth.is_some_and(|depth| depth != found_depth) {
            return refuse(format!("node is of depth {found_depth}"));
        }
        let entries_max = usize::from(u16_at(node, 4));
        if entries > entries_max || (entries_max + 1) * TREE_ENTRY_BYTES > node.len() {
            return refuse(format!("node has {entries} entries of {entries_max}"));
        }
        if entries == 0 && depth.is_some() {
            return refuse("node is empty".into());
        }
        let entries = &node[TREE_ENTRY_BYTES..(entries + 1) * TREE_ENTRY_BYTES];
        for entry in entries.chunks_exact(TREE_ENTRY_BYTES) {
            let logical = u64::from(u32_at(entry, 0));
            if logical < *next {
                return refuse(format!("go back to block {logical} from {next}"));
            }
            if found_depth == 0 {
                *next = self.extent(inode, logical, entry)?;
                continue;
            }
            let block = u64::from(u32_at(entry, 4)) | u64::from(u16_at(entry, 8)) << 32;
            let mut child = vec![0; self.superblock.block_size as usize];
            self.cache.read(self.superblock.offset(block, thing)?, &mut child)?;
            self.check(inode, &child, block)?;
            crate::progress::check(self.progress)?;
            *next = logical;
            self.tree(inode, &child, Some(found_depth - 1), next)?;
        }
        Ok(())
    }

    /// Returns where the extent ends, in blocks of the file.
    fn extent(&mut self, inode: &Inode, logical: u64, entry: &[u8]) -> Result<u64> {
        let len = u16_at(entry, 4);
        let is_written = len <= WRITTEN_BLOCKS_MAX;
        let blocks = u64::from(if is_written { len } else { len - WRITTEN_BLOCKS_MAX });
        let first = u64::from(u32_at(entry, 8)) | u64::from(u16_at(entry, 6)) << 32;
        if blocks == 0 {
            let problem = format!("extent at block {logical} is empty");
            return Err(Error::invalid(format!("extents of inode {}", inode.number), problem));
        }
        self.run(inode, logical, first, blocks, is_written)?;
        Ok(logical + blocks)
    }

    /// The last four bytes after the entries a node has room for.
    fn check(&self, inode: &Inode, node: &[u8], block: u64) -> Result<()> {
        if !self.superblock.has_checksums() {
            return Ok(());
        }
        let thing = || format!("extents of inode {} in block {block}", inode.number);
        let end = TREE_ENTRY_BYTES * (usize::from(u16_at(node, 4)) + 1);
        let Some(covered) = node.get(..end).filter(|_| end + 4 <= node.len()) else {
            return Err(Error::invalid(thing(), "leave no room for a checksum"));
        };
        checksum::check(u32_at(node, end), checksum::crc32c(inode.seed, covered), thing)
    }

    /// The lists of block numbers, 0 for a hole: twelve in the inode, then trees of one, two and
    /// three levels.
    fn lists(&mut self, inode: &Inode, area: &[u8; BLOCK_AREA_BYTES]) -> Result<()> {
        let end = inode.size.div_ceil(self.superblock.block_size);
        let mut logical = 0;
        for (at, number) in area.chunks_exact(4).enumerate() {
            let levels = at.saturating_sub(DIRECT_BLOCKS - 1) as u32;
            self.list(inode, u64::from(u32_at(number, 0)), levels, &mut logical, end)?;
        }
        // A file is never larger than its lists reach; what lies beyond could only be a hole.
        Ok(())
    }

    /// One number, of data (`levels` = 0) or of a block of numbers; `logical` moves past all of it.
    fn list(&mut self, inode: &Inode, block: u64, levels: u32, logical: &mut u64, end: u64) -> Result<()> {
        if *logical >= end {
            return Ok(());
        }
        if block == 0 {
            *logical += (self.superblock.block_size / 4).pow(levels);
            return Ok(());
        }
        if levels == 0 {
            self.run(inode, *logical, block, 1, true)?;
            *logical += 1;
            return Ok(());
        }
        crate::progress::check(self.progress)?;
        let offset = self.superblock.offset(block, || format!("list of blocks of inode {}", inode.number))?;
        let mut numbers = vec![0; self.superblock.block_size as usize];
        self.cache.read(offset, &mut numbers)?;
        for number in numbers.chunks_exact(4) {
            self.list(inode, u64::from(u32_at(number, 0)), levels - 1, logical, end)?;
        }
        Ok(())
    }

    fn run(&mut self, inode: &Inode, logical: u64, first: u64, blocks: u64, is_written: bool) -> Result<()> {
        let thing = || format!("block {logical} of inode {}", inode.number);
        let device_offset = self.superblock.offset(first, thing)?;
        self.superblock.offset(first + blocks - 1, thing)?;
        if !is_written {
            return Ok(());
        }
        if self.extents.len() == EXTENTS_MAX {
            let thing = format!("map of inode {}", inode.number);
            return Err(Error::Limit { thing, limit: EXTENTS_MAX as u64, unit: "runs" });
        }
        let size = self.superblock.block_size;
        push(self.extents, Extent { file_offset: logical * size, device_offset, len: blocks * size });
        Ok(())
    }
}

/// Guesses from the inode alone where its bytes begin on the device, to read files in that order.
pub fn first_offset(superblock: &Superblock, inode: &Inode) -> u64 {
    let area = inode.block_area();
    let block = match (inode.has_extents(), u16_at(&area, 6)) {
        (true, 0) => u64::from(u32_at(&area, 20)) | u64::from(u16_at(&area, 18)) << 32,
        (true, _) => u64::from(u32_at(&area, 16)) | u64::from(u16_at(&area, 20)) << 32,
        (false, _) => u64::from(u32_at(&area, 0)),
    };
    block.saturating_mul(superblock.block_size)
}
