//! The document of a guest: what a commit of disks holds beside its trees.

use super::Repo;
use crate::disk::document;
use crate::disk::document::Document;
use crate::error::Result;
use crate::history::commit::Artifact;
use crate::history::commit::ArtifactKind;
use crate::oci::digest::Digest;

impl Repo {
    /// `None` for an artifact that is no guest.
    pub fn guest(&self, artifact: &Artifact) -> Result<Option<Document>> {
        if artifact.kind != ArtifactKind::Disk {
            return Ok(None);
        }
        let bytes = self.read_blob(&Digest::parse(&artifact.digest)?, document::BYTES_MAX)?;
        Document::parse(&bytes).map(Some)
    }
}
