//! What an encoder is: bytes in, raw deflate bytes out, the same on every machine and for ever.
//!
//! Header and trailer of the gzip member are not an encoder's affair.

/// Makes one deflate stream in one go.
pub trait StreamEncoder: Send {
    /// Takes the next bytes and appends to `out` what is ready.
    ///
    /// How the bytes are cut into calls must not show in the output.
    fn write(&mut self, bytes: &[u8], out: &mut Vec<u8>);

    /// Ends the stream, its last block included. Nothing is called after this.
    fn finish(&mut self, out: &mut Vec<u8>);
}

/// Makes a part of a deflate stream that knows of what was before only its end. Reused for many
/// blocks, on one thread; nothing may be left over from one to the next.
pub trait BlockEncoder: Send {
    /// Appends to `out` the block's deflate bytes, which end at a byte's end; the last block's end
    /// the stream.
    ///
    /// `dictionary` is the end of what came before, at most [`BlockPlan::dictionary_bytes`] of it.
    fn encode(&mut self, dictionary: &[u8], block: &[u8], last: bool, out: &mut Vec<u8>);
}

/// How a stream is cut into blocks.
pub struct BlockPlan {
    pub block_bytes: usize,
    /// How much of what came before an encoder is given. May be more than one block.
    pub dictionary_bytes: usize,
    /// Where the input ends with a whole block: whether an empty one follows and ends the stream.
    /// (An empty input is one empty block in any case.)
    pub empty_last: bool,
    /// Makes an encoder for one thread.
    pub make: Box<dyn Fn() -> Box<dyn BlockEncoder> + Send + Sync>,
}

/// An encoder ready to begin.
pub enum Encoder {
    Stream(Box<dyn StreamEncoder>),
    Blocks(BlockPlan),
}
