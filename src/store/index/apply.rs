//! Adding to the index: what a pack brings, and what its journal says. Commits and rebuilds both
//! go through here, so they cannot differ.

use crate::error::Result;
use crate::id::PackId;
use crate::store::index::fault;
use crate::store::index::remove;
use crate::store::index::tables;
use crate::store::index::tables::PackRow;
use crate::store::index::tables::Place;
use crate::store::index::tables::seal;
use crate::store::pack::ObjectKind;
use crate::store::pack::ObjectRow;
use crate::store::pack::footer::Footer;
use crate::store::pack::journal::Move;
use crate::store::pack::journal::Record;
use crate::store::pack::journal::Segment;
use crate::tree::Kind;
use crate::tree::Node;
use crate::tree::Tree;
use redb::ReadableTable as _;
use redb::WriteTransaction;
use std::borrow::Cow;

/// Gives the bytes of an object of the pack that is applied.
pub type Manifests<'a> = dyn FnMut(&ObjectRow) -> Result<Cow<'a, [u8]>> + 'a;

/// Makes every table, so that readers find them in a new index.
pub fn create_tables(txn: &WriteTransaction) -> Result<()> {
    macro_rules! create {
        ($($table:ident)*) => { $( txn.open_table(tables::$table).map_err(fault("create"))?; )* };
    }
    create!(PACKS ORDINALS CONTENTS RECIPES SHA1S NODES TREES COMMITS PARENTS NAMES ROOTS TREE_COMMITS);
    create!(BLOBS CHAINS REFS LOG);
    set_number(txn, tables::VERSION, tables::INDEX_VERSION)
}

pub fn number(txn: &WriteTransaction, name: &str) -> Result<u64> {
    let table = txn.open_table(tables::NUMBERS).map_err(fault("read"))?;
    let number = table.get(name).map_err(fault("read"))?;
    Ok(number.map_or(0, |number| number.value()))
}

pub fn set_number(txn: &WriteTransaction, name: &str, number: u64) -> Result<()> {
    let mut table = txn.open_table(tables::NUMBERS).map_err(fault("write"))?;
    table.insert(name, number).map_err(fault("write"))?;
    Ok(())
}

/// Adds a pack's objects; `false` if the index has them already.
///
/// An object that another pack brought first is still read from there; here its bytes are dead.
pub fn add_pack(
    txn: &WriteTransaction,
    id: &PackId,
    footer: &Footer,
    len: u64,
    manifests: &mut Manifests,
) -> Result<bool> {
    let mut packs = txn.open_table(tables::PACKS).map_err(fault("write"))?;
    if packs.get(&id.0).map_err(fault("read"))?.is_some() {
        return Ok(false);
    }
    let ordinal = number(txn, tables::NEXT_ORDINAL)? as u32;
    set_number(txn, tables::NEXT_ORDINAL, u64::from(ordinal) + 1)?;
    let mut ordinals = txn.open_table(tables::ORDINALS).map_err(fault("write"))?;
    ordinals.insert(ordinal, &id.0).map_err(fault("write"))?;

    let (bytes, dead) = add_places(txn, ordinal, footer)?;
    add_nodes(txn, footer, manifests)?;
    add_trees_and_commits(txn, footer, manifests)?;

    let row = PackRow {
        ordinal,
        class: footer.class,
        sequence: footer.sequence,
        len,
        objects: footer.objects.len() as u64,
        bytes,
        dead,
    };
    packs.insert(&id.0, &seal(&id.0, row.encode())[..]).map_err(fault("write"))?;
    raise_sequence(txn, footer.sequence)?;
    Ok(true)
}

pub fn has_pack(txn: &WriteTransaction, id: &PackId) -> Result<bool> {
    let packs = txn.open_table(tables::PACKS).map_err(fault("read"))?;
    Ok(packs.get(&id.0).map_err(fault("read"))?.is_some())
}

/// Does what the pack's own transaction said; other segments in it are carried for packs that it
/// replaced, and were done long ago.
pub fn add_own_segment(txn: &WriteTransaction, footer: &Footer) -> Result<()> {
    let mut own = footer.journal.iter().filter(|segment| segment.sequence == footer.sequence);
    own.try_for_each(|segment| add_segment(txn, segment, 0).map(drop))
}

fn raise_sequence(txn: &WriteTransaction, sequence: u64) -> Result<()> {
    if sequence > number(txn, tables::SEQUENCE)? {
        set_number(txn, tables::SEQUENCE, sequence)?;
    }
    Ok(())
}

fn add_places(txn: &WriteTransaction, ordinal: u32, footer: &Footer) -> Result<(u64, u64)> {
    let offsets = footer.offsets();
    let (mut bytes, mut dead) = (0, 0);
    let mut rows: Vec<&ObjectRow> = footer
        .objects
        .iter()
        .filter(|row| matches!(row.kind, ObjectKind::Content | ObjectKind::Recipe))
        .collect();
    // In the order of their keys: redb takes sorted rows two to ten times faster.
    rows.sort_by_key(|row| row.id);
    let mut contents = txn.open_table(tables::CONTENTS).map_err(fault("write"))?;
    let mut recipes = txn.open_table(tables::RECIPES).map_err(fault("write"))?;
    let mut sha1s = Vec::new();
    for row in rows {
        bytes += row.len;
        let place = Place { ordinal, frame: offsets[row.frame as usize], skip: row.skip, len: row.len };
        let table = if row.kind == ObjectKind::Content { &mut contents } else { &mut recipes };
        if table.get(&row.id).map_err(fault("read"))?.is_some() {
            dead += row.len;
            continue;
        }
        table.insert(&row.id, &place.encode(&row.id)).map_err(fault("write"))?;
        if let Some(sha1) = row.sha1 {
            let mut key = [0; 52];
            key[..20].copy_from_slice(&sha1.0);
            key[20..].copy_from_slice(&row.id);
            sha1s.push(key);
        }
    }
    sha1s.sort_unstable();
    let mut table = txn.open_table(tables::SHA1S).map_err(fault("write"))?;
    for key in &sha1s {
        table.insert(key, ()).map_err(fault("write"))?;
    }
    Ok((bytes, dead))
}

fn add_nodes(txn: &WriteTransaction, footer: &Footer, manifests: &mut Manifests) -> Result<()> {
    let mut nodes = Vec::new();
    for row in footer.objects.iter().filter(|row| row.kind == ObjectKind::Node) {
        nodes.push((row.id, manifests(row)?));
    }
    nodes.sort_by_key(|(id, _)| *id);
    let mut table = txn.open_table(tables::NODES).map_err(fault("write"))?;
    let (mut parents, mut names) = (Vec::new(), Vec::new());
    for (id, bytes) in &nodes {
        let before = table.insert(id, &bytes[..]).map_err(fault("write"))?;
        if before.is_none() {
            derived_rows(id, &Node::decode(bytes)?, &mut parents, &mut names);
        }
    }
    parents.sort_unstable();
    parents.dedup();
    names.sort_unstable();
    let mut table = txn.open_table(tables::PARENTS).map_err(fault("write"))?;
    for key in &parents {
        table.insert(key, ()).map_err(fault("write"))?;
    }
    let mut table = txn.open_table(tables::NAMES).map_err(fault("write"))?;
    for key in &names {
        table.insert(&key[..], ()).map_err(fault("write"))?;
    }
    Ok(())
}

/// The rows that make a node findable by its children and by its entries' names.
pub fn derived_rows(id: &[u8; 32], node: &Node, parents: &mut Vec<[u8; 16]>, names: &mut Vec<Vec<u8>>) {
    for entry in &node.entries {
        names.push(tables::name_key(&entry.name, id));
        match &entry.kind {
            Kind::File { content, .. } => parents.push(tables::parent_key(&content.0, id)),
            Kind::Dir(ids) => parents.push(tables::parent_key(&ids.full.0, id)),
            _ => {}
        }
    }
}

fn add_trees_and_commits(txn: &WriteTransaction, footer: &Footer, manifests: &mut Manifests) -> Result<()> {
    let mut trees = txn.open_table(tables::TREES).map_err(fault("write"))?;
    let mut roots = txn.open_table(tables::ROOTS).map_err(fault("write"))?;
    let mut commits = txn.open_table(tables::COMMITS).map_err(fault("write"))?;
    for row in &footer.objects {
        match row.kind {
            ObjectKind::Tree => {
                let bytes = manifests(row)?;
                let tree = Tree::decode(&bytes)?;
                trees.insert(&row.id, &bytes[..]).map_err(fault("write"))?;
                roots.insert(&tables::pair(&tree.root.full.0, &row.id), ()).map_err(fault("write"))?;
            }
            ObjectKind::Commit => {
                let bytes = manifests(row)?;
                commits.insert(&row.id, &bytes[..]).map_err(fault("write"))?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Does what the records of one transaction say. Its moves are numbered from `moves` on; returns
/// the number after the last.
pub fn add_segment(txn: &WriteTransaction, segment: &Segment, mut moves: u32) -> Result<u32> {
    for record in &segment.records {
        match record {
            Record::Move(one) => {
                add_move(txn, segment.sequence, moves, one)?;
                moves += 1;
            }
            Record::Blob { digest, blob } => {
                let mut value = Vec::new();
                blob.encode(&mut value);
                let mut table = txn.open_table(tables::BLOBS).map_err(fault("write"))?;
                table.insert(&digest[..], &seal(digest, value)[..]).map_err(fault("write"))?;
            }
            Record::Chain { chain, tree } => {
                let mut table = txn.open_table(tables::CHAINS).map_err(fault("write"))?;
                table.insert(&chain.0, &seal(&chain.0, tree.0.to_vec())[..]).map_err(fault("write"))?;
            }
            Record::CommitTrees { commit, trees } => {
                let mut table = txn.open_table(tables::TREE_COMMITS).map_err(fault("write"))?;
                for tree in trees {
                    table.insert(&tables::pair(&tree.0, &commit.0), ()).map_err(fault("write"))?;
                }
            }
            Record::ExpireLog { before } => remove::expire_log(txn, *before)?,
            Record::Drop { kind, ids } => remove::drop_objects(txn, *kind, ids)?,
            Record::DropBlob { digest } => {
                let mut table = txn.open_table(tables::BLOBS).map_err(fault("write"))?;
                table.remove(&digest[..]).map_err(fault("write"))?;
            }
            Record::DropChain { chain } => {
                let mut table = txn.open_table(tables::CHAINS).map_err(fault("write"))?;
                table.remove(&chain.0).map_err(fault("write"))?;
            }
        }
    }
    raise_sequence(txn, segment.sequence)?;
    Ok(moves)
}

fn add_move(txn: &WriteTransaction, sequence: u64, number: u32, one: &Move) -> Result<()> {
    let mut refs = txn.open_table(tables::REFS).map_err(fault("write"))?;
    match one.new {
        Some(commit) => {
            let mut value = vec![one.kind.code()];
            value.extend_from_slice(&commit.0);
            refs.insert(&one.name[..], &seal(&one.name, value)[..]).map_err(fault("write"))?;
        }
        None => {
            refs.remove(&one.name[..]).map_err(fault("write"))?;
        }
    }
    let key = tables::log_key(&one.name, sequence, number);
    let mut value = Vec::new();
    one.encode(&mut value);
    let mut log = txn.open_table(tables::LOG).map_err(fault("write"))?;
    log.insert(&key[..], &seal(&key, value)[..]).map_err(fault("write"))?;
    Ok(())
}
