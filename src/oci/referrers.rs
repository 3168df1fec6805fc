//! What refers to an image without being in it: signatures, SBOMs, attestations.
//!
//! OCI distribution-spec, "Listing Referrers". An image's digest does not cover them, so they travel
//! only where they are asked for. In a store they stand on a branch of their own beside the image,
//! as an index under the name of the spec's "Referrers Tag Schema".

use crate::error::Error;
use crate::error::Result;
use crate::oci::descriptor::Descriptor;
use crate::oci::digest::Digest;
use crate::oci::index::Index;
use crate::oci::media_type::MediaType;
use crate::oci::source::Source;
use oci_spec::image::MediaType as Known;
use std::collections::HashSet;
use std::io::Cursor;
use std::io::Read;

/// Referrers of one image, and of those, all in all. Nobody signs one image so often.
pub const REFERRERS_MAX: usize = 10_000;

/// The tag under which a registry without the API lists them: `sha256-…`, 32 and 64 characters at most.
pub fn tag(of: &Digest) -> String {
    let cut = |text: &str, len: usize| text[..text.len().min(len)].to_string();
    format!("{}-{}", cut(of.algorithm(), 32), cut(of.encoded(), 64))
}

/// Everything that refers to one of `digests`, or to what does, with what it refers to; each once.
pub fn all(source: &dyn Source, digests: Vec<Digest>) -> Result<Vec<(Digest, Vec<Descriptor>)>> {
    let mut seen: HashSet<Digest> = digests.iter().cloned().collect();
    let mut waiting = digests;
    let mut found = Vec::new();
    while let Some(of) = waiting.pop() {
        let referrers = source.referrers(&of)?;
        waiting.extend(
            referrers.iter().map(|one| one.digest.clone()).filter(|digest| seen.insert(digest.clone())),
        );
        if seen.len() > REFERRERS_MAX {
            let thing = format!("number of referrers of {of}");
            return Err(Error::Limit { thing, limit: REFERRERS_MAX as u64, unit: "manifests" });
        }
        if !referrers.is_empty() {
            found.push((of, referrers));
        }
    }
    Ok(found)
}

/// A source that has one document more: the index of some referrers, which no place keeps as such.
pub struct Listed<'a> {
    source: &'a dyn Source,
    index: Vec<u8>,
    pub descriptor: Descriptor,
}

impl<'a> Listed<'a> {
    /// The same referrers make the same index, whatever order they came in.
    pub fn new(source: &'a dyn Source, mut referrers: Vec<Descriptor>) -> Listed<'a> {
        referrers.sort_by(|a, b| a.digest.cmp(&b.digest));
        referrers.dedup_by(|a, b| a.digest == b.digest);
        let media_type = MediaType::new(Known::ImageIndex.as_ref());
        let index = Index {
            schema_version: 2,
            media_type: media_type.clone(),
            manifests: referrers,
            ..Index::default()
        };
        let index = serde_json::to_vec(&index).expect("an index always serialises");
        Listed { source, descriptor: Descriptor::of(media_type.as_str(), &index), index }
    }
}

impl Source for Listed<'_> {
    fn roots(&self) -> Result<Vec<crate::oci::source::Root>> {
        self.source.roots()
    }

    fn open(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>> {
        match descriptor.digest == self.descriptor.digest {
            true => Ok(Box::new(Cursor::new(self.index.clone()))),
            false => self.source.open(descriptor),
        }
    }

    fn has(&self, descriptor: &Descriptor) -> bool {
        descriptor.digest == self.descriptor.digest || self.source.has(descriptor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Signed(Vec<(Digest, Vec<Descriptor>)>);

    impl Source for Signed {
        fn roots(&self) -> Result<Vec<crate::oci::source::Root>> {
            Ok(Vec::new())
        }

        fn open(&self, _: &Descriptor) -> Result<Box<dyn Read + Send>> {
            unreachable!("only the index is opened")
        }

        fn has(&self, _: &Descriptor) -> bool {
            false
        }

        fn referrers(&self, of: &Digest) -> Result<Vec<Descriptor>> {
            Ok(self.0.iter().find(|(digest, _)| digest == of).map(|(_, all)| all.clone()).unwrap_or_default())
        }
    }

    fn manifest(content: &str) -> Descriptor {
        Descriptor::of("application/vnd.oci.image.manifest.v1+json", content.as_bytes())
    }

    #[test]
    fn what_refers_to_referrers_is_found_too_and_a_ring_ends() {
        let [image, sbom, signature] = ["image", "sbom", "signature"].map(manifest);
        let source = Signed(vec![
            (image.digest.clone(), vec![sbom.clone(), signature.clone()]),
            (sbom.digest.clone(), vec![signature.clone()]),
            (signature.digest.clone(), vec![sbom.clone()]),
        ]);
        let found = all(&source, vec![image.digest.clone()]).unwrap();
        let of: HashSet<Digest> = found.into_iter().map(|(of, _)| of).collect();
        assert_eq!(of, HashSet::from([image.digest, sbom.digest, signature.digest]));
    }

    #[test]
    fn the_index_depends_on_nothing_but_the_referrers() {
        let source = Signed(Vec::new());
        let [a, b] = ["a", "b"].map(manifest);
        let one = Listed::new(&source, vec![a.clone(), b.clone()]);
        let other = Listed::new(&source, vec![b.clone(), a.clone(), b]);
        assert_eq!(one.descriptor, other.descriptor);
        let mut bytes = Vec::new();
        one.open(&one.descriptor).unwrap().read_to_end(&mut bytes).unwrap();
        assert_eq!(Digest::of(&bytes), one.descriptor.digest);
        assert_eq!(Index::parse(&bytes).unwrap().manifests.len(), 2);
    }

    #[test]
    fn the_tag_fits_the_registry_whatever_the_algorithm() {
        let sha512 = format!("sha512:{}", "a".repeat(128));
        assert_eq!(tag(&Digest::parse(&sha512).unwrap()), format!("sha512-{}", "a".repeat(64)));
        assert!(tag(&Digest::of(b"")).starts_with("sha256-e3b0c442"));
    }
}
