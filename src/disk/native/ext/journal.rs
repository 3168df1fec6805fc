//! The journal (JBD2): what a file system is once its last transactions have been written where
//! they belong.
//!
//! Linux does so at a mount. Here nothing is written: a map of blocks to their newest copies in the
//! journal stands before the device. A transaction counts when its commit block is there; a block
//! that a later transaction revokes is left as it is. The log ends where the next block is not
//! one of the expected transaction, which is how any log ends; damage before that is an error.

use crate::disk::bytes::ReadAt;
use crate::disk::bytes::Span;
use crate::disk::files::Extent;
use crate::disk::native::cache::Cache;
use crate::disk::native::ext::Ext;
use crate::disk::native::ext::checksum;
use crate::disk::native::ext::features;
use crate::disk::native::ext::inode::InodeKind;
use crate::disk::native::ext::map::Map;
use crate::error::Doing;
use crate::error::Error;
use crate::error::Result;
use crate::progress::Silent;
use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;

/// 4 GiB with the usual blocks, four times what mke2fs makes; bounds the map at about 100 MB.
const JOURNAL_BLOCKS_MAX: u64 = 1 << 20;
const MAGIC: u32 = 0xc03b_3998;
const HEADER_BYTES: usize = 12;
const SUPERBLOCK_BYTES: usize = 1024;

const KIND_DESCRIPTOR: u32 = 1;
const KIND_COMMIT: u32 = 2;
const KIND_SUPERBLOCK_V1: u32 = 3;
const KIND_SUPERBLOCK_V2: u32 = 4;
const KIND_REVOKE: u32 = 5;

const INCOMPAT_REVOKE: u32 = 0x1;
const INCOMPAT_64BIT: u32 = 0x2;
const INCOMPAT_CSUM_V2: u32 = 0x8;
const INCOMPAT_CSUM_V3: u32 = 0x10;
/// What stands in the way of a replay, by its name.
const REFUSED: &[(u32, &str)] = &[(0x4, "async_commit"), (0x20, "fast_commit")];
const COMPAT_CHECKSUM: u32 = 0x1;

const TAG_ESCAPED: u32 = 1;
const TAG_SAME_UUID: u32 = 2;
const TAG_LAST: u32 = 8;

/// A device in front of which the journal stands.
pub struct Replayed {
    disk: Arc<dyn ReadAt>,
    block_size: u64,
    /// By the number of the block that it replaces.
    copies: BTreeMap<u64, Copy>,
}

#[derive(Clone, Copy, Debug)]
struct Copy {
    device_offset: u64,
    /// The copy's first four bytes would look like a block of the journal, and stand as zeros there.
    is_escaped: bool,
}

/// One block of a transaction.
struct Tag {
    block: u64,
    copy: Copy,
    sequence: u32,
    /// Where there are checksums: all of it, or its lower half.
    checksum: Option<u32>,
}

/// `None` for a file system that was cleanly unmounted.
pub fn replayed(ext: &Ext) -> Result<Option<Replayed>> {
    if !ext.superblock.features.has_incompat(features::INCOMPAT_RECOVER) {
        return Ok(None);
    }
    let doing = || format!("cannot replay the journal of an {} file system", ext.superblock.features.kind());
    let copies = Journal::open(ext).and_then(|mut journal| journal.replay()).doing(doing)?;
    Ok(Some(Replayed { disk: Arc::clone(&ext.disk), block_size: ext.superblock.block_size, copies }))
}

impl Replayed {
    /// Runs of the file system as runs of the device: what the journal holds lies there. An escaped
    /// block lies nowhere as it is, and is left out.
    pub fn place(&self, extents: &[Extent]) -> Vec<Extent> {
        let mut placed = Vec::new();
        for extent in extents {
            let mut at = extent.device_offset;
            let end = at + extent.len;
            let mut tell = |from: u64, until: u64, device_offset: u64| {
                let file_offset = extent.file_offset + (from - extent.device_offset);
                if until > from {
                    placed.push(Extent { file_offset, device_offset, len: until - from });
                }
            };
            for (block, copy) in self.copies.range(at / self.block_size..end.div_ceil(self.block_size)) {
                let start = (block * self.block_size).max(at);
                tell(at, start, at);
                at = end.min((block + 1) * self.block_size);
                if !copy.is_escaped {
                    tell(start, at, copy.device_offset + (start - block * self.block_size));
                }
            }
            tell(at, end, at);
        }
        placed
    }
}

impl ReadAt for Replayed {
    fn size(&self) -> u64 {
        self.disk.size()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        crate::disk::bytes::check(self, offset, buffer)?;
        self.disk.read_at(offset, buffer)?;
        let end = offset + buffer.len() as u64;
        for (block, copy) in self.copies.range(offset / self.block_size..end.div_ceil(self.block_size)) {
            // The part of the block that is asked for.
            let start = block * self.block_size;
            let (from, until) = (start.max(offset), end.min(start + self.block_size));
            let part = &mut buffer[(from - offset) as usize..(until - offset) as usize];
            self.disk.read_at(copy.device_offset + (from - start), part)?;
            if copy.is_escaped {
                let magic = MAGIC.to_be_bytes();
                part.iter_mut()
                    .zip(magic.iter().skip((from - start) as usize))
                    .for_each(|(to, byte)| *to = *byte);
            }
        }
        Ok(())
    }

    fn span(&self, offset: u64) -> Result<Span> {
        let span = self.disk.span(offset)?;
        let blocks = offset / self.block_size..span.end.div_ceil(self.block_size);
        let is_known = span.zero && self.copies.range(blocks).next().is_none();
        Ok(Span { end: span.end, zero: is_known })
    }
}

struct Journal<'a> {
    ext: &'a Ext,
    cache: Cache<'a>,
    /// Where its blocks lie.
    extents: Vec<Extent>,
    /// The log goes round in the blocks from `first` up to `end`.
    first: u64,
    end: u64,
    /// Where the oldest transaction begins, and its number; 0 for an empty log.
    start: u64,
    sequence: u32,
    incompat: u32,
    seed: u32,
    tags: Vec<Tag>,
    /// The last transaction that revokes a block.
    revoked: HashMap<u64, u32>,
}

impl<'a> Journal<'a> {
    fn open(ext: &'a Ext) -> Result<Journal<'a>> {
        let superblock = &ext.superblock;
        let block_size = superblock.block_size;
        if superblock.journal_inode == 0 {
            return Err(Error::invalid("journal", "is on another device, which is not read here"));
        }
        let mut cache = Cache::new(&*ext.disk);
        let inode = ext.inode(&mut cache, superblock.journal_inode)?;
        if inode.kind != InodeKind::File || inode.is_inline() {
            return Err(Error::invalid("journal", format!("inode {} is no file", inode.number)));
        }
        let mut extents = Vec::new();
        Map { superblock, cache: &mut cache, progress: &Silent, extents: &mut extents }.read(&inode)?;
        let mut journal = Journal {
            ext,
            cache,
            extents,
            first: 0,
            end: inode.size / block_size,
            start: 0,
            sequence: 0,
            incompat: 0,
            seed: 0,
            tags: Vec::new(),
            revoked: HashMap::new(),
        };
        let bytes = journal.block(0)?;
        journal.superblock(&bytes)?;
        Ok(journal)
    }

    fn superblock(&mut self, bytes: &[u8]) -> Result<()> {
        let invalid = |problem: String| Err(Error::invalid("superblock of the journal", problem));
        let (word, kind) = (|at| word(bytes, at), word(bytes, 4));
        if word(0) != MAGIC || !matches!(kind, KIND_SUPERBLOCK_V1 | KIND_SUPERBLOCK_V2) {
            return invalid(format!("begins with {:#010x}, kind {kind}", word(0)));
        }
        let blocks = u64::from(word(0x10));
        if u64::from(word(0xc)) != self.ext.superblock.block_size || blocks > self.end {
            return invalid(format!("says {blocks} blocks of {} bytes, has {}", word(0xc), self.end));
        }
        if blocks > JOURNAL_BLOCKS_MAX {
            return Err(Error::Limit { thing: "journal".into(), limit: JOURNAL_BLOCKS_MAX, unit: "blocks" });
        }
        (self.first, self.end) = (u64::from(word(0x14)), blocks);
        (self.sequence, self.start) = (word(0x18), u64::from(word(0x1c)));
        if self.first == 0 || self.first >= blocks || self.start >= blocks {
            return invalid(format!("the log is in {} to {blocks}, begins at {}", self.first, self.start));
        }
        if self.start != 0 && self.start < self.first {
            return invalid(format!("the log begins at {}, before {}", self.start, self.first));
        }
        if kind == KIND_SUPERBLOCK_V1 {
            return Ok(());
        }
        self.incompat = word(0x28);
        if self.has_checksums() {
            self.seed = checksum::crc32c(!0, &bytes[0x30..0x40]);
            let computed = checksum::crc32c(checksum::crc32c(!0, &bytes[..0xfc]), &[0; 4]);
            let computed = checksum::crc32c(computed, &bytes[0x100..SUPERBLOCK_BYTES]);
            checksum::check(word(0xfc), computed, || "superblock of the journal".into())?;
        }
        if self.start == 0 {
            return Ok(());
        }
        let mut refused: Vec<String> = Vec::new();
        let known = INCOMPAT_REVOKE | INCOMPAT_64BIT | INCOMPAT_CSUM_V2 | INCOMPAT_CSUM_V3;
        for bit in (0..32).map(|shift| 1 << shift).filter(|bit| self.incompat & !known & bit != 0) {
            let name = REFUSED.iter().find(|(refused, _)| *refused == bit);
            refused.push(name.map_or_else(|| format!("incompat {bit:#x}"), |(_, name)| name.to_string()));
        }
        if word(0x24) & COMPAT_CHECKSUM != 0 {
            refused.push("checksum (v1)".into());
        }
        if !refused.is_empty() {
            return invalid(format!("uses features that are not replayed here: {}", refused.join(", ")));
        }
        Ok(())
    }

    fn has_checksums(&self) -> bool {
        self.incompat & (INCOMPAT_CSUM_V2 | INCOMPAT_CSUM_V3) != 0
    }

    fn replay(&mut self) -> Result<BTreeMap<u64, Copy>> {
        if self.start != 0 {
            self.scan()?;
        }
        let mut newest: BTreeMap<u64, Tag> = BTreeMap::new();
        for tag in self.tags.drain(..) {
            // Numbers of transactions wrap; a revoke counts for its own transaction too.
            let is_revoked = self
                .revoked
                .get(&tag.block)
                .is_some_and(|revoked| revoked.wrapping_sub(tag.sequence) as i32 >= 0);
            if !is_revoked {
                newest.insert(tag.block, tag);
            }
        }
        let mut bytes = vec![0; self.ext.superblock.block_size as usize];
        for tag in newest.values() {
            let Some(stored) = tag.checksum else { continue };
            self.ext.disk.read_at(tag.copy.device_offset, &mut bytes)?;
            let mut computed = checksum::crc32c(self.seed, &tag.sequence.to_be_bytes());
            computed = checksum::crc32c(computed, &bytes);
            if self.incompat & INCOMPAT_CSUM_V3 == 0 {
                computed &= 0xffff;
            }
            checksum::check(stored, computed, || {
                format!("block {} in transaction {}", tag.block, tag.sequence)
            })?;
        }
        Ok(newest.into_iter().map(|(block, tag)| (block, tag.copy)).collect())
    }

    /// Collects the blocks and the revokes of all transactions that were committed.
    fn scan(&mut self) -> Result<()> {
        let (mut at, mut left) = (self.start, self.end - self.first);
        let (mut tags, mut revoked) = (Vec::new(), Vec::new());
        let mut damaged: Option<Error> = None;
        loop {
            // A log that goes once round has been overwritten by whoever made it.
            if left == 0 {
                return Ok(());
            }
            let bytes = self.block(at)?;
            if word(&bytes, 0) != MAGIC || word(&bytes, 8) != self.sequence {
                return Ok(());
            }
            (at, left) = (self.after(at), left - 1);
            match word(&bytes, 4) {
                KIND_DESCRIPTOR => {
                    if let Err(err) = self.check_tail(&bytes) {
                        damaged.get_or_insert(err);
                    }
                    let from = tags.len();
                    self.tags_of(&bytes, &mut tags)?;
                    for tag in &mut tags[from..] {
                        if left == 0 {
                            return Ok(());
                        }
                        tag.copy.device_offset = self.device_offset(at)?;
                        (at, left) = (self.after(at), left - 1);
                    }
                }
                KIND_REVOKE => {
                    if let Err(err) = self.check_tail(&bytes) {
                        damaged.get_or_insert(err);
                    }
                    self.revokes_of(&bytes, &mut revoked)?;
                }
                KIND_COMMIT => {
                    if self.has_checksums() {
                        let computed = checksum::crc32c(checksum::crc32c(self.seed, &bytes[..16]), &[0; 4]);
                        let computed = checksum::crc32c(computed, &bytes[20..]);
                        // A torn commit is none.
                        if word(&bytes, 16) != computed {
                            return Ok(());
                        }
                    }
                    if let Some(err) = damaged {
                        return Err(err);
                    }
                    self.tags.append(&mut tags);
                    for block in revoked.drain(..) {
                        self.revoked.insert(block, self.sequence);
                    }
                    self.sequence = self.sequence.wrapping_add(1);
                }
                _ => return Ok(()),
            }
        }
    }

    /// The blocks that a descriptor lists; where their copies lie follows from where it lies.
    fn tags_of(&self, bytes: &[u8], tags: &mut Vec<Tag>) -> Result<()> {
        let is_v3 = self.incompat & INCOMPAT_CSUM_V3 != 0;
        let has_high = self.incompat & INCOMPAT_64BIT != 0;
        let tag_bytes = match (is_v3, self.incompat & INCOMPAT_CSUM_V2 != 0) {
            (true, _) => 16,
            (false, has_checksum) => 8 + if has_high { 4 } else { 0 } + if has_checksum { 2 } else { 0 },
        };
        let end = bytes.len() - self.tail_bytes();
        let mut at = HEADER_BYTES;
        while let Some(tag) = bytes[..end].get(at..at + tag_bytes) {
            let flags = if is_v3 { word(tag, 4) } else { word(tag, 4) & 0xffff };
            let checksum = match (is_v3, self.has_checksums()) {
                (true, _) => Some(word(tag, 12)),
                (false, true) => Some(word(tag, 4) >> 16),
                (false, false) => None,
            };
            let high = if has_high { u64::from(word(tag, 8)) } else { 0 };
            let block = u64::from(word(tag, 0)) | high << 32;
            let superblock = &self.ext.superblock;
            if block >= superblock.blocks {
                let problem = format!("has a copy of block {block} of {}", superblock.blocks);
                return Err(Error::invalid(format!("transaction {}", self.sequence), problem));
            }
            let copy = Copy { device_offset: 0, is_escaped: flags & TAG_ESCAPED != 0 };
            tags.push(Tag { block, copy, sequence: self.sequence, checksum });
            at += tag_bytes + if flags & TAG_SAME_UUID == 0 { 16 } else { 0 };
            if flags & TAG_LAST != 0 {
                break;
            }
        }
        Ok(())
    }

    fn revokes_of(&self, bytes: &[u8], revoked: &mut Vec<u64>) -> Result<()> {
        let end = word(bytes, HEADER_BYTES) as usize;
        let is_long = self.incompat & INCOMPAT_64BIT != 0;
        let end_max = bytes.len() - self.tail_bytes();
        let Some(numbers) = bytes.get(HEADER_BYTES + 4..end).filter(|_| end <= end_max) else {
            let problem = format!("has {end} bytes in a revoke block of {end_max}");
            return Err(Error::invalid(format!("transaction {}", self.sequence), problem));
        };
        for number in numbers.chunks_exact(if is_long { 8 } else { 4 }) {
            let first = u64::from(word(number, 0));
            revoked.push(if is_long { first << 32 | u64::from(word(number, 4)) } else { first });
        }
        Ok(())
    }

    fn tail_bytes(&self) -> usize {
        if self.has_checksums() { 4 } else { 0 }
    }

    /// The checksum of a descriptor or revoke block is its last four bytes.
    fn check_tail(&self, bytes: &[u8]) -> Result<()> {
        if !self.has_checksums() {
            return Ok(());
        }
        let (covered, _) = bytes.split_at(bytes.len() - 4);
        let computed = checksum::crc32c(checksum::crc32c(self.seed, covered), &[0; 4]);
        let thing = || format!("transaction {}, kind {}", self.sequence, word(bytes, 4));
        checksum::check(word(bytes, covered.len()), computed, thing)
    }

    fn after(&self, at: u64) -> u64 {
        if at + 1 >= self.end { self.first } else { at + 1 }
    }

    fn block(&mut self, at: u64) -> Result<Vec<u8>> {
        let offset = self.device_offset(at)?;
        let mut bytes = vec![0; self.ext.superblock.block_size as usize];
        self.cache.read(offset, &mut bytes)?;
        Ok(bytes)
    }

    fn device_offset(&self, at: u64) -> Result<u64> {
        let offset = at * self.ext.superblock.block_size;
        let place = self.extents.partition_point(|extent| extent.file_offset + extent.len <= offset);
        match self.extents.get(place) {
            Some(extent) if extent.file_offset <= offset => {
                Ok(extent.device_offset + (offset - extent.file_offset))
            }
            _ => Err(Error::invalid("journal", format!("has a hole at block {at}"))),
        }
    }
}

/// The journal's numbers are big-endian; one that leaves `bytes` is 0.
fn word(bytes: &[u8], at: usize) -> u32 {
    crate::disk::native::field::array_at(bytes, at).map_or(0, u32::from_be_bytes)
}
