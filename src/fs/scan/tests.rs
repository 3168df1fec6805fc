use super::*;
use crate::content::HashSink;
use crate::export::testing::as_user;
use crate::id::ContentId;
use crate::path::shown;
use crate::progress::Silent;
use crate::tree::NodeSource;
use crate::tree::memory::MemoryNodes;
use std::cell::RefCell;
use std::io::Read;
use std::sync::Mutex;

struct World {
    folder: tempfile::TempDir,
    nodes: RefCell<MemoryNodes>,
}

impl World {
    fn with(paths: &[&str]) -> World {
        let world = World { folder: crate::fs::temp_dir().unwrap(), nodes: RefCell::default() };
        paths.iter().for_each(|path| world.plant(path));
        world
    }

    /// `a/b/` is a directory, `a/b` a file that holds its own path.
    fn plant(&self, path: &str) {
        let at = self.folder.path().join(path);
        match path.ends_with('/') {
            true => crate::fs::create_dir_all(&at).unwrap(),
            false => {
                crate::fs::create_dir_all(at.parent().unwrap()).unwrap();
                crate::fs::write_atomic(&at, path.as_bytes()).unwrap();
            }
        }
    }

    fn scan(&self, options: &ScanOptions, progress: &dyn Progress) -> Result<Tree> {
        let nodes = &mut *self.nodes.borrow_mut();
        scan(self.folder.path(), &mut HashSink::new(), nodes, options, progress)
    }

    fn paths(&self, tree: &Tree) -> Vec<String> {
        let mut paths = Vec::new();
        self.collect(&tree.root, "", &mut paths);
        paths
    }

    fn collect(&self, ids: &NodeIds, above: &str, paths: &mut Vec<String>) {
        let node = self.nodes.borrow().node(&ids.full).unwrap();
        for entry in &node.entries {
            let path = format!("{above}{}", shown(&entry.name));
            match entry.kind {
                Kind::Dir(below) => {
                    paths.push(format!("{path}/"));
                    self.collect(&below, &format!("{path}/"), paths);
                }
                _ => paths.push(path),
            }
        }
    }
}

#[derive(Default)]
struct Heard(Mutex<Vec<String>>);

impl Progress for Heard {
    fn problem(&self, problem: &Error) {
        self.0.lock().unwrap().push(problem.to_string());
    }

    fn note(&self, text: &str) {
        self.0.lock().unwrap().push(text.to_string());
    }
}

#[test]
fn every_entry_is_met_once_and_sizes_add_up() {
    let world = World::with(&["b/c", "a", "b-/d", "empty/"]);
    let tree = world.scan(&ScanOptions::default(), &Silent).unwrap();
    assert_eq!(world.paths(&tree), ["a", "b/", "b/c", "b-/", "b-/d", "empty/"]);
    assert_eq!((tree.entries, tree.bytes), (6, 1 + 3 + 4));
}

#[test]
fn exclusions_follow_what_people_write() {
    #[track_caller]
    fn check(patterns: &[&str], left: &[&str]) {
        let world = World::with(&["var/cache/x", "var/log/a.log", "b.log", "etc/cache/y"]);
        let options =
            ScanOptions { exclude: exclude(patterns.iter().copied()).unwrap(), ..Default::default() };
        let tree = world.scan(&options, &Silent).unwrap();
        let files: Vec<String> = world.paths(&tree).into_iter().filter(|path| !path.ends_with('/')).collect();
        assert_eq!(files, left);
    }
    check(&["*.log"], &["etc/cache/y", "var/cache/x"]);
    check(&["cache/"], &["b.log", "var/log/a.log"]);
    check(&["/var/cache"], &["b.log", "etc/cache/y", "var/log/a.log"]);
    check(&["var/*"], &["b.log", "etc/cache/y"]);
    check(&["/*.log"], &["etc/cache/y", "var/cache/x", "var/log/a.log"]);
    assert!(exclude(["["]).is_err());
}

#[test]
fn names_of_one_inode_are_a_group_and_read_once() {
    struct Counting(HashSink, u32);
    impl ContentSink for Counting {
        fn put(&mut self, size: u64, from: &mut dyn Read) -> Result<ContentId> {
            self.1 += 1;
            self.0.put(size, from)
        }
    }
    let world = World::with(&["b", "d/"]);
    let at = |path: &str| world.folder.path().join(path);
    std::fs::hard_link(at("b"), at("a")).unwrap();
    std::fs::hard_link(at("b"), at("d/c")).unwrap();
    let outside = crate::fs::temp_dir().unwrap();
    crate::fs::create_new(&outside.path().join("x")).unwrap();
    std::fs::hard_link(outside.path().join("x"), at("alone")).unwrap();
    let mut sink = Counting(HashSink::new(), 0);
    let nodes = &mut *world.nodes.borrow_mut();
    let tree = scan(world.folder.path(), &mut sink, nodes, &ScanOptions::default(), &Silent).unwrap();
    assert_eq!(format!("{:?}", tree.hardlinks), "[[`/a`, `/b`, `/d/c`]]");
    assert_eq!(sink.1, 2);
}

/// Changes the file before each reading of it.
struct Meddler<'a> {
    path: PathBuf,
    sizes: &'a [u64],
    readings: usize,
}

impl ContentSink for Meddler<'_> {
    fn put(&mut self, size: u64, from: &mut dyn Read) -> Result<ContentId> {
        if let Some(to) = self.sizes.get(self.readings) {
            std::fs::OpenOptions::new().write(true).open(&self.path).unwrap().set_len(*to).unwrap();
        }
        self.readings += 1;
        HashSink::new().put(size, from)
    }
}

#[test]
fn a_file_that_changes_while_it_is_read_is_read_again_and_never_half_kept() {
    #[track_caller]
    fn check(sizes: &[u64], keep_going: bool, expected: Result<&[&str], &str>, heard: &[&str]) {
        let world = World::with(&["0123456789"]);
        let mut sink = Meddler { path: world.folder.path().join("0123456789"), sizes, readings: 0 };
        let listen = Heard::default();
        let options = ScanOptions { keep_going, ..Default::default() };
        let tree = scan(world.folder.path(), &mut sink, &mut *world.nodes.borrow_mut(), &options, &listen);
        let under = |text: String| text.replace(&world.folder.path().display().to_string(), "");
        match (tree, expected) {
            (Ok(tree), Ok(paths)) => assert_eq!(world.paths(&tree), paths),
            (Err(err), Err(text)) => assert_eq!(under(err.to_string()), text),
            (found, _) => panic!("{found:?}"),
        }
        let said: Vec<String> = listen.0.into_inner().unwrap().into_iter().map(under).collect();
        assert_eq!(said, heard);
    }
    let shrank = "/0123456789: shrank while it was read";
    check(&[5], false, Ok(&["0123456789"]), &[]);
    check(&[20], false, Ok(&["0123456789"]), &[]);
    check(&[20, 21, 22], false, Ok(&["0123456789"]), &["/0123456789 changed while it was read"]);
    check(&[8, 7, 6], false, Err(shrank), &[]);
    check(&[8, 7, 6], true, Ok(&[]), &[shrank]);
}

#[test]
fn what_a_user_may_not_read_is_left_out_only_where_that_is_allowed() {
    if !as_user("fs::scan::tests::what_a_user_may_not_read_is_left_out_only_where_that_is_allowed") {
        return;
    }
    let world = World::with(&["a", "file", "folder/x", "z"]);
    for path in ["file", "folder"] {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o0);
        std::fs::set_permissions(world.folder.path().join(path), mode).unwrap();
    }
    let at = world.folder.path().display();
    let err = world.scan(&ScanOptions::default(), &Silent).unwrap_err();
    assert_eq!(err.to_string(), format!("cannot open {at}/file"));
    let heard = Heard::default();
    let options = ScanOptions { keep_going: true, ..Default::default() };
    let tree = world.scan(&options, &heard).unwrap();
    assert_eq!(world.paths(&tree), ["a", "z"]);
    let expected = [format!("cannot open {at}/file"), format!("cannot open {at}/folder")];
    assert_eq!(heard.0.into_inner().unwrap(), expected);
}

#[test]
fn a_folder_deeper_than_paths_may_be_is_left_out_only_where_that_is_allowed() {
    let world = World::with(&["z"]);
    let mut dir = rustix::fs::open(world.folder.path(), OPEN_DIR, Mode::empty()).unwrap();
    for _ in 0..2_050 {
        rustix::fs::mkdirat(&dir, "d", Mode::RWXU).unwrap();
        dir = rustix::fs::openat(&dir, "d", OPEN_DIR, Mode::empty()).unwrap();
    }
    let err = world.scan(&ScanOptions::default(), &Silent).unwrap_err();
    assert!(matches!(err, Error::Limit { limit: 2_048, .. }), "{err}");
    let options = ScanOptions { keep_going: true, ..Default::default() };
    let tree = world.scan(&options, &Silent).unwrap();
    assert_eq!(tree.entries, 2_048 + 1);
}

#[test]
fn a_stop_is_heard_inside_a_large_file() {
    struct StopAfter(std::sync::atomic::AtomicU64);
    impl Progress for StopAfter {
        fn advance(&self, bytes: u64) {
            self.0.fetch_add(bytes, std::sync::atomic::Ordering::Relaxed);
        }
        fn cancelled(&self) -> bool {
            self.0.load(std::sync::atomic::Ordering::Relaxed) > 0
        }
    }
    let world = World::with(&[]);
    crate::fs::create_new(&world.folder.path().join("big")).unwrap().set_len(1 << 40).unwrap();
    let stopped = world.scan(&ScanOptions::default(), &StopAfter(0.into()));
    assert!(matches!(stopped, Err(Error::Interrupted)), "{stopped:?}");
}
