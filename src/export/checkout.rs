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

use crate::attr::Attr;
use crate::content::ContentSource;
use crate::error::Error;
use crate::error::Result;
use crate::error::from_stream;
use crate::export::skipped;
use crate::export::skipped::Skipped;
use crate::export::skipped::What;
use crate::export::steps::HardLinks;
use crate::export::steps::Step;
use crate::export::steps::Steps;
use crate::fs;
use crate::fs::chain::Chain;
use crate::fs::chain::OPEN_DIR;
use crate::fs::xattrs;
use crate::fs::xattrs::Whose;
use crate::id::ContentId;
use crate::path::TreePath;
use crate::path::shown;
use crate::progress::Progress;
use crate::tree::Entry;
use crate::tree::Kind;
use crate::tree::NodeSource;
use crate::tree::Tree;
use rustix::fd::AsFd;
use rustix::fd::AsRawFd;
use rustix::fd::BorrowedFd;
use rustix::fd::OwnedFd;
use rustix::fs::AtFlags;
use rustix::fs::CWD;
use rustix::fs::FileType;
use rustix::fs::Gid;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::Timespec;
use rustix::fs::Timestamps;
use rustix::fs::Uid;
use rustix::io::Errno;
use std::ffi::CString;
use std::ffi::OsStr;
use std::io;
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
/// Zeros are left as a hole in runs of this size: a few blocks, so that a binary with a page of
/// zeros stays in one piece.
const HOLE_BYTES: usize = 16 << 10;
/// A writer asks whether to stop this often.
const CHECK_BYTES: u64 = 4 << 20;

const CREATE: OFlags = OFlags::WRONLY
    .union(OFlags::CREATE)
    .union(OFlags::EXCL)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

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
        chain: Chain::new(root.try_clone().map_err(Error::io("open", into))?)
            .map_err(os("stat", into))?,
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
            return Err(Error::Exists {
                kind: "file",
                name: into.display().to_string(),
            });
        }
        Some(_) if !fs::list(into)?.is_empty() => {
            let exists = Error::Exists {
                kind: "folder",
                name: into.display().to_string(),
            };
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
                        let dir = self
                            .chain
                            .leave()
                            .map_err(|err| self.fault("return from", err))?;
                        self.finish_directory(&dir, attr)?;
                    }
                    self.path.truncate(above);
                }
            }
        }
        for (path, attr) in std::mem::take(&mut self.late).into_iter().rev() {
            let dir = self
                .open_beneath(&path)
                .map_err(|err| self.fault("open a folder in", err))?;
            self.path = path.as_bytes().to_vec();
            self.attributes(dir.as_fd(), &attr)?;
        }
        self.path.clear();
        let root = self
            .root
            .try_clone()
            .map_err(Error::io("open", self.into))?;
        self.attributes(root.as_fd(), &tree.root_attr)
    }

    /// Appends a name to the path and returns the path's length before.
    fn step_down(&mut self, name: &[u8]) -> Result<usize> {
        // The codec lets no such name in; this is the last place where one could do harm.
        if matches!(name, b"" | b"." | b"..") || name.contains(&b'/') || name.contains(&0) {
            return Err(Error::invalid(
                format!("tree entry `{}`", shown(name)),
                "is not a clean name",
            ));
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
        let opened =
            rustix::fs::openat(self.chain.here(), &entry.name[..], OPEN_DIR, Mode::empty());
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
            Kind::BlockDevice { major, minor } => {
                self.node(entry, FileType::BlockDevice, *major, *minor)?
            }
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
        let file = match rustix::fs::openat(
            self.chain.here(),
            &entry.name[..],
            CREATE,
            Mode::RUSR | Mode::WUSR,
        ) {
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
            return Err(Error::Corrupt {
                thing,
                expected: format!("{size} bytes"),
                found: format!("{at}"),
            });
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

    /// Gives an open file or directory all its attributes.
    fn attributes(&mut self, fd: BorrowedFd<'_>, attr: &Attr) -> Result<()> {
        let owned = self.owner(attr, Owned::Open(fd))?;
        self.xattrs(&Whose::Open(fd), attr)?;
        let mode = self.mode_for(attr, owned);
        if let Err(err) = rustix::fs::fchmod(fd, mode) {
            self.unless_refused(What::Mode, "set the mode of", err)?;
        }
        if let Err(err) = rustix::fs::futimens(fd, &times(attr)) {
            return self.unless_refused(What::Time, "set the time of", err);
        }
        if needs_check(attr) {
            let stat = rustix::fs::fstat(fd).map_err(|err| self.fault("stat", err))?;
            self.check_time(attr, stat.st_mtime);
        }
        Ok(())
    }

    fn named_owner_and_xattrs(&mut self, name: &CString, attr: &Attr) -> Result<bool> {
        let owned = self.owner(attr, Owned::Named(name))?;
        if !attr.xattrs.is_empty() {
            self.xattrs(&Whose::named(self.chain.here(), name), attr)?;
        }
        Ok(owned)
    }

    fn named_times(&mut self, name: &CString, attr: &Attr) -> Result<()> {
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        if let Err(err) =
            rustix::fs::utimensat(self.chain.here(), name.as_c_str(), &times(attr), flags)
        {
            return self.unless_refused(What::Time, "set the time of", err);
        }
        if needs_check(attr) {
            let stat = rustix::fs::statat(self.chain.here(), name.as_c_str(), flags);
            self.check_time(attr, stat.map_err(|err| self.fault("stat", err))?.st_mtime);
        }
        Ok(())
    }

    /// Sets the owner and says whether it now is the tree's.
    fn owner(&mut self, attr: &Attr, owned: Owned<'_>) -> Result<bool> {
        if !self.options.owners {
            return Ok((attr.uid, attr.gid) == (self.uid, self.gid));
        }
        // The largest number means "leave as it is".
        let id = |id: u64| u32::try_from(id).ok().filter(|id| *id != u32::MAX);
        let (Some(uid), Some(gid)) = (id(attr.uid), id(attr.gid)) else {
            self.skip(What::Owner, "the number is too large for this system");
            return Ok(false);
        };
        let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        let set = match owned {
            Owned::Open(fd) => rustix::fs::fchown(fd, uid, gid),
            Owned::Named(name) => {
                let flags = AtFlags::SYMLINK_NOFOLLOW;
                rustix::fs::chownat(self.chain.here(), name.as_c_str(), uid, gid, flags)
            }
        };
        match set {
            Ok(()) => Ok(true),
            Err(err) => self
                .unless_refused(What::Owner, "set the owner of", err)
                .map(|()| false),
        }
    }

    fn mode_for(&mut self, attr: &Attr, owned: bool) -> Mode {
        let mut mode = attr.mode & 0o7777;
        if !owned && mode & 0o6000 != 0 {
            mode &= !0o6000;
            self.skip(What::SetId, "the owner is not the tree's");
        }
        Mode::from_raw_mode(mode)
    }

    fn xattrs(&mut self, whose: &Whose<'_>, attr: &Attr) -> Result<()> {
        for (name, value) in attr.xattrs.iter() {
            if let Err(err) = xattrs::set(whose, name, value) {
                self.unless_refused(
                    What::Xattr(shown(name)),
                    "set the extended attributes of",
                    err,
                )?;
            }
        }
        Ok(())
    }

    fn hard_link(&self, target: &TreePath, name: &[u8]) -> rustix::io::Result<()> {
        let (folder, target_name) = target.split().expect("the root is no file");
        let folder = self.open_beneath(&folder)?;
        rustix::fs::linkat(
            &folder,
            target_name,
            self.chain.here(),
            name,
            AtFlags::empty(),
        )
    }

    /// Opens a directory written before, step by step from the root, through no symlink.
    fn open_beneath(&self, path: &TreePath) -> rustix::io::Result<OwnedFd> {
        let mut dir = rustix::fs::openat(&self.root, c".", OPEN_DIR, Mode::empty())?;
        for part in path.parts() {
            dir = rustix::fs::openat(&dir, part, OPEN_DIR, Mode::empty())?;
        }
        Ok(dir)
    }

    /// Clamping is silent: the kernel stores the nearest time it can.
    fn check_time(&mut self, attr: &Attr, found_secs: i64) {
        if found_secs != attr.mtime.secs {
            self.skip(What::Time, "out of range for this file system");
        }
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

    /// Lists what could not be set where that is a matter of rights or of the file system.
    fn unless_refused(&mut self, what: What, doing: &'static str, err: Errno) -> Result<()> {
        let why = match err {
            Errno::PERM | Errno::ACCESS => "not permitted",
            Errno::OPNOTSUPP | Errno::INVAL | Errno::OVERFLOW => {
                "this file system does not take it"
            }
            // ext4 says so of attributes that do not fit beside the inode, on a disk far from full.
            Errno::NOSPC | Errno::TOOBIG | Errno::RANGE if matches!(what, What::Xattr(_)) => {
                "too large for this file system"
            }
            Errno::NOENT if !Path::new("/proc/self/fd").exists() => "needs /proc",
            err => return Err(self.fault(doing, err)),
        };
        self.skip(what, why);
        Ok(())
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
        Error::Io {
            doing,
            path,
            source: err.into(),
        }
    }
}

/// Whose owner is set: an open file, or a name where the walk stands.
enum Owned<'a> {
    Open(BorrowedFd<'a>),
    Named(&'a CString),
}

/// Changes the mode of a name that may have become a symlink meanwhile. The plain call follows
/// symlinks; the handle is of the thing itself, and `/proc` leads to what the handle is of.
fn chmod_no_follow(dir: BorrowedFd<'_>, name: &CString, mode: Mode) -> rustix::io::Result<()> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let handle = rustix::fs::openat(dir, name.as_c_str(), flags, Mode::empty())?;
    if FileType::from_raw_mode(rustix::fs::fstat(&handle)?.st_mode) == FileType::Symlink {
        return Err(Errno::LOOP);
    }
    rustix::fs::chmod(format!("/proc/self/fd/{}", handle.as_raw_fd()), mode)
}

fn times(attr: &Attr) -> Timestamps {
    Timestamps {
        last_access: Timespec {
            tv_sec: 0,
            tv_nsec: rustix::fs::UTIME_OMIT,
        },
        last_modification: Timespec {
            tv_sec: attr.mtime.secs,
            tv_nsec: attr.mtime.nanos.into(),
        },
    }
}

/// Every file system holds these times.
fn needs_check(attr: &Attr) -> bool {
    !(0..=i64::from(i32::MAX)).contains(&attr.mtime.secs)
}

fn c_name(name: &[u8]) -> CString {
    CString::new(name).expect("a clean name has no NUL")
}

fn os(doing: &'static str, path: &Path) -> impl FnOnce(Errno) -> Error {
    let path: PathBuf = path.to_path_buf();
    move |err| Error::Io {
        doing,
        path,
        source: err.into(),
    }
}

/// Reads until the buffer is full or the stream ends.
fn fill(from: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match from.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
            Err(err) => return Err(err),
        }
    }
    Ok(filled)
}

fn write_at(file: BorrowedFd<'_>, mut bytes: &[u8], mut at: u64) -> rustix::io::Result<()> {
    while !bytes.is_empty() {
        let written = rustix::io::retry_on_intr(|| rustix::io::pwrite(file, bytes, at))?;
        bytes = &bytes[written..];
        at += written as u64;
    }
    Ok(())
}

/// The parts of `bytes` between holes: runs of whole zero pieces of [`HOLE_BYTES`].
fn solid_runs(bytes: &[u8]) -> impl Iterator<Item = (usize, usize)> + use<> {
    static ZEROS: [u8; HOLE_BYTES] = [0; HOLE_BYTES];
    let mut runs: Vec<(usize, usize)> = Vec::new();
    let mut start = 0;
    for piece in bytes.chunks(HOLE_BYTES) {
        let end = start + piece.len();
        if piece != ZEROS {
            match runs.last_mut() {
                Some(last) if last.1 == start => last.1 = end,
                _ => runs.push((start, end)),
            }
        }
        start = end;
    }
    runs.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attr::Time;
    use crate::attr::Xattrs;
    use crate::content::HashSink;
    use crate::export::testing::Kept;
    use crate::export::testing::MemoryContents;
    use crate::export::testing::as_user;
    use crate::export::testing::is_root;
    use crate::export::testing::keep;
    use crate::export::testing::plant_deep;
    use crate::export::testing::plant_plain;
    use crate::export::testing::plant_privileged;
    use crate::export::testing::sh;
    use crate::fs::scan::ScanOptions;
    use crate::fs::scan::scan;
    use crate::progress::Silent;
    use crate::tree::Node;
    use crate::tree::NodeSink;
    use crate::tree::memory::MemoryNodes;

    fn out(kept: &Kept, into: &Path) -> Checkout {
        checkout(
            &kept.tree,
            &kept.nodes,
            &kept.contents,
            into,
            &CheckoutOptions::default(),
            &Silent,
        )
        .unwrap()
    }

    fn tree_of(folder: &Path) -> Tree {
        scan(
            folder,
            &mut HashSink::new(),
            &mut MemoryNodes::new(),
            &ScanOptions::default(),
            &Silent,
        )
        .unwrap()
    }

    fn skipped_shown(done: &Checkout) -> String {
        let line = |one: &Skipped| {
            format!(
                "{} {} ({}): {:?}\n",
                one.count, one.what, one.why, one.paths
            )
        };
        done.skipped.iter().map(line).collect()
    }

    #[test]
    fn what_comes_out_scans_to_the_same_tree() {
        let (from, to) = (fs::temp_dir().unwrap(), fs::temp_dir().unwrap());
        plant_plain(from.path());
        plant_deep(from.path());
        if is_root() {
            plant_privileged(from.path());
        } else {
            // A user can neither read these nor, as root's, be given them.
            sh(from.path(), "chmod 0400 zero");
        }
        let kept = keep(from.path());
        let into = to.path().join("new/out");
        let done = out(&kept, &into);
        assert_eq!(skipped_shown(&done), "");
        assert_eq!(done.written, kept.tree.entries);
        let again = tree_of(&into);
        if again != kept.tree {
            let list = |folder: &Path| {
                sh(
                    folder,
                    "find . -printf '%p %y %m %U %G %s %T@ %l %n\\n' | cut -c1-300 | sort",
                )
            };
            assert_eq!(list(from.path()), list(&into));
        }
        assert_eq!(again.id(), kept.tree.id());
    }

    #[test]
    fn a_user_s_own_folder_comes_out_the_same_for_that_user() {
        as_user("export::checkout::tests::what_comes_out_scans_to_the_same_tree");
    }

    #[test]
    fn a_user_gets_the_files_and_a_list_of_what_was_not_permitted() {
        if !as_user(
            "export::checkout::tests::a_user_gets_the_files_and_a_list_of_what_was_not_permitted",
        ) {
            return;
        }
        let mut nodes = MemoryNodes::new();
        let mut contents = MemoryContents::default();
        let content = crate::content::ContentSink::put(&mut contents, 2, &mut &b"hi"[..]).unwrap();
        let file = Kind::File { content, size: 2 };
        let (uid, gid) = (65_534, 65_534);
        let own = |mode: u32| Attr {
            mode,
            uid,
            gid,
            ..Default::default()
        };
        let caps = b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0".as_slice();
        let with = |name: &str, attr: Attr| {
            let pairs = vec![(name.as_bytes().into(), caps.into())];
            Attr {
                xattrs: Xattrs::new(pairs),
                ..attr
            }
        };
        let shut = nodes
            .put_node(&Node {
                entries: vec![entry(b"f", file.clone(), own(0o600))],
            })
            .unwrap();
        let entries = vec![
            entry(
                b"device",
                Kind::BlockDevice { major: 8, minor: 0 },
                own(0o600),
            ),
            entry(
                b"ping",
                file.clone(),
                with("security.capability", own(0o755)),
            ),
            entry(b"shut", Kind::Dir(shut), own(0o000)),
            entry(
                b"sudo",
                file.clone(),
                Attr {
                    mode: 0o4755,
                    ..Default::default()
                },
            ),
            entry(b"sudo-mine", file.clone(), own(0o4755)),
            entry(b"trusted", Kind::Fifo, with("trusted.x", own(0o644))),
            entry(b"user", file.clone(), with("user.x", own(0o444))),
            entry(b"z", file, own(0o600)),
        ];
        let mut tree = tree_with(&mut nodes, entries);
        tree.root_attr = own(0o700);
        let path = |path: &str| TreePath::parse(path.as_bytes()).unwrap();
        tree.hardlinks = vec![vec![path("shut/f"), path("z")]];
        let to = fs::temp_dir().unwrap();
        let done = checkout(
            &tree,
            &nodes,
            &contents,
            to.path(),
            &CheckoutOptions::default(),
            &Silent,
        )
        .unwrap();
        assert_eq!(
            skipped_shown(&done),
            "1 device (not permitted): [`/device`]\n\
             1 extended attribute security.capability (not permitted): [`/ping`]\n\
             1 owner (not permitted): [`/sudo`]\n\
             1 setuid and setgid bits (the owner is not the tree's): [`/sudo`]\n\
             1 extended attribute trusted.x (not permitted): [`/trusted`]\n"
        );
        let modes = sh(to.path(), "stat -c '%n %a %h' *; chmod 700 shut");
        assert_eq!(
            modes,
            "ping 755 1\nshut 0 2\nsudo 755 1\nsudo-mine 4755 1\ntrusted 644 1\nuser 444 1\nz 600 2\n"
        );
    }

    #[test]
    fn holes_stay_holes() {
        let (from, to) = (fs::temp_dir().unwrap(), fs::temp_dir().unwrap());
        sh(
            from.path(),
            "truncate -s 20M sparse; printf x | dd of=sparse bs=1 seek=10000000 conv=notrunc status=none",
        );
        out(&keep(from.path()), to.path());
        assert_eq!(
            sh(
                to.path(),
                "cmp sparse $OLDPWD/none 2>/dev/null || stat -c %s sparse"
            ),
            "20971520\n"
        );
        let kib: u64 = sh(to.path(), "du -k sparse")
            .split_whitespace()
            .next()
            .unwrap()
            .parse()
            .unwrap();
        assert!(kib <= 64, "{kib} KiB");
    }

    #[test]
    fn solid_runs_are_what_is_between_whole_pieces_of_zeros() {
        #[track_caller]
        fn check(pieces: &[(u8, usize)], runs: &[(usize, usize)]) {
            let bytes: Vec<u8> = pieces
                .iter()
                .flat_map(|(byte, len)| vec![*byte; *len])
                .collect();
            assert_eq!(solid_runs(&bytes).collect::<Vec<_>>(), runs);
        }
        const H: usize = HOLE_BYTES;
        check(&[], &[]);
        check(&[(1, 5)], &[(0, 5)]);
        check(&[(0, 5)], &[(0, 5)]);
        check(&[(0, H)], &[]);
        check(&[(1, H), (0, H), (1, 1)], &[(0, H), (2 * H, 2 * H + 1)]);
        check(&[(1, 1), (0, 2 * H - 1)], &[(0, H)]);
    }

    #[test]
    fn only_a_new_or_empty_folder_is_written_to() {
        let (from, to) = (fs::temp_dir().unwrap(), fs::temp_dir().unwrap());
        let kept = keep(from.path());
        let try_into = |into: &Path| {
            checkout(
                &kept.tree,
                &kept.nodes,
                &kept.contents,
                into,
                &CheckoutOptions::default(),
                &Silent,
            )
        };
        let full = to.path().join("full");
        sh(to.path(), "mkdir full empty; touch full/x file");
        let refused = try_into(&full).unwrap_err();
        assert!(
            matches!(refused.root(), Error::Exists { kind: "folder", .. })
                && refused.hint().is_some()
        );
        assert!(matches!(
            try_into(&to.path().join("file")),
            Err(Error::Exists { kind: "file", .. })
        ));
        try_into(&to.path().join("empty")).unwrap();
        assert_eq!(fs::list(&full).unwrap(), [b"x"]);
    }

    fn tree_with(nodes: &mut MemoryNodes, entries: Vec<Entry>) -> Tree {
        let root = nodes.put_node(&Node { entries }).unwrap();
        let root_attr = Attr {
            mode: 0o755,
            uid: 0,
            gid: 0,
            ..Default::default()
        };
        Tree {
            root,
            root_attr,
            hardlinks: Vec::new(),
            entries: 1,
            bytes: 0,
        }
    }

    fn entry(name: &[u8], kind: Kind, attr: Attr) -> Entry {
        Entry {
            name: name.into(),
            kind,
            attr,
        }
    }

    #[test]
    fn what_this_system_cannot_hold_is_listed() {
        let mut nodes = MemoryNodes::new();
        let attr = Attr {
            mode: 0o644,
            ..Default::default()
        };
        let below = nodes
            .put_node(&Node {
                entries: vec![entry(b"x", Kind::Fifo, attr.clone())],
            })
            .unwrap();
        let huge = Attr {
            uid: 1 << 40,
            mode: 0o4755,
            ..Default::default()
        };
        let late = Attr {
            mtime: Time {
                secs: 1 << 40,
                nanos: 0,
            },
            ..attr.clone()
        };
        let odd = Attr {
            xattrs: Xattrs::new(vec![(
                b"nospace.x".as_slice().into(),
                b"".as_slice().into(),
            )]),
            ..attr.clone()
        };
        let entries = vec![
            entry(
                b"a-device",
                Kind::CharDevice {
                    major: 1 << 20,
                    minor: 0,
                },
                attr.clone(),
            ),
            entry(b"b-owner", Kind::Fifo, huge),
            entry(b"c-time", Kind::Fifo, late),
            entry(b"d-xattr", Kind::Fifo, odd),
            entry(
                b"e-nowhere",
                Kind::Symlink(b"".as_slice().into()),
                attr.clone(),
            ),
            entry(&[b'n'; 256], Kind::Dir(below), attr),
        ];
        let tree = tree_with(&mut nodes, entries);
        let to = fs::temp_dir().unwrap();
        let options = CheckoutOptions { owners: is_root() };
        let done = checkout(
            &tree,
            &nodes,
            &MemoryContents::default(),
            to.path(),
            &options,
            &Silent,
        )
        .unwrap();
        let n = "n".repeat(256);
        let mut expected = vec![
            "1 entry (this file system does not take it): [`/a-device`]".to_string(),
            "1 setuid and setgid bits (the owner is not the tree's): [`/b-owner`]".to_string(),
            "1 time (out of range for this file system): [`/c-time`]".to_string(),
            "1 extended attribute nospace.x (this file system does not take it): [`/d-xattr`]"
                .to_string(),
            "1 entry (this file system does not take it): [`/e-nowhere`]".to_string(),
            format!("2 entry (the name is too long for this file system): [`/{n}`, `/{n}/x`]"),
        ];
        if is_root() {
            expected.insert(
                1,
                "1 owner (the number is too large for this system): [`/b-owner`]".into(),
            );
        }
        // Two entries for one reason are one line.
        expected[0] =
            "2 entry (this file system does not take it): [`/a-device`, `/e-nowhere`]".into();
        expected.retain(|line| !line.starts_with("1 entry"));
        assert_eq!(skipped_shown(&done).lines().collect::<Vec<_>>(), expected);
        assert_eq!(
            fs::list(to.path()).unwrap(),
            [&b"b-owner"[..], b"c-time", b"d-xattr"]
        );
    }

    #[test]
    fn an_unclean_name_in_a_node_writes_nothing() {
        struct Forged(Node);
        impl NodeSource for Forged {
            fn node(&self, _: &crate::id::NodeId) -> Result<std::sync::Arc<Node>> {
                Ok(std::sync::Arc::new(self.0.clone()))
            }
        }
        for name in [&b".."[..], b"../x", b"a/b", b"", b"."] {
            let tree = tree_with(&mut MemoryNodes::new(), Vec::new());
            let nodes = Forged(Node {
                entries: vec![entry(name, Kind::Fifo, Attr::default())],
            });
            let to = fs::temp_dir().unwrap();
            let into = to.path().join("out");
            let options = CheckoutOptions::default();
            let done = checkout(
                &tree,
                &nodes,
                &MemoryContents::default(),
                &into,
                &options,
                &Silent,
            );
            assert!(matches!(done, Err(Error::Invalid { .. })), "{name:?}");
            assert_eq!(fs::list(to.path()).unwrap(), [b"out"]);
            assert!(fs::list(&into).unwrap().is_empty());
        }
    }

    /// Plants something in the target just before the content of the first file is asked for.
    struct Meddler<'a> {
        contents: &'a MemoryContents,
        into: PathBuf,
        script: &'a str,
    }

    impl ContentSource for Meddler<'_> {
        fn open(&self, id: &ContentId, offset: u64, len: u64) -> Result<Box<dyn Read + '_>> {
            sh(
                &self.into,
                &format!("[ -e ../done ] || {{ touch ../done; {}; }}", self.script),
            );
            self.contents.open(id, offset, len)
        }
    }

    #[test]
    fn a_symlink_planted_in_the_target_meanwhile_is_not_followed() {
        #[track_caller]
        fn check(script: &str) {
            let (from, to) = (fs::temp_dir().unwrap(), fs::temp_dir().unwrap());
            sh(
                from.path(),
                "mkdir -p b/c d; echo 1 > a; echo 2 > b/1; echo 3 > b/c/2; ln b/1 d/3; echo 4 > d/4; mkfifo e",
            );
            sh(
                to.path(),
                "mkdir out victim; echo keep > victim/1; chmod 0700 victim",
            );
            let kept = keep(from.path());
            let into = to.path().join("out");
            let contents = Meddler {
                contents: &kept.contents,
                into: into.clone(),
                script,
            };
            let done = checkout(
                &kept.tree,
                &kept.nodes,
                &contents,
                &into,
                &CheckoutOptions::default(),
                &Silent,
            );
            let victim = sh(to.path(), "ls victim; cat victim/1; stat -c %a victim");
            assert_eq!(victim, "1\nkeep\n700\n", "{script}: {done:?}");
        }
        check("ln -s ../victim b");
        check("ln -s ../victim d");
        check("ln -s ../victim/e e");
        check("ln -s ../victim/1 d");
        check("mv ../out ../moved; ln -s victim ../out");
    }

    #[test]
    fn a_folder_swapped_for_a_symlink_does_not_lead_a_hard_link_outside() {
        let (from, to) = (fs::temp_dir().unwrap(), fs::temp_dir().unwrap());
        sh(from.path(), "mkdir b; echo x > b/1; ln b/1 z; echo 4 > c");
        sh(to.path(), "mkdir out victim; echo secret > victim/1");
        let kept = keep(from.path());
        let into = to.path().join("out");
        let script = "true";
        struct Late<'a>(Meddler<'a>, ContentId);
        impl ContentSource for Late<'_> {
            fn open(&self, id: &ContentId, offset: u64, len: u64) -> Result<Box<dyn Read + '_>> {
                if *id == self.1 {
                    sh(&self.0.into, "mv b gone; ln -s ../victim b");
                }
                self.0.contents.open(id, offset, len)
            }
        }
        let contents = Late(
            Meddler {
                contents: &kept.contents,
                into: into.clone(),
                script,
            },
            ContentId::of(b"4\n"),
        );
        let done = checkout(
            &kept.tree,
            &kept.nodes,
            &contents,
            &into,
            &CheckoutOptions::default(),
            &Silent,
        );
        assert!(
            matches!(done, Err(Error::Io { doing: "link", .. })),
            "{done:?}"
        );
        assert_eq!(
            sh(to.path(), "stat -c %h victim/1; ls out"),
            "1\nb\nc\ngone\n"
        );
    }

    #[test]
    fn a_content_that_is_short_in_the_store_is_an_error_not_a_short_file() {
        let (from, to) = (fs::temp_dir().unwrap(), fs::temp_dir().unwrap());
        sh(from.path(), "echo 12345 > a");
        let kept = keep(from.path());
        struct Short;
        impl ContentSource for Short {
            fn open(&self, _: &ContentId, _: u64, _: u64) -> Result<Box<dyn Read + '_>> {
                Ok(Box::new(&b"123"[..]))
            }
        }
        let done = checkout(
            &kept.tree,
            &kept.nodes,
            &Short,
            to.path(),
            &CheckoutOptions::default(),
            &Silent,
        );
        assert!(matches!(done, Err(Error::Corrupt { .. })), "{done:?}");
    }
}
