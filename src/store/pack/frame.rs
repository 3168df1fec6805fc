//! Frames: the unit that is compressed, checksummed and read. Each carries its own small header,
//! so that reading an object needs no table of the pack.

use crate::error::Error;
use crate::error::Result;
use crate::store::pack::x86;
use zstd::bulk::Compressor;

/// Small contents are gathered into a frame until it holds this much. Part of no format: a
/// reader takes any frame up to [`FRAME_RAW_BYTES_MAX`]. Measured on 150 MB of small files of
/// /usr at level 3: 128 KiB 39.4 MB, 256 KiB 37.5, 512 KiB 36.2, 1 MiB 33.3; three times that saves
/// another two per cent. Reading one file alone costs the decoding of its frame: three milliseconds
/// at this size. Compressing costs the same.
pub const GATHER_BYTES: usize = 3 << 20;
/// Objects up to this size are gathered; larger ones have frames of their own, so that a frame
/// holds at most this much beyond [`GATHER_BYTES`].
pub const GATHERED_BYTES_MAX: usize = 256 << 10;
/// A content of its own run is cut into frames of this many bytes.
pub const RUN_FRAME_BYTES: usize = 1 << 20;
/// No frame holds more raw bytes than this: what a reader must be ready to hold. Part of the
/// format.
pub const FRAME_RAW_BYTES_MAX: u32 = 4 << 20;
/// Stored and raw length, codec, three zeros, CRC-32 of those twelve bytes and the stored ones.
pub const FRAME_HEADER_BYTES: usize = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    Raw,
    Zstd,
    /// zstd of what `x86::encode` made of the bytes.
    ZstdX86,
}

impl Codec {
    /// Part of the format.
    fn code(self) -> u8 {
        match self {
            Codec::Raw => 0,
            Codec::Zstd => 1,
            Codec::ZstdX86 => 2,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    pub stored_len: u32,
    pub raw_len: u32,
    pub codec: Codec,
    pub crc: u32,
}

impl FrameHeader {
    pub fn parse(thing: &str, bytes: &[u8; FRAME_HEADER_BYTES]) -> Result<FrameHeader> {
        let number = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let (stored_len, raw_len) = (number(0), number(4));
        let codec = match bytes[8] {
            0 => Codec::Raw,
            1 => Codec::Zstd,
            2 => Codec::ZstdX86,
            other => return Err(damaged(thing, "a known codec", other.to_string())),
        };
        // Compressed only where that saves, so no stored frame is longer than its raw bytes.
        if raw_len > FRAME_RAW_BYTES_MAX || stored_len > raw_len || bytes[9..12] != [0; 3] {
            return Err(damaged(thing, "a frame header", format!("{stored_len} of {raw_len} bytes")));
        }
        Ok(FrameHeader { stored_len, raw_len, codec, crc: number(12) })
    }

    fn to_bytes(self) -> [u8; FRAME_HEADER_BYTES] {
        let mut bytes = [0; FRAME_HEADER_BYTES];
        bytes[..4].copy_from_slice(&self.stored_len.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.raw_len.to_le_bytes());
        bytes[8] = self.codec.code();
        bytes[12..].copy_from_slice(&self.crc.to_le_bytes());
        bytes
    }

    fn checksum(header: &[u8], stored: &[u8]) -> u32 {
        let mut crc = crc32fast::Hasher::new();
        crc.update(&header[..12]);
        crc.update(stored);
        crc.finalize()
    }
}

/// Makes frames; one for each thread, because zstd keeps its tables.
pub struct FrameEncoder {
    compressor: Compressor<'static>,
    level: i32,
}

impl FrameEncoder {
    pub fn new(level: i32) -> Result<FrameEncoder> {
        let compressor = Compressor::new(level).map_err(broken)?;
        Ok(FrameEncoder { compressor, level })
    }

    /// Appends the frame of `raw` to `to`; leaves anything in `raw`. Level `None` stores it as it is.
    pub fn encode(&mut self, raw: &mut [u8], level: Option<i32>, to: &mut Vec<u8>) -> Result<()> {
        debug_assert!(raw.len() <= FRAME_RAW_BYTES_MAX as usize);
        let start = to.len();
        if let Some(level) = level {
            if level != self.level {
                self.compressor.set_compression_level(level).map_err(broken)?;
                self.level = level;
            }
            let codec = if x86::encode(raw) { Codec::ZstdX86 } else { Codec::Zstd };
            let bound = zstd::zstd_safe::compress_bound(raw.len());
            to.resize(start + FRAME_HEADER_BYTES, 0);
            to.reserve(bound);
            // Written into the room behind, which nobody has to fill with zeros first.
            let mut stored = std::io::Cursor::new(std::mem::take(to));
            stored.set_position((start + FRAME_HEADER_BYTES) as u64);
            let done = self.compressor.compress_to_buffer(raw, &mut stored);
            *to = stored.into_inner();
            let stored_len = done.map_err(broken)?;
            // Below a saving of three per cent, decompressing costs more than it saves.
            if stored_len < raw.len() - raw.len() / 32 {
                seal(&mut to[start..], raw.len(), codec);
                return Ok(());
            }
            to.truncate(start);
            if codec == Codec::ZstdX86 {
                x86::decode(raw);
            }
        }
        to.resize(start + FRAME_HEADER_BYTES, 0);
        to.extend_from_slice(raw);
        seal(&mut to[start..], raw.len(), Codec::Raw);
        Ok(())
    }
}

/// Writes the header before the stored bytes that stand in `frame` already.
fn seal(frame: &mut [u8], raw_len: usize, codec: Codec) {
    let mut header = FrameHeader {
        stored_len: (frame.len() - FRAME_HEADER_BYTES) as u32,
        raw_len: raw_len as u32,
        codec,
        crc: 0,
    };
    header.crc = FrameHeader::checksum(&header.to_bytes(), &frame[FRAME_HEADER_BYTES..]);
    frame[..FRAME_HEADER_BYTES].copy_from_slice(&header.to_bytes());
}

/// Checks the stored bytes of a frame and returns the raw ones.
pub fn decode(thing: &str, header: &FrameHeader, stored: Vec<u8>) -> Result<Vec<u8>> {
    let crc = FrameHeader::checksum(&header.to_bytes(), &stored);
    if crc != header.crc {
        return Err(damaged(thing, &format!("checksum {:08x}", header.crc), format!("{crc:08x}")));
    }
    let mut raw = match header.codec {
        Codec::Raw => stored,
        Codec::Zstd | Codec::ZstdX86 => zstd::bulk::decompress(&stored, header.raw_len as usize)
            .map_err(|err| damaged(thing, "a zstd frame", err.to_string()))?,
    };
    if header.codec == Codec::ZstdX86 {
        x86::decode(&mut raw);
    }
    if raw.len() != header.raw_len as usize {
        return Err(damaged(thing, &format!("{} bytes", header.raw_len), raw.len().to_string()));
    }
    Ok(raw)
}

fn damaged(thing: &str, expected: &str, found: String) -> Error {
    Error::Corrupt { thing: thing.to_owned(), expected: expected.to_owned(), found }
}

fn broken(source: std::io::Error) -> Error {
    Error::Stream { thing: "the compressor".to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(frame: &[u8]) -> (FrameHeader, Vec<u8>) {
        let header = frame[..FRAME_HEADER_BYTES].try_into().unwrap();
        (FrameHeader::parse("frame", header).unwrap(), frame[FRAME_HEADER_BYTES..].to_vec())
    }

    #[test]
    fn what_does_not_compress_is_kept_raw() {
        let noise: Vec<u8> =
            (0u32..9000).flat_map(|n| crc32fast::hash(&n.to_le_bytes()).to_le_bytes()).collect();
        let code = [0xe8, 7, 0, 0, 0, 0x90].repeat(900);
        let noise_of_calls =
            noise.chunks(200).flat_map(|noise| [&[0xe8, 7, 0, 0, 0][..], noise].concat()).collect();
        for (raw, codec) in [
            (vec![7; 5000], Codec::Zstd),
            (code, Codec::ZstdX86),
            (noise, Codec::Raw),
            (noise_of_calls, Codec::Raw),
            (Vec::new(), Codec::Raw),
        ] {
            let mut frame = Vec::new();
            FrameEncoder::new(3).unwrap().encode(&mut raw.clone(), Some(3), &mut frame).unwrap();
            let (header, stored) = split(&frame);
            assert_eq!(header.codec, codec);
            assert_eq!(decode("frame", &header, stored).unwrap(), raw);
        }
    }

    #[test]
    fn any_flipped_byte_of_a_frame_is_an_error() {
        let mut frame = Vec::new();
        FrameEncoder::new(3).unwrap().encode(&mut b"some words ".repeat(20), Some(9), &mut frame).unwrap();
        for at in 0..frame.len() {
            let mut bytes = frame.clone();
            bytes[at] ^= 1;
            let header = bytes[..FRAME_HEADER_BYTES].try_into().unwrap();
            let read = FrameHeader::parse("frame", header)
                .and_then(|header| decode("frame", &header, bytes[FRAME_HEADER_BYTES..].to_vec()));
            assert!(read.is_err(), "byte {at}");
        }
    }
}
