//! What the store keeps of a guest beside its trees: a document of JSON that names its disks by
//! digest, as a manifest names layers. Its own digest is the artifact's.

use super::format::Format;
use super::guest::Filesystem;
use super::guest::Os;
use crate::error::Error;
use crate::error::Result;
use crate::path::shown;
use serde::Deserialize;
use serde::Serialize;
use std::collections::BTreeMap;

pub const MEDIA_TYPE: &str = "application/vnd.imgit.guest.v1+json";

/// A guest of hundreds of partitions is a few hundred KB.
pub const BYTES_MAX: u64 = 16 << 20;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Document {
    pub media_type: String,
    /// In the order given: `/dev/sda` is the first.
    pub disks: Vec<Disk>,
    pub filesystems: Vec<Filesystem>,
    /// The system whose root the first tree is.
    pub os: Option<Os>,
    /// What could not be read as files or made sense of, one sentence each.
    pub problems: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Disk {
    /// Of the file it came in, without its folder.
    pub name: String,
    /// `raw`, `qcow2` …
    pub format: String,
    /// What else is known of the file: version, cluster size.
    pub facts: BTreeMap<String, String>,
    /// What the guest sees, in bytes, and its SHA-256.
    pub size: u64,
    pub digest: String,
    /// The file itself.
    pub file_size: u64,
    /// Where the file can be had as it was; absent for a raw one, which is its disk.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub file_digest: Option<String>,
    pub table: String,
    pub table_id: String,
    pub partitions: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Part {
    pub number: u32,
    /// In bytes.
    pub start: u64,
    pub size: u64,
    /// A GUID, or as `0x83`.
    pub type_id: String,
    pub type_name: String,
    pub name: String,
}

impl Document {
    pub fn parse(bytes: &[u8]) -> Result<Document> {
        let document: Document = serde_json::from_slice(bytes)
            .map_err(|err| Error::invalid("document of a guest", err.to_string()))?;
        if document.media_type != MEDIA_TYPE {
            return Err(Error::Mismatch {
                thing: "document of a guest".into(),
                expected: MEDIA_TYPE.into(),
                found: document.media_type,
            });
        }
        if let Some(disk) = document.disks.iter().find(|disk| Format::named(&disk.format).is_none()) {
            let problem = format!("has a disk of format {}", shown(disk.format.as_bytes()));
            return Err(Error::invalid("document of a guest", problem));
        }
        Ok(document)
    }

    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("names, numbers and texts are JSON")
    }

    /// Every blob it names.
    pub fn digests(&self) -> impl Iterator<Item = &str> {
        self.disks.iter().flat_map(|disk| [Some(&disk.digest[..]), disk.file_digest.as_deref()]).flatten()
    }
}
