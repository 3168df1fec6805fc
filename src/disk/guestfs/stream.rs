//! The files of one file system: a tar from inside the appliance, and what a tar leaves out.
//!
//! The library writes into a pipe on its own thread, and we read here. `tar` knows no sockets, and
//! tells two names of one device or fifo as two entries; so these are held back until the tar is
//! through, and then told with what `find` lists and the tar did not have. That makes `find` a check
//! of the tar as well: anything but a socket that only one of them knows is an error.

use super::appliance::Appliance;
use super::appliance::Pending;
use super::ffi::Handle;
use super::ffi::Stat;
use crate::attr::Attr;
use crate::attr::Time;
use crate::attr::Xattr;
use crate::attr::Xattrs;
use crate::disk::files::FileBytes;
use crate::disk::files::FileSink;
use crate::disk::files::Found;
use crate::disk::guest::Filesystem;
use crate::error::Error;
use crate::error::Result;
use crate::error::from_stream;
use crate::layer::Limits;
use crate::layer::members;
use crate::layer::members::Member;
use crate::layer::members::MemberKind;
use crate::path::PATH_BYTES_MAX;
use crate::path::TreePath;
use crate::path::shown;
use crate::progress::Progress;
use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::event::Timespec;
use std::collections::HashMap;
use std::collections::HashSet;
use std::hash::BuildHasher;
use std::hash::RandomState;
use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::PipeReader;
use std::io::Read;
use std::os::fd::AsRawFd;

/// Devices, fifos, sockets and subvolumes together; they are kept in memory.
const SPECIAL_ENTRIES_MAX: usize = 1_000_000;
/// Names in one question to the appliance, whose messages hold 4 MiB.
const STATS_AT_ONCE: usize = 500;
/// How often a wait for bytes looks whether the person asked to stop.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

const S_IFMT: i64 = 0o170_000;
const S_IFDIR: i64 = 0o040_000;
const S_IFSOCK: i64 = 0o140_000;

/// What a tree keeps; others are views of one file system's own state (`system.ntfs_acl`).
const KEPT: [&[u8]; 4] = [b"security.", b"system.posix_acl_", b"trusted.", b"user."];

pub fn read(
    appliance: &Appliance,
    filesystem: &Filesystem,
    sink: &mut dyn FileSink,
    progress: &dyn Progress,
) -> Result<()> {
    let device = filesystem.device.clone();
    appliance.call(progress, move |handle| {
        handle.umount_all()?;
        handle.mount_ro(&device, "/")
    })?;
    let subvolumes: Vec<_> = filesystem.subvolumes.iter().filter_map(|one| one.tree_path()).collect();
    let mut reading = Reading { sink, progress, subvolumes, seen: Seen::default(), specials: Vec::new() };
    reading.tar(appliance)?;
    reading.find(appliance)?;
    reading.put_specials(appliance)?;
    appliance.call(progress, |handle| handle.umount_all())
}

struct Reading<'a> {
    sink: &'a mut dyn FileSink,
    progress: &'a dyn Progress,
    subvolumes: Vec<TreePath>,
    seen: Seen,
    /// Those of the tar, then those that it did not have, which are `None`.
    specials: Vec<Special>,
}

type Special = (TreePath, Option<(Attr, Found<'static>)>);

impl Reading<'_> {
    fn tar(&mut self, appliance: &Appliance) -> Result<()> {
        let excludes: Vec<_> = self.subvolumes.iter().map(pattern).collect();
        let writing = move |handle: &Handle, to: &str| handle.tar_out(&excludes, to);
        piped(appliance, self.progress, writing, |pipe| {
            members::read(pipe, "tar of the appliance", &Limits::default(), &mut |member, bytes| {
                self.member(member, bytes)
            })
        })
    }

    fn member(&mut self, member: Member, bytes: &mut dyn Read) -> Result<()> {
        let Member { path, attr, what } = member;
        // A damaged folder may list a name twice: both mean the same file, which is told once.
        if !self.seen.insert(&path) {
            return drain(bytes, &path);
        }
        let attr = kept(attr);
        let found = match what {
            MemberKind::File { size } => {
                let mut from = Counted { bytes, progress: self.progress };
                let file = FileBytes { size, extents: &[], from: &mut from };
                return self.sink.put(path, attr, Found::File(file));
            }
            MemberKind::Dir => Found::Dir,
            MemberKind::Symlink(target) => Found::Symlink(target),
            MemberKind::Hardlink { target } => Found::HardLink(target),
            MemberKind::CharDevice { major, minor } => {
                return self.hold(path, Some((attr, Found::CharDevice { major, minor })));
            }
            MemberKind::BlockDevice { major, minor } => {
                return self.hold(path, Some((attr, Found::BlockDevice { major, minor })));
            }
            MemberKind::Fifo => return self.hold(path, Some((attr, Found::Fifo))),
        };
        self.sink.put(path, attr, found)
    }

    fn hold(&mut self, path: TreePath, told: Option<(Attr, Found<'static>)>) -> Result<()> {
        if self.specials.len() == SPECIAL_ENTRIES_MAX {
            return Err(Error::Limit {
                thing: "the number of devices, fifos and sockets of the file system".into(),
                limit: SPECIAL_ENTRIES_MAX as u64,
                unit: "entries",
            });
        }
        self.specials.push((path, told));
        Ok(())
    }

    /// Holds what the tar did not have.
    fn find(&mut self, appliance: &Appliance) -> Result<()> {
        piped(
            appliance,
            self.progress,
            |handle, to| handle.find(to),
            |pipe| {
                let mut listing = BufReader::new(pipe);
                let mut name = Vec::new();
                loop {
                    name.clear();
                    let mut one = (&mut listing).take(PATH_BYTES_MAX as u64 + 2);
                    one.read_until(0, &mut name)
                        .map_err(|err| from_stream("listing of the appliance", err))?;
                    if name.is_empty() {
                        return Ok(());
                    }
                    if name.pop() != Some(0) {
                        return Err(Error::invalid(
                            format!("path `{}`", shown(&name)),
                            "is too long or cut off",
                        ));
                    }
                    let path = TreePath::parse(&name)?;
                    let inside = |outer: &&TreePath| path.is_under(outer);
                    match self.subvolumes.iter().find(inside) {
                        Some(outer) if *outer == path => self.hold(path, None)?,
                        Some(_) => {}
                        None if self.seen.has(&path) => {}
                        None => self.hold(path, None)?,
                    }
                }
            },
        )
    }

    fn put_specials(&mut self, appliance: &Appliance) -> Result<()> {
        let mut specials = std::mem::take(&mut self.specials);
        specials.sort_by(|one, two| one.0.split().cmp(&two.0.split()));
        let mut first_names: HashMap<(i64, i64), TreePath> = HashMap::new();
        while !specials.is_empty() {
            let (folder, names) = one_folder(&specials);
            let rest = specials.split_off(names.len());
            let batch = std::mem::replace(&mut specials, rest);
            let stats = appliance.call(self.progress, move |handle| handle.lstat(&folder, &names))?;
            for ((path, told), stat) in batch.into_iter().zip(stats) {
                let (attr, found) = match told {
                    Some(told) => told,
                    None => untold(appliance, &path, &stat, self.progress)?,
                };
                let inode = (stat.dev, stat.ino);
                if stat.nlink > 1 && !matches!(found, Found::Dir) {
                    if let Some(first) = first_names.get(&inode) {
                        self.sink.put(path, attr, Found::HardLink(first.clone()))?;
                        continue;
                    }
                    first_names.insert(inode, path.clone());
                }
                self.sink.put(path, attr, found)?;
            }
        }
        Ok(())
    }
}

/// The folder of the first of these, from the root, and the names of those that follow in it.
fn one_folder(specials: &[Special]) -> (Vec<u8>, Vec<Vec<u8>>) {
    let split = |special: &Special| special.0.split().map(|(folder, name)| (folder, name.to_vec()));
    let parts = specials.iter().take(STATS_AT_ONCE).map_while(split);
    let folder = specials.first().and_then(split).map(|(folder, _)| folder).unwrap_or_default();
    let names = parts.take_while(|(other, _)| *other == folder).map(|(_, name)| name).collect();
    ([b"/", folder.as_bytes()].concat(), names)
}

/// What stands at a path that the tar left out: a socket, or the folder of a subvolume.
fn untold(
    appliance: &Appliance,
    path: &TreePath,
    stat: &Stat,
    progress: &dyn Progress,
) -> Result<(Attr, Found<'static>)> {
    let found = match stat.mode & S_IFMT {
        S_IFSOCK => Found::Socket,
        S_IFDIR => Found::Dir,
        _ => return Err(Error::invalid(format!("path {path}"), "is on the file system and not in its tar")),
    };
    let full = [b"/", path.as_bytes()].concat();
    let pairs: Vec<Xattr> = appliance.call(progress, move |handle| handle.xattrs(&full))?;
    // Out of range is nothing that the appliance's kernel could say.
    let unsigned = |number: i64| u64::try_from(number).unwrap_or_default();
    let attr = Attr {
        mode: (stat.mode & 0o7777) as u32,
        uid: unsigned(stat.uid),
        gid: unsigned(stat.gid),
        mtime: Time { secs: stat.mtime_sec, nanos: stat.mtime_nsec.clamp(0, 999_999_999) as u32 },
        xattrs: Xattrs::new(pairs),
    };
    Ok((kept(attr), found))
}

/// Has the library write to a pipe and reads it meanwhile; what is left unread is passed over.
fn piped(
    appliance: &Appliance,
    progress: &dyn Progress,
    write: impl FnOnce(&Handle, &str) -> Result<()> + Send + 'static,
    read: impl FnOnce(&mut Pipe<'_>) -> Result<()>,
) -> Result<()> {
    let (reader, writer) =
        io::pipe().map_err(|source| Error::Stream { thing: "a new pipe".into(), source })?;
    let pending = appliance.start(move |handle| {
        let done = write(handle, &format!("/dev/fd/{}", writer.as_raw_fd()));
        // The reader sees the end only when no one can write any more.
        drop(writer);
        done
    });
    let mut pipe = Pipe { reader, progress, ended: false };
    let read = read(&mut pipe).and_then(|()| {
        io::copy(&mut pipe, &mut io::sink()).map(drop).map_err(|err| from_stream("the appliance's pipe", err))
    });
    finish(appliance, pending, read, pipe, progress)
}

/// Says how the two ended. Where the stream ended early the library's word comes first.
fn finish(
    appliance: &Appliance,
    pending: Pending<()>,
    read: Result<()>,
    pipe: Pipe<'_>,
    progress: &dyn Progress,
) -> Result<()> {
    let Err(err) = read else {
        return appliance.wait(pending, progress);
    };
    if pipe.ended {
        return appliance.wait(pending, progress).and(Err(err));
    }
    // With no one to read it, the library's write fails and its call ends.
    drop(pipe);
    appliance.end(&pending);
    if progress.cancelled() {
        return Err(Error::Interrupted);
    }
    Err(err)
}

/// Our end of the pipe, with an eye on the person.
struct Pipe<'a> {
    reader: PipeReader,
    progress: &'a dyn Progress,
    ended: bool,
}

impl Read for Pipe<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.progress.cancelled() {
                return Err(Error::Interrupted.into());
            }
            let mut watched = [PollFd::new(&self.reader, PollFlags::IN)];
            match rustix::event::poll(&mut watched, Some(&LOOK)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Ok(_) => {
                    let len = self.reader.read(into)?;
                    self.ended |= len == 0 && !into.is_empty();
                    return Ok(len);
                }
                Err(err) => return Err(err.into()),
            }
        }
    }
}

/// Tells the progress how many bytes of files went by.
struct Counted<'a> {
    bytes: &'a mut dyn Read,
    progress: &'a dyn Progress,
}

impl Read for Counted<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let len = self.bytes.read(into)?;
        self.progress.advance(len as u64);
        Ok(len)
    }
}

/// Which paths the tar had, by 8 bytes each: a million files take 16 MB.
#[derive(Default)]
struct Seen {
    /// Its keys are random, so no one can choose names that are taken for each other.
    hasher: RandomState,
    hashes: HashSet<u64>,
}

impl Seen {
    fn insert(&mut self, path: &TreePath) -> bool {
        self.hashes.insert(self.hasher.hash_one(path.as_bytes()))
    }

    fn has(&self, path: &TreePath) -> bool {
        self.hashes.contains(&self.hasher.hash_one(path.as_bytes()))
    }
}

fn drain(bytes: &mut dyn Read, path: &TreePath) -> Result<()> {
    io::copy(bytes, &mut io::sink()).map(drop).map_err(|err| from_stream(path.to_string(), err))
}

fn kept(mut attr: Attr) -> Attr {
    let is_kept = |name: &[u8]| KEPT.iter().any(|space| name.starts_with(space));
    if attr.xattrs.iter().any(|(name, _)| !is_kept(name)) {
        let pairs = attr.xattrs.iter().filter(|(name, _)| is_kept(name));
        attr.xattrs = Xattrs::new(pairs.map(|(name, value)| (name.into(), value.into())).collect());
    }
    attr
}

/// The pattern by which GNU tar leaves out this path and all below it.
fn pattern(path: &TreePath) -> Vec<u8> {
    let mut pattern = b"./".to_vec();
    for byte in path.as_bytes() {
        if matches!(byte, b'*' | b'?' | b'[' | b']' | b'\\') {
            pattern.push(b'\\');
        }
        pattern.push(*byte);
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_means_one_path() {
        let check = |path: &str, expected: &str| {
            assert_eq!(pattern(&TreePath::parse(path.as_bytes()).unwrap()), expected.as_bytes());
        };
        check("@home", "./@home");
        check("a/*[b]\\?", "./a/\\*\\[b\\]\\\\\\?");
    }

    #[test]
    fn views_of_a_file_systems_own_state_are_not_kept() {
        let pair = |name: &[u8]| (name.into(), b"v"[..].into());
        let names = [&b"system.ntfs_acl"[..], b"system.posix_acl_access", b"btrfs.compression", b"user.a"];
        let attr = Attr { xattrs: Xattrs::new(names.map(pair).to_vec()), ..Attr::default() };
        let found: Vec<_> = kept(attr).xattrs.iter().map(|(name, _)| name.to_vec()).collect();
        assert_eq!(found, [&b"system.posix_acl_access"[..], b"user.a"]);
    }
}
