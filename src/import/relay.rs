//! Bytes handed from one thread to the next, in buffers that are used again and again: zeros and
//! fresh pages cost as much as hashing.

use crossbeam_channel::Receiver;
use crossbeam_channel::Sender;
use std::io;
use std::io::BufRead;
use std::io::Read;

/// A way for up to `chunks` buffers of `chunk_bytes` at once, which bounds its memory.
pub fn relay(chunk_bytes: usize, chunks: usize) -> (Giver, Taker) {
    let (to_taker, from_giver) = crossbeam_channel::bounded(chunks);
    // Beside those on their way there is one at each end.
    let (to_giver, used) = crossbeam_channel::bounded(chunks + 2);
    let giver = Giver { to_taker, used, chunk_bytes };
    (giver, Taker { from_giver, to_giver, now: Chunk::default(), at: 0, source_bytes: 0 })
}

#[derive(Default)]
struct Chunk {
    bytes: Box<[u8]>,
    len: usize,
    source_bytes: u64,
}

pub struct Giver {
    to_taker: Sender<Chunk>,
    used: Receiver<Box<[u8]>>,
    chunk_bytes: usize,
}

impl Giver {
    /// A buffer to fill; there may be anything in it.
    pub fn buffer(&self) -> Box<[u8]> {
        self.used.try_recv().unwrap_or_else(|_| vec![0; self.chunk_bytes].into())
    }

    /// Hands over the first `len` bytes, which `source_bytes` of the source were read for. Waits
    /// while the way is full; `false` if nobody takes any more.
    pub fn give(&self, bytes: Box<[u8]>, len: usize, source_bytes: u64) -> bool {
        self.to_taker.send(Chunk { bytes, len, source_bytes }).is_ok()
    }
}

/// Ends where the giver went away.
pub struct Taker {
    from_giver: Receiver<Chunk>,
    to_giver: Sender<Box<[u8]>>,
    now: Chunk,
    at: usize,
    source_bytes: u64,
}

impl Taker {
    /// How many bytes of the source were taken since it was asked last.
    pub fn source_bytes(&mut self) -> u64 {
        std::mem::take(&mut self.source_bytes)
    }
}

impl Read for Taker {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.fill_buf()?;
        let count = buffer.len().min(bytes.len());
        buffer[..count].copy_from_slice(&bytes[..count]);
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for Taker {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at == self.now.len
            && let Ok(next) = self.from_giver.recv()
        {
            self.source_bytes += next.source_bytes;
            let used = std::mem::replace(&mut self.now, next);
            self.at = 0;
            if !used.bytes.is_empty() {
                let _ = self.to_giver.try_send(used.bytes);
            }
        }
        Ok(&self.now.bytes[self.at..self.now.len])
    }

    fn consume(&mut self, count: usize) {
        self.at += count;
    }
}

/// Fills the buffer unless the stream ends first.
pub fn fill(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_bytes_arrive_in_their_order() {
        let sent: Vec<u8> = (0..100_000_u32).map(|number| (number / 7) as u8).collect();
        let (giver, mut taker) = relay(1000, 3);
        let received = std::thread::scope(|scope| {
            scope.spawn(|| {
                let (giver, mut from) = (giver, &sent[..]);
                loop {
                    let mut buffer = giver.buffer();
                    let len = fill(&mut from, &mut buffer).unwrap();
                    if len == 0 {
                        break;
                    }
                    assert!(giver.give(buffer, len, 2));
                }
            });
            let mut received = Vec::new();
            taker.read_to_end(&mut received).unwrap();
            received
        });
        assert!(received == sent);
        assert_eq!(taker.source_bytes(), 200);
        assert_eq!(taker.source_bytes(), 0);
        assert_eq!(taker.read(&mut [0; 9]).unwrap(), 0);
    }

    #[test]
    fn who_gives_hears_that_nobody_takes() {
        let (giver, taker) = relay(8, 2);
        assert!(giver.give(giver.buffer(), 8, 8));
        drop(taker);
        assert!(!giver.give(giver.buffer(), 8, 8));
    }
}
