//! The door to the host's file system: the same calls as the standard library's, with errors that
//! name the path and the deed.
//!
//! Nothing above this module (but the store's own backend) names `std::fs`. Paths given here are
//! the person's own and are trusted. Paths out of an image never come here: the checkout of a tree
//! is the one place that makes them into files, step by step from a folder it holds open.

pub mod atomic;
pub mod chain;
pub mod folder;
pub mod members;
pub mod scan;
pub mod window;
pub mod xattrs;

pub use atomic::AtomicFile;
pub use atomic::write_atomic;
pub use atomic::write_atomic_private;
pub use folder::Folder;
pub use std::fs::File;
pub use std::fs::Metadata;
pub use window::SharedFile;
pub use window::Window;

use crate::error::Error;
use crate::error::Result;
use rustix::fs::OFlags;
use std::io;
use std::io::Read;
use std::io::Seek;
use std::io::Write;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Opens for reading; a symlink is followed.
pub fn open(path: &Path) -> Result<File> {
    File::open(path).map_err(Error::io("open", path))
}

/// Opens for reading; a symlink as the last part of the path is an error.
pub fn open_no_follow(path: &Path) -> Result<File> {
    std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(OFlags::NOFOLLOW.bits() as i32)
        .open(path)
        .map_err(Error::io("open", path))
}

/// Makes a file that is not there yet; one that is there is [`Error::Exists`].
pub fn create_new(path: &Path) -> Result<File> {
    match File::create_new(path) {
        Err(err) if err.kind() == io::ErrorKind::AlreadyExists => Err(exists(path)),
        other => other.map_err(Error::io("create", path)),
    }
}

/// Opens for writing, empty, whatever was there.
pub fn create(path: &Path) -> Result<File> {
    File::create(path).map_err(Error::io("create", path))
}

/// Reads a whole file of at most `bytes_max` bytes; a larger one is [`Error::Limit`].
///
/// The bound holds for what is read, not for what `stat` says: `/proc` and fifos say nothing.
pub fn read_small(path: &Path, bytes_max: u64) -> Result<Vec<u8>> {
    read_bounded(&mut open(path)?, &path.display().to_string(), bytes_max).map_err(|err| match err {
        Error::Stream { source, .. } => Error::io("read", path)(source),
        other => other,
    })
}

/// Reads a stream to its end, at most `bytes_max` bytes.
pub fn read_bounded(from: &mut dyn Read, thing: &str, bytes_max: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(bytes_max.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|err| crate::error::from_stream(thing, err))?;
    if bytes.len() as u64 > bytes_max {
        return Err(Error::Limit { thing: thing.to_string(), limit: bytes_max, unit: "bytes" });
    }
    Ok(bytes)
}

pub fn create_dir_all(path: &Path) -> Result<()> {
    std::fs::create_dir_all(path).map_err(Error::io("create", path))
}

/// Makes a directory and those above it that are missing, all of them for their owner only.
pub fn create_private_dir_all(path: &Path) -> Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true).mode(0o700).create(path).map_err(Error::io("create", path))
}

/// Makes one directory; one that is there is [`Error::Exists`].
pub fn create_dir(path: &Path) -> Result<()> {
    match std::fs::create_dir(path) {
        Err(err) if err.kind() == io::ErrorKind::AlreadyExists => Err(exists(path)),
        other => other.map_err(Error::io("create", path)),
    }
}

/// The names in a directory as bytes, sorted, without `.` and `..`.
pub fn list(path: &Path) -> Result<Vec<Vec<u8>>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(path).map_err(Error::io("list", path))? {
        names.push(entry.map_err(Error::io("list", path))?.file_name().into_vec());
    }
    names.sort();
    Ok(names)
}

/// What a path is; symlinks are followed.
pub fn metadata(path: &Path) -> Result<Metadata> {
    std::fs::metadata(path).map_err(Error::io("stat", path))
}

/// What a path is, or `None` where nothing is; symlinks are followed.
pub fn look(path: &Path) -> Result<Option<Metadata>> {
    absent_is_none(std::fs::metadata(path)).map_err(Error::io("stat", path))
}

/// What a path itself is, or `None` where nothing is; a symlink is not followed.
pub fn look_no_follow(path: &Path) -> Result<Option<Metadata>> {
    absent_is_none(std::fs::symlink_metadata(path)).map_err(Error::io("stat", path))
}

pub fn remove_file(path: &Path) -> Result<()> {
    std::fs::remove_file(path).map_err(Error::io("remove", path))
}

/// Removes a directory and all that is in it; symlinks inside are removed, not followed.
pub fn remove_dir_all(path: &Path) -> Result<()> {
    std::fs::remove_dir_all(path).map_err(Error::io("remove", path))
}

pub fn rename(from: &Path, to: &Path) -> Result<()> {
    std::fs::rename(from, to).map_err(Error::io("rename", from))
}

/// Makes a file that can be run, with its time of last change.
pub fn write_program(path: &Path, bytes: &[u8], modified: std::time::SystemTime) -> Result<()> {
    let mut options = std::fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o700)
        .open(path)
        .map_err(Error::io("create", path))?;
    file.write_all(bytes).and_then(|()| file.set_modified(modified)).map_err(Error::io("write", path))
}

/// The path with symlinks and dots resolved.
pub fn canonical(path: &Path) -> Result<std::path::PathBuf> {
    std::fs::canonicalize(path).map_err(Error::io("resolve", path))
}

/// Makes the names in a directory last through a power cut.
pub fn sync_dir(path: &Path) -> Result<()> {
    File::open(path).and_then(|dir| dir.sync_all()).map_err(Error::io("sync", path))
}

/// Keeps a stream in a nameless temporary file and returns it rewound.
///
/// For input that must be read twice but cannot seek: standard input. Lies in `$TMPDIR`.
pub fn spool(from: &mut dyn Read, thing: &str) -> Result<File> {
    spool_in(&std::env::temp_dir(), from, thing)
}

/// Like [`spool`], in a folder of the caller's: `$TMPDIR` may be memory, and an image is large.
pub fn spool_in(folder: &Path, from: &mut dyn Read, thing: &str) -> Result<File> {
    let mut file = tempfile::tempfile_in(folder).map_err(Error::io("create a temporary file in", folder))?;
    let mut buffer = vec![0; 128 << 10];
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(err) if err.kind() == io::ErrorKind::Interrupted => continue,
            Err(err) => return Err(crate::error::from_stream(thing, err)),
        };
        file.write_all(&buffer[..read]).map_err(Error::io("write a temporary file in", folder))?;
    }
    file.rewind().map_err(Error::io("rewind a temporary file in", folder))?;
    Ok(file)
}

/// A new folder under `$TMPDIR`, removed with all that is in it when dropped.
pub fn temp_dir() -> Result<tempfile::TempDir> {
    let folder = std::env::temp_dir();
    tempfile::Builder::new()
        .prefix("imgit-")
        .tempdir()
        .map_err(Error::io("create a temporary folder in", &folder))
}

fn exists(path: &Path) -> Error {
    Error::Exists { kind: "file", name: path.display().to_string() }
}

fn absent_is_none<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        // `a/b` where `a` is a file: nothing is there either.
        Err(err) if matches!(err.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(err) => Err(err),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_file_over_its_bound_is_refused_and_one_at_it_is_read() {
        let folder = temp_dir().unwrap();
        let path = folder.path().join("manifest");
        write_atomic(&path, b"12345").unwrap();
        assert_eq!(read_small(&path, 5).unwrap(), b"12345");
        assert!(matches!(read_small(&path, 4), Err(Error::Limit { limit: 4, .. })));
        assert_eq!(
            read_small(Path::new("/dev/zero"), 9).unwrap_err().to_string(),
            "/dev/zero is over the limit of 9 bytes"
        );
        assert_eq!(
            read_small(folder.path(), 9).unwrap_err().to_string(),
            format!("cannot read {}", folder.path().display())
        );
    }

    #[test]
    fn names_come_sorted_as_bytes() {
        let folder = temp_dir().unwrap();
        for name in [&b"b"[..], b"\xff", b"a"] {
            let name = <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(name);
            create_new(&folder.path().join(name)).unwrap();
        }
        assert_eq!(list(folder.path()).unwrap(), [&b"a"[..], b"b", b"\xff"]);
    }

    #[test]
    fn nothing_there_is_none_and_a_symlink_is_not_opened_when_asked() {
        let folder = temp_dir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        assert!(look(&file).unwrap().is_none());
        create_new(&file).unwrap();
        assert!(matches!(create_new(&file), Err(Error::Exists { .. })));
        assert!(look(&file.join("under")).unwrap().is_none());
        std::os::unix::fs::symlink("file", &link).unwrap();
        open(&link).unwrap();
        assert!(open_no_follow(&link).is_err());
        assert!(look_no_follow(&link).unwrap().unwrap().is_symlink());
    }

    #[test]
    fn a_spooled_stream_can_be_read_twice() {
        let mut file = spool(&mut &b"stream"[..], "standard input").unwrap();
        for _ in 0..2 {
            assert_eq!(read_bounded(&mut file, "spool", 100).unwrap(), b"stream");
            file.rewind().unwrap();
        }
    }
}
