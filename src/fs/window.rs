//! One open file, many readers, each with its own part and place.

use crate::error::Error;
use crate::error::Result;
use std::fs::File;
use std::io;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

/// A file to read from at any offset, by any number of threads. Cheap to clone.
#[derive(Clone)]
pub struct SharedFile {
    file: Arc<File>,
    path: Arc<Path>,
    len: u64,
}

impl SharedFile {
    /// `path` is what errors name. The file must be one that can seek.
    pub fn new(file: File, path: impl Into<PathBuf>) -> Result<SharedFile> {
        let path: PathBuf = path.into();
        let len = file.metadata().map_err(Error::io("stat", &path))?.len();
        Ok(SharedFile { file: Arc::new(file), path: path.into(), len })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn len(&self) -> u64 {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Reads `len` bytes from `offset` on, fewer where the file ends before.
    pub fn window(&self, offset: u64, len: u64) -> Window {
        let start = offset.min(self.len);
        Window { file: self.clone(), start, at: start, end: offset.saturating_add(len).min(self.len) }
    }

    pub fn whole(&self) -> Window {
        self.window(0, self.len)
    }
}

/// A part of a [`SharedFile`], as a stream of its own.
pub struct Window {
    file: SharedFile,
    start: u64,
    at: u64,
    end: u64,
}

impl Read for Window {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let n = buf.len().min(left);
        if n == 0 {
            return Ok(0);
        }
        let n = self.file.file.read_at(&mut buf[..n], self.at)?;
        self.at += n as u64;
        Ok(n)
    }
}

impl Seek for Window {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let (base, by) = match to {
            SeekFrom::Start(at) => (self.start, i64::try_from(at).ok()),
            SeekFrom::End(by) => (self.end, Some(by)),
            SeekFrom::Current(by) => (self.at, Some(by)),
        };
        let at = by.and_then(|by| base.checked_add_signed(by));
        match at.filter(|at| *at >= self.start) {
            Some(at) => self.at = at,
            None => return Err(io::ErrorKind::InvalidInput.into()),
        }
        Ok(self.at - self.start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_do_not_disturb_each_other() {
        let file = crate::fs::spool(&mut &b"0123456789"[..], "test").unwrap();
        let file = SharedFile::new(file, "test").unwrap();
        let (mut one, mut two) = (file.window(2, 3), file.window(8, 100));
        let mut text = String::new();
        one.by_ref().take(1).read_to_string(&mut text).unwrap();
        two.read_to_string(&mut text).unwrap();
        one.read_to_string(&mut text).unwrap();
        assert_eq!(text, "28934");
        one.seek(SeekFrom::End(-1)).unwrap();
        assert_eq!(io::read_to_string(&mut one).unwrap(), "4");
        assert!(one.seek(SeekFrom::Start(u64::MAX)).is_err());
        assert_eq!(io::read_to_string(file.window(99, 1)).unwrap(), "");
    }
}
