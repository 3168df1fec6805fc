//! A store in a folder of the host.
//!
//! Assumes of the file system what `FORMAT.md` lists: `fsync` of a file and of its folder is kept
//! across a power cut, and `rename` within one file system is atomic.

use crate::error::Error;
use crate::error::Result;
use crate::store::backend::Backend;
use crate::store::backend::Draft;
use crate::store::backend::Held;
use crate::store::backend::IndexAccess;
use crate::store::backend::IndexPlace;
use crate::store::backend::LockMode;
use crate::store::backend::Object;
use rustix::fs::FlockOperation;
use std::fs;
use std::fs::File;
use std::io;
use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::fs::FileExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

/// Nobody but the owner: an image holds keys, shadow files and other people's data.
const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

#[derive(Debug)]
pub struct DirBackend {
    root: PathBuf,
}

/// Drafts of this process so far, of all its stores: with the process id it makes their names
/// differ.
static DRAFTS: AtomicU64 = AtomicU64::new(0);

impl DirBackend {
    /// Opens the folder; it must be there.
    pub fn open(root: &Path) -> Result<DirBackend> {
        if !root.is_dir() {
            return Err(Error::NoStore { path: root.into() });
        }
        Ok(DirBackend { root: root.into() })
    }

    /// Makes the folder and what is always in it; folders that are there are left as they are.
    pub fn create(root: &Path) -> Result<DirBackend> {
        for folder in ["", "packs", "locks", "tmp"] {
            make_folder(&root.join(folder))?;
        }
        sync_folder(root)?;
        DirBackend::open(root)
    }
}

impl Backend for DirBackend {
    fn place(&self) -> &Path {
        &self.root
    }

    fn draft(&self, name: &str) -> Result<Box<dyn Draft>> {
        let number = DRAFTS.fetch_add(1, Ordering::Relaxed);
        let path = self.root.join(format!("tmp/{}-{number}-{name}", std::process::id()));
        let file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(FILE_MODE)
            .open(&path)
            .map_err(Error::io("create", &path))?;
        Ok(Box::new(DirDraft { root: self.root.clone(), path, file, len: 0, published: false }))
    }

    fn open(&self, name: &str) -> Result<Arc<dyn Object>> {
        let path = self.root.join(name);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(err) if err.kind() == io::ErrorKind::NotFound => {
                return Err(Error::not_found("file", path.display().to_string()));
            }
            Err(err) => return Err(Error::io("open", &path)(err)),
        };
        let len = file.metadata().map_err(Error::io("read", &path))?.len();
        Ok(Arc::new(DirObject { path, file, len }))
    }

    fn exists(&self, name: &str) -> Result<bool> {
        let path = self.root.join(name);
        path.try_exists().map_err(Error::io("read", &path))
    }

    fn list(&self, folder: &str) -> Result<Vec<String>> {
        let mut names = Vec::new();
        list_into(&self.root, folder, &mut names)?;
        names.sort();
        Ok(names)
    }

    fn delete(&self, name: &str) -> Result<()> {
        let path = self.root.join(name);
        match fs::remove_file(&path) {
            Err(err) if err.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", &path)(err)),
            _ => Ok(()),
        }
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        let (from, to) = (self.root.join(from), self.root.join(to));
        fs::rename(&from, &to).map_err(Error::io("rename", &from))?;
        sync_folder(to.parent().unwrap_or(&self.root))
    }

    fn try_lock(&self, name: &str, mode: LockMode, holder: &str) -> Result<Option<Box<dyn Held>>> {
        let path = self.root.join("locks").join(name);
        let file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(FILE_MODE)
            .open(&path)
            .map_err(Error::io("open", &path))?;
        let operation = match mode {
            LockMode::Shared => FlockOperation::NonBlockingLockShared,
            LockMode::Exclusive => FlockOperation::NonBlockingLockExclusive,
        };
        match rustix::fs::flock(&file, operation) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
            Err(err) => return Err(Error::io("lock", &path)(err.into())),
        }
        // Only a courtesy to those who wait: a full disk must not keep anyone from the lock.
        if file.set_len(0).is_ok() {
            let _ = file.write_all_at(holder.as_bytes(), 0);
        }
        Ok(Some(Box::new(DirLock { _file: file })))
    }

    fn lock_holder(&self, name: &str) -> String {
        const HOLDER_BYTES_MAX: usize = 512;
        let text = fs::read(self.root.join("locks").join(name)).unwrap_or_default();
        crate::path::shown(&text[..text.len().min(HOLDER_BYTES_MAX)])
    }

    fn index(&self, name: &str, _access: IndexAccess) -> Result<IndexPlace> {
        Ok(IndexPlace::File(self.root.join(name)))
    }
}

/// The lock goes with the open file description, also when the process dies.
#[derive(Debug)]
struct DirLock {
    _file: File,
}

impl Held for DirLock {}

#[derive(Debug)]
struct DirObject {
    path: PathBuf,
    file: File,
    len: u64,
}

impl Object for DirObject {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        self.file.read_exact_at(buffer, offset).map_err(Error::io("read", &self.path))
    }
}

#[derive(Debug)]
struct DirDraft {
    root: PathBuf,
    path: PathBuf,
    file: File,
    len: u64,
    published: bool,
}

impl Draft for DirDraft {
    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        (&self.file).write_all(bytes).map_err(Error::io("write", &self.path))?;
        self.len += bytes.len() as u64;
        Ok(())
    }

    fn truncate(&mut self, len: u64) -> Result<()> {
        use std::io::Seek as _;
        self.file.set_len(len).map_err(Error::io("truncate", &self.path))?;
        (&self.file).seek(io::SeekFrom::Start(len)).map_err(Error::io("truncate", &self.path))?;
        self.len = len;
        Ok(())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        self.file.read_exact_at(buffer, offset).map_err(Error::io("read", &self.path))
    }

    fn len(&self) -> u64 {
        self.len
    }

    fn sync(&mut self) -> Result<()> {
        self.file.sync_all().map_err(Error::io("sync", &self.path))
    }

    fn syncer(&self) -> Option<Box<dyn Fn() + Send>> {
        // The kernel reports a failed write-back once per open file description: with one of its
        // own, this thread cannot swallow the error that `sync` must see.
        let own = File::open(&self.path).ok()?;
        Some(Box::new(move || {
            let _ = own.sync_data();
        }))
    }

    fn publish(&mut self, name: &str) -> Result<()> {
        let path = self.root.join(name);
        let folder = path.parent().unwrap_or(&self.root);
        if !folder.is_dir() {
            make_folder(folder)?;
            sync_folder(folder.parent().unwrap_or(&self.root))?;
        }
        fs::rename(&self.path, &path).map_err(Error::io("rename", &self.path))?;
        self.published = true;
        sync_folder(folder)
    }
}

impl Drop for DirDraft {
    fn drop(&mut self) {
        if !self.published {
            // What cannot be removed now is swept with the other leftovers in `tmp/`.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn make_folder(path: &Path) -> Result<()> {
    match fs::DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(path) {
        Err(err) if err.kind() != io::ErrorKind::AlreadyExists => Err(Error::io("create", path)(err)),
        _ => Ok(()),
    }
}

fn sync_folder(path: &Path) -> Result<()> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(Error::io("sync", path))
}

fn list_into(root: &Path, folder: &str, names: &mut Vec<String>) -> Result<()> {
    let path = root.join(folder);
    let entries = match fs::read_dir(&path) {
        Ok(entries) => entries,
        Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(err) => return Err(Error::io("list", &path)(err)),
    };
    for entry in entries {
        let entry = entry.map_err(Error::io("list", &path))?;
        // The store writes plain ASCII names; anything else is not its own.
        let Ok(part) = entry.file_name().into_string() else { continue };
        let name = format!("{folder}/{part}");
        if entry.file_type().map_err(Error::io("read", entry.path()))?.is_dir() {
            list_into(root, &name, names)?;
        } else {
            names.push(name);
        }
    }
    Ok(())
}
