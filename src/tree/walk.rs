//! Finding one entry by its path, and visiting many in order.
//!
//! Nothing here recurses: a tree may be thousands of folders deep.

use super::Entry;
use super::Kind;
use super::Node;
use super::NodeSource;
use super::Tree;
use crate::error::Error;
use crate::error::Result;
use crate::path::PATH_BYTES_MAX;
use crate::path::TreePath;
use std::cmp::Ordering;
use std::sync::Arc;

/// As many as Linux follows in one path.
pub const SYMLINK_HOPS_MAX: u64 = 40;

impl Tree {
    /// The root as an entry; its name is empty, as that of no other.
    pub fn root_entry(&self) -> Entry {
        Entry { name: Box::default(), kind: Kind::Dir(self.root), attr: self.root_attr.clone() }
    }

    /// The paths that are one inode with `path`, itself among them; `None` when it is alone.
    pub fn hardlinks_of(&self, path: &TreePath) -> Option<&[TreePath]> {
        let has_path = |group: &&Vec<TreePath>| group.binary_search(path).is_ok();
        self.hardlinks.iter().find(has_path).map(Vec::as_slice)
    }
}

/// Returns what stands at `path` itself, following no symbolic link.
pub fn lookup(nodes: &dyn NodeSource, tree: &Tree, path: &TreePath) -> Result<Option<Entry>> {
    let mut entry = tree.root_entry();
    for part in path.parts() {
        let Kind::Dir(ids) = entry.kind else {
            return Ok(None);
        };
        let node = nodes.node(&ids.full)?;
        let Some(found) = node.get(part) else {
            return Ok(None);
        };
        entry = found.clone();
    }
    Ok(Some(entry))
}

/// Returns what `path` leads to, and its path without links, following every symbolic link.
///
/// As in a chroot, the root is its own parent and absolute targets start from it. `None` when
/// the path or a link on it leads nowhere.
pub fn resolve(nodes: &dyn NodeSource, tree: &Tree, path: &TreePath) -> Result<Option<(TreePath, Entry)>> {
    // The entries from the root to where we stand, and the parts still to go, last first.
    let mut at = vec![tree.root_entry()];
    let mut to_go: Vec<Box<[u8]>> = path.parts().map(Box::from).collect();
    to_go.reverse();
    let mut hops = 0;
    while let Some(part) = to_go.pop() {
        let Kind::Dir(ids) = at.last().expect("the root stays").kind else {
            return Ok(None);
        };
        match &part[..] {
            b"" | b"." => continue,
            b".." => {
                at.truncate((at.len() - 1).max(1));
                continue;
            }
            _ => {}
        }
        let node = nodes.node(&ids.full)?;
        let Some(entry) = node.get(&part) else {
            return Ok(None);
        };
        let Kind::Symlink(target) = &entry.kind else {
            at.push(entry.clone());
            continue;
        };
        hops += 1;
        if hops > SYMLINK_HOPS_MAX {
            return Err(Error::Limit {
                thing: format!("number of symbolic links on {path}"),
                limit: SYMLINK_HOPS_MAX,
                unit: "links",
            });
        }
        if target.is_empty() {
            return Ok(None);
        }
        if target.starts_with(b"/") {
            at.truncate(1);
        }
        to_go.extend(target.split(|byte| *byte == b'/').rev().map(Box::from));
    }
    let real = at[1..].iter().fold(TreePath::root(), |path, entry| path.join(&entry.name));
    Ok(at.pop().map(|entry| (real, entry)))
}

/// What [`walk`] does after an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Descend {
    /// Goes on, into the entry if it is a directory.
    Into,
    /// Goes on, but not into the entry.
    Skip,
    /// Ends the walk.
    Stop,
}

/// Visits `under` and everything below it, each directory before what is in it, names in order.
///
/// The root has no name and is not visited itself. Nodes are read as the walk reaches them.
pub fn walk(
    nodes: &dyn NodeSource,
    tree: &Tree,
    under: &TreePath,
    visit: &mut dyn FnMut(&TreePath, &Entry) -> Result<Descend>,
) -> Result<()> {
    let entry = lookup(nodes, tree, under)?.ok_or_else(|| Error::not_found("path", under.to_string()))?;
    if !under.is_root() && visit(under, &entry)? != Descend::Into {
        return Ok(());
    }
    let Kind::Dir(ids) = entry.kind else {
        return Ok(());
    };
    let mut folders: Vec<(TreePath, Arc<Node>, usize)> = vec![(under.clone(), nodes.node(&ids.full)?, 0)];
    while let Some((folder, node, next)) = folders.last_mut() {
        let Some(entry) = node.entries.get(*next) else {
            folders.pop();
            continue;
        };
        *next += 1;
        let path = child(folder, entry)?;
        match (visit(&path, entry)?, &entry.kind) {
            (Descend::Stop, _) => return Ok(()),
            (Descend::Into, Kind::Dir(ids)) => {
                let node = nodes.node(&ids.full)?;
                folders.push((path, node, 0));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Joins a name to its folder, unless nodes that hold each other a million deep make it too long.
pub(super) fn child(folder: &TreePath, entry: &Entry) -> Result<TreePath> {
    let path = folder.join(&entry.name);
    if path.as_bytes().len() > PATH_BYTES_MAX {
        return Err(Error::Limit {
            thing: format!("path `{path}`"),
            limit: PATH_BYTES_MAX as u64,
            unit: "bytes",
        });
    }
    Ok(path)
}

/// Compares paths as [`walk`] meets them: `a/b` before `a.b`, where their bytes say otherwise.
pub fn walk_order(one: &TreePath, two: &TreePath) -> Ordering {
    // No name holds a byte as low as NUL, so a slash that sorts as NUL ends a name before all.
    let key = |path: &TreePath, at: usize| match path.as_bytes()[at] {
        b'/' => 0,
        byte => byte,
    };
    let (a, b) = (one.as_bytes(), two.as_bytes());
    match a.iter().zip(b).position(|(a, b)| a != b) {
        Some(at) => key(one, at).cmp(&key(two, at)),
        None => a.len().cmp(&b.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::MemoryNodes;
    use crate::tree::build::tests::tree_of;

    fn path(raw: &str) -> TreePath {
        TreePath::parse(raw.as_bytes()).unwrap()
    }

    #[test]
    fn a_walk_visits_folders_first_and_names_in_order() {
        let mut nodes = MemoryNodes::new();
        let tree = tree_of(&mut nodes, "a/b/c=1 a/b.d=2 a.e=3 z/");
        let walked = |under: &str, skip: &str| {
            let mut seen = Vec::new();
            walk(&nodes, &tree, &path(under), &mut |path, entry| {
                assert!(path.as_bytes().ends_with(&entry.name));
                seen.push(path.to_string());
                Ok(if path.to_string() == skip { Descend::Skip } else { Descend::Into })
            })
            .unwrap();
            let paths: Vec<_> = seen.iter().map(|raw| path(raw)).collect();
            assert!(paths.is_sorted_by(|one, two| walk_order(one, two).is_lt()));
            seen.join(" ")
        };
        assert_eq!(walked("", ""), "/a /a/b /a/b/c /a/b.d /a.e /z");
        assert_eq!(walked("", "/a/b"), "/a /a/b /a/b.d /a.e /z");
        assert_eq!(walked("a/b", ""), "/a/b /a/b/c");
        assert_eq!(walked("a.e", ""), "/a.e");
        let missing = walk(&nodes, &tree, &path("a.e/x"), &mut |_, _| Ok(Descend::Into)).unwrap_err();
        assert_eq!(missing.to_string(), "path /a.e/x not found");
    }

    #[test]
    fn a_walk_survives_great_depth() {
        let mut nodes = MemoryNodes::new();
        let deep = vec!["d"; 2_000].join("/");
        let tree = tree_of(&mut nodes, &format!("{deep}=1"));
        let mut n_entries = 0;
        walk(&nodes, &tree, &TreePath::root(), &mut |_, _| {
            n_entries += 1;
            Ok(Descend::Into)
        })
        .unwrap();
        assert_eq!(n_entries, 2_000);
    }

    #[test]
    fn links_are_followed_inside_the_root() {
        let mut nodes = MemoryNodes::new();
        let tree = tree_of(
            &mut nodes,
            "usr/bin/sh=1 bin->usr/bin abs->/usr/./bin//sh up->../../usr usr/me->.. loop->loop gone->nowhere file=2 empty->",
        );
        let check = |from: &str, to: &str| {
            let found = resolve(&nodes, &tree, &path(from)).unwrap();
            assert_eq!(found.map_or("nothing".to_owned(), |(path, _)| path.to_string()), to, "{from}");
        };
        check("bin/sh", "/usr/bin/sh");
        check("abs", "/usr/bin/sh");
        check("up/bin", "/usr/bin");
        check("usr/me/usr/me/bin/sh", "/usr/bin/sh");
        check("usr/me", "/");
        check("gone", "nothing");
        check("empty", "nothing");
        check("file/x", "nothing");
        check("", "/");
        let err = resolve(&nodes, &tree, &path("loop")).unwrap_err();
        assert_eq!(err.to_string(), "number of symbolic links on /loop is over the limit of 40 links");
        assert!(lookup(&nodes, &tree, &path("bin/sh")).unwrap().is_none());
        assert!(matches!(lookup(&nodes, &tree, &path("bin")).unwrap().unwrap().kind, Kind::Symlink(_)));
    }
}
