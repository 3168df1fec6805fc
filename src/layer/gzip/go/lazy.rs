//! Levels 2 to 9: hash chains, from level 4 on with a look at the next byte before a match is taken
//! (deflate.go).

use super::block::BlockWriter;
use super::token::Token;
use crate::layer::gzip::encoder::StreamEncoder;
use crate::layer::gzip::matching::common_prefix;

const WINDOW_BYTES: usize = 1 << 15;
const WINDOW_MASK: usize = WINDOW_BYTES - 1;
const MATCH_LENGTH_MIN: usize = 4;
const MATCH_LENGTH_MAX: usize = 258;
/// With fewer bytes ahead than these, more are asked for.
const AHEAD_BYTES: usize = MATCH_LENGTH_MIN + MATCH_LENGTH_MAX;
const BLOCK_TOKENS_MAX: usize = 1 << 14;
const HASH_BITS: u32 = 17;
const HASH_MASK: usize = (1 << HASH_BITS) - 1;
/// A match of the least length is not worth more distance than this.
const SHORT_MATCH_OFFSET_MAX: usize = 4096;
/// Positions are counted from here, so that zero means none; they start anew above the other.
const POSITION_START: usize = 1;
const POSITION_SHIFT_MAX: usize = 1 << 24;

struct Level {
    /// A match this long makes a look at the next byte needless.
    lazy: usize,
    /// A match this long ends the search.
    nice: usize,
    /// How many places are looked at.
    chain: usize,
    /// Levels 2 and 3: of a match longer than this only the start is remembered.
    insert_max: usize,
}

/// `insert_max` of the levels that look at the next byte: every place is remembered.
const INSERT_ALL: usize = usize::MAX;

#[rustfmt::skip]
const LEVELS: [Level; 8] = [
    Level { lazy: 0, nice: 16, chain: 8, insert_max: 5 },
    Level { lazy: 0, nice: 32, chain: 32, insert_max: 6 },
    Level { lazy: 4, nice: 16, chain: 16, insert_max: INSERT_ALL },
    Level { lazy: 16, nice: 32, chain: 32, insert_max: INSERT_ALL },
    Level { lazy: 16, nice: 128, chain: 128, insert_max: INSERT_ALL },
    Level { lazy: 32, nice: 128, chain: 256, insert_max: INSERT_ALL },
    Level { lazy: 128, nice: 258, chain: 1024, insert_max: INSERT_ALL },
    Level { lazy: 258, nice: 258, chain: 4096, insert_max: INSERT_ALL },
];

pub struct Lazy {
    writer: BlockWriter,
    level: &'static Level,
    window: Box<[u8; 2 * WINDOW_BYTES]>,
    window_end: usize,
    /// Where the tokens not yet written begin; `None` once that is out of the window.
    block_start: Option<usize>,
    chains: Chains,
    at: usize,
    /// The match before `at`, or less than the least length.
    length: usize,
    offset: usize,
    /// Whether the byte before `at` is still to be written.
    byte_pending: bool,
    tokens: Vec<Token>,
}

/// For each hash the last place that had it, and for each place the one before with the same.
struct Chains {
    head: Box<[u32; 1 << HASH_BITS]>,
    previous: Box<[u32; WINDOW_BYTES]>,
    /// What a place in the window is less than its position.
    shift: usize,
    /// The position found last, which stays when nothing is looked up.
    found: usize,
}

impl Lazy {
    /// `level` is 2 to 9.
    pub fn new(level: i8) -> Lazy {
        Lazy {
            writer: BlockWriter::new(),
            level: &LEVELS[usize::try_from(level).expect("2 to 9") - 2],
            window: boxed(),
            window_end: 0,
            block_start: Some(0),
            chains: Chains { head: boxed(), previous: boxed(), shift: POSITION_START, found: 0 },
            at: 0,
            length: MATCH_LENGTH_MIN - 1,
            offset: 0,
            byte_pending: false,
            tokens: Vec::with_capacity(BLOCK_TOKENS_MAX + 1),
        }
    }

    fn step(&mut self, last: bool, out: &mut Vec<u8>) {
        if self.level.insert_max == INSERT_ALL {
            self.deflate::<true>(last, out);
        } else {
            self.deflate::<false>(last, out);
        }
    }

    /// Takes bytes from the window as long as there are enough ahead, or all of them at the end.
    fn deflate<const LAZY: bool>(&mut self, last: bool, out: &mut Vec<u8>) {
        if self.window_end - self.at < AHEAD_BYTES && !last {
            return;
        }
        // A place needs four bytes to be remembered.
        let insert_end = self.window_end.saturating_sub(MATCH_LENGTH_MIN - 1);
        loop {
            let ahead = self.window_end - self.at;
            if ahead < AHEAD_BYTES {
                if !last {
                    return;
                }
                if ahead == 0 {
                    if self.byte_pending {
                        self.tokens.push(Token::literal(self.window[self.at - 1]));
                        self.byte_pending = false;
                    }
                    if !self.tokens.is_empty() {
                        self.write_block(self.at, out);
                    }
                    return;
                }
            }
            if self.at < insert_end {
                self.chains.found = self.chains.insert(&self.window, self.at);
            }
            let (previous_length, previous_offset) = (self.length, self.offset);
            (self.length, self.offset) = (MATCH_LENGTH_MIN - 1, 0);
            let wanted = if LAZY {
                ahead > previous_length && previous_length < self.level.lazy
            } else {
                ahead > MATCH_LENGTH_MIN - 1
            };
            let least = self.at.saturating_sub(WINDOW_BYTES);
            if let Some(from) = self.chains.place(self.chains.found).filter(|from| wanted && *from >= least) {
                self.find_match(from, ahead);
            }
            let take = if LAZY {
                previous_length >= MATCH_LENGTH_MIN && self.length <= previous_length
            } else {
                self.length >= MATCH_LENGTH_MIN
            };
            if take {
                let (length, offset) =
                    if LAZY { (previous_length, previous_offset) } else { (self.length, self.offset) };
                self.tokens.push(Token::of_match(length, offset));
                if self.length <= self.level.insert_max {
                    // The place of the match is in already, with LAZY the one after it too.
                    let end = if LAZY { self.at + length - 1 } else { self.at + length };
                    for at in self.at + 1..end.min(insert_end) {
                        self.chains.insert(&self.window, at);
                    }
                    self.at = end;
                    if LAZY {
                        self.byte_pending = false;
                        self.length = MATCH_LENGTH_MIN - 1;
                    }
                } else {
                    self.at += length;
                }
                if self.tokens.len() == BLOCK_TOKENS_MAX {
                    self.write_block(self.at, out);
                }
            } else {
                if !LAZY || self.byte_pending {
                    let at = if LAZY { self.at - 1 } else { self.at };
                    self.tokens.push(Token::literal(self.window[at]));
                    if self.tokens.len() == BLOCK_TOKENS_MAX {
                        self.write_block(at + 1, out);
                    }
                }
                self.at += 1;
                if LAZY {
                    self.byte_pending = true;
                }
            }
        }
    }

    /// Looks for the longest match of what stands at `at`, beginning with the place `from`.
    #[inline(always)]
    fn find_match(&mut self, mut from: usize, ahead: usize) {
        let at = self.at;
        let max = ahead.min(MATCH_LENGTH_MAX);
        let nice = max.min(self.level.nice);
        let window = &self.window[..at + max];
        let wanted = &window[at..];
        let least = at.checked_sub(WINDOW_BYTES);
        let mut length = MATCH_LENGTH_MIN - 1;
        let mut last_byte = wanted[length];
        for _ in 0..self.level.chain {
            if window[from + length] == last_byte {
                let found = common_prefix(&window[from..], wanted, max);
                if found > length && (found > MATCH_LENGTH_MIN || at - from <= SHORT_MATCH_OFFSET_MAX) {
                    length = found;
                    (self.length, self.offset) = (length, at - from);
                    if found >= nice {
                        break;
                    }
                    last_byte = wanted[found];
                }
            }
            if Some(from) == least {
                // What stands in `previous` for it is of the place a window later.
                break;
            }
            match self.chains.place(self.chains.previous[from & WINDOW_MASK] as usize) {
                Some(next) if next >= least.unwrap_or(0) => from = next,
                _ => break,
            }
        }
    }

    /// Writes the tokens, which reach up to `end`.
    fn write_block(&mut self, end: usize, out: &mut Vec<u8>) {
        self.tokens.push(Token::END_OF_BLOCK);
        let input = self.block_start.filter(|start| *start <= end).map(|start| &self.window[start..end]);
        self.block_start = Some(end);
        self.writer.write_block(&self.tokens, input, out);
        self.tokens.clear();
    }

    /// Makes room for more by leaving the older half of the window.
    fn shift_window(&mut self) {
        self.window.copy_within(WINDOW_BYTES.., 0);
        self.at -= WINDOW_BYTES;
        self.window_end -= WINDOW_BYTES;
        self.block_start = self.block_start.and_then(|start| start.checked_sub(WINDOW_BYTES));
        self.chains.shift_window();
    }
}

impl Chains {
    /// Remembers the place and returns the position before it with the same hash.
    #[inline(always)]
    fn insert(&mut self, window: &[u8; 2 * WINDOW_BYTES], place: usize) -> usize {
        let bytes = window[place..place + MATCH_LENGTH_MIN].try_into().expect("four bytes");
        let hash = u32::from_be_bytes(bytes).wrapping_mul(0x1e35_a7bd) >> (32 - HASH_BITS);
        let head = &mut self.head[hash as usize & HASH_MASK];
        let before = *head;
        self.previous[place & WINDOW_MASK] = before;
        *head = (place + self.shift) as u32;
        before as usize
    }

    /// The place in the window of a position, if it is there.
    #[inline(always)]
    fn place(&self, position: usize) -> Option<usize> {
        position.checked_sub(self.shift)
    }

    fn shift_window(&mut self) {
        self.shift += WINDOW_BYTES;
        if self.shift > POSITION_SHIFT_MAX {
            let delta = self.shift - 1;
            self.shift = 1;
            self.found = self.found.saturating_sub(delta);
            for position in self.head.iter_mut().chain(self.previous.iter_mut()) {
                *position = position.saturating_sub(delta as u32);
            }
        }
    }
}

impl StreamEncoder for Lazy {
    fn write(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) {
        while !bytes.is_empty() {
            if self.window_end == self.window.len() {
                self.step(false, out);
                self.shift_window();
            }
            let room = bytes.len().min(self.window.len() - self.window_end);
            self.window[self.window_end..self.window_end + room].copy_from_slice(&bytes[..room]);
            self.window_end += room;
            bytes = &bytes[room..];
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        self.step(true, out);
        self.writer.finish(out);
    }
}

fn boxed<T: Clone + Default, const LEN: usize>() -> Box<[T; LEN]> {
    vec![T::default(); LEN].into_boxed_slice().try_into().ok().expect("it was made with that length")
}
