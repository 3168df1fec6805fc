//! Oci-archives: an OCI layout in one tar.

use crate::error::Error;
use crate::error::Result;
use crate::fs::SharedFile;
use crate::oci::descriptor::Descriptor;
use crate::oci::digest::Digest;
use crate::oci::digest::Verifier;
use crate::oci::layout;
use crate::oci::layout::Layout;
use crate::oci::members::Members;
use crate::oci::sink::Sink;
use crate::oci::source::Root;
use crate::oci::tar_output::TarOutput;
use crate::oci::tar_output::Target;
use std::collections::BTreeSet;
use std::collections::HashSet;
use std::io::Read;

/// Reads an oci-archive; `file` is plain tar, a compressed one is spooled before.
pub fn open(file: SharedFile) -> Result<Layout<Members>> {
    Layout::of(Members::of(file)?)
}

/// Writes an oci-archive: the marker, the blobs as they come, `index.json`. The same calls make the
/// same bytes.
pub struct OciArchiveSink {
    output: TarOutput,
    known: HashSet<Digest>,
    folders: BTreeSet<String>,
}

impl OciArchiveSink {
    pub fn create(target: Target) -> Result<OciArchiveSink> {
        let mut output = TarOutput::create(target)?;
        let marker = layout::MARKER_JSON.as_bytes();
        output.file(layout::MARKER, marker.len() as u64, &mut &marker[..])?;
        output.folder("blobs/")?;
        Ok(OciArchiveSink { output, known: HashSet::new(), folders: BTreeSet::new() })
    }
}

impl Sink for OciArchiveSink {
    fn has(&mut self, descriptor: &Descriptor) -> Result<bool> {
        Ok(self.known.contains(&descriptor.digest))
    }

    fn put(&mut self, descriptor: &Descriptor, from: &mut dyn Read) -> Result<()> {
        if self.known.contains(&descriptor.digest) {
            return Ok(());
        }
        let algorithm = descriptor.digest.algorithm();
        if self.folders.insert(algorithm.to_owned()) {
            self.output.folder(&format!("blobs/{algorithm}/"))?;
        }
        let thing = format!("blob {}", descriptor.digest);
        let mut verified = Verifier::new(thing, &descriptor.digest, descriptor.size, from);
        self.output.file(&layout::blob_path(&descriptor.digest), descriptor.size, &mut verified)?;
        self.known.insert(descriptor.digest.clone());
        Ok(())
    }

    fn finish(mut self: Box<Self>, roots: &[Root]) -> Result<()> {
        if let Some(root) = roots.iter().find(|root| !self.known.contains(&root.descriptor.digest)) {
            return Err(Error::not_found("blob", root.descriptor.digest.as_str()));
        }
        let index = layout::index_json(roots);
        self.output.file(layout::INDEX, index.len() as u64, &mut index.as_bytes())?;
        self.output.finish()
    }
}
