//! The store's reading of `codec`'s shapes: varints, counted bytes, fixed arrays, all bounds checked.
//!
//! Unlike `codec::Reader` it reads what imgit itself has written, so every fault is damage, named by
//! the pack or table it is in. Reading never trusts a count: what it announces must be there before
//! anything is reserved for it, so damaged bytes cost an error, not memory.

use crate::error::Error;
use crate::error::Result;

pub use crate::codec::put_bytes as put_counted;
pub use crate::codec::put_varint;

/// Reads from the front of a slice; `thing` names it in errors.
pub struct Take<'a> {
    rest: &'a [u8],
    thing: &'a str,
}

impl<'a> Take<'a> {
    pub fn new(thing: &'a str, bytes: &'a [u8]) -> Take<'a> {
        Take { rest: bytes, thing }
    }

    pub fn damaged(&self, expected: impl Into<String>, found: impl Into<String>) -> Error {
        Error::Corrupt { thing: self.thing.to_owned(), expected: expected.into(), found: found.into() }
    }

    pub fn slice(&mut self, len: usize) -> Result<&'a [u8]> {
        if len > self.rest.len() {
            return Err(self.damaged(format!("{len} more bytes"), format!("{}", self.rest.len())));
        }
        let (taken, rest) = self.rest.split_at(len);
        self.rest = rest;
        Ok(taken)
    }

    pub fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let bytes = self.slice(N)?;
        Ok(bytes.try_into().expect("slice returned the N bytes it was asked for"))
    }

    pub fn u8(&mut self) -> Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    pub fn varint(&mut self) -> Result<u64> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(self.damaged("a number of 64 bits", "a longer one"))
    }

    pub fn u32(&mut self) -> Result<u32> {
        let number = self.varint()?;
        u32::try_from(number).map_err(|_| self.damaged("a number of 32 bits", number.to_string()))
    }

    /// A count of things that take at least `each` bytes apiece.
    pub fn count(&mut self, each: usize) -> Result<usize> {
        let count = self.varint()?;
        if count > (self.rest.len() / each) as u64 {
            return Err(self.damaged(format!("{count} records"), format!("{} bytes", self.rest.len())));
        }
        Ok(count as usize)
    }

    pub fn counted(&mut self) -> Result<&'a [u8]> {
        let len = self.count(1)?;
        self.slice(len)
    }

    pub fn text(&mut self) -> Result<String> {
        let bytes = self.counted()?;
        String::from_utf8(bytes.to_vec()).map_err(|_| self.damaged("UTF-8 text", "other bytes"))
    }

    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Nothing may be left over.
    pub fn end(&self) -> Result<()> {
        if self.rest.is_empty() {
            return Ok(());
        }
        Err(self.damaged("its end", format!("{} more bytes", self.rest.len())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_there_and_back() {
        for number in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX] {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, number);
            let mut take = Take::new("test", &bytes);
            assert_eq!(take.varint().unwrap(), number);
            take.end().unwrap();
        }
    }

    #[test]
    fn a_count_beyond_the_bytes_is_refused_before_anything_is_reserved() {
        let mut bytes = Vec::new();
        put_varint(&mut bytes, u64::MAX);
        assert!(Take::new("test", &bytes).counted().is_err());
        assert!(Take::new("test", &bytes).count(8).is_err());
        assert!(Take::new("test", &[0xff; 11]).varint().is_err());
    }
}
