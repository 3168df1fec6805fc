//! One tree out of many: the file systems of a guest at their mount points, as the running machine
//! sees them.
//!
//! Only the folders on the way to a mount point are written anew; everything else is shared with
//! the trees it came from. Mount points are a stranger's words: one that leads out of the tree, over
//! a link, or to no folder is left out and told, as the machine itself could not have mounted it.

use super::Os;
use super::Subvolume;
use crate::error::Result;
use crate::path::PATH_PARTS_MAX;
use crate::path::TreePath;
use crate::path::shown;
use crate::tree::Entry;
use crate::tree::Kind;
use crate::tree::Node;
use crate::tree::NodeSink;
use crate::tree::NodeSource;
use crate::tree::Tree;
use crate::tree::walk;
use crate::tree::walk::Descend;
use std::collections::HashMap;
use std::sync::Arc;

/// A mount point this deep has no use but to make trees deep.
const POINT_PARTS_MAX: usize = 32;
/// Subvolumes in subvolumes.
const NESTING_MAX: usize = 8;
/// A machine has a dozen, and each writes the folders above it anew.
const MOUNTS_MAX: usize = 1_000;

/// A device has one mount point or a few. Each names the hard links of its tree once more, so the tree
/// would grow without bound.
const MOUNTS_OF_ONE_MAX: usize = 16;

/// The tree of one file system, and what it only shows as empty folders.
#[derive(Clone, Debug)]
pub struct Volume {
    pub tree: Tree,
    pub subvolumes: Vec<Subvolume>,
}

#[derive(Debug)]
pub struct Assembled {
    pub tree: Tree,
    pub ignored: Vec<Ignored>,
}

/// A mount that is not part of the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ignored {
    pub point: String,
    pub device: String,
    /// Reads on after the mount point: "is a link, which is not followed".
    pub problem: String,
}

/// Nodes that are read and written in one place.
pub trait Nodes: NodeSource + NodeSink {}

impl<T: NodeSource + NodeSink> Nodes for T {}

/// Puts the file systems of `os` together; `None` where its root is not among `volumes`, which are
/// by device. Mounts of devices that are not there are told in [`Assembled::ignored`].
///
/// Of two mounts one in the other the inner comes later, and of two at one place the later in the
/// list: what it hides is not in the tree.
pub fn assemble(
    nodes: &mut dyn Nodes,
    os: &Os,
    volumes: &HashMap<String, Volume>,
) -> Result<Option<Assembled>> {
    let mut work = Work { nodes, volumes, ignored: Vec::new(), left: MOUNTS_MAX, mounted: HashMap::new() };
    let Some(mut tree) = work.whole(&os.root, 0)? else {
        return Ok(None);
    };
    let mut mounts: Vec<(TreePath, &str)> = Vec::new();
    for mount in &os.mounts {
        match point(&mount.point) {
            Ok(path) if path.is_root() => {}
            Ok(path) => mounts.push((path, &mount.device)),
            Err(problem) => work.ignore(&mount.point, &mount.device, problem),
        }
    }
    mounts.sort_by_key(|(path, _)| path.parts().count());
    for (path, device) in mounts {
        let Some(mounted) = work.whole(device, 0)? else {
            work.ignore(&path.to_string(), device, "is for a device that is not there");
            continue;
        };
        work.mount(&mut tree, &path, device, mounted)?;
    }
    Ok(Some(Assembled { tree, ignored: work.ignored }))
}

/// An absolute path without tricks.
fn point(text: &str) -> Result<TreePath, &'static str> {
    let path = TreePath::parse(text.as_bytes()).map_err(|_| "is not a path inside the system")?;
    if !text.starts_with('/') {
        return Err("does not begin at the root");
    }
    if path.parts().count() > POINT_PARTS_MAX {
        return Err("is too deep");
    }
    Ok(path)
}

struct Work<'a> {
    nodes: &'a mut dyn Nodes,
    volumes: &'a HashMap<String, Volume>,
    ignored: Vec<Ignored>,
    /// Mounts that may still be made.
    left: usize,
    /// Those made of each device.
    mounted: HashMap<String, usize>,
}

impl Work<'_> {
    fn ignore(&mut self, point: &str, device: &str, problem: impl Into<String>) {
        let (point, device) = (shown(point.as_bytes()), shown(device.as_bytes()));
        self.ignored.push(Ignored { point, device, problem: problem.into() });
    }

    /// A volume with the subvolumes that stand in it.
    fn whole(&mut self, device: &str, depth: usize) -> Result<Option<Tree>> {
        let Some(volume) = self.volumes.get(device) else {
            return Ok(None);
        };
        let mut tree = volume.tree.clone();
        for inner in &volume.subvolumes {
            let Some(path) = inner.tree_path().filter(|path| path.parts().count() <= POINT_PARTS_MAX) else {
                self.ignore(&inner.path, &inner.device, "is too deep");
                continue;
            };
            if depth == NESTING_MAX {
                self.ignore(&inner.path, &inner.device, "is inside too many others");
                continue;
            }
            match self.whole(&inner.device, depth + 1)? {
                Some(mounted) => self.mount(&mut tree, &path, &inner.device, mounted)?,
                None => self.ignore(&inner.path, &inner.device, "is for a device that is not there"),
            }
        }
        Ok(Some(tree))
    }

    /// Puts `mounted` over the folder at `path`, or tells why not.
    fn mount(&mut self, tree: &mut Tree, path: &TreePath, device: &str, mounted: Tree) -> Result<()> {
        if self.left == 0 {
            self.ignore(&path.to_string(), device, "is one mount too many");
            return Ok(());
        }
        match self.way(tree, path)? {
            Ok(way) => {
                let times = self.mounted.entry(device.to_owned()).or_default();
                if *times == MOUNTS_OF_ONE_MAX {
                    self.ignore(&path.to_string(), device, "mounts the same once too often");
                    return Ok(());
                }
                *times += 1;
                self.left -= 1;
                let hidden = hidden(self.nodes, tree, path)?;
                tree.root = self.rewrite(way, &mounted)?;
                tree.entries = tree.entries.saturating_sub(hidden.entries).saturating_add(mounted.entries);
                tree.bytes = tree.bytes.saturating_sub(hidden.bytes).saturating_add(mounted.bytes);
                self.links(tree, path, device, mounted.hardlinks);
                tree.check()
            }
            Err(problem) => {
                self.ignore(&path.to_string(), device, problem);
                Ok(())
            }
        }
    }

    /// The way to the folder that is to be mounted on; or why there is none.
    fn way(&self, tree: &Tree, path: &TreePath) -> Result<Result<Way, &'static str>> {
        let mut way = Vec::new();
        let mut ids = tree.root;
        for part in path.parts() {
            let node = self.nodes.node(&ids.full)?;
            let Ok(at) = node.entries.binary_search_by(|entry| entry.name[..].cmp(part)) else {
                return Ok(Err("has no folder to mount on"));
            };
            ids = match &node.entries[at].kind {
                Kind::Dir(ids) => *ids,
                Kind::Symlink(_) => return Ok(Err("goes over a link, which is not followed")),
                _ => return Ok(Err("is no folder")),
            };
            way.push((node, at));
        }
        Ok(Ok(way))
    }

    /// Writes the nodes of the way anew, innermost first.
    fn rewrite(&mut self, way: Way, mounted: &Tree) -> Result<crate::tree::NodeIds> {
        let mut ids = mounted.root;
        let mut attr = Some(mounted.root_attr.clone());
        for (node, at) in way.into_iter().rev() {
            let mut node = Node::clone(&node);
            let entry = &mut node.entries[at];
            let attr = attr.take().unwrap_or_else(|| entry.attr.clone());
            *entry = Entry { name: entry.name.clone(), kind: Kind::Dir(ids), attr };
            ids = self.nodes.put_node(&node)?;
        }
        Ok(ids)
    }

    /// Takes out what is hidden and puts in what came, under the mount point.
    fn links(&mut self, tree: &mut Tree, point: &TreePath, device: &str, mounted: Vec<Vec<TreePath>>) {
        for group in &mut tree.hardlinks {
            group.retain(|path| !path.is_under(point));
        }
        tree.hardlinks.retain(|group| group.len() > 1);
        let mut too_deep = 0;
        for group in mounted {
            let below = |path: TreePath| path.parts().fold(point.clone(), |path, part| path.join(part));
            let fits = |path: &TreePath| {
                path.parts().count() <= PATH_PARTS_MAX && TreePath::parse(path.as_bytes()).is_ok()
            };
            let all = group.len();
            // One slash more at the same place in each keeps the order of a group.
            let group: Vec<_> = group.into_iter().map(below).filter(fits).collect();
            too_deep += all - group.len();
            if group.len() > 1 {
                tree.hardlinks.push(group);
            }
        }
        tree.hardlinks.sort_unstable();
        if too_deep > 0 {
            self.ignore(
                &point.to_string(),
                device,
                format!("makes {too_deep} names of files too deep to be links"),
            );
        }
    }
}

/// Nodes from the root on, each with the place of the next in it.
type Way = Vec<(Arc<Node>, usize)>;

#[derive(Default)]
struct Sum {
    entries: u64,
    bytes: u64,
}

/// What stands below a path: mostly nothing, as a mount point is an empty folder.
fn hidden(nodes: &dyn NodeSource, tree: &Tree, path: &TreePath) -> Result<Sum> {
    let mut sum = Sum::default();
    walk::walk(nodes, tree, path, &mut |found, entry| {
        if found != path {
            sum.entries += 1;
            if let Kind::File { size, .. } = entry.kind {
                sum.bytes = sum.bytes.saturating_add(size);
            }
        }
        Ok(Descend::Into)
    })?;
    Ok(sum)
}

#[cfg(test)]
mod tests;
