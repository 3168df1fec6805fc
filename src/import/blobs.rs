//! What this import already has: blobs and layers that need not be read again.
//!
//! Two layers of knowledge, asked in this order: what this very import has put (its transaction is
//! not visible yet), then the store, each time through a short look of its own.

use crate::error::Error;
use crate::error::Result;
use crate::oci::descriptor::Descriptor;
use crate::oci::digest::Digest;
use crate::repo::Repo;
use crate::store::BlobRow;
use std::collections::HashMap;

pub struct Blobs<'a> {
    repo: &'a Repo,
    put_here: HashMap<Digest, BlobRow>,
}

/// Where a known blob is known from.
pub enum Known {
    /// Committed: its bytes can be read back.
    Stored(BlobRow),
    /// Put by this import: present, but readable only once it is committed.
    Pending(BlobRow),
}

impl<'a> Blobs<'a> {
    pub fn new(repo: &'a Repo) -> Blobs<'a> {
        Blobs { repo, put_here: HashMap::new() }
    }

    pub fn get(&self, digest: &Digest) -> Result<Option<Known>> {
        if let Some(row) = self.put_here.get(digest) {
            return Ok(Some(Known::Pending(*row)));
        }
        Ok(self.repo.blob(digest)?.map(Known::Stored))
    }

    pub fn insert(&mut self, digest: &Digest, row: BlobRow) {
        self.put_here.insert(digest.clone(), row);
    }
}

impl Known {
    pub fn row(&self) -> &BlobRow {
        match self {
            Known::Stored(row) | Known::Pending(row) => row,
        }
    }

    /// A descriptor that gives a known blob another size is wrong, whoever finds it.
    pub fn check_size(&self, descriptor: &Descriptor) -> Result<()> {
        let found = self.row().size;
        if found == descriptor.size {
            return Ok(());
        }
        Err(Error::Mismatch {
            thing: format!("size of {}", descriptor.digest),
            expected: format!("{} bytes", descriptor.size),
            found: format!("{found} bytes"),
        })
    }
}
