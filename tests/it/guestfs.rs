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
use imgit::disk::guest::Mount;
use imgit::disk::guest::Os;
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
use std::path::Path;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::AtomicI64;
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
mke2fs -q -t ext4 -E hash_seed=aaaaaaaa-0000-0000-0000-00000000000b -U aaaaaaaa-0000-0000-0000-000000000002 -L root -d root part2 6M
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

/// What is on the disks that are no system's: an xfs from a protofile, an encrypted ext4, and a disk
/// whose first bytes claim to be a qcow2 over a file of the host.
const OTHERS: &str = r#"
truncate -s 300M xfs.raw
cat > proto <<'END'
boot
0 0
d--755 0 0
hello ---640 5 6 odd/plain
l l--777 0 0 hello
p p--600 0 0
c c--600 0 0 5 300
$
$
END
mkfs.xfs -q -p proto xfs.raw
zstd -q -d testdata/guest/btrfs.raw.zst -o btrfs.raw
mkdir secret; echo hidden > secret/file
mke2fs -q -t ext4 -d secret secret.raw 2M
# On a busy machine qemu-img may fail to measure how fast it is.
for time in 10 50 200 800; do
    qemu-img convert --object secret,id=key,data=opensesame -f raw -O luks -o key-secret=key,iter-time=$time secret.raw luks.raw && break
done
head -c 7M /dev/zero > host-file
qemu-img create -q -f qcow2 -F raw -b "$PWD/host-file" evil.raw; truncate -s 1M evil.raw
"#;

const BTRFS: &str = "11111111-2222-3333-4444-555555555555";

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
        ("evil.raw", "raw"),
    ];
    let image = |(name, format): (&str, &str)| Image {
        path: world.path(name),
        format: format.into(),
        allow_backing: false,
    };
    let before = world.sh_text("sha256sum odd.raw debian.qcow2 btrfs.raw luks.raw");
    let options = LaunchOptions {
        keys: vec![Key { selector: "/dev/sde".into(), passphrase: "opensesame".into() }],
        cache: Some(PathBuf::from(env!("CARGO_TARGET_TMPDIR"))),
    };
    let mut guest = Guestfs::launch(&disks.map(image), &options, &Silent).unwrap();
    // Without KVM qemu would keep a GiB of translated code; with a key the machine has all its memory.
    let [(_, machine)] = &machines()[..] else { panic!("one qemu") };
    let words: Vec<&str> = machine.split('\0').collect();
    assert!(words.contains(&"tcg,tb-size=64") || words.contains(&"accel=kvm:tcg"), "{words:?}");
    assert!(!words.contains(&"256"), "{words:?}");
    let filesystems = guest.filesystems(&Silent).unwrap();
    check_filesystems(&filesystems);
    check_odd(&mut guest);
    check_debian(&mut guest, &filesystems);
    check_xfs(&mut guest);
    check_btrfs(&mut guest, &filesystems);
    check_luks(&mut guest, &filesystems);
    check_refused(&mut guest);
    check_cancel(guest);
    assert_eq!(
        world.sh_text("sha256sum odd.raw debian.qcow2 btrfs.raw luks.raw"),
        before,
        "no disk was written to"
    );
    assert_eq!(machines(), [], "no qemu is left");
}

/// Ctrl-C while the appliance boots ends it within a second, and qemu with it.
#[test]
fn a_boot_can_be_stopped() {
    if !there() {
        return;
    }
    let world = World::new();
    world.sh("truncate -s 1M disk");
    let image = Image { path: world.path("disk"), format: "raw".into(), allow_backing: false };
    let person = Person::who_stops_after(Duration::from_millis(1_500));
    let options =
        LaunchOptions { cache: Some(PathBuf::from(env!("CARGO_TARGET_TMPDIR"))), ..Default::default() };
    let Err(err) = Guestfs::launch(&[image], &options, &person) else {
        panic!("it booted in no time");
    };
    assert!(matches!(err, Error::Interrupted), "{err:?}");
    assert!(person.since_the_stop() < Duration::from_secs(1), "{:?}", person.since_the_stop());
}

#[test]
fn a_disk_of_another_format_than_said_is_an_error_that_names_it() {
    if !there() {
        return;
    }
    let world = World::new();
    world.sh("head -c 100000 /dev/urandom > noise");
    let image = Image { path: world.path("noise"), format: "qcow2".into(), allow_backing: false };
    let Err(err) = Guestfs::launch(&[image], &LaunchOptions::default(), &Silent) else {
        panic!("noise is no qcow2");
    };
    let said = chain(&err);
    assert!(said.contains("/noise: qemu-img says: "), "{said}");
    assert!(said.contains("Image is not in qcow2 format"), "{said}");
    assert_eq!(err.hint(), None, "it is not the appliance that is at fault");
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
    for expected in [
        "/dev/sdb1 vfat ESP 1234-ABCD 2097152 1.1 aaaaaaaa-0000-0000-0000-0000000000a1",
        "/dev/sdb2 ext4 root aaaaaaaa-0000-0000-0000-000000000002 6291456 1.2 \
         aaaaaaaa-0000-0000-0000-0000000000a2",
        "/dev/sdb3 swap - aaaaaaaa-0000-0000-0000-000000000003 1048576 1.3 \
         aaaaaaaa-0000-0000-0000-0000000000a3",
        "/dev/sdb4 unknown - - 1048576 1.4 aaaaaaaa-0000-0000-0000-0000000000a4",
        &format!("/dev/sdd btrfs data {BTRFS} 33554432 3.0 -"),
        &format!("btrfsvol:/dev/sdd/@home btrfs data {BTRFS} 33554432 3.0 -"),
    ] {
        assert!(told.iter().any(|line| line == expected), "{expected}\nin\n{}", told.join("\n"));
    }
    let kind = |device: &str| found.iter().find(|one| one.device == device).map(|one| one.kind.as_str());
    assert_eq!(kind("/dev/sda"), Some("ext4"));
    assert_eq!(kind("/dev/sdc"), Some("xfs"));
    assert_eq!(kind("/dev/sde"), Some("crypto_LUKS"));
    // Bytes, and as many as the file has: the header in them was not believed.
    let evil = found.iter().find(|one| one.device == "/dev/sdf").unwrap();
    assert_eq!((evil.kind.as_str(), evil.size), ("unknown", 1 << 20));
}

fn check_odd(guest: &mut Guestfs) {
    let mut told = listing(guest, "/dev/sda").unwrap();
    let deep = told.iter().position(|line| line.starts_with("/00000")).unwrap();
    let deep: Vec<_> = told.drain(deep..deep + 2).map(|line| line.split(' ').next().unwrap().len()).collect();
    assert_eq!(deep, [201, 402]);
    let hash = |bytes: &[u8]| ContentId::of(bytes).short();
    let sparse = hash(&[&[0; 3 << 20], &b"end"[..]].concat());
    let (empty, hi, x, script) = (hash(b""), hash(b"hi\n"), hash(b"x"), hash(b"#!/bin/true"));
    // The kernel's own bytes: version 2, then tag, permissions and id of each entry.
    let acl = |entries: &[(u16, u16, u32)]| {
        let mut bytes = 2u32.to_le_bytes().to_vec();
        for (tag, perm, id) in entries {
            bytes.extend([tag.to_le_bytes(), perm.to_le_bytes()].concat());
            bytes.extend(id.to_le_bytes());
        }
        shown(&bytes)
    };
    let none = u32::MAX;
    let access = acl(&[(1, 7, none), (2, 7, 1234), (4, 4, none), (16, 5, none), (32, 5, none)]);
    let default = acl(&[(1, 7, none), (4, 5, none), (8, 5, 77), (16, 5, none), (32, 5, none)]);
    // Revision 2, effective, then the permitted bit 13 of five words: cap_net_raw.
    let cap = shown(&[&[1, 0, 0, 2, 0, 0x20][..], &[0; 14]].concat());
    let at = "1000000000.0";
    let expected = [
        format!("/ 755 0:0 {at} dir"),
        format!("/.wh.foo 644 0:0 {at} file 0 {empty}"),
        format!("/bad\\xffname 644 0:0 {at} file 1 {x}"),
        format!("/blk 644 0:0 {at} block 259:70000"),
        format!("/cap 644 3000000000:54321 {at} security.capability={cap} file 11 {script}"),
        format!("/chr 644 0:0 {at} char 5:300"),
        format!("/chr2 644 0:0 {at} link /chr"),
        format!("/d 755 0:0 {at} system.posix_acl_default={default} dir"),
        format!(
            "/d/hard2 4755 0:0 {at} security.selinux=system_u:object_r:etc_t:s0 \
             system.posix_acl_access={access} trusted.t=v user.empty= user.text=a\\x0ab=c file 3 {hi}"
        ),
        format!("/d/sock2 755 0:0 {at} trusted.s=s socket"),
        format!("/fifo 644 0:0 {at} fifo"),
        format!("/fifo2 644 0:0 {at} link /fifo"),
        format!("/future 644 0:0 2366939045.123456789 file 0 {empty}"),
        format!("/hard1 4755 0:0 {at} link /d/hard2"),
        format!("/longsym 777 0:0 {at} -> {:0300}", 7),
        format!("/lost+found 700 0:0 {at} dir"),
        format!("/new\\x0aline 644 0:0 {at} file 0 {empty}"),
        format!("/old 644 0:0 -152391233.250000000 file 0 {empty}"),
        format!("/plain 4755 0:0 {at} link /d/hard2"),
        format!("/sock 755 0:0 {at} trusted.s=s link /d/sock2"),
        format!("/sparse 644 0:0 {at} file 3145731 {sparse}"),
        format!("/sym 777 0:0 {at} trusted.t=v -> plain"),
        format!("/symhard 777 0:0 {at} link /sym"),
    ];
    assert_eq!(told.join("\n"), expected.join("\n"));
}

/// The recording in testdata/guest is of this very disk: it is read here again, and is the same.
fn check_debian(guest: &mut Guestfs, filesystems: &[Filesystem]) {
    let systems = guest.inspect(&Silent).unwrap();
    let [os] = &systems[..] else {
        panic!("one system: {systems:#?}");
    };
    let mount = |point: &str, device: &str| Mount { point: point.into(), device: device.into() };
    let expected = Os {
        root: "/dev/sdb2".into(),
        kind: Some("linux".into()),
        distro: Some("debian".into()),
        product: Some("Debian GNU/Linux 12 (bookworm)".into()),
        version: Some((12, 0)),
        arch: Some("x86_64".into()),
        hostname: Some("web1".into()),
        package_format: Some("deb".into()),
        kernel: Some("6.1.0-25-amd64".into()),
        mounts: vec![mount("/", "/dev/sdb2"), mount("/boot/efi", "/dev/sdb1")],
    };
    assert_eq!(*os, expected);
    let mut alone = Alone { guest, filesystems };
    let recorded = Recorded::of(&mut alone, &Silent).unwrap();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/guest/debian.json");
    if std::env::var_os("IMGIT_RECORD").is_some() {
        std::fs::write(&fixture, recorded.to_json()).unwrap();
    }
    let known = Recorded::parse(&std::fs::read(&fixture).unwrap()).unwrap();
    assert!(
        recorded == known,
        "testdata/guest/debian.json: {}",
        String::from_utf8_lossy(&recorded.to_json())
    );
}

/// The second disk as if it were the only one.
struct Alone<'a> {
    guest: &'a mut Guestfs,
    filesystems: &'a [Filesystem],
}

impl Guest for Alone<'_> {
    fn filesystems(&mut self, _: &dyn Progress) -> Result<Vec<Filesystem>> {
        let on_it = |one: &&Filesystem| one.partition.is_some_and(|at| at.disk == 1);
        Ok(self.filesystems.iter().filter(on_it).cloned().collect())
    }
    fn inspect(&mut self, progress: &dyn Progress) -> Result<Vec<Os>> {
        self.guest.inspect(progress)
    }
    fn read(&mut self, device: &str, sink: &mut dyn FileSink, progress: &dyn Progress) -> Result<()> {
        self.guest.read(device, sink, progress)
    }
    fn close(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

fn check_xfs(guest: &mut Guestfs) {
    // The time is that of mkfs: field 4 is left out.
    let told: Vec<_> = listing(guest, "/dev/sdc").unwrap();
    let words = told.iter().map(|line| line.split(' ').enumerate().filter(|(at, _)| *at != 3));
    let told: Vec<String> =
        words.map(|words| words.map(|(_, word)| word).collect::<Vec<_>>().join(" ")).collect();
    let hello = format!("/hello 640 5:6 file 3 {}", ContentId::of(b"hi\n").short());
    assert_eq!(
        told,
        ["/ 755 0:0 dir", "/c 600 0:0 char 5:300", &hello, "/l 777 0:0 -> hello", "/p 600 0:0 fifo"]
    );
}

fn check_btrfs(guest: &mut Guestfs, filesystems: &[Filesystem]) {
    let mut told = Vec::new();
    for one in filesystems.iter().filter(|one| one.kind == "btrfs") {
        let inner = one.subvolumes.iter().map(|inner| format!("{}={}", inner.path, inner.device));
        told.push(format!("{} [{}]", one.device, inner.collect::<Vec<_>>().join(", ")));
        for line in listing(guest, &one.device).unwrap() {
            let mut words: Vec<_> = line.split(' ').collect();
            // A name with a space in it has its time one word further.
            words.remove(if line.starts_with("/var/lib/m ") { 4 } else { 3 });
            told.push(words.join(" "));
        }
    }
    let file = |bytes: &[u8]| format!("file {} {}", bytes.len(), ContentId::of(bytes).short());
    let pattern: Vec<u8> = b"abc".iter().copied().cycle().take(100_000).collect();
    let (pattern, motd) = (file(&pattern), file(b"the root\n"));
    let (home, later, top) = (file(b"at home\n"), file(b"after the snapshot\n"), file(b"beside them\n"));
    let inner = file(b"in a subvolume in a subvolume");
    let expected = [
        "/dev/sdd [@=btrfsvol:/dev/sdd/@, @home=btrfsvol:/dev/sdd/@home, @home.old=btrfsvol:/dev/sdd/@home.old]",
        "/ 755 0:0 dir",
        "/@ 755 0:0 dir",
        "/@home 700 0:0 user.volume=yes dir",
        "/@home.old 700 0:0 user.volume=yes dir",
        &format!("/top 644 0:0 {top}"),
        "btrfsvol:/dev/sdd/@ [var/lib/m [1]=btrfsvol:/dev/sdd/@/var/lib/m [1]]",
        "/ 755 0:0 dir",
        &format!("/compressed 644 0:0 {pattern}"),
        "/etc 755 0:0 dir",
        &format!("/etc/motd 644 0:0 {motd}"),
        "/home 755 0:0 dir",
        "/marked 755 0:0 dir",
        "/var 755 0:0 dir",
        "/var/lib 755 0:0 dir",
        "/var/lib/m [1] 755 0:0 dir",
        "btrfsvol:/dev/sdd/@home []",
        "/ 700 0:0 user.volume=yes dir",
        &format!("/later 644 0:0 {later}"),
        &format!("/notes 644 0:0 user.color=blue {home}"),
        "btrfsvol:/dev/sdd/@/var/lib/m [1] []",
        "/ 755 0:0 dir",
        &format!("/inner 644 0:0 {inner}"),
        "btrfsvol:/dev/sdd/@home.old []",
        "/ 700 0:0 user.volume=yes dir",
        &format!("/notes 644 0:0 user.color=blue {home}"),
    ];
    assert_eq!(told.join("\n"), expected.join("\n"));
}

fn check_luks(guest: &mut Guestfs, filesystems: &[Filesystem]) {
    let opened = filesystems.iter().find(|one| one.device.starts_with("/dev/mapper/luks-")).unwrap();
    let told = listing(guest, &opened.device).unwrap();
    assert!(
        told[1].starts_with("/file 644 ") && told[1].ends_with(&ContentId::of(b"hidden\n").short()),
        "{told:?}"
    );
}

fn check_refused(guest: &mut Guestfs) {
    let said = |guest: &mut Guestfs, device: &str| chain(&listing(guest, device).unwrap_err());
    assert_eq!(said(guest, "/dev/sdz"), "file system /dev/sdz not found");
    let unknown = said(guest, "/dev/sdb4");
    assert!(unknown.starts_with("cannot read /dev/sdb4: guestfs mount_ro: "), "{unknown}");
    // A sink that fails is what is told, and the next read works.
    let err = guest.read("/dev/sda", &mut Full(10), &Silent).unwrap_err();
    assert_eq!(chain(&err), "cannot read /dev/sda: the sink: is full");
    assert_eq!(listing(guest, "/dev/sdc").unwrap().len(), 5);
}

/// Takes so many entries.
struct Full(usize);

impl FileSink for Full {
    fn put(&mut self, _: TreePath, _: Attr, found: Found<'_>) -> Result<()> {
        self.0 = self.0.checked_sub(1).ok_or_else(|| Error::invalid("the sink", "is full"))?;
        if let Found::File(file) = found {
            std::io::copy(file.from, &mut std::io::sink()).map_err(Error::io("read", "file"))?;
        }
        Ok(())
    }
}

/// Ctrl-C in the middle of a file ends the read within a second.
fn check_cancel(mut guest: Guestfs) {
    let person = Person::who_stops_at(1 << 20);
    let err = guest.read("/dev/sda", &mut Lister::default(), &person).unwrap_err();
    assert!(matches!(err.root(), Error::Interrupted), "{err:?}");
    assert!(person.since_the_stop() < Duration::from_secs(1), "{:?}", person.since_the_stop());
    check_killed(guest);
}

/// A qemu that somebody has killed must not read as a disk that is damaged, which would be kept as bytes.
fn check_killed(mut guest: Guestfs) {
    for (pid, _) in machines() {
        assert!(std::process::Command::new("kill").args(["-9", &pid]).status().unwrap().success());
    }
    let err = guest.read("/dev/sdb2", &mut Lister::default(), &Silent).unwrap_err();
    assert!(matches!(err.root(), Error::Stream { .. }), "{err:?}");
    assert!(chain(&err).contains("its qemu has ended"), "{}", chain(&err));
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

/// Presses Ctrl-C after a time or after so many bytes.
struct Person {
    start: Instant,
    time: Duration,
    bytes_left: AtomicI64,
    stopped: OnceLock<Instant>,
}

impl Person {
    fn who_stops_after(time: Duration) -> Person {
        Person { start: Instant::now(), time, bytes_left: AtomicI64::new(i64::MAX), stopped: OnceLock::new() }
    }
    fn who_stops_at(bytes: i64) -> Person {
        let mut person = Person::who_stops_after(Duration::MAX);
        person.bytes_left = AtomicI64::new(bytes);
        person
    }
    fn since_the_stop(&self) -> Duration {
        self.stopped.get().unwrap().elapsed()
    }
}

impl Progress for Person {
    fn advance(&self, bytes: u64) {
        self.bytes_left.fetch_sub(bytes as i64, Ordering::Relaxed);
    }
    fn cancelled(&self) -> bool {
        let stops = self.start.elapsed() > self.time || self.bytes_left.load(Ordering::Relaxed) < 0;
        if stops {
            self.stopped.get_or_init(Instant::now);
        }
        stops
    }
}

/// One line for each entry, root first, then sorted: path, mode, owner, time, attributes, what it is.
fn listing(guest: &mut Guestfs, device: &str) -> Result<Vec<String>> {
    let mut lister = Lister::default();
    guest.read(device, &mut lister, &Silent)?;
    Ok(lister.lines())
}

#[derive(Default)]
struct Lister {
    /// Path, attributes, what it is.
    entries: Vec<(TreePath, String, String)>,
    /// The names of one file, the one that was told first in front.
    links: Vec<Vec<TreePath>>,
    seen: Vec<TreePath>,
}

impl Lister {
    /// Which name of a file comes first is the file system's choice; here it is the least.
    fn lines(mut self) -> Vec<String> {
        for group in &self.links {
            let least = group.iter().min().unwrap();
            let at: Vec<_> =
                (0..self.entries.len()).filter(|at| group.contains(&self.entries[*at].0)).collect();
            let first = at.iter().find(|at| self.entries[**at].0 == group[0]).unwrap();
            let (attr, what) = (self.entries[*first].1.clone(), self.entries[*first].2.clone());
            let other = at.iter().find(|at| *at != first).unwrap();
            let (link_attr, link) = (self.entries[*other].1.clone(), format!("link {least}"));
            for at in &at {
                let entry = &mut self.entries[*at];
                let is_least = entry.0 == *least;
                let (attr, what) = if is_least { (&attr, &what) } else { (&link_attr, &link) };
                (entry.1, entry.2) = (attr.clone(), what.clone());
            }
        }
        let mut lines: Vec<_> =
            self.entries.iter().map(|(path, attr, what)| format!("{path} {attr} {what}")).collect();
        lines.sort();
        lines
    }
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
                match self.links.iter_mut().find(|group| group[0] == first) {
                    Some(group) => group.push(path.clone()),
                    None => self.links.push(vec![first, path.clone()]),
                }
                "link".into()
            }
            Found::Symlink(target) => format!("-> {}", shown(&target)),
            Found::CharDevice { major, minor } => format!("char {major}:{minor}"),
            Found::BlockDevice { major, minor } => format!("block {major}:{minor}"),
            Found::Fifo => "fifo".into(),
            Found::Socket => "socket".into(),
        };
        let mut line =
            format!("{:o} {}:{} {}.{}", attr.mode, attr.uid, attr.gid, attr.mtime.secs, attr.mtime.nanos);
        for (name, value) in attr.xattrs.iter() {
            line.push_str(&format!(" {}={}", shown(name), shown(value)));
        }
        self.entries.push((path.clone(), line, what));
        self.seen.push(path);
        Ok(())
    }
}

/// Pid and command of the machines that this process runs, but for those of other tests on other threads.
fn machines() -> Vec<(String, String)> {
    let mut names = Vec::new();
    let tasks = format!("/proc/{}/task", std::process::id());
    for task in std::fs::read_dir(tasks).unwrap() {
        let list = std::fs::read_to_string(task.unwrap().path().join("children")).unwrap_or_default();
        for pid in list.split_whitespace() {
            let command = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            // Six disks and the appliance's own.
            if command.contains("qemu-system") && command.contains("id=hd5") {
                names.push((pid.to_string(), command));
            }
        }
    }
    names
}
