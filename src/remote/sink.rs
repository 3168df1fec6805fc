//! A registry as a place that images go to.
//!
//! Blobs and manifests are put under their digests, where nobody finds them by name; the tags come
//! last. Several threads may put at once.

use crate::error::Error;
use crate::error::Result;
use crate::oci::descriptor::Descriptor;
use crate::oci::digest::Digest;
use crate::oci::digest::Verifier;
use crate::oci::document;
use crate::oci::json;
use crate::oci::name::ImageName;
use crate::oci::name::is_tag;
use crate::oci::sink::Open;
use crate::oci::sink::SharedSink;
use crate::oci::sink::Sink;
use crate::oci::source::Root;
use crate::remote::download;
use crate::remote::feed::Supply;
use crate::remote::manifest::SubjectIs;
use crate::remote::referrers::as_referrer;
use crate::remote::repository::Place;
use crate::remote::runtime::Runtime;
use crate::remote::upload;
use crate::remote::upload::Session;
use crate::wire::accept::OCI_INDEX;
use crate::wire::accept::OCI_MANIFEST;
use crate::wire::reference::Reference;
use bytes::Bytes;
use std::collections::HashMap;
use std::collections::HashSet;
use std::collections::VecDeque;
use std::io::Read;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;

/// Manifests whose bytes are kept for the tags at the end; an older one is fetched again.
const KEPT_MANIFESTS: usize = 8;

/// Which tags the roots get at the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Tags {
    /// Those in the roots' own names: `latest`, or the `latest` of `docker.io/library/debian:latest`.
    #[default]
    AsNamed,
    /// These, all to the one root. None at all leaves it to be found by its digest.
    These(Vec<String>),
}

#[derive(Clone, Debug, Default)]
pub struct SinkOptions {
    pub tags: Tags,
    /// Repositories at the same host that may have the blobs, the likeliest first: `team/base`.
    pub mount_from: Vec<String>,
}

pub struct RegistrySink {
    runtime: Arc<Runtime>,
    place: Place,
    options: SinkOptions,
    state: Mutex<State>,
    /// One list of referrers is changed at a time.
    lists: Mutex<()>,
}

#[derive(Default)]
struct State {
    /// What is there, as far as we know.
    known: HashSet<Digest>,
    /// Uploads that a server opened when it could not mount.
    begun: HashMap<Digest, Session>,
    manifests: VecDeque<(Descriptor, Bytes)>,
}

impl RegistrySink {
    pub(super) fn new(runtime: Arc<Runtime>, place: Place, options: SinkOptions) -> Result<RegistrySink> {
        if let Tags::These(tags) = &options.tags {
            tags.iter().try_for_each(|tag| Reference::tag(tag).map(drop))?;
        }
        Ok(RegistrySink { runtime, place, options, state: Mutex::default(), lists: Mutex::default() })
    }

    /// Says whether the blob or manifest is there and needs no `put`; a blob that another repository
    /// of the same host has is mounted from there.
    pub fn has_blob(&self, descriptor: &Descriptor) -> Result<bool> {
        if self.state().known.contains(&descriptor.digest) {
            return Ok(true);
        }
        let is_there = match descriptor.media_type.is_document() {
            true => {
                let reference = Reference::from(&descriptor.digest);
                self.runtime.run(self.place.head(&reference))?.is_some()
            }
            false => {
                self.runtime.run(download::is_there(&self.place, descriptor))? || self.mounts(descriptor)?
            }
        };
        if is_there {
            self.state().known.insert(descriptor.digest.clone());
        }
        Ok(is_there)
    }

    /// Takes a blob or manifest from a stream. When the connection breaks so late that the bytes are
    /// no longer at hand (8 MiB), this fails; [`RegistrySink::put_from`] does not.
    pub fn put_blob(&self, descriptor: &Descriptor, from: &mut dyn Read) -> Result<()> {
        self.put_supply(descriptor, Supply::Once(Some(from)))
    }

    /// Takes a blob or manifest from a source that can be opened again, should the connection break.
    pub fn put_from<'a>(&self, descriptor: &Descriptor, open: &'a Open<'a>) -> Result<()> {
        self.put_supply(descriptor, Supply::Again(open))
    }

    /// Sets the tags. Everything under `roots` must be there by now.
    pub fn set_tags(&self, roots: &[Root]) -> Result<()> {
        if let (Tags::These(tags), true) = (&self.options.tags, roots.len() > 1)
            && !tags.is_empty()
        {
            let problem = format!("{} images cannot all be tagged {}", roots.len(), tags.join(", "));
            return Err(Error::Usage(problem));
        }
        for root in roots {
            let tags = match &self.options.tags {
                Tags::These(tags) => tags.clone(),
                Tags::AsNamed => root.names.iter().filter_map(|name| tag_in(name)).collect(),
            };
            for tag in HashSet::<String>::from_iter(tags) {
                let (descriptor, bytes) = self.manifest(&root.descriptor)?;
                self.runtime.run(self.place.put_manifest(&Reference::tag(&tag)?, &descriptor, &bytes))?;
            }
        }
        Ok(())
    }

    fn put_supply(&self, descriptor: &Descriptor, mut supply: Supply<'_>) -> Result<()> {
        if self.state().known.contains(&descriptor.digest) {
            return Ok(());
        }
        let begun = self.state().begun.remove(&descriptor.digest);
        // An index may list a manifest without saying what it is.
        let may_be_document = descriptor.media_type.is_document()
            || (descriptor.media_type.is_empty() && descriptor.size <= json::MANIFEST_BYTES_MAX);
        if !may_be_document {
            upload::upload(&self.runtime, &self.place, descriptor, supply, begun)?;
        } else {
            let thing = format!("manifest {}", descriptor.digest);
            json::check_size(&thing, descriptor.size, json::MANIFEST_BYTES_MAX)?;
            let verified = Verifier::new(&thing, &descriptor.digest, descriptor.size, supply.open()?);
            let bytes = json::read(&thing, verified, json::MANIFEST_BYTES_MAX)?;
            let is_document =
                descriptor.media_type.is_document() || document::parse(&thing, &bytes, None).is_ok();
            if is_document {
                self.put_manifest(descriptor, bytes.into())?;
            } else {
                let supply = Supply::Once(Some(&mut &bytes[..]));
                upload::upload(&self.runtime, &self.place, descriptor, supply, begun)?;
            }
        }
        self.state().known.insert(descriptor.digest.clone());
        Ok(())
    }

    /// Puts a manifest under its digest, and into the list of what refers to its subject where the
    /// registry keeps none.
    fn put_manifest(&self, descriptor: &Descriptor, bytes: Bytes) -> Result<()> {
        let descriptor = typed(descriptor, &bytes);
        let reference = Reference::from(&descriptor.digest);
        let subject_is = self.runtime.run(self.place.put_manifest(&reference, &descriptor, &bytes))?;
        // What nobody here can read may still be pushed; it has no subject that we know of.
        if subject_is == SubjectIs::Unheard
            && let Ok(Some((subject, referrer))) = as_referrer(&descriptor, &bytes)
        {
            let _one_at_a_time = self.lists.lock().expect("no holder panics");
            self.runtime.run(self.place.list_referrer(&subject, &referrer))?;
        }
        let manifests = &mut self.state().manifests;
        manifests.push_back((descriptor, bytes));
        if manifests.len() > KEPT_MANIFESTS {
            manifests.pop_front();
        }
        Ok(())
    }

    fn manifest(&self, wanted: &Descriptor) -> Result<(Descriptor, Bytes)> {
        let kept = self.state().manifests.iter().find(|(kept, _)| kept.digest == wanted.digest).cloned();
        match kept {
            Some(kept) => Ok(kept),
            None => self.runtime.run(self.place.manifest(&Reference::from(&wanted.digest))),
        }
    }

    fn mounts(&self, blob: &Descriptor) -> Result<bool> {
        for from in self.options.mount_from.iter().filter(|from| **from != self.place.repository) {
            let mounted = self.runtime.run(async { Ok(upload::mount(&self.place, blob, from).await) })?;
            match mounted {
                Ok(()) => return Ok(true),
                Err(Some(session)) => {
                    let older = self.state().begun.insert(blob.digest.clone(), session);
                    if let Some(older) = older {
                        self.runtime.run(upload::cancel(&self.place, blob, &older))?;
                    }
                }
                Err(None) => {}
            }
        }
        Ok(false)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder panics")
    }
}

impl Sink for RegistrySink {
    /// The registry has held to its digest what it has, so that it says so is enough.
    fn has(&mut self, descriptor: &Descriptor) -> Result<bool> {
        self.has_blob(descriptor)
    }

    fn put(&mut self, descriptor: &Descriptor, from: &mut dyn Read) -> Result<()> {
        self.put_blob(descriptor, from)
    }

    fn shared(&self) -> Option<&dyn SharedSink> {
        Some(self)
    }

    fn finish(self: Box<Self>, roots: &[Root]) -> Result<()> {
        self.set_tags(roots)
    }
}

impl SharedSink for RegistrySink {
    fn offer<'a>(&self, descriptor: &Descriptor, open: &'a Open<'a>) -> Result<bool> {
        if self.has_blob(descriptor)? {
            return Ok(false);
        }
        self.put_from(descriptor, open)?;
        Ok(true)
    }
}

/// The tag in a root's name, which may be a tag alone.
fn tag_in(name: &str) -> Option<String> {
    match name.contains([':', '/']) {
        true => ImageName::parse(name).ok()?.tag().map(str::to_owned),
        false => is_tag(name).then(|| name.to_owned()),
    }
}

/// A registry wants to be told what it is given: where the descriptor does not say, the fields do.
fn typed(descriptor: &Descriptor, bytes: &[u8]) -> Descriptor {
    let mut typed = descriptor.clone();
    if typed.media_type.is_empty() {
        typed.media_type = match document::parse("manifest", bytes, None) {
            Ok(document::Document::Index(index)) if index.media_type.is_empty() => OCI_INDEX.into(),
            Ok(document::Document::Index(index)) => index.media_type,
            Ok(document::Document::Manifest(manifest)) if !manifest.media_type.is_empty() => {
                manifest.media_type
            }
            _ => OCI_MANIFEST.into(),
        };
    }
    typed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_found_in_every_kind_of_name() {
        assert_eq!(tag_in("latest").as_deref(), Some("latest"));
        assert_eq!(tag_in("docker.io/library/debian:12").as_deref(), Some("12"));
        assert_eq!(tag_in("localhost:5000/a"), None);
        assert_eq!(tag_in("not a tag"), None);
    }
}
