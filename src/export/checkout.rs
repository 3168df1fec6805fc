//! A tree as a directory on this machine.
//!
//! Whoever made the tree may be hostile, and so may whoever can write to the directory meanwhile.
//! Each entry is made by one clean name in a directory that is held open, and only where nothing
//! was before; directories are opened without following symlinks, and symlinks of the tree are
//! made and never walked through. So nothing is written outside the directory.
//!
//! Order of an entry: content, owner, extended attributes, mode, times. Changing the owner clears
//! setuid bits and capabilities, so these come after; a file is private (0600) until it is whole.
//! A directory is private (0700) until all in it is written, and then gets its own.
//!
//! What this machine or user cannot do is left out and listed, see [`Skipped`]; nothing is left
//! out silently. A setuid bit is not set for an owner that could not be: it would give away the
//! rights of whoever runs this.

mod attributes;
mod sparse;

use crate::attr::Attr;
use crate::content::ContentSource;
use crate::error::Error;
use crate::error::Result;
use crate::error::from_stream;
use crate::export::checkout::attributes::chmod_no_follow;
use crate::export::checkout::sparse::fill;
use crate::export::checkout::sparse::solid_runs;
use crate::export::checkout::sparse::write_at;
use crate::export::skipped;
use crate::export::skipped::Skipped;
use crate::export::skipped::What;
use crate::export::steps::HardLinks;
use crate::export::steps::Step;
use crate::export::steps::Steps;
use crate::fs;
use crate::fs::chain::Chain;
use crate::fs::chain::OPEN_DIR;
use crate::id::ContentId;
use crate::path::TreePath;
use crate::path::shown;
use crate::progress::Progress;
use crate::tree::Entry;
use crate::tree::Kind;
use crate::tree::NodeSource;
use crate::tree::Tree;
use rustix::fd::AsFd;
use rustix::fd::BorrowedFd;
use rustix::fd::OwnedFd;
use rustix::fs::AtFlags;
use rustix::fs::CWD;
use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::ffi::CString;
use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::path::PathBuf;

#[derive(Clone, Debug)]
pub struct CheckoutOptions {
    /// Give entries the tree's owners where that is permitted; otherwise all are the caller's,
    /// and none is listed as skipped.
    pub owners: bool,
}

impl Default for CheckoutOptions {
    fn default() -> CheckoutOptions {
        CheckoutOptions { owners: true }
    }
}

/// What a checkout did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checkout {
    /// Entries of every kind, the directory itself not counted.
    pub written: u64,
    /// Bytes of files, holes included, each inode once.
    pub bytes: u64,
    pub skipped: Vec<Skipped>,
}

const BUFFER_BYTES: usize = 256 << 10;
/// A writer asks whether to stop this often.
const CHECK_BYTES: u64 = 4 << 20;

const CREATE: OFlags =
    OFlags::WRONLY.union(OFlags::CREATE).union(OFlags::EXCL).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Writes the tree into `into`, which must not exist yet or be an empty directory.
///
/// Ends at the first error that is not about one entry's nature, leaving what was written.
pub fn checkout(
    tree: &Tree,
    nodes: &dyn NodeSource,
    contents: &dyn ContentSource,
    into: &Path,
    options: &CheckoutOptions,
    progress: &dyn Progress,
) -> Result<Checkout> {
    let root = empty_folder(into)?;
    progress.begin(&format!("writing {}", into.display()), Some(tree.bytes));
    let mut writer = Writer {
        into,
        contents,
        options,
        progress,
        chain: Chain::new(root.try_clone().map_err(Error::io("open", into))?).map_err(os("stat", into))?,
        root,
        path: Vec::new(),
        links: HardLinks::new(tree),
        late: Vec::new(),
        buffer: vec![0; BUFFER_BYTES],
        uid: u64::from(rustix::process::geteuid().as_raw()),
        gid: u64::from(rustix::process::getegid().as_raw()),
        done: Checkout::default(),
    };
    writer.run(tree, nodes)?;
    Ok(writer.done)
}

fn empty_folder(into: &Path) -> Result<OwnedFd> {
    match fs::look(into)? {
        None => fs::create_dir_all(into)?,
        Some(found) if !found.is_dir() => {
            return Err(Error::Exists { kind: "file", name: into.display().to_string() });
        }
        Some(_) if !fs::list(into)?.is_empty() => {
            let exists = Error::Exists { kind: "folder", name: into.display().to_string() };
            return Err(exists.with_hint("give the name of a new or an empty folder"));
        }
        Some(_) => {}
    }
    // The path is the person's own: a symlink in it is meant.
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::openat(CWD, into, flags, Mode::empty()).map_err(os("open", into))?;
    // What a default ACL would add to every entry is not in the tree. Most folders have none.
    for name in [c"system.posix_acl_default", c"system.posix_acl_access"] {
        let _ = rustix::fs::fremovexattr(&root, name);
    }
    Ok(root)
}

struct Writer<'a> {
    into: &'a Path,
    contents: &'a dyn ContentSource,
    options: &'a CheckoutOptions,
    progress: &'a dyn Progress,
    chain: Chain,
    root: OwnedFd,
    /// The path of the entry at hand, under `into`.
    path: Vec<u8>,
    links: HardLinks<'a>,
    /// Directories that would shut us out of a hard link's target; they get their own mode last.
    late: Vec<(TreePath, Attr)>,
    buffer: Vec<u8>,
    uid: u64,
    gid: u64,
    done: Checkout,
}

impl Writer<'_> {
    fn run(&mut self, tree: &Tree, nodes: &dyn NodeSource) -> Result<()> {
        let contents = self.contents;
        let mut steps = Steps::new(tree, nodes)?;
        // The directories the steps are in: attributes, or why one is left out with all in it; and
        // the length of the path above.
        let mut inside: Vec<(Result<Attr, String>, usize)> = Vec::new();
        while let Some(step) = steps.next(&mut |ids| contents.will_open(ids))? {
            crate::progress::check(self.progress)?;
            let left_out = inside.last().and_then(|(attr, _)| attr.as_ref().err());
            match step {
                Step::Enter(entry) => {
                    let above = self.step_down(&entry.name)?;
                    let refused = match left_out {
                        Some(why) => Some(why.clone()),
                        None => self.directory(&entry)?,
                    };
                    if let Some(why) = &refused {
                        self.skip(What::Entry, why);
                    }
                    inside.push((refused.map_or(Ok(entry.attr), Err), above));
                }
                Step::Item(entry) => {
                    let above = self.step_down(&entry.name)?;
                    match left_out {
                        Some(why) => self.skip(What::Entry, why),
                        None => self.item(&entry)?,
                    }
                    self.path.truncate(above);
                }
                Step::Leave => {
                    let (attr, above) = inside.pop().expect("each leave follows an enter");
                    if let Ok(attr) = attr {
                        let dir = self.chain.leave().map_err(|err| self.fault("return from", err))?;
                        self.finish_directory(&dir, attr)?;
                    }
                    self.path.truncate(above);
                }
            }
        }
        for (path, attr) in std::mem::take(&mut self.late).into_iter().rev() {
            let dir = self.open_beneath(&path).map_err(|err| self.fault("open a folder in", err))?;
            self.path = path.as_bytes().to_vec();
            self.attributes(dir.as_fd(), &attr)?;
        }
        self.path.clear();
        let root = self.root.try_clone().map_err(Error::io("open", self.into))?;
        self.attributes(root.as_fd(), &tree.root_attr)
    }

    /// Appends a name to the path and returns the path's length before.
    fn step_down(&mut self, name: &[u8]) -> Result<usize> {
        // The codec lets no such name in; this is the last place where one could do harm.
        if matches!(name, b"" | b"." | b"..") || name.contains(&b'/') || name.contains(&0) {
            return Err(Error::invalid(format!("tree entry `{}`", shown(name)), "is not a clean name"));
        }
        let above = self.path.len();
        if above > 0 {
            self.path.push(b'/');
        }
        self.path.extend_from_slice(name);
        Ok(above)
    }

    /// Makes a directory and steps into it; or says why it cannot be.
    fn directory(&mut self, entry: &Entry) -> Result<Option<String>> {
        if let Err(err) = rustix::fs::mkdirat(self.chain.here(), &entry.name[..], Mode::RWXU) {
            return self.refused(err).map(Some);
        }
        let opened = rustix::fs::openat(self.chain.here(), &entry.name[..], OPEN_DIR, Mode::empty());
        let dir = opened.map_err(|err| self.fault("open", err))?;
        let stat = rustix::fs::fstat(&dir).map_err(|err| self.fault("stat", err))?;
        self.chain.enter(dir, &stat);
        self.done.written += 1;
        Ok(None)
    }

    fn finish_directory(&mut self, dir: &OwnedFd, attr: Attr) -> Result<()> {
        let shuts_us_out = self.uid != 0 && attr.mode & 0o700 != 0o700;
        if shuts_us_out && !self.links.is_empty() {
            self.late.push((self.tree_path(), attr));
            return Ok(());
        }
        self.attributes(dir.as_fd(), &attr)
    }

    fn item(&mut self, entry: &Entry) -> Result<()> {
        let linked = (!self.links.is_empty()).then(|| self.tree_path());
        if let Some(target) = linked.as_ref().and_then(|path| self.links.target(path)) {
            match self.hard_link(target, &entry.name) {
                Ok(()) => {
                    self.done.written += 1;
                    return Ok(());
                }
                // Too many links, or a file system without them.
                Err(Errno::MLINK | Errno::PERM | Errno::OPNOTSUPP | Errno::XDEV) => {
                    self.skip(What::HardLink, "refused by this file system");
                }
                Err(err) => return Err(self.fault("link", err)),
            }
        }
        let made = match &entry.kind {
            Kind::File { content, size } => self.file(entry, content, *size)?,
            Kind::Symlink(target) => self.symlink(entry, target)?,
            Kind::CharDevice { major, minor } => {
                self.node(entry, FileType::CharacterDevice, *major, *minor)?
            }
            Kind::BlockDevice { major, minor } => self.node(entry, FileType::BlockDevice, *major, *minor)?,
            Kind::Fifo => self.node(entry, FileType::Fifo, 0, 0)?,
            Kind::Socket => self.node(entry, FileType::Socket, 0, 0)?,
            Kind::Dir(_) => unreachable!("a directory is a step in, not an item"),
        };
        if made {
            self.done.written += 1;
            if let Some(path) = linked {
                self.links.written(&path);
            }
        }
        Ok(())
    }

    fn file(&mut self, entry: &Entry, content: &ContentId, size: u64) -> Result<bool> {
        let file =
            match rustix::fs::openat(self.chain.here(), &entry.name[..], CREATE, Mode::RUSR | Mode::WUSR) {
                Ok(file) => file,
                Err(err) => {
                    let why = self.refused(err)?;
                    self.skip(What::Entry, &why);
                    return Ok(false);
                }
            };
        self.content(file.as_fd(), content, size)?;
        self.attributes(file.as_fd(), &entry.attr)?;
        Ok(true)
    }

    fn content(&mut self, file: BorrowedFd<'_>, content: &ContentId, size: u64) -> Result<()> {
        if size == 0 {
            return Ok(());
        }
        let mut from = self.contents.open(content, 0, size)?.take(size);
        let mut at = 0;
        let mut solid_until = 0;
        loop {
            let got = fill(&mut from, &mut self.buffer)
                .map_err(|err| from_stream(format!("content {content}"), err))?;
            for (start, end) in solid_runs(&self.buffer[..got]) {
                let run = &self.buffer[start..end];
                write_at(file, run, at + start as u64).map_err(|err| self.fault("write", err))?;
                solid_until = at + end as u64;
            }
            self.progress.advance(got as u64);
            if at / CHECK_BYTES != (at + got as u64) / CHECK_BYTES {
                crate::progress::check(self.progress)?;
            }
            at += got as u64;
            if at == size || got < self.buffer.len() {
                break;
            }
        }
        if at < size {
            let thing = format!("content {content}");
            return Err(Error::Corrupt { thing, expected: format!("{size} bytes"), found: format!("{at}") });
        }
        if solid_until < size {
            rustix::fs::ftruncate(file, size).map_err(|err| self.fault("extend", err))?;
        }
        self.done.bytes += size;
        Ok(())
    }

    fn symlink(&mut self, entry: &Entry, target: &[u8]) -> Result<bool> {
        let name = c_name(&entry.name);
        let made = match target.is_empty() {
            true => Err(Errno::INVAL),
            false => rustix::fs::symlinkat(target, self.chain.here(), name.as_c_str()),
        };
        if let Err(err) = made {
            let why = self.refused(err)?;
            self.skip(What::Entry, &why);
            return Ok(false);
        }
        self.named_owner_and_xattrs(&name, &entry.attr)?;
        self.named_times(&name, &entry.attr)?;
        Ok(true)
    }

    fn node(&mut self, entry: &Entry, kind: FileType, major: u32, minor: u32) -> Result<bool> {
        let name = c_name(&entry.name);
        // Linux's device numbers have 12 and 20 bits.
        let made = match (major, minor) {
            (0..0x1000, 0..0x10_0000) => {
                let dev = rustix::fs::makedev(major, minor);
                rustix::fs::mknodat(self.chain.here(), name.as_c_str(), kind, Mode::empty(), dev)
            }
            _ => Err(Errno::INVAL),
        };
        let device = matches!(kind, FileType::CharacterDevice | FileType::BlockDevice);
        match made {
            Ok(()) => {}
            Err(Errno::PERM) if device => {
                self.skip(What::Device, "not permitted");
                return Ok(false);
            }
            Err(Errno::PERM | Errno::OPNOTSUPP) => {
                self.skip(What::Entry, "refused by this file system");
                return Ok(false);
            }
            Err(err) => {
                let why = self.refused(err)?;
                self.skip(What::Entry, &why);
                return Ok(false);
            }
        }
        let owned = self.named_owner_and_xattrs(&name, &entry.attr)?;
        let mode = self.mode_for(&entry.attr, owned);
        if let Err(err) = chmod_no_follow(self.chain.here(), &name, mode) {
            self.unless_refused(What::Mode, "set the mode of", err)?;
        }
        self.named_times(&name, &entry.attr)?;
        Ok(true)
    }

    fn hard_link(&self, target: &TreePath, name: &[u8]) -> rustix::io::Result<()> {
        let (folder, target_name) = target.split().expect("the root is no file");
        let folder = self.open_beneath(&folder)?;
        rustix::fs::linkat(&folder, target_name, self.chain.here(), name, AtFlags::empty())
    }

    /// Opens a directory written before, step by step from the root, through no symlink.
    fn open_beneath(&self, path: &TreePath) -> rustix::io::Result<OwnedFd> {
        let mut dir = rustix::fs::openat(&self.root, c".", OPEN_DIR, Mode::empty())?;
        for part in path.parts() {
            dir = rustix::fs::openat(&dir, part, OPEN_DIR, Mode::empty())?;
        }
        Ok(dir)
    }

    /// Says why this system cannot have such an entry; other faults end the checkout.
    fn refused(&self, err: Errno) -> Result<String> {
        Ok(match err {
            Errno::NAMETOOLONG => "the name is too long for this file system",
            Errno::EXIST => "this file system has the name already",
            Errno::INVAL | Errno::ILSEQ => "this file system does not take it",
            err => return Err(self.fault("create", err)),
        }
        .to_string())
    }

    fn skip(&mut self, what: What, why: &str) {
        let path = self.tree_path();
        skipped::add(&mut self.done.skipped, what, why, &path);
    }

    fn tree_path(&self) -> TreePath {
        TreePath::parse(&self.path).expect("names are clean and the steps bound the length")
    }

    fn fault(&self, doing: &'static str, err: Errno) -> Error {
        let path = match self.path.is_empty() {
            true => self.into.to_path_buf(),
            false => self.into.join(OsStr::from_bytes(&self.path)),
        };
        Error::Io { doing, path, source: err.into() }
    }
}

fn c_name(name: &[u8]) -> CString {
    CString::new(name).expect("a clean name has no NUL")
}

fn os(doing: &'static str, path: &Path) -> impl FnOnce(Errno) -> Error {
    let path: PathBuf = path.to_path_buf();
    move |err| Error::Io { doing, path, source: err.into() }
}

#[cfg(test)]
mod tests;
