//! What a transaction has put can be read before it is committed, wherever it is by then.

use crate::content::ContentSource;
use crate::error::Result;
use crate::id::ContentId;
use crate::progress::Silent;
use crate::store::Config;
use crate::store::OpenOptions;
use crate::store::Store;
use crate::store::Transaction;
use crate::store::backend::Backend;
use crate::store::backend::dir::DirBackend;
use crate::store::backend::faulty::Fault;
use crate::store::backend::faulty::Faults;
use crate::store::backend::mem::MemBackend;
use crate::store::tests::noise;
use crate::store::tests::options;
use crate::store::tests::put;
use crate::store::tests::read;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

fn part(source: &dyn ContentSource, id: &ContentId, offset: usize, len: usize) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut reader = source.open(id, offset as u64, len as u64)?;
    reader.read_to_end(&mut bytes).map_err(|err| crate::error::from_stream("content", err))?;
    Ok(bytes)
}

/// Puts a content and reads all that were put, whole and in parts.
fn put_and_read(transaction: &mut Transaction, contents: &[Vec<u8>], known: &[Vec<u8>]) {
    for (number, content) in contents.iter().enumerate() {
        put(transaction, content);
        if number % 16 != 0 {
            continue;
        }
        let source = transaction.contents().unwrap();
        let there: Vec<&Vec<u8>> = contents[..=number].iter().chain(known).rev().collect();
        source.will_open(&there.iter().map(|content| ContentId::of(content)).collect::<Vec<_>>()).unwrap();
        // By two threads, as an importer does.
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| there.iter().for_each(|content| check(&source, content)));
            }
        });
        assert!(source.open(&ContentId::of(b"never put"), 0, 0).is_err());
    }
}

fn check(source: &dyn ContentSource, content: &[u8]) {
    let (id, len) = (ContentId::of(content), content.len());
    assert!(part(source, &id, 0, len).unwrap() == content);
    assert!(part(source, &id, len / 3, len / 2).unwrap() == content[len / 3..][..len / 2]);
    assert_eq!(part(source, &id, len, 0).unwrap(), b"");
    assert!(source.open(&id, len as u64, 1).is_err());
    assert!(source.open(&id, 1, u64::MAX).is_err());
}

#[test]
fn contents_are_read_before_the_commit() {
    let folder = tempfile::tempdir().unwrap();
    let dir: Arc<dyn Backend> = Arc::new(DirBackend::create(folder.path()).unwrap());
    for backend in [dir, Arc::new(MemBackend::new(None))] {
        let store = Store::create_in(backend, &Config::default(), &options()).unwrap();
        let known = [noise(1, 5_000), noise(2, 700_000), vec![5; 100]];
        let mut transaction = store.begin().unwrap();
        known.iter().for_each(|content| assert_eq!(put(&mut transaction, content), ContentId::of(content)));
        transaction.commit(&Silent).unwrap();

        // Gathered, in runs of frames, empty, twice, and known to the store: in this order.
        let mut contents: Vec<Vec<u8>> = (0..40).map(|n| noise(100 + n, 1 + n as usize * 1_000)).collect();
        contents.extend([noise(3, 300_000), noise(4, 2_200_000), vec![9; 1_500_000], Vec::new()]);
        contents.extend([known[1].clone(), noise(5, 400), known[0].clone(), noise(100, 1)]);
        contents.push(noise(6, (32 << 20) + 5));
        let mut transaction = store.begin().unwrap();
        put_and_read(&mut transaction, &contents, &known);
        transaction.commit(&Silent).unwrap();
        for content in contents.iter().chain(&known) {
            assert!(read(&store, &ContentId::of(content)).unwrap() == *content);
        }
    }
}

#[test]
fn a_disk_that_fails_fails_the_reading_too() {
    let backend = MemBackend::new(None);
    Store::create_in(Arc::new(backend.clone()), &Config::default(), &options()).unwrap();
    let deed = |store: &Store| -> Result<()> {
        let mut transaction = store.begin()?;
        for seed in 0..5 {
            let bytes = noise(seed, 900_000);
            let id = crate::content::ContentSink::put(&mut transaction, 900_000, &mut &bytes[..])?;
            assert!(part(&transaction.contents()?, &id, 0, 900_000)? == bytes);
        }
        Ok(())
    };
    let options = OpenOptions { lock_timeout: Duration::from_millis(50), ..options() };
    let open = |faults: &Arc<Faults>| {
        Store::open_in(Arc::new(backend.copy().seen_by(Some(faults.hook()))), &options)
    };
    let count = Faults::never();
    deed(&open(&count).unwrap()).unwrap();
    for step in 0..count.steps() {
        let result = open(&Faults::at(step, Fault::Dead)).and_then(|store| deed(&store));
        // The last step only removes the draft.
        assert!(result.is_err() || step + 1 == count.steps(), "step {step} of {}", count.steps());
    }
}

#[test]
fn a_frame_that_is_damaged_on_its_way_is_noticed() {
    let backend = MemBackend::new(None);
    let store = Store::create_in(Arc::new(backend.clone()), &Config::default(), &options()).unwrap();
    let mut transaction = store.begin().unwrap();
    let id = put(&mut transaction, &noise(1, 600_000));
    drop(transaction.contents().unwrap());
    let draft = backend.list("tmp").unwrap().into_iter().find(|name| name.ends_with("pack")).unwrap();
    backend.damage(&draft, |bytes| bytes[300_000] ^= 1);
    assert!(part(&transaction.contents().unwrap(), &id, 0, 600_000).is_err());
}
