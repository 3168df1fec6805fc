//! The encoders by name. A name is part of the store's format: what it makes never changes.

use crate::error::Error;
use crate::error::Result;
use crate::layer::gzip::encoder::Encoder;
use crate::layer::gzip::go;
use crate::layer::gzip::klauspost;
use crate::layer::gzip::klauspost::variant::Variant;
use crate::layer::gzip::pigz;
use crate::layer::gzip::zlib;
use crate::layer::gzip::zlib::Flavour;

/// An encoder, as exact as its golden digests in the tests say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// Go's compress/flate from 1.8 to 1.26: docker, BuildKit, kaniko, ko, crane.
    Go1,
    /// The C library, 1.2.5.1 to 1.3.1: Python, Java, nginx and many more.
    Zlib,
    /// pigz 2.3 and later, in parallel: zlib in blocks.
    Pigz,
    /// GNU gzip 1.3 and later.
    Gnu,
    /// github.com/klauspost/compress v1.15.11 to v1.17.11, in blocks by pgzip: skopeo, buildah,
    /// podman, umoci. Levels 7 to 9 up to v1.15.14.
    Klauspost115,
    /// v1.18.2 and later.
    Klauspost118,
    /// Go's compress/flate from 1.27 on.
    Go127,
    /// v1.15.15 to v1.17.11, for levels 7 to 9, and v1.18.0 but for level 4.
    Klauspost11515,
    /// v1.18.0, for level 4.
    Klauspost1180,
    /// v1.18.1.
    Klauspost1181,
}

/// Every codec with its number, which is what a recipe holds, and its name, which people see.
/// A number is never used again.
const CODECS: &[(u8, &str, Codec)] = &[
    (1, "goflate/1", Codec::Go1),
    (2, "zlib/1", Codec::Zlib),
    (3, "pigz/1", Codec::Pigz),
    (4, "gzip/1", Codec::Gnu),
    (5, "klauspost/1.15", Codec::Klauspost115),
    (6, "klauspost/1.18", Codec::Klauspost118),
    (7, "goflate/1.27", Codec::Go127),
    (8, "klauspost/1.15.15", Codec::Klauspost11515),
    (9, "klauspost/1.18.0", Codec::Klauspost1180),
    (10, "klauspost/1.18.1", Codec::Klauspost1181),
];

/// In the order of how common they are; 0 is one stream.
const KLAUSPOST_BLOCKS: &[u32] = &[klauspost::BLOCK_BYTES, klauspost::UMOCI_BLOCK_BYTES, 0];

impl Codec {
    pub fn all() -> impl Iterator<Item = Codec> {
        CODECS.iter().map(|(_, _, codec)| *codec)
    }

    pub fn number(self) -> u8 {
        self.row().0
    }

    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// The codec of a number; an error names it, for a newer imgit may have written it.
    pub fn from_number(number: u8) -> Result<Codec> {
        let row = CODECS.iter().find(|(known, _, _)| *known == number);
        row.map(|(_, _, codec)| *codec).ok_or_else(|| {
            Error::invalid("gzip recipe", format!("names codec {number}, which this imgit does not know"))
        })
    }

    /// Every setting that programs are known to use, the most common first.
    pub fn settings(self) -> Vec<Setting> {
        let (levels, blocks): (&[i8], &[u32]) = match self {
            Codec::Go1 => (&[6, 1, 9, 2, 3, 4, 5, 7, 8, go::HUFFMAN_ONLY, 0], &[0]),
            Codec::Zlib | Codec::Gnu => (&[6, 9, 1, 2, 3, 4, 5, 7, 8], &[0]),
            Codec::Pigz => (&[6, 9, 1, 2, 3, 4, 5, 7, 8], &[pigz::BLOCK_BYTES]),
            Codec::Klauspost115 => {
                (&[5, 6, 1, 9, 2, 3, 4, 7, 8, klauspost::HUFFMAN_ONLY, 0], KLAUSPOST_BLOCKS)
            }
            Codec::Klauspost118 | Codec::Klauspost1181 => (&[5, 6, 1, 9, 2, 3, 4, 7, 8], KLAUSPOST_BLOCKS),
            Codec::Klauspost11515 => (&[9, 7, 8], KLAUSPOST_BLOCKS),
            Codec::Klauspost1180 => (&[4], KLAUSPOST_BLOCKS),
            Codec::Go127 => (&[6, 1, 9, 2, 3, 4, 5, 7, 8, go::HUFFMAN_ONLY, 0], &[0]),
        };
        let of_level = |level: &i8| {
            let level = *level;
            blocks.iter().map(move |block_bytes| Setting { codec: self, level, block_bytes: *block_bytes })
        };
        levels.iter().flat_map(of_level).collect()
    }

    fn row(self) -> &'static (u8, &'static str, Codec) {
        CODECS.iter().find(|(_, _, codec)| *codec == self).expect("CODECS has a row for every codec")
    }
}

/// What an encoder is told besides the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Setting {
    pub codec: Codec,
    /// As the program's own option: 1 to 9, and 0 or less where the program has that.
    pub level: i8,
    /// For codecs with blocks whose size the user chooses; else 0.
    pub block_bytes: u32,
}

impl Setting {
    /// Makes the encoder; a level or block size that the codec does not have is an error.
    pub fn encoder(&self) -> Result<Encoder> {
        let (level, blocks) = (self.level, self.block_bytes);
        let made = match self.codec {
            Codec::Go1 => go::encoder(level).map(Encoder::Stream),
            Codec::Zlib => zlib::encoder(Flavour::Zlib, level).map(Encoder::Stream),
            Codec::Gnu => zlib::encoder(Flavour::Gnu, level).map(Encoder::Stream),
            Codec::Pigz => pigz::plan(level, blocks).map(Encoder::Blocks),
            Codec::Klauspost115 => klauspost::encoder(Variant::V1_15_11, level, blocks),
            Codec::Klauspost11515 => klauspost::encoder(Variant::V1_15_15, level, blocks),
            Codec::Klauspost1180 => klauspost::encoder(Variant::V1_18_0, level, blocks),
            Codec::Klauspost1181 => klauspost::encoder(Variant::V1_18_1, level, blocks),
            Codec::Klauspost118 => klauspost::encoder(Variant::V1_18_2, level, blocks),
            Codec::Go127 if blocks == 0 => klauspost::encoder(Variant::GO_1_27, level, 0),
            Codec::Go127 => None,
        };
        made.ok_or_else(|| self.unknown())
    }

    fn unknown(&self) -> Error {
        let Setting { codec, level, block_bytes } = self;
        Error::invalid(
            "gzip recipe",
            format!(
                "asks {} for level {level} with blocks of {block_bytes} bytes, which this imgit cannot make",
                codec.name()
            ),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_names_one_codec() {
        for (at, codec) in Codec::all().enumerate() {
            assert_eq!(usize::from(codec.number()), at + 1, "{} keeps its number", codec.name());
            assert_eq!(Codec::from_number(codec.number()).unwrap(), codec);
        }
        assert!(Codec::from_number(0).unwrap_err().to_string().contains("codec 0"));
    }
}
