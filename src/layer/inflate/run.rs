//! The loop that all time goes to: symbols of one block, while there is plenty of input and room.
//!
//! What is waited for is the way from one entry to the next: skip its bits, look up the next. So
//! that is begun before the bytes of the last match are copied, and up to three literals are taken
//! for one look at input and room. Checks of indices are so few because ranges are said where the
//! compiler sees them: in the types of tables and window, and at the top of the loop.

use super::OUT_BYTES;
use super::table::Litlens;
use super::table::Offsets;

/// So much input is there for one turn of the loop: three times eight bytes are looked at.
pub const IN_BYTES_MIN: usize = 32;
/// So much room is there for one turn: three literals, a match of 258, and what copying it in
/// large pieces writes beyond.
pub const ROOM_MIN: usize = 320;

#[derive(Debug)]
pub struct Codes {
    pub litlens: Litlens,
    pub offsets: Offsets,
}

/// Bits of the input that are not used yet.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bits {
    /// The next one lowest.
    pub bits: u64,
    /// In the low eight bits; above may stand anything.
    pub count: u32,
}

/// Why the loop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Too little input or room.
    Short,
    End,
    Broken(&'static str),
}

impl Bits {
    /// Fills up to 56 bits or more.
    #[inline(always)]
    fn refill(&mut self, input: &mut &[u8]) {
        if let Some(word) = input.first_chunk() {
            self.bits |= u64::from_le_bytes(*word) << (self.count & 63);
            // Whole bytes that found room; a part of the next one is there as well, and will be
            // put over itself.
            *input = &input[(!self.count >> 3 & 7) as usize..];
            self.count |= 56;
        }
    }

    /// Skips as many bits as the low six of `entry` say.
    #[inline(always)]
    fn skip(&mut self, entry: u32) {
        self.bits >>= entry & 63;
        // What stands above the count is not looked at, so neither is what is above in the entry.
        self.count = self.count.wrapping_sub(entry);
    }
}

/// Decodes symbols from `input` to `out`, where `end` bytes are; both move on. Whole bytes that
/// `bits` holds at the end are given back to the input.
pub fn run(
    codes: &Codes,
    state: &mut Bits,
    input: &mut &[u8],
    out: &mut [u8; OUT_BYTES],
    end: &mut usize,
) -> Stop {
    let whole = *input;
    let (mut bits, mut rest, mut at) = (*state, *input, *end);
    let stop = turns(codes, &mut bits, &mut rest, out, &mut at);
    let back = (bits.count as u8 >> 3) as usize;
    *input = &whole[whole.len() - rest.len() - back..];
    let count = bits.count & 7;
    *state = Bits { bits: bits.bits & ((1 << count) - 1), count };
    *end = at;
    stop
}

#[inline(always)]
fn turns(
    codes: &Codes,
    bits: &mut Bits,
    input: &mut &[u8],
    out: &mut [u8; OUT_BYTES],
    end: &mut usize,
) -> Stop {
    let Codes { litlens, offsets } = codes;
    if input.len() < IN_BYTES_MIN {
        return Stop::Short;
    }
    bits.refill(input);
    let mut entry = litlens.root(bits.bits);
    loop {
        if input.len() < IN_BYTES_MIN || *end > OUT_BYTES - ROOM_MIN {
            return Stop::Short;
        }
        let mut before = bits.bits;
        bits.skip(entry.0);
        if entry.is_literal() {
            let literal = entry.literal();
            entry = litlens.root(bits.bits);
            before = bits.bits;
            bits.skip(entry.0);
            out[*end] = literal;
            *end += 1;
            if entry.is_literal() {
                let literal = entry.literal();
                entry = litlens.root(bits.bits);
                before = bits.bits;
                bits.skip(entry.0);
                out[*end] = literal;
                *end += 1;
                if entry.is_literal() {
                    out[*end] = entry.literal();
                    *end += 1;
                    entry = litlens.root(bits.bits);
                    bits.refill(input);
                    continue;
                }
            }
        }
        if entry.is_exception() {
            if entry.is_link() {
                entry = litlens.linked(entry, bits.bits);
                before = bits.bits;
                bits.skip(entry.0);
                if entry.is_literal() {
                    out[*end] = entry.literal();
                    *end += 1;
                    bits.refill(input);
                    entry = litlens.root(bits.bits);
                    continue;
                }
            }
            if entry.is_end() {
                return Stop::End;
            }
            if entry.is_exception() {
                return Stop::Broken(NOTHING);
            }
        }
        let length = entry.number(before);
        entry = offsets.root(bits.bits);
        // After the offset, of 21 bits at most or of 28 by a link, come the 11 of the next look-up.
        if entry.is_exception() {
            if !entry.is_link() {
                return Stop::Broken(NOTHING);
            }
            if (bits.count as u8) < 40 {
                bits.refill(input);
            }
            bits.skip(Offsets::ROOT_BITS);
            entry = offsets.linked(entry, bits.bits);
            if entry.is_exception() {
                return Stop::Broken(NOTHING);
            }
        } else if (bits.count as u8) < 32 {
            bits.refill(input);
        }
        let offset = entry.number(bits.bits);
        bits.skip(entry.0);
        entry = litlens.root(bits.bits);
        bits.refill(input);
        let Some(from) = end.checked_sub(offset) else { return Stop::Broken(TOO_FAR) };
        copy(out, from, *end, length);
        *end += length;
    }
}

pub const NOTHING: &str = "a code that stands for nothing";
pub const TOO_FAR: &str = "an offset to before its beginning";

/// Copies a match in pieces, the last of which may write beyond it.
#[inline(always)]
fn copy(out: &mut [u8; OUT_BYTES], from: usize, to: usize, length: usize) {
    let offset = to - from;
    if offset >= 16 {
        // Most are that short, and it costs less to copy too much than to guess wrong.
        piece::<16>(out, from, to);
        piece::<16>(out, from + 16, to + 16);
        for done in (32..length).step_by(16) {
            piece::<16>(out, from + done, to + done);
        }
    } else if offset == 1 {
        let byte = out[from];
        out[to..to + length].fill(byte);
    } else if offset >= 8 {
        for done in (0..length).step_by(8) {
            piece::<8>(out, from + done, to + done);
        }
    } else {
        for done in 0..length {
            out[to + done] = out[from + done];
        }
    }
}

#[inline(always)]
fn piece<const N: usize>(out: &mut [u8; OUT_BYTES], from: usize, to: usize) {
    out.copy_within(from..from + N, to);
}
