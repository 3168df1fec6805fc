//! Asking the index backwards: who holds this content, where does this name stand, which commits
//! have this tree. No tree is walked; cost grows with the answer, not with the store.

use crate::error::Error;
use crate::error::Result;
use crate::id::CommitId;
use crate::id::ContentId;
use crate::id::NodeId;
use crate::id::TreeId;
use crate::store::index::fault;
use crate::store::index::guarded;
use crate::store::index::tables;
use crate::store::snapshot::Snapshot;
use crate::tree::Kind;
use crate::tree::Node;
use redb::ReadOnlyTable;
use redb::Value;

/// The first eight bytes of a node's id, as the reverse tables keep it.
pub type NodePrefix = [u8; 8];

impl Snapshot {
    /// Visits every entry name that begins with `prefix` with the nodes that have it, sorted by
    /// name; all names for an empty prefix. The visitor returns `false` to stop.
    pub fn names(
        &self,
        prefix: &[u8],
        visit: &mut dyn FnMut(&[u8], NodePrefix) -> Result<bool>,
    ) -> Result<()> {
        guarded("read", || {
            let table = self.txn().open_table(tables::NAMES).map_err(fault("read"))?;
            let rows = match tables::after_prefix(prefix) {
                Some(end) => table.range::<&[u8]>(prefix..&end[..]),
                None => table.range::<&[u8]>(prefix..),
            };
            for row in rows.map_err(fault("read"))? {
                let (key, _) = row.map_err(fault("read"))?;
                let Some((rest, node)) = key.value().split_last_chunk::<8>() else { continue };
                let Some((_zero, name)) = rest.split_last() else { continue };
                if !visit(name, *node)? {
                    break;
                }
            }
            Ok(())
        })
    }

    /// Nodes that have an entry of exactly this name.
    pub fn nodes_with_name(&self, name: &[u8]) -> Result<Vec<NodeId>> {
        let mut prefixes = Vec::new();
        let mut key = name.to_vec();
        key.push(0);
        self.rows(tables::NAMES, &key, |key, ()| {
            prefixes.extend(key.last_chunk::<8>());
            Ok(())
        })?;
        let holds = |node: &Node| node.get(name).is_some();
        self.checked(&prefixes, holds)
    }

    /// Nodes that have this content as a file.
    pub fn parents_of_content(&self, id: &ContentId) -> Result<Vec<NodeId>> {
        let is = |kind: &Kind| matches!(kind, Kind::File { content, .. } if content == id);
        self.checked(&self.parents(&id.0)?, |node| node.entries.iter().any(|entry| is(&entry.kind)))
    }

    /// Nodes that have this node as a folder.
    pub fn parents_of_node(&self, id: &NodeId) -> Result<Vec<NodeId>> {
        let is = |kind: &Kind| matches!(kind, Kind::Dir(ids) if ids.full == *id);
        self.checked(&self.parents(&id.0)?, |node| node.entries.iter().any(|entry| is(&entry.kind)))
    }

    /// Trees whose root this node is.
    pub fn trees_of_root(&self, id: &NodeId) -> Result<Vec<TreeId>> {
        Ok(self.seconds(tables::ROOTS, &id.0)?.into_iter().map(TreeId).collect())
    }

    pub fn commits_of_tree(&self, id: &TreeId) -> Result<Vec<CommitId>> {
        Ok(self.seconds(tables::TREE_COMMITS, &id.0)?.into_iter().map(CommitId).collect())
    }

    /// Commits whose id begins with these hex digits, at most `most` of them.
    pub fn commits_by_hex(&self, digits: &str, most: usize) -> Result<Vec<CommitId>> {
        let table = guarded("read", || self.txn().open_table(tables::COMMITS).map_err(fault("read")))?;
        Ok(by_hex(&table, digits, most)?.into_iter().map(CommitId).collect())
    }

    /// Contents whose id begins with these hex digits, at most `most` of them.
    pub fn contents_by_hex(&self, digits: &str, most: usize) -> Result<Vec<ContentId>> {
        Ok(by_hex(self.all_contents(), digits, most)?.into_iter().map(ContentId).collect())
    }

    /// Every node whose id begins with these hex digits.
    pub fn node_ids_by_hex(&self, digits: &str) -> Result<Vec<NodeId>> {
        Ok(by_hex(self.all_nodes(), digits, usize::MAX)?.into_iter().map(NodeId).collect())
    }

    /// Nodes whose id begins with these bytes: one, unless somebody made a collision.
    pub fn nodes_by_prefix(&self, prefix: &NodePrefix) -> Result<Vec<NodeId>> {
        let (mut low, mut high) = ([0; 32], [0xff; 32]);
        low[..8].copy_from_slice(prefix);
        high[..8].copy_from_slice(prefix);
        Ok(between(self.all_nodes(), &low, &high, usize::MAX)?.into_iter().map(NodeId).collect())
    }

    fn parents(&self, child: &[u8; 32]) -> Result<Vec<NodePrefix>> {
        let (low, high) = (tables::parent_key(child, &[0; 32]), tables::parent_key(child, &[0xff; 32]));
        guarded("read", || {
            let table = self.txn().open_table(tables::PARENTS).map_err(fault("read"))?;
            let rows = table.range::<&[u8; 16]>(&low..=&high).map_err(fault("read"))?;
            rows.map(|row| {
                let (key, _) = row.map_err(fault("read"))?;
                Ok(*key.value().last_chunk::<8>().expect("the key is 16 bytes"))
            })
            .collect()
        })
    }

    /// The nodes of these prefixes of which `holds` is true: eight bytes may collide.
    fn checked(&self, prefixes: &[NodePrefix], holds: impl Fn(&Node) -> bool) -> Result<Vec<NodeId>> {
        let mut found = Vec::new();
        for prefix in prefixes {
            for id in self.nodes_by_prefix(prefix)? {
                if holds(&*crate::tree::NodeSource::node(self, &id)?) {
                    found.push(id);
                }
            }
        }
        Ok(found)
    }

    fn seconds(
        &self,
        table: redb::TableDefinition<&'static [u8; 64], ()>,
        first: &[u8; 32],
    ) -> Result<Vec<[u8; 32]>> {
        let (low, high) = (tables::pair(first, &[0; 32]), tables::pair(first, &[0xff; 32]));
        guarded("read", || {
            let table = self.txn().open_table(table).map_err(fault("read"))?;
            let rows = table.range::<&[u8; 64]>(&low..=&high).map_err(fault("read"))?;
            rows.map(|row| {
                let (key, _) = row.map_err(fault("read"))?;
                Ok(*key.value().last_chunk::<32>().expect("the key is 64 bytes"))
            })
            .collect()
        })
    }
}

/// Keys that begin with hex digits, an odd number of them too.
fn by_hex<V: Value + 'static>(
    table: &ReadOnlyTable<&'static [u8; 32], V>,
    digits: &str,
    most: usize,
) -> Result<Vec<[u8; 32]>> {
    let bad = || Error::invalid(format!("id `{digits}`"), "is not 1 to 64 hex digits");
    if digits.is_empty() || digits.len() > 64 || !digits.is_ascii() {
        return Err(bad());
    }
    let fill = |with: &str| {
        let text = format!("{digits}{}", with.repeat(64 - digits.len()));
        let bytes = crate::id::unhex(&text)?;
        <[u8; 32]>::try_from(bytes).ok()
    };
    let (low, high) = (fill("0").ok_or_else(bad)?, fill("f").ok_or_else(bad)?);
    between(table, &low, &high, most)
}

fn between<V: Value + 'static>(
    table: &ReadOnlyTable<&'static [u8; 32], V>,
    low: &[u8; 32],
    high: &[u8; 32],
    most: usize,
) -> Result<Vec<[u8; 32]>> {
    guarded("read", || {
        let rows = table.range::<&[u8; 32]>(low..=high).map_err(fault("read"))?;
        rows.take(most).map(|row| Ok(*row.map_err(fault("read"))?.0.value())).collect()
    })
}
