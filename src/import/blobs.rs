//! What this import already has: blobs and layers that need not be read again.
//!
//! Two layers of knowledge, asked in this order: what this very import has put (its transaction is
//! not visible yet), then the store, each time through a short look of its own.

use crate::error::Result;
use crate::oci::digest::Digest;
use crate::repo::Repo;
use crate::store::BlobRow;
use std::collections::HashSet;

pub struct Blobs<'a> {
    repo: &'a Repo,
    put_here: HashSet<Digest>,
}

/// Where a known blob is known from.
pub enum Known {
    /// Committed: its bytes can be read back.
    Stored(BlobRow),
    /// Put by this import: present, but readable only once it is committed.
    Pending,
}

impl<'a> Blobs<'a> {
    pub fn new(repo: &'a Repo) -> Blobs<'a> {
        Blobs { repo, put_here: HashSet::new() }
    }

    pub fn get(&self, digest: &Digest) -> Result<Option<Known>> {
        if self.put_here.contains(digest) {
            return Ok(Some(Known::Pending));
        }
        Ok(self.repo.blob(digest)?.map(Known::Stored))
    }

    pub fn insert(&mut self, digest: &Digest) {
        self.put_here.insert(digest.clone());
    }
}
