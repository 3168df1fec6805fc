//! Bytes: what each version weighs, what it shares with the others, what the store costs on disk.

use crate::disk::skeleton::recipe;
use crate::error::Result;
use crate::history::commit::Artifact;
use crate::id::ContentId;
use crate::id::NodeId;
use crate::id::TreeId;
use crate::oci::digest::Digest;
use crate::repo::Repo;
use crate::tree::Kind;
use crate::tree::NodeSource;
use std::collections::HashMap;
use std::collections::HashSet;

/// One version or name among others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Regular files, each path counted.
    pub files: u64,
    /// Bytes of distinct contents in it.
    pub bytes: u64,
    /// Of these, bytes of contents that none of the others has.
    pub unique: u64,
}

impl Usage {
    pub fn shared(&self) -> u64 {
        self.bytes - self.unique
    }
}

/// Contents by the first eight bytes of their id: enough to count bytes by, at a third of the
/// memory. A collision would miscount one file of a store of billions.
type Short = u64;

/// Measures groups of trees against each other; a group is a version, or all versions of a name.
pub fn measure(repo: &Repo, groups: &[Vec<TreeId>]) -> Result<Vec<Usage>> {
    let mut owner: HashMap<Short, Owner> = HashMap::new();
    let mut usages = vec![Usage::default(); groups.len()];
    let nodes = repo.nodes();
    for (group, trees) in groups.iter().enumerate() {
        let mut seen = HashSet::new();
        for tree in trees {
            let root = repo.tree_record(tree)?.root.full;
            visit(&nodes, root, &mut seen, &mut |content, size| {
                usages[group].files += 1;
                let owner = owner.entry(short(&content)).or_insert(Owner {
                    first: group,
                    last: usize::MAX,
                    several: false,
                    size,
                });
                if owner.last != group {
                    owner.last = group;
                    owner.several |= owner.first != group;
                    usages[group].bytes += size;
                }
            })?;
        }
    }
    for owner in owner.values().filter(|owner| !owner.several) {
        usages[owner.first].unique += owner.size;
    }
    Ok(usages)
}

/// Bytes of the disks of these guests that are in no file: journals, tables, what was deleted. What
/// several disks have in common counts once.
pub fn residue(repo: &Repo, artifacts: &[Artifact]) -> Result<u64> {
    let mut windows: HashMap<Short, u64> = HashMap::new();
    for artifact in artifacts {
        for disk in repo.guest(artifact)?.iter().flat_map(|guest| &guest.disks) {
            let Some(id) = Digest::parse(&disk.digest)?.diff_id() else { continue };
            recipe::residue(&mut repo.open_recipe(&id)?, &repo.contents(), &mut |id, len| {
                windows.insert(short(&id), len);
            })?;
        }
    }
    Ok(windows.values().sum())
}

struct Owner {
    first: usize,
    last: usize,
    several: bool,
    size: u64,
}

fn short(id: &ContentId) -> Short {
    u64::from_be_bytes(id.0[..8].try_into().expect("eight of 32 bytes"))
}

fn visit(
    nodes: &dyn NodeSource,
    root: NodeId,
    seen: &mut HashSet<NodeId>,
    each: &mut dyn FnMut(ContentId, u64),
) -> Result<()> {
    let mut todo = vec![root];
    while let Some(id) = todo.pop() {
        if !seen.insert(id) {
            continue;
        }
        for entry in &nodes.node(&id)?.entries {
            match entry.kind {
                Kind::Dir(ids) => todo.push(ids.full),
                Kind::File { content, size } => each(content, size),
                _ => {}
            }
        }
    }
    Ok(())
}
