//! ext2, ext3 and ext4, made by mke2fs, debugfs and e2fsck.

use super::listing;
use super::listing::Line;
use super::listing::Lines;
use super::native_lines;
use super::open;
use super::run;
use super::temp_dir;
use crate::attr::Time;
use crate::id::ContentId;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::symlink;
use std::path::Path;

const MTIME: Time = Time { secs: 1_600_000_000, nanos: 0 };
/// 1 January 1965 and 2045; the second with nanoseconds, where the inode has room.
const SECS_1965: i64 = -157_766_400;
const SECS_2045: i64 = 2_366_841_600;
const NANOS_2045: u32 = 123_456_789;

/// An ACL as `getxattr` gives it: the owner rw-, user 1000 r--, group r-x, mask rwx, others ---.
const ACL: &[u8] =
    b"\x02\0\0\0\x01\0\x06\0\xff\xff\xff\xff\x02\0\x04\0\xe8\x03\0\0\x04\0\x05\0\xff\xff\xff\xff\
\x10\0\x07\0\xff\xff\xff\xff\x20\0\0\0\xff\xff\xff\xff";
/// `cap_net_raw+ep`.
const CAPABILITY: &[u8] = b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

/// A folder, and what a file system made of it and of some changes by debugfs must read as.
pub struct World {
    pub folder: tempfile::TempDir,
    pub expected: Lines,
}

impl World {
    pub fn new() -> World {
        let folder = temp_dir();
        let source = folder.path().join("source");
        plant(&source);
        let expected = listing::of_folder(&source);
        World { folder, expected }
    }

    pub fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Makes an image of the folder; a file system that was changed by `script` is then indexed.
    pub fn make(&self, options: &[&str], mib: u32) -> String {
        let (image, size) = (self.path("image"), format!("{mib}M"));
        let _ = fs::remove_file(&image);
        run("mke2fs", &[&["-q", "-F", "-d", &self.path("source")], options, &[&image, &size]].concat());
        image
    }

    /// Turns the folder's lines into those of the image, and makes the image so.
    fn change(&self, image: &str, inode_bytes: u32) -> Lines {
        let (has_nanos, mut lines) = (inode_bytes > 128, self.expected.clone());
        fs::write(self.path("acl"), ACL).unwrap();
        fs::write(self.path("capability"), CAPABILITY).unwrap();
        fs::write(self.path("value"), vec![b'B'; 600]).unwrap();
        let value = |name: &str| self.path(name);
        // mke2fs forgets a hole at a file's end where inodes may have data.
        let extra = NANOS_2045 << 2 | 1;
        let script = format!(
            "mknod null c 1 3\nmknod disk b 8 300\nmknod wide c 300 60000\nsif null mtime @{secs}\n\
             sif disk mtime @{secs}\nsif wide mtime @{secs}\n\
             sif new mtime @{SECS_2045}\nsif old mtime @{SECS_1965}\n\
             sif new mtime_extra {extra}\nsif old mtime_extra 0\n\
             sif old mode 0106755\nsif old uid 100000\nsif old gid 4000000000\n\
             sif / mode 040751\nsif / uid 7\nsif / gid 70000\nsif / mtime @{secs}\n\
             ea_set tiny user.one 1\nea_set tiny trusted.two \\000\\001\n\
             ea_set -f {capability} tiny security.capability\nea_set -f {acl} tiny system.posix_acl_access\n\
             ea_set -f {acl} a system.posix_acl_default\nea_set -f {value} a/b user.big\n\
             ea_set fast user.link l\n\
             sif null mode 020644\nsif disk mode 060644\nsif wide mode 020644\n\
             sif sparse size 5000000\n",
            secs = MTIME.secs,
            capability = value("capability"),
            acl = value("acl"),
            value = value("value"),
        );
        fs::write(self.path("script"), script).unwrap();
        let said = run("debugfs", &["-w", "-f", &self.path("script"), image]);
        assert!(!said.contains("ea_set:"), "{said}");

        let device = |what: &str| {
            let attr = crate::attr::Attr { mode: 0o644, mtime: MTIME, ..Default::default() };
            Line { what: what.into(), owner: owner_of_new(image), ..Line::new(String::new(), &attr) }
        };
        for (name, what) in [("null", "char 1:3"), ("disk", "block 8:300"), ("wide", "char 300:60000")] {
            lines.insert(name.into(), device(what));
        }
        let mut change = |name: &str, change: &dyn Fn(&mut Line)| change(lines.get_mut(name).unwrap());
        change("new", &|line| {
            let secs = if has_nanos { SECS_2045 } else { i64::from(SECS_2045 as i32) };
            line.mtime = Time { secs, nanos: if has_nanos { NANOS_2045 } else { 0 } };
        });
        change("old", &|line| {
            line.mtime = Time { secs: SECS_1965, nanos: 0 };
            (line.mode, line.owner) = (0o6755, (100_000, 4_000_000_000));
        });
        change(".", &|line| (line.mode, line.owner, line.mtime) = (0o751, (7, 70_000), MTIME));
        let hex = |name: &str, value: &[u8]| {
            format!("{name}={}", value.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
        };
        let many = [
            hex("security.capability", CAPABILITY),
            hex("system.posix_acl_access", ACL),
            hex("trusted.two", &[0, 1]),
            hex("user.one", b"1"),
        ];
        // What mke2fs calls revision 0 has no attributes; debugfs passes over them.
        if !run("dumpe2fs", &["-h", image]).contains("ext_attr") {
            return lines;
        }
        change("tiny", &|line| line.xattrs = many.to_vec());
        change("a/tiny2", &|line| line.xattrs = many.to_vec());
        change("a", &|line| line.xattrs = vec![hex("system.posix_acl_default", ACL)]);
        change("a/b", &|line| line.xattrs = vec![hex("user.big", &[b'B'; 600])]);
        change("fast", &|line| line.xattrs = vec![hex("user.link", b"l")]);
        lines
    }
}

/// Whom debugfs takes for the owner of what it makes.
fn owner_of_new(image: &str) -> (u64, u64) {
    let said = run("debugfs", &["-R", "stat null", image]);
    let number = |key: &str| {
        let rest = said.split(key).nth(1).unwrap_or_else(|| panic!("{key} in {said}"));
        rest.split_whitespace().next().unwrap().parse().unwrap()
    };
    (number("User:"), number("Group:"))
}

fn plant(source: &Path) {
    fs::create_dir_all(source.join("a/b/c/deep")).unwrap();
    fs::create_dir_all(source.join("many")).unwrap();
    let put = |name: &str, bytes: &[u8]| fs::write(source.join(name), bytes).unwrap();
    let noise = |len: usize| (0..len).map(|at| (at * at % 251) as u8).collect::<Vec<_>>();
    for len in [0, 1, 59, 60, 61, 100, 150, 250, 4_096, 123_457, 1_100_000] {
        put(&format!("{len} bytes"), &noise(len));
    }
    for name in ["tiny", "new", "old", "a/b/c/deep/file"] {
        put(name, b"x");
    }
    fs::hard_link(source.join("tiny"), source.join("a/tiny2")).unwrap();
    fs::hard_link(source.join("123457 bytes"), source.join("a/b/again")).unwrap();
    fs::hard_link(source.join("123457 bytes"), source.join("again")).unwrap();
    for (name, len) in [("fast", 5), ("fast59", 59), ("slow60", 60), ("slow900", 900)] {
        symlink("t".repeat(len), source.join(name)).unwrap();
    }
    symlink("../é", source.join("a/é")).unwrap();
    put(&"n".repeat(255), b"");
    fs::write(source.join(OsStr::from_bytes(b"not\xff\xfeutf8\n")), b"n").unwrap();
    for at in 0..300 {
        put(&format!("many/a name that is somewhat longer, {at}"), at.to_string().as_bytes());
    }
    // Data, a hole, data in every other block, a hole up to the end.
    let sparse = fs::File::create(source.join("sparse")).unwrap();
    sparse.write_all_at(&[b'A'; 5_000], 70_000).unwrap();
    for at in 0..400 {
        sparse.write_all_at(&[b'a' + (at % 26) as u8; 65], 1_000_000 + at * 8_192).unwrap();
    }
    sparse.set_len(5_000_000).unwrap();
    run("mkfifo", &[&source.join("fifo").display().to_string()]);
    std::os::unix::net::UnixListener::bind(source.join("socket")).unwrap();
    let all = source.display().to_string();
    run("find", &[&all, "-exec", "touch", "-h", "-d", &format!("@{}", MTIME.secs), "{}", "+"]);
}

/// Reads an image, less the directory that every file system of this family has.
fn lines_of(image: &str) -> Lines {
    let mut lines = native_lines(Path::new(image));
    let lost = lines.remove("lost+found").expect("mke2fs makes it");
    assert_eq!((&lost.what[..], lost.mode), ("dir", 0o700));
    lines
}

/// Makes a file system with these options, as mke2fs leaves it and with indexed directories.
fn check(world: &World, options: &[&str], inode_bytes: u32, kind: &str) {
    let image = world.make(&[&["-t", kind], options].concat(), 32);
    let expected = world.change(&image, inode_bytes);
    listing::assert_same(&lines_of(&image), &expected, &format!("{options:?}"));
    assert_eq!(open(Path::new(&image)).unwrap().unwrap().kind(), kind, "{options:?}");
    // -D packs directories and gives the large ones an index; 1 means that something was changed.
    let done = std::process::Command::new("e2fsck").args(["-f", "-y", "-D", &image]).output().unwrap();
    assert!(matches!(done.status.code(), Some(0 | 1)), "{}", String::from_utf8_lossy(&done.stdout));
    listing::assert_same(&lines_of(&image), &expected, &format!("{options:?}, indexed"));
}

#[test]
fn ext2_and_ext3_read_as_they_were_made() {
    let world = World::new();
    for (options, inode_bytes, kind) in [
        (&["-r", "0", "-b", "1024"][..], 128, "ext2"),
        (&["-O", "^filetype", "-I", "128"], 128, "ext2"),
        (&["-b", "2048", "-O", "^sparse_super,^resize_inode"], 256, "ext2"),
        (&[], 256, "ext3"),
        (&["-b", "1024", "-O", "meta_bg,^resize_inode"], 256, "ext3"),
    ] {
        check(&world, options, inode_bytes, kind);
    }
}

#[test]
fn ext4_reads_as_it_was_made_with_any_size_and_layout() {
    let world = World::new();
    for options in [
        &["-O", "metadata_csum,64bit"][..],
        &["-b", "1024", "-O", "metadata_csum"],
        &["-b", "2048", "-I", "512", "-O", "metadata_csum,^64bit"],
        &["-b", "65536", "-O", "metadata_csum"],
        &["-b", "1024", "-O", "metadata_csum,meta_bg,^resize_inode,^flex_bg"],
        &["-b", "1024", "-O", "bigalloc,metadata_csum", "-C", "16384"],
        &["-O", "^metadata_csum,uninit_bg"],
        &["-O", "^metadata_csum,uninit_bg,64bit", "-b", "1024"],
        &["-O", "^extent,^64bit,^flex_bg,metadata_csum"],
    ] {
        check(&world, options, 256, "ext4");
    }
    check(&world, &["-I", "128", "-O", "metadata_csum"], 128, "ext4");
}

#[test]
fn ext4_reads_as_it_was_made_with_any_feature() {
    let world = World::new();
    for options in [
        &["-O", "inline_data,metadata_csum"][..],
        &["-O", "inline_data,^metadata_csum", "-I", "512", "-b", "1024"],
        &["-O", "ea_inode,metadata_csum"],
        &["-O", "metadata_csum,metadata_csum_seed,large_dir,quota,project"],
        &["-O", "sparse_super2,^resize_inode,casefold,verity,stable_inodes,^has_journal"],
        // The feature alone hides nothing.
        &["-O", "encrypt,fast_commit"],
    ] {
        check(&world, options, 256, "ext4");
    }
}

/// A guard against two writers: its block is no part of any file. (The tools wait for it.)
#[test]
fn a_file_system_with_a_mount_guard_reads_like_another() {
    let world = World::new();
    let image = world.make(&["-t", "ext4", "-O", "mmp"], 32);
    let (mut found, mut expected) = (lines_of(&image), world.expected.clone());
    for lines in [&mut found, &mut expected] {
        lines.remove(".");
    }
    listing::assert_same(&found, &expected, "mmp");
}

/// Compares with the kernel, by a loop mount: `IMAGE=x.img cargo test -- --ignored as_the_kernel`.
#[test]
#[ignore = "mounts $IMAGE: root, and a kernel with loop devices"]
fn an_image_reads_as_the_kernel_shows_it() {
    let image = std::env::var("IMAGE").unwrap();
    let folder = temp_dir();
    let at = folder.path().display().to_string();
    let lines = native_lines(Path::new(&image));
    // A copy: the kernel replays the journal of one that was not unmounted.
    let copy = format!("{at}.img");
    run("cp", &["--sparse=always", &image, &copy]);
    run("mount", &["-o", "loop,noatime", &copy, &at]);
    let expected = std::panic::catch_unwind(|| listing::of_folder(folder.path()));
    run("umount", &[&at]);
    crate::fs::remove_file(Path::new(&copy)).unwrap();
    listing::assert_same(&lines, &expected.unwrap(), &image);
}

#[test]
fn an_unwritten_run_reads_as_zeros_and_is_not_told() {
    let world = World::new();
    let image = world.make(&["-t", "ext4"], 48);
    let name = "4096 bytes";
    run("debugfs", &["-w", "-R", &format!("fallocate \"{name}\" 1 20"), &image]);
    run("debugfs", &["-w", "-R", &format!("sif \"{name}\" size 50000"), &image]);
    let mut bytes = fs::read(Path::new(&world.path("source")).join(name)).unwrap();
    bytes.resize(50_000, 0);
    let found = lines_of(&image);
    assert_eq!(found[name].what, format!("file 50000 {}", ContentId::of(&bytes)));
}

#[test]
fn names_sizes_and_ids_are_as_blkid_prints_them() {
    let world = World::new();
    let uuid = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0";
    let image = world.make(&["-t", "ext4", "-L", "a label", "-U", uuid, "-b", "1024"], 48);
    let found = open(Path::new(&image)).unwrap().unwrap();
    let said = run("blkid", &["-p", &image]);
    for (key, value) in
        [("LABEL", found.label()), ("UUID", found.uuid()), ("TYPE", Some(found.kind().into()))]
    {
        assert!(said.contains(&format!(" {key}=\"{}\"", value.unwrap())), "{key} in {said}");
    }
    let facts = found.facts();
    assert_eq!((facts.block_size, facts.total_bytes), (1024, 48 << 20));
    assert!(facts.used_bytes > 3 << 20 && facts.used_bytes < 24 << 20, "{facts:?}");
}
