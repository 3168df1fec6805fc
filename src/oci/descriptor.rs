//! Descriptors: how one blob names another.

use crate::oci::digest::Digest;
use crate::oci::json::null_is_default;
use crate::oci::media_type::MediaType;
use crate::oci::platform::Platform;
use serde::Deserialize;
use serde::Serialize;
use std::collections::BTreeMap;

pub type Annotations = BTreeMap<String, String>;

/// OCI image-spec, "Content Descriptors".
///
/// Our own rather than oci-spec's, which drops `os.version`, loses the order of annotations and
/// refuses the `null`s that Go writes. `data` is not read: the blob it repeats is fetched as any other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    #[serde(default, deserialize_with = "null_is_default")]
    pub media_type: MediaType,
    pub digest: Digest,
    pub size: u64,
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: Annotations,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<MediaType>,
}

impl Descriptor {
    pub fn new(media_type: impl Into<MediaType>, digest: Digest, size: u64) -> Descriptor {
        Descriptor {
            media_type: media_type.into(),
            digest,
            size,
            urls: Vec::new(),
            annotations: Annotations::new(),
            platform: None,
            artifact_type: None,
        }
    }

    /// Describes `bytes` themselves.
    pub fn of(media_type: impl Into<MediaType>, bytes: &[u8]) -> Descriptor {
        Descriptor::new(media_type, Digest::of(bytes), bytes.len() as u64)
    }
}

impl From<&str> for MediaType {
    fn from(name: &str) -> MediaType {
        MediaType::new(name)
    }
}
