//! Skopeo's `dir:`: one image as a folder of files named by hex, with its `manifest.json`.
//!
//! Not standardised; containers/image, `directory/`, is the truth. With `skopeo copy --all` the
//! `manifest.json` is an index and each of its manifests a `HEX.manifest.json`.

use crate::error::Error;
use crate::error::Result;
use crate::fs;
use crate::fs::AtomicFile;
use crate::fs::Folder;
use crate::oci::descriptor::Descriptor;
use crate::oci::digest::Verifier;
use crate::oci::document;
use crate::oci::document::Document;
use crate::oci::files;
use crate::oci::files::Files;
use crate::oci::json;
use crate::oci::layout::copy;
use crate::oci::media_type::DOCKER_LIST;
use crate::oci::media_type::DOCKER_MANIFEST;
use crate::oci::sink::Sink;
use crate::oci::source::Root;
use crate::oci::source::Source;
use crate::path::shown;
use std::collections::HashSet;
use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::path::PathBuf;

pub const VERSION: &str = "version";
pub const MANIFEST: &str = "manifest.json";
const VERSION_PREFIX: &str = "Directory Transport Version: ";
const VERSION_BYTES_MAX: u64 = 256;

pub struct Dir {
    folder: Folder,
    root: Root,
}

impl Dir {
    pub fn open(path: &Path) -> Result<Dir> {
        let folder = Folder::open(path)?;
        check_version(&folder)?;
        let thing = format!("{MANIFEST} in {}", folder.place());
        let Some(bytes) = files::read_small(&folder, MANIFEST, json::MANIFEST_BYTES_MAX)? else {
            return Err(Error::invalid(folder.place(), "has no manifest.json"));
        };
        // Nobody named it, so its own media type or its fields say what it is.
        let (own, plain) = match document::parse(&thing, &bytes, None)? {
            Document::Manifest(manifest) => (manifest.media_type, DOCKER_MANIFEST),
            Document::Index(index) => (index.media_type, DOCKER_LIST),
        };
        // Docker's media types are always written down; a document without one is OCI's.
        let media_type = match own.is_empty() {
            false => own,
            true if plain == DOCKER_LIST => oci_spec::image::MediaType::ImageIndex.into(),
            true => oci_spec::image::MediaType::ImageManifest.into(),
        };
        Ok(Dir { folder, root: Root::new(Descriptor::of(media_type, &bytes), Vec::new()) })
    }

    /// Newer versions put the algorithm in front of what is not sha256.
    fn names_of(&self, descriptor: &Descriptor) -> Vec<String> {
        let digest = &descriptor.digest;
        if *digest == self.root.descriptor.digest {
            return vec![MANIFEST.to_owned()];
        }
        let (algorithm, hex) = (digest.algorithm(), digest.encoded());
        let mut names = Vec::new();
        if descriptor.media_type.is_document() || descriptor.media_type.is_empty() {
            names.push(format!("{hex}.manifest.json"));
            names.push(format!("{algorithm}-{hex}.manifest.json"));
        }
        names.push(hex.to_owned());
        names.push(format!("{algorithm}-{hex}"));
        names
    }
}

fn check_version(folder: &Folder) -> Result<()> {
    let Some(bytes) = files::read_small(folder, VERSION, VERSION_BYTES_MAX)? else {
        return Err(Error::invalid(folder.place(), "has no file `version`, so it is not a `dir:` of skopeo"));
    };
    let text = String::from_utf8_lossy(&bytes);
    match text.trim_end().strip_prefix(VERSION_PREFIX) {
        Some(version) if version.starts_with("1.") => Ok(()),
        _ => Err(Error::invalid(
            format!("{VERSION} in {}", folder.place()),
            format!("is `{}`, not `{VERSION_PREFIX}1.x`", shown(text.trim_end().as_bytes())),
        )),
    }
}

impl Source for Dir {
    fn roots(&self) -> Result<Vec<Root>> {
        Ok(vec![self.root.clone()])
    }

    fn open(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>> {
        for name in self.names_of(descriptor) {
            if let Some((_, reader)) = Files::open(&self.folder, &name)? {
                return Ok(Box::new(reader.take(descriptor.size.saturating_add(1))));
            }
        }
        Err(Error::not_found("blob", format!("{} in {}", descriptor.digest, self.folder.place())))
    }

    fn has(&self, descriptor: &Descriptor) -> bool {
        self.names_of(descriptor).iter().any(|name| self.folder.is_there(name))
    }
}

/// Writes one image: its blobs, beside those of an old image; then `manifest.json`, over the old one;
/// then what nothing names any more is removed. A power cut leaves the old image, or none where none
/// was; after the second step the new one, perhaps with files of the old one that nothing names.
pub struct DirSink {
    path: PathBuf,
    /// The files that were put, or were there already with the right bytes.
    known: HashSet<PathBuf>,
}

impl DirSink {
    /// Takes a new or empty folder; with `replace` also one that holds a `dir:` image.
    pub fn create(path: &Path, replace: bool) -> Result<DirSink> {
        fs::create_dir_all(path)?;
        let names = fs::list(path)?;
        if !names.is_empty() {
            check_version(&Folder::open(path)?).map_err(Error::typed)?;
            // An image that was never finished has no manifest.json and is in nobody's way.
            if !replace && names.iter().any(|name| name == MANIFEST.as_bytes()) {
                return Err(Error::Exists { kind: "image", name: path.display().to_string() });
            }
        }
        fs::write_atomic(&path.join(VERSION), format!("{VERSION_PREFIX}1.1\n").as_bytes())?;
        Ok(DirSink { path: path.to_path_buf(), known: HashSet::new() })
    }

    /// Removes what was written for other images.
    fn sweep(&self) -> Result<()> {
        for name in fs::list(&self.path)? {
            let path = self.path.join(OsStr::from_bytes(&name));
            if is_ours(&name) && !self.known.contains(&path) {
                fs::remove_file(&path)?;
            }
        }
        fs::sync_dir(&self.path)
    }

    fn path_of(&self, descriptor: &Descriptor) -> PathBuf {
        let digest = &descriptor.digest;
        let stem = match digest.algorithm() {
            "sha256" => digest.encoded().to_owned(),
            algorithm => format!("{algorithm}-{}", digest.encoded()),
        };
        match descriptor.media_type.is_document() {
            true => self.path.join(format!("{stem}.manifest.json")),
            false => self.path.join(stem),
        }
    }
}

/// What skopeo or we have written there for `manifest.json`: neither itself nor `version`, nor what is
/// not of this format.
fn is_ours(name: &[u8]) -> bool {
    let stem = name.strip_suffix(b".manifest.json").unwrap_or(name);
    let is_hex = |bytes: &[u8]| bytes.len() >= 64 && bytes.iter().all(u8::is_ascii_hexdigit);
    is_hex(stem.strip_prefix(b"sha512-").unwrap_or(stem)) || name.starts_with(b"signature-")
}

impl Sink for DirSink {
    fn has(&mut self, descriptor: &Descriptor) -> Result<bool> {
        let path = self.path_of(descriptor);
        let holds = self.known.contains(&path) || files::holds(&path, descriptor)?;
        if holds {
            self.known.insert(path);
        }
        Ok(holds)
    }

    fn put(&mut self, descriptor: &Descriptor, from: &mut dyn Read) -> Result<()> {
        let thing = format!("blob {}", descriptor.digest);
        let mut verified = Verifier::new(&thing, &descriptor.digest, descriptor.size, from);
        let path = self.path_of(descriptor);
        let mut file = AtomicFile::create(&path)?;
        copy(&thing, &mut verified, &mut file, &path)?;
        file.finish()?;
        self.known.insert(path);
        Ok(())
    }

    fn finish(self: Box<Self>, roots: &[Root]) -> Result<()> {
        let [root] = roots else {
            return Err(Error::Usage(format!("a `dir:` holds one image or index, not {}", roots.len())));
        };
        let from = self.path_of(&root.descriptor);
        fs::rename(&from, &self.path.join(MANIFEST))?;
        fs::sync_dir(&self.path)?;
        self.sweep()
    }
}
