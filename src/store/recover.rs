//! What a crash leaves, and how it is put right: an intent that was not finished, an index that
//! was not closed, an index that is damaged or gone. All by replaying packs.

use crate::error::Error;
use crate::error::Result;
use crate::id::PackId;
use crate::store::Inner;
use crate::store::backend::Held;
use crate::store::backend::LockMode;
use crate::store::backend::read_small;
use crate::store::backend::write_small;
use crate::store::index;
use crate::store::index::apply;
use crate::store::index::fault;
use crate::store::index::guarded;
use crate::store::index::rebuild;
use crate::store::index::rebuild::Rebuilt;
use crate::store::lock;
use crate::store::pack::pack_name;
use redb::ReadableDatabase as _;

const INTENT_NAME: &str = "tmp/intent";
/// One line for each pack of a transaction; collection names as many as it replaces.
const INTENT_BYTES_MAX: u64 = 64 << 20;

/// What a commit is about to do, written before the first of its packs gets its name and removed
/// when the index knows of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Intent {
    pub main: Option<PackId>,
    pub companions: Vec<PackId>,
    /// Packs to delete once the index does not name them any more.
    pub delete: Vec<PackId>,
}

impl Intent {
    fn to_text(&self) -> String {
        let lines =
            |word: &str, ids: &[PackId]| ids.iter().map(|id| format!("{word} {id}\n")).collect::<String>();
        let main = self.main.as_slice();
        lines("main", main) + &lines("with", &self.companions) + &lines("delete", &self.delete) + "end\n"
    }

    /// `None` for a text that is not whole.
    fn parse(text: &str) -> Option<Intent> {
        let mut intent = Intent::default();
        for line in text.strip_suffix("end\n")?.lines() {
            let (word, id) = line.split_once(' ')?;
            let id: PackId = id.parse().ok()?;
            match word {
                "main" => intent.main = Some(id),
                "with" => intent.companions.push(id),
                "delete" => intent.delete.push(id),
                _ => return None,
            }
        }
        Some(intent)
    }
}

impl Inner {
    pub fn lock_commit(&self) -> Result<Box<dyn Held>> {
        lock::acquire(&*self.backend, lock::COMMIT, LockMode::Exclusive, self.timeout, &self.command)
    }

    pub fn write_intent(&self, intent: &Intent) -> Result<()> {
        write_small(&*self.backend, INTENT_NAME, intent.to_text().as_bytes())
    }

    /// Removes the intent. If that fails, it is finished once more by whoever comes next: nothing
    /// in it does harm twice.
    pub fn clear_intent(&self) {
        let _ = self.backend.delete(INTENT_NAME);
    }

    /// Called on open: finishes what a crash left, unless a commit is running right now.
    pub fn recover_if_idle(&self) -> Result<()> {
        if self.read_only || !self.backend.exists(INTENT_NAME)? {
            return Ok(());
        }
        // Somebody who holds the lock is about to remove the intent, or will do this first.
        match self.backend.try_lock(lock::COMMIT, LockMode::Exclusive, &self.command)? {
            Some(held) => self.recover(&*held),
            None => Ok(()),
        }
    }

    /// Finishes or undoes the transaction that a crash cut short. The argument proves that the
    /// commit lock is held.
    pub fn recover(&self, _commit: &dyn Held) -> Result<()> {
        if !self.backend.exists(INTENT_NAME)? {
            return Ok(());
        }
        let bytes = read_small(&*self.backend, INTENT_NAME, INTENT_BYTES_MAX)?;
        let intent = String::from_utf8(bytes).ok().and_then(|text| Intent::parse(&text));
        let Some(intent) = intent else {
            // It is renamed into place whole, so this is damage: ask the packs themselves.
            self.rebuild_locked()?;
            self.clear_intent();
            return Ok(());
        };
        if let Some(main) = intent.main {
            if self.backend.exists(&pack_name(&main))? {
                self.replay(&main, &intent)?;
            } else {
                // The main pack gets its name last: without it nothing has happened.
                for id in &intent.companions {
                    self.backend.delete(&pack_name(id))?;
                }
                self.clear_intent();
                return Ok(());
            }
        }
        for id in &intent.delete {
            self.packs.forget(id);
            self.backend.delete(&pack_name(id))?;
        }
        self.clear_intent();
        Ok(())
    }

    /// Makes a published transaction known to the index.
    fn replay(&self, main: &PackId, intent: &Intent) -> Result<()> {
        let replayed =
            index::open_write(&*self.backend, index::INDEX_NAME, false, self.timeout).and_then(|database| {
                guarded("replay", || {
                    let txn = database.begin_write().map_err(fault("replay"))?;
                    if apply::has_pack(&txn, main)? {
                        return Ok(());
                    }
                    // Companions first, as at the commit, so that ordinals come out the same.
                    for id in intent.companions.iter().chain([main]) {
                        let footer = self.packs.footer(id)?;
                        if !footer.replaces.is_empty() {
                            // What a sweep did to the rows is not told pack by pack.
                            return Err(Error::Index {
                                doing: "replay",
                                source: "collection was interrupted".into(),
                            });
                        }
                        let manifests = rebuild::read_manifests(&self.packs, id, &footer)?;
                        let len = self.packs.pack(id)?.len();
                        apply::add_pack(&txn, id, &footer, len, &mut rebuild::give_manifests(&manifests))?;
                        apply::add_own_segment(&txn, &footer)?;
                    }
                    txn.commit().map_err(fault("replay"))?;
                    database.close().map_err(fault("replay"))
                })
            });
        match replayed {
            Err(err) if index::is_damage(&err) => self.rebuild_locked().map(drop),
            other => other,
        }
    }

    /// Repairs or rebuilds an index that cannot be read as it is.
    pub fn heal_index(&self, why: Error) -> Result<()> {
        if self.read_only {
            return Err(why);
        }
        let commit = self.lock_commit()?;
        // Somebody else may have done it while we waited; or the last writer died before it
        // closed the index, which redb repairs by itself.
        let sound =
            index::open_write(&*self.backend, index::INDEX_NAME, false, self.timeout).and_then(|database| {
                guarded("check", || {
                    let txn = database.begin_read().map_err(fault("check"))?;
                    let numbers = txn.open_table(index::tables::NUMBERS).map_err(fault("check"))?;
                    let version = numbers.get(index::tables::VERSION).map_err(fault("check"))?;
                    let version = version.map(|row| row.value());
                    drop(numbers);
                    drop(txn);
                    database.close().map_err(fault("check"))?;
                    Ok(version == Some(index::tables::INDEX_VERSION))
                })
            });
        match sound {
            Ok(true) => self.recover(&*commit),
            _ => {
                self.rebuild_locked()?;
                self.recover(&*commit)
            }
        }
    }

    /// Rebuilds the index; the caller holds the commit lock.
    pub fn rebuild_locked(&self) -> Result<()> {
        let rebuilt = rebuild::rebuild(&*self.backend, &self.packs, self.timeout)?;
        self.note_rebuilt(rebuilt);
        Ok(())
    }

    fn note_rebuilt(&self, rebuilt: Rebuilt) {
        *self.rebuilt.lock().expect("no holder panics") = Some(rebuilt);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_intent_there_and_back_and_a_torn_one_refused() {
        let intent = Intent {
            main: Some(PackId::of(b"main")),
            companions: vec![PackId::of(b"blobs")],
            delete: vec![PackId::of(b"old")],
        };
        let text = intent.to_text();
        assert_eq!(Intent::parse(&text), Some(intent));
        for end in 0..text.len() {
            assert_eq!(Intent::parse(&text[..end]), None, "{end}");
        }
    }
}
