//! pigz, 2.3 and later: zlib in blocks that many threads compress, each with the end of the one
//! before as its dictionary.
//!
//! A block ends at a whole byte so that the next can follow. Its own end seldom does; then come empty
//! blocks with the fixed codes, ten bits each, until one does, or if that cannot be, an empty stored
//! block.

use crate::layer::gzip::encoder::BlockEncoder;
use crate::layer::gzip::encoder::BlockPlan;
use crate::layer::gzip::zlib::Deflate;
use crate::layer::gzip::zlib::Flavour;
use crate::layer::gzip::zlib::Flush;

/// pigz's own choice when it is not told otherwise (`-b`).
pub const BLOCK_BYTES: u32 = 128 << 10;
const BLOCK_BYTES_MIN: u32 = 32 << 10;
/// Far beyond what anybody asks for, and yet little to hold.
const BLOCK_BYTES_MAX: u32 = 4 << 20;
const DICTIONARY_BYTES: usize = 32 << 10;

/// How a level from 1 to 9 works with blocks of that size; `None` if there is no such level or size.
pub fn plan(level: i8, block_bytes: u32) -> Option<BlockPlan> {
    if !(BLOCK_BYTES_MIN..=BLOCK_BYTES_MAX).contains(&block_bytes) || Pigz::new(level).is_none() {
        return None;
    }
    Some(BlockPlan {
        block_bytes: block_bytes as usize,
        dictionary_bytes: DICTIONARY_BYTES,
        empty_last: false,
        make: Box::new(move || Box::new(Pigz::new(level).expect("the level was tried"))),
    })
}

struct Pigz(Deflate);

impl Pigz {
    fn new(level: i8) -> Option<Pigz> {
        Deflate::new(Flavour::Zlib, level).map(Pigz)
    }
}

impl BlockEncoder for Pigz {
    fn encode(&mut self, dictionary: &[u8], block: &[u8], last: bool, out: &mut Vec<u8>) {
        let deflate = &mut self.0;
        deflate.restart(dictionary);
        deflate.take(block, out);
        if last {
            deflate.run(Flush::Finish, out);
            return;
        }
        deflate.run(Flush::Block, out);
        let block = deflate.block();
        // Ten bits are two more than a byte: they never make an odd number of bits even.
        if block.used_bits() % 2 == 1 {
            block.put_stored(&[], false, out);
        }
        while block.used_bits() > 0 {
            block.put_empty(out);
        }
        block.flush(out);
    }
}
