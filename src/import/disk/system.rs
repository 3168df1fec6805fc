//! From the trees of the file systems to the tree that the running machine would see.

use crate::attr::Attr;
use crate::content::ContentSource;
use crate::disk::guest::Filesystem;
use crate::disk::guest::Os;
use crate::disk::guest::assemble::Volume;
use crate::disk::guest::assemble::assemble;
use crate::disk::guest::os;
use crate::disk::guest::os::TreeFiles;
use crate::error::Error;
use crate::error::Result;
use crate::error::from_stream;
use crate::id::ContentId;
use crate::id::NodeId;
use crate::path::TreePath;
use crate::store::Transaction;
use crate::tree::Entry;
use crate::tree::Kind;
use crate::tree::Node;
use crate::tree::NodeSink;
use crate::tree::NodeSource;
use crate::tree::Tree;
use std::cell::RefCell;
use std::collections::HashMap;
use std::io::Read;
use std::sync::Arc;

pub struct System {
    pub tree: Tree,
    pub os: Option<Os>,
    pub problems: Vec<String>,
}

/// Puts the volumes together; `told` is what a reader said of systems that we do not know ourselves.
/// `None` where there is no file system at all.
pub fn put_together(
    tx: &mut Transaction,
    filesystems: &[Filesystem],
    volumes: &HashMap<String, Volume>,
    told: Vec<Os>,
) -> Result<Option<System>> {
    let mut problems = Vec::new();
    let mut found = None;
    for filesystem in filesystems {
        let Some(volume) = volumes.get(&filesystem.device) else { continue };
        let Some(os) = system_of(tx, &volume.tree, &filesystem.device, filesystems)? else { continue };
        match &found {
            None => found = Some(os),
            Some(first) => {
                problems.push(format!("{} holds one more system than {}", filesystem.device, first.root))
            }
        }
    }
    let Some(first) = found.or_else(|| told.into_iter().next()) else {
        return Ok(without_system(tx, filesystems, volumes)?.map(|tree| System { tree, os: None, problems }));
    };
    let Some(whole) = assemble(tx, &first, volumes)? else {
        return Ok(without_system(tx, filesystems, volumes)?.map(|tree| System { tree, os: None, problems }));
    };
    problems.extend(
        whole.ignored.iter().map(|mount| format!("{} ({}) {}", mount.point, mount.device, mount.problem)),
    );
    // The kernel may stand on another file system than the root.
    let os = system_of(tx, &whole.tree, &first.root, filesystems)?.unwrap_or(first);
    Ok(Some(System { tree: whole.tree, os: Some(os), problems }))
}

fn system_of(
    tx: &mut Transaction,
    tree: &Tree,
    device: &str,
    filesystems: &[Filesystem],
) -> Result<Option<Os>> {
    let staged = Staged(RefCell::new(tx));
    os::system(&TreeFiles { nodes: &staged, contents: &staged, tree }, device, filesystems)
}

/// Disks with files and no system: the only file system, or a folder for each.
fn without_system(
    tx: &mut Transaction,
    filesystems: &[Filesystem],
    volumes: &HashMap<String, Volume>,
) -> Result<Option<Tree>> {
    let mut all: Vec<(Vec<u8>, &Tree)> = Vec::new();
    for filesystem in filesystems {
        if let Some(volume) = volumes.get(&filesystem.device) {
            let name = filesystem.device.trim_start_matches("/dev/").replace('/', "-");
            all.push((name.into_bytes(), &volume.tree));
        }
    }
    if let [(_, tree)] = &all[..] {
        return Ok(Some((*tree).clone()));
    }
    all.sort_by(|one, other| one.0.cmp(&other.0));
    let mut node = Node::default();
    let (mut entries, mut bytes, mut hardlinks) = (0, 0u64, Vec::new());
    for (name, tree) in &all {
        let kind = Kind::Dir(tree.root);
        node.entries.push(Entry { name: name[..].into(), kind, attr: tree.root_attr.clone() });
        entries += tree.entries + 1;
        bytes = bytes.saturating_add(tree.bytes);
        let below = |path: &TreePath| TreePath::parse(&[&name[..], path.as_bytes()].join(&b'/'));
        for group in &tree.hardlinks {
            hardlinks.push(group.iter().map(below).collect::<Result<Vec<_>>>()?);
        }
    }
    if all.is_empty() {
        return Ok(None);
    }
    hardlinks.sort();
    let root = tx.put_node(&node)?;
    Ok(Some(Tree { root, root_attr: Attr { mode: 0o755, ..Attr::default() }, hardlinks, entries, bytes }))
}

/// The transaction as what can be read back from it.
struct Staged<'a>(RefCell<&'a mut Transaction>);

impl NodeSource for Staged<'_> {
    fn node(&self, id: &NodeId) -> Result<Arc<Node>> {
        self.0.borrow().node(id)
    }
}

impl ContentSource for Staged<'_> {
    /// Whole in memory: whoever asks has bounded it.
    fn open(&self, id: &ContentId, offset: u64, len: u64) -> Result<Box<dyn Read + '_>> {
        let mut tx = self.0.borrow_mut();
        let contents = tx.contents()?;
        let mut bytes = Vec::new();
        contents
            .open(id, offset, len)?
            .read_to_end(&mut bytes)
            .map_err(|err| from_stream("a content", err))?;
        if bytes.len() as u64 != len {
            return Err(Error::invalid(format!("content {id}"), "ends early"));
        }
        Ok(Box::new(std::io::Cursor::new(bytes)))
    }
}
