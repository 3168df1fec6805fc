//! Everything that a set of commits needs: what collection must keep, fsck must find, and a bundle
//! must bring.

use super::Repo;
use super::image;
use crate::error::Error;
use crate::error::Result;
use crate::history::commit::Artifact;
use crate::history::commit::Commit;
use crate::id::ChainId;
use crate::id::CommitId;
use crate::id::ContentId;
use crate::id::DiffId;
use crate::id::NodeId;
use crate::id::TreeId;
use crate::oci::digest::Digest;
use crate::oci::document;
use crate::oci::document::Document;
use crate::oci::document::Missing;
use crate::store::BlobSource;
use crate::tree::Kind;
use crate::tree::NodeSource;
use std::collections::HashSet;

#[derive(Default)]
pub struct Reached {
    pub commits: HashSet<CommitId>,
    pub trees: HashSet<TreeId>,
    pub nodes: HashSet<NodeId>,
    pub contents: HashSet<ContentId>,
    pub recipes: HashSet<DiffId>,
    pub blobs: HashSet<Digest>,
    /// Contents that are blobs, and no file of any tree or layer.
    pub kept: HashSet<ContentId>,
    /// Stacks of layers whose trees are among these.
    pub chains: HashSet<ChainId>,
}

/// One thing that was reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Thing {
    Commit(CommitId),
    Tree(TreeId),
    Node(NodeId),
    Content(ContentId),
    Recipe(DiffId),
    Blob(Digest),
}

impl Reached {
    pub fn has(&self, thing: &Thing) -> bool {
        match thing {
            Thing::Commit(id) => self.commits.contains(id),
            Thing::Tree(id) => self.trees.contains(id),
            Thing::Node(id) => self.nodes.contains(id),
            Thing::Content(id) => self.contents.contains(id),
            Thing::Recipe(id) => self.recipes.contains(id),
            Thing::Blob(digest) => self.blobs.contains(digest),
        }
    }

    fn insert(&mut self, thing: &Thing) -> bool {
        match thing {
            Thing::Commit(id) => self.commits.insert(*id),
            Thing::Tree(id) => self.trees.insert(*id),
            Thing::Node(id) => self.nodes.insert(*id),
            Thing::Content(id) => self.contents.insert(*id),
            Thing::Recipe(id) => self.recipes.insert(*id),
            Thing::Blob(digest) => self.blobs.insert(digest.clone()),
        }
    }
}

/// Follows commits to their parents, trees, nodes, contents, blobs and recipes, each once.
///
/// A thing that is missing goes to `missing` with what needs it, and the rest is still followed;
/// if `missing` returns the error, it ends here.
pub fn reach(
    repo: &Repo,
    from: impl IntoIterator<Item = CommitId>,
    missing: &mut dyn FnMut(Error) -> Result<()>,
) -> Result<Reached> {
    let mut walk = Walk::new(repo, missing);
    walk.commits(from)?;
    Ok(walk.reached)
}

/// The same in several steps, of which each goes only where none before it was.
pub struct Walk<'a> {
    repo: &'a Repo,
    pub reached: Reached,
    /// Trees and blobs are noted and not looked into: no nodes, contents and recipes.
    pub shallow: bool,
    missing: &'a mut dyn FnMut(Error) -> Result<()>,
    fresh: Option<Vec<Thing>>,
}

impl<'a> Walk<'a> {
    pub fn new(repo: &'a Repo, missing: &'a mut dyn FnMut(Error) -> Result<()>) -> Walk<'a> {
        Walk { repo, reached: Reached::default(), shallow: false, missing, fresh: None }
    }

    /// What was reached since this was asked last; nothing is remembered before the first time.
    pub fn take_fresh(&mut self) -> Vec<Thing> {
        self.fresh.replace(Vec::new()).unwrap_or_default()
    }

    /// Follows these and all their ancestors.
    pub fn commits(&mut self, from: impl IntoIterator<Item = CommitId>) -> Result<()> {
        let mut todo: Vec<CommitId> = from.into_iter().collect();
        while let Some(id) = todo.pop() {
            todo.extend(self.commit(id)?);
        }
        Ok(())
    }

    /// Follows one commit without its parents, which are returned if it is new.
    pub fn commit(&mut self, id: CommitId) -> Result<Vec<CommitId>> {
        if !self.first(Thing::Commit(id)) {
            return Ok(Vec::new());
        }
        let commit = match self.repo.commit(&id) {
            Ok(commit) => commit,
            Err(err) => return self.lacks(err, &format!("commit {id}")).map(|()| Vec::new()),
        };
        for tree in &commit.trees {
            if let Err(err) = self.tree(tree.tree) {
                self.lacks(err, &format!("tree {}", tree.tree))?;
            }
        }
        if let Err(err) = self.artifact(&commit) {
            self.lacks(err, &format!("{} {}", commit.artifact.kind.word(), commit.artifact.digest))?;
        }
        Ok(commit.parents)
    }

    fn first(&mut self, thing: Thing) -> bool {
        let new = self.reached.insert(&thing);
        if new && let Some(fresh) = &mut self.fresh {
            fresh.push(thing);
        }
        new
    }

    fn lacks(&mut self, err: Error, needed_by: &str) -> Result<()> {
        (self.missing)(Error::Context { doing: needed_by.to_string(), source: Box::new(err), hint: None })
    }

    /// Follows a tree to its nodes and contents.
    pub fn tree(&mut self, id: TreeId) -> Result<()> {
        if !self.first(Thing::Tree(id)) || self.shallow {
            return Ok(());
        }
        let snapshot = self.repo.snapshot()?;
        let absent = || Error::not_found("tree", id.to_string());
        let mut todo = vec![snapshot.tree(&id)?.ok_or_else(absent)?.root.full];
        while let Some(id) = todo.pop() {
            if !self.first(Thing::Node(id)) {
                continue;
            }
            for entry in &snapshot.node(&id)?.entries {
                match entry.kind {
                    Kind::Dir(ids) => todo.push(ids.full),
                    Kind::File { content, .. } => self.file(content),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn artifact(&mut self, commit: &Commit) -> Result<()> {
        use crate::history::commit::ArtifactKind;
        let digest = Digest::parse(&commit.artifact.digest)?;
        match commit.artifact.kind {
            // Its digest is its tree's id: nothing besides the tree.
            ArtifactKind::Directory => return Ok(()),
            ArtifactKind::Disk => return self.guest(&commit.artifact),
            ArtifactKind::Tar => {
                self.blob(&digest)?;
                return self.stack(self.layer_of(&digest)?);
            }
            ArtifactKind::Image | ArtifactKind::Index | ArtifactKind::Other => {}
        }
        if self.reached.blobs.contains(&digest) {
            return Ok(());
        }
        let images = self.repo.images();
        let root = images.descriptor(&digest, commit.artifact.size);
        let mut found = Vec::new();
        // Manifests of an index and foreign layers may have been absent at import, too.
        document::walk(&images, &root, &mut Missing::Told(&mut |_| {}), &mut |visit| {
            found.push((visit.descriptor.digest.clone(), false));
            if let Document::Manifest(manifest) = visit.document {
                found.extend(manifest.blobs().map(|blob| (blob.digest.clone(), !blob.urls.is_empty())));
            }
            Ok(())
        })?;
        for (digest, may_be_absent) in found {
            if may_be_absent && self.repo.blob(&digest)?.is_none() {
                continue;
            }
            self.blob(&digest)?;
        }
        self.bases(commit)
    }

    /// The document of a guest and the disks that it names.
    fn guest(&mut self, artifact: &Artifact) -> Result<()> {
        self.blob(&Digest::parse(&artifact.digest)?)?;
        let Some(document) = self.repo.guest(artifact)? else { return Ok(()) };
        document.digests().try_for_each(|digest| self.blob(&Digest::parse(digest)?))
    }

    /// The trees of an image's lower layers: what lets the next image on that base be flattened
    /// from there on.
    fn bases(&mut self, commit: &Commit) -> Result<()> {
        for tree in &commit.trees {
            let Some(image) = image::image(self.repo, tree)? else { continue };
            self.stack(image.config.diff_ids()?)?;
        }
        Ok(())
    }

    fn stack(&mut self, diff_ids: impl IntoIterator<Item = DiffId>) -> Result<()> {
        let mut chain = None;
        for diff_id in diff_ids {
            let above = diff_id.chain_on(chain.as_ref());
            if let Some(tree) = self.repo.chain(&above)? {
                self.reached.chains.insert(above);
                self.tree(tree)?;
            }
            chain = Some(above);
        }
        Ok(())
    }

    /// What a layer that may be compressed holds.
    fn layer_of(&self, digest: &Digest) -> Result<Option<DiffId>> {
        let row = self.repo.blob(digest)?;
        Ok(row.and_then(|row| row.diff_id.or(super::recipe_of(&row))))
    }

    /// Follows a blob to its recipe and contents.
    pub fn blob(&mut self, digest: &Digest) -> Result<()> {
        if !self.first(Thing::Blob(digest.clone())) {
            return Ok(());
        }
        let absent = || Error::not_found("blob", digest.to_string());
        let row = self.repo.blob(digest)?.ok_or_else(absent)?;
        if let BlobSource::Content(id) | BlobSource::Encoded { how: id, .. } = row.source
            && self.first(Thing::Content(id))
        {
            self.reached.kept.insert(id);
        }
        let recipe = match row.source {
            BlobSource::Recipe(diff_id) => Some(diff_id),
            BlobSource::Content(_) | BlobSource::Encoded { .. } => row.diff_id,
        };
        match recipe {
            Some(diff_id) => self.layer(diff_id),
            None => Ok(()),
        }
    }

    /// The recipe of a layer or disk and the contents it is made of. Its plain digest is a blob as well.
    fn layer(&mut self, diff_id: DiffId) -> Result<()> {
        if !self.first(Thing::Recipe(diff_id)) {
            return Ok(());
        }
        self.first(Thing::Blob(Digest::from(diff_id)));
        if self.shallow {
            return Ok(());
        }
        let repo = self.repo;
        repo.recipe_contents(&diff_id, &mut |id| {
            self.file(id);
            Ok(())
        })
    }

    fn file(&mut self, id: ContentId) {
        self.first(Thing::Content(id));
        self.reached.kept.remove(&id);
    }
}
