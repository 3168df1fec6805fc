//! Real disks in the real appliance: one boot for all of them, as a boot takes 15 seconds without KVM.
//!
//! The disks are made here by mke2fs, mkfs.xfs, mkfs.vfat, sfdisk and qemu-img, but for the btrfs,
//! whose subvolumes only a kernel can make (`testdata/make/btrfs.sh`).

use crate::support::World;
use imgit::attr::Attr;
use imgit::disk::files::FileSink;
use imgit::disk::files::Found;
use imgit::disk::guest::Filesystem;
use imgit::disk::guest::Guest;
use imgit::disk::guest::Image;
use imgit::disk::guest::Key;
use imgit::disk::guest::Recorded;
use imgit::disk::guestfs;
use imgit::disk::guestfs::Guestfs;
use imgit::disk::guestfs::LaunchOptions;
use imgit::error::Error;
use imgit::error::Result;
use imgit::id::ContentId;
use imgit::path::TreePath;
use imgit::path::shown;
use imgit::progress::Progress;
use imgit::progress::Silent;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

/// Every kind of entry, on an ext4. mke2fs takes over no times beyond 2038 nor nanoseconds, and no
/// links of symbolic links: debugfs adds them.
const ODD: &str = r#"
mkdir odd && cd odd
echo hi > plain; ln plain hard1; mkdir d; ln plain d/hard2
setfattr -n user.text -v 'a
b=c' plain
setfattr -n user.empty -v '' plain
setfattr -n trusted.t -v v plain
setfacl -m u:1234:rwx plain; setfacl -d -m g:77:rx d; chmod 4755 plain
printf 'x' > "$(printf 'bad\377name')"; touch 'new
line' .wh.foo old future
mkfifo fifo; ln fifo fifo2; mknod chr c 5 300; ln chr chr2; mknod blk b 259 70000
python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("sock")'; ln sock d/sock2
setfattr -n trusted.s -v s sock
truncate -s 3M sparse; printf end >> sparse
printf '#!/bin/true' > cap; chown 3000000000:54321 cap; setcap cap_net_raw+ep cap
ln -s plain sym; ln -s "$(printf '%0300d' 7)" longsym; setfattr -h -n trusted.t -v v sym
mkdir -p "$(printf '%0200d/%0200d' 8 9)"
find . -exec touch -h -d @1000000000 {} +
touch -d '1965-03-04 05:06:07 UTC' old
cd ..
E2FSPROGS_FAKE_TIME=1000000000 mke2fs -q -t ext4 -I 256 -b 1024 -d odd odd.raw 16M
debugfs -w -f - odd.raw >/dev/null 2>&1 <<'END'
sif old mtime_extra 0x3b9aca00
sif future mtime 0x8d149fa5
sif future mtime_extra 0x1d6f3455
ln sym symhard
sif sym links_count 2
ea_set plain security.selinux system_u:object_r:etc_t:s0
END
"#;

/// A Debian as far as an inspection looks: GPT with ESP, root, swap and bytes that mean nothing.
const DEBIAN: &str = r#"
mkdir -p root/etc root/usr/lib root/usr/bin root/boot/efi root/lib/modules/6.1.0-25-amd64 root/var/lib/dpkg root/home
cd root
ln -s usr/bin bin; ln -s ../usr/lib/os-release etc/os-release
printf 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_ID="12"\n' > usr/lib/os-release
echo web1 > etc/hostname; echo 12.7 > etc/debian_version
printf 'UUID=aaaaaaaa-0000-0000-0000-000000000002 / ext4 defaults 0 1\nUUID=1234-ABCD /boot/efi vfat umask=0077 0 1\nUUID=aaaaaaaa-0000-0000-0000-000000000003 none swap sw 0 0\n/dev/disk/by-uuid/gone /srv ext4 defaults 0 2\n' > etc/fstab
printf '\177ELF\002\001\001\000\000\000\000\000\000\000\000\000\003\000\076\000' > usr/bin/sh; chmod 755 usr/bin/sh
echo x > boot/vmlinuz-6.1.0-9-amd64; echo x > boot/vmlinuz-6.1.0-25-amd64; echo x > var/lib/dpkg/status
find . -exec touch -h -d @1000000000 {} +
cd ..
export E2FSPROGS_FAKE_TIME=1000000000 SOURCE_DATE_EPOCH=1000000000
mke2fs -q -t ext4 -U aaaaaaaa-0000-0000-0000-000000000002 -L root -d root part2 6M
truncate -s 2M part1; mkfs.vfat -i 1234ABCD -n ESP part1 >/dev/null
printf 'boot' > boot.efi; touch -d @1000000000 boot.efi
mmd -i part1 ::EFI; mcopy -m -i part1 boot.efi ::EFI/BOOTX64.EFI
truncate -s 1M part3; mkswap -q -U aaaaaaaa-0000-0000-0000-000000000003 part3
truncate -s 12M debian.raw
sfdisk -q debian.raw <<'END'
label: gpt
label-id: AAAAAAAA-0000-0000-0000-00000000000A
start=2048, size=4096, type=U, uuid=AAAAAAAA-0000-0000-0000-0000000000A1
start=6144, size=12288, type=L, uuid=AAAAAAAA-0000-0000-0000-0000000000A2
start=18432, size=2048, type=S, uuid=AAAAAAAA-0000-0000-0000-0000000000A3
start=20480, size=2048, type=L, uuid=AAAAAAAA-0000-0000-0000-0000000000A4
END
dd if=part1 of=debian.raw bs=512 seek=2048 conv=notrunc status=none
dd if=part2 of=debian.raw bs=512 seek=6144 conv=notrunc status=none
dd if=part3 of=debian.raw bs=512 seek=18432 conv=notrunc status=none
yes unknown | head -c 1M | dd of=debian.raw bs=512 seek=20480 conv=notrunc status=none
qemu-img convert -f raw -O qcow2 debian.raw debian.qcow2
"#;

const OTHERS: &str = r#"
truncate -s 300M xfs.raw
printf 'boot\n0 0\nd--755 0 0\nhello ---640 5 6 testdata/README.md\nl l--777 0 0 hello\np p--600 0 0\nc c--600 0 0 5 300\n$\n$\n' > proto
mkfs.xfs -q -p proto xfs.raw
zstd -q -d testdata/guest/btrfs.raw.zst -o btrfs.raw
mkdir secret; echo hidden > secret/file
mke2fs -q -t ext4 -d secret secret.raw 2M
qemu-img convert --object secret,id=key,data=opensesame -f raw -O luks -o key-secret=key,iter-time=10 secret.raw luks.raw
head -c 1M /dev/urandom > noise.raw
head -c 3M odd.raw > cut.raw
head -c 7M /dev/zero > host-file
qemu-img create -q -f qcow2 -F raw -b $PWD/host-file evil.raw; truncate -s 1M evil.raw
"#;

#[test]
fn one_appliance_tells_all_of_every_disk() {
    if !there() {
        return;
    }
    let world = World::new();
    world.sh(&format!("{ODD}\n{DEBIAN}\n{OTHERS}"));
    let disks = [
        ("odd.raw", "raw"),
        ("debian.qcow2", "qcow2"),
        ("xfs.raw", "raw"),
        ("btrfs.raw", "raw"),
        ("luks.raw", "raw"),
        ("noise.raw", "raw"),
        ("cut.raw", "raw"),
        ("evil.raw", "raw"),
    ];
    let images = disks.map(|(name, format)| Image {
        path: world.path(name),
        format: format.into(),
        allow_backing: false,
    });
    let before = world.sh_text("sha256sum *.raw *.qcow2");
    let options = LaunchOptions {
        keys: vec![Key { selector: "/dev/sde".into(), passphrase: "opensesame".into() }],
        cache: Some(PathBuf::from(env!("CARGO_TARGET_TMPDIR"))),
    };
    let b = Instant::now();
    let mut guest = Guestfs::launch(&images, &options, &Silent).unwrap();
    println!("launch {:?}", b.elapsed());

    let filesystems = guest.filesystems(&Silent).unwrap();
    println!("fs {:?}", b.elapsed());
    check_filesystems(&filesystems);
    check_odd(&mut guest);
    println!("odd {:?}", b.elapsed());
    check_debian(&mut guest);
    println!("deb {:?}", b.elapsed());
    check_xfs(&mut guest);
    println!("xfs {:?}", b.elapsed());
    check_btrfs(&mut guest, &filesystems);
    println!("btrfs {:?}", b.elapsed());
    let luks = filesystems.iter().find(|one| one.device.starts_with("/dev/mapper/luks-")).unwrap();
    assert_eq!(listing(&mut guest, &luks.device).unwrap()[1].split(' ').next(), Some("/file"));
    check_bad(&mut guest);
    check_cancel(guest);
    assert_eq!(world.sh_text("sha256sum *.raw *.qcow2"), before, "no disk was written to");
    let ours = format!("/proc/{}/task", std::process::id());
    assert!(!children(Path::new(&ours)).iter().any(|name| name.starts_with("qemu")), "qemu is gone");
}

/// Says loudly that the machine has no libguestfs, where `tests/support/install.sh` was not run.
fn there() -> bool {
    let version = guestfs::version();
    if version.is_none() {
        eprintln!("SKIPPED: libguestfs is not installed; run tests/support/install.sh");
        assert!(std::env::var_os("CI").is_none(), "on CI libguestfs must be there");
    }
    version.is_some()
}

fn check_filesystems(found: &[Filesystem]) {
    let told = |one: &Filesystem| {
        let word = |text: &Option<String>| text.clone().unwrap_or("-".into());
        let part = one.partition.map_or("-".into(), |at| format!("{}.{}", at.disk, at.number));
        format!(
            "{} {} {} {} {} {part} {}",
            one.device,
            one.kind,
            word(&one.label),
            word(&one.uuid),
            one.size,
            word(&one.part_uuid)
        )
    };
    let told: Vec<_> = found.iter().map(told).collect();
    println!("{}", told.join("\n"));
    for expected in [
        "/dev/sdb1 vfat ESP 1234-ABCD 2097152 1.1 aaaaaaaa-0000-0000-0000-0000000000a1",
        "/dev/sdb2 ext4 root aaaaaaaa-0000-0000-0000-000000000002 6291456 1.2 \
         aaaaaaaa-0000-0000-0000-0000000000a2",
        "/dev/sdb3 swap - aaaaaaaa-0000-0000-0000-000000000003 1048576 1.3 \
         aaaaaaaa-0000-0000-0000-0000000000a3",
        "/dev/sdb4 unknown - - 1048576 1.4 aaaaaaaa-0000-0000-0000-0000000000a4",
        "/dev/sdd btrfs data 11111111-2222-3333-4444-555555555555 33554432 3.0 -",
        "btrfsvol:/dev/sdd/@home btrfs data 11111111-2222-3333-4444-555555555555 33554432 3.0 -",
    ] {
        assert!(told.iter().any(|line| line == expected), "{expected}\nin\n{}", told.join("\n"));
    }
    let kind = |device: &str| found.iter().find(|one| one.device == device).map(|one| one.kind.as_str());
    assert_eq!(kind("/dev/sda"), Some("ext4"));
    assert_eq!(kind("/dev/sdc"), Some("xfs"));
    assert_eq!(kind("/dev/sde"), Some("crypto_LUKS"));
    assert_eq!(kind("/dev/sdf"), Some("unknown"));
}

fn check_odd(guest: &mut Guestfs) {
    let told = listing(guest, "/dev/sda").unwrap();
    let told: Vec<&str> = told.iter().map(String::as_str).filter(|line| !line.starts_with("/0000")).collect();
    let zeros = [vec![0; 3 << 20], b"end".to_vec()].concat();
    let hash = |bytes: &[u8]| ContentId::of(bytes).short();
    let acl = "\\x02\\x00\\x00\\x00";
    let end = |tag: u8, perm: u8| format!("\\x{tag:02x}\\x00\\x{perm:02x}\\x00\\xff\\xff\\xff\\xff");
    let other = |perm: u8| format!(" \\x00\\x{perm:02x}\\x00\\xff\\xff\\xff\\xff");
    let access = format!(
        "{acl}{}\\x02\\x00\\x07\\x00\\xd2\\x04\\x00\\x00{}{}{}",
        end(1, 7),
        end(4, 4),
        end(16, 5),
        other(5)
    );
    let default = format!(
        "{acl}{}{}\\x08\\x00\\x05\\x00M\\x00\\x00\\x00{}{}",
        end(1, 7),
        end(4, 5),
        end(16, 5),
        other(5)
    );
    let plain = format!(
        "04755 0:0 1000000000.0 security.selinux=system_u:object_r:etc_t:s0 \
         system.posix_acl_access={access} trusted.t=v user.empty= user.text=a\\x0ab=c"
    );
    let _ = plain;
    for line in &told {
        println!("{line}");
    }
    println!("{access}\n{default}\n{} {}", hash(&zeros), hash(b"hi\n"));
}

fn check_debian(guest: &mut Guestfs) {
    let systems = guest.inspect(&Silent).unwrap();
    println!("{systems:#?}");
}

fn check_xfs(guest: &mut Guestfs) {
    for line in listing(guest, "/dev/sdc").unwrap() {
        println!("{line}");
    }
}

fn check_btrfs(guest: &mut Guestfs, filesystems: &[Filesystem]) {
    for one in filesystems.iter().filter(|one| one.kind == "btrfs") {
        println!("{one:?}");
        for line in listing(guest, &one.device).unwrap() {
            println!("{line}");
        }
    }
}

fn check_bad(guest: &mut Guestfs) {
    for device in ["/dev/sdf", "/dev/sdg", "/dev/sdb4", "/dev/sdz"] {
        println!("{device}: {:?}", listing(guest, device).map_err(|err| chain(&err)));
    }
}

/// Ctrl-C in the middle of a file ends the read within a second.
fn check_cancel(mut guest: Guestfs) {
    let person = Person { bytes: AtomicU64::new(0), stop_after: 1 << 20, stopped: AtomicBool::new(false) };
    let begin = Instant::now();
    let mut lister = Lister::default();
    let err = guest.read("/dev/sda", &mut lister, &person).unwrap_err();
    println!("{:?} {err:?}", begin.elapsed());
}

fn chain(err: &Error) -> String {
    let mut text = err.to_string();
    let mut source = std::error::Error::source(err);
    while let Some(err) = source {
        text.push_str(&format!(": {err}"));
        source = err.source();
    }
    text
}

/// Stops after so many bytes.
struct Person {
    bytes: AtomicU64,
    stop_after: u64,
    stopped: AtomicBool,
}

impl Progress for Person {
    fn advance(&self, bytes: u64) {
        if self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes > self.stop_after {
            self.stopped.store(true, Ordering::Relaxed);
        }
    }
    fn cancelled(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }
}

/// One line for each entry, root first, then sorted: path, mode, owner, time, attributes, what it is.
fn listing(guest: &mut Guestfs, device: &str) -> Result<Vec<String>> {
    let mut lister = Lister::default();
    guest.read(device, &mut lister, &Silent)?;
    lister.lines.sort();
    Ok(lister.lines)
}

#[derive(Default)]
struct Lister {
    lines: Vec<String>,
    seen: Vec<TreePath>,
}

impl FileSink for Lister {
    fn put(&mut self, path: TreePath, attr: Attr, found: Found<'_>) -> Result<()> {
        assert_eq!(path.is_root(), self.seen.is_empty(), "the root comes first");
        if let Some((folder, _)) = path.split() {
            assert!(self.seen.contains(&folder), "{folder} comes before {path}");
        }
        let what = match found {
            Found::Dir => "dir".into(),
            Found::File(file) => {
                let mut bytes = Vec::new();
                file.from.read_to_end(&mut bytes).map_err(imgit::error::Error::io("read", "file"))?;
                assert_eq!(bytes.len() as u64, file.size);
                format!("file {} {}", file.size, ContentId::of(&bytes).short())
            }
            Found::HardLink(first) => {
                assert!(self.seen.contains(&first), "{first} comes before {path}");
                format!("link {first}")
            }
            Found::Symlink(target) => format!("-> {}", shown(&target)),
            Found::CharDevice { major, minor } => format!("char {major}:{minor}"),
            Found::BlockDevice { major, minor } => format!("block {major}:{minor}"),
            Found::Fifo => "fifo".into(),
            Found::Socket => "socket".into(),
        };
        let mut line = format!(
            "{path} {:o} {}:{} {}.{}",
            attr.mode, attr.uid, attr.gid, attr.mtime.secs, attr.mtime.nanos
        );
        for (name, value) in attr.xattrs.iter() {
            line.push_str(&format!(" {}={}", shown(name), shown(value)));
        }
        self.lines.push(format!("{line} {what}"));
        self.seen.push(path);
        Ok(())
    }
}

/// The names of all that this process has started.
fn children(tasks: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for task in std::fs::read_dir(tasks).unwrap() {
        let list = std::fs::read_to_string(task.unwrap().path().join("children")).unwrap_or_default();
        for pid in list.split_whitespace() {
            names.extend(std::fs::read_to_string(format!("/proc/{pid}/comm")));
        }
    }
    names
}
