//! Where a walk stands: the directories from its root down to here, each held open.
//!
//! Every step down is one name opened in the directory above it, so nobody who renames things or
//! plants symlinks meanwhile can lead the walk elsewhere. A tree may be deeper than a process may
//! have files open: far-off directories are closed, found again through `..` on the way up, and
//! must then be the same inode as before.

use rustix::fd::AsFd;
use rustix::fd::BorrowedFd;
use rustix::fd::OwnedFd;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::Stat;
use rustix::io::Errno;
use rustix::io::Result;

/// Directories held open at a time: well under the usual 1,024 files of a process.
const OPEN_DIRS_MAX: usize = 128;

/// How a directory is opened in the one above it: never through a symlink.
pub const OPEN_DIR: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

pub struct Chain {
    links: Vec<Link>,
}

struct Link {
    /// `None` when it was closed to save files; the last link is always open.
    fd: Option<OwnedFd>,
    dev: u64,
    ino: u64,
}

impl Chain {
    pub fn new(root: OwnedFd) -> Result<Chain> {
        let mut chain = Chain { links: Vec::new() };
        let stat = rustix::fs::fstat(&root)?;
        chain.enter(root, &stat);
        Ok(chain)
    }

    /// The directory the walk stands in.
    pub fn here(&self) -> BorrowedFd<'_> {
        self.links.last().and_then(|link| link.fd.as_ref()).expect("the last link is kept open").as_fd()
    }

    /// Steps down into `dir`, which was opened in [`Chain::here`].
    pub fn enter(&mut self, dir: OwnedFd, stat: &Stat) {
        if let Some(far) = self.links.len().checked_sub(OPEN_DIRS_MAX) {
            self.links[far].fd = None;
        }
        self.links.push(Link { fd: Some(dir), dev: stat.st_dev, ino: stat.st_ino });
    }

    /// Steps up and returns the directory that was left. The root itself is not left.
    ///
    /// Fails with `ESTALE` when what is above is not what was there on the way down.
    pub fn leave(&mut self) -> Result<OwnedFd> {
        assert!(self.links.len() > 1, "each leave follows an enter");
        let left = self.links.pop().and_then(|link| link.fd).expect("the last link is kept open");
        let above = self.links.last_mut().expect("there were two");
        if above.fd.is_none() {
            let fd = rustix::fs::openat(&left, c"..", OPEN_DIR, Mode::empty())?;
            let stat = rustix::fs::fstat(&fd)?;
            if (stat.st_dev, stat.st_ino) != (above.dev, above.ino) {
                return Err(Errno::STALE);
            }
            above.fd = Some(fd);
        }
        Ok(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::CWD;

    fn step(chain: &mut Chain, name: &str) {
        rustix::fs::mkdirat(chain.here(), name, Mode::RWXU).unwrap();
        let dir = rustix::fs::openat(chain.here(), name, OPEN_DIR, Mode::empty()).unwrap();
        let stat = rustix::fs::fstat(&dir).unwrap();
        chain.enter(dir, &stat);
    }

    #[test]
    fn a_walk_deeper_than_the_files_a_process_may_open_comes_back_to_its_root() {
        let folder = crate::fs::temp_dir().unwrap();
        let root = rustix::fs::openat(CWD, folder.path(), OPEN_DIR, Mode::empty()).unwrap();
        let mut chain = Chain::new(root).unwrap();
        let depth = 3 * OPEN_DIRS_MAX;
        (0..depth).for_each(|_| step(&mut chain, "d"));
        assert!(chain.links.iter().filter(|link| link.fd.is_some()).count() <= OPEN_DIRS_MAX);
        (0..depth).for_each(|_| drop(chain.leave().unwrap()));
        rustix::fs::mkdirat(chain.here(), "beside", Mode::RWXU).unwrap();
        assert!(crate::fs::look(&folder.path().join("beside")).unwrap().is_some());
    }

    #[test]
    fn a_directory_moved_away_meanwhile_ends_the_walk() {
        let folder = crate::fs::temp_dir().unwrap();
        let elsewhere = crate::fs::temp_dir().unwrap();
        let root = rustix::fs::openat(CWD, folder.path(), OPEN_DIR, Mode::empty()).unwrap();
        let mut chain = Chain::new(root).unwrap();
        (0..OPEN_DIRS_MAX + 1).for_each(|_| step(&mut chain, "d"));
        crate::fs::rename(&folder.path().join("d"), &elsewhere.path().join("d")).unwrap();
        let came_back = (0..OPEN_DIRS_MAX + 1).try_for_each(|_| chain.leave().map(drop));
        assert_eq!(came_back, Err(Errno::STALE));
    }
}
