//! The tree while it changes: every entry a small row of a table, directories loaded when entered.
//!
//! A million entries are the size to think of: 72 bytes for each and its name in a map, owners
//! and extended attributes (few are different) in a table of their own. What a stored directory
//! holds is read only when something below it is touched; the rest is never looked at.

use super::super::LayerKind;
use crate::attr::Attr;
use crate::attr::Time;
use crate::attr::Xattrs;
use crate::error::Error;
use crate::error::Result;
use crate::id::ContentId;
use crate::path::PATH_PARTS_MAX;
use crate::tree::Entry;
use crate::tree::Kind;
use crate::tree::Node;
use crate::tree::NodeIds;
use crate::tree::NodeSink;
use crate::tree::NodeSource;
use crate::tree::Tree;
use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;

/// Names, link targets and extended attributes held at once. Ten million entries of ordinary
/// length stay below it; entries that are all name do not.
const TEXT_BYTES_MAX: u64 = 512 << 20;

/// What a directory gets that no layer describes, as engines make it; its time is not theirs
/// (now), so that the same layers give the same tree.
pub fn implied_attr() -> Attr {
    Attr { mode: 0o755, ..Attr::default() }
}

pub type ItemId = u32;
pub type DirId = u32;
pub const ROOT: DirId = 0;

#[derive(Clone, Debug)]
pub enum What {
    File { content: ContentId, size: u64 },
    Dir(DirId),
    Symlink(Box<[u8]>),
    CharDevice { major: u32, minor: u32 },
    BlockDevice { major: u32, minor: u32 },
    Fifo,
    Socket,
}

#[derive(Clone, Debug)]
pub struct Item {
    pub what: What,
    mtime_secs: i64,
    mtime_nanos: u32,
    owner: u32,
    /// The layer that put it here; 0 for what was stored.
    pub layer: u32,
    mode: u16,
    /// One of several names of an inode: [`super::links`] knows the others.
    pub linked: bool,
}

pub enum Peek {
    Nothing,
    /// As it was stored, whatever that is.
    Unloaded,
    Item(ItemId),
}

#[derive(Debug)]
struct Dir {
    parent: DirId,
    depth: u32,
    /// Its ids, as of when it was last put or found.
    stored: Option<Box<NodeIds>>,
    /// `children` is complete. Otherwise `stored` is set, and `children` empty.
    loaded: bool,
    /// Differs from `stored`. Then so does every directory above it.
    dirty: bool,
    /// In this layer, nothing of the layers below is left in it or under it.
    cleared: u32,
    children: BTreeMap<Box<[u8]>, ItemId>,
}

type Owner = (u64, u64, Xattrs);

pub struct Forest<'n> {
    nodes: Option<&'n dyn NodeSource>,
    items: Table<Item>,
    dirs: Table<Dir>,
    owners: Vec<Arc<Owner>>,
    owner_ids: HashMap<Arc<Owner>, u32>,
    text_bytes: u64,
    entries: u64,
    /// Sizes are a stranger's words: only a wider number cannot overflow.
    bytes: u128,
}

impl<'n> Forest<'n> {
    pub fn new() -> Forest<'n> {
        let root = Dir { dirty: true, loaded: true, ..Dir::stored(ROOT, 0, None) };
        Forest {
            nodes: None,
            items: Table::default(),
            dirs: Table { rows: vec![root], free: Vec::new() },
            owners: Vec::new(),
            owner_ids: HashMap::new(),
            text_bytes: 0,
            entries: 0,
            bytes: 0,
        }
    }

    pub fn on(tree: &Tree, nodes: &'n dyn NodeSource) -> Forest<'n> {
        let mut forest = Forest::new();
        forest.nodes = Some(nodes);
        forest.dirs.rows[ROOT as usize] = Dir::stored(ROOT, 0, Some(tree.root));
        forest.entries = tree.entries;
        forest.bytes = u128::from(tree.bytes);
        forest
    }

    pub fn totals(&self) -> (u64, u64) {
        (self.entries, u64::try_from(self.bytes).unwrap_or(u64::MAX))
    }

    pub fn item(&self, id: ItemId) -> &Item {
        self.items.get(id)
    }

    pub fn parent(&self, dir: DirId) -> DirId {
        self.dirs.get(dir).parent
    }

    pub fn child(&mut self, dir: DirId, name: &[u8]) -> Result<Option<ItemId>> {
        self.load(dir)?;
        Ok(self.dirs.get(dir).children.get(name).copied())
    }

    /// Makes an item of anything but directories and what names other entries.
    pub fn leaf(&mut self, what: LayerKind, attr: Attr, layer: u32) -> Result<Option<Item>> {
        let what = match what {
            LayerKind::File { content, size } => What::File { content, size },
            LayerKind::Symlink(target) => What::Symlink(target),
            LayerKind::CharDevice { major, minor } => What::CharDevice { major, minor },
            LayerKind::BlockDevice { major, minor } => What::BlockDevice { major, minor },
            LayerKind::Fifo => What::Fifo,
            LayerKind::Dir | LayerKind::Hardlink { .. } | LayerKind::Whiteout { .. } | LayerKind::Opaque => {
                return Ok(None);
            }
        };
        self.row(what, attr, layer).map(Some)
    }

    fn row(&mut self, what: What, attr: Attr, layer: u32) -> Result<Item> {
        let owner = self.owner((attr.uid, attr.gid, attr.xattrs))?;
        Ok(Item {
            what,
            mtime_secs: attr.mtime.secs,
            mtime_nanos: attr.mtime.nanos,
            owner,
            layer,
            mode: (attr.mode & 0o7777) as u16,
            linked: false,
        })
    }

    /// Puts an item where there is none.
    pub fn insert(&mut self, dir: DirId, name: &[u8], item: Item) -> Result<()> {
        self.load(dir)?;
        self.entries += 1;
        self.bytes += size(&item.what);
        self.attach(dir, name.into(), item)?;
        self.soil(dir);
        Ok(())
    }

    /// Makes an empty directory where there is nothing.
    pub fn insert_dir(&mut self, parent: DirId, name: &[u8], attr: Attr, layer: u32) -> Result<DirId> {
        let depth = self.dirs.get(parent).depth + 1;
        // A path without links is short enough already; links make longer ones out of it.
        if depth as usize >= PATH_PARTS_MAX {
            let thing = format!("the depth of folder `{}`", crate::path::shown(name));
            return Err(Error::Limit { thing, limit: PATH_PARTS_MAX as u64, unit: "parts" });
        }
        let new = Dir { loaded: true, dirty: true, cleared: layer, ..Dir::stored(parent, depth, None) };
        let dir = self.dirs.put(new);
        let item = self.row(What::Dir(dir), attr, layer)?;
        self.insert(parent, name, item)?;
        Ok(dir)
    }

    /// Gives an item that is in `dir` other attributes.
    pub fn describe(&mut self, dir: DirId, id: ItemId, attr: Attr, layer: u32) -> Result<()> {
        let what = std::mem::replace(&mut self.items.get_mut(id).what, What::Fifo);
        let row = self.row(what, attr, layer)?;
        *self.items.get_mut(id) = row;
        self.soil(dir);
        Ok(())
    }

    pub fn mark_linked(&mut self, id: ItemId) {
        self.items.get_mut(id).linked = true;
    }

    /// Looks a path up in what is loaded, following no link.
    pub fn peek(&self, path: &[u8]) -> Peek {
        let mut dir = ROOT;
        let mut parts = path.split(|byte| *byte == b'/').peekable();
        while let Some(part) = parts.next() {
            let row = self.dirs.get(dir);
            if !row.loaded {
                return Peek::Unloaded;
            }
            let Some(id) = row.children.get(part).copied() else {
                return Peek::Nothing;
            };
            match self.items.get(id).what {
                _ if parts.peek().is_none() => return Peek::Item(id),
                What::Dir(child) => dir = child,
                _ => return Peek::Nothing,
            }
        }
        Peek::Nothing
    }

    pub fn is_empty(&mut self, dir: DirId) -> Result<bool> {
        self.load(dir)?;
        Ok(self.dirs.get(dir).children.is_empty())
    }

    /// Removes an entry and all below it.
    pub fn remove(&mut self, dir: DirId, name: &[u8]) -> Result<()> {
        self.load(dir)?;
        let Some(id) = self.dirs.get_mut(dir).children.remove(name) else {
            return Ok(());
        };
        self.soil(dir);
        let mut doomed = Vec::new();
        self.drop_item(name.len(), id, &mut doomed);
        while let Some(dir) = doomed.pop() {
            self.drop_unloaded(dir)?;
            for (name, id) in std::mem::take(&mut self.dirs.get_mut(dir).children) {
                self.drop_item(name.len(), id, &mut doomed);
            }
            self.dirs.free.push(dir);
        }
        Ok(())
    }

    /// Removes everything below `top` that layers below `layer` put there.
    ///
    /// A directory of theirs stays if `layer` has something in it, but with nothing of its own,
    /// as if `layer` alone had been unpacked. Visits each directory once in a layer, however
    /// often it is asked.
    pub fn clear(&mut self, top: DirId, layer: u32) -> Result<()> {
        let mut visit = vec![top];
        let mut at = 0;
        while at < visit.len() {
            let dir = visit[at];
            at += 1;
            if self.dirs.get(dir).cleared == layer {
                continue;
            }
            self.drop_unloaded(dir)?;
            for id in self.dirs.get(dir).children.values() {
                if let What::Dir(child) = self.items.get(*id).what {
                    visit.push(child);
                }
            }
        }
        // Deepest first: what is left in a directory decides whether it stays itself.
        for dir in visit.into_iter().rev() {
            if self.dirs.get(dir).cleared == layer {
                continue;
            }
            let mut kept = Vec::new();
            for (name, id) in std::mem::take(&mut self.dirs.get_mut(dir).children) {
                let item = self.items.get(id);
                let is_own = item.layer == layer;
                let holds_own = match item.what {
                    What::Dir(child) => !self.dirs.get(child).children.is_empty(),
                    _ => false,
                };
                if !is_own && holds_own {
                    self.describe(dir, id, implied_attr(), layer)?;
                }
                if is_own || holds_own {
                    kept.push((name, id));
                } else {
                    self.forget_row(name.len(), id);
                }
            }
            let row = self.dirs.get_mut(dir);
            row.children = kept.into_iter().collect();
            row.cleared = layer;
            self.soil(dir);
        }
        Ok(())
    }

    /// Frees the row of an item that was taken out of its directory; a directory is empty by now.
    fn forget_row(&mut self, name_len: usize, id: ItemId) {
        let mut empty = Vec::new();
        self.drop_item(name_len, id, &mut empty);
        self.dirs.free.append(&mut empty);
    }

    fn drop_item(&mut self, name_len: usize, id: ItemId, doomed: &mut Vec<DirId>) {
        let what = std::mem::replace(&mut self.items.get_mut(id).what, What::Fifo);
        self.items.free.push(id);
        self.entries = self.entries.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(size(&what));
        self.text_bytes = self.text_bytes.saturating_sub(text_len(name_len, &what));
        if let What::Dir(dir) = what {
            doomed.push(dir);
        }
    }

    /// Makes a directory that was never entered an empty one, keeping count of what it held.
    fn drop_unloaded(&mut self, dir: DirId) -> Result<()> {
        let row = self.dirs.get_mut(dir);
        if row.loaded {
            return Ok(());
        }
        row.loaded = true;
        let mut below = Vec::from_iter(row.stored.take().map(|ids| *ids));
        while let (Some(ids), Some(nodes)) = (below.pop(), self.nodes) {
            for entry in &nodes.node(&ids.full)?.entries {
                self.entries = self.entries.saturating_sub(1);
                match &entry.kind {
                    Kind::Dir(ids) => below.push(*ids),
                    Kind::File { size, .. } => self.bytes = self.bytes.saturating_sub(u128::from(*size)),
                    _ => {}
                }
            }
        }
        self.soil(dir);
        Ok(())
    }

    fn load(&mut self, dir: DirId) -> Result<()> {
        let row = self.dirs.get(dir);
        if row.loaded {
            return Ok(());
        }
        let (Some(ids), Some(nodes)) = (&row.stored, self.nodes) else {
            return Err(Error::not_found("node", "of a directory that was never stored"));
        };
        let node = nodes.node(&ids.full)?;
        let depth = row.depth + 1;
        for entry in &node.entries {
            let what = match &entry.kind {
                Kind::File { content, size } => What::File { content: *content, size: *size },
                Kind::Dir(ids) => What::Dir(self.dirs.put(Dir::stored(dir, depth, Some(*ids)))),
                Kind::Symlink(target) => What::Symlink(target.clone()),
                Kind::CharDevice { major, minor } => What::CharDevice { major: *major, minor: *minor },
                Kind::BlockDevice { major, minor } => What::BlockDevice { major: *major, minor: *minor },
                Kind::Fifo => What::Fifo,
                Kind::Socket => What::Socket,
            };
            let item = self.row(what, entry.attr.clone(), 0)?;
            self.attach(dir, entry.name.clone(), item)?;
        }
        self.dirs.get_mut(dir).loaded = true;
        Ok(())
    }

    fn attach(&mut self, dir: DirId, name: Box<[u8]>, item: Item) -> Result<()> {
        self.hold(text_len(name.len(), &item.what))?;
        let id = self.items.put(item);
        self.dirs.get_mut(dir).children.insert(name, id);
        Ok(())
    }

    pub fn hold(&mut self, len: u64) -> Result<()> {
        self.text_bytes += len;
        if self.text_bytes <= TEXT_BYTES_MAX {
            return Ok(());
        }
        Err(Error::Limit {
            thing: "the length of all names, link targets and extended attributes of the image".to_owned(),
            limit: TEXT_BYTES_MAX,
            unit: "bytes",
        })
    }

    fn owner(&mut self, owner: Owner) -> Result<u32> {
        if let Some(id) = self.owner_ids.get(&owner) {
            return Ok(*id);
        }
        let xattrs: usize = owner.2.iter().map(|(name, value)| name.len() + value.len()).sum();
        self.hold(xattrs as u64)?;
        let id = self.owners.len() as u32;
        let owner = Arc::new(owner);
        self.owners.push(Arc::clone(&owner));
        self.owner_ids.insert(owner, id);
        Ok(id)
    }

    /// Marks a directory and those above it as changed.
    fn soil(&mut self, mut dir: DirId) {
        while !std::mem::replace(&mut self.dirs.get_mut(dir).dirty, true) && dir != ROOT {
            dir = self.dirs.get(dir).parent;
        }
    }

    /// Puts every changed directory, children first, and returns the root's ids.
    pub fn put(&mut self, sink: &mut dyn NodeSink) -> Result<NodeIds> {
        let mut changed = Vec::from_iter(self.dirs.get(ROOT).dirty.then_some(ROOT));
        let mut at = 0;
        while at < changed.len() {
            for id in self.dirs.get(changed[at]).children.values() {
                if let What::Dir(child) = self.items.get(*id).what
                    && self.dirs.get(child).dirty
                {
                    changed.push(child);
                }
            }
            at += 1;
        }
        for dir in changed.into_iter().rev() {
            let ids = sink.put_node(&self.node(dir))?;
            let row = self.dirs.get_mut(dir);
            row.stored = Some(Box::new(ids));
            row.dirty = false;
        }
        Ok(self.ids(ROOT))
    }

    fn ids(&self, dir: DirId) -> NodeIds {
        **self
            .dirs
            .get(dir)
            .stored
            .as_ref()
            .expect("a directory without ids is dirty, and those are put first")
    }

    fn node(&self, dir: DirId) -> Node {
        let children = &self.dirs.get(dir).children;
        let mut entries = Vec::with_capacity(children.len());
        for (name, id) in children {
            let item = self.items.get(*id);
            let kind = match &item.what {
                What::File { content, size } => Kind::File { content: *content, size: *size },
                What::Dir(child) => Kind::Dir(self.ids(*child)),
                What::Symlink(target) => Kind::Symlink(target.clone()),
                What::CharDevice { major, minor } => Kind::CharDevice { major: *major, minor: *minor },
                What::BlockDevice { major, minor } => Kind::BlockDevice { major: *major, minor: *minor },
                What::Fifo => Kind::Fifo,
                What::Socket => Kind::Socket,
            };
            let (uid, gid, xattrs) = &*self.owners[item.owner as usize];
            let attr = Attr {
                mode: u32::from(item.mode),
                uid: *uid,
                gid: *gid,
                mtime: Time { secs: item.mtime_secs, nanos: item.mtime_nanos },
                xattrs: xattrs.clone(),
            };
            entries.push(Entry { name: name.clone(), kind, attr });
        }
        Node { entries }
    }
}

impl Dir {
    fn stored(parent: DirId, depth: u32, ids: Option<NodeIds>) -> Dir {
        Dir {
            parent,
            depth,
            stored: ids.map(Box::new),
            loaded: false,
            dirty: false,
            cleared: 0,
            children: BTreeMap::new(),
        }
    }
}

fn size(what: &What) -> u128 {
    match what {
        What::File { size, .. } => u128::from(*size),
        _ => 0,
    }
}

fn text_len(name_len: usize, what: &What) -> u64 {
    let target_len = match what {
        What::Symlink(target) => target.len(),
        _ => 0,
    };
    (name_len + target_len) as u64
}

/// Rows that are named by number, and used again when freed.
#[derive(Debug)]
struct Table<T> {
    rows: Vec<T>,
    free: Vec<u32>,
}

impl<T> Default for Table<T> {
    fn default() -> Table<T> {
        Table { rows: Vec::new(), free: Vec::new() }
    }
}

impl<T> Table<T> {
    fn put(&mut self, row: T) -> u32 {
        match self.free.pop() {
            Some(id) => {
                self.rows[id as usize] = row;
                id
            }
            None => {
                self.rows.push(row);
                (self.rows.len() - 1) as u32
            }
        }
    }

    fn get(&self, id: u32) -> &T {
        &self.rows[id as usize]
    }

    fn get_mut(&mut self, id: u32) -> &mut T {
        &mut self.rows[id as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_small() {
        assert_eq!(size_of::<Item>(), 72);
        assert!(size_of::<Dir>() <= 56);
    }
}
