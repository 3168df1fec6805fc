//! Named files to read: a folder on disk, or the members of a tar. A layout is the same in both.

use crate::error::Error;
use crate::error::Result;
use crate::fs;
use crate::fs::Folder;
use crate::oci::descriptor::Descriptor;
use crate::oci::digest::Verifier;
use crate::oci::json;
use std::io::Read;
use std::path::Path;

pub trait Files: Send + Sync {
    /// Opens a file and says how long it is; `None` where nothing is. Names are clean and relative.
    fn open(&self, name: &str) -> Result<Option<(u64, Box<dyn Read + Send>)>>;

    /// What errors call the place.
    fn place(&self) -> String;

    fn is_there(&self, name: &str) -> bool {
        matches!(self.open(name), Ok(Some(_)))
    }
}

impl Files for Folder {
    fn open(&self, name: &str) -> Result<Option<(u64, Box<dyn Read + Send>)>> {
        let Some(file) = self.open_file(name)? else {
            return Ok(None);
        };
        let path = self.path().join(name);
        let len = file.metadata().map_err(Error::io("stat", path))?.len();
        Ok(Some((len, Box::new(file))))
    }

    fn place(&self) -> String {
        self.path().display().to_string()
    }
}

/// Reads a small file whole, or `None` where nothing is.
pub fn read_small(files: &dyn Files, name: &str, bytes_max: u64) -> Result<Option<Vec<u8>>> {
    let thing = format!("{name} in {}", files.place());
    let Some((len, reader)) = files.open(name)? else {
        return Ok(None);
    };
    json::check_size(&thing, len, bytes_max)?;
    json::read(&thing, reader, bytes_max).map(Some)
}

/// Says whether a file has the bytes that its descriptor names, its size first.
///
/// A copy that broke off or a bad disk leaves a file of the right name. `false` also where the digest
/// is of an algorithm that imgit cannot compute.
pub fn holds(path: &Path, descriptor: &Descriptor) -> Result<bool> {
    match fs::look_no_follow(path)? {
        Some(there) if there.is_file() && there.len() == descriptor.size => {}
        _ => return Ok(false),
    }
    if !descriptor.digest.can_verify() {
        return Ok(false);
    }
    let file = fs::open_no_follow(path)?;
    let thing = path.display().to_string();
    match Verifier::new(thing, &descriptor.digest, descriptor.size, file).finish() {
        Err(err) if matches!(err.root(), Error::Mismatch { .. }) => Ok(false),
        done => done.map(|()| true),
    }
}
