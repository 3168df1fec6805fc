//! One repository: what can be asked of it, at its mirrors first and then at the host itself.

use crate::error::Error;
use crate::error::Result;
use crate::oci::descriptor::Descriptor;
use crate::oci::digest::Digest;
use crate::oci::name::ImageName;
use crate::remote::download;
use crate::remote::host::Host;
use crate::remote::runtime::Runtime;
use crate::remote::sink::RegistrySink;
use crate::remote::sink::SinkOptions;
use crate::remote::source::RegistrySource;
use crate::wire::reference::Reference;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

/// A clone is the same repository and shares its connections.
#[derive(Clone)]
pub struct Repository {
    runtime: Arc<Runtime>,
    /// Without tag and digest.
    name: ImageName,
    places: Arc<[Place]>,
}

/// A repository at one address.
#[derive(Clone)]
pub struct Place {
    pub host: Arc<Host>,
    pub repository: String,
    pub is_mirror: bool,
    /// It could not be reached: the others are asked first from now on.
    is_down: Arc<AtomicBool>,
}

impl Place {
    pub fn new(host: Arc<Host>, repository: String, is_mirror: bool) -> Place {
        Place { host, repository, is_mirror, is_down: Arc::default() }
    }

    /// `localhost:5000/app:v1`, as errors name it.
    pub fn name_of(&self, reference: &Reference) -> String {
        let mark = if matches!(reference, Reference::Tag(_)) { ':' } else { '@' };
        format!("{}/{}{mark}{reference}", self.host.name, self.repository)
    }

    pub fn name_of_digest(&self, digest: &Digest) -> String {
        format!("{digest} of {}/{}", self.host.name, self.repository)
    }
}

impl Repository {
    pub(super) fn new(runtime: Arc<Runtime>, name: &ImageName, places: Vec<Place>) -> Result<Repository> {
        if places.is_empty() {
            return Err(Error::Usage(format!("no registry is configured for {name}")));
        }
        Ok(Repository { runtime, name: ImageName::parse(name.name())?, places: places.into() })
    }

    /// The name of it, without tag and digest.
    pub fn name(&self) -> &ImageName {
        &self.name
    }

    /// The host that names say, not that of a mirror.
    pub fn host(&self) -> &str {
        self.name.host_and_path().0
    }

    /// What a reference leads to now: one HEAD. `None` when there is no such thing.
    pub fn head(&self, reference: &Reference) -> Result<Option<Descriptor>> {
        let found = self.first(|place| {
            let found = self.runtime.run(place.head(reference))?;
            found.ok_or_else(|| Error::not_found("manifest", place.name_of(reference)))
        });
        match found {
            Err(err) if matches!(err.root(), Error::NotFound { .. }) => Ok(None),
            found => found.map(Some),
        }
    }

    /// A manifest or an index: its exact bytes, held to its digest, and what it is.
    pub fn manifest(&self, reference: &Reference) -> Result<(Descriptor, Vec<u8>)> {
        let (descriptor, bytes) = self.first(|place| self.runtime.run(place.manifest(reference)))?;
        Ok((descriptor, bytes.to_vec()))
    }

    /// Opens a blob. Its size is not exceeded by more than a byte; its digest is for the reader to check.
    ///
    /// A connection that breaks is made again, and goes on where it broke. The `urls` of the
    /// descriptor are not looked at.
    pub fn open(&self, blob: &Descriptor) -> Result<Box<dyn Read + Send>> {
        let (at, opened) = self.first_at(|place| self.runtime.run(download::start(place, blob)))?;
        // Should this place fail for good, the ones behind it may still have the rest.
        let places = self.places[at..].to_vec();
        Ok(Box::new(download::Download::new(self.runtime.clone(), places, blob, opened)))
    }

    /// Says whether the blob is there, in its right size.
    pub fn has_blob(&self, blob: &Descriptor) -> Result<bool> {
        let found = self.first(|place| match self.runtime.run(download::is_there(place, blob))? {
            true => Ok(()),
            false => Err(Error::not_found("blob", place.name_of_digest(&blob.digest))),
        });
        match found {
            Ok(()) => Ok(true),
            Err(err) if matches!(err.root(), Error::NotFound { .. }) => Ok(false),
            Err(err) => Err(err),
        }
    }

    /// What `import` reads from: one root, the manifest or index of `reference`.
    pub fn source(&self, reference: &Reference) -> Result<RegistrySource> {
        RegistrySource::open(self.clone(), reference)
    }

    /// All tags, in the order of the registry.
    pub fn tags(&self) -> Result<Vec<String>> {
        self.first(|place| self.runtime.run(place.tags()))
    }

    /// What refers to a manifest, of one type or of all: signatures, SBOMs, attestations.
    pub fn referrers(&self, subject: &Digest, artifact_type: Option<&str>) -> Result<Vec<Descriptor>> {
        self.first(|place| self.runtime.run(place.referrers(subject, artifact_type)))
    }

    /// Deletes a tag alone, or a manifest with all its tags. What a registry cannot do is an
    /// [`Error::Server`], and nothing else is done in its stead.
    pub fn delete(&self, reference: &Reference) -> Result<()> {
        self.runtime.run(self.origin()?.delete(reference))
    }

    /// What `export` writes to: the host itself, never a mirror.
    pub fn sink(&self, options: SinkOptions) -> Result<RegistrySink> {
        RegistrySink::new(self.runtime.clone(), self.origin()?.clone(), options)
    }

    /// The host itself: mirrors are for reading.
    fn origin(&self) -> Result<&Place> {
        let origin = self.places.iter().find(|place| !place.is_mirror);
        origin.ok_or_else(|| Error::Usage(format!("{} has mirrors only, which are for reading", self.name)))
    }

    /// Asks one place after the other until one answers. The host itself is the last, and what it
    /// says is what the person hears.
    fn first<T>(&self, ask: impl Fn(&Place) -> Result<T>) -> Result<T> {
        self.first_at(ask).map(|(_, answer)| answer)
    }

    fn first_at<T>(&self, ask: impl Fn(&Place) -> Result<T>) -> Result<(usize, T)> {
        let last = self.places.len() - 1;
        for (at, place) in self.places.iter().enumerate() {
            if at < last && place.is_down.load(Ordering::Relaxed) {
                continue;
            }
            match ask(place) {
                Ok(answer) => return Ok((at, answer)),
                Err(err) if at == last || matches!(err.root(), Error::Interrupted) => return Err(err),
                Err(err) if matches!(err.root(), Error::Network { .. }) => {
                    place.is_down.store(true, Ordering::Relaxed);
                }
                Err(_) => {}
            }
        }
        unreachable!("the last place returns, and `new` refuses to have none")
    }
}
