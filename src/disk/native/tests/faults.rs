//! What is broken, one field at a time: an error that names it, or nothing worse than other content.

use super::Damaged;
use super::dirty;
use super::listing;
use super::run;
use super::temp_dir;
use crate::attr::Attr;
use crate::content::ContentSink;
use crate::content::HashSink;
use crate::disk::files::FileSink;
use crate::disk::files::Found;
use crate::disk::native;
use crate::error::Error;
use crate::error::Result;
use crate::path::TreePath;
use crate::progress::Progress;
use crate::progress::Silent;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;

/// A small ext image and where its structures lie.
struct Ext {
    bytes: Vec<u8>,
    /// Of `file`, `link`, `folder`, and of the directory in that.
    file: usize,
    link: usize,
    folder: usize,
    /// The first block of the root, of `folder`, of the extents of `holes` and of attributes.
    root_block: usize,
    folder_block: usize,
    extents_block: usize,
    xattr_block: usize,
}

const BLOCK: usize = 1024;

impl Ext {
    fn new(features: &str) -> Ext {
        let folder = temp_dir();
        let source = folder.path().join("source");
        fs::create_dir_all(source.join("folder/below")).unwrap();
        fs::write(source.join("file"), vec![7; 5000]).unwrap();
        fs::write(source.join("folder/one"), b"1").unwrap();
        fs::write(source.join("folder/two"), b"2").unwrap();
        std::os::unix::fs::symlink("target", source.join("link")).unwrap();
        let holes = fs::File::create(source.join("holes")).unwrap();
        for at in 0..20 {
            std::os::unix::fs::FileExt::write_all_at(&holes, b"x", at * 5_000).unwrap();
        }
        fs::write(folder.path().join("value"), vec![b'v'; 500]).unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let image = path("image");
        let options =
            ["-q", "-F", "-t", "ext4", "-b", "1024", "-N", "64", "-d", &path("source"), "-O", features];
        run("mke2fs", &[&options[..], &[&image, "4M"]].concat());
        run("debugfs", &["-w", "-R", &format!("ea_set -f {} file user.value", path("value")), &image]);
        let ask = |question: &str| run("debugfs", &["-R", question, &image]);
        let number = |said: &str, key: &str| -> usize {
            // What a file system without the feature does not have is looked for at its start.
            let Some(rest) = said.split(key).nth(1) else { return 0 };
            let digits: String = rest.trim_start().chars().take_while(char::is_ascii_alphanumeric).collect();
            match digits.strip_prefix("0x") {
                Some(digits) => usize::from_str_radix(digits, 16).unwrap(),
                None => digits.parse().unwrap(),
            }
        };
        let inode = |name: &str| {
            let said = ask(&format!("imap {name}"));
            number(&said, "located at block") * BLOCK + number(&said, "offset")
        };
        let first_block = |name: &str| {
            let said = ask(&format!("blocks {name}"));
            said.split_whitespace().next().unwrap().parse().unwrap_or(0) * BLOCK
        };
        Ext {
            file: inode("file"),
            link: inode("link"),
            folder: inode("folder"),
            root_block: first_block("/"),
            folder_block: first_block("folder"),
            extents_block: number(&ask("stat holes"), "(ETB0):") * BLOCK,
            xattr_block: number(&ask("stat file"), "File ACL:") * BLOCK,
            bytes: fs::read(&image).unwrap(),
        }
    }

    /// Where an entry of a directory begins.
    fn entry(&self, block: usize, name: &str) -> usize {
        let bytes = &self.bytes[block..block + BLOCK];
        block + bytes.windows(name.len()).position(|part| part == name.as_bytes()).unwrap() - 8
    }
}

fn read(bytes: Vec<u8>) -> Result<listing::Lines> {
    let found = native::open(Arc::new(bytes))?.ok_or_else(|| Error::invalid("image", "is none of ours"))?;
    listing::of_device(&*found)
}

/// Writes bytes at a place and compares the error, with its causes, with what it must say.
fn check(whole: &[u8], at: usize, change: &[u8], expected: &str) {
    let mut bytes = whole.to_vec();
    bytes[at..at + change.len()].copy_from_slice(change);
    let err = match read(bytes) {
        Ok(_) => panic!("{expected}: was read"),
        Err(err) => err,
    };
    let text = format!("{err}: {}", err.root());
    assert!(text.contains(expected), "{expected}: {text}");
}

#[test]
fn each_damaged_field_of_ext_is_named() {
    let ext = Ext::new("^metadata_csum,^64bit");
    read(ext.bytes.clone()).unwrap();
    let superblock = 1024;
    let (far, none) = ([0xff, 0xff, 0xff, 0x7f], [0; 4]);
    let entry = |name: &str| ext.entry(ext.root_block, name);
    let one = ext.entry(ext.folder_block, "one");
    for (at, change, expected) in [
        (superblock + 24, &[7][..], "superblock of an ext4 file system: block size is 1024 << 7"),
        (superblock + 32, &none, "0 blocks and 0 clusters in a group"),
        (superblock + 40, &none, "0 inodes in a group"),
        (superblock + 40, &[99, 0], "says 64 inodes"),
        (superblock + 88, &[100, 0], "inode size is 100"),
        (superblock + 20, &[9], "first data block is 9"),
        (superblock + 4, &[0, 0x20], "expected 8192 blocks of 1024 bytes, found 4194304 bytes"),
        (superblock + 4, &far, "says 64 inodes and has"),
        (superblock + 96, &[0x43], "not read here: compression"),
        (superblock + 96, &[0x4a], "not read here: journal_dev"),
        (superblock + 97, &[0x12], "not read here: dirdata"),
        (superblock + 99, &[0x80], "not read here: incompat 0x80000000"),
        (2048 + 8, &far, "inode table of block group 0: block 2147483647 is not one of 4096"),
        (2048 + 8, &[0xff, 0x0f, 0, 0], "leave the file system"),
        (ext.file, &[0, 0], "cannot read /file: inode "),
        (ext.file, &[0, 0xf0], "is of the unknown kind 0o17"),
        (ext.file + 26, &[0, 0], "has no links"),
        (ext.file + 33, &[8], "is encrypted (feature encrypt)"),
        (ext.file + 34, &[0x28], "belongs to the file system itself"),
        (ext.file + 108, &[0xff; 4], "has a size of"),
        (ext.file + 128, &[0xff, 0x0f], "says it has 4095 extra bytes"),
        (ext.file + 136, &[0xff; 4], "was modified at 1073741823 nanoseconds"),
        (ext.file + 104, &far, "attributes of inode"),
        (ext.file + 40, &[0], "node has the magic number 0xf300"),
        (ext.file + 42, &[9], "node has 9 entries of 4"),
        (ext.file + 46, &[9], "node is of depth 9"),
        (ext.file + 56, &[0, 0], "extent at block 0 is empty"),
        (ext.file + 60, &far, "block 0 of inode"),
        (ext.file + 56, &[0, 0x80], "block 0 of inode"),
        (ext.link + 4, &none, "has a target of 0 bytes"),
        (ext.link + 4, &far, "has a target of 2147483647 bytes"),
        (ext.link + 40, &none, "has an empty target"),
        (ext.folder + 4, &[1], "has a size of"),
        (ext.extents_block, &none, "magic number 0x0"),
        (ext.extents_block + 2, &none, "node is empty"),
        (ext.extents_block + 6, &[1], "node is of depth 1"),
        (ext.extents_block + 12 + 12, &none, "go back to block 0"),
        (ext.xattr_block, &none, "attributes in block"),
        (ext.xattr_block + 8, &[2], "say they take 2 blocks"),
        (ext.xattr_block + 34, &[0xff, 0xff], "have a value of 500 bytes at 65535"),
        (entry("file") + 4, &[0, 0], "has a length of 0 bytes"),
        (entry("file") + 4, &[9, 0], "has a length of 9 bytes"),
        (entry("file") + 4, &[0xfc, 0xff], "has a length of 65532 bytes"),
        (entry("file") + 6, &[200], "has a name of 200 bytes"),
        (entry("file") + 8, b"a/bc", "has the name `a/bc`"),
        (entry("file") + 8, b"a\0bc", "has the name `a\\x00bc`"),
        (entry("file") + 8, b"link", "name `link`: is there twice"),
        (entry("file"), &far, "is not one of 64"),
        (entry("file"), &[8, 0, 0, 0], "belongs to the file system itself"),
        (one, &ext.bytes[entry("folder")..][..4], "is in more than one place"),
        (one, &[2, 0, 0, 0], "belongs to the file system itself"),
    ] {
        check(&ext.bytes, at, change, expected);
    }
}

#[test]
fn each_damaged_checksum_of_ext_is_named() {
    let ext = Ext::new("metadata_csum,64bit");
    read(ext.bytes.clone()).unwrap();
    for (at, expected) in [
        (1024 + 200, "superblock of an ext4 file system: expected checksum"),
        (2048 + 12, "descriptor of block group 0: expected checksum"),
        (ext.file + 12, "cannot read /file: inode"),
        (ext.folder + 12, "cannot read /folder: inode"),
        (ext.root_block + 900, "block 0 of directory inode 2: expected checksum"),
        (ext.extents_block + 17, "cannot read /holes: extents of inode"),
        (ext.xattr_block + 700, "cannot read /file: attributes in block"),
    ] {
        let change = [ext.bytes[at] ^ 0x10];
        check(&ext.bytes, at, &change, expected);
    }
}

#[test]
fn a_cut_image_is_refused_and_what_is_no_file_system_is_none() {
    let ext = Ext::new("metadata_csum");
    let cut = ext.bytes[..ext.bytes.len() / 2].to_vec();
    let err = read(cut).unwrap_err().to_string();
    assert!(err.starts_with("device of an ext4 file system: expected 4096 blocks"), "{err}");
    let noise: Vec<u8> =
        (0..100_000u64).map(|at| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33) as u8).collect();
    for bytes in [Vec::new(), vec![0; 511], vec![0; 100_000], noise.clone()] {
        assert!(native::open(Arc::new(bytes)).unwrap().is_none());
    }
    let mut bytes = noise;
    bytes[1024 + 56..1024 + 58].copy_from_slice(&[0x53, 0xef]);
    assert!(native::open(Arc::new(bytes)).is_err());
}

/// Every byte of the places where metadata lies, in turn.
#[test]
fn any_damaged_byte_of_metadata_is_survived() {
    for features in ["^metadata_csum,^has_journal", "^extent,^64bit,^metadata_csum,^has_journal,inline_data"]
    {
        let ext = Ext::new(features);
        let whole = Arc::new(ext.bytes.clone());
        let places = [1024, 2048, ext.file, ext.link, ext.folder, ext.root_block, ext.folder_block];
        for start in places.into_iter().chain([ext.extents_block, ext.xattr_block]) {
            for at in start..start + 160 {
                let mask = [0x01, 0x80, 0xff][at % 3];
                let damaged = Damaged { whole: Arc::clone(&whole), at: at as u64, mask };
                if let Ok(Some(found)) = native::open(Arc::new(damaged)) {
                    let _ = found.read(&mut Taste, &Silent);
                }
            }
        }
    }
}

/// Reads the beginning of each file only: a size may be anything.
struct Taste;

impl FileSink for Taste {
    fn put(&mut self, _: TreePath, _: Attr, found: Found<'_>) -> Result<()> {
        if let Found::File(file) = found {
            let mut buffer = [0; 4096];
            let read = file.from.read(&mut buffer).map_err(|err| crate::error::from_stream("file", err))?;
            assert!(read as u64 <= file.size);
        }
        Ok(())
    }
}

/// Reads files whole.
struct Whole;

impl FileSink for Whole {
    fn put(&mut self, _: TreePath, _: Attr, found: Found<'_>) -> Result<()> {
        if let Found::File(file) = found {
            HashSink::new().put(file.size, file.from)?;
        }
        Ok(())
    }
}

/// Asks to stop after a while.
struct Impatient(AtomicU32);

impl Progress for Impatient {
    fn cancelled(&self) -> bool {
        self.0.fetch_add(1, Ordering::Relaxed) > 300
    }
}

#[test]
fn a_file_of_an_enormous_hole_can_be_interrupted() {
    let mut ext = Ext::new("^metadata_csum");
    // 2^60 bytes.
    ext.bytes[ext.file + 108 + 3] = 0x10;
    let found = native::open(Arc::new(ext.bytes)).unwrap().unwrap();
    let err = found.read(&mut Whole, &Impatient(AtomicU32::new(0))).unwrap_err();
    assert!(matches!(err.root(), Error::Interrupted), "{err}");
}

/// FAT16 with a folder, a file of several clusters and one of one.
fn fat() -> Vec<u8> {
    let folder = temp_dir();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let image = path("image");
    run("mkfs.vfat", &["-C", "-F", "16", "-s", "1", "-r", "16", "-f", "1", "-R", "1", &image, "4000"]);
    fs::write(path("long file name"), vec![1; 3_000]).unwrap();
    fs::write(path("SHORT"), b"s").unwrap();
    run("env", &["LC_ALL=C.UTF-8", "mmd", "-i", &image, "::FOLDER"]);
    run(
        "env",
        &["LC_ALL=C.UTF-8", "mcopy", "-i", &image, &path("long file name"), &path("SHORT"), "::FOLDER"],
    );
    fs::read(&image).unwrap()
}

#[test]
fn each_damaged_field_of_fat_is_named() {
    let whole = fat();
    assert!(read(whole.clone()).unwrap().contains_key("FOLDER/long file name"));
    let table = 512;
    let half = |at: usize| usize::from(u16::from_le_bytes([whole[at], whole[at + 1]]));
    let root = table + half(22) * 512;
    let data = root + half(17) * 32;
    let find = |name: &[u8]| data + whole[data..].windows(11).position(|part| part == name).unwrap();
    let short = find(b"SHORT      ");
    let long = find(b"LONGFI~1   ");
    let cluster = |entry: usize| table + 2 * half(entry + 26);
    for (at, change, expected) in [
        (11, &[100, 0][..], "boot sector of a vfat file system: a sector has 100 bytes"),
        (13, &[3], "a cluster has 3 sectors"),
        (14, &[0, 0], "has 0 reserved sectors and 1 tables"),
        (16, &[0], "has 1 reserved sectors and 0 tables"),
        (22, &[0, 0], "vfat file system"),
        (17, &[0, 0], "has a root directory of no entries"),
        (19, &[0xff, 0xff], "expected 65535 sectors of 512 bytes"),
        (19, &[9, 0], "9 sectors end before its data"),
        (cluster(long), &[half(long + 26) as u8, 0], "is in use twice"),
        (cluster(long), &[0, 0], "leads to a free one"),
        (cluster(long), &[0xff, 0xff], "expected 6 clusters for 3000 bytes, found 1 clusters"),
        (cluster(long), &[0xf0, 0xff], "is not one of"),
        (short + 26, &[0, 0], "file /FOLDER/SHORT: cluster 0 is not one of"),
        (short + 26, &[half(long + 26) as u8, 0], "is in use twice"),
        (short, b"A/B        ", "name `A/B` in /FOLDER: can be no name"),
        (root + 26, &[0xff, 0xff], "directory /FOLDER: cluster 65535 is not one of"),
    ] {
        check(&whole, at, change, expected);
    }
    // A directory that is in itself.
    let mut bytes = whole.clone();
    bytes[short + 11] = 0x10;
    bytes[short + 26..short + 28].copy_from_slice(&whole[root + 26..root + 28]);
    let err = read(bytes).unwrap_err();
    assert!(err.root().to_string().contains("is in use twice"), "{err}");
}

#[test]
fn any_damaged_byte_of_fat_is_survived() {
    let whole = Arc::new(fat());
    let end = 512 + 4 * 512 + 16 * 32 + 4_096;
    for at in (0..520).chain((520..end).step_by(3)) {
        for mask in [0x01, 0xf0] {
            let damaged = Damaged { whole: Arc::clone(&whole), at: at as u64, mask };
            if let Ok(Some(found)) = native::open(Arc::new(damaged)) {
                let _ = found.read(&mut Taste, &Silent);
            }
        }
    }
}

#[test]
fn a_link_count_that_lies_is_harmless() {
    let folder = temp_dir();
    let whole = fs::read(dirty::unpack("ext3", folder.path())).unwrap();
    let found = native::open(Arc::new(whole)).unwrap().unwrap();
    let lines = listing::of_device(&*found).unwrap();
    assert_eq!(lines["data"].names, ["data", "kept/data"]);
    for links in [1, 3, 200] {
        let mut ext = Ext::new("^metadata_csum");
        ext.bytes[ext.file + 26] = links;
        // The folder's `one` becomes a second name of it.
        let (one, file) = (ext.entry(ext.folder_block, "one"), ext.entry(ext.root_block, "file"));
        ext.bytes.copy_within(file..file + 4, one);
        let lines = read(ext.bytes).unwrap();
        assert_eq!(lines["file"].what, lines["folder/one"].what);
        assert_eq!(lines["file"].names.len(), if links == 1 { 0 } else { 2 });
    }
}
