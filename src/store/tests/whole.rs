//! What is put is there, once, and comes back; in a folder as in memory.

use crate::content::ContentSink;
use crate::content::ContentSource;
use crate::error::Error;
use crate::id::ContentId;
use crate::id::Sha1Id;
use crate::progress::Silent;
use crate::store::Config;
use crate::store::Store;
use crate::store::backend::Backend;
use crate::store::backend::dir::DirBackend;
use crate::store::backend::mem::MemBackend;
use crate::store::tests::commit_version;
use crate::store::tests::noise;
use crate::store::tests::options;
use crate::store::tests::picture;
use crate::store::tests::put;
use crate::store::tests::read;
use crate::store::tests::tree_of;
use crate::tree::NodeSource;
use sha1::Digest as _;
use std::io::Read as _;
use std::sync::Arc;

/// Runs a check on an empty store of each kind.
fn check(deed: impl Fn(&Store, &dyn Fn() -> Store)) {
    let folder = tempfile::tempdir().unwrap();
    let dir = Arc::new(DirBackend::create(folder.path()).unwrap());
    for backend in [dir as Arc<dyn Backend>, Arc::new(MemBackend::new(None))] {
        let store = Store::create_in(Arc::clone(&backend), &Config::default(), &options()).unwrap();
        deed(&store, &|| Store::open_in(Arc::clone(&backend), &options()).unwrap());
    }
}

#[test]
fn contents_of_all_sizes_come_back_once() {
    let sizes = [0, 1, 4_000, 262_143, 262_144, 262_145, 600_000, 1_100_000, 5_000_000, 34_000_000];
    check(|store, reopen| {
        let mut transaction = store.begin().unwrap();
        let put_all = |transaction: &mut _| {
            sizes.iter().map(|size| put(transaction, &noise(7, *size))).collect::<Vec<ContentId>>()
        };
        let ids = put_all(&mut transaction);
        assert_eq!(put_all(&mut transaction), ids);
        let done = transaction.commit(&Silent).unwrap();
        assert_eq!((done.new_contents, done.known_contents), (10, 10));
        for (id, size) in ids.iter().zip(sizes) {
            assert!(read(store, id).unwrap() == noise(7, size), "{size} bytes");
        }
        let mut transaction = store.begin().unwrap();
        put_all(&mut transaction);
        let again = transaction.commit(&Silent).unwrap();
        assert_eq!((again.new_contents, again.known_contents, again.stored_bytes), (0, 10, 0));
        assert_eq!(picture(&reopen()).unwrap(), picture(store).unwrap());
    });
}

#[test]
fn any_part_of_a_large_content_is_read_alone() {
    check(|store, _| {
        let bytes: Vec<u8> = (0..400_000u32).flat_map(u32::to_le_bytes).collect();
        let mut transaction = store.begin().unwrap();
        let id = put(&mut transaction, &bytes);
        transaction.commit(&Silent).unwrap();
        let contents = store.contents();
        for (offset, len) in
            [(0, 10), (524_288, 1), (1_048_575, 2), (1_000_000, 600_000), (1_599_999, 1), (7, 0)]
        {
            let mut part = Vec::new();
            contents.open(&id, offset, len).unwrap().read_to_end(&mut part).unwrap();
            assert!(part == bytes[offset as usize..(offset + len) as usize], "{offset}+{len}");
        }
        assert!(contents.open(&id, 1_600_000, 1).is_err());
        assert!(contents.open(&id, u64::MAX, 1).is_err());
    });
}

#[test]
fn a_stream_that_ends_early_fails_and_leaves_nothing() {
    check(|store, _| {
        for size in [10, 40 << 20] {
            let mut transaction = store.begin().unwrap();
            let err = transaction.put(size, &mut &b"short"[..]).unwrap_err();
            assert!(matches!(err, Error::Invalid { .. }), "{err}");
        }
        assert_eq!(store.snapshot().unwrap().counts().unwrap().contents, 0);
        assert_eq!(store.inner().backend.list("tmp").unwrap(), [""; 0]);
    });
}

#[test]
fn a_version_is_found_by_everything_that_names_it() {
    check(|store, reopen| {
        commit_version(store, 1).unwrap();
        let done = commit_version(store, 2).unwrap();
        let store = &reopen();
        let snapshot = store.snapshot().unwrap();
        let commit = snapshot.reference(b"main").unwrap().unwrap().commit;
        assert_eq!(done.moves[0].new, Some(commit));
        let log = snapshot.log(b"main").unwrap();
        assert_eq!((log.len(), log[0].moved.old), (2, None));
        assert_eq!(log[1].moved.old, log[0].moved.new);
        assert_eq!(snapshot.commit(&commit).unwrap().unwrap(), b"commit of 2");
        assert_eq!(snapshot.commits_by_hex(&commit.to_string()[..7], 9).unwrap(), [commit]);

        let bytes = noise(2, 3_000);
        let content = ContentId::of(&bytes);
        let folder = snapshot.parents_of_content(&content).unwrap();
        let root = snapshot.parents_of_node(&folder[0]).unwrap();
        let tree = tree_of(store, &commit).unwrap();
        assert_eq!(snapshot.trees_of_root(&root[0]).unwrap(), [tree]);
        assert_eq!(snapshot.commits_of_tree(&tree).unwrap(), [commit]);
        assert_eq!(snapshot.nodes_with_name(b"v2").unwrap(), folder);
        assert_eq!(snapshot.nodes_with_name(b"passwd").unwrap().len(), 2);
        assert!(snapshot.node(&folder[0]).unwrap().get(b"passwd").is_some());
        let sha1 = Sha1Id(sha1::Sha1::digest(&bytes).into());
        assert_eq!(snapshot.contents_by_sha1(&sha1).unwrap(), [content]);
        assert_eq!(read(store, &content).unwrap(), bytes);

        let mut names = Vec::new();
        let mut take = |name: &[u8], _| {
            names.push(name.to_vec());
            Ok(true)
        };
        snapshot.names(b"v", &mut take).unwrap();
        assert_eq!(names, [b"v1", b"v2"]);
    });
}

#[test]
fn a_rebuilt_index_gives_the_same_answers() {
    check(|store, reopen| {
        for seed in 0..5 {
            commit_version(store, seed).unwrap();
        }
        let before = picture(store).unwrap();
        let rebuilt = store.rebuild_index(&Silent).unwrap();
        assert_eq!((rebuilt.packs, rebuilt.problems.len()), (10, 0));
        assert_eq!(picture(store).unwrap(), before);
        store.inner().backend.delete("meta.redb").unwrap();
        let store = reopen();
        assert_eq!(picture(&store).unwrap(), before);
        assert_eq!(store.take_rebuilt().map(|rebuilt| rebuilt.packs), Some(10));
    });
}

/// A reader of a disk may fail in a large file, and the import goes on without that file system: what
/// was put after it must not be cut off with it.
#[test]
fn what_is_put_after_a_content_that_failed_comes_back() {
    check(|store, reopen| {
        let mut transaction = store.begin().unwrap();
        let before = put(&mut transaction, &noise(1, 300_000));
        let large = noise(2, 34_000_000);
        let failed = transaction.put(40_000_000, &mut &large[..]);
        assert!(matches!(failed, Err(Error::Invalid { .. })));
        let after: Vec<ContentId> =
            (3..40).map(|seed| put(&mut transaction, &noise(seed, 200_000))).collect();
        transaction.commit(&Silent).unwrap();
        let store = reopen();
        assert!(read(&store, &before).unwrap() == noise(1, 300_000));
        for (seed, id) in (3..).zip(after) {
            assert!(read(&store, &id).unwrap() == noise(seed, 200_000));
        }
    });
}
