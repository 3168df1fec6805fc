//! Tables as sfdisk and sgdisk write them and file systems as mkfs writes them, against what those
//! tools and blkid say of them; then damaged.

use super::*;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;

const MIB: u64 = 1 << 20;

fn run(program: &str, arguments: &[&str], input: &str) -> String {
    let mut command = Command::new(program);
    // Tools of the administrator are not on everybody's path.
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    command
        .args(arguments)
        .env("PATH", path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|err| panic!("{program}: {err}"));
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let out = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.success(), "{program} {arguments:?}: {text}{}", String::from_utf8_lossy(&out.stderr));
    text
}

struct World {
    folder: tempfile::TempDir,
}

impl World {
    fn new() -> World {
        World { folder: tempfile::tempdir().unwrap() }
    }

    /// A new file of zeros, all of it a hole.
    fn disk(&self, name: &str, size: u64) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::File::create(&path).unwrap().set_len(size).unwrap();
        path
    }
}

fn open(path: &std::path::Path) -> crate::fs::SharedFile {
    crate::fs::SharedFile::open_disk(path).unwrap()
}

/// What sfdisk says of a disk, in our words.
fn by_sfdisk(path: &str) -> Vec<(u32, u64, u64, String, String, String)> {
    let json: serde_json::Value = serde_json::from_str(&run("sfdisk", &["--json", path], "")).unwrap();
    let table = &json["partitiontable"];
    let sector = table["sectorsize"].as_u64().unwrap_or(512);
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_string();
    let mut found: Vec<_> = table["partitions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            let number = text(&entry["node"]).strip_prefix(path).unwrap().to_string();
            let number = number.trim_start_matches('p').parse().unwrap();
            let kind = text(&entry["type"]).to_lowercase();
            let kind = if kind.len() < 3 { format!("0x{kind}") } else { kind };
            let [start, size] = ["start", "size"].map(|name| entry[name].as_u64().unwrap() * sector);
            (number, start, size, kind, text(&entry["name"]), text(&entry["uuid"]).to_lowercase())
        })
        .filter(|entry| !["0x5", "0xf", "0x85"].contains(&&entry.3[..]))
        .collect();
    found.sort_by_key(|entry| (entry.1, entry.0));
    found
}

fn in_our_words(table: &Table, with_uuid: bool) -> Vec<(u32, u64, u64, String, String, String)> {
    let words = table.partitions.iter().map(|part| {
        let uuid = if with_uuid { part.uuid.clone() } else { String::new() };
        (part.number, part.start, part.size, part.type_id.clone(), part.name.clone(), uuid)
    });
    words.collect()
}

#[test]
fn a_gpt_is_read_as_sfdisk_wrote_it_and_from_either_copy() {
    let world = World::new();
    let path = world.disk("gpt", 24 * MIB);
    let name = path.to_str().unwrap();
    let script = "label: gpt\n\
        start=2048, size=8192, type=U, name=\"EFI \u{e9}\"\n\
        4: start=32768, size=12288, type=L, name=root\n\
        2: start=20480, size=8192, type=S\n";
    run("sfdisk", &["--quiet", name], script);
    let table = read(&open(&path)).unwrap();
    assert_eq!(table.problems, Vec::<String>::new());
    assert_eq!((table.scheme, table.sector_bytes), (Scheme::Gpt, 512));
    assert_eq!(in_our_words(&table, true), by_sfdisk(name));
    assert_eq!(table.partitions.iter().map(|part| part.number).collect::<Vec<_>>(), [1, 2, 4]);
    assert_eq!(table.partitions[0].type_name, Some("EFI system"));
    assert!(run("sfdisk", &["--disk-id", name], "").to_lowercase().contains(&table.id));

    let whole = std::fs::read(&path).unwrap();
    let damaged = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = whole.clone();
        change(&mut bytes);
        read(&bytes).unwrap()
    };
    let end = whole.len();
    for (words, change) in [
        (
            "the primary GPT is missing; the backup was read",
            &(|bytes: &mut Vec<u8>| bytes[512] = 0) as &dyn Fn(&mut Vec<u8>),
        ),
        ("the primary GPT has a header with a wrong checksum", &|bytes| bytes[512 + 60] ^= 1),
        ("the primary GPT has entries with a wrong checksum", &|bytes| bytes[1024 + 60] ^= 1),
        ("the backup GPT is missing", &|bytes| bytes[end - 512] = 0),
        ("the backup GPT has entries with a wrong checksum", &|bytes| bytes[end - 512 * 33] ^= 1),
        ("the GPT has no protective MBR", &|bytes| bytes[..512].fill(0)),
        ("the backup GPT lies beyond the end of the disk", &|bytes| bytes.truncate(end - 16_384)),
    ] {
        let found = damaged(change);
        assert!(
            found.problems.iter().any(|problem| problem.contains(words)),
            "{words}: {:?}",
            found.problems
        );
        assert_eq!(found.partitions, table.partitions, "{words}");
    }
    let none = damaged(&|bytes| (bytes[512], bytes[end - 512]) = (0, 0));
    assert_eq!((none.scheme, none.partitions.len()), (Scheme::Mbr, 0));
    assert!(none.problems[0].contains("announces a GPT"), "{:?}", none.problems);
    // Grown by somebody who left the backup where it was.
    let grown = damaged(&|bytes| bytes.resize(end * 2, 0));
    assert_eq!((grown.partitions, grown.problems), (table.partitions.clone(), vec![]));
    let cut = damaged(&|bytes| bytes.truncate(32_768 * 512 + 4_096));
    assert_eq!(cut.partitions[2].size, 4_096);
    assert!(cut.problems.iter().any(|problem| problem.contains("cut there")), "{:?}", cut.problems);
    let left_out = damaged(&|bytes| bytes.truncate(30_000 * 512));
    assert_eq!(left_out.partitions.len(), 2);
    assert!(left_out.problems.iter().any(|problem| problem.contains("partition 4 begins at sector 32768")));
}

#[test]
fn a_gpt_may_count_in_sectors_of_4096_bytes() {
    let world = World::new();
    let path = world.disk("gpt", 64 * MIB);
    let name = path.to_str().unwrap();
    run("fdisk", &["-b", "4096", name], "g\nn\n1\n256\n1279\nn\n2\n1280\n3327\nw\n");
    let table = read(&open(&path)).unwrap();
    assert_eq!((table.scheme, table.sector_bytes, &table.problems[..]), (Scheme::Gpt, 4_096, &[][..]));
    let found: Vec<_> = table.partitions.iter().map(|part| (part.start, part.size)).collect();
    assert_eq!(found, [(256 * 4_096, 1_024 * 4_096), (1_280 * 4_096, 2_048 * 4_096)]);
    let backup = || {
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[4_096] = 0;
        read(&bytes).unwrap()
    };
    assert_eq!(backup().partitions, table.partitions);
}

#[test]
fn sgdisk_writes_what_we_read() {
    let world = World::new();
    let path = world.disk("gpt", 32 * MIB);
    let name = path.to_str().unwrap();
    run(
        "sgdisk",
        &["-n", "7:0:+4M", "-t", "7:8e00", "-c", "7:lvm", "-n", "128:0:0", "-t", "128:ef02", "-h", "7", name],
        "",
    );
    let table = read(&open(&path)).unwrap();
    // With the partition in the MBR too: a GPT is announced all the same.
    assert_eq!((table.scheme, &table.problems[..]), (Scheme::Gpt, &[][..]));
    let found: Vec<_> =
        table.partitions.iter().map(|part| (part.number, &part.name[..], part.type_name)).collect();
    assert_eq!(found, [(7, "lvm", Some("Linux LVM")), (128, "", Some("BIOS boot"))]);
}

#[test]
fn logical_partitions_are_numbered_as_linux_does() {
    let world = World::new();
    let path = world.disk("mbr", 64 * MIB);
    let name = path.to_str().unwrap();
    let script = "label: dos\nlabel-id: 0xc0ffee01\n\
        start=2048, size=8192, type=83, bootable\n\
        3: start=16384, size=65536, type=5\n\
        4: start=100000, size=2000, type=ef\n\
        5: start=18432, size=4096, type=82\n\
        6: start=24576, size=4096, type=83\n\
        7: start=40960, size=4096, type=8e\n";
    run("sfdisk", &["--quiet", name], script);
    let table = read(&open(&path)).unwrap();
    assert_eq!((table.scheme, &table.id[..], &table.problems[..]), (Scheme::Mbr, "c0ffee01", &[][..]));
    assert_eq!(in_our_words(&table, false), by_sfdisk(name));
    let found: Vec<_> = table.partitions.iter().map(|part| (part.number, &part.uuid[..])).collect();
    assert_eq!(
        found,
        [(1, "c0ffee01-01"), (5, "c0ffee01-05"), (6, "c0ffee01-06"), (7, "c0ffee01-07"), (4, "c0ffee01-04")]
    );

    // The chain of logical partitions made into a ring, cut off, and led out of the disk.
    let whole = std::fs::read(&path).unwrap();
    let second =
        (1..).map(|step| 16_384 * 512 + step * 512).find(|at| whole[at + 510..at + 512] == [0x55, 0xaa]);
    let second = second.unwrap();
    let link = second + 446 + 16;
    for (words, field, value) in [
        ("comes back to sector", 8, second as u32 / 512 - 16_384),
        ("breaks at sector", 8, 7),
        ("breaks at sector", 8, u32::MAX),
    ] {
        let mut bytes = whole.clone();
        bytes[link + field..link + field + 4].copy_from_slice(&value.to_le_bytes());
        let found = read(&bytes).unwrap();
        assert!(
            found.problems.iter().any(|problem| problem.contains(words)),
            "{words}: {:?}",
            found.problems
        );
        assert_eq!(found.partitions.len(), 4, "{words}");
    }
    // Overlapping, and a type that is no partition's start.
    let mut bytes = whole.clone();
    bytes[446 + 12..446 + 16].copy_from_slice(&30_000_u32.to_le_bytes());
    let found = read(&bytes).unwrap();
    assert_eq!(found.problems[..2], ["partitions 1 and 5 overlap", "partitions 1 and 6 overlap"]);
}

/// Makes a file system by a tool and holds our probe against blkid's.
fn check_probe(world: &World, name: &str, size: u64, tool: &str, arguments: &[&str]) -> Probe {
    let path = world.disk(name, size);
    let text = path.to_str().unwrap();
    let arguments: Vec<_> = arguments.iter().map(|word| if *word == "DISK" { text } else { word }).collect();
    run(tool, &arguments, "");
    let found = probe(&open(&path)).unwrap();
    let said = run("blkid", &["-p", "-o", "export", text], "");
    let value = |key: &str| {
        let line = said.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.map(|value| value.replace('\\', ""))
    };
    assert_eq!(Some(found.kind.name()), value("TYPE").as_deref(), "{name}: {said}");
    assert_eq!(found.label, value("LABEL"), "{name}: {said}");
    assert_eq!(found.uuid, value("UUID"), "{name}: {said}");
    assert!(found.uuid.is_some() || name.starts_with("squashfs"), "{name}");
    found
}

#[test]
fn a_probe_says_what_blkid_says() {
    let world = World::new();
    let note = world.folder.path().join("note");
    std::fs::write(&note, "text").unwrap();
    let note = note.to_str().unwrap();
    for (name, kind, size, command) in [
        ("ext2", Kind::Ext2, 2, "mke2fs -q -t ext2 -L two -b 1024 DISK"),
        ("ext3", Kind::Ext3, 4, "mke2fs -q -t ext3 -L three DISK"),
        ("ext4", Kind::Ext4, 4, "mke2fs -q -t ext4 DISK"),
        ("ext4-4k", Kind::Ext4, 8, "mke2fs -q -t ext4 -b 4096 -L sixteen-letters- DISK"),
        ("xfs", Kind::Xfs, 300, "mkfs.xfs -q -L xfslabel DISK"),
        ("btrfs", Kind::Btrfs, 120, "mkfs.btrfs -q -L butter DISK"),
        ("fat12", Kind::Vfat, 2, "mkfs.vfat -F 12 -n TWELVE DISK"),
        ("fat16", Kind::Vfat, 16, "mkfs.vfat -F 16 -n SIXTEEN DISK"),
        ("fat16-none", Kind::Vfat, 16, "mkfs.vfat -F 16 DISK"),
        ("fat32", Kind::Vfat, 40, "mkfs.vfat -F 32 -n THIRTY DISK"),
        ("fat-4k", Kind::Vfat, 40, "mkfs.vfat -S 4096 -n BIG DISK"),
        ("exfat", Kind::Exfat, 8, "mkfs.exfat -L exlabel DISK"),
        ("ntfs", Kind::Ntfs, 8, "mkfs.ntfs -q -F -f -L winlabel DISK"),
        ("swap", Kind::Swap, 2, "mkswap -q -L swaplabel DISK"),
        ("swap-64k", Kind::Swap, 2, "mkswap -q -p 65536 DISK"),
        (
            "luks1",
            Kind::Luks1,
            4,
            "cryptsetup luksFormat -q --type luks1 --pbkdf-force-iterations 1000 DISK NOTE",
        ),
        (
            "luks2",
            Kind::Luks2,
            32,
            "cryptsetup luksFormat -q --disable-locks --type luks2 --label lukslabel --pbkdf pbkdf2 --pbkdf-force-iterations 1000 DISK NOTE",
        ),
        ("squashfs", Kind::Squashfs, 0, "mksquashfs NOTE DISK -quiet -noappend -no-progress"),
        ("iso", Kind::Iso9660, 0, "genisoimage -quiet -V ISOLABEL -o DISK NOTE"),
    ] {
        let words: Vec<_> = command.split(' ').map(|word| if word == "NOTE" { note } else { word }).collect();
        let found = check_probe(&world, name, size * MIB, words[0], &words[1..]);
        assert_eq!(found.kind, kind, "{name}");
        // A file system on the whole disk is no partition table, whatever stands in its boot sector.
        let path = world.folder.path().join(name);
        let table = read(&open(&path)).unwrap();
        assert_eq!((table.scheme, table.partitions), (Scheme::None, vec![]), "{name}");
        assert_eq!(
            crate::disk::format::detect_in(&open(&path)).unwrap(),
            Some(crate::disk::format::Format::Raw)
        );
        // Cut and flipped: any answer, no panic.
        let bytes = std::fs::read(path).unwrap();
        for step in 1..60 {
            let _ = probe(&bytes[..(step * step * 17).min(bytes.len())].to_vec());
            let mut flipped = bytes[..bytes.len().min(256 << 10)].to_vec();
            for place in 0..40 {
                let at = (step * 7_919 + place * 104_729) % 4_096;
                flipped[at] ^= 1 << (step % 8);
            }
            let _ = probe(&flipped);
            let _ = read(&flipped);
        }
    }
}

#[test]
fn nothing_and_noise_are_told_apart() {
    let world = World::new();
    let path = world.disk("holes", 1 << 40);
    assert_eq!(probe(&open(&path)).unwrap().kind, Kind::Zero);
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    file.write_all_at(b"x", (1 << 40) - 1).unwrap();
    assert_eq!(probe(&open(&path)).unwrap().kind, Kind::Unknown);
    assert_eq!(probe(&vec![0; 100]).unwrap().kind, Kind::Zero);
    assert_eq!(probe(&vec![]).unwrap().kind, Kind::Zero);
    assert_eq!(probe(&vec![7; 100]).unwrap().kind, Kind::Unknown);
    assert_eq!(read(&vec![]).unwrap().scheme, Scheme::None);
    let mut mark = vec![0; 4_096];
    mark[510..512].copy_from_slice(&[0x55, 0xaa]);
    assert_eq!(read(&mark).unwrap().partitions, []);
}
