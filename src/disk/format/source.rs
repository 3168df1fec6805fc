//! An image before anyone knows what is in it: its bytes, what errors call it, and where it lies.

use crate::disk::bytes::ReadAt;
use crate::disk::bytes::Span;
use crate::disk::bytes::check;
use crate::error::Error;
use crate::error::Result;
use crate::fs::SharedFile;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

#[derive(Clone)]
pub struct Source {
    pub file: Arc<dyn ReadAt>,
    /// What errors call the image.
    pub name: Arc<str>,
    /// Where the names of other files in it start. None for an image inside of another file: it can
    /// name no file at all.
    pub folder: Option<PathBuf>,
}

impl Source {
    pub fn open(path: &Path) -> Result<Source> {
        Ok(Source::of(SharedFile::open_disk(path)?))
    }

    pub fn of(file: SharedFile) -> Source {
        let folder = match file.path().parent() {
            Some(folder) if folder == Path::new("") => Path::new("."),
            Some(folder) => folder,
            None => Path::new("/"),
        };
        let folder = Some(folder.to_path_buf());
        let name = file.path().display().to_string().into();
        Source { file: Arc::new(file), name, folder }
    }

    pub fn size(&self) -> u64 {
        self.file.size()
    }

    pub fn invalid(&self, problem: impl Into<String>) -> Error {
        Error::invalid(&*self.name, problem)
    }

    /// Reads a structure of fixed size; `what` is what errors call it.
    pub fn array<const N: usize>(&self, at: u64, what: &str) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.fill(at, &mut bytes, what)?;
        Ok(bytes)
    }

    /// Reads a structure whose size the caller has checked.
    pub fn bytes(&self, at: u64, len: usize, what: &str) -> Result<Vec<u8>> {
        // Before the memory is asked for.
        self.inside(at, len as u64, what)?;
        let mut bytes = vec![0; len];
        self.fill(at, &mut bytes, what)?;
        Ok(bytes)
    }

    pub fn fill(&self, at: u64, bytes: &mut [u8], what: &str) -> Result<()> {
        self.inside(at, bytes.len() as u64, what)?;
        self.file.read_at(at, bytes)
    }

    fn inside(&self, at: u64, len: u64, what: &str) -> Result<()> {
        if at.checked_add(len).is_some_and(|end| end <= self.size()) {
            return Ok(());
        }
        let size = self.size();
        Err(self.invalid(format!("{what}, {len} bytes at {at}, lies beyond the end of the file, {size}")))
    }
}

/// A file of the host is a disk as it is: format `raw`.
impl ReadAt for SharedFile {
    fn size(&self) -> u64 {
        self.len()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        check(self, offset, buffer)?;
        self.read_exact_at(offset, buffer)
    }

    fn span(&self, offset: u64) -> Result<Span> {
        if offset >= self.len() {
            return Ok(Span { end: self.len(), zero: false });
        }
        let (end, zero) = self.hole(offset)?;
        Ok(Span { end, zero })
    }
}
