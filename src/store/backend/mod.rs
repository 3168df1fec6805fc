//! What the store asks of the place it lives in: few and plain deeds, so that a test can fail
//! each of them and so that other places can be added without touching the rest.
//!
//! An object is written once, under a temporary name, and appears whole under its own. Nothing
//! is ever changed in place; only the index ([`Backend::index`]) is, and it can be rebuilt.

pub mod dir;
#[cfg(test)]
pub mod faulty;
pub mod mem;

use crate::error::Result;
use std::fmt::Debug;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

/// A place for named objects. Names are relative, `/` between parts, written by the store only.
pub trait Backend: Debug + Send + Sync + 'static {
    /// The place as a person knows it, for messages.
    fn place(&self) -> &Path;

    /// Begins an object under `tmp/`. Dropped unpublished, it is gone.
    fn draft(&self, name: &str) -> Result<Box<dyn Draft>>;

    /// Opens a published object; [`crate::error::Error::NotFound`] if it is not there.
    fn open(&self, name: &str) -> Result<Arc<dyn Object>>;

    fn exists(&self, name: &str) -> Result<bool>;

    /// Names of all objects under a folder, sorted; none if the folder is not there.
    fn list(&self, folder: &str) -> Result<Vec<String>>;

    /// Removes an object; one that is not there is removed already.
    fn delete(&self, name: &str) -> Result<()>;

    /// Gives a whole object a new name, replacing what had it; durable on return.
    fn rename(&self, from: &str, to: &str) -> Result<()>;

    /// Tries once to take a lock; `None` while somebody else holds it in a conflicting way.
    /// `holder` is kept as text for whoever has to wait.
    fn try_lock(&self, name: &str, mode: LockMode, holder: &str) -> Result<Option<Box<dyn Held>>>;

    /// What the latest holder of a lock said of itself.
    fn lock_holder(&self, name: &str) -> String;

    /// Where redb keeps an index of this name.
    fn index(&self, name: &str, access: IndexAccess) -> Result<IndexPlace>;
}

/// An object being written: only grows, except that its newest bytes may be taken back.
#[allow(clippy::len_without_is_empty)] // an empty one is nothing special
pub trait Draft: Send + Debug {
    fn append(&mut self, bytes: &[u8]) -> Result<()>;
    fn truncate(&mut self, len: u64) -> Result<()>;
    /// Fills all of `buffer` from `offset` on with what was appended, synced or not, or fails.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()>;
    fn len(&self) -> u64;
    /// Makes every byte so far durable.
    fn sync(&mut self) -> Result<()>;
    /// Something that makes bytes durable from another thread while more are appended.
    fn syncer(&self) -> Option<Box<dyn Fn() + Send>>;
    /// Gives the draft its name; the name is durable on return. Bytes must be synced before.
    fn publish(&mut self, name: &str) -> Result<()>;
}

/// A published object.
#[allow(clippy::len_without_is_empty)] // an empty one is nothing special
pub trait Object: Send + Sync + Debug {
    fn len(&self) -> u64;
    /// Fills all of `buffer` from `offset` on, or fails.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()>;
}

/// A lock, held until dropped.
pub trait Held: Send + Sync + Debug {}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockMode {
    Shared,
    Exclusive,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndexAccess {
    Read,
    Write,
    Create,
}

/// How redb gets at the bytes of an index.
pub enum IndexPlace {
    /// redb opens the file itself and shares it between processes by its own locks.
    File(PathBuf),
    Storage(Box<dyn redb::StorageBackend>),
}

/// Reads a whole small object, refusing one that is not small.
pub fn read_small(backend: &dyn Backend, name: &str, limit: u64) -> Result<Vec<u8>> {
    let object = backend.open(name)?;
    if object.len() > limit {
        return Err(crate::error::Error::Limit {
            thing: backend.place().join(name).display().to_string(),
            limit,
            unit: "bytes",
        });
    }
    let mut bytes = vec![0; object.len() as usize];
    object.read_at(0, &mut bytes)?;
    Ok(bytes)
}

/// Writes a whole small object: durable, then visible.
pub fn write_small(backend: &dyn Backend, name: &str, bytes: &[u8]) -> Result<()> {
    let mut draft = backend.draft(&name.replace('/', "-"))?;
    draft.append(bytes)?;
    draft.sync()?;
    draft.publish(name)
}
