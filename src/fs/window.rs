//! One open file, many readers, each with its own part and place.

use crate::error::Error;
use crate::error::Result;
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::OpenOptionsExt;
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

/// What changes when somebody writes to a file: its size, the times of its content and its inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    len: u64,
    content: (i64, i64),
    inode: (i64, i64),
}

impl SharedFile {
    /// `path` is what errors name. The file must be one that can seek.
    pub fn new(file: File, path: impl Into<PathBuf>) -> Result<SharedFile> {
        let path: PathBuf = path.into();
        let len = file.metadata().map_err(Error::io("stat", &path))?.len();
        Ok(SharedFile { file: Arc::new(file), path: path.into(), len })
    }

    /// Opens a regular file or a block device; for anything else nothing is waited for and it is an error.
    pub fn open_disk(path: &Path) -> Result<SharedFile> {
        // Without waiting: a fifo opened for reading would wait for its writer.
        let flags = OFlags::NONBLOCK.bits() as i32;
        let options = std::fs::OpenOptions::new().read(true).custom_flags(flags).open(path);
        let mut file = options.map_err(Error::io("open", path))?;
        let metadata = file.metadata().map_err(Error::io("stat", path))?;
        let len = match metadata.file_type() {
            kind if kind.is_file() => metadata.len(),
            // For these `stat` has no size.
            kind if kind.is_block_device() => {
                file.seek(SeekFrom::End(0)).map_err(Error::io("find the size of", path))?
            }
            _ => {
                let thing = path.display().to_string();
                return Err(Error::invalid(thing, "is neither a regular file nor a block device"));
            }
        };
        Ok(SharedFile { file: Arc::new(file), path: path.into(), len })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn stamp(&self) -> Result<Stamp> {
        let stat = self.file.metadata().map_err(Error::io("stat", self.path()))?;
        Ok(Stamp {
            len: stat.len(),
            content: (stat.mtime(), stat.mtime_nsec()),
            inode: (stat.ctime(), stat.ctime_nsec()),
        })
    }

    /// Device and inode: two paths with one identity are one file.
    pub fn identity(&self) -> Result<(u64, u64)> {
        let metadata = self.file.metadata().map_err(Error::io("stat", &self.path))?;
        Ok((metadata.dev(), metadata.ino()))
    }

    /// Fills `buffer` from `offset` on; a file that ends before is an error.
    pub fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        self.file.read_exact_at(buffer, offset).map_err(Error::io("read", &self.path))
    }

    /// Where the run of data, or the hole, that `offset` (below [`SharedFile::len`]) lies in ends, and
    /// whether it is a hole. A file system that keeps no holes has one run.
    pub fn hole(&self, offset: u64) -> Result<(u64, bool)> {
        let seek = |to| match rustix::fs::seek(&self.file, to) {
            Ok(at) => Ok(Some(at.min(self.len))),
            // No more data: a hole up to the end.
            Err(Errno::NXIO) => Ok(Some(self.len)),
            Err(Errno::INVAL | Errno::OPNOTSUPP) => Ok(None),
            Err(err) => Err(Error::io("find the holes of", &self.path)(err.into())),
        };
        match seek(rustix::fs::SeekFrom::Data(offset))? {
            Some(data) if data > offset => Ok((data, true)),
            Some(_) => match seek(rustix::fs::SeekFrom::Hole(offset))? {
                Some(hole) if hole > offset => Ok((hole, false)),
                // Punched in this very moment, or no holes known.
                _ => Ok((self.len, false)),
            },
            None => Ok((self.len, false)),
        }
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
    fn holes_are_known_and_what_is_no_file_is_not_waited_for() {
        let folder = crate::fs::temp_dir().unwrap();
        let path = folder.path().join("sparse");
        let file = File::create(&path).unwrap();
        file.write_all_at(b"data", 1 << 20).unwrap();
        file.set_len(4 << 20).unwrap();
        let file = SharedFile::open_disk(&path).unwrap();
        assert_eq!(file.hole(0).unwrap(), (1 << 20, true));
        let (end, hole) = file.hole(1 << 20).unwrap();
        assert!(!hole && end < 2 << 20, "{end}");
        assert_eq!(file.hole(end).unwrap(), (4 << 20, true));
        let mut buffer = [0; 8];
        file.read_exact_at((1 << 20) - 4, &mut buffer).unwrap();
        assert_eq!(&buffer, b"\0\0\0\0data");
        assert!(file.read_exact_at((4 << 20) - 4, &mut buffer).is_err());

        let fifo = folder.path().join("fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0)
            .unwrap();
        for path in [&fifo, folder.path(), Path::new("/dev/zero")] {
            assert!(SharedFile::open_disk(path).is_err(), "{}", path.display());
        }
    }

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
