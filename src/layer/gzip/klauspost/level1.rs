//! Level 1: hashes of 5 bytes, one place each, every second place looked at.

use crate::layer::gzip::klauspost::history;
use crate::layer::gzip::klauspost::history::BLOCK_MIN;
use crate::layer::gzip::klauspost::history::History;
use crate::layer::gzip::klauspost::history::MARGIN;
use crate::layer::gzip::klauspost::history::REACH;
use crate::layer::gzip::klauspost::history::load32;
use crate::layer::gzip::klauspost::history::load64;
use crate::layer::gzip::klauspost::history::match_len;
use crate::layer::gzip::klauspost::tokens::Tokens;

const SKIP_SHIFT: i32 = 5;
const TABLE_BITS: u32 = 15;

pub struct Level1 {
    history: History,
    table: Box<[i32; 1 << TABLE_BITS]>,
}

fn hash(word: u64) -> usize {
    history::hash5::<TABLE_BITS>(word)
}

impl Level1 {
    pub fn new() -> Level1 {
        Level1 { history: History::new(), table: history::table() }
    }

    pub fn history(&mut self) -> &mut History {
        &mut self.history
    }

    pub fn find(&mut self, block: &[u8], tokens: &mut Tokens) {
        self.history.rebase([&mut self.table[..], &mut []]);
        let Level1 { history, table } = self;
        let mut s = history.add(block);
        let (bytes, base) = (history.bytes(), history.base());
        let end = bytes.len() as i32 - MARGIN;
        let mut emitted = s;
        if block.len() < BLOCK_MIN {
            return;
        }
        let mut word = load64(bytes, s);
        'search: loop {
            let mut next;
            let mut t;
            loop {
                let at = hash(word);
                t = table[at] - base;
                next = s + 2 + ((s - emitted) >> SKIP_SHIFT);
                if next > end {
                    break 'search;
                }
                let next_word = load64(bytes, next);
                table[at] = s + base;
                let at = hash(next_word);
                if s - t < REACH && word as u32 == load32(bytes, t) {
                    table[at] = next + base;
                    break;
                }
                // And once more right away.
                word = next_word;
                s = next;
                next += 1;
                t = table[at] - base;
                let next_word = next_word >> 8;
                table[at] = s + base;
                if s - t < REACH && word as u32 == load32(bytes, t) {
                    // The original enters this place for the same hash, not for its own.
                    table[at] = next + base;
                    break;
                }
                word = next_word;
                s = next;
            }
            loop {
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
                    if s + len + 8 < bytes.len() as i32 {
                        table[hash(load64(bytes, s))] = s + base;
                    }
                    break 'search;
                }
                let before = load64(bytes, s - 2);
                table[hash(before)] = s - 2 + base;
                let here = before >> 16;
                let at = hash(here);
                t = table[at] - base;
                table[at] = s + base;
                if s - t > REACH || here as u32 != load32(bytes, t) {
                    word = here >> 8;
                    s += 1;
                    break;
                }
            }
        }
        tokens.push_rest(&bytes[emitted as usize..]);
    }
}
