//! Several at once: threads here, each with a store of its own on one folder, as processes have.

use crate::error::Error;
use crate::id::CommitId;
use crate::progress::Silent;
use crate::store::Config;
use crate::store::Expected;
use crate::store::OpenOptions;
use crate::store::Store;
use crate::store::SweepOptions;
use crate::store::VerifyOptions;
use crate::store::tests::commit_version;
use crate::store::tests::options;
use crate::store::tests::put_version;
use crate::store::tests::ref_move;
use std::time::Duration;

#[test]
fn many_commit_and_read_at_once_and_nothing_is_lost() {
    const WRITERS: u32 = 4;
    const COMMITS: u32 = 5;
    let folder = tempfile::tempdir().unwrap();
    Store::create(folder.path(), &Config::default(), &options()).unwrap();
    let start = std::time::Instant::now();
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let place = folder.path();
            scope.spawn(move || {
                for number in 0..COMMITS {
                    let store = Store::open(place, &options()).unwrap();
                    commit_version(&store, writer * 100 + number).unwrap();
                }
            });
        }
        for _ in 0..2 {
            let place = folder.path();
            scope.spawn(move || {
                let store = Store::open(place, &options()).unwrap();
                let mut seen = 0;
                while seen < u64::from(WRITERS * COMMITS) {
                    let snapshot = store.snapshot().unwrap();
                    let now = snapshot.sequence().unwrap();
                    assert!(now >= seen);
                    // All of a transaction or nothing: as many moves as transactions.
                    assert_eq!(snapshot.logs().unwrap().len() as u64, now);
                    seen = now;
                    std::thread::sleep(Duration::from_millis(1));
                    assert!(start.elapsed() < Duration::from_secs(60), "a writer gave up");
                }
            });
        }
    });
    let store = Store::open(folder.path(), &options()).unwrap();
    assert!(store.take_rebuilt().is_none());
    let log = store.snapshot().unwrap().log(b"main").unwrap();
    assert_eq!(log.len(), (WRITERS * COMMITS) as usize);
    assert!(log.windows(2).all(|pair| pair[0].moved.new == pair[1].moved.old));
    let seen = store.verify(&VerifyOptions { read_data: true }, &Silent).unwrap();
    assert!(seen.problems.is_empty(), "{:?}", seen.problems);
}

#[test]
fn a_held_snapshot_stays_as_it_was_and_keeps_no_writer_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create(folder.path(), &Config::default(), &options()).unwrap();
    commit_version(&store, 1).unwrap();
    let snapshot = store.snapshot().unwrap();
    let before = snapshot.reference(b"main").unwrap();
    commit_version(&store, 2).unwrap();
    assert_eq!(snapshot.reference(b"main").unwrap(), before);
    assert_ne!(store.snapshot().unwrap().reference(b"main").unwrap(), before);
}

#[test]
fn a_ref_that_somebody_else_moved_is_not_moved_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create(folder.path(), &Config::default(), &options()).unwrap();
    let first = CommitId::of(b"commit of 1");
    let expect = |expected, new| {
        let mut transaction = store.begin().unwrap();
        put_version(&mut transaction, 1).unwrap();
        transaction.move_ref(ref_move("tag", expected, new)).unwrap();
        transaction.commit(&Silent)
    };
    expect(Expected::Is(None), Some(first)).unwrap();
    let before = store.snapshot().unwrap().sequence().unwrap();
    for wrong in [None, Some(CommitId::of(b"other"))] {
        assert!(matches!(expect(Expected::Is(wrong), None), Err(Error::Moved { .. })));
    }
    assert_eq!(store.snapshot().unwrap().sequence().unwrap(), before);
    assert_eq!(store.inner().backend.list("tmp").unwrap(), [""; 0]);
    let done = expect(Expected::Is(Some(first)), None).unwrap();
    assert_eq!(done.moves[1].old, Some(first));
    assert_eq!(store.snapshot().unwrap().reference(b"tag").unwrap(), None);
    assert_eq!(store.snapshot().unwrap().log(b"tag").unwrap().len(), 2);
}

/// A collection took the commit between its look-up and the move: the ref led to nothing.
#[test]
fn a_ref_is_not_moved_to_a_commit_that_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create(folder.path(), &Config::default(), &options()).unwrap();
    let there = commit_version(&store, 1).unwrap().moves[0].new;
    let point = |to| {
        let mut transaction = store.begin().unwrap();
        transaction.move_ref(ref_move("tag", Expected::Any, to)).unwrap();
        transaction.commit(&Silent)
    };
    match point(Some(CommitId::of(b"gone"))) {
        Err(Error::NotFound { kind: "commit", .. }) => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(store.snapshot().unwrap().reference(b"tag").unwrap(), None);
    point(there).unwrap();
    point(None).unwrap();
}

#[test]
fn who_waits_too_long_learns_for_whom() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create(folder.path(), &Config::default(), &options()).unwrap();
    let patient = OpenOptions { command: "import web.tar".to_owned(), ..options() };
    let hasty = OpenOptions { lock_timeout: Duration::from_millis(20), ..options() };
    let transaction = Store::open(folder.path(), &patient).unwrap().begin().unwrap();
    let hasty = Store::open(folder.path(), &hasty).unwrap();
    let keep_all = &mut |_: &_| Ok(Box::new(|_, _: &_| true) as Box<_>);
    match hasty.sweep(keep_all, &SweepOptions::default(), &Silent) {
        Err(Error::Locked { holder, .. }) => {
            assert!(holder.starts_with("import web.tar (process "), "{holder}")
        }
        other => panic!("{other:?}"),
    }
    drop(transaction);
    hasty.sweep(keep_all, &SweepOptions::default(), &Silent).unwrap();
    commit_version(&store, 1).unwrap();
}

#[test]
fn a_store_opened_for_reading_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(Store::open(folder.path(), &options()), Err(Error::NoStore { .. })));
    Store::create(folder.path(), &Config::default(), &options()).unwrap();
    let again = Store::create(folder.path(), &Config::default(), &options());
    assert!(matches!(again, Err(Error::Exists { .. })));
    let reader = Store::open(folder.path(), &OpenOptions { read_only: true, ..options() }).unwrap();
    assert!(matches!(reader.begin(), Err(Error::Usage(_))));
    assert_eq!(reader.snapshot().unwrap().sequence().unwrap(), 0);
}

/// Set for the process that commits until it is killed.
const VICTIM: &str = "IMGIT_TEST_VICTIM";

#[test]
#[ignore = "run by `a_killed_writer_leaves_a_sound_store` in a process of its own"]
fn victim() {
    let Some(place) = std::env::var_os(VICTIM) else { return };
    for seed in 0.. {
        let store = Store::open(place.as_ref(), &options()).unwrap();
        commit_version(&store, seed % 1_000).unwrap();
        println!("{seed}");
    }
}

#[test]
fn a_killed_writer_leaves_a_sound_store() {
    use std::io::BufRead as _;
    let folder = tempfile::tempdir().unwrap();
    Store::create(folder.path(), &Config::default(), &options()).unwrap();
    let mut commits = 0;
    for round in 0..12u64 {
        let mut victim = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["store::tests::sharing::victim", "--exact", "--ignored", "--nocapture"])
            .env(VICTIM, folder.path())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        // Let it commit at least once, then kill it at another moment of a commit each time.
        let mut lines = std::io::BufReader::new(victim.stdout.take().unwrap()).lines();
        let done = |line: &String| line.parse::<u32>().is_ok();
        assert!(lines.any(|line| line.as_ref().is_ok_and(done)));
        std::thread::sleep(Duration::from_micros(round * 1_700));
        victim.kill().unwrap();
        victim.wait().unwrap();
        let store = Store::open(folder.path(), &options()).unwrap();
        let log = store.snapshot().unwrap().log(b"main").unwrap();
        assert!(log.len() > commits, "round {round}");
        commits = log.len();
        let seen = store.verify(&VerifyOptions { read_data: true }, &Silent).unwrap();
        assert!(
            seen.problems.is_empty() && seen.strays.is_empty(),
            "{round}: {:?} {:?}",
            seen.problems,
            seen.strays
        );
    }
}
