//! Compression of whole archives: found by magic bytes, undone while reading, held to a ratio.

use crate::error::Error;
use crate::error::Result;
use std::io;
use std::io::BufReader;
use std::io::Cursor;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

/// A bomb is told by its ratio, but only once it is worth the name: zeros compress a thousandfold.
const FREE_BYTES: u64 = 1 << 30;
const RATIO_MAX: u64 = 250;
/// Enough for every magic number below.
pub const MAGIC_BYTES: usize = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    None,
    Gzip,
    Zstd,
}

/// Says how a stream that begins with `head` is compressed; `thing` is what an error names.
pub fn compression_of(thing: &str, head: &[u8]) -> Result<Compression> {
    let unsupported = |name: &str| {
        Err(Error::invalid(
            thing,
            format!("is compressed by {name}; imgit reads gzip, zstd and plain archives"),
        ))
    };
    match head {
        [0x1f, 0x8b, ..] => Ok(Compression::Gzip),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Ok(Compression::Zstd),
        // A skippable frame: zstd:chunked and seekable archives may begin with one.
        [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Ok(Compression::Zstd),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => unsupported("xz"),
        [b'B', b'Z', b'h', b'1'..=b'9', ..] => unsupported("bzip2"),
        _ => Ok(Compression::None),
    }
}

/// Reads the first bytes and gives them back in front of the rest.
pub fn peek(thing: &str, mut from: Box<dyn Read + Send>) -> Result<(Vec<u8>, Box<dyn Read + Send>)> {
    let mut head = Vec::new();
    from.by_ref()
        .take(MAGIC_BYTES as u64)
        .read_to_end(&mut head)
        .map_err(|err| crate::error::from_stream(thing, err))?;
    let whole = Cursor::new(head.clone()).chain(from);
    Ok((head, Box::new(whole)))
}

/// Undoes the compression, whichever it is.
pub fn decoded(thing: &str, from: Box<dyn Read + Send>) -> Result<(Compression, Box<dyn Read + Send>)> {
    let (head, from) = peek(thing, from)?;
    let compression = compression_of(thing, &head)?;
    let read = Arc::new(AtomicU64::new(0));
    let counted = Counted { inner: from, count: read.clone() };
    let inner: Box<dyn Read + Send> = match compression {
        Compression::None => return Ok((compression, counted.inner)),
        Compression::Gzip => {
            Box::new(flate2::bufread::MultiGzDecoder::new(BufReader::with_capacity(128 << 10, counted)))
        }
        Compression::Zstd => {
            let decoder = zstd::stream::read::Decoder::new(counted)
                .map_err(|err| crate::error::from_stream(thing, err))?;
            Box::new(decoder)
        }
    };
    let bounded = Bounded { inner, read, made: 0, thing: thing.to_owned() };
    Ok((compression, Box::new(bounded)))
}

struct Counted<R> {
    inner: R,
    count: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.count.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

struct Bounded<R> {
    inner: R,
    read: Arc<AtomicU64>,
    made: u64,
    thing: String,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.made += n as u64;
        if self.made > FREE_BYTES && self.made / RATIO_MAX > self.read.load(Ordering::Relaxed) {
            return Err(Error::Limit {
                thing: format!("compression of {}", self.thing),
                limit: RATIO_MAX,
                unit: "to one",
            }
            .into());
        }
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn decode(bytes: Vec<u8>) -> Result<(Compression, u64)> {
        let (compression, mut reader) = decoded("archive", Box::new(Cursor::new(bytes)))?;
        let copied = io::copy(&mut reader, &mut io::sink())
            .map_err(|err| crate::error::from_stream("archive", err))?;
        Ok((compression, copied))
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn compression_is_found_by_content() {
        let text = b"some text".repeat(100);
        assert_eq!(decode(text.clone()).unwrap(), (Compression::None, 900));
        assert_eq!(decode(gzip(&text)).unwrap(), (Compression::Gzip, 900));
        let members = [gzip(&text), gzip(b"more")].concat();
        assert_eq!(decode(members).unwrap(), (Compression::Gzip, 904));
        assert_eq!(decode(zstd::encode_all(&text[..], 1).unwrap()).unwrap(), (Compression::Zstd, 900));
        assert_eq!(decode(Vec::new()).unwrap(), (Compression::None, 0));
        assert!(decode(b"\xfd7zXZ\0..".to_vec()).unwrap_err().to_string().contains("xz"));
        let cut = gzip(&text);
        assert!(decode(cut[..cut.len() - 12].to_vec()).is_err());
    }

    #[test]
    fn a_bomb_is_stopped() {
        let zeros = vec![0; 64 << 20];
        let frame = zstd::encode_all(&zeros[..], 1).unwrap();
        let err = decode(frame.repeat(17)).unwrap_err();
        assert!(matches!(err, Error::Limit { limit: RATIO_MAX, .. }), "{err}");
    }
}
