//! Image manifests: one config and its layers, or an artifact in the same shape.

use crate::error::Error;
use crate::error::Result;
use crate::oci::descriptor::Annotations;
use crate::oci::descriptor::Descriptor;
use crate::oci::document;
use crate::oci::document::Document;
use crate::oci::json::null_is_default;
use crate::oci::media_type::Kind;
use crate::oci::media_type::MediaType;
use serde::Deserialize;
use serde::Serialize;
use std::collections::BTreeMap;

/// OCI image manifest or Docker image manifest version 2, schema 2.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    #[serde(default, deserialize_with = "null_is_default")]
    pub schema_version: u32,
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "MediaType::is_empty")]
    pub media_type: MediaType,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<MediaType>,
    pub config: Descriptor,
    #[serde(default, deserialize_with = "null_is_default")]
    pub layers: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: Annotations,
}

impl Manifest {
    /// Reads a manifest and refuses anything else.
    pub fn parse(bytes: &[u8]) -> Result<Manifest> {
        match document::parse("manifest", bytes, None)? {
            Document::Manifest(manifest) => Ok(manifest),
            Document::Index(_) => Err(Error::invalid("manifest", "is an index of several manifests")),
        }
    }

    /// Says whether this is a container image; everything else is an artifact, kept as it is.
    ///
    /// The config's type decides, an `artifactType` beside it does not: a runtime would run it.
    /// Buildkit's attestations borrow the image config, so all layers must be layers too.
    pub fn is_image(&self) -> bool {
        self.config.media_type.kind() == Kind::Config
            && self.layers.iter().all(|layer| layer.media_type.is_layer())
    }

    /// Everything that the manifest points to, the config first. The subject is not part of it.
    pub fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        std::iter::once(&self.config).chain(&self.layers)
    }

    /// What kind of artifact it is: OCI image-spec, "Guidelines for Artifact Usage".
    pub fn effective_artifact_type(&self) -> &MediaType {
        self.artifact_type.as_ref().unwrap_or(&self.config.media_type)
    }
}
