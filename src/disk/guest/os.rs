//! What operating system a tree holds, told by its own files: `os-release`, `fstab`, a program's
//! header. For a guest that was read without an appliance; the words are those of libguestfs.
//!
//! The files are a stranger's: what is too large, no text or no sense is left out, never an error.

mod elf;
mod fstab;
mod release;

pub use fstab::mounts;

use super::Filesystem;
use super::Os;
use crate::error::Error;
use crate::error::Result;
use crate::id::ContentId;
use crate::path::TreePath;
use crate::tree::Kind;
use crate::tree::NodeSource;
use crate::tree::Tree;
use crate::tree::walk;
use std::cmp::Ordering;
use std::collections::HashMap;

/// A text that tells of a system is a few lines; this is for a fstab of thousands of mounts.
pub const TEXT_BYTES_MAX: u64 = 256 << 10;
/// All that is read of a program.
pub const HEAD_BYTES: u64 = 20;

const RELEASES: [&str; 2] = ["etc/os-release", "usr/lib/os-release"];
const FSTAB: &str = "etc/fstab";
const HOSTNAME: &str = "etc/hostname";
const PROGRAMS: [&str; 6] =
    ["bin/sh", "bin/bash", "bin/ls", "bin/busybox", "sbin/init", "usr/lib/systemd/systemd"];

/// The files of a system as it sees them itself: links are followed inside its root.
pub trait Files {
    /// A regular file's bytes; `None` where there is none, or one of more than [`TEXT_BYTES_MAX`].
    fn text(&self, path: &TreePath) -> Result<Option<Vec<u8>>>;

    /// At least the first [`HEAD_BYTES`] of a regular file, or all there are; `None` where there is none.
    fn head(&self, path: &TreePath) -> Result<Option<Vec<u8>>>;

    /// The names in a folder; none where there is no folder.
    fn list(&self, path: &TreePath) -> Result<Vec<Vec<u8>>>;
}

/// A tree, and what was read of the contents that [`wanted`] names.
pub struct TreeFiles<'a> {
    pub nodes: &'a dyn NodeSource,
    pub tree: &'a Tree,
    pub bytes: &'a HashMap<ContentId, Vec<u8>>,
}

/// Returns the contents that [`system`] will ask for, each with how many of its bytes.
pub fn wanted(nodes: &dyn NodeSource, tree: &Tree) -> Result<HashMap<ContentId, u64>> {
    let mut wanted = HashMap::new();
    let texts = RELEASES.iter().chain([&FSTAB, &HOSTNAME]).map(|path| (path, TEXT_BYTES_MAX));
    for (path, max) in texts.chain(PROGRAMS.iter().map(|path| (path, HEAD_BYTES))) {
        if let Some(Kind::File { content, size }) = follow(nodes, tree, &clean(path))? {
            let len: &mut u64 = wanted.entry(content).or_default();
            // Too large a text is none.
            *len = (*len).max(if size > TEXT_BYTES_MAX { HEAD_BYTES } else { size.min(max) });
        }
    }
    Ok(wanted)
}

/// Returns what the tree at `root` holds; `None` where nothing speaks of a system.
///
/// Mount points that lead to none of `filesystems` are left out; the root is always one. Where some
/// of it (`/usr`, `/boot`) is on others of them, ask for the root alone first and for the tree that is
/// assembled along the answer's mount points then.
pub fn system(files: &dyn Files, root: &str, filesystems: &[Filesystem]) -> Result<Option<Os>> {
    let release = first_text(files, &RELEASES)?;
    let fstab = first_text(files, &[FSTAB])?;
    let arch = arch(files)?;
    // A home or a boot partition has none of these. Without os-release it is a Linux from before
    // that, or one whose /usr is another file system.
    if release.is_none() && (fstab.is_none() || !list(files, "etc")?.iter().any(|name| name == b"passwd")) {
        return Ok(None);
    }
    let release = release::parse(release.as_deref().unwrap_or_default());
    let boot = list(files, "boot")?;
    let mut modules = list(files, "lib/modules")?;
    if modules.is_empty() {
        modules = list(files, "usr/lib/modules")?;
    }
    Ok(Some(Os {
        root: root.to_owned(),
        kind: Some("linux".to_owned()),
        distro: release.distro,
        product: release.product,
        version: release.version,
        arch,
        hostname: first_text(files, &[HOSTNAME])?.and_then(|text| hostname(&text)),
        package_format: package_format(files)?,
        kernel: newest_kernel(&boot, &modules),
        mounts: mounts(fstab.as_deref().unwrap_or_default(), root, filesystems),
    }))
}

fn first_text(files: &dyn Files, paths: &[&str]) -> Result<Option<String>> {
    for path in paths {
        if let Some(bytes) = files.text(&clean(path))?
            && let Ok(text) = String::from_utf8(bytes)
        {
            return Ok(Some(text));
        }
    }
    Ok(None)
}

fn list(files: &dyn Files, path: &str) -> Result<Vec<Vec<u8>>> {
    files.list(&clean(path))
}

fn clean(path: &str) -> TreePath {
    TreePath::parse(path.as_bytes()).expect("the paths in this file are clean")
}

fn arch(files: &dyn Files) -> Result<Option<String>> {
    for path in PROGRAMS {
        if let Some(bytes) = files.head(&clean(path))?
            && let Some(arch) = elf::arch(&bytes)
        {
            return Ok(Some(arch.to_owned()));
        }
    }
    Ok(None)
}

/// The first line that is no comment, where it can be a name.
fn hostname(text: &str) -> Option<String> {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'))?;
    let is_sound = line.len() <= 253 && line.bytes().all(|byte| byte.is_ascii_graphic());
    is_sound.then(|| line.to_owned())
}

/// Told by where the package manager keeps its books.
fn package_format(files: &dyn Files) -> Result<Option<String>> {
    let books = [
        ("var/lib/dpkg", "deb"),
        ("usr/lib/sysimage/rpm", "rpm"),
        ("var/lib/rpm", "rpm"),
        ("lib/apk/db", "apk"),
        ("var/lib/pacman", "pacman"),
        ("var/db/pkg", "ebuild"),
    ];
    for (folder, format) in books {
        if !list(files, folder)?.is_empty() {
            return Ok(Some(format.to_owned()));
        }
    }
    Ok(None)
}

/// Returns the highest version among the names in `/boot` and in `/lib/modules`.
pub fn newest_kernel(boot: &[Vec<u8>], modules: &[Vec<u8>]) -> Option<String> {
    let images = boot.iter().filter_map(|name| {
        let prefixes = [&b"vmlinuz-"[..], b"vmlinux-", b"Image-"];
        prefixes.iter().find_map(|prefix| name.strip_prefix(*prefix))
    });
    let names = images.chain(modules.iter().map(Vec::as_slice));
    let versions = names.filter_map(|name| std::str::from_utf8(name).ok());
    let versions = versions.filter(|name| {
        name.starts_with(|letter: char| letter.is_ascii_digit())
            && name.bytes().all(|byte| byte.is_ascii_graphic())
    });
    versions.max_by(|one, two| version_order(one, two)).map(str::to_owned)
}

/// Compares runs of digits as numbers and the rest as text: `6.1.0-25` is after `6.1.0-9`.
fn version_order(one: &str, two: &str) -> Ordering {
    let (mut one, mut two) = (one, two);
    while !one.is_empty() && !two.is_empty() {
        let (a, rest_a) = run(one);
        let (b, rest_b) = run(two);
        let order = match (a.parse::<u128>(), b.parse::<u128>()) {
            (Ok(a), Ok(b)) => a.cmp(&b),
            _ => a.cmp(b),
        };
        if order.is_ne() {
            return order;
        }
        (one, two) = (rest_a, rest_b);
    }
    one.len().cmp(&two.len())
}

/// The digits, or the other letters, that a text begins with.
fn run(text: &str) -> (&str, &str) {
    let is_digit = |letter: char| letter.is_ascii_digit();
    let digits = text.starts_with(is_digit);
    text.split_at(text.find(|letter| is_digit(letter) != digits).unwrap_or(text.len()))
}

impl Files for TreeFiles<'_> {
    fn text(&self, path: &TreePath) -> Result<Option<Vec<u8>>> {
        match follow(self.nodes, self.tree, path)? {
            Some(Kind::File { content, size }) if size <= TEXT_BYTES_MAX => {
                Ok(self.bytes.get(&content).cloned())
            }
            _ => Ok(None),
        }
    }

    fn head(&self, path: &TreePath) -> Result<Option<Vec<u8>>> {
        match follow(self.nodes, self.tree, path)? {
            Some(Kind::File { content, .. }) => Ok(self.bytes.get(&content).cloned()),
            _ => Ok(None),
        }
    }

    fn list(&self, path: &TreePath) -> Result<Vec<Vec<u8>>> {
        let Some(Kind::Dir(ids)) = follow(self.nodes, self.tree, path)? else {
            return Ok(Vec::new());
        };
        Ok(self.nodes.node(&ids.full)?.entries.iter().map(|entry| entry.name.to_vec()).collect())
    }
}

fn follow(nodes: &dyn NodeSource, tree: &Tree, path: &TreePath) -> Result<Option<Kind>> {
    match walk::resolve(nodes, tree, path) {
        Ok(found) => Ok(found.map(|(_, entry)| entry.kind)),
        // Links in a circle.
        Err(Error::Limit { .. }) => Ok(None),
        Err(err) => Err(err),
    }
}

#[cfg(test)]
mod tests;
