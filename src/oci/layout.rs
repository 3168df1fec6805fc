//! OCI layouts: a folder of blobs with an `index.json`. The same files in a tar are an oci-archive.
//!
//! OCI image-spec, "Image Layout". Blobs may be missing; a symlink is followed only inside of the
//! folder. A write puts blobs in place one by one, each whole or not at all, and `index.json` last,
//! so a power cut leaves blobs that nothing names, never a name without its blobs.

use crate::error::Doing;
use crate::error::Error;
use crate::error::Result;
use crate::fs;
use crate::fs::AtomicFile;
use crate::fs::File;
use crate::fs::Folder;
use crate::oci::descriptor::Descriptor;
use crate::oci::digest::Digest;
use crate::oci::digest::Verifier;
use crate::oci::files;
use crate::oci::files::Files;
use crate::oci::index::Index;
use crate::oci::json;
use crate::oci::sink::Sink;
use crate::oci::source::ANNOTATION_IMAGE_NAME;
use crate::oci::source::Root;
use crate::oci::source::Source;
use crate::oci::source::roots_of;
use crate::path::shown;
use oci_spec::image::ANNOTATION_REF_NAME;
use rustix::fs::FlockOperation;
use rustix::io::Errno;
use serde::Deserialize;
use serde_json::Value;
use serde_json::json;
use std::collections::HashSet;
use std::io;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;

pub const MARKER: &str = "oci-layout";
pub const INDEX: &str = "index.json";
pub const MARKER_JSON: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;
const MARKER_BYTES_MAX: u64 = 64 << 10;
/// An `index.json` is no manifest of a registry: that of a mirror may list ten thousands of tags.
const INDEX_BYTES_MAX: u64 = 16 << 20;

/// `blobs/sha256/…`; a parsed digest has no `/` and no dots alone, so this stays in its folder.
pub fn blob_path(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm(), digest.encoded())
}

/// Reads a layout, wherever its files are.
pub struct Layout<F> {
    files: F,
    roots: Vec<Root>,
}

impl Layout<Folder> {
    pub fn open(path: &Path) -> Result<Layout<Folder>> {
        Layout::of(Folder::open(path)?)
    }
}

impl<F: Files> Layout<F> {
    pub fn of(files: F) -> Result<Layout<F>> {
        check_marker(&files)?;
        let Some(bytes) = files::read_small(&files, INDEX, INDEX_BYTES_MAX)? else {
            return Err(Error::invalid(files.place(), "is an OCI layout without index.json"));
        };
        let thing = format!("{INDEX} in {}", files.place());
        let index: Index = json::parse(&thing, &bytes, INDEX_BYTES_MAX)?;
        Ok(Layout { files, roots: roots_of(index.manifests) })
    }

    /// For archives that keep better names elsewhere.
    pub fn roots_mut(&mut self) -> &mut Vec<Root> {
        &mut self.roots
    }
}

fn check_marker(files: &dyn Files) -> Result<()> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Marker {
        image_layout_version: String,
    }
    let Some(bytes) = files::read_small(files, MARKER, MARKER_BYTES_MAX)? else {
        return Err(Error::invalid(files.place(), "is not an OCI layout: it has no file oci-layout"));
    };
    let thing = format!("{MARKER} in {}", files.place());
    let marker: Marker = json::parse(&thing, &bytes, MARKER_BYTES_MAX)?;
    match marker.image_layout_version.split('.').next() {
        Some("1") => Ok(()),
        _ => Err(Error::invalid(
            thing,
            format!("is of version {}; imgit reads version 1", shown(marker.image_layout_version.as_bytes())),
        )),
    }
}

impl<F: Files> Source for Layout<F> {
    fn roots(&self) -> Result<Vec<Root>> {
        Ok(self.roots.clone())
    }

    fn open(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>> {
        match self.files.open(&blob_path(&descriptor.digest))? {
            Some((_, reader)) => Ok(Box::new(reader.take(descriptor.size.saturating_add(1)))),
            None => Err(Error::not_found("blob", format!("{} in {}", descriptor.digest, self.files.place()))),
        }
    }

    fn has(&self, descriptor: &Descriptor) -> bool {
        self.files.is_there(&blob_path(&descriptor.digest))
    }
}

/// Writes a layout, or adds to the one that is there.
pub struct LayoutSink {
    path: PathBuf,
    /// What was put, or was there already with the right bytes.
    known: HashSet<Digest>,
}

impl LayoutSink {
    /// Takes a new or empty folder, or a layout; anything else is left alone.
    pub fn create(path: &Path) -> Result<LayoutSink> {
        fs::create_dir_all(path)?;
        if fs::look(&path.join(MARKER))?.is_some() {
            check_marker(&Folder::open(path)?).map_err(Error::typed)?;
        } else if fs::list(path)?.is_empty() {
            fs::write_atomic(&path.join(MARKER), MARKER_JSON.as_bytes())?;
        } else {
            return Err(Error::Usage(format!("{} is neither empty nor an OCI layout", path.display())));
        }
        Ok(LayoutSink { path: path.to_path_buf(), known: HashSet::new() })
    }

    /// A symlink in place of `blobs` or `blobs/ALGORITHM` could lead anywhere.
    fn blob_folder(&self, digest: &Digest) -> Result<PathBuf> {
        let mut folder = self.path.clone();
        for part in ["blobs", digest.algorithm()] {
            folder.push(part);
            match fs::look_no_follow(&folder)? {
                None => {
                    fs::create_dir_all(&folder)?;
                    fs::sync_dir(folder.parent().expect("it was just joined"))?;
                }
                Some(there) if there.is_dir() => {}
                Some(_) => {
                    return Err(Error::invalid(folder.display().to_string(), "is not a folder"));
                }
            }
        }
        Ok(folder)
    }

    /// Waits for whoever is writing `index.json`; the lock goes with the file.
    fn lock(&self) -> Result<File> {
        let folder = fs::open(&self.path)?;
        loop {
            match rustix::fs::flock(&folder, FlockOperation::LockExclusive) {
                Err(Errno::INTR) => {}
                // Some network file systems have no locks for folders, and a lone writer needs none.
                Ok(()) | Err(Errno::BADF | Errno::NOLCK | Errno::OPNOTSUPP | Errno::NOSYS) => {
                    return Ok(folder);
                }
                Err(err) => return Err(Error::io("lock", &self.path)(err.into())),
            }
        }
    }

    fn existing_index(&self) -> Result<Value> {
        let folder = Folder::open(&self.path)?;
        match files::read_small(&folder, INDEX, INDEX_BYTES_MAX)? {
            None => Ok(json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json"})),
            Some(bytes) => {
                // Checked as an index, kept as it is: fields that we do not know stay.
                let thing = format!("{INDEX} in {}", self.path.display());
                let _: Index = json::parse(&thing, &bytes, INDEX_BYTES_MAX)?;
                json::parse(&thing, &bytes, INDEX_BYTES_MAX)
            }
        }
    }
}

impl Sink for LayoutSink {
    fn has(&mut self, descriptor: &Descriptor) -> Result<bool> {
        let digest = &descriptor.digest;
        if self.known.contains(digest) {
            return Ok(true);
        }
        let holds = files::holds(&self.path.join(blob_path(digest)), descriptor)?;
        if holds {
            self.known.insert(digest.clone());
        }
        Ok(holds)
    }

    fn put(&mut self, descriptor: &Descriptor, from: &mut dyn Read) -> Result<()> {
        let thing = format!("blob {}", descriptor.digest);
        let mut verified = Verifier::new(&thing, &descriptor.digest, descriptor.size, from);
        let path = self.blob_folder(&descriptor.digest)?.join(descriptor.digest.encoded());
        let mut file = AtomicFile::create(&path)?;
        copy(&thing, &mut verified, &mut file, &path)?;
        file.finish()?;
        self.known.insert(descriptor.digest.clone());
        Ok(())
    }

    fn finish(mut self: Box<Self>, roots: &[Root]) -> Result<()> {
        // Reading, adding and writing are one step: two exports at once would lose a name.
        let _lock = self.lock()?;
        let mut index = self.existing_index()?;
        let mut entries = match index.get_mut("manifests").map(Value::take) {
            Some(Value::Array(entries)) => entries,
            _ => Vec::new(),
        };
        for root in roots {
            if !self.has(&root.descriptor)? {
                return Err(Error::not_found("blob", root.descriptor.digest.as_str()))
                    .doing(|| format!("cannot name an image in {}", self.path.display()));
            }
            add(&mut entries, root);
        }
        index["manifests"] = Value::Array(entries);
        fs::write_atomic(&self.path.join(INDEX), index.to_string().as_bytes())
    }
}

/// The `index.json` of a new layout with these images.
pub fn index_json(roots: &[Root]) -> String {
    let mut entries = Vec::new();
    for root in roots {
        add(&mut entries, root);
    }
    json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": entries,
    })
    .to_string()
}

/// A name moves to the new image, as skopeo has it; the old image stays if it has other names.
fn add(entries: &mut Vec<Value>, root: &Root) {
    let name_of = |entry: &Value| Some(entry["annotations"][ANNOTATION_REF_NAME].as_str()?.to_owned());
    let mut descriptor = root.descriptor.clone();
    descriptor.annotations = root.annotations.clone();
    descriptor.annotations.remove(ANNOTATION_REF_NAME);
    descriptor.annotations.remove(ANNOTATION_IMAGE_NAME);
    let digest = descriptor.digest.as_str();
    // The same image without a name gets one, or stays as it is.
    entries.retain(|entry| entry["digest"] != digest || name_of(entry).is_some());
    entries.retain(|entry| name_of(entry).is_none_or(|name| !root.names.contains(&name)));
    if root.names.is_empty() && !entries.iter().any(|entry| entry["digest"] == digest) {
        entries.push(json!(descriptor));
    }
    for name in &root.names {
        let mut named = descriptor.clone();
        named.annotations.insert(ANNOTATION_REF_NAME.to_owned(), name.clone());
        entries.push(json!(named));
    }
}

/// Copies a stream, telling a fault of the reader from one of the writer.
pub(super) fn copy(thing: &str, from: &mut dyn Read, to: &mut dyn io::Write, path: &Path) -> Result<u64> {
    let mut buffer = vec![0; 128 << 10];
    let mut count = 0;
    loop {
        let n = match from.read(&mut buffer) {
            Ok(0) => return Ok(count),
            Ok(n) => n,
            Err(err) if err.kind() == io::ErrorKind::Interrupted => continue,
            Err(err) => return Err(crate::error::from_stream(thing, err)),
        };
        to.write_all(&buffer[..n]).map_err(Error::io("write", path))?;
        count += n as u64;
    }
}
