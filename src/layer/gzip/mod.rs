//! Gzip: undone as a stream, and made again to the byte as the program that made it did.
//!
//! A registry knows a layer by the digest of its compressed bytes, and how a program compresses is
//! nowhere written down but in the program. So there is an encoder for each that matters
//! ([`codec`]), each exact; [`recipe`] says which of them made a stream and with what header,
//! [`probe`] finds that out, [`rebuild`] does it again.
//!
//! - `member` decodes, whoever encoded.
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

/// For fuzzing: any bytes as a recipe and, after it, what is compressed.
#[doc(hidden)]
pub fn any_recipe(bytes: &[u8]) {
    let Some((len, bytes)) = bytes.split_first() else { return };
    let Some((first, rest)) = bytes.split_at_checked(usize::from(*len)) else { return };
    if let Ok(recipe) = recipe::Recipe::from_bytes(first) {
        assert_eq!(recipe.to_bytes(), first);
        let _ = rebuild::rebuild(&recipe, &mut &rest[..], &mut std::io::sink());
    }
}

#[cfg(test)]
mod golden_tests;
