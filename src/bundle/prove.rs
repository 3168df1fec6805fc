//! What ids do not prove: that a recipe rebuilds what it is filed under, that a blob is what its
//! digest says, that a stack of layers comes to the tree it is said to.
//!
//! All of it is shared by every image of the store, so none of it is believed. A layer's recipe is
//! made anew from the tar that it rebuilds: what the bundle's own says of where files begin would
//! be as wrong as it liked and still give the right tar.

mod documents;
mod layers;

use super::shapes::absent;
use super::take::Commits;
use super::take::Taken;
use super::take::hash_all;
use crate::content::ContentSource as _;
use crate::error::Doing as _;
use crate::error::Error;
use crate::error::Result;
use crate::error::from_stream;
use crate::id::ChainId;
use crate::id::ContentId;
use crate::id::DiffId;
use crate::id::NodeId;
use crate::id::TreeId;
use crate::layer::compression;
use crate::layer::compression::DecodeLimits;
use crate::oci::digest::Digest;
use crate::oci::digest::Verifier;
use crate::progress::Progress;
use crate::repo::Nodes;
use crate::repo::Repo;
use crate::repo::recipe_of;
use crate::store::BlobRow;
use crate::store::BlobSource;
use crate::store::StagedContents;
use crate::tree::Kind;
use crate::tree::Node;
use crate::tree::NodeSource;
use crate::tree::Tree;
use crate::tree::walk;
use std::collections::HashMap;
use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use tempfile::SpooledTempFile;

/// What is to be proven, and what it is proven with.
pub struct Proof<'a> {
    repo: &'a Repo,
    staged: &'a StagedContents<'a>,
    taken: &'a Taken,
    progress: &'a dyn Progress,
    /// Replaced by what was made of the same layer here.
    recipes: HashMap<DiffId, (SpooledTempFile, u64)>,
    /// How long what they rebuild is.
    rebuilt: HashMap<DiffId, u64>,
    /// Contents that recipes need and the bundle does not bring.
    needed: HashSet<ContentId>,
    flattened: HashMap<ChainId, TreeId>,
    /// The blobs that are proven and new.
    blobs: HashMap<Digest, BlobRow>,
}

/// What a transaction may take over.
pub struct Proven {
    pub recipes: Vec<(DiffId, SpooledTempFile, u64)>,
    pub blobs: Vec<(Digest, BlobRow)>,
    pub chains: Vec<(ChainId, TreeId)>,
}

/// Proves all that was taken, or says what is wrong with it.
pub fn prove(
    repo: &Repo,
    staged: &StagedContents,
    (commits, taken): (&Commits, &Taken),
    recipes: HashMap<DiffId, (SpooledTempFile, u64)>,
    progress: &dyn Progress,
) -> Result<Proven> {
    let mut proof = Proof {
        repo,
        staged,
        taken,
        progress,
        recipes: HashMap::new(),
        rebuilt: HashMap::new(),
        needed: HashSet::new(),
        flattened: HashMap::new(),
        blobs: HashMap::new(),
    };
    for (id, (recipe, len)) in recipes {
        crate::progress::check(progress)?;
        let recipe = proof.recipe(id, recipe, len).doing(|| format!("layer or disk sha256:{id}"))?;
        proof.recipes.insert(id, recipe);
    }
    proof.all_there()?;
    for (digest, row) in &taken.blobs {
        if proof.blob(digest, row).doing(|| format!("blob {digest}"))? {
            proof.blobs.insert(digest.clone(), *row);
        }
    }
    for (id, tree) in &taken.trees {
        proof.hardlinks(tree).doing(|| format!("tree {id}"))?;
    }
    for (id, commit) in commits.in_order() {
        crate::progress::check(progress)?;
        proof.commit(commit).doing(|| format!("commit {id}"))?;
    }
    let chains = proof.stacks()?;
    let mut blobs: Vec<_> = proof.blobs.into_iter().collect();
    blobs.sort_by(|one, other| one.0.cmp(&other.0));
    let mut recipes: Vec<_> = proof.recipes.into_iter().map(|(id, (spool, len))| (id, spool, len)).collect();
    recipes.sort_by_key(|(id, ..)| *id);
    Ok(Proven { recipes, blobs, chains })
}

impl Proof<'_> {
    /// Every content that a recipe needs is in the bundle or in the store.
    fn all_there(&self) -> Result<()> {
        let ids: Vec<ContentId> = self.needed.iter().copied().collect();
        for ids in ids.chunks(1_024) {
            let found = self.repo.store().locate(ids)?;
            if let Some((id, _)) = ids.iter().zip(found).find(|(_, place)| place.is_none()) {
                return Err(absent("content", id));
            }
        }
        Ok(())
    }

    /// Proves a blob; `false` if the store has it already, and as much is known of it.
    fn blob(&mut self, digest: &Digest, row: &BlobRow) -> Result<bool> {
        if let Some(known) = self.repo.blob(digest)? {
            if known.size != row.size {
                return Err(wrong("size", &known.size, &row.size));
            }
            if known.diff_id == row.diff_id || row.diff_id.is_none() || recipe_of(&known).is_some() {
                return Ok(false);
            }
        }
        match row.source {
            BlobSource::Content(id) => self.kept_blob(digest, row, id)?,
            BlobSource::Recipe(id) => self.rebuilt_blob(digest, row, id)?,
            BlobSource::Encoded { how, of } => self.encoded_blob(digest, row, &how, of)?,
        }
        Ok(true)
    }

    fn kept_blob(&mut self, digest: &Digest, row: &BlobRow, id: ContentId) -> Result<()> {
        let size = match self.taken.sizes.get(&id) {
            Some(size) => *size,
            None => match self.repo.store().locate(&[id])?[0] {
                Some(place) => place.len,
                None => return Err(absent("content", &id)),
            },
        };
        if size != row.size {
            return Err(wrong("size", &size, &row.size));
        }
        match digest.sha256() {
            Some(hash) if hash == id.0 => {}
            Some(_) => return Err(wrong("content", digest, &id)),
            None => {
                let opened = self.staged.open(&id, 0, size)?;
                Verifier::new(format!("blob {digest}"), digest, size, opened).finish()?;
            }
        }
        let Some(diff_id) = row.diff_id else { return Ok(()) };
        let found = match self.taken.unpacked.get(&id) {
            Some(found) => *found,
            None => self.unpack(&id, size)?,
        };
        if found != diff_id {
            return Err(wrong("layer", &diff_id, &found));
        }
        self.has_recipe(&diff_id)
    }

    /// The SHA-256 of what a compressed layer holds.
    fn unpack(&self, id: &ContentId, size: u64) -> Result<DiffId> {
        let source = Whole { staged: self.staged, id, size };
        let (to_reader, packed) = crate::repo::pipe::pipe("the blob");
        std::thread::scope(|scope| {
            scope.spawn(move || to_reader.fill(|out| source.write(out)));
            let (_, mut plain) = compression::decoder("layer", packed, &DecodeLimits::default())?;
            Ok(DiffId(hash_all(&mut plain, "compressed layer")?.1))
        })
    }

    fn rebuilt_blob(&mut self, digest: &Digest, row: &BlobRow, id: DiffId) -> Result<()> {
        if row.diff_id.is_some() {
            return Err(Error::invalid("a blob that a recipe rebuilds", "is said to be compressed"));
        }
        match self.rebuilt.get(&id) {
            Some(size) if digest.sha256() == Some(id.0) => match *size == row.size {
                true => Ok(()),
                false => Err(wrong("size", size, &row.size)),
            },
            _ if digest.sha256().is_some_and(|hash| hash != id.0) => Err(wrong("recipe", digest, &id)),
            _ => self.rebuild_as(digest, row.size, id),
        }
    }

    fn has_recipe(&self, id: &DiffId) -> Result<()> {
        match self.recipes.contains_key(id) || self.repo.snapshot()?.recipe(id)?.is_some() {
            true => Ok(()),
            false => Err(absent("recipe", id)),
        }
    }

    /// The names of one inode are all there, and are one thing.
    fn hardlinks(&self, tree: &Tree) -> Result<()> {
        let nodes = StagedNodes { staged: self.staged, stored: self.repo.nodes() };
        for group in &tree.hardlinks {
            let mut first = None;
            for path in group {
                let odd = |problem: &str| Err(Error::invalid(format!("hard link {path}"), problem));
                match walk::lookup(&nodes, tree, path)? {
                    None => return odd("is not in the tree"),
                    Some(entry) if matches!(entry.kind, Kind::Dir(_)) => return odd("is a folder"),
                    Some(entry) if first.as_ref().is_some_and(|first| *first != entry.kind) => {
                        return odd("is another file than its other names");
                    }
                    Some(entry) => first = Some(entry.kind),
                }
            }
        }
        Ok(())
    }
}

/// A content that another thread reads.
struct Whole<'a> {
    staged: &'a StagedContents<'a>,
    id: &'a ContentId,
    size: u64,
}

impl Whole<'_> {
    fn write(&self, out: &mut dyn io::Write) -> Result<()> {
        let mut from = self.staged.open(self.id, 0, self.size)?;
        io::copy(&mut from, out).map(drop).map_err(|err| from_stream(format!("content {}", self.id), err))
    }
}

/// Nodes of the bundle, then those of the store.
struct StagedNodes<'a> {
    staged: &'a StagedContents<'a>,
    stored: Nodes,
}

impl NodeSource for StagedNodes<'_> {
    fn node(&self, id: &NodeId) -> Result<Arc<Node>> {
        match self.staged.node(id)? {
            Some(node) => Ok(node),
            None => self.stored.node(id),
        }
    }
}

fn wrong(thing: &str, expected: &dyn std::fmt::Display, found: &dyn std::fmt::Display) -> Error {
    Error::Mismatch { thing: thing.to_owned(), expected: expected.to_string(), found: found.to_string() }
}
