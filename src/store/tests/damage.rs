//! Every damage at every place: a clear error or a full recovery, never a panic, never other
//! bytes than were put.

use crate::error::Error;
use crate::progress::Silent;
use crate::store::Config;
use crate::store::ObjectKind;
use crate::store::Store;
use crate::store::SweepOptions;
use crate::store::VerifyOptions;
use crate::store::pack::Class;
use crate::store::pack::pack_name;
use crate::store::tests::commit_version;
use crate::store::tests::options;
use crate::store::tests::picture;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

#[derive(Clone, Copy, Debug)]
enum Damage {
    Flip,
    Truncate,
    Delete,
    Zero,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// Nothing is wrong for a user.
    Same,
    /// The check tells, and what can still be read is right.
    Told,
    /// The store does not open, and says why.
    Refused,
}

fn world() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create(folder.path(), &Config::default(), &options()).unwrap();
    commit_version(&store, 1).unwrap();
    commit_version(&store, 2).unwrap();
    folder
}

/// The largest pack of the class in the header byte at 10.
fn pack(folder: &Path, class: u8) -> PathBuf {
    let mut packs = Vec::new();
    for fold in fs::read_dir(folder.join("packs")).unwrap() {
        packs.extend(fs::read_dir(fold.unwrap().path()).unwrap().map(|entry| entry.unwrap().path()));
    }
    packs.retain(|path| fs::read(path).unwrap()[10] == class);
    packs.sort();
    packs.pop().unwrap()
}

fn spoil(path: &Path, damage: Damage, at: usize) {
    let mut bytes = fs::read(path).unwrap_or_default();
    let at = at.min(bytes.len().saturating_sub(1));
    match damage {
        Damage::Flip => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 0x55),
        Damage::Zero => bytes.iter_mut().skip(at).take(64).for_each(|byte| *byte = 0),
        Damage::Truncate => bytes.truncate(at),
        Damage::Delete => {
            let _ = fs::remove_file(path);
            return;
        }
    }
    fs::write(path, bytes).unwrap();
}

/// Spoils a file and says how the store takes it.
fn outcome(file: impl Fn(&Path) -> PathBuf, damage: Damage, at: impl Fn(usize) -> usize) -> Outcome {
    let folder = world();
    let before = picture(&Store::open(folder.path(), &options()).unwrap()).unwrap();
    let path = file(folder.path());
    spoil(&path, damage, at(fs::metadata(&path).map_or(0, |meta| meta.len() as usize)));
    let store = match Store::open(folder.path(), &options()) {
        Ok(store) => store,
        Err(err) => {
            assert!(!err.to_string().is_empty());
            return Outcome::Refused;
        }
    };
    let picture = picture(&store);
    let seen = store.verify(&VerifyOptions { read_data: true }, &Silent);
    let problems = match seen {
        Ok(seen) => seen.problems,
        Err(err) => vec![err],
    };
    match picture {
        Ok(found) if problems.is_empty() => {
            assert_eq!(found, before);
            Outcome::Same
        }
        // What is told at all is told as it was.
        Ok(found) => {
            assert!(found.iter().all(|(key, value)| before.get(key) == Some(value)), "{problems:?}");
            Outcome::Told
        }
        Err(_) => {
            assert!(!problems.is_empty());
            Outcome::Told
        }
    }
}

#[test]
fn damage_in_a_pack_is_told() {
    type Place = (&'static str, fn(usize) -> usize);
    let places: [Place; 7] = [
        ("magic", |_| 0),
        ("version", |_| 8),
        ("frame header", |_| 17),
        ("frame body", |_| 60),
        ("footer", |len| len - 100),
        ("trailer", |len| len - 30),
        ("seal", |len| len - 1),
    ];
    for class in [1, 2] {
        for (place, at) in places {
            for damage in [Damage::Flip, Damage::Truncate, Damage::Delete, Damage::Zero] {
                let found = outcome(|folder| pack(folder, class), damage, at);
                assert_eq!(found, Outcome::Told, "{damage:?} of the {place} of class {class}");
            }
        }
    }
}

#[test]
fn a_lost_or_cut_index_comes_back_by_itself() {
    let index = |folder: &Path| folder.join("meta.redb");
    assert_eq!(outcome(index, Damage::Delete, |_| 0), Outcome::Same);
    for at in [0, 1, 100, 4_096] {
        assert_eq!(outcome(index, Damage::Truncate, |_| at), Outcome::Same, "cut at {at}");
    }
    // Cut far behind the tables' roots it opens, and tells when it is asked for what is gone.
    assert_ne!(outcome(index, Damage::Truncate, |len| len / 2), Outcome::Refused);
    assert_eq!(outcome(index, Damage::Flip, |_| 0), Outcome::Same);
}

#[test]
fn no_damaged_index_gives_other_answers() {
    // redb trusts its pages, so what a flip does depends on where it falls; what never happens is
    // a panic that gets out or an answer that was not given before.
    for part in 0..40 {
        outcome(|folder| folder.join("meta.redb"), Damage::Zero, |len| len / 40 * part + 13);
    }
}

#[test]
fn a_damaged_configuration_is_refused_and_locks_do_not_matter() {
    let config = |folder: &Path| folder.join("imgit.toml");
    for damage in [Damage::Truncate, Damage::Delete, Damage::Zero] {
        assert_eq!(outcome(config, damage, |_| 0), Outcome::Refused, "{damage:?}");
    }
    for lock in ["locks/commit", "locks/writers"] {
        for damage in [Damage::Flip, Damage::Truncate, Damage::Delete] {
            assert_eq!(
                outcome(|folder| folder.join(lock), damage, |_| 3),
                Outcome::Same,
                "{lock} {damage:?}"
            );
        }
    }
}

#[test]
fn a_rebuild_leaves_out_what_cannot_be_read_and_says_so() {
    let folder = world();
    spoil(&pack(folder.path(), 1), Damage::Flip, usize::MAX);
    fs::remove_file(folder.path().join("meta.redb")).unwrap();
    let store = Store::open(folder.path(), &options()).unwrap();
    store.snapshot().unwrap();
    let rebuilt = store.take_rebuilt().unwrap();
    assert!(matches!(rebuilt.problems[..], [Error::Corrupt { .. }]), "{:?}", rebuilt.problems);
    assert_eq!(store.snapshot().unwrap().counts().unwrap().commits, 1);
    // The version that was lost can be imported again.
    commit_version(&store, 1).unwrap();
    commit_version(&store, 2).unwrap();
    assert_eq!(store.snapshot().unwrap().counts().unwrap().commits, 2);
}

/// One flipped byte and a lost index: the rebuild left the pack out, refs went back in time, the
/// check called the store sound, and collection then destroyed what only that pack led to.
#[test]
fn a_pack_that_a_rebuild_left_out_is_damage_and_nothing_is_collected_meanwhile() {
    for class in [1, 2] {
        let folder = world();
        let path = pack(folder.path(), class);
        let whole = fs::read(&path).unwrap();
        spoil(&path, Damage::Flip, whole.len() - 30);
        fs::remove_file(folder.path().join("meta.redb")).unwrap();
        let store = Store::open(folder.path(), &options()).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        let told = |store: &Store| {
            let problems = store.verify(&VerifyOptions::default(), &Silent).unwrap().problems;
            problems.iter().any(|problem| problem.to_string().contains(name))
        };
        let keep_all = &mut |_: &_| Ok(Box::new(|_, _: &_| true) as Box<_>);
        let mut refused = |store: &Store| match store.sweep(keep_all, &SweepOptions::default(), &Silent) {
            // Perhaps its companion first: that is left out with it.
            Err(Error::Corrupt { thing, .. }) => thing.starts_with("packs/"),
            _ => false,
        };
        assert!(told(&store) && refused(&store), "unreadable, class {class}");
        // It comes back from a backup: readable, and still not in the index.
        fs::write(&path, &whole).unwrap();
        let store = Store::open(folder.path(), &options()).unwrap();
        assert!(told(&store) && refused(&store), "back, class {class}");
        store.rebuild_index(&Silent).unwrap();
        assert!(!told(&store) && !refused(&store), "rebuilt, class {class}");
    }
}

/// A pack was left out, the next transaction got its number, and when the pack was back one of the
/// two journals was thrown away at each rebuild, with all its moves.
#[test]
fn two_transactions_of_one_number_are_both_replayed() {
    let folder = world();
    let open = || Store::open(folder.path(), &options()).unwrap();
    let lost = open().snapshot().unwrap().reference(b"main").unwrap().unwrap().commit;
    // The main pack of the second version: the one that holds its commit.
    let newest = open().snapshot().unwrap().packs().unwrap();
    let (id, _) = newest
        .into_iter()
        .filter(|(_, row)| row.class == Class::Files)
        .max_by_key(|(_, row)| row.sequence)
        .unwrap();
    let path = folder.path().join(pack_name(&id));
    fs::rename(&path, folder.path().join("aside")).unwrap();
    open().rebuild_index(&Silent).unwrap();
    let again = commit_version(&open(), 3).unwrap();
    assert_eq!(again.sequence, 2);
    fs::rename(folder.path().join("aside"), &path).unwrap();
    for deed in ["rebuilt", "swept"] {
        let rebuilt = open().rebuild_index(&Silent).unwrap();
        let log = open().snapshot().unwrap().log(b"main").unwrap();
        let to: Vec<_> = log.iter().filter_map(|entry| entry.moved.new).collect();
        assert!(
            to.len() == 3 && to.contains(&lost) && to.contains(&again.moves[0].new.unwrap()),
            "{deed}: {to:?}"
        );
        if deed == "rebuilt" {
            let told = |problem: &Error| problem.to_string().contains("transaction 2");
            assert!(rebuilt.problems.iter().any(told), "{:?}", rebuilt.problems);
        }
        // Every pack is written anew, with the journals of the old ones.
        let all = SweepOptions { rewrite_below_percent: 101, ..SweepOptions::default() };
        let keep = &mut |_: &_| Ok(Box::new(|kind, _: &_| kind != ObjectKind::Recipe) as Box<_>);
        open().sweep(keep, &all, &Silent).unwrap();
    }
}
