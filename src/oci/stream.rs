//! Archives that are compressed as a whole: told by their first bytes, undone by `layer::compression`.

use crate::error::Error;
use crate::error::Result;
use crate::layer::compression;
use crate::layer::compression::DecodeLimits;
use std::io::Cursor;
use std::io::Read;

pub use crate::layer::compression::Compression;

/// An archive holds layers, most of them compressed, so it shrinks less than a layer may; and what
/// comes out of it may be spooled to the disk.
const ARCHIVE_RATIO_MAX: u64 = 250;
/// Enough for every magic number below.
const MAGIC_BYTES: u64 = 8;

/// Says how a stream that begins with `head` is compressed; `thing` is what an error names.
pub fn compression_of(thing: &str, head: &[u8]) -> Result<Compression> {
    let name = match head {
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => "xz",
        [b'B', b'Z', b'h', b'1'..=b'9', ..] => "bzip2",
        _ => return Ok(Compression::detect(head)),
    };
    let problem = format!("is compressed by {name}; imgit reads gzip, zstd and plain archives");
    Err(Error::invalid(thing, problem))
}

/// Reads the first bytes and gives them back in front of the rest.
pub fn peek(thing: &str, mut from: Box<dyn Read + Send>) -> Result<(Vec<u8>, Box<dyn Read + Send>)> {
    let mut head = Vec::new();
    from.by_ref()
        .take(MAGIC_BYTES)
        .read_to_end(&mut head)
        .map_err(|err| crate::error::from_stream(thing, err))?;
    let whole = Cursor::new(head.clone()).chain(from);
    Ok((head, Box::new(whole)))
}

/// Undoes the compression, whichever it is.
pub fn decoded(thing: &str, from: Box<dyn Read + Send>) -> Result<(Compression, Box<dyn Read + Send>)> {
    let (head, from) = peek(thing, from)?;
    compression_of(thing, &head)?;
    let limits = DecodeLimits { ratio: ARCHIVE_RATIO_MAX, ..DecodeLimits::default() };
    compression::decoder("archive", from, &limits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::from_stream;
    use std::io;

    fn decode(bytes: Vec<u8>) -> Result<(Compression, u64)> {
        let (compression, mut reader) = decoded("archive", Box::new(Cursor::new(bytes)))?;
        let copied = io::copy(&mut reader, &mut io::sink()).map_err(|err| from_stream("archive", err))?;
        Ok((compression, copied))
    }

    #[test]
    fn compression_is_found_by_content() {
        let text = b"some text".repeat(100);
        assert_eq!(decode(text.clone()).unwrap(), (Compression::None, 900));
        assert_eq!(decode(zstd::encode_all(&text[..], 1).unwrap()).unwrap(), (Compression::Zstd, 900));
        assert_eq!(decode(Vec::new()).unwrap(), (Compression::None, 0));
        assert!(decode(b"\xfd7zXZ\0..".to_vec()).unwrap_err().to_string().contains("xz"));
    }

    #[test]
    fn a_bomb_is_stopped() {
        let zeros = vec![0; 64 << 20];
        let frame = zstd::encode_all(&zeros[..], 1).unwrap();
        let err = decode(frame.repeat(17)).unwrap_err();
        assert!(matches!(err, Error::Limit { limit: ARCHIVE_RATIO_MAX, .. }), "{err}");
    }
}
