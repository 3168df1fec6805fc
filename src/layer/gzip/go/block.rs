//! Writing blocks: which of the three kinds, and their bits (huffman_bit_writer.go).

use super::huffman::Codes;
use super::token::Token;
use crate::layer::gzip::bits::BitWriter;
use crate::layer::gzip::symbols::CODE_BITS_MAX;
use crate::layer::gzip::symbols::Code;
use crate::layer::gzip::symbols::END_OF_BLOCK;
use crate::layer::gzip::symbols::LENGTH_BASE;
use crate::layer::gzip::symbols::LENGTH_EXTRA_BITS;
use crate::layer::gzip::symbols::LENGTH_SYMBOL_BITS_MAX;
use crate::layer::gzip::symbols::LENGTH_SYMBOL_ORDER;
use crate::layer::gzip::symbols::LENGTH_SYMBOLS;
use crate::layer::gzip::symbols::LENGTHS_START;
use crate::layer::gzip::symbols::LITERALS;
use crate::layer::gzip::symbols::OFFSET_EXTRA_BITS;
use crate::layer::gzip::symbols::OFFSETS;
use crate::layer::gzip::symbols::fixed_literals;
use crate::layer::gzip::symbols::fixed_offsets;
use crate::layer::gzip::symbols::length_code;
use crate::layer::gzip::symbols::offset_base;
use crate::layer::gzip::symbols::offset_code;

pub const STORED_BYTES_MAX: usize = 65_535;

/// Turns tokens into blocks and blocks into bytes (`huffmanBitWriter`).
pub struct BlockWriter {
    bits: BitWriter,
    literal_counts: [i32; LITERALS],
    offset_counts: [i32; OFFSETS],
    codegen_counts: [i32; LENGTH_SYMBOLS],
    /// Code lengths, run-length encoded, each with what follows its code.
    codegen: Vec<(u8, u8)>,
    literals: Codes<LITERALS>,
    offsets: Codes<OFFSETS>,
    codegens: Codes<LENGTH_SYMBOLS>,
    fixed_literals: Codes<LITERALS>,
    fixed_offsets: Codes<OFFSETS>,
    /// For blocks of literals only: one offset code that is never used.
    no_offsets: Codes<OFFSETS>,
}

/// The bits of a block with codes of its own, and how many code length codes it sends.
struct Dynamic {
    size: usize,
    codegens: usize,
}

impl BlockWriter {
    pub fn new() -> BlockWriter {
        let mut no_offsets = Codes::new();
        let mut one = [0; OFFSETS];
        one[0] = 1;
        no_offsets.generate(&one, CODE_BITS_MAX);
        BlockWriter {
            bits: BitWriter::default(),
            literal_counts: [0; LITERALS],
            offset_counts: [0; OFFSETS],
            codegen_counts: [0; LENGTH_SYMBOLS],
            codegen: Vec::with_capacity(LITERALS + OFFSETS),
            literals: Codes::new(),
            offsets: Codes::new(),
            codegens: Codes::new(),
            fixed_literals: Codes::of(fixed_literals()),
            fixed_offsets: Codes::of(fixed_offsets()),
            no_offsets,
        }
    }

    /// Ends the stream: an empty stored block, marked as the last.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        self.write_stored_header(0, true, out);
        self.bits.align(out);
    }

    /// Writes `bytes` as they are; at most [`STORED_BYTES_MAX`].
    pub fn write_stored(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        self.write_stored_header(bytes.len(), false, out);
        self.bits.align(out);
        out.extend_from_slice(bytes);
    }

    /// Writes `tokens`, which an end of block must end, in the way that needs the fewest bits;
    /// `input` is what they stand for, if it is still at hand.
    pub fn write_block(&mut self, tokens: &[Token], input: Option<&[u8]>, out: &mut Vec<u8>) {
        let (literals, offsets) = self.count(tokens);
        let storable = input.filter(|input| input.len() <= STORED_BYTES_MAX);
        // What follows the codes is the same in both kinds, so it is looked at only against storing.
        let extra_bits = if storable.is_some() { self.extra_bits(literals, offsets) } else { 0 };
        let fixed_size = 3
            + self.fixed_literals.bits_for(&self.literal_counts)
            + self.fixed_offsets.bits_for(&self.offset_counts)
            + extra_bits;
        self.generate_codegen(literals, offsets, false);
        let dynamic = self.dynamic_size(false, extra_bits);
        let is_dynamic = dynamic.size < fixed_size;
        let size = if is_dynamic { dynamic.size } else { fixed_size };
        if let Some(input) = storable.filter(|input| stored_size(input) < size) {
            return self.write_stored(input, out);
        }
        if is_dynamic {
            self.write_dynamic_header(literals, offsets, dynamic.codegens, out);
            put_tokens(&mut self.bits, tokens, &self.literals.codes, &self.offsets.codes, out);
        } else {
            self.bits.put(2, 3, out);
            put_tokens(&mut self.bits, tokens, &self.fixed_literals.codes, &self.fixed_offsets.codes, out);
        }
    }

    /// Writes `tokens` with codes of their own, or `input` as it is if that is not a sixteenth worse.
    pub fn write_block_dynamic(&mut self, tokens: &[Token], input: &[u8], out: &mut Vec<u8>) {
        let (literals, offsets) = self.count(tokens);
        self.generate_codegen(literals, offsets, false);
        let dynamic = self.dynamic_size(false, 0);
        if input.len() <= STORED_BYTES_MAX && stored_size(input) < dynamic.size + (dynamic.size >> 4) {
            return self.write_stored(input, out);
        }
        self.write_dynamic_header(literals, offsets, dynamic.codegens, out);
        put_tokens(&mut self.bits, tokens, &self.literals.codes, &self.offsets.codes, out);
    }

    /// Writes `input` as literals, or as it is if that is not a sixteenth worse.
    pub fn write_block_of_literals(&mut self, input: &[u8], out: &mut Vec<u8>) {
        self.literal_counts = [0; LITERALS];
        for byte in input {
            self.literal_counts[usize::from(*byte)] += 1;
        }
        self.literal_counts[END_OF_BLOCK] = 1;
        // As the original does: the other counts stay as the last block left them, and count below.
        self.offset_counts[0] = 1;
        self.literals.generate(&self.literal_counts, CODE_BITS_MAX);
        self.generate_codegen(END_OF_BLOCK + 1, 1, true);
        let dynamic = self.dynamic_size(true, 0);
        if input.len() <= STORED_BYTES_MAX && stored_size(input) < dynamic.size + (dynamic.size >> 4) {
            return self.write_stored(input, out);
        }
        self.write_dynamic_header(END_OF_BLOCK + 1, 1, dynamic.codegens, out);
        let mut bits = self.bits;
        for byte in input {
            bits.put_code(self.literals.codes[usize::from(*byte)], out);
        }
        bits.put_code(self.literals.codes[END_OF_BLOCK], out);
        self.bits = bits;
    }

    /// Counts the codes, makes the codes for them, and says how many of either are sent.
    fn count(&mut self, tokens: &[Token]) -> (usize, usize) {
        self.literal_counts = [0; LITERALS];
        self.offset_counts = [0; OFFSETS];
        for token in tokens {
            if let Some(literal) = token.as_literal() {
                self.literal_counts[literal] += 1;
                continue;
            }
            self.literal_counts[LENGTHS_START + length_code(token.length())] += 1;
            self.offset_counts[offset_code(token.offset())] += 1;
        }
        let literals = used(&self.literal_counts);
        let mut offsets = used(&self.offset_counts);
        if offsets == 0 {
            // Without a match there is one offset code all the same, so that they can be encoded.
            self.offset_counts[0] = 1;
            offsets = 1;
        }
        self.literals.generate(&self.literal_counts, CODE_BITS_MAX);
        self.offsets.generate(&self.offset_counts, CODE_BITS_MAX);
        (literals, offsets)
    }

    fn extra_bits(&self, literals: usize, offsets: usize) -> usize {
        let lengths = self.literal_counts[LENGTHS_START..literals].iter().zip(LENGTH_EXTRA_BITS);
        let offsets = self.offset_counts[..offsets].iter().zip(OFFSET_EXTRA_BITS);
        lengths.chain(offsets).map(|(count, bits)| *count as usize * usize::from(bits)).sum()
    }

    fn dynamic_size(&mut self, of_literals: bool, extra_bits: usize) -> Dynamic {
        let mut codegens = LENGTH_SYMBOLS;
        while codegens > 4 && self.codegen_counts[LENGTH_SYMBOL_ORDER[codegens - 1]] == 0 {
            codegens -= 1;
        }
        let offsets = if of_literals { &self.no_offsets } else { &self.offsets };
        let size = 3
            + 5
            + 5
            + 4
            + 3 * codegens
            + self.codegens.bits_for(&self.codegen_counts)
            + self.codegen_counts[16] as usize * 2
            + self.codegen_counts[17] as usize * 3
            + self.codegen_counts[18] as usize * 7
            + self.literals.bits_for(&self.literal_counts)
            + offsets.bits_for(&self.offset_counts)
            + extra_bits;
        Dynamic { size, codegens }
    }

    /// Run-length encodes the code lengths (RFC 1951, 3.2.7), the offsets' right after the literals',
    /// and makes the codes for that.
    fn generate_codegen(&mut self, literals: usize, offsets: usize, of_literals: bool) {
        let offset_codes = if of_literals { &self.no_offsets.codes } else { &self.offsets.codes };
        let mut lens =
            self.literals.codes[..literals].iter().chain(&offset_codes[..offsets]).map(|code| code.len);
        self.codegen_counts = [0; LENGTH_SYMBOLS];
        self.codegen.clear();
        let counts = &mut self.codegen_counts;
        let codegen = &mut self.codegen;
        let mut put = |code: u8, more: u8| {
            codegen.push((code, more));
            counts[usize::from(code)] += 1;
        };
        let mut next = lens.next();
        while let Some(len) = next {
            let mut count = 1_usize;
            next = lens.next();
            while next == Some(len) {
                count += 1;
                next = lens.next();
            }
            if len != 0 {
                put(len, 0);
                count -= 1;
                while count >= 3 {
                    let run = count.min(6);
                    put(16, (run - 3) as u8);
                    count -= run;
                }
            } else {
                while count >= 11 {
                    let run = count.min(138);
                    put(18, (run - 11) as u8);
                    count -= run;
                }
                if count >= 3 {
                    put(17, (count - 3) as u8);
                    count = 0;
                }
            }
            for _ in 0..count {
                put(len, 0);
            }
        }
        self.codegens.generate(&self.codegen_counts, LENGTH_SYMBOL_BITS_MAX);
    }

    fn write_dynamic_header(&mut self, literals: usize, offsets: usize, codegens: usize, out: &mut Vec<u8>) {
        let bits = &mut self.bits;
        bits.put(4, 3, out);
        bits.put((literals - 257) as u32, 5, out);
        bits.put((offsets - 1) as u32, 5, out);
        bits.put((codegens - 4) as u32, 4, out);
        for symbol in &LENGTH_SYMBOL_ORDER[..codegens] {
            bits.put(u32::from(self.codegens.codes[*symbol].len), 3, out);
        }
        for (code, more) in &self.codegen {
            bits.put_code(self.codegens.codes[usize::from(*code)], out);
            match code {
                16 => bits.put(u32::from(*more), 2, out),
                17 => bits.put(u32::from(*more), 3, out),
                18 => bits.put(u32::from(*more), 7, out),
                _ => {}
            }
        }
    }

    fn write_stored_header(&mut self, len: usize, last: bool, out: &mut Vec<u8>) {
        self.bits.put(u32::from(last), 3, out);
        self.bits.align(out);
        self.bits.put(len as u32, 16, out);
        self.bits.put(!len as u32 & 0xffff, 16, out);
    }
}

pub fn put_tokens(
    bits: &mut BitWriter,
    tokens: &[Token],
    literals: &[Code; LITERALS],
    offsets: &[Code; OFFSETS],
    out: &mut Vec<u8>,
) {
    let mut now = *bits;
    for token in tokens {
        if let Some(literal) = token.as_literal() {
            now.put_code(literals[literal], out);
            continue;
        }
        let length = token.length();
        let code = length_code(length);
        now.put_code(literals[LENGTHS_START + code], out);
        now.put(u32::from(length - LENGTH_BASE[code]), u32::from(LENGTH_EXTRA_BITS[code]), out);
        let offset = token.offset();
        let code = offset_code(offset);
        now.put_code(offsets[code], out);
        now.put(offset - offset_base(code), u32::from(OFFSET_EXTRA_BITS[code]), out);
    }
    *bits = now;
}

/// In bits, with the header.
fn stored_size(input: &[u8]) -> usize {
    (input.len() + 5) * 8
}

fn used(counts: &[i32]) -> usize {
    counts.iter().rposition(|count| *count != 0).map_or(0, |last| last + 1)
}
