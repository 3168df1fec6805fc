//! Making the exact disk again, from its recipe and the contents.
//!
//! Packs hold contents in the order of an import, not of a disk. So the disk is made a batch at a
//! time: the contents of a batch are read in the order of their numbers, which is that of the packs,
//! and given out in the order of the disk.

use super::lists::Ids;
use super::recipe::Extent;
use super::recipe::Head;
use super::recipe::Ops;
use super::recipe::Origin;
use super::sha::Hashing;
use crate::content::ContentSource;
use crate::error::Error;
use crate::error::Result;
use crate::error::from_stream;
use crate::id::ContentId;
use crate::id::DiffId;
use crate::progress::Progress;
use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::sync::Arc;

/// Bytes of contents made at once; a few batches are on their way at a time.
const BATCH_BYTES: usize = 16 << 20;
/// Bounds what a batch of tiny runs costs.
const BATCH_EXTENTS: usize = 32 << 10;
const BATCHES_AHEAD: usize = 1;

/// A place for a disk where nothing is written yet: what is left out reads as zeros.
pub trait SparseOutput {
    /// Called once, first.
    fn set_len(&mut self, len: u64) -> Result<()>;
    /// Offsets ascend.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<()>;
}

/// Writes the disk to `out`, holes left out, and holds it to its hash.
pub fn rebuild(
    recipe: &mut (dyn Read + Send),
    source: &(dyn ContentSource + Sync),
    out: &mut dyn SparseOutput,
    progress: &dyn Progress,
) -> Result<Head> {
    let mut batches = Batches::new(BufReader::new(recipe), source)?;
    let head = batches.head.clone();
    out.set_len(head.size)?;
    let found = std::thread::scope(|scope| {
        let mut hashing = Hashing::start(scope, progress)?;
        let (give, take) = crossbeam_channel::bounded(BATCHES_AHEAD);
        let (give_back, spares) = crossbeam_channel::unbounded();
        let reading = move || loop {
            let spare = spares.try_recv().unwrap_or_default();
            let Some(batch) = batches.next(spare).transpose() else { return };
            // Nobody takes it: the other side has failed.
            if give.send(batch).is_err() {
                return;
            }
        };
        std::thread::Builder::new()
            .name("imgit-rebuild".to_owned())
            .spawn_scoped(scope, reading)
            .map_err(|source| Error::Stream { thing: "a new thread".into(), source })?;
        for batch in take {
            crate::progress::check(progress)?;
            let Batch { extents, bytes } = batch?;
            // Room for what is to be hashed; the buffers themselves come from the batches.
            let _ = give_back.send(hashing.buffer(0));
            let bytes = Arc::new(bytes);
            let mut from = 0;
            for extent in extents {
                if extent.from == Origin::Zero {
                    hashing.zeros(extent.len);
                    continue;
                }
                let to = from + extent.len as usize;
                hashing.bytes(&bytes, from..to);
                out.write_at(extent.at, &bytes[from..to])?;
                from = to;
            }
            hashing.done(bytes);
        }
        hashing.finish().map(DiffId)
    })?;
    if found != head.id {
        return Err(Error::Corrupt {
            thing: format!("disk sha256:{}", head.id),
            expected: "these bytes".to_owned(),
            found: format!("sha256:{found}"),
        });
    }
    Ok(head)
}

/// The disk as a stream. Whoever needs proof hashes it: [`Stream::head`] has its SHA-256.
pub struct Stream<'a> {
    batches: Batches<'a, BufReader<&'a mut dyn Read>>,
    batch: Batch,
    /// In the batch: the extent, how much of it is read, and where its bytes are.
    extent: usize,
    read: u64,
    at: usize,
}

impl<'a> Stream<'a> {
    pub fn new(recipe: &'a mut dyn Read, source: &'a (dyn ContentSource + Sync)) -> Result<Stream<'a>> {
        let batches = Batches::new(BufReader::new(recipe), source)?;
        Ok(Stream { batches, batch: Batch::default(), extent: 0, read: 0, at: 0 })
    }

    pub fn head(&self) -> &Head {
        &self.batches.head
    }
}

impl Read for Stream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let extent = loop {
            match self.batch.extents.get(self.extent) {
                Some(extent) if self.read < extent.len => break *extent,
                Some(_) => (self.extent, self.read) = (self.extent + 1, 0),
                None => {
                    let spare = std::mem::take(&mut self.batch.bytes);
                    let Some(next) = self.batches.next(spare)? else { return Ok(0) };
                    self.batch = next;
                    (self.extent, self.read, self.at) = (0, 0, 0);
                }
            }
        };
        let len = buffer.len().min(usize::try_from(extent.len - self.read).unwrap_or(usize::MAX));
        if extent.from == Origin::Zero {
            buffer[..len].fill(0);
        } else {
            buffer[..len].copy_from_slice(&self.batch.bytes[self.at..self.at + len]);
            self.at += len;
        }
        self.read += len as u64;
        Ok(len)
    }
}

/// A stretch of the disk; `bytes` are those of its extents that are not zero, in order.
#[derive(Default)]
struct Batch {
    extents: Vec<Extent>,
    bytes: Vec<u8>,
}

struct Batches<'a, R> {
    head: Head,
    ops: Ops<R>,
    ids: Ids,
    source: &'a (dyn ContentSource + Sync),
    /// What did not fit the last batch.
    rest: Option<Extent>,
}

impl<'a, R: BufRead> Batches<'a, R> {
    fn new(mut recipe: R, source: &'a (dyn ContentSource + Sync)) -> Result<Batches<'a, R>> {
        let head = Head::read(&mut recipe)?;
        let ids = Ids::new(head.lists());
        Ok(Batches { ops: Ops::new(&head, recipe), ids, head, source, rest: None })
    }

    /// Makes the next batch in the buffer `bytes`, with anything in it.
    fn next(&mut self, mut bytes: Vec<u8>) -> Result<Option<Batch>> {
        let mut extents = Vec::new();
        let mut parts = Vec::new();
        let mut len = 0;
        while len < BATCH_BYTES && extents.len() < BATCH_EXTENTS {
            let next = match self.rest.take() {
                Some(rest) => Some(rest),
                None => self.ops.next()?,
            };
            let Some(mut extent) = next else { break };
            if let Origin::Content { number, offset } = extent.from {
                let room = (BATCH_BYTES - len) as u64;
                if extent.len > room {
                    let from = Origin::Content { number, offset: offset + room };
                    self.rest = Some(Extent { at: extent.at + room, len: extent.len - room, from });
                    extent.len = room;
                }
                parts.push(Part { number, offset, len: extent.len as usize, to: len });
                len += extent.len as usize;
            }
            extents.push(extent);
        }
        if extents.is_empty() {
            return Ok(None);
        }
        bytes.resize(len, 0);
        self.fill(parts, &mut bytes)?;
        Ok(Some(Batch { extents, bytes }))
    }

    fn fill(&mut self, mut parts: Vec<Part>, bytes: &mut [u8]) -> Result<()> {
        parts.sort_unstable_by_key(|part| (part.number, part.offset));
        let mut ids: Vec<ContentId> = Vec::with_capacity(parts.len());
        for of in parts.chunk_by(|one, two| one.number == two.number) {
            ids.push(self.ids.get(of[0].number, self.source)?);
        }
        self.source.will_open(&ids)?;
        for (id, of) in ids.iter().zip(parts.chunk_by(|one, two| one.number == two.number)) {
            let mut open: Option<(u64, Box<dyn Read + '_>)> = None;
            let end = of.iter().map(|part| part.offset + part.len as u64).max().unwrap_or(0);
            for part in of {
                let mut reader = match open.take() {
                    Some((at, reader)) if at == part.offset => reader,
                    _ => self.source.open(id, part.offset, end - part.offset)?,
                };
                let into = &mut bytes[part.to..part.to + part.len];
                reader.read_exact(into).map_err(|err| unread(id, part, err))?;
                open = Some((part.offset + part.len as u64, reader));
            }
        }
        Ok(())
    }
}

/// Bytes of a content, and where in the batch they go.
struct Part {
    number: u64,
    offset: u64,
    len: usize,
    to: usize,
}

fn unread(id: &ContentId, part: &Part, err: io::Error) -> Error {
    if err.kind() == io::ErrorKind::UnexpectedEof {
        return Error::Mismatch {
            thing: format!("content {id}, read from byte {}", part.offset),
            expected: format!("{} bytes", part.len),
            found: "fewer".to_owned(),
        };
    }
    from_stream(format!("content {id}"), err)
}
