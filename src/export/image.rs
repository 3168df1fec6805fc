//! An image to a sink: blobs first, then manifests, then indexes, so that nothing is named before
//! it is there.

use super::ExportOptions;
use super::no_image;
use super::skipped::Skipped;
use crate::error::Doing;
use crate::error::Error;
use crate::error::Result;
use crate::history::refs::RefName;
use crate::oci::config::ImageConfig;
use crate::oci::descriptor::Descriptor;
use crate::oci::digest::Digest;
use crate::oci::document;
use crate::oci::document::Document;
use crate::oci::document::Missing;
use crate::oci::json;
use crate::oci::location::Location;
use crate::oci::manifest::Manifest;
use crate::oci::media_type::MediaType;
use crate::oci::open;
use crate::oci::sink::Layers;
use crate::oci::sink::Sink;
use crate::oci::source::Root;
use crate::oci::source::Source;
use crate::progress::Progress;
use crate::repo::Images;
use crate::repo::Repo;
use crate::repo::Version;
use std::io::Read;

pub fn to_sink(
    repo: &Repo,
    version: &Version,
    location: &Location,
    options: &ExportOptions,
    progress: &dyn Progress,
) -> Result<(Option<String>, Vec<Skipped>)> {
    let images = repo.images();
    let whole = version.descriptor()?.ok_or_else(|| no_image(version))?;
    let root = match &options.platform {
        Some(wanted) => {
            let tree = repo.platform_tree(version, Some(&wanted.to_string()))?;
            of_manifest(&images, &tree.manifest)?
        }
        None => whole,
    };
    let mut sink = open::create(location, options.replace, options.standard_output)?;
    let mut documents: Vec<(Descriptor, Vec<u8>)> = Vec::new();
    let mut copy = Copy { images: &images, sink: &mut *sink, progress };
    // What an import left out as absent at its source is absent here too.
    let mut skip = |_: &Descriptor| {};
    document::walk(&images, &root, &mut Missing::Told(&mut skip), &mut |visit| {
        if let Document::Manifest(manifest) = visit.document {
            copy.blobs(manifest)?;
        }
        documents.push((visit.descriptor.clone(), visit.bytes.to_vec()));
        Ok(())
    })?;
    if documents.is_empty() {
        return Err(Error::not_found("manifest", root.digest.to_string()));
    }
    // The walk comes from above; what names others is written after them.
    for (descriptor, bytes) in documents.iter().rev() {
        sink.put(descriptor, &mut &bytes[..])?;
    }
    let digest = root.digest.to_string();
    let name = name_there(location, options.name.as_ref());
    sink.finish(&[Root::new(root, name.into_iter().collect())])?;
    Ok((Some(digest), Vec::new()))
}

/// A layout names images by a tag alone, docker by name and tag.
fn name_there(location: &Location, name: Option<&RefName>) -> Option<String> {
    let docker = matches!(location, Location::DockerArchive { .. });
    match (location.reference(), name) {
        (Some(tag), Some(name)) if docker && !tag.contains([':', '/']) => {
            Some(format!("{}:{tag}", name.name()))
        }
        (Some(said), _) => Some(said.to_string()),
        (None, Some(name)) if docker => Some(name.to_string()),
        (None, name) => name.map(|name| name.reference().to_string()),
    }
}

/// The descriptor of one manifest of an index, whose size only the store knows.
fn of_manifest(images: &Images, digest: &str) -> Result<Descriptor> {
    let digest = Digest::parse(digest)?;
    let size = images.size(&digest)?.ok_or_else(|| Error::not_found("manifest", digest.to_string()))?;
    let descriptor = Descriptor::new(MediaType::default(), digest, size);
    let (_, document) = document::read(images, &descriptor)?;
    let Document::Manifest(manifest) = document else {
        return Err(Error::invalid(descriptor.digest.to_string(), "is an index, not a platform's manifest"));
    };
    Ok(Descriptor { media_type: manifest.media_type, ..descriptor })
}

struct Copy<'a> {
    images: &'a Images,
    sink: &'a mut dyn Sink,
    progress: &'a dyn Progress,
}

impl Copy<'_> {
    fn blobs(&mut self, manifest: &Manifest) -> Result<()> {
        let all_layers =
            manifest.is_image() && manifest.layers.iter().all(|layer| layer.media_type.is_layer());
        if self.sink.wants() == Layers::AsTheyAre || !all_layers {
            for (at, blob) in manifest.blobs().enumerate() {
                self.blob(blob, &format!("blob {} of {}", at + 1, manifest.layers.len() + 1))?;
            }
            return Ok(());
        }
        self.blob(&manifest.config, "config")?;
        let bytes = document::read_blob(self.images, &manifest.config, "config", json::CONFIG_BYTES_MAX)?;
        for (at, diff_id) in ImageConfig::parse(&bytes)?.diff_ids()?.into_iter().enumerate() {
            let digest = Digest::from(diff_id);
            let absent = || Error::not_found("layer", digest.to_string());
            let size = self.images.size(&digest)?.ok_or_else(absent)?;
            let plain = Descriptor::new(MediaType::default(), digest, size);
            self.blob(&plain, &format!("layer {} of {}", at + 1, manifest.layers.len()))?;
        }
        Ok(())
    }

    fn blob(&mut self, descriptor: &Descriptor, thing: &str) -> Result<()> {
        crate::progress::check(self.progress)?;
        if self.sink.has(descriptor)? {
            return Ok(());
        }
        // A foreign layer that the import did without.
        if !self.images.has(descriptor) && !descriptor.urls.is_empty() {
            self.progress
                .note(&format!("Left out: foreign layer {}, which is not in the store.", descriptor.digest));
            return Ok(());
        }
        self.progress.begin(&format!("writing {thing}"), Some(descriptor.size));
        let mut from = Counted { inner: self.images.open(descriptor)?, progress: self.progress };
        self.sink.put(descriptor, &mut from).doing(|| format!("{thing} ({})", descriptor.digest))
    }
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
