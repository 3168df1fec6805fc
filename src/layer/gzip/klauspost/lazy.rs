//! Levels 7 to 9: chains of all places with a hash, and a match is only taken when the next place
//! has no longer one.

use crate::layer::gzip::go::huffman::Codes;
use crate::layer::gzip::klauspost::block::BlockWriter;
use crate::layer::gzip::klauspost::history;
use crate::layer::gzip::klauspost::tokens::LENGTH_MAX;
use crate::layer::gzip::klauspost::tokens::Tokens;
use crate::layer::gzip::klauspost::variant;
use crate::layer::gzip::klauspost::variant::Variant;
use crate::layer::gzip::matching::common_prefix;
use crate::layer::gzip::symbols::CODE_BITS_MAX;
use crate::layer::gzip::symbols::LENGTH_EXTRA_BITS;
use crate::layer::gzip::symbols::OFFSET_EXTRA_BITS;
use crate::layer::gzip::symbols::length_code;
use crate::layer::gzip::symbols::offset_code;

const REACH: i32 = 1 << 15;
const WINDOW_BYTES: usize = 2 * REACH as usize;
/// Matches are no shorter.
const MATCH_MIN: i32 = 4;
/// A search needs so many bytes ahead, unless no more come.
const AHEAD: i32 = MATCH_MIN + LENGTH_MAX;
const BLOCK_TOKENS: usize = 1 << 15;
const HASH_BITS: u32 = 17;
/// Places are counted anew when they get so large.
const OFFSET_END: i32 = 1 << 28;

/// How hard a level tries.
#[derive(Clone, Copy)]
struct Effort {
    /// No further search when a match is so long.
    lazy: i32,
    /// No search goes on when a match is so long.
    nice: i32,
    /// So many places are looked at.
    chain: i32,
    /// A match is weighed by the bits it saves, not by its length.
    weighs: bool,
}

const EFFORTS: [Effort; 3] = [
    Effort { lazy: 12, nice: 16, chain: 24, weighs: false },
    Effort { lazy: 30, nice: 40, chain: 64, weighs: false },
    Effort { lazy: 258, nice: 258, chain: 1024, weighs: true },
];

pub struct LazySearch {
    variant: variant::Lazy,
    effort: Effort,
    /// Where a hash was last seen, plus `offset`; and for that place where before.
    heads: Box<[u32; 1 << HASH_BITS]>,
    chains: Box<[u32; REACH as usize]>,
    offset: i32,
    window: Box<[u8; WINDOW_BYTES]>,
    filled: i32,
    /// What is not yet looked at begins here.
    at: i32,
    /// Where the tokens' bytes begin in the window, if they still are in it.
    block_start: Option<i32>,
    /// The match that waits whether the next is longer.
    length: i32,
    distance: i32,
    /// Newest place with the hash of the place looked at, plus `offset`.
    head: i32,
    /// The byte before `at` waits to be a literal.
    literal_waits: bool,
    /// Literals since the last match.
    literals: u16,
    insert_end: i32,
    tokens: Tokens,
    literal_codes: Codes<256>,
}

impl LazySearch {
    /// For level 7, 8 or 9.
    pub fn new(level: usize, variant: Variant) -> LazySearch {
        LazySearch {
            variant: variant.lazy,
            effort: EFFORTS[level - 7],
            heads: history::table(),
            chains: history::table(),
            offset: 1,
            window: history::table(),
            filled: 0,
            at: 0,
            block_start: Some(0),
            length: MATCH_MIN - 1,
            distance: 0,
            head: -1,
            literal_waits: false,
            literals: 0,
            insert_end: 0,
            tokens: Tokens::default(),
            literal_codes: Codes::new(),
        }
    }

    pub fn clear(&mut self) {
        self.heads.fill(0);
        self.chains.fill(0);
        (self.offset, self.filled, self.at) = (1, 0, 0);
        self.block_start = Some(0);
        (self.length, self.distance, self.head) = (MATCH_MIN - 1, 0, -1);
        (self.literal_waits, self.literals, self.insert_end) = (false, 0, 0);
        self.tokens.clear();
    }

    /// Enters what came before into the tables; for after a `clear` only.
    pub fn dictionary(&mut self, bytes: &[u8]) {
        let bytes = &bytes[bytes.len().saturating_sub(REACH as usize)..];
        self.window[..bytes.len()].copy_from_slice(bytes);
        self.filled = bytes.len() as i32;
        self.at = self.filled;
        self.insert(0, self.filled - MATCH_MIN + 1);
    }

    pub fn is_full(&self) -> bool {
        self.filled as usize == WINDOW_BYTES
    }

    /// Takes as many bytes as there is room for, and returns how many.
    pub fn fill(&mut self, bytes: &[u8]) -> usize {
        if self.at >= WINDOW_BYTES as i32 - AHEAD {
            self.window.copy_within(REACH as usize.., 0);
            self.at -= REACH;
            self.filled -= REACH;
            self.block_start = self.block_start.filter(|start| *start >= REACH).map(|start| start - REACH);
            self.offset += REACH;
            if self.offset > OFFSET_END {
                let less = self.offset - 1;
                self.offset -= less;
                self.head -= less;
                for place in self.heads.iter_mut().chain(self.chains.iter_mut()) {
                    *place = place.saturating_sub(less as u32);
                }
            }
        }
        let taken = bytes.len().min(WINDOW_BYTES - self.filled as usize);
        self.window[self.filled as usize..][..taken].copy_from_slice(&bytes[..taken]);
        self.filled += taken as i32;
        taken
    }

    fn hash(&self, at: i32) -> usize {
        (history::load32(&self.window[..], at).wrapping_mul(2_654_435_761) >> (32 - HASH_BITS)) as usize
    }

    /// Enters a place, and returns the one with the same hash that was newest.
    fn enter(&mut self, at: i32) -> u32 {
        let hash = self.hash(at);
        let before = std::mem::replace(&mut self.heads[hash], (at + self.offset) as u32);
        self.chains[at as usize & (REACH as usize - 1)] = before;
        before
    }

    fn insert(&mut self, from: i32, end: i32) {
        for at in from..end {
            self.enter(at);
        }
    }

    fn enter_as_head(&mut self) {
        if self.at < self.insert_end {
            self.head = self.enter(self.at) as i32;
        }
    }

    /// Writes the block if it has as many tokens as a block may.
    fn write_if_full(&mut self, to: &mut BlockWriter, sync: bool) {
        if self.tokens.list().len() == BLOCK_TOKENS {
            self.write_block(to, sync);
        }
    }

    fn write_block(&mut self, to: &mut BlockWriter, sync: bool) {
        let (at, window) = (self.at, &self.window);
        if at > 0 {
            let start = self.block_start.filter(|start| *start <= at);
            let input = start.map(|start| &window[start as usize..at as usize]);
            to.dynamic(&mut self.tokens, input, sync);
            self.block_start = Some(at);
        }
        self.tokens.clear();
    }

    fn literal_before(&mut self, to: &mut BlockWriter, sync: bool) {
        self.tokens.push_literal(self.window[self.at as usize - 1]);
        self.write_if_full(to, sync);
    }

    /// Goes through the window: all of it if no more will come (`sync`), else until few bytes are left.
    pub fn search(&mut self, to: &mut BlockWriter, sync: bool) {
        if self.filled - self.at < AHEAD && !sync {
            return;
        }
        if self.filled != self.at && self.effort.weighs {
            self.count_literals();
        }
        self.insert_end = self.filled - (MATCH_MIN - 1);
        loop {
            let ahead = self.filled - self.at;
            if ahead < AHEAD && !sync {
                return;
            }
            if ahead == 0 {
                if self.literal_waits {
                    self.tokens.push_literal(self.window[self.at as usize - 1]);
                    self.literal_waits = false;
                }
                if !self.tokens.list().is_empty() {
                    self.write_block(to, sync);
                }
                return;
            }
            self.enter_as_head();
            let (before, before_distance) = (self.length, self.distance);
            (self.length, self.distance) = (MATCH_MIN - 1, 0);
            let head = self.head - self.offset;
            if head >= (self.at - REACH).max(0) && ahead > before && before < self.effort.lazy {
                self.find(head, ahead);
            }
            if before >= MATCH_MIN && self.length <= before {
                self.take(before, before_distance, ahead, to, sync);
            } else {
                self.wait(to, sync);
            }
        }
    }

    /// Takes the match that waited, for the one here is not longer.
    fn take(&mut self, length: i32, distance: i32, ahead: i32, to: &mut BlockWriter, sync: bool) {
        let (length, distance) = match self.variant {
            variant::Lazy::V1_15_11 => self.better_end_before_v1_15_15(length, distance, ahead),
            _ => self.better_end(length, distance, ahead, to, sync),
        };
        self.tokens.push_match(length, distance);
        let next = self.at + length - 1;
        self.insert((self.at + 1).min(self.insert_end), next.min(self.insert_end));
        self.at = next;
        self.literal_waits = false;
        self.length = MATCH_MIN - 1;
        self.write_if_full(to, sync);
        self.literals = 0;
    }

    /// Leaves the match here, if there is one, to wait; the byte before is a literal.
    fn wait(&mut self, to: &mut BlockWriter, sync: bool) {
        if self.length >= MATCH_MIN {
            self.literals = 0;
        }
        if !self.literal_waits {
            self.at += 1;
            self.literal_waits = true;
            return;
        }
        self.literals = self.literals.wrapping_add(1);
        self.literal_before(to, sync);
        self.at += 1;
        let many = i32::from(self.literals) - self.effort.chain;
        if many <= 0 {
            return;
        }
        // After many literals, some places are not searched.
        for _ in 0..1 + (many >> 6) {
            if self.at >= self.filled - 1 {
                break;
            }
            self.literal_before(to, sync);
            self.enter_as_head();
            self.at += 1;
        }
        self.tokens.push_literal(self.window[self.at as usize - 1]);
        self.literal_waits = false;
        self.write_if_full(to, sync);
    }

    /// Makes codes for the literals ahead, to weigh matches by. Counts wrap, as the original's do.
    fn count_literals(&mut self) {
        let mut ahead = &self.window[self.at as usize..self.filled as usize];
        if self.variant >= variant::Lazy::V1_18_2 {
            ahead = &ahead[..ahead.len().min(BLOCK_TOKENS)];
        }
        let mut counts = [0_u16; 256];
        for byte in ahead {
            counts[usize::from(*byte)] = counts[usize::from(*byte)].wrapping_add(1);
        }
        self.literal_codes.generate(&counts.map(i32::from), CODE_BITS_MAX);
    }

    /// The bits that a match saves.
    fn gain(&self, at: i32, length: i32, distance: i32, base_cost: i32) -> i32 {
        let least = u8::from(self.variant == variant::Lazy::Go1_27);
        let bytes = &self.window[at as usize..(at + length) as usize];
        let codes = &self.literal_codes.codes;
        let literals: i32 =
            bytes.iter().map(|byte| i32::from(codes[usize::from(*byte)].len.max(least))).sum();
        // As the original does: the distance is not lessened by one first, and the farthest, 32,768,
        // wraps to the first of the codes for 256 and more.
        let offset = match distance {
            REACH => OFFSET_EXTRA_BITS[14],
            _ => OFFSET_EXTRA_BITS[offset_code(distance as u32)],
        };
        literals
            - i32::from(offset)
            - base_cost
            - i32::from(LENGTH_EXTRA_BITS[length_code((length - 3) as u8)])
    }

    /// Whether the bytes ahead cost nothing as literals, so that no match can save anything. So it was
    /// before v1.18.2 for 64 KiB of one byte, whose count wraps: the search would be in vain, and long.
    fn weighs_nothing(&self, at: i32, look: i32) -> bool {
        let mut bytes = self.window[at as usize..(at + look) as usize].iter();
        self.variant != variant::Lazy::Go1_27
            && bytes.all(|byte| self.literal_codes.codes[usize::from(*byte)].len == 0)
    }

    fn common_len(&self, at: i32, other: i32, max: i32) -> i32 {
        let window = &self.window[..];
        common_prefix(&window[at as usize..], &window[other as usize..], max as usize) as i32
    }

    /// Looks along the chain for the longest match, or the one that saves most.
    fn find(&mut self, head: i32, ahead: i32) {
        let (base_cost, mut least_gain) = match self.variant {
            variant::Lazy::V1_15_11 => (6, 0),
            _ => (3, 4),
        };
        let (at, look) = (self.at, ahead.min(LENGTH_MAX));
        let nice = self.effort.nice.min(look);
        if self.effort.weighs && self.weighs_nothing(at, look) {
            return;
        }
        let nearest = (at - REACH).max(0);
        let (mut length, mut distance) = (MATCH_MIN - 1, 0);
        let mut place = head;
        for _ in 0..self.effort.chain {
            if self.window[(place + length) as usize] == self.window[(at + length) as usize] {
                let found = self.common_len(at, place, look);
                let mut better = found > length;
                if better && self.effort.weighs {
                    let gain = self.gain(at, found, at - place, base_cost);
                    better = gain > least_gain;
                    least_gain = least_gain.max(gain);
                }
                if better {
                    (length, distance) = (found, at - place);
                    if found >= nice {
                        break;
                    }
                }
            }
            if place <= nearest {
                break;
            }
            place = self.chains[place as usize & (REACH as usize - 1)] as i32 - self.offset;
            if place < nearest {
                break;
            }
        }
        if distance > 0 {
            (self.length, self.distance) = (length, distance);
        }
    }

    /// The end of the match that waited may be the end of a longer one. Up to two bytes of it that
    /// do not match become literals.
    fn better_end(
        &mut self,
        length: i32,
        distance: i32,
        ahead: i32,
        to: &mut BlockWriter,
        sync: bool,
    ) -> (i32, i32) {
        const SKIPPED: i32 = 2;
        let start = self.at - 1;
        if length >= LENGTH_MAX - SKIPPED || start + length >= self.insert_end {
            return (length, distance);
        }
        let end = ahead.min(LENGTH_MAX + SKIPPED) + start;
        let other = self.heads[self.hash(start + length)] as i32 - self.offset - length;
        if start - other == distance || other <= (self.at - REACH).max(0) + SKIPPED {
            return (length, distance);
        }
        let mut found = self.common_len(start + SKIPPED, other + SKIPPED, end - start - SKIPPED);
        if found <= length {
            return (length, distance);
        }
        for i in (0..SKIPPED).rev() {
            if found < LENGTH_MAX && self.window[(start + i) as usize] == self.window[(other + i) as usize] {
                found += 1;
                continue;
            }
            for literal in start..=start + i {
                self.tokens.push_literal(self.window[literal as usize]);
                self.write_if_full(to, sync);
                self.at += 1;
                self.enter_as_head();
            }
            break;
        }
        (found, start - other)
    }

    /// As it was: from the match's start on.
    fn better_end_before_v1_15_15(&self, length: i32, distance: i32, ahead: i32) -> (i32, i32) {
        let start = self.at - 1;
        if start + length + 2 >= self.insert_end {
            return (length, distance);
        }
        let end = ahead.min(LENGTH_MAX) + start;
        let other = self.heads[self.hash(start + length - 2)] as i32 - self.offset - length + 2;
        if other > (self.at - REACH).max(0) {
            let found = self.common_len(start, other, end - start);
            if found > length {
                return (found, start - other);
            }
        }
        (length, distance)
    }
}
