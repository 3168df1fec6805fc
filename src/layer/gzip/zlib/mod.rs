//! The deflate of the C library zlib, and what differs in GNU gzip's, its elder sibling.
//!
//! An altered version of zlib's deflate.c and trees.c (1.3.2), in Rust, that keeps every decision of
//! the original, so that the bytes are the same as of 1.2.5.1 and later, for any calls that leave the
//! strategy, the window and the memory level as they are by default. Left out: level 0, whose blocks
//! depend on the caller's buffers; other strategies; tuning.
//!
//! zlib's notice:
//!
//! ```text
//! Copyright (C) 1995-2026 Jean-loup Gailly and Mark Adler
//!
//! This software is provided 'as-is', without any express or implied
//! warranty.  In no event will the authors be held liable for any damages
//! arising from the use of this software.
//!
//! Permission is granted to anyone to use this software for any purpose,
//! including commercial applications, and to alter it and redistribute it
//! freely, subject to the following restrictions:
//!
//! 1. The origin of this software must not be misrepresented; you must not
//!    claim that you wrote the original software. If you use this software
//!    in a product, an acknowledgment in the product documentation would be
//!    appreciated but is not required.
//! 2. Altered source versions must be plainly marked as such, and must not be
//!    misrepresented as being the original software.
//! 3. This notice may not be removed or altered from any source distribution.
//!
//! Jean-loup Gailly        Mark Adler
//! jloup@gzip.org          madler@alumni.caltech.edu
//! ```

mod block;
mod deflate;
mod tree;
mod window;

use crate::layer::gzip::encoder::StreamEncoder;
pub use deflate::Deflate;
pub use deflate::Flush;

/// What differs between the two.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Flavour {
    Zlib,
    /// Blocks of up to twice as many symbols, which end earlier where that may pay; and the search
    /// goes on beyond the end of the input, where it meets what was in the window before.
    Gnu,
}

/// The encoder of a level from 1 to 9.
pub fn encoder(flavour: Flavour, level: i8) -> Option<Box<dyn StreamEncoder>> {
    Some(Box::new(Deflate::new(flavour, level)?))
}

impl StreamEncoder for Deflate {
    fn write(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        self.take(bytes, out);
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        self.run(Flush::Finish, out);
    }
}
