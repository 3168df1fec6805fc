//! Our own readers of file systems, without an appliance: ext2, ext3 and ext4, FAT12, FAT16 and
//! FAT32.
//!
//! A reader tells what the kernel would show after a mount, with all metadata, or fails: what is
//! damaged, or has a feature that is not read here, is an error that names it, and the caller may
//! try another reader. The error may come when entries have been told already, so a sink keeps
//! nothing before [`NativeFs::read`] has returned. Nothing is written, ever: a journal that waits
//! to be replayed is replayed in memory.

mod cache;
mod content;
mod ext;
mod fat;
mod field;
#[cfg(test)]
mod tests;

use crate::disk::bytes::ReadAt;
use crate::disk::files::FileSink;
use crate::error::Result;
use crate::progress::Progress;
use std::sync::Arc;

/// A file system that was recognised and whose outermost structures are sound.
pub trait NativeFs: Send + Sync {
    /// As blkid names it: `ext2`, `ext3`, `ext4` or `vfat`.
    fn kind(&self) -> &str;

    fn label(&self) -> Option<String>;

    /// As blkid prints it.
    fn uuid(&self) -> Option<String>;

    fn facts(&self) -> Facts;

    /// Tells every entry: folders depth first in the order of their names, but within a folder
    /// first what is no folder, in the order in which it lies on the disk.
    ///
    /// Begins a phase of [`Facts::used_bytes`] and advances it by the sizes of files.
    fn read(&self, sink: &mut dyn FileSink, progress: &dyn Progress) -> Result<()>;
}

/// Sizes, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The unit of allocation: block or cluster.
    pub block_size: u64,
    /// What the file system takes of its device.
    pub total_bytes: u64,
    pub used_bytes: u64,
}

/// Recognises the file system on a device: `None` where it is none of ours, an error where it is
/// but is damaged or has a feature that is refused.
pub fn open(device: Arc<dyn ReadAt>) -> Result<Option<Box<dyn NativeFs>>> {
    if let Some(found) = ext::open(Arc::clone(&device))? {
        return Ok(Some(Box::new(found)));
    }
    if let Some(found) = fat::open(device)? {
        return Ok(Some(Box::new(found)));
    }
    Ok(None)
}
