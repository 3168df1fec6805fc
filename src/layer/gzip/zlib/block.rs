//! Gathering a block's symbols and writing it in the way that takes the fewest bytes (trees.c).

use super::Flavour;
use super::tree::Kind;
use super::tree::Sizes;
use super::tree::Tree;
use super::tree::Workshop;
use crate::layer::gzip::bits::BitWriter;
use crate::layer::gzip::symbols::CODE_BITS_MAX;
use crate::layer::gzip::symbols::Code;
use crate::layer::gzip::symbols::END_OF_BLOCK;
use crate::layer::gzip::symbols::LENGTH_BASE;
use crate::layer::gzip::symbols::LENGTH_EXTRA_BITS;
use crate::layer::gzip::symbols::LENGTH_SYMBOL_BITS_MAX;
use crate::layer::gzip::symbols::LENGTH_SYMBOL_ORDER;
use crate::layer::gzip::symbols::LENGTH_SYMBOLS;
use crate::layer::gzip::symbols::LENGTHS_START;
use crate::layer::gzip::symbols::LITERALS;
use crate::layer::gzip::symbols::OFFSET_EXTRA_BITS;
use crate::layer::gzip::symbols::OFFSETS;
use crate::layer::gzip::symbols::fixed_literals;
use crate::layer::gzip::symbols::fixed_offsets;
use crate::layer::gzip::symbols::length_code;
use crate::layer::gzip::symbols::offset_base;
use crate::layer::gzip::symbols::offset_code;

const REPEAT_3_TO_6: usize = 16;
const ZEROS_3_TO_10: usize = 17;
const ZEROS_11_TO_138: usize = 18;
const LENGTH_SYMBOL_EXTRA_BITS: [u8; 3] = [2, 3, 7];

/// GNU gzip looks every so many symbols whether to end a block, from this level on.
const EARLY_END_SYMBOLS: usize = 0x1000;
const EARLY_END_LEVEL_MIN: i8 = 3;

pub struct Block {
    /// Distance, or 0, times 256, and length less 3, or literal.
    symbols: Vec<u32>,
    symbols_max: usize,
    matches: usize,
    early_end: bool,
    literals: Tree<LITERALS>,
    offsets: Tree<OFFSETS>,
    lengths: Tree<LENGTH_SYMBOLS>,
    fixed_literals: [Code; LITERALS],
    fixed_offsets: [Code; OFFSETS],
    work: Workshop,
    bits: BitWriter,
}

impl Block {
    pub fn new(flavour: Flavour, level: i8) -> Block {
        let symbols_max = match flavour {
            Flavour::Zlib => 0x4000 - 1,
            Flavour::Gnu => 0x8000 - 1,
        };
        let mut block = Block {
            symbols: Vec::with_capacity(symbols_max),
            symbols_max,
            matches: 0,
            early_end: flavour == Flavour::Gnu && level >= EARLY_END_LEVEL_MIN,
            literals: Tree::new(Kind {
                fixed: Some(fixed_literals()),
                extra_bits: &LENGTH_EXTRA_BITS,
                extra_base: LENGTHS_START,
                len_max: CODE_BITS_MAX,
            }),
            offsets: Tree::new(Kind {
                fixed: Some(fixed_offsets()),
                extra_bits: &OFFSET_EXTRA_BITS,
                extra_base: 0,
                len_max: CODE_BITS_MAX,
            }),
            lengths: Tree::new(Kind {
                fixed: None,
                extra_bits: &LENGTH_SYMBOL_EXTRA_BITS,
                extra_base: REPEAT_3_TO_6,
                len_max: LENGTH_SYMBOL_BITS_MAX,
            }),
            fixed_literals: fixed_literals(),
            fixed_offsets: fixed_offsets(),
            work: Workshop::new(),
            bits: BitWriter::default(),
        };
        block.clear();
        block
    }

    /// Forgets all that a stream before left.
    pub fn reset(&mut self) {
        self.clear();
        self.bits = BitWriter::default();
    }

    fn clear(&mut self) {
        self.literals.clear();
        self.offsets.clear();
        self.lengths.clear();
        self.literals.counts[END_OF_BLOCK] = 1;
        self.symbols.clear();
        self.matches = 0;
    }

    pub fn is_empty(&self) -> bool {
        self.symbols.is_empty()
    }

    /// Takes a literal; `true` when the block is to be written. `bytes` is what the block stands for
    /// so far as its caller counts them.
    #[inline(always)]
    pub fn put_literal(&mut self, byte: u8, bytes: usize) -> bool {
        self.symbols.push(u32::from(byte));
        self.literals.counts[usize::from(byte)] += 1;
        self.is_full(bytes)
    }

    /// The same with a match of a whole length, from 3 on, and distance.
    #[inline(always)]
    pub fn put_match(&mut self, length: usize, distance: usize, bytes: usize) -> bool {
        let length = (length - 3) as u8;
        self.symbols.push((distance as u32) << 8 | u32::from(length));
        self.literals.counts[LENGTHS_START + length_code(length)] += 1;
        self.offsets.counts[offset_code(distance as u32 - 1)] += 1;
        self.matches += 1;
        self.is_full(bytes)
    }

    #[inline(always)]
    fn is_full(&self, bytes: usize) -> bool {
        if self.early_end && self.symbols.len().is_multiple_of(EARLY_END_SYMBOLS) && self.ends_early(bytes) {
            return true;
        }
        self.symbols.len() == self.symbols_max
    }

    /// A guess whether the block has done well enough to end it (`TRUNCATE_BLOCK`): few matches, and
    /// with 8 bits for each symbol and 5 and more for each distance still half the size.
    #[cold]
    fn ends_early(&self, bytes: usize) -> bool {
        let offsets = self.offsets.counts.iter().zip(OFFSET_EXTRA_BITS);
        let offset_bits: usize =
            offsets.map(|(count, extra)| usize::from(*count) * (5 + usize::from(extra))).sum();
        let size = (self.symbols.len() * 8 + offset_bits) >> 3;
        self.matches < self.symbols.len() / 2 && size < bytes / 2
    }

    /// Writes the block of `len` bytes, which are `input` if they are still in the window.
    pub fn write(&mut self, input: Option<&[u8]>, len: usize, last: bool, out: &mut Vec<u8>) {
        let mut sizes = Sizes::default();
        self.literals.build(&mut self.work, &mut sizes);
        self.offsets.build(&mut self.work, &mut sizes);
        let length_symbols = self.build_lengths(&mut sizes);
        let fixed_bytes = (sizes.fixed + 3 + 7) >> 3;
        let own_bytes = (sizes.own + 3 + 7) >> 3;
        let is_fixed = fixed_bytes <= own_bytes;
        let bytes = if is_fixed { fixed_bytes } else { own_bytes };
        if let Some(input) = input.filter(|_| len as i64 + 4 <= bytes) {
            self.put_stored(input, last, out);
        } else if is_fixed {
            self.bits.put(1 << 1 | u32::from(last), 3, out);
            self.put_symbols(&self.fixed_literals.clone(), &self.fixed_offsets.clone(), out);
        } else {
            self.bits.put(2 << 1 | u32::from(last), 3, out);
            self.put_trees(length_symbols, out);
            self.put_symbols(&self.literals.codes.clone(), &self.offsets.codes.clone(), out);
        }
        self.clear();
        if last {
            self.bits.align(out);
        }
    }

    /// Writes `input` as it is, or with none only a mark after which a whole byte begins.
    pub fn put_stored(&mut self, input: &[u8], last: bool, out: &mut Vec<u8>) {
        self.bits.put(u32::from(last), 3, out);
        self.bits.align(out);
        let len = input.len() as u16;
        out.extend_from_slice(&len.to_le_bytes());
        out.extend_from_slice(&(!len).to_le_bytes());
        out.extend_from_slice(input);
    }

    /// Writes an empty block with the fixed codes: ten bits.
    pub fn put_empty(&mut self, out: &mut Vec<u8>) {
        self.bits.put(1 << 1, 10, out);
    }

    /// How many bits of the last byte are used.
    pub fn used_bits(&self) -> u32 {
        self.bits.used_bits()
    }

    /// Writes what is held back, which must be whole bytes.
    pub fn flush(&mut self, out: &mut Vec<u8>) {
        debug_assert_eq!(self.bits.used_bits(), 0);
        self.bits.align(out);
    }

    /// Makes the tree for the lengths of the other two and says how many of its codes are sent.
    fn build_lengths(&mut self, sizes: &mut Sizes) -> usize {
        let counts = &mut self.lengths.counts;
        for codes in [&self.literals.codes[..=self.literals.last], &self.offsets.codes[..=self.offsets.last]]
        {
            each_run(codes, |symbol, _| counts[symbol] += 1);
        }
        self.lengths.build(&mut self.work, sizes);
        let last = (3..LENGTH_SYMBOLS).rev().find(|at| self.lengths.codes[LENGTH_SYMBOL_ORDER[*at]].len != 0);
        let sent = last.unwrap_or(2) + 1;
        sizes.own += 3 * sent as i64 + 5 + 5 + 4;
        sent
    }

    fn put_trees(&mut self, length_symbols: usize, out: &mut Vec<u8>) {
        let mut bits = self.bits;
        bits.put((self.literals.last + 1 - 257) as u32, 5, out);
        bits.put(self.offsets.last as u32, 5, out);
        bits.put((length_symbols - 4) as u32, 4, out);
        for symbol in &LENGTH_SYMBOL_ORDER[..length_symbols] {
            bits.put(u32::from(self.lengths.codes[*symbol].len), 3, out);
        }
        for codes in [&self.literals.codes[..=self.literals.last], &self.offsets.codes[..=self.offsets.last]]
        {
            each_run(codes, |symbol, more| {
                bits.put_code(self.lengths.codes[symbol], out);
                if let Some(at) = symbol.checked_sub(REPEAT_3_TO_6) {
                    bits.put(more as u32, u32::from(LENGTH_SYMBOL_EXTRA_BITS[at]), out);
                }
            });
        }
        self.bits = bits;
    }

    fn put_symbols(&mut self, literals: &[Code; LITERALS], offsets: &[Code; OFFSETS], out: &mut Vec<u8>) {
        let mut bits = self.bits;
        for symbol in &self.symbols {
            let (distance, low) = (symbol >> 8, *symbol as u8);
            if distance == 0 {
                bits.put_code(literals[usize::from(low)], out);
                continue;
            }
            let code = length_code(low);
            bits.put_code(literals[LENGTHS_START + code], out);
            let extra = LENGTH_EXTRA_BITS[code];
            if extra > 0 {
                bits.put(u32::from(low - LENGTH_BASE[code]), u32::from(extra), out);
            }
            let code = offset_code(distance - 1);
            bits.put_code(offsets[code], out);
            bits.put(distance - 1 - offset_base(code), u32::from(OFFSET_EXTRA_BITS[code]), out);
        }
        bits.put_code(literals[END_OF_BLOCK], out);
        self.bits = bits;
    }
}

/// Run-length encodes the lengths of `codes`: symbols of the third tree with what follows each
/// (`scan_tree` and `send_tree`).
fn each_run(codes: &[Code], mut each: impl FnMut(usize, usize)) {
    let mut previous = None;
    let mut count = 0;
    let (mut most, mut least) = if codes[0].len == 0 { (138, 3) } else { (7, 4) };
    for (at, code) in codes.iter().enumerate() {
        let len = usize::from(code.len);
        let next = codes.get(at + 1).map(|code| usize::from(code.len));
        count += 1;
        if count < most && next == Some(len) {
            continue;
        }
        if count < least {
            for _ in 0..count {
                each(len, 0);
            }
        } else if len != 0 {
            if previous != Some(len) {
                each(len, 0);
                count -= 1;
            }
            each(REPEAT_3_TO_6, count - 3);
        } else if count <= 10 {
            each(ZEROS_3_TO_10, count - 3);
        } else {
            each(ZEROS_11_TO_138, count - 11);
        }
        count = 0;
        previous = Some(len);
        (most, least) = match next {
            Some(0) => (138, 3),
            next if next == Some(len) => (6, 3),
            _ => (7, 4),
        };
    }
}
