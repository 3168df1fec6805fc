//! A folder held open, read by names from strangers, and never left.

use crate::error::Error;
use crate::error::Result;
use crate::path::shown;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::ResolveFlags;
use rustix::io::Errno;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::path::PathBuf;

pub struct Folder {
    dir: OwnedFd,
    path: PathBuf,
}

impl Folder {
    /// The path is the person's own: symlinks on the way to it are followed.
    pub fn open(path: &Path) -> Result<Folder> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = rustix::fs::open(path, flags, Mode::empty()).map_err(|err| io("open", path, err))?;
        Ok(Folder { dir, path: path.to_path_buf() })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens a regular file below the folder, or `None` where nothing is.
    ///
    /// A symlink is followed only as long as it stays below; fifos and devices are not opened for
    /// their content, so nothing waits for a writer.
    pub fn open_file(&self, relative: impl AsRef<Path>) -> Result<Option<File>> {
        let relative = relative.as_ref();
        let path = self.path.join(relative);
        // Without waiting: a fifo opened for reading would wait for its writer.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match self.open_beneath(relative, flags) {
            Ok(fd) => File::from(fd),
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            Err(Errno::XDEV | Errno::LOOP) => {
                return Err(Error::invalid(
                    shown(path.as_os_str().as_encoded_bytes()),
                    "leads out of its folder by a symlink",
                ));
            }
            Err(err) => return Err(io("open", &path, err)),
        };
        if !file.metadata().map_err(Error::io("stat", &path))?.is_file() {
            return Err(Error::invalid(shown(path.as_os_str().as_encoded_bytes()), "is not a regular file"));
        }
        Ok(Some(file))
    }

    fn open_beneath(&self, relative: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        const TRIES: usize = 8;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        for _ in 0..TRIES {
            match rustix::fs::openat2(&self.dir, relative, flags, Mode::empty(), resolve) {
                // Something was renamed meanwhile and the kernel could not be sure.
                Err(Errno::AGAIN) => continue,
                // Linux before 5.6, or a sandbox that does not know the call.
                Err(Errno::NOSYS | Errno::PERM) => return self.open_step_by_step(relative, flags),
                other => return other,
            }
        }
        Err(Errno::AGAIN)
    }

    /// Follows no symlink at all, which is stricter than need be.
    fn open_step_by_step(&self, relative: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        let step = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut here: Option<OwnedFd> = None;
        let mut parts = relative.as_os_str().as_bytes().split(|byte| *byte == b'/').peekable();
        while let Some(part) = parts.next() {
            if matches!(part, b"" | b"." | b"..") {
                return Err(Errno::XDEV);
            }
            let flags = match parts.peek() {
                Some(_) => step,
                None => flags | OFlags::NOFOLLOW,
            };
            let dir = here.as_ref().unwrap_or(&self.dir);
            here = Some(rustix::fs::openat(dir, part, flags, Mode::empty())?);
        }
        here.ok_or(Errno::NOENT)
    }
}

fn io(doing: &'static str, path: &Path, err: Errno) -> Error {
    Error::io(doing, path)(err.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_folder_is_not_left_by_links_dots_or_fifos() {
        let outside = crate::fs::temp_dir().unwrap();
        let base = outside.path();
        let root = base.join("layout");
        crate::fs::create_dir_all(&root.join("blobs/sha256")).unwrap();
        crate::fs::write_atomic(&base.join("secret"), b"s").unwrap();
        crate::fs::write_atomic(&root.join("blobs/sha256/real"), b"r").unwrap();
        symlink("real", root.join("blobs/sha256/inside")).unwrap();
        symlink("../../../secret", root.join("blobs/sha256/outside")).unwrap();
        symlink(base.join("secret"), root.join("blobs/sha256/absolute")).unwrap();
        symlink(base, root.join("blobs/out")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            root.join("blobs/fifo"),
            rustix::fs::FileType::Fifo,
            Mode::RUSR,
            0,
        )
        .unwrap();
        let folder = Folder::open(&root).unwrap();
        let flags = OFlags::RDONLY | OFlags::NONBLOCK;
        for (path, is_there) in [
            ("blobs/sha256/real", Some(true)),
            ("blobs/sha256/none", Some(false)),
            ("blobs/sha256/real/under", Some(false)),
            ("blobs/sha256/inside", Some(true)),
            ("blobs/sha256/outside", None),
            ("blobs/sha256/absolute", None),
            ("blobs/out/secret", None),
            ("../secret", None),
            ("blobs/fifo", None),
            ("blobs", None),
        ] {
            let opened = folder.open_file(path).ok().map(|file| file.is_some());
            assert_eq!(opened, is_there, "{path}");
            let stepped = folder.open_step_by_step(Path::new(path), flags);
            assert_eq!(
                stepped.is_ok(),
                path.ends_with("real") || matches!(path, "blobs/fifo" | "blobs"),
                "{path}"
            );
        }
    }
}
