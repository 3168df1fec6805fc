//! What is on the disks: file systems with their names and sizes, subvolumes, encrypted devices.

use super::ffi::Handle;
use crate::disk::guest::Filesystem;
use crate::disk::guest::Key;
use crate::disk::guest::Partition;
use crate::disk::guest::Subvolume;
use crate::error::Error;
use crate::error::Result;
use std::collections::HashSet;

/// The top level of every btrfs.
const BTRFS_TOP: u64 = 5;

const LUKS: &str = "crypto_LUKS";
const UNKNOWN: &str = "unknown";
/// Parts of something else, which is listed.
const INSIDE: [&str; 4] = ["LVM2_member", "linux_raid_member", "bcache", "zfs_member"];
/// What `blkid` counts in, whatever the disk's own sectors.
const SECTOR_BYTES: u64 = 512;

/// Opens each encrypted device that a key names, as `/dev/mapper/luks-UUID`.
pub fn unlock(handle: &Handle, keys: &[Key]) -> Result<()> {
    let mut used = vec![false; keys.len()];
    let selectors: Vec<&str> = keys.iter().map(|key| key.selector.as_str()).collect();
    for (device, uuid) in encrypted(handle, &selectors)? {
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

/// Device and UUID of each encrypted disk and partition that a selector may mean.
fn encrypted(handle: &Handle, selectors: &[&str]) -> Result<Vec<(String, String)>> {
    let mut devices = handle.list_devices()?;
    devices.extend(handle.list_partitions()?);
    // Each question takes its time: where all are named, others are not asked.
    if selectors.iter().all(|selector| selector.starts_with("/dev/")) {
        devices.retain(|device| selectors.contains(&device.as_str()));
    }
    let told = devices.into_iter().map(|device| (Tags::of(handle, &device), device));
    let told = told.filter(|(tags, _)| tags.is_encrypted());
    Ok(told.filter_map(|(tags, device)| Some((device, tags.get("UUID")?))).collect())
}

/// Asks every device what it holds. The library's own `list_filesystems` does no more and takes
/// four times as long; in its list names of subvolumes may have another disk's letter than we gave
/// the disk, because it translates those of devices only.
pub fn filesystems(handle: &Handle) -> Result<Vec<Filesystem>> {
    let disks = handle.list_devices()?;
    let partitions = handle.list_partitions()?;
    let mut devices = Vec::new();
    for disk in &disks {
        let on_it = partitions.iter().filter(|partition| number_on(disk, partition).is_some());
        let before = devices.len();
        devices.extend(on_it.cloned());
        if devices.len() == before {
            devices.push(disk.clone());
        }
    }
    // An appliance without the tools for one of these has none of them.
    for more in [handle.list_md_devices(), handle.lvs(), handle.list_dm_devices()] {
        devices.extend(more.unwrap_or_default());
    }
    let (mut found, mut btrfs_seen) = (Vec::new(), HashSet::new());
    for device in devices {
        let tags = Tags::of(handle, &device);
        let kind = match tags.get("TYPE") {
            Some(kind) => kind,
            // An extended partition holds a table of others.
            None if tags.get("PTTYPE").is_some() => continue,
            None => UNKNOWN.to_owned(),
        };
        if INSIDE.contains(&kind.as_str()) {
            continue;
        }
        let volumes = match &kind[..] {
            // Each disk of a btrfs over several leads to the whole.
            "btrfs" if !btrfs_seen.insert(tags.get("UUID")) => continue,
            // One that is damaged stays in the list.
            "btrfs" => volumes(handle, &device).unwrap_or_else(|_| vec![Volume::alone(&device)]),
            _ => vec![Volume::alone(&device)],
        };
        let size = match tags.get("PART_ENTRY_SIZE").and_then(|sectors| sectors.parse::<u64>().ok()) {
            Some(sectors) => sectors.saturating_mul(SECTOR_BYTES),
            None => handle.size_of(&device)?,
        };
        let partition = partition(&disks, &device);
        found.extend(volumes.iter().map(|volume| Filesystem {
            device: volume.mountable.clone(),
            kind: kind.clone(),
            label: tags.get("LABEL"),
            uuid: tags.get("UUID"),
            // An MBR's names of partitions are made of the disk's, and a fstab may use them as well.
            part_uuid: tags.get("PART_ENTRY_UUID").map(|uuid| uuid.to_lowercase()),
            size,
            partition,
            subvolumes: inside(volume, &volumes),
        }));
    }
    Ok(found)
}

fn partition(disks: &[String], device: &str) -> Option<Partition> {
    let found = disks.iter().enumerate().find_map(|(at, disk)| Some((at, number_on(disk, device)?)));
    found.map(|(disk, number)| Partition { disk: disk as u32, number })
}

/// The number of a partition on a disk, 0 for the disk itself: `/dev/sdb3`, `/dev/nvme0n1p3`.
fn number_on(disk: &str, device: &str) -> Option<u32> {
    let rest = device.strip_prefix(disk)?;
    if rest.is_empty() {
        return Some(0);
    }
    let between = if disk.ends_with(|last: char| last.is_ascii_digit()) { "p" } else { "" };
    rest.strip_prefix(between)?.parse().ok()
}

struct Tags(Vec<(String, String)>);

impl Tags {
    fn of(handle: &Handle, device: &str) -> Tags {
        // Nothing is known of noise, which is an error there and no news here.
        Tags(handle.blkid(device).unwrap_or_default())
    }

    fn get(&self, name: &str) -> Option<String> {
        let (_, value) = self.0.iter().find(|(tag, value)| tag == name && !value.is_empty())?;
        Some(unescaped(value))
    }

    fn is_encrypted(&self) -> bool {
        self.0.iter().any(|(tag, value)| tag == "TYPE" && value == LUKS)
    }
}

/// blkid puts a backslash before what a shell would take for its own.
fn unescaped(value: &str) -> String {
    let mut plain = String::with_capacity(value.len());
    let mut letters = value.chars();
    while let Some(letter) = letters.next() {
        plain.extend(if letter == '\\' { letters.next() } else { Some(letter) });
    }
    plain
}

/// A subvolume of a btrfs: what it is mounted by, and where it is in the whole.
struct Volume {
    mountable: String,
    /// Empty for the top level.
    path: String,
}

/// The device alone stands for the subvolume that is mounted by default, and comes first.
fn volumes(handle: &Handle, device: &str) -> Result<Vec<Volume>> {
    let default = handle.btrfs_default(device)?;
    let (mut all, mut first) = (Vec::new(), Volume::alone(device));
    for (id, path) in handle.btrfs_subvolumes(device)? {
        if id == default && id != BTRFS_TOP {
            first.path = path;
        } else {
            all.push(Volume { mountable: format!("btrfsvol:{device}/{path}"), path });
        }
    }
    all.insert(0, first);
    Ok(all)
}

impl Volume {
    fn alone(device: &str) -> Volume {
        Volume { mountable: device.to_owned(), path: String::new() }
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

/// The subvolumes that stand in `outer` itself, and not in another that stands in it.
fn inside(outer: &Volume, all: &[Volume]) -> Vec<Subvolume> {
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
    fn a_partition_is_on_the_disk_whose_name_it_begins_with() {
        assert_eq!(number_on("/dev/sda", "/dev/sda12"), Some(12));
        assert_eq!(number_on("/dev/sda", "/dev/sda"), Some(0));
        assert_eq!(number_on("/dev/sda", "/dev/sdaa1"), None);
        assert_eq!(number_on("/dev/nvme0n1", "/dev/nvme0n1p2"), Some(2));
        assert_eq!(number_on("/dev/nvme0n1", "/dev/nvme0n12"), None);
        assert_eq!(partition(&["/dev/sda".into(), "/dev/sdb".into()], "/dev/vg/root"), None);
    }

    #[test]
    fn a_subvolume_stands_in_the_nearest_one_above_it() {
        let paths = ["", "@", "@home", "@/var/lib/machines", "@/var/lib/machines/web", "@2"];
        let name = |path: &str| {
            if path.is_empty() { "/dev/sda".into() } else { format!("btrfsvol:/dev/sda/{path}") }
        };
        let all: Vec<_> =
            paths.iter().map(|path| Volume { mountable: name(path), path: path.to_string() }).collect();
        let check = |outer: &str, expected: &[&str]| {
            let outer_one = all.iter().find(|one| one.path == outer).unwrap();
            let found: Vec<_> = inside(outer_one, &all).into_iter().map(|one| one.path).collect();
            assert_eq!(found, expected, "{outer}");
        };
        check("", &["@", "@home", "@2"]);
        check("@", &["var/lib/machines"]);
        check("@/var/lib/machines", &["web"]);
        check("@home", &[]);
    }
}
