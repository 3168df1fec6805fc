//! Adding to the store: everything put in one transaction becomes visible at once, or never.
//!
//! A content is hashed as it is read and its id returned at once; whether the store has it
//! already is asked later, for many at a time, so that no index is open while anything is read.

use crate::content::ContentSink;
use crate::content::ContentSource;
use crate::content::HashedRead;
use crate::error::Error;
use crate::error::Result;
use crate::error::from_stream;
use crate::id::ChainId;
use crate::id::CommitId;
use crate::id::ContentId;
use crate::id::DiffId;
use crate::id::NodeId;
use crate::id::PackId;
use crate::id::Sha1Id;
use crate::id::TreeId;
use crate::progress::Progress;
use crate::store::Contents;
use crate::store::Store;
use crate::store::at_once::at_once;
use crate::store::backend::Held;
use crate::store::backend::LockMode;
use crate::store::blob_writer::BlobWriter;
use crate::store::blob_writer::SharedBlobs;
use crate::store::config::ENCODED_BLOBS;
use crate::store::lock;
use crate::store::pack::Class;
use crate::store::pack::ObjectKind;
use crate::store::pack::draft::DraftPack;
use crate::store::pack::journal::BlobRow;
use crate::store::pack::journal::BlobSource;
use crate::store::pack::journal::Move;
use crate::store::pack::journal::Record;
use crate::store::pack::writer::FinishedPack;
use crate::store::pack::writer::PackWriter;
use crate::store::pending::Pending;
use crate::store::publish::Expected;
use crate::store::publish::Publication;
use crate::store::snapshot::Snapshot;
use crate::tree::Node;
use crate::tree::NodeIds;
use crate::tree::NodeSink;
use crate::tree::NodeSource;
use crate::tree::Tree;
use sha2::Digest as _;
use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::HashSet;
use std::io::Read;
use std::sync::Arc;

/// Contents up to this size are held in memory until it is known whether the store has them;
/// larger ones are written at once and taken back if it does, which costs compressing them.
const BUFFERED_BYTES_MAX: u64 = 32 << 20;
const STREAM_BYTES: usize = 256 << 10;

/// A running addition. It holds the writers' lock: collection waits for it. Dropped without
/// [`Transaction::commit`], it leaves no trace.
pub struct Transaction {
    store: Store,
    _writers: Box<dyn Held>,
    pack: Option<PackWriter>,
    blobs: SharedBlobs,
    /// Contents seen in this transaction, new or not.
    seen: HashSet<ContentId>,
    pending: Pending,
    manifests: Manifests,
    /// Manifests in the order they were put: children before parents.
    order: Vec<(ObjectKind, [u8; 32])>,
    recipes: HashSet<DiffId>,
    records: Vec<Record>,
    moves: Vec<(Expected, Move)>,
    done: Committed,
}

type Manifests = HashMap<(ObjectKind, [u8; 32]), Arc<[u8]>>;

/// What a transaction brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// The transaction's number; 0 when there was nothing to commit.
    pub sequence: u64,
    pub packs: Vec<PackId>,
    /// The moves as the reflog has them, with where each ref pointed before.
    pub moves: Vec<Move>,
    pub new_contents: u64,
    pub new_content_bytes: u64,
    /// Contents that were put and were there already, each put counted.
    pub known_contents: u64,
    pub known_content_bytes: u64,
    pub new_manifests: u64,
    /// Bytes of the new pack files: what the store grew by, besides the index.
    pub stored_bytes: u64,
}

/// A move of a branch or tag to be made at the commit.
#[derive(Clone, Debug)]
pub struct RefMove {
    pub expected: Expected,
    /// `moved.old` is filled in at the commit.
    pub moved: Move,
}

impl Transaction {
    pub(super) fn begin(store: &Store) -> Result<Transaction> {
        let inner = store.inner();
        inner.check_writable()?;
        let held =
            lock::acquire(&*inner.backend, lock::WRITERS, LockMode::Shared, inner.timeout, &inner.command)?;
        Ok(Transaction {
            store: store.clone(),
            _writers: held,
            pack: None,
            blobs: SharedBlobs::default(),
            seen: HashSet::new(),
            pending: Pending::default(),
            manifests: HashMap::new(),
            order: Vec::new(),
            recipes: HashSet::new(),
            records: Vec::new(),
            moves: Vec::new(),
            done: Committed::default(),
        })
    }

    /// Adds a tree record; its nodes must be put or known.
    pub fn put_tree(&mut self, tree: &Tree) -> Result<TreeId> {
        let bytes = tree.encode();
        let id = TreeId::of(&bytes);
        self.put_manifest(ObjectKind::Tree, id.0, bytes);
        Ok(id)
    }

    /// Adds a commit's canonical bytes. `trees` are those it names: the store does not read
    /// commits, but finds them by their trees.
    pub fn put_commit(&mut self, bytes: Vec<u8>, trees: &[TreeId]) -> Result<CommitId> {
        let id = CommitId::of(&bytes);
        if self.put_manifest(ObjectKind::Commit, id.0, bytes) {
            self.records.push(Record::CommitTrees { commit: id, trees: trees.to_vec() });
        }
        Ok(id)
    }

    /// Adds a recipe of `len` bytes for what has the SHA-256 `output`; one that is there stays.
    /// Returns whether it is new.
    pub fn put_recipe(&mut self, output: DiffId, len: u64, from: &mut dyn Read) -> Result<bool> {
        if !self.recipes.insert(output) || self.store.snapshot()?.recipe(&output)?.is_some() {
            return Ok(false);
        }
        let pack = pack(&self.store, &mut self.pack)?;
        pack.begin_run(ObjectKind::Recipe);
        let mut buffer = vec![0; STREAM_BYTES];
        if let Err(err) = stream(len, from, &mut buffer, &mut |bytes| pack.write_run(bytes)) {
            self.recipes.remove(&output);
            pack.abort_run()?;
            return Err(err);
        }
        pack.finish_run(output.0, None)?;
        self.done.new_manifests += 1;
        Ok(true)
    }

    /// Says how to make the blob of a digest. The last word counts.
    pub fn put_blob(&mut self, digest: &[u8], blob: BlobRow) {
        self.records.push(Record::Blob { digest: digest.to_vec(), blob });
    }

    /// Says what a stack of layers flattens to.
    pub fn put_chain(&mut self, chain: ChainId, tree: TreeId) {
        self.records.push(Record::Chain { chain, tree });
    }

    /// A writer for blobs to be kept as they are, for another thread; they become visible with
    /// this transaction.
    pub fn blob_writer(&self) -> BlobWriter {
        BlobWriter::new(self.store.clone(), Arc::clone(&self.blobs))
    }

    /// Moves a ref at the commit, if it points to what is expected then.
    pub fn move_ref(&mut self, to: RefMove) -> Result<()> {
        if to.moved.name.is_empty() || to.moved.name.contains(&0) {
            let name = crate::path::shown(&to.moved.name);
            return Err(Error::invalid(format!("ref name `{name}`"), "is empty or has a NUL byte"));
        }
        self.moves.push((to.expected, to.moved));
        Ok(())
    }

    /// Nodes of this transaction, then those of a snapshot.
    pub fn nodes<'a>(&'a self, snapshot: &'a Snapshot) -> impl NodeSource + 'a {
        Both { transaction: self, snapshot }
    }

    /// The contents put so far, and those of the store, to be read before the commit, beside the
    /// nodes and trees put so far. Kept blobs of this transaction are not among them.
    ///
    /// Those that wait are packed first, so this is for many reads at a time.
    pub fn contents(&mut self) -> Result<StagedContents<'_>> {
        self.flush()?;
        let draft = self.pack.as_mut().map(PackWriter::read_back).transpose()?;
        Ok(StagedContents { draft, manifests: &self.manifests, stored: self.store.contents() })
    }

    /// Makes all of it durable and visible. The order of writes, and what a power cut leaves at
    /// each, stands in `publish.rs`.
    pub fn commit(mut self, progress: &dyn Progress) -> Result<Committed> {
        self.flush()?;
        self.write_manifests()?;
        crate::progress::check(progress)?;
        let (blobs, stats) = self.blobs.lock().expect("no holder panics").take()?;
        self.done.new_contents += stats.contents;
        self.done.new_content_bytes += stats.bytes;
        let nothing = self.pack.as_ref().is_none_or(PackWriter::is_empty) && blobs.is_empty();
        if nothing && self.records.is_empty() && self.moves.is_empty() {
            return Ok(self.done);
        }
        let encoded = |record: &Record| match record {
            Record::Blob { blob, .. } => matches!(blob.source, BlobSource::Encoded { .. }),
            _ => false,
        };
        if self.records.iter().any(encoded) {
            self.store.inner().declare(ENCODED_BLOBS)?;
        }
        let inner = self.store.inner();
        // Its last frames are compressed while the blobs get durable.
        let has_files = self.pack.is_some();
        let mut companions = at_once(blobs.into_iter().chain(self.pack.take()), PackWriter::finish)?;
        let main = match companions.pop_if(|_| has_files) {
            Some(main) => main,
            None => FinishedPack::empty(&*inner.backend, Class::Files)?,
        };
        crate::progress::check(progress)?;
        let manifests = &self.manifests;
        let published = inner.publish(Publication {
            main,
            companions,
            moves: std::mem::take(&mut self.moves),
            records: std::mem::take(&mut self.records),
            replaces: Vec::new(),
            dead: Vec::new(),
            manifests: Box::new(|row| match manifests.get(&(row.kind, row.id)) {
                Some(bytes) => Ok(Cow::Borrowed(&bytes[..])),
                None => Err(Error::not_found(row.kind.noun(), crate::id::hex(&row.id))),
            }),
        })?;
        self.done.sequence = published.sequence;
        self.done.packs = published.packs;
        self.done.moves = published.moves;
        self.done.stored_bytes = published.bytes;
        Ok(self.done)
    }

    /// Keeps a manifest until the commit; `false` if this transaction has it already.
    fn put_manifest(&mut self, kind: ObjectKind, id: [u8; 32], bytes: Vec<u8>) -> bool {
        if self.manifests.contains_key(&(kind, id)) {
            return false;
        }
        self.manifests.insert((kind, id), bytes.into());
        self.order.push((kind, id));
        true
    }

    /// Writes the manifests that the store does not have, in one look-up for all.
    fn write_manifests(&mut self) -> Result<()> {
        if self.order.is_empty() {
            return Ok(());
        }
        let snapshot = self.store.snapshot()?;
        let mut new = Vec::with_capacity(self.order.len());
        for (kind, id) in self.order.drain(..) {
            let known = snapshot.has(kind, &id)?;
            if !known {
                new.push((kind, id));
            }
        }
        drop(snapshot);
        self.done.new_manifests += new.len() as u64;
        for (kind, id) in new {
            let bytes = Arc::clone(&self.manifests[&(kind, id)]);
            pack(&self.store, &mut self.pack)?.add(kind, id, None, &bytes)?;
        }
        Ok(())
    }

    /// Asks the store for the contents that wait, and packs those it does not have.
    fn flush(&mut self) -> Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let known = self.store.known(self.pending.ids())?;
        for (content, known) in self.pending.contents().zip(known) {
            let len = content.bytes.len() as u64;
            if known {
                self.done.known_contents += 1;
                self.done.known_content_bytes += len;
                continue;
            }
            // Only what is new needs its second name: of a next version, most is known.
            let sha1 = Sha1Id(sha1::Sha1::digest(content.bytes).into());
            let pack = pack(&self.store, &mut self.pack)?;
            pack.add(ObjectKind::Content, content.id.0, Some(sha1), content.bytes)?;
            self.done.new_contents += 1;
            self.done.new_content_bytes += len;
        }
        self.pending.clear();
        Ok(())
    }

    /// A content too large to hold: written at once, taken back if it was there.
    fn put_large(&mut self, size: u64, from: &mut dyn HashedRead) -> Result<ContentId> {
        self.flush()?;
        let pack = pack(&self.store, &mut self.pack)?;
        pack.begin_run(ObjectKind::Content);
        let mut sha1 = sha1::Sha1::new();
        let mut buffer = vec![0; STREAM_BYTES];
        let taken = stream(size, from, &mut buffer, &mut |bytes| {
            sha1.update(bytes);
            pack.write_run(bytes)
        });
        if let Err(err) = taken {
            // Whoever asked may go on without this content.
            pack.abort_run()?;
            return Err(err);
        }
        let id = from.id();
        if !self.seen.insert(id) || self.store.known(&[id])?[0] {
            pack.abort_run()?;
            self.done.known_contents += 1;
            self.done.known_content_bytes += size;
            return Ok(id);
        }
        pack.finish_run(id.0, Some(Sha1Id(sha1.finalize().into())))?;
        self.done.new_contents += 1;
        self.done.new_content_bytes += size;
        Ok(id)
    }
}

impl ContentSink for Transaction {
    fn put(&mut self, size: u64, from: &mut dyn Read) -> Result<ContentId> {
        self.put_hashed(size, &mut Hashing { from, hash: sha2::Sha256::new() })
    }

    fn put_hashed(&mut self, size: u64, from: &mut dyn HashedRead) -> Result<ContentId> {
        if size > BUFFERED_BYTES_MAX {
            return self.put_large(size, from);
        }
        let bytes = self.pending.room(size as usize);
        from.read_exact(bytes).map_err(|err| short(size, err))?;
        let id = from.id();
        if !self.seen.insert(id) {
            self.done.known_contents += 1;
            self.done.known_content_bytes += size;
            return Ok(id);
        }
        self.pending.keep(id, size as usize);
        if self.pending.is_full() {
            self.flush()?;
        }
        Ok(id)
    }
}

/// A stream that nobody has hashed yet.
struct Hashing<'a> {
    from: &'a mut dyn Read,
    hash: sha2::Sha256,
}

impl Read for Hashing<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let len = self.from.read(into)?;
        self.hash.update(&into[..len.min(into.len())]);
        Ok(len)
    }
}

impl HashedRead for Hashing<'_> {
    fn id(&mut self) -> ContentId {
        ContentId(self.hash.finalize_reset().into())
    }
}

impl NodeSink for Transaction {
    fn put_node(&mut self, node: &Node) -> Result<NodeIds> {
        let (bytes, ids) = node.encode_with_ids();
        self.put_manifest(ObjectKind::Node, ids.full.0, bytes);
        Ok(ids)
    }
}

impl NodeSource for Transaction {
    /// Opens the index for a node that is not of this transaction: for many, use
    /// [`Transaction::nodes`].
    fn node(&self, id: &NodeId) -> Result<Arc<Node>> {
        match self.manifests.get(&(ObjectKind::Node, id.0)) {
            Some(bytes) => Node::decode(bytes).map(Arc::new),
            None => self.store.snapshot()?.node(id),
        }
    }
}

/// What a transaction can give back before it is committed. Many threads may read at once.
#[derive(Debug)]
pub struct StagedContents<'a> {
    draft: Option<DraftPack<'a>>,
    manifests: &'a Manifests,
    stored: Contents,
}

impl StagedContents<'_> {
    /// A node of the transaction; `None` if it is none of it.
    pub fn node(&self, id: &NodeId) -> Result<Option<Arc<Node>>> {
        let bytes = self.manifests.get(&(ObjectKind::Node, id.0));
        bytes.map(|bytes| Node::decode(bytes).map(Arc::new)).transpose()
    }

    /// A tree of the transaction; `None` if it is none of it.
    pub fn tree(&self, id: &TreeId) -> Result<Option<Tree>> {
        let bytes = self.manifests.get(&(ObjectKind::Tree, id.0));
        bytes.map(|bytes| Tree::decode(bytes)).transpose()
    }
}

impl ContentSource for StagedContents<'_> {
    fn open(&self, id: &ContentId, offset: u64, len: u64) -> Result<Box<dyn Read + '_>> {
        let draft = self.draft.as_ref();
        match draft.and_then(|draft| Some((draft, draft.find(id)?))) {
            Some((draft, row)) => Ok(Box::new(draft.open(row, offset, len)?)),
            None => self.stored.open(id, offset, len),
        }
    }

    fn will_open(&self, ids: &[ContentId]) -> Result<()> {
        let in_draft = |id: &ContentId| self.draft.as_ref().is_some_and(|draft| draft.find(id).is_some());
        let stored: Vec<ContentId> = ids.iter().copied().filter(|id| !in_draft(id)).collect();
        if stored.is_empty() { Ok(()) } else { self.stored.will_open(&stored) }
    }
}

struct Both<'a> {
    transaction: &'a Transaction,
    snapshot: &'a Snapshot,
}

impl NodeSource for Both<'_> {
    fn node(&self, id: &NodeId) -> Result<Arc<Node>> {
        match self.transaction.manifests.get(&(ObjectKind::Node, id.0)) {
            Some(bytes) => Node::decode(bytes).map(Arc::new),
            None => self.snapshot.node(id),
        }
    }
}

/// The pack of a transaction, begun when the first thing goes into it.
fn pack<'a>(store: &Store, pack: &'a mut Option<PackWriter>) -> Result<&'a mut PackWriter> {
    if pack.is_none() {
        let inner = store.inner();
        *pack = Some(PackWriter::create(&*inner.backend, Class::Files, Some(inner.config.level()))?);
    }
    Ok(pack.as_mut().expect("made above"))
}

/// Gives exactly `len` bytes to `take`, a buffer at a time.
fn stream(
    len: u64,
    from: &mut dyn Read,
    buffer: &mut [u8],
    take: &mut dyn FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let mut left = len;
    while left > 0 {
        let now = left.min(buffer.len() as u64) as usize;
        from.read_exact(&mut buffer[..now]).map_err(|err| short(len, err))?;
        take(&buffer[..now])?;
        left -= now as u64;
    }
    Ok(())
}

fn short(size: u64, err: std::io::Error) -> Error {
    if err.kind() == std::io::ErrorKind::UnexpectedEof
        && err.get_ref().is_none_or(|inner| !inner.is::<Error>())
    {
        return Error::invalid(format!("content of {size} bytes"), "ends early");
    }
    from_stream("a content", err)
}
