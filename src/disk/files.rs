//! What a reader of a file system tells, whoever it is: guestfs or one of our own.

use crate::attr::Attr;
use crate::error::Result;
use crate::path::TreePath;
use std::io::Read;

/// Takes the entries of one file system. Parents come before what is in them; the root comes first,
/// as a [`Found::Dir`] with the root's path.
pub trait FileSink {
    fn put(&mut self, path: TreePath, attr: Attr, found: Found<'_>) -> Result<()>;
}

pub enum Found<'a> {
    Dir,
    File(FileBytes<'a>),
    /// One more name of an entry (of any kind but a folder) that was put before.
    HardLink(TreePath),
    Symlink(Box<[u8]>),
    CharDevice {
        major: u32,
        minor: u32,
    },
    BlockDevice {
        major: u32,
        minor: u32,
    },
    Fifo,
    Socket,
}

/// A file's content. The sink reads exactly `size` bytes or fails.
pub struct FileBytes<'a> {
    pub size: u64,
    /// Where on the file system's device the bytes lie, where the reader knows: in ascending order
    /// of the file's offset, holes left out.
    pub extents: &'a [Extent],
    pub from: &'a mut dyn Read,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    pub file_offset: u64,
    pub device_offset: u64,
    pub len: u64,
}
