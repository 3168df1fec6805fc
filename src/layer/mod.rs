//! Layers: tars taken apart into contents and an exact recipe, and put together again.
//!
//! - [`read::take_apart`] walks a tar once: payloads go to a content sink, all other bytes into a
//!   recipe. [`rebuild::rebuild`] makes the same bytes from the two. The recipe's headers are the
//!   layer's listing ([`recipe::list`]); nothing is stored twice.
//! - [`flatten::Flattener`] applies the listings of a stack of layers, which gives its tree.
//! - [`members::read`] tells a tar's entries and their bytes as they come, for those who keep no tar.
//! - [`compression`] finds and undoes gzip and zstd.
//!
//! Nothing here opens a file, knows of a store, or keeps a payload in memory. No input makes it
//! panic; what a stranger may make it do is bounded by [`Limits`].

pub mod compression;
pub mod flatten;
pub mod gzip;
pub mod header;
pub mod inflate;
pub mod members;
mod pax;
pub mod read;
pub mod rebuild;
pub mod recipe;
mod sparse;
#[doc(hidden)]
pub mod testing;
mod walk;

#[cfg(test)]
mod edge_tests;
#[cfg(test)]
mod measure;
#[cfg(test)]
mod property_tests;

use crate::attr::Attr;
use crate::id::ContentId;
use crate::path::TreePath;

/// The SHA-256 of no bytes: what every empty file holds.
pub const EMPTY: ContentId = ContentId([
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, //
    0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
]);

/// One entry of a layer, in the order of its tar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerEntry {
    /// As the tar has it, cleaned: a whiteout's own path, `etc/.wh.passwd`.
    pub path: TreePath,
    pub attr: Attr,
    pub what: LayerKind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LayerKind {
    /// Also what has an unknown type flag. A sparse file's content is the whole file, holes and all.
    File {
        content: ContentId,
        size: u64,
    },
    Dir,
    Symlink(Box<[u8]>),
    Hardlink {
        target: TreePath,
    },
    CharDevice {
        major: u32,
        minor: u32,
    },
    BlockDevice {
        major: u32,
        minor: u32,
    },
    Fifo,
    /// Hides a path of the layers below.
    Whiteout {
        of: TreePath,
    },
    /// Hides everything that the layers below have in the directory it stands in.
    Opaque,
}

/// What a layer made by a stranger may ask for.
#[derive(Clone, Debug)]
pub struct Limits {
    pub entries: u64,
    /// The body of one PAX header, and one sparse map. Go's limit is the same.
    pub pax_bytes: usize,
    /// A name or a link target; of the parts of a name, `path` bounds the number.
    pub path_bytes: usize,
    /// Sparse files of one layer, together and with their holes: a map of a few bytes can claim
    /// 2^60 zeros, and each of them is hashed.
    pub sparse_bytes: u64,
    /// Bytes that are no entry (after the end, or no tar at all) beyond this go into contents, in
    /// runs of this length; it is also what the walker may hold in memory.
    pub raw_run_bytes: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            entries: 10_000_000,
            pax_bytes: 1 << 20,
            path_bytes: crate::path::PATH_BYTES_MAX,
            sparse_bytes: 64 << 30,
            raw_run_bytes: 1 << 20,
        }
    }
}
