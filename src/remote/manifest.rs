//! Manifests at one place: asked for, held to their digest and to what they are called.

use crate::error::Error;
use crate::error::Result;
use crate::oci::descriptor::Descriptor;
use crate::oci::digest::Digest;
use crate::oci::digest::Verifier;
use crate::oci::json;
use crate::remote::call::Answer;
use crate::remote::call::Call;
use crate::remote::referrers::as_referrer;
use crate::remote::repository::Place;
use crate::wire::accept;
use crate::wire::reference::Reference;
use crate::wire::refusal;
use crate::wire::scope::Scopes;
use bytes::Bytes;
use reqwest::Method;
use reqwest::StatusCode;
use reqwest::header::ACCEPT;
use reqwest::header::CONTENT_LENGTH;
use reqwest::header::CONTENT_TYPE;

const DIGEST: &str = "docker-content-digest";

/// OCI distribution-spec, "Pushing Manifests with Subject".
const SUBJECT: &str = "oci-subject";

/// What a server that was given a manifest made of the `subject` in it, if there was one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubjectIs {
    Listed,
    /// It has no referrers API, or there was no subject.
    Unheard,
}

impl Place {
    /// What a reference leads to, by one HEAD; by a GET where the answer does not say.
    pub async fn head(&self, reference: &Reference) -> Result<Option<Descriptor>> {
        let call = self.manifest_call(Method::HEAD, reference);
        let answer = self.host.fetch(&call, 0).await?;
        let told = match answer.status {
            StatusCode::NOT_FOUND => return Ok(None),
            StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => None,
            _ => descriptor_of(&answer.good(&call)?),
        };
        match (told, reference) {
            (Some(told), Reference::Digest(asked)) if told.digest != *asked => {
                Err(wrong_digest(&call, asked, &told.digest))
            }
            (Some(told), _) => Ok(Some(told)),
            (None, _) => match self.manifest(reference).await {
                Err(Error::NotFound { .. }) => Ok(None),
                outcome => outcome.map(|(descriptor, _)| Some(descriptor)),
            },
        }
    }

    pub async fn manifest(&self, reference: &Reference) -> Result<(Descriptor, Bytes)> {
        let call = self.manifest_call(Method::GET, reference);
        let answer = self.host.fetch(&call, json::MANIFEST_BYTES_MAX).await?.good(&call)?;
        let told = digest_of(&answer);
        let digest = match (reference, told) {
            // The server's header is not needed when we know what we want, but must not contradict.
            (Reference::Digest(asked), Some(told))
                if told != *asked && told.algorithm() == asked.algorithm() =>
            {
                return Err(wrong_digest(&call, asked, &told));
            }
            (Reference::Digest(asked), _) => asked.clone(),
            (Reference::Tag(_), Some(told)) if told.can_verify() => told,
            (Reference::Tag(_), _) => Digest::of(&answer.body),
        };
        let size = answer.body.len() as u64;
        Verifier::new(call.thing(), &digest, size, &answer.body[..]).finish()?;
        let content_type = answer.header(CONTENT_TYPE.as_str()).unwrap_or_default();
        let media_type = accept::manifest_type(&call.thing(), content_type, &answer.body)?;
        Ok((Descriptor::new(media_type, digest, size), answer.body))
    }

    /// Puts the exact bytes under a tag or their digest. Says whether the server has seen to the
    /// `subject` by itself.
    pub async fn put_manifest(
        &self,
        reference: &Reference,
        descriptor: &Descriptor,
        bytes: &Bytes,
    ) -> Result<SubjectIs> {
        let url = self.host.registry().manifest(&self.repository, reference);
        let call = Call::new(Method::PUT, url, "manifest", self.name_of(reference))
            .scopes(Scopes::push(&self.repository), &self.repository)
            .header(CONTENT_TYPE, descriptor.media_type.bare())
            .body(bytes.clone());
        let answer = self.host.fetch(&call, refusal::BODY_BYTES_MAX).await?.good(&call)?;
        match digest_of(&answer) {
            Some(told) if told != descriptor.digest && told.algorithm() == descriptor.digest.algorithm() => {
                Err(wrong_digest(&call, &descriptor.digest, &told))
            }
            _ if answer.header(SUBJECT).is_some() => Ok(SubjectIs::Listed),
            _ => Ok(SubjectIs::Unheard),
        }
    }

    /// Deletes what a reference names. Where the registry keeps no list of referrers, a manifest with a
    /// subject is taken from the one that stands under a tag.
    pub async fn delete(&self, reference: &Reference) -> Result<()> {
        let referrer = match reference {
            Reference::Tag(_) => None,
            Reference::Digest(_) => {
                let (descriptor, bytes) = self.manifest(reference).await?;
                as_referrer(&descriptor, &bytes).unwrap_or(None)
            }
        };
        let url = self.host.registry().manifest(&self.repository, reference);
        let call = Call::new(Method::DELETE, url, "manifest", self.name_of(reference))
            .scopes(Scopes::delete(&self.repository), &self.repository);
        self.host.fetch(&call, refusal::BODY_BYTES_MAX).await?.good(&call)?;
        match referrer {
            Some((subject, referrer)) => self.unlist_referrer(&subject, &referrer.digest).await,
            None => Ok(()),
        }
    }

    fn manifest_call(&self, method: Method, reference: &Reference) -> Call {
        let url = self.host.registry().manifest(&self.repository, reference);
        let call = Call::new(method, url, "manifest", self.name_of(reference));
        accept::MANIFESTS
            .iter()
            .fold(call, |call, accepted| call.header(ACCEPT, accepted))
            .scopes(Scopes::pull(&self.repository), &self.repository)
    }
}

fn digest_of(answer: &Answer) -> Option<Digest> {
    Digest::parse(answer.header(DIGEST)?).ok()
}

/// `None` when the headers do not say all of it, or say what no manifest is.
fn descriptor_of(answer: &Answer) -> Option<Descriptor> {
    let size = answer.header(CONTENT_LENGTH.as_str())?.parse().ok()?;
    let media_type = crate::oci::media_type::MediaType::new(answer.header(CONTENT_TYPE.as_str())?);
    let is_document = media_type.is_document();
    is_document.then_some(Descriptor::new(media_type.bare(), digest_of(answer)?, size))
}

fn wrong_digest(call: &Call, asked: &Digest, found: &Digest) -> Error {
    Error::Mismatch { thing: call.thing(), expected: asked.to_string(), found: found.to_string() }
}
