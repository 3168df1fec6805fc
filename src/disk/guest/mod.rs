//! A guest as whoever reads its disks tells it: file systems, operating systems, files.
//!
//! [`Guest`] is what an appliance can do ([`super::guestfs`]); [`Recorded`] does the same from a
//! recording, for tests of those who use it. What needs no appliance stands beside it: [`os`] finds
//! out from a tree what system it holds, [`assemble`] puts the trees of several file systems
//! together as the running machine would see them.

pub mod assemble;
pub mod devices;
pub mod os;
pub mod recorded;

pub use recorded::Recorded;

use super::files::FileSink;
use crate::error::Result;
use crate::path::TreePath;
use crate::progress::Progress;
use serde::Deserialize;
use serde::Serialize;
use std::fmt;
use std::path::PathBuf;

pub trait Guest {
    /// All that could be told apart on the disks, also what cannot be read (swap, `unknown`,
    /// `crypto_LUKS` without a key), in the order of the disks and partitions.
    fn filesystems(&mut self, progress: &dyn Progress) -> Result<Vec<Filesystem>>;

    /// The operating systems found; none is no error.
    fn inspect(&mut self, progress: &dyn Progress) -> Result<Vec<Os>>;

    /// Tells every entry of one file system, named as [`Guest::filesystems`] does.
    ///
    /// What the sink has been told is only good once this returns without an error: damage may show
    /// late. Subvolumes inside this one are told as empty folders.
    fn read(&mut self, device: &str, sink: &mut dyn FileSink, progress: &dyn Progress) -> Result<()>;

    /// Ends it; dropping does the same without a word.
    fn close(self: Box<Self>) -> Result<()>;
}

/// One disk image of a guest. The format is the caller's word and is never probed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    pub path: PathBuf,
    /// As qemu names it: `raw`, `qcow2`, `vmdk`.
    pub format: String,
    /// Lets a qcow2 read from the files it names as its base. One from a stranger could name any file
    /// of this machine.
    pub allow_backing: bool,
}

/// What opens an encrypted device: a passphrase for the one that `selector` names, by device
/// (`/dev/sda2`) or by UUID, or for every one (`all`).
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    pub selector: String,
    pub passphrase: String,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.selector)
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filesystem {
    /// What [`Guest::read`] takes: `/dev/sda1`, `/dev/vg/root`, `btrfsvol:/dev/sda2/@home`. Letters
    /// count the disks in the order given.
    pub device: String,
    /// `ext4`, `xfs`, `vfat`, `swap`, `crypto_LUKS`, `unknown` …
    pub kind: String,
    pub label: Option<String>,
    pub uuid: Option<String>,
    /// The GPT's name for the partition, in lower case.
    pub part_uuid: Option<String>,
    /// Of the device under it, in bytes.
    pub size: u64,
    pub partition: Option<Partition>,
    /// Other file systems that this one shows as folders of its own, below which nothing is told.
    pub subvolumes: Vec<Subvolume>,
}

/// Both count as people do: the disk from 0 in the order given, the partition from 1; a file system
/// on the whole disk has number 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partition {
    pub disk: u32,
    pub number: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subvolume {
    /// Below the root of the file system that shows it, without a slash in front.
    pub path: String,
    pub device: String,
}

impl Filesystem {
    /// Says whether there is any sense in reading it.
    pub fn has_files(&self) -> bool {
        const WITHOUT: [&str; 9] = [
            "",
            "unknown",
            "zero",
            "swap",
            "crypto_LUKS",
            "BitLocker",
            "LVM2_member",
            "linux_raid_member",
            "ddf_raid_member",
        ];
        !WITHOUT.contains(&self.kind.as_str())
    }
}

/// An operating system, in the words of libguestfs: `linux`, `debian`, `x86_64`, `deb`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Os {
    /// Device of its root file system.
    pub root: String,
    /// `linux`, `windows`, `freebsd` …
    pub kind: Option<String>,
    pub distro: Option<String>,
    /// `Debian GNU/Linux 12 (bookworm)`.
    pub product: Option<String>,
    pub version: Option<(u32, u32)>,
    pub arch: Option<String>,
    pub hostname: Option<String>,
    /// `deb`, `rpm`, `apk`, `pacman` …
    pub package_format: Option<String>,
    /// Of the newest kernel that is installed: `6.1.0-25-amd64`.
    pub kernel: Option<String>,
    /// Sorted by mount point; the root is among them.
    pub mounts: Vec<Mount>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Mount {
    /// As the guest says it, untrusted: `/`, `/boot/efi`.
    pub point: String,
    pub device: String,
}

impl Subvolume {
    /// Its path where it can be one.
    pub fn tree_path(&self) -> Option<TreePath> {
        TreePath::parse(self.path.as_bytes()).ok().filter(|path| !path.is_root())
    }
}

#[cfg(test)]
mod tests;
