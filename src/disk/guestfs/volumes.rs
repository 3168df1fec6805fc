//! What is on the disks: file systems with their names and sizes, subvolumes, encrypted devices.

use super::ffi::Handle;
use crate::disk::guest::Filesystem;
use crate::disk::guest::Key;
use crate::disk::guest::Partition;
use crate::disk::guest::Subvolume;
use crate::error::Error;
use crate::error::Result;
use std::collections::HashMap;

/// The top level of every btrfs.
const BTRFS_TOP: u64 = 5;

const LUKS: &str = "crypto_LUKS";

/// Opens each encrypted device that a key names, as `/dev/mapper/luks-UUID`.
pub fn unlock(handle: &Handle, keys: &[Key]) -> Result<()> {
    let mut used = vec![false; keys.len()];
    for (device, uuid) in encrypted(handle)? {
        let fits = |key: &Key| key.selector == device || key.selector == uuid || key.selector == "all";
        let mut refused = None;
        for (at, key) in keys.iter().enumerate().filter(|(_, key)| fits(key)) {
            used[at] = true;
            match handle.cryptsetup_open(&device, &key.passphrase, &format!("luks-{uuid}")) {
                Ok(()) => {
                    refused = None;
                    break;
                }
                Err(err) => refused = Some(err),
            }
        }
        if let Some(err) = refused {
            let doing = format!("no key opens the encrypted device {device}");
            return Err(Error::Context { doing, source: Box::new(err), hint: None });
        }
    }
    if let Some(at) = used.iter().position(|used| !used) {
        return Err(Error::not_found("encrypted device", keys[at].selector.as_str()));
    }
    // What was inside may be volumes of LVM.
    handle.lvm_scan()
}

/// Device and UUID of each encrypted disk and partition.
fn encrypted(handle: &Handle) -> Result<Vec<(String, String)>> {
    let mut devices = handle.list_devices()?;
    devices.extend(handle.list_partitions()?);
    devices.retain(|device| handle.vfs_type(device).is_ok_and(|kind| kind == LUKS));
    devices.into_iter().map(|device| handle.vfs_uuid(&device).map(|uuid| (device, uuid))).collect()
}

pub fn filesystems(handle: &Handle) -> Result<Vec<Filesystem>> {
    let disks = handle.list_devices()?;
    let partitions = handle.list_partitions()?;
    let mut listed = handle.list_filesystems()?;
    for (device, _) in encrypted(handle)? {
        if !listed.iter().any(|(name, _)| *name == device) {
            listed.push((device, LUKS.to_owned()));
        }
    }
    let mut found = Vec::with_capacity(listed.len());
    let mut volumes: HashMap<String, Vec<Volume>> = HashMap::new();
    for (mountable, kind) in listed {
        let device = handle.device_of(&mountable)?;
        if kind == "btrfs" {
            let volume = Volume::of(handle, &mountable, &device)?;
            volumes.entry(device.clone()).or_default().push(volume);
        }
        let word = |text: Result<String>| text.ok().filter(|text| !text.is_empty());
        let partition = if partitions.contains(&device) {
            partition(handle, &disks, &device)?
        } else {
            whole(&disks, &device)
        };
        let part_uuid = match partition {
            Some(Partition { disk, number }) if number > 0 => {
                // An MBR has no such names, which is an error here and no news.
                word(handle.gpt_guid(&disks[disk as usize], number)).map(|guid| guid.to_lowercase())
            }
            _ => None,
        };
        found.push(Filesystem {
            label: word(handle.vfs_label(&mountable)),
            uuid: word(handle.vfs_uuid(&mountable)),
            part_uuid,
            size: handle.size_of(&device)?,
            partition,
            subvolumes: Vec::new(),
            device: mountable,
            kind,
        });
    }
    for filesystem in found.iter_mut().filter(|one| one.kind == "btrfs") {
        let all = volumes.values().find(|all| all.iter().any(|one| one.mountable == filesystem.device));
        filesystem.subvolumes = all.map(|all| inside(&filesystem.device, all)).unwrap_or_default();
    }
    Ok(found)
}

fn partition(handle: &Handle, disks: &[String], device: &str) -> Result<Option<Partition>> {
    let disk = handle.disk_of(device)?;
    let number = handle.number_of(device)?;
    Ok(disks.iter().position(|one| *one == disk).map(|disk| Partition { disk: disk as u32, number }))
}

fn whole(disks: &[String], device: &str) -> Option<Partition> {
    disks.iter().position(|one| one == device).map(|disk| Partition { disk: disk as u32, number: 0 })
}

/// A subvolume of a btrfs: its name in the list, and where it is in the whole.
struct Volume {
    mountable: String,
    /// Empty for the top level.
    path: String,
}

impl Volume {
    /// The device alone stands for the subvolume that is mounted by default.
    fn of(handle: &Handle, mountable: &str, device: &str) -> Result<Volume> {
        let path = if mountable != device {
            handle.subvolume_of(mountable)?
        } else {
            match handle.btrfs_default(device)? {
                BTRFS_TOP => String::new(),
                id => {
                    let all = handle.btrfs_subvolumes(device)?;
                    all.into_iter().find(|one| one.0 == id).map(|one| one.1).unwrap_or_default()
                }
            }
        };
        Ok(Volume { mountable: mountable.to_owned(), path })
    }

    /// The path of `self` below that of `other`.
    fn below<'a>(&'a self, other: &Volume) -> Option<&'a str> {
        let rest = if other.path.is_empty() {
            &self.path[..]
        } else {
            self.path.strip_prefix(&other.path[..])?.strip_prefix('/')?
        };
        (!rest.is_empty()).then_some(rest)
    }
}

/// The subvolumes that stand in `mountable` itself, and not in another that stands in it.
fn inside(mountable: &str, all: &[Volume]) -> Vec<Subvolume> {
    let Some(outer) = all.iter().find(|one| one.mountable == mountable) else {
        return Vec::new();
    };
    // GNU tar takes patterns by lines.
    let named = |path: &str| !path.contains('\n');
    let within: Vec<_> = all.iter().filter_map(|one| one.below(outer).map(|path| (one, path))).collect();
    let is_direct = |one: &Volume| {
        !within.iter().any(|(other, _)| other.mountable != one.mountable && one.below(other).is_some())
    };
    let direct = within.iter().filter(|(one, path)| is_direct(one) && named(path));
    direct.map(|(one, path)| Subvolume { path: path.to_string(), device: one.mountable.clone() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subvolume_stands_in_the_nearest_one_above_it() {
        let paths = ["", "@", "@home", "@/var/lib/machines", "@/var/lib/machines/web", "@2"];
        let name = |path: &str| {
            if path.is_empty() { "/dev/sda".into() } else { format!("btrfsvol:/dev/sda/{path}") }
        };
        let all: Vec<_> =
            paths.iter().map(|path| Volume { mountable: name(path), path: path.to_string() }).collect();
        let check = |outer: &str, expected: &[&str]| {
            let found: Vec<_> = inside(&name(outer), &all).into_iter().map(|one| one.path).collect();
            assert_eq!(found, expected, "{outer}");
        };
        check("", &["@", "@home", "@2"]);
        check("@", &["var/lib/machines"]);
        check("@/var/lib/machines", &["web"]);
        check("@home", &[]);
    }
}
