//! Flattening: a stack of layers applied one on the other, which gives the tree a container sees.
//!
//! The rules are those of the OCI image spec's "Image Layer Filesystem Changeset", and where it
//! is silent those of the engines:
//! - A whiteout or an opaque marker hides what layers *below* have, never what its own layer has,
//!   wherever in the tar it stands.
//! - A directory over a directory changes its attributes and keeps what is in it. Anything else
//!   over anything else replaces it, with all below it. A directory over a symbolic link to one
//!   replaces the link.
//! - Missing directories above an entry are made. A symbolic link above an entry is followed,
//!   inside the root; at the end of its path it is not.
//! - A hard link is one more name of what its target is at that moment, in whatever layer. It has
//!   its target's attributes; its own are not believed (containerd and docker would set them on
//!   the inode, umoci and GNU tar do as here; sound tars have them equal).
//! - AUFS's own names (`.wh..wh.plnk` …) are no files; hard links into its link folder are.

mod forest;
mod links;
#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

use super::LayerEntry;
use super::LayerKind;
use super::walk::METADATA_PREFIX;
use crate::attr::Attr;
use crate::error::Error;
use crate::error::Result;
use crate::id::ContentId;
use crate::path::PATH_BYTES_MAX;
use crate::path::TreePath;
use crate::path::shown;
use crate::tree::NodeSink;
use crate::tree::NodeSource;
use crate::tree::Tree;
use crate::tree::walk::SYMLINK_HOPS_MAX;
use forest::DirId;
use forest::Forest;
use forest::Item;
use forest::ItemId;
use forest::Peek;
use forest::ROOT;
use forest::What;
use forest::implied_attr;
use links::Links;
use links::Name;
use std::collections::HashMap;

/// The AUFS folder whose files are there to be targets of hard links only.
const AUFS_LINKS: &[u8] = b".wh..wh.plnk";

/// Applies layers, lowest first; an error leaves it fit for nothing but being dropped.
pub struct Flattener<'n> {
    forest: Forest<'n>,
    links: Links,
    root_attr: Attr,
    layer: u32,
    /// Files of the layer's [`AUFS_LINKS`], by name.
    aufs: HashMap<Box<[u8]>, (ContentId, u64, Attr)>,
}

/// A directory of the tree, with the path that leads to it without symbolic links.
struct Place {
    dir: DirId,
    path: Vec<u8>,
}

impl Place {
    fn root() -> Place {
        Place { dir: ROOT, path: Vec::new() }
    }

    fn join(&self, name: &[u8]) -> Vec<u8> {
        let slash: &[u8] = if self.path.is_empty() { b"" } else { b"/" };
        [&self.path, slash, name].concat()
    }
}

impl Default for Flattener<'_> {
    fn default() -> Self {
        Flattener::new()
    }
}

impl<'n> Flattener<'n> {
    /// Starts with nothing: the next layer is the lowest.
    pub fn new() -> Flattener<'n> {
        Flattener {
            forest: Forest::new(),
            links: Links::default(),
            root_attr: implied_attr(),
            layer: 1,
            aufs: HashMap::new(),
        }
    }

    /// Starts with the tree of the layers below, whose nodes are read as far as they are touched.
    pub fn on(tree: &Tree, nodes: &'n dyn NodeSource) -> Flattener<'n> {
        Flattener {
            forest: Forest::on(tree, nodes),
            links: Links::of(&tree.hardlinks),
            root_attr: tree.root_attr.clone(),
            ..Flattener::new()
        }
    }

    pub fn begin_layer(&mut self) {
        self.layer += 1;
        self.aufs.clear();
    }

    pub fn apply(&mut self, entry: LayerEntry) -> Result<()> {
        let LayerEntry { path, attr, what } = entry;
        let Some((folder, name)) = path.split() else {
            return self.describe_root(what, attr);
        };
        let metadata = |path: &TreePath| path.parts().any(|part| part.starts_with(METADATA_PREFIX));
        if metadata(if what == LayerKind::Opaque { &folder } else { &path }) {
            self.keep_aufs_link(&folder, name, what, attr);
            return Ok(());
        }
        match what {
            LayerKind::Whiteout { of } => self.hide(&of),
            LayerKind::Opaque => self.hide_below(&folder),
            LayerKind::Dir => {
                let place = self.made(&folder)?;
                self.put_dir(&place, name, attr)
            }
            LayerKind::Hardlink { target } => self.put_hardlink(&path, &folder, name, &target),
            other => {
                let place = self.made(&folder)?;
                self.put(&place, name, other, attr)
            }
        }
    }

    /// Puts all new nodes and returns the tree of the layers so far; more may follow.
    pub fn finish(&mut self, sink: &mut dyn NodeSink) -> Result<Tree> {
        let root = self.forest.put(sink)?;
        let (entries, bytes) = self.forest.totals();
        let forest = &self.forest;
        let hardlinks = self.links.list(|path, name| match forest.peek(path) {
            Peek::Nothing => false,
            Peek::Unloaded => name.of_stored,
            Peek::Item(id) => is_linked(forest.item(id), name),
        })?;
        Ok(Tree { root, root_attr: self.root_attr.clone(), hardlinks, entries, bytes })
    }

    fn describe_root(&mut self, what: LayerKind, attr: Attr) -> Result<()> {
        if what != LayerKind::Dir {
            return Err(Error::invalid(
                "layer entry `/`",
                "puts something that is no folder in the place of the root",
            ));
        }
        self.root_attr = attr;
        Ok(())
    }

    fn put_dir(&mut self, place: &Place, name: &[u8], attr: Attr) -> Result<()> {
        if let Some(id) = self.forest.child(place.dir, name)? {
            if let What::Dir(_) = self.forest.item(id).what {
                return self.forest.describe(place.dir, id, attr, self.layer);
            }
            self.forest.remove(place.dir, name)?;
        }
        self.forest.insert_dir(place.dir, name, attr, self.layer).map(drop)
    }

    fn put(&mut self, place: &Place, name: &[u8], what: LayerKind, mut attr: Attr) -> Result<()> {
        if let LayerKind::Symlink(_) = what {
            // Whatever a header says of a symbolic link's mode, Linux has this one for all.
            attr.mode = 0o777;
        }
        let Some(item) = self.forest.leaf(what, attr, self.layer)? else {
            return Ok(());
        };
        self.forest.remove(place.dir, name)?;
        self.forest.insert(place.dir, name, item)
    }

    fn put_hardlink(
        &mut self,
        path: &TreePath,
        folder: &TreePath,
        name: &[u8],
        target: &TreePath,
    ) -> Result<()> {
        let refuse = |problem: String| Err(Error::invalid(format!("hard link `{path}`"), problem));
        let (target_folder, target_name) = target.split().unwrap_or((TreePath::root(), b""));
        if target_folder.as_bytes() == AUFS_LINKS {
            let Some((content, size, attr)) = self.aufs.get(target_name).cloned() else {
                return refuse(format!("its target `{target}` is not in the image"));
            };
            let place = self.made(folder)?;
            return self.put(&place, name, LayerKind::File { content, size }, attr);
        }
        let place = self.made(folder)?;
        let Some((found, id)) = self.find(&target_folder, target_name)? else {
            return refuse(format!("its target `{target}` is not in the image"));
        };
        let mut item = self.forest.item(id).clone();
        if let What::Dir(_) = item.what {
            return refuse(format!("its target `{target}` is a folder"));
        }
        let (own, other) = (place.join(name), found.join(target_name));
        if own == other {
            return Ok(());
        }
        if other.strip_prefix(&own[..]).is_some_and(|rest| rest.starts_with(b"/")) {
            return refuse(format!("its target `{target}` lies in the folder that it replaces"));
        }
        self.forest.remove(place.dir, name)?;
        let group = match self.links.get(&other) {
            Some(name) if is_linked(&item, name) => name.group,
            _ => {
                let group = self.links.new_group();
                self.forest.mark_linked(id);
                self.links.set(&other, group);
                group
            }
        };
        self.links.set(&own, group);
        self.forest.hold((own.len() + other.len()) as u64)?;
        item.linked = true;
        item.layer = self.layer;
        self.forest.insert(place.dir, name, item)
    }

    /// An explicit whiteout.
    fn hide(&mut self, path: &TreePath) -> Result<()> {
        let Some((folder, name)) = path.split() else {
            return Ok(());
        };
        let Some((place, id)) = self.find(&folder, name)? else {
            return Ok(());
        };
        let item = self.forest.item(id);
        let is_below = item.layer < self.layer;
        let What::Dir(dir) = item.what else {
            return if is_below { self.forest.remove(place.dir, name) } else { Ok(()) };
        };
        self.forest.clear(dir, self.layer)?;
        if !is_below {
            return Ok(());
        }
        if self.forest.is_empty(dir)? {
            return self.forest.remove(place.dir, name);
        }
        self.forest.describe(place.dir, id, implied_attr(), self.layer)
    }

    /// An opaque marker.
    fn hide_below(&mut self, folder: &TreePath) -> Result<()> {
        match self.found(folder)? {
            Some(place) => self.forest.clear(place.dir, self.layer),
            None => Ok(()),
        }
    }

    fn keep_aufs_link(&mut self, folder: &TreePath, name: &[u8], what: LayerKind, attr: Attr) {
        if let (AUFS_LINKS, LayerKind::File { content, size }) = (folder.as_bytes(), what) {
            self.aufs.insert(name.into(), (content, size, attr));
        }
    }

    fn find(&mut self, folder: &TreePath, name: &[u8]) -> Result<Option<(Place, ItemId)>> {
        let Some(place) = self.found(folder)? else {
            return Ok(None);
        };
        let id = self.forest.child(place.dir, name)?;
        Ok(id.map(|id| (place, id)))
    }

    /// The folder that `path` leads to, if there is one.
    fn found(&mut self, path: &TreePath) -> Result<Option<Place>> {
        self.follow(path, false)
    }

    /// The folder that `path` leads to; what is missing of it is made.
    fn made(&mut self, path: &TreePath) -> Result<Place> {
        let place = self.follow(path, true)?;
        place.ok_or_else(|| Error::invalid(format!("folder `{path}`"), "cannot be made"))
    }

    fn follow(&mut self, path: &TreePath, make: bool) -> Result<Option<Place>> {
        let mut place = Place::root();
        let mut detour = Detour::default();
        for part in path.parts() {
            if !self.step(&mut place, part, make, &mut detour)? {
                return Ok(None);
            }
            while let Some(part) = detour.parts.pop() {
                if !self.step(&mut place, &part, make, &mut detour)? {
                    return Ok(None);
                }
            }
            if detour.hops > SYMLINK_HOPS_MAX {
                let thing = format!("number of symbolic links on {path}");
                return Err(Error::Limit { thing, limit: SYMLINK_HOPS_MAX, unit: "links" });
            }
        }
        Ok(Some(place))
    }

    /// Goes one part further; `false` where there is nothing.
    fn step(&mut self, place: &mut Place, part: &[u8], make: bool, detour: &mut Detour) -> Result<bool> {
        match part {
            b"" | b"." => return Ok(true),
            b".." => {
                place.dir = self.forest.parent(place.dir);
                let parent = place.path.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
                place.path.truncate(parent);
                return Ok(true);
            }
            _ => {}
        }
        let found = self.forest.child(place.dir, part)?;
        let dir = match found.map(|id| &self.forest.item(id).what) {
            Some(What::Dir(dir)) => *dir,
            Some(What::Symlink(target)) => {
                detour.hops += 1;
                if detour.hops > SYMLINK_HOPS_MAX {
                    // Told by the caller, who knows the whole path; nothing is followed any more.
                    detour.parts.clear();
                    return Ok(true);
                }
                if target.is_empty() {
                    return Ok(false);
                }
                if target.starts_with(b"/") {
                    *place = Place::root();
                }
                detour.parts.extend(target.split(|byte| *byte == b'/').rev().map(Box::from));
                return Ok(true);
            }
            Some(_) if make => {
                let path = shown(&place.join(part));
                return Err(Error::invalid(
                    format!("path `/{path}`"),
                    "is no folder, but the layer has entries below it",
                ));
            }
            None if make && !part.contains(&0) => {
                self.forest.insert_dir(place.dir, part, implied_attr(), self.layer)?
            }
            _ => return Ok(false),
        };
        if !place.path.is_empty() {
            place.path.push(b'/');
        }
        place.path.extend_from_slice(part);
        if place.path.len() > PATH_BYTES_MAX {
            let thing = format!("path `/{}`", shown(&place.path));
            return Err(Error::Limit { thing, limit: PATH_BYTES_MAX as u64, unit: "bytes" });
        }
        place.dir = dir;
        Ok(true)
    }
}

/// What symbolic links put in front of the parts still to go, last first.
#[derive(Default)]
struct Detour {
    parts: Vec<Box<[u8]>>,
    hops: u64,
}

/// Says whether what the links know under the item's path is true of it.
fn is_linked(item: &Item, name: Name) -> bool {
    if name.of_stored { item.layer == 0 } else { item.linked }
}

/// For fuzzing: any bytes as two layers, the second on the stored tree of the first.
#[doc(hidden)]
pub fn any_layers(lower: &[u8], upper: &[u8]) {
    let limits = super::Limits { sparse_bytes: 1 << 20, ..super::Limits::default() };
    let mut nodes = crate::tree::MemoryNodes::new();
    let mut tree = None;
    for layer in [lower, upper] {
        let Ok(apart) = super::testing::round_trip(layer, &limits) else {
            return;
        };
        let below = nodes.clone();
        let mut flattener = match &tree {
            None => Flattener::new(),
            Some(tree) => Flattener::on(tree, &below),
        };
        for entry in apart.entries {
            if flattener.apply(entry).is_err() {
                return;
            }
        }
        let flat = flattener.finish(&mut nodes).expect("what was applied can be stored");
        flat.check().expect("a flattened tree is sound");
        tree = Some(flat);
    }
}
