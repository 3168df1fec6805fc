//! What levels 1 to 6 have in common: the bytes that a match may reach back to, and tables of where
//! a hash was last seen.
//!
//! A table holds places counted from long before: [`History::base`] is added, so that what is too
//! old is too far without being taken out. How far back the history reaches at a given place shows
//! in the output (a match is prolonged backwards to its first byte at most), so its size is part of
//! what the encoder is.

use crate::layer::gzip::matching::common_prefix;

/// A match reaches back less than this (in one rare case of levels 1 and 2, exactly this).
pub const REACH: i32 = 1 << 15;
/// The last bytes of a block are only ever literals, or the end of a match.
pub const MARGIN: i32 = 11;
/// A block that is shorter is entered nowhere.
pub const BLOCK_MIN: usize = 13;
/// A block is no longer.
pub const WINDOW_BYTES: usize = 65535;
const ROOM: usize = 5 * WINDOW_BYTES;
/// Places begin to be counted anew from here, for they must fit 31 bits.
const BASE_END: i32 = i32::MAX - (ROOM + WINDOW_BYTES) as i32;

pub struct History {
    bytes: Vec<u8>,
    base: i32,
}

impl History {
    pub fn new() -> History {
        History { bytes: Vec::with_capacity(ROOM), base: WINDOW_BYTES as i32 }
    }

    /// Forgets what was: all places get out of reach.
    pub fn clear(&mut self) {
        self.base += REACH + self.bytes.len() as i32;
        self.bytes.clear();
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What a place in a table has more than the place in [`History::bytes`].
    pub fn base(&self) -> i32 {
        self.base
    }

    /// Appends a block of at most [`WINDOW_BYTES`], and returns where it begins.
    pub fn add(&mut self, block: &[u8]) -> i32 {
        if self.bytes.len() + block.len() > ROOM {
            let gone = self.bytes.len() - REACH as usize;
            self.bytes.copy_within(gone.., 0);
            self.bytes.truncate(REACH as usize);
            self.base += gone as i32;
        }
        let start = self.bytes.len() as i32;
        self.bytes.extend_from_slice(block);
        start
    }

    /// Counts places anew if it is time to, for which every table must be given. To be called before
    /// a block is added.
    pub fn rebase(&mut self, tables: [&mut [i32]; 2]) {
        if self.base < BASE_END {
            return;
        }
        // What is within reach stays above zero; what gets there is beyond it from all that comes.
        let less = self.base - REACH;
        for place in tables.into_iter().flatten() {
            *place = (*place - less).max(0);
        }
        self.base = REACH;
    }

    #[cfg(test)]
    pub fn set_base(&mut self, base: i32) {
        self.base = base;
    }
}

/// Where hashes of `2^bits` values were last seen.
pub fn table<T: Copy + Default, const N: usize>() -> Box<[T; N]> {
    vec![T::default(); N].try_into().ok().expect("is as long as the array")
}

/// The newest place and the one before.
pub type Pair = [i32; 2];

#[inline(always)]
pub fn push(pair: &mut Pair, place: i32) {
    *pair = [place, pair[0]];
}

#[inline(always)]
pub fn load32(bytes: &[u8], at: i32) -> u32 {
    let at = at as u32 as usize;
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("is 4 bytes long"))
}

#[inline(always)]
pub fn load64(bytes: &[u8], at: i32) -> u64 {
    let at = at as u32 as usize;
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("is 8 bytes long"))
}

/// Hash of the lowest 4 bytes in 15 bits.
#[inline(always)]
pub fn hash4(value: u64) -> usize {
    ((value as u32).wrapping_mul(2_654_435_761) >> (32 - 15)) as usize
}

/// Hash of the lowest 5 bytes.
#[inline(always)]
pub fn hash5<const BITS: u32>(value: u64) -> usize {
    ((value << 24).wrapping_mul(889_523_592_379) >> (64 - BITS)) as usize
}

/// Hash of the lowest 7 bytes in 15 bits.
#[inline(always)]
pub fn hash7(value: u64) -> usize {
    ((value << 8).wrapping_mul(58_295_818_150_454_627) >> (64 - 15)) as usize
}

/// How many bytes from `at` on are as from `other` on, an earlier place, until the end.
#[inline(always)]
pub fn match_len(bytes: &[u8], at: i32, other: i32) -> i32 {
    let (at, other) = (at as u32 as usize, other as u32 as usize);
    common_prefix(&bytes[at..], &bytes[other..], bytes.len() - at) as i32
}

/// The same, but 254 at most.
#[inline(always)]
pub fn match_len_limited(bytes: &[u8], at: i32, other: i32) -> i32 {
    let (at, other) = (at as u32 as usize, other as u32 as usize);
    common_prefix(&bytes[at..], &bytes[other..], (bytes.len() - at).min(254)) as i32
}
