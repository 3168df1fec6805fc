//! Everything that a set of commits needs: what collection must keep and fsck must find.

use crate::error::Error;
use crate::error::Result;
use crate::history::commit::Artifact;
use crate::history::commit::Commit;
use crate::id::CommitId;
use crate::id::ContentId;
use crate::id::DiffId;
use crate::id::NodeId;
use crate::id::TreeId;
use crate::oci::digest::Digest;
use crate::oci::document;
use crate::oci::document::Document;
use crate::oci::document::Missing;
use crate::repo::Repo;
use crate::repo::image;
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
    let mut walk = Walk { repo, reached: Reached::default(), missing };
    let mut todo: Vec<CommitId> = from.into_iter().collect();
    while let Some(id) = todo.pop() {
        if !walk.reached.commits.insert(id) {
            continue;
        }
        match repo.commit(&id) {
            Ok(commit) => {
                todo.extend(&commit.parents);
                walk.commit(&commit)?;
            }
            Err(err) => walk.lacks(err, &format!("commit {id}"))?,
        }
    }
    Ok(walk.reached)
}

struct Walk<'a> {
    repo: &'a Repo,
    reached: Reached,
    missing: &'a mut dyn FnMut(Error) -> Result<()>,
}

impl Walk<'_> {
    fn lacks(&mut self, err: Error, needed_by: &str) -> Result<()> {
        (self.missing)(Error::Context { doing: needed_by.to_string(), source: Box::new(err), hint: None })
    }

    fn commit(&mut self, commit: &Commit) -> Result<()> {
        for tree in &commit.trees {
            if let Err(err) = self.tree(tree.tree) {
                self.lacks(err, &format!("tree {}", tree.tree))?;
            }
        }
        if let Err(err) = self.artifact(commit) {
            self.lacks(err, &format!("{} {}", commit.artifact.kind.word(), commit.artifact.digest))?;
        }
        Ok(())
    }

    fn tree(&mut self, id: TreeId) -> Result<()> {
        if !self.reached.trees.insert(id) {
            return Ok(());
        }
        let snapshot = self.repo.snapshot()?;
        let absent = || Error::not_found("tree", id.to_string());
        let mut todo = vec![snapshot.tree(&id)?.ok_or_else(absent)?.root.full];
        while let Some(id) = todo.pop() {
            if !self.reached.nodes.insert(id) {
                continue;
            }
            for entry in &snapshot.node(&id)?.entries {
                match entry.kind {
                    Kind::Dir(ids) => todo.push(ids.full),
                    Kind::File { content, .. } => drop(self.reached.contents.insert(content)),
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
            ArtifactKind::Tar => return self.blob(&digest),
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
            let mut chain = None;
            for diff_id in image.config.diff_ids()? {
                let above = diff_id.chain_on(chain.as_ref());
                if let Some(tree) = self.repo.chain(&above)? {
                    self.tree(tree)?;
                }
                chain = Some(above);
            }
        }
        Ok(())
    }

    fn blob(&mut self, digest: &Digest) -> Result<()> {
        if !self.reached.blobs.insert(digest.clone()) {
            return Ok(());
        }
        let absent = || Error::not_found("blob", digest.to_string());
        let row = self.repo.blob(digest)?.ok_or_else(absent)?;
        if let BlobSource::Content(id) | BlobSource::Encoded { how: id, .. } = row.source {
            self.reached.contents.insert(id);
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
        if !self.reached.recipes.insert(diff_id) {
            return Ok(());
        }
        self.reached.blobs.insert(Digest::from(diff_id));
        let contents = &mut self.reached.contents;
        self.repo.recipe_contents(&diff_id, &mut |id| {
            contents.insert(id);
            Ok(())
        })
    }
}
