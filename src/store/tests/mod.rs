//! The store as its callers see it: on a real folder, and on a disk in memory that fails.

mod crash;
mod damage;
mod encoded;
mod measure;
mod sharing;
mod staged;
mod whole;

use crate::attr::Attr;
use crate::attr::Time;
use crate::content::ContentSink;
use crate::id::ChainId;
use crate::id::CommitId;
use crate::id::ContentId;
use crate::id::DiffId;
use crate::id::TreeId;
use crate::progress::Silent;
use crate::store::BlobRow;
use crate::store::BlobSource;
use crate::store::Committed;
use crate::store::Expected;
use crate::store::Move;
use crate::store::OpenOptions;
use crate::store::RefKind;
use crate::store::RefMove;
use crate::store::Store;
use crate::store::Transaction;
use crate::tree::Entry;
use crate::tree::Kind;
use crate::tree::Node;
use crate::tree::NodeSink;
use crate::tree::Tree;
use std::collections::BTreeMap;
use std::io::Read;
use std::time::Duration;

pub fn options() -> OpenOptions {
    OpenOptions { lock_timeout: Duration::from_secs(5), ..OpenOptions::default() }
}

/// The same bytes for the same seed, not compressible.
pub fn noise(seed: u32, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()
    };
    let mut bytes: Vec<u8> = (0..len.div_ceil(4)).flat_map(|_| next()).collect();
    bytes.truncate(len);
    bytes
}

pub fn put(transaction: &mut Transaction, bytes: &[u8]) -> ContentId {
    let id = transaction.put(bytes.len() as u64, &mut &bytes[..]).unwrap();
    assert_eq!(id, ContentId::of(bytes));
    id
}

pub fn read(store: &Store, id: &ContentId) -> crate::error::Result<Vec<u8>> {
    let location =
        store.locate(&[*id])?[0].ok_or_else(|| crate::error::Error::not_found("content", id.to_string()))?;
    let mut bytes = Vec::new();
    store
        .open_content(&location, 0, location.len)?
        .read_to_end(&mut bytes)
        .map_err(|err| crate::error::from_stream("content", err))?;
    Ok(bytes)
}

pub fn ref_move(name: &str, expected: Expected, new: Option<CommitId>) -> RefMove {
    RefMove {
        expected,
        moved: Move {
            name: name.into(),
            kind: RefKind::Branch,
            old: None,
            new,
            time: Time { secs: 1_700_000_000, nanos: 5 },
            who: "Ada <ada@example.org>".to_owned(),
            message: "import".to_owned(),
        },
    }
}

/// Puts a small version: one content, a tree of two nodes, a chain, a recipe, a kept blob, a
/// commit, and moves `main` to it.
pub fn put_version(transaction: &mut Transaction, seed: u32) -> crate::error::Result<CommitId> {
    let bytes = noise(seed, 3_000);
    let content = transaction.put(bytes.len() as u64, &mut &bytes[..])?;
    let file = |name: &str| Entry {
        name: name.as_bytes().into(),
        kind: Kind::File { content, size: 3_000 },
        attr: Attr::default(),
    };
    let below = transaction.put_node(&Node { entries: vec![file("passwd"), file(&format!("v{seed}"))] })?;
    let etc = Entry { name: b"etc"[..].into(), kind: Kind::Dir(below), attr: Attr::default() };
    let root = transaction.put_node(&Node { entries: vec![etc] })?;
    let tree = transaction.put_tree(&Tree {
        root,
        root_attr: Attr::default(),
        hardlinks: Vec::new(),
        entries: 3,
        bytes: 6_000,
    })?;
    let layer = DiffId::of(&seed.to_le_bytes());
    transaction.put_chain(ChainId(layer.0), tree);
    let recipe = format!("recipe of {seed}").repeat(100);
    transaction.put_recipe(layer, recipe.len() as u64, &mut recipe.as_bytes())?;
    let blob = noise(seed + 1_000, 2_000);
    let kept = ContentId::of(&blob);
    let mut writer = transaction.blob_writer();
    blob.chunks(600).try_for_each(|bytes| writer.write(bytes))?;
    writer.finish(kept, None)?;
    transaction.put_blob(
        format!("sha256:{kept}").as_bytes(),
        BlobRow { source: BlobSource::Content(kept), size: 2_000, diff_id: Some(layer) },
    );
    let commit = transaction.put_commit(format!("commit of {seed}").into_bytes(), &[tree])?;
    transaction.move_ref(ref_move("main", Expected::Any, Some(commit)))?;
    Ok(commit)
}

pub fn commit_version(store: &Store, seed: u32) -> crate::error::Result<Committed> {
    let mut transaction = store.begin()?;
    put_version(&mut transaction, seed)?;
    transaction.commit(&Silent)
}

/// Everything that can be asked of a store, as text: two stores with equal pictures are equal.
pub fn picture(store: &Store) -> crate::error::Result<BTreeMap<String, String>> {
    let mut picture = BTreeMap::new();
    let snapshot = store.snapshot()?;
    for row in snapshot.refs(b"")? {
        picture.insert(format!("ref {}", crate::path::shown(&row.name)), row.commit.to_string());
    }
    for entry in snapshot.logs()? {
        let key =
            format!("log {} {} {}", crate::path::shown(&entry.moved.name), entry.sequence, entry.number);
        picture.insert(key, format!("{:?}", entry.moved));
    }
    for (digest, blob) in snapshot.blobs()? {
        picture.insert(format!("blob {}", crate::path::shown(&digest)), format!("{blob:?}"));
    }
    for (chain, tree) in snapshot.chains()? {
        picture.insert(format!("chain {chain}"), format!("{:?}", snapshot.tree(&tree)?));
        let commits: Vec<CommitId> = snapshot.commits_of_tree(&tree)?;
        picture.insert(format!("commits of {tree}"), format!("{commits:?}"));
    }
    let every = "0123456789abcdef".chars().map(String::from);
    for digit in every {
        for id in snapshot.commits_by_hex(&digit, 1_000)? {
            picture.insert(format!("commit {id}"), format!("{:?}", snapshot.commit(&id)?));
        }
        for id in snapshot.contents_by_hex(&digit, 1_000)? {
            let parents = snapshot.parents_of_content(&id)?;
            let hash = ContentId::of(&read(store, &id)?);
            picture.insert(format!("content {id}"), format!("{hash} in {parents:?}"));
        }
    }
    snapshot.names(b"", &mut |name, node| {
        picture.insert(format!("name {} {node:?}", crate::path::shown(name)), String::new());
        Ok(true)
    })?;
    picture.insert("sequence".to_owned(), snapshot.sequence()?.to_string());
    Ok(picture)
}

pub fn tree_of(store: &Store, commit: &CommitId) -> Option<TreeId> {
    let snapshot = store.snapshot().unwrap();
    let chains = snapshot.chains().unwrap();
    chains
        .into_iter()
        .map(|(_, tree)| tree)
        .find(|tree| snapshot.commits_of_tree(tree).unwrap().contains(commit))
}
