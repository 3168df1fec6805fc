//! File systems that were copied while they were mounted: what the journal holds counts.

use super::Damaged;
use super::listing;
use super::listing::Line;
use super::listing::Lines;
use super::native_lines;
use super::temp_dir;
use crate::attr::Attr;
use crate::attr::Time;
use crate::disk::native;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

pub const NAMES: [&str; 3] = ["ext4", "ext4-data", "ext3"];

/// Unpacks one of `testdata/dirty` into a folder.
pub fn unpack(name: &str, folder: &Path) -> PathBuf {
    let packed = fs::read(fixture(&format!("{name}.img.zst"))).unwrap();
    let image = folder.join(format!("{name}.img"));
    fs::write(&image, zstd::decode_all(&packed[..]).unwrap()).unwrap();
    image
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/dirty").join(name)
}

/// What the kernel showed, as `tests/support/listing.py` wrote it.
fn listed(name: &str) -> Lines {
    let text = fs::read_to_string(fixture(&format!("{name}.listing"))).unwrap();
    let mut names: std::collections::BTreeMap<String, Vec<String>> = Default::default();
    let mut lines = Lines::new();
    for line in text.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        let [path, kind, mode, owner, mtime, size, detail, xattrs] = fields[..] else { panic!("{line}") };
        let first = detail.strip_prefix('=').unwrap_or(path).to_string();
        let (secs, nanos) = mtime.split_once('.').unwrap();
        let (uid, gid) = owner.split_once(':').unwrap();
        let what = match kind {
            "file" if detail.starts_with('=') => lines[&first].what.clone(),
            "file" => format!("file {size} {detail}"),
            "sym" => format!("symlink {detail}"),
            "dir" => "dir".into(),
            other => panic!("{other}"),
        };
        let mtime = Time { secs: secs.parse().unwrap(), nanos: nanos.parse().unwrap() };
        let mut line = Line::new(what, &Attr { mtime, ..Attr::default() });
        line.mode = u32::from_str_radix(mode, 8).unwrap();
        line.owner = (uid.parse().unwrap(), gid.parse().unwrap());
        line.xattrs = xattrs.split(',').filter(|pair| *pair != "-").map(String::from).collect();
        names.entry(first).or_default().push(path.into());
        lines.insert(path.into(), line);
    }
    for names in names.values().filter(|names| names.len() > 1) {
        names.iter().for_each(|name| lines.get_mut(name).unwrap().names = names.clone());
    }
    lines
}

#[test]
fn a_mounted_file_system_reads_as_the_kernel_shows_it_after_replaying() {
    for name in NAMES {
        let folder = temp_dir();
        let image = unpack(name, folder.path());
        listing::assert_same(&native_lines(&image), &listed(name), name);
    }
}

/// The test above would not notice a journal without any change.
#[test]
fn without_its_journal_it_reads_as_it_was_long_before() {
    let folder = temp_dir();
    let image = unpack("ext3", folder.path());
    let file = fs::File::options().read(true).write(true).open(&image).unwrap();
    let mut incompat = [0];
    file.read_exact_at(&mut incompat, 1024 + 96).unwrap();
    assert_eq!(incompat[0] & 4, 4);
    file.write_all_at(&[incompat[0] & !4], 1024 + 96).unwrap();
    assert_eq!(native_lines(&image).keys().collect::<Vec<_>>(), [".", "lost+found"]);
}

/// Where the log's blocks are: `kind` 1 is a descriptor, 2 a commit, 5 a list of revokes.
fn log_blocks(bytes: &[u8], block_size: usize, kind: u8) -> Vec<usize> {
    let is_one = |block: &[u8]| block[..8] == [0xc0, 0x3b, 0x39, 0x98, 0, 0, 0, kind];
    bytes
        .chunks(block_size)
        .enumerate()
        .filter(|(_, block)| is_one(block))
        .map(|(at, _)| at * block_size)
        .collect()
}

fn native_result(bytes: Vec<u8>) -> crate::error::Result<Lines> {
    let found = native::open(Arc::new(bytes))?.expect("it was one before");
    listing::of_device(&*found)
}

#[test]
fn a_torn_transaction_counts_as_none_and_a_damaged_one_is_an_error() {
    let folder = temp_dir();
    let whole = fs::read(unpack("ext4", folder.path())).unwrap();
    let block_size = 4096;
    let commits = log_blocks(&whole, block_size, 2);
    assert!(commits.len() >= 3, "{commits:?}");
    // Before the first commit nothing has happened.
    let mut bytes = whole.clone();
    bytes[commits[0] + 100] ^= 1;
    assert_eq!(native_result(bytes).unwrap().keys().collect::<Vec<_>>(), [".", "lost+found"]);
    // Before the last, what came with it is missing.
    let mut bytes = whole.clone();
    bytes[commits[commits.len() - 1] + 100] ^= 1;
    let shorter = native_result(bytes).unwrap();
    assert_ne!(shorter, listed("ext4"));
    assert!(shorter.contains_key("kept"));

    let check = |at: usize, expected: &str| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        let err = native_result(bytes).unwrap_err();
        let cause = err.root().to_string();
        assert_eq!(err.to_string(), "cannot replay the journal of an ext4 file system");
        assert!(cause.contains(expected), "{cause}");
    };
    let descriptor = log_blocks(&whole, block_size, 1)[0];
    check(descriptor + 2_000, "kind 1: expected checksum");
    // The last copy of some block lies before the last commit.
    check(commits[commits.len() - 1] - block_size + 50, "in transaction");
    let journal = log_blocks(&whole, block_size, 4)[0];
    check(journal + 0x18, "superblock of the journal: expected checksum");
}

#[test]
fn any_damage_to_a_journal_is_survived() {
    let folder = temp_dir();
    for name in NAMES {
        let whole = Arc::new(fs::read(unpack(name, folder.path())).unwrap());
        let block_size = if name == "ext4" { 4096 } else { 1024 };
        for kind in [1, 2, 4, 5] {
            for block in log_blocks(&whole, block_size, kind) {
                for at in (8..64).step_by(3).chain([0, 7, block_size - 4]) {
                    let damaged = Damaged { whole: Arc::clone(&whole), at: (block + at) as u64, mask: 0x81 };
                    let _ = native::open(Arc::new(damaged));
                }
            }
        }
    }
}
