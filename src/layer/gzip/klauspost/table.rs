//! The header of a block with its own codes: their lengths, run-length encoded. RFC 1951, 3.2.7.

use crate::layer::gzip::bits::BitWriter;
use crate::layer::gzip::go::huffman::Codes;
use crate::layer::gzip::symbols::Code;
use crate::layer::gzip::symbols::LENGTH_SYMBOL_BITS_MAX;
use crate::layer::gzip::symbols::LENGTH_SYMBOL_ORDER;
use crate::layer::gzip::symbols::LENGTH_SYMBOLS;
use crate::layer::gzip::symbols::LITERALS;
use crate::layer::gzip::symbols::OFFSETS;

/// Repeats the length before, 3 to 6 times.
const REPEAT: u8 = 16;
/// 3 to 10 zeros.
const ZEROS: u8 = 17;
/// 11 to 138 zeros.
const MANY_ZEROS: u8 = 18;

pub struct Table {
    literals: usize,
    offsets: usize,
    /// Lengths, or one of the three above with its number.
    runs: Vec<(u8, u8)>,
    counts: [i32; LENGTH_SYMBOLS],
    codes: Codes<LENGTH_SYMBOLS>,
}

impl Table {
    pub fn new() -> Table {
        Table {
            literals: 0,
            offsets: 0,
            runs: Vec::with_capacity(LITERALS + OFFSETS),
            counts: [0; LENGTH_SYMBOLS],
            codes: Codes::new(),
        }
    }

    /// Describes codes of 257 literals and lengths or more, and of one offset or more.
    pub fn describe(&mut self, literals: &[Code], offsets: &[Code]) {
        (self.literals, self.offsets) = (literals.len(), offsets.len());
        self.runs.clear();
        self.counts = [0; LENGTH_SYMBOLS];
        let mut lens = literals.iter().chain(offsets).map(|code| code.len).peekable();
        while let Some(len) = lens.next() {
            let mut times = 1;
            while lens.next_if_eq(&len).is_some() {
                times += 1;
            }
            self.run(len, times);
        }
        self.codes.generate(&self.counts, LENGTH_SYMBOL_BITS_MAX);
    }

    fn run(&mut self, len: u8, mut times: usize) {
        if len == 0 {
            while times >= 11 {
                let part = times.min(138);
                self.put(MANY_ZEROS, part - 11);
                times -= part;
            }
            if times >= 3 {
                self.put(ZEROS, times - 3);
                times = 0;
            }
        } else {
            self.put(len, 0);
            times -= 1;
            while times >= 3 {
                let part = times.min(6);
                self.put(REPEAT, part - 3);
                times -= part;
            }
        }
        for _ in 0..times {
            self.put(len, 0);
        }
    }

    fn put(&mut self, symbol: u8, number: usize) {
        self.counts[usize::from(symbol)] += 1;
        self.runs.push((symbol, number as u8));
    }

    /// The symbols whose own lengths are written: up to the last in use, 4 or more.
    fn symbols(&self) -> &'static [usize] {
        let last = LENGTH_SYMBOL_ORDER.iter().rposition(|symbol| self.counts[*symbol] != 0);
        &LENGTH_SYMBOL_ORDER[..last.map_or(0, |last| last + 1).max(4)]
    }

    pub fn bits(&self) -> usize {
        let numbers: u32 = self.runs.iter().map(|(symbol, _)| number_bits(*symbol)).sum();
        3 + 5 + 5 + 4 + 3 * self.symbols().len() + self.codes.bits_for(&self.counts) + numbers as usize
    }

    pub fn write(&self, to: &mut BitWriter, out: &mut Vec<u8>) {
        to.put(0b100, 3, out);
        to.put(self.literals as u32 - 257, 5, out);
        to.put(self.offsets as u32 - 1, 5, out);
        to.put(self.symbols().len() as u32 - 4, 4, out);
        for symbol in self.symbols() {
            to.put(u32::from(self.codes.codes[*symbol].len), 3, out);
        }
        for (symbol, number) in &self.runs {
            to.put_code(self.codes.codes[usize::from(*symbol)], out);
            to.put(u32::from(*number), number_bits(*symbol), out);
        }
    }
}

/// Bits of the number that goes with a symbol.
fn number_bits(symbol: u8) -> u32 {
    match symbol {
        REPEAT => 2,
        ZEROS => 3,
        MANY_ZEROS => 7,
        _ => 0,
    }
}
