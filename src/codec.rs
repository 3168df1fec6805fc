//! The few shapes that all our own formats are made of: varints, lengths, ids.
//!
//! [`Reader`] is strict, so that each value has exactly one encoding and an id names one value:
//! a varint has no needless byte, a count fits in what is left, nothing follows the end. It takes
//! hostile bytes without a panic and never allocates more than the input could fill.

use crate::attr::Attr;
use crate::attr::Time;
use crate::attr::Xattr;
use crate::attr::Xattrs;
use crate::error::Error;
use crate::error::Result;

/// Seven bits a byte, low ones first; the high bit says that more follow.
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Small numbers of either sign in few bytes: 0, -1, 1, -2, …
pub fn put_signed(out: &mut Vec<u8>, value: i64) {
    put_varint(out, ((value << 1) ^ (value >> 63)) as u64);
}

/// The length, then the bytes.
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// The number of pairs, then each name and value.
pub fn put_xattrs(out: &mut Vec<u8>, xattrs: &Xattrs) {
    put_varint(out, xattrs.len() as u64);
    for (name, value) in xattrs.iter() {
        put_bytes(out, name);
        put_bytes(out, value);
    }
}

pub fn put_time(out: &mut Vec<u8>, time: Time) {
    put_signed(out, time.secs);
    put_varint(out, u64::from(time.nanos));
}

pub fn put_attr(out: &mut Vec<u8>, attr: &Attr) {
    put_varint(out, u64::from(attr.mode));
    put_varint(out, attr.uid);
    put_varint(out, attr.gid);
    put_time(out, attr.mtime);
    put_xattrs(out, &attr.xattrs);
}

/// Takes a canonical encoding apart; every fault names `thing`.
pub struct Reader<'a> {
    thing: &'static str,
    left: &'a [u8],
}

impl<'a> Reader<'a> {
    pub fn new(thing: &'static str, bytes: &'a [u8]) -> Reader<'a> {
        Reader { thing, left: bytes }
    }

    pub fn invalid(&self, problem: impl Into<String>) -> Error {
        Error::invalid(self.thing, problem)
    }

    pub fn left(&self) -> usize {
        self.left.len()
    }

    /// Reads the format version and refuses every other than `known`.
    pub fn version(&mut self, known: u8) -> Result<()> {
        match self.byte()? {
            found if found == known => Ok(()),
            found => Err(self.invalid(format!("has format version {found}; this imgit reads {known}"))),
        }
    }

    pub fn byte(&mut self) -> Result<u8> {
        let (first, rest) = self.left.split_first().ok_or_else(|| self.invalid("ends early"))?;
        self.left = rest;
        Ok(*first)
    }

    pub fn take(&mut self, len: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.left.split_at_checked(len).ok_or_else(|| self.invalid("ends early"))?;
        self.left = rest;
        Ok(taken)
    }

    pub fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (taken, rest) = self.left.split_first_chunk().ok_or_else(|| self.invalid("ends early"))?;
        self.left = rest;
        Ok(*taken)
    }

    pub fn varint(&mut self) -> Result<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                if byte == 0 && shift > 0 {
                    return Err(self.invalid("has a number with a needless byte"));
                }
                return Ok(value);
            }
        }
        Err(self.invalid("has a number over 64 bits"))
    }

    pub fn varint_u32(&mut self) -> Result<u32> {
        u32::try_from(self.varint()?).map_err(|_| self.invalid("has a number over 32 bits"))
    }

    pub fn signed(&mut self) -> Result<i64> {
        let raw = self.varint()?;
        Ok((raw >> 1) as i64 ^ -((raw & 1) as i64))
    }

    /// The number of things that follow, each of which takes at least `least` bytes.
    pub fn count(&mut self, least: usize) -> Result<usize> {
        let count = self.varint()?;
        if count > (self.left.len() / least) as u64 {
            return Err(self.invalid("counts more things than it has bytes for"));
        }
        Ok(count as usize)
    }

    pub fn bytes(&mut self) -> Result<&'a [u8]> {
        let len = self.count(1)?;
        self.take(len)
    }

    pub fn text(&mut self) -> Result<&'a str> {
        let bytes = self.bytes()?;
        std::str::from_utf8(bytes).map_err(|_| self.invalid("has a text that is not UTF-8"))
    }

    pub fn nanos(&mut self) -> Result<u32> {
        match self.varint()? {
            nanos @ 0..1_000_000_000 => Ok(nanos as u32),
            nanos => Err(self.invalid(format!("has a time with {nanos} nanoseconds"))),
        }
    }

    pub fn time(&mut self) -> Result<Time> {
        Ok(Time { secs: self.signed()?, nanos: self.nanos()? })
    }

    pub fn mode(&mut self) -> Result<u32> {
        match self.varint()? {
            mode @ 0..=0o7777 => Ok(mode as u32),
            mode => Err(self.invalid(format!("has mode {mode:o}"))),
        }
    }

    pub fn xattrs(&mut self) -> Result<Xattrs> {
        let count = self.count(2)?;
        if count == 0 {
            return Ok(Xattrs::default());
        }
        let mut pairs: Vec<Xattr> = Vec::with_capacity(count);
        for _ in 0..count {
            let name = self.bytes()?;
            if pairs.last().is_some_and(|last| last.0[..] >= *name) {
                return Err(self.invalid("has extended attributes out of order"));
            }
            pairs.push((name.into(), self.bytes()?.into()));
        }
        Ok(Xattrs::new(pairs))
    }

    pub fn attr(&mut self) -> Result<Attr> {
        Ok(Attr {
            mode: self.mode()?,
            uid: self.varint()?,
            gid: self.varint()?,
            mtime: self.time()?,
            xattrs: self.xattrs()?,
        })
    }

    pub fn finish(self) -> Result<()> {
        if self.left.is_empty() {
            return Ok(());
        }
        Err(self.invalid(format!("has {} bytes after its end", self.left.len())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read<T>(bytes: &[u8], read: impl FnOnce(&mut Reader) -> Result<T>) -> Result<T> {
        let mut reader = Reader::new("test", bytes);
        let value = read(&mut reader)?;
        reader.finish()?;
        Ok(value)
    }

    proptest! {
        #[test]
        fn numbers_there_and_back(value: u64) {
            let (mut plain, mut signed) = (Vec::new(), Vec::new());
            put_varint(&mut plain, value);
            put_signed(&mut signed, value as i64);
            prop_assert_eq!(read(&plain, |reader| reader.varint()).unwrap(), value);
            prop_assert_eq!(read(&signed, |reader| reader.signed()).unwrap(), value as i64);
        }

        #[test]
        fn a_number_has_one_encoding(bytes: [u8; 11], len in 0usize..=11) {
            if let Ok(value) = read(&bytes[..len], |reader| reader.varint()) {
                let mut again = Vec::new();
                put_varint(&mut again, value);
                prop_assert_eq!(&again, &bytes[..len]);
            }
        }
    }

    #[test]
    fn needless_bytes_overflow_and_hungry_counts_are_refused() {
        for bytes in [&[0x80, 0][..], &[0xff; 10], &[0xff; 9], &[], &[0, 0]] {
            assert!(read(bytes, |reader| reader.varint()).is_err(), "{bytes:?}");
        }
        assert_eq!(
            read(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], |reader| reader.varint())
                .unwrap(),
            u64::MAX
        );
        assert!(read(&[0xff, 0xff, 0xff, 0x7f, 1], |reader| reader.bytes().map(<[u8]>::len)).is_err());
    }
}
