//! A pipe from a thread that writes to one that reads, so that the two overlap; a failure of the
//! writer arrives as one.

use crate::error::Error;
use crate::error::Result;
use crossbeam_channel::Receiver;
use crossbeam_channel::Sender;
use std::io;
use std::io::BufWriter;
use std::io::Read;
use std::io::Write;

/// How much travels at once.
const CHUNK_BYTES: usize = 256 << 10;
const CHUNKS_MAX: usize = 4;

/// `name` is what an error calls a writer that gave up without a word.
pub fn pipe(name: &'static str) -> (PipeWriter, PipeReader) {
    let (to_reader, chunks) = crossbeam_channel::bounded(CHUNKS_MAX);
    (PipeWriter(to_reader), PipeReader { name, chunks, now: Vec::new(), at: 0, ended: false })
}

/// Runs `work` on a thread of its own and gives what it writes.
///
/// The thread ends with `work`, which hears of a reader that is gone as a broken pipe.
pub fn produced(
    name: &'static str,
    work: impl FnOnce(&mut dyn Write) -> Result<()> + Send + 'static,
) -> Result<Box<dyn Read + Send>> {
    let (writer, reader) = pipe(name);
    let spawned = std::thread::Builder::new().name(name.into()).spawn(move || writer.fill(work));
    spawned.map_err(|source| Error::Stream { thing: "a new thread".into(), source })?;
    Ok(Box::new(reader))
}

enum Chunk {
    Bytes(Vec<u8>),
    End,
    Broken(io::Error),
}

pub struct PipeWriter(Sender<Chunk>);

impl PipeWriter {
    /// Lets `work` write; what it fails with is what the reader's next read fails with.
    pub fn fill(self, work: impl FnOnce(&mut dyn Write) -> Result<()>) {
        let mut out = BufWriter::with_capacity(CHUNK_BYTES, Chunks(&self.0));
        let done = work(&mut out).map_err(io::Error::from).and_then(|()| out.flush());
        // What is left in it is nobody's: dropping it would write once more.
        drop(out.into_parts());
        let _ = self.0.send(done.map_or_else(Chunk::Broken, |()| Chunk::End));
    }
}

struct Chunks<'a>(&'a Sender<Chunk>);

impl Write for Chunks<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // The reader was dropped: nobody wants the rest, and the thread ends.
        let sent = self.0.send(Chunk::Bytes(bytes.to_vec()));
        sent.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub struct PipeReader {
    name: &'static str,
    chunks: Receiver<Chunk>,
    now: Vec<u8>,
    at: usize,
    ended: bool,
}

impl Read for PipeReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.now.len() {
            if self.ended {
                return Ok(0);
            }
            match self.chunks.recv() {
                Ok(Chunk::Bytes(next)) => (self.now, self.at) = (next, 0),
                Ok(Chunk::End) => self.ended = true,
                Ok(Chunk::Broken(err)) => return Err(err),
                // It panicked, or failed before: an end would be taken for the whole.
                Err(_) => return Err(Error::invalid(self.name, "gave up half way").into()),
            }
        }
        let count = buffer.len().min(self.now.len() - self.at);
        buffer[..count].copy_from_slice(&self.now[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::from_stream;

    fn read(work: impl FnOnce(&mut dyn Write) -> Result<()> + Send + 'static) -> io::Result<usize> {
        produced("test", work).unwrap().read_to_end(&mut Vec::new())
    }

    #[test]
    fn all_of_it_or_an_error() {
        let bytes = vec![7; 3 * CHUNK_BYTES * CHUNKS_MAX + 5];
        let len = bytes.len();
        let writes = move |out: &mut dyn Write| out.write_all(&bytes).map_err(|err| from_stream("test", err));
        assert_eq!(read(writes).unwrap(), len);
        assert_eq!(read(|_| Ok(())).unwrap(), 0);
        let fails = |out: &mut dyn Write| {
            out.write_all(b"some").unwrap();
            Err(Error::invalid("recipe", "is bent"))
        };
        assert_eq!(read(fails).unwrap_err().to_string(), "recipe: is bent");
        let panics = |out: &mut dyn Write| {
            out.write_all(b"some").unwrap();
            panic!("as the test wants it");
        };
        assert_eq!(read(panics).unwrap_err().to_string(), "test: gave up half way");
        let stops = |out: &mut dyn Write| {
            while out.write_all(&[0; 1 << 20]).is_ok() {}
            Ok(())
        };
        drop(produced("test", stops).unwrap());
    }
}
