//! FAT12, FAT16 and FAT32, with long names (VFAT).
//!
//! Entries are as Linux's vfat shows them with its own defaults: everything belongs to root with
//! mode 0755 (a read-only file 0555), times are UTC, names are UTF-8.

mod boot;
mod chain;
mod dir;
mod name;
mod time;
mod walk;

use crate::disk::bytes::ReadAt;
use crate::disk::files::FileSink;
use crate::disk::native::Facts;
use crate::disk::native::NativeFs;
use crate::disk::native::fat::boot::Boot;
use crate::disk::native::fat::chain::Chains;
use crate::disk::native::fat::walk::Walk;
use crate::error::Result;
use crate::path::shown;
use crate::progress::Progress;
use std::sync::Arc;

/// A file system of this family.
pub struct Fat {
    disk: Arc<dyn ReadAt>,
    boot: Boot,
    label: Option<Vec<u8>>,
    used_clusters: u64,
}

/// `None` without a boot sector of this family.
pub fn open(disk: Arc<dyn ReadAt>) -> Result<Option<Fat>> {
    let Some(boot) = Boot::read(&*disk)? else { return Ok(None) };
    let label = walk::label(&*disk, &boot)?;
    let used_clusters = Chains::new(&*disk, &boot).used()?;
    Ok(Some(Fat { disk, boot, label, used_clusters }))
}

impl NativeFs for Fat {
    fn kind(&self) -> &str {
        "vfat"
    }

    fn label(&self) -> Option<String> {
        self.label.as_deref().map(shown)
    }

    fn uuid(&self) -> Option<String> {
        let serial = self.boot.serial?;
        Some(format!("{:04X}-{:04X}", serial >> 16, serial & 0xffff))
    }

    fn facts(&self) -> Facts {
        let before = self.boot.data_start;
        Facts {
            block_size: self.boot.cluster_size,
            total_bytes: before + u64::from(self.boot.clusters) * self.boot.cluster_size,
            used_bytes: before + self.used_clusters * self.boot.cluster_size,
        }
    }

    fn read(&self, sink: &mut dyn FileSink, progress: &dyn Progress) -> Result<()> {
        progress.begin("reading the vfat file system", Some(self.facts().used_bytes));
        Walk::new(&*self.disk, &self.boot, sink, progress).run()
    }
}
