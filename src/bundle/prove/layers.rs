//! Recipes rebuilt, layers taken apart anew, stacks of them flattened anew.

use super::Proof;
use super::StagedNodes;
use super::wrong;
use crate::bundle::take::hash_all;
use crate::content::ContentSink;
use crate::content::ContentSource as _;
use crate::content::HashSink;
use crate::content::HashedRead;
use crate::disk::skeleton;
use crate::error::Error;
use crate::error::Result;
use crate::error::from_stream;
use crate::id::ChainId;
use crate::id::ContentId;
use crate::id::DiffId;
use crate::id::TreeId;
use crate::layer;
use crate::layer::flatten::Flattener;
use crate::layer::gzip;
use crate::layer::read::take_apart;
use crate::oci::digest::Digest;
use crate::oci::digest::Verifier;
use crate::progress::Progress;
use crate::repo::pipe::PipeReader;
use crate::repo::pipe::pipe;
use crate::repo::recipes;
use crate::store::BlobRow;
use crate::tree::Node;
use crate::tree::NodeIds;
use crate::tree::NodeSink;
use crate::tree::Tree;
use std::collections::HashMap;
use std::collections::HashSet;
use std::io;
use std::io::Read;
use std::io::Seek as _;
use tempfile::SpooledTempFile;

/// As an import keeps of each.
const RECIPE_BYTES_IN_MEMORY: usize = 256 << 10;
/// Far more than any has.
const GZIP_RECIPE_BYTES_MAX: u64 = 1 << 20;

impl Proof<'_> {
    /// Rebuilds what a recipe is said to rebuild. Returns the recipe to be kept.
    pub(super) fn recipe(
        &mut self,
        id: DiffId,
        mut recipe: SpooledTempFile,
        len: u64,
    ) -> Result<(SpooledTempFile, u64)> {
        self.progress.begin(&format!("rebuilding {}", id.short()), None);
        let mut version = [0];
        rewind(&mut recipe)?;
        let read = recipe.read(&mut version).map_err(|err| from_stream("a recipe", err))?;
        rewind(&mut recipe)?;
        if read == 1 && version[0] >= skeleton::recipe::VERSION {
            self.disk(id, &mut recipe)?;
            return Ok((recipe, len));
        }
        self.layer(id, &mut recipe)
    }

    /// A disk's recipe is kept as it came: it says nothing besides the bytes of the disk.
    fn disk(&mut self, id: DiffId, recipe: &mut SpooledTempFile) -> Result<()> {
        let (sizes, needed) = (&self.taken.sizes, &mut self.needed);
        recipes::contents(&mut *recipe, self.staged, &mut |id| {
            if !sizes.contains_key(&id) {
                needed.insert(id);
            }
            Ok(())
        })?;
        rewind(recipe)?;
        let (bytes, found) = self.rebuilding(recipe, |rebuilt| hash_all(rebuilt, "the disk"))?;
        if found != id.0 {
            return Err(wrong("what it rebuilds", &id, &DiffId(found)));
        }
        self.rebuilt.insert(id, bytes);
        Ok(())
    }

    fn layer(&mut self, id: DiffId, recipe: &mut SpooledTempFile) -> Result<(SpooledTempFile, u64)> {
        let mut sink = Named { hash: HashSink::new(), sizes: &self.taken.sizes, needed: HashSet::new() };
        let mut own = tempfile::spooled_tempfile_in(RECIPE_BYTES_IN_MEMORY, self.repo.scratch());
        let limits = layer::Limits::default();
        let taken = self.rebuilding(recipe, |tar| {
            take_apart(tar, &mut sink, &mut own, &mut |_| Ok(()), &limits)?.whole()
        })?;
        if taken.diff_id != id {
            return Err(wrong("what it rebuilds", &id, &taken.diff_id));
        }
        self.needed.extend(sink.needed);
        self.rebuilt.insert(id, taken.bytes);
        let len = own.stream_position().map_err(|err| from_stream("a recipe", err))?;
        Ok((own, len))
    }

    /// Lets `take` read what a recipe rebuilds, which another thread does.
    fn rebuilding<T>(
        &self,
        recipe: &mut (dyn Read + Send),
        take: impl FnOnce(&mut Told) -> Result<T>,
    ) -> Result<T> {
        let (to_reader, rebuilt) = pipe("the rebuilt layer");
        let staged = self.staged;
        std::thread::scope(|scope| {
            scope.spawn(move || to_reader.fill(|out| recipes::rebuild(recipe, staged, out)));
            take(&mut Told { from: rebuilt, progress: self.progress })
        })
    }

    /// Holds what a recipe rebuilds to a digest that is not its id.
    pub(super) fn rebuild_as(&mut self, digest: &Digest, size: u64, id: DiffId) -> Result<()> {
        self.rebuilt_to(id, |told| Verifier::new(format!("blob {digest}"), digest, size, told).finish())
    }

    /// Compresses what a recipe rebuilds as `how` says, and holds it to its digest.
    pub(super) fn encoded_blob(
        &mut self,
        digest: &Digest,
        row: &BlobRow,
        how: &ContentId,
        of: DiffId,
    ) -> Result<()> {
        if row.diff_id != Some(of) {
            return Err(Error::invalid(
                format!("blob {digest}"),
                "is said to hold another layer than it is made of",
            ));
        }
        let recipe = self.gzip_recipe(how)?;
        self.rebuilt_to(of, |told| {
            let (writer, made) = pipe("the compressed layer");
            std::thread::scope(|scope| {
                scope.spawn(|| writer.fill(|out| gzip::rebuild::rebuild(&recipe, told, out)));
                Verifier::new(format!("blob {digest}"), digest, row.size, made).finish()
            })
        })
    }

    fn gzip_recipe(&self, how: &ContentId) -> Result<gzip::recipe::Recipe> {
        let size = match self.taken.sizes.get(how) {
            Some(size) => *size,
            None => match self.repo.store().locate(&[*how])?[0] {
                Some(place) => place.len,
                None => return Err(Error::not_found("content", how.to_string())),
            },
        };
        if size > GZIP_RECIPE_BYTES_MAX {
            let thing = format!("gzip recipe {how}");
            return Err(Error::Limit { thing, limit: GZIP_RECIPE_BYTES_MAX, unit: "bytes" });
        }
        let mut bytes = Vec::new();
        let mut opened = self.staged.open(how, 0, size)?;
        opened.read_to_end(&mut bytes).map_err(|err| from_stream(format!("gzip recipe {how}"), err))?;
        gzip::recipe::Recipe::from_bytes(&bytes)
    }

    /// Lets `verify` read what a recipe of the bundle or of the store rebuilds.
    fn rebuilt_to(&mut self, id: DiffId, verify: impl FnOnce(&mut Told) -> Result<()>) -> Result<()> {
        self.has_recipe(&id)?;
        match self.recipes.remove(&id) {
            Some((mut spool, len)) => {
                rewind(&mut spool)?;
                self.rebuilding(&mut spool, verify)?;
                self.recipes.insert(id, (spool, len));
                Ok(())
            }
            None => self.rebuilding(&mut self.repo.open_recipe(&id)?, verify),
        }
    }

    /// Flattens a stack of layers, from the highest known one on; returns its tree.
    pub(super) fn flatten(&mut self, stack: &[DiffId]) -> Result<TreeId> {
        let mut chains: Vec<ChainId> = Vec::new();
        for diff_id in stack {
            chains.push(diff_id.chain_on(chains.last()));
        }
        let (known, base) = self.highest_known(&chains)?;
        let nodes = StagedNodes { staged: self.staged, stored: self.repo.nodes() };
        let mut flattener = match &base {
            Some(tree) => Flattener::on(&self.tree(tree)?, &nodes),
            None => Flattener::new(),
        };
        let mut top = base;
        for (at, diff_id) in stack.iter().enumerate().skip(known) {
            crate::progress::check(self.progress)?;
            flattener.begin_layer();
            let mut apply = |entry| flattener.apply(entry);
            match self.recipes.get_mut(diff_id) {
                Some((spool, _)) => {
                    rewind(spool)?;
                    layer::recipe::list(spool, &mut apply)?;
                }
                None => layer::recipe::list(&mut self.repo.open_recipe(diff_id)?, &mut apply)?,
            }
            if at + 1 == stack.len() || self.taken.chains.contains_key(&chains[at]) {
                let tree = flattener.finish(&mut Nowhere)?.id();
                self.flattened.insert(chains[at], tree);
                top = Some(tree);
            }
        }
        match top {
            Some(tree) => Ok(tree),
            // An image without layers.
            None => Ok(flattener.finish(&mut Nowhere)?.id()),
        }
    }

    /// How many layers of a stack need not be applied, and the tree that they come to.
    fn highest_known(&self, chains: &[ChainId]) -> Result<(usize, Option<TreeId>)> {
        let snapshot = self.repo.snapshot()?;
        for (at, chain) in chains.iter().enumerate().rev() {
            if let Some(tree) = snapshot.chain(chain)? {
                return Ok((at + 1, Some(tree)));
            }
            // One that the bundle does not bring cannot be built on.
            if let Some(tree) = self.flattened.get(chain)
                && (self.staged.tree(tree)?.is_some() || snapshot.tree(tree)?.is_some())
            {
                return Ok((at + 1, Some(*tree)));
            }
        }
        Ok((0, None))
    }

    pub(super) fn tree(&self, id: &TreeId) -> Result<Tree> {
        match self.staged.tree(id)? {
            Some(tree) => Ok(tree),
            None => self.repo.tree_record(id),
        }
    }

    /// The stacks that the bundle lists and the store has not, all of them flattened by now.
    pub(super) fn stacks(&mut self) -> Result<Vec<(ChainId, TreeId)>> {
        let mut new = Vec::new();
        for (chain, tree) in &self.taken.chains {
            let known = self.repo.chain(chain)?;
            let found = match known.or(self.flattened.get(chain).copied()) {
                Some(found) => found,
                // The lowest layer is a stack by itself: of a tar nothing else says so.
                None if self.has_recipe(&DiffId(chain.0)).is_ok() => self.flatten(&[DiffId(chain.0)])?,
                None => return Err(Error::invalid(format!("stack {chain}"), "is of no image of the bundle")),
            };
            if found != *tree {
                return Err(wrong(&format!("tree of the layers {chain}"), &found, tree));
            }
            self.tree(tree)?;
            if known.is_none() {
                new.push((*chain, *tree));
            }
        }
        new.sort_unstable();
        Ok(new)
    }
}

fn rewind(spool: &mut SpooledTempFile) -> Result<()> {
    spool.rewind().map_err(|err| from_stream("a recipe", err))
}

/// Counts what is rebuilt, and stops when asked to.
struct Told<'a> {
    from: PipeReader,
    progress: &'a dyn Progress,
}

impl Read for Told<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        crate::progress::check(self.progress)?;
        let len = self.from.read(into)?;
        self.progress.advance(len as u64);
        Ok(len)
    }
}

/// Names contents, and notes those that the bundle does not bring.
struct Named<'a> {
    hash: HashSink,
    sizes: &'a HashMap<ContentId, u64>,
    needed: HashSet<ContentId>,
}

impl Named<'_> {
    fn note(&mut self, id: ContentId) -> ContentId {
        if !self.sizes.contains_key(&id) {
            self.needed.insert(id);
        }
        id
    }
}

impl ContentSink for Named<'_> {
    fn put(&mut self, size: u64, from: &mut dyn Read) -> Result<ContentId> {
        let id = self.hash.put(size, from)?;
        Ok(self.note(id))
    }

    fn put_hashed(&mut self, size: u64, from: &mut dyn HashedRead) -> Result<ContentId> {
        let read = io::copy(&mut (&mut *from).take(size), &mut io::sink());
        match read.map_err(|err| from_stream("a content", err))? {
            read if read == size => {
                let id = from.id();
                Ok(self.note(id))
            }
            read => Err(wrong("content", &format!("{size} bytes"), &format!("{read} bytes"))),
        }
    }
}

/// Nodes that are there already, or are wrong.
struct Nowhere;

impl NodeSink for Nowhere {
    fn put_node(&mut self, node: &Node) -> Result<NodeIds> {
        Ok(node.ids())
    }
}
