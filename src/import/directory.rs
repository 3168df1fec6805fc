//! A folder of the host taken as the root of a file system.

use super::Taken;
use super::Work;
use crate::content::ContentSink;
use crate::error::Result;
use crate::fs::scan;
use crate::history::commit::Artifact;
use crate::history::commit::ArtifactKind;
use crate::history::commit::PlatformTree;
use crate::history::refs::RefName;
use crate::id::ContentId;
use crate::progress::Progress;
use crate::store::Transaction;
use crate::tree::Node;
use crate::tree::NodeIds;
use crate::tree::NodeSink;
use std::cell::RefCell;
use std::io::Read;
use std::path::Path;

/// Its media type in the catalog; no registry knows it.
pub const MEDIA_TYPE: &str = "application/vnd.imgit.tree.v1";

pub fn take(work: &mut Work, path: &Path, name: RefName, progress: &dyn Progress) -> Result<Vec<Taken>> {
    let options = work.options.scan.clone();
    let tx = &mut work.tx;
    let shared = RefCell::new(&mut *tx);
    let (mut contents, mut nodes) = (Shared(&shared), Shared(&shared));
    let tree = scan::scan(path, &mut contents, &mut nodes, &options, progress)?;
    let id = tx.put_tree(&tree)?;
    let artifact = Artifact {
        kind: ArtifactKind::Directory,
        media_type: MEDIA_TYPE.into(),
        // A folder has no bytes of its own to hash: it is its tree.
        digest: format!("sha256:{id}"),
        size: tree.bytes,
    };
    let trees = vec![PlatformTree { platform: String::new(), manifest: String::new(), tree: id }];
    Ok(vec![Taken { names: vec![name], artifact, trees }])
}

/// One transaction as the two sinks that a scan fills in turn.
struct Shared<'a, 'b>(&'a RefCell<&'b mut Transaction>);

impl ContentSink for Shared<'_, '_> {
    fn put(&mut self, size: u64, from: &mut dyn Read) -> Result<ContentId> {
        self.0.borrow_mut().put(size, from)
    }
}

impl NodeSink for Shared<'_, '_> {
    fn put_node(&mut self, node: &Node) -> Result<NodeIds> {
        self.0.borrow_mut().put_node(node)
    }
}
