//! Bits put together to bytes, the first bit of a byte its lowest.

use crate::layer::gzip::klauspost::block::LITERAL_ROOM;
use crate::layer::gzip::klauspost::huffman::Code;
use crate::layer::gzip::klauspost::tokens;
use crate::layer::gzip::klauspost::tokens::DISTANCE_BASE;
use crate::layer::gzip::klauspost::tokens::DISTANCE_EXTRA_BITS;
use crate::layer::gzip::klauspost::tokens::LENGTH_BASE;
use crate::layer::gzip::klauspost::tokens::LENGTH_EXTRA_BITS;
use crate::layer::gzip::klauspost::tokens::MATCH;

/// Bytes are handed on when so many wait.
const BUFFER_BYTES: usize = 4096;
/// A push writes so many bytes, of which not all need count.
const STORE_BYTES: usize = 8;

pub struct BitWriter {
    pub out: Vec<u8>,
    buffer: Box<[u8; BUFFER_BYTES + STORE_BYTES]>,
    buffered: usize,
    bits: u64,
    /// Under 48 between calls.
    len: u32,
}

impl BitWriter {
    pub fn new() -> BitWriter {
        BitWriter {
            out: Vec::new(),
            buffer: Box::new([0; BUFFER_BYTES + STORE_BYTES]),
            buffered: 0,
            bits: 0,
            len: 0,
        }
    }

    pub fn clear(&mut self) {
        (self.buffered, self.bits, self.len) = (0, 0, 0);
    }

    /// Appends `len` bits, 16 or less.
    #[inline(always)]
    pub fn put(&mut self, bits: u64, len: u32) {
        self.bits |= bits << (self.len & 63);
        self.len += len;
        if self.len >= 48 {
            self.store();
        }
    }

    #[inline(always)]
    pub fn code(&mut self, code: Code) {
        self.put(code.bits(), code.len());
    }

    #[inline(always)]
    fn store(&mut self) {
        if let Some(place) = self.buffer[self.buffered..].first_chunk_mut() {
            *place = self.bits.to_le_bytes();
        }
        self.bits >>= 48;
        self.len -= 48;
        self.buffered += 6;
        if self.buffered >= BUFFER_BYTES {
            self.hand_on();
        }
    }

    fn hand_on(&mut self) {
        self.out.extend_from_slice(&self.buffer[..self.buffered]);
        self.buffered = 0;
    }

    /// Fills the last byte up with zeros and hands on all there is.
    pub fn align(&mut self) {
        self.hand_on();
        let bytes = self.len.div_ceil(8) as usize;
        self.out.extend_from_slice(&self.bits.to_le_bytes()[..bytes]);
        (self.bits, self.len) = (0, 0);
    }

    /// Appends whole bytes where a byte begins.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.align();
        self.out.extend_from_slice(bytes);
    }

    /// Appends each byte's code.
    pub fn literals(&mut self, bytes: &[u8], codes: &[Code; LITERAL_ROOM]) {
        for byte in bytes {
            self.code(codes[usize::from(*byte)]);
        }
    }

    /// Appends each token's codes and what goes with them.
    pub fn tokens(&mut self, tokens: &[u32], literals: &[Code; LITERAL_ROOM], distances: &[Code; 32]) {
        for token in tokens {
            if *token < MATCH {
                self.code(literals[*token as usize & (LITERAL_ROOM - 1)]);
                continue;
            }
            let length = tokens::length_of(*token);
            let symbol = tokens::length_symbol(length) & 31;
            self.code(literals[257 + symbol]);
            self.put(u64::from(length - LENGTH_BASE[symbol]), u32::from(LENGTH_EXTRA_BITS[symbol]));
            let symbol = tokens::distance_symbol_of(*token);
            self.code(distances[symbol]);
            let past = tokens::distance_of(*token) - u32::from(DISTANCE_BASE[symbol]);
            self.put(u64::from(past), u32::from(DISTANCE_EXTRA_BITS[symbol]));
        }
    }
}
