//! One directory node and what stands in it.

use crate::attr::Attr;
use crate::id::ContentId;
use crate::id::NodeId;
use crate::id::PlainId;

/// A child directory carries two ids, so that a diff that ignores times prunes as well as one
/// that does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeIds {
    pub full: NodeId,
    pub plain: PlainId,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    File { content: ContentId, size: u64 },
    Dir(NodeIds),
    Symlink(Box<[u8]>),
    CharDevice { major: u32, minor: u32 },
    BlockDevice { major: u32, minor: u32 },
    Fifo,
    Socket,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// One clean path part: never empty, `.`, `..`, nor with `/` or NUL.
    pub name: Box<[u8]>,
    pub kind: Kind,
    pub attr: Attr,
}

/// A directory: its entries, sorted by the bytes of their names, each name once.
///
/// The directory's own attributes stand in the entry that points to it (the root's in the
/// [`super::Tree`]).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    pub entries: Vec<Entry>,
}

impl Node {
    pub fn get(&self, name: &[u8]) -> Option<&Entry> {
        let at = self.entries.binary_search_by(|entry| entry.name[..].cmp(name)).ok()?;
        Some(&self.entries[at])
    }
}

/// The record that a commit points to: a whole file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree {
    pub root: NodeIds,
    pub root_attr: Attr,
    /// Paths that are one inode, each group sorted and of two or more, groups sorted by first path.
    pub hardlinks: Vec<Vec<crate::path::TreePath>>,
    /// Entries of every kind below the root.
    pub entries: u64,
    /// The sum of file sizes as `ls` shows them; a hard-linked file counts once for each name.
    pub bytes: u64,
}
