//! Level 1: a hash table with one entry a hash, as Snappy has it (deflatefast.go).

use super::block::BlockWriter;
use super::block::STORED_BYTES_MAX;
use super::token::Token;
use crate::layer::gzip::encoder::StreamEncoder;
use crate::layer::gzip::matching::common_prefix;

const TABLE_BITS: u32 = 14;
const TABLE_MASK: usize = (1 << TABLE_BITS) - 1;
/// The original keeps a table's positions in an `i32`; it starts them anew when they come near its end.
const POSITION_RESET: i32 = i32::MAX - 2 * STORED_BYTES_MAX as i32;
const MATCH_OFFSET_MAX: i32 = 1 << 15;
const MATCH_LENGTH_MAX: usize = 258;
/// So many bytes at the end of a block are not looked at.
const INPUT_MARGIN: usize = 16 - 1;
const BLOCK_WITH_MATCHES_BYTES_MIN: usize = 1 + 1 + INPUT_MARGIN;
/// A last block of fewer bytes is not searched, one of up to 16 not even coded.
const SMALL_BYTES: usize = 128;
const STORED_SMALL_BYTES: usize = 16;

#[derive(Clone, Copy, Default)]
struct Entry {
    value: u32,
    position: i32,
}

pub struct Fast {
    writer: BlockWriter,
    table: Box<[Entry; 1 << TABLE_BITS]>,
    /// The block before, in which matches may begin.
    previous: Vec<u8>,
    block: Vec<u8>,
    /// The position of the block's first byte.
    start: i32,
    tokens: Vec<Token>,
}

impl Fast {
    pub fn new() -> Fast {
        let table = vec![Entry::default(); 1 << TABLE_BITS].into_boxed_slice();
        Fast {
            writer: BlockWriter::new(),
            table: table.try_into().ok().expect("it was made with that length"),
            previous: Vec::with_capacity(STORED_BYTES_MAX),
            block: Vec::with_capacity(STORED_BYTES_MAX),
            start: STORED_BYTES_MAX as i32,
            tokens: Vec::with_capacity(STORED_BYTES_MAX + 1),
        }
    }

    fn write_block(&mut self, out: &mut Vec<u8>) {
        self.tokens.clear();
        self.find_matches();
        if self.tokens.len() > self.block.len() - (self.block.len() >> 4) {
            self.writer.write_block_of_literals(&self.block, out);
        } else {
            self.tokens.push(Token::END_OF_BLOCK);
            self.writer.write_block_dynamic(&self.tokens, &self.block, out);
        }
        if self.block.len() >= BLOCK_WITH_MATCHES_BYTES_MIN {
            std::mem::swap(&mut self.previous, &mut self.block);
        }
        self.block.clear();
    }

    fn find_matches(&mut self) {
        if self.start >= POSITION_RESET {
            self.shift_positions();
        }
        let Fast { table, previous, block, tokens, .. } = self;
        let start = self.start;
        let src = &block[..];
        if src.len() < BLOCK_WITH_MATCHES_BYTES_MIN {
            self.start += STORED_BYTES_MAX as i32;
            tokens.extend(src.iter().map(|byte| Token::literal(*byte)));
            previous.clear();
            return;
        }
        let end = src.len() - INPUT_MARGIN;
        let mut emitted = 0;
        let mut at = 0;
        let mut now = load32(src, 0);
        let mut next_hash = hash(now);
        'block: loop {
            // The longer nothing is found, the larger the steps.
            let mut skip = 32;
            let mut next_at = at;
            let mut candidate;
            loop {
                at = next_at;
                let step = skip >> 5;
                next_at = at + step;
                skip += step;
                if next_at > end {
                    break 'block;
                }
                let slot = &mut table[next_hash & TABLE_MASK];
                candidate = *slot;
                let next = load32(src, next_at);
                *slot = Entry { position: at as i32 + start, value: now };
                next_hash = hash(next);
                let offset = at as i32 - (candidate.position - start);
                if offset > MATCH_OFFSET_MAX || now != candidate.value {
                    now = next;
                    continue;
                }
                break;
            }
            tokens.extend(src[emitted..at].iter().map(|byte| Token::literal(*byte)));
            loop {
                // Four bytes at `at` match.
                at += 4;
                let from = candidate.position - start + 4;
                let more = match_more(src, at, from, previous);
                tokens.push(Token::of_match(more + 4, (at as i32 - from) as usize));
                at += more;
                emitted = at;
                if at >= end {
                    break 'block;
                }
                let word = load64(src, at - 1);
                table[hash(word as u32) & TABLE_MASK] =
                    Entry { position: start + at as i32 - 1, value: word as u32 };
                let word = word >> 8;
                let slot = &mut table[hash(word as u32) & TABLE_MASK];
                candidate = *slot;
                *slot = Entry { position: start + at as i32, value: word as u32 };
                let offset = at as i32 - (candidate.position - start);
                if offset > MATCH_OFFSET_MAX || word as u32 != candidate.value {
                    now = (word >> 8) as u32;
                    next_hash = hash(now);
                    at += 1;
                    break;
                }
            }
        }
        tokens.extend(src[emitted..].iter().map(|byte| Token::literal(*byte)));
        self.start += src.len() as i32;
    }

    fn shift_positions(&mut self) {
        if self.previous.is_empty() {
            self.table.fill(Entry::default());
        } else {
            for entry in self.table.iter_mut() {
                entry.position = (entry.position - self.start + MATCH_OFFSET_MAX + 1).max(0);
            }
        }
        self.start = MATCH_OFFSET_MAX + 1;
    }
}

impl StreamEncoder for Fast {
    fn write(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) {
        while !bytes.is_empty() {
            if self.block.len() == STORED_BYTES_MAX {
                self.write_block(out);
            }
            let room = bytes.len().min(STORED_BYTES_MAX - self.block.len());
            self.block.extend_from_slice(&bytes[..room]);
            bytes = &bytes[room..];
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        let len = self.block.len();
        if len >= SMALL_BYTES {
            self.write_block(out);
        } else if len > STORED_SMALL_BYTES {
            self.writer.write_block_of_literals(&self.block, out);
        } else if len > 0 {
            self.writer.write_stored(&self.block, out);
        }
        self.writer.finish(out);
    }
}

/// How many bytes from `at` on are the same as from `from` on, which may lie in the block before.
fn match_more(src: &[u8], at: usize, from: i32, previous: &[u8]) -> usize {
    let end = src.len().min(at + MATCH_LENGTH_MAX - 4);
    let want = &src[at..end];
    let Ok(before) = usize::try_from(-i64::from(from)) else {
        return common_prefix(want, &src[from as usize..], want.len());
    };
    if before == 0 {
        return common_prefix(want, src, want.len());
    }
    let Some(begin) = previous.len().checked_sub(before) else { return 0 };
    let there = before.min(want.len());
    let len = common_prefix(want, &previous[begin..], there);
    if len < there || len == want.len() {
        return len;
    }
    len + common_prefix(&want[len..], src, want.len() - len)
}

fn hash(value: u32) -> usize {
    (value.wrapping_mul(0x1e35_a7bd) >> (32 - TABLE_BITS)) as usize
}

fn load32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn load64(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}
