//! The bytes of a file, from the runs of the disk where they lie.

use crate::disk::bytes::ReadAt;
use crate::disk::files::Extent;
use crate::progress::Progress;
use std::io;
use std::io::Read;

/// What is asked of the disk at once where the reader of a file asks for less.
const AHEAD_BYTES: u64 = 1 << 20;
/// A reader that asks for as much gets it straight into its own buffer.
const DIRECT_BYTES: usize = 256 << 10;

/// The bytes of the disk that were read ahead; one for all files of a walk, since the next small
/// file mostly lies behind this one.
#[derive(Default)]
pub struct Ahead {
    start: u64,
    /// How many of the bytes are those from `start` on.
    len: usize,
    bytes: Vec<u8>,
}

/// A file: its runs, and zeros where there is none.
pub struct FileReader<'a> {
    pub disk: &'a dyn ReadAt,
    pub progress: &'a dyn Progress,
    pub ahead: &'a mut Ahead,
    /// In the order of the file, without overlap, inside `size`.
    pub extents: &'a [Extent],
    pub size: u64,
    /// What is wanted soon reaches up to here on the disk, whoever's it is.
    pub ahead_end: u64,
    pub at: u64,
}

impl Read for FileReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.size.saturating_sub(self.at);
        let want = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        if want == 0 {
            return Ok(0);
        }
        crate::progress::check(self.progress)?;
        while let [first, rest @ ..] = self.extents
            && first.file_offset + first.len <= self.at
        {
            self.extents = rest;
        }
        let hole = self.extents.first().map_or(left, |extent| extent.file_offset.saturating_sub(self.at));
        let count = if hole > 0 {
            let count = want.min(usize::try_from(hole).unwrap_or(usize::MAX));
            buffer[..count].fill(0);
            count
        } else {
            let extent = self.extents[0];
            let skipped = self.at - extent.file_offset;
            self.data(extent.device_offset + skipped, extent.len - skipped, &mut buffer[..want])?
        };
        self.at += count as u64;
        Ok(count)
    }
}

impl FileReader<'_> {
    /// Reads of the `left` bytes at `offset` as many as fit and are at hand.
    fn data(&mut self, offset: u64, left: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let want = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let buffer = &mut buffer[..want];
        let ready = offset.checked_sub(self.ahead.start).and_then(|skip| usize::try_from(skip).ok());
        let mut ready = ready.filter(|skip| *skip < self.ahead.len);
        if ready.is_none() {
            if want >= DIRECT_BYTES {
                self.disk.read_at(offset, buffer)?;
                return Ok(want);
            }
            let useful = left.max(self.ahead_end.saturating_sub(offset)).min(AHEAD_BYTES);
            let count = useful.min(self.disk.size().saturating_sub(offset)).max(want as u64);
            if self.ahead.bytes.is_empty() {
                self.ahead.bytes = vec![0; AHEAD_BYTES as usize];
            }
            // What a failed read leaves behind must never answer.
            self.ahead.len = 0;
            self.disk.read_at(offset, &mut self.ahead.bytes[..count as usize])?;
            self.ahead.len = count as usize;
            self.ahead.start = offset;
            ready = Some(0);
        }
        let bytes = &self.ahead.bytes[ready.unwrap_or(0)..self.ahead.len];
        let count = bytes.len().min(want);
        buffer[..count].copy_from_slice(&bytes[..count]);
        Ok(count)
    }
}

/// Bytes between two files that are read rather than skipped.
const GAP_BYTES: u64 = 32 << 10;

/// For files in the order of the disk, each with its offset and size: up to where reading ahead pays,
/// since the next file lies there.
pub fn ahead_ends(files: impl DoubleEndedIterator<Item = (u64, u64)>) -> Vec<u64> {
    let mut ends = Vec::new();
    let mut next: Option<(u64, u64)> = None;
    for (offset, size) in files.rev() {
        let end = offset.saturating_add(size.min(AHEAD_BYTES));
        let end = match next {
            Some((start, further)) if start.saturating_sub(end) <= GAP_BYTES => further.max(end),
            _ => end,
        };
        next = Some((offset, end));
        ends.push(end);
    }
    ends.reverse();
    ends
}

/// Appends a run to a file's, or makes the last one longer where it goes on.
pub fn push(extents: &mut Vec<Extent>, next: Extent) {
    if let Some(last) = extents.last_mut()
        && last.file_offset + last.len == next.file_offset
        && last.device_offset + last.len == next.device_offset
    {
        last.len += next.len;
        return;
    }
    extents.push(next);
}

/// Cuts what lies beyond a file's end.
pub fn cut(extents: &mut Vec<Extent>, size: u64) {
    while let Some(last) = extents.last_mut() {
        if last.file_offset < size {
            last.len = last.len.min(size - last.file_offset);
            return;
        }
        extents.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;

    /// Reads a file of two runs and a hole, `step` bytes at a time.
    fn read(disk: &Vec<u8>, ahead: &mut Ahead, step: usize) -> Vec<u8> {
        let extents = [
            Extent { file_offset: 0, device_offset: 5_000, len: 600_000 },
            Extent { file_offset: 700_000, device_offset: 100, len: 300 },
        ];
        let (size, ahead_end) = (700_400, disk.len() as u64);
        let mut reader =
            FileReader { disk, progress: &Silent, ahead, extents: &extents, size, ahead_end, at: 0 };
        let mut found = Vec::new();
        let mut buffer = vec![0xff; step];
        loop {
            match reader.read(&mut buffer).unwrap() {
                0 => return found,
                count => found.extend_from_slice(&buffer[..count]),
            }
        }
    }

    #[test]
    fn runs_and_holes_come_in_order_however_little_is_asked() {
        let disk: Vec<u8> = (0..2_000_000u32).map(|at| (at % 249) as u8).collect();
        let mut expected = disk[5_000..605_000].to_vec();
        expected.resize(700_000, 0);
        expected.extend_from_slice(&disk[100..400]);
        expected.resize(700_400, 0);
        let mut ahead = Ahead::default();
        for step in [1_000, 65_536, 300_000, 2_000_000] {
            assert!(read(&disk, &mut ahead, step) == expected, "by {step} bytes");
        }
    }

    #[test]
    fn reading_ahead_ends_at_a_gap() {
        let files = [(0, 10), (4_096, 10), (8_192, 50_000), (200_000, 5)];
        assert_eq!(ahead_ends(files.into_iter()), [58_192, 58_192, 58_192, 200_005]);
    }

    #[test]
    fn what_lies_beyond_the_end_is_cut() {
        let mut extents = Vec::new();
        for (file_offset, device_offset) in [(0, 100), (10, 110), (30, 140), (50, 200)] {
            push(&mut extents, Extent { file_offset, device_offset, len: 10 });
        }
        cut(&mut extents, 35);
        let expected = [(0, 100, 20), (30, 140, 5)];
        assert_eq!(
            extents.iter().map(|x| (x.file_offset, x.device_offset, x.len)).collect::<Vec<_>>(),
            expected
        );
    }
}
