//! Taking a bundle's objects into a transaction, each held to the id it is listed under.
//!
//! Nothing is visible before the transaction is; what an id does not prove is left to `prove`.

use super::format::ObjectKind;
use super::format::Row;
use super::reader::Reader;
use super::reader::Section;
use super::shapes::Shapes;
use super::shapes::absent;
use crate::content::ContentSink as _;
use crate::error::Error;
use crate::error::Result;
use crate::error::from_stream;
use crate::history::commit::Commit;
use crate::id::ChainId;
use crate::id::CommitId;
use crate::id::ContentId;
use crate::id::DiffId;
use crate::id::NodeId;
use crate::id::TreeId;
use crate::layer::compression;
use crate::layer::compression::DecodeLimits;
use crate::oci::digest::Digest;
use crate::progress::Progress;
use crate::repo::Repo;
use crate::store::BlobRow;
use crate::store::BlobSource;
use crate::store::BlobWriter;
use crate::store::Transaction;
use crate::tree::Node;
use crate::tree::NodeSink as _;
use crate::tree::Tree;
use sha2::Digest as _;
use sha2::Sha256;
use std::collections::HashMap;
use std::collections::HashSet;
use std::io;
use std::io::Read;
use tempfile::SpooledTempFile;

/// Manifests of one bundle that are held in memory until its transaction ends. The nodes of an image
/// of 100,000 files are 10 MB.
const MANIFEST_BYTES_MAX: u64 = 1 << 30;
/// Up to this many bytes of each recipe stay in memory; more goes to a temporary file.
const RECIPE_BYTES_IN_MEMORY: usize = 256 << 10;

const HASHED_AT_ONCE: usize = 256 << 10;

/// The commits of a bundle, which come first.
#[derive(Default)]
pub struct Commits {
    by_id: HashMap<CommitId, Commit>,
    /// Parents before children.
    order: Vec<CommitId>,
}

impl Commits {
    pub fn get(&self, id: &CommitId) -> Option<&Commit> {
        self.by_id.get(id)
    }

    pub fn in_order(&self) -> impl Iterator<Item = (&CommitId, &Commit)> {
        self.order.iter().filter_map(|id| Some((id, self.by_id.get(id)?)))
    }
}

/// Reads the commits; the section after them comes back with them.
pub fn commits(repo: &Repo, reader: &mut Reader) -> Result<(Commits, Option<Section>)> {
    let mut commits = Commits::default();
    let mut bytes = 0u64;
    loop {
        let rows = match reader.section()? {
            Some(Section::Objects(ObjectKind::Commit, rows)) => rows,
            other => return Ok((commits, other)),
        };
        for row in &rows {
            bytes = bytes.saturating_add(row.len);
            check_manifests(bytes)?;
            let encoded = reader.small(row.len)?;
            let id = CommitId::of(&encoded);
            hold("commit", row, id.0)?;
            let commit = Commit::decode(&encoded)?;
            for parent in &commit.parents {
                if commits.get(parent).is_none() && repo.snapshot()?.commit(parent)?.is_none() {
                    return Err(absent("commit", parent));
                }
            }
            if commits.by_id.insert(id, commit).is_some() {
                return Err(Error::invalid(format!("commit {id}"), "is listed twice"));
            }
            commits.order.push(id);
        }
    }
}

/// What a bundle has brought so far, besides.
#[derive(Default)]
pub struct Taken {
    pub trees: Vec<(TreeId, Tree)>,
    pub sizes: HashMap<ContentId, u64>,
    pub blobs: HashMap<Digest, BlobRow>,
    pub chains: HashMap<ChainId, TreeId>,
    /// Recipes that the store has not, and how long they are.
    pub recipes: HashMap<DiffId, (SpooledTempFile, u64)>,
    /// What compressed layers hold, as they were unpacked.
    pub unpacked: HashMap<ContentId, DiffId>,
}

pub struct Taking<'a> {
    repo: &'a Repo,
    tx: &'a mut Transaction,
    progress: &'a dyn Progress,
    pub taken: Taken,
    shapes: Shapes,
    seen: HashSet<(&'static str, [u8; 32])>,
    manifest_bytes: u64,
}

impl<'a> Taking<'a> {
    pub fn new(repo: &'a Repo, tx: &'a mut Transaction, progress: &'a dyn Progress) -> Taking<'a> {
        Taking {
            repo,
            tx,
            progress,
            taken: Taken::default(),
            shapes: Shapes::default(),
            seen: HashSet::new(),
            manifest_bytes: 0,
        }
    }

    pub fn section(&mut self, reader: &mut Reader, section: Section) -> Result<()> {
        crate::progress::check(self.progress)?;
        match section {
            Section::Objects(ObjectKind::Commit, _) => Err(reader.invalid("has its tables out of order")),
            Section::Objects(kind, rows) => {
                self.none_twice(kind, &rows)?;
                match kind {
                    ObjectKind::Content | ObjectKind::Kept => self.contents(reader, kind, &rows),
                    ObjectKind::Recipe => self.recipes(reader, &rows),
                    ObjectKind::Node => self.nodes(reader, &rows),
                    _ => self.trees(reader, &rows),
                }
            }
            Section::Blobs(all) => {
                self.manifest(all.len() as u64 * size_of::<(Digest, BlobRow)>() as u64)?;
                for (digest, row) in all {
                    if self.taken.blobs.insert(digest.clone(), row).is_some() {
                        return Err(Error::invalid(format!("blob {digest}"), "is listed twice"));
                    }
                }
                Ok(())
            }
            Section::Chains(all) => {
                self.manifest(all.len() as u64 * 64)?;
                for (chain, tree) in all {
                    if self.taken.chains.insert(chain, tree).is_some() {
                        return Err(Error::invalid(format!("stack {chain}"), "is listed twice"));
                    }
                }
                Ok(())
            }
        }
    }

    fn none_twice(&mut self, kind: ObjectKind, rows: &[Row]) -> Result<()> {
        // A content and a kept one are both contents.
        let noun = kind.noun();
        match rows.iter().find(|row| !self.seen.insert((noun, row.id))) {
            Some(row) => {
                Err(Error::invalid(format!("{noun} {}", crate::id::hex(&row.id)), "is listed twice"))
            }
            None => Ok(()),
        }
    }

    fn manifest(&mut self, bytes: u64) -> Result<()> {
        self.manifest_bytes = self.manifest_bytes.saturating_add(bytes);
        check_manifests(self.manifest_bytes)
    }

    fn small(&mut self, reader: &mut Reader, row: &Row) -> Result<Vec<u8>> {
        self.manifest(row.len)?;
        reader.small(row.len)
    }

    fn contents(&mut self, reader: &mut Reader, kind: ObjectKind, rows: &[Row]) -> Result<()> {
        let ids: Vec<ContentId> = rows.iter().map(|row| ContentId(row.id)).collect();
        let known = self.repo.store().locate(&ids)?;
        for ((row, id), known) in rows.iter().zip(ids).zip(known) {
            crate::progress::check(self.progress)?;
            if known.is_some_and(|place| place.len == row.len) {
                reader.skip(row.len)?;
            } else if kind == ObjectKind::Kept {
                self.kept(reader, row, id)?;
            } else {
                let name = reader.name().to_owned();
                let mut body = reader.body(row.len);
                let put = self.tx.put(row.len, &mut body);
                let found =
                    put.map_err(|err| Error::Context { doing: name, source: Box::new(err), hint: None })?;
                hold("content", row, found.0)?;
            }
            self.taken.sizes.insert(id, row.len);
            self.progress.advance(row.len);
        }
        Ok(())
    }

    /// A compressed layer: kept as it is, and unpacked if it is said what it holds.
    fn kept(&mut self, reader: &mut Reader, row: &Row, id: ContentId) -> Result<()> {
        let is_layer = self
            .taken
            .blobs
            .get(&Digest::from_sha256(row.id))
            .is_some_and(|blob| blob.source == BlobSource::Content(id) && blob.diff_id.is_some());
        let name = reader.name().to_owned();
        let mut blob_writer = self.tx.blob_writer();
        let mut tee = Tee { from: reader.body(row.len), to: &mut blob_writer, hash: Sha256::new() };
        if is_layer {
            let (_, mut plain) = compression::decoder("layer", &mut tee, &DecodeLimits::default())?;
            let (_, hash) = hash_all(&mut plain, &name)?;
            drop(plain);
            self.taken.unpacked.insert(id, DiffId(hash));
        }
        io::copy(&mut tee, &mut io::sink()).map_err(|err| from_stream(&name, err))?;
        hold("content", row, tee.hash.finalize().into())?;
        blob_writer.finish(id, None).map(drop)
    }

    fn recipes(&mut self, reader: &mut Reader, rows: &[Row]) -> Result<()> {
        for row in rows {
            crate::progress::check(self.progress)?;
            let id = DiffId(row.id);
            if self.repo.snapshot()?.recipe(&id)?.is_some() {
                reader.skip(row.len)?;
            } else {
                let mut spool = tempfile::spooled_tempfile_in(RECIPE_BYTES_IN_MEMORY, self.repo.scratch());
                io::copy(&mut reader.body(row.len), &mut spool)
                    .map_err(|err| from_stream("a recipe", err))?;
                self.taken.recipes.insert(id, (spool, row.len));
            }
            self.progress.advance(row.len);
        }
        Ok(())
    }

    fn nodes(&mut self, reader: &mut Reader, rows: &[Row]) -> Result<()> {
        // All of a section before the index is opened: reading the stream may take any time.
        let all = rows.iter().map(|row| self.small(reader, row)).collect::<Result<Vec<_>>>()?;
        let snapshot = self.repo.snapshot()?;
        for (row, bytes) in rows.iter().zip(all) {
            hold("node", row, NodeId::of(&bytes).0)?;
            let node = Node::decode(&bytes).map_err(|err| reader.in_it(err))?;
            let ids = self.tx.put_node(&node)?;
            let size_of = |content: &ContentId| match self.taken.sizes.get(content) {
                Some(size) => Ok(Some(*size)),
                None => Ok(snapshot.content(content)?.map(|place| place.len)),
            };
            self.shapes.add(&node, ids, &snapshot, &size_of).map_err(|err| reader.in_it(err))?;
        }
        Ok(())
    }

    fn trees(&mut self, reader: &mut Reader, rows: &[Row]) -> Result<()> {
        let all = rows.iter().map(|row| self.small(reader, row)).collect::<Result<Vec<_>>>()?;
        let snapshot = self.repo.snapshot()?;
        for (row, bytes) in rows.iter().zip(all) {
            hold("tree", row, TreeId::of(&bytes).0)?;
            let tree = Tree::decode(&bytes).map_err(|err| reader.in_it(err))?;
            self.shapes.check(&tree, &snapshot).map_err(|err| reader.in_it(err))?;
            self.taken.trees.push((self.tx.put_tree(&tree)?, tree));
        }
        Ok(())
    }
}

fn check_manifests(bytes: u64) -> Result<()> {
    if bytes <= MANIFEST_BYTES_MAX {
        return Ok(());
    }
    let thing = "the size of the trees and commits of one bundle".to_owned();
    let err = Error::Limit { thing, limit: MANIFEST_BYTES_MAX, unit: "bytes" };
    Err(err.with_hint("make several bundles, of some names each"))
}

/// Holds an object to the id that it was listed under.
pub fn hold(noun: &str, row: &Row, found: [u8; 32]) -> Result<()> {
    if row.id == found {
        return Ok(());
    }
    let expected = crate::id::hex(&row.id);
    Err(Error::Mismatch { thing: format!("{noun} {expected}"), expected, found: crate::id::hex(&found) })
}

/// The length and the SHA-256 of a stream.
pub fn hash_all(from: &mut dyn Read, thing: &str) -> Result<(u64, [u8; 32])> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; HASHED_AT_ONCE];
    let mut bytes = 0;
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok((bytes, hash.finalize().into())),
            Ok(len) => {
                hash.update(&buffer[..len]);
                bytes += len as u64;
            }
            Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
            Err(err) => return Err(from_stream(thing, err)),
        }
    }
}

/// Keeps and hashes all that is read.
struct Tee<'a, R> {
    from: R,
    to: &'a mut BlobWriter,
    hash: Sha256,
}

impl<R: Read> Read for Tee<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let len = self.from.read(into)?;
        self.hash.update(&into[..len]);
        self.to.write(&into[..len])?;
        Ok(len)
    }
}
