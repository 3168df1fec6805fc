//! The encoder of github.com/klauspost/compress, which skopeo, buildah, podman and umoci use, and
//! which Go has as its own from 1.27 on.
//!
//! A port of its package flate that keeps every decision of the original, so that the bytes are the
//! same. In what the releases differ says [`variant`]; those before v1.15.11 are others still.
//!
//! Level 0 stores and level -2 writes literals only; levels 1 to 6 look into hash tables of the 32 KiB
//! before, each in its own way, and 7 to 9 follow chains. Blocks of 64 KiB are written with the codes
//! of the one before if new ones would save little.
//!
//! github.com/klauspost/pgzip cuts a stream in blocks, which are compressed in parallel: each begins
//! with the last 16 KiB of the one before as dictionary and ends with a flush. Where the last is
//! whole, an empty one follows.
//!
//! The original's notice:
//!
//! ```text
//! Copyright (c) 2012 The Go Authors. All rights reserved.
//! Copyright (c) 2019 Klaus Post. All rights reserved.
//!
//! Redistribution and use in source and binary forms, with or without
//! modification, are permitted provided that the following conditions are
//! met:
//!
//!    * Redistributions of source code must retain the above copyright
//! notice, this list of conditions and the following disclaimer.
//!    * Redistributions in binary form must reproduce the above
//! copyright notice, this list of conditions and the following disclaimer
//! in the documentation and/or other materials provided with the
//! distribution.
//!    * Neither the name of Google Inc. nor the names of its
//! contributors may be used to endorse or promote products derived from
//! this software without specific prior written permission.
//!
//! THIS SOFTWARE IS PROVIDED BY THE COPYRIGHT HOLDERS AND CONTRIBUTORS
//! "AS IS" AND ANY EXPRESS OR IMPLIED WARRANTIES, INCLUDING, BUT NOT
//! LIMITED TO, THE IMPLIED WARRANTIES OF MERCHANTABILITY AND FITNESS FOR
//! A PARTICULAR PURPOSE ARE DISCLAIMED. IN NO EVENT SHALL THE COPYRIGHT
//! OWNER OR CONTRIBUTORS BE LIABLE FOR ANY DIRECT, INDIRECT, INCIDENTAL,
//! SPECIAL, EXEMPLARY, OR CONSEQUENTIAL DAMAGES (INCLUDING, BUT NOT
//! LIMITED TO, PROCUREMENT OF SUBSTITUTE GOODS OR SERVICES; LOSS OF USE,
//! DATA, OR PROFITS; OR BUSINESS INTERRUPTION) HOWEVER CAUSED AND ON ANY
//! THEORY OF LIABILITY, WHETHER IN CONTRACT, STRICT LIABILITY, OR TORT
//! (INCLUDING NEGLIGENCE OR OTHERWISE) ARISING IN ANY WAY OUT OF THE USE
//! OF THIS SOFTWARE, EVEN IF ADVISED OF THE POSSIBILITY OF SUCH DAMAGE.
//! ```

mod block;
mod deflater;
mod fast;
mod history;
mod lazy;
mod level1;
mod level2;
mod level3;
mod level4;
mod level5;
mod level6;
mod table;
mod tokens;
pub mod variant;

#[cfg(test)]
mod tests;

use crate::layer::gzip::encoder::BlockEncoder;
use crate::layer::gzip::encoder::BlockPlan;
use crate::layer::gzip::encoder::Encoder;
use crate::layer::gzip::encoder::StreamEncoder;
use crate::layer::gzip::klauspost::deflater::Deflater;
use crate::layer::gzip::klauspost::variant::Variant;

/// Only Huffman codes, no matches.
pub const HUFFMAN_ONLY: i8 = -2;
/// What skopeo, buildah and podman cut into: pgzip's own choice.
pub const BLOCK_BYTES: u32 = 1 << 20;
/// What umoci cuts into.
pub const UMOCI_BLOCK_BYTES: u32 = 256 << 10;
/// What a block may reach back into of the one before. pgzip takes no block that is not longer.
const DICTIONARY_BYTES: usize = 16 << 10;
/// Far beyond what anybody asks for, and yet little to hold.
const BLOCK_BYTES_MAX: u32 = 4 << 20;

/// The encoder of a level, as the original numbers them, in blocks of so many bytes or, for 0, in
/// one go; `None` if there is no such level or size.
pub fn encoder(variant: Variant, level: i8, block_bytes: u32) -> Option<Encoder> {
    let deflater = Deflater::new(level, variant)?;
    if block_bytes == 0 {
        return Some(Encoder::Stream(Box::new(deflater)));
    }
    if !(DICTIONARY_BYTES as u32 + 1..=BLOCK_BYTES_MAX).contains(&block_bytes) {
        return None;
    }
    Some(Encoder::Blocks(BlockPlan {
        block_bytes: block_bytes as usize,
        dictionary_bytes: DICTIONARY_BYTES,
        empty_last: true,
        make: Box::new(move || Box::new(Deflater::new(level, variant).expect("the level was tried"))),
    }))
}

impl StreamEncoder for Deflater {
    fn write(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        std::mem::swap(self.out(), out);
        Deflater::write(self, bytes);
        std::mem::swap(self.out(), out);
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        std::mem::swap(self.out(), out);
        Deflater::finish(self);
        std::mem::swap(self.out(), out);
    }
}

impl BlockEncoder for Deflater {
    fn encode(&mut self, dictionary: &[u8], block: &[u8], last: bool, out: &mut Vec<u8>) {
        std::mem::swap(self.out(), out);
        self.restart(dictionary);
        Deflater::write(self, block);
        self.flush();
        if last {
            Deflater::finish(self);
        }
        std::mem::swap(self.out(), out);
    }
}
