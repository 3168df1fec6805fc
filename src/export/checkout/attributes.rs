//! Owner, extended attributes, mode and times of what was just made.

use super::Writer;
use crate::attr::Attr;
use crate::error::Result;
use crate::export::skipped::What;
use crate::fs::xattrs;
use crate::fs::xattrs::Whose;
use crate::path::shown;
use rustix::fd::AsRawFd;
use rustix::fd::BorrowedFd;
use rustix::fs::AtFlags;
use rustix::fs::FileType;
use rustix::fs::Gid;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::Timespec;
use rustix::fs::Timestamps;
use rustix::fs::Uid;
use rustix::io::Errno;
use std::ffi::CString;
use std::path::Path;

impl Writer<'_> {
    /// Gives an open file or directory all its attributes.
    pub(super) fn attributes(&mut self, fd: BorrowedFd<'_>, attr: &Attr) -> Result<()> {
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

    pub(super) fn named_owner_and_xattrs(&mut self, name: &CString, attr: &Attr) -> Result<bool> {
        let owned = self.owner(attr, Owned::Named(name))?;
        if !attr.xattrs.is_empty() {
            self.xattrs(&Whose::named(self.chain.here(), name), attr)?;
        }
        Ok(owned)
    }

    pub(super) fn named_times(&mut self, name: &CString, attr: &Attr) -> Result<()> {
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        if let Err(err) = rustix::fs::utimensat(self.chain.here(), name.as_c_str(), &times(attr), flags) {
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
            Err(err) => self.unless_refused(What::Owner, "set the owner of", err).map(|()| false),
        }
    }

    pub(super) fn mode_for(&mut self, attr: &Attr, owned: bool) -> Mode {
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
                self.unless_refused(What::Xattr(shown(name)), "set the extended attributes of", err)?;
            }
        }
        Ok(())
    }

    /// Clamping is silent: the kernel stores the nearest time it can.
    fn check_time(&mut self, attr: &Attr, found_secs: i64) {
        if found_secs != attr.mtime.secs {
            self.skip(What::Time, "out of range for this file system");
        }
    }

    /// Lists what could not be set where that is a matter of rights or of the file system.
    pub(super) fn unless_refused(&mut self, what: What, doing: &'static str, err: Errno) -> Result<()> {
        let why = match err {
            Errno::PERM | Errno::ACCESS => "not permitted",
            Errno::OPNOTSUPP | Errno::INVAL | Errno::OVERFLOW => "this file system does not take it",
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
}

/// Whose owner is set: an open file, or a name where the walk stands.
enum Owned<'a> {
    Open(BorrowedFd<'a>),
    Named(&'a CString),
}

/// Changes the mode of a name that may have become a symlink meanwhile. The plain call follows
/// symlinks; the handle is of the thing itself, and `/proc` leads to what the handle is of.
pub(super) fn chmod_no_follow(dir: BorrowedFd<'_>, name: &CString, mode: Mode) -> rustix::io::Result<()> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let handle = rustix::fs::openat(dir, name.as_c_str(), flags, Mode::empty())?;
    if FileType::from_raw_mode(rustix::fs::fstat(&handle)?.st_mode) == FileType::Symlink {
        return Err(Errno::LOOP);
    }
    rustix::fs::chmod(format!("/proc/self/fd/{}", handle.as_raw_fd()), mode)
}

fn times(attr: &Attr) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_OMIT },
        last_modification: Timespec { tv_sec: attr.mtime.secs, tv_nsec: attr.mtime.nanos.into() },
    }
}

/// Every file system holds these times.
fn needs_check(attr: &Attr) -> bool {
    !(0..=i64::from(i32::MAX)).contains(&attr.mtime.secs)
}
