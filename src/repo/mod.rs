//! The front door: typed get and put over the store, names and histories over its rows.
//!
//! Every read here opens the index, asks and closes it (`store` keeps no handle), so any number of
//! commands live side by side; nothing that blocks on the outside happens in between.

mod cache;
mod encoded;
mod guest;
pub mod image;
mod images;
mod nodes;
mod produced;
mod recipes;
mod refs;
mod version;

pub use cache::Cache;
pub use images::Images;
pub use nodes::Nodes;
pub use refs::Signature;
pub use version::Version;

use crate::error::Error;
use crate::error::Result;
use crate::error::from_stream;
use crate::fs;
use crate::history::History;
use crate::history::commit::Commit;
use crate::id::ChainId;
use crate::id::CommitId;
use crate::id::ContentId;
use crate::id::DiffId;
use crate::id::TreeId;
use crate::layer::gzip;
use crate::oci::digest::Digest;
use crate::path::shown;
use crate::progress::Progress;
use crate::store::BlobRow;
use crate::store::BlobSource;
use crate::store::Config;
use crate::store::Contents;
use crate::store::OpenOptions;
use crate::store::Snapshot;
use crate::store::Store;
use crate::store::Transaction;
use crate::store::pack::Class;
use crate::tree::Tree;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

pub struct Repo {
    store: Store,
}

/// Bytes on disk, by what they are for.
pub struct DiskUsage {
    pub file_packs: u64,
    pub blob_packs: u64,
    pub index: u64,
    pub contents: u64,
}

impl Repo {
    /// Creates a store in a folder that is new or empty.
    pub fn create(dir: &Path, lock_timeout: Duration) -> Result<Repo> {
        /// What stands in a store: another process may be creating the same one now.
        const OWN: [&[u8]; 6] = [b"imgit.toml", b"meta.redb", b"packs", b"locks", b"tmp", b"cache"];
        if fs::look(dir)?.is_some_and(|there| there.is_dir()) {
            let foreign = fs::list(dir)?.into_iter().find(|name| !OWN.contains(&&name[..]));
            if let Some(name) = foreign {
                let problem =
                    format!("{} is no store, and not empty: it holds {}", dir.display(), shown(&name));
                return Err(Error::Usage(problem).with_hint("--store or IMGIT_STORE name a new folder"));
            }
        }
        let store =
            Store::create(dir, &Config::default(), &OpenOptions { lock_timeout, ..OpenOptions::default() })?;
        Ok(Repo { store })
    }

    /// Opens a store; what a crash left half done is finished or dropped here.
    pub fn open(dir: &Path, lock_timeout: Duration, progress: &dyn Progress) -> Result<Repo> {
        let store = Store::open(dir, &OpenOptions { lock_timeout, ..OpenOptions::default() })?;
        // The first look rebuilds an index that is missing: here, where it can be told.
        drop(store.snapshot()?);
        if let Some(rebuilt) = store.take_rebuilt() {
            progress.note(&format!(
                "The index was missing or damaged: it was rebuilt from {} packs.",
                rebuilt.packs
            ));
            rebuilt.problems.iter().for_each(|problem| progress.problem(problem));
        }
        Ok(Repo { store })
    }

    /// Throws the index away and builds it anew from the packs.
    pub fn rebuild(dir: &Path, lock_timeout: Duration, progress: &dyn Progress) -> Result<()> {
        let store = Store::open(dir, &OpenOptions { lock_timeout, ..OpenOptions::default() })?;
        let rebuilt = store.rebuild_index(progress)?;
        rebuilt.problems.iter().for_each(|problem| progress.problem(problem));
        Ok(())
    }

    pub fn store(&self) -> &Store {
        &self.store
    }

    /// One moment of the index. Drop it before reading or writing anything else.
    pub fn snapshot(&self) -> Result<Snapshot> {
        self.store.snapshot()
    }

    pub fn begin(&self) -> Result<Transaction> {
        self.store.begin()
    }

    pub fn commit(&self, id: &CommitId) -> Result<Commit> {
        History::commit(&self.snapshot()?, id)
    }

    pub fn tree_record(&self, id: &TreeId) -> Result<Tree> {
        self.snapshot()?.tree(id)?.ok_or_else(|| Error::not_found("tree", id.to_string()))
    }

    pub fn chain(&self, chain: &ChainId) -> Result<Option<TreeId>> {
        self.snapshot()?.chain(chain)
    }

    pub fn blob(&self, digest: &Digest) -> Result<Option<BlobRow>> {
        self.snapshot()?.blob(digest.as_str().as_bytes())
    }

    /// Where nodes are read from, a short look each.
    pub fn nodes(&self) -> Nodes {
        Nodes::new(self.store.clone())
    }

    /// Where file contents are read from.
    pub fn contents(&self) -> Contents {
        self.store.contents()
    }

    /// A folder on the store's own disk for what must be read twice; `$TMPDIR` may be memory.
    pub fn scratch(&self) -> PathBuf {
        self.store.place().join("tmp")
    }

    /// The images in the store as one more place to read them from.
    pub fn images(&self) -> Images {
        Images::new(self.store.clone())
    }

    /// How a blob that is not kept is compressed; `None` for one that is, or is no compressed one.
    pub fn encoding(&self, row: &BlobRow) -> Result<Option<gzip::recipe::Recipe>> {
        match row.source {
            BlobSource::Encoded { how, .. } => encoded::recipe(&self.store, &how).map(Some),
            BlobSource::Content(_) | BlobSource::Recipe(_) => Ok(None),
        }
    }

    /// What of this store may be lost.
    pub fn cache(&self) -> Cache {
        Cache::of(&self.store)
    }

    /// Calls `each` with every content that the recipe of a layer or disk needs.
    pub fn recipe_contents(&self, id: &DiffId, each: &mut dyn FnMut(ContentId) -> Result<()>) -> Result<()> {
        recipes::contents(self.open_recipe(id)?, &self.contents(), each)
    }

    /// The recipe of a layer or disk, as a stream.
    pub fn open_recipe(&self, diff_id: &DiffId) -> Result<Box<dyn Read + Send>> {
        images::open_recipe(&self.store, diff_id)
    }

    /// What the recipe of a layer or disk rebuilds, as a stream; whoever needs proof hashes it.
    pub fn rebuilt(&self, diff_id: &DiffId) -> Result<Box<dyn Read + Send>> {
        images::open_rebuilt(&self.store, diff_id)
    }

    /// A small blob, whole.
    pub fn read_blob(&self, digest: &Digest, bytes_max: u64) -> Result<Vec<u8>> {
        let row = self.blob(digest)?.ok_or_else(|| Error::not_found("blob", digest.to_string()))?;
        if row.size > bytes_max {
            return Err(Error::Limit { thing: format!("blob {digest}"), limit: bytes_max, unit: "bytes" });
        }
        let mut bytes = Vec::with_capacity(row.size as usize);
        images::open_row(&self.store, &self.cache(), digest, &row)?
            .read_to_end(&mut bytes)
            .map_err(|err| from_stream(format!("blob {digest}"), err))?;
        Ok(bytes)
    }

    pub fn disk_usage(&self) -> Result<DiskUsage> {
        let snapshot = self.snapshot()?;
        let mut usage =
            DiskUsage { file_packs: 0, blob_packs: 0, index: 0, contents: snapshot.counts()?.contents };
        for (_, row) in snapshot.packs()? {
            match row.class {
                Class::Blobs => usage.blob_packs += row.len,
                Class::Files => usage.file_packs += row.len,
            }
        }
        drop(snapshot);
        usage.index = fs::metadata(&self.store.place().join("meta.redb"))?.len();
        Ok(usage)
    }
}

/// Says which recipe rebuilds a blob, if one does.
pub fn recipe_of(row: &BlobRow) -> Option<DiffId> {
    match row.source {
        BlobSource::Recipe(diff_id) => Some(diff_id),
        BlobSource::Content(_) | BlobSource::Encoded { .. } => None,
    }
}
