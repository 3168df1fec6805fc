//! Gunzip, as Go's reader does it (RFC 1952): members one after the other, then anything.
//!
//! The header and the checksum are read here; the deflate stream between them is [`Inflate`]'s.

use crate::layer::inflate::Inflate;
use std::io;
use std::io::BufRead;
use std::io::Read;

const HEADER_BYTES: usize = 10;
const FLAG_HEADER_CRC: u8 = 1 << 1;
const FLAG_EXTRA: u8 = 1 << 2;
const FLAG_NAME: u8 = 1 << 3;
const FLAG_COMMENT: u8 = 1 << 4;

/// One member; its end is the end of the reader.
pub struct Member<R> {
    inflater: Inflate<R>,
    crc: crc32fast::Hasher,
    /// Of the last 32 bits, as the trailer has it.
    len: u32,
    at: At,
}

#[derive(PartialEq, Eq)]
enum At {
    Header,
    Body,
    End,
}

impl<R: BufRead> Member<R> {
    /// Begins at the header.
    pub fn new(from: R) -> Member<R> {
        Member { inflater: Inflate::new(from), crc: crc32fast::Hasher::new(), len: 0, at: At::Header }
    }

    /// Begins with another member, which follows in the same reader.
    pub fn restart(&mut self) {
        self.inflater.restart();
        (self.crc, self.len, self.at) = (crc32fast::Hasher::new(), 0, At::Header);
    }

    pub fn get_ref(&self) -> &R {
        self.inflater.get_ref()
    }

    /// What follows the member, once it was read to its end.
    pub fn get_mut(&mut self) -> &mut R {
        self.inflater.get_mut()
    }

    fn check_trailer(&mut self) -> io::Result<()> {
        let mut trailer = [0; 8];
        self.inflater.get_mut().read_exact(&mut trailer)?;
        let (crc, len) = trailer.split_at(4);
        if self.crc.clone().finalize().to_le_bytes() != crc || self.len.to_le_bytes() != len {
            return Err(invalid("has another checksum or length than its trailer says"));
        }
        Ok(())
    }
}

impl<R: BufRead> Read for Member<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.at == At::End || into.is_empty() {
            return Ok(0);
        }
        if self.at == At::Header {
            read_header(self.inflater.get_mut())?;
            self.at = At::Body;
        }
        let len = self.inflater.read(into)?;
        if len == 0 {
            self.check_trailer()?;
            self.at = At::End;
        }
        self.crc.update(&into[..len]);
        self.len = self.len.wrapping_add(len as u32);
        Ok(len)
    }
}

/// How long the header is that `bytes` begin with; `None` if there is none, or not all of it.
pub fn header_len(bytes: &[u8]) -> Option<usize> {
    let mut rest = bytes;
    read_header(&mut rest).ok()?;
    Some(bytes.len() - rest.len())
}

fn read_header(from: &mut impl BufRead) -> io::Result<()> {
    let mut crc = crc32fast::Hasher::new();
    let mut header = [0; HEADER_BYTES];
    from.read_exact(&mut header)?;
    crc.update(&header);
    let [0x1f, 0x8b, 8, flags, ..] = header else { return Err(invalid("has no gzip header")) };
    if flags & FLAG_EXTRA != 0 {
        let mut len = [0; 2];
        from.read_exact(&mut len)?;
        crc.update(&len);
        let mut extra = vec![0; usize::from(u16::from_le_bytes(len))];
        from.read_exact(&mut extra)?;
        crc.update(&extra);
    }
    for flag in [FLAG_NAME, FLAG_COMMENT] {
        if flags & flag != 0 {
            skip_text(from, &mut crc)?;
        }
    }
    if flags & FLAG_HEADER_CRC != 0 {
        let mut found = [0; 2];
        from.read_exact(&mut found)?;
        if crc.finalize() as u16 != u16::from_le_bytes(found) {
            return Err(invalid("has another header checksum than it says"));
        }
    }
    Ok(())
}

/// A text that ends in a NUL, of any length: nobody needs it.
fn skip_text(from: &mut impl BufRead, crc: &mut crc32fast::Hasher) -> io::Result<()> {
    loop {
        let bytes = from.fill_buf()?;
        if bytes.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let end = bytes.iter().position(|byte| *byte == 0);
        let len = end.map_or(bytes.len(), |at| at + 1);
        crc.update(&bytes[..len]);
        from.consume(len);
        if end.is_some() {
            return Ok(());
        }
    }
}

fn invalid(problem: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the gzip stream {problem}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::GzBuilder;
    use std::io::Write;

    fn read(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        Member::new(bytes).read_to_end(&mut out)?;
        Ok(out)
    }

    #[test]
    fn every_part_of_a_header_is_skipped() {
        let builder =
            GzBuilder::new().extra(vec![7; 300]).filename("layer.tar").comment("made by hand").mtime(9);
        let mut encoder = builder.write(Vec::new(), flate2::Compression::default());
        encoder.write_all(b"words").unwrap();
        let whole = encoder.finish().unwrap();
        assert_eq!(read(&whole).unwrap(), b"words");
        for cut in 0..whole.len() {
            assert_eq!(read(&whole[..cut]).unwrap_err().kind(), io::ErrorKind::UnexpectedEof, "{cut}");
        }
    }

    #[test]
    fn checksums_are_checked() {
        // A header checksum by hand: no encoder at hand writes one.
        let header = [0x1f, 0x8b, 8, FLAG_HEADER_CRC, 0, 0, 0, 0, 0, 3];
        let body = [1, 0, 0, 0xff, 0xff];
        let crc = (crc32fast::hash(&header) as u16).to_le_bytes();
        let good = [&header[..], &crc, &body, &[0; 8]].concat();
        assert_eq!(read(&good).unwrap(), b"");
        for (at, problem) in [(10, "header checksum"), (17, "checksum or length"), (21, "checksum or length")]
        {
            let mut bad = good.clone();
            bad[at] ^= 1;
            let err = read(&bad).unwrap_err().to_string();
            assert!(err.contains(problem), "{at}: {err}");
        }
    }
}
