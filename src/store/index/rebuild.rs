//! Making the index anew from the packs alone.
//!
//! Everything is replayed in the order in which it became visible, through the same code as the
//! commits themselves, so refs and reflog come back exactly as they were. A pack that cannot be
//! read is reported and left out; the rest is still worth having.

use crate::error::Error;
use crate::error::Result;
use crate::id::PackId;
use crate::store::backend::Backend;
use crate::store::index::INDEX_NAME;
use crate::store::index::apply;
use crate::store::index::fault;
use crate::store::index::guarded;
use crate::store::index::open_write;
use crate::store::index::tables;
use crate::store::pack::ObjectKind;
use crate::store::pack::ObjectRow;
use crate::store::pack::footer::Footer;
use crate::store::pack::journal::BlobRow;
use crate::store::pack::journal::Segment;
use crate::store::pack::pack_name;
use crate::store::pack::parse_pack_name;
use crate::store::pack::reader::PackReader;
use redb::ReadableTable as _;
use redb::WriteTransaction;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

/// The segments of one sequence number, each once, and the pack it was found in. Two that differ
/// have come to be when a rebuild had left out a pack and its number was given out again.
type Journal = BTreeMap<u64, Vec<(PackId, Segment)>>;

const NEW_INDEX_NAME: &str = "tmp/meta.redb.new";

/// What a rebuild found.
#[derive(Debug, Default)]
pub struct Rebuilt {
    pub packs: u64,
    /// Packs that could not be read and are missing from the index: their refs are as they were
    /// before.
    pub problems: Vec<Error>,
}

/// Rebuilds the index; the caller holds the commit lock. The old one is replaced in one step, so
/// readers see either.
pub fn rebuild(backend: &dyn Backend, packs: &Arc<PackReader>, timeout: Duration) -> Result<Rebuilt> {
    let mut rebuilt = Rebuilt::default();
    let (mut footers, mut journal) = (BTreeMap::new(), Journal::new());
    let (mut replaced, mut companions) = (HashSet::new(), HashSet::new());
    for name in backend.list("packs")? {
        let Some(id) = parse_pack_name(&name) else { continue };
        match packs.footer(&id) {
            Ok(mut footer) => {
                replaced.extend(std::mem::take(&mut footer.replaces));
                companions.extend(std::mem::take(&mut footer.companions));
                for segment in std::mem::take(&mut footer.journal) {
                    // The same segment stands in two packs when a crash kept one that collection
                    // had rewritten.
                    let found = journal.entry(segment.sequence).or_default();
                    if found.iter().all(|(_, known)| *known != segment) {
                        found.push((id, segment));
                    }
                }
                footers.insert((footer.sequence, id), footer.companion);
            }
            Err(err) => rebuilt.problems.push(err),
        }
    }
    // A rewritten pack is in its successor; a companion without its pack never became visible.
    footers.retain(|(_, id), companion| !replaced.contains(id) && (!*companion || companions.contains(id)));

    for (sequence, found) in journal.iter_mut().filter(|(_, found)| found.len() > 1) {
        found.sort_by_key(|(id, _)| *id);
        rebuilt.problems.push(given_twice(*sequence, found));
    }

    backend.delete(NEW_INDEX_NAME)?;
    let database = open_write(backend, NEW_INDEX_NAME, true, timeout)?;
    guarded("rebuild", || {
        let txn = database.begin_write().map_err(fault("rebuild"))?;
        apply::create_tables(&txn)?;
        replay(&txn, backend, packs, footers.into_keys().collect(), journal, &mut rebuilt)?;
        drop_dangling(&txn)?;
        txn.commit().map_err(fault("rebuild"))?;
        database.close().map_err(fault("rebuild"))
    })?;
    backend.rename(NEW_INDEX_NAME, INDEX_NAME)?;
    Ok(rebuilt)
}

/// Adds packs and segments in the order of their sequence numbers, a pack before its segment.
fn replay(
    txn: &WriteTransaction,
    backend: &dyn Backend,
    packs: &Arc<PackReader>,
    ids: Vec<(u64, PackId)>,
    mut journal: Journal,
    rebuilt: &mut Rebuilt,
) -> Result<()> {
    for (sequence, id) in ids {
        let later = journal.split_off(&sequence);
        add_segments(txn, std::mem::replace(&mut journal, later))?;
        let added = packs.footer(&id).and_then(|footer| {
            let manifests = read_manifests(packs, &id, &footer)?;
            let len = backend.open(&pack_name(&id))?.len();
            Ok((footer, manifests, len))
        });
        match added {
            Ok((footer, manifests, len)) => {
                let mut give = give_manifests(&manifests);
                apply::add_pack(txn, &id, &footer, len, &mut give)?;
                rebuilt.packs += 1;
            }
            Err(err) => rebuilt.problems.push(err),
        }
    }
    add_segments(txn, journal)
}

fn add_segments(txn: &WriteTransaction, journal: Journal) -> Result<()> {
    for found in journal.into_values() {
        // Numbered through, so that no line of the reflog takes the place of another.
        found.iter().try_fold(0, |moves, (_, segment)| apply::add_segment(txn, segment, moves))?;
    }
    Ok(())
}

fn given_twice(sequence: u64, found: &[(PackId, Segment)]) -> Error {
    let names: Vec<String> = found.iter().map(|(id, _)| pack_name(id)).collect();
    Error::Corrupt {
        thing: format!("transaction {sequence}"),
        expected: "one pack".to_owned(),
        found: format!("{}; all were replayed, in this order", names.join(", ")),
    }
}

/// The manifests of a pack by their kind and id.
pub type ManifestMap = BTreeMap<(crate::store::pack::ObjectKind, [u8; 32]), Vec<u8>>;

/// Reads nodes, trees and commits of a pack and checks that each is what its id says, so that
/// what goes into the index is never damaged.
pub fn read_manifests(packs: &Arc<PackReader>, id: &PackId, footer: &Footer) -> Result<ManifestMap> {
    use crate::store::pack::ObjectKind;
    let offsets = footer.offsets();
    let mut map = ManifestMap::new();
    for row in &footer.objects {
        if matches!(row.kind, ObjectKind::Content | ObjectKind::Recipe) {
            continue;
        }
        let bytes = packs.read(&Footer::location(*id, &offsets, row))?;
        check_manifest(row, &bytes)?;
        map.insert((row.kind, row.id), bytes);
    }
    Ok(map)
}

/// Says whether these bytes are the manifest that the row names, canonical and all.
pub fn check_manifest(row: &ObjectRow, bytes: &[u8]) -> Result<()> {
    crate::store::snapshot::check_hash(row.kind.noun(), &row.id, bytes)?;
    match row.kind {
        ObjectKind::Node => crate::tree::Node::decode(bytes).map(drop),
        ObjectKind::Tree => crate::tree::Tree::decode(bytes).map(drop),
        _ => Ok(()),
    }
}

pub fn give_manifests<'a>(map: &'a ManifestMap) -> impl FnMut(&ObjectRow) -> Result<Cow<'a, [u8]>> + 'a {
    |row| match map.get(&(row.kind, row.id)) {
        Some(bytes) => Ok(Cow::Borrowed(&bytes[..])),
        None => Err(Error::not_found(row.kind.noun(), crate::id::hex(&row.id))),
    }
}

/// Removes blob and chain rows whose target is not there: with a pack lost, a later import must
/// not believe them. So does a blob's word for a layer whose recipe is not there.
fn drop_dangling(txn: &WriteTransaction) -> Result<()> {
    let contents = txn.open_table(tables::CONTENTS).map_err(fault("rebuild"))?;
    let recipes = txn.open_table(tables::RECIPES).map_err(fault("rebuild"))?;
    let trees = txn.open_table(tables::TREES).map_err(fault("rebuild"))?;
    let (mut gone, mut forgetful) = (Vec::new(), Vec::new());
    let mut blobs = txn.open_table(tables::BLOBS).map_err(fault("rebuild"))?;
    for row in blobs.iter().map_err(fault("rebuild"))? {
        let (key, row) = row.map_err(fault("rebuild"))?;
        let value = tables::unseal("blobs", key.value(), row.value())?;
        let blob = BlobRow::decode(&mut crate::store::bytes::Take::new("blobs", value))?;
        let there = blob.source.objects().try_fold(true, |there, (kind, id)| {
            let found = match kind {
                ObjectKind::Recipe => recipes.get(&id),
                _ => contents.get(&id),
            };
            Ok(there && found.map_err(fault("rebuild"))?.is_some())
        })?;
        if !there {
            gone.push(key.value().to_vec());
        } else if let Some(id) = blob.diff_id
            && recipes.get(&id.0).map_err(fault("rebuild"))?.is_none()
        {
            forgetful.push((key.value().to_vec(), BlobRow { diff_id: None, ..blob }));
        }
    }
    for (key, blob) in forgetful {
        let mut value = Vec::new();
        blob.encode(&mut value);
        blobs.insert(&key[..], &tables::seal(&key, value)[..]).map_err(fault("rebuild"))?;
    }
    for key in gone {
        blobs.remove(&key[..]).map_err(fault("rebuild"))?;
    }
    let mut gone = Vec::new();
    let mut chains = txn.open_table(tables::CHAINS).map_err(fault("rebuild"))?;
    for row in chains.iter().map_err(fault("rebuild"))? {
        let (key, row) = row.map_err(fault("rebuild"))?;
        let value = tables::unseal("chains", key.value(), row.value())?;
        let there = match value.first_chunk::<32>() {
            Some(tree) => trees.get(tree).map_err(fault("rebuild"))?.is_some(),
            None => false,
        };
        if !there {
            gone.push(*key.value());
        }
    }
    for key in gone {
        chains.remove(&key).map_err(fault("rebuild"))?;
    }
    Ok(())
}
