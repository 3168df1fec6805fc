//! What a commit is called: the tag or branch that is nearest to it, as `git name-rev` does.

use crate::error::Result;
use crate::history::refs::Ref;
use crate::history::refs::RefKind;
use crate::id::CommitId;
use crate::repo::Repo;
use std::collections::HashMap;

pub struct Names {
    by_commit: HashMap<CommitId, Named>,
}

struct Named {
    text: String,
    /// Tags before branches, then fewer steps back, then `latest` after more telling names.
    rank: (u64, bool, bool),
}

impl Names {
    /// Walks every ref's first parents once, stopping where a better name is known.
    pub fn of(repo: &Repo) -> Result<Names> {
        let mut names = Names { by_commit: HashMap::new() };
        for found in repo.refs()? {
            names.follow(repo, &found)?;
        }
        Ok(names)
    }

    fn follow(&mut self, repo: &Repo, from: &Ref) -> Result<()> {
        let mut at = Some(from.commit);
        let mut back = 0u64;
        while let Some(id) = at {
            let rank = (back, from.kind == RefKind::Branch, from.name.reference() == "latest");
            if self.by_commit.get(&id).is_some_and(|known| known.rank <= rank) {
                return Ok(());
            }
            let shown = from.name.to_string();
            let text = if back == 0 { shown } else { format!("{shown}~{back}") };
            self.by_commit.insert(id, Named { text, rank });
            at = repo.commit(&id)?.parents.first().copied();
            back += 1;
        }
        Ok(())
    }

    /// The name, or the short id of a commit that no ref leads to.
    pub fn shown(&self, id: &CommitId) -> String {
        self.by_commit.get(id).map_or_else(|| id.short(), |named| named.text.clone())
    }

    pub fn get(&self, id: &CommitId) -> Option<&str> {
        self.by_commit.get(id).map(|named| named.text.as_str())
    }

    /// Every commit that some ref leads to by first parents.
    pub fn commits(&self) -> impl Iterator<Item = &CommitId> {
        self.by_commit.keys()
    }
}
