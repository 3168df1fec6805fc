//! Directories: names and inode numbers.
//!
//! An indexed directory (htree) is read like any other: the index hides inside entries that look
//! unused.

use crate::disk::native::ext::checksum;
use crate::disk::native::ext::inode::Inode;
use crate::disk::native::field::u16_at;
use crate::disk::native::field::u32_at;
use crate::error::Error;
use crate::error::Result;
use crate::path::shown;

/// The names of one directory and their places: about three million of the usual length.
const NAMES_BYTES_MAX: usize = 96 << 20;
const ENTRY_HEADER_BYTES: usize = 8;
const TAIL_BYTES: usize = 12;
/// What the tail with a block's checksum has where entries have the kind of file.
const TAIL_KIND: u8 = 0xde;
/// The index of a directory: where its own header lies in the first block and in the others.
const ROOT_INDEX_AT: usize = 32;
const NODE_INDEX_AT: usize = 8;

/// The names of a directory, in one piece of memory.
#[derive(Default)]
pub struct Names {
    bytes: Vec<u8>,
    list: Vec<Name>,
}

#[derive(Clone, Copy)]
pub struct Name {
    start: u32,
    len: u8,
    pub inode: u32,
}

impl Names {
    pub fn of(&self, name: Name) -> &[u8] {
        &self.bytes[name.start as usize..][..usize::from(name.len)]
    }

    pub fn list(&self) -> &[Name] {
        &self.list
    }

    pub fn push(&mut self, name: &[u8], inode: u32) -> Result<()> {
        if self.bytes.len() + name.len() + self.list.len() * size_of::<Name>() > NAMES_BYTES_MAX {
            let thing = "names of a directory".into();
            return Err(Error::Limit { thing, limit: NAMES_BYTES_MAX as u64, unit: "bytes" });
        }
        let len = u8::try_from(name.len()).expect("a name has its length in a byte");
        self.list.push(Name { start: self.bytes.len() as u32, len, inode });
        self.bytes.extend_from_slice(name);
        Ok(())
    }

    /// Sorts by name and refuses one that is there twice.
    pub fn sort(&mut self) -> Result<()> {
        let Names { bytes, list } = self;
        let of = |name: &Name| &bytes[name.start as usize..][..usize::from(name.len)];
        list.sort_unstable_by(|a, b| of(a).cmp(of(b)));
        match list.windows(2).find(|pair| of(&pair[0]) == of(&pair[1])) {
            Some(pair) => Err(Error::invalid(format!("name `{}`", shown(of(&pair[0]))), "is there twice")),
            None => Ok(()),
        }
    }

    /// From the order of names to that of inodes, in which they lie side by side on the disk.
    pub fn sort_by_inode(&mut self) {
        self.list.sort_by_key(|name| name.inode);
    }
}

/// Adds the names in one block, or one part of an inode, to those of a directory.
pub fn read(bytes: &[u8], directory: u32, names: &mut Names) -> Result<()> {
    let refuse = |at: usize, problem: &str| {
        Err(Error::invalid(format!("directory inode {directory}"), format!("entry at {at} {problem}")))
    };
    let mut at = 0;
    while at < bytes.len() {
        let entry = &bytes[at..];
        if entry.len() < ENTRY_HEADER_BYTES {
            return refuse(at, "leaves its block");
        }
        let (inode, len) = (u32_at(entry, 0), entry_len(entry, bytes.len()));
        if len < ENTRY_HEADER_BYTES || !len.is_multiple_of(4) || len > entry.len() {
            return refuse(at, &format!("has a length of {len} bytes"));
        }
        let Some(name) = entry[..len].get(ENTRY_HEADER_BYTES..ENTRY_HEADER_BYTES + usize::from(entry[6]))
        else {
            return refuse(at, &format!("has a name of {} bytes", entry[6]));
        };
        at += len;
        if inode == 0 || matches!(name, b"." | b"..") {
            continue;
        }
        if name.is_empty() || name.contains(&b'/') || name.contains(&0) {
            return refuse(at - len, &format!("has the name `{}`", shown(name)));
        }
        names.push(name, inode)?;
    }
    Ok(())
}

/// Compares a block's checksum, which lies in a tail or, where it has a part of the index, there.
pub fn check(block: &[u8], inode: &Inode, at: u64) -> Result<()> {
    let thing = || format!("block {at} of directory inode {}", inode.number);
    let missing = || Error::invalid(thing(), "has no room for a checksum");
    if inode.is_indexed()
        && let Some(index) = index_at(block, at)
    {
        let (limit, count) = (usize::from(u16_at(block, index)), usize::from(u16_at(block, index + 2)));
        let tail = block.get(index + limit * 8..).filter(|tail| tail.len() >= 8 && count <= limit);
        let tail = tail.ok_or_else(missing)?;
        let computed = checksum::crc32c(inode.seed, &block[..index + count * 8]);
        let computed = checksum::crc32c(checksum::crc32c(computed, &tail[..4]), &[0; 4]);
        return checksum::check(u32_at(tail, 4), computed, thing);
    }
    let (entries, tail) = block.split_at(block.len() - TAIL_BYTES);
    if u32_at(tail, 0) != 0 || u16_at(tail, 4) != TAIL_BYTES as u16 || tail[6] != 0 || tail[7] != TAIL_KIND {
        return Err(missing());
    }
    checksum::check(u32_at(tail, 8), checksum::crc32c(inode.seed, entries), thing)
}

/// Where the part of the index begins that a block has.
fn index_at(block: &[u8], at: u64) -> Option<usize> {
    if at == 0 {
        return Some(ROOT_INDEX_AT);
    }
    let is_node = u32_at(block, 0) == 0 && entry_len(block, block.len()) == block.len();
    is_node.then_some(NODE_INDEX_AT)
}

/// 16 bits that must reach 65,536.
fn entry_len(entry: &[u8], block_size: usize) -> usize {
    match usize::from(u16_at(entry, 4)) {
        len if block_size < 1 << 16 => len,
        0 | 0xffff => 1 << 16,
        len => len & !3 | (len & 3) << 16,
    }
}
