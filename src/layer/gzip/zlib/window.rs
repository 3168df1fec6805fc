//! The window of the last 32 KiB and more, and the hash chains over it (deflate.c).

use super::Flavour;
use crate::layer::gzip::matching::common_prefix;

/// How far apart bytes may be; the window holds twice as many.
pub const WINDOW_BYTES: usize = 1 << 15;
const WINDOW_MASK: usize = WINDOW_BYTES - 1;
pub const MATCH_MIN: usize = 3;
pub const MATCH_MAX: usize = 258;
/// With fewer bytes ahead, more are asked for.
pub const AHEAD_MIN: usize = MATCH_MAX + MATCH_MIN + 1;
pub const DISTANCE_MAX: usize = WINDOW_BYTES - AHEAD_MIN;
/// From here on the older half of the window is left.
const SLIDE_AT: usize = WINDOW_BYTES + DISTANCE_MAX;
const HASH_BITS: usize = 15;
const HASH_SHIFT: usize = HASH_BITS.div_ceil(MATCH_MIN);
/// Beyond the window, so that no index of a `u16` and a length is out of bounds.
const SPARE_BYTES: usize = 1024;

pub struct Window {
    bytes: Box<[u8; 2 * WINDOW_BYTES + SPARE_BYTES]>,
    /// For each hash the last place that had it; place 0 stands for none.
    head: Box<[u16; 1 << HASH_BITS]>,
    /// For each place the one before it with the same hash.
    previous: Box<[u16; WINDOW_BYTES]>,
    /// What is to be looked at next, and how many bytes from there on are in the window.
    pub at: usize,
    pub ahead: usize,
    /// Where the block begins; negative once that is out of the window.
    pub block_start: isize,
    /// Bytes before `at` that are not in the chains yet: they had too few after them.
    pub uninserted: usize,
}

impl Window {
    pub fn new() -> Window {
        Window {
            bytes: boxed(),
            head: boxed(),
            previous: boxed(),
            at: 0,
            ahead: 0,
            block_start: 0,
            uninserted: 0,
        }
    }

    /// Forgets what a stream before left.
    pub fn reset(&mut self) {
        self.head.fill(0);
        (self.at, self.ahead, self.block_start, self.uninserted) = (0, 0, 0, 0);
    }

    /// Leaves the older half if it is not needed any more; how far places have moved.
    pub fn slide(&mut self) -> usize {
        if self.at < SLIDE_AT {
            return 0;
        }
        self.bytes.copy_within(WINDOW_BYTES..2 * WINDOW_BYTES, 0);
        self.at -= WINDOW_BYTES;
        self.block_start -= WINDOW_BYTES as isize;
        self.uninserted = self.uninserted.min(self.at);
        for place in self.head.iter_mut().chain(self.previous.iter_mut()) {
            *place = place.saturating_sub(WINDOW_BYTES as u16);
        }
        WINDOW_BYTES
    }

    /// Takes as many of `bytes` as there is room for.
    pub fn fill<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let end = self.at + self.ahead;
        let (taken, left) = bytes.split_at(bytes.len().min(2 * WINDOW_BYTES - end));
        self.bytes[end..end + taken.len()].copy_from_slice(taken);
        self.ahead += taken.len();
        self.insert_late();
        left
    }

    pub fn has_room(&self) -> bool {
        self.at + self.ahead < 2 * WINDOW_BYTES
    }

    /// What GNU gzip does at the end of the input.
    pub fn clear_two_after_end(&mut self) {
        let end = self.at + self.ahead;
        self.bytes[end..end + MATCH_MIN - 1].fill(0);
    }

    /// Begins with what stands before the first byte.
    pub fn set_dictionary(&mut self, dictionary: &[u8]) {
        let dictionary = &dictionary[dictionary.len().saturating_sub(WINDOW_BYTES)..];
        self.bytes[..dictionary.len()].copy_from_slice(dictionary);
        let inserted = dictionary.len().saturating_sub(MATCH_MIN - 1);
        for place in 0..inserted {
            self.insert(place);
        }
        self.at = dictionary.len();
        self.block_start = self.at as isize;
        self.uninserted = dictionary.len() - inserted;
    }

    fn insert_late(&mut self) {
        while self.uninserted > 0 && self.ahead + self.uninserted >= MATCH_MIN {
            self.insert(self.at - self.uninserted);
            self.uninserted -= 1;
        }
    }

    #[inline(always)]
    pub fn byte(&self, place: usize) -> u8 {
        self.bytes[place]
    }

    /// The block's bytes, as long as they are in the window.
    pub fn block(&self) -> Option<&[u8]> {
        usize::try_from(self.block_start).ok().map(|start| &self.bytes[start..self.at])
    }

    pub fn block_len(&self) -> usize {
        (self.at as isize - self.block_start) as usize
    }

    /// Puts a place, which is less than 64 Ki, into its chain; returns the one before, or 0.
    #[inline(always)]
    pub fn insert(&mut self, place: usize) -> usize {
        let [a, b, c] = self.bytes[place..place + MATCH_MIN] else { unreachable!("three bytes") };
        let hash = usize::from(a) << (2 * HASH_SHIFT) ^ usize::from(b) << HASH_SHIFT ^ usize::from(c);
        let head = &mut self.head[hash & ((1 << HASH_BITS) - 1)];
        let before = *head;
        self.previous[place & WINDOW_MASK] = before;
        *head = place as u16;
        usize::from(before)
    }

    /// Looks from `from` backwards for a longer match than `best` of what stands at `at`: its place
    /// and length, which is `best` at least, and no longer than what is ahead.
    #[inline(always)]
    pub fn longest_match(&self, from: usize, best: usize, place: usize, search: &Search) -> (usize, usize) {
        let at = self.at;
        let bytes = &*self.bytes;
        let (mut place, mut length) = (place, best);
        let mut tries = if best >= search.good { search.chain >> 2 } else { search.chain };
        let nice = if search.stops_at_end { search.nice.min(self.ahead) } else { search.nice };
        let least = at.saturating_sub(DISTANCE_MAX) as u16;
        let wanted: &[u8; MATCH_MAX] = bytes[at..at + MATCH_MAX].try_into().expect("that many");
        let mut from = from as u16;
        let mut end = End::of(bytes, at, length);
        loop {
            if end.is_at(bytes, from) {
                let there = usize::from(from);
                let found = common_prefix(&bytes[there..there + MATCH_MAX], wanted, MATCH_MAX);
                if found > length {
                    (place, length) = (there, found);
                    if length >= nice {
                        break;
                    }
                    end = End::of(bytes, at, length);
                }
            }
            from = self.previous[usize::from(from) & WINDOW_MASK];
            tries -= 1;
            if from <= least || tries == 0 {
                break;
            }
        }
        (place, length.min(self.ahead))
    }
}

/// How hard matches are searched for.
pub struct Search {
    /// With a match this long only a quarter of the places are looked at.
    pub good: usize,
    /// A match this long ends the search.
    pub nice: usize,
    /// How many places are looked at.
    pub chain: usize,
    /// Whether a match that reaches the end of the input ends it too.
    pub stops_at_end: bool,
}

impl Search {
    pub fn new(good: usize, nice: usize, chain: usize, flavour: Flavour) -> Search {
        Search { good, nice, chain, stops_at_end: flavour == Flavour::Zlib }
    }
}

/// The last bytes that a match must have to be longer than one found: up to eight, the one after it
/// the last of them. Most places are out by them alone.
struct End {
    bytes: u64,
    mask: u64,
    /// From the start of the match.
    at: usize,
}

impl End {
    #[inline(always)]
    fn of(bytes: &[u8; 2 * WINDOW_BYTES + SPARE_BYTES], place: usize, length: usize) -> End {
        let at = length.saturating_sub(7) & (SPARE_BYTES / 2 - 1);
        let mask = u64::MAX >> (56_usize.saturating_sub(8 * length));
        End { bytes: eight(bytes, place + at) & mask, mask, at }
    }

    /// `place` is a `u16` and `at` small, so that neither needs a check of bounds.
    #[inline(always)]
    fn is_at(&self, bytes: &[u8; 2 * WINDOW_BYTES + SPARE_BYTES], place: u16) -> bool {
        eight(bytes, usize::from(place) + self.at) & self.mask == self.bytes
    }
}

#[inline(always)]
fn eight(bytes: &[u8; 2 * WINDOW_BYTES + SPARE_BYTES], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

fn boxed<T: Clone + Default, const LEN: usize>() -> Box<[T; LEN]> {
    vec![T::default(); LEN].into_boxed_slice().try_into().ok().expect("it was made with that length")
}
