//! What commits say they hold: all that its documents name is there, and trees are what they say.

use super::Proof;
use super::wrong;
use crate::bundle::shapes::absent;
use crate::content::ContentSource as _;
use crate::disk;
use crate::error::Doing as _;
use crate::error::Error;
use crate::error::Result;
use crate::error::from_stream;
use crate::history::commit::ArtifactKind;
use crate::history::commit::Commit;
use crate::history::commit::PlatformTree;
use crate::id::DiffId;
use crate::id::TreeId;
use crate::oci::config::ImageConfig;
use crate::oci::descriptor::Descriptor;
use crate::oci::digest::Digest;
use crate::oci::document;
use crate::oci::document::Document;
use crate::oci::document::Missing;
use crate::oci::json;
use crate::oci::media_type::MediaType;
use crate::oci::source::Root;
use crate::oci::source::Source;
use crate::repo::recipe_of;
use crate::store::BlobRow;
use crate::store::BlobSource;
use std::io::Cursor;
use std::io::Read;

impl Proof<'_> {
    pub(super) fn commit(&mut self, commit: &Commit) -> Result<()> {
        for tree in &commit.trees {
            self.tree(&tree.tree)?;
        }
        let digest = Digest::parse(&commit.artifact.digest)?;
        match commit.artifact.kind {
            ArtifactKind::Directory => match &commit.trees[..] {
                [tree] if digest == Digest::from_sha256(tree.tree.0) => Ok(()),
                _ => Err(Error::invalid("directory", "is not its tree")),
            },
            ArtifactKind::Disk => self.guest(&digest),
            ArtifactKind::Tar => {
                let row = self.row(&digest)?.ok_or_else(|| absent("blob", &digest))?;
                let stack = [row.diff_id.or(recipe_of(&row)).ok_or_else(|| absent("recipe", &digest))?];
                commit.trees.iter().try_for_each(|tree| self.is_flat(&stack, tree.tree))
            }
            ArtifactKind::Image | ArtifactKind::Index | ArtifactKind::Other => {
                self.documents(&digest)?;
                commit.trees.iter().try_for_each(|tree| self.image(tree))
            }
        }
    }

    /// Where a blob is from: the bundle's word for it, where it is proven, or the store's.
    fn row(&self, digest: &Digest) -> Result<Option<BlobRow>> {
        match self.blobs.get(digest) {
            Some(row) => Ok(Some(*row)),
            None => self.repo.blob(digest),
        }
    }

    fn guest(&self, digest: &Digest) -> Result<()> {
        let descriptor = self.descriptor(digest)?;
        let bytes = document::read_blob(self, &descriptor, "document of a guest", disk::document::BYTES_MAX)?;
        let document = disk::document::Document::parse(&bytes)?;
        document.digests().try_for_each(|digest| self.descriptor(&Digest::parse(digest)?).map(drop))
    }

    /// Everything that an index or a manifest names, but for what an import may have left out.
    fn documents(&self, root: &Digest) -> Result<()> {
        document::walk(self, &self.descriptor(root)?, &mut Missing::Told(&mut |_| {}), &mut |visit| {
            let Document::Manifest(manifest) = visit.document else { return Ok(()) };
            let mut named = manifest.blobs().filter(|blob| blob.urls.is_empty());
            named.try_for_each(|blob| self.descriptor(&blob.digest).map(drop))
        })
    }

    /// An image's tree is what its layers come to.
    fn image(&mut self, tree: &PlatformTree) -> Result<()> {
        let digest = Digest::parse(&tree.manifest)?;
        let (_, Document::Manifest(manifest)) = document::read(self, &self.descriptor(&digest)?)? else {
            return Err(Error::invalid(
                format!("manifest {digest}"),
                "is an index, but a tree is said to be of it",
            ));
        };
        let thing = format!("config {}", manifest.config.digest);
        let config = document::read_blob(self, &manifest.config, &thing, json::CONFIG_BYTES_MAX)?;
        let stack = ImageConfig::parse(&config)?.diff_ids()?;
        self.is_flat(&stack, tree.tree).doing(|| format!("image {digest}"))
    }

    fn is_flat(&mut self, stack: &[DiffId], tree: TreeId) -> Result<()> {
        stack.iter().try_for_each(|diff_id| self.has_recipe(diff_id))?;
        match self.flatten(stack)? {
            found if found == tree => Ok(()),
            found => Err(wrong("tree of its layers", &found, &tree)),
        }
    }

    fn descriptor(&self, digest: &Digest) -> Result<Descriptor> {
        let row = self.row(digest)?.ok_or_else(|| absent("blob", digest))?;
        Ok(Descriptor::new(MediaType::default(), digest.clone(), row.size))
    }
}

/// Documents of the bundle and of the store, to be read by their digests.
impl Source for Proof<'_> {
    fn roots(&self) -> Result<Vec<Root>> {
        Ok(Vec::new())
    }

    fn open(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>> {
        let row = self.row(&descriptor.digest)?.ok_or_else(|| absent("blob", &descriptor.digest))?;
        let BlobSource::Content(id) = row.source else {
            return self.repo.images().open(descriptor);
        };
        // Whoever asks holds it to the limit of its kind before.
        let mut bytes = Vec::new();
        let mut from = self.staged.open(&id, 0, row.size.min(descriptor.size))?;
        from.read_to_end(&mut bytes)
            .map_err(|err| from_stream(format!("blob {}", descriptor.digest), err))?;
        Ok(Box::new(Cursor::new(bytes)))
    }

    fn has(&self, descriptor: &Descriptor) -> bool {
        matches!(self.row(&descriptor.digest), Ok(Some(_)))
    }
}
