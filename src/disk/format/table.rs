//! Tables of any claimed length in an image, of which only what is asked for is read.

use crate::disk::format::cache::Cache;
use crate::disk::format::source::Source;
use crate::error::Result;
use std::sync::Arc;

const PAGE_BYTES: u64 = 64 << 10;
/// 4 MiB: as much as the tables of a qcow2 of 32 GiB with the usual clusters.
const PAGES_MAX: usize = 64;

/// The metadata of an image, through a small cache.
pub struct Tables {
    source: Source,
    pages: Cache<[u8]>,
}

impl Tables {
    pub fn new(source: Source) -> Tables {
        Tables { source, pages: Cache::new(PAGES_MAX) }
    }

    pub fn source(&self) -> &Source {
        &self.source
    }

    /// The `N` bytes at `at` in the file; `what` is what errors call them.
    pub fn entry<const N: usize>(&self, at: u64, what: &str) -> Result<[u8; N]> {
        let (page_at, inside) = (at - at % PAGE_BYTES, (at % PAGE_BYTES) as usize);
        let page = self.pages.get(page_at, || {
            let len = self.source.size().saturating_sub(page_at).min(PAGE_BYTES);
            Ok(Arc::from(self.source.bytes(page_at, len as usize, what)?))
        })?;
        match page.get(inside..inside + N) {
            Some(entry) => Ok(entry.try_into().expect("the range is N long")),
            // Across two pages, or beyond the end.
            None => self.source.array(at, what),
        }
    }
}
