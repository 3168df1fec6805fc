//! Out: some refs, and all that they lead to, into one stream.

use super::format::ObjectKind;
use super::format::Table;
use super::format::Totals;
use super::have::Have;
use super::plan::Plan;
use super::writer::LIST_MAX;
use super::writer::Writer;
use crate::content::ContentSource as _;
use crate::error::Error;
use crate::error::Result;
use crate::history::refs::Ref;
use crate::id::CommitId;
use crate::id::ContentId;
use crate::id::NodeId;
use crate::id::PackId;
use crate::progress::Progress;
use crate::repo::Repo;
use crate::store::Location;
use crate::store::PackRow;
use crate::store::pack::Class;
use crate::tree::Kind;
use crate::tree::Node;
use crate::tree::NodeSource as _;
use std::collections::HashMap;
use std::collections::HashSet;
use std::io::Read;
use std::io::Write;
use std::sync::Arc;

/// Contents looked up at once.
const LOCATED_AT_ONCE: usize = 1 << 10;

pub struct CreateOptions {
    /// What the other store has.
    pub have: Have,
    /// More versions that it has.
    pub since: Vec<CommitId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Created {
    pub refs: u64,
    pub totals: Totals,
    pub prerequisites: u64,
    /// Length of the bundle.
    pub bytes: u64,
}

/// Writes a bundle of these refs to `to`, which errors call `name`.
///
/// The same refs of the same store make the same bytes.
pub fn create(
    repo: &Repo,
    refs: &[Ref],
    options: &CreateOptions,
    (name, to): (&str, &mut dyn Write),
    progress: &dyn Progress,
) -> Result<Created> {
    let plan = Plan::make(repo, refs, &options.have, &options.since, progress)?;
    let contents = located(repo, plan.contents())?;
    let recipes = plan.recipes();
    let recipe_len = |id| match repo.snapshot()?.recipe(id)? {
        Some(place) => Ok(place.len),
        None => Err(Error::not_found("recipe", id.to_string())),
    };
    let recipe_lens: Vec<u64> = recipes.iter().map(recipe_len).collect::<Result<_>>()?;
    let trees = plan.trees();
    let bytes = contents.iter().map(|(_, _, place)| place.len).chain(recipe_lens.iter().copied());
    let count = contents.len() + recipes.len() + trees.len() + plan.commits.len();
    let totals = Totals {
        commits: plan.commits.len() as u64,
        objects: count as u64 + plan.nodes(),
        bytes: bytes.fold(0, u64::saturating_add),
    };
    let level = repo.store().config().level();
    let mut writer = Writer::new(name, to, level)?;
    writer.table(&Table::Head(totals))?;
    lists(&mut writer, &plan.prerequisites, Table::Prerequisites)?;
    lists(&mut writer, refs, Table::Refs)?;
    for (id, commit) in &plan.commits {
        put(&mut writer, ObjectKind::Commit, id.0, &commit.encode())?;
    }
    rows(repo, &plan, &mut writer)?;
    progress.begin(&format!("writing {name}"), Some(totals.bytes));
    let source = repo.contents();
    for batch in contents.chunks(LOCATED_AT_ONCE) {
        crate::progress::check(progress)?;
        source.will_open(&batch.iter().map(|(id, ..)| *id).collect::<Vec<_>>())?;
        for (id, class, place) in batch {
            let is_kept = *class == Class::Blobs && plan.is_blob(id);
            let kind = if is_kept { ObjectKind::Kept } else { ObjectKind::Content };
            let mut from = source.open(id, 0, place.len)?;
            writer.object(kind, id.0, place.len, &mut Told { from: &mut *from, progress })?;
        }
    }
    for (id, len) in recipes.iter().zip(recipe_lens) {
        crate::progress::check(progress)?;
        writer.object(
            ObjectKind::Recipe,
            id.0,
            len,
            &mut Told { from: &mut *repo.open_recipe(id)?, progress },
        )?;
    }
    let snapshot = repo.snapshot()?;
    let records =
        trees.iter().map(|id| snapshot.tree(id)?.ok_or_else(|| Error::not_found("tree", id.to_string())));
    let records = records.collect::<Result<Vec<_>>>()?;
    drop(snapshot);
    let roots = records.iter().map(|tree| tree.root.full);
    nodes(repo, &plan, roots, &mut |id, node| put(&mut writer, ObjectKind::Node, id.0, &node.encode()))?;
    for (id, tree) in trees.iter().zip(&records) {
        put(&mut writer, ObjectKind::Tree, id.0, &tree.encode())?;
    }
    let written = writer.finish()?;
    if written.objects != totals.objects {
        // The format promises it, and a reader would refuse the bundle.
        return Err(Error::Mismatch {
            thing: name.to_owned(),
            expected: format!("{} objects", totals.objects),
            found: written.objects.to_string(),
        });
    }
    let (refs, prerequisites) = (refs.len() as u64, plan.prerequisites.len() as u64);
    Ok(Created { refs, totals, prerequisites, bytes: written.bytes })
}

/// Contents in the order of the packs: each frame of them is decoded once.
fn located(repo: &Repo, ids: Vec<ContentId>) -> Result<Vec<(ContentId, Class, Location)>> {
    let packs: HashMap<PackId, PackRow> = repo.snapshot()?.packs()?.into_iter().collect();
    let mut found = Vec::with_capacity(ids.len());
    for batch in ids.chunks(LOCATED_AT_ONCE) {
        for (id, place) in batch.iter().zip(repo.store().locate(batch)?) {
            let place = place.ok_or_else(|| Error::not_found("content", id.to_string()))?;
            let pack = packs.get(&place.pack);
            let (sequence, class) = pack.map_or((0, Class::Files), |row| (row.sequence, row.class));
            found.push((sequence, *id, class, place));
        }
    }
    found.sort_by_key(|(sequence, id, _, place)| (*sequence, *place, *id));
    Ok(found.into_iter().map(|(_, id, class, place)| (id, class, place)).collect())
}

/// What blobs are made of, and what stacks of layers come to.
fn rows(repo: &Repo, plan: &Plan, writer: &mut Writer) -> Result<()> {
    let mut blobs = Vec::new();
    for digest in plan.blobs() {
        if let Some(row) = repo.blob(&digest)? {
            blobs.push((digest, row));
        }
    }
    lists(writer, &blobs, Table::Blobs)?;
    let mut chains = Vec::new();
    for chain in plan.chains() {
        if let Some(tree) = repo.chain(&chain)? {
            chains.push((chain, tree));
        }
    }
    lists(writer, &chains, Table::Chains)
}

/// Gives every node of the plan below the roots, children first.
fn nodes(
    repo: &Repo,
    plan: &Plan,
    roots: impl Iterator<Item = NodeId>,
    each: &mut dyn FnMut(&NodeId, &Node) -> Result<()>,
) -> Result<()> {
    let source = repo.nodes();
    let mut seen: HashSet<NodeId> = HashSet::new();
    for root in roots {
        // Folders on the way down, and how many of their entries were looked at.
        let mut path: Vec<(NodeId, Arc<Node>, usize)> = Vec::new();
        let mut enter = Some(root);
        loop {
            if let Some(id) = enter.take()
                && plan.sends_node(&id)
                && seen.insert(id)
            {
                path.push((id, source.node(&id)?, 0));
            }
            let Some((id, node, at)) = path.last_mut() else { break };
            match node.entries.get(*at) {
                Some(entry) => {
                    *at += 1;
                    if let Kind::Dir(ids) = entry.kind {
                        enter = Some(ids.full);
                    }
                }
                None => {
                    each(id, node)?;
                    path.pop();
                }
            }
        }
    }
    Ok(())
}

fn put(writer: &mut Writer, kind: ObjectKind, id: [u8; 32], bytes: &[u8]) -> Result<()> {
    writer.object(kind, id, bytes.len() as u64, &mut &*bytes)
}

fn lists<T: Clone>(writer: &mut Writer, all: &[T], table: impl Fn(Vec<T>) -> Table) -> Result<()> {
    all.chunks(LIST_MAX).try_for_each(|some| writer.table(&table(some.to_vec())))
}

/// Tells of every byte that passes.
struct Told<'a> {
    from: &'a mut dyn Read,
    progress: &'a dyn Progress,
}

impl Read for Told<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        crate::progress::check(self.progress)?;
        let len = self.from.read(into)?;
        self.progress.advance(len as u64);
        Ok(len)
    }
}
