use super::*;
use crate::attr::Time;
use crate::content::HashSink;
use crate::export::testing::Kept;
use crate::export::testing::has;
use crate::export::testing::is_root;
use crate::export::testing::keep;
use crate::export::testing::plant_plain;
use crate::export::testing::plant_privileged;
use crate::export::testing::sh;
use crate::fs::scan::ScanOptions;
use crate::fs::scan::scan;
use crate::progress::Silent;
use crate::tree::memory::MemoryNodes;
use std::path::Path;

fn tar_of(kept: &Kept) -> (Vec<u8>, TarWritten) {
    let mut bytes = Vec::new();
    let done = write_tar(&kept.tree, &kept.nodes, &kept.contents, &mut bytes, &Silent).unwrap();
    assert_eq!(done.bytes, bytes.len() as u64);
    (bytes, done)
}

/// Two folders: one planted (without what tar cannot hold), and the tar of it beside.
fn planted() -> (tempfile::TempDir, Kept) {
    let folder = crate::fs::temp_dir().unwrap();
    let from = folder.path().join("from");
    crate::fs::create_dir(&from).unwrap();
    plant_plain(&from);
    sh(&from, "rm socket; chmod 0400 zero; touch -d '2001-01-01 01:01:01.25Z' .");
    if is_root() {
        plant_privileged(&from);
        sh(&from, "touch -d '2001-01-01 01:01:01.25Z' .");
    }
    let kept = keep(&from);
    crate::fs::write_atomic(&folder.path().join("tree.tar"), &tar_of(&kept).0).unwrap();
    (folder, kept)
}

fn tree_of(folder: &Path) -> Tree {
    scan(folder, &mut HashSink::new(), &mut MemoryNodes::new(), &ScanOptions::default(), &Silent).unwrap()
}

#[test]
fn the_same_tree_makes_the_same_bytes_and_a_socket_is_listed() {
    let folder = crate::fs::temp_dir().unwrap();
    plant_plain(folder.path());
    sh(folder.path(), "chmod 0400 zero");
    let kept = keep(folder.path());
    let (first, done) = tar_of(&kept);
    assert!(first == tar_of(&keep(folder.path())).0);
    assert_eq!(done.entries, kept.tree.entries - 1);
    assert_eq!(done.skipped.len(), 1);
    assert_eq!((&done.skipped[0].what, done.skipped[0].count), (&What::Socket, 1));
}

#[test]
fn gnu_tar_reads_back_the_same_tree() {
    let (folder, kept) = planted();
    let flags = "--xattrs --xattrs-include='*' --numeric-owner -p -S";
    sh(folder.path(), &format!("mkdir out; tar -C out {flags} -xf tree.tar"));
    same_tree(folder.path(), &kept);
}

#[test]
fn bsdtar_reads_back_the_same_tree() {
    if !has("bsdtar") {
        return;
    }
    let (folder, kept) = planted();
    sh(
        folder.path(),
        "mkdir out; LC_ALL=C.UTF-8 bsdtar -C out --numeric-owner --xattrs --acls -p -xf tree.tar",
    );
    // Of libarchive, with tar files of GNU tar too: it leaves the root's time alone, and adds
    // the fraction of a time before 1970 instead of taking it away.
    sh(folder.path(), "touch -r from out; for f in old a/b; do touch -r from/$f out/$f; done");
    same_tree(folder.path(), &kept);
}

#[track_caller]
fn same_tree(folder: &Path, kept: &Kept) {
    let again = tree_of(&folder.join("out"));
    if again != kept.tree {
        let list = |of: &str| {
            let find = format!("cd {of}; find . -printf '%p %y %m %U %G %T@ %l %n\\n' | cut -c1-300 | sort");
            sh(folder, &format!("{find}; getfattr -Rhd -m - . 2>/dev/null || true"))
        };
        let (from, out) = (list("from"), list("out"));
        let diff: Vec<_> = similar::TextDiff::from_lines(&from, &out)
            .iter_all_changes()
            .filter(|change| change.tag() != similar::ChangeTag::Equal)
            .map(|change| format!("{}{change}", change.tag()))
            .collect();
        panic!("{}", diff.concat());
    }
}

#[test]
fn python_reads_the_same_listing() {
    if !has("python3") {
        return;
    }
    let (folder, kept) = planted();
    let script = r#"
import tarfile, sys
for m in tarfile.open('tree.tar'):
    kind = 'd' if m.isdir() else 'l' if m.issym() else 'h' if m.islnk() else 'p' if m.isfifo() else 'b' if m.isblk() else 'c' if m.ischr() else 'f'
    print(kind, oct(m.mode), m.uid, m.gid, m.size, ascii(m.linkname), ascii(m.name)[:200])
"#;
    crate::fs::write_atomic(&folder.path().join("list.py"), script.as_bytes()).unwrap();
    let listed = sh(folder.path(), "python3 list.py");
    assert_eq!(listed.lines().count() as u64, kept.tree.entries + 1);
    for line in [
        "f 0o4755 ",
        "'a/b/zz' 'a/x'",
        "'gr\\xf6\\xdfe'",
        "'not\\udcff\\udcfeutf8'",
        "'../../nowhere' 'a/dangling'",
    ] {
        assert!(listed.contains(line), "{line} in {listed}");
    }
    if is_root() {
        assert!(listed.contains("d 0o755 4000000000 3000000000 0 '' 'a/b'"), "{listed}");
    }
}

#[test]
fn a_record_counts_its_own_length() {
    for len in [0, 1, 80, 88, 89, 90, 91, 92, 985, 986, 987, 988, 989, 9_000, 9_990] {
        let mut records = Records::default();
        records.add("path", &vec![b'x'; len]);
        let bytes = records.finish();
        let text = String::from_utf8(bytes.clone()).unwrap();
        let claimed: usize = text.split(' ').next().unwrap().parse().unwrap();
        assert_eq!(claimed, bytes.len());
    }
}

#[test]
fn times_before_1970_are_negative_decimals() {
    for (secs, nanos, text) in [
        (0, 0, "0"),
        (-1, 0, "-1"),
        (-2, 500_000_000, "-1.5"),
        (-1, 999_999_999, "-0.000000001"),
        (1, 250_000_000, "1.25"),
        (10, 0, "10"),
        (i64::MIN, 0, "-9223372036854775808"),
    ] {
        assert_eq!(decimal(Time { secs, nanos }), text);
    }
}

#[test]
fn numbers_too_large_for_octal_go_to_records() {
    let mut nodes = MemoryNodes::new();
    let attr = Attr { uid: 1 << 40, mtime: Time { secs: 1 << 40, nanos: 0 }, ..Default::default() };
    let xattrs = vec![(b"user.a=b".as_slice().into(), b"".as_slice().into())];
    let odd = Attr { xattrs: crate::attr::Xattrs::new(xattrs), ..attr.clone() };
    let entry = |name: &[u8], kind, attr| Entry { name: name.into(), kind, attr };
    let entries =
        vec![entry(b"a", Kind::Fifo, odd), entry(b"b", Kind::CharDevice { major: 1 << 21, minor: 0 }, attr)];
    let root = crate::tree::NodeSink::put_node(&mut nodes, &crate::tree::Node { entries }).unwrap();
    let tree = Tree { root, root_attr: Attr::default(), hardlinks: Vec::new(), entries: 2, bytes: 0 };
    let contents = crate::export::testing::MemoryContents::default();
    let (bytes, done) = tar_of(&Kept { tree, nodes, contents });
    assert!(String::from_utf8_lossy(&bytes).contains("21 uid=1099511627776\n23 mtime=1099511627776\n"));
    let skipped: Vec<String> = done.skipped.iter().map(|one| format!("{}: {}", one.what, one.why)).collect();
    assert_eq!(
        skipped,
        [
            "extended attribute user.a=b: a tar file cannot hold the name",
            "device: a tar file cannot hold the number"
        ]
    );
}
