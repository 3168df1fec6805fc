//! An image's own documents, read back from the store.

use super::Repo;
use crate::error::Error;
use crate::error::Result;
use crate::history::commit::PlatformTree;
use crate::oci::config::ImageConfig;
use crate::oci::digest::Digest;
use crate::oci::document;
use crate::oci::document::Document;
use crate::oci::json;
use crate::oci::manifest::Manifest;

/// One platform's manifest and config.
pub struct Image {
    pub digest: Digest,
    pub manifest: Manifest,
    pub manifest_bytes: Vec<u8>,
    pub config: ImageConfig,
    pub config_bytes: Vec<u8>,
}

/// Reads the manifest and config that `tree` was flattened from; `None` for trees without an image.
pub fn image(repo: &Repo, tree: &PlatformTree) -> Result<Option<Image>> {
    if tree.manifest.is_empty() {
        return Ok(None);
    }
    let digest = Digest::parse(&tree.manifest)?;
    let source = repo.images();
    let manifest_bytes = repo.read_blob(&digest, json::MANIFEST_BYTES_MAX)?;
    let thing = format!("manifest {digest}");
    let Document::Manifest(manifest) = document::parse(&thing, &manifest_bytes, None)? else {
        return Err(Error::invalid(thing, "is an index, but a tree says it was made from it"));
    };
    let thing = format!("config {}", manifest.config.digest);
    let config_bytes = document::read_blob(&source, &manifest.config, &thing, json::CONFIG_BYTES_MAX)?;
    let config = ImageConfig::parse(&config_bytes)?;
    Ok(Some(Image { digest, manifest, manifest_bytes, config, config_bytes }))
}
