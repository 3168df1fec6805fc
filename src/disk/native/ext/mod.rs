//! ext2, ext3 and ext4.
//!
//! ```text
//! superblock -> groups (inode tables) -> inode -> map (extents or lists) -> bytes
//!      '---- journal (replayed in memory)   '---- xattr, acl     '---- dir -> names
//! ```
//! [`walk`] goes through them; the other files turn one structure each into values, and check it
//! against its checksum where the file system has them.

mod acl;
mod checksum;
mod dir;
mod features;
mod groups;
mod inode;
mod journal;
mod map;
mod superblock;
mod walk;
mod xattr;

use crate::disk::bytes::ReadAt;
use crate::disk::files::FileSink;
use crate::disk::native::Facts;
use crate::disk::native::NativeFs;
use crate::disk::native::cache::Cache;
use crate::disk::native::ext::inode::Inode;
use crate::disk::native::ext::journal::Replayed;
use crate::disk::native::ext::superblock::Superblock;
use crate::disk::native::ext::walk::Walk;
use crate::error::Error;
use crate::error::Result;
use crate::path::shown;
use crate::progress::Progress;
use std::sync::Arc;

/// A file system of this family.
pub struct Ext {
    /// As it is once its journal has been replayed.
    disk: Arc<dyn ReadAt>,
    /// The same, where there was something to replay.
    replayed: Option<Arc<Replayed>>,
    superblock: Superblock,
    /// Offset on the device of each group's inodes.
    inode_tables: Vec<u64>,
}

/// `None` without a superblock of this family.
pub fn open(disk: Arc<dyn ReadAt>) -> Result<Option<Ext>> {
    let Some(superblock) = Superblock::read(&*disk)? else { return Ok(None) };
    let inode_tables = groups::inode_tables(&mut Cache::new(&*disk), &superblock)?;
    let ext = Ext { disk, replayed: None, superblock, inode_tables };
    let Some(replayed) = journal::replayed(&ext)? else { return Ok(Some(ext)) };
    let replayed = Arc::new(replayed);
    // The journal may hold a newer copy of each of them.
    let superblock = Superblock::read(&*replayed)?
        .ok_or_else(|| Error::invalid("journal", "replaces the superblock by something else"))?;
    if superblock.block_size != ext.superblock.block_size {
        return Err(Error::invalid("journal", "replaces the superblock by one of another block size"));
    }
    let inode_tables = groups::inode_tables(&mut Cache::new(&*replayed), &superblock)?;
    let disk: Arc<dyn ReadAt> = Arc::clone(&replayed) as Arc<dyn ReadAt>;
    Ok(Some(Ext { disk, replayed: Some(replayed), superblock, inode_tables }))
}

impl Ext {
    fn inode(&self, cache: &mut Cache<'_>, number: u32) -> Result<Inode> {
        let superblock = &self.superblock;
        let table = number
            .checked_sub(1)
            .filter(|at| *at < superblock.inodes)
            .and_then(|at| self.inode_tables.get((at / superblock.inodes_per_group) as usize));
        let Some(table) = table else {
            let problem = format!("is not one of {}", superblock.inodes);
            return Err(Error::invalid(format!("inode {number}"), problem));
        };
        let at = u64::from((number - 1) % superblock.inodes_per_group);
        let mut bytes = vec![0; superblock.inode_size].into_boxed_slice();
        cache.read(table + at * superblock.inode_size as u64, &mut bytes)?;
        Inode::parse(superblock, number, bytes)
    }
}

impl NativeFs for Ext {
    fn kind(&self) -> &str {
        self.superblock.features.kind()
    }

    fn label(&self) -> Option<String> {
        let label = self.superblock.label.split(|byte| *byte == 0).next().unwrap_or_default();
        (!label.is_empty()).then(|| shown(label))
    }

    fn uuid(&self) -> Option<String> {
        let uuid = self.superblock.uuid;
        if uuid == [0; 16] {
            return None;
        }
        let mut text = String::new();
        for (at, byte) in uuid.iter().enumerate() {
            if matches!(at, 4 | 6 | 8 | 10) {
                text.push('-');
            }
            text.push_str(&format!("{byte:02x}"));
        }
        Some(text)
    }

    fn facts(&self) -> Facts {
        let superblock = &self.superblock;
        let free = superblock.free_clusters.saturating_mul(superblock.blocks_per_cluster);
        Facts {
            block_size: superblock.block_size,
            total_bytes: superblock.blocks * superblock.block_size,
            used_bytes: superblock.blocks.saturating_sub(free) * superblock.block_size,
        }
    }

    fn read(&self, sink: &mut dyn FileSink, progress: &dyn Progress) -> Result<()> {
        progress.begin(&format!("reading the {} file system", self.kind()), Some(self.facts().used_bytes));
        Walk::new(self, sink, progress).run()
    }
}
