//! Level 4: hashes of 4 bytes and of 7, one place each.

use crate::layer::gzip::klauspost::history;
use crate::layer::gzip::klauspost::history::BLOCK_MIN;
use crate::layer::gzip::klauspost::history::History;
use crate::layer::gzip::klauspost::history::MARGIN;
use crate::layer::gzip::klauspost::history::REACH;
use crate::layer::gzip::klauspost::history::hash4;
use crate::layer::gzip::klauspost::history::hash7;
use crate::layer::gzip::klauspost::history::load32;
use crate::layer::gzip::klauspost::history::load64;
use crate::layer::gzip::klauspost::history::match_len;
use crate::layer::gzip::klauspost::tokens::Tokens;

const SKIP_SHIFT: i32 = 6;

pub struct Level4 {
    history: History,
    short: Box<[i32; 1 << 15]>,
    long: Box<[i32; 1 << 15]>,
    /// See [`Variant::level4_slips`](crate::layer::gzip::klauspost::variant::Variant::level4_slips).
    slips: bool,
}

impl Level4 {
    pub fn new(slips: bool) -> Level4 {
        Level4 { history: History::new(), short: history::table(), long: history::table(), slips }
    }

    pub fn history(&mut self) -> &mut History {
        &mut self.history
    }

    pub fn find(&mut self, block: &[u8], tokens: &mut Tokens) {
        self.history.rebase([&mut self.short[..], &mut self.long[..]]);
        let Level4 { history, short, long, slips } = self;
        let mut s = history.add(block);
        let (bytes, base) = (history.bytes(), history.base());
        let end = bytes.len() as i32 - MARGIN;
        let mut emitted = s;
        if block.len() < BLOCK_MIN {
            return;
        }
        let mut word = load64(bytes, s);
        'search: loop {
            let mut next = s;
            let mut t;
            loop {
                let (at_short, at_long) = (hash4(word), hash7(word));
                s = next;
                next = s + 1 + ((s - emitted) >> SKIP_SHIFT);
                if next > end {
                    break 'search;
                }
                let (candidate, long_candidate) = (short[at_short], long[at_long]);
                let next_word = load64(bytes, next);
                short[at_short] = s + base;
                long[at_long] = s + base;
                t = long_candidate - base;
                if s - t < REACH && word as u32 == load32(bytes, t) {
                    break;
                }
                t = candidate - base;
                if s - t < REACH && word as u32 == load32(bytes, t) {
                    // A match from the next place on may be longer.
                    let t2 = long[hash7(next_word)] - base;
                    if next - t2 < REACH && load32(bytes, t2) == next_word as u32 {
                        let compared = if *slips { next - t2 } else { t2 };
                        let len2 = match_len(bytes, next + 4, compared + 4);
                        if len2 > match_len(bytes, s + 4, t + 4) {
                            (s, t) = (next, t2);
                        }
                    }
                    break;
                }
                word = next_word;
            }

            let mut len = match_len(bytes, s + 4, t + 4) + 4;
            while t > 0 && s > emitted && bytes[(t - 1) as usize] == bytes[(s - 1) as usize] {
                (s, t, len) = (s - 1, t - 1, len + 1);
            }
            tokens.push_literals(&bytes[emitted as usize..s as usize]);
            tokens.push_match(len, s - t);
            s += len;
            emitted = s;
            if next >= s {
                s = next + 1;
            }
            if s >= end {
                if s + 8 < bytes.len() as i32 {
                    let word = load64(bytes, s);
                    short[hash4(word)] = s + base;
                    long[hash7(word)] = s + base;
                }
                break;
            }
            let mut i = next;
            while i < s - 1 {
                let word = load64(bytes, i);
                long[hash7(word)] = i + base;
                long[hash7(word >> 8)] = i + 1 + base;
                short[hash4(word >> 8)] = i + 1 + base;
                i += 3;
            }
            let before = load64(bytes, s - 1);
            short[hash4(before)] = s - 1 + base;
            long[hash7(before)] = s - 1 + base;
            word = before >> 8;
        }
        tokens.push_rest(&bytes[emitted as usize..]);
    }
}
