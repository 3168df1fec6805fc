//! A registry as a place that images come from.

use crate::error::Error;
use crate::error::Result;
use crate::oci::descriptor::Descriptor;
use crate::oci::digest::Digest;
use crate::oci::media_type::Kind;
use crate::oci::source::Root;
use crate::oci::source::Source;
use crate::remote::repository::Repository;
use crate::wire::reference::Reference;
use std::io::Cursor;
use std::io::Read;
use std::sync::Mutex;

/// One root of a repository and all that it names.
///
/// Opening it costs one HEAD; the documents are fetched when they are read, so that a caller who has
/// them already asks for nothing more.
pub struct RegistrySource {
    repository: Repository,
    root: Root,
    /// The document fetched last, which may well be asked for again.
    last: Mutex<Option<(Digest, Vec<u8>)>>,
}

impl RegistrySource {
    pub(super) fn open(repository: Repository, reference: &Reference) -> Result<RegistrySource> {
        let absent = || {
            let mark = if matches!(reference, Reference::Tag(_)) { ':' } else { '@' };
            Error::not_found("image", format!("{}{mark}{reference}", repository.name()))
        };
        let descriptor = repository.head(reference)?.ok_or_else(absent)?;
        let names = match reference {
            Reference::Tag(tag) => vec![repository.name().with_tag(tag)?.full()],
            // A digest is no name: the store gives what has none the name it is asked to.
            Reference::Digest(_) => Vec::new(),
        };
        Ok(RegistrySource { repository, root: Root::new(descriptor, names), last: Mutex::default() })
    }

    pub fn root(&self) -> &Root {
        &self.root
    }

    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    fn manifest(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>> {
        Ok(Box::new(Cursor::new(self.document(descriptor)?)))
    }

    fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>> {
        let mut last = self.last.lock().expect("no holder panics");
        match &*last {
            Some((digest, bytes)) if *digest == descriptor.digest => Ok(bytes.clone()),
            _ => {
                let (_, bytes) = self.repository.manifest(&Reference::from(&descriptor.digest))?;
                *last = Some((descriptor.digest.clone(), bytes.clone()));
                Ok(bytes)
            }
        }
    }

    /// What an index lists may be a manifest of a kind that nobody here knows.
    fn may_be_either(descriptor: &Descriptor) -> bool {
        descriptor.media_type.is_empty()
    }
}

impl Source for RegistrySource {
    fn referrers(&self, of: &Digest) -> Result<Vec<Descriptor>> {
        self.repository.referrers(of, None)
    }

    fn roots(&self) -> Result<Vec<Root>> {
        Ok(vec![self.root.clone()])
    }

    fn open(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>> {
        let is_root = descriptor.digest == self.root.descriptor.digest;
        if is_root || descriptor.media_type.is_document() {
            return self.manifest(descriptor);
        }
        match self.repository.open(descriptor) {
            Err(Error::NotFound { .. }) if Self::may_be_either(descriptor) => self.manifest(descriptor),
            opened => opened,
        }
    }

    /// `true` also when the registry cannot be asked: opening it will tell why.
    fn has(&self, descriptor: &Descriptor) -> bool {
        let is_root = descriptor.digest == self.root.descriptor.digest;
        let is_blob = || self.repository.has_blob(descriptor).unwrap_or(true);
        // It is fetched, for who asks whether it is there reads it next.
        let is_manifest = || is_no_absence(&self.document(descriptor));
        match descriptor.media_type.kind() {
            _ if is_root => true,
            Kind::Manifest | Kind::Index | Kind::Schema1 => is_manifest(),
            _ => is_blob() || (Self::may_be_either(descriptor) && is_manifest()),
        }
    }
}

/// A failure is no absence: whoever opens the thing is told of it.
fn is_no_absence<T>(asked: &Result<T>) -> bool {
    !matches!(asked, Err(err) if matches!(err.root(), Error::NotFound { .. }))
}
