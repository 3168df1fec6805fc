//! Directories: entries of 32 bytes, and long names in entries before them.

use crate::disk::native::fat::name;
use crate::disk::native::fat::name::SHORT_BYTES;
use crate::disk::native::field::array_at;
use crate::disk::native::field::u16_at;
use crate::disk::native::field::u32_at;

const ATTRIBUTE_READ_ONLY: u8 = 0x01;
const ATTRIBUTE_VOLUME: u8 = 0x08;
const ATTRIBUTE_DIRECTORY: u8 = 0x10;
/// A part of a long name: a mix that nothing else has.
const ATTRIBUTE_LONG: u8 = 0x0f;
const ENTRY_BYTES: usize = 32;
const FREE: u8 = 0xe5;
/// In the number of the first of the entries of a long name, which is its last part.
const LAST_PART: u8 = 0x40;
/// 255 letters take no more.
const PARTS_MAX: u8 = 20;
const PART_UNITS: usize = 13;
/// Where the 13 units of a part are.
const UNITS_AT: [usize; PART_UNITS] = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30];

#[derive(Clone, Debug)]
pub struct Entry {
    pub name: Vec<u8>,
    pub is_dir: bool,
    pub is_read_only: bool,
    pub first_cluster: u32,
    pub size: u32,
    pub date: u16,
    pub time: u16,
}

/// Reads the entries in the order of the directory, without `.` and `..`.
///
/// As in Linux, an unused entry does not end a directory, and parts of a long name that do not
/// belong together, or to the short name behind them, are passed over.
pub struct Entries<'a> {
    rest: &'a [u8],
    /// The upper half of a cluster's number is there.
    pub is_fat32: bool,
}

impl<'a> Entries<'a> {
    pub fn new(bytes: &'a [u8], is_fat32: bool) -> Entries<'a> {
        Entries { rest: bytes, is_fat32 }
    }

    fn raw(&mut self) -> Option<&'a [u8; ENTRY_BYTES]> {
        let (raw, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(raw)
    }

    /// What follows a part of a long name: the entry it names, and the name where its checksum
    /// holds; the inner `None` where there is nothing to be shown.
    fn long(&mut self, mut part: &'a [u8; ENTRY_BYTES]) -> Option<Option<Named<'a>>> {
        'parts: loop {
            let (count, checksum) = (part[0] & !LAST_PART, part[13]);
            if part[0] & LAST_PART == 0 || count == 0 || count > PARTS_MAX {
                return Some(None);
            }
            let mut units = vec![0; usize::from(count) * PART_UNITS];
            for at in (0..count).rev() {
                let place = &mut units[usize::from(at) * PART_UNITS..][..PART_UNITS];
                place.iter_mut().zip(UNITS_AT).for_each(|(unit, at)| *unit = u16_at(part, at));
                let next = self.raw()?;
                if at == 0 {
                    if next[11] == ATTRIBUTE_LONG && next[0] != FREE {
                        part = next;
                        continue 'parts;
                    }
                    if is_unused(next) || next[11] & ATTRIBUTE_VOLUME != 0 {
                        return Some(None);
                    }
                    let end = units.iter().position(|unit| *unit == 0).unwrap_or(units.len());
                    let is_its = checksum == name::checksum(&short_bytes(next));
                    return Some(Some((next, is_its.then(|| name::long(&units[..end])))));
                }
                if next[11] != ATTRIBUTE_LONG {
                    return Some(self.plain(next));
                }
                part = next;
                if next[0] & !LAST_PART != at || next[13] != checksum {
                    continue 'parts;
                }
            }
        }
    }

    fn plain(&self, raw: &'a [u8; ENTRY_BYTES]) -> Option<Named<'a>> {
        let is_shown = !is_unused(raw) && raw[11] & ATTRIBUTE_VOLUME == 0;
        is_shown.then_some((raw, None))
    }
}

/// An entry, and its long name.
type Named<'a> = (&'a [u8; ENTRY_BYTES], Option<Vec<u8>>);

impl Iterator for Entries<'_> {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        loop {
            let raw = self.raw()?;
            let named =
                if raw[11] == ATTRIBUTE_LONG && raw[0] != FREE { self.long(raw)? } else { self.plain(raw) };
            let Some((raw, long)) = named else { continue };
            let short = short_bytes(raw);
            if [&b".          "[..], b"..         "].contains(&&short[..]) {
                continue;
            }
            let name = long.unwrap_or_else(|| name::short(&short, raw[12]));
            if name.is_empty() {
                continue;
            }
            let high = if self.is_fat32 { u32::from(u16_at(raw, 20)) << 16 } else { 0 };
            return Some(Entry {
                name,
                is_dir: raw[11] & ATTRIBUTE_DIRECTORY != 0,
                is_read_only: raw[11] & ATTRIBUTE_READ_ONLY != 0,
                first_cluster: high | u32::from(u16_at(raw, 26)),
                size: u32_at(raw, 28),
                date: u16_at(raw, 24),
                time: u16_at(raw, 22),
            });
        }
    }
}

/// The label in a root directory, as blkid reads it.
pub fn label(bytes: &[u8]) -> Option<Vec<u8>> {
    let (entries, _) = bytes.as_chunks::<ENTRY_BYTES>();
    let is_label = |raw: &&[u8; ENTRY_BYTES]| {
        let is_empty = u16_at(&raw[..], 20) == 0 && u16_at(&raw[..], 26) == 0;
        let kind = raw[11] & (ATTRIBUTE_VOLUME | ATTRIBUTE_DIRECTORY);
        raw[11] & 0x3f != ATTRIBUTE_LONG && kind == ATTRIBUTE_VOLUME && raw[0] != FREE && is_empty
    };
    let raw = entries.iter().take_while(|raw| raw[0] != 0).find(is_label)?;
    let mut label = short_bytes(raw).to_vec();
    if label[0] == 0x05 {
        label[0] = FREE;
    }
    let end = label.iter().rposition(|byte| !matches!(byte, b' ' | 0)).map_or(0, |last| last + 1);
    label.truncate(end);
    (!label.is_empty()).then_some(label)
}

fn is_unused(raw: &[u8; ENTRY_BYTES]) -> bool {
    matches!(raw[0], 0 | FREE)
}

fn short_bytes(raw: &[u8; ENTRY_BYTES]) -> [u8; SHORT_BYTES] {
    array_at(raw, 0).expect("an entry is longer than a name")
}
