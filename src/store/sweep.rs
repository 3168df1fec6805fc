//! Collection: what nothing needs any more leaves the index, and packs that are mostly dead are
//! written anew without it.
//!
//! What is live is for the caller to say. He may mark at leisure before, and is asked once more
//! under the exclusive lock, when no ref can move. The journal survives: a new pack carries the
//! segments of those it replaces, and says what was dropped, so a rebuild gives the same store.

use crate::error::Result;
use crate::error::from_stream;
use crate::id::PackId;
use crate::progress::Progress;
use crate::store::Store;
use crate::store::backend::LockMode;
use crate::store::lock;
use crate::store::pack::Class;
use crate::store::pack::Location;
use crate::store::pack::ObjectKind;
use crate::store::pack::footer::Footer;
use crate::store::pack::frame::GATHERED_BYTES_MAX;
use crate::store::pack::frame::RUN_FRAME_BYTES;
use crate::store::pack::journal::BlobRow;
use crate::store::pack::journal::Record;
use crate::store::pack::journal::Segment;
use crate::store::pack::pack_name;
use crate::store::pack::writer::FinishedPack;
use crate::store::pack::writer::PackWriter;
use crate::store::publish::Publication;
use crate::store::snapshot::Snapshot;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::io::Read as _;

type Key = (ObjectKind, [u8; 32]);

/// Says whether an object is needed. Recipes are asked for by the id of what they rebuild.
pub type Live<'a> = dyn Fn(ObjectKind, &[u8; 32]) -> bool + 'a;

#[derive(Clone, Debug)]
pub struct SweepOptions {
    /// Count only.
    pub dry_run: bool,
    /// Packs of which less than this share is live are rewritten, 0 to 100.
    pub rewrite_below_percent: u64,
    /// Forget reflog entries older than this many seconds since 1970, except each ref's newest.
    pub expire_log_before: Option<i64>,
}

impl Default for SweepOptions {
    fn default() -> SweepOptions {
        SweepOptions {
            dry_run: false,
            // Half dead: rewriting costs as much as it frees.
            rewrite_below_percent: 50,
            expire_log_before: None,
        }
    }
}

/// What a sweep did, or would do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Objects that left the index.
    pub dropped: u64,
    /// Raw bytes of the contents and recipes among them.
    pub dropped_bytes: u64,
    pub packs_rewritten: u64,
    /// How many bytes of pack files went, less those that took their place.
    pub freed_bytes: i64,
}

/// A pack as the sweep sees it.
struct Judged {
    id: PackId,
    footer: Footer,
    len: u64,
    /// Which of its objects are live and read from here.
    keep: Vec<bool>,
    dead_bytes: u64,
    live_bytes: u64,
}

impl Store {
    /// Drops what `mark` does not call live. It waits for running writers, up to the lock timeout,
    /// and keeps new ones waiting. `mark` gets the state under that lock. Refused while a pack is
    /// left out of the index: what seems dead may be what that pack needs.
    pub fn sweep<'a>(
        &self,
        mark: &mut dyn FnMut(&Snapshot) -> Result<Box<Live<'a>>>,
        options: &SweepOptions,
        progress: &dyn Progress,
    ) -> Result<Swept> {
        let inner = self.inner();
        inner.check_writable()?;
        let mode = LockMode::Exclusive;
        let _writers = lock::acquire(&*inner.backend, lock::WRITERS, mode, inner.timeout, &inner.command)?;
        self.clear_leftovers()?;
        let snapshot = self.snapshot()?;
        if let Some(left_out) = self.left_out(&snapshot)?.into_iter().next() {
            return Err(left_out);
        }
        let live = mark(&snapshot)?;
        let mut swept = Swept::default();
        let mut records = Vec::new();
        let packs = self.judge(&snapshot, &*live, &mut records, &mut swept, progress)?;
        drop_rows(&snapshot, &*live, &mut records)?;
        // Said only where it does something: each record is one more pack.
        let before = options.expire_log_before;
        if let Some(before) = before
            && has_old_lines(&snapshot, before)?
        {
            records.push(Record::ExpireLog { before });
        }
        drop(snapshot);
        let share = options.rewrite_below_percent;
        let (rewrite, stay): (Vec<Judged>, Vec<Judged>) = packs.into_iter().partition(|pack| {
            pack.dead_bytes > 0 && pack.live_bytes * 100 < share * (pack.live_bytes + pack.dead_bytes)
        });
        swept.packs_rewritten = rewrite.len() as u64;
        swept.freed_bytes = rewrite.iter().map(|pack| pack.dead_bytes as i64).sum();
        if options.dry_run || (records.is_empty() && rewrite.is_empty()) {
            return Ok(swept);
        }
        let dead = stay.iter().map(|pack| (pack.id, pack.dead_bytes)).collect();
        let old: u64 = rewrite.iter().map(|pack| pack.len).sum();
        swept.freed_bytes = old as i64 - self.rewrite(rewrite, records, dead, progress)? as i64;
        Ok(swept)
    }

    /// Finishes what a crash left and removes drafts: with the writers' lock held alone, every
    /// draft is a leftover.
    fn clear_leftovers(&self) -> Result<()> {
        let inner = self.inner();
        let commit = inner.lock_commit()?;
        inner.recover(&*commit)?;
        inner.backend.list("tmp")?.iter().try_for_each(|name| inner.backend.delete(name))
    }

    /// Reads every footer and decides about each object.
    fn judge(
        &self,
        snapshot: &Snapshot,
        live: &Live,
        records: &mut Vec<Record>,
        swept: &mut Swept,
        progress: &dyn Progress,
    ) -> Result<Vec<Judged>> {
        let mut judged = Vec::new();
        let mut dropped: BTreeMap<ObjectKind, BTreeSet<[u8; 32]>> = BTreeMap::new();
        let packs = snapshot.packs()?;
        progress.begin("judging packs", Some(packs.iter().map(|(_, row)| row.len).sum()));
        for (id, row) in packs {
            crate::progress::check(progress)?;
            let footer = self.inner().packs.footer(&id)?;
            let (mut dead_bytes, mut live_bytes) = (0, 0);
            let mut keep = Vec::with_capacity(footer.objects.len());
            for object in &footer.objects {
                let place = match object.kind {
                    ObjectKind::Content => snapshot.content(&crate::id::ContentId(object.id))?,
                    ObjectKind::Recipe => snapshot.recipe(&crate::id::DiffId(object.id))?,
                    // Manifests are read from the index; which copy of one is kept is all the same.
                    _ => Some(Location { pack: id, frame: 0, skip: 0, len: object.len }),
                };
                let is_live = live(object.kind, &object.id);
                let here = place.is_some_and(|place| place.pack == id);
                keep.push(is_live && here);
                *(if is_live && here { &mut live_bytes } else { &mut dead_bytes }) += object.len;
                if !is_live
                    && snapshot.has(object.kind, &object.id)?
                    && dropped.entry(object.kind).or_default().insert(object.id)
                {
                    swept.dropped += 1;
                    swept.dropped_bytes += object.len;
                }
            }
            progress.advance(row.len);
            judged.push((footer.sequence, Judged { id, footer, len: row.len, keep, dead_bytes, live_bytes }));
        }
        for (kind, ids) in dropped {
            records.push(Record::Drop { kind, ids: ids.into_iter().collect() });
        }
        // The oldest first: a new pack keeps things in the order in which they came.
        judged.sort_by_key(|(sequence, pack)| (*sequence, pack.id));
        Ok(judged.into_iter().map(|(_, pack)| pack).collect())
    }

    /// Copies what is live in these packs, and publishes copies, records and journal at once.
    /// Returns the size of the new packs.
    fn rewrite(
        &self,
        packs: Vec<Judged>,
        records: Vec<Record>,
        dead: Vec<(PackId, u64)>,
        progress: &dyn Progress,
    ) -> Result<u64> {
        let inner = self.inner();
        let mut writers: HashMap<Class, PackWriter> = HashMap::new();
        let mut segments: BTreeMap<u64, Vec<Segment>> = BTreeMap::new();
        let mut manifests: HashMap<Key, Location> = HashMap::new();
        let mut replaces = Vec::new();
        progress.begin("rewriting packs", Some(packs.iter().map(|pack| pack.live_bytes).sum()));
        for Judged { id, mut footer, keep, .. } in packs {
            let level = (footer.class == Class::Files).then(|| inner.config.level());
            let offsets = footer.offsets();
            for (object, _) in footer.objects.iter().zip(keep).filter(|(_, keep)| *keep) {
                crate::progress::check(progress)?;
                let location = Footer::location(id, &offsets, object);
                let is_manifest = !matches!(object.kind, ObjectKind::Content | ObjectKind::Recipe);
                if is_manifest && manifests.insert((object.kind, object.id), location).is_some() {
                    continue;
                }
                let writer = match writers.entry(footer.class) {
                    std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
                    std::collections::hash_map::Entry::Vacant(entry) => {
                        entry.insert(PackWriter::create(&*inner.backend, footer.class, level)?)
                    }
                };
                self.copy(&location, writer, object)?;
                progress.advance(object.len);
            }
            for segment in std::mem::take(&mut footer.journal) {
                // Two of one number when a rebuild had left one out: neither is lost.
                let found = segments.entry(segment.sequence).or_default();
                if !found.contains(&segment) {
                    found.push(segment);
                }
            }
            replaces.push((id, footer));
        }
        let mut main = match writers.remove(&Class::Files) {
            Some(writer) => writer.finish()?,
            None => FinishedPack::empty(&*inner.backend, Class::Files)?,
        };
        main.footer.journal = segments.into_values().flatten().collect();
        // A companion that stays while its pack is replaced is named by the new one: else a rebuild
        // would take it for an orphan and lose all its blobs.
        let gone: BTreeSet<PackId> = replaces.iter().map(|(id, _)| *id).collect();
        let named =
            replaces.iter().flat_map(|(_, footer): &(PackId, Footer)| footer.companions.iter().copied());
        main.footer.companions = named.filter(|id| !gone.contains(id)).collect();
        let companions = writers.into_values().map(PackWriter::finish).collect::<Result<_>>()?;
        let published = inner.publish(Publication {
            main,
            companions,
            moves: Vec::new(),
            records,
            replaces,
            dead,
            manifests: Box::new(|row| {
                let location = manifests.get(&(row.kind, row.id));
                let location = location.ok_or_else(|| {
                    crate::error::Error::not_found(row.kind.noun(), crate::id::hex(&row.id))
                })?;
                inner.packs.read(location).map(Cow::Owned)
            }),
        })?;
        Ok(published.bytes)
    }

    fn copy(&self, from: &Location, to: &mut PackWriter, row: &crate::store::pack::ObjectRow) -> Result<()> {
        let packs = &self.inner().packs;
        if row.len <= GATHERED_BYTES_MAX as u64 && row.kind != ObjectKind::Recipe {
            return to.add(row.kind, row.id, row.sha1, &packs.read(from)?);
        }
        let mut reader = packs.open(from, 0, from.len)?;
        to.begin_run(row.kind);
        let mut buffer = vec![0; RUN_FRAME_BYTES];
        loop {
            let len = reader.read(&mut buffer).map_err(|err| from_stream(pack_name(&from.pack), err))?;
            if len == 0 {
                return to.finish_run(row.id, row.sha1);
            }
            to.write_run(&buffer[..len])?;
        }
    }
}

/// Blob and chain rows go with what they point to. A blob that stays while the recipe of what it
/// unpacks to goes, forgets that: else an import would believe that the layer is known.
fn drop_rows(snapshot: &Snapshot, live: &Live, records: &mut Vec<Record>) -> Result<()> {
    for (digest, blob) in snapshot.blobs()? {
        let is_live = blob.source.objects().all(|(kind, id)| live(kind, &id));
        let forgotten = blob.diff_id.is_some_and(|id| !live(ObjectKind::Recipe, &id.0));
        if !is_live {
            records.push(Record::DropBlob { digest });
        } else if forgotten {
            records.push(Record::Blob { digest, blob: BlobRow { diff_id: None, ..blob } });
        }
    }
    for (chain, tree) in snapshot.chains()? {
        if !live(ObjectKind::Tree, &tree.0) {
            records.push(Record::DropChain { chain });
        }
    }
    Ok(())
}

/// Says whether a line of the reflog is older than this and not the newest of its name.
fn has_old_lines(snapshot: &Snapshot, before: i64) -> Result<bool> {
    let logs = snapshot.logs()?;
    Ok(logs.windows(2).any(|pair| {
        // In the order of names and then of time, as `remove::expire_log` goes through them.
        pair[0].moved.name == pair[1].moved.name && pair[0].moved.time.secs < before
    }))
}
