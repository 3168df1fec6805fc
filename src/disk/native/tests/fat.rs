//! FAT12, FAT16 and FAT32, made by mkfs.vfat and mtools.

use super::listing;
use super::listing::Line;
use super::listing::Lines;
use super::native_lines;
use super::open;
use super::run;
use super::temp_dir;
use crate::attr::Time;
use std::fs;
use std::path::Path;
use std::time::Duration;
use std::time::SystemTime;

/// An image and the folder that was copied into it.
struct World {
    folder: tempfile::TempDir,
    expected: Lines,
}

/// Even, as FAT has only every other second.
const MTIME_SECS: u64 = 1_700_000_002;

impl World {
    fn new(options: &[&str], kib: u32) -> World {
        let folder = temp_dir();
        let source = folder.path().join("source");
        plant(&source);
        let world = World { expected: expected(&source), folder };
        let image = world.image();
        let kib = kib.to_string();
        run("mkfs.vfat", &[&["-C", "-n", "A LABEL", "-i", "1234abcd"], options, &[&image, &kib]].concat());
        for (from, to) in [("README.TXT", "::"), ("sub", "::")] {
            let from = source.join(from).display().to_string();
            world.mtools("mcopy", &["-s", "-m", "-i", &image, &from, to]);
        }
        world
    }

    fn image(&self) -> String {
        self.folder.path().join("image").display().to_string()
    }

    fn mtools(&self, tool: &str, args: &[&str]) {
        let args = [&["TZ=UTC", "MTOOLS_SKIP_CHECK=1", "LC_ALL=C.UTF-8", tool], args].concat();
        run("env", &args);
    }

    fn check(&self, what: &str) {
        let mut found = native_lines(Path::new(&self.image()));
        let times = found.values_mut().filter(|line| line.what == "dir");
        // mtools gives a directory the time of its copying.
        times.for_each(|line| line.mtime = Time::default());
        listing::assert_same(&found, &self.expected, what);
    }
}

fn plant(source: &Path) {
    fs::create_dir_all(source.join("sub/Deeper Folder")).unwrap();
    let many: Vec<String> =
        (0..300).map(|at| format!("sub/Deeper Folder/a rather long name, {at}.text")).collect();
    let named = [
        "sub/empty",
        "README.TXT",
        "sub/lower.txt",
        "sub/Mixed.Txt",
        "sub/MIXED~1.TX",
        "sub/ñandú – 日本語.md",
    ];
    for (at, path) in named.into_iter().chain(many.iter().map(String::as_str)).enumerate() {
        let bytes: Vec<u8> = (0..at % 30 * 997).map(|byte| (byte * at % 251) as u8).collect();
        fs::write(source.join(path), bytes).unwrap();
        let file = fs::File::options().write(true).open(source.join(path)).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(MTIME_SECS)).unwrap();
    }
}

fn expected(source: &Path) -> Lines {
    let mut lines = listing::of_folder(source);
    for line in lines.values_mut() {
        let mtime =
            if line.what == "dir" { Time::default() } else { Time { secs: MTIME_SECS as i64, nanos: 0 } };
        *line = Line { mode: 0o755, owner: (0, 0), xattrs: Vec::new(), mtime, ..line.clone() };
    }
    lines
}

#[test]
fn each_width_reads_as_it_was_written() {
    // mtools has no letters beyond 16 bits; `name` tests those.
    let widths: [(&str, &[&str], u32); 4] = [
        ("fat12", &["-F", "12", "-s", "16"], 16_000),
        ("fat16", &["-F", "16", "-s", "4"], 30_000),
        ("fat32", &["-F", "32", "-s", "1"], 65_000),
        ("large sectors", &["-F", "16", "-S", "4096", "-s", "1", "-f", "1"], 40_000),
    ];
    for (what, options, kib) in widths {
        let world = World::new(options, kib);
        world.check(what);
        let found = open(Path::new(&world.image())).unwrap().unwrap();
        assert_eq!((found.kind(), found.uuid().as_deref()), ("vfat", Some("1234-ABCD")), "{what}");
        assert_eq!(found.label().as_deref(), Some("A LABEL"));
        let facts = found.facts();
        assert!(facts.used_bytes > 4_000_000 && facts.used_bytes < facts.total_bytes, "{what}: {facts:?}");
        assert!(facts.total_bytes <= u64::from(kib) * 1024);
        run("fsck.vfat", &["-n", &world.image()]);
    }
}

/// The number of clusters would make it FAT12; Linux goes by the fields (and mtools cannot write it).
#[test]
fn few_clusters_may_still_be_fat32() {
    let folder = temp_dir();
    let image = folder.path().join("image");
    run("mkfs.vfat", &["-C", "-F", "32", "-s", "8", &image.display().to_string(), "10000"]);
    let root = Line { mode: 0o755, ..listing::of_folder(folder.path())["."].clone() };
    let root = Line { mtime: Time::default(), owner: (0, 0), xattrs: Vec::new(), ..root };
    listing::assert_same(&native_lines(&image), &Lines::from([(".".into(), root)]), "few clusters");
    assert_eq!(open(&image).unwrap().unwrap().label(), None);
}

#[test]
fn removed_names_are_gone_and_a_read_only_file_is_one() {
    let mut world = World::new(&["-F", "16"], 20_000);
    let image = world.image();
    for at in (0..300).step_by(3) {
        let path = format!("sub/Deeper Folder/a rather long name, {at}.text");
        world.mtools("mdel", &["-i", &image, &format!("::{path}")]);
        world.expected.remove(&path).unwrap();
    }
    world.mtools("mattrib", &["+r", "+h", "+s", "-i", &image, "::README.TXT"]);
    world.mtools("mattrib", &["+r", "-i", &image, "::sub"]);
    world.expected.get_mut("README.TXT").unwrap().mode = 0o555;
    // A file in clusters that lie apart.
    let big = world.folder.path().join("big");
    let bytes: Vec<u8> = (0..900_000u32).map(|at| (at % 241) as u8).collect();
    fs::write(&big, &bytes).unwrap();
    fs::File::open(&big)
        .unwrap()
        .set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(MTIME_SECS))
        .unwrap();
    world.mtools("mcopy", &["-m", "-i", &image, &big.display().to_string(), "::"]);
    let mut line = world.expected["README.TXT"].clone();
    line.what = format!("file {} {}", bytes.len(), crate::id::ContentId::of(&bytes));
    line.mode = 0o755;
    world.expected.insert("big".into(), line);
    world.check("changed");
}
