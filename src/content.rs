//! Where file contents come from and go to, as the formats see it.
//!
//! The layer and disk formats know nothing of packs: they hand every payload to a
//! [`ContentSink`] and ask a [`ContentSource`] for it again. The store is one; tests have another.

use crate::error::Result;
use crate::id::ContentId;
use std::io::Read;

pub trait ContentSink {
    /// Takes exactly `size` bytes from `from`, keeps them once, and returns their SHA-256.
    ///
    /// `size` decides how the bytes are packed; a stream that ends early is an error that leaves
    /// the sink usable for nothing but being dropped.
    fn put(&mut self, size: u64, from: &mut dyn Read) -> Result<ContentId>;
}

pub trait ContentSource {
    /// Opens `len` bytes of the content from `offset` on.
    ///
    /// Reading fails if the stored bytes are damaged; it never returns others than were put.
    fn open(&self, id: &ContentId, offset: u64, len: u64) -> Result<Box<dyn Read + '_>>;

    /// Says that these contents will be opened soon, in this order; a hint for batching look-ups.
    fn will_open(&self, _ids: &[ContentId]) -> Result<()> {
        Ok(())
    }
}
