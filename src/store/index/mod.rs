//! redb as the index of the packs: opened, used and closed for each need, so that no process
//! keeps another waiting while it does something else.
//!
//! Readers share the file with the one writer (redb's single-writer mode); the writer is kept
//! single by the commit lock. What is missing or damaged here is rebuilt from the packs.

pub mod apply;
pub mod rebuild;
pub mod remove;
pub mod tables;

use crate::error::Error;
use crate::error::Result;
use crate::store::backend::Backend;
use crate::store::backend::IndexAccess;
use crate::store::backend::IndexPlace;
use redb::Builder;
use redb::ConcurrencyMode;
use redb::Database;
use redb::DatabaseError;
use redb::ReadOnlyDatabase;
use redb::StorageError;
use std::io;
use std::ops::Bound;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::time::Duration;
use std::time::Instant;

pub const INDEX_NAME: &str = "meta.redb";
const READ_CACHE_BYTES: usize = 16 << 20;
const WRITE_CACHE_BYTES: usize = 64 << 20;
const RETRY: Duration = Duration::from_millis(1);

/// Runs something on redb; a panic in there (it trusts its pages) becomes an error.
pub fn guarded<T>(doing: &'static str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(Error::Index { doing, source: "redb stopped on damaged pages".into() }))
}

/// Turns any of redb's errors into ours; use as `.map_err(fault("read"))`.
pub fn fault<E: Into<redb::Error>>(doing: &'static str) -> impl FnOnce(E) -> Error {
    move |err| match err.into() {
        redb::Error::Io(source) if !is_short_or_wrong(&source) => {
            Error::Io { doing, path: INDEX_NAME.into(), source }
        }
        other => Error::Index { doing, source: Box::new(other) },
    }
}

/// The medium gave what there is, and that is not a whole index.
fn is_short_or_wrong(err: &io::Error) -> bool {
    matches!(err.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
}

/// Opens the index for reading, waiting up to `timeout` where the writer excludes readers.
pub fn open_read(backend: &dyn Backend, timeout: Duration) -> Result<ReadOnlyDatabase> {
    retry(backend, timeout, || {
        let mut builder = Builder::new();
        builder.set_cache_size(READ_CACHE_BYTES);
        match backend.index(INDEX_NAME, IndexAccess::Read).map_err(Fault::Ours)? {
            IndexPlace::File(path) => {
                builder.set_concurrency_mode(ConcurrencyMode::SingleWriter);
                builder.open_read_only(path).map_err(Fault::Redb)
            }
            IndexPlace::Storage(storage) => {
                builder.open_read_only_with_backend(Forward(storage)).map_err(Fault::Redb)
            }
        }
    })
}

/// Opens the index `name` for writing; the caller holds the commit lock. A file that a dying
/// writer left behind is repaired by redb here.
pub fn open_write(backend: &dyn Backend, name: &str, create: bool, timeout: Duration) -> Result<Database> {
    let access = if create { IndexAccess::Create } else { IndexAccess::Write };
    retry(backend, timeout, || {
        let mut builder = Builder::new();
        builder.set_cache_size(WRITE_CACHE_BYTES);
        match backend.index(name, access).map_err(Fault::Ours)? {
            IndexPlace::File(path) => {
                builder.set_concurrency_mode(ConcurrencyMode::SingleWriter);
                let opened = if create { builder.create(path) } else { builder.open(path) };
                opened.map_err(Fault::Redb)
            }
            IndexPlace::Storage(storage) => {
                builder.create_with_backend(Forward(storage)).map_err(Fault::Redb)
            }
        }
    })
}

enum Fault {
    Ours(Error),
    Redb(DatabaseError),
}

fn retry<T>(backend: &dyn Backend, timeout: Duration, open: impl Fn() -> Result<T, Fault>) -> Result<T> {
    let start = Instant::now();
    loop {
        let opened = catch_unwind(AssertUnwindSafe(&open)).unwrap_or_else(|_| {
            let text = "redb stopped on damaged pages".to_owned();
            Err(Fault::Redb(DatabaseError::Storage(StorageError::Corrupted(text))))
        });
        match opened {
            Ok(opened) => return Ok(opened),
            Err(Fault::Redb(DatabaseError::DatabaseAlreadyOpen)) if start.elapsed() < timeout => {
                std::thread::sleep(RETRY);
            }
            Err(Fault::Redb(DatabaseError::DatabaseAlreadyOpen)) => {
                return Err(Error::Locked {
                    what: backend.place().join(INDEX_NAME).display().to_string(),
                    holder: backend.lock_holder("commit"),
                    waited_ms: start.elapsed().as_millis() as u64,
                });
            }
            Err(Fault::Redb(DatabaseError::Storage(StorageError::Io(source))))
                if source.kind() == io::ErrorKind::NotFound =>
            {
                return Err(Error::not_found("file", INDEX_NAME));
            }
            Err(Fault::Redb(err)) => return Err(fault("open")(err)),
            Err(Fault::Ours(err)) => return Err(err),
        }
    }
}

/// Says whether an error means that the index must be repaired or rebuilt.
pub fn is_damage(err: &Error) -> bool {
    match err.root() {
        Error::Index { .. } => true,
        Error::NotFound { kind, .. } => *kind == "file",
        _ => false,
    }
}

/// redb wants a sized backend; ours come in a box.
#[derive(Debug)]
struct Forward(Box<dyn redb::StorageBackend>);

type LockResult = Result<bool, redb::BackendError>;

impl redb::StorageBackend for Forward {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }
    fn close(&self) -> io::Result<()> {
        self.0.close()
    }
    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> LockResult {
        self.0.try_lock_range(start, end)
    }
    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> LockResult {
        self.0.try_lock_shared_range(start, end)
    }
}
