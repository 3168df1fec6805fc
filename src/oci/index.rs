//! Indexes: several manifests under one name, mostly one for each platform.

use crate::error::Error;
use crate::error::Result;
use crate::oci::descriptor::Annotations;
use crate::oci::descriptor::Descriptor;
use crate::oci::document;
use crate::oci::document::Document;
use crate::oci::json::null_is_default;
use crate::oci::media_type::MediaType;
use crate::oci::platform::Platform;
use serde::Deserialize;
use serde::Serialize;
use std::collections::BTreeMap;

/// OCI image index or Docker manifest list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    #[serde(default, deserialize_with = "null_is_default")]
    pub schema_version: u32,
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "MediaType::is_empty")]
    pub media_type: MediaType,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<MediaType>,
    #[serde(default, deserialize_with = "null_is_default")]
    pub manifests: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: Annotations,
}

impl Index {
    /// Reads an index and refuses anything else.
    pub fn parse(bytes: &[u8]) -> Result<Index> {
        match document::parse("index", bytes, None)? {
            Document::Index(index) => Ok(index),
            Document::Manifest(_) => Err(Error::invalid("index", "is a single manifest")),
        }
    }

    /// The manifest that serves `wanted` best; of equals the first: OCI image-spec, "manifests".
    pub fn pick(&self, wanted: &Platform) -> Option<&Descriptor> {
        self.manifests
            .iter()
            .filter_map(|manifest| Some((wanted.rank(manifest.platform.as_ref()?)?, manifest)))
            .min_by_key(|(rank, _)| *rank)
            .map(|(_, manifest)| manifest)
    }
}
