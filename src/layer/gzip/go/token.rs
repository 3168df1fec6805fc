//! A literal or a match in 32 bits (token.go).

pub const BASE_MATCH_LENGTH: usize = 3;
pub const BASE_MATCH_OFFSET: usize = 1;

/// Two bits of type, eight of length, 22 of offset or literal.
#[derive(Clone, Copy, PartialEq, Eq)]
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
