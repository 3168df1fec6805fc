//! What refers to a manifest, signatures and SBOMs: the referrers API, and the tag that stands in for it
//! where a registry has none. OCI distribution-spec, "Listing Referrers" and "Referrers Tag Schema".

use crate::error::Doing;
use crate::error::Error;
use crate::error::Result;
use crate::oci::descriptor::Descriptor;
use crate::oci::digest::Digest;
use crate::oci::document;
use crate::oci::document::Document;
use crate::oci::index::Index;
use crate::oci::json;
use crate::oci::media_type::Kind;
use crate::oci::media_type::MediaType;
use crate::remote::call::Call;
use crate::remote::pages::PAGE_BYTES_MAX;
use crate::remote::pages::Pages;
use crate::remote::repository::Place;
use crate::wire::accept::OCI_INDEX;
use crate::wire::reference::Reference;
use crate::wire::scope::Scopes;
use bytes::Bytes;
use reqwest::Method;
use reqwest::header::ACCEPT;
use reqwest::header::CONTENT_TYPE;
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
    /// Everything that refers to `subject`; nothing when that itself is not there.
    pub async fn referrers(&self, subject: &Digest, artifact_type: Option<&str>) -> Result<Vec<Descriptor>> {
        let mut found = match self.referrers_by_api(subject, artifact_type).await? {
            Some(found) => found,
            None => self.referrers_by_tag(subject).await?,
        };
        // A server need not filter, and a tag cannot.
        if let Some(wanted) = artifact_type {
            found
                .retain(|referrer| referrer.artifact_type.as_ref().is_some_and(|own| own.as_str() == wanted));
        }
        Ok(found)
    }

    /// `None` when the registry has no such API.
    async fn referrers_by_api(
        &self,
        subject: &Digest,
        artifact_type: Option<&str>,
    ) -> Result<Option<Vec<Descriptor>>> {
        let url = self.host.registry().referrers(&self.repository, subject, artifact_type);
        let call = Call::new(Method::GET, url, "referrers of", self.name_of(&Reference::from(subject)))
            .scopes(Scopes::pull(&self.repository), &self.repository)
            .header(ACCEPT, OCI_INDEX);
        let mut found = Vec::new();
        let mut pages = Pages::new(&self.host, call);
        while let Some(answer) = pages.next().await? {
            // Old servers know no such path, and say so in one of these ways.
            let is_unknown = matches!(answer.status.as_u16(), 400 | 404 | 405 | 406 | 501);
            if is_unknown && found.is_empty() {
                return Ok(None);
            }
            let answer = answer.good(pages.call())?;
            let content_type = answer.header(CONTENT_TYPE.as_str()).unwrap_or_default();
            if MediaType::new(content_type).kind() != Kind::Index && found.is_empty() {
                // A page of a proxy that answers anything with its own face.
                return Ok(None);
            }
            let index: Index = json::parse(&pages.call().thing(), &answer.body, PAGE_BYTES_MAX)?;
            found.extend(index.manifests);
            pages.check(found.len())?;
        }
        Ok(Some(found))
    }

    async fn referrers_by_tag(&self, subject: &Digest) -> Result<Vec<Descriptor>> {
        let tag = Reference::fallback(subject);
        match self.manifest(&tag).await {
            Ok((_, bytes)) => {
                Ok(Index::parse(&bytes).doing(|| format!("cannot read {}", self.name_of(&tag)))?.manifests)
            }
            Err(Error::NotFound { .. }) => Ok(Vec::new()),
            Err(err) => Err(err),
        }
    }

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
