//! Nodes for reading verbs: one look at the index, kept for as long as the verb reads.
//!
//! In redb's single-writer mode a reader makes no writer wait, so the look may stay open while
//! what was read goes to a slow terminal.

use crate::error::Result;
use crate::id::NodeId;
use crate::store::Snapshot;
use crate::store::Store;
use crate::tree::Node;
use crate::tree::NodeSource;
use std::sync::Arc;
use std::sync::Mutex;

pub struct Nodes {
    store: Store,
    open: Mutex<Option<Snapshot>>,
}

impl Nodes {
    pub(super) fn new(store: Store) -> Nodes {
        Nodes { store, open: Mutex::default() }
    }
}

impl NodeSource for Nodes {
    fn node(&self, id: &NodeId) -> Result<Arc<Node>> {
        let mut open = self.open.lock().expect("no panic while held");
        let snapshot = match open.take() {
            Some(snapshot) => snapshot,
            None => self.store.snapshot()?,
        };
        open.insert(snapshot).node(id)
    }
}
