//! Extended attributes of open files, and of things that cannot be opened.

use crate::attr::Xattrs;
use rustix::fd::AsFd;
use rustix::fd::AsRawFd;
use rustix::fd::BorrowedFd;
use rustix::io::Errno;
use rustix::io::Result;
use std::ffi::CStr;
use std::ffi::CString;

/// Linux's `XATTR_LIST_MAX` and `XATTR_SIZE_MAX`: one buffer of this size holds any answer.
const ANSWER_BYTES_MAX: usize = 65_536;

/// What a tree keeps. Others (`system.nfs4_acl`, `btrfs.*` …) are views of one file system's own
/// state: they are computed, and cannot be set elsewhere.
const KEPT: [&[u8]; 4] = [b"security.", b"system.posix_acl_", b"trusted.", b"user."];

/// Reads attributes with buffers of its own, so that a walk allocates them once.
pub struct XattrReader {
    list: Vec<u8>,
    value: Vec<u8>,
    /// Without `/proc` what cannot be opened shows no attributes.
    has_proc: bool,
}

/// A file that is open, or a name in an open directory; a symlink there is not followed.
pub enum Whose<'a> {
    Open(BorrowedFd<'a>),
    Named(CString),
}

impl Whose<'_> {
    /// There is no `getxattrat` before Linux 6.13: through `/proc` the directory is the open one,
    /// and the l-calls do not follow the name itself.
    pub fn named(dir: BorrowedFd<'_>, name: &CStr) -> Whose<'static> {
        let mut path = format!("/proc/self/fd/{}/", dir.as_raw_fd()).into_bytes();
        path.extend_from_slice(name.to_bytes());
        Whose::Named(CString::new(path).expect("neither part has a NUL"))
    }
}

impl XattrReader {
    pub fn new() -> XattrReader {
        let has_proc = rustix::fs::access("/proc/self/fd", rustix::fs::Access::EXISTS).is_ok();
        XattrReader { list: vec![0; ANSWER_BYTES_MAX], value: vec![0; ANSWER_BYTES_MAX], has_proc }
    }

    /// Returns what this process may see; `trusted.*` is listed for the privileged only.
    pub fn read(&mut self, whose: &Whose<'_>) -> Result<Xattrs> {
        let listed = match whose {
            Whose::Open(fd) => rustix::fs::flistxattr(fd, &mut self.list[..]),
            Whose::Named(_) if !self.has_proc => Ok(0),
            Whose::Named(path) => rustix::fs::llistxattr(path.as_c_str(), &mut self.list[..]),
        };
        let listed = match listed {
            Ok(listed) => listed,
            Err(Errno::OPNOTSUPP) => 0,
            Err(err) => return Err(err),
        };
        let mut pairs = Vec::new();
        for name in self.list[..listed].split_inclusive(|byte| *byte == 0) {
            let Ok(name) = CStr::from_bytes_with_nul(name) else {
                continue;
            };
            if !KEPT.iter().any(|space| name.to_bytes().starts_with(space)) {
                continue;
            }
            let got = match whose {
                Whose::Open(fd) => rustix::fs::fgetxattr(fd, name, &mut self.value[..]),
                Whose::Named(path) => rustix::fs::lgetxattr(path.as_c_str(), name, &mut self.value[..]),
            };
            match got {
                Ok(len) => pairs.push((name.to_bytes().into(), self.value[..len].into())),
                // Removed between the list and this, or listed by a layer below that hides it.
                Err(Errno::NODATA | Errno::OPNOTSUPP) => {}
                Err(err) => return Err(err),
            }
        }
        Ok(Xattrs::new(pairs))
    }
}

impl Default for XattrReader {
    fn default() -> XattrReader {
        XattrReader::new()
    }
}

/// Sets one attribute, over one of the same name.
pub fn set(whose: &Whose<'_>, name: &[u8], value: &[u8]) -> Result<()> {
    let flags = rustix::fs::XattrFlags::empty();
    match whose {
        Whose::Open(fd) => rustix::fs::fsetxattr(fd.as_fd(), name, value, flags),
        Whose::Named(path) => rustix::fs::lsetxattr(path.as_c_str(), name, value, flags),
    }
}
