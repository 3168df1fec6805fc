//! A history made of lines, for tests.

use super::Artifact;
use super::ArtifactKind;
use super::Commit;
use super::History;
use super::Ref;
use super::RefKind;
use super::RefName;
use super::ReflogEntry;
use crate::attr::Time;
use crate::error::Error;
use crate::error::Result;
use crate::id::CommitId;
use std::cell::Cell;
use std::collections::BTreeMap;

#[derive(Default)]
pub struct MemoryHistory {
    pub commits: BTreeMap<CommitId, Commit>,
    pub refs: Vec<Ref>,
    pub reflogs: BTreeMap<RefName, Vec<ReflogEntry>>,
    pub reads: Cell<usize>,
}

pub fn commit(message: &str, secs: i64, parents: &[CommitId]) -> Commit {
    Commit {
        artifact: Artifact {
            kind: ArtifactKind::Image,
            media_type: "application/vnd.oci.image.manifest.v1+json".into(),
            digest: format!("sha256:{}", crate::id::ContentId::of(message.as_bytes())),
            size: 1,
        },
        trees: Vec::new(),
        parents: parents.to_vec(),
        author: "me".into(),
        time: Time { secs, nanos: 0 },
        tz_offset: 0,
        message: message.into(),
        source: String::new(),
        labels: BTreeMap::new(),
    }
}

impl MemoryHistory {
    /// Makes commits from `name: parent parent`, each an hour after the one before.
    pub fn of(lines: &[&str]) -> MemoryHistory {
        let mut history = MemoryHistory::default();
        for (at, line) in lines.iter().enumerate() {
            let (name, parents) = line.split_once(':').unwrap_or((line, ""));
            let parents: Vec<CommitId> =
                parents.split_whitespace().map(|parent| history.id(parent)).collect();
            history.put(commit(name, at as i64 * 3_600, &parents));
        }
        history
    }

    pub fn put(&mut self, commit: Commit) -> CommitId {
        let id = commit.id();
        self.commits.insert(id, commit);
        id
    }

    pub fn id(&self, message: &str) -> CommitId {
        *self.commits.iter().find(|(_, commit)| commit.message == message).expect(message).0
    }

    pub fn message(&self, id: &CommitId) -> String {
        self.commits[id].message.clone()
    }

    /// Moves a branch to a commit, at the commit's time.
    pub fn set(&mut self, key: &str, message: &str) {
        let (name, id) = (RefName::parse(key).unwrap(), self.id(message));
        let log = self.reflogs.entry(name.clone()).or_default();
        log.push(ReflogEntry {
            seq: log.len() as u64,
            old: log.last().and_then(|last| last.new),
            new: Some(id),
            time: self.commits[&id].time,
            who: "me".into(),
            message: "import".into(),
        });
        self.refs.retain(|found| found.name != name);
        self.refs.push(Ref { name, kind: RefKind::Branch, commit: id });
    }
}

impl History for MemoryHistory {
    fn refs(&self) -> Result<Vec<Ref>> {
        Ok(self.refs.clone())
    }

    fn reflog(&self, name: &RefName) -> Result<Vec<ReflogEntry>> {
        Ok(self.reflogs.get(name).cloned().unwrap_or_default())
    }

    fn commit(&self, id: &CommitId) -> Result<Commit> {
        self.reads.set(self.reads.get() + 1);
        self.commits.get(id).cloned().ok_or_else(|| Error::not_found("commit", id.to_string()))
    }

    fn by_prefix(&self, digits: &str) -> Result<Vec<CommitId>> {
        Ok(self.commits.keys().filter(|id| id.to_string().starts_with(digits)).copied().collect())
    }
}
