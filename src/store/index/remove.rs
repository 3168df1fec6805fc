//! Removing from the index: what collection found dead, packs it rewrote, log entries grown old.

use crate::error::Result;
use crate::id::PackId;
use crate::store::bytes::Take;
use crate::store::index::apply::derived_rows;
use crate::store::index::fault;
use crate::store::index::tables;
use crate::store::index::tables::PackRow;
use crate::store::index::tables::Place;
use crate::store::index::tables::seal;
use crate::store::index::tables::unseal;
use crate::store::pack::ObjectKind;
use crate::store::pack::footer::Footer;
use crate::store::pack::journal::Move;
use crate::tree::Node;
use redb::ReadableTable as _;
use redb::WriteTransaction;
use std::collections::HashSet;

/// Removes log entries older than `before`, except each name's newest: a ref must keep saying
/// how it came to where it is.
pub fn expire_log(txn: &WriteTransaction, before: i64) -> Result<()> {
    let mut log = txn.open_table(tables::LOG).map_err(fault("write"))?;
    let mut old: Vec<Vec<u8>> = Vec::new();
    let mut last: Option<(Vec<u8>, bool)> = None;
    for row in log.iter().map_err(fault("read"))? {
        let (key, value) = row.map_err(fault("read"))?;
        let key = key.value();
        let Some((name, ..)) = tables::parse_log_key(key) else { continue };
        let entry = Move::decode(&mut Take::new("log", unseal("log", key, value.value())?))?;
        if let Some((last_key, true)) = last.take() {
            // Only with the next entry of the same name is this one not the newest.
            if tables::parse_log_key(&last_key).is_some_and(|(last_name, ..)| last_name == name) {
                old.push(last_key);
            }
        }
        last = Some((key.to_vec(), entry.time.secs < before));
    }
    for key in old {
        log.remove(&key[..]).map_err(fault("write"))?;
    }
    Ok(())
}

/// Removes objects and every row that was derived from them.
pub fn drop_objects(txn: &WriteTransaction, kind: ObjectKind, ids: &[[u8; 32]]) -> Result<()> {
    let gone: HashSet<&[u8; 32]> = ids.iter().collect();
    match kind {
        ObjectKind::Content => {
            let mut table = txn.open_table(tables::CONTENTS).map_err(fault("write"))?;
            for id in ids {
                table.remove(id).map_err(fault("write"))?;
            }
            let mut table = txn.open_table(tables::SHA1S).map_err(fault("write"))?;
            let keep = |key: &[u8; 52], ()| !key[20..].first_chunk().is_some_and(|id| gone.contains(id));
            table.retain(keep).map_err(fault("write"))?;
        }
        ObjectKind::Recipe => {
            let mut table = txn.open_table(tables::RECIPES).map_err(fault("write"))?;
            for id in ids {
                table.remove(id).map_err(fault("write"))?;
            }
        }
        ObjectKind::Node => drop_nodes(txn, ids)?,
        ObjectKind::Tree => {
            let mut table = txn.open_table(tables::TREES).map_err(fault("write"))?;
            for id in ids {
                table.remove(id).map_err(fault("write"))?;
            }
            drop_pairs(txn, tables::ROOTS, &gone)?;
        }
        ObjectKind::Commit => {
            let mut table = txn.open_table(tables::COMMITS).map_err(fault("write"))?;
            for id in ids {
                table.remove(id).map_err(fault("write"))?;
            }
            drop_pairs(txn, tables::TREE_COMMITS, &gone)?;
        }
    }
    Ok(())
}

fn drop_nodes(txn: &WriteTransaction, ids: &[[u8; 32]]) -> Result<()> {
    let mut nodes = txn.open_table(tables::NODES).map_err(fault("write"))?;
    let mut parents = txn.open_table(tables::PARENTS).map_err(fault("write"))?;
    let mut names = txn.open_table(tables::NAMES).map_err(fault("write"))?;
    for id in ids {
        let Some(bytes) = nodes.remove(id).map_err(fault("write"))? else { continue };
        let (mut parent_keys, mut name_keys) = (Vec::new(), Vec::new());
        derived_rows(id, &Node::decode(bytes.value())?, &mut parent_keys, &mut name_keys);
        for key in parent_keys {
            parents.remove(&key).map_err(fault("write"))?;
        }
        for key in name_keys {
            names.remove(&key[..]).map_err(fault("write"))?;
        }
    }
    Ok(())
}

/// Removes the pairs whose second id is gone.
fn drop_pairs(
    txn: &WriteTransaction,
    table: redb::TableDefinition<&[u8; 64], ()>,
    gone: &HashSet<&[u8; 32]>,
) -> Result<()> {
    let mut table = txn.open_table(table).map_err(fault("write"))?;
    let keep = |key: &[u8; 64], ()| !key[32..].first_chunk().is_some_and(|id| gone.contains(id));
    table.retain(keep).map_err(fault("write"))
}

/// Forgets a pack whose file is about to go, with every row that names it. Its live objects are
/// added again with the pack that replaces it, in the same transaction.
pub fn remove_pack(txn: &WriteTransaction, id: &PackId, footer: &Footer) -> Result<()> {
    let mut packs = txn.open_table(tables::PACKS).map_err(fault("write"))?;
    let Some(row) = packs.remove(&id.0).map_err(fault("write"))? else { return Ok(()) };
    let value = unseal("packs", &id.0, row.value())?;
    let ordinal = PackRow::decode(&mut Take::new("packs", value))?.ordinal;
    let mut ordinals = txn.open_table(tables::ORDINALS).map_err(fault("write"))?;
    ordinals.remove(ordinal).map_err(fault("write"))?;
    for (kind, table) in [(ObjectKind::Content, tables::CONTENTS), (ObjectKind::Recipe, tables::RECIPES)] {
        let mut table = txn.open_table(table).map_err(fault("write"))?;
        let mut ids: Vec<&[u8; 32]> =
            footer.objects.iter().filter(|row| row.kind == kind).map(|row| &row.id).collect();
        ids.sort_unstable();
        for id in ids {
            let here = match table.get(id).map_err(fault("read"))? {
                Some(row) => Place::decode(id, row.value())?.ordinal == ordinal,
                None => false,
            };
            if here {
                table.remove(id).map_err(fault("write"))?;
            }
        }
    }
    Ok(())
}

/// Notes how many bytes of a pack nothing needs any more.
pub fn set_dead(txn: &WriteTransaction, id: &PackId, dead: u64) -> Result<()> {
    let mut packs = txn.open_table(tables::PACKS).map_err(fault("write"))?;
    let row = match packs.get(&id.0).map_err(fault("read"))? {
        Some(row) => PackRow::decode(&mut Take::new("packs", unseal("packs", &id.0, row.value())?))?,
        None => return Ok(()),
    };
    let row = PackRow { dead, ..row };
    packs.insert(&id.0, &seal(&id.0, row.encode())[..]).map_err(fault("write"))?;
    Ok(())
}
