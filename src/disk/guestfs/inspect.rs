//! The operating systems of a guest: told by the files of each file system ([`os`]), as for a guest
//! that is read without an appliance. The library's own inspection knows more systems than Linux and
//! takes its time (20 seconds for eight disks without KVM); it is asked where we find none.
//!
//! All of it is a label, and never an error: what cannot be told is left out.

use super::ffi::Handle;
use crate::disk::guest::Filesystem;
use crate::disk::guest::Mount;
use crate::disk::guest::Os;
use crate::disk::guest::os;
use crate::disk::guest::os::Files;
use crate::error::Result;
use crate::path::TreePath;

/// Where no system but Linux has its root.
const LINUX: [&str; 8] = ["ext2", "ext3", "ext4", "xfs", "btrfs", "vfat", "f2fs", "squashfs"];

pub fn systems(handle: &Handle, filesystems: &[Filesystem]) -> Result<Vec<Os>> {
    let mut systems = Vec::new();
    for filesystem in filesystems.iter().filter(|one| one.has_files()) {
        systems.extend(linux(handle, &filesystem.device, filesystems)?);
    }
    if systems.is_empty()
        && filesystems.iter().any(|one| one.has_files() && !LINUX.contains(&one.kind.as_str()))
        && let Ok(roots) = handle.inspect_os()
    {
        systems = roots.iter().map(|root| other(handle, root, filesystems)).collect();
    }
    handle.umount_all()?;
    Ok(systems)
}

fn linux(handle: &Handle, device: &str, filesystems: &[Filesystem]) -> Result<Option<Os>> {
    handle.umount_all()?;
    if handle.mount_ro(device, "/").is_err() {
        return Ok(None);
    }
    let Some(system) = os::system(&Mounted(handle), device, filesystems)? else {
        return Ok(None);
    };
    // What stands on file systems of its own tells the rest.
    let parts = ["/boot", "/usr", "/var"];
    let mounts = system.mounts.iter().filter(|mount| parts.contains(&mount.point.as_str()));
    let mounted = mounts.filter(|mount| handle.mount_ro(&mount.device, &mount.point).is_ok()).count();
    if mounted == 0 {
        return Ok(Some(system));
    }
    os::system(&Mounted(handle), device, filesystems)
}

fn other(handle: &Handle, root: &str, filesystems: &[Filesystem]) -> Os {
    let word = |text: Result<String>| text.ok().filter(|text| !text.is_empty() && text != "unknown");
    let mounts = handle.os_mounts(root).unwrap_or_default().into_iter();
    let mut mounts: Vec<Mount> =
        mounts.map(|(point, device)| Mount { point, device: listed(handle, device, filesystems) }).collect();
    mounts.sort();
    let version = match (handle.os_major(root), handle.os_minor(root)) {
        // The library's way to say that there is none.
        (Ok(0), Ok(0)) => None,
        (Ok(major), Ok(minor)) => Some((major, minor)),
        _ => None,
    };
    Os {
        root: listed(handle, root.to_owned(), filesystems),
        kind: word(handle.os_type(root)),
        distro: word(handle.os_distro(root)),
        product: word(handle.os_product(root)),
        version,
        arch: word(handle.os_arch(root)),
        hostname: word(handle.os_hostname(root)),
        package_format: word(handle.os_package_format(root)),
        kernel: None,
        mounts,
    }
}

/// The name that a device has in the list of file systems: a subvolume that is mounted by default
/// has its own name in a fstab, and goes by its device there.
fn listed(handle: &Handle, device: String, filesystems: &[Filesystem]) -> String {
    if filesystems.iter().any(|one| one.device == device) {
        return device;
    }
    match handle.device_of(&device) {
        Ok(under) if filesystems.iter().any(|one| one.device == under) => under,
        _ => device,
    }
}

/// A program as large as this is no shell. It is read whole for its first bytes' sake.
const PROGRAM_BYTES_MAX: u64 = 2 << 20;

/// What is mounted in the appliance.
struct Mounted<'a>(&'a Handle);

impl Files for Mounted<'_> {
    fn text(&self, path: &TreePath) -> Result<Option<Vec<u8>>> {
        self.0.read_file(&[b"/", path.as_bytes()].concat(), os::TEXT_BYTES_MAX)
    }

    fn head(&self, path: &TreePath) -> Result<Option<Vec<u8>>> {
        self.0.read_file(&[b"/", path.as_bytes()].concat(), PROGRAM_BYTES_MAX)
    }

    fn list(&self, path: &TreePath) -> Result<Vec<Vec<u8>>> {
        // Nothing there, or no folder.
        let names = self.0.ls(&[b"/", path.as_bytes()].concat()).unwrap_or_default();
        Ok(names.into_iter().map(String::into_bytes).collect())
    }
}
