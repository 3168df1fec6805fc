//! Gzip: undone as a stream, and made again to the byte as the program that made it did.
//!
//! A registry knows a layer by the digest of its compressed bytes, and how a program compresses is
//! nowhere written down but in the program. So there is an encoder for each that matters
//! ([`codec`]), each exact; [`recipe`] says which of them made a stream and with what header,
//! [`probe`] finds that out, [`rebuild`] does it again.
//!
//! - [`member`] decodes, whoever encoded.
//! - [`encoder`] is the seam: what an encoder is, as a stream or in blocks.

mod bits;
pub mod codec;
pub mod encoder;
mod go;
mod klauspost;
mod matching;
pub(crate) mod member;
pub use member::header_len;
mod pigz;
pub mod probe;
pub mod rebuild;
pub mod recipe;
mod symbols;
mod zlib;

#[cfg(test)]
mod golden_tests;
