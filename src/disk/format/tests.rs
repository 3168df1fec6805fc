//! Every format as QEMU writes it, byte by byte against the disk it was made from; then damaged.

use super::*;
use crate::disk::bytes::Span;
use crate::disk::testing::any_disk;
use std::path::PathBuf;
use std::process::Command;

const MIB: u64 = 1 << 20;
/// No multiple of any cluster but one of the sector.
const DISK_BYTES: u64 = 7 * MIB + 3 * 512;

/// A folder with `disk.raw` in it: a boot signature, noise, text, and zeros between them.
struct World {
    folder: tempfile::TempDir,
    raw: Vec<u8>,
}

impl World {
    fn new() -> World {
        let mut raw = vec![0; DISK_BYTES as usize];
        let mut state = 1_u64;
        let mut noise = |bytes: &mut [u8]| {
            for byte in bytes {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                *byte = (state >> 56) as u8;
            }
        };
        noise(&mut raw[1_000..200_000]);
        noise(&mut raw[3 * MIB as usize..3 * MIB as usize + 70_000]);
        let end = raw.len();
        noise(&mut raw[end - 700..]);
        for (at, byte) in raw[5 * MIB as usize..6 * MIB as usize].iter_mut().enumerate() {
            *byte = b"text that is worth compressing "[at % 31];
        }
        raw[510..512].copy_from_slice(&[0x55, 0xaa]);
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("disk.raw"), &raw).unwrap();
        World { folder, raw }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, program: &str, arguments: &[&str]) -> String {
        let out = Command::new(program).args(arguments).current_dir(self.folder.path()).output().unwrap();
        let (stdout, stderr) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
        assert!(out.status.success(), "{program} {arguments:?}: {stdout}{stderr}");
        stdout.into_owned()
    }

    /// Converts `disk.raw`; `options` are what stands between `convert` and the names.
    fn convert(&self, name: &str, options: &str) {
        let arguments = format!("convert -f raw {options} disk.raw {name}");
        self.run("qemu-img", &arguments.split(' ').collect::<Vec<_>>());
    }

    fn open(&self, name: &str) -> Result<Image> {
        open(&self.path(name), None, &OpenOptions::default())
    }

    /// Opens an image by its magic and holds it against `expected`.
    fn check(&self, name: &str, format: Format, expected: &[u8]) -> Image {
        let image = self.open(name).unwrap_or_else(|err| panic!("{name}: {}", told(&err)));
        assert_eq!(image.format, format, "{name}");
        check_bytes(name, &*image.disk, expected);
        image
    }

    /// Holds an image against what QEMU makes of it.
    fn check_by_qemu(&self, name: &str, format: Format, options: &OpenOptions) {
        let arguments = ["convert", "-f", format.qemu_name(), "-O", "raw", name, "by-qemu.raw"];
        self.run("qemu-img", &arguments);
        let expected = std::fs::read(self.path("by-qemu.raw")).unwrap();
        let image =
            open(&self.path(name), Some(format), options).unwrap_or_else(|err| panic!("{}", told(&err)));
        check_bytes(name, &*image.disk, &expected);
    }
}

fn told(err: &Error) -> String {
    let mut text = err.to_string();
    let mut cause = std::error::Error::source(err);
    while let Some(inner) = cause {
        text = format!("{text}; {inner}");
        cause = inner.source();
    }
    text
}

/// All bytes in one read, and again along the spans, each of which must be true.
fn check_bytes(name: &str, disk: &dyn ReadAt, expected: &[u8]) {
    assert_eq!(disk.size(), expected.len() as u64, "{name}");
    let mut bytes = vec![0xa5; expected.len()];
    disk.read_at(0, &mut bytes).unwrap_or_else(|err| panic!("{name}: {}", told(&err)));
    if bytes != expected {
        let at = (0..bytes.len()).find(|at| bytes[*at] != expected[*at]).unwrap();
        panic!("{name}: byte {at} is {}, not {}", bytes[at], expected[at]);
    }
    let mut at = 0;
    while at < disk.size() {
        let Span { end, zero } = disk.span(at).unwrap();
        assert!(at < end && end <= disk.size(), "{name}: span at {at} ends at {end}");
        let mut bytes = vec![0xa5; (end - at) as usize];
        disk.read_at(at, &mut bytes).unwrap();
        assert!(bytes == expected[at as usize..end as usize], "{name}: {at} to {end}");
        assert!(!zero || bytes == vec![0; bytes.len()], "{name}: {at} to {end} is not zero");
        at = end;
    }
    assert!(disk.read_at(disk.size() - 1, &mut [0; 2]).is_err());
    assert!(disk.read_at(u64::MAX, &mut [0; 2]).is_err());
}

/// How much of a disk is zero without a look at it.
fn known_zero(disk: &dyn ReadAt) -> u64 {
    let (mut at, mut sum) = (0, 0);
    while at < disk.size() {
        let span = disk.span(at).unwrap();
        sum += if span.zero { span.end - at } else { 0 };
        at = span.end;
    }
    sum
}

fn fact<'a>(image: &'a Image, name: &str) -> Option<&'a str> {
    image.facts.iter().find(|(fact, _)| *fact == name).map(|(_, value)| &value[..])
}

#[test]
fn every_way_to_write_a_qcow2_reads_as_the_same_disk() {
    let world = World::new();
    for (name, options) in [
        ("v3", "-O qcow2"),
        ("v2", "-O qcow2 -o compat=0.10"),
        ("small-clusters", "-O qcow2 -o cluster_size=512"),
        ("large-clusters", "-O qcow2 -o cluster_size=2M"),
        ("subclusters", "-O qcow2 -o extended_l2=on"),
        ("zlib", "-c -O qcow2"),
        ("zlib-v2-small", "-c -O qcow2 -o compat=0.10,cluster_size=4k"),
        ("zstd", "-c -O qcow2 -o compression_type=zstd"),
        ("zstd-large", "-c -O qcow2 -o compression_type=zstd,cluster_size=2M"),
        ("zlib-subclusters", "-c -O qcow2 -o extended_l2=on,cluster_size=128k"),
        ("metadata", "-O qcow2 -o preallocation=metadata"),
        ("full", "-O qcow2 -o preallocation=full"),
    ] {
        world.convert(name, options);
        let image = world.check(name, Format::Qcow2, &world.raw);
        let zstd = options.contains("zstd");
        assert_eq!(fact(&image, "compression"), Some(if zstd { "zstd" } else { "zlib" }), "{name}");
        assert_eq!(fact(&image, "version"), Some(if options.contains("0.10") { "2" } else { "3" }), "{name}");
        let large = options.contains("2M") || name == "full";
        assert!(large || known_zero(&*image.disk) > 4 * MIB, "{name}: {}", known_zero(&*image.disk));
    }
}

#[test]
fn vmdk_vdi_vhd_and_vhdx_read_as_the_same_disk() {
    let world = World::new();
    let sparse = 4 * MIB;
    for (name, format, options, subformat, least_zero) in [
        ("sparse", Format::Vmdk, "-O vmdk -o subformat=monolithicSparse", "monolithicSparse", sparse),
        ("flat", Format::Vmdk, "-O vmdk -o subformat=monolithicFlat", "monolithicFlat", 0),
        ("two", Format::Vmdk, "-O vmdk -o subformat=twoGbMaxExtentSparse", "twoGbMaxExtentSparse", sparse),
        ("two-flat", Format::Vmdk, "-O vmdk -o subformat=twoGbMaxExtentFlat", "twoGbMaxExtentFlat", 0),
        ("stream", Format::Vmdk, "-O vmdk -o subformat=streamOptimized", "streamOptimized", sparse),
        ("zeroed", Format::Vmdk, "-O vmdk -o zeroed_grain=on", "monolithicSparse", sparse),
        ("vdi", Format::Vdi, "-O vdi", "dynamic", 3 * MIB),
        ("vdi-static", Format::Vdi, "-O vdi -o static=on", "static", 0),
        ("vhd", Format::Vhd, "-O vpc -o force_size=on", "dynamic", 0),
        ("vhd-fixed", Format::Vhd, "-O vpc -o subformat=fixed,force_size=on", "fixed", 0),
        ("vhdx", Format::Vhdx, "-O vhdx -o block_size=1M", "dynamic", 3 * MIB),
        ("vhdx-fixed", Format::Vhdx, "-O vhdx -o subformat=fixed", "fixed", 0),
    ] {
        world.convert(name, options);
        let image = world.check(name, format, &world.raw);
        assert_eq!(fact(&image, "subformat"), Some(subformat), "{name}");
        assert!(known_zero(&*image.disk) >= least_zero, "{name}: {}", known_zero(&*image.disk));
    }
    // VMware writes the directory last, and says where it is in a footer; QEMU knows it before.
    let mut bytes = std::fs::read(world.path("stream")).unwrap();
    let mut footer = bytes[..512].to_vec();
    bytes[56..64].fill(0xff);
    let mut marker = vec![0; 512];
    (marker[0], marker[12]) = (1, 3);
    footer.extend([0; 512]);
    bytes.extend(marker.into_iter().chain(footer));
    std::fs::write(world.path("footer"), &bytes).unwrap();
    world.check("footer", Format::Vmdk, &world.raw);
    world.run("qemu-img", &["compare", "-q", "-f", "vmdk", "-F", "raw", "footer", "disk.raw"]);
    bytes.truncate(bytes.len() - 512);
    std::fs::write(world.path("cut"), &bytes).unwrap();
    assert!(told(&world.open("cut").err().unwrap()).contains("has no vmdk header at"));

    // Its size by its geometry is a little more than the disk was.
    world.convert("vhd-geometry", "-O vpc");
    world.check_by_qemu("vhd-geometry", Format::Vhd, &OpenOptions::default());
    assert!(world.open("vhd-geometry").unwrap().disk.size() > DISK_BYTES);
}

#[test]
fn what_was_written_piece_by_piece_reads_as_qemu_reads_it() {
    let world = World::new();
    for (name, format, options) in [
        ("vmdk", Format::Vmdk, "zeroed_grain=on"),
        ("two", Format::Vmdk, "subformat=twoGbMaxExtentSparse"),
        ("vdi", Format::Vdi, ""),
        ("vhd", Format::Vhd, "force_size=on"),
        ("vhdx", Format::Vhdx, "block_size=1M,block_state_zero=on"),
    ] {
        let options = if options.is_empty() { vec![] } else { vec!["-o", options] };
        let arguments = [&["create", "-q", "-f", format.qemu_name()][..], &options, &[name, "5G"]].concat();
        world.run("qemu-img", &arguments);
        let mut arguments = vec!["-f", format.qemu_name()];
        for command in
            ["write -P 0x11 1k 3k", "write -P 0x22 2047M 2M", "write -P 0x33 5119M 512", "write -z 2048M 64k"]
        {
            arguments.extend(["-c", command]);
        }
        arguments.push(name);
        world.run("qemu-io", &arguments);
        let image = open(&world.path(name), Some(format), &OpenOptions::default()).unwrap();
        assert_eq!(image.disk.size(), 5 << 30, "{name}");
        world.run("qemu-img", &["convert", "-f", format.qemu_name(), "-O", "raw", name, "by-qemu.raw"]);
        let expected = open(&world.path("by-qemu.raw"), Some(Format::Raw), &OpenOptions::default()).unwrap();
        for start in [0, 2_040 * MIB, 5_110 * MIB] {
            let (mut bytes, mut by_qemu) = (vec![1; 10 * MIB as usize], vec![2; 10 * MIB as usize]);
            image.disk.read_at(start, &mut bytes).unwrap();
            expected.disk.read_at(start, &mut by_qemu).unwrap();
            assert!(bytes == by_qemu, "{name} at {start}");
        }
        assert!(known_zero(&*image.disk) >= (5 << 30) - 10 * MIB, "{name}");
    }
}

/// QEMU empties its log after each write, so the crash is made: two entries that it left in the ring
/// are put in force again, one counting on the other, and what they wrote to the file is taken back.
#[test]
fn a_vhdx_that_was_not_closed_is_read_through_its_log() {
    use crate::disk::format::vhdx::crc32c::checksum;
    let world = World::new();
    world.run("qemu-img", &["create", "-q", "-f", "vhdx", "-o", "block_size=1M", "crashed", "100M"]);
    let writes = ["-c", "write -P 0x11 1k 3k", "-c", "write -P 0x22 30M 1M", "-c", "write -P 0x33 40M 1M"];
    world.run("qemu-io", &[&["-f", "vhdx"][..], &writes, &["crashed"]].concat());
    let mut expected = vec![0; 100 * MIB as usize];
    expected[1 << 10..4 << 10].fill(0x11);
    expected[30 * MIB as usize..31 * MIB as usize].fill(0x22);
    expected[40 * MIB as usize..41 * MIB as usize].fill(0x33);
    world.check("crashed", Format::Vhdx, &expected);

    let mut bytes = std::fs::read(world.path("crashed")).unwrap();
    let field = |bytes: &[u8], at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()) as usize;
    let seal = |bytes: &mut [u8], at: usize, len: usize| {
        let sum = checksum(&bytes[at..at + len]);
        bytes[at + 4..at + 8].copy_from_slice(&sum.to_le_bytes());
    };
    // The log is 1 MiB at 1 MiB; each entry has one descriptor.
    let (second, third) = ((1 << 20) + 8_192, (1 << 20) + 16_384);
    let id: [u8; 16] = bytes[third + 32..third + 48].try_into().unwrap();
    bytes[second + 32..second + 48].copy_from_slice(&id);
    bytes[third + 12..third + 16].copy_from_slice(&8_192_u32.to_le_bytes());
    for entry in [second, third] {
        assert_eq!((&bytes[entry..entry + 4], bytes[entry + 24]), (&b"loge"[..], 1));
        seal(&mut bytes, entry, 8_192);
        let written = field(&bytes, entry + 64 + 16);
        bytes[written..written + 4_096].fill(0xee);
    }
    for header in [64 << 10, 128 << 10] {
        bytes[header + 48..header + 64].copy_from_slice(&id);
        seal(&mut bytes, header, 4_096);
    }
    std::fs::write(world.path("crashed"), &bytes).unwrap();
    let image = world.check("crashed", Format::Vhdx, &expected);
    assert_eq!(fact(&image, "replayed-log"), Some("yes"));

    // The newest entry counts on the one before. It may itself be torn, by the very crash.
    for (at, is_lost) in [(second + 5_000, true), (third + 5_000, false)] {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        std::fs::write(world.path("damaged"), damaged).unwrap();
        match world.open("damaged") {
            Err(err) => assert!(is_lost && told(&err).contains("its log is damaged"), "{}", told(&err)),
            Ok(_) => assert!(!is_lost),
        }
    }
    let mut cut = bytes.clone();
    cut.truncate(bytes.len() - MIB as usize);
    survives(cut, None);
    // QEMU reads the same once it has replayed it.
    world.run("qemu-img", &["check", "-q", "-r", "all", "-f", "vhdx", "crashed"]);
    let image = world.check("crashed", Format::Vhdx, &expected);
    assert_eq!(fact(&image, "replayed-log"), None);
}

#[test]
fn a_vmdk_opens_no_file_outside_of_its_folder() {
    let world = World::new();
    std::fs::create_dir(world.path("inside")).unwrap();
    std::fs::write(world.path("secret"), vec![7; 4_096]).unwrap();
    std::fs::write(world.path("inside/beside"), vec![8; 4_096]).unwrap();
    std::os::unix::fs::symlink("../secret", world.path("inside/link")).unwrap();
    for (name, words) in [
        ("beside", None),
        ("../secret", Some("leads out of its folder")),
        ("link", Some("leads out of its folder")),
        ("/etc/passwd", Some("leads out of its folder")),
        ("missing", Some("which is not there")),
        (".", Some("is not a regular file")),
        ("disk.vmdk", Some("part of a disk at 0")),
    ] {
        let text = format!("# Disk DescriptorFile\nversion=1\nparentCID=ffffffff\nRW 8 FLAT \"{name}\" 0\n");
        std::fs::write(world.path("inside/disk.vmdk"), text).unwrap();
        match (open(&world.path("inside/disk.vmdk"), None, &OpenOptions::default()), words) {
            (Ok(image), None) => check_bytes(name, &*image.disk, &[8; 4_096]),
            (Err(err), Some(words)) => assert!(told(&err).contains(words), "{name}: {}", told(&err)),
            (opened, _) => panic!("{name}: {}", opened.is_ok()),
        }
    }
}

#[test]
fn the_disks_of_an_ova_are_read_inside_of_it() {
    let world = World::new();
    world.convert("guest-disk1.vmdk", "-O vmdk -o subformat=streamOptimized");
    world.convert("two.vmdk", "-O vmdk");
    for (name, text) in [("guest.ovf", "<Envelope/>"), ("guest.mf", "SHA256(x)=1"), ("notes", "some words")] {
        std::fs::write(world.path(name), text).unwrap();
    }
    let outside = "# Disk DescriptorFile\nRW 8 FLAT \"disk.raw\" 0\n";
    std::fs::write(world.path("outside.vmdk"), outside).unwrap();
    std::fs::write(world.path("packed.vmdk.gz"), [0x1f, 0x8b, 8, 0]).unwrap();
    std::fs::write(world.path("disk.vmdk.000000000"), "KDMV").unwrap();
    let tar = |name: &str, members: &str| {
        let words = format!("--format=ustar -cf {name} {members}");
        world.run("tar", &words.split(' ').collect::<Vec<_>>());
        Ova::read(&crate::fs::SharedFile::open_disk(&world.path(name)).unwrap())
    };
    let whole = "guest.ovf guest.mf guest-disk1.vmdk two.vmdk disk.raw notes outside.vmdk";
    let ova = tar("guest.ova", whole).unwrap().unwrap();
    let names: Vec<_> = ova.disks.iter().map(|disk| &disk.name[..]).collect();
    assert_eq!(names, ["guest-disk1.vmdk", "two.vmdk", "outside.vmdk"]);
    for disk in &ova.disks[..2] {
        check_bytes(&disk.name, &*ova.open(disk, &OpenOptions::default()).unwrap().disk, &world.raw);
    }
    let allowed = OpenOptions { allow_backing: true, ..OpenOptions::default() };
    let problem = told(&ova.open(&ova.disks[2], &allowed).err().unwrap());
    assert!(problem.contains("to which there is no way"), "{problem}");

    assert!(tar("plain.tar", "notes guest-disk1.vmdk").unwrap().is_none());
    assert!(Ova::read(&crate::fs::SharedFile::open_disk(&world.path("notes")).unwrap()).unwrap().is_none());
    for (members, words) in [
        ("guest.ovf packed.vmdk.gz", "compressed by gzip"),
        ("guest.ovf disk.vmdk.000000000", "chunk of a divided file"),
    ] {
        let problem = told(&tar("bad.ova", members).err().unwrap());
        assert!(problem.contains(words), "{problem}");
    }
    let bytes = std::fs::read(world.path("guest.ova")).unwrap();
    for cut in [100, 511, 512, 1_000, 3_000, 100_000, bytes.len() - 20_000] {
        std::fs::write(world.path("cut.ova"), &bytes[..cut]).unwrap();
        let _ = Ova::read(&crate::fs::SharedFile::open_disk(&world.path("cut.ova")).unwrap());
    }
}

#[test]
fn parents_are_refused_and_what_is_damaged_is_named() {
    let world = World::new();
    let allowed = OpenOptions { allow_backing: true, ..OpenOptions::default() };
    world.run("qemu-img", &["create", "-q", "-f", "vmdk", "base.vmdk", "1M"]);
    world.run("qemu-img", &["create", "-q", "-f", "vmdk", "-b", "base.vmdk", "-F", "vmdk", "child.vmdk"]);
    for (name, options) in [
        ("sparse", "-O vmdk"),
        ("stream", "-O vmdk -o subformat=streamOptimized"),
        ("vdi", "-O vdi"),
        ("vhd", "-O vpc"),
        ("vhdx", "-O vhdx -o block_size=1M"),
    ] {
        world.convert(name, options);
    }
    let check = |name: &str, words: &str, change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = std::fs::read(world.path(name)).unwrap();
        change(&mut bytes);
        std::fs::write(world.path("bad"), bytes).unwrap();
        let problem = match open(&world.path("bad"), None, &allowed) {
            Err(err) => told(&err),
            Ok(image) => told(&image.disk.read_at(0, &mut vec![0; 7 * MIB as usize]).expect_err(words)),
        };
        assert!(problem.contains(words), "{problem}");
    };
    let no_change = &|_: &mut Vec<u8>| {};
    check("child.vmdk", "is the difference to a parent disk", no_change);
    check("sparse", "vmdk of version 9", &|bytes| bytes[4] = 9);
    check("sparse", "has grains of 129 sectors", &|bytes| bytes[20] = 129);
    check("sparse", "has tables of 513 grains", &|bytes| bytes[44] = 1);
    check("sparse", "damaged by a transfer as text", &|bytes| bytes[75] = b'\n');
    check("sparse", "is over the limit of", &|bytes| bytes[19] = 1);
    check("sparse", "an entry of the grain directory", &|bytes| bytes[61] = 1);
    check("sparse", "an entry of a grain table", &|bytes| {
        let at = u64::from_le_bytes(bytes[56..64].try_into().unwrap()) as usize * 512;
        bytes[at + 3] = 0x7f;
    });
    let grain_at = |bytes: &[u8]| {
        (1..)
            .map(|sector| sector * 512)
            .find(|at| bytes[at + 12] == 0x78 && bytes[at + 8..at + 12] != [0; 4])
            .unwrap()
    };
    check("stream", "where that of sector 0 belongs", &|bytes| {
        let at = grain_at(bytes);
        bytes[at] = 9;
    });
    check("stream", "compressed bytes at", &|bytes| {
        let at = grain_at(bytes);
        bytes[at + 11] = 1;
    });
    check("stream", "damaged compressed bytes", &|bytes| {
        let at = grain_at(bytes);
        bytes[at + 12..at + 40].fill(0xff);
    });
    check("vdi", "of version 1.7", &|bytes| bytes[68] = 7);
    check("vdi", "difference to a parent disk (type 4)", &|bytes| bytes[76] = 4);
    check("vdi", "names a parent", &|bytes| bytes[430] = 4);
    check("vdi", "has blocks of 1048577 bytes", &|bytes| bytes[376] = 1);
    check("vdi", "has 1 blocks", &|bytes| bytes[384] = 1);
    check("vdi", "is over the limit of", &|bytes| bytes[375] = 0x10);
    check("vdi", "lies beyond the end of the file", &|bytes| bytes[342] = 0xff);
    check("vdi", "lies beyond the end of the file", &|bytes| bytes[512..516].fill(0x7f));
    check("vhd", "checksum of the footer", &|bytes| {
        let end = bytes.len();
        bytes[end - 500] ^= 1;
    });
    check("vhd", "checksum of the dynamic header", &|bytes| bytes[512 + 40] ^= 1);
    check("vhd", "lies beyond the end of the file", &|bytes| bytes[1_536..1_540].fill(0x7f));
    check("vhdx", "no header with a sound checksum", &|bytes| (bytes[66_000], bytes[132_000]) = (1, 1));
    check("vhdx", "no region table with a sound", &|bytes| (bytes[200_000], bytes[270_000]) = (1, 1));
    // One of two copies is enough.
    let whole = std::fs::read(world.path("vhdx")).unwrap();
    let mut half = whole.clone();
    (half[66_000], half[200_000]) = (1, 1);
    std::fs::write(world.path("half"), half).unwrap();
    world.check("half", Format::Vhdx, &world.raw);
    let metadata = whole.windows(8).position(|bytes| bytes == b"metadata").unwrap();
    check("vhdx", "has no metadata at", &|bytes| bytes[metadata] = 0);
    check("vhdx", "difference to a parent", &|bytes| bytes[metadata + (64 << 10) + 4] |= 2);
    check("vhdx", "has blocks of 1048577 bytes", &|bytes| bytes[metadata + (64 << 10)] = 1);
}

#[test]
fn zero_clusters_subclusters_and_snapshots_read_as_qemu_reads_them() {
    let world = World::new();
    for (name, options) in [("plain", "cluster_size=64k"), ("extended", "extended_l2=on,cluster_size=64k")] {
        world.run("qemu-img", &["create", "-q", "-f", "qcow2", "-o", options, name, "8M"]);
        let io = |commands: &[&str]| {
            let mut arguments = vec!["-f", "qcow2"];
            commands.iter().for_each(|command| arguments.extend(["-c", command]));
            arguments.push(name);
            world.run("qemu-io", &arguments);
        };
        io(&["write -P 0x11 1k 3k", "write -P 0x22 100k 200k", "write -z 128k 64k", "write -z 20k 2k"]);
        io(&[
            "write -c -P 0x33 1M 64k",
            "write -P 0x44 2M 1M",
            "discard 2560k 128k",
            "write -P 0x66 2600k 512",
        ]);
        world.run("qemu-img", &["snapshot", "-c", "before", name]);
        io(&["write -P 0x55 150k 20k", "write -P 0x55 8000k 1k"]);
        world.check_by_qemu(name, Format::Qcow2, &OpenOptions::default());
        assert_eq!(fact(&world.open(name).unwrap(), "internal-snapshots"), Some("1"));
    }
}

#[test]
fn raw_knows_its_holes_and_what_is_no_disk_is_not_taken_for_one() {
    let world = World::new();
    world.run("cp", &["--sparse=always", "disk.raw", "sparse.raw"]);
    let image = world.check("sparse.raw", Format::Raw, &world.raw);
    assert!(known_zero(&*image.disk) > 4 * MIB);

    for (name, bytes, words) in [
        ("empty", &b""[..], "is empty"),
        ("text", b"just a text", "is no disk image that imgit knows"),
        ("qcow1", b"QFI\xfb\0\0\0\x01", "the qcow2 header, 72 bytes at 0, lies beyond the end"),
    ] {
        std::fs::write(world.path(name), bytes).unwrap();
        let problem = told(&world.open(name).err().expect(name));
        assert!(problem.contains(words), "{name}: {problem}");
    }
    let forced = open(&world.path("text"), Some(Format::Raw), &OpenOptions::default()).unwrap();
    check_bytes("text", &*forced.disk, b"just a text");
    let problem = open(&world.path("text"), Some(Format::Qcow2), &OpenOptions::default()).err().unwrap();
    assert!(told(&problem).contains("lies beyond the end of the file"), "{}", told(&problem));
}

#[test]
fn backing_files_are_opened_for_those_who_ask_only() {
    let world = World::new();
    let allowed = OpenOptions { allow_backing: true, ..OpenOptions::default() };
    world.convert("base.qcow2", "-O qcow2");
    // The top is larger than what is under it, the middle smaller.
    let create = |name: &str, below: &str, format: &str, size: &str| {
        world.run("qemu-img", &["create", "-q", "-u", "-f", "qcow2", "-b", below, "-F", format, name, size]);
    };
    create("middle", "base.qcow2", "qcow2", "6M");
    create("top", "file:middle", "qcow2", "9M");
    create("over-raw", "disk.raw", "raw", "8M");
    world.run("qemu-io", &["-f", "qcow2", "-c", "write -P 0x77 100k 1M", "middle"]);
    world.run("qemu-io", &["-f", "qcow2", "-c", "write -P 0x78 8M 1k", "-c", "write -z 3M 10k", "top"]);
    for name in ["middle", "top", "over-raw"] {
        let problem = world.open(name).err().expect(name);
        assert!(told(&problem).contains("a stranger could name any file"), "{}", told(&problem));
        assert!(problem.hint().unwrap().contains("--allow-backing"));
        world.check_by_qemu(name, Format::Qcow2, &allowed);
    }

    // A format that is not told is found.
    std::fs::write(world.path("raw"), &world.raw).unwrap();
    create("told", "disk.raw", "raw", "8M");
    let mut bytes = std::fs::read(world.path("told")).unwrap();
    let at = bytes.windows(4).position(|bytes| bytes == [0xe2, 0x79, 0x2a, 0xca]).unwrap();
    bytes[at] = 0x12;
    std::fs::write(world.path("untold"), bytes).unwrap();
    let image = open(&world.path("untold"), None, &allowed).unwrap();
    let mut start = vec![0; DISK_BYTES as usize];
    image.disk.read_at(0, &mut start).unwrap();
    assert!(start == world.raw);

    create("one", "two", "qcow2", "1M");
    create("two", "one", "qcow2", "1M");
    create("itself", "./itself", "qcow2", "1M");
    create("none", "missing", "qcow2", "1M");
    create("strange", "disk.raw", "file", "1M");
    for (name, words) in [
        ("one", "is its own backing file"),
        ("itself", "is its own backing file"),
        ("none", "cannot open"),
        ("strange", "of unknown format file"),
    ] {
        let problem = told(&open(&world.path(name), None, &allowed).err().expect(name));
        assert!(problem.contains(words), "{name}: {problem}");
    }
    let mut below = "base.qcow2".to_string();
    for depth in 0..70 {
        let name = format!("deep{depth}");
        std::fs::copy(world.path("over-raw"), world.path(&name)).unwrap();
        world.run("qemu-img", &["rebase", "-u", "-f", "qcow2", "-b", &below, "-F", "qcow2", &name]);
        below = name;
    }
    assert!(open(&world.path("deep50"), None, &allowed).is_ok());
    let problem = told(&open(&world.path("deep69"), None, &allowed).err().unwrap());
    assert!(problem.contains("is over the limit of 64 images"), "{problem}");
}

#[test]
fn many_threads_read_one_image() {
    let world = World::new();
    world.convert("packed", "-c -O qcow2 -o cluster_size=16k");
    let image = world.open("packed").unwrap();
    std::thread::scope(|scope| {
        for thread in 0..8_u64 {
            let (disk, raw) = (&*image.disk, &world.raw);
            scope.spawn(move || {
                let mut buffer = vec![0; 50_000];
                for step in 0..200_u64 {
                    let at = (step * 7_919_033 + thread * 104_729) % (DISK_BYTES - 50_000);
                    disk.read_at(at, &mut buffer).unwrap();
                    assert!(buffer == raw[at as usize..][..50_000], "thread {thread} at {at}");
                }
            });
        }
    });
}

/// Tables may be anywhere, and be each other: that is a disk of nonsense, and no loop.
#[test]
fn tables_that_are_their_own_entries_are_read_like_any_others() {
    let world = World::new();
    world.run("qemu-img", &["create", "-q", "-f", "qcow2", "itself", "60T"]);
    let mut bytes = std::fs::read(world.path("itself")).unwrap();
    let l1_at = u64::from_be_bytes(bytes[40..48].try_into().unwrap());
    let entries = u32::from_be_bytes(bytes[36..40].try_into().unwrap()) as usize;
    for entry in 0..entries {
        bytes[l1_at as usize + entry * 8..][..8].copy_from_slice(&l1_at.to_be_bytes());
    }
    let source = Source { file: Arc::new(bytes), name: "itself".into(), folder: None };
    let image = open_in(source, None, &OpenOptions::default()).unwrap();
    assert_eq!(image.disk.size(), 60 << 40);
    let mut buffer = [0; 16];
    image.disk.read_at((60 << 40) - 16, &mut buffer).unwrap();
    assert_eq!(buffer, [l1_at.to_be_bytes(), l1_at.to_be_bytes()].concat()[..]);
    any_disk(&*image.disk);
}

#[test]
fn names_of_files_of_the_host_lead_nowhere() {
    let world = World::new();
    let allowed = OpenOptions { allow_backing: true, ..OpenOptions::default() };
    for name in ["/etc/passwd", r#"json:{"driver":"raw","file.filename":"/etc/passwd"}"#, "nbd://host/disk"] {
        world.run(
            "qemu-img",
            &[
                "create",
                "-q",
                "-u",
                "-f",
                "qcow2",
                "-b",
                "x".repeat(name.len()).as_str(),
                "-F",
                "raw",
                "evil",
                "1M",
            ],
        );
        let mut bytes = std::fs::read(world.path("evil")).unwrap();
        let at = bytes.windows(name.len()).rposition(|bytes| bytes.iter().all(|byte| *byte == b'x')).unwrap();
        bytes[at..at + name.len()].copy_from_slice(name.as_bytes());
        std::fs::write(world.path("evil"), bytes).unwrap();
        let problem = told(&world.open("evil").err().unwrap());
        assert!(problem.contains(&format!("needs the backing file {name}")), "{problem}");
        let opened = open(&world.path("evil"), None, &allowed);
        assert_eq!(opened.is_ok(), name == "/etc/passwd", "{name}");
    }
    world.run(
        "qemu-img",
        &["create", "-q", "-f", "qcow2", "-o", "data_file=data,data_file_raw=on", "outside", "1M"],
    );
    for options in [&OpenOptions::default(), &allowed] {
        let problem = told(&open(&world.path("outside"), None, options).err().unwrap());
        assert!(problem.contains("keeps its data in an external file"), "{problem}");
    }
}

#[test]
fn what_a_qcow2_needs_and_imgit_lacks_is_named() {
    let world = World::new();
    world.convert("good", "-O qcow2");
    let good = std::fs::read(world.path("good")).unwrap();
    let check = |words: &str, change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good.clone();
        change(&mut bytes);
        std::fs::write(world.path("bad"), bytes).unwrap();
        let problem = match world.open("bad") {
            Err(err) => told(&err),
            Ok(image) => told(&image.disk.read_at(0, &mut vec![0; DISK_BYTES as usize]).expect_err(words)),
        };
        assert!(problem.contains(words), "{problem}");
    };
    check("qcow of version 1", &|bytes| bytes[7] = 1);
    check("clusters of 2^63", &|bytes| bytes[23] = 63);
    check("encrypted (AES)", &|bytes| bytes[35] = 1);
    check("encrypted (LUKS)", &|bytes| bytes[35] = 2);
    check("features of qcow2 that imgit does not know: number 40", &|bytes| bytes[74] = 1);
    // QEMU writes the names of the features it knows: here bit 0 becomes bit 17.
    check("does not know: dirty bit", &|bytes| {
        let at = bytes[..4_096].windows(9).position(|bytes| bytes == b"dirty bit").unwrap();
        bytes[at - 1] = 17;
        bytes[72 + 5] = 2;
    });
    check("unknown method 9", &|bytes| (bytes[79], bytes[104]) = (8, 9));
    check("has an L1 table of 1 entries", &|bytes| bytes[27] = 0x10);
    check("L1 table of", &|bytes| bytes[36] = 0x7f);
    check("lies beyond the end of the file", &|bytes| bytes[41] = 0x7f);
    let l1_at = u64::from_be_bytes(good[40..48].try_into().unwrap()) as usize;
    let l2_at = u64::from_be_bytes(good[l1_at..l1_at + 8].try_into().unwrap()) as usize & 0xff_ffff;
    check("lies beyond the end of the file", &|bytes| bytes[l1_at + 2] = 0x7f);
    check("has a L2 table at", &|bytes| bytes[l1_at + 6] = 2);
    check("lies beyond the end of the file", &|bytes| bytes[l2_at + 2] = 0x7f);
    check("has damaged compressed bytes", &|bytes| bytes[l2_at] = 0x40);
    world.run("qemu-img", &["create", "-q", "-f", "qcow2", "large", "100T"]);
    assert!(told(&world.open("large").err().unwrap()).contains("is over the limit of 70368744177664 bytes"));
    // On a busy machine qemu-img may fail to measure how fast it is; only then longer is tried.
    let made = [10, 50, 200, 800].into_iter().any(|time| {
        let options = format!("encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time={time}");
        let mut command = Command::new("qemu-img");
        command.args(["create", "-q", "--object", "secret,id=s,data=abc", "-f", "qcow2", "-o", &options]);
        command.args(["luks", "1M"]).current_dir(world.folder.path()).status().unwrap().success()
    });
    assert!(made, "qemu-img makes no encrypted qcow2");
    assert!(told(&world.open("luks").err().unwrap()).contains("encrypted (LUKS)"));
}

/// Reads what can be read, in pieces, and the spans: an error is as good as an answer.
fn survives(bytes: Vec<u8>, forced: Option<Format>) {
    let source = Source { file: Arc::new(bytes), name: "test".into(), folder: None };
    let Ok(image) = open_in(source, forced, &OpenOptions::default()) else { return };
    any_disk(&*image.disk);
}

#[test]
fn damage_of_any_sort_is_an_error_or_bytes() {
    let world = World::new();
    // Small, so that damage is near something: noise, zeros, text.
    let small =
        [&world.raw[..200_000], &vec![0; 400_000], &world.raw[5 * MIB as usize..][..100_000]].concat();
    std::fs::write(world.path("disk.raw"), small).unwrap();
    for (format, options) in [
        (Format::Qcow2, "-c -O qcow2 -o cluster_size=4k"),
        (Format::Qcow2, "-O qcow2 -o extended_l2=on,cluster_size=16k"),
        (Format::Vmdk, "-O vmdk"),
        (Format::Vmdk, "-O vmdk -o subformat=streamOptimized"),
        (Format::Vdi, "-O vdi"),
        (Format::Vhd, "-O vpc"),
        (Format::Vhdx, "-O vhdx -o block_size=1M"),
    ] {
        world.convert("whole", options);
        let whole = std::fs::read(world.path("whole")).unwrap();
        let is_metadata = |at: usize| at < 4_096 || at % 4_096 < 64;
        for round in 0..200_usize {
            // Cut at places near structures, and flip bytes of headers and tables.
            let at = (round * round * 7_919 + round) % whole.len();
            survives(whole[..at].to_vec(), Some(format));
            let mut flipped = whole.clone();
            let places = (0..12).map(|step| (at * 31 + step * 104_729) % (64 << 10).min(whole.len()));
            for place in places.filter(|place| is_metadata(*place)) {
                flipped[place] ^= 1 << (round % 8);
            }
            if round % 8 == 0 {
                survives(flipped, Some(format));
            }
        }
    }
    let mut random = world.raw[1_000..100_000].to_vec();
    for format in Format::ALL {
        survives(random.clone(), Some(format));
        survives(Vec::new(), Some(format));
    }
    random[..8].copy_from_slice(b"QFI\xfb\0\0\0\x03");
    survives(random, None);
}
