//! Level 3: hashes of 5 bytes, two places each.

use crate::layer::gzip::klauspost::history;
use crate::layer::gzip::klauspost::history::BLOCK_MIN;
use crate::layer::gzip::klauspost::history::History;
use crate::layer::gzip::klauspost::history::MARGIN;
use crate::layer::gzip::klauspost::history::Pair;
use crate::layer::gzip::klauspost::history::REACH;
use crate::layer::gzip::klauspost::history::load32;
use crate::layer::gzip::klauspost::history::load64;
use crate::layer::gzip::klauspost::history::match_len;
use crate::layer::gzip::klauspost::history::push;
use crate::layer::gzip::klauspost::tokens::Tokens;

const SKIP_SHIFT: i32 = 7;
const TABLE_BITS: u32 = 16;
/// So that a match found here may be prolonged backwards.
const SAFE_REACH: i32 = REACH - 4;

pub struct Level3 {
    history: History,
    table: Box<[Pair; 1 << TABLE_BITS]>,
}

fn hash(word: u64) -> usize {
    history::hash5::<TABLE_BITS>(word)
}

impl Level3 {
    pub fn new() -> Level3 {
        Level3 { history: History::new(), table: history::table() }
    }

    pub fn history(&mut self) -> &mut History {
        &mut self.history
    }

    pub fn find(&mut self, block: &[u8], tokens: &mut Tokens) {
        self.history.rebase([self.table.as_flattened_mut(), &mut []]);
        let Level3 { history, table } = self;
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
                let at = hash(word);
                s = next;
                next = s + 1 + ((s - emitted) >> SKIP_SHIFT);
                if next > end {
                    break 'search;
                }
                let [newest, older] = table[at];
                let next_word = load64(bytes, next);
                let farthest = s - SAFE_REACH;
                push(&mut table[at], s + base);
                t = newest - base;
                let t2 = older - base;
                if t >= farthest {
                    if word as u32 == load32(bytes, t) {
                        if t2 >= farthest
                            && word as u32 == load32(bytes, t2)
                            && match_len(bytes, s + 4, t2 + 4) > match_len(bytes, s + 4, t + 4)
                        {
                            t = t2;
                        }
                        break;
                    }
                    t = t2;
                    if t > farthest && word as u32 == load32(bytes, t) {
                        break;
                    }
                }
                word = next_word;
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
                    t += len;
                    if t + 8 < bytes.len() as i32 && t > 0 {
                        push(&mut table[hash(load64(bytes, t))], t + base);
                    }
                    break 'search;
                }
                let mut i = s - len + 2;
                while i < s - 5 {
                    push(&mut table[hash(load64(bytes, i))], i + base);
                    i += 6;
                }
                let before = load64(bytes, s - 2);
                push(&mut table[hash(before)], s - 2 + base);
                push(&mut table[hash(before >> 8)], s - 1 + base);
                let here = before >> 16;
                let at = hash(here);
                let [newest, older] = table[at];
                push(&mut table[at], s + base);
                let farthest = s - SAFE_REACH;
                t = newest - base;
                if t > farthest {
                    if here as u32 == load32(bytes, t) {
                        continue;
                    }
                    t = older - base;
                    if t > farthest && here as u32 == load32(bytes, t) {
                        continue;
                    }
                }
                word = here >> 8;
                s += 1;
                break;
            }
        }
        tokens.push_rest(&bytes[emitted as usize..]);
    }
}
