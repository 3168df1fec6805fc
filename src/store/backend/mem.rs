//! A store in memory, for tests: a file system that knows which bytes and names were synced.
//!
//! [`MemBackend::power_cut`] makes it forget the rest, and a hook before every changing step lets
//! `faulty` fail any of them.

use crate::error::Error;
use crate::error::Result;
use crate::store::backend::Backend;
use crate::store::backend::Draft;
use crate::store::backend::Held;
use crate::store::backend::IndexAccess;
use crate::store::backend::IndexPlace;
use crate::store::backend::LockMode;
use crate::store::backend::Object;
use std::collections::BTreeMap;
use std::collections::HashMap;
use std::fmt;
use std::io;
use std::ops::Bound;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;

/// Called before each changing step with its name; an error fails the step.
pub type Hook = Arc<dyn Fn(&'static str) -> io::Result<()> + Send + Sync>;

/// What a power cut leaves of what was never synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Survives {
    /// The process died, the machine did not.
    Everything,
    Nothing,
    /// Names reached the medium before the bytes they name.
    NamesOnly,
}

#[derive(Clone)]
pub struct MemBackend {
    place: PathBuf,
    disk: Arc<Mutex<Disk>>,
    hook: Option<Hook>,
}

#[derive(Default)]
struct Disk {
    names: BTreeMap<String, Arc<Mutex<MemFile>>>,
    durable_names: BTreeMap<String, Arc<Mutex<MemFile>>>,
    locks: HashMap<String, MemLock>,
    drafts: u64,
    /// Grows with each power cut: a lock taken before it frees nothing after it.
    life: u64,
}

#[derive(Default)]
struct MemFile {
    bytes: Vec<u8>,
    durable: Vec<u8>,
}

#[derive(Default)]
struct MemLock {
    shared: usize,
    exclusive: bool,
    holder: String,
}

impl MemBackend {
    pub fn new(hook: Option<Hook>) -> MemBackend {
        MemBackend { place: PathBuf::from("memory"), disk: Arc::default(), hook }
    }

    /// The same disk seen by a process of its own, with another hook or none.
    pub fn seen_by(&self, hook: Option<Hook>) -> MemBackend {
        MemBackend { hook, ..self.clone() }
    }

    /// A disk of its own with the same names and bytes, all durable.
    pub fn copy(&self) -> MemBackend {
        let copy = MemBackend::new(None);
        copy.disk().names = self.disk().names.clone();
        copy.power_cut(Survives::Everything);
        copy
    }

    /// Ends every process that uses the disk and keeps what `survives`.
    pub fn power_cut(&self, survives: Survives) {
        let mut disk = self.disk();
        disk.life += 1;
        disk.locks.clear();
        let names = match survives {
            Survives::Nothing => disk.durable_names.clone(),
            Survives::Everything | Survives::NamesOnly => disk.names.clone(),
        };
        // New files: what the dead processes still hold open must not write to the new disk.
        let files: BTreeMap<_, _> = names
            .into_iter()
            .map(|(name, file)| {
                let file = file.lock().expect("no holder panics");
                let bytes = match survives {
                    Survives::Everything => file.bytes.clone(),
                    Survives::Nothing | Survives::NamesOnly => file.durable.clone(),
                };
                let durable = bytes.clone();
                (name, Arc::new(Mutex::new(MemFile { bytes, durable })))
            })
            .collect();
        disk.names = files.clone();
        disk.durable_names = files;
    }

    /// Changes the bytes of an object behind the store's back.
    pub fn damage(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let file = self.disk().names.get(name).cloned();
        if let Some(file) = file {
            change(&mut file.lock().expect("no holder panics").bytes);
        }
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().expect("no holder of the disk panics")
    }

    fn step(&self, what: &'static str, name: &str) -> Result<()> {
        match &self.hook {
            Some(hook) => hook(what).map_err(Error::io(what, self.place.join(name))),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for MemBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemBackend")
    }
}

impl Backend for MemBackend {
    fn place(&self) -> &Path {
        &self.place
    }

    fn draft(&self, name: &str) -> Result<Box<dyn Draft>> {
        self.step("create", name)?;
        let mut disk = self.disk();
        disk.drafts += 1;
        let name = format!("tmp/{}-{name}", disk.drafts);
        let file = Arc::<Mutex<MemFile>>::default();
        disk.names.insert(name.clone(), Arc::clone(&file));
        drop(disk);
        Ok(Box::new(MemDraft { backend: self.clone(), name, file, published: false }))
    }

    fn open(&self, name: &str) -> Result<Arc<dyn Object>> {
        let file = self.disk().names.get(name).cloned();
        let file = file.ok_or_else(|| Error::not_found("file", name))?;
        let bytes = file.lock().expect("no holder panics").bytes.clone();
        Ok(Arc::new(MemObject { name: self.place.join(name), bytes }))
    }

    fn exists(&self, name: &str) -> Result<bool> {
        Ok(self.disk().names.contains_key(name))
    }

    fn list(&self, folder: &str) -> Result<Vec<String>> {
        let prefix = format!("{folder}/");
        Ok(self.disk().names.keys().filter(|name| name.starts_with(&prefix)).cloned().collect())
    }

    fn delete(&self, name: &str) -> Result<()> {
        self.step("remove", name)?;
        self.disk().names.remove(name);
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        self.step("rename", from)?;
        let mut disk = self.disk();
        let file = disk.names.remove(from).ok_or_else(|| Error::not_found("file", from))?;
        disk.names.insert(to.to_owned(), file);
        drop(disk);
        self.step("sync", to)?;
        let mut disk = self.disk();
        disk.durable_names.remove(from);
        if let Some(file) = disk.names.get(to).cloned() {
            disk.durable_names.insert(to.to_owned(), file);
        }
        Ok(())
    }

    fn try_lock(&self, name: &str, mode: LockMode, holder: &str) -> Result<Option<Box<dyn Held>>> {
        let mut disk = self.disk();
        let life = disk.life;
        let lock = disk.locks.entry(name.to_owned()).or_default();
        let free = match mode {
            LockMode::Shared => !lock.exclusive,
            LockMode::Exclusive => !lock.exclusive && lock.shared == 0,
        };
        if !free {
            return Ok(None);
        }
        match mode {
            LockMode::Shared => lock.shared += 1,
            LockMode::Exclusive => lock.exclusive = true,
        }
        lock.holder = holder.to_owned();
        Ok(Some(Box::new(MemHeld { disk: Arc::clone(&self.disk), name: name.to_owned(), mode, life })))
    }

    fn lock_holder(&self, name: &str) -> String {
        self.disk().locks.get(name).map(|lock| lock.holder.clone()).unwrap_or_default()
    }

    fn index(&self, name: &str, access: IndexAccess) -> Result<IndexPlace> {
        let mut disk = self.disk();
        let file = match (disk.names.get(name).cloned(), access) {
            (Some(file), _) => file,
            (None, IndexAccess::Create) => {
                let file = Arc::<Mutex<MemFile>>::default();
                disk.names.insert(name.to_owned(), Arc::clone(&file));
                file
            }
            (None, _) => return Err(Error::not_found("file", name)),
        };
        drop(disk);
        Ok(IndexPlace::Storage(Box::new(MemIndex {
            backend: self.clone(),
            // One lock for each file, also when two files had the same name one after the other.
            lock_name: format!("index-{:p}", Arc::as_ptr(&file)),
            file,
            held: Mutex::new(None),
        })))
    }
}

#[derive(Debug)]
struct MemObject {
    name: PathBuf,
    bytes: Vec<u8>,
}

impl Object for MemObject {
    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        read_at(&self.bytes, offset, buffer).map_err(Error::io("read", &self.name))
    }
}

fn read_at(bytes: &[u8], offset: u64, buffer: &mut [u8]) -> io::Result<()> {
    let start = usize::try_from(offset).unwrap_or(usize::MAX);
    let found = start.checked_add(buffer.len()).and_then(|end| bytes.get(start..end));
    buffer.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
    Ok(())
}

struct MemDraft {
    backend: MemBackend,
    name: String,
    file: Arc<Mutex<MemFile>>,
    published: bool,
}

impl fmt::Debug for MemDraft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemDraft({})", self.name)
    }
}

impl Draft for MemDraft {
    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.backend.step("write", &self.name)?;
        self.file.lock().expect("no holder panics").bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn truncate(&mut self, len: u64) -> Result<()> {
        self.backend.step("truncate", &self.name)?;
        self.file.lock().expect("no holder panics").bytes.truncate(len as usize);
        Ok(())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let file = self.file.lock().expect("no holder panics");
        read_at(&file.bytes, offset, buffer).map_err(Error::io("read", &self.name))
    }

    fn len(&self) -> u64 {
        self.file.lock().expect("no holder panics").bytes.len() as u64
    }

    fn sync(&mut self) -> Result<()> {
        self.backend.step("sync", &self.name)?;
        let mut file = self.file.lock().expect("no holder panics");
        file.durable = file.bytes.clone();
        Ok(())
    }

    fn syncer(&self) -> Option<Box<dyn Fn() + Send>> {
        None
    }

    fn publish(&mut self, name: &str) -> Result<()> {
        self.backend.rename(&self.name, name).inspect_err(|_| {
            // The rename may have happened and its sync not: then the name is there already.
            self.published = !self.backend.disk().names.contains_key(&self.name);
        })?;
        self.published = true;
        Ok(())
    }
}

impl Drop for MemDraft {
    fn drop(&mut self) {
        // A process that died removes nothing.
        if !self.published && self.backend.step("remove", &self.name).is_ok() {
            self.backend.disk().names.remove(&self.name);
        }
    }
}

#[derive(Debug)]
struct MemHeld {
    disk: Arc<Mutex<Disk>>,
    name: String,
    mode: LockMode,
    life: u64,
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Disk")
    }
}

impl Held for MemHeld {}

impl Drop for MemHeld {
    fn drop(&mut self) {
        let mut disk = self.disk.lock().expect("no holder of the disk panics");
        if disk.life != self.life {
            return;
        }
        if let Some(lock) = disk.locks.get_mut(&self.name) {
            match self.mode {
                LockMode::Shared => lock.shared -= 1,
                LockMode::Exclusive => lock.exclusive = false,
            }
        }
    }
}

/// The bytes of an index, as redb asks for them.
struct MemIndex {
    backend: MemBackend,
    file: Arc<Mutex<MemFile>>,
    lock_name: String,
    held: Mutex<Option<Box<dyn Held>>>,
}

impl fmt::Debug for MemIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemIndex")
    }
}

impl MemIndex {
    fn file(&self) -> MutexGuard<'_, MemFile> {
        self.file.lock().expect("no holder panics")
    }

    fn step(&self, what: &'static str) -> io::Result<()> {
        self.backend.hook.as_ref().map_or(Ok(()), |hook| hook(what))
    }

    fn lock(&self, mode: LockMode, whole: bool) -> Result<bool, redb::BackendError> {
        // Only the whole file can be locked here: redb then excludes readers while it writes.
        if !whole {
            return Err(redb::BackendError::Unsupported);
        }
        let held = self.backend.try_lock(&self.lock_name, mode, "").unwrap_or(None);
        let taken = held.is_some();
        *self.held.lock().expect("no holder panics") = held;
        Ok(taken)
    }
}

fn is_whole(start: Bound<u64>, end: Bound<u64>) -> bool {
    matches!((start, end), (Bound::Unbounded, Bound::Unbounded))
}

impl redb::StorageBackend for MemIndex {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file().bytes.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        read_at(&self.file().bytes, offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.step("index set_len")?;
        self.file().bytes.resize(len as usize, 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.step("index sync")?;
        let mut file = self.file();
        file.durable = file.bytes.clone();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.step("index write")?;
        let mut file = self.file();
        let start = offset as usize;
        let place = file.bytes.get_mut(start..start + data.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        place.copy_from_slice(data);
        Ok(())
    }

    fn close(&self) -> io::Result<()> {
        *self.held.lock().expect("no holder panics") = None;
        Ok(())
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, redb::BackendError> {
        self.lock(LockMode::Exclusive, is_whole(start, end))
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, redb::BackendError> {
        self.lock(LockMode::Shared, is_whole(start, end))
    }
}
