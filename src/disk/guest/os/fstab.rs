//! Mount points, from a fstab and the list of what there is to mount.

use super::super::Filesystem;
use super::super::Mount;
use std::collections::BTreeMap;

/// A machine has a dozen.
const MOUNTS_MAX: usize = 1_000;

/// Resolves each line to one of `filesystems`; lines that lead to none are left out, as a running
/// machine would have to. Of two lines with one mount point the later counts.
///
/// The root is `root`, whatever the line for `/` says.
pub fn mounts(fstab: &str, root: &str, filesystems: &[Filesystem]) -> Vec<Mount> {
    let mut mounts = BTreeMap::from([("/".to_owned(), root.to_owned())]);
    for line in fstab.lines() {
        let mut fields = line.split_ascii_whitespace();
        let (Some(what), Some(point)) = (fields.next(), fields.next()) else {
            continue;
        };
        let (kind, options) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
        let point = unescaped(point);
        if what.starts_with('#') || !point.starts_with('/') || point == "/" || kind == "swap" {
            continue;
        }
        let Some(found) = device(&unescaped(what), filesystems) else {
            continue;
        };
        if mounts.len() == MOUNTS_MAX {
            break;
        }
        mounts.insert(point, subvolume(&found.device, options, filesystems).to_owned());
    }
    mounts.into_iter().map(|(point, device)| Mount { point, device }).collect()
}

/// `\040` is a space: fstab(5).
fn unescaped(field: &str) -> String {
    let mut bytes = Vec::with_capacity(field.len());
    let mut left = field.as_bytes();
    while let Some((first, rest)) = left.split_first() {
        let code = rest.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        match code.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) if *first == b'\\' && byte != 0 => {
                bytes.push(byte);
                left = &rest[3..];
            }
            _ => {
                bytes.push(*first);
                left = rest;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn device<'a>(what: &str, filesystems: &'a [Filesystem]) -> Option<&'a Filesystem> {
    let tagged = |tag: &str, folder: &str| {
        let value = what.strip_prefix(tag).or_else(|| what.strip_prefix(folder))?;
        Some(value.trim_matches('"'))
    };
    let same =
        |one: &Option<String>, two: &str| one.as_ref().is_some_and(|one| one.eq_ignore_ascii_case(two));
    // The whole of a btrfs comes before its subvolumes, which have its UUID and label as well.
    if let Some(uuid) = tagged("UUID=", "/dev/disk/by-uuid/") {
        return filesystems.iter().find(|one| same(&one.uuid, uuid));
    }
    if let Some(label) = tagged("LABEL=", "/dev/disk/by-label/") {
        return filesystems.iter().find(|one| one.label.as_deref() == Some(label));
    }
    if let Some(uuid) = tagged("PARTUUID=", "/dev/disk/by-partuuid/") {
        return filesystems.iter().find(|one| same(&one.part_uuid, uuid));
    }
    if let Some(name) = what.strip_prefix("/dev/mapper/") {
        let volume = logical_volume(name);
        return filesystems.iter().find(|one| one.device == what || Some(&one.device) == volume.as_ref());
    }
    let (disk, number) = disk_and_number(what).unzip();
    filesystems.iter().find(|one| one.device == what).or_else(|| {
        let at = |one: &&Filesystem| {
            one.partition.is_some_and(|at| Some(at.disk) == disk && Some(at.number) == number)
        };
        filesystems.iter().find(at)
    })
}

/// `debian--vg-root` is `/dev/debian-vg/root`: a hyphen in a name is doubled.
fn logical_volume(name: &str) -> Option<String> {
    let bytes = name.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match (bytes[at], bytes.get(at + 1)) {
            (b'-', Some(b'-')) => at += 2,
            (b'-', _) => {
                let (group, volume) = (name[..at].replace("--", "-"), name[at + 1..].replace("--", "-"));
                return Some(format!("/dev/{group}/{volume}"));
            }
            _ => at += 1,
        }
    }
    None
}

/// `/dev/vdb3` is partition 3 of disk 1, `/dev/nvme0n1p2` partition 2 of disk 0.
fn disk_and_number(name: &str) -> Option<(u32, u32)> {
    let name = name.strip_prefix("/dev/")?;
    let number = |digits: &str| if digits.is_empty() { Some(0) } else { digits.parse().ok() };
    for prefix in ["sd", "vd", "xvd", "hd"] {
        if let Some(rest) = name.strip_prefix(prefix) {
            let letter = rest.bytes().next().filter(u8::is_ascii_lowercase)?;
            return Some((u32::from(letter - b'a'), number(&rest[1..])?));
        }
    }
    for (prefix, middle) in [("nvme", "n1"), ("mmcblk", "")] {
        if let Some(rest) = name.strip_prefix(prefix) {
            let (disk, part) = rest.split_once('p').unwrap_or((rest, ""));
            return Some((disk.strip_suffix(middle)?.parse().ok()?, number(part)?));
        }
    }
    None
}

/// The subvolume that `subvol=` names, where it is listed by itself.
fn subvolume<'a>(device: &'a str, options: &str, filesystems: &'a [Filesystem]) -> &'a str {
    let Some(path) = options.split(',').find_map(|option| option.strip_prefix("subvol=")) else {
        return device;
    };
    let name = format!("btrfsvol:{device}/{}", path.trim_start_matches('/'));
    filesystems.iter().find(|one| one.device == name).map_or(device, |one| &one.device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::guest::Partition;

    fn filesystems() -> Vec<Filesystem> {
        let one = |device: &str, uuid: &str, label: &str, part: (u32, u32)| Filesystem {
            device: device.into(),
            uuid: Some(uuid.into()),
            label: Some(label.into()),
            part_uuid: Some(format!("part-{uuid}")),
            partition: Some(Partition { disk: part.0, number: part.1 }),
            ..Filesystem::default()
        };
        vec![
            one("/dev/sda1", "AAAA-1111", "EFI", (0, 1)),
            one("/dev/sda2", "u2", "my root", (0, 2)),
            one("/dev/sdb", "u3", "data", (1, 0)),
            one("btrfsvol:/dev/sdb/@home", "u3", "data", (1, 0)),
            Filesystem { device: "/dev/web-vg/var".into(), ..Filesystem::default() },
        ]
    }

    fn check(fstab: &str, expected: &str) {
        let found = mounts(fstab, "/dev/sda2", &filesystems());
        let found: Vec<_> = found.iter().map(|mount| format!("{}={}", mount.point, mount.device)).collect();
        assert_eq!(found.join(" "), format!("/=/dev/sda2 {expected}").trim_end(), "{fstab}");
    }

    #[test]
    fn every_way_to_name_a_device() {
        check("UUID=aaaa-1111 /boot/efi vfat umask=0077 0 1", "/boot/efi=/dev/sda1");
        check("UUID=\"u2\" /x ext4", "/x=/dev/sda2");
        check("LABEL=my\\040root /mnt/a\\040b ext4", "/mnt/a b=/dev/sda2");
        check("PARTUUID=PART-u2 /x", "/x=/dev/sda2");
        check("/dev/disk/by-uuid/u2 /x", "/x=/dev/sda2");
        check("/dev/sda1 /x", "/x=/dev/sda1");
        check("/dev/vda1 /x", "/x=/dev/sda1");
        check("/dev/nvme0n1p2 /x", "/x=/dev/sda2");
        check("/dev/xvdb /x", "/x=/dev/sdb");
        check("/dev/mapper/web--vg-var /var", "/var=/dev/web-vg/var");
        check("/dev/web-vg/var /var", "/var=/dev/web-vg/var");
        check("UUID=u3 /home btrfs defaults,subvol=/@home 0 0", "/home=btrfsvol:/dev/sdb/@home");
        check("UUID=u3 /home btrfs subvol=@gone", "/home=/dev/sdb");
    }

    #[test]
    fn what_leads_nowhere_is_left_out() {
        for line in [
            "",
            "# UUID=u2 /x ext4",
            "UUID=u2",
            "UUID=u2 none swap sw",
            "UUID=u2 x ext4",
            "UUID=gone /x ext4",
            "UUID= /x ext4",
            "tmpfs /tmp tmpfs",
            "server:/x /x nfs",
            "/dev/sd\u{e9}1 /x",
            "/dev/sd /x",
            "/dev/nvme /x",
            "/dev/mapper/ /x",
            "/dev/vdc9 /x",
            "UUID=u3 / btrfs",
            "\\400\\ \\9 \\",
        ] {
            check(line, "");
        }
        check("UUID=u2 /x ext4\nUUID=u3 /x ext4", "/x=/dev/sdb");
        let many: String = (0..2_000).map(|at| format!("UUID=u2 /{at} ext4\n")).collect();
        assert_eq!(mounts(&many, "/dev/sda2", &filesystems()).len(), MOUNTS_MAX);
    }
}
