//! One catalog for everything in the store: a line for each name, whatever kind it is.

use super::usage;
use crate::attr::Time;
use crate::error::Result;
use crate::history::commit::Commit;
use crate::history::refs::Ref;
use crate::history::refs::RefKind;
use crate::id::CommitId;
use crate::id::TreeId;
use crate::repo::Repo;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

pub struct Row {
    pub name: String,
    /// What its newest version is: "image", "index", "tree", …
    pub kind: &'static str,
    pub branches: Vec<String>,
    pub tags: Vec<String>,
    /// Commits that its refs lead to.
    pub versions: usize,
    pub newest: Time,
    pub usage: usage::Usage,
}

/// Lists the names that `wanted` accepts, sorted; bytes are measured against every other name.
pub fn catalog(repo: &Repo, wanted: &dyn Fn(&str) -> bool) -> Result<Vec<Row>> {
    let mut by_name: BTreeMap<String, Vec<Ref>> = BTreeMap::new();
    for found in repo.refs()? {
        by_name.entry(found.name.name().to_string()).or_default().push(found);
    }
    let mut rows = Vec::new();
    let mut groups = Vec::new();
    for (name, refs) in by_name {
        let mut commits: BTreeMap<CommitId, Commit> = BTreeMap::new();
        for found in &refs {
            ancestors(repo, found.commit, &mut commits)?;
        }
        let trees: BTreeSet<TreeId> =
            commits.values().flat_map(|commit| commit.trees.iter().map(|tree| tree.tree)).collect();
        groups.push(trees.into_iter().collect::<Vec<_>>());
        let newest =
            refs.iter().filter_map(|found| commits.get(&found.commit)).max_by_key(|commit| commit.time);
        let of_kind = |kind: RefKind| {
            refs.iter()
                .filter(|found| found.kind == kind)
                .map(|found| found.name.reference().to_string())
                .collect()
        };
        rows.push(Row {
            kind: newest.map_or("", |commit| commit.artifact.kind.word()),
            newest: newest.map_or(Time::default(), |commit| commit.time),
            branches: of_kind(RefKind::Branch),
            tags: of_kind(RefKind::Tag),
            versions: commits.len(),
            usage: usage::Usage::default(),
            name,
        });
    }
    for (row, usage) in rows.iter_mut().zip(usage::measure(repo, &groups)?) {
        row.usage = usage;
    }
    rows.retain(|row| wanted(&row.name));
    Ok(rows)
}

/// Adds `from` and everything it descends from, each read once.
pub fn ancestors(repo: &Repo, from: CommitId, into: &mut BTreeMap<CommitId, Commit>) -> Result<()> {
    let mut todo = vec![from];
    while let Some(id) = todo.pop() {
        if into.contains_key(&id) {
            continue;
        }
        let commit = repo.commit(&id)?;
        todo.extend(&commit.parents);
        into.insert(id, commit);
    }
    Ok(())
}
