//! A registry as a place that images come from.

use crate::error::Error;
use crate::error::Result;
use crate::oci::descriptor::Descriptor;
use crate::oci::digest::Digest;
use crate::oci::source::Root;
use crate::oci::source::Source;
use crate::remote::repository::Repository;
use crate::wire::reference::Reference;
use std::io::Cursor;
use std::io::Read;
use std::sync::Mutex;

/// One root of a repository and all that it names.
pub struct RegistrySource {
    repository: Repository,
    root: Root,
    /// The root's exact bytes: whoever walks from it does not ask for it again.
    bytes: Vec<u8>,
    /// A manifest that was asked for only to see whether it is there, and will be opened next.
    next: Mutex<Option<(Digest, Vec<u8>)>>,
}

impl RegistrySource {
    pub(super) fn open(repository: Repository, reference: &Reference) -> Result<RegistrySource> {
        let (descriptor, bytes) = repository.manifest(reference)?;
        let names = match reference {
            Reference::Tag(tag) => vec![repository.name().with_tag(tag)?.full()],
            // A digest is no name: the store gives what has none the name it is asked to.
            Reference::Digest(_) => Vec::new(),
        };
        Ok(RegistrySource { repository, root: Root::new(descriptor, names), bytes, next: Mutex::default() })
    }

    pub fn root(&self) -> &Root {
        &self.root
    }

    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    fn manifest(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>> {
        let next = self.next.lock().expect("no holder panics").take();
        let bytes = match next {
            Some((digest, bytes)) if digest == descriptor.digest => bytes,
            _ => self.repository.manifest(&Reference::from(&descriptor.digest))?.1,
        };
        Ok(Box::new(Cursor::new(bytes)))
    }

    fn has_manifest(&self, descriptor: &Descriptor) -> Result<bool> {
        match self.repository.manifest(&Reference::from(&descriptor.digest)) {
            Ok((_, bytes)) => {
                *self.next.lock().expect("no holder panics") = Some((descriptor.digest.clone(), bytes));
                Ok(true)
            }
            Err(err) if matches!(err.root(), Error::NotFound { .. }) => Ok(false),
            Err(err) => Err(err),
        }
    }

    /// What an index lists may be a manifest of a kind that nobody here knows.
    fn may_be_either(descriptor: &Descriptor) -> bool {
        descriptor.media_type.is_empty()
    }
}

impl Source for RegistrySource {
    fn roots(&self) -> Result<Vec<Root>> {
        Ok(vec![self.root.clone()])
    }

    fn open(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>> {
        if descriptor.digest == self.root.descriptor.digest {
            return Ok(Box::new(Cursor::new(self.bytes.clone())));
        }
        if descriptor.media_type.is_document() {
            return self.manifest(descriptor);
        }
        match self.repository.open(descriptor) {
            Err(Error::NotFound { .. }) if Self::may_be_either(descriptor) => self.manifest(descriptor),
            opened => opened,
        }
    }

    /// `true` also when the registry cannot be asked: opening it will tell why.
    fn has(&self, descriptor: &Descriptor) -> bool {
        let is_blob = || self.repository.has_blob(descriptor).unwrap_or(true);
        let is_manifest = || self.has_manifest(descriptor).unwrap_or(true);
        match descriptor.media_type.is_document() {
            _ if descriptor.digest == self.root.descriptor.digest => true,
            true => is_manifest(),
            false => is_blob() || (Self::may_be_either(descriptor) && is_manifest()),
        }
    }
}
