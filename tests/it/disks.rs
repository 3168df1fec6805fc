//! VM disks, from end to end: in by every format, their files beside those of containers, and the
//! same bytes out again.

use crate::support::World;
use crate::support::sha256;
use std::collections::BTreeMap;
use std::io::BufRead;

/// A GPT disk with an ESP and an ext4 root that calls itself a Debian, and the tree it was made from.
const MACHINE: &str = r#"
mkdir -p root/etc root/usr/bin root/boot/efi root/var/log && cd root
printf 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_ID="12"\n' > etc/os-release
printf 'LABEL=root / ext4 defaults 0 1\nLABEL=ESP /boot/efi vfat umask=0077 0 2\n' > etc/fstab
echo machine1 > etc/hostname; echo 0123456789abcdef > etc/machine-id; echo root:x:0:0 > etc/passwd
seq 1 60000 > usr/bin/numbers; ln usr/bin/numbers usr/bin/same; ln -s numbers usr/bin/link
echo booted > var/log/syslog
truncate -s 300K var/sparse; echo end >> var/sparse
cd ..
truncate -s 24M machine.raw
printf 'label: gpt\nsize=4M,type=uefi\ntype=linux\n' | sfdisk -q machine.raw
mke2fs -q -t ext4 -L root -d root -E offset=5242880 machine.raw 17M
truncate -s 4M esp; mkfs.vfat -n ESP esp > /dev/null; mmd -i esp ::/EFI
echo loader > loader; mcopy -i esp loader ::/EFI/boot.efi
dd if=esp of=machine.raw bs=1M seek=1 conv=notrunc status=none
rm esp
"#;

fn machine() -> World {
    let world = World::new();
    world.sh(MACHINE);
    world
}

#[test]
fn a_disk_of_every_format_comes_back_the_same() {
    let world = machine();
    let raw = world.read("machine.raw");
    world.ok("import -q machine.raw first");
    let tree = |name: &str| {
        let commit: serde_json::Value =
            serde_json::from_str(&world.ok(&format!("show {name} --format json"))).unwrap();
        commit["trees"].clone()
    };
    let formats = [
        ("qcow2", "-O qcow2"),
        ("qcow2", "-c -O qcow2 -o compression_type=zstd"),
        ("vmdk", "-O vmdk"),
        ("vmdk", "-O vmdk -o subformat=streamOptimized"),
        ("vdi", "-O vdi"),
        ("vhd", "-O vpc -o force_size=on"),
        ("vhdx", "-O vhdx"),
    ];
    for (number, (format, how)) in formats.into_iter().enumerate() {
        let file = format!("{number}.{format}");
        world.sh(&format!("qemu-img convert -f raw {how} machine.raw {file}"));
        let name = format!("machine{number}");
        // Alternately found and forced; the file itself kept as well.
        let forced = if number % 2 == 0 { String::new() } else { format!("{format}:") };
        world.ok(&format!("import -q --exact-file {forced}{file} {name}"));
        assert!(tree(&name) == tree("first"), "{how}");
        world.ok(&format!("export -q {name} raw:out.raw --force"));
        assert!(world.read("out.raw") == raw, "{how}");
        world.ok(&format!("export -q {name} disk:again.{format} --force"));
        assert!(world.read(&format!("again.{format}")) == world.read(&file), "{how}");
    }
    let usage = world.ok("du");
    assert!(usage.contains("first"), "{usage}");
    world.assert_sound();
}

#[test]
fn other_formats_out_hold_the_same_disk() {
    let world = machine();
    world.ok("import -q raw:machine.raw vm");
    for (format, qemu) in
        [("qcow2", "qcow2"), ("vmdk", "vmdk"), ("vdi", "vdi"), ("vhd", "vpc"), ("vhdx", "vhdx")]
    {
        world.ok(&format!("export -q vm {format}:out.{format}"));
        world.sh(&format!("qemu-img compare -f raw -F {qemu} machine.raw out.{format}"));
        let said = world.fails(1, &format!("export vm {format}:out.{format}"));
        assert!(said.contains("already exists"), "{said}");
    }
    // QEMU rounds a size up; the same disk it would not be.
    world.sh("cp machine.raw odd.raw && printf x >> odd.raw");
    world.ok("import -q raw:odd.raw odd");
    let said = world.fails(6, "export odd qcow2:odd.qcow2");
    assert!(said.contains("expected 25165825 bytes") && said.contains("raw:"), "{said}");
    assert!(!world.path("odd.qcow2").exists());
    world.ok("export -q odd raw:odd2.raw");
    assert!(world.read("odd2.raw") == world.read("odd.raw"));
    // Holes are holes again.
    world.ok("export -q vm raw:out.raw");
    assert_eq!(world.sh_text("stat -c %s out.raw"), "25165824");
    let used: u64 = world.sh_text("stat -c %b out.raw").parse().unwrap();
    assert!(used * 512 < 8 << 20, "{used} blocks");
}

#[test]
fn a_machine_is_seen_as_it_sees_itself() {
    let world = machine();
    world.ok("import -q machine.raw vm");
    assert!(world.ok("cat vm /etc/hostname") == "machine1\n");
    assert_eq!(world.ok("cat vm /boot/efi/EFI/boot.efi"), "loader\n");
    assert_eq!(world.ok("ls vm --filesystem /dev/sda1 /"), "EFI\n");
    let said = world.fails(4, "ls vm --filesystem /dev/sda9 /");
    assert!(said.contains("/dev/sda1, /dev/sda2"), "{said}");
    let shown = world.ok("inspect vm");
    for line in [
        "System:      Debian GNU/Linux 12 (bookworm)",
        "Hostname:    machine1",
        "Mount:       /boot/efi /dev/sda1",
        "Table:       gpt ",
        "Holds:       /dev/sda2 ext4 18.9 MB label root",
    ] {
        assert!(shown.contains(line), "{line}\n{shown}");
    }
    assert!(
        shown.contains(&format!("Raw:         sha256:{}", sha256(&world.read("machine.raw")))),
        "{shown}"
    );
    // The tree is the folder that mke2fs was given, but for what mke2fs and the ESP add.
    let diff = world.ok("diff --name-status vm ./root");
    assert_eq!(diff, "D\t/boot/efi/EFI\nD\t/boot/efi/EFI/boot.efi\nD\t/lost+found\n");
    world.ok("export -q vm --filesystem /dev/sda1 ./esp-files");
    assert_eq!(world.read("esp-files/EFI/boot.efi"), b"loader\n");
}

/// `foo.qcow2` once became a folder of files, and the digest of a qcow2 read as that of the file.
#[test]
fn a_path_that_names_a_disk_is_one_and_its_digest_says_of_what() {
    let world = machine();
    world.ok("import -q machine.raw vm");
    let raw = format!("sha256:{}\n", sha256(&world.read("machine.raw")));
    let said = world.run("export vm out.qcow2");
    assert_eq!(said.stdout, raw);
    assert!(
        said.stderr.contains("to qcow2:out.qcow2; the digest is that of its raw bytes, not of the file"),
        "{said}"
    );
    world.sh("qemu-img compare -f raw -F qcow2 machine.raw out.qcow2");
    let said = world.run("export --format json vm disk.img");
    assert!(said.stdout.contains(r#""digest_of":"file""#) && !said.stderr.contains("raw bytes"), "{said}");
    assert!(world.read("disk.img") == world.read("machine.raw"));
    world.ok("export -q vm files.vmdk/");
    assert!(world.path("files.vmdk/etc/hostname").exists());
    world.ok("export -q vm --filesystem /dev/sda1 esp.raw");
    assert_eq!(world.read("esp.raw/EFI/boot.efi"), b"loader\n");
    world.sh("tar -C root -cf root.tar .");
    world.ok("import -q root.tar box");
    world.ok("export -q box box.raw");
    assert!(world.path("box.raw/etc").is_dir(), "a container has no disk");
    let said = world.fails(2, "export vm out.ova");
    assert!(said.contains("ova:"), "{said}");
}

/// What a disk has beside files is told, and weighs what its recipe says.
#[test]
fn the_residue_of_a_disk_is_told() {
    let world = machine();
    world.ok("import -q machine.raw vm");
    world.sh("head -c 3000000 /dev/urandom | dd of=machine.raw bs=1 seek=21M conv=notrunc status=none iflag=fullblock");
    world.ok("import -q machine.raw more");
    let residue = |name: &str| {
        let usage = world.ok(&format!("du {name} --format json"));
        let line: serde_json::Value = serde_json::from_str(usage.lines().next().unwrap()).unwrap();
        line["residue_bytes"].as_u64().unwrap()
    };
    let (before, after) = (residue("vm"), residue("more"));
    assert!(before < 500_000 && (2_990_000..3_010_000).contains(&(after - before)), "{before} {after}");
    world.ok("import -q ./root box");
    let usage = world.ok("du");
    assert!(usage.lines().next().unwrap().ends_with("RESIDUE"), "{usage}");
    assert!(usage.lines().any(|line| line.starts_with("box:latest") && line.ends_with('-')), "{usage}");
    assert!(!world.ok("inspect box").contains("Residue:"));
    assert!(world.ok("inspect more").contains("Residue:     3."));
    assert!(world.ok("inspect more --filesystem /dev/sda1").contains("Tree:        2 entries, 7 B"));
    assert!(world.ok("inspect more --raw").contains("application/vnd.imgit.guest.v1+json"));
    world.sh("truncate -s 4M one && mkfs.vfat one > /dev/null");
    world.ok("import -q one one");
    let said = world.fails(4, "ls one --filesystem /dev/sda9");
    assert!(said.contains("without --filesystem"), "{said}");
}

/// Matching hashes every byte, which takes minutes for this disk of zeros.
#[test]
fn ctrl_c_ends_the_matching_of_a_disk() {
    let world = machine();
    world.ok("import -q ./root kept");
    let before = world.everything_said();
    world.sh("truncate -s 400G machine.raw");
    let mut command = world.command();
    command.args(["import", "-v", "--no-progress", "machine.raw", "vm"]);
    let mut child = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
    let mut lines = std::io::BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line == "matching the disk"));
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert!(child.try_wait().unwrap().is_none(), "400 GB in no time");
    world.sh(&format!("kill -INT {}", child.id()));
    let stopped = std::time::Instant::now();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(stopped.elapsed().as_secs() < 2, "{:?}", stopped.elapsed());
    assert_eq!(world.leftovers(), Vec::<String>::new());
    assert_eq!(world.everything_said(), before);
}

#[test]
fn the_same_disk_again_is_no_new_version_and_another_one_is() {
    let world = machine();
    world.ok("import -q machine.raw vm");
    let said = world.run("import machine.raw vm");
    assert!(said.stderr.contains("vm:latest is up to date"), "{}", said.stderr);
    world.sh("debugfs -w -R 'rm /etc/machine-id' machine.raw?offset=5242880");
    world.ok("import -q machine.raw vm");
    assert_eq!(world.ok("diff --name-status vm~1 vm"), "D\t/etc/machine-id\n");
    world.ok("export -q vm~1 raw:old.raw");
    world.ok("export -q vm raw:new.raw");
    assert!(world.read("new.raw") == world.read("machine.raw"));
    assert!(world.read("old.raw") != world.read("machine.raw"));
}

#[test]
fn the_same_disk_asked_for_more_is_read_again() {
    let world = machine();
    world.sh("qemu-img convert -f raw -O qcow2 machine.raw machine.qcow2");
    world.ok("import -q machine.raw vm");
    world.ok("import -q machine.qcow2 vm");
    world.ok("import -q --exact-file machine.qcow2 vm");
    assert_eq!(world.ok("log --oneline vm").lines().count(), 3);
    let said = world.run("import --exact-file machine.qcow2 vm");
    assert!(said.stderr.contains("up to date"), "{said}");
    world.ok("gc");
    world.ok("export -q vm disk:again.qcow2");
    assert!(world.read("again.qcow2") == world.read("machine.qcow2"));
    world.ok("export -q vm~2 raw:first.raw");
    assert!(world.read("first.raw") == world.read("machine.raw"));
}

#[test]
fn what_every_installation_has_of_its_own_can_be_left_out() {
    let world = machine();
    world.ok("import -q machine.raw vm");
    world.sh("for line in 'rm /etc/machine-id' 'rm /var/log/syslog' 'rm /etc/passwd'; do \
         debugfs -w -R \"$line\" machine.raw?offset=5242880; done");
    world.ok("import -q machine.raw vm");
    assert_eq!(world.ok("diff --name-status vm~1 vm").lines().count(), 3);
    let diff = world.run("diff --ignore-machine vm~1 vm");
    assert_eq!(diff.stdout.lines().next(), Some("D  /etc/passwd"), "{diff}");
    assert!(diff.stderr.contains("2 more are what every installation has"), "{diff}");
    assert_eq!(world.run("diff --ignore-machine --exit-code vm~1 vm /var").code, 0);
}

#[test]
fn what_a_machine_and_a_container_share_is_kept_once() {
    let world = machine();
    world.ok("import -q machine.raw vm");
    world.sh("tar -C root -cf root.tar .");
    let said = world.run("import root.tar box");
    assert!(said.stderr.contains("0 new contents"), "{}", said.stderr);
    let found = world.ok("whereis --file root/usr/bin/numbers");
    assert!(found.contains("vm:latest") && found.contains("box:latest"), "{found}");
    let status = world.ok("diff --name-status box vm");
    assert_eq!(status, "A\t/boot/efi/EFI\nA\t/boot/efi/EFI/boot.efi\nA\t/lost+found\n");
    let catalog = world.ok("catalog");
    assert!(catalog.contains("disk") && catalog.contains("tar"), "{catalog}");
}

/// A side may be a disk as it lies on the host: what it says is what the import of it says.
#[test]
fn a_disk_of_the_host_is_a_side_of_a_diff() {
    let world = machine();
    world.ok("import -q machine.raw vm");
    world.sh("tar -C root -cf root.tar . && cp machine.raw new.raw");
    world.ok("import -q root.tar box");
    world.sh("echo other > hostname && for line in 'rm /etc/machine-id' 'rm /etc/hostname' 'write hostname /etc/hostname' \
         'rm /usr/bin/link'; do debugfs -w -R \"$line\" new.raw?offset=5242880; done");
    world.sh("qemu-img convert -f raw -O qcow2 new.raw new.qcow2");
    let before = world.everything_said();
    let same = world.run("diff --exit-code --times vm ./machine.raw");
    assert_eq!((same.code, &same.stdout[..]), (0, ""), "{same}");
    let changes = "M\t/etc/hostname\nD\t/etc/machine-id\nD\t/usr/bin/link\n";
    let path = world.path("new.qcow2").display().to_string();
    for sides in [
        "vm ./new.raw",
        "vm..new.qcow2",
        "machine.raw new.raw",
        "raw:machine.raw qcow2:new.qcow2",
        "disk:./machine.raw ./new.qcow2",
        &format!("vm {path}"),
        &format!("./machine.raw disk:{path}"),
        "--reader native vm new.raw",
    ] {
        assert_eq!(world.ok(&format!("diff --name-status {sides}")), changes, "{sides}");
    }
    assert_eq!(world.ok("diff --name-status --ignore-machine vm new.raw /usr"), "D\t/usr/bin/link\n");
    // The tree that the tar was made of, and what only the machine has.
    let status = world.ok("diff --name-status box new.raw");
    assert_eq!(
        status,
        format!(
            "A\t/boot/efi/EFI\nA\t/boot/efi/EFI/boot.efi\n{}",
            changes.replace("D\t/usr", "A\t/lost+found\nD\t/usr")
        )
    );
    assert_eq!(
        world.ok("diff --name-status new.raw ./root /boot"),
        "D\t/boot/efi/EFI\nD\t/boot/efi/EFI/boot.efi\n"
    );
    assert_eq!(world.ok("diff --name-status --filesystem /dev/sda1 vm new.raw"), "");
    let said = world.fails(2, "diff --filesystem /dev/sda9 new.raw vm");
    assert!(said.contains("/dev/sda9 in new.raw") && said.contains("/dev/sda1, /dev/sda2"), "{said}");
    let patch = world.ok("diff -p vm new.raw /etc");
    assert!(
        patch.contains("--- a/etc/hostname\n+++ b/etc/hostname\n@@ -1 +1 @@\n-machine1\n+other\n"),
        "{patch}"
    );
    assert!(patch.contains("--- a/etc/machine-id\n+++ /dev/null\n"), "{patch}");
    let json = world.ok("diff --format json vm new.raw /etc/machine-id");
    assert!(json.contains(r#""path":"/etc/machine-id""#), "{json}");
    assert_eq!(world.everything_said(), before);
    // What has such a name in the store comes before what has it on the host.
    world.ok("import -q ./root/etc new.raw");
    assert!(world.ok("diff --no-renames --name-status vm new.raw").contains("A\t/fstab"));
    assert_eq!(world.ok("diff --name-status vm ./new.raw"), changes);
    world.ok("branch raw:first vm");
    assert_eq!(world.ok("diff --name-status raw:first ./new.raw"), changes);
    world.sh("echo nothing > text; head -c 3000 /dev/urandom > noise");
    for (line, words) in [
        ("vm ./text", "./text: is neither a folder nor a disk"),
        ("vm ./gone", "folder or disk ./gone not found"),
        ("vm text", "text"),
        ("vm raw:./gone", "gone"),
        ("vm raw:noise", "has no file system that could be read"),
        ("vm qcow2:new.raw", "new.raw"),
    ] {
        let said = world.run(&format!("diff {line}"));
        assert!(said.code > 1 && said.stderr.contains(words), "{line}: {said}");
    }
}

/// What tells of the system may lie behind links, under any name; and no store is needed.
#[test]
fn two_disks_are_compared_without_a_store() {
    let world = machine();
    world.sh(&MACHINE
        .replace("echo machine1", "mv etc/fstab etc/mine; ln -s mine etc/fstab; echo machine1")
        .replace(" root/", " root2/")
        .replace("cd root\n", "cd root2\n")
        .replace("-d root -E", "-d root2 -E")
        .replace("machine.raw", "links.raw"));
    let status = world.ok("diff --name-status machine.raw links.raw");
    assert_eq!(status, "T\t/etc/fstab\nA\t/etc/mine\n", "the ESP stands in both trees");
    assert!(
        world.ok("diff --name-status links.raw ./root2").contains("D\t/boot/efi/EFI"),
        "it was put in along the fstab"
    );
    assert!(!world.path("store").exists());
}

#[test]
fn collection_keeps_what_a_disk_is_made_of() {
    let world = machine();
    world.ok("import -q machine.raw vm");
    world.ok("import -q ./root gone");
    world.ok("branch --delete gone:latest");
    world.ok("gc");
    world.ok("export -q vm raw:out.raw");
    assert!(world.read("out.raw") == world.read("machine.raw"));
    world.sh("rm -f \"$IMGIT_STORE/meta.redb\"");
    world.ok("export -q vm raw:again.raw");
    assert!(world.read("again.raw") == world.read("machine.raw"));
    world.assert_sound();
}

#[test]
fn a_disk_that_nobody_can_read_is_kept_as_bytes() {
    let world = machine();
    // A superblock's magic number is gone; then nothing but noise after a partition table.
    world.sh("cp machine.raw broken.raw && printf '\\0\\0' | dd of=broken.raw bs=1 seek=5243960 conv=notrunc status=none");
    world.ok("import -q --reader native broken.raw broken");
    world.sh("cp machine.raw noise.raw && head -c 20M /dev/urandom | dd of=noise.raw bs=1M seek=1 conv=notrunc status=none");
    world.ok("import -q --reader native noise.raw noise");
    for name in ["broken", "noise"] {
        world.ok(&format!("export -q {name} raw:out.raw --force"));
        assert!(world.read("out.raw") == world.read(&format!("{name}.raw")), "{name}");
    }
    let said = world.fails(2, "ls noise /");
    assert!(said.contains("has no file system"), "{said}");
    world.assert_sound();
}

/// Cut in the middle of its root; the ESP before it is whole.
#[test]
fn what_is_whole_of_a_cut_disk_is_read() {
    let world = machine();
    world.sh("head -c 12M machine.raw > cut.raw");
    let said = world.run("import --reader native cut.raw cut");
    assert!(said.stderr.contains("/dev/sda2 is kept as bytes"), "{said}");
    assert_eq!(world.ok("cat cut /EFI/boot.efi"), "loader\n");
    assert!(world.ok("inspect cut").contains("Problem:     /dev/sda2 is kept as bytes"));
    world.ok("export -q cut raw:out.raw");
    assert!(world.read("out.raw") == world.read("cut.raw"));
}

#[test]
fn bad_disks_are_refused_and_leave_no_trace() {
    let world = machine();
    world.ok("import -q ./root kept");
    let before = world.everything_said();
    world.sh("qemu-img convert -f raw -O qcow2 machine.raw whole.qcow2");
    world.sh("head -c 300000 whole.qcow2 > cut.qcow2; : > empty.raw");
    world.sh("qemu-img create -q -f qcow2 -b $PWD/machine.raw -F raw backed.qcow2");
    world.sh("cp whole.qcow2 huge.qcow2; printf '\\020\\0\\0\\0\\0\\0\\0\\0' | dd of=huge.qcow2 bs=1 seek=24 conv=notrunc status=none");
    // What QEMU would open although nothing in the disk says so to us.
    world.sh("qemu-img convert -f raw -O vmdk machine.raw hint.vmdk; sed -i 's/^ddb.adapterType.*/parentFileNameHint=\"x\"/' hint.vmdk");
    world.sh("qemu-img create -q -f vmdk none.vmdk 0");
    for (line, words) in [
        ("hint.vmdk", "names a parent"),
        ("none.vmdk", "of no size"),
        ("qcow2:cut.qcow2", "cut.qcow2"),
        ("disk:empty.raw", "is empty"),
        ("backed.qcow2", "--allow-backing"),
        ("huge.qcow2", "has an L1 table of 1 entries"),
        ("vmdk:whole.qcow2", "vmdk"),
        ("disk:none.raw", "none.raw"),
        ("ova:machine.raw", "is no OVA"),
        ("raw:-", "in no order"),
    ] {
        let said = world.run(&format!("import {line} bad"));
        assert!(said.code != 0, "{line}");
        assert!(said.stderr.contains(words), "{line}: {}", said.stderr);
    }
    assert_eq!(world.everything_said(), before);
    world.ok("import -q --allow-backing backed.qcow2 backed");
    world.ok("export -q backed raw:out.raw");
    assert!(world.read("out.raw") == world.read("machine.raw"));
    world.assert_sound();
}

/// What else a machine may have its files on, each a disk beside the first one's, and all of it in its
/// fstab. The volume of LVM lies over three disks, in pieces: those of the fixture, whose blocks say where they belong.
const OTHER_DISKS: &str = r#"
mkdir pieces && echo 'over three disks' > pieces/volume && seq 1 200000 > pieces/long
mke2fs -q -t ext4 -L pieces -d pieces pieces.raw 26M
for number in 1 2 3; do zstd -q -d testdata/lvm/pv$number.zst -o pv$number.raw; done
python3 - <<'END'
whole = open("pieces.raw", "rb").read()
for number in 1, 2, 3:
    with open(f"pv{number}.raw", "r+b") as disk:
        blocks = disk.read()
        for at in range(0, len(blocks), 4096):
            words = blocks[at:at + 40].split(b"\n")[0].split(b" ")
            if words[0] == b"wide-one":
                block = int(words[1]) * 4096
                disk.seek(at)
                disk.write(whole[block:block + 4096])
END
mkdir inner && seq 1 5000 > inner/numbers && ln inner/numbers inner/again
truncate -s 24M mbr.raw
sfdisk -q mbr.raw <<'END'
label: dos
start=2048, size=8192, type=83
start=10240, size=36864, type=5
start=12288, size=4096, type=82
start=18432, size=28672, type=83
END
mke2fs -q -t ext4 -L primary -E offset=1048576 mbr.raw 4M
truncate -s 2M swap && mkswap -q swap && dd if=swap of=mbr.raw bs=512 seek=12288 conv=notrunc status=none
mke2fs -q -t ext2 -L logical -d inner -E offset=9437184 mbr.raw 14M
seq 1 500000 > big
{ printf 'boot\n0 0\nd--755 0 0\nbig ---640 5 6 big\nmany d--755 0 0\n'
  for number in $(seq 1 300); do echo "$number" > "small$number"; echo "file$number ---644 0 0 small$number"; done
  printf '$\nlink l--777 0 0 big\npipe p--600 0 0\n$\n'; } > proto
truncate -s 300M xfs.raw && mkfs.xfs -q -L srv -p proto xfs.raw
zstd -q -d testdata/guest/btrfs.raw.zst -o btrfs.raw
truncate -s 8M ntfs.raw && mkntfs -q -Q -F -L win ntfs.raw > mkntfs.log 2>&1 && ntfscp -q ntfs.raw big big.txt && ntfscp -q ntfs.raw proto 'a name.txt'
mkdir secret && echo hidden > secret/file
mke2fs -q -t ext4 -U aaaaaaaa-0000-0000-0000-00000000000f -d secret secret.raw 2M
# On a busy machine qemu-img may fail to measure how fast it is.
for time in 10 50 200 800; do
    qemu-img convert --object secret,id=key,data=opensesame -f raw -O luks -o key-secret=key,iter-time=$time secret.raw luks.raw && break
done
printf opensesame > passphrase
"#;

const OTHER_MOUNTS: &str = "/dev/mapper/data_vg-wide--one /lv ext4 defaults 0 2\\nLABEL=logical /logical ext2 defaults 0 2\\n\
    LABEL=srv /srv xfs defaults 0 2\\nLABEL=data /home btrfs subvol=@home 0 0\\nLABEL=win /win ntfs defaults 0 0\\n\
    UUID=aaaaaaaa-0000-0000-0000-00000000000f /secret ext4 defaults 0 0\\n";

/// The proof of our own readers: libguestfs tells the same trees, in one boot of the appliance that also
/// reads what we have no reader for.
#[test]
fn both_readers_tell_the_same() {
    let Some(version) = imgit::disk::guestfs::version() else {
        assert!(std::env::var_os("CI").is_none(), "libguestfs is missing");
        eprintln!("Skipped: libguestfs is not installed.");
        return;
    };
    // Read once from memory that the library had freed.
    assert!(version.starts_with("1."), "{version}");
    let world = World::new();
    let mounts = format!("printf '{OTHER_MOUNTS}' >> etc/fstab; echo machine1");
    let points = "root/var/log root/lv root/logical root/srv root/home root/win root/secret &&";
    world.sh(&MACHINE.replace("echo machine1", &mounts).replace("root/var/log &&", points));
    world.sh(OTHER_DISKS);
    let disks = ["machine", "pv1", "pv2", "pv3", "mbr", "xfs", "btrfs", "ntfs", "luks"];
    let more: Vec<String> = disks[1..].iter().map(|disk| format!("-a {disk}.raw")).collect();
    let more = more.join(" ");
    let native = world.run(&format!("import --reader native machine.raw {more} vm:native"));
    assert!(
        native.code == 0 && native.stderr.contains("is kept as bytes: no reader of our own knows it"),
        "{native}"
    );
    world.ok(&format!(
        "import -q --reader guestfs --key /dev/sdi:file:passphrase machine.raw {more} vm:guestfs"
    ));
    // Device by device, to the last attribute: the ids of the trees are the same.
    let trees = |name: &str| -> BTreeMap<String, String> {
        let commit: serde_json::Value =
            serde_json::from_str(&world.ok(&format!("show {name} --format json"))).unwrap();
        let tree = |tree: &serde_json::Value| {
            let text = |field: &str| tree[field].as_str().unwrap().to_string();
            (text("platform"), text("tree"))
        };
        commit["trees"].as_array().unwrap().iter().skip(1).map(tree).collect()
    };
    let (native, guestfs) = (trees("vm:native"), trees("vm:guestfs"));
    let ours = ["/dev/data_vg/wide-one", "/dev/sda1", "/dev/sda2", "/dev/sde1", "/dev/sde6"];
    assert_eq!(native.keys().map(String::as_str).collect::<Vec<_>>(), ours);
    for device in ours {
        assert_eq!(native[device], guestfs[device], "{device}");
    }
    // What is only in the appliance's, where the machine has it.
    assert_eq!(world.ok("cat vm:guestfs /lv/volume"), "over three disks\n");
    assert_eq!(world.ok("cat vm:guestfs /secret/file"), "hidden\n");
    assert_eq!(world.ok("cat vm:guestfs /home/notes"), "at home\n");
    assert_eq!(world.ok("ls vm:guestfs /srv"), "big\nlink\nmany\npipe\n");
    assert_eq!(world.ok("ls vm:guestfs /srv/many").lines().count(), 300);
    for (file, path) in [
        ("big", "/srv/big"),
        ("small77", "/srv/many/file77"),
        ("big", "/win/big.txt"),
        ("inner/numbers", "/logical/again"),
        ("pieces/long", "/lv/long"),
    ] {
        assert!(world.ok(&format!("cat vm:guestfs {path}")).into_bytes() == world.read(file), "{path}");
    }
    let pattern = world.ok("cat vm:guestfs --filesystem btrfsvol:/dev/sdg/@ /compressed");
    assert!(pattern.len() == 100_000 && pattern.starts_with("abcabc"), "{}", pattern.len());
    assert_eq!(world.ok("ls vm:guestfs --filesystem /dev/sdh /"), "a name.txt\nbig.txt\n");
    let shown = world.ok("inspect vm:guestfs");
    for line in [
        "System:      Debian GNU/Linux 12 (bookworm)",
        "Mount:       /home btrfsvol:/dev/sdg/@home",
        "Mount:       /lv /dev/data_vg/wide-one",
        "Table:       dos ",
        "Part 5:      2.1 MB Linux swap",
        "Holds:       /dev/sde5 swap 2.1 MB",
        "Holds:       /dev/sde6 ext2 14.7 MB label logical",
        "Holds:       /dev/sdf xfs 314.6 MB label srv",
        "Holds:       /dev/sdh ntfs 8.4 MB label win",
        "Holds:       /dev/sdi crypto_LUKS",
    ] {
        assert!(shown.contains(line), "{line}\n{shown}");
    }
    assert!(!shown.contains("opensesame"), "{shown}");
    world.ok("export -q vm:guestfs disks");
    world.ok("export -q vm:guestfs raw:raws");
    for (number, disk) in disks.iter().enumerate() {
        let out = format!("raws/{}-{disk}.raw", number + 1);
        world.sh(&format!("cmp {disk}.raw {out}"));
    }
    // What the appliance makes nothing of does not take along what is whole.
    world.sh("head -c 12M machine.raw > cut.raw");
    world.ok("import -q cut.raw cut");
    assert_eq!(world.ok("cat cut /EFI/boot.efi"), "loader\n");
    assert!(world.ok("inspect cut").contains("/dev/sda2 (ext4) is kept as bytes"));
    world.assert_sound();
}
