//! Which paths are one inode.
//!
//! Nothing is taken out when an entry goes: that would mean a search below every directory that
//! is removed or cleared. A path counts only while its item says so ([`Name::of_stored`]), which
//! is asked once, when the groups are listed.

use crate::error::Result;
use crate::path::TreePath;
use std::collections::BTreeMap;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name {
    pub group: u32,
    /// Holds for the item that was stored at this path; otherwise for one marked as linked.
    pub of_stored: bool,
}

#[derive(Default)]
pub struct Links {
    names: BTreeMap<Box<[u8]>, Name>,
    groups: u32,
}

impl Links {
    pub fn of(groups: &[Vec<TreePath>]) -> Links {
        let mut links = Links::default();
        for paths in groups {
            let name = Name { group: links.new_group(), of_stored: true };
            links.names.extend(paths.iter().map(|path| (path.as_bytes().into(), name)));
        }
        links
    }

    pub fn new_group(&mut self) -> u32 {
        self.groups += 1;
        self.groups
    }

    pub fn get(&self, path: &[u8]) -> Option<Name> {
        self.names.get(path).copied()
    }

    /// Says that the item at `path`, marked as linked, is in `group`.
    pub fn set(&mut self, path: &[u8], group: u32) {
        self.names.insert(path.into(), Name { group, of_stored: false });
    }

    /// Groups of two and more paths that `counts` lets count, as [`crate::tree::Tree`] holds them.
    pub fn list(&mut self, mut counts: impl FnMut(&[u8], Name) -> bool) -> Result<Vec<Vec<TreePath>>> {
        self.names.retain(|path, name| counts(path, *name));
        let mut groups: BTreeMap<u32, Vec<TreePath>> = BTreeMap::new();
        for (path, name) in &self.names {
            groups.entry(name.group).or_default().push(TreePath::parse(path)?);
        }
        let mut groups: Vec<_> = groups.into_values().filter(|group| group.len() > 1).collect();
        groups.sort();
        Ok(groups)
    }
}
