//! What goes into a bundle: all that some refs lead to, less what the other store has.

use super::format::Base;
use super::format::Prerequisite;
use super::have::Have;
use super::have::is_here;
use crate::error::Result;
use crate::history::commit::Commit;
use crate::history::graph;
use crate::history::refs::Ref;
use crate::id::ChainId;
use crate::id::CommitId;
use crate::id::ContentId;
use crate::id::DiffId;
use crate::id::NodeId;
use crate::id::TreeId;
use crate::oci::digest::Digest;
use crate::progress::Progress;
use crate::repo::Repo;
use crate::repo::reach::Reached;
use crate::repo::reach::Walk;
use crate::repo::reach::reach;
use std::collections::HashMap;
use std::collections::HashSet;
use std::hash::Hash;
use std::io::Read as _;

/// Letters of a note: enough for a name, or the first line of a message.
const NOTE_CHARS: usize = 100;

pub struct Plan {
    /// Parents before children.
    pub commits: Vec<(CommitId, Commit)>,
    /// What is to be sent, less what is in `left_out`.
    wanted: Reached,
    left_out: Reached,
    pub prerequisites: Vec<Prerequisite>,
}

impl Plan {
    /// Whatever `have` and the commits of `since` lead to is left out. Of these, the ones that
    /// spared something are the prerequisites.
    pub fn make(
        repo: &Repo,
        refs: &[Ref],
        have: &Have,
        since: &[CommitId],
        progress: &dyn Progress,
    ) -> Result<Plan> {
        progress.begin("finding what to send", None);
        let tips: Vec<CommitId> = refs.iter().map(|found| found.commit).collect();
        let wanted = reach(repo, tips.iter().copied(), &mut Err)?;
        let mut fails = Err;
        let mut walk = Walk::new(repo, &mut fails);
        let mut prerequisites = Vec::new();
        for (base, note) in in_order(repo, &wanted, have, since)? {
            crate::progress::check(progress)?;
            if !follow(repo, &mut walk, &base)? {
                continue;
            }
            if walk.take_fresh().iter().any(|thing| wanted.has(thing)) {
                prerequisites.push(Prerequisite { base, note: note.chars().take(NOTE_CHARS).collect() });
            }
        }
        let left_out = walk.reached;
        let mut commits = graph::log(&repo.snapshot()?, &tips, &[])?;
        commits.retain(|(id, _)| !left_out.commits.contains(id));
        commits.reverse();
        Ok(Plan { commits, wanted, left_out, prerequisites })
    }

    pub fn trees(&self) -> Vec<TreeId> {
        less(&self.wanted.trees, &self.left_out.trees)
    }

    pub fn sends_node(&self, id: &NodeId) -> bool {
        self.wanted.nodes.contains(id) && !self.left_out.nodes.contains(id)
    }

    pub fn nodes(&self) -> u64 {
        self.wanted.nodes.difference(&self.left_out.nodes).count() as u64
    }

    pub fn contents(&self) -> Vec<ContentId> {
        less(&self.wanted.contents, &self.left_out.contents)
    }

    /// Says whether a content is a blob and nothing else.
    pub fn is_blob(&self, id: &ContentId) -> bool {
        self.wanted.kept.contains(id)
    }

    pub fn recipes(&self) -> Vec<DiffId> {
        less(&self.wanted.recipes, &self.left_out.recipes)
    }

    pub fn blobs(&self) -> Vec<Digest> {
        less(&self.wanted.blobs, &self.left_out.blobs)
    }

    pub fn chains(&self) -> Vec<ChainId> {
        less(&self.wanted.chains, &self.left_out.chains)
    }
}

/// What is in the one and not in the other, sorted: so that one store always writes one bundle.
fn less<T: Clone + Hash + Ord>(all: &HashSet<T>, other: &HashSet<T>) -> Vec<T> {
    let mut left: Vec<T> = all.difference(other).cloned().collect();
    left.sort_unstable();
    left
}

/// What the other store has and this one knows, the likeliest to spare much first: versions that
/// the wanted ones descend from, other versions, then the trees and layers of versions that only
/// the other store has. The newest come first, and spare their ancestors with them.
fn in_order(repo: &Repo, wanted: &Reached, have: &Have, since: &[CommitId]) -> Result<Vec<(Base, String)>> {
    let mut called: HashMap<CommitId, &str> = HashMap::new();
    let (mut commits, mut others) = (since.to_vec(), Vec::new());
    for (base, name) in &have.bases {
        match base {
            Base::Commit(id) => {
                called.insert(*id, name);
                commits.push(*id);
            }
            base => others.push((base.clone(), name.clone())),
        }
    }
    let snapshot = repo.snapshot()?;
    let mut known = Vec::new();
    for id in commits {
        if snapshot.commit(&id)?.is_some() {
            known.push(id);
        }
    }
    let log = graph::log(&snapshot, &known, &[])?;
    drop(snapshot);
    known.sort_unstable();
    let is_known = |id: &CommitId| known.binary_search(id).is_ok();
    let (own, foreign): (Vec<_>, Vec<_>) =
        (log.into_iter().filter(|(id, _)| is_known(id))).partition(|(id, _)| wanted.commits.contains(id));
    let noted = |(id, commit): (CommitId, Commit)| {
        let subject = commit.subject();
        let note = match called.get(&id).filter(|name| !name.is_empty()) {
            Some(name) => format!("{name}: {subject}"),
            None => subject.to_owned(),
        };
        (Base::Commit(id), note)
    };
    let mut ordered: Vec<(Base, String)> = own.into_iter().chain(foreign).map(noted).collect();
    // A sort that is stable keeps the newest first.
    others.sort_by_key(|(base, _)| match base {
        Base::Tree(id) => (!wanted.trees.contains(id), 0),
        Base::Blob(digest) => (!wanted.blobs.contains(digest), 1),
        Base::Commit(_) => (true, 2),
    });
    for (base, name) in others {
        if is_here(repo, &base)? {
            ordered.push((base, name));
        }
    }
    Ok(ordered)
}

/// Follows what the other store has; `false` if it may need other things there than here.
fn follow(repo: &Repo, walk: &mut Walk, base: &Base) -> Result<bool> {
    walk.take_fresh();
    match base {
        Base::Commit(id) => walk.commits([*id])?,
        Base::Tree(id) => walk.tree(*id)?,
        Base::Blob(digest) if is_disk(repo, digest)? => return Ok(false),
        Base::Blob(digest) => walk.blob(digest)?,
    }
    Ok(true)
}

/// The recipe of a disk depends on what was known of it when it was made: on another day, in another
/// store, the same disk may have been cut into other pieces. A layer is always cut in one way.
fn is_disk(repo: &Repo, digest: &Digest) -> Result<bool> {
    let row = repo.blob(digest)?;
    let Some(id) = row.and_then(|row| row.diff_id.or(crate::repo::recipe_of(&row))) else { return Ok(false) };
    let mut version = [0];
    let mut recipe = repo.open_recipe(&id)?;
    let read = recipe.read(&mut version).map_err(|err| crate::error::from_stream("a recipe", err))?;
    Ok(read == 1 && version[0] >= crate::disk::skeleton::recipe::VERSION)
}
