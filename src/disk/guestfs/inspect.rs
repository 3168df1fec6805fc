//! The operating systems of a guest: where they are by the library's inspection, what they are by
//! the files that tell it ([`os`]), as for a guest that is read without an appliance.
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

pub fn systems(handle: &Handle, filesystems: &[Filesystem]) -> Result<Vec<Os>> {
    // A guest may hold anything: where inspection itself gives up there is no system to speak of.
    let Ok(roots) = handle.inspect_os() else {
        return Ok(Vec::new());
    };
    let systems = roots.iter().map(|root| system(handle, root, filesystems)).collect();
    handle.umount_all()?;
    systems
}

fn system(handle: &Handle, root: &str, filesystems: &[Filesystem]) -> Result<Os> {
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
    let root_device = listed(handle, root.to_owned(), filesystems);
    let told =
        if mount(handle, &mounts)? { os::system(&Mounted(handle), &root_device, filesystems)? } else { None };
    let told = told.unwrap_or_default();
    Ok(Os {
        kind: told.kind.or(word(handle.os_type(root))),
        distro: told.distro.or(word(handle.os_distro(root))),
        product: told.product.or(word(handle.os_product(root))),
        version: told.version.or(version),
        arch: told.arch.or(word(handle.os_arch(root))),
        hostname: told.hostname.or(word(handle.os_hostname(root))),
        package_format: told.package_format.or(word(handle.os_package_format(root))),
        kernel: told.kernel,
        root: root_device,
        mounts,
    })
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

/// Mounts what tells of a system; says whether the root is there.
fn mount(handle: &Handle, mounts: &[Mount]) -> Result<bool> {
    handle.umount_all()?;
    for point in ["/", "/boot", "/usr", "/var"] {
        if let Some(mount) = mounts.iter().find(|mount| mount.point == point)
            && handle.mount_ro(&mount.device, point).is_err()
            && point == "/"
        {
            return Ok(false);
        }
    }
    Ok(mounts.iter().any(|mount| mount.point == "/"))
}

/// What is mounted in the appliance.
struct Mounted<'a>(&'a Handle);

impl Files for Mounted<'_> {
    fn read(&self, path: &TreePath, bytes_max: u64) -> Result<Option<Vec<u8>>> {
        self.0.read_file(&[b"/", path.as_bytes()].concat(), bytes_max)
    }

    fn list(&self, path: &TreePath) -> Result<Vec<Vec<u8>>> {
        // Nothing there, or no folder.
        let names = self.0.ls(&[b"/", path.as_bytes()].concat()).unwrap_or_default();
        Ok(names.into_iter().map(String::into_bytes).collect())
    }
}
