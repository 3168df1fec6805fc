//! Deflate blocks: which kind is smallest by the encoder's reckoning, and its bytes.
//!
//! A block that is not the last before a flush is left open: the next one may go on with its table,
//! and is then one with it. What is owed is the end-of-block symbol.

use crate::layer::gzip::klauspost::bits::BitWriter;
use crate::layer::gzip::klauspost::header::TableHeader;
use crate::layer::gzip::klauspost::huffman::Codes;
use crate::layer::gzip::klauspost::tokens::DISTANCE_EXTRA_BITS;
use crate::layer::gzip::klauspost::tokens::DISTANCES;
use crate::layer::gzip::klauspost::tokens::END_OF_BLOCK;
use crate::layer::gzip::klauspost::tokens::LENGTH_EXTRA_BITS;
use crate::layer::gzip::klauspost::tokens::LITERALS;
use crate::layer::gzip::klauspost::tokens::Tokens;
use crate::layer::gzip::klauspost::variant::Header;
use crate::layer::gzip::klauspost::variant::Variant;

/// Room for the literal and length symbols, 286, rounded up so that no index misses.
pub const LITERAL_ROOM: usize = 512;
const CODE_BITS_MAX: usize = 15;
/// A stored block is no longer.
pub const STORED_BYTES_MAX: usize = 65535;
/// Only blocks of fewer tokens are tried with deflate's fixed codes.
const FIXED_TOKENS_END: usize = 250;
/// What a header for literals only is taken to need before it is made.
const LITERAL_HEADER_BITS: usize = 70 * 8;

pub struct BlockWriter {
    bits: BitWriter,
    variant: Variant,
    /// A new table must win by its size shifted right by this.
    penalty: u32,
    literals: Box<Codes<LITERAL_ROOM>>,
    /// Made for literals only; changes places with `literals` when it is better.
    spare: Box<Codes<LITERAL_ROOM>>,
    distances: Box<Codes<32>>,
    literal_counts: [u16; 288],
    distance_counts: [u16; 32],
    /// Bits of the open block's header; 0 if none is open.
    open: usize,
    /// The open block's table is for literals only.
    open_is_plain: bool,
    header: TableHeader,
    fixed_literals: Box<Codes<LITERAL_ROOM>>,
    fixed_distances: Box<Codes<32>>,
    /// The distances of a block without matches: one symbol.
    no_distances: Box<Codes<32>>,
}

impl BlockWriter {
    pub fn new(variant: Variant, penalty: u32) -> BlockWriter {
        let mut no_distances = Box::new(Codes::new());
        no_distances.generate(&[1], CODE_BITS_MAX);
        BlockWriter {
            bits: BitWriter::new(),
            variant,
            penalty,
            literals: Box::new(Codes::new()),
            spare: Box::new(Codes::new()),
            distances: Box::new(Codes::new()),
            literal_counts: [0; 288],
            distance_counts: [0; 32],
            open: 0,
            open_is_plain: false,
            header: TableHeader::new(),
            fixed_literals: Box::new(Codes::fixed_literals()),
            fixed_distances: Box::new(Codes::fixed_distances()),
            no_distances,
        }
    }

    /// Forgets what was, for another stream.
    pub fn clear(&mut self) {
        self.bits.clear();
        self.open = 0;
        self.open_is_plain = false;
    }

    /// Where finished bytes are appended. Those of a block not flushed may still be missing.
    pub fn out(&mut self) -> &mut Vec<u8> {
        &mut self.bits.out
    }

    fn close(&mut self) {
        if self.open > 0 {
            self.bits.code(self.literals.codes()[END_OF_BLOCK]);
            self.open = 0;
        }
    }

    /// A stored block of at most [`STORED_BYTES_MAX`]. An empty one is what a flush ends with.
    pub fn stored(&mut self, bytes: &[u8]) {
        self.close();
        self.bits.put(0b000, 3);
        self.bits.align();
        self.bits.put(bytes.len() as u64, 16);
        self.bits.put(!(bytes.len() as u64) & 0xffff, 16);
        self.bits.bytes(bytes);
    }

    /// The end of the stream: a last block without content, with the fixed codes.
    pub fn end(&mut self) {
        self.close();
        self.bits.put(0b011, 3);
        self.bits.put(0, 7);
        self.bits.align();
    }

    /// Writes tokens with the open block's table, a new one, the fixed one, or stores `input`.
    ///
    /// `input` is what the tokens stand for, if it is still at hand. `sync` ends the block.
    pub fn dynamic(&mut self, tokens: &mut Tokens, input: Option<&[u8]>, sync: bool) {
        if sync {
            tokens.end_of_block();
        }
        if self.open > 0 && self.open_is_plain {
            self.close();
            self.open_is_plain = false;
        }
        if self.open > 0 && !self.open_has_all(tokens) {
            self.close();
        }
        let input = input.filter(|input| input.len() <= STORED_BYTES_MAX);
        let stored = input.map_or(usize::MAX, |input| (input.len() + 5) * 8);
        let few = tokens.len() < FIXED_TOKENS_END;
        let (literals, distances) = self.count(tokens, sync);
        let extra = if input.is_some() || self.open > 0 { self.extra_bits() } else { 0 };

        if self.open > 0 {
            let end_bits = self.literals.codes()[END_OF_BLOCK].len() as usize;
            let new = self.open + tokens.estimated_bits(self.variant.arithmetic);
            let new = new + end_bits + (new >> self.penalty);
            let reuse = self.table_bits() + extra;
            if new < reuse {
                self.close();
            }
            let size = new.min(reuse);
            if few && self.fixed_bits() + extra + 7 < size && stored > size {
                return self.fixed(tokens, sync);
            }
            if let Some(input) = input.filter(|_| stored <= size) {
                return self.stored(input);
            }
        }
        if self.open == 0 {
            self.literal_counts[END_OF_BLOCK] = 1;
            self.literals.generate(&self.literal_counts[..LITERALS], CODE_BITS_MAX);
            self.distances.generate(&self.distance_counts[..DISTANCES], CODE_BITS_MAX);
            self.header.make(&self.literals.codes()[..literals], &self.distances.codes()[..distances]);
            let size = self.header.bits() + self.table_bits() + extra;
            let fixed = self.fixed_bits() + extra;
            if few && fixed <= size && stored > fixed {
                return self.fixed(tokens, sync);
            }
            if let Some(input) = input.filter(|_| stored <= size) {
                return self.stored(input);
            }
            self.header.write(&mut self.bits);
            self.open = self.header.bits();
            self.open_is_plain = false;
        }
        if sync {
            self.open = 0;
        }
        self.bits.tokens(tokens.list(), self.literals.codes(), self.distances.codes());
    }

    fn fixed(&mut self, tokens: &mut Tokens, sync: bool) {
        self.close();
        self.bits.put(0b010, 3);
        if !sync {
            tokens.end_of_block();
        }
        self.bits.tokens(tokens.list(), self.fixed_literals.codes(), self.fixed_distances.codes());
    }

    fn open_has_all(&self, tokens: &Tokens) -> bool {
        self.distances.has_all(&tokens.distances[..DISTANCES], 0)
            && self.literals.has_all(&tokens.lengths[..LITERALS - 256], 256)
            && self.literals.has_all(&tokens.literals, 0)
    }

    /// Takes over the tokens' counts, and returns how many symbols a header names of each kind.
    fn count(&mut self, tokens: &Tokens, sync: bool) -> (usize, usize) {
        self.literal_counts[..256].copy_from_slice(&tokens.literals);
        self.literal_counts[256..].copy_from_slice(&tokens.lengths);
        self.distance_counts = tokens.distances;
        match self.variant.header {
            Header::Full if !sync => return (LITERALS, DISTANCES),
            Header::TrimmedWithEnd => self.literal_counts[END_OF_BLOCK] = 1,
            Header::Full | Header::Trimmed => {}
        }
        let last = |counts: &[u16]| counts.iter().rposition(|count| *count != 0);
        // Where no end of block was counted and no match, v1.18.1 wrote what nobody can read.
        let literals = last(&self.literal_counts).map_or(0, |last| last + 1).max(END_OF_BLOCK + 1);
        let distances = last(&self.distance_counts).map_or(0, |last| last + 1);
        if distances == 0 {
            // A header names one distance at least.
            self.distance_counts[0] = 1;
        }
        (literals, distances.max(1))
    }

    /// Bits beside the codes of lengths and distances.
    fn extra_bits(&self) -> usize {
        let sum = |counts: &[u16], bits: &[u8]| -> usize {
            counts.iter().zip(bits).map(|(count, bits)| usize::from(*count) * usize::from(*bits)).sum()
        };
        sum(&self.literal_counts[END_OF_BLOCK + 1..LITERALS], &LENGTH_EXTRA_BITS)
            + sum(&self.distance_counts[..DISTANCES], &DISTANCE_EXTRA_BITS)
    }

    /// Bits of what was counted with the table there is.
    fn table_bits(&self) -> usize {
        self.literals.bits_of(&self.literal_counts) + self.distances.bits_of(&self.distance_counts)
    }

    fn fixed_bits(&self) -> usize {
        3 + self.fixed_literals.bits_of(&self.literal_counts)
            + self.fixed_distances.bits_of(&self.distance_counts)
    }

    /// Writes bytes as literals, or stores them where that gains little. `sync` ends the block.
    pub fn plain(&mut self, input: &[u8], sync: bool) {
        self.literal_counts = [0; 288];
        for byte in input {
            let count = &mut self.literal_counts[usize::from(*byte)];
            *count = count.wrapping_add(1);
        }
        if input.len() > 1024 && is_even(&self.literal_counts[..256], input.len()) {
            return self.stored(input);
        }
        self.literal_counts[END_OF_BLOCK] = 1;
        let counts = &self.literal_counts[..=END_OF_BLOCK];
        self.spare.generate(counts, CODE_BITS_MAX);
        let new = self.spare.bits_of(counts);
        let new = new + if self.open > 0 { self.open } else { LITERAL_HEADER_BITS };
        let new = new + (new >> self.penalty);
        if (input.len() + 5) * 8 <= new {
            return self.stored(input);
        }
        if self.open > 0 && self.literals.bits_if_all(&counts[..256]).is_none_or(|reuse| new < reuse) {
            self.close();
        }
        if self.open == 0 {
            std::mem::swap(&mut self.literals, &mut self.spare);
            let literals = &self.literals.codes()[..=END_OF_BLOCK];
            self.header.make(literals, &self.no_distances.codes()[..1]);
            self.header.write(&mut self.bits);
            self.open = self.header.bits();
            self.open_is_plain = true;
        }
        self.bits.literals(input, self.literals.codes());
        if sync {
            self.close();
            self.open_is_plain = false;
        }
    }
}

/// Whether all bytes are about as frequent: the input was random, or compressed already.
fn is_even(counts: &[u16], len: usize) -> bool {
    let mean = len as f64 / 256.0;
    let deviation: f64 = counts.iter().map(|count| (f64::from(*count) - mean).powi(2)).sum();
    deviation < (len * 2) as f64
}
