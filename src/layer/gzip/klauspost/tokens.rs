//! What a search for matches finds: literals and matches in order, and how often each symbol occurs.

use crate::layer::gzip::klauspost::variant::Arithmetic;

/// Tokens from here on are matches; those below 256 are literals.
pub const MATCH: u32 = 1 << 30;
/// The symbol, and the token, that ends a block.
pub const END_OF_BLOCK: usize = 256;
/// Literal and length symbols that deflate has.
pub const LITERALS: usize = 286;
/// Distance symbols that deflate has.
pub const DISTANCES: usize = 30;

/// Where a token has the match's length, less [`LENGTH_MIN`]: 8 bits.
const LENGTH_SHIFT: u32 = 22;
/// Where a token has the symbol of the match's distance: 5 bits.
const DISTANCE_SYMBOL_SHIFT: u32 = 16;
const LENGTH_MIN: i32 = 3;
pub const LENGTH_MAX: i32 = 258;

/// Extra bits of a length symbol, from symbol 257 on. RFC 1951, 3.2.5.
pub const LENGTH_EXTRA_BITS: [u8; 32] = [
    0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0, 0, 0, 0,
];
/// Extra bits of a distance symbol. RFC 1951, 3.2.5.
pub const DISTANCE_EXTRA_BITS: [u8; 32] = [
    0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13, 0, 0,
];
/// The smallest length of each length symbol, less 3; symbol 285 is 258 alone.
pub const LENGTH_BASE: [u8; 32] = {
    let mut base = [0; 32];
    let mut symbol = 1;
    while symbol < 28 {
        base[symbol] = base[symbol - 1] + (1 << LENGTH_EXTRA_BITS[symbol - 1]);
        symbol += 1;
    }
    base[28] = 255;
    base
};
/// The smallest distance of each distance symbol, less 1.
pub const DISTANCE_BASE: [u16; 32] = {
    let mut base = [0; 32];
    let mut symbol = 1;
    while symbol < DISTANCES {
        base[symbol] = base[symbol - 1] + (1 << DISTANCE_EXTRA_BITS[symbol - 1]);
        symbol += 1;
    }
    base
};
/// The length symbol, from 257 on, of a length less 3.
const LENGTH_SYMBOL: [u8; 256] = {
    let mut symbols = [0; 256];
    let mut length = 0;
    let mut symbol = 0;
    while length < 256 {
        while symbol < 28 && LENGTH_BASE[symbol + 1] as usize <= length {
            symbol += 1;
        }
        symbols[length] = symbol as u8;
        length += 1;
    }
    symbols
};
/// The distance symbol of a distance less 1, if it is under 256; of 128 times as much it is 14 more.
const DISTANCE_SYMBOL: [u8; 256] = {
    let mut symbols = [0; 256];
    let mut distance = 0;
    let mut symbol = 0;
    while distance < 256 {
        while DISTANCE_BASE[symbol + 1] as usize <= distance {
            symbol += 1;
        }
        symbols[distance] = symbol as u8;
        distance += 1;
    }
    symbols
};

/// The length symbol, from 257 on, of a length less 3.
#[inline(always)]
pub fn length_symbol(length: u8) -> usize {
    usize::from(LENGTH_SYMBOL[usize::from(length)])
}

/// The distance symbol of a distance less 1.
#[inline(always)]
pub fn distance_symbol(distance: u32) -> u32 {
    if distance < 256 {
        u32::from(DISTANCE_SYMBOL[distance as usize & 255])
    } else {
        u32::from(DISTANCE_SYMBOL[(distance >> 7) as usize & 255]) + 14
    }
}

/// The length of a match, less 3.
#[inline(always)]
pub fn length_of(token: u32) -> u8 {
    (token >> LENGTH_SHIFT) as u8
}

/// The distance of a match, less 1.
#[inline(always)]
pub fn distance_of(token: u32) -> u32 {
    token & 0xffff
}

#[inline(always)]
pub fn distance_symbol_of(token: u32) -> usize {
    (token >> DISTANCE_SYMBOL_SHIFT) as usize & 31
}

/// A block's tokens. Counts are 16 bits wide and wrap, as the original's do.
pub struct Tokens {
    pub literals: [u16; 256],
    /// Of symbols from 256 on: the end of the block, then lengths.
    pub lengths: [u16; 32],
    pub distances: [u16; 32],
    list: Box<[u32; 1 << 16]>,
    len: u16,
}

impl Tokens {
    pub fn new() -> Tokens {
        Tokens {
            literals: [0; 256],
            lengths: [0; 32],
            distances: [0; 32],
            list: vec![0; 1 << 16].try_into().expect("is as long as the array"),
            len: 0,
        }
    }

    pub fn clear(&mut self) {
        self.literals = [0; 256];
        self.lengths = [0; 32];
        self.distances = [0; 32];
        self.len = 0;
    }

    pub fn len(&self) -> usize {
        usize::from(self.len)
    }

    pub fn list(&self) -> &[u32] {
        &self.list[..self.len()]
    }

    #[inline(always)]
    fn push(&mut self, token: u32) {
        self.list[usize::from(self.len)] = token;
        self.len = self.len.wrapping_add(1);
    }

    #[inline(always)]
    pub fn literal(&mut self, byte: u8) {
        let count = &mut self.literals[usize::from(byte)];
        *count = count.wrapping_add(1);
        self.push(u32::from(byte));
    }

    #[inline(always)]
    pub fn literals(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.literal(*byte);
        }
    }

    /// What is left of a block after its last match. Without any match there is nothing to say: the
    /// block will be stored.
    pub fn rest(&mut self, bytes: &[u8]) {
        if self.len > 0 {
            self.literals(bytes);
        }
    }

    /// A match of 3 to 258 bytes.
    #[inline(always)]
    fn one_match(&mut self, length: i32, symbol: u32, low: u32) {
        let length = (length - LENGTH_MIN) as u8;
        let count = &mut self.lengths[(length_symbol(length) + 1) & 31];
        *count = count.wrapping_add(1);
        let count = &mut self.distances[symbol as usize & 31];
        *count = count.wrapping_add(1);
        self.push(MATCH | u32::from(length) << LENGTH_SHIFT | low);
    }

    /// A match of any length from 3 on, in as many tokens as it takes.
    #[inline(always)]
    pub fn matched(&mut self, length: i32, distance: i32) {
        let distance = (distance - 1) as u32;
        let symbol = distance_symbol(distance);
        let low = distance | symbol << DISTANCE_SYMBOL_SHIFT;
        let mut left = length;
        while left > 0 {
            let mut part = left;
            if part > LENGTH_MAX {
                // What remains must be long enough to be a match.
                part = if part > LENGTH_MAX + LENGTH_MIN { LENGTH_MAX } else { LENGTH_MAX - LENGTH_MIN };
            }
            left -= part;
            self.one_match(part, symbol, low);
        }
    }

    pub fn end_of_block(&mut self) {
        self.lengths[0] = self.lengths[0].wrapping_add(1);
        self.push(END_OF_BLOCK as u32);
    }

    /// About how many bits the tokens take with a table made for them, which decides whether one is
    /// made: so the rounding of 32-bit floats is part of what the encoder is.
    pub fn estimated_bits(&self, arithmetic: Arithmetic) -> usize {
        let mut shannon = 0.0;
        let mut extra = 0;
        let mut matches = 0;
        if self.len > 0 {
            let per_symbol = 1.0 / f32::from(self.len);
            for count in self.literals.iter().filter(|count| **count > 0) {
                shannon = arithmetic.add_cost(shannon, f32::from(*count), per_symbol);
            }
            shannon += 15.0; // The end of the block.
            for (symbol, count) in self.lengths[1..LITERALS - 256].iter().enumerate() {
                if *count > 0 {
                    shannon = arithmetic.add_cost(shannon, f32::from(*count), per_symbol);
                    extra += usize::from(LENGTH_EXTRA_BITS[symbol]) * usize::from(*count);
                    matches += usize::from(*count);
                }
            }
        }
        if matches > 0 {
            let per_symbol = 1.0 / matches as f32;
            for (symbol, count) in self.distances[..DISTANCES].iter().enumerate() {
                if *count > 0 {
                    shannon = arithmetic.add_cost(shannon, f32::from(*count), per_symbol);
                    extra += usize::from(DISTANCE_EXTRA_BITS[symbol]) * usize::from(*count);
                }
            }
        }
        shannon as usize + extra
    }
}
