//! Images from any place to any other, every digest as it is, nothing kept in between.
//!
//! Blobs go before the manifest that names them and manifests before their index, so that nothing is
//! named before it is there. Bytes are held to digest and size by the sink, which reads all of them.

use crate::error::Doing;
use crate::error::Error;
use crate::error::Result;
use crate::error::from_stream;
use crate::layer::compression;
use crate::layer::compression::DecodeLimits;
use crate::oci::config::ImageConfig;
use crate::oci::descriptor::Descriptor;
use crate::oci::digest::Digest;
use crate::oci::digest::Verifier;
use crate::oci::document;
use crate::oci::document::Document;
use crate::oci::document::Missing;
use crate::oci::json;
use crate::oci::manifest::Manifest;
use crate::oci::media_type::MediaType;
use crate::oci::referrers;
use crate::oci::sink::Layers;
use crate::oci::sink::SharedSink;
use crate::oci::sink::Sink;
use crate::oci::source::Root;
use crate::oci::source::Source;
use crate::progress::Progress;
use std::collections::HashSet;
use std::io::Read;
use std::path::Path;
use std::sync::Mutex;

pub struct CopyOptions<'a> {
    /// Where a layer is unpacked that has to go out uncompressed.
    pub scratch: &'a Path,
    /// Blobs under way at once, where the sink takes several.
    pub jobs: usize,
    /// Copy what refers to the images too.
    pub referrers: bool,
}

/// What had to be written, and what was there already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    pub blobs: usize,
    pub bytes: u64,
    pub there: usize,
}

/// Copies everything under `roots` and gives it their names.
///
/// A manifest that an index names and the source has not is left out, as is a foreign layer; both
/// are told.
pub fn copy(
    source: &dyn Source,
    roots: &[Root],
    mut sink: Box<dyn Sink>,
    options: &CopyOptions,
    progress: &dyn Progress,
) -> Result<Copied> {
    let mut copied = Copied::default();
    let mut copy = Copy { source, sink: &mut *sink, options, progress, copied: &mut copied };
    let mut all = roots.to_vec();
    let mut documents = Vec::new();
    for root in roots {
        documents.extend(copy.root(&root.descriptor)?);
    }
    if options.referrers {
        let found = referrers::all(source, documents)?;
        for referrer in found.into_iter().flat_map(|(_, referrers)| referrers) {
            if all.iter().all(|root| root.descriptor.digest != referrer.digest) {
                copy.root(&referrer)?;
                all.push(Root::new(referrer, Vec::new()));
            }
        }
    }
    sink.finish(&all)?;
    Ok(copied)
}

struct Copy<'a> {
    source: &'a dyn Source,
    sink: &'a mut dyn Sink,
    options: &'a CopyOptions<'a>,
    progress: &'a dyn Progress,
    copied: &'a mut Copied,
}

impl Copy<'_> {
    /// Returns the digest of every manifest and index under the root.
    fn root(&mut self, root: &Descriptor) -> Result<Vec<Digest>> {
        let mut documents: Vec<(Descriptor, Vec<u8>)> = Vec::new();
        let progress = self.progress;
        let mut tell = |missing: &Descriptor| {
            if missing.digest != root.digest {
                let digest = &missing.digest;
                progress.note(&format!("Left out: {digest}, which the index names but the source has not."));
            }
        };
        document::walk(self.source, root, &mut Missing::Told(&mut tell), &mut |visit| {
            if let Document::Manifest(manifest) = visit.document {
                self.blobs(manifest)?;
            }
            documents.push((visit.descriptor.clone(), visit.bytes.to_vec()));
            Ok(())
        })?;
        if documents.is_empty() {
            return Err(Error::not_found("manifest", root.digest.to_string()));
        }
        // The walk comes from above; what names others is written after them.
        for (descriptor, bytes) in documents.iter().rev() {
            self.sink.put(descriptor, &mut &bytes[..])?;
        }
        Ok(documents.into_iter().map(|(descriptor, _)| descriptor.digest).collect())
    }

    fn blobs(&mut self, manifest: &Manifest) -> Result<()> {
        let has_layers_alone =
            manifest.is_image() && manifest.layers.iter().all(|layer| layer.media_type.is_layer());
        if self.sink.wants() == Layers::Uncompressed && has_layers_alone {
            return self.plain(manifest);
        }
        let mut seen = HashSet::new();
        let blobs: Vec<&Descriptor> = manifest.blobs().filter(|blob| seen.insert(&blob.digest)).collect();
        let bytes = blobs.iter().map(|blob| blob.size).fold(0, u64::saturating_add);
        self.progress.begin(&format!("copying {} blobs", blobs.len()), Some(bytes));
        let blobs = blobs.into_iter().filter(|blob| self.is_given(blob)).collect();
        let all = match self.sink.shared() {
            Some(sink) => shared(self.source, sink, blobs, self.options.jobs, self.progress)?,
            None => self.one_by_one(blobs)?,
        };
        self.copied.blobs += all.blobs;
        self.copied.bytes += all.bytes;
        self.copied.there += all.there;
        Ok(())
    }

    fn one_by_one(&mut self, blobs: Vec<&Descriptor>) -> Result<Copied> {
        let mut copied = Copied::default();
        for blob in blobs {
            crate::progress::check(self.progress)?;
            if self.sink.has(blob)? {
                self.progress.advance(blob.size);
                copied.there += 1;
                continue;
            }
            let from = self.source.open(blob).doing(|| told(blob))?;
            self.sink.put(blob, &mut *counted(from, self.progress)).doing(|| told(blob))?;
            copied.blobs += 1;
            copied.bytes += blob.size;
        }
        Ok(copied)
    }

    /// A foreign layer may be where its `urls` say, and nowhere else.
    fn is_given(&self, blob: &Descriptor) -> bool {
        let is_given = blob.urls.is_empty() || self.source.has(blob);
        if !is_given {
            let digest = &blob.digest;
            self.progress.note(&format!("Left out: foreign layer {digest}, which the source has not."));
        }
        is_given
    }

    /// The config, and each layer as a plain tar under its diff id.
    fn plain(&mut self, manifest: &Manifest) -> Result<()> {
        let copied = self.one_by_one(vec![&manifest.config])?;
        self.copied.blobs += copied.blobs;
        let config = document::read_blob(self.source, &manifest.config, "config", json::CONFIG_BYTES_MAX)?;
        let diff_ids = ImageConfig::parse(&config)?.diff_ids()?;
        for (layer, diff_id) in manifest.layers.iter().zip(diff_ids) {
            crate::progress::check(self.progress)?;
            if !self.is_given(layer) {
                continue;
            }
            let diff_id = Digest::from(diff_id);
            self.progress.begin(&format!("copying layer {}", layer.digest.short()), Some(layer.size));
            self.plain_layer(layer, diff_id).doing(|| format!("layer {}", layer.digest))?;
            self.copied.blobs += 1;
        }
        Ok(())
    }

    fn plain_layer(&mut self, layer: &Descriptor, diff_id: Digest) -> Result<()> {
        if let Some(plain) = self.source.plain(&diff_id)? {
            let mut from = counted(self.source.open(&plain)?, self.progress);
            return self.sink.put(&plain, &mut *from);
        }
        // An archive says how long a member is before it, so the tar has to be whole first.
        let thing = format!("layer {}", layer.digest);
        let from = Verifier::new(thing.clone(), &layer.digest, layer.size, self.source.open(layer)?);
        let (_, mut tar) = compression::decoder("layer", from, &DecodeLimits::default())?;
        let mut spool = crate::fs::spool_in(self.options.scratch, &mut tar, &thing)?;
        let size = spool.metadata().map_err(|err| from_stream(&thing, err))?.len();
        let plain = Descriptor::new(MediaType::default(), diff_id, size);
        self.sink.put(&plain, &mut spool)
    }
}

/// Copies several blobs at once. The first that fails is the one that is told.
fn shared(
    source: &dyn Source,
    sink: &dyn SharedSink,
    blobs: Vec<&Descriptor>,
    jobs: usize,
    progress: &dyn Progress,
) -> Result<Copied> {
    let jobs = jobs.clamp(1, blobs.len().max(1));
    let queue = Mutex::new(blobs.into_iter());
    let state: Mutex<Result<Copied>> = Mutex::new(Ok(Copied::default()));
    let next = || {
        let fine = state.lock().expect("no panic while held").is_ok() && !progress.cancelled();
        fine.then(|| queue.lock().expect("no panic while held").next()).flatten()
    };
    let work = || {
        while let Some(blob) = next() {
            let open = || Ok(counted(source.open(blob)?, progress));
            let outcome = sink.offer(blob, &open).doing(|| told(blob));
            let mut state = state.lock().expect("no panic while held");
            match (&mut *state, outcome) {
                (Ok(copied), Ok(true)) => {
                    copied.blobs += 1;
                    copied.bytes += blob.size;
                }
                (Ok(copied), Ok(false)) => {
                    copied.there += 1;
                    progress.advance(blob.size);
                }
                (Ok(_), Err(err)) => *state = Err(err),
                (Err(_), _) => {}
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..jobs {
            scope.spawn(work);
        }
        work();
    });
    crate::progress::check(progress)?;
    state.into_inner().expect("no panic while held")
}

fn told(blob: &Descriptor) -> String {
    format!("blob {}", blob.digest)
}

fn counted<'a>(inner: Box<dyn Read + Send>, progress: &'a dyn Progress) -> Box<dyn Read + Send + 'a> {
    Box::new(Counted { inner, progress })
}

struct Counted<'a> {
    inner: Box<dyn Read + Send>,
    progress: &'a dyn Progress,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        crate::progress::check(self.progress)?;
        let count = self.inner.read(buffer)?;
        self.progress.advance(count as u64);
        Ok(count)
    }
}
