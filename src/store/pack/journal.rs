//! The journal: what a transaction says besides the objects it brings. Ref moves, what blobs are
//! made of, which tree a layer stack flattens to. Replayed in order, it gives refs and reflog
//! exactly as they were.

use crate::attr::Time;
use crate::error::Result;
use crate::id::ChainId;
use crate::id::CommitId;
use crate::id::ContentId;
use crate::id::DiffId;
use crate::id::TreeId;
use crate::store::bytes::Take;
use crate::store::bytes::put_counted;
use crate::store::bytes::put_varint;
use crate::store::pack::ObjectKind;

/// The records of one transaction, numbered by the order in which transactions became visible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    pub sequence: u64,
    pub records: Vec<Record>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    Move(Move),
    /// How to make the blob of a digest; `digest` is the key as the caller spells it.
    Blob {
        digest: Vec<u8>,
        blob: BlobRow,
    },
    /// The tree that a stack of layers flattens to.
    Chain {
        chain: ChainId,
        tree: TreeId,
    },
    /// The trees a commit names: the store does not read commits.
    CommitTrees {
        commit: CommitId,
        trees: Vec<TreeId>,
    },
    /// Forgets reflog entries older than this, except each name's newest.
    ExpireLog {
        before: i64,
    },
    /// Objects that collection took out of the index but left in a pack not worth rewriting.
    Drop {
        kind: ObjectKind,
        ids: Vec<[u8; 32]>,
    },
    DropBlob {
        digest: Vec<u8>,
    },
    DropChain {
        chain: ChainId,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RefKind {
    /// Moves, and remembers every move.
    Branch,
    /// Stays unless forced.
    Tag,
}

/// One move of one ref, as the reflog keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    pub name: Vec<u8>,
    pub kind: RefKind,
    pub old: Option<CommitId>,
    /// `None` removes the ref; its log stays.
    pub new: Option<CommitId>,
    pub time: Time,
    pub who: String,
    pub message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlobSource {
    /// The bytes are a content.
    Content(ContentId),
    /// The bytes are what a recipe rebuilds.
    Recipe(DiffId),
    /// The bytes are what a recipe rebuilds, compressed; a content says how.
    Encoded { how: ContentId, of: DiffId },
}

impl BlobSource {
    /// Every object that the bytes are made of.
    pub fn objects(&self) -> impl Iterator<Item = (ObjectKind, [u8; 32])> {
        let (content, recipe) = match self {
            BlobSource::Content(id) => (Some(id), None),
            BlobSource::Recipe(id) => (None, Some(id)),
            BlobSource::Encoded { how, of } => (Some(how), Some(of)),
        };
        let content = content.map(|id| (ObjectKind::Content, id.0));
        content.into_iter().chain(recipe.map(|id| (ObjectKind::Recipe, id.0)))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobRow {
    pub source: BlobSource,
    pub size: u64,
    /// What a compressed layer holds. Of [`BlobSource::Encoded`] it is always known, and the same.
    pub diff_id: Option<DiffId>,
}

impl BlobRow {
    pub fn encode(&self, to: &mut Vec<u8>) {
        match self.source {
            BlobSource::Content(id) => {
                to.push(1);
                to.extend_from_slice(&id.0);
            }
            BlobSource::Recipe(id) => {
                to.push(2);
                to.extend_from_slice(&id.0);
            }
            // What it is made of stands below as what it holds.
            BlobSource::Encoded { how, .. } => {
                to.push(3);
                to.extend_from_slice(&how.0);
            }
        }
        put_varint(to, self.size);
        put_option(to, self.diff_id.map(|id| id.0));
    }

    pub fn decode(take: &mut Take) -> Result<BlobRow> {
        let kind = take.u8()?;
        let id = take.array()?;
        let size = take.varint()?;
        let diff_id = take_option(take)?.map(DiffId);
        let source = match (kind, diff_id) {
            (1, _) => BlobSource::Content(ContentId(id)),
            (2, _) => BlobSource::Recipe(DiffId(id)),
            (3, Some(of)) => BlobSource::Encoded { how: ContentId(id), of },
            (3, None) => return Err(take.damaged("what a compressed blob holds", "nothing".to_owned())),
            (other, _) => return Err(take.damaged("a blob source", other.to_string())),
        };
        Ok(BlobRow { source, size, diff_id })
    }
}

impl RefKind {
    pub fn code(self) -> u8 {
        match self {
            RefKind::Branch => 1,
            RefKind::Tag => 2,
        }
    }

    pub fn decode(take: &mut Take) -> Result<RefKind> {
        match take.u8()? {
            1 => Ok(RefKind::Branch),
            2 => Ok(RefKind::Tag),
            other => Err(take.damaged("a kind of ref", other.to_string())),
        }
    }
}

impl Move {
    pub fn encode(&self, to: &mut Vec<u8>) {
        put_counted(to, &self.name);
        to.push(self.kind.code());
        put_option(to, self.old.map(|id| id.0));
        put_option(to, self.new.map(|id| id.0));
        to.extend_from_slice(&self.time.secs.to_le_bytes());
        to.extend_from_slice(&self.time.nanos.to_le_bytes());
        put_counted(to, self.who.as_bytes());
        put_counted(to, self.message.as_bytes());
    }

    pub fn decode(take: &mut Take) -> Result<Move> {
        Ok(Move {
            name: take.counted()?.to_vec(),
            kind: RefKind::decode(take)?,
            old: take_option(take)?.map(CommitId),
            new: take_option(take)?.map(CommitId),
            time: Time { secs: i64::from_le_bytes(take.array()?), nanos: u32::from_le_bytes(take.array()?) },
            who: take.text()?,
            message: take.text()?,
        })
    }
}

impl Record {
    pub fn encode(&self, to: &mut Vec<u8>) {
        match self {
            Record::Move(one) => {
                to.push(1);
                one.encode(to);
            }
            Record::Blob { digest, blob } => {
                to.push(2);
                put_counted(to, digest);
                blob.encode(to);
            }
            Record::Chain { chain, tree } => {
                to.push(3);
                to.extend_from_slice(&chain.0);
                to.extend_from_slice(&tree.0);
            }
            Record::CommitTrees { commit, trees } => {
                to.push(4);
                to.extend_from_slice(&commit.0);
                put_varint(to, trees.len() as u64);
                trees.iter().for_each(|tree| to.extend_from_slice(&tree.0));
            }
            Record::ExpireLog { before } => {
                to.push(5);
                to.extend_from_slice(&before.to_le_bytes());
            }
            Record::Drop { kind, ids } => {
                to.push(6);
                to.push(kind.code());
                put_varint(to, ids.len() as u64);
                ids.iter().for_each(|id| to.extend_from_slice(id));
            }
            Record::DropBlob { digest } => {
                to.push(7);
                put_counted(to, digest);
            }
            Record::DropChain { chain } => {
                to.push(8);
                to.extend_from_slice(&chain.0);
            }
        }
    }

    pub fn decode(take: &mut Take) -> Result<Record> {
        Ok(match take.u8()? {
            1 => Record::Move(Move::decode(take)?),
            2 => Record::Blob { digest: take.counted()?.to_vec(), blob: BlobRow::decode(take)? },
            3 => Record::Chain { chain: ChainId(take.array()?), tree: TreeId(take.array()?) },
            4 => Record::CommitTrees {
                commit: CommitId(take.array()?),
                trees: take_ids(take)?.into_iter().map(TreeId).collect(),
            },
            5 => Record::ExpireLog { before: i64::from_le_bytes(take.array()?) },
            6 => {
                let code = take.u8()?;
                let kind = ObjectKind::from_code(code)
                    .ok_or_else(|| take.damaged("a kind of object", code.to_string()))?;
                Record::Drop { kind, ids: take_ids(take)? }
            }
            7 => Record::DropBlob { digest: take.counted()?.to_vec() },
            8 => Record::DropChain { chain: ChainId(take.array()?) },
            other => return Err(take.damaged("a kind of journal record", other.to_string())),
        })
    }
}

fn take_ids(take: &mut Take) -> Result<Vec<[u8; 32]>> {
    let count = take.count(32)?;
    (0..count).map(|_| take.array()).collect()
}

fn put_option(to: &mut Vec<u8>, id: Option<[u8; 32]>) {
    match id {
        None => to.push(0),
        Some(id) => {
            to.push(1);
            to.extend_from_slice(&id);
        }
    }
}

fn take_option(take: &mut Take) -> Result<Option<[u8; 32]>> {
    match take.u8()? {
        0 => Ok(None),
        1 => Ok(Some(take.array()?)),
        other => Err(take.damaged("0 or 1", other.to_string())),
    }
}
