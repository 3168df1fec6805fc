//! One layer through two cores: a thread that decodes and hashes, and the caller, who takes apart.
//!
//! ```text
//! source -> digest, size -> (kept blob) -> gunzip -> channel | -> diff id -> tar walker -> store
//!           '-------------- decoding thread --------------'     '-------- the caller --------'
//! ```
//! The channel holds a few chunks, so memory is bounded whatever the layer's size. When either
//! side fails, the decoding thread still reads the source to its end: a wrong digest is the truer
//! story than the gunzip error it caused, and it is the one that is told.

use crate::error::Error;
use crate::error::Result;
use crate::error::from_stream;
use crate::id::DiffId;
use crate::layer::compression;
use crate::layer::compression::Compression;
use crate::layer::compression::DecodeLimits;
use crate::progress::Progress;
use crossbeam_channel::Receiver;
use crossbeam_channel::Sender;
use sha2::Digest as _;
use sha2::Sha256;
use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;

/// How much travels at once between the threads.
const CHUNK_BYTES: usize = 1 << 20;
/// Enough to ride out a slow frame on either side; with [`CHUNK_BYTES`] this bounds the memory.
const CHUNKS_MAX: usize = 8;

type Chunk = Vec<u8>;

/// What the tar turned out to be.
pub struct Decoded {
    pub diff_id: DiffId,
    pub tar_bytes: u64,
}

/// Feeds the uncompressed bytes of `source` to `take`, and `source` itself to `keep` if it is
/// compressed.
///
/// `source` must check its own digest at its end. `keep` is told which compression was found and
/// answers with the place for the compressed bytes. Returns the first true cause of a failure: a
/// broken source, then whatever `take` said.
pub fn through<T: Send>(
    thing: &str,
    source: Box<dyn Read + Send + '_>,
    keep: &mut (dyn FnMut(Compression) -> Result<Option<Box<dyn Write + Send>>> + Send),
    take: impl FnOnce(&mut dyn Read) -> Result<T>,
    progress: &dyn Progress,
) -> Result<(Decoded, T)> {
    let (to_taker, from_decoder) = crossbeam_channel::bounded::<Chunk>(CHUNKS_MAX);
    let (to_decoder, empties) = crossbeam_channel::bounded::<Vec<u8>>(CHUNKS_MAX + 2);
    std::thread::scope(|scope| {
        let decoder = std::thread::Builder::new()
            .name("decode".into())
            .spawn_scoped(scope, move || decode(thing, source, keep, to_taker, empties, progress))
            .map_err(|source| Error::Stream { thing: "a new thread".into(), source })?;
        let mut chunks =
            Chunks { from_decoder, to_decoder, now: Vec::new(), at: 0, hasher: Sha256::new(), tar_bytes: 0 };
        let taken = take(&mut chunks);
        // Dropping the receiver tells the decoder that nobody listens any more.
        let tar = chunks.finish();
        let decoded = decoder.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        match (decoded, taken) {
            (Err(source_broke), _) => Err(source_broke),
            (Ok(_), Err(err)) => Err(err),
            (Ok(End::NobodyListens), Ok(_)) => Err(Error::invalid(thing, "was not read to its end")),
            (Ok(End::Reached), Ok(taken)) => Ok((tar, taken)),
        }
    })
}

/// How decoding ended, where it did not fail.
enum End {
    Reached,
    /// The taker went away first.
    NobodyListens,
}

/// Runs on its own thread.
fn decode(
    thing: &str,
    source: Box<dyn Read + Send + '_>,
    keep: &mut (dyn FnMut(Compression) -> Result<Option<Box<dyn Write + Send>>> + Send),
    to_taker: Sender<Chunk>,
    empties: Receiver<Vec<u8>>,
    progress: &dyn Progress,
) -> Result<End> {
    let mut source = BufReader::with_capacity(CHUNK_BYTES, Counted { inner: source, progress });
    let head = source.fill_buf().map_err(|err| from_stream(thing, err))?;
    let compression = Compression::detect(head);
    let kept = keep(compression)?;
    let mut tee = Tee { inner: source, kept };
    let outcome = decode_into(thing, &mut tee, &to_taker, &empties);
    // Whatever happened, read on to the end: only there the digest is known.
    io::copy(&mut tee, &mut io::sink()).map_err(|err| from_stream(thing, err))?;
    if let Some(mut kept) = tee.kept {
        kept.flush().map_err(|err| from_stream(thing, err))?;
    }
    outcome
}

fn decode_into(
    thing: &str,
    tee: &mut (impl Read + Send),
    to_taker: &Sender<Chunk>,
    empties: &Receiver<Vec<u8>>,
) -> Result<End> {
    let (_, mut decoder) = compression::decoder("layer", tee, &DecodeLimits::default())?;
    loop {
        let mut chunk = empties.try_recv().unwrap_or_default();
        chunk.clear();
        let filled = (&mut decoder).take(CHUNK_BYTES as u64).read_to_end(&mut chunk);
        if let Err(err) = filled {
            return Err(from_stream(thing, err));
        }
        if chunk.is_empty() {
            return Ok(End::Reached);
        }
        if to_taker.send(chunk).is_err() {
            return Ok(End::NobodyListens);
        }
    }
}

/// The taker's end of the channel. The diff id is hashed here: gunzip alone fills the other core.
struct Chunks {
    from_decoder: Receiver<Chunk>,
    to_decoder: Sender<Vec<u8>>,
    now: Vec<u8>,
    at: usize,
    hasher: Sha256,
    tar_bytes: u64,
}

impl Chunks {
    fn finish(self) -> Decoded {
        Decoded { diff_id: DiffId(self.hasher.finalize().into()), tar_bytes: self.tar_bytes }
    }
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.now.len() {
            let Ok(next) = self.from_decoder.recv() else { return Ok(0) };
            self.hasher.update(&next);
            self.tar_bytes += next.len() as u64;
            let used = std::mem::replace(&mut self.now, next);
            let _ = self.to_decoder.try_send(used);
            self.at = 0;
        }
        let count = buffer.len().min(self.now.len() - self.at);
        buffer[..count].copy_from_slice(&self.now[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

struct Counted<'a, R> {
    inner: R,
    progress: &'a dyn Progress,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        crate::progress::check(self.progress)?;
        let count = self.inner.read(buffer)?;
        self.progress.advance(count as u64);
        Ok(count)
    }
}

/// Keeps what is read from it, if it is to be kept.
struct Tee<R> {
    inner: R,
    kept: Option<Box<dyn Write + Send>>,
}

impl<R: Read> Read for Tee<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        if let Some(kept) = &mut self.kept {
            kept.write_all(&buffer[..count])?;
        }
        Ok(count)
    }
}
