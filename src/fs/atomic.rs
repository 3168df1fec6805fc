//! A file that appears whole or not at all.
//!
//! Order: write `.imgit-tmp-…` beside the target, sync it, rename it, sync the folder. A power cut
//! before the rename leaves the old file and a stray temporary one; after it, the new file. Dropped
//! without [`AtomicFile::finish`], the temporary file is removed.

use crate::error::Error;
use crate::error::Result;
use std::fs::File;
use std::fs::Permissions;
use std::io;
use std::io::Seek;
use std::io::SeekFrom;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use tempfile::NamedTempFile;

pub struct AtomicFile {
    file: NamedTempFile,
    path: PathBuf,
}

/// Replaces the file at `path` by these bytes.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<()> {
    write(AtomicFile::create(path)?, bytes)
}

/// Like [`write_atomic`], for a secret: the file's mode is 0600 from its first byte on.
pub fn write_atomic_private(path: &Path, bytes: &[u8]) -> Result<()> {
    write(AtomicFile::create_with_mode(path, 0o600)?, bytes)
}

fn write(mut file: AtomicFile, bytes: &[u8]) -> Result<()> {
    file.write_all(bytes).map_err(Error::io("write", file.path()))?;
    file.finish()
}

impl AtomicFile {
    /// Nothing is at `path` before [`AtomicFile::finish`]. Its mode is 0666 less the umask.
    pub fn create(path: &Path) -> Result<AtomicFile> {
        AtomicFile::create_with_mode(path, 0o666)
    }

    fn create_with_mode(path: &Path, mode: u32) -> Result<AtomicFile> {
        let file = tempfile::Builder::new()
            .prefix(".imgit-tmp-")
            .permissions(Permissions::from_mode(mode))
            .tempfile_in(folder_of(path))
            .map_err(Error::io("create", path))?;
        Ok(AtomicFile { file, path: path.to_path_buf() })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the file is until it is finished, for a program that writes it by its name.
    pub fn temporary(&self) -> &Path {
        self.file.path()
    }

    pub fn as_file(&self) -> &File {
        self.file.as_file()
    }

    /// Puts the file in place, over one that may be there.
    pub fn finish(self) -> Result<()> {
        self.file.as_file().sync_all().map_err(Error::io("sync", &self.path))?;
        self.file.persist(&self.path).map_err(|err| Error::io("replace", &self.path)(err.error))?;
        super::sync_dir(folder_of(&self.path))
    }

    /// Puts the file in place unless one is there: [`Error::Exists`].
    pub fn finish_new(self) -> Result<()> {
        self.file.as_file().sync_all().map_err(Error::io("sync", &self.path))?;
        match self.file.persist_noclobber(&self.path) {
            Err(err) if err.error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(super::exists(&self.path));
            }
            other => other.map_err(|err| Error::io("create", &self.path)(err.error))?,
        };
        super::sync_dir(folder_of(&self.path))
    }
}

/// `file` alone has an empty parent, which no call takes for the current folder.
fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.as_file_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.as_file_mut().flush()
    }
}

impl Seek for AtomicFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.as_file_mut().seek(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_file_leaves_the_old_one_and_no_trace() {
        let folder = crate::fs::temp_dir().unwrap();
        let path = folder.path().join("index.json");
        write_atomic(&path, b"old").unwrap();
        let mut file = AtomicFile::create(&path).unwrap();
        file.write_all(b"new").unwrap();
        drop(file);
        assert_eq!(crate::fs::list(folder.path()).unwrap(), [b"index.json"]);
        assert_eq!(crate::fs::read_small(&path, 9).unwrap(), b"old");
    }

    #[test]
    fn a_secret_is_nobody_elses_even_where_the_old_file_was() {
        let folder = crate::fs::temp_dir().unwrap();
        let path = folder.path().join("auth.json");
        write_atomic(&path, b"old").unwrap();
        write_atomic_private(&path, b"new").unwrap();
        let mode = crate::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!((crate::fs::read_small(&path, 9).unwrap(), mode & 0o777), (b"new".to_vec(), 0o600));
    }

    #[test]
    fn finish_new_does_not_replace() {
        let folder = crate::fs::temp_dir().unwrap();
        let path = folder.path().join("archive.tar");
        AtomicFile::create(&path).unwrap().finish_new().unwrap();
        let second = AtomicFile::create(&path).unwrap().finish_new();
        assert!(matches!(second, Err(Error::Exists { .. })));
        assert_eq!(crate::fs::list(folder.path()).unwrap().len(), 1);
    }
}
