//! A file system as a Merkle tree of directory nodes. Values and bytes; no store.

pub mod build;
pub mod codec;
pub mod diff;
pub mod entry;
pub mod glob;
pub mod memory;
pub mod walk;

pub use entry::Entry;
pub use entry::Kind;
pub use entry::Node;
pub use entry::NodeIds;
pub use entry::Tree;
pub use memory::MemoryNodes;

use crate::error::Result;
use crate::id::NodeId;
use std::sync::Arc;

/// Where nodes are read from. Equal subtrees have equal ids and need not be read.
pub trait NodeSource {
    fn node(&self, id: &NodeId) -> Result<Arc<Node>>;
}

/// Where new nodes go. Children are put before their parents.
pub trait NodeSink {
    fn put_node(&mut self, node: &Node) -> Result<NodeIds>;
}
