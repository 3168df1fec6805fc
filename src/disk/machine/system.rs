//! From the trees of the file systems to the tree that the running machine would see.

use super::Contents;
use super::Keeper;
use super::trees::Trees;
use crate::attr::Attr;
use crate::disk::guest::Filesystem;
use crate::disk::guest::Os;
use crate::disk::guest::assemble::Ignored;
use crate::disk::guest::assemble::Volume;
use crate::disk::guest::assemble::assemble;
use crate::disk::guest::os;
use crate::disk::guest::os::TreeFiles;
use crate::error::Result;
use crate::path::TreePath;
use crate::progress::Progress;
use crate::tree::Entry;
use crate::tree::Kind;
use crate::tree::Node;
use crate::tree::Tree;
use std::collections::HashMap;

/// Finds the system on the volumes and puts them together along its mounts.
pub fn put_together(keeper: &mut dyn Keeper, mut read: Trees, progress: &dyn Progress) -> Result<Contents> {
    let (mut found, mut more): (Option<Os>, _) = (None, Vec::new());
    for Filesystem { device, .. } in &read.filesystems {
        let Some(volume) = read.volumes.get(device) else { continue };
        let Some(os) = system_of(keeper, &volume.tree, device, &read.filesystems)? else { continue };
        match &found {
            None => found = Some(os),
            Some(first) => more.push(format!("{device} holds one more system than {}", first.root)),
        }
    }
    let mut os = match found {
        None => read.told(progress)?.into_iter().next(),
        found => found,
    };
    let Trees { filesystems, volumes, mut problems, .. } = read;
    problems.extend(more);
    let assembled = os.as_ref().map(|os| assemble(keeper, os, &volumes)).transpose()?.flatten();
    let whole = match assembled {
        Some(whole) => {
            let told = |mount: &Ignored| format!("{} ({}) {}", mount.point, mount.device, mount.problem);
            problems.extend(whole.ignored.iter().map(told));
            // The kernel may stand on another file system than the root.
            if let Some(first) = os.take() {
                os = Some(system_of(keeper, &whole.tree, &first.root, &filesystems)?.unwrap_or(first));
            }
            Some(whole.tree)
        }
        None => {
            os = None;
            without_system(keeper, &filesystems, &volumes)?
        }
    };
    let tree =
        |one: &Filesystem| volumes.get(&one.device).map(|volume| (one.device.clone(), volume.tree.clone()));
    let trees = filesystems.iter().filter_map(tree).collect();
    Ok(Contents { filesystems, whole, os, trees, problems })
}

fn system_of(
    keeper: &mut dyn Keeper,
    tree: &Tree,
    device: &str,
    filesystems: &[Filesystem],
) -> Result<Option<Os>> {
    let wanted = os::wanted(keeper, tree)?;
    let bytes = if wanted.is_empty() { HashMap::new() } else { keeper.read_back(wanted)? };
    os::system(&TreeFiles { nodes: keeper, tree, bytes: &bytes }, device, filesystems)
}

/// Disks with files and no system: the only file system, or a folder for each.
fn without_system(
    keeper: &mut dyn Keeper,
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
    let root = keeper.put_node(&node)?;
    Ok(Some(Tree { root, root_attr: Attr { mode: 0o755, ..Attr::default() }, hardlinks, entries, bytes }))
}
