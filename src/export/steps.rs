//! A tree as the steps of whoever writes it out: in, entry, entry, out.
//!
//! Parents come before what is in them, names in byte order, each directory's own attributes with
//! the step in. Steps come in batches, so that the contents of a whole batch can be announced to
//! the store at once though most directories hold few files.

use crate::error::Error;
use crate::error::Result;
use crate::id::ContentId;
use crate::path::PATH_BYTES_MAX;
use crate::path::PATH_PARTS_MAX;
use crate::path::TreePath;
use crate::tree::Entry;
use crate::tree::Kind;
use crate::tree::Node;
use crate::tree::NodeSource;
use crate::tree::Tree;
use std::collections::HashMap;
use std::collections::VecDeque;
use std::sync::Arc;

/// Contents announced at a time.
const CONTENTS_AHEAD: usize = 512;
/// Steps held at a time, for trees with few files.
const STEPS_AHEAD: usize = 4_096;

pub enum Step {
    /// A directory begins. Its [`Step::Leave`] follows after all that is in it.
    Enter(Entry),
    /// Anything but a directory.
    Item(Entry),
    Leave,
}

pub struct Steps<'a> {
    nodes: &'a dyn NodeSource,
    above: Vec<Level>,
    ahead: VecDeque<Step>,
}

struct Level {
    node: Arc<Node>,
    next: usize,
    /// The length of this directory's path.
    path_len: usize,
}

impl<'a> Steps<'a> {
    /// The root itself is no step: its attributes stand in the [`Tree`].
    pub fn new(tree: &Tree, nodes: &'a dyn NodeSource) -> Result<Steps<'a>> {
        let root = Level { node: nodes.node(&tree.root.full)?, next: 0, path_len: 0 };
        Ok(Steps { nodes, above: vec![root], ahead: VecDeque::new() })
    }

    /// Returns the next step; `announce` hears of contents some hundred files before their steps.
    pub fn next(&mut self, announce: &mut dyn FnMut(&[ContentId]) -> Result<()>) -> Result<Option<Step>> {
        if self.ahead.is_empty() {
            let mut ids = Vec::new();
            while ids.len() < CONTENTS_AHEAD && self.ahead.len() < STEPS_AHEAD {
                let Some(step) = self.step()? else { break };
                if let Step::Item(Entry { kind: Kind::File { content, .. }, .. }) = &step {
                    ids.push(*content);
                }
                self.ahead.push_back(step);
            }
            if !ids.is_empty() {
                announce(&ids)?;
            }
        }
        Ok(self.ahead.pop_front())
    }

    fn step(&mut self) -> Result<Option<Step>> {
        let Some(level) = self.above.last_mut() else {
            return Ok(None);
        };
        let Some(entry) = level.node.entries.get(level.next) else {
            self.above.pop();
            return Ok((!self.above.is_empty()).then_some(Step::Leave));
        };
        let entry = entry.clone();
        level.next += 1;
        let path_len = level.path_len + usize::from(level.path_len > 0) + entry.name.len();
        for (found, limit, unit) in
            [(path_len, PATH_BYTES_MAX, "bytes"), (self.above.len(), PATH_PARTS_MAX, "parts")]
        {
            if found > limit {
                let (thing, limit) = ("a path in the tree".to_string(), limit as u64);
                return Err(Error::Limit { thing, limit, unit });
            }
        }
        let Kind::Dir(ids) = entry.kind else {
            return Ok(Some(Step::Item(entry)));
        };
        self.above.push(Level { node: self.nodes.node(&ids.full)?, next: 0, path_len });
        Ok(Some(Step::Enter(entry)))
    }
}

/// Which path each name of a hard-link group is to be linked to.
///
/// That is the group's first in the order of the steps, which is not the order of whole paths:
/// `a/x` comes before `a-b` here.
pub struct HardLinks<'a> {
    group_of: HashMap<&'a TreePath, usize>,
    first: Vec<Option<TreePath>>,
}

impl<'a> HardLinks<'a> {
    pub fn new(tree: &'a Tree) -> HardLinks<'a> {
        let groups = tree.hardlinks.iter().enumerate();
        HardLinks {
            group_of: groups.flat_map(|(group, paths)| paths.iter().map(move |path| (path, group))).collect(),
            first: vec![None; tree.hardlinks.len()],
        }
    }

    /// Spares most trees the making of paths.
    pub fn is_empty(&self) -> bool {
        self.first.is_empty()
    }

    /// The name of the same inode that was written before, if any.
    pub fn target(&self, path: &TreePath) -> Option<&TreePath> {
        self.first[*self.group_of.get(path)?].as_ref()
    }

    /// Says that this path now stands outside; later names of its group are linked to it.
    pub fn written(&mut self, path: &TreePath) {
        if let Some(group) = self.group_of.get(path) {
            self.first[*group].get_or_insert_with(|| path.clone());
        }
    }
}
