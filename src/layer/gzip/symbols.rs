//! The codes of lengths and distances, and the order of code lengths (RFC 1951, 3.2.5 and 3.2.7).

pub const LITERALS: usize = 286;
pub const OFFSETS: usize = 30;
/// The code lengths' own codes: 0 to 15, and three that repeat.
pub const LENGTH_SYMBOLS: usize = 19;
pub const END_OF_BLOCK: usize = 256;
/// The literal that stands for the first length code.
pub const LENGTHS_START: usize = 257;
pub const CODE_BITS_MAX: usize = 15;
/// Of the code lengths' own codes.
pub const LENGTH_SYMBOL_BITS_MAX: usize = 7;
pub const LENGTH_SYMBOL_ORDER: [usize; LENGTH_SYMBOLS] =
    [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// A code, its first bit lowest, and how many bits it has; zero for what does not occur.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Code {
    pub bits: u16,
    pub len: u8,
}

/// What a length code is followed by, and the least length (less 3) that it stands for.
pub const LENGTH_EXTRA_BITS: [u8; 29] =
    [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0];
pub const LENGTH_BASE: [u8; 29] = [
    0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192,
    224, 255,
];
pub const OFFSET_EXTRA_BITS: [u8; 30] =
    [0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13];

/// The length code of each length less 3.
const LENGTH_CODES: [u8; 256] = {
    let mut codes = [0; 256];
    let mut code = 0;
    while code < LENGTH_BASE.len() {
        let mut at = LENGTH_BASE[code] as usize;
        while at < codes.len() {
            codes[at] = code as u8;
            at += 1;
        }
        code += 1;
    }
    codes
};

#[inline]
pub fn length_code(length: u8) -> usize {
    usize::from(LENGTH_CODES[usize::from(length)])
}

/// The code of a distance less 1: two codes for each power of two.
#[inline]
pub fn offset_code(offset: u32) -> usize {
    if offset < 4 {
        return offset as usize;
    }
    let log = 31 - offset.leading_zeros();
    (2 * log + ((offset >> (log - 1)) & 1)) as usize
}

pub fn offset_base(code: usize) -> u32 {
    match code {
        0..4 => code as u32,
        _ => (2 + (code as u32 & 1)) << (code / 2 - 1),
    }
}

/// The bits of a code as deflate sends them, first bit lowest.
pub fn reversed(code: u16, len: usize) -> u16 {
    code.reverse_bits() >> (16 - len)
}

/// RFC 1951, 3.2.6.
pub fn fixed_literals() -> [Code; LITERALS] {
    std::array::from_fn(|symbol| {
        let (bits, len) = match symbol {
            0..144 => (symbol + 48, 8),
            144..256 => (symbol + 400 - 144, 9),
            256..280 => (symbol - 256, 7),
            _ => (symbol + 192 - 280, 8),
        };
        Code { bits: reversed(bits as u16, len), len: len as u8 }
    })
}

pub fn fixed_offsets() -> [Code; OFFSETS] {
    std::array::from_fn(|symbol| Code { bits: reversed(symbol as u16, 5), len: 5 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_fall_under_their_code() {
        let mut next = 0;
        for (code, extra) in OFFSET_EXTRA_BITS.iter().enumerate() {
            assert_eq!(offset_base(code), next, "code {code}");
            next += 1 << extra;
            assert_eq!(offset_code(offset_base(code)), code);
            assert_eq!(offset_code(next - 1), code);
        }
        assert_eq!(next, 32_768);
    }

    #[test]
    fn lengths_fall_under_their_code() {
        for (code, (base, extra)) in LENGTH_BASE.iter().zip(LENGTH_EXTRA_BITS).enumerate() {
            assert_eq!(length_code(*base), code);
            let last = usize::from(*base) + (1 << extra) - 1;
            // RFC 1951: the last length of code 284 has a code of its own.
            assert_eq!(length_code(last.min(255) as u8), if last == 255 { 28 } else { code });
        }
    }
}
