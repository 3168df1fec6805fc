//! The readers beside independent ones: each test makes a real file system by the tools that
//! Linux has for it, and compares every entry, attribute and byte.

mod dirty;
mod ext;
mod fat;
mod faults;
mod listing;
mod measure;

use crate::disk::native;
use crate::disk::native::NativeFs;
use crate::fs::File;
use listing::Lines;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

/// An image in a file.
struct Image(File);

impl crate::disk::bytes::ReadAt for Image {
    fn size(&self) -> u64 {
        self.0.metadata().unwrap().len()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> crate::error::Result<()> {
        crate::disk::bytes::check(self, offset, buffer)?;
        self.0.read_exact_at(buffer, offset).map_err(crate::error::Error::io("read", "image"))
    }
}

/// An image with one byte changed, without a copy of the others.
struct Damaged {
    whole: Arc<Vec<u8>>,
    at: u64,
    mask: u8,
}

impl crate::disk::bytes::ReadAt for Damaged {
    fn size(&self) -> u64 {
        self.whole.len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> crate::error::Result<()> {
        self.whole.read_at(offset, buffer)?;
        if let Some(byte) = self.at.checked_sub(offset).and_then(|at| buffer.get_mut(at as usize)) {
            *byte ^= self.mask;
        }
        Ok(())
    }
}

fn open(image: &Path) -> crate::error::Result<Option<Box<dyn NativeFs>>> {
    native::open(Arc::new(Image(File::open(image).unwrap())))
}

/// What our reader tells of an image.
fn native_lines(image: &Path) -> Lines {
    let found = open(image).unwrap().expect("a file system we read");
    listing::of_native(&*found, &image.display().to_string()).unwrap()
}

/// Runs a tool that must succeed and say nothing that begins like a complaint.
fn run(program: &str, args: &[&str]) -> String {
    // What root runs lies in folders that others may not have on their path.
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let done = Command::new(program).args(args).env("PATH", path).env("LC_ALL", "C").output();
    let done = done.unwrap_or_else(|err| panic!("{program}: {err}: see tests/support/install.sh"));
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{program} {args:?}: {out}{err}");
    format!("{out}{err}")
}

/// A folder in memory where there is one: the tools wait for the disk after every change.
fn temp_dir() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| crate::fs::temp_dir().unwrap())
}
