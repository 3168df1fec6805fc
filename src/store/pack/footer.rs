//! The footer: the table of everything in a pack and its journal. It goes last, and its hash is
//! the name of the pack.

use crate::error::Error;
use crate::error::Result;
use crate::id::PackId;
use crate::id::Sha1Id;
use crate::store::bytes::Take;
use crate::store::bytes::put_varint;
use crate::store::pack::Class;
use crate::store::pack::Location;
use crate::store::pack::ObjectKind;
use crate::store::pack::ObjectRow;
use crate::store::pack::PACK_HEADER_BYTES;
use crate::store::pack::SEAL;
use crate::store::pack::TRAILER_BYTES;
use crate::store::pack::frame::FRAME_HEADER_BYTES;
use crate::store::pack::frame::FRAME_RAW_BYTES_MAX;
use crate::store::pack::journal::Record;
use crate::store::pack::journal::Segment;
use std::io::Read as _;

const FOOTER_VERSION: u8 = 1;
/// A footer of ten million files takes about 600 MiB. One of this size names some seventeen million
/// objects, more than any image has, and can still be held in memory; beyond it is damage or an
/// attack. No writer makes a longer one, so that what was written can be read.
const FOOTER_RAW_BYTES_MAX: u64 = 1 << 30;
/// Ids do not compress and the rest is small: more effort buys nothing.
const FOOTER_LEVEL: i32 = 1;
/// Set in an object's kind byte when its SHA-1 follows the id.
const WITH_SHA1: u8 = 0x80;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameRow {
    pub stored_len: u32,
    pub raw_len: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Footer {
    pub class: Class,
    /// Part of the transaction of another pack that names it in `companions`, and nothing
    /// without it.
    pub companion: bool,
    /// When the objects in here became visible, in the order of the journal.
    pub sequence: u64,
    pub frames: Vec<FrameRow>,
    pub objects: Vec<ObjectRow>,
    pub companions: Vec<PackId>,
    /// Packs whose live objects and journal stand in this one: delete them when they turn up.
    pub replaces: Vec<PackId>,
    pub journal: Vec<Segment>,
}

impl Footer {
    pub fn new(class: Class) -> Footer {
        Footer {
            class,
            companion: false,
            sequence: 0,
            frames: Vec::new(),
            objects: Vec::new(),
            companions: Vec::new(),
            replaces: Vec::new(),
            journal: Vec::new(),
        }
    }

    /// Where each frame's header begins; one more than there are frames, the last being where the
    /// footer does.
    pub fn offsets(&self) -> Vec<u64> {
        let mut offsets = Vec::with_capacity(self.frames.len() + 1);
        let mut at = PACK_HEADER_BYTES as u64;
        offsets.push(at);
        for frame in &self.frames {
            at += (FRAME_HEADER_BYTES + frame.stored_len as usize) as u64;
            offsets.push(at);
        }
        offsets
    }

    pub fn location(pack: PackId, offsets: &[u64], row: &ObjectRow) -> Location {
        Location { pack, frame: offsets[row.frame as usize], skip: row.skip, len: row.len }
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut to = vec![FOOTER_VERSION, self.class.code(), u8::from(self.companion)];
        put_varint(&mut to, self.sequence);
        put_varint(&mut to, self.frames.len() as u64);
        for frame in &self.frames {
            put_varint(&mut to, u64::from(frame.stored_len));
            put_varint(&mut to, u64::from(frame.raw_len));
        }
        put_varint(&mut to, self.objects.len() as u64);
        for row in &self.objects {
            to.push(row.kind.code() | if row.sha1.is_some() { WITH_SHA1 } else { 0 });
            to.extend_from_slice(&row.id);
            if let Some(sha1) = row.sha1 {
                to.extend_from_slice(&sha1.0);
            }
            put_varint(&mut to, u64::from(row.frame));
            put_varint(&mut to, u64::from(row.skip));
            put_varint(&mut to, row.len);
        }
        for packs in [&self.companions, &self.replaces] {
            put_varint(&mut to, packs.len() as u64);
            packs.iter().for_each(|pack| to.extend_from_slice(&pack.0));
        }
        put_varint(&mut to, self.journal.len() as u64);
        for segment in &self.journal {
            put_varint(&mut to, segment.sequence);
            put_varint(&mut to, segment.records.len() as u64);
            segment.records.iter().for_each(|record| record.encode(&mut to));
        }
        to
    }

    pub fn decode(thing: &str, bytes: &[u8]) -> Result<Footer> {
        let take = &mut Take::new(thing, bytes);
        let version = take.u8()?;
        if version != FOOTER_VERSION {
            return Err(take.damaged("footer version 1", version.to_string()));
        }
        let code = take.u8()?;
        let class = Class::from_code(code).ok_or_else(|| take.damaged("a pack class", code.to_string()))?;
        let companion = match take.u8()? {
            0 => false,
            1 => true,
            other => return Err(take.damaged("0 or 1", other.to_string())),
        };
        let sequence = take.varint()?;
        let mut frames = Vec::with_capacity(take.count(2)?);
        for _ in 0..frames.capacity() {
            let frame = FrameRow { stored_len: take.u32()?, raw_len: take.u32()? };
            if frame.stored_len > frame.raw_len || frame.raw_len > FRAME_RAW_BYTES_MAX {
                return Err(take.damaged("a frame", format!("{} of {}", frame.stored_len, frame.raw_len)));
            }
            frames.push(frame);
        }
        let count = take.count(36)?;
        let mut objects = Vec::with_capacity(count);
        // Raw bytes before each frame, to see that every object lies inside the pack.
        let mut before = vec![0u64];
        for frame in &frames {
            before.push(before[before.len() - 1] + u64::from(frame.raw_len));
        }
        for _ in 0..count {
            let row = take_object(take)?;
            let inside = row.len == 0
                || before.get(row.frame as usize).is_some_and(|start| {
                    let end = start.saturating_add(u64::from(row.skip)).saturating_add(row.len);
                    end <= before[before.len() - 1]
                });
            if !inside || row.frame as usize > frames.len() {
                return Err(take.damaged("an object inside the pack", format!("one in frame {}", row.frame)));
            }
            objects.push(row);
        }
        let companions = take_packs(take)?;
        let replaces = take_packs(take)?;
        let count = take.count(2)?;
        let mut journal = Vec::with_capacity(count);
        for _ in 0..count {
            let sequence = take.varint()?;
            let count = take.count(1)?;
            let records = (0..count).map(|_| Record::decode(take)).collect::<Result<_>>()?;
            journal.push(Segment { sequence, records });
        }
        take.end()?;
        Ok(Footer { class, companion, sequence, frames, objects, companions, replaces, journal })
    }

    /// The footer and trailer as they are appended after `offset` bytes, and the pack's id.
    pub fn seal(&self, offset: u64) -> Result<(Vec<u8>, PackId)> {
        let raw = self.encode();
        let mut bytes = zstd::encode_all(&raw[..], FOOTER_LEVEL)
            .map_err(|source| Error::Stream { thing: "the compressor".to_owned(), source })?;
        let id = PackId::of(&bytes);
        if raw.len().max(bytes.len()) as u64 > FOOTER_RAW_BYTES_MAX {
            return Err(Error::Limit {
                thing: "the footer of a pack".to_owned(),
                limit: FOOTER_RAW_BYTES_MAX,
                unit: "bytes",
            });
        }
        let (stored_len, raw_len) = (bytes.len() as u32, raw.len() as u32);
        bytes.extend_from_slice(&offset.to_le_bytes());
        bytes.extend_from_slice(&stored_len.to_le_bytes());
        bytes.extend_from_slice(&raw_len.to_le_bytes());
        bytes.extend_from_slice(&id.0);
        bytes.extend_from_slice(&SEAL);
        Ok((bytes, id))
    }
}

fn take_object(take: &mut Take) -> Result<ObjectRow> {
    let code = take.u8()?;
    let kind = ObjectKind::from_code(code & !WITH_SHA1)
        .ok_or_else(|| take.damaged("a kind of object", code.to_string()))?;
    let id = take.array()?;
    let sha1 = if code & WITH_SHA1 != 0 { Some(Sha1Id(take.array()?)) } else { None };
    Ok(ObjectRow { kind, id, sha1, frame: take.u32()?, skip: take.u32()?, len: take.varint()? })
}

fn take_packs(take: &mut Take) -> Result<Vec<PackId>> {
    let count = take.count(32)?;
    (0..count).map(|_| Ok(PackId(take.array()?))).collect()
}

/// The fixed end of a sealed pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trailer {
    pub footer_offset: u64,
    pub stored_len: u32,
    pub raw_len: u32,
    pub id: PackId,
}

impl Trailer {
    /// Reads the last bytes of a pack of `pack_len` bytes.
    pub fn parse(thing: &str, pack_len: u64, bytes: &[u8; TRAILER_BYTES]) -> Result<Trailer> {
        let take = &mut Take::new(thing, bytes);
        let trailer = Trailer {
            footer_offset: u64::from_le_bytes(take.array()?),
            stored_len: u32::from_le_bytes(take.array()?),
            raw_len: u32::from_le_bytes(take.array()?),
            id: PackId(take.array()?),
        };
        if take.array::<8>()? != SEAL {
            return Err(take.damaged("a sealed pack", "no seal at its end"));
        }
        // Before anything is reserved or decoded: a trailer may say what it likes.
        let longest = u64::from(trailer.raw_len.max(trailer.stored_len));
        if longest > FOOTER_RAW_BYTES_MAX {
            let most = format!("a footer of at most {FOOTER_RAW_BYTES_MAX} bytes");
            return Err(take.damaged(most, longest.to_string()));
        }
        let end = trailer.footer_offset.checked_add(u64::from(trailer.stored_len) + TRAILER_BYTES as u64);
        if end != Some(pack_len) || trailer.footer_offset < PACK_HEADER_BYTES as u64 {
            return Err(take.damaged(format!("a footer that ends at {pack_len}"), format!("{end:?}")));
        }
        Ok(trailer)
    }

    /// Checks the hash of the stored footer, then decompresses and decodes it.
    pub fn open(&self, thing: &str, stored: &[u8]) -> Result<Footer> {
        let found = PackId::of(stored);
        if found != self.id {
            return Err(Error::Corrupt {
                thing: format!("footer of {thing}"),
                expected: self.id.to_string(),
                found: found.to_string(),
            });
        }
        let take = Take::new(thing, &[]);
        // Grows with what is decoded, not with what the trailer says, and stops one byte after it.
        let mut raw = Vec::new();
        let decoder = zstd::stream::read::Decoder::new(stored)
            .map_err(|err| take.damaged("a zstd footer", err.to_string()))?;
        decoder
            .take(u64::from(self.raw_len) + 1)
            .read_to_end(&mut raw)
            .map_err(|err| take.damaged("a zstd footer", err.to_string()))?;
        if raw.len() as u64 != u64::from(self.raw_len) {
            return Err(take.damaged(format!("a footer of {} bytes", self.raw_len), raw.len().to_string()));
        }
        let footer = Footer::decode(thing, &raw)?;
        let end = footer.offsets().last().copied();
        if end != Some(self.footer_offset) {
            return Err(take.damaged(format!("frames up to {}", self.footer_offset), format!("{end:?}")));
        }
        Ok(footer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trailer(stored_len: u32, raw_len: u32) -> (u64, [u8; TRAILER_BYTES]) {
        let offset = PACK_HEADER_BYTES as u64;
        let mut bytes = offset.to_le_bytes().to_vec();
        bytes.extend_from_slice(&stored_len.to_le_bytes());
        bytes.extend_from_slice(&raw_len.to_le_bytes());
        bytes.extend_from_slice(&[7; 32]);
        bytes.extend_from_slice(&SEAL);
        (offset + u64::from(stored_len) + TRAILER_BYTES as u64, bytes.try_into().unwrap())
    }

    /// The limit was all that 32 bits can say: a small pack could ask for 4 GiB.
    #[test]
    fn a_trailer_that_says_too_much_is_refused_before_anything_is_read() {
        let most = FOOTER_RAW_BYTES_MAX as u32;
        for (stored_len, raw_len, good) in
            [(9, most, true), (9, most + 1, false), (9, u32::MAX, false), (u32::MAX, 9, false)]
        {
            let (pack_len, bytes) = trailer(stored_len, raw_len);
            assert_eq!(Trailer::parse("pack", pack_len, &bytes).is_ok(), good, "{stored_len} {raw_len}");
        }
    }

    #[test]
    fn no_more_is_decoded_than_the_trailer_says() {
        let bomb = zstd::encode_all(&vec![0; 8 << 20][..], 1).unwrap();
        for (raw_len, found) in [(100, "101"), (FOOTER_RAW_BYTES_MAX as u32, "8388608")] {
            let id = PackId::of(&bomb);
            let trailer = Trailer { footer_offset: 16, stored_len: bomb.len() as u32, raw_len, id };
            match trailer.open("pack", &bomb) {
                Err(Error::Corrupt { found: said, .. }) => assert_eq!(said, found),
                other => panic!("{other:?}"),
            }
        }
    }
}
