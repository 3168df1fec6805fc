//! Extended attributes as they lie in an inode or in a block of their own.

use crate::disk::native::ext::checksum;
use crate::disk::native::ext::superblock::Superblock;
use crate::disk::native::field::u16_at;
use crate::disk::native::field::u32_at;
use crate::error::Error;
use crate::error::Result;

const MAGIC: u32 = 0xea02_0000;
const BLOCK_HEADER_BYTES: usize = 32;
const ENTRY_BYTES: usize = 16;

/// A name without its prefix, and its value.
pub struct Item<'a> {
    index: u8,
    name: &'a [u8],
    pub value: Value<'a>,
}

pub enum Value<'a> {
    Here(&'a [u8]),
    /// The bytes of an inode that has no name.
    Inode {
        number: u32,
        size: u32,
    },
}

/// What an item is to those who see the mounted file system.
pub enum Meaning {
    Attribute(Vec<u8>),
    Acl(&'static [u8]),
    /// The rest of a file or folder whose first bytes are in the inode.
    InlineData,
    /// A prefix that Linux has no reader for: it does not show them.
    Hidden,
}

impl Item<'_> {
    pub fn meaning(&self) -> Meaning {
        let prefix: &[u8] = match self.index {
            1 => b"user.",
            2 => return Meaning::Acl(b"system.posix_acl_access"),
            3 => return Meaning::Acl(b"system.posix_acl_default"),
            4 => b"trusted.",
            6 => b"security.",
            7 if self.name == b"data" => return Meaning::InlineData,
            _ => return Meaning::Hidden,
        };
        Meaning::Attribute([prefix, self.name].concat())
    }
}

/// Those in what follows the fields of an inode.
pub fn in_inode<'a>(rest: &'a [u8], inode: u32) -> Result<Vec<Item<'a>>> {
    match u32_at(rest, 0) {
        MAGIC => items(&rest[4..], 0, &|| format!("attributes of inode {inode}")),
        _ => Ok(Vec::new()),
    }
}

/// Those in a block.
pub fn in_block<'a>(superblock: &Superblock, bytes: &'a [u8], block: u64) -> Result<Vec<Item<'a>>> {
    let thing = || format!("attributes in block {block}");
    if u32_at(bytes, 0) != MAGIC {
        let problem = format!("have the magic number {:#x}", u32_at(bytes, 0));
        return Err(Error::invalid(thing(), problem));
    }
    if u32_at(bytes, 8) != 1 {
        return Err(Error::invalid(thing(), format!("say they take {} blocks", u32_at(bytes, 8))));
    }
    if superblock.has_checksums() {
        let seed = checksum::crc32c(superblock.seed, &block.to_le_bytes());
        let computed = checksum::crc32c(checksum::crc32c(seed, &bytes[..16]), &[0; 4]);
        checksum::check(u32_at(bytes, 16), checksum::crc32c(computed, &bytes[20..]), thing)?;
    }
    items(bytes, BLOCK_HEADER_BYTES, &thing)
}

/// The entries from `at` on, up to four zero bytes; offsets of values count from the area's start.
fn items<'a>(area: &'a [u8], mut at: usize, thing: &dyn Fn() -> String) -> Result<Vec<Item<'a>>> {
    let refuse = |problem: String| Error::invalid(thing(), problem);
    let mut items = Vec::new();
    loop {
        let Some(entry) = area.get(at..).filter(|entry| entry.len() >= 4) else {
            return Err(refuse("do not end".into()));
        };
        if u32_at(entry, 0) == 0 {
            return Ok(items);
        }
        let name_len = usize::from(entry[0]);
        let name = entry.get(ENTRY_BYTES..ENTRY_BYTES + name_len);
        let name = name.ok_or_else(|| refuse(format!("leave their place with a name at {at}")))?;
        let (offset, number, size) = (usize::from(u16_at(entry, 2)), u32_at(entry, 4), u32_at(entry, 8));
        let value = if number != 0 {
            Value::Inode { number, size }
        } else {
            let value = area.get(offset..).and_then(|value| value.get(..size as usize));
            Value::Here(value.ok_or_else(|| refuse(format!("have a value of {size} bytes at {offset}")))?)
        };
        if name.contains(&0) {
            return Err(refuse("have a name with a NUL byte".into()));
        }
        items.push(Item { index: entry[1], name, value });
        at += (ENTRY_BYTES + name_len).next_multiple_of(4);
    }
}
