//! A chain of images, each of which holds what the one before does not.

use crate::disk::format::Format;
use crate::disk::format::Image;
use crate::disk::format::OpenOptions;
use crate::disk::format::open_source;
use crate::disk::format::source::Source;
use crate::error::Error;
use crate::error::Result;
use crate::fs::SharedFile;
use std::path::Path;

/// Each is an open file with caches of its own; people keep tens of snapshots at most.
const IMAGES_MAX: usize = 64;

/// The files that are open already, from the one that was asked for downwards.
#[derive(Default)]
pub struct Chain {
    /// Device and inode: one file may have many names.
    files: Vec<(u64, u64)>,
}

impl Chain {
    pub fn open(&mut self, path: &Path, forced: Option<Format>, options: &OpenOptions) -> Result<Image> {
        let file = SharedFile::open_disk(path)?;
        let identity = file.identity()?;
        if self.files.contains(&identity) {
            return Err(Error::invalid(path.display().to_string(), "is its own backing file, by a chain"));
        }
        if self.files.len() >= IMAGES_MAX {
            let thing = "chain of backing files".to_string();
            return Err(Error::Limit { thing, limit: IMAGES_MAX as u64, unit: "images" });
        }
        self.files.push(identity);
        open_source(Source::of(file), forced, options, self)
    }
}
