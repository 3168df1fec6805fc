//! The header of a block with its own table: code lengths, run-length coded. RFC 1951, 3.2.7.

use crate::layer::gzip::klauspost::bits::BitWriter;
use crate::layer::gzip::klauspost::huffman::Code;
use crate::layer::gzip::klauspost::huffman::Codes;
use crate::layer::gzip::klauspost::tokens::DISTANCES;
use crate::layer::gzip::klauspost::tokens::LITERALS;

/// The order in which the lengths of the header's own codes come.
const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
const LEN_MAX: usize = 7;

/// Repeats the length before, 3 to 6 times.
const REPEAT: u8 = 16;
/// 3 to 10 zeros.
const ZEROS: u8 = 17;
/// 11 to 138 zeros.
const MANY_ZEROS: u8 = 18;

pub struct TableHeader {
    literals: usize,
    distances: usize,
    /// Symbols 0 to 18, with the number that goes with the last three.
    symbols: Vec<(u8, u8)>,
    counts: [u16; 19],
    codes: Codes<32>,
}

impl TableHeader {
    pub fn new() -> TableHeader {
        TableHeader {
            literals: 0,
            distances: 0,
            symbols: Vec::with_capacity(LITERALS + DISTANCES),
            counts: [0; 19],
            codes: Codes::new(),
        }
    }

    /// Describes codes of 257 literals and lengths or more, and of one distance or more.
    pub fn make(&mut self, literals: &[Code], distances: &[Code]) {
        (self.literals, self.distances) = (literals.len(), distances.len());
        self.symbols.clear();
        self.counts = [0; 19];
        let mut lens = literals.iter().chain(distances).map(|code| code.len() as u8).peekable();
        while let Some(len) = lens.next() {
            let mut run = 1;
            while lens.next_if_eq(&len).is_some() {
                run += 1;
            }
            self.run(len, run);
        }
        self.codes.generate(&self.counts, LEN_MAX);
    }

    fn run(&mut self, len: u8, mut run: usize) {
        if len != 0 {
            self.symbol(len, 0);
            run -= 1;
            while run >= 3 {
                let part = run.min(6);
                self.symbol(REPEAT, part - 3);
                run -= part;
            }
        } else {
            while run >= 11 {
                let part = run.min(138);
                self.symbol(MANY_ZEROS, part - 11);
                run -= part;
            }
            if run >= 3 {
                self.symbol(ZEROS, run - 3);
                run = 0;
            }
        }
        for _ in 0..run {
            self.symbol(len, 0);
        }
    }

    fn symbol(&mut self, symbol: u8, number: usize) {
        self.counts[usize::from(symbol)] += 1;
        self.symbols.push((symbol, number as u8));
    }

    /// How many lengths of the header's own codes are written: up to the last in use, 4 or more.
    fn own_lens(&self) -> usize {
        let last = ORDER.iter().rposition(|symbol| self.counts[*symbol] != 0);
        last.map_or(0, |last| last + 1).max(4)
    }

    pub fn bits(&self) -> usize {
        let numbers: usize = (16..19u8).map(|symbol| number_bits(symbol) * self.count(symbol)).sum();
        3 + 5 + 5 + 4 + 3 * self.own_lens() + self.codes.bits_of(&self.counts) + numbers
    }

    fn count(&self, symbol: u8) -> usize {
        usize::from(self.counts[usize::from(symbol)])
    }

    pub fn write(&self, to: &mut BitWriter) {
        to.put(0b100, 3);
        to.put(self.literals as u64 - 257, 5);
        to.put(self.distances as u64 - 1, 5);
        to.put(self.own_lens() as u64 - 4, 4);
        for symbol in &ORDER[..self.own_lens()] {
            to.put(u64::from(self.codes.codes()[*symbol].len()), 3);
        }
        for (symbol, number) in &self.symbols {
            to.code(self.codes.codes()[usize::from(*symbol)]);
            to.put(u64::from(*number), number_bits(*symbol) as u32);
        }
    }
}

/// Bits of the number that goes with a symbol of the header.
fn number_bits(symbol: u8) -> usize {
    match symbol {
        REPEAT => 2,
        ZEROS => 3,
        MANY_ZEROS => 7,
        _ => 0,
    }
}
