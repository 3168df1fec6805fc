//! What changed between two trees, as values.
//!
//! Both trees are walked side by side and equal subtrees are never read: by the plain id where
//! times do not matter, else by the full one. Contents are not looked at, their ids are enough.

use super::Entry;
use super::Kind;
use super::Node;
use super::NodeIds;
use super::NodeSource;
use super::Tree;
use super::walk::child;
use super::walk::lookup;
use super::walk::walk_order;
use crate::attr::Attr;
use crate::error::Result;
use crate::id::ContentId;
use crate::path::TreePath;
use std::cmp::Ordering;
use std::collections::HashMap;
use std::collections::HashSet;
use std::collections::VecDeque;
use std::sync::Arc;

/// What to do about entries that differ in nothing but their mtime.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Times {
    /// Does not even read folders that differ in nothing else; they are not counted either.
    Ignore,
    /// Counts them in [`Counts::times_only`].
    #[default]
    Count,
    /// Lists them as changes, and counts them.
    List,
}

#[derive(Clone, Debug)]
pub struct DiffOptions {
    /// Only what is at or below one of these; all if empty.
    pub paths: Vec<TreePath>,
    pub times: Times,
    /// Takes a removed and an added file with the same bytes as one that was renamed.
    pub renames: bool,
    /// Lists what is in a folder that was added or removed, not only the folder.
    pub expand: bool,
}

impl Default for DiffOptions {
    fn default() -> DiffOptions {
        DiffOptions { paths: Vec::new(), times: Times::default(), renames: true, expand: true }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diff {
    /// In the order of a walk; a renamed file stands at its new path.
    pub changes: Vec<Change>,
    pub counts: Counts,
}

impl Diff {
    /// Says whether nothing differs, not counting times.
    pub fn is_empty(&self) -> bool {
        let Counts { added, removed, changed, renamed, .. } = self.counts;
        added + removed + changed + renamed == 0
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub added: u64,
    pub removed: u64,
    /// Changed in more than times.
    pub changed: u64,
    pub renamed: u64,
    pub times_only: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Where it is now, or was if it is no more. The root's entry has an empty name.
    pub path: TreePath,
    pub what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    Added { new: Entry },
    Removed { old: Entry },
    Changed { old: Entry, new: Entry, aspects: Aspects },
    Renamed { from: TreePath, old: Entry, new: Entry, aspects: Aspects },
}

impl Change {
    /// The entry as it was; `None` if it was not there.
    pub fn before(&self) -> Option<&Entry> {
        match &self.what {
            What::Added { .. } => None,
            What::Removed { old } | What::Changed { old, .. } | What::Renamed { old, .. } => Some(old),
        }
    }

    /// The entry as it is now; `None` if it is gone.
    pub fn after(&self) -> Option<&Entry> {
        match &self.what {
            What::Removed { .. } => None,
            What::Added { new } | What::Changed { new, .. } | What::Renamed { new, .. } => Some(new),
        }
    }

    /// The letter of `git diff --name-status`: A, D, M, T or R.
    pub fn letter(&self) -> char {
        match &self.what {
            What::Added { .. } => 'A',
            What::Removed { .. } => 'D',
            What::Renamed { .. } => 'R',
            What::Changed { aspects, .. } if aspects.kind => 'T',
            What::Changed { .. } => 'M',
        }
    }
}

/// In what two entries of one path differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Aspects {
    /// One is a file, say, and the other a link; then content, target and device say nothing.
    pub kind: bool,
    pub content: bool,
    /// Of a symbolic link.
    pub target: bool,
    /// Major or minor number.
    pub device: bool,
    pub mode: bool,
    pub owner: bool,
    pub xattrs: bool,
    pub times: bool,
    /// Other paths are one inode with it now.
    pub hardlinks: bool,
}

impl Aspects {
    pub fn between(old: &Entry, new: &Entry) -> Aspects {
        // A symbolic link has no mode on Linux: what a tar says of it is its maker's habit.
        let is_link = |entry: &Entry| matches!(entry.kind, Kind::Symlink(_));
        let mut aspects = Aspects {
            mode: old.attr.mode != new.attr.mode && !is_link(old) && !is_link(new),
            owner: owner(&old.attr) != owner(&new.attr),
            xattrs: old.attr.xattrs != new.attr.xattrs,
            times: old.attr.mtime != new.attr.mtime,
            ..Aspects::default()
        };
        match (&old.kind, &new.kind) {
            (Kind::File { content: old, size: old_size }, Kind::File { content: new, size: new_size }) => {
                aspects.content = old != new || old_size != new_size;
            }
            (Kind::Symlink(old), Kind::Symlink(new)) => aspects.target = old != new,
            (Kind::CharDevice { .. }, Kind::CharDevice { .. })
            | (Kind::BlockDevice { .. }, Kind::BlockDevice { .. }) => {
                aspects.device = old.kind != new.kind;
            }
            (old, new) => aspects.kind = std::mem::discriminant(old) != std::mem::discriminant(new),
        }
        aspects
    }

    pub fn any(&self) -> bool {
        self.times || self.more_than_times()
    }

    pub fn more_than_times(&self) -> bool {
        let timeless = Aspects { times: false, ..*self };
        timeless != Aspects::default()
    }

    /// The words for what differs, for a person or for json.
    pub fn words(&self) -> Vec<&'static str> {
        let all = [
            (self.kind, "type"),
            (self.content, "content"),
            (self.target, "target"),
            (self.device, "device"),
            (self.mode, "mode"),
            (self.owner, "owner"),
            (self.xattrs, "xattrs"),
            (self.times, "times"),
            (self.hardlinks, "hardlinks"),
        ];
        all.iter().filter(|(set, _)| *set).map(|(_, word)| *word).collect()
    }
}

fn owner(attr: &Attr) -> (u64, u64) {
    (attr.uid, attr.gid)
}

/// Compares two trees. Each side reads from its own source: a store, or a folder just scanned.
pub fn diff(
    old_nodes: &dyn NodeSource,
    old: &Tree,
    new_nodes: &dyn NodeSource,
    new: &Tree,
    options: &DiffOptions,
) -> Result<Diff> {
    let mut differ = Differ {
        old_nodes,
        new_nodes,
        options,
        folders: Vec::new(),
        found: Diff::default(),
        empty: Arc::default(),
    };
    differ.pair(TreePath::root(), Some(&old.root_entry()), Some(&new.root_entry()))?;
    while let Some(folder) = differ.folders.last_mut() {
        let Some((old, new)) = folder.next() else {
            differ.folders.pop();
            continue;
        };
        let nodes = (Arc::clone(&folder.old), Arc::clone(&folder.new));
        let (old, new) = (old.map(|at| &nodes.0.entries[at]), new.map(|at| &nodes.1.entries[at]));
        if old == new {
            continue;
        }
        let path = child(&folder.path, old.or(new).expect("one side has it"))?;
        differ.pair(path, old, new)?;
    }
    differ.hardlinks(old, new)?;
    let mut found = differ.found;
    if options.renames {
        found.changes = with_renames(found.changes);
    }
    found.changes.sort_by(|one, two| walk_order(&one.path, &two.path));
    found.counts = count(&found);
    Ok(found)
}

struct Differ<'a> {
    old_nodes: &'a dyn NodeSource,
    new_nodes: &'a dyn NodeSource,
    options: &'a DiffOptions,
    /// From the root to the folder being compared; a stack of our own, as paths may be deep.
    folders: Vec<Folder>,
    found: Diff,
    empty: Arc<Node>,
}

/// One directory on both sides, either of which may be empty for want of it.
struct Folder {
    path: TreePath,
    old: Arc<Node>,
    new: Arc<Node>,
    old_next: usize,
    new_next: usize,
}

impl Folder {
    /// The places of the next name in the old and in the new node.
    fn next(&mut self) -> Option<(Option<usize>, Option<usize>)> {
        let (old, new) = (self.old_next, self.new_next);
        let order = match (self.old.entries.get(old), self.new.entries.get(new)) {
            (None, None) => return None,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(old), Some(new)) => old.name.cmp(&new.name),
        };
        self.old_next += usize::from(order.is_le());
        self.new_next += usize::from(order.is_ge());
        Some((order.is_le().then_some(old), order.is_ge().then_some(new)))
    }
}

impl Differ<'_> {
    /// Compares what stands at one path, and plans to go below it where that may differ.
    fn pair(&mut self, path: TreePath, old: Option<&Entry>, new: Option<&Entry>) -> Result<()> {
        if self.is_asked(&path) {
            self.record(&path, old, new);
        }
        let (old_ids, new_ids) = (dir(old), dir(new));
        if self.may_differ_below(&path, old_ids, new_ids) {
            let read = |nodes: &dyn NodeSource, ids: Option<NodeIds>| match ids {
                Some(ids) => nodes.node(&ids.full),
                None => Ok(Arc::clone(&self.empty)),
            };
            let folder = Folder {
                old: read(self.old_nodes, old_ids)?,
                new: read(self.new_nodes, new_ids)?,
                path,
                old_next: 0,
                new_next: 0,
            };
            self.folders.push(folder);
        }
        Ok(())
    }

    fn record(&mut self, path: &TreePath, old: Option<&Entry>, new: Option<&Entry>) {
        let what = match (old, new) {
            (Some(old), Some(new)) => {
                let aspects = Aspects::between(old, new);
                if !aspects.any() {
                    return;
                }
                if !aspects.more_than_times() {
                    self.found.counts.times_only += u64::from(self.options.times != Times::Ignore);
                    if self.options.times != Times::List {
                        return;
                    }
                }
                What::Changed { old: old.clone(), new: new.clone(), aspects }
            }
            (Some(old), None) => What::Removed { old: old.clone() },
            (None, Some(new)) => What::Added { new: new.clone() },
            (None, None) => return,
        };
        self.found.changes.push(Change { path: path.clone(), what });
    }

    fn may_differ_below(&self, path: &TreePath, old: Option<NodeIds>, new: Option<NodeIds>) -> bool {
        // Below an asked path all is asked, and so are the folders that lead to one.
        let leads_to_asked = self.options.paths.iter().any(|asked| asked != path && asked.is_under(path));
        let reached = self.is_asked(path) || leads_to_asked;
        reached
            && match (old, new) {
                (None, None) => false,
                (Some(old), Some(new)) if self.options.times == Times::Ignore => old.plain != new.plain,
                (Some(old), Some(new)) => old.full != new.full,
                _ => self.options.expand || leads_to_asked,
            }
    }

    fn is_asked(&self, path: &TreePath) -> bool {
        self.options.paths.is_empty() || self.options.paths.iter().any(|asked| path.is_under(asked))
    }

    /// Marks the paths on both sides whose hard-link group is another now.
    ///
    /// Such a file may stand in a subtree that is equal otherwise, so the record decides and
    /// the entry is looked up.
    fn hardlinks(&mut self, old: &Tree, new: &Tree) -> Result<()> {
        let moved = regrouped(&old.hardlinks, &new.hardlinks);
        if moved.is_empty() {
            return Ok(());
        }
        let known: HashMap<TreePath, usize> =
            self.found.changes.iter().enumerate().map(|(at, change)| (change.path.clone(), at)).collect();
        for path in moved {
            if let Some(at) = known.get(path) {
                if let What::Changed { aspects, .. } = &mut self.found.changes[*at].what {
                    if !aspects.more_than_times() {
                        self.found.counts.times_only -= 1;
                    }
                    aspects.hardlinks = true;
                }
                continue;
            }
            if !self.is_asked(path) {
                continue;
            }
            let found = (lookup(self.old_nodes, old, path)?, lookup(self.new_nodes, new, path)?);
            if let (Some(old), Some(new)) = found {
                let mut aspects = Aspects::between(&old, &new);
                if aspects.times && self.options.times == Times::Count {
                    self.found.counts.times_only -= 1;
                }
                aspects.hardlinks = true;
                let what = What::Changed { old, new, aspects };
                self.found.changes.push(Change { path: path.clone(), what });
            }
        }
        Ok(())
    }
}

fn dir(entry: Option<&Entry>) -> Option<NodeIds> {
    match entry?.kind {
        Kind::Dir(ids) => Some(ids),
        _ => None,
    }
}

/// The paths whose group is not the same on both sides, each once.
fn regrouped<'a>(old: &'a [Vec<TreePath>], new: &'a [Vec<TreePath>]) -> Vec<&'a TreePath> {
    if old == new {
        return Vec::new();
    }
    let old_groups: HashSet<&Vec<TreePath>> = old.iter().collect();
    let new_groups: HashSet<&Vec<TreePath>> = new.iter().collect();
    let mut paths: Vec<&TreePath> = old_groups.symmetric_difference(&new_groups).copied().flatten().collect();
    paths.sort_unstable();
    paths.dedup();
    paths
}

/// Joins removed and added files of the same bytes, one to one.
///
/// A file keeps its base name rather than not; beyond that the smallest paths go together. Empty
/// files are all alike and say nothing.
fn with_renames(changes: Vec<Change>) -> Vec<Change> {
    let removed = places(&changes, |what| match what {
        What::Removed { old } => content(old),
        _ => None,
    });
    let added = places(&changes, |what| match what {
        What::Added { new } => content(new),
        _ => None,
    });
    let mut from_of: HashMap<usize, usize> = HashMap::new();
    for (content, added) in &added {
        if let Some(removed) = removed.get(content) {
            pair_up(&changes, removed, added, &mut from_of);
        }
    }
    let gone: HashSet<usize> = from_of.values().copied().collect();
    let mut slots: Vec<Option<Change>> = changes.into_iter().map(Some).collect();
    let mut joined = Vec::with_capacity(slots.len() - gone.len());
    for at in 0..slots.len() {
        if gone.contains(&at) {
            continue;
        }
        let change = slots[at].take().expect("each new path is taken once");
        let Some(from) = from_of.get(&at) else {
            joined.push(change);
            continue;
        };
        let from = slots[*from].take().expect("each old path is taken once");
        let (What::Removed { old }, What::Added { new }) = (from.what, change.what) else {
            unreachable!("only removed and added files are paired");
        };
        let aspects = Aspects::between(&old, &new);
        let from = from.path;
        joined.push(Change { path: change.path, what: What::Renamed { from, old, new, aspects } });
    }
    joined
}

fn places(
    changes: &[Change],
    content: impl Fn(&What) -> Option<ContentId>,
) -> HashMap<ContentId, Vec<usize>> {
    let mut places: HashMap<ContentId, Vec<usize>> = HashMap::new();
    for (at, change) in changes.iter().enumerate() {
        if let Some(content) = content(&change.what) {
            places.entry(content).or_default().push(at);
        }
    }
    places
}

fn content(entry: &Entry) -> Option<ContentId> {
    match entry.kind {
        Kind::File { content, size } if size > 0 => Some(content),
        _ => None,
    }
}

/// Both lists are in the order of paths, as the walk found them.
fn pair_up(changes: &[Change], removed: &[usize], added: &[usize], from_of: &mut HashMap<usize, usize>) {
    let mut by_name: HashMap<&[u8], VecDeque<usize>> = HashMap::new();
    for at in removed {
        by_name.entry(base_name(&changes[*at])).or_default().push_back(*at);
    }
    let mut used = HashSet::new();
    for at in added {
        if let Some(from) = by_name.get_mut(base_name(&changes[*at])).and_then(VecDeque::pop_front) {
            from_of.insert(*at, from);
            used.insert(from);
        }
    }
    let others = added.iter().filter(|at| !from_of.contains_key(at)).copied().collect::<Vec<_>>();
    let left = removed.iter().filter(|at| !used.contains(at)).copied();
    from_of.extend(others.into_iter().zip(left));
}

fn base_name(change: &Change) -> &[u8] {
    change.path.parts().last().unwrap_or_default()
}

fn count(found: &Diff) -> Counts {
    let mut counts = Counts { times_only: found.counts.times_only, ..Counts::default() };
    for change in &found.changes {
        match &change.what {
            What::Added { .. } => counts.added += 1,
            What::Removed { .. } => counts.removed += 1,
            What::Renamed { .. } => counts.renamed += 1,
            What::Changed { aspects, .. } => counts.changed += u64::from(aspects.more_than_times()),
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::MemoryNodes;
    use crate::tree::build::tests::tree_of;
    use crate::tree::memory::Counting;
    use std::cell::Cell;

    fn shown(diff: &Diff) -> String {
        let line = |change: &Change| {
            let letter = change.letter();
            match &change.what {
                What::Renamed { from, aspects, .. } => {
                    format!("{letter} {from} {} {}", change.path, aspects.words().join(","))
                }
                What::Changed { aspects, .. } => {
                    format!("{letter} {} {}", change.path, aspects.words().join(","))
                }
                _ => format!("{letter} {}", change.path),
            }
        };
        let mut lines: Vec<String> =
            diff.changes.iter().map(|change| line(change).trim_end().to_owned()).collect();
        if diff.counts.times_only > 0 {
            lines.push(format!("{} times", diff.counts.times_only));
        }
        lines.join("; ")
    }

    fn check_with(old: &str, new: &str, options: &DiffOptions, expected: &str) {
        let mut nodes = MemoryNodes::new();
        let (old, new) = (tree_of(&mut nodes, old), tree_of(&mut nodes, new));
        let found = diff(&nodes, &old, &nodes, &new, options).unwrap();
        assert_eq!(shown(&found), expected);
        assert_eq!(
            found.is_empty(),
            found.changes.iter().all(|change| match &change.what {
                What::Changed { aspects, .. } => !aspects.more_than_times(),
                _ => false,
            })
        );
    }

    fn check(old: &str, new: &str, expected: &str) {
        check_with(old, new, &DiffOptions::default(), expected);
    }

    #[test]
    fn each_aspect_is_told_apart() {
        check("a=1 b=2", "a=1 b=2", "");
        check("a=1", "a=2", "M /a content");
        check("a=1", "a=1:755", "M /a mode");
        check("a=1", "a=1^7", "M /a owner");
        check("a=1", "a=1+user.x", "M /a xattrs");
        check("a->b", "a->c", "M /a target");
        check("a%1,2", "a%1,3", "M /a device");
        // A layer wrote a link with mode 0644; its checkout then differed from it for ever.
        check("a->b:644", "a->b:777", "");
        check("a->b:644", "a=1:755", "T /a type");
        check("a=1", "a->1", "T /a type");
        check("a=1:600", "a=2^7", "M /a content,mode,owner");
        check("d/", "d/:700", "M /d mode");
        check("d/:700 d/a=1", "d/ d/a=2", "M /d mode; M /d/a content");
    }

    #[test]
    fn folders_come_and_go_with_what_is_in_them() {
        check("a=1", "a=1 d/e/f=2", "A /d; A /d/e; A /d/e/f");
        check("a=1 d/e/f=2", "a=1", "D /d; D /d/e; D /d/e/f");
        check("d/e=1", "d->x:755", "T /d type; D /d/e");
        check("d=1:755", "d/e=2", "T /d type; A /d/e");
        let folded = DiffOptions { expand: false, ..DiffOptions::default() };
        check_with("a=1", "a=1 d/e/f=2", &folded, "A /d");
        check_with("d/e=1", "d->x:755", &folded, "T /d type");
    }

    #[test]
    fn changes_are_in_the_order_of_a_walk() {
        check("", "a.b=1 a/c=2 a/", "A /a; A /a/c; A /a.b");
    }

    #[test]
    fn times_alone_are_counted_or_listed_or_ignored() {
        let (old, new) = ("a=1@1 d/b=2@1 d/c=3", "a=1@2 d/b=2@5 d/c=4@1");
        check(old, new, "M /d/c content,times; 2 times");
        let times = |times| DiffOptions { times, ..DiffOptions::default() };
        check_with(old, new, &times(Times::List), "M /a times; M /d/b times; M /d/c content,times; 2 times");
        check_with("d/b=2@1", "d/b=2@5", &times(Times::Ignore), "");
        check_with("d/b=2@1", "d/b=2@5", &times(Times::List), "M /d/b times; 1 times");
    }

    #[test]
    fn the_same_bytes_at_another_path_are_a_rename() {
        check("a=1", "b=1", "R /a /b");
        check("a=1", "d/a=1:755", "A /d; R /a /d/a mode");
        check("a=", "b=", "D /a; A /b");
        check("a->x", "b->x", "D /a; A /b");
        let off = DiffOptions { renames: false, ..DiffOptions::default() };
        check_with("a=1", "b=1", &off, "D /a; A /b");
    }

    #[test]
    fn a_rename_keeps_the_base_name_if_it_can() {
        check("p=1 q/x=1", "r/x=1 s=1 q/", "A /r; R /q/x /r/x; R /p /s");
        check("a=1 b=1", "c=1", "D /b; R /a /c");
        check("c=1", "a=1 b=1", "R /c /a; A /b");
    }

    #[test]
    fn only_what_was_asked_is_looked_at() {
        let only = |paths: &[&str]| DiffOptions {
            paths: paths.iter().map(|path| TreePath::parse(path.as_bytes()).unwrap()).collect(),
            ..DiffOptions::default()
        };
        let (old, new) = ("a=1 d/e/f=2 d/g=3", "a=2 d/e/f=4 d/g=5 n/o/p=6");
        check_with(old, new, &only(&["d"]), "M /d/e/f content; M /d/g content");
        check_with(old, new, &only(&["d/e", "a"]), "M /a content; M /d/e/f content");
        check_with(old, new, &only(&["n/o"]), "A /n/o; A /n/o/p");
        check_with(old, new, &only(&["nowhere"]), "");
        let folded = DiffOptions { expand: false, ..only(&["n/o/p"]) };
        check_with(old, new, &folded, "A /n/o/p");
    }

    #[test]
    fn hard_links_are_an_aspect_of_their_own() {
        check("a=1 b=1", "a=1 b==a", "M /a hardlinks; M /b hardlinks");
        check("a=1 b==a", "a=1 b==a", "");
        check("a=1 b==a", "a=1 b==a c==a", "M /a hardlinks; M /b hardlinks; A /c");
        check("d/a=1 d/b==d/a", "d/a=1 d/b=2", "M /d/a hardlinks; M /d/b content,hardlinks");
        check("a=1@1 b=1", "a=1@2 b==a", "M /a times,hardlinks; M /b hardlinks");
        check("a=1@1 b=1 c=", "a=1@2 b==a c=@3", "M /a times,hardlinks; M /b hardlinks; 1 times");
    }

    #[test]
    fn the_root_itself_may_change() {
        let mut nodes = MemoryNodes::new();
        let old = tree_of(&mut nodes, "a=1");
        let mut new = old.clone();
        new.root_attr.mode = 0o700;
        let found = diff(&nodes, &old, &nodes, &new, &DiffOptions::default()).unwrap();
        assert_eq!(shown(&found), "M / mode");
    }

    /// 20,000 files in 1,000 folders; 200 changes in 20 of them.
    fn two_large_trees(nodes: &mut MemoryNodes) -> (Tree, Tree) {
        let words = |edition: u32| {
            let word = |n: u32| {
                let text = if n % 1_000 < 10 { edition } else { 0 };
                format!("usr/share/d{}/e{}/file{n}=text{n}.{text} ", n / 400, n / 20)
            };
            (0..20_000).map(word).collect::<String>()
        };
        (tree_of(nodes, &words(1)), tree_of(nodes, &words(2)))
    }

    #[test]
    fn equal_subtrees_are_not_read() {
        let mut nodes = MemoryNodes::new();
        let (old, new) = two_large_trees(&mut nodes);
        let source = Counting { nodes: &nodes, reads: Cell::new(0) };
        let start = std::time::Instant::now();
        let found = diff(&source, &old, &source, &new, &DiffOptions::default()).unwrap();
        println!("{:?} for 20,000 files", start.elapsed());
        assert_eq!(found.counts, Counts { changed: 200, ..Counts::default() });
        // Root, usr, share, then 20 times dN and eN, on both sides.
        assert_eq!(source.reads.get(), 2 * (3 + 20 + 20));
        source.reads.set(0);
        assert!(diff(&source, &old, &source, &old, &DiffOptions::default()).unwrap().is_empty());
        assert_eq!(source.reads.get(), 0);
    }

    #[test]
    fn times_below_are_not_read_when_ignored() {
        let mut nodes = MemoryNodes::new();
        let (old, new) = (tree_of(&mut nodes, "d/e/a=1@1 b=1"), tree_of(&mut nodes, "d/e/a=1@2 b=2"));
        let source = Counting { nodes: &nodes, reads: Cell::new(0) };
        let options = DiffOptions { times: Times::Ignore, ..DiffOptions::default() };
        diff(&source, &old, &source, &new, &options).unwrap();
        assert_eq!(source.reads.get(), 2);
    }
}
