//! What may be lost: the rebuilt blobs that were wanted last, and why which blobs have no recipe.
//!
//! It lies in the store's folder `cache/`, is never asked for what is true, and no failure here is an
//! error: what cannot be kept is made again. A blob found here is hashed before it is given.

use crate::fs;
use crate::layer::gzip::codec::Codec;
use crate::oci::digest::Digest;
use crate::oci::digest::Verifier;
use crate::store::Store;
use std::collections::BTreeMap;
use std::io;
use std::io::Read;
use std::io::Seek;
use std::io::Write;
use std::path::PathBuf;
use std::time::SystemTime;
use tempfile::NamedTempFile;

/// One blob may take this share of the cache.
const BLOB_SHARE: u64 = 4;
/// The list of blobs without a recipe: on each line a digest, a space and why.
const TRIED: &str = "no-recipe";
const TRIED_BYTES_MAX: u64 = 64 << 20;

#[derive(Clone)]
pub struct Cache {
    folder: PathBuf,
    bytes_max: u64,
}

impl Cache {
    pub(super) fn of(store: &Store) -> Cache {
        Cache { folder: store.place().join("cache"), bytes_max: store.config().cache.blob_bytes }
    }

    /// One that keeps nothing and has nothing.
    pub(super) fn none() -> Cache {
        Cache { folder: PathBuf::new(), bytes_max: 0 }
    }

    /// The blob, if it is here and right.
    pub(super) fn open(&self, digest: &Digest, size: u64) -> Option<Box<dyn Read + Send>> {
        if self.bytes_max == 0 {
            return None;
        }
        let path = self.path(digest);
        let mut file = fs::open_no_follow(&path).ok()?;
        if Verifier::new("cached blob", digest, size, &mut file).finish().is_err() {
            let _ = fs::remove_file(&path);
            return None;
        }
        // The time says when it was wanted last.
        let _ = file.set_modified(SystemTime::now());
        file.rewind().ok()?;
        Some(Box::new(file))
    }

    /// Keeps what is read from the stream, once its end has been found right.
    pub(super) fn keep<R: Read + Send + 'static>(
        &self,
        digest: &Digest,
        size: u64,
        from: Verifier<R>,
    ) -> Box<dyn Read + Send> {
        let fits = size <= self.bytes_max / BLOB_SHARE && digest.can_verify();
        if !fits || fs::create_dir_all(&self.folder).is_err() {
            return Box::new(from);
        }
        let Ok(file) = tempfile::Builder::new().prefix(".part-").tempfile_in(&self.folder) else {
            return Box::new(from);
        };
        Box::new(Keeping { from, file: Some(file), path: self.path(digest), size, cache: self.clone() })
    }

    /// How many bytes are kept.
    pub fn bytes(&self) -> u64 {
        self.files().iter().map(|(_, len, _)| len).sum()
    }

    /// The blobs that the encoders of this imgit were tried on in vain, and why.
    pub fn tried(&self) -> BTreeMap<String, String> {
        let text = fs::read_small(&self.folder.join(TRIED), TRIED_BYTES_MAX).unwrap_or_default();
        let text = String::from_utf8(text).unwrap_or_default();
        let mut lines = text.lines();
        // Of another imgit, whose encoders were others.
        if lines.next() != Some(&encoders()) {
            return BTreeMap::new();
        }
        let pairs = lines.filter_map(|line| line.split_once(' '));
        pairs.map(|(digest, why)| (digest.to_owned(), why.to_owned())).collect()
    }

    pub fn set_tried(&self, blobs: &BTreeMap<String, String>) {
        let lines: String = blobs.iter().map(|(digest, why)| format!("{digest} {why}\n")).collect();
        let text = format!("{}\n{lines}", encoders());
        if fs::create_dir_all(&self.folder).is_ok() {
            let _ = fs::write_atomic(&self.folder.join(TRIED), text.as_bytes());
        }
    }

    /// Blobs go that were not wanted for longest, until the rest may stay.
    fn shrink(&self) {
        let mut files = self.files();
        files.sort_by_key(|(_, _, modified)| *modified);
        let mut bytes: u64 = files.iter().map(|(_, len, _)| len).sum();
        for (path, len, _) in files {
            if bytes <= self.bytes_max {
                return;
            }
            if fs::remove_file(&path).is_ok() {
                bytes -= len;
            }
        }
    }

    /// Blobs, and what a process that died has left of one.
    fn files(&self) -> Vec<(PathBuf, u64, SystemTime)> {
        use std::os::unix::ffi::OsStringExt;
        let names = fs::list(&self.folder).unwrap_or_default();
        let names = names.into_iter().filter(|name| name != TRIED.as_bytes());
        let look = |name: Vec<u8>| {
            let path = self.folder.join(std::ffi::OsString::from_vec(name));
            let found = fs::look_no_follow(&path).ok()??;
            found.is_file().then_some((path, found.len(), found.modified().ok()?))
        };
        names.filter_map(look).collect()
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.folder.join(digest.as_str().replace(':', "-"))
    }
}

/// The first line of the list: it changes with every encoder that comes.
fn encoders() -> String {
    format!("encoders {}", Codec::all().map(|codec| codec.settings().len()).sum::<usize>())
}

/// A blob on its way through into the cache. Not synced: a torn one is found when it is opened.
struct Keeping<R> {
    from: Verifier<R>,
    /// `None` once it is kept, or cannot be.
    file: Option<NamedTempFile>,
    path: PathBuf,
    size: u64,
    cache: Cache,
}

impl<R: Read> Read for Keeping<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let len = self.from.read(into)?;
        if let Some(file) = &mut self.file
            && file.write_all(&into[..len]).is_err()
        {
            self.file = None;
        }
        // The last byte comes only after all were found right.
        if self.from.count() == self.size
            && let Some(file) = self.file.take()
        {
            let _ = file.persist(&self.path);
            self.cache.shrink();
        }
        Ok(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(bytes_max: u64) -> (tempfile::TempDir, Cache) {
        let home = fs::temp_dir().unwrap();
        let cache = Cache { folder: home.path().join("cache"), bytes_max };
        (home, cache)
    }

    fn pass(cache: &Cache, bytes: &[u8], promised: &[u8]) -> io::Result<usize> {
        let digest = Digest::of(promised);
        let from = Verifier::new("blob", &digest, promised.len() as u64, io::Cursor::new(bytes.to_vec()));
        cache.keep(&digest, promised.len() as u64, from).read_to_end(&mut Vec::new())
    }

    fn kept(cache: &Cache, bytes: &[u8]) -> bool {
        let Some(mut file) = cache.open(&Digest::of(bytes), bytes.len() as u64) else { return false };
        let mut found = Vec::new();
        file.read_to_end(&mut found).unwrap();
        assert_eq!(found, bytes);
        true
    }

    #[test]
    fn what_was_wanted_last_stays() {
        let (_home, cache) = cache(1_000);
        let blobs: Vec<Vec<u8>> = (0..6).map(|at| vec![at; 200]).collect();
        for blob in &blobs[..5] {
            pass(&cache, blob, blob).unwrap();
            // The clock of files is coarse.
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        assert_eq!(cache.bytes(), 1_000);
        assert!(kept(&cache, &blobs[0]));
        pass(&cache, &blobs[5], &blobs[5]).unwrap();
        assert_eq!(cache.bytes(), 1_000);
        let found: Vec<bool> = blobs.iter().map(|blob| kept(&cache, blob)).collect();
        assert_eq!(found, [true, false, true, true, true, true]);
        // Too large for the cache.
        pass(&cache, &[9; 251], &[9; 251]).unwrap();
        assert!(!kept(&cache, &[9; 251]));
    }

    #[test]
    fn wrong_bytes_are_never_kept_nor_given() {
        let (_home, cache) = cache(1_000);
        pass(&cache, b"wrong", b"right").unwrap_err();
        pass(&cache, b"righ", b"right").unwrap_err();
        assert_eq!(cache.bytes(), 0);
        pass(&cache, b"right", b"right").unwrap();
        fs::write_atomic(&cache.path(&Digest::of(b"right")), b"wrong").unwrap();
        assert!(!kept(&cache, b"right"));
        assert_eq!(cache.bytes(), 0);
    }

    #[test]
    fn what_was_tried_counts_for_these_encoders_only() {
        let (_home, cache) = cache(0);
        assert!(cache.tried().is_empty());
        let blobs = ["sha256:a", "sha256:b"].map(|digest| (digest.to_owned(), "too small".to_owned()));
        let blobs = BTreeMap::from(blobs);
        cache.set_tried(&blobs);
        assert_eq!(cache.tried(), blobs);
        fs::write_atomic(&cache.folder.join(TRIED), b"encoders 1\nsha256:a too small\n").unwrap();
        assert!(cache.tried().is_empty());
    }
}
