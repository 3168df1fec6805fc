//! Every version that holds a file: from the name or the content up to the commits, through the
//! reverse tables of the index. No tree is walked down.

use super::names::Names;
use crate::error::Result;
use crate::id::CommitId;
use crate::id::ContentId;
use crate::id::NodeId;
use crate::id::Sha1Id;
use crate::id::TreeId;
use crate::path::TreePath;
use crate::repo::Repo;
use crate::store::Snapshot;
use crate::tree::Entry;
use crate::tree::Kind;
use crate::tree::NodeSource;
use crate::tree::glob::Glob;
use std::collections::BTreeMap;
use std::collections::HashMap;
use std::collections::HashSet;

pub enum Wanted {
    Path(Glob),
    Sha256(ContentId),
    Sha1(Sha1Id),
}

/// One path with one entry, and every version that has it there.
pub struct Place {
    pub path: TreePath,
    pub entry: Entry,
    /// Names of commits, sorted; the same tree under two commits counts as both.
    pub versions: Vec<String>,
}

pub fn whereis(repo: &Repo, wanted: &Wanted) -> Result<Vec<Place>> {
    let names = Names::of(repo)?;
    let snapshot = repo.snapshot()?;
    let mut upward = Upward { snapshot: &snapshot, above: HashMap::new() };
    let mut places: BTreeMap<(TreePath, Vec<u8>), (Entry, HashSet<CommitId>)> = BTreeMap::new();
    for (node_id, entry) in holders(&snapshot, wanted)? {
        for (tree, folder) in upward.trees_above(&node_id)?.iter() {
            let path = folder.join(&entry.name);
            if let Wanted::Path(glob) = wanted
                && !glob.matches(&path)
            {
                continue;
            }
            let key = (path, fingerprint(&entry));
            let place = places.entry(key).or_insert_with(|| (entry.clone(), HashSet::new()));
            place.1.extend(snapshot.commits_of_tree(tree)?);
        }
    }
    let mut found = Vec::new();
    for ((path, _), (entry, commits)) in places {
        let mut versions: Vec<String> =
            commits.iter().filter_map(|id| names.get(id)).map(String::from).collect();
        versions.sort();
        // A version that only the reflog remembers has no name left; it is not listed.
        if !versions.is_empty() {
            found.push(Place { path, entry, versions });
        }
    }
    Ok(found)
}

/// The nodes that hold a wanted entry directly.
fn holders(snapshot: &Snapshot, wanted: &Wanted) -> Result<Vec<(NodeId, Entry)>> {
    let mut held = Vec::new();
    let content = match wanted {
        Wanted::Path(glob) => {
            for (name, node_id) in named(snapshot, glob)? {
                let node = snapshot.node(&node_id)?;
                held.extend(node.get(&name).map(|entry| (node_id, entry.clone())));
            }
            return Ok(held);
        }
        Wanted::Sha256(id) => Some(*id),
        Wanted::Sha1(id) => snapshot.contents_by_sha1(id)?.pop(),
    };
    let Some(content) = content else { return Ok(held) };
    for node_id in snapshot.parents_of_content(&content)? {
        let node = snapshot.node(&node_id)?;
        let holds =
            |entry: &&Entry| matches!(entry.kind, Kind::File { content: found, .. } if found == content);
        held.extend(node.entries.iter().filter(holds).map(|entry| (node_id, entry.clone())));
    }
    Ok(held)
}

/// The nodes with an entry whose name a path of the pattern may end in.
fn named(snapshot: &Snapshot, glob: &Glob) -> Result<Vec<(Vec<u8>, NodeId)>> {
    if let Some(name) = glob.literal_name() {
        let nodes = snapshot.nodes_with_name(name.as_bytes())?;
        return Ok(nodes.into_iter().map(|node| (name.as_bytes().to_vec(), node)).collect());
    }
    let mut found = Vec::new();
    snapshot.names(b"", &mut |name, node| {
        if glob.may_end_in(name) {
            found.push((name.to_vec(), node));
        }
        Ok(true)
    })?;
    let mut named = Vec::new();
    for (name, prefix) in found {
        named.extend(snapshot.nodes_by_prefix(&prefix)?.into_iter().map(|node| (name.clone(), node)));
    }
    Ok(named)
}

/// Where a node stands: each tree above it, and the path there. Remembered for each node, since
/// many files share their folders.
struct Upward<'a> {
    snapshot: &'a Snapshot,
    above: HashMap<NodeId, std::rc::Rc<Vec<(TreeId, TreePath)>>>,
}

impl Upward<'_> {
    fn trees_above(&mut self, id: &NodeId) -> Result<std::rc::Rc<Vec<(TreeId, TreePath)>>> {
        if let Some(known) = self.above.get(id) {
            return Ok(known.clone());
        }
        let mut all: Vec<(TreeId, TreePath)> =
            self.snapshot.trees_of_root(id)?.into_iter().map(|tree| (tree, TreePath::root())).collect();
        // Trees are as deep as paths are long, and those are bounded: this recursion ends.
        for parent_id in self.snapshot.parents_of_node(id)? {
            let parent = self.snapshot.node(&parent_id)?;
            let above = self.trees_above(&parent_id)?;
            let here = |entry: &&Entry| matches!(entry.kind, Kind::Dir(ids) if ids.full == *id);
            for entry in parent.entries.iter().filter(here) {
                all.extend(above.iter().map(|(tree, folder)| (*tree, folder.join(&entry.name))));
            }
        }
        let all = std::rc::Rc::new(all);
        self.above.insert(*id, all.clone());
        Ok(all)
    }
}

/// Tells two entries at one path apart by what they are, not by their times.
fn fingerprint(entry: &Entry) -> Vec<u8> {
    match &entry.kind {
        Kind::File { content, .. } => content.0.to_vec(),
        Kind::Symlink(target) => target.to_vec(),
        // All folders at one path are one place, whatever is in them.
        other => super::listing::kind_word(other).as_bytes().to_vec(),
    }
}
