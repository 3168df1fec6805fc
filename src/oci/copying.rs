//! Tests only: an image from any source to any sink, without a store between them.

use crate::error::Result;
use crate::error::from_stream;
use crate::oci::config::ImageConfig;
use crate::oci::descriptor::Descriptor;
use crate::oci::digest::Digest;
use crate::oci::digest::Verifier;
use crate::oci::document;
use crate::oci::document::Document;
use crate::oci::document::Missing;
use crate::oci::json;
use crate::oci::manifest::Manifest;
use crate::oci::media_type::Kind;
use crate::oci::sink::Layers;
use crate::oci::sink::Sink;
use crate::oci::source::Root;
use crate::oci::source::Source;
use crate::oci::stream;
use std::io::Read;

/// Copies what is under the roots: blobs before manifests, children before parents.
pub fn copy(source: &dyn Source, roots: &[Root], mut sink: Box<dyn Sink>) -> Result<()> {
    for root in roots {
        let mut documents = Vec::new();
        document::walk(source, &root.descriptor, &mut Missing::Fails, &mut |visit| {
            documents.push((visit.descriptor.clone(), visit.bytes.to_vec(), visit.document.clone()));
            Ok(())
        })?;
        for (descriptor, bytes, document) in documents.into_iter().rev() {
            if let Document::Manifest(manifest) = &document {
                put_blobs(source, manifest, &mut *sink)?;
            }
            sink.put(&descriptor, &mut &bytes[..])?;
        }
    }
    sink.finish(roots)
}

fn put_blobs(source: &dyn Source, manifest: &Manifest, sink: &mut dyn Sink) -> Result<()> {
    let diff_ids = match manifest.config.media_type.kind() {
        Kind::Config => {
            let bytes = document::read_blob(source, &manifest.config, "config", json::CONFIG_BYTES_MAX)?;
            ImageConfig::parse(&bytes)?.rootfs.diff_ids
        }
        _ => Vec::new(),
    };
    for (at, blob) in manifest.blobs().enumerate() {
        let thing = format!("blob {at}");
        let reader = source.open(blob)?;
        let mut verified = Verifier::new(&thing, &blob.digest, blob.size, reader);
        if sink.wants() == Layers::Uncompressed && at > 0 {
            let mut tar = Vec::new();
            let mut bytes = Vec::new();
            verified.read_to_end(&mut bytes).map_err(|err| from_stream(&thing, err))?;
            let (_, mut plain) = stream::decoded(&thing, Box::new(std::io::Cursor::new(bytes)))?;
            plain.read_to_end(&mut tar).map_err(|err| from_stream(&thing, err))?;
            let layer = Descriptor::new(blob.media_type.clone(), diff_ids[at - 1].clone(), tar.len() as u64);
            sink.put(&layer, &mut &tar[..])?;
        } else if !sink.has(blob)? {
            sink.put(blob, &mut verified)?;
        }
    }
    Ok(())
}

/// Every digest under the roots, in order of the walk, all blobs read and verified.
pub fn digests(source: &dyn Source, roots: &[Root]) -> Result<Vec<Digest>> {
    let mut found = Vec::new();
    for root in roots {
        document::walk(source, &root.descriptor, &mut Missing::Fails, &mut |visit| {
            found.push(visit.descriptor.digest.clone());
            if let Document::Manifest(manifest) = visit.document {
                for blob in manifest.blobs() {
                    Verifier::new("blob", &blob.digest, blob.size, source.open(blob)?).finish()?;
                    found.push(blob.digest.clone());
                }
            }
            Ok(())
        })?;
    }
    Ok(found)
}
