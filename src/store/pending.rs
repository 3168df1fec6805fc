//! Contents that are hashed and wait for one look-up of many.

use crate::id::ContentId;

/// A look-up opens the index, which costs as much as hashing 200 KB: so, not for every file.
const IDS_MAX: usize = 1_000;
const BYTES_MAX: usize = 4 << 20;

/// The bytes stand one after another in a buffer that is used again and again.
#[derive(Debug, Default)]
pub struct Pending {
    buffer: Vec<u8>,
    used: usize,
    ids: Vec<ContentId>,
    /// Where each of them ends in the buffer.
    ends: Vec<usize>,
}

pub struct PendingContent<'a> {
    pub id: ContentId,
    pub bytes: &'a [u8],
}

impl Pending {
    /// Room for the next content; it is kept only by [`Pending::keep`].
    pub fn room(&mut self, size: usize) -> &mut [u8] {
        let end = self.used + size;
        if self.buffer.len() < end {
            self.buffer.resize(end.max(BYTES_MAX), 0);
        }
        &mut self.buffer[self.used..end]
    }

    pub fn keep(&mut self, id: ContentId, size: usize) {
        self.used += size;
        self.ids.push(id);
        self.ends.push(self.used);
    }

    pub fn is_full(&self) -> bool {
        self.ids.len() >= IDS_MAX || self.used >= BYTES_MAX
    }

    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    pub fn ids(&self) -> &[ContentId] {
        &self.ids
    }

    pub fn contents(&self) -> impl Iterator<Item = PendingContent<'_>> {
        let mut start = 0;
        self.ids.iter().zip(&self.ends).map(move |(id, end)| {
            let bytes = &self.buffer[start..*end];
            start = *end;
            PendingContent { id: *id, bytes }
        })
    }

    pub fn clear(&mut self) {
        self.used = 0;
        self.ids.clear();
        self.ends.clear();
    }
}
