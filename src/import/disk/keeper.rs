//! The files of a disk into the transaction, each block of them known to the skeleton that will be
//! looked for.

use crate::content::ContentSink;
use crate::content::ContentSource;
use crate::disk::files::FileBytes;
use crate::disk::machine::Keeper;
use crate::disk::skeleton::Fingerprints;
use crate::disk::skeleton::Hint;
use crate::disk::skeleton::Table;
use crate::error::Result;
use crate::error::from_stream;
use crate::id::ContentId;
use crate::id::NodeId;
use crate::path::TreePath;
use crate::store::Transaction;
use crate::tree::Node;
use crate::tree::NodeIds;
use crate::tree::NodeSink;
use crate::tree::NodeSource;
use std::collections::HashMap;
use std::io::Read;
use std::sync::Arc;

pub struct Staging<'a> {
    tx: &'a mut Transaction,
    prints: Fingerprints,
    /// Where on each disk contents lie.
    hints: Vec<Vec<Hint>>,
}

impl<'a> Staging<'a> {
    pub fn new(tx: &'a mut Transaction, disks: usize) -> Staging<'a> {
        Staging { tx, prints: Fingerprints::default(), hints: vec![Vec::new(); disks] }
    }

    pub fn places(self) -> (Table, Vec<Vec<Hint>>) {
        (self.prints.finish(), self.hints)
    }
}

impl Keeper for Staging<'_> {
    fn file(&mut self, _: &TreePath, file: FileBytes<'_>, place: Option<(usize, u64)>) -> Result<ContentId> {
        let FileBytes { size, extents, from } = file;
        let Some((disk, start)) = place.filter(|_| !extents.is_empty()) else {
            let mut tee = self.prints.tee(from);
            let content = self.tx.put(size, &mut tee)?;
            tee.keep(content)?;
            return Ok(content);
        };
        // Where its bytes lie is known: nothing has to be searched for.
        let content = self.tx.put(size, from)?;
        let number = self.prints.note(content, size)?;
        self.hints[disk].extend(extents.iter().map(|extent| Hint {
            content: number,
            file_offset: extent.file_offset,
            disk_offset: start + extent.device_offset,
            len: extent.len,
        }));
        Ok(content)
    }

    fn read_back(&mut self, wanted: HashMap<ContentId, u64>) -> Result<HashMap<ContentId, Vec<u8>>> {
        let contents = self.tx.contents()?;
        let mut found = HashMap::new();
        for (id, len) in wanted {
            let mut bytes = Vec::new();
            let mut from = contents.open(&id, 0, len)?;
            from.read_to_end(&mut bytes).map_err(|err| from_stream(format!("content {id}"), err))?;
            found.insert(id, bytes);
        }
        Ok(found)
    }
}

impl NodeSource for Staging<'_> {
    fn node(&self, id: &NodeId) -> Result<Arc<Node>> {
        self.tx.node(id)
    }
}

impl NodeSink for Staging<'_> {
    fn put_node(&mut self, node: &Node) -> Result<NodeIds> {
        self.tx.put_node(node)
    }
}
