//! Where file contents come from and go to, as the formats see it.
//!
//! The layer and disk formats know nothing of packs: they hand every payload to a
//! [`ContentSink`] and ask a [`ContentSource`] for it again. The store is one; tests have another.

use crate::error::Error;
use crate::error::Result;
use crate::error::from_stream;
use crate::id::ContentId;
use sha2::Digest as _;
use std::io;
use std::io::Read;

pub trait ContentSink {
    /// Takes exactly `size` bytes from `from`, keeps them once, and returns their SHA-256.
    ///
    /// `size` decides how the bytes are packed; a stream that ends early is an error that leaves
    /// the sink usable for nothing but being dropped.
    fn put(&mut self, size: u64, from: &mut dyn Read) -> Result<ContentId>;

    /// The same from a stream that was hashed on the way: a sink that would hash it may ask.
    fn put_hashed(&mut self, size: u64, from: &mut dyn HashedRead) -> Result<ContentId> {
        self.put(size, from)
    }
}

/// A stream that hashes what is read from it.
pub trait HashedRead: Read {
    /// The SHA-256 of all bytes read so far.
    fn id(&mut self) -> ContentId;
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

/// Names contents and keeps none: a scan into it compares a folder with a tree without a store.
pub struct HashSink {
    buffer: Vec<u8>,
}

/// Enough that system calls do not show beside the hash.
const HASH_BUFFER_BYTES: usize = 256 << 10;

impl HashSink {
    pub fn new() -> HashSink {
        HashSink { buffer: vec![0; HASH_BUFFER_BYTES] }
    }
}

impl Default for HashSink {
    fn default() -> HashSink {
        HashSink::new()
    }
}

impl ContentSink for HashSink {
    fn put(&mut self, size: u64, from: &mut dyn Read) -> Result<ContentId> {
        let mut hash = sha2::Sha256::new();
        let mut left = size;
        while left > 0 {
            let want = self.buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            match from.read(&mut self.buffer[..want]) {
                Ok(0) => {
                    return Err(Error::Mismatch {
                        thing: "content".into(),
                        expected: format!("{size} bytes"),
                        found: format!("{} bytes", size - left),
                    });
                }
                Ok(read) => {
                    hash.update(&self.buffer[..read]);
                    left -= read as u64;
                }
                Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                Err(err) => return Err(from_stream("content", err)),
            }
        }
        Ok(ContentId(hash.finalize().into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_sink_takes_exactly_what_was_announced() {
        let mut sink = HashSink::new();
        let mut stream = &b"onetwo"[..];
        assert_eq!(sink.put(3, &mut stream).unwrap(), ContentId::of(b"one"));
        assert_eq!(sink.put(0, &mut stream).unwrap(), ContentId::of(b""));
        assert!(matches!(sink.put(4, &mut stream), Err(Error::Mismatch { .. })));
    }
}
