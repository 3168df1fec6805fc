//! The ids of the contents of a recipe, in lists that are contents themselves.
//!
//! An id is 32 bytes that do not compress, and a disk needs one for each file: nine tenths of a
//! recipe, the same in every version of a disk. So ids stand in lists that end where an id says so,
//! and versions share the lists between two changes; the recipe names lists only.

use crate::content::ContentSink;
use crate::content::ContentSource;
use crate::error::Error;
use crate::error::Result;
use crate::error::from_stream;
use crate::id::ContentId;
use std::collections::VecDeque;
use std::io::Read as _;
use std::sync::Arc;

/// One id in so many ends a list. Changes which lists are shared, not how they are read.
const LIST_IDS_MEAN: u8 = 64;

/// The longest list, which bounds what a reader must hold. Part of the format.
pub const LIST_IDS_MAX: u64 = 512;

const ID_BYTES: usize = 32;
/// 1 MiB at most.
const LISTS_KEPT: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct List {
    pub id: ContentId,
    /// How many ids it holds.
    pub ids: u64,
}

/// Takes ids in the order of their numbers.
#[derive(Default)]
pub struct ListWriter {
    ids: Vec<u8>,
    lists: Vec<List>,
}

impl ListWriter {
    pub fn put(&mut self, id: &ContentId, sink: &mut dyn ContentSink) -> Result<()> {
        self.ids.extend_from_slice(&id.0);
        let full = self.ids.len() == LIST_IDS_MAX as usize * ID_BYTES;
        if full || id.0[0].is_multiple_of(LIST_IDS_MEAN) {
            self.end(sink)?;
        }
        Ok(())
    }

    pub fn finish(mut self, sink: &mut dyn ContentSink) -> Result<Vec<List>> {
        self.end(sink)?;
        Ok(self.lists)
    }

    fn end(&mut self, sink: &mut dyn ContentSink) -> Result<()> {
        if self.ids.is_empty() {
            return Ok(());
        }
        let id = sink.put(self.ids.len() as u64, &mut &self.ids[..])?;
        self.lists.push(List { id, ids: (self.ids.len() / ID_BYTES) as u64 });
        self.ids.clear();
        Ok(())
    }
}

/// Reads one list.
pub fn read(list: &List, source: &dyn ContentSource) -> Result<Vec<ContentId>> {
    let len = list.ids * ID_BYTES as u64;
    let mut bytes = Vec::new();
    source
        .open(&list.id, 0, len)?
        .take(len)
        .read_to_end(&mut bytes)
        .map_err(|err| from_stream(format!("content {}", list.id), err))?;
    if bytes.len() as u64 != len {
        return Err(Error::Mismatch {
            thing: format!("list of contents {}", list.id),
            expected: format!("{len} bytes"),
            found: format!("{}", bytes.len()),
        });
    }
    let (ids, _) = bytes.as_chunks();
    Ok(ids.iter().map(|id| ContentId(*id)).collect())
}

/// Ids by number, the newest lists kept.
#[derive(Debug)]
pub struct Ids {
    /// Each with the number of its first id.
    lists: Vec<(u64, List)>,
    kept: VecDeque<(usize, Arc<[ContentId]>)>,
}

impl Ids {
    /// Takes the lists in order.
    pub fn new(lists: impl Iterator<Item = List>) -> Ids {
        let mut next = 0;
        let numbered = lists.map(|list| {
            let start = next;
            next += list.ids;
            (start, list)
        });
        Ids { lists: numbered.collect(), kept: VecDeque::new() }
    }

    /// `number` must be below the sum of the lists.
    pub fn get(&mut self, number: u64, source: &dyn ContentSource) -> Result<ContentId> {
        let list = self.lists.partition_point(|(start, _)| *start <= number).saturating_sub(1);
        let at = (number - self.lists[list].0) as usize;
        if let Some(place) = self.kept.iter().rposition(|(kept, _)| *kept == list) {
            let entry = self.kept.remove(place).expect("found just now");
            let id = entry.1[at];
            self.kept.push_back(entry);
            return Ok(id);
        }
        let ids: Arc<[ContentId]> = read(&self.lists[list].1, source)?.into();
        let id = ids[at];
        if self.kept.len() == LISTS_KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back((list, ids));
        Ok(id)
    }
}
