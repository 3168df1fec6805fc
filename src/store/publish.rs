//! The short last step of every transaction: from durable frames to visible rows, under the
//! commit lock. Each line says what a power cut after it leaves.

use crate::error::Error;
use crate::error::Result;
use crate::id::CommitId;
use crate::id::PackId;
use crate::store::Inner;
use crate::store::at_once::at_once;
use crate::store::at_once::begin;
use crate::store::at_once::wait;
use crate::store::bytes::Take;
use crate::store::index;
use crate::store::index::apply;
use crate::store::index::apply::Manifests;
use crate::store::index::fault;
use crate::store::index::guarded;
use crate::store::index::remove;
use crate::store::index::tables;
use crate::store::pack::ObjectKind;
use crate::store::pack::footer::Footer;
use crate::store::pack::journal::Move;
use crate::store::pack::journal::Record;
use crate::store::pack::journal::Segment;
use crate::store::pack::pack_name;
use crate::store::pack::writer::FinishedPack;
use crate::store::pack::writer::SealedDraft;
use crate::store::pack::writer::SealedPack;
use crate::store::recover::Intent;
use redb::Database;
use redb::ReadableDatabase as _;
use redb::WriteTransaction;

/// What a ref must point to for a move to go through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Whatever is there.
    Any,
    /// Exactly this; `None` for a ref that must not exist.
    Is(Option<CommitId>),
}

/// Everything that becomes visible at once.
pub struct Publication<'a> {
    pub main: FinishedPack,
    pub companions: Vec<FinishedPack>,
    pub moves: Vec<(Expected, Move)>,
    pub records: Vec<Record>,
    /// Packs that go: their live objects and their journal stand in the new ones.
    pub replaces: Vec<(PackId, Footer)>,
    /// How many bytes of these packs nothing needs any more.
    pub dead: Vec<(PackId, u64)>,
    pub manifests: Box<Manifests<'a>>,
}

#[derive(Debug)]
pub struct Published {
    pub sequence: u64,
    pub packs: Vec<PackId>,
    pub moves: Vec<Move>,
    pub bytes: u64,
}

/// How far [`Inner::name_packs`] came.
enum Naming {
    /// No pack has its name.
    NotBegun(Error),
    /// Some may have it; all have where it went well.
    Begun(Result<()>),
}

impl Inner {
    pub fn publish(&self, publication: Publication) -> Result<Published> {
        let Publication { mut main, companions, moves, mut records, replaces, dead, mut manifests } =
            publication;
        // All frames are durable already. Cut here or anywhere before the rename of the main
        // pack: drafts in tmp/, which nobody names.
        let commit = self.lock_commit()?;
        self.recover(&*commit)?;
        let database = self.open_index_locked()?;
        let txn = guarded("write", || database.begin_write().map_err(fault("write")))?;

        let moves = guarded("read", || check_moves(&txn, moves, &main.footer))?;
        records.extend(moves.iter().cloned().map(Record::Move));
        let sequence = guarded("read", || apply::number(&txn, tables::SEQUENCE))? + 1;

        // Footers last: with them each draft is a whole pack.
        let mut sealed = Vec::with_capacity(companions.len() + 1);
        for mut companion in companions {
            companion.footer.companion = true;
            companion.footer.sequence = sequence;
            sealed.push(companion.seal()?);
        }
        main.footer.companions.extend(sealed.iter().map(|(pack, _)| pack.id));
        main.footer.sequence = sequence;
        main.footer.replaces = replaces.iter().map(|(id, _)| *id).collect();
        let delete = main.footer.replaces.clone();
        main.footer.journal.push(Segment { sequence, records });
        sealed.push(main.seal()?);
        let (sealed, mut drafts): (Vec<SealedPack>, Vec<SealedDraft>) = sealed.into_iter().unzip();
        let ids: Vec<PackId> = sealed.iter().map(|pack| pack.id).collect();
        let intent = Intent {
            main: ids.last().copied(),
            companions: ids[..ids.len() - 1].to_vec(),
            delete: delete.clone(),
        };

        // The index takes the rows while the packs get durable and named: its transaction shows
        // nothing of them before it is committed.
        let (named, rows) = std::thread::scope(|scope| {
            let naming = begin(scope, || Ok(self.name_packs(&mut drafts, &intent)));
            let rows = guarded("write", || add_rows(&txn, &sealed, &replaces, &dead, &mut *manifests));
            (naming.and_then(wait), rows)
        });
        let indexed = match named.unwrap_or_else(Naming::NotBegun) {
            Naming::NotBegun(err) => {
                drop(txn);
                drop(database);
                self.clear_intent();
                return Err(err);
            }
            Naming::Begun(named) => named.and(rows).and_then(|()| commit_rows(database, txn)),
        };
        if let Err(err) = indexed {
            self.undo(&ids, err)?;
        }
        // Visible and durable. Cut here, recovery finds the packs known, deletes what they
        // replace and is done. A pack that cannot be deleted now keeps the intent for that.
        for id in &delete {
            self.packs.forget(id);
        }
        if delete.iter().try_for_each(|id| self.backend.delete(&pack_name(id))).is_ok() {
            self.clear_intent();
        }
        Ok(Published { sequence, packs: ids, moves, bytes: sealed.iter().map(|pack| pack.len).sum() })
    }

    /// Makes the packs durable and gives them their names, the main pack's last.
    fn name_packs(&self, drafts: &mut [SealedDraft], intent: &Intent) -> Naming {
        // The intent, durable before any name: cut here, or while the packs get durable, recovery
        // finds no main pack and deletes what companions there are.
        let durable = std::thread::scope(|scope| {
            let writing = begin(scope, || self.write_intent(intent));
            let synced = at_once(drafts.iter_mut(), SealedDraft::sync);
            writing.and_then(wait).and(synced)
        });
        if let Err(err) = durable {
            return Naming::NotBegun(err);
        }
        // With the main pack's name the transaction has happened. Cut after it, recovery replays the
        // packs into the index.
        Naming::Begun(match drafts.split_last_mut() {
            Some((main, companions)) => {
                at_once(companions.iter_mut(), SealedDraft::publish).and_then(|_| main.publish())
            }
            None => Ok(()),
        })
    }

    /// Opens the index for writing, rebuilding it if it must be; the commit lock is held.
    pub fn open_index_locked(&self) -> Result<Database> {
        let open = || index::open_write(&*self.backend, index::INDEX_NAME, false, self.timeout);
        match open() {
            Err(err) if index::is_damage(&err) => {
                self.rebuild_locked()?;
                open()
            }
            other => other,
        }
    }

    /// Takes the names back after a failure, so that an error means that nothing happened; `Ok`
    /// if all had happened before it. Where the disk does not even let go, packs and intent stay,
    /// and whoever opens the store next finishes the transaction.
    fn undo(&self, ids: &[PackId], err: Error) -> Result<()> {
        // Opening it for writing repairs an index that the failure left open. redb may have failed
        // after its commit was durable: then the packs must stay.
        let open = index::open_write(&*self.backend, index::INDEX_NAME, false, self.timeout);
        let known = open.and_then(|database| {
            guarded("read", || {
                let txn = database.begin_read().map_err(fault("read"))?;
                let packs = txn.open_table(tables::PACKS).map_err(fault("read"))?;
                ids.iter().try_fold(false, |known, id| {
                    Ok(known | packs.get(&id.0).map_err(fault("read"))?.is_some())
                })
            })
        });
        let undone = match known {
            Ok(true) => return Ok(()),
            Ok(false) => Ok(()),
            // Not even repaired (the disk is full): nobody can tell what it says, so it goes, and
            // is rebuilt by whoever opens the store next. Before the packs: it may name them.
            Err(_) => self.backend.delete(index::INDEX_NAME),
        };
        // The main pack first: without it the others are nothing.
        let mut names = ids.iter().rev().map(pack_name);
        if undone.and_then(|()| names.try_for_each(|name| self.backend.delete(&name))).is_ok() {
            self.clear_intent();
        }
        Err(err)
    }
}

fn add_rows(
    txn: &WriteTransaction,
    sealed: &[SealedPack],
    replaces: &[(PackId, Footer)],
    dead: &[(PackId, u64)],
    manifests: &mut Manifests,
) -> Result<()> {
    for (id, footer) in replaces {
        remove::remove_pack(txn, id, footer)?;
    }
    for (id, dead) in dead {
        remove::set_dead(txn, id, *dead)?;
    }
    for pack in sealed {
        apply::add_pack(txn, &pack.id, &pack.footer, pack.len, manifests)?;
        apply::add_own_segment(txn, &pack.footer)?;
    }
    Ok(())
}

fn commit_rows(database: Database, txn: WriteTransaction) -> Result<()> {
    guarded("write", || {
        txn.commit().map_err(fault("write"))?;
        database.close().map_err(fault("write"))
    })
}

/// Fills in where each ref points now, or says which one somebody else moved.
///
/// A commit that is neither there nor brought along is refused: a collection may have taken it
/// after it was looked up and before the writers' lock was.
fn check_moves(txn: &WriteTransaction, moves: Vec<(Expected, Move)>, brought: &Footer) -> Result<Vec<Move>> {
    use redb::ReadableTable as _;
    let refs = txn.open_table(tables::REFS).map_err(fault("read"))?;
    let commits = txn.open_table(tables::COMMITS).map_err(fault("read"))?;
    let brings =
        |id: &CommitId| brought.objects.iter().any(|row| row.kind == ObjectKind::Commit && row.id == id.0);
    let mut done: Vec<Move> = Vec::with_capacity(moves.len());
    for (expected, mut one) in moves {
        let earlier = done.iter().rev().find(|earlier| earlier.name == one.name);
        one.old = match earlier {
            Some(earlier) => earlier.new,
            None => match refs.get(&one.name[..]).map_err(fault("read"))? {
                Some(row) => {
                    let value = tables::unseal("refs", &one.name, row.value())?;
                    let take = &mut Take::new("refs", value);
                    take.u8()?;
                    Some(CommitId(take.array()?))
                }
                None => None,
            },
        };
        if let Expected::Is(wanted) = expected
            && wanted != one.old
        {
            let shown = |id: Option<CommitId>| id.map_or("nothing".to_owned(), |id| id.short());
            return Err(Error::Moved {
                name: crate::path::shown(&one.name),
                expected: shown(wanted),
                found: shown(one.old),
            });
        }
        if let Some(id) = &one.new
            && commits.get(&id.0).map_err(fault("read"))?.is_none()
            && !brings(id)
        {
            return Err(Error::not_found("commit", id.to_string()));
        }
        done.push(one);
    }
    Ok(done)
}
