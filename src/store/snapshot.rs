//! A consistent view of the index at one moment, for as long as it is held.
//!
//! Short needs take one, ask and drop it. Every row is checked on its way out: bytes against the
//! hash that names them, places against their checksum.

use crate::error::Error;
use crate::error::Result;
use crate::id::ChainId;
use crate::id::CommitId;
use crate::id::ContentId;
use crate::id::DiffId;
use crate::id::NodeId;
use crate::id::PackId;
use crate::id::Sha1Id;
use crate::id::TreeId;
use crate::store::bytes::Take;
use crate::store::index::fault;
use crate::store::index::guarded;
use crate::store::index::tables;
use crate::store::index::tables::PLACE_BYTES;
use crate::store::index::tables::PackRow;
use crate::store::index::tables::Place;
use crate::store::index::tables::unseal;
use crate::store::pack::Location;
use crate::store::pack::ObjectKind;
use crate::store::pack::journal::BlobRow;
use crate::store::pack::journal::Move;
use crate::store::pack::journal::RefKind;
use crate::tree::Node;
use crate::tree::NodeSource;
use crate::tree::Tree;
use redb::Key;
use redb::ReadOnlyDatabase;
use redb::ReadOnlyTable;
use redb::ReadTransaction;
use redb::ReadableDatabase as _;
use redb::ReadableTableMetadata as _;
use redb::TableDefinition;
use redb::Value;
use std::sync::Arc;

type Hash = [u8; 32];

pub struct Snapshot {
    contents: ReadOnlyTable<&'static Hash, &'static [u8; PLACE_BYTES]>,
    recipes: ReadOnlyTable<&'static Hash, &'static [u8; PLACE_BYTES]>,
    ordinals: ReadOnlyTable<u32, &'static Hash>,
    nodes: ReadOnlyTable<&'static Hash, &'static [u8]>,
    txn: ReadTransaction,
    // Last, so that it is dropped last.
    _database: ReadOnlyDatabase,
}

/// Where a ref points.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ref {
    pub name: Vec<u8>,
    pub kind: RefKind,
    pub commit: CommitId,
}

/// One line of the reflog. `sequence` orders the moves of all refs; moves of one transaction
/// share it and are ordered by `number`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    pub sequence: u64,
    pub number: u32,
    pub moved: Move,
}

/// How many rows the index has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub contents: u64,
    pub nodes: u64,
    pub trees: u64,
    pub recipes: u64,
    pub commits: u64,
    pub blobs: u64,
}

impl Snapshot {
    pub(super) fn new(database: ReadOnlyDatabase) -> Result<Snapshot> {
        guarded("read", || {
            let txn = database.begin_read().map_err(fault("read"))?;
            let numbers = txn.open_table(tables::NUMBERS).map_err(fault("read"))?;
            let version = numbers.get(tables::VERSION).map_err(fault("read"))?.map(|row| row.value());
            if version != Some(tables::INDEX_VERSION) {
                return Err(Error::Index {
                    doing: "read",
                    source: format!("its version is {version:?}, not {}", tables::INDEX_VERSION).into(),
                });
            }
            Ok(Snapshot {
                contents: txn.open_table(tables::CONTENTS).map_err(fault("read"))?,
                recipes: txn.open_table(tables::RECIPES).map_err(fault("read"))?,
                ordinals: txn.open_table(tables::ORDINALS).map_err(fault("read"))?,
                nodes: txn.open_table(tables::NODES).map_err(fault("read"))?,
                txn,
                _database: database,
            })
        })
    }

    /// Where a content stands.
    pub fn content(&self, id: &ContentId) -> Result<Option<Location>> {
        self.place(&self.contents, &id.0)
    }

    pub fn has_content(&self, id: &ContentId) -> Result<bool> {
        guarded("read", || Ok(self.contents.get(&id.0).map_err(fault("read"))?.is_some()))
    }

    /// Where the recipe of a layer (or of whatever has this id) stands.
    pub fn recipe(&self, output: &DiffId) -> Result<Option<Location>> {
        self.place(&self.recipes, &output.0)
    }

    pub fn has_node(&self, id: &NodeId) -> Result<bool> {
        guarded("read", || Ok(self.nodes.get(&id.0).map_err(fault("read"))?.is_some()))
    }

    /// Whether the index has an object of this kind.
    pub fn has(&self, kind: ObjectKind, id: &Hash) -> Result<bool> {
        guarded("read", || {
            let manifests = match kind {
                ObjectKind::Content => return Ok(self.contents.get(id).map_err(fault("read"))?.is_some()),
                ObjectKind::Recipe => return Ok(self.recipes.get(id).map_err(fault("read"))?.is_some()),
                ObjectKind::Node => return Ok(self.nodes.get(id).map_err(fault("read"))?.is_some()),
                ObjectKind::Tree => tables::TREES,
                ObjectKind::Commit => tables::COMMITS,
            };
            let table = self.txn.open_table(manifests).map_err(fault("read"))?;
            Ok(table.get(id).map_err(fault("read"))?.is_some())
        })
    }

    pub fn tree(&self, id: &TreeId) -> Result<Option<Tree>> {
        let bytes = self.hashed(tables::TREES, "tree", &id.0)?;
        bytes.map(|bytes| Tree::decode(&bytes)).transpose()
    }

    /// The canonical bytes of a commit.
    pub fn commit(&self, id: &CommitId) -> Result<Option<Vec<u8>>> {
        self.hashed(tables::COMMITS, "commit", &id.0)
    }

    /// How to make the blob of a digest, spelled as it was put.
    pub fn blob(&self, digest: &[u8]) -> Result<Option<BlobRow>> {
        let row = self.sealed(tables::BLOBS, "blobs", digest, |key| key)?;
        row.map(|row| BlobRow::decode(&mut Take::new("blobs", &row))).transpose()
    }

    /// Every blob, by digest.
    pub fn blobs(&self) -> Result<Vec<(Vec<u8>, BlobRow)>> {
        self.rows(tables::BLOBS, &[], |key, row| {
            let row = unseal("blobs", key, row)?;
            Ok((key.to_vec(), BlobRow::decode(&mut Take::new("blobs", row))?))
        })
    }

    /// The tree that a stack of layers flattens to.
    pub fn chain(&self, chain: &ChainId) -> Result<Option<TreeId>> {
        let row = self.sealed(tables::CHAINS, "chains", &chain.0, |_| &chain.0)?;
        row.map(|row| Take::new("chains", &row).array().map(TreeId)).transpose()
    }

    pub fn chains(&self) -> Result<Vec<(ChainId, TreeId)>> {
        guarded("read", || {
            let table = self.txn.open_table(tables::CHAINS).map_err(fault("read"))?;
            let rows = table.range::<&Hash>(..).map_err(fault("read"))?;
            rows.map(|row| {
                let (key, row) = row.map_err(fault("read"))?;
                let tree = Take::new("chains", unseal("chains", key.value(), row.value())?).array()?;
                Ok((ChainId(*key.value()), TreeId(tree)))
            })
            .collect()
        })
    }

    pub fn reference(&self, name: &[u8]) -> Result<Option<Ref>> {
        let row = self.sealed(tables::REFS, "refs", name, |key| key)?;
        row.map(|row| take_ref(name, &row)).transpose()
    }

    /// Every ref whose name begins with `prefix`, sorted by name.
    pub fn refs(&self, prefix: &[u8]) -> Result<Vec<Ref>> {
        self.rows(tables::REFS, prefix, |key, row| take_ref(key, unseal("refs", key, row)?))
    }

    /// The moves of one ref, oldest first; also of a ref that is gone.
    pub fn log(&self, name: &[u8]) -> Result<Vec<LogEntry>> {
        self.rows(tables::LOG, &tables::log_prefix(name), take_log)
    }

    /// The moves of all refs, by name and then by time.
    pub fn logs(&self) -> Result<Vec<LogEntry>> {
        self.rows(tables::LOG, &[], take_log)
    }

    pub fn packs(&self) -> Result<Vec<(PackId, PackRow)>> {
        guarded("read", || {
            let table = self.txn.open_table(tables::PACKS).map_err(fault("read"))?;
            let rows = table.range::<&Hash>(..).map_err(fault("read"))?;
            rows.map(|row| {
                let (key, row) = row.map_err(fault("read"))?;
                let value = unseal("packs", key.value(), row.value())?;
                Ok((PackId(*key.value()), PackRow::decode(&mut Take::new("packs", value))?))
            })
            .collect()
        })
    }

    /// The number of the newest transaction; grows with each.
    pub fn sequence(&self) -> Result<u64> {
        guarded("read", || {
            let numbers = self.txn.open_table(tables::NUMBERS).map_err(fault("read"))?;
            Ok(numbers.get(tables::SEQUENCE).map_err(fault("read"))?.map_or(0, |row| row.value()))
        })
    }

    pub fn counts(&self) -> Result<Counts> {
        guarded("read", || {
            let len = |table: TableDefinition<&'static Hash, &'static [u8]>| -> Result<u64> {
                let table = self.txn.open_table(table).map_err(fault("read"))?;
                table.len().map_err(fault("read"))
            };
            let blobs = self.txn.open_table(tables::BLOBS).map_err(fault("read"))?;
            Ok(Counts {
                contents: self.contents.len().map_err(fault("read"))?,
                nodes: self.nodes.len().map_err(fault("read"))?,
                recipes: self.recipes.len().map_err(fault("read"))?,
                trees: len(tables::TREES)?,
                commits: len(tables::COMMITS)?,
                blobs: blobs.len().map_err(fault("read"))?,
            })
        })
    }

    fn place(
        &self,
        table: &ReadOnlyTable<&'static Hash, &'static [u8; PLACE_BYTES]>,
        key: &Hash,
    ) -> Result<Option<Location>> {
        guarded("read", || {
            let Some(row) = table.get(key).map_err(fault("read"))? else { return Ok(None) };
            let place = Place::decode(key, row.value())?;
            let pack = self.ordinals.get(place.ordinal).map_err(fault("read"))?;
            let pack = pack.ok_or_else(|| Error::Index {
                doing: "read",
                source: format!("pack number {} is missing", place.ordinal).into(),
            })?;
            Ok(Some(Location {
                pack: PackId(*pack.value()),
                frame: place.frame,
                skip: place.skip,
                len: place.len,
            }))
        })
    }

    /// A row whose key is the hash of its value.
    fn hashed(
        &self,
        table: TableDefinition<&'static Hash, &'static [u8]>,
        noun: &'static str,
        key: &Hash,
    ) -> Result<Option<Vec<u8>>> {
        guarded("read", || {
            let table = self.txn.open_table(table).map_err(fault("read"))?;
            let Some(row) = table.get(key).map_err(fault("read"))? else { return Ok(None) };
            check_hash(noun, key, row.value())?;
            Ok(Some(row.value().to_vec()))
        })
    }

    fn sealed<'k, K: Key + 'static>(
        &self,
        table: TableDefinition<K, &'static [u8]>,
        name: &'static str,
        bytes: &'k [u8],
        key: impl FnOnce(&'k [u8]) -> K::SelfType<'k>,
    ) -> Result<Option<Vec<u8>>> {
        guarded("read", || {
            let table = self.txn.open_table(table).map_err(fault("read"))?;
            let Some(row) = table.get(key(bytes)).map_err(fault("read"))? else { return Ok(None) };
            Ok(Some(unseal(name, bytes, row.value())?.to_vec()))
        })
    }

    /// Every row whose key begins with `prefix`.
    pub(super) fn rows<V: Value + 'static, T>(
        &self,
        table: TableDefinition<&'static [u8], V>,
        prefix: &[u8],
        mut take: impl FnMut(&[u8], V::SelfType<'_>) -> Result<T>,
    ) -> Result<Vec<T>> {
        guarded("read", || {
            let table = self.txn.open_table(table).map_err(fault("read"))?;
            let rows = match tables::after_prefix(prefix) {
                Some(end) => table.range::<&[u8]>(prefix..&end[..]),
                None => table.range::<&[u8]>(prefix..),
            };
            rows.map_err(fault("read"))?
                .map(|row| {
                    let (key, row) = row.map_err(fault("read"))?;
                    take(key.value(), row.value())
                })
                .collect()
        })
    }

    pub(super) fn txn(&self) -> &ReadTransaction {
        &self.txn
    }

    pub(super) fn all_contents(&self) -> &ReadOnlyTable<&'static Hash, &'static [u8; PLACE_BYTES]> {
        &self.contents
    }

    pub(super) fn all_nodes(&self) -> &ReadOnlyTable<&'static Hash, &'static [u8]> {
        &self.nodes
    }

    /// Contents with this SHA-1: one, unless somebody made a collision.
    pub fn contents_by_sha1(&self, sha1: &Sha1Id) -> Result<Vec<ContentId>> {
        let (mut low, mut high) = ([0; 52], [0xff; 52]);
        low[..20].copy_from_slice(&sha1.0);
        high[..20].copy_from_slice(&sha1.0);
        guarded("read", || {
            let table = self.txn.open_table(tables::SHA1S).map_err(fault("read"))?;
            let rows = table.range::<&[u8; 52]>(&low..=&high).map_err(fault("read"))?;
            rows.map(|row| {
                let (key, ()) = row.map(|(key, row)| (key, row.value())).map_err(fault("read"))?;
                let id = key.value()[20..].first_chunk().copied();
                Ok(ContentId(id.expect("the key is 52 bytes")))
            })
            .collect()
        })
    }
}

impl NodeSource for Snapshot {
    fn node(&self, id: &NodeId) -> Result<Arc<Node>> {
        guarded("read", || {
            let row = self.nodes.get(&id.0).map_err(fault("read"))?;
            let row = row.ok_or_else(|| Error::not_found("node", id.to_string()))?;
            check_hash("node", &id.0, row.value())?;
            Ok(Arc::new(Node::decode(row.value())?))
        })
    }
}

pub(super) fn check_hash(noun: &str, key: &Hash, bytes: &[u8]) -> Result<()> {
    let found = ContentId::of(bytes);
    if found.0 == *key {
        return Ok(());
    }
    Err(Error::Corrupt {
        thing: format!("{noun} {} in the index", ContentId(*key)),
        expected: "bytes of that id".to_owned(),
        found: found.to_string(),
    })
}

fn take_ref(name: &[u8], row: &[u8]) -> Result<Ref> {
    let take = &mut Take::new("refs", row);
    Ok(Ref { name: name.to_vec(), kind: RefKind::decode(take)?, commit: CommitId(take.array()?) })
}

fn take_log(key: &[u8], row: &[u8]) -> Result<LogEntry> {
    let take = &mut Take::new("log", unseal("log", key, row)?);
    let (_, sequence, number) =
        tables::parse_log_key(key).ok_or_else(|| take.damaged("a log key", "other bytes"))?;
    Ok(LogEntry { sequence, number, moved: Move::decode(take)? })
}
