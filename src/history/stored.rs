//! The history that a store keeps. Refs are there under their `NAME:REFERENCE`.

use super::Commit;
use super::History;
use super::Ref;
use super::RefName;
use super::ReflogEntry;
use crate::error::Error;
use crate::error::Result;
use crate::id::CommitId;
use crate::path::shown;
use crate::store;
use crate::store::Snapshot;

/// As many as an error that asks for more digits could ever count.
const BY_PREFIX_MAX: usize = 1_000;

impl History for Snapshot {
    fn refs(&self) -> Result<Vec<Ref>> {
        Snapshot::refs(self, b"")?.into_iter().map(read_ref).collect()
    }

    fn find_ref(&self, name: &RefName) -> Result<Option<Ref>> {
        self.reference(name.to_string().as_bytes())?.map(read_ref).transpose()
    }

    fn reflog(&self, name: &RefName) -> Result<Vec<ReflogEntry>> {
        Ok(self.log(name.to_string().as_bytes())?.into_iter().map(ReflogEntry::from).collect())
    }

    fn commit(&self, id: &CommitId) -> Result<Commit> {
        let bytes = Snapshot::commit(self, id)?.ok_or_else(|| Error::not_found("commit", id.to_string()))?;
        Commit::decode(&bytes)
    }

    fn by_prefix(&self, digits: &str) -> Result<Vec<CommitId>> {
        self.commits_by_hex(digits, BY_PREFIX_MAX)
    }
}

fn read_ref(found: store::Ref) -> Result<Ref> {
    let key = std::str::from_utf8(&found.name)
        .map_err(|_| Error::invalid(format!("ref `{}`", shown(&found.name)), "is not UTF-8"))?;
    Ok(Ref { name: RefName::parse(key)?, kind: found.kind, commit: found.commit })
}

impl From<store::LogEntry> for ReflogEntry {
    fn from(entry: store::LogEntry) -> ReflogEntry {
        ReflogEntry {
            seq: entry.sequence,
            old: entry.moved.old,
            new: entry.moved.new,
            time: entry.moved.time,
            who: entry.moved.who,
            message: entry.moved.message,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Revision;
    use crate::history::memory::commit;
    use crate::progress::Silent;
    use crate::store::Config;
    use crate::store::Expected;
    use crate::store::Move;
    use crate::store::OpenOptions;
    use crate::store::RefKind;
    use crate::store::RefMove;
    use crate::store::Store;
    use crate::store::backend::mem::MemBackend;
    use std::sync::Arc;

    fn put(store: &Store, key: &str, commit: &Commit) -> CommitId {
        let mut transaction = store.begin().unwrap();
        let id = transaction.put_commit(commit.encode(), &[]).unwrap();
        let moved = Move {
            name: key.into(),
            kind: RefKind::Branch,
            old: None,
            new: Some(id),
            time: commit.time,
            who: "me".into(),
            message: "import".into(),
        };
        let expected = Expected::Any;
        transaction.move_ref(RefMove { expected, moved }).unwrap();
        transaction.commit(&Silent).unwrap();
        assert_eq!(id, commit.id());
        id
    }

    #[test]
    fn a_stored_history_resolves() {
        let backend = Arc::new(MemBackend::new(None));
        let store = Store::create_in(backend, &Config::default(), &OpenOptions::default()).unwrap();
        let first = put(&store, "web:latest", &commit("first", 0, &[]));
        let second = put(&store, "web:latest", &commit("second", 60, &[first]));
        put(&store, "web:other", &commit("other", 90, &[]));
        let snapshot = store.snapshot().unwrap();
        let now = || "1970-01-02T00:00:00+00:00[UTC]".parse().unwrap();
        let check = |text: &str, id: CommitId| {
            let found = Revision::parse(text, &now).unwrap().resolve(&snapshot).unwrap();
            assert_eq!(found.id, id, "{text}");
        };
        check("web", second);
        check("docker.io/library/web", second);
        check("web~", first);
        check("web@{1}", first);
        check("web@{1970-01-01 00:00:30}", first);
        check(&first.to_string()[..9], first);
        let log = snapshot.reflog(&RefName::parse("web:latest").unwrap()).unwrap();
        assert_eq!(log.iter().map(|entry| entry.old).collect::<Vec<_>>(), [None, Some(first)]);
        assert_eq!(History::refs(&snapshot).unwrap().len(), 2);
    }
}
