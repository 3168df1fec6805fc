//! Nodes for reading verbs: each miss is one short look at the index, the newest stay in memory.

use crate::error::Result;
use crate::id::NodeId;
use crate::store::Store;
use crate::tree::Node;
use crate::tree::NodeSource;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;

/// Enough for the folders of a path and their neighbours; the rest is asked for again.
const NODES_KEPT: usize = 512;

pub struct Nodes {
    store: Store,
    kept: Mutex<HashMap<NodeId, Arc<Node>>>,
}

impl Nodes {
    pub(super) fn new(store: Store) -> Nodes {
        Nodes { store, kept: Mutex::default() }
    }
}

impl NodeSource for Nodes {
    fn node(&self, id: &NodeId) -> Result<Arc<Node>> {
        if let Some(node) = self.kept.lock().expect("no panic while held").get(id) {
            return Ok(node.clone());
        }
        let node = self.store.snapshot()?.node(id)?;
        let mut kept = self.kept.lock().expect("no panic while held");
        if kept.len() >= NODES_KEPT {
            kept.clear();
        }
        kept.insert(*id, node.clone());
        Ok(node)
    }
}
