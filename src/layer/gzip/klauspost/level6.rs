//! Level 6: as level 5, with more places entered and a look for the distance of the match before.

use crate::layer::gzip::klauspost::history;
use crate::layer::gzip::klauspost::history::BLOCK_MIN;
use crate::layer::gzip::klauspost::history::History;
use crate::layer::gzip::klauspost::history::MARGIN;
use crate::layer::gzip::klauspost::history::Pair;
use crate::layer::gzip::klauspost::history::REACH;
use crate::layer::gzip::klauspost::history::hash4;
use crate::layer::gzip::klauspost::history::hash7;
use crate::layer::gzip::klauspost::history::load32;
use crate::layer::gzip::klauspost::history::load64;
use crate::layer::gzip::klauspost::history::match_len;
use crate::layer::gzip::klauspost::history::match_len_limited;
use crate::layer::gzip::klauspost::history::push;
use crate::layer::gzip::klauspost::tokens::LENGTH_MAX;
use crate::layer::gzip::klauspost::tokens::Tokens;

/// Without a match for this many bytes (as a power of two), every second place is looked at, ….
const SKIP_SHIFT: i32 = 7;

pub struct Level6 {
    history: History,
    short: Box<[i32; 1 << 15]>,
    long: Box<[Pair; 1 << 15]>,
}

impl Level6 {
    pub fn new() -> Level6 {
        Level6 { history: History::new(), short: history::table(), long: history::table() }
    }

    pub fn history(&mut self) -> &mut History {
        &mut self.history
    }

    pub fn find(&mut self, block: &[u8], tokens: &mut Tokens) {
        self.history.rebase([&mut self.short[..], self.long.as_flattened_mut()]);
        let Level6 { history, short, long } = self;
        let mut s = history.add(block);
        let (bytes, base) = (history.bytes(), history.base());
        let end = bytes.len() as i32 - MARGIN;
        let mut emitted = s;
        if block.len() < BLOCK_MIN {
            return;
        }
        let mut word = load64(bytes, s);
        let mut repeat = 1;
        'search: loop {
            let mut next = s;
            let mut len = 0;
            let mut t;
            loop {
                let (at_short, at_long) = (hash4(word), hash7(word));
                s = next;
                next = s + 1 + ((s - emitted) >> SKIP_SHIFT);
                if next > end {
                    break 'search;
                }
                let candidate = short[at_short];
                let [newest, older] = long[at_long];
                let next_word = load64(bytes, next);
                short[at_short] = s + base;
                push(&mut long[at_long], s + base);
                let (at_short, at_long) = (hash4(next_word), hash7(next_word));

                t = newest - base;
                if s - t < REACH {
                    if word as u32 == load32(bytes, t) {
                        short[at_short] = next + base;
                        push(&mut long[at_long], next + base);
                        let t2 = older - base;
                        if s - t2 < REACH && word as u32 == load32(bytes, t2) {
                            len = match_len_limited(bytes, s + 4, t + 4) + 4;
                            let len2 = match_len_limited(bytes, s + 4, t2 + 4) + 4;
                            if len2 > len {
                                (t, len) = (t2, len2);
                            }
                        }
                        break;
                    }
                    t = older - base;
                    if s - t < REACH && word as u32 == load32(bytes, t) {
                        short[at_short] = next + base;
                        push(&mut long[at_long], next + base);
                        break;
                    }
                }

                t = candidate - base;
                if s - t < REACH && word as u32 == load32(bytes, t) {
                    len = match_len_limited(bytes, s + 4, t + 4) + 4;
                    let [newest, older] = long[at_long];
                    short[at_short] = next + base;
                    push(&mut long[at_long], next + base);
                    let t2 = s - repeat + 1;
                    if load32(bytes, t2) == (word >> 8) as u32 {
                        let len2 = match_len_limited(bytes, s + 5, t2 + 4) + 4;
                        if len2 > len {
                            (s, t, len) = (s + 1, t2, len2);
                            break;
                        }
                    }
                    // A match from the next place on may be longer.
                    let t2 = newest - base;
                    if next - t2 < REACH {
                        if load32(bytes, t2) == next_word as u32 {
                            let len2 = match_len_limited(bytes, next + 4, t2 + 4) + 4;
                            if len2 > len {
                                (s, t, len) = (next, t2, len2);
                            }
                        }
                        let t2 = older - base;
                        if next - t2 < REACH && load32(bytes, t2) == next_word as u32 {
                            let len2 = match_len_limited(bytes, next + 4, t2 + 4) + 4;
                            if len2 > len {
                                (s, t, len) = (next, t2, len2);
                            }
                        }
                    }
                    break;
                }
                word = next_word;
            }

            if len == 0 {
                len = match_len(bytes, s + 4, t + 4) + 4;
            } else if len == LENGTH_MAX {
                len += match_len(bytes, s + len, t + len);
            }
            // What follows the match may be the end of a longer one, whose beginning need not match.
            let after = s + len;
            if after < end {
                const SKIPPED: i32 = 2;
                let [newest, older] = long[hash7(load64(bytes, after))];
                let s2 = s + SKIPPED;
                let t2 = newest - base - len + SKIPPED;
                let distance = s2 - t2;
                if distance < REACH {
                    if distance > 0 && t2 >= 0 {
                        let len2 = match_len(bytes, s2, t2);
                        if len2 > len {
                            (s, t, len) = (s2, t2, len2);
                        }
                    }
                    let t2 = older - base - len + SKIPPED;
                    let distance = s2 - t2;
                    if distance > 0 && distance < REACH && t2 >= 0 {
                        let len2 = match_len(bytes, s2, t2);
                        if len2 > len {
                            (s, t, len) = (s2, t2, len2);
                        }
                    }
                }
            }
            while t > 0 && s > emitted && bytes[(t - 1) as usize] == bytes[(s - 1) as usize] {
                (s, t, len) = (s - 1, t - 1, len + 1);
            }
            tokens.push_literals(&bytes[emitted as usize..s as usize]);
            tokens.push_match(len, s - t);
            repeat = s - t;
            s += len;
            emitted = s;
            if next >= s {
                s = next + 1;
            }
            if s >= end {
                let mut i = next + 1;
                while i < bytes.len() as i32 - 8 {
                    let word = load64(bytes, i);
                    short[hash4(word)] = i + base;
                    push(&mut long[hash7(word)], i + base);
                    i += 2;
                }
                break;
            }
            let mut i = next + 1;
            while i < s - 1 {
                let word = load64(bytes, i);
                short[hash4(word)] = i + base;
                push(&mut long[hash7(word)], i + base);
                push(&mut long[hash7(word >> 8)], i + 1 + base);
                i += 2;
            }
            word = load64(bytes, s);
        }
        tokens.push_rest(&bytes[emitted as usize..]);
    }
}
