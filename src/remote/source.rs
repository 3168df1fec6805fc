//! A registry as a place that images come from.

use crate::error::Error;
use crate::error::Result;
use crate::oci::descriptor::Descriptor;
use crate::oci::media_type::Kind;
use crate::oci::source::Root;
use crate::oci::source::Source;
use crate::remote::repository::Repository;
use crate::wire::reference::Reference;
use std::io::Cursor;
use std::io::Read;

/// One root of a repository and all that it names.
pub struct RegistrySource {
    repository: Repository,
    root: Root,
    /// The root's exact bytes: whoever walks from it does not ask for it again.
    bytes: Vec<u8>,
}

impl RegistrySource {
    pub(super) fn open(repository: Repository, reference: &Reference) -> Result<RegistrySource> {
        let (descriptor, bytes) = repository.manifest(reference)?;
        let names = match reference {
            Reference::Tag(tag) => vec![repository.name().with_tag(tag)?.full()],
            // A digest is no name: the store gives what has none the name it is asked to.
            Reference::Digest(_) => Vec::new(),
        };
        Ok(RegistrySource { repository, root: Root::new(descriptor, names), bytes })
    }

    pub fn root(&self) -> &Root {
        &self.root
    }

    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    fn manifest(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>> {
        let (_, bytes) = self.repository.manifest(&Reference::from(&descriptor.digest))?;
        Ok(Box::new(Cursor::new(bytes)))
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

    fn has(&self, descriptor: &Descriptor) -> bool {
        let is_root = descriptor.digest == self.root.descriptor.digest;
        let is_blob = || self.repository.has_blob(descriptor).unwrap_or(false);
        let is_manifest = || {
            let found = self.repository.head(&Reference::from(&descriptor.digest));
            found.is_ok_and(|found| found.is_some())
        };
        match descriptor.media_type.kind() {
            _ if is_root => true,
            Kind::Manifest | Kind::Index | Kind::Schema1 => is_manifest(),
            _ => is_blob() || (Self::may_be_either(descriptor) && is_manifest()),
        }
    }
}
