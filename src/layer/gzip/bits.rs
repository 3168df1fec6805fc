//! Bits into bytes, the first bit lowest.

use super::symbols::Code;

/// What is not a whole byte yet. Copy it into a local before a loop: it then lives in registers.
#[derive(Clone, Copy, Default)]
pub struct BitWriter {
    bits: u64,
    /// Below 48 between calls.
    count: u32,
}

impl BitWriter {
    /// `value` has no more than `count` bits, and that is at most 16.
    #[inline(always)]
    pub fn put(&mut self, value: u32, count: u32, out: &mut Vec<u8>) {
        self.bits |= u64::from(value) << self.count;
        self.count += count;
        if self.count >= 48 {
            out.extend_from_slice(&self.bits.to_le_bytes()[..6]);
            self.bits >>= 48;
            self.count -= 48;
        }
    }

    #[inline(always)]
    pub fn put_code(&mut self, code: Code, out: &mut Vec<u8>) {
        self.put(u32::from(code.bits), u32::from(code.len), out);
    }

    /// How many bits of the last byte are used; zero when it is whole.
    pub fn used_bits(&self) -> u32 {
        self.count % 8
    }

    /// Fills the last byte with zeros.
    pub fn align(&mut self, out: &mut Vec<u8>) {
        let bytes = self.count.div_ceil(8) as usize;
        out.extend_from_slice(&self.bits.to_le_bytes()[..bytes]);
        *self = BitWriter::default();
    }
}
