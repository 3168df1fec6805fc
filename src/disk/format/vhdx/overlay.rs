//! A file as it would be after some writes, which stay in memory.

use crate::disk::bytes::ReadAt;
use crate::disk::bytes::Span;
use crate::disk::bytes::check;
use crate::error::Result;
use std::sync::Arc;

pub struct Overlay {
    pub file: Arc<dyn ReadAt>,
    /// At least that of the file; what is beyond it is zero, but for the patches.
    pub size: u64,
    /// In the order of the writes.
    pub patches: Vec<Patch>,
}

pub struct Patch {
    pub at: u64,
    pub len: u64,
    /// `len` bytes, or zeros.
    pub bytes: Option<Box<[u8]>>,
}

impl Patch {
    /// What of it lies in a range, as offsets.
    fn within(&self, start: u64, end: u64) -> Option<(u64, u64)> {
        let (from, to) = (self.at.max(start), self.at.saturating_add(self.len).min(end));
        (from < to).then_some((from, to))
    }
}

impl ReadAt for Overlay {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        check(self, offset, buffer)?;
        let there = self.file.size().saturating_sub(offset).min(buffer.len() as u64) as usize;
        if there > 0 {
            self.file.read_at(offset, &mut buffer[..there])?;
        }
        buffer[there..].fill(0);
        let end = offset + buffer.len() as u64;
        for patch in &self.patches {
            let Some((from, to)) = patch.within(offset, end) else { continue };
            let target = &mut buffer[(from - offset) as usize..(to - offset) as usize];
            match &patch.bytes {
                Some(bytes) => {
                    target.copy_from_slice(&bytes[(from - patch.at) as usize..(to - patch.at) as usize])
                }
                None => target.fill(0),
            }
        }
        Ok(())
    }

    fn span(&self, offset: u64) -> Result<Span> {
        let span = match offset < self.file.size() {
            true => self.file.span(offset)?,
            false => Span { end: self.size, zero: true },
        };
        let is_patched = self.patches.iter().any(|patch| patch.within(offset, span.end).is_some());
        Ok(Span { zero: span.zero && !is_patched, ..span })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_writes_win_and_the_file_may_grow() {
        let patch = |at, bytes: &[u8]| Patch { at, len: bytes.len() as u64, bytes: Some(bytes.into()) };
        let patches = vec![
            patch(1, b"xyz"),
            Patch { at: 2, len: 1, bytes: None },
            patch(5, b"ABC"),
            Patch { at: 7, len: u64::MAX, bytes: None },
        ];
        let overlay = Overlay { file: Arc::new(b"abcdef".to_vec()), size: 10, patches };
        let mut bytes = [9; 10];
        overlay.read_at(0, &mut bytes).unwrap();
        assert_eq!(&bytes, b"ax\0zeAB\0\0\0");
        let mut bytes = [9; 4];
        overlay.read_at(4, &mut bytes).unwrap();
        assert_eq!(&bytes, b"eAB\0");
        assert_eq!(overlay.span(6).unwrap(), Span { end: 10, zero: false });
    }
}
