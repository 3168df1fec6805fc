//! Deflate blocks: which kind is smallest by the encoder's reckoning, and its bytes
//! (huffman_bit_writer.go).
//!
//! A block that is not the last before a flush is left open: the next one may go on with its codes,
//! and is then one with it. What is owed is the end of block.

use crate::layer::gzip::bits::BitWriter;
use crate::layer::gzip::go::block::put_tokens;
use crate::layer::gzip::go::huffman::Codes;
use crate::layer::gzip::klauspost::table::Table;
use crate::layer::gzip::klauspost::tokens::Tokens;
use crate::layer::gzip::klauspost::variant::Header;
use crate::layer::gzip::klauspost::variant::Variant;
use crate::layer::gzip::symbols::CODE_BITS_MAX;
use crate::layer::gzip::symbols::Code;
use crate::layer::gzip::symbols::END_OF_BLOCK;
use crate::layer::gzip::symbols::LENGTHS_START;
use crate::layer::gzip::symbols::LITERALS;
use crate::layer::gzip::symbols::OFFSETS;
use crate::layer::gzip::symbols::fixed_literals;
use crate::layer::gzip::symbols::fixed_offsets;

/// A stored block is no longer.
pub const STORED_BYTES_MAX: usize = 65_535;
/// Only blocks of fewer tokens are tried with the fixed codes.
const FIXED_TOKENS_END: usize = 250;
/// What the header of a block of literals is taken to need before it is made.
const LITERAL_HEADER_BITS: usize = 70 * 8;

pub struct BlockWriter {
    bits: BitWriter,
    out: Vec<u8>,
    header: Header,
    /// A new table must win by its size shifted right by this.
    penalty: u32,
    literals: Codes<LITERALS>,
    /// For literals only; changes places with `literals` when it is taken.
    spare: Codes<LITERALS>,
    offsets: Codes<OFFSETS>,
    literal_counts: [i32; LITERALS],
    offset_counts: [i32; OFFSETS],
    table: Table,
    /// Bits of the open block's header; 0 if none is open.
    open: usize,
    /// The open block's codes are for literals only.
    open_is_plain: bool,
    fixed_literals: Codes<LITERALS>,
    fixed_offsets: Codes<OFFSETS>,
    /// For blocks of literals only: one offset code that is never used.
    no_offsets: Codes<OFFSETS>,
}

impl BlockWriter {
    pub fn new(variant: Variant, penalty: u32) -> BlockWriter {
        let mut no_offsets = Codes::new();
        no_offsets.generate(&first_only(), CODE_BITS_MAX);
        BlockWriter {
            bits: BitWriter::default(),
            out: Vec::new(),
            header: variant.header,
            penalty,
            literals: Codes::new(),
            spare: Codes::new(),
            offsets: Codes::new(),
            literal_counts: [0; LITERALS],
            offset_counts: [0; OFFSETS],
            table: Table::new(),
            open: 0,
            open_is_plain: false,
            fixed_literals: Codes::of(fixed_literals()),
            fixed_offsets: Codes::of(fixed_offsets()),
            no_offsets,
        }
    }

    /// Forgets what was, for another stream.
    pub fn clear(&mut self) {
        self.bits = BitWriter::default();
        self.open = 0;
        self.open_is_plain = false;
    }

    /// Where finished bytes are appended; those of a block not flushed may still be missing.
    pub fn out(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    fn put(&mut self, value: u32, count: u32) {
        self.bits.put(value, count, &mut self.out);
    }

    fn align(&mut self) {
        self.bits.align(&mut self.out);
    }

    fn close(&mut self) {
        if self.open > 0 {
            self.bits.put_code(self.literals.codes[END_OF_BLOCK], &mut self.out);
            self.open = 0;
        }
    }

    /// A stored block of at most [`STORED_BYTES_MAX`]. An empty one is what a flush ends with.
    pub fn stored(&mut self, bytes: &[u8]) {
        self.close();
        self.put(0b000, 3);
        self.align();
        self.put(bytes.len() as u32, 16);
        self.put(!bytes.len() as u32 & 0xffff, 16);
        self.align();
        self.out.extend_from_slice(bytes);
    }

    /// The end of the stream: a last block without content, with the fixed codes.
    pub fn end(&mut self) {
        self.close();
        self.put(0b011, 3);
        self.put(0, 7);
        self.align();
    }

    /// Writes tokens with the open block's codes, new ones, the fixed ones, or stores `input`.
    ///
    /// `input` is what the tokens stand for, if it is still at hand. `sync` ends the block.
    pub fn dynamic(&mut self, tokens: &mut Tokens, input: Option<&[u8]>, sync: bool) {
        if sync {
            tokens.push_end_of_block();
        }
        if self.open > 0 && (self.open_is_plain || !self.open_has_all(tokens)) {
            self.close();
            self.open_is_plain = false;
        }
        let (literals, offsets) = self.count(tokens, sync);
        let input = input.filter(|input| input.len() <= STORED_BYTES_MAX);
        let stored = input.map_or(usize::MAX, stored_bits);
        let extra = if input.is_some() || self.open > 0 { tokens.extra_bits() } else { 0 };
        let few = tokens.list().len() < FIXED_TOKENS_END;

        if self.open > 0 {
            let end = usize::from(self.literals.codes[END_OF_BLOCK].len);
            let new = self.open + tokens.estimated_bits();
            let new = new + end + (new >> self.penalty);
            let old = self.code_bits() + extra;
            if new < old {
                self.close();
            }
            let size = new.min(old);
            if few && self.fixed_bits() + extra + 7 < size && stored > size {
                return self.fixed(tokens, sync);
            }
            if let Some(input) = input.filter(|_| stored <= size) {
                return self.stored(input);
            }
        }
        if self.open == 0 {
            self.literal_counts[END_OF_BLOCK] = 1;
            self.literals.generate(&self.literal_counts, CODE_BITS_MAX);
            self.offsets.generate(&self.offset_counts, CODE_BITS_MAX);
            self.table.describe(&self.literals.codes[..literals], &self.offsets.codes[..offsets]);
            let size = self.table.bits() + self.code_bits() + extra;
            let fixed = self.fixed_bits() + extra;
            if few && fixed <= size && stored > fixed {
                return self.fixed(tokens, sync);
            }
            if let Some(input) = input.filter(|_| stored <= size) {
                return self.stored(input);
            }
            self.write_table();
            self.open_is_plain = false;
        }
        if sync {
            self.open = 0;
        }
        let list = tokens.list();
        put_tokens(&mut self.bits, list, &self.literals.codes, &self.offsets.codes, &mut self.out);
    }

    fn write_table(&mut self) {
        self.table.write(&mut self.bits, &mut self.out);
        self.open = self.table.bits();
    }

    fn fixed(&mut self, tokens: &mut Tokens, sync: bool) {
        self.close();
        self.put(0b010, 3);
        if !sync {
            tokens.push_end_of_block();
        }
        let (literals, offsets) = (&self.fixed_literals.codes, &self.fixed_offsets.codes);
        put_tokens(&mut self.bits, tokens.list(), literals, offsets, &mut self.out);
    }

    fn open_has_all(&self, tokens: &Tokens) -> bool {
        let literals = &self.literals.codes;
        has_all(&self.offsets.codes, &tokens.offsets)
            && has_all(&literals[LENGTHS_START..], &tokens.lengths)
            && has_all(literals, &tokens.literals)
    }

    /// Takes over the tokens' counts, and returns how many codes of each kind a header describes.
    fn count(&mut self, tokens: &Tokens, sync: bool) -> (usize, usize) {
        let end_counts = sync || self.header == Header::TrimmedWithEnd;
        let end = [u16::from(end_counts)];
        let counts = tokens.literals.iter().chain(&end).chain(&tokens.lengths);
        self.literal_counts.iter_mut().zip(counts).for_each(|(to, count)| *to = i32::from(*count));
        self.offset_counts = tokens.offsets.map(i32::from);
        if self.header == Header::Full && !sync {
            return (LITERALS, OFFSETS);
        }
        // v1.18.1 here described too few where nothing matched, which nobody can read.
        let literals = used(&self.literal_counts).max(END_OF_BLOCK + 1);
        let offsets = used(&self.offset_counts);
        if offsets == 0 {
            self.offset_counts = first_only();
        }
        (literals, offsets.max(1))
    }

    /// Bits of what was counted with the codes there are.
    fn code_bits(&self) -> usize {
        self.literals.bits_for(&self.literal_counts) + self.offsets.bits_for(&self.offset_counts)
    }

    fn fixed_bits(&self) -> usize {
        3 + self.fixed_literals.bits_for(&self.literal_counts)
            + self.fixed_offsets.bits_for(&self.offset_counts)
    }

    /// Writes bytes as literals, or stores them where that gains little. `sync` ends the block.
    pub fn plain(&mut self, input: &[u8], sync: bool) {
        self.literal_counts.fill(0);
        for byte in input {
            self.literal_counts[usize::from(*byte)] += 1;
        }
        if input.len() > 1024 && is_even(&self.literal_counts[..256], input.len()) {
            return self.stored(input);
        }
        self.literal_counts[END_OF_BLOCK] = 1;
        self.spare.generate(&self.literal_counts, CODE_BITS_MAX);
        let header = if self.open > 0 { self.open } else { LITERAL_HEADER_BITS };
        let new = self.spare.bits_for(&self.literal_counts) + header;
        let new = new + (new >> self.penalty);
        if stored_bits(input) <= new {
            return self.stored(input);
        }
        if self.open > 0 && self.open_literal_bits().is_none_or(|old| new < old) {
            self.close();
        }
        if self.open == 0 {
            std::mem::swap(&mut self.literals, &mut self.spare);
            self.table.describe(&self.literals.codes[..=END_OF_BLOCK], &self.no_offsets.codes[..1]);
            self.write_table();
            self.open_is_plain = true;
        }
        let mut bits = self.bits;
        for byte in input {
            bits.put_code(self.literals.codes[usize::from(*byte)], &mut self.out);
        }
        self.bits = bits;
        if sync {
            self.close();
            self.open_is_plain = false;
        }
    }

    /// Bits of the literals that were counted with the open block's codes, if it has all.
    fn open_literal_bits(&self) -> Option<usize> {
        let literals = self.literal_counts[..END_OF_BLOCK].iter().zip(&self.literals.codes);
        literals.filter(|(count, _)| **count != 0).try_fold(0, |bits, (count, code)| {
            (code.len > 0).then(|| bits + *count as usize * usize::from(code.len))
        })
    }
}

fn has_all(codes: &[Code], counts: &[u16]) -> bool {
    codes.iter().zip(counts).all(|(code, count)| *count == 0 || code.len > 0)
}

fn used(counts: &[i32]) -> usize {
    counts.iter().rposition(|count| *count != 0).map_or(0, |last| last + 1)
}

fn first_only() -> [i32; OFFSETS] {
    std::array::from_fn(|offset| i32::from(offset == 0))
}

fn stored_bits(input: &[u8]) -> usize {
    (input.len() + 5) * 8
}

/// Whether all bytes are about as frequent: the input was random, or compressed already.
fn is_even(counts: &[i32], len: usize) -> bool {
    let mean = len as f64 / 256.0;
    let deviation: f64 = counts.iter().map(|count| (f64::from(*count) - mean).powi(2)).sum();
    deviation < (len * 2) as f64
}
