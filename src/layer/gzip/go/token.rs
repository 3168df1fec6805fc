//! A literal or a match in 32 bits, and the codes of lengths and offsets (token.go).

pub const BASE_MATCH_LENGTH: usize = 3;
pub const BASE_MATCH_OFFSET: usize = 1;

/// Two bits of type, eight of length, 22 of offset or literal.
#[derive(Clone, Copy)]
pub struct Token(u32);

const LENGTH_SHIFT: u32 = 22;
const MATCH_TYPE: u32 = 1 << 30;
const OFFSET_MASK: u32 = (1 << LENGTH_SHIFT) - 1;

impl Token {
    pub const END_OF_BLOCK: Token = Token(256);

    pub fn literal(byte: u8) -> Token {
        Token(u32::from(byte))
    }

    /// Of a whole length and distance.
    pub fn of_match(length: usize, distance: usize) -> Token {
        let length = (length - BASE_MATCH_LENGTH) as u32;
        Token(MATCH_TYPE + (length << LENGTH_SHIFT) + (distance - BASE_MATCH_OFFSET) as u32)
    }

    /// The literal's code, if it is no match.
    #[inline]
    pub fn as_literal(self) -> Option<usize> {
        (self.0 < MATCH_TYPE).then_some(self.0 as usize)
    }

    /// A match's length less 3.
    #[inline]
    pub fn length(self) -> u8 {
        ((self.0 - MATCH_TYPE) >> LENGTH_SHIFT) as u8
    }

    /// A match's distance less 1.
    #[inline]
    pub fn offset(self) -> u32 {
        self.0 & OFFSET_MASK
    }
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
