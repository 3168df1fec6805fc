use super::sparse::HOLE_BYTES;
use super::*;
use crate::attr::Time;
use crate::attr::Xattrs;
use crate::content::HashSink;
use crate::export::testing::Kept;
use crate::export::testing::MemoryContents;
use crate::export::testing::as_user;
use crate::export::testing::is_root;
use crate::export::testing::keep;
use crate::export::testing::plant_deep;
use crate::export::testing::plant_plain;
use crate::export::testing::plant_privileged;
use crate::export::testing::sh;
use crate::fs::scan::ScanOptions;
use crate::fs::scan::scan;
use crate::progress::Silent;
use crate::tree::Node;
use crate::tree::NodeSink;
use crate::tree::memory::MemoryNodes;

fn out(kept: &Kept, into: &Path) -> Checkout {
    checkout(&kept.tree, &kept.nodes, &kept.contents, into, &CheckoutOptions::default(), &Silent).unwrap()
}

fn tree_of(folder: &Path) -> Tree {
    scan(folder, &mut HashSink::new(), &mut MemoryNodes::new(), &ScanOptions::default(), &Silent).unwrap()
}

fn skipped_shown(done: &Checkout) -> String {
    let line = |one: &Skipped| format!("{} {} ({}): {:?}\n", one.count, one.what, one.why, one.paths);
    done.skipped.iter().map(line).collect()
}

#[test]
fn what_comes_out_scans_to_the_same_tree() {
    let (from, to) = (fs::temp_dir().unwrap(), fs::temp_dir().unwrap());
    plant_plain(from.path());
    plant_deep(from.path());
    if is_root() {
        plant_privileged(from.path());
    } else {
        // A user can neither read these nor, as root's, be given them.
        sh(from.path(), "chmod 0400 zero");
    }
    let kept = keep(from.path());
    let into = to.path().join("new/out");
    let done = out(&kept, &into);
    assert_eq!(skipped_shown(&done), "");
    assert_eq!(done.written, kept.tree.entries);
    let again = tree_of(&into);
    if again != kept.tree {
        let list = |folder: &Path| {
            sh(folder, "find . -printf '%p %y %m %U %G %s %T@ %l %n\\n' | cut -c1-300 | sort")
        };
        assert_eq!(list(from.path()), list(&into));
    }
    assert_eq!(again.id(), kept.tree.id());
}

#[test]
fn a_user_s_own_folder_comes_out_the_same_for_that_user() {
    as_user("export::checkout::tests::what_comes_out_scans_to_the_same_tree");
}

#[test]
fn a_user_gets_the_files_and_a_list_of_what_was_not_permitted() {
    if !as_user("export::checkout::tests::a_user_gets_the_files_and_a_list_of_what_was_not_permitted") {
        return;
    }
    let mut nodes = MemoryNodes::new();
    let mut contents = MemoryContents::default();
    let content = crate::content::ContentSink::put(&mut contents, 2, &mut &b"hi"[..]).unwrap();
    let file = Kind::File { content, size: 2 };
    let (uid, gid) = (65_534, 65_534);
    let own = |mode: u32| Attr { mode, uid, gid, ..Default::default() };
    let caps = b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0".as_slice();
    let with = |name: &str, attr: Attr| {
        let pairs = vec![(name.as_bytes().into(), caps.into())];
        Attr { xattrs: Xattrs::new(pairs), ..attr }
    };
    let shut = nodes.put_node(&Node { entries: vec![entry(b"f", file.clone(), own(0o600))] }).unwrap();
    let entries = vec![
        entry(b"device", Kind::BlockDevice { major: 8, minor: 0 }, own(0o600)),
        entry(b"ping", file.clone(), with("security.capability", own(0o755))),
        entry(b"shut", Kind::Dir(shut), own(0o000)),
        entry(b"sudo", file.clone(), Attr { mode: 0o4755, ..Default::default() }),
        entry(b"sudo-mine", file.clone(), own(0o4755)),
        entry(b"trusted", Kind::Fifo, with("trusted.x", own(0o644))),
        entry(b"user", file.clone(), with("user.x", own(0o444))),
        entry(b"z", file, own(0o600)),
    ];
    let mut tree = tree_with(&mut nodes, entries);
    tree.root_attr = own(0o700);
    let path = |path: &str| TreePath::parse(path.as_bytes()).unwrap();
    tree.hardlinks = vec![vec![path("shut/f"), path("z")]];
    let to = fs::temp_dir().unwrap();
    let done = checkout(&tree, &nodes, &contents, to.path(), &CheckoutOptions::default(), &Silent).unwrap();
    assert_eq!(
        skipped_shown(&done),
        "1 device (not permitted): [`/device`]\n\
         1 extended attribute security.capability (not permitted): [`/ping`]\n\
         1 owner (not permitted): [`/sudo`]\n\
         1 setuid and setgid bits (the owner is not the tree's): [`/sudo`]\n\
         1 extended attribute trusted.x (not permitted): [`/trusted`]\n"
    );
    let modes = sh(to.path(), "stat -c '%n %a %h' *; chmod 700 shut");
    assert_eq!(
        modes,
        "ping 755 1\nshut 0 2\nsudo 755 1\nsudo-mine 4755 1\ntrusted 644 1\nuser 444 1\nz 600 2\n"
    );
}

#[test]
fn holes_stay_holes() {
    let (from, to) = (fs::temp_dir().unwrap(), fs::temp_dir().unwrap());
    sh(
        from.path(),
        "truncate -s 20M sparse; printf x | dd of=sparse bs=1 seek=10000000 conv=notrunc status=none",
    );
    out(&keep(from.path()), to.path());
    assert_eq!(sh(to.path(), "cmp sparse $OLDPWD/none 2>/dev/null || stat -c %s sparse"), "20971520\n");
    let kib: u64 = sh(to.path(), "du -k sparse").split_whitespace().next().unwrap().parse().unwrap();
    assert!(kib <= 64, "{kib} KiB");
}

#[test]
fn solid_runs_are_what_is_between_whole_pieces_of_zeros() {
    #[track_caller]
    fn check(pieces: &[(u8, usize)], runs: &[(usize, usize)]) {
        let bytes: Vec<u8> = pieces.iter().flat_map(|(byte, len)| vec![*byte; *len]).collect();
        assert_eq!(solid_runs(&bytes).collect::<Vec<_>>(), runs);
    }
    const H: usize = HOLE_BYTES;
    check(&[], &[]);
    check(&[(1, 5)], &[(0, 5)]);
    check(&[(0, 5)], &[(0, 5)]);
    check(&[(0, H)], &[]);
    check(&[(1, H), (0, H), (1, 1)], &[(0, H), (2 * H, 2 * H + 1)]);
    check(&[(1, 1), (0, 2 * H - 1)], &[(0, H)]);
}

#[test]
fn only_a_new_or_empty_folder_is_written_to() {
    let (from, to) = (fs::temp_dir().unwrap(), fs::temp_dir().unwrap());
    let kept = keep(from.path());
    let try_into = |into: &Path| {
        checkout(&kept.tree, &kept.nodes, &kept.contents, into, &CheckoutOptions::default(), &Silent)
    };
    let full = to.path().join("full");
    sh(to.path(), "mkdir full empty; touch full/x file");
    let refused = try_into(&full).unwrap_err();
    assert!(matches!(refused.root(), Error::Exists { kind: "folder", .. }) && refused.hint().is_some());
    assert!(matches!(try_into(&to.path().join("file")), Err(Error::Exists { kind: "file", .. })));
    try_into(&to.path().join("empty")).unwrap();
    assert_eq!(fs::list(&full).unwrap(), [b"x"]);
}

fn tree_with(nodes: &mut MemoryNodes, entries: Vec<Entry>) -> Tree {
    let root = nodes.put_node(&Node { entries }).unwrap();
    let root_attr = Attr { mode: 0o755, uid: 0, gid: 0, ..Default::default() };
    Tree { root, root_attr, hardlinks: Vec::new(), entries: 1, bytes: 0 }
}

fn entry(name: &[u8], kind: Kind, attr: Attr) -> Entry {
    Entry { name: name.into(), kind, attr }
}

#[test]
fn what_this_system_cannot_hold_is_listed() {
    let mut nodes = MemoryNodes::new();
    let attr = Attr { mode: 0o644, ..Default::default() };
    let below = nodes.put_node(&Node { entries: vec![entry(b"x", Kind::Fifo, attr.clone())] }).unwrap();
    let huge = Attr { uid: 1 << 40, mode: 0o4755, ..Default::default() };
    let late = Attr { mtime: Time { secs: 1 << 40, nanos: 0 }, ..attr.clone() };
    let odd = Attr {
        xattrs: Xattrs::new(vec![(b"nospace.x".as_slice().into(), b"".as_slice().into())]),
        ..attr.clone()
    };
    let entries = vec![
        entry(b"a-device", Kind::CharDevice { major: 1 << 20, minor: 0 }, attr.clone()),
        entry(b"b-owner", Kind::Fifo, huge),
        entry(b"c-time", Kind::Fifo, late),
        entry(b"d-xattr", Kind::Fifo, odd),
        entry(b"e-nowhere", Kind::Symlink(b"".as_slice().into()), attr.clone()),
        entry(&[b'n'; 256], Kind::Dir(below), attr),
    ];
    let tree = tree_with(&mut nodes, entries);
    let to = fs::temp_dir().unwrap();
    let options = CheckoutOptions { owners: is_root() };
    let done = checkout(&tree, &nodes, &MemoryContents::default(), to.path(), &options, &Silent).unwrap();
    let n = "n".repeat(256);
    let takes_not = "this file system does not take it";
    let xattr_why = if is_root() { takes_not } else { "not permitted" };
    let mut expected = vec![
        format!("2 entry ({takes_not}): [`/a-device`, `/e-nowhere`]"),
        "1 setuid and setgid bits (the owner is not the tree's): [`/b-owner`]".to_string(),
        "1 time (out of range for this file system): [`/c-time`]".to_string(),
        format!("1 extended attribute nospace.x ({xattr_why}): [`/d-xattr`]"),
        format!("2 entry (the name is too long for this file system): [`/{n}`, `/{n}/x`]"),
    ];
    if is_root() {
        let owner = "1 owner (the number is too large for this system): [`/b-owner`]";
        expected.insert(1, owner.to_string());
    }
    assert_eq!(skipped_shown(&done).lines().collect::<Vec<_>>(), expected);
    assert_eq!(fs::list(to.path()).unwrap(), [&b"b-owner"[..], b"c-time", b"d-xattr"]);
}

#[test]
fn an_unclean_name_in_a_node_writes_nothing() {
    struct Forged(Node);
    impl NodeSource for Forged {
        fn node(&self, _: &crate::id::NodeId) -> Result<std::sync::Arc<Node>> {
            Ok(std::sync::Arc::new(self.0.clone()))
        }
    }
    for name in [&b".."[..], b"../x", b"a/b", b"", b"."] {
        let tree = tree_with(&mut MemoryNodes::new(), Vec::new());
        let nodes = Forged(Node { entries: vec![entry(name, Kind::Fifo, Attr::default())] });
        let to = fs::temp_dir().unwrap();
        let into = to.path().join("out");
        let options = CheckoutOptions::default();
        let done = checkout(&tree, &nodes, &MemoryContents::default(), &into, &options, &Silent);
        assert!(matches!(done, Err(Error::Invalid { .. })), "{name:?}");
        assert_eq!(fs::list(to.path()).unwrap(), [b"out"]);
        assert!(fs::list(&into).unwrap().is_empty());
    }
}

/// Plants something in the target just before the content of the first file is asked for.
struct Meddler<'a> {
    contents: &'a MemoryContents,
    into: PathBuf,
    script: &'a str,
}

impl ContentSource for Meddler<'_> {
    fn open(&self, id: &ContentId, offset: u64, len: u64) -> Result<Box<dyn Read + '_>> {
        sh(&self.into, &format!("[ -e ../done ] || {{ touch ../done; {}; }}", self.script));
        self.contents.open(id, offset, len)
    }
}

#[test]
fn a_symlink_planted_in_the_target_meanwhile_is_not_followed() {
    #[track_caller]
    fn check(script: &str) {
        let (from, to) = (fs::temp_dir().unwrap(), fs::temp_dir().unwrap());
        sh(
            from.path(),
            "mkdir -p b/c d; echo 1 > a; echo 2 > b/1; echo 3 > b/c/2; ln b/1 d/3; echo 4 > d/4; mkfifo e",
        );
        sh(to.path(), "mkdir out victim; echo keep > victim/1; chmod 0700 victim");
        let kept = keep(from.path());
        let into = to.path().join("out");
        let contents = Meddler { contents: &kept.contents, into: into.clone(), script };
        let done = checkout(&kept.tree, &kept.nodes, &contents, &into, &CheckoutOptions::default(), &Silent);
        let victim = sh(to.path(), "ls victim; cat victim/1; stat -c %a victim");
        assert_eq!(victim, "1\nkeep\n700\n", "{script}: {done:?}");
    }
    check("ln -s ../victim b");
    check("ln -s ../victim d");
    check("ln -s ../victim/e e");
    check("ln -s ../victim/1 d");
    check("mv ../out ../moved; ln -s victim ../out");
}

#[test]
fn a_folder_swapped_for_a_symlink_does_not_lead_a_hard_link_outside() {
    let (from, to) = (fs::temp_dir().unwrap(), fs::temp_dir().unwrap());
    sh(from.path(), "mkdir b; echo x > b/1; ln b/1 z; echo 4 > c");
    sh(to.path(), "mkdir out victim; echo secret > victim/1");
    let kept = keep(from.path());
    let into = to.path().join("out");
    let script = "true";
    struct Late<'a>(Meddler<'a>, ContentId);
    impl ContentSource for Late<'_> {
        fn open(&self, id: &ContentId, offset: u64, len: u64) -> Result<Box<dyn Read + '_>> {
            if *id == self.1 {
                sh(&self.0.into, "mv b gone; ln -s ../victim b");
            }
            self.0.contents.open(id, offset, len)
        }
    }
    let contents =
        Late(Meddler { contents: &kept.contents, into: into.clone(), script }, ContentId::of(b"4\n"));
    let done = checkout(&kept.tree, &kept.nodes, &contents, &into, &CheckoutOptions::default(), &Silent);
    assert!(matches!(done, Err(Error::Io { doing: "link", .. })), "{done:?}");
    assert_eq!(sh(to.path(), "stat -c %h victim/1; ls out"), "1\nb\nc\ngone\n");
}

#[test]
fn a_content_that_is_short_in_the_store_is_an_error_not_a_short_file() {
    let (from, to) = (fs::temp_dir().unwrap(), fs::temp_dir().unwrap());
    sh(from.path(), "echo 12345 > a");
    let kept = keep(from.path());
    struct Short;
    impl ContentSource for Short {
        fn open(&self, _: &ContentId, _: u64, _: u64) -> Result<Box<dyn Read + '_>> {
            Ok(Box::new(&b"123"[..]))
        }
    }
    let done = checkout(&kept.tree, &kept.nodes, &Short, to.path(), &CheckoutOptions::default(), &Silent);
    assert!(matches!(done, Err(Error::Corrupt { .. })), "{done:?}");
}
