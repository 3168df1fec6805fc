//! What a code's table says of the bits that come next: one 32-bit word, made so that the decoder
//! does little with it.
//!
//! ```text
//! bits 0-7    how many bits to skip: the code and the extra bits behind it
//! bits 8-12   how many of them are the code; of a link, the bits that choose from the other table
//! bit  13     the end of the block
//! bit  14     a link: the code goes on in another table
//! bit  15     set with the two above, or alone for a code that stands for nothing
//! bits 16-30  the literal, the least length or offset; of a link, where the other table begins
//! bit  31     a literal
//! ```

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Entry(pub u32);

const END: u32 = 1 << 13;
const LINK: u32 = 1 << 14;
const EXCEPTION: u32 = 1 << 15;
const LITERAL: u32 = 1 << 31;

/// RFC 1951, 3.2.5: the least length, and how many extra bits.
const LENGTHS: [(u16, u8); 29] = [
    (3, 0),
    (4, 0),
    (5, 0),
    (6, 0),
    (7, 0),
    (8, 0),
    (9, 0),
    (10, 0),
    (11, 1),
    (13, 1),
    (15, 1),
    (17, 1),
    (19, 2),
    (23, 2),
    (27, 2),
    (31, 2),
    (35, 3),
    (43, 3),
    (51, 3),
    (59, 3),
    (67, 4),
    (83, 4),
    (99, 4),
    (115, 4),
    (131, 5),
    (163, 5),
    (195, 5),
    (227, 5),
    (258, 0),
];
const OFFSETS: [(u16, u8); 30] = [
    (1, 0),
    (2, 0),
    (3, 0),
    (4, 0),
    (5, 1),
    (7, 1),
    (9, 2),
    (13, 2),
    (17, 3),
    (25, 3),
    (33, 4),
    (49, 4),
    (65, 5),
    (97, 5),
    (129, 6),
    (193, 6),
    (257, 7),
    (385, 7),
    (513, 8),
    (769, 8),
    (1025, 9),
    (1537, 9),
    (2049, 10),
    (3073, 10),
    (4097, 11),
    (6145, 11),
    (8193, 12),
    (12289, 12),
    (16385, 13),
    (24577, 13),
];

impl Entry {
    /// Of a symbol of the first code: a literal, the end of the block, or a length.
    pub fn of_litlen(symbol: usize) -> Entry {
        match symbol {
            0..256 => Entry(LITERAL | (symbol as u32) << 16),
            256 => Entry(EXCEPTION | END),
            _ => LENGTHS.get(symbol - 257).map_or(Entry::nothing(), |numbers| Entry::of_number(*numbers)),
        }
    }

    pub fn of_offset(symbol: usize) -> Entry {
        OFFSETS.get(symbol).map_or(Entry::nothing(), |numbers| Entry::of_number(*numbers))
    }

    /// Of a symbol that is nothing but its number.
    pub fn of_plain(symbol: usize) -> Entry {
        Entry((symbol as u32) << 16)
    }

    pub fn nothing() -> Entry {
        Entry(EXCEPTION)
    }

    fn of_number((least, extra): (u16, u8)) -> Entry {
        Entry(u32::from(least) << 16 | u32::from(extra))
    }

    /// To a table at `start` that `choosing` more bits choose from.
    pub fn link(start: usize, choosing: u32) -> Entry {
        Entry(EXCEPTION | LINK | (start as u32) << 16 | choosing << 8)
    }

    /// The same, found by a code of so many bits.
    pub fn with_code(self, bits: u32) -> Entry {
        Entry(self.0 + bits + if self.is_link() { 0 } else { bits << 8 })
    }

    #[inline(always)]
    pub fn is_literal(self) -> bool {
        self.0 & LITERAL != 0
    }

    /// A link, the end of the block, or nothing.
    #[inline(always)]
    pub fn is_exception(self) -> bool {
        self.0 & EXCEPTION != 0
    }

    #[inline(always)]
    pub fn is_link(self) -> bool {
        self.0 & LINK != 0
    }

    #[inline(always)]
    pub fn is_end(self) -> bool {
        self.0 & END != 0
    }

    #[inline(always)]
    pub fn literal(self) -> u8 {
        (self.0 >> 16) as u8
    }

    /// How many bits to skip.
    #[inline(always)]
    pub fn bits(self) -> u32 {
        self.0 & 0xff
    }

    pub fn code_bits(self) -> u32 {
        self.0 >> 8 & 0x1f
    }

    /// The value without what the extra bits add.
    #[inline(always)]
    pub fn least(self) -> usize {
        (self.0 >> 16) as usize
    }

    /// The length or offset, out of the bits that begin with its code.
    #[inline(always)]
    pub fn number(self, bits: u64) -> usize {
        let whole = bits & !(u64::MAX << (self.0 & 63));
        self.least() + (whole >> (self.0 >> 8 & 63)) as usize
    }

    /// Where a link leads with the bits that come after it.
    #[inline(always)]
    pub fn linked(self, bits: u64) -> usize {
        self.least() + (bits & !(u64::MAX << (self.0 >> 8 & 31))) as usize
    }
}
