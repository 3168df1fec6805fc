//! How a gzip stream was made: by which encoder, with what around it.
//!
//! Its encoding is part of the store's format, version 1:
//!
//! | | |
//! |---|---|
//! | u8 1 | version |
//! | u8 | codec, see [`Codec`] |
//! | signed varint | level |
//! | varint | block size, 0 for codecs without |
//! | counted | header, as it stands in the stream |
//! | counted | what follows the member: zeros, anything |
//!
//! The trailer is not in it: the checksum and the length of what was compressed.

use crate::codec::Reader;
use crate::codec::put_bytes;
use crate::codec::put_signed;
use crate::codec::put_varint;
use crate::error::Result;
use crate::layer::gzip::codec::Codec;
use crate::layer::gzip::codec::Setting;
use crate::layer::gzip::member;

const VERSION: u8 = 1;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipe {
    pub setting: Setting,
    pub header: Vec<u8>,
    pub tail: Vec<u8>,
}

impl Recipe {
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![VERSION, self.setting.codec.number()];
        put_signed(&mut out, i64::from(self.setting.level));
        put_varint(&mut out, u64::from(self.setting.block_bytes));
        put_bytes(&mut out, &self.header);
        put_bytes(&mut out, &self.tail);
        out
    }

    /// Reads what [`Recipe::to_bytes`] wrote, and takes nothing else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Recipe> {
        let mut reader = Reader::new("gzip recipe", bytes);
        reader.version(VERSION)?;
        let codec = Codec::from_number(reader.byte()?)?;
        let level = reader.signed()?;
        let level = i8::try_from(level).map_err(|_| reader.invalid(format!("has level {level}")))?;
        let block_bytes = reader.varint_u32()?;
        let header = reader.bytes()?.to_vec();
        let tail = reader.bytes()?.to_vec();
        if member::header_len(&header) != Some(header.len()) {
            return Err(reader.invalid("has a header that is not one"));
        }
        reader.finish()?;
        Ok(Recipe { setting: Setting { codec, level, block_bytes }, header, tail })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back_and_no_other_way() {
        let setting = Setting { codec: Codec::Pigz, level: 6, block_bytes: 128 << 10 };
        let header = vec![0x1f, 0x8b, 8, 0, 1, 2, 3, 4, 0, 3];
        let recipe = Recipe { setting, header, tail: vec![0; 3] };
        let bytes = recipe.to_bytes();
        assert_eq!(Recipe::from_bytes(&bytes).unwrap(), recipe);
        for cut in 0..bytes.len() {
            assert!(Recipe::from_bytes(&bytes[..cut]).is_err(), "{cut}");
        }
        for (at, value, problem) in [
            (0, 2, "format version 2"),
            (1, 99, "codec 99"),
            (6, 11, "bytes"),
            (7, 0, "a header that is not one"),
        ] {
            let mut bad = bytes.clone();
            bad[at] = value;
            let err = Recipe::from_bytes(&bad).unwrap_err().to_string();
            assert!(at == 6 || err.contains(problem), "{at}: {err}");
        }
        assert!(Recipe::from_bytes(&[&bytes[..], b"x"].concat()).is_err());
    }
}
