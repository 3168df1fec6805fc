//! A tree from a list of paths in any order: scanned folders, file systems read by others, tests.
//!
//! Layers are not for this: what a later one hides needs `layer::flatten`.

use super::Entry;
use super::Kind;
use super::Node;
use super::NodeIds;
use super::NodeSink;
use super::Tree;
use super::walk::walk_order;
use crate::attr::Attr;
use crate::error::Error;
use crate::error::Result;
use crate::path::TreePath;

/// Folders that are named only as part of a path get these bits, as tar readers give them.
const IMPLIED_DIR_MODE: u32 = 0o755;

#[derive(Debug)]
pub struct Builder {
    root_attr: Attr,
    /// A directory is `None`: its node is known once all is put.
    items: Vec<(TreePath, Option<Kind>, Attr)>,
    hardlinks: Vec<Vec<TreePath>>,
    /// First name of an inode, one more name of it.
    names: Vec<(TreePath, TreePath)>,
}

/// A directory whose entries are still coming.
struct Open {
    path: TreePath,
    attr: Attr,
    node: Node,
}

impl Builder {
    pub fn new(root_attr: Attr) -> Builder {
        Builder { root_attr, items: Vec::new(), hardlinks: Vec::new(), names: Vec::new() }
    }

    pub fn put_dir(&mut self, path: TreePath, attr: Attr) {
        self.items.push((path, None, attr));
    }

    /// Puts anything that is not a directory.
    pub fn put(&mut self, path: TreePath, kind: Kind, attr: Attr) {
        debug_assert!(!matches!(kind, Kind::Dir(_)), "{path}");
        self.items.push((path, Some(kind), attr));
    }

    /// Says that these paths, each put as well, are one inode.
    pub fn link(&mut self, mut group: Vec<TreePath>) {
        group.sort();
        group.dedup();
        if group.len() > 1 {
            self.hardlinks.push(group);
        }
    }

    /// Puts one more name of what was put at `first`, or will be.
    pub fn put_name(&mut self, path: TreePath, first: TreePath) {
        self.names.push((first, path));
    }

    /// Puts what [`Builder::put_name`] promised, and says who is one inode with whom.
    fn resolve_names(&mut self) -> Result<()> {
        let mut names = std::mem::take(&mut self.names);
        names.sort();
        let items = self.items.len();
        for group in names.chunk_by(|one, other| one.0 == other.0) {
            let first = &group[0].0;
            let at = self.items[..items].binary_search_by(|item| walk_order(&item.0, first));
            let Some((_, Some(kind), attr)) = at.ok().map(|at| &self.items[at]) else {
                return Err(Error::invalid(format!("hard link {}", group[0].1), format!("leads to {first}")));
            };
            let (kind, attr) = (kind.clone(), attr.clone());
            for (_, path) in group {
                self.items.push((path.clone(), Some(kind.clone()), attr.clone()));
            }
            let paths = group.iter().map(|(_, path)| path.clone());
            self.link(std::iter::once(first.clone()).chain(paths).collect());
        }
        if self.items.len() > items {
            self.items.sort_by(|one, two| walk_order(&one.0, &two.0));
        }
        Ok(())
    }

    /// Puts every node, children first, and returns the record of the whole.
    pub fn finish(mut self, sink: &mut dyn NodeSink) -> Result<Tree> {
        self.items.sort_by(|one, two| walk_order(&one.0, &two.0));
        self.resolve_names()?;
        self.hardlinks.sort();
        let (mut entries, mut bytes) = (0, 0u64);
        let mut folders =
            vec![Open { path: TreePath::root(), attr: self.root_attr.clone(), node: Node::default() }];
        let mut last = None;
        for (path, kind, attr) in self.items {
            let Some((folder, name)) = path.split() else {
                return Err(Error::invalid("path /", "is the root and cannot be put into a tree"));
            };
            while !folder.is_under(&folders.last().expect("all is under the root").path) {
                close(&mut folders, sink)?;
            }
            let known = folders.last().expect("all is under the root").path.parts().count();
            for part in folder.parts().skip(known) {
                let attr = Attr { mode: IMPLIED_DIR_MODE, ..Attr::default() };
                let above = &folders.last().expect("all is under the root").path;
                folders.push(Open { path: above.join(part), attr, node: Node::default() });
                entries += 1;
            }
            entries += 1;
            if last.as_ref() == Some(&path) {
                return Err(Error::invalid(format!("path {path}"), "is there twice"));
            }
            match kind {
                None => folders.push(Open { path: path.clone(), attr, node: Node::default() }),
                Some(kind) => {
                    if let Kind::File { size, .. } = kind {
                        bytes = bytes.saturating_add(size);
                    }
                    let name = name.into();
                    folders.last_mut().expect("all is under the root").node.entries.push(Entry {
                        name,
                        kind,
                        attr,
                    });
                }
            }
            last = Some(path);
        }
        let root = loop {
            if let Some(root) = close(&mut folders, sink)? {
                break root;
            }
        };
        let tree = Tree { root, root_attr: self.root_attr, hardlinks: self.hardlinks, entries, bytes };
        tree.check()?;
        Ok(tree)
    }
}

/// Puts the innermost node and names it in the one above; returns the ids of the root.
fn close(folders: &mut Vec<Open>, sink: &mut dyn NodeSink) -> Result<Option<NodeIds>> {
    let done = folders.pop().expect("the root is closed last");
    let ids = sink.put_node(&done.node)?;
    let (Some(above), Some((_, name))) = (folders.last_mut(), done.path.split()) else {
        return Ok(Some(ids));
    };
    above.node.entries.push(Entry { name: name.into(), kind: Kind::Dir(ids), attr: done.attr });
    Ok(None)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::attr::Time;
    use crate::attr::Xattrs;
    use crate::id::ContentId;
    use crate::tree::MemoryNodes;

    /// Builds a tree from words: `dir/`, `file=text`, `link->target`, `pipe|`, `char%1,2`, and
    /// `hard==file` for one more name of a file put before; attributes may follow, `@mtime`,
    /// `:mode`, `^uid`, `+xattr`.
    pub(crate) fn tree_of(sink: &mut dyn NodeSink, words: &str) -> Tree {
        let mut builder = Builder::new(Attr { mode: 0o755, ..Attr::default() });
        let parse = |raw: &str| TreePath::parse(raw.as_bytes()).unwrap();
        let mut groups: Vec<Vec<TreePath>> = Vec::new();
        for word in words.split_whitespace() {
            let cut = word.find(['@', ':', '^', '+']).unwrap_or(word.len());
            let (what, marks) = word.split_at(cut);
            let mut attr = Attr { mode: if what.ends_with('/') { 0o755 } else { 0o644 }, ..Attr::default() };
            for mark in marks.split_inclusive(['@', ':', '^', '+']).collect::<String>().split(' ') {
                let mut rest = mark;
                while let Some(sign) = rest.chars().next() {
                    let end = rest[1..].find(['@', ':', '^', '+']).map_or(rest.len(), |at| at + 1);
                    let value = &rest[1..end];
                    match sign {
                        '@' => attr.mtime = Time { secs: value.parse().unwrap(), nanos: 0 },
                        ':' => attr.mode = u32::from_str_radix(value, 8).unwrap(),
                        '^' => attr.uid = value.parse().unwrap(),
                        _ => attr.xattrs = Xattrs::new(vec![(value.as_bytes().into(), Box::default())]),
                    }
                    rest = &rest[end..];
                }
            }
            let file =
                |text: &str| Kind::File { content: ContentId::of(text.as_bytes()), size: text.len() as u64 };
            if let Some((name, target)) = what.split_once("->") {
                builder.put(parse(name), Kind::Symlink(target.as_bytes().into()), attr);
            } else if let Some((name, first)) = what.split_once("==") {
                let kind = builder.items.iter().find(|item| item.0 == parse(first)).unwrap().1.clone();
                builder.put(parse(name), kind.unwrap(), attr);
                match groups.iter_mut().find(|group| group.contains(&parse(first))) {
                    Some(group) => group.push(parse(name)),
                    None => groups.push(vec![parse(first), parse(name)]),
                }
            } else if let Some((name, text)) = what.split_once('=') {
                builder.put(parse(name), file(text), attr);
            } else if let Some((name, numbers)) = what.split_once('%') {
                let (major, minor) = numbers.split_once(',').unwrap();
                let (major, minor) = (major.parse().unwrap(), minor.parse().unwrap());
                builder.put(parse(name), Kind::CharDevice { major, minor }, attr);
            } else if let Some(name) = what.strip_suffix('|') {
                builder.put(parse(name), Kind::Fifo, attr);
            } else {
                builder.put_dir(parse(what), attr);
            }
        }
        groups.into_iter().for_each(|group| builder.link(group));
        builder.finish(sink).unwrap()
    }

    #[test]
    fn order_of_putting_does_not_matter_and_folders_are_implied() {
        let mut nodes = MemoryNodes::new();
        let one = tree_of(&mut nodes, "a/b/c=1 a.d=22 a/e->x");
        let two = tree_of(&mut nodes, "a/e->x a.d=22 a/b/ a/b/c=1 a/");
        assert_eq!(one, two);
        assert_eq!((one.entries, one.bytes), (5, 3));
        let empty = tree_of(&mut nodes, "");
        assert_eq!((empty.root, empty.entries), (Node::default().ids(), 0));
    }

    #[test]
    fn a_path_twice_or_below_a_file_is_refused() {
        let check = |paths: [&str; 2]| {
            let mut builder = Builder::new(Attr::default());
            for path in paths {
                builder.put(TreePath::parse(path.as_bytes()).unwrap(), Kind::Fifo, Attr::default());
            }
            builder.finish(&mut MemoryNodes::new()).unwrap_err().to_string()
        };
        assert_eq!(check(["a", "a"]), "path /a: is there twice");
        assert_eq!(check(["a", "a/b"]), "tree entry `a`: is out of order");
    }
}
