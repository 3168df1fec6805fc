//! Bytes at offsets: a disk as the guest sees it, or a part of one.

use crate::error::Error;
use crate::error::Result;
use std::io;
use std::io::Read;
use std::sync::Arc;

/// A disk, read only. Many threads may read it at once.
pub trait ReadAt: Send + Sync {
    /// In bytes. Never changes.
    fn size(&self) -> u64;

    /// Fills `buffer` with the bytes from `offset` on, all of which lie below [`ReadAt::size`].
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()>;

    /// What is known without reading about the bytes from `offset` (below the size) on: where the
    /// answer ends (above `offset`, at most the size), and whether they are all zero up to there.
    fn span(&self, offset: u64) -> Result<Span> {
        let _ = offset;
        Ok(Span { end: self.size(), zero: false })
    }
}

/// A run of bytes of one sort.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub end: u64,
    /// Known to read as zero. `false` says nothing.
    pub zero: bool,
}

/// A window of another disk: a partition.
#[derive(Clone)]
pub struct Part {
    whole: Arc<dyn ReadAt>,
    start: u64,
    size: u64,
}

impl Part {
    /// Refuses a window that leaves the disk.
    pub fn new(whole: Arc<dyn ReadAt>, start: u64, size: u64) -> Result<Part> {
        if start.checked_add(size).is_none_or(|end| end > whole.size()) {
            return Err(Error::Mismatch {
                thing: format!("part of a disk at {start}"),
                expected: format!("at most {} bytes", whole.size().saturating_sub(start)),
                found: format!("{size} bytes"),
            });
        }
        Ok(Part { whole, start, size })
    }
}

impl ReadAt for Part {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        check(self, offset, buffer)?;
        self.whole.read_at(self.start + offset, buffer)
    }

    fn span(&self, offset: u64) -> Result<Span> {
        let span = self.whole.span(self.start + offset)?;
        Ok(Span { end: (span.end - self.start).min(self.size), zero: span.zero })
    }
}

impl ReadAt for Vec<u8> {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        check(self, offset, buffer)?;
        buffer.copy_from_slice(&self[offset as usize..][..buffer.len()]);
        Ok(())
    }
}

/// Refuses a read that leaves `disk`: what an untrusted pointer on it asks for.
pub fn check(disk: &dyn ReadAt, offset: u64, buffer: &[u8]) -> Result<()> {
    let end = offset.checked_add(buffer.len() as u64);
    if end.is_some_and(|end| end <= disk.size()) {
        return Ok(());
    }
    Err(Error::invalid(
        format!("{} bytes at {offset}", buffer.len()),
        format!("lie beyond the end of the disk, {}", disk.size()),
    ))
}

/// Part of a disk as a stream.
pub struct Stream<'a> {
    disk: &'a dyn ReadAt,
    at: u64,
    end: u64,
}

impl<'a> Stream<'a> {
    /// Reads from `start` up to `end`, or up to the disk's end if that comes first.
    pub fn new(disk: &'a dyn ReadAt, start: u64, end: u64) -> Stream<'a> {
        Stream { disk, at: start, end: end.min(disk.size()) }
    }
}

impl Read for Stream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.end.saturating_sub(self.at);
        let count = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        if count > 0 {
            self.disk.read_at(self.at, &mut buffer[..count]).map_err(io::Error::other)?;
            self.at += count as u64;
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_stays_inside_its_disk() {
        let disk: Arc<dyn ReadAt> = Arc::new((0..100).collect::<Vec<u8>>());
        let part = Part::new(Arc::clone(&disk), 10, 20).unwrap();
        let mut buffer = [0; 5];
        part.read_at(15, &mut buffer).unwrap();
        assert_eq!(buffer, [25, 26, 27, 28, 29]);
        assert!(part.read_at(16, &mut buffer).is_err());
        assert!(part.read_at(u64::MAX, &mut buffer).is_err());
        assert_eq!(part.span(3).unwrap(), Span { end: 20, zero: false });
        assert!(Part::new(Arc::clone(&disk), 90, 11).is_err());
        assert!(Part::new(disk, u64::MAX, 2).is_err());
    }

    #[test]
    fn a_stream_ends_where_the_disk_does() {
        let disk = vec![7; 10];
        let mut read = Vec::new();
        Stream::new(&disk, 4, 99).read_to_end(&mut read).unwrap();
        assert_eq!(read, [7; 6]);
    }
}
