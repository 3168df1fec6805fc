//! Packs: what one transaction adds, in one append-only file.
//!
//! A pack is written once and sealed by its footer, so one without a footer is an interrupted
//! import and may be dropped. Nothing here knows what a tree or a commit means. Bytes:
//! `FORMAT.md`.

pub mod draft;
pub mod footer;
pub mod frame;
pub mod journal;
pub mod reader;
pub mod tail;
pub mod writer;
mod x86;

use crate::error::Error;
use crate::error::Result;
use crate::id::PackId;
use crate::id::Sha1Id;

/// Begins every pack.
pub const MAGIC: [u8; 8] = *b"imgitpk\n";
/// Ends every sealed pack.
pub const SEAL: [u8; 8] = *b"\nimgitfn";
pub const PACK_VERSION: u16 = 1;
/// Magic, version, class, a zero, CRC-32 of those twelve bytes.
pub const PACK_HEADER_BYTES: usize = 16;
/// Footer offset, stored and raw length, SHA-256, seal.
pub const TRAILER_BYTES: usize = 56;

/// What a pack is full of; decides how often it is worth rewriting, not how it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Contents of files and all manifests.
    Files,
    /// Compressed layers and other blobs, kept as they came.
    Blobs,
}

impl Class {
    pub fn code(self) -> u8 {
        match self {
            Class::Files => 1,
            Class::Blobs => 2,
        }
    }

    pub fn from_code(code: u8) -> Option<Class> {
        match code {
            1 => Some(Class::Files),
            2 => Some(Class::Blobs),
            _ => None,
        }
    }
}

/// The kinds of objects a pack can hold, in the order of dependence: later ones name earlier ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectKind {
    Content,
    Node,
    Tree,
    Recipe,
    Commit,
}

impl ObjectKind {
    pub const ALL: [ObjectKind; 5] =
        [ObjectKind::Content, ObjectKind::Node, ObjectKind::Tree, ObjectKind::Recipe, ObjectKind::Commit];

    pub fn code(self) -> u8 {
        match self {
            ObjectKind::Content => 1,
            ObjectKind::Node => 2,
            ObjectKind::Tree => 3,
            ObjectKind::Recipe => 4,
            ObjectKind::Commit => 5,
        }
    }

    pub fn from_code(code: u8) -> Option<ObjectKind> {
        ObjectKind::ALL.into_iter().find(|kind| kind.code() == code)
    }

    pub fn noun(self) -> &'static str {
        match self {
            ObjectKind::Content => "content",
            ObjectKind::Node => "node",
            ObjectKind::Tree => "tree",
            ObjectKind::Recipe => "recipe",
            ObjectKind::Commit => "commit",
        }
    }
}

/// One object in a pack: `len` bytes, from `skip` on in the frame of that number and on through
/// the frames after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectRow {
    pub kind: ObjectKind,
    pub id: [u8; 32],
    /// Contents only, and not for every kept blob.
    pub sha1: Option<Sha1Id>,
    pub frame: u32,
    pub skip: u32,
    pub len: u64,
}

/// Where the bytes of an object stand, by offset, so that no table is needed to read them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Location {
    pub pack: PackId,
    /// Where the first frame's header begins in the pack.
    pub frame: u64,
    /// Where the object begins in the frame's raw bytes.
    pub skip: u32,
    pub len: u64,
}

/// The name of a pack in the store; its folder spreads packs over 256 places.
pub fn pack_name(id: &PackId) -> String {
    let text = id.to_string();
    format!("packs/{}/{text}.pack", &text[..2])
}

/// The pack whose name this is; `None` for a stray file.
pub fn parse_pack_name(name: &str) -> Option<PackId> {
    let stem = name.strip_prefix("packs/")?.strip_suffix(".pack")?;
    let (folder, text) = stem.split_once('/')?;
    let id: PackId = text.parse().ok()?;
    (text.starts_with(folder) && pack_name(&id) == name).then_some(id)
}

pub fn pack_header(class: Class) -> [u8; PACK_HEADER_BYTES] {
    let mut header = [0; PACK_HEADER_BYTES];
    header[..8].copy_from_slice(&MAGIC);
    header[8..10].copy_from_slice(&PACK_VERSION.to_le_bytes());
    header[10] = class.code();
    let crc = crc32fast::hash(&header[..12]);
    header[12..].copy_from_slice(&crc.to_le_bytes());
    header
}

pub fn parse_pack_header(thing: &str, header: &[u8; PACK_HEADER_BYTES]) -> Result<Class> {
    let damaged = |expected: &str, found: String| Error::Corrupt {
        thing: thing.to_owned(),
        expected: expected.to_owned(),
        found,
    };
    if header[..8] != MAGIC {
        return Err(damaged("a pack header", crate::path::shown(&header[..8])));
    }
    let crc = u32::from_le_bytes([header[12], header[13], header[14], header[15]]);
    if crc != crc32fast::hash(&header[..12]) {
        return Err(damaged("a pack header with its checksum", format!("{crc:08x}")));
    }
    let version = u16::from_le_bytes([header[8], header[9]]);
    if version != PACK_VERSION {
        return Err(damaged("pack version 1", version.to_string()));
    }
    Class::from_code(header[10]).ok_or_else(|| damaged("a pack class", header[10].to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_exact_name_is_a_pack() {
        let id = PackId::of(b"footer");
        let name = pack_name(&id);
        assert_eq!(parse_pack_name(&name), Some(id));
        for stray in [name.replace(".pack", ".tmp"), name.to_uppercase(), format!("packs/00/{id}.pack")] {
            assert_eq!(parse_pack_name(&stray), None, "{stray}");
        }
    }

    #[test]
    fn a_flipped_bit_in_the_header_is_noticed() {
        for at in 0..PACK_HEADER_BYTES {
            let mut header = pack_header(Class::Blobs);
            assert_eq!(parse_pack_header("pack", &header).unwrap(), Class::Blobs);
            header[at] ^= 0x10;
            assert!(parse_pack_header("pack", &header).is_err(), "byte {at}");
        }
    }
}
