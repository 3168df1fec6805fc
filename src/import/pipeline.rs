//! One layer through two cores: a thread that decodes and hashes, and the caller, who takes apart.
//!
//! ```text
//! source -> digest, size -> (kept blob) -> gunzip -> channel | -> tar walker -> store
//!           '-------------- decoding thread --------------'     '--- the caller ---'
//! ```
//! The channel holds up to 32 MiB, so memory is bounded whatever the layer's size. The next layers
//! may be begun before their turn ([`super::ahead`]). When either side fails, the decoding thread
//! still reads the source to its end: a wrong digest is the truer story than the gunzip error it
//! caused, and it is the one that is told.

use crate::error::Error;
use crate::error::Result;
use crate::error::from_stream;
use crate::layer::compression;
use crate::layer::compression::Compression;
use crate::layer::compression::DecodeLimits;
use crate::progress::Progress;
use crossbeam_channel::Receiver;
use crossbeam_channel::Sender;
use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::thread::Scope;
use std::thread::ScopedJoinHandle;

/// How much travels at once between the threads.
const CHUNK_BYTES: usize = 1 << 20;
/// Enough to ride out a slow frame on either side, and to keep the cores busy with the next layers
/// while one is taken apart; with [`CHUNK_BYTES`] this bounds the memory of each.
const CHUNKS_MAX: usize = 32;

/// Uncompressed bytes, and how many of the source were read for them.
#[derive(Default)]
struct Chunk {
    bytes: Box<[u8]>,
    len: usize,
    source_bytes: u64,
}

/// A layer whose decoding has begun; it goes on by itself until the channel is full.
pub struct Decoding<'scope> {
    thread: ScopedJoinHandle<'scope, Result<End>>,
    chunks: Chunks<'scope>,
    abandon: AbandonOnDrop,
}

/// Ends the decoding of a layer that nobody wants any more; its scope waits for it.
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
        let (to_taker, from_decoder) = crossbeam_channel::bounded(CHUNKS_MAX);
        let (to_decoder, empties) = crossbeam_channel::bounded(CHUNKS_MAX + 2);
        let abandoned = Arc::new(AtomicBool::new(false));
        let decoder = Decoder { thing, to_taker, empties, progress, abandoned: Arc::clone(&abandoned) };
        let thread = std::thread::Builder::new()
            .name("decode".into())
            .spawn_scoped(scope, move || decoder.run(source, keep))
            .map_err(|source| Error::Stream { thing: "a new thread".into(), source })?;
        let chunks = Chunks { from_decoder, to_decoder, now: Chunk::default(), at: 0, progress };
        Ok(Decoding { thread, chunks, abandon: AbandonOnDrop(abandoned) })
    }

    /// Feeds the uncompressed bytes to `take`. Returns the first true cause of a failure: a broken
    /// source, then whatever `take` said.
    pub fn take<T>(self, thing: &str, take: impl FnOnce(&mut dyn Read) -> Result<T>) -> Result<T> {
        let Decoding { thread, mut chunks, abandon: _only_when_dropped } = self;
        let taken = take(&mut chunks);
        // Dropping the receiver tells the decoder that nobody listens any more.
        drop(chunks);
        let decoded = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        match (decoded, taken) {
            (Err(source_broke), _) => Err(source_broke),
            (Ok(_), Err(err)) => Err(err),
            (Ok(End::NobodyListens), Ok(_)) => Err(Error::invalid(thing, "was not read to its end")),
            (Ok(End::Reached), Ok(taken)) => Ok(taken),
        }
    }
}

/// How decoding ended, where it did not fail.
enum End {
    Reached,
    /// The taker went away first.
    NobodyListens,
}

/// What runs on the other thread.
struct Decoder<'a> {
    thing: String,
    to_taker: Sender<Chunk>,
    empties: Receiver<Box<[u8]>>,
    progress: &'a dyn Progress,
    abandoned: Arc<AtomicBool>,
}

impl Decoder<'_> {
    fn run(&self, source: Box<dyn Read + Send + '_>, mut keep: Keep) -> Result<End> {
        let thing = &self.thing;
        let read = AtomicU64::new(0);
        let watched = Watched { inner: source, decoder: self, read: &read };
        let mut source = BufReader::with_capacity(CHUNK_BYTES, watched);
        let head = source.fill_buf().map_err(|err| from_stream(thing, err))?;
        let compression = Compression::detect(head);
        let kept = keep(compression)?;
        let mut tee = Tee { inner: source, kept };
        let outcome = self.decode(&mut tee, &read);
        // Whatever happened, read on to the end: only there the digest is known.
        io::copy(&mut tee, &mut io::sink()).map_err(|err| from_stream(thing, err))?;
        if let Some(mut kept) = tee.kept {
            kept.flush().map_err(|err| from_stream(thing, err))?;
        }
        outcome
    }

    fn decode(&self, tee: &mut (impl Read + Send), read: &AtomicU64) -> Result<End> {
        let (_, mut decoder) = compression::decoder("layer", tee, &DecodeLimits::default())?;
        loop {
            // A used buffer is filled again as it is: zeros and fresh pages cost as much as hashing.
            let mut bytes = self.empties.try_recv().unwrap_or_else(|_| vec![0; CHUNK_BYTES].into());
            let len = fill(&mut decoder, &mut bytes).map_err(|err| from_stream(&self.thing, err))?;
            if len == 0 {
                return Ok(End::Reached);
            }
            let chunk = Chunk { bytes, len, source_bytes: read.swap(0, Ordering::Relaxed) };
            if self.to_taker.send(chunk).is_err() {
                return Ok(End::NobodyListens);
            }
        }
    }
}

/// Fills the buffer unless the stream ends first.
fn fill(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut len = 0;
    while len < buffer.len() {
        match from.read(&mut buffer[len..]) {
            Ok(0) => break,
            Ok(more) => len += more,
            Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
            Err(err) => return Err(err),
        }
    }
    Ok(len)
}

/// The taker's end of the channel.
struct Chunks<'a> {
    from_decoder: Receiver<Chunk>,
    to_decoder: Sender<Box<[u8]>>,
    now: Chunk,
    at: usize,
    progress: &'a dyn Progress,
}

impl Read for Chunks<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.now.len {
            let Ok(next) = self.from_decoder.recv() else { return Ok(0) };
            self.progress.advance(next.source_bytes);
            let used = std::mem::replace(&mut self.now, next);
            if !used.bytes.is_empty() {
                let _ = self.to_decoder.try_send(used.bytes);
            }
            self.at = 0;
        }
        let count = buffer.len().min(self.now.len - self.at);
        buffer[..count].copy_from_slice(&self.now.bytes[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

/// The source, counted, and cut off when nobody wants it any more.
struct Watched<'a, R> {
    inner: R,
    decoder: &'a Decoder<'a>,
    read: &'a AtomicU64,
}

impl<R: Read> Read for Watched<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        crate::progress::check(self.decoder.progress)?;
        if self.decoder.abandoned.load(Ordering::Relaxed) {
            return Err(Error::Interrupted.into());
        }
        let count = self.inner.read(buffer)?;
        self.read.fetch_add(count as u64, Ordering::Relaxed);
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
