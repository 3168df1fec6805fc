//! One layer through two cores: threads that read and decode, and the caller, who takes apart.
//!
//! ```text
//! source -> digest, size -> (kept blob) -> relay | -> gunzip -> relay | -> tar walker -> store
//! '----------- reading thread -----------'         '-- decoding --'     '--- the caller ---'
//! ```
//! The relays hold up to 2 and 32 MiB, so memory is bounded whatever the layer's size. Decoding is
//! what a layer waits for, so its thread does nothing else. The next layers may be begun before
//! their turn ([`super::ahead`]). When anything else fails, the reading thread still reads the source
//! to its end: a wrong digest is the truer story than the gunzip error it caused, and it is the
//! one that is told.

use super::relay::Giver;
use super::relay::Taker;
use super::relay::fill;
use super::relay::relay;
use crate::error::Error;
use crate::error::Result;
use crate::error::from_stream;
use crate::layer::compression;
use crate::layer::compression::Compression;
use crate::layer::compression::DecodeLimits;
use crate::progress::Progress;
use std::io;
use std::io::BufRead;
use std::io::Read;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::thread::Scope;
use std::thread::ScopedJoinHandle;

/// How much travels at once to the decoder: what fits the core's own cache with all that is done to
/// it.
const SOURCE_CHUNK_BYTES: usize = 256 << 10;
/// Reading is so much faster than decoding that it needs to be ahead by a little only.
const SOURCE_CHUNKS_MAX: usize = 8;
/// How much travels at once to the caller.
const CHUNK_BYTES: usize = 1 << 20;
/// Enough to ride out a slow frame on either side, and to keep the cores busy with the next layers
/// while one is taken apart; with [`CHUNK_BYTES`] this bounds the memory of each.
const CHUNKS_MAX: usize = 32;

/// A layer whose decoding has begun; it goes on by itself until the way to the caller is full.
pub struct Decoding<'scope> {
    reading: ScopedJoinHandle<'scope, Result<()>>,
    decoding: ScopedJoinHandle<'scope, Result<End>>,
    decoded: Decoded<'scope>,
    abandon: AbandonOnDrop,
}

/// Ends the reading of a layer that nobody wants any more; its scope waits for it.
struct AbandonOnDrop(Arc<AtomicBool>);

impl Drop for AbandonOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Answers which compression was found with the place for the compressed bytes, if they are kept.
pub type Keep = Box<dyn FnMut(Compression) -> Result<Option<Box<dyn Write + Send>>> + Send>;

impl<'scope> Decoding<'scope> {
    /// Begins to decode `source`, which must check its own digest at its end.
    pub fn start(
        scope: &'scope Scope<'scope, '_>,
        thing: String,
        source: Box<dyn Read + Send + 'scope>,
        keep: Keep,
        progress: &'scope dyn Progress,
    ) -> Result<Decoding<'scope>> {
        let (to_decoder, compressed) = relay(SOURCE_CHUNK_BYTES, SOURCE_CHUNKS_MAX);
        let (to_caller, decoded) = relay(CHUNK_BYTES, CHUNKS_MAX);
        let abandoned = Arc::new(AtomicBool::new(false));
        let reader = Reader { thing: thing.clone(), progress, abandoned: Arc::clone(&abandoned) };
        let reading = begin(scope, "read", move || reader.run(source, keep, &to_decoder))?;
        let abandon = AbandonOnDrop(abandoned);
        let decoding = begin(scope, "decode", move || decode(&thing, compressed, &to_caller))?;
        Ok(Decoding { reading, decoding, decoded: Decoded { from: decoded, progress }, abandon })
    }

    /// Feeds the uncompressed bytes to `take`. Returns the first true cause of a failure: a broken
    /// source, then what could not be decoded, then whatever `take` said.
    pub fn take<T>(self, thing: &str, take: impl FnOnce(&mut dyn Read) -> Result<T>) -> Result<T> {
        let Decoding { reading, decoding, mut decoded, abandon: _only_when_dropped } = self;
        let taken = take(&mut decoded);
        // Tells the decoder that nobody listens any more, and it the reader.
        drop(decoded);
        let end = wait(decoding);
        wait(reading)?;
        match (end, taken) {
            (Err(broken), _) => Err(broken),
            (Ok(_), Err(err)) => Err(err),
            (Ok(End::NobodyListens), Ok(_)) => Err(Error::invalid(thing, "was not read to its end")),
            (Ok(End::Reached), Ok(taken)) => Ok(taken),
        }
    }
}

fn begin<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    name: &str,
    deed: impl FnOnce() -> Result<T> + Send + 'scope,
) -> Result<ScopedJoinHandle<'scope, Result<T>>> {
    let thread = std::thread::Builder::new().name(name.into()).spawn_scoped(scope, deed);
    thread.map_err(|source| Error::Stream { thing: "a new thread".into(), source })
}

fn wait<T>(thread: ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// How decoding ended, where it did not fail.
enum End {
    Reached,
    /// The caller went away first.
    NobodyListens,
}

/// What runs on the reading thread.
struct Reader<'a> {
    thing: String,
    progress: &'a dyn Progress,
    abandoned: Arc<AtomicBool>,
}

impl Reader<'_> {
    fn run(&self, source: Box<dyn Read + Send + '_>, mut keep: Keep, to_decoder: &Giver) -> Result<()> {
        let broken = |err| from_stream(&self.thing, err);
        let mut source = Watched { inner: source, reader: self };
        let mut bytes = to_decoder.buffer();
        let mut len = fill(&mut source, &mut bytes).map_err(broken)?;
        let mut kept = keep(Compression::detect(&bytes[..len]))?;
        let mut is_wanted = true;
        // To the end whether it is wanted or not: only there the digest is known.
        while len > 0 {
            if let Some(kept) = &mut kept {
                kept.write_all(&bytes[..len]).map_err(broken)?;
            }
            if is_wanted {
                is_wanted = to_decoder.give(bytes, len, len as u64);
                bytes = to_decoder.buffer();
            }
            len = fill(&mut source, &mut bytes).map_err(broken)?;
        }
        kept.map_or(Ok(()), |mut kept| kept.flush()).map_err(broken)
    }
}

/// The source, cut off when nobody wants it any more.
struct Watched<'a, R> {
    inner: R,
    reader: &'a Reader<'a>,
}

impl<R: Read> Read for Watched<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        crate::progress::check(self.reader.progress)?;
        if self.reader.abandoned.load(Ordering::Relaxed) {
            return Err(Error::Interrupted.into());
        }
        self.inner.read(buffer)
    }
}

/// What runs on the decoding thread.
fn decode(thing: &str, compressed: Taker, to_caller: &Giver) -> Result<End> {
    let read = AtomicU64::new(0);
    let counted = Counted { inner: compressed, read: &read };
    let (_, mut decoder) = compression::buffered_decoder("layer", counted, &DecodeLimits::default())?;
    loop {
        let mut bytes = to_caller.buffer();
        let len = fill(&mut decoder, &mut bytes).map_err(|err| from_stream(thing, err))?;
        if len == 0 {
            return Ok(End::Reached);
        }
        if !to_caller.give(bytes, len, read.swap(0, Ordering::Relaxed)) {
            return Ok(End::NobodyListens);
        }
    }
}

/// Counts what of the source came to the decoder, for the progress of the caller.
struct Counted<'a> {
    inner: Taker,
    read: &'a AtomicU64,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.fill_buf()?;
        let count = buffer.len().min(bytes.len());
        buffer[..count].copy_from_slice(&bytes[..count]);
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for Counted<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        self.inner.consume(count);
        self.read.fetch_add(count as u64, Ordering::Relaxed);
    }
}

/// The caller's end: says how far the source is.
struct Decoded<'a> {
    from: Taker,
    progress: &'a dyn Progress,
}

impl Read for Decoded<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(buffer)?;
        match self.from.source_bytes() {
            0 => {}
            source_bytes => self.progress.advance(source_bytes),
        }
        Ok(count)
    }
}
