//! The tables of the index and how their rows are spelled. Everything in them stands in a pack as
//! well.
//!
//! redb trusts the pages it reads. So a row that names bytes elsewhere carries a CRC-32 over its
//! key and value, and a row that holds bytes is checked against the hash that is its key: a
//! damaged index gives errors, never other data.

use crate::error::Error;
use crate::error::Result;
use crate::id::hex;
use crate::store::bytes::Take;
use crate::store::bytes::put_varint;
use crate::store::pack::Class;
use redb::TableDefinition;

/// Numbers of the index itself: `SEQUENCE`, `NEXT_ORDINAL`, `VERSION`.
pub const NUMBERS: TableDefinition<&str, u64> = TableDefinition::new("numbers");
/// The journal's last sequence number.
pub const SEQUENCE: &str = "sequence";
pub const NEXT_ORDINAL: &str = "next-ordinal";
pub const VERSION: &str = "version";
/// Raised when a table changes: an index of another version is rebuilt from the packs.
pub const INDEX_VERSION: u64 = 1;

/// Pack id → [`PackRow`], sealed.
pub const PACKS: TableDefinition<&[u8; 32], &[u8]> = TableDefinition::new("packs");
/// Pack ordinal, as rows name it → pack id.
pub const ORDINALS: TableDefinition<u32, &[u8; 32]> = TableDefinition::new("ordinals");
/// Content id → place.
pub const CONTENTS: TableDefinition<&[u8; 32], &[u8; PLACE_BYTES]> = TableDefinition::new("contents");
/// Recipe, by the id of what it rebuilds → place.
pub const RECIPES: TableDefinition<&[u8; 32], &[u8; PLACE_BYTES]> = TableDefinition::new("recipes");
/// SHA-1, then content id.
pub const SHA1S: TableDefinition<&[u8; 52], ()> = TableDefinition::new("sha1s");
pub const NODES: TableDefinition<&[u8; 32], &[u8]> = TableDefinition::new("nodes");
pub const TREES: TableDefinition<&[u8; 32], &[u8]> = TableDefinition::new("trees");
pub const COMMITS: TableDefinition<&[u8; 32], &[u8]> = TableDefinition::new("commits");
/// First eight bytes of a child (content or node), then of a node that holds it. Readers check by
/// decoding: eight bytes may collide.
pub const PARENTS: TableDefinition<&[u8; 16], ()> = TableDefinition::new("parents");
/// An entry's name, a zero, then the first eight bytes of a node that has such an entry.
pub const NAMES: TableDefinition<&[u8], ()> = TableDefinition::new("names");
/// Root node, then tree.
pub const ROOTS: TableDefinition<&[u8; 64], ()> = TableDefinition::new("roots");
/// Tree, then commit.
pub const TREE_COMMITS: TableDefinition<&[u8; 64], ()> = TableDefinition::new("tree-commits");
/// Digest as the caller spells it → `BlobRow`, sealed.
pub const BLOBS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("blobs");
/// Chain id → tree id, sealed.
pub const CHAINS: TableDefinition<&[u8; 32], &[u8]> = TableDefinition::new("chains");
/// Ref name → kind and commit, sealed.
pub const REFS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("refs");
/// [`log_key`] → `Move`, sealed.
pub const LOG: TableDefinition<&[u8], &[u8]> = TableDefinition::new("log");

/// Ordinal, frame offset, skip, length, checksum.
pub const PLACE_BYTES: usize = 4 + 8 + 4 + 8 + 4;

/// What the index knows of a pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackRow {
    pub ordinal: u32,
    pub class: Class,
    pub sequence: u64,
    /// Of the whole file.
    pub len: u64,
    pub objects: u64,
    /// Raw bytes of the contents and recipes in it.
    pub bytes: u64,
    /// Of those, what another pack holds as well and is read from there.
    pub dead: u64,
}

impl PackRow {
    pub fn encode(&self) -> Vec<u8> {
        let mut to = Vec::new();
        put_varint(&mut to, u64::from(self.ordinal));
        to.push(self.class.code());
        for number in [self.sequence, self.len, self.objects, self.bytes, self.dead] {
            put_varint(&mut to, number);
        }
        to
    }

    pub fn decode(take: &mut Take) -> Result<PackRow> {
        let ordinal = take.u32()?;
        let code = take.u8()?;
        let class = Class::from_code(code).ok_or_else(|| take.damaged("a pack class", code.to_string()))?;
        Ok(PackRow {
            ordinal,
            class,
            sequence: take.varint()?,
            len: take.varint()?,
            objects: take.varint()?,
            bytes: take.varint()?,
            dead: take.varint()?,
        })
    }
}

/// Where a content stands, with the pack by its ordinal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub ordinal: u32,
    pub frame: u64,
    pub skip: u32,
    pub len: u64,
}

impl Place {
    pub fn encode(&self, key: &[u8; 32]) -> [u8; PLACE_BYTES] {
        let mut to = [0; PLACE_BYTES];
        to[..4].copy_from_slice(&self.ordinal.to_le_bytes());
        to[4..12].copy_from_slice(&self.frame.to_le_bytes());
        to[12..16].copy_from_slice(&self.skip.to_le_bytes());
        to[16..24].copy_from_slice(&self.len.to_le_bytes());
        let crc = checksum(key, &to[..24]);
        to[24..].copy_from_slice(&crc.to_le_bytes());
        to
    }

    pub fn decode(key: &[u8; 32], row: &[u8; PLACE_BYTES]) -> Result<Place> {
        let value = unseal("places", key, row)?;
        let take = &mut Take::new("row of places", value);
        Ok(Place {
            ordinal: u32::from_le_bytes(take.array()?),
            frame: u64::from_le_bytes(take.array()?),
            skip: u32::from_le_bytes(take.array()?),
            len: u64::from_le_bytes(take.array()?),
        })
    }
}

fn checksum(key: &[u8], value: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(key);
    crc.update(value);
    crc.finalize()
}

/// Adds the checksum over key and value.
pub fn seal(key: &[u8], mut value: Vec<u8>) -> Vec<u8> {
    let crc = checksum(key, &value);
    value.extend_from_slice(&crc.to_le_bytes());
    value
}

/// Checks and removes it.
pub fn unseal<'a>(table: &str, key: &[u8], row: &'a [u8]) -> Result<&'a [u8]> {
    let damaged = |found: String| Error::Corrupt {
        thing: format!("row {} of the index table {table}", hex(&key[..key.len().min(32)])),
        expected: "its checksum".to_owned(),
        found,
    };
    let Some((value, crc)) = row.split_last_chunk::<4>() else {
        return Err(damaged(format!("{} bytes", row.len())));
    };
    let found = checksum(key, value);
    if found != u32::from_le_bytes(*crc) {
        return Err(damaged(format!("{found:08x}")));
    }
    Ok(value)
}

/// Two ids in a row.
pub fn pair(first: &[u8; 32], second: &[u8; 32]) -> [u8; 64] {
    let mut key = [0; 64];
    key[..32].copy_from_slice(first);
    key[32..].copy_from_slice(second);
    key
}

pub fn parent_key(child: &[u8; 32], parent: &[u8; 32]) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&child[..8]);
    key[8..].copy_from_slice(&parent[..8]);
    key
}

pub fn name_key(name: &[u8], node: &[u8; 32]) -> Vec<u8> {
    let mut key = Vec::with_capacity(name.len() + 9);
    key.extend_from_slice(name);
    // No name holds a zero, so no name's rows stand between another's.
    key.push(0);
    key.extend_from_slice(&node[..8]);
    key
}

/// The name, a zero, sequence and number within the transaction, big-endian: in order of time.
pub fn log_key(name: &[u8], sequence: u64, number: u32) -> Vec<u8> {
    let mut key = log_prefix(name);
    key.extend_from_slice(&sequence.to_be_bytes());
    key.extend_from_slice(&number.to_be_bytes());
    key
}

pub fn log_prefix(name: &[u8]) -> Vec<u8> {
    let mut key = name.to_vec();
    key.push(0);
    key
}

/// Splits a [`log_key`].
pub fn parse_log_key(key: &[u8]) -> Option<(&[u8], u64, u32)> {
    let (rest, number) = key.split_last_chunk::<4>()?;
    let (rest, sequence) = rest.split_last_chunk::<8>()?;
    let (zero, name) = rest.split_last()?;
    (*zero == 0).then(|| (name, u64::from_be_bytes(*sequence), u32::from_be_bytes(*number)))
}

/// The least key beyond all that begin with `prefix`; `None` when there is none.
pub fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < 0xff {
            end.push(last + 1);
            return Some(end);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_under_another_key_or_with_a_flipped_bit_is_refused() {
        let place = Place { ordinal: 3, frame: 1 << 40, skip: 7, len: 99 };
        let row = place.encode(&[5; 32]);
        assert_eq!(Place::decode(&[5; 32], &row).unwrap(), place);
        assert!(Place::decode(&[6; 32], &row).is_err());
        for at in 0..PLACE_BYTES {
            let mut row = row;
            row[at] ^= 1;
            assert!(Place::decode(&[5; 32], &row).is_err(), "byte {at}");
        }
    }

    #[test]
    fn prefix_ends() {
        assert_eq!(after_prefix(b"ab"), Some(b"ac".to_vec()));
        assert_eq!(after_prefix(b"a\xff"), Some(b"b".to_vec()));
        assert_eq!(after_prefix(b"\xff\xff"), None);
        assert_eq!(parse_log_key(&log_key(b"x:y", 7, 2)), Some((&b"x:y"[..], 7, 2)));
    }
}
