//! What refers to a manifest, signatures and SBOMs: the referrers API, and the tag that stands in for it
//! where a registry has none. OCI distribution-spec, "Listing Referrers" and "Referrers Tag Schema".

use crate::error::Doing;
use crate::error::Error;
use crate::error::Result;
use crate::oci::descriptor::Descriptor;
use crate::oci::digest::Digest;
use crate::oci::document;
use crate::oci::document::Document;
use crate::oci::json;
use crate::remote::repository::Place;
use crate::wire::accept::OCI_INDEX;
use crate::wire::reference::Reference;
use bytes::Bytes;
use serde_json::Value;
use serde_json::json;

/// The subject of a manifest, and the manifest as a list of referrers shows it.
pub fn as_referrer(descriptor: &Descriptor, bytes: &[u8]) -> Result<Option<(Digest, Descriptor)>> {
    let document = document::parse("manifest", bytes, None)?;
    let (subject, artifact_type, annotations) = match document {
        Document::Manifest(manifest) => {
            let artifact_type = Some(manifest.effective_artifact_type().clone());
            (manifest.subject, artifact_type, manifest.annotations)
        }
        Document::Index(index) => (index.subject, index.artifact_type, index.annotations),
    };
    let Some(subject) = subject else { return Ok(None) };
    let size = descriptor.size;
    let mut shown = Descriptor::new(descriptor.media_type.clone(), descriptor.digest.clone(), size);
    shown.artifact_type = artifact_type.filter(|artifact_type| !artifact_type.is_empty());
    shown.annotations = annotations;
    Ok(Some((subject.digest, shown)))
}

impl Place {
    /// Adds a referrer to the list under the fallback tag of its subject, once.
    pub async fn list_referrer(&self, subject: &Digest, referrer: &Descriptor) -> Result<()> {
        self.change_list(subject, |list| {
            let is_known = list.iter().any(|entry| is_of(entry, &referrer.digest));
            if !is_known {
                list.push(json!(referrer));
            }
            !is_known
        })
        .await
    }

    /// Takes a referrer from the list under the fallback tag of its subject.
    pub async fn unlist_referrer(&self, subject: &Digest, referrer: &Digest) -> Result<()> {
        self.change_list(subject, |list| {
            let before = list.len();
            list.retain(|entry| !is_of(entry, referrer));
            list.len() != before
        })
        .await
    }

    /// Fields that we do not know stay as they are. Two clients that do this at once may lose an entry:
    /// the specification has no answer to that.
    async fn change_list(
        &self,
        subject: &Digest,
        change: impl FnOnce(&mut Vec<Value>) -> bool,
    ) -> Result<()> {
        let tag = Reference::fallback(subject);
        let doing = || format!("cannot change the list of referrers {}", self.name_of(&tag));
        let mut index: Value = match self.manifest(&tag).await {
            Ok((_, bytes)) => {
                json::parse("list of referrers", &bytes, json::MANIFEST_BYTES_MAX).doing(doing)?
            }
            Err(Error::NotFound { .. }) => {
                json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [] })
            }
            Err(err) => return Err(err).doing(doing),
        };
        let Some(list) = index.get_mut("manifests").and_then(Value::as_array_mut) else {
            return Err(Error::invalid(self.name_of(&tag), "is no index")).doing(doing);
        };
        if !change(list) {
            return Ok(());
        }
        let bytes = Bytes::from(index.to_string());
        json::check_size("list of referrers", bytes.len() as u64, json::MANIFEST_BYTES_MAX).doing(doing)?;
        self.put_manifest(&tag, &Descriptor::of(OCI_INDEX, &bytes), &bytes).await.doing(doing)?;
        Ok(())
    }
}

fn is_of(entry: &Value, digest: &Digest) -> bool {
    entry.get("digest").and_then(Value::as_str) == Some(digest.as_str())
}
