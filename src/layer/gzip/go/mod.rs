//! Go's compress/flate, as it has been from Go 1.8 to 1.26.
//!
//! A port of the package that keeps every decision of the original, so that the bytes are the same;
//! names follow it where they can. Left out: flushes, dictionaries, reuse.
//!
//! The original has one flaw that shows in its output: it moves its window when a call of `Write`
//! ends while the last 262 bytes of the window are not used yet and the next byte to look at is
//! number 65,274 of it. A match that lies 32,506 bytes or more before that one byte is then not
//! found. This port is the original fed in one call, or in calls of 32 KiB as `io.Copy` makes them;
//! of calls of any size about one in a million of such moves shows.
//!
//! The original's notice:
//!
//! ```text
//! Copyright (c) 2009 The Go Authors. All rights reserved.
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

pub(super) mod block;
mod fast;
pub(super) mod huffman;
mod lazy;
mod plain;
pub(super) mod token;

use crate::layer::gzip::encoder::StreamEncoder;

/// Only Huffman codes, no matches.
pub const HUFFMAN_ONLY: i8 = -2;

/// The encoder of a level as Go numbers them: 1 to 9, 0 for none, -2 for Huffman codes only.
pub fn encoder(level: i8) -> Option<Box<dyn StreamEncoder>> {
    Some(match level {
        HUFFMAN_ONLY | 0 => Box::new(plain::Plain::new(level == 0)),
        1 => Box::new(fast::Fast::new()),
        2..=9 => Box::new(lazy::Lazy::new(level)),
        _ => return None,
    })
}
