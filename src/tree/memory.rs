//! Nodes in memory: for tests, and for a tree that is only looked at once, as a scanned folder.

use super::Node;
use super::NodeIds;
use super::NodeSink;
use super::NodeSource;
use crate::error::Error;
use crate::error::Result;
use crate::id::NodeId;
use std::collections::HashMap;
use std::sync::Arc;

#[derive(Clone, Debug, Default)]
pub struct MemoryNodes {
    nodes: HashMap<NodeId, Arc<Node>>,
}

impl MemoryNodes {
    pub fn new() -> MemoryNodes {
        MemoryNodes::default()
    }

    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&NodeId, &Arc<Node>)> {
        self.nodes.iter()
    }
}

impl NodeSource for MemoryNodes {
    fn node(&self, id: &NodeId) -> Result<Arc<Node>> {
        let node = self.nodes.get(id).ok_or_else(|| Error::not_found("tree node", id.to_string()))?;
        Ok(Arc::clone(node))
    }
}

impl NodeSink for MemoryNodes {
    fn put_node(&mut self, node: &Node) -> Result<NodeIds> {
        node.check()?;
        let ids = node.ids();
        self.nodes.entry(ids.full).or_insert_with(|| Arc::new(node.clone()));
        Ok(ids)
    }
}

/// Counts what is read through it.
#[cfg(test)]
pub struct Counting<'a> {
    pub nodes: &'a dyn NodeSource,
    pub reads: std::cell::Cell<usize>,
}

#[cfg(test)]
impl NodeSource for Counting<'_> {
    fn node(&self, id: &NodeId) -> Result<Arc<Node>> {
        self.reads.set(self.reads.get() + 1);
        self.nodes.node(id)
    }
}
