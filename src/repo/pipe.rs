//! A pipe from a thread that writes to one that reads, so that the two overlap; a failure of the
//! writer arrives as one.

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

pub fn pipe() -> (PipeWriter, PipeReader) {
    let (to_reader, chunks) = crossbeam_channel::bounded(CHUNKS_MAX);
    (PipeWriter(to_reader), PipeReader { chunks, now: Vec::new(), at: 0 })
}

pub struct PipeWriter(Sender<io::Result<Vec<u8>>>);

impl PipeWriter {
    /// Lets `work` write; what it fails with is what the reader's next read fails with.
    pub fn fill(self, work: impl FnOnce(&mut dyn Write) -> Result<()>) {
        let mut out = BufWriter::with_capacity(CHUNK_BYTES, Chunks(&self.0));
        let done = work(&mut out).map_err(io::Error::from).and_then(|()| out.flush());
        // What is left in it is nobody's: dropping it would write once more.
        drop(out.into_parts());
        if let Err(err) = done {
            let _ = self.0.send(Err(err));
        }
    }
}

struct Chunks<'a>(&'a Sender<io::Result<Vec<u8>>>);

impl Write for Chunks<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // The reader was dropped: nobody wants the rest, and the thread ends.
        self.0.send(Ok(bytes.to_vec())).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub struct PipeReader {
    chunks: Receiver<io::Result<Vec<u8>>>,
    now: Vec<u8>,
    at: usize,
}

impl Read for PipeReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.now.len() {
            let Ok(next) = self.chunks.recv() else { return Ok(0) };
            self.now = next?;
            self.at = 0;
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
    use crate::error::Error;
    use crate::error::from_stream;

    fn read(work: impl FnOnce(&mut dyn Write) -> Result<()> + Send) -> Result<Vec<u8>> {
        let (writer, mut reader) = pipe();
        std::thread::scope(|scope| {
            scope.spawn(|| writer.fill(work));
            let mut bytes = Vec::new();
            reader.read_to_end(&mut bytes).map(|_| bytes).map_err(|err| from_stream("pipe", err))
        })
    }

    #[test]
    fn all_that_was_written_is_read_and_a_failure_is_told() {
        let many = vec![7; 3 * CHUNK_BYTES * CHUNKS_MAX + 5];
        let write =
            |out: &mut dyn Write, bytes: &[u8]| out.write_all(bytes).map_err(|err| from_stream("pipe", err));
        assert!(read(|out| write(out, &many)).unwrap() == many);
        assert!(read(|_| Ok(())).unwrap().is_empty());
        let failed = read(|out| {
            write(out, b"some")?;
            Err(Error::invalid("layer", "is odd"))
        });
        assert_eq!(failed.unwrap_err().to_string(), "layer: is odd");
    }
}
