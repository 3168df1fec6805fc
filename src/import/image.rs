//! OCI and Docker images: an index, its manifests, their configs and layers, all kept verbatim.

use super::Taken;
use super::Work;
use super::ahead::Ahead;
use super::blobs::Blobs;
use super::layer;
use super::layer::LayerOf;
use crate::content::ContentSink;
use crate::error::Doing;
use crate::error::Error;
use crate::error::Result;
use crate::history::commit::Artifact;
use crate::history::commit::ArtifactKind;
use crate::history::commit::PlatformTree;
use crate::history::refs::RefName;
use crate::id::ChainId;
use crate::id::DiffId;
use crate::id::TreeId;
use crate::layer::flatten::Flattener;
use crate::oci::config::ImageConfig;
use crate::oci::descriptor::Descriptor;
use crate::oci::digest::Digest;
use crate::oci::digest::Verifier;
use crate::oci::document;
use crate::oci::document::Document;
use crate::oci::document::Missing;
use crate::oci::json;
use crate::oci::manifest::Manifest;
use crate::oci::name::ImageName;
use crate::oci::platform::Platform;
use crate::oci::referrers;
use crate::oci::referrers::Listed;
use crate::oci::source::Root;
use crate::oci::source::Source;
use crate::progress::Progress;
use crate::store::BlobRow;
use crate::store::BlobSource;
use std::collections::HashMap;
use std::collections::HashSet;
use std::io::Read;

/// Takes the given images of `source`, each under the names it was paired with.
pub fn take(
    work: &mut Work,
    source: &dyn Source,
    chosen: Vec<(Root, Vec<RefName>)>,
    progress: &dyn Progress,
) -> Result<Vec<Taken>> {
    let mut all = Vec::new();
    let mut blobs = Blobs::new(work.repo);
    // Two images may share a platform's manifest.
    let mut referred = HashSet::new();
    for (root, names) in chosen {
        let both = StoreFirst { store: Box::new(work.repo.images()), source };
        let descriptor = document::pick(&both, &root.descriptor, work.options.platform.as_ref())?;
        let mut reader =
            Reader { source: &both, blobs: &mut blobs, trees: Vec::new(), documents: Vec::new() };
        let artifact = reader.read(work, &descriptor, progress)?;
        let documents = reader.documents;
        let trees = reader.trees;
        if work.options.referrers {
            for (of, referrers) in referrers::all(source, documents)? {
                if !referred.insert(of.clone()) {
                    continue;
                }
                all.push(take_referrers(work, &mut blobs, source, (&of, referrers), &names, progress)?);
            }
        }
        all.push(Taken { names, artifact, trees });
    }
    Ok(all)
}

/// Keeps what refers to one manifest, on a branch beside each of the image's.
fn take_referrers(
    work: &mut Work,
    blobs: &mut Blobs,
    source: &dyn Source,
    (of, referrers): (&Digest, Vec<Descriptor>),
    names: &[RefName],
    progress: &dyn Progress,
) -> Result<Taken> {
    let listed = Listed::new(source, referrers);
    let both = StoreFirst { store: Box::new(work.repo.images()), source: &listed };
    let mut reader = Reader { source: &both, blobs, trees: Vec::new(), documents: Vec::new() };
    let artifact = reader.read(work, &listed.descriptor, progress).doing(|| format!("referrers of {of}"))?;
    let beside =
        |name: &RefName| Ok(RefName::of(&ImageName::parse(name.name())?.with_tag(&referrers::tag(of))?));
    let mut names = names.iter().map(beside).collect::<Result<Vec<_>>>()?;
    names.sort();
    names.dedup();
    Ok(Taken { names, artifact, trees: Vec::new() })
}

struct Reader<'a, 'b> {
    source: &'a StoreFirst<'a>,
    blobs: &'a mut Blobs<'b>,
    trees: Vec<PlatformTree>,
    /// Every manifest and index that was read.
    documents: Vec<Digest>,
}

impl Reader<'_, '_> {
    fn read(&mut self, work: &mut Work, root: &Descriptor, progress: &dyn Progress) -> Result<Artifact> {
        let mut kind = None;
        let mut platforms: HashMap<String, Platform> = HashMap::new();
        // A layout may hold some platforms of an index only; the index itself stays whole.
        let mut absent = Vec::new();
        let mut tell = |missing: &Descriptor| absent.push(missing.digest.to_string());
        document::walk(self.source, root, &mut Missing::Told(&mut tell), &mut |visit| {
            let found = match visit.document {
                Document::Index(index) => {
                    for child in &index.manifests {
                        if let Some(platform) = &child.platform {
                            platforms.entry(child.digest.to_string()).or_insert_with(|| platform.clone());
                        }
                    }
                    ArtifactKind::Index
                }
                Document::Manifest(manifest) => {
                    let platform = platforms.get(visit.descriptor.digest.as_str()).cloned();
                    self.manifest(work, manifest, visit.descriptor, platform, progress)?
                }
            };
            kind.get_or_insert(found);
            self.documents.push(visit.descriptor.digest.clone());
            self.keep(work, visit.descriptor, &mut &*visit.bytes)
        })?;
        for digest in absent {
            if digest == root.digest.as_str() {
                return Err(Error::not_found("manifest", digest));
            }
            progress.note(&format!("Left out: {digest}, which the index names but the source has not."));
        }
        let kind = kind.expect("the walk visits its root or tells that it is missing");
        let media_type = root.media_type.as_str().to_string();
        Ok(Artifact { kind, media_type, digest: root.digest.to_string(), size: root.size })
    }

    /// Keeps everything that the manifest names; an image is flattened too.
    fn manifest(
        &mut self,
        work: &mut Work,
        manifest: &Manifest,
        descriptor: &Descriptor,
        platform: Option<Platform>,
        progress: &dyn Progress,
    ) -> Result<ArtifactKind> {
        // BuildKit's attestations call themselves images; their layers tell.
        if !manifest.is_image() || !manifest.layers.iter().all(|layer| layer.media_type.is_layer()) {
            for (at, blob) in manifest.blobs().enumerate() {
                self.whole(
                    work,
                    blob,
                    &format!("blob {} of {}", at + 1, manifest.layers.len() + 1),
                    progress,
                )?;
            }
            return Ok(ArtifactKind::Other);
        }
        let thing = format!("config {}", manifest.config.digest);
        let bytes = document::read_blob(self.source, &manifest.config, &thing, json::CONFIG_BYTES_MAX)?;
        let config = ImageConfig::parse(&bytes).doing(|| format!("image {}", descriptor.digest))?;
        self.keep(work, &manifest.config, &mut &bytes[..])?;
        let (layers, diff_ids) = (&manifest.layers, config.diff_ids()?);
        if layers.len() != diff_ids.len() {
            return Err(Error::Mismatch {
                thing: format!("image {}", descriptor.digest),
                expected: format!("{} layers, one for each diff id of its config", diff_ids.len()),
                found: format!("{} layers", layers.len()),
            });
        }
        if let Some(tree) = self.layers(work, layers, &diff_ids, progress)? {
            let platform = platform.unwrap_or_else(|| config.platform()).to_string();
            self.trees.push(PlatformTree { platform, manifest: descriptor.digest.to_string(), tree });
        }
        Ok(ArtifactKind::Image)
    }

    /// Reads the layers that are new and flattens the stack from the highest known chain id on.
    ///
    /// `None` when a foreign layer is not in the source, so that there is no tree to speak of.
    fn layers(
        &mut self,
        work: &mut Work,
        layers: &[Descriptor],
        diff_ids: &[DiffId],
        progress: &dyn Progress,
    ) -> Result<Option<TreeId>> {
        let mut chains: Vec<ChainId> = Vec::new();
        for diff_id in diff_ids {
            chains.push(diff_id.chain_on(chains.last()));
        }
        let (flattened, known) = highest_known(work, &chains)?;
        let nodes = work.repo.nodes();
        let mut flattener = match &known {
            Some(tree) => Flattener::on(&work.repo.tree_record(tree)?, &nodes),
            None => Flattener::new(),
        };
        let named: Vec<LayerOf> = (layers.iter().zip(diff_ids).enumerate())
            .map(|(at, (descriptor, diff_id))| {
                let thing = format!("layer {} of {} ({})", at + 1, layers.len(), descriptor.digest.short());
                LayerOf { thing, descriptor, diff_id: *diff_id }
            })
            .collect();
        let source = self.source;
        let is_missing = |layer: &LayerOf| !layer.descriptor.urls.is_empty() && !source.has(layer.descriptor);
        let mut tree = known;
        let mut whole = true;
        std::thread::scope(|scope| {
            let mut ahead = Ahead::default();
            for (at, layer) in named.iter().enumerate() {
                crate::progress::check(progress)?;
                if is_missing(layer) {
                    let digest = &layer.descriptor.digest;
                    progress.note(&format!("Left out: foreign layer {digest}, which the source has not."));
                    whole = false;
                    continue;
                }
                let apply = at >= flattened && whole;
                if apply {
                    flattener.begin_layer();
                }
                let mut onto = apply.then_some(&mut flattener);
                let failed = || layer.thing.clone();
                if !layer::take_known(work, self.blobs, layer, onto.as_deref_mut()).doing(failed)? {
                    let start = |layer: &LayerOf| layer::start(scope, work, source, layer, progress);
                    let begun = ahead.take(layer).map_or_else(|| start(layer), Ok).doing(failed)?;
                    let repeats = |later: &LayerOf| later.descriptor.digest == layer.descriptor.digest;
                    let later = named[at + 1..].iter().filter(|later| !repeats(later) && !is_missing(later));
                    ahead.fill(later, self.blobs, start);
                    layer::take_begun(work, self.blobs, layer, begun, onto, progress).doing(failed)?;
                }
                // The base is what other images share; the whole is what this one is imported for.
                if apply && (at == 0 || at + 1 == layers.len()) {
                    let tx = &mut work.tx;
                    let record = flattener.finish(tx)?;
                    let id = tx.put_tree(&record)?;
                    tx.put_chain(chains[at], id);
                    tree = Some(id);
                }
            }
            Ok(())
        })?;
        if layers.is_empty() {
            let tx = &mut work.tx;
            let record = flattener.finish(tx)?;
            tree = Some(tx.put_tree(&record)?);
        }
        Ok(tree.filter(|_| whole))
    }

    /// A blob that is nothing but bytes to us: streamed into the store as one content.
    fn whole(
        &mut self,
        work: &mut Work,
        descriptor: &Descriptor,
        thing: &str,
        progress: &dyn Progress,
    ) -> Result<()> {
        if let Some(known) = self.blobs.get(&descriptor.digest)? {
            return known.check_size(descriptor);
        }
        progress.begin(&format!("reading {thing}"), Some(descriptor.size));
        let thing = format!("{thing} ({})", descriptor.digest);
        let opened = self.source.open(descriptor).doing(|| thing.clone())?;
        let mut verified = Verifier::new(thing, &descriptor.digest, descriptor.size, opened);
        self.keep(work, descriptor, &mut verified)?;
        verified.finish()
    }

    fn keep(&mut self, work: &mut Work, descriptor: &Descriptor, bytes: &mut dyn Read) -> Result<()> {
        if let Some(known) = self.blobs.get(&descriptor.digest)? {
            return known.check_size(descriptor);
        }
        let tx = &mut work.tx;
        let id = tx.put(descriptor.size, bytes)?;
        let row = BlobRow { source: BlobSource::Content(id), size: descriptor.size, diff_id: None };
        tx.put_blob(descriptor.digest.as_str().as_bytes(), row);
        self.blobs.insert(&descriptor.digest, row);
        Ok(())
    }
}

/// How many layers of the stack are flattened already, and into which tree.
fn highest_known(work: &Work, chains: &[ChainId]) -> Result<(usize, Option<TreeId>)> {
    for (at, chain) in chains.iter().enumerate().rev() {
        if let Some(tree) = work.repo.chain(chain)? {
            return Ok((at + 1, Some(tree)));
        }
    }
    Ok((0, None))
}

/// What the store has is read from the store: the source may be slow, or gone in part.
struct StoreFirst<'a> {
    store: Box<dyn Source + 'a>,
    source: &'a dyn Source,
}

impl Source for StoreFirst<'_> {
    fn roots(&self) -> Result<Vec<Root>> {
        self.source.roots()
    }

    fn open(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>> {
        if self.store.has(descriptor) { self.store.open(descriptor) } else { self.source.open(descriptor) }
    }

    fn has(&self, descriptor: &Descriptor) -> bool {
        self.store.has(descriptor) || self.source.has(descriptor)
    }
}
