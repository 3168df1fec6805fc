//! Finding out how a gzip stream was made: every likely encoder is tried on the beginning.
//!
//! Nearly all give themselves away within 100 KiB, with the first block they end. One that makes the
//! whole beginning right is then to be [proven](prove) on the whole.

use crate::error::Result;
use crate::error::from_stream;
use crate::layer::gzip::codec::Codec;
use crate::layer::gzip::codec::Setting;
use crate::layer::gzip::encoder::Encoder;
use crate::layer::gzip::member;
use crate::layer::gzip::rebuild::rebuild;
use crate::layer::gzip::recipe::Recipe;
use std::io;
use std::io::Read;
use std::io::Write;

/// How much of what is compressed is tried: more than the largest block that is common (1 MiB).
const TAR_BYTES: usize = 5 << 18;
/// As much can at most come of that, headers and all.
const COMPRESSED_BYTES: usize = TAR_BYTES + (64 << 10);
const CHUNK_BYTES: usize = 64 << 10;
/// What may follow a member. Layers have zeros there at most.
const TAIL_BYTES_MAX: usize = 64 << 10;

/// The beginning of a stream and of what it holds.
pub struct Probe {
    header: Vec<u8>,
    /// After the header.
    compressed: Vec<u8>,
    tar: Vec<u8>,
    /// Whether `tar` is all there is.
    is_whole: bool,
}

impl Probe {
    /// Reads the beginnings of both; `None` if that of `compressed` is not gzip's.
    pub fn read(compressed: &mut dyn Read, tar: &mut dyn Read) -> Result<Option<Probe>> {
        let mut beginning = beginning(compressed, COMPRESSED_BYTES, "the compressed layer")?;
        let tar = beginning_of_tar(tar)?;
        let Some(len) = member::header_len(&beginning) else { return Ok(None) };
        let compressed = beginning.split_off(len);
        let is_whole = tar.len() < TAR_BYTES;
        Ok(Some(Probe { header: beginning, compressed, tar, is_whole }))
    }

    /// The recipes that make the beginning right, the likeliest first; each is tried when asked for.
    pub fn recipes(&self) -> impl Iterator<Item = Recipe> + '_ {
        // The most common setting of each codec comes before the next of any.
        let mut settings: Vec<(usize, Setting)> =
            Codec::all().flat_map(|codec| codec.settings().into_iter().enumerate()).collect();
        settings.sort_by_key(|(rank, setting)| (!self.is_likely(setting), *rank));
        let settings = settings.into_iter().map(|(_, setting)| setting);
        settings.filter(|setting| self.fits(setting)).map(|setting| Recipe {
            setting,
            header: self.header.clone(),
            tail: Vec::new(),
        })
    }

    /// What the header says, if it does not lie: who wrote it, and how hard that one tried.
    fn is_likely(&self, setting: &Setting) -> bool {
        let &[_, _, _, _, ref time @ .., effort, system] = &self.header[..10] else { return false };
        let by_system = match setting.codec {
            // The time that is Go's zero, cut to 32 bits.
            Codec::Klauspost115
            | Codec::Klauspost11515
            | Codec::Klauspost1180
            | Codec::Klauspost1181
            | Codec::Klauspost118 => time == [0x00, 0x09, 0x6e, 0x88],
            Codec::Go1 | Codec::Go127 => time == [0; 4] && system == 0xff,
            Codec::Zlib => true,
            Codec::Pigz | Codec::Gnu => system == 3,
        };
        let by_effort = match effort {
            2 => setting.level == 9,
            4 => setting.level == 1,
            _ => (2..9).contains(&setting.level),
        };
        by_system && by_effort
    }

    fn fits(&self, setting: &Setting) -> bool {
        let Ok(encoder) = setting.encoder() else { return false };
        let mut left = &self.compressed[..];
        let mut out = Vec::new();
        // Of what is beyond the beginning nothing is known.
        let mut is_right = |out: &mut Vec<u8>| {
            let len = out.len().min(left.len());
            let (now, rest) = left.split_at(len);
            let right = out[..len] == *now;
            left = rest;
            out.clear();
            right
        };
        match encoder {
            Encoder::Stream(mut encoder) => {
                for chunk in self.tar.chunks(CHUNK_BYTES) {
                    encoder.write(chunk, &mut out);
                    if !is_right(&mut out) {
                        return false;
                    }
                }
                if self.is_whole {
                    encoder.finish(&mut out);
                }
                is_right(&mut out)
            }
            Encoder::Blocks(plan) => {
                let mut encoder = (plan.make)();
                let mut at = 0;
                loop {
                    let end = self.tar.len().min(at + plan.block_bytes);
                    let last =
                        if plan.empty_last { end - at < plan.block_bytes } else { end == self.tar.len() };
                    if last && !self.is_whole {
                        return true;
                    }
                    let dictionary = &self.tar[at.saturating_sub(plan.dictionary_bytes)..at];
                    encoder.encode(dictionary, &self.tar[at..end], last, &mut out);
                    if !is_right(&mut out) {
                        return false;
                    }
                    if last {
                        return true;
                    }
                    at = end;
                }
            }
        }
    }
}

/// Makes the whole stream by `recipe` and compares it; the recipe, complete, if every byte is right.
///
/// `rebuilt` is given each byte that was made. What follows the member goes into the recipe.
pub fn prove(
    mut recipe: Recipe,
    compressed: &mut dyn Read,
    tar: &mut dyn Read,
    rebuilt: &mut dyn Write,
) -> Result<Option<Recipe>> {
    let mut compare =
        Compare { with: compressed, bytes: vec![0; CHUNK_BYTES], rebuilt, differs: false, broken: None };
    let made = rebuild(&recipe, tar, &mut compare);
    if let Some(err) = compare.broken {
        return Err(from_stream("the compressed layer", err));
    }
    if compare.differs {
        return Ok(None);
    }
    made?;
    let mut tail = beginning(compare.with, TAIL_BYTES_MAX + 1, "the compressed layer")?;
    if tail.len() > TAIL_BYTES_MAX {
        return Ok(None);
    }
    rebuilt.write_all(&tail).map_err(|err| from_stream("the rebuilt layer", err))?;
    recipe.tail.append(&mut tail);
    Ok(Some(recipe))
}

/// Takes the bytes made and stops with the first that is wrong.
struct Compare<'a> {
    with: &'a mut dyn Read,
    bytes: Vec<u8>,
    rebuilt: &'a mut dyn Write,
    differs: bool,
    broken: Option<io::Error>,
}

impl Write for Compare<'_> {
    fn write(&mut self, made: &[u8]) -> io::Result<usize> {
        let len = made.len().min(self.bytes.len());
        let expected = &mut self.bytes[..len];
        if let Err(err) = self.with.read_exact(expected) {
            match err.kind() {
                io::ErrorKind::UnexpectedEof
                    if err.get_ref().is_none_or(|inner| !inner.is::<crate::error::Error>()) =>
                {
                    self.differs = true
                }
                _ => self.broken = Some(err),
            }
            return Err(io::ErrorKind::InvalidData.into());
        }
        if made[..len] != *expected {
            self.differs = true;
            return Err(io::ErrorKind::InvalidData.into());
        }
        self.rebuilt.write_all(&made[..len])?;
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn beginning_of_tar(tar: &mut dyn Read) -> Result<Vec<u8>> {
    beginning(tar, TAR_BYTES, "the layer")
}

fn beginning(from: &mut dyn Read, max: usize, thing: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(max as u64).read_to_end(&mut bytes).map_err(|err| from_stream(thing, err))?;
    Ok(bytes)
}
