//! What a thread of its own makes, as a stream: making and reading overlap.

use crate::error::Error;
use crate::error::Result;
use std::io;
use std::io::BufWriter;
use std::io::Read;
use std::io::Write;

/// How much travels at once.
const CHUNK_BYTES: usize = 256 << 10;
const CHUNKS_MAX: usize = 4;

/// Runs `work` on a thread and gives what it writes; its error comes out of the stream.
///
/// The thread ends with `work`, which hears of a reader that is gone as a broken pipe.
pub(super) fn produced(
    name: &'static str,
    work: impl FnOnce(&mut dyn Write) -> Result<()> + Send + 'static,
) -> Result<Box<dyn Read + Send>> {
    let (to_reader, chunks) = crossbeam_channel::bounded(CHUNKS_MAX);
    let run = move || {
        let mut out = BufWriter::with_capacity(CHUNK_BYTES, ToReader(to_reader.clone()));
        let done = work(&mut out).map_err(io::Error::from).and_then(|()| out.flush());
        let _ = to_reader.send(done.map_or_else(Chunk::Broken, |()| Chunk::End));
    };
    let spawned = std::thread::Builder::new().name(name.into()).spawn(run);
    spawned.map_err(|source| Error::Stream { thing: "a new thread".into(), source })?;
    Ok(Box::new(Produced { name, chunks, now: Vec::new(), at: 0, ended: false }))
}

enum Chunk {
    Bytes(Vec<u8>),
    End,
    Broken(io::Error),
}

struct ToReader(crossbeam_channel::Sender<Chunk>);

impl Write for ToReader {
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

struct Produced {
    name: &'static str,
    chunks: crossbeam_channel::Receiver<Chunk>,
    now: Vec<u8>,
    at: usize,
    ended: bool,
}

impl Read for Produced {
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
        let mut out = Vec::new();
        produced("test", work).unwrap().read_to_end(&mut out)
    }

    #[test]
    fn all_of_it_or_an_error() {
        let bytes = vec![7; 3 * CHUNK_BYTES + 5];
        let len = bytes.len();
        let whole = bytes.clone();
        let writes = move |out: &mut dyn Write| out.write_all(&whole).map_err(|err| from_stream("test", err));
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
