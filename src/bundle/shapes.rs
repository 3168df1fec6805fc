//! Directory nodes of a bundle, held to what they say of their children and of contents.
//!
//! A node names a child by two ids, of which only the full one is proven by hashing; a file by its
//! id and its size. And trees made by a stranger may be deeper, or larger, than any file system.

use crate::error::Error;
use crate::error::Result;
use crate::id::NodeId;
use crate::path::PATH_BYTES_MAX;
use crate::path::PATH_PARTS_MAX;
use crate::path::shown;
use crate::store::Snapshot;
use crate::tree::Kind;
use crate::tree::Node;
use crate::tree::NodeIds;
use crate::tree::NodeSource as _;
use crate::tree::Tree;
use std::collections::HashMap;

/// Ten times what one layer may have. A tree of a few nodes can have more entries than there are
/// atoms, if each folder has the next one twice.
const ENTRIES_MAX: u64 = 100_000_000;

/// What a directory comes to, with all below it.
#[derive(Clone, Copy, Debug)]
struct Shape {
    ids: NodeIds,
    entries: u64,
    bytes: u64,
    levels: usize,
    /// Bytes of the longest path below it.
    path_bytes: usize,
}

/// The shapes of all nodes seen so far.
#[derive(Default)]
pub struct Shapes {
    known: HashMap<NodeId, Shape>,
}

impl Shapes {
    /// Adds a node whose children were added before or are in the store. `size_of` says how long
    /// each content is that it may name. Returns false for one that is there already.
    pub fn add(
        &mut self,
        node: &Node,
        ids: NodeIds,
        snapshot: &Snapshot,
        size_of: &dyn Fn(&crate::id::ContentId) -> Result<Option<u64>>,
    ) -> Result<()> {
        let wrong = |name: &[u8], problem: String| {
            Err(Error::invalid(format!("`{}` in tree node {}", shown(name), ids.full.short()), problem))
        };
        let mut shape = Shape { ids, entries: 0, bytes: 0, levels: 0, path_bytes: 0 };
        for entry in &node.entries {
            let mut below = Shape { ids, entries: 0, bytes: 0, levels: 0, path_bytes: 0 };
            match &entry.kind {
                Kind::Dir(child) => {
                    below = match self.known.get(&child.full) {
                        Some(known) => *known,
                        None => self.stored(&child.full, snapshot)?,
                    };
                    if below.ids.plain != child.plain {
                        return wrong(&entry.name, "is named by an id without times that it has not".into());
                    }
                }
                Kind::File { content, size } => match size_of(content)? {
                    Some(found) if found == *size => below.bytes = *size,
                    Some(found) => {
                        return wrong(&entry.name, format!("is of {size} bytes; its content has {found}"));
                    }
                    None => return Err(absent("content", content)),
                },
                _ => {}
            }
            shape.entries = shape.entries.saturating_add(1).saturating_add(below.entries);
            shape.bytes = shape.bytes.saturating_add(below.bytes);
            shape.levels = shape.levels.max(below.levels + 1);
            let slash = usize::from(below.path_bytes > 0);
            shape.path_bytes = shape.path_bytes.max(entry.name.len() + slash + below.path_bytes);
        }
        let limit = |thing: &str, limit, unit| {
            Err(Error::Limit { thing: format!("{thing} of tree node {}", ids.full.short()), limit, unit })
        };
        if shape.entries > ENTRIES_MAX {
            return limit("the size", ENTRIES_MAX, "entries");
        }
        if shape.levels > PATH_PARTS_MAX {
            return limit("the depth", PATH_PARTS_MAX as u64, "levels");
        }
        if shape.path_bytes > PATH_BYTES_MAX {
            return limit("the longest path", PATH_BYTES_MAX as u64, "bytes");
        }
        self.known.insert(ids.full, shape);
        Ok(())
    }

    /// The shape of a node that the store has: what is there is believed.
    fn stored(&mut self, id: &NodeId, snapshot: &Snapshot) -> Result<Shape> {
        if !snapshot.has_node(id)? {
            return Err(absent("tree node", id));
        }
        let node = snapshot.node(id)?;
        for entry in &node.entries {
            if let Kind::Dir(child) = entry.kind
                && !self.known.contains_key(&child.full)
            {
                self.stored(&child.full, snapshot)?;
            }
        }
        let size_of = |content: &_| Ok(snapshot.content(content)?.map(|place| place.len));
        self.add(&node, node.ids(), snapshot, &size_of)?;
        Ok(self.known[id])
    }

    /// Holds the record of a tree to what its root comes to.
    pub fn check(&mut self, tree: &Tree, snapshot: &Snapshot) -> Result<()> {
        let root = match self.known.get(&tree.root.full) {
            Some(known) => *known,
            None => self.stored(&tree.root.full, snapshot)?,
        };
        let said = (tree.root, tree.entries, tree.bytes);
        let found = (root.ids, root.entries, root.bytes);
        if said == found {
            return Ok(());
        }
        Err(Error::Mismatch {
            thing: format!("tree {}", tree.id().short()),
            expected: format!("{} entries of {} bytes", said.1, said.2),
            found: format!("{} entries of {} bytes", found.1, found.2),
        })
    }
}

/// For what a bundle needs and does not bring, though it named all that it builds on.
pub fn absent(kind: &'static str, id: &dyn std::fmt::Display) -> Error {
    Error::not_found(kind, format!("{id}, which the bundle needs and does not hold,"))
}
