//! A disk that is in the store, as bytes at offsets: nothing of it is made but what is read.

use super::lists::Ids;
use super::recipe::Extent;
use super::recipe::Head;
use super::recipe::Mark;
use super::recipe::Ops;
use super::recipe::Origin;
use crate::content::ContentSource;
use crate::disk::bytes::ReadAt;
use crate::disk::bytes::Span;
use crate::disk::bytes::check;
use crate::error::Error;
use crate::error::Result;
use crate::error::from_stream;
use std::io::BufReader;
use std::io::Read;
use std::sync::Mutex;

/// The ops are held as they are written. A disk of more is in too many pieces to be read like this.
const OP_BYTES_MAX: u64 = 64 << 20;

/// Every so many extents there is a mark to begin from: 0.1 MB for 100 000 extents.
const MARK_EXTENTS: u64 = 128;

pub struct StoredDisk<S> {
    head: Head,
    source: S,
    ops: Vec<u8>,
    /// In the order of the disk; the first one stands at its begin.
    marks: Vec<Mark>,
    ids: Mutex<Ids>,
}

impl<S: ContentSource + Send + Sync> StoredDisk<S> {
    /// Reads the recipe to its end.
    pub fn open(recipe: &mut dyn Read, source: S) -> Result<StoredDisk<S>> {
        let mut recipe = BufReader::new(recipe);
        let head = Head::read(&mut recipe)?;
        let mut ops = Vec::new();
        recipe
            .take(OP_BYTES_MAX + 1)
            .read_to_end(&mut ops)
            .map_err(|err| from_stream("the recipe of a disk", err))?;
        if ops.len() as u64 > OP_BYTES_MAX {
            let thing = format!("recipe of disk sha256:{}", head.id);
            return Err(Error::Limit { thing, limit: OP_BYTES_MAX, unit: "bytes" });
        }
        let mut marks = Vec::new();
        let mut reader = Ops::new(&head, &ops[..]);
        let mut since = MARK_EXTENTS;
        loop {
            if since >= MARK_EXTENTS
                && let Some(mark) = reader.mark()
            {
                marks.push(mark);
                since = 0;
            }
            since += 1;
            if reader.next()?.is_none() {
                break;
            }
        }
        let ids = Mutex::new(Ids::new(head.lists()));
        Ok(StoredDisk { head, source, ops, marks, ids })
    }

    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Calls `each` with the extents from the one that holds `offset` on, until it returns `false`.
    fn from(&self, offset: u64, each: &mut dyn FnMut(Extent) -> Result<bool>) -> Result<()> {
        let after = self.marks.partition_point(|mark| mark.at() <= offset);
        let Some(mark) = self.marks.get(after.saturating_sub(1)) else { return Ok(()) };
        let mut ops = Ops::new(&self.head, &self.ops[..]).resume(&self.ops, mark);
        while let Some(extent) = ops.next()? {
            if extent.at + extent.len > offset && !each(extent)? {
                break;
            }
        }
        Ok(())
    }

    fn read(&self, extent: &Extent, skip: u64, into: &mut [u8]) -> Result<()> {
        let Origin::Content { number, offset } = extent.from else {
            into.fill(0);
            return Ok(());
        };
        let id = self.ids.lock().expect("no holder panics").get(number, &self.source)?;
        self.source
            .open(&id, offset + skip, into.len() as u64)?
            .read_exact(into)
            .map_err(|err| from_stream(format!("content {id}"), err))
    }
}

impl<S: ContentSource + Send + Sync> ReadAt for StoredDisk<S> {
    fn size(&self) -> u64 {
        self.head.size
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        check(self, offset, buffer)?;
        if buffer.is_empty() {
            return Ok(());
        }
        let mut done = 0;
        self.from(offset, &mut |extent| {
            let skip = offset + done as u64 - extent.at;
            let len = (buffer.len() - done).min(usize::try_from(extent.len - skip).unwrap_or(usize::MAX));
            self.read(&extent, skip, &mut buffer[done..done + len])?;
            done += len;
            Ok(done < buffer.len())
        })
    }

    fn span(&self, offset: u64) -> Result<Span> {
        let mut span = Span { end: self.head.size, zero: false };
        let mut first = true;
        self.from(offset, &mut |extent| {
            let zero = extent.from == Origin::Zero;
            if !first && zero != span.zero {
                return Ok(false);
            }
            first = false;
            span = Span { end: extent.at + extent.len, zero };
            Ok(true)
        })?;
        Ok(span)
    }
}
