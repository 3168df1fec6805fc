//! A directory on this machine as a tree.
//!
//! The walk is depth-first, in the order of names as bytes, and holds the entries of one directory
//! and of those above it. It stays on what it opened: each step is one name in an open directory,
//! symlinks are read and never followed. Holes are read as the zeros they stand for.
//!
//! The directory may be in use meanwhile. A name that vanishes or cannot be read, and a file that
//! shrinks each time it is read, is left out and reported where [`ScanOptions::keep_going`] allows
//! it and otherwise ends the scan. What grows or is rewritten during its read is read again a few
//! times, then taken as it was, with a note.

mod exclude;
mod steady;

pub use exclude::exclude;

use crate::attr::Attr;
use crate::attr::Time;
use crate::attr::Xattrs;
use crate::content::ContentSink;
use crate::error::Error;
use crate::error::Result;
use crate::fs::chain::Chain;
use crate::fs::chain::OPEN_DIR;
use crate::fs::scan::steady::Fault;
use crate::fs::scan::steady::SteadyRead;
use crate::fs::xattrs::Whose;
use crate::fs::xattrs::XattrReader;
use crate::path::PATH_BYTES_MAX;
use crate::path::PATH_PARTS_MAX;
use crate::path::TreePath;
use crate::progress::Progress;
use crate::tree::Entry;
use crate::tree::Kind;
use crate::tree::Node;
use crate::tree::NodeIds;
use crate::tree::NodeSink;
use crate::tree::Tree;
use globset::GlobSet;
use rustix::fd::AsFd;
use rustix::fd::BorrowedFd;
use rustix::fd::OwnedFd;
use rustix::fs::AtFlags;
use rustix::fs::CWD;
use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::RawDir;
use rustix::fs::Stat;
use rustix::io::Errno;
use std::collections::HashMap;
use std::ffi::CStr;
use std::ffi::CString;
use std::ffi::OsStr;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::path::PathBuf;

#[derive(Clone, Debug, Default)]
pub struct ScanOptions {
    /// A directory where another file system is mounted is kept, empty.
    pub one_file_system: bool,
    /// Paths under the root that are left out, with all that is below them; see [`exclude()`].
    pub exclude: GlobSet,
    /// What vanishes or cannot be read is left out and goes to [`Progress::problem`].
    pub keep_going: bool,
}

/// Readings of a file that keeps changing before it is taken, or given up, as it is.
const READS_MAX: u32 = 3;
/// A larger file that changes meanwhile is read once: it would change again.
const READ_AGAIN_BYTES_MAX: u64 = 64 << 20;
/// Directory entries are asked for in answers of this size.
const LIST_BYTES: usize = 64 << 10;
/// Reads the directory `root` (itself possibly behind a symlink) into contents and nodes.
pub fn scan(
    root: &Path,
    contents: &mut dyn ContentSink,
    nodes: &mut dyn NodeSink,
    options: &ScanOptions,
    progress: &dyn Progress,
) -> Result<Tree> {
    let dir = rustix::fs::openat(CWD, root, OPEN_ROOT, Mode::empty()).map_err(os("open", root))?;
    let mut scan = Scan {
        root,
        contents,
        nodes,
        options,
        progress,
        path: Vec::new(),
        linked: HashMap::new(),
        hardlinks: Vec::new(),
        xattrs: XattrReader::new(),
        list: vec![MaybeUninit::uninit(); LIST_BYTES],
        dev: 0,
        entries: 0,
        bytes: 0,
    };
    progress.begin(&format!("reading {}", root.display()), None);
    scan.run(dir)
}

/// The root is the person's own word: a symlink there is meant.
const OPEN_ROOT: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
/// Never through a symlink; never waiting for the writer of a fifo put there meanwhile.
const OPEN_FILE: OFlags = OFlags::RDONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);

struct Scan<'a> {
    root: &'a Path,
    contents: &'a mut dyn ContentSink,
    nodes: &'a mut dyn NodeSink,
    options: &'a ScanOptions,
    progress: &'a dyn Progress,
    /// The path of the entry at hand, under the root.
    path: Vec<u8>,
    /// Inodes with names that have not all been met.
    linked: HashMap<(u64, u64), Linked>,
    /// Inodes all of whose names have been met.
    hardlinks: Vec<Vec<TreePath>>,
    xattrs: XattrReader,
    list: Vec<MaybeUninit<u8>>,
    dev: u64,
    entries: u64,
    bytes: u64,
}

/// One inode with several names. Its first reading holds for all of them, so that they are equal
/// even while it changes.
struct Linked {
    paths: Vec<TreePath>,
    kind: Kind,
    attr: Attr,
    /// Names that `stat` promised and the walk has not met; at least one.
    left: u64,
}

/// A directory that the walk is in.
struct Frame {
    name: Box<[u8]>,
    attr: Attr,
    names: std::vec::IntoIter<(CString, FileType)>,
    node: Node,
    /// The length of the path of this directory.
    path_len: usize,
}

/// What one name turned out to be.
enum Met {
    Entry(Kind, Attr),
    Dir(OwnedFd, Box<Stat>),
}

impl Scan<'_> {
    fn run(&mut self, root: OwnedFd) -> Result<Tree> {
        let stat = rustix::fs::fstat(&root).map_err(os("stat", self.root))?;
        self.dev = stat.st_dev;
        let mut frames = vec![self.frame(&root, b"", &stat)?];
        let mut chain = Chain::new(root).map_err(os("stat", self.root))?;
        let root_ids = loop {
            let depth = frames.len();
            let frame = frames.last_mut().expect("the loop ends with the root's frame");
            self.path.truncate(frame.path_len);
            let Some((name, kind)) = frame.names.next() else {
                let frame = frames.pop().expect("it was just looked at");
                let ids = self.nodes.put_node(&frame.node)?;
                let Some(above) = frames.last_mut() else {
                    break (ids, frame.attr);
                };
                chain.leave().map_err(|err| self.fault("return from", err))?;
                self.entries += 1;
                above.node.entries.push(Entry { name: frame.name, kind: Kind::Dir(ids), attr: frame.attr });
                continue;
            };
            crate::progress::check(self.progress)?;
            match self.meet(chain.here(), name.as_c_str(), kind, depth) {
                Ok(None) => {}
                Ok(Some(Met::Entry(kind, attr))) => {
                    self.entries += 1;
                    if let Kind::File { size, .. } = kind {
                        self.bytes += size;
                    }
                    frame.node.entries.push(Entry { name: name.into_bytes().into(), kind, attr });
                }
                Ok(Some(Met::Dir(dir, stat))) => match self.frame(&dir, name.as_bytes(), &stat) {
                    Ok(below) => {
                        frames.push(below);
                        chain.enter(dir, &stat);
                    }
                    Err(err) => self.leave_out(err)?,
                },
                Err(err) => self.leave_out(err)?,
            }
        };
        self.finish(root_ids)
    }

    fn finish(&mut self, (root, root_attr): (NodeIds, Attr)) -> Result<Tree> {
        let mut hardlinks = std::mem::take(&mut self.hardlinks);
        // Some names lie outside the root, or were left out: two inside still make a group.
        hardlinks.extend(self.linked.drain().map(|(_, linked)| linked.paths));
        hardlinks.retain(|paths| paths.len() > 1);
        hardlinks.iter_mut().for_each(|paths| paths.sort());
        hardlinks.sort();
        Ok(Tree { root, root_attr, hardlinks, entries: self.entries, bytes: self.bytes })
    }

    /// Lists and describes a directory that was opened.
    fn frame(&mut self, dir: &OwnedFd, name: &[u8], stat: &Stat) -> Result<Frame> {
        let xattrs = self.xattrs_of(&Whose::Open(dir.as_fd()))?;
        let elsewhere = self.options.one_file_system && stat.st_dev != self.dev;
        let names = if elsewhere { Vec::new() } else { self.names(dir)? };
        Ok(Frame {
            name: name.into(),
            attr: attr_of(stat, xattrs),
            node: Node { entries: Vec::with_capacity(names.len()) },
            names: names.into_iter(),
            path_len: self.path.len(),
        })
    }

    fn names(&mut self, dir: &OwnedFd) -> Result<Vec<(CString, FileType)>> {
        let mut names = Vec::new();
        let (root, path) = (self.root, &self.path);
        let mut raw = RawDir::new(dir, &mut self.list[..]);
        while let Some(entry) = raw.next() {
            let entry = entry.map_err(|err| os("list", host_path(root, path))(err))?;
            if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
                names.push((entry.file_name().to_owned(), entry.file_type()));
            }
        }
        names.sort_unstable_by(|a, b| a.0.as_bytes().cmp(b.0.as_bytes()));
        // A directory that is written to meanwhile may show a name twice.
        names.dedup_by(|a, b| a.0 == b.0);
        Ok(names)
    }

    /// Appends the name to the path at hand, and reads what stands there unless it is excluded.
    fn meet(
        &mut self,
        dir: BorrowedFd<'_>,
        name: &CStr,
        kind: FileType,
        depth: usize,
    ) -> Result<Option<Met>> {
        if !self.path.is_empty() {
            self.path.push(b'/');
        }
        self.path.extend_from_slice(name.to_bytes());
        for (found, limit, unit) in
            [(self.path.len(), PATH_BYTES_MAX, "bytes"), (depth, PATH_PARTS_MAX, "parts")]
        {
            if found > limit {
                let at = host_path(self.root, &self.path[..256]);
                let (thing, limit) = (format!("path {}…", at.display()), limit as u64);
                return Err(Error::Limit { thing, limit, unit });
            }
        }
        if self.options.exclude.is_match(Path::new(OsStr::from_bytes(&self.path))) {
            return Ok(None);
        }
        // Some file systems do not say the kind in a listing.
        let kind = match kind {
            FileType::Unknown => kind_of(&self.stat(dir, name)?),
            known => known,
        };
        match kind {
            FileType::Directory => {
                let opened = rustix::fs::openat(dir, name, OPEN_DIR, Mode::empty());
                let opened = opened.map_err(|err| self.fault("open", err))?;
                let stat = rustix::fs::fstat(&opened).map_err(|err| self.fault("stat", err))?;
                Ok(Some(Met::Dir(opened, Box::new(stat))))
            }
            FileType::RegularFile => self.file(dir, name).map(Some),
            _ => self.special(dir, name).map(Some),
        }
    }

    fn file(&mut self, dir: BorrowedFd<'_>, name: &CStr) -> Result<Met> {
        let opened = rustix::fs::openat(dir, name, OPEN_FILE, Mode::empty());
        let file = opened.map_err(|err| self.fault("open", err))?;
        let stat = rustix::fs::fstat(&file).map_err(|err| self.fault("stat", err))?;
        if kind_of(&stat) != FileType::RegularFile {
            return Err(self.changed("was a file and is now something else"));
        }
        if let Some(known) = self.known_inode(&stat) {
            return Ok(known);
        }
        let (content, stat) = self.content(&file, stat)?;
        let xattrs = self.xattrs_of(&Whose::Open(file.as_fd()))?;
        let kind = Kind::File { content, size: stat.st_size as u64 };
        Ok(self.new_inode(&stat, kind, attr_of(&stat, xattrs)))
    }

    /// Symlinks, devices, fifos and sockets: they are never opened.
    fn special(&mut self, dir: BorrowedFd<'_>, name: &CStr) -> Result<Met> {
        let stat = self.stat(dir, name)?;
        if let Some(known) = self.known_inode(&stat) {
            return Ok(known);
        }
        let (major, minor) = (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
        let kind = match kind_of(&stat) {
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(dir, name, Vec::new());
                let target = target.map_err(|err| self.fault("read the symlink", err))?;
                Kind::Symlink(target.into_bytes().into())
            }
            FileType::CharacterDevice => Kind::CharDevice { major, minor },
            FileType::BlockDevice => Kind::BlockDevice { major, minor },
            FileType::Fifo => Kind::Fifo,
            FileType::Socket => Kind::Socket,
            _ => return Err(self.changed("became something else while it was read")),
        };
        let xattrs = self.xattrs_of(&Whose::named(dir, name))?;
        Ok(self.new_inode(&stat, kind, attr_of(&stat, xattrs)))
    }

    fn known_inode(&mut self, stat: &Stat) -> Option<Met> {
        if names_of(stat) < 2 {
            return None;
        }
        let inode = (stat.st_dev, stat.st_ino);
        let linked = self.linked.get_mut(&inode)?;
        linked.paths.push(tree_path(&self.path));
        linked.left -= 1;
        if linked.left > 0 {
            return Some(Met::Entry(linked.kind.clone(), linked.attr.clone()));
        }
        let linked = self.linked.remove(&inode)?;
        self.hardlinks.push(linked.paths);
        Some(Met::Entry(linked.kind, linked.attr))
    }

    fn new_inode(&mut self, stat: &Stat, kind: Kind, attr: Attr) -> Met {
        let names = names_of(stat);
        if names > 1 {
            let linked = Linked {
                paths: vec![tree_path(&self.path)],
                kind: kind.clone(),
                attr: attr.clone(),
                left: names - 1,
            };
            self.linked.insert((stat.st_dev, stat.st_ino), linked);
        }
        Met::Entry(kind, attr)
    }

    /// Reads a file until a reading finds it as it was before, at most [`READS_MAX`] times.
    fn content(&mut self, file: &OwnedFd, mut before: Stat) -> Result<(crate::id::ContentId, Stat)> {
        for reading in 1.. {
            let size = before.st_size as u64;
            let mut steady =
                SteadyRead { file: file.as_fd(), at: 0, size, fault: None, progress: self.progress };
            let put = self.contents.put(size, &mut steady);
            let fault = steady.fault;
            if let Some(Fault::Os(err)) = fault {
                return Err(self.fault("read", err));
            }
            let content = put?;
            let after = rustix::fs::fstat(file).map_err(|err| self.fault("stat", err))?;
            if fault.is_none() && version_of(&after) == version_of(&before) {
                return Ok((content, before));
            }
            let last = reading >= READS_MAX || size > READ_AGAIN_BYTES_MAX;
            match fault {
                Some(_) if last => return Err(self.changed("shrank while it was read")),
                None if last => {
                    self.progress.note(&format!("{} changed while it was read", self.host_path().display()));
                    return Ok((content, before));
                }
                _ => before = after,
            }
        }
        unreachable!("the loop returns at its last reading")
    }

    fn stat(&self, dir: BorrowedFd<'_>, name: &CStr) -> Result<Stat> {
        rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).map_err(|err| self.fault("stat", err))
    }

    fn xattrs_of(&mut self, whose: &Whose<'_>) -> Result<Xattrs> {
        let read = self.xattrs.read(whose);
        read.map_err(|err| self.fault("read the extended attributes of", err))
    }

    fn changed(&self, problem: &str) -> Error {
        Error::invalid(self.host_path().display().to_string(), problem)
    }

    fn leave_out(&self, err: Error) -> Result<()> {
        let about_the_entry = matches!(err, Error::Io { .. } | Error::Invalid { .. } | Error::Limit { .. });
        if !self.options.keep_going || !about_the_entry {
            return Err(err);
        }
        self.progress.problem(&err);
        Ok(())
    }

    fn fault(&self, doing: &'static str, err: Errno) -> Error {
        os(doing, self.host_path())(err)
    }

    fn host_path(&self) -> PathBuf {
        host_path(self.root, &self.path)
    }
}

fn os(doing: &'static str, path: impl AsRef<Path>) -> impl FnOnce(Errno) -> Error {
    let path = path.as_ref().to_path_buf();
    move |err| Error::Io { doing, path, source: err.into() }
}

fn host_path(root: &Path, path: &[u8]) -> PathBuf {
    // Joining nothing would add a slash.
    if path.is_empty() { root.to_path_buf() } else { root.join(OsStr::from_bytes(path)) }
}

fn kind_of(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

fn names_of(stat: &Stat) -> u64 {
    // The field's width differs between machines.
    #[allow(clippy::unnecessary_cast)]
    let names = stat.st_nlink as u64;
    names
}

/// What changes when a file is written to.
fn version_of(stat: &Stat) -> (i64, i64, u32) {
    (stat.st_size, stat.st_mtime, stat.st_mtime_nsec as u32)
}

fn attr_of(stat: &Stat, xattrs: Xattrs) -> Attr {
    Attr {
        mode: stat.st_mode & 0o7777,
        uid: u64::from(stat.st_uid),
        gid: u64::from(stat.st_gid),
        mtime: Time { secs: stat.st_mtime, nanos: stat.st_mtime_nsec as u32 },
        xattrs,
    }
}

fn tree_path(path: &[u8]) -> TreePath {
    TreePath::parse(path).expect("the kernel's names are clean and the length was checked")
}

#[cfg(test)]
mod tests;
