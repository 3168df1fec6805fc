//! The store: packs are the truth, redb is their index.
//!
//! One transaction is one sealed pack (with a second one for kept blobs): contents, manifests and
//! a journal of what refs did. Readers take a [`Snapshot`] for as long as they ask the index and
//! read contents by [`Location`] without it. Bytes, order of writes and why: `FORMAT.md`.
//!
//! Nothing here knows what a layer, an image or a commit means; nothing else knows redb or where
//! bytes stand.

mod at_once;
pub mod backend;
pub mod blob_writer;
mod bytes;
pub mod config;
mod index;
mod left_out;
pub mod lock;
pub mod pack;
mod pending;
mod publish;
mod recover;
mod search;
pub mod snapshot;
pub mod sweep;
pub mod transaction;
pub mod verify;

pub use blob_writer::BlobWriter;
pub use config::Config;
pub use index::rebuild::Rebuilt;
pub use index::tables::PackRow;
pub use pack::Location;
pub use pack::ObjectKind;
pub use pack::journal::BlobRow;
pub use pack::journal::BlobSource;
pub use pack::journal::Move;
pub use pack::journal::RefKind;
pub use pack::reader::ObjectReader;
pub use publish::Expected;
pub use search::NodePrefix;
pub use snapshot::LogEntry;
pub use snapshot::Ref;
pub use snapshot::Snapshot;
pub use sweep::SweepOptions;
pub use sweep::Swept;
pub use transaction::Committed;
pub use transaction::RefMove;
pub use transaction::StagedContents;
pub use transaction::Transaction;
pub use verify::Verified;
pub use verify::VerifyOptions;

use crate::content::ContentSource;
use crate::error::Error;
use crate::error::Result;
use crate::id::ContentId;
use crate::progress::Progress;
use crate::store::backend::Backend;
use crate::store::backend::dir::DirBackend;
use crate::store::config::CONFIG_NAME;
use crate::store::pack::reader::PackReader;
use std::collections::HashMap;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

/// How to open a store.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// How long to wait for a lock before giving up and saying who holds it.
    pub lock_timeout: Duration,
    /// Never write: no transaction, no recovery, no rebuild.
    pub read_only: bool,
    /// What to call this process to those who wait for it.
    pub command: String,
}

impl Default for OpenOptions {
    fn default() -> OpenOptions {
        OpenOptions { lock_timeout: Duration::from_secs(30), read_only: false, command: "imgit".to_owned() }
    }
}

/// An open store; clones share it.
#[derive(Clone, Debug)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    backend: Arc<dyn Backend>,
    config: Config,
    packs: Arc<PackReader>,
    timeout: Duration,
    read_only: bool,
    command: String,
    rebuilt: Mutex<Option<Rebuilt>>,
}

impl Store {
    /// Makes a store in a folder, which is made too if it is not there.
    pub fn create(place: &Path, config: &Config, options: &OpenOptions) -> Result<Store> {
        Store::create_in(Arc::new(DirBackend::create(place)?), config, options)
    }

    pub fn create_in(backend: Arc<dyn Backend>, config: &Config, options: &OpenOptions) -> Result<Store> {
        let store = Store::with(backend, config.clone(), options);
        let inner = &store.inner;
        // Two who create at once: the second finds the first one's store.
        let commit = inner.lock_commit()?;
        if inner.backend.exists(CONFIG_NAME)? {
            return Err(Error::Exists { kind: "store", name: inner.backend.place().display().to_string() });
        }
        // The index first: a store is one once it has its configuration, and then it is whole.
        index::rebuild::rebuild(&*inner.backend, &inner.packs, inner.timeout)?;
        backend::write_small(&*inner.backend, CONFIG_NAME, config.to_text().as_bytes())?;
        drop(commit);
        Ok(store)
    }

    /// Opens the store in a folder and finishes what a crash left there.
    pub fn open(place: &Path, options: &OpenOptions) -> Result<Store> {
        Store::open_in(Arc::new(DirBackend::open(place)?), options)
    }

    pub fn open_in(backend: Arc<dyn Backend>, options: &OpenOptions) -> Result<Store> {
        let config = Config::read(&*backend)?;
        let store = Store::with(backend, config, options);
        store.inner.recover_if_idle()?;
        Ok(store)
    }

    fn with(backend: Arc<dyn Backend>, config: Config, options: &OpenOptions) -> Store {
        Store {
            inner: Arc::new(Inner {
                packs: Arc::new(PackReader::new(Arc::clone(&backend))),
                backend,
                config,
                timeout: options.lock_timeout,
                read_only: options.read_only,
                command: options.command.clone(),
                rebuilt: Mutex::new(None),
            }),
        }
    }

    /// The folder, for messages.
    pub fn place(&self) -> &Path {
        self.inner.backend.place()
    }

    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.inner
    }

    /// Opens the index as it is now. Held for long it makes nobody wait, but keeps old rows from
    /// being reused. An index that is missing or damaged is rebuilt first.
    pub fn snapshot(&self) -> Result<Snapshot> {
        let open = || index::open_read(&*self.inner.backend, self.inner.timeout).and_then(Snapshot::new);
        match open() {
            Err(err) if index::is_damage(&err) => {
                self.inner.heal_index(err)?;
                open()
            }
            other => other,
        }
    }

    /// Says, once, that the index had to be rebuilt, and what was missing from it.
    pub fn take_rebuilt(&self) -> Option<Rebuilt> {
        self.inner.rebuilt.lock().expect("no holder panics").take()
    }

    /// Makes the index anew from the packs.
    pub fn rebuild_index(&self, progress: &dyn Progress) -> Result<Rebuilt> {
        self.inner.check_writable()?;
        progress.begin("rebuilding the index", None);
        let commit = self.inner.lock_commit()?;
        let rebuilt = index::rebuild::rebuild(&*self.inner.backend, &self.inner.packs, self.inner.timeout)?;
        self.inner.recover(&*commit)?;
        Ok(rebuilt)
    }

    /// Begins to add to the store; waits for a collection that is running.
    pub fn begin(&self) -> Result<Transaction> {
        Transaction::begin(self)
    }

    /// Where contents stand, in one short look-up for all; `None` for those that are not there.
    pub fn locate(&self, ids: &[ContentId]) -> Result<Vec<Option<Location>>> {
        let snapshot = self.snapshot()?;
        ids.iter().map(|id| snapshot.content(id)).collect()
    }

    fn known(&self, ids: &[ContentId]) -> Result<Vec<bool>> {
        let snapshot = self.snapshot()?;
        ids.iter().map(|id| snapshot.has_content(id)).collect()
    }

    /// Reads `len` bytes of an object from `offset` on, one frame in memory at a time; checks
    /// every frame before its first byte is given. Uses no index.
    pub fn open_content(&self, location: &Location, offset: u64, len: u64) -> Result<ObjectReader> {
        self.inner.packs.open(location, offset, len)
    }

    /// The contents of the store for those who know them by id only.
    pub fn contents(&self) -> Contents {
        Contents { store: self.clone(), located: Mutex::default() }
    }
}

impl Inner {
    /// Lists a feature that whoever does not know it must not open the store with. Durable on
    /// return, so that what needs it can be written; cut short, the store has one more name in it.
    fn declare(&self, feature: &str) -> Result<()> {
        let _commit = self.lock_commit()?;
        let mut config = Config::read(&*self.backend)?;
        if config.features.incompatible.iter().any(|known| known == feature) {
            return Ok(());
        }
        config.features.incompatible.push(feature.to_owned());
        backend::write_small(&*self.backend, CONFIG_NAME, config.to_text().as_bytes())
    }

    fn check_writable(&self) -> Result<()> {
        if let Some(feature) = self.config.read_only_because() {
            return Err(config::newer(&*self.backend, format!("1 with `{feature}`")));
        }
        if self.read_only {
            return Err(Error::Usage("the store was opened for reading only".to_owned()));
        }
        Ok(())
    }
}

/// A [`ContentSource`] that remembers where what will be opened stands.
#[derive(Debug)]
pub struct Contents {
    store: Store,
    located: Mutex<HashMap<ContentId, Location>>,
}

impl Contents {
    fn location(&self, id: &ContentId) -> Result<Location> {
        if let Some(location) = self.located.lock().expect("no holder panics").get(id) {
            return Ok(*location);
        }
        self.locate(id)
    }

    fn locate(&self, id: &ContentId) -> Result<Location> {
        let found = self.store.snapshot()?.content(id)?;
        let location = found.ok_or_else(|| Error::not_found("content", id.to_string()))?;
        self.located.lock().expect("no holder panics").insert(*id, location);
        Ok(location)
    }
}

impl ContentSource for Contents {
    fn open(&self, id: &ContentId, offset: u64, len: u64) -> Result<Box<dyn Read + '_>> {
        let location = self.location(id)?;
        let opened = match self.store.open_content(&location, offset, len) {
            // Collection has moved it into another pack since it was located.
            Err(Error::NotFound { .. }) => self.store.open_content(&self.locate(id)?, offset, len),
            other => other,
        };
        Ok(Box::new(opened?))
    }

    /// Forgets what was to be opened before.
    fn will_open(&self, ids: &[ContentId]) -> Result<()> {
        let located = self.store.locate(ids)?;
        let mut known = self.located.lock().expect("no holder panics");
        known.clear();
        known.extend(ids.iter().zip(located).filter_map(|(id, location)| Some((*id, location?))));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
