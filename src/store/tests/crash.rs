//! The disk fails or the power goes at every single step of a commit and of a sweep: what was is
//! still there, what was to be is there whole or not at all.

use crate::error::Result;
use crate::progress::Silent;
use crate::store::Config;
use crate::store::ObjectKind;
use crate::store::Snapshot;
use crate::store::Store;
use crate::store::SweepOptions;
use crate::store::VerifyOptions;
use crate::store::backend::faulty::Fault;
use crate::store::backend::faulty::Faults;
use crate::store::backend::mem::MemBackend;
use crate::store::backend::mem::Survives;
use crate::store::sweep::Live;
use crate::store::tests::commit_version;
use crate::store::tests::options;
use crate::store::tests::picture;
use std::sync::Arc;

/// A store with two versions, on a disk that can fail.
pub fn world() -> MemBackend {
    let backend = MemBackend::new(None);
    let store = Store::create_in(Arc::new(backend.clone()), &Config::default(), &options()).unwrap();
    commit_version(&store, 1).unwrap();
    commit_version(&store, 2).unwrap();
    backend
}

pub fn open(backend: &MemBackend) -> Result<Store> {
    Store::open_in(Arc::new(backend.clone()), &options())
}

pub fn assert_sound(store: &Store, case: &str) {
    let seen = store.verify(&VerifyOptions { read_data: true }, &Silent).unwrap();
    assert!(seen.problems.is_empty(), "{case}: {:?}", seen.problems);
}

/// Fails the deed at every step in every way, and holds the store against what it was before and
/// what the deed makes of it.
pub fn check(deed: impl Fn(&Store) -> Result<()>) {
    let world = world();
    let backend = world.copy();
    let before = picture(&open(&backend).unwrap()).unwrap();
    let count = Faults::never();
    let store = open(&backend.seen_by(Some(count.hook()))).unwrap();
    deed(&store).unwrap();
    drop(store);
    let after = picture(&open(&backend).unwrap()).unwrap();
    assert_ne!(before, after);
    let steps = count.steps();
    assert!(steps > 20, "{steps}");

    let deaths = [Survives::Everything, Survives::Nothing, Survives::NamesOnly];
    let cases = deaths.map(|survives| (Fault::Dead, Some(survives)));
    let cases = cases.into_iter().chain([(Fault::NoSpace, None), (Fault::Once, None)]);
    for (fault, survives) in cases {
        for step in 0..steps {
            let case = format!("{fault:?} at step {step} of {steps}, survives {survives:?}");
            let backend = world.copy();
            let faults = Faults::at(step, fault);
            let faulty = backend.seen_by(Some(faults.hook()));
            let result = open(&faulty).and_then(|store| deed(&store));
            if let Some(survives) = survives {
                backend.power_cut(survives);
            }
            let store = open(&backend).unwrap_or_else(|err| panic!("{case}: {err}"));
            let found = picture(&store).unwrap_or_else(|err| panic!("{case}: {err}"));
            if result.is_ok() {
                assert!(found == after, "{case}: done, but not there");
            } else if survives.is_none() {
                assert!(found == before, "{case}: failed, but there: {result:?}");
            } else {
                assert!(found == before || found == after, "{case}: half there");
            }
            assert_sound(&store, &case);
            if step % 4 != 0 {
                continue;
            }
            store.rebuild_index(&Silent).unwrap();
            assert!(picture(&store).unwrap() == found, "{case}: rebuilt differently");
            // And life goes on.
            commit_version(&store, 9).unwrap_or_else(|err| panic!("{case}: {err}"));
        }
    }
}

#[test]
fn a_commit_is_there_whole_or_not_at_all() {
    check(|store| commit_version(store, 3).map(drop));
}

/// Keeps what the newest version needs; the store's test versions share nothing.
fn live(snapshot: &Snapshot) -> Result<Box<Live<'static>>> {
    let mut keep = std::collections::HashSet::new();
    for one in snapshot.refs(b"")? {
        keep.insert((ObjectKind::Commit, one.commit.0));
        for (chain, tree) in snapshot.chains()? {
            if !snapshot.commits_of_tree(&tree)?.contains(&one.commit) {
                continue;
            }
            keep.insert((ObjectKind::Tree, tree.0));
            keep.insert((ObjectKind::Recipe, chain.0));
            for (digest, blob) in snapshot.blobs()? {
                if blob.diff_id.is_some_and(|id| id.0 == chain.0) {
                    let text = String::from_utf8(digest).unwrap_or_default();
                    let id: crate::id::ContentId = text.trim_start_matches("sha256:").parse()?;
                    keep.insert((ObjectKind::Content, id.0));
                }
            }
            let mut todo: Vec<_> = snapshot.tree(&tree)?.map(|tree| tree.root.full).into_iter().collect();
            while let Some(id) = todo.pop() {
                keep.insert((ObjectKind::Node, id.0));
                for entry in &crate::tree::NodeSource::node(snapshot, &id)?.entries {
                    match &entry.kind {
                        crate::tree::Kind::File { content, .. } => {
                            keep.insert((ObjectKind::Content, content.0));
                        }
                        crate::tree::Kind::Dir(ids) => todo.push(ids.full),
                        _ => {}
                    }
                }
            }
        }
    }
    Ok(Box::new(move |kind, id| keep.contains(&(kind, *id))))
}

fn sweep(store: &Store, percent: u64) -> Result<crate::store::Swept> {
    let options = SweepOptions {
        rewrite_below_percent: percent,
        expire_log_before: Some(i64::MAX),
        ..SweepOptions::default()
    };
    store.sweep(&mut live, &options, &Silent)
}

#[test]
fn a_sweep_is_done_whole_or_not_at_all() {
    check(|store| sweep(store, 100).map(drop));
}

#[test]
fn a_sweep_drops_the_dead_keeps_the_journal_and_survives_a_rebuild() {
    for percent in [0, 50, 100, 101] {
        let backend = world();
        let store = open(&backend).unwrap();
        commit_version(&store, 3).unwrap();
        let size = |store: &Store| {
            store.snapshot().unwrap().packs().unwrap().iter().map(|(_, row)| row.len).sum::<u64>()
        };
        let (before, log) = (size(&store), store.snapshot().unwrap().log(b"main").unwrap());
        let keep_log = SweepOptions { rewrite_below_percent: percent, ..SweepOptions::default() };
        let dry =
            store.sweep(&mut live, &SweepOptions { dry_run: true, ..keep_log.clone() }, &Silent).unwrap();
        assert_eq!(size(&store), before);
        let swept = store.sweep(&mut live, &keep_log, &Silent).unwrap();
        assert_eq!((swept.dropped, swept.packs_rewritten), (dry.dropped, dry.packs_rewritten));
        // Two versions: two contents, two nodes, a tree, a recipe and a commit each.
        assert_eq!(swept.dropped, 14);
        assert_eq!(swept.packs_rewritten, if percent == 0 { 0 } else { 4 }, "{percent}");
        assert_eq!(before as i64 - size(&store) as i64, swept.freed_bytes, "{percent}");
        let found = picture(&store).unwrap();
        assert_eq!(store.snapshot().unwrap().log(b"main").unwrap(), log);
        assert_sound(&store, "swept");
        store.rebuild_index(&Silent).unwrap();
        assert_eq!(picture(&store).unwrap(), found, "{percent}");
        // What was dropped can come back.
        commit_version(&store, 1).unwrap();
        assert_sound(&store, "put again");
        let found = picture(&store).unwrap();
        store.rebuild_index(&Silent).unwrap();
        assert_eq!(picture(&store).unwrap(), found);
        sweep(&store, percent).unwrap();
        assert_eq!(store.snapshot().unwrap().log(b"main").unwrap().len(), 1);
        let found = picture(&store).unwrap();
        store.rebuild_index(&Silent).unwrap();
        assert_eq!(picture(&store).unwrap(), found);
        assert_sound(&store, "swept again");
    }
}

/// Each collection wrote that old lines of the reflog go, though none was there: a pack a day.
#[test]
fn a_sweep_with_nothing_to_do_writes_nothing() {
    let backend = world();
    sweep(&open(&backend).unwrap(), 100).unwrap();
    let packs = || open(&backend).unwrap().inner().backend.list("packs").unwrap();
    let (before, sequence) = (packs(), open(&backend).unwrap().snapshot().unwrap().sequence().unwrap());
    for percent in [0, 50, 101] {
        let swept = sweep(&open(&backend).unwrap(), percent).unwrap();
        assert_eq!(swept, crate::store::Swept::default());
        assert_eq!(packs(), before);
        assert_eq!(open(&backend).unwrap().snapshot().unwrap().sequence().unwrap(), sequence);
    }
}

/// A blob that is also a file of a live tree stayed with its row, the recipe of its layer did not:
/// the import of that image believed the row and failed for ever.
#[test]
fn a_blob_that_outlives_its_recipe_forgets_its_layer() {
    for percent in [0, 101] {
        let backend = world();
        let store = open(&backend).unwrap();
        let options = SweepOptions { rewrite_below_percent: percent, ..SweepOptions::default() };
        let no_recipes = &mut |_: &Snapshot| -> Result<Box<Live<'static>>> {
            Ok(Box::new(|kind, _| kind != ObjectKind::Recipe))
        };
        let layers = |store: &Store| -> Vec<_> {
            store.snapshot().unwrap().blobs().unwrap().into_iter().map(|(_, blob)| blob.diff_id).collect()
        };
        assert!(layers(&store).iter().all(Option::is_some));
        store.sweep(no_recipes, &options, &Silent).unwrap();
        assert_eq!(layers(&store), [None, None], "{percent}");
        assert_sound(&store, "swept");
        let found = picture(&store).unwrap();
        store.rebuild_index(&Silent).unwrap();
        assert_eq!(picture(&store).unwrap(), found, "{percent}");
        // And the layer can be told anew.
        commit_version(&store, 1).unwrap();
        assert!(layers(&store).iter().any(Option::is_some));
        assert_sound(&store, "put again");
    }
}
