//! SHA-256 of a stream and of parts of it, in one pass.
//!
//! A layer's tar is hashed whole (its diff id) and each file in it by itself (its content id): the
//! same bytes twice. A tar's files begin on block boundaries, so both hashes see the same blocks,
//! and one core can do both rounds for little more than the time of one: the processor's SHA
//! instructions leave half of their slots empty on a single hash. Measured: 1.13 times the time of
//! one hash in place of 2. The library, `sha2`, does everything else.

mod pair;

use crate::id::ContentId;
use sha2::block_api::compress256;

const BLOCK_BYTES: usize = 64;
/// FIPS 180-4, 5.3.3.
const START: [u32; 8] =
    [0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19];

/// The hash of all that is given to it, and of one part of it at a time.
pub struct Nested {
    whole: State,
    part: Option<Part>,
}

struct Part {
    state: State,
    /// It began on a block of the whole, so that the two always wait for the same bytes.
    in_step: bool,
}

impl Nested {
    pub fn new() -> Nested {
        Nested { whole: State::new(), part: None }
    }

    /// From here on bytes belong to a new part as well.
    pub fn begin_part(&mut self) {
        self.part = Some(Part { state: State::new(), in_step: self.whole.waiting == 0 });
    }

    /// Ends the part begun last; `None` if none is begun.
    pub fn end_part(&mut self) -> Option<ContentId> {
        self.part.take().map(|part| ContentId(part.state.finish()))
    }

    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.part {
            None => self.whole.update(bytes),
            Some(Part { state, in_step: true }) => both(&mut self.whole, state, bytes),
            Some(Part { state, in_step: false }) => {
                self.whole.update(bytes);
                state.update(bytes);
            }
        }
    }

    pub fn finish(self) -> [u8; 32] {
        self.whole.finish()
    }
}

impl Default for Nested {
    fn default() -> Nested {
        Nested::new()
    }
}

#[derive(Clone)]
struct State {
    words: [u32; 8],
    /// The begun block, `waiting` bytes of it.
    block: [u8; BLOCK_BYTES],
    waiting: usize,
    bytes: u64,
}

impl State {
    fn new() -> State {
        State { words: START, block: [0; BLOCK_BYTES], waiting: 0, bytes: 0 }
    }

    fn update(&mut self, bytes: &[u8]) {
        self.feed(bytes, compress256);
    }

    /// Completes the begun block, compresses all whole ones, and keeps the rest for later.
    fn feed(&mut self, mut bytes: &[u8], mut compress: impl FnMut(&mut [u32; 8], &[[u8; BLOCK_BYTES]])) {
        self.bytes += bytes.len() as u64;
        if self.waiting > 0 {
            let (now, later) = bytes.split_at(bytes.len().min(BLOCK_BYTES - self.waiting));
            self.block[self.waiting..][..now.len()].copy_from_slice(now);
            self.waiting += now.len();
            bytes = later;
            if self.waiting < BLOCK_BYTES {
                return;
            }
            compress(&mut self.words, &[self.block]);
        }
        let (blocks, rest) = bytes.as_chunks();
        if !blocks.is_empty() {
            compress(&mut self.words, blocks);
        }
        self.block[..rest.len()].copy_from_slice(rest);
        self.waiting = rest.len();
    }

    /// FIPS 180-4, 5.1.1: a one bit, zeros, and the length in bits at the end of a block.
    fn finish(mut self) -> [u8; 32] {
        let bits = self.bytes * 8;
        let mut padding = [0; 2 * BLOCK_BYTES];
        padding[0] = 0x80;
        let zeros_until = if self.waiting < 56 { 56 } else { 56 + BLOCK_BYTES } - self.waiting;
        padding[zeros_until..][..8].copy_from_slice(&bits.to_be_bytes());
        self.update(&padding[..zeros_until + 8]);
        let mut out = [0; 32];
        for (to, word) in out.as_chunks_mut().0.iter_mut().zip(self.words) {
            *to = word.to_be_bytes();
        }
        out
    }
}

/// Feeds two states whose begun blocks are the same.
fn both(one: &mut State, two: &mut State, bytes: &[u8]) {
    let words = &mut two.words;
    one.feed(bytes, |one, blocks| pair::compress(one, words, blocks));
    two.bytes += bytes.len() as u64;
    two.waiting = one.waiting;
    two.block[..one.waiting].copy_from_slice(&one.block[..one.waiting]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Pieces of a stream; those that are part of something say so.
    fn pieces() -> impl Strategy<Value = Vec<(bool, bool, Vec<u8>)>> {
        let len = prop_oneof![Just(0usize), Just(64), Just(512), 0..200usize, 0..3000usize];
        let bytes = len.prop_flat_map(|len| prop::collection::vec(any::<u8>(), len));
        prop::collection::vec((any::<bool>(), any::<bool>(), bytes), 0..9)
    }

    proptest! {
        #[test]
        fn as_the_library_hashes(pieces in pieces()) {
            let mut nested = Nested::new();
            let mut all = Vec::new();
            for (part, split, bytes) in pieces {
                if part {
                    nested.begin_part();
                }
                for piece in bytes.chunks(if split { 7 } else { 4096 }) {
                    nested.update(piece);
                }
                prop_assert_eq!(nested.end_part(), part.then(|| ContentId::of(&bytes)));
                all.extend(bytes);
            }
            prop_assert_eq!(ContentId(nested.finish()), ContentId::of(&all));
        }
    }
}
