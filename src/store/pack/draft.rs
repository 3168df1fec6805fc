//! Reading back what a pack holds that is still being written: nothing is appended meanwhile.

use crate::error::Error;
use crate::error::Result;
use crate::id::ContentId;
use crate::store::pack::ObjectKind;
use crate::store::pack::ObjectRow;
use crate::store::pack::PACK_HEADER_BYTES;
use crate::store::pack::footer::FrameRow;
use crate::store::pack::frame;
use crate::store::pack::frame::FRAME_HEADER_BYTES;
use crate::store::pack::frame::FrameHeader;
use crate::store::pack::reader::keep;
use crate::store::pack::reader::recall;
use crate::store::pack::tail::Tail;
use std::collections::VecDeque;
use std::io;
use std::io::Read;
use std::sync::Arc;
use std::sync::Mutex;

/// As many as of sealed packs.
const FRAMES_KEPT: usize = 16;

/// Finds the contents of an unfinished pack. Many threads may read at once.
#[derive(Debug)]
pub struct DraftPack<'a> {
    tail: &'a Tail,
    /// Where each frame begins.
    frames: Vec<(u64, FrameRow)>,
    rows: &'a [ObjectRow],
    /// Those of `rows` that are contents, by id.
    by_id: Vec<u32>,
    /// Contents that are in no frame yet, and their bytes.
    gathered: &'a [ObjectRow],
    gathered_by_id: Vec<u32>,
    gathered_bytes: &'a [u8],
    kept: Mutex<VecDeque<(u32, Arc<Vec<u8>>)>>,
}

/// A content that [`DraftPack::find`] found.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    row: &'a ObjectRow,
    gathered: bool,
}

impl<'a> DraftPack<'a> {
    /// All frames that `rows` name must have been appended.
    pub(super) fn new(
        tail: &'a Tail,
        rows: &'a [ObjectRow],
        gathered: &'a [ObjectRow],
        gathered_bytes: &'a [u8],
    ) -> DraftPack<'a> {
        DraftPack {
            tail,
            frames: tail.frames(PACK_HEADER_BYTES as u64),
            rows,
            by_id: by_id(rows),
            gathered,
            gathered_by_id: by_id(gathered),
            gathered_bytes,
            kept: Mutex::default(),
        }
    }

    pub fn find(&self, id: &ContentId) -> Option<Found<'a>> {
        let look = |rows: &'a [ObjectRow], by_id: &[u32]| {
            let found = by_id.binary_search_by(|row| rows[*row as usize].id.cmp(&id.0)).ok()?;
            Some(&rows[by_id[found] as usize])
        };
        match look(self.rows, &self.by_id) {
            Some(row) => Some(Found { row, gathered: false }),
            None => Some(Found { row: look(self.gathered, &self.gathered_by_id)?, gathered: true }),
        }
    }

    /// Reads `len` bytes of a content from `offset` on.
    pub fn open(&self, found: Found<'a>, offset: u64, len: u64) -> Result<DraftReader<'_, 'a>> {
        let Found { row, gathered } = found;
        if offset.checked_add(len).is_none_or(|end| end > row.len) {
            return Err(Error::invalid(
                format!("bytes {offset}+{len} of an object"),
                format!("it has {} bytes", row.len),
            ));
        }
        let mut reader =
            DraftReader { pack: self, left: len, bytes: Bytes::Gathered(&[]), at: 0, next: row.frame };
        let mut skip = u64::from(row.skip) + offset;
        if gathered {
            reader.bytes = Bytes::Gathered(self.gathered_bytes);
            reader.at = skip as usize;
        } else if len > 0 {
            while skip >= u64::from(self.raw_len(reader.next)?) {
                skip -= u64::from(self.raw_len(reader.next)?);
                reader.next += 1;
            }
            reader.load()?;
            reader.at = skip as usize;
        }
        Ok(reader)
    }

    fn raw_len(&self, number: u32) -> Result<u32> {
        let frame = self.frames.get(number as usize).map(|(_, row)| row.raw_len).filter(|len| *len > 0);
        frame.ok_or_else(|| Error::Corrupt {
            thing: "the pack being written".to_owned(),
            expected: format!("bytes of an object in frame {number}"),
            found: "none".to_owned(),
        })
    }

    fn frame(&self, number: u32) -> Result<Arc<Vec<u8>>> {
        if let Some(frame) = recall(&self.kept, &number) {
            return Ok(frame);
        }
        self.raw_len(number)?;
        let (at, row) = self.frames[number as usize];
        let thing = format!("frame at {at} of the pack being written");
        let mut header = [0; FRAME_HEADER_BYTES];
        self.tail.read_at(at, &mut header)?;
        let header = FrameHeader::parse(&thing, &header)?;
        let mut stored = vec![0; row.stored_len as usize];
        self.tail.read_at(at + FRAME_HEADER_BYTES as u64, &mut stored)?;
        let frame = Arc::new(frame::decode(&thing, &header, stored)?);
        keep(&self.kept, number, Arc::clone(&frame), FRAMES_KEPT);
        Ok(frame)
    }
}

/// The rows of contents in the order of their ids.
fn by_id(rows: &[ObjectRow]) -> Vec<u32> {
    let mut by_id: Vec<u32> = (0..rows.len() as u32).collect();
    by_id.retain(|row| rows[*row as usize].kind == ObjectKind::Content);
    by_id.sort_unstable_by_key(|row| rows[*row as usize].id);
    by_id
}

/// Streams one content, a frame at a time; every frame is checked before its first byte is given.
#[derive(Debug)]
pub struct DraftReader<'p, 'a> {
    pack: &'p DraftPack<'a>,
    left: u64,
    bytes: Bytes<'a>,
    at: usize,
    next: u32,
}

#[derive(Debug)]
enum Bytes<'a> {
    Gathered(&'a [u8]),
    Frame(Arc<Vec<u8>>),
}

impl DraftReader<'_, '_> {
    fn load(&mut self) -> Result<()> {
        self.bytes = Bytes::Frame(self.pack.frame(self.next)?);
        self.next += 1;
        self.at = 0;
        Ok(())
    }

    fn now(&self) -> &[u8] {
        match &self.bytes {
            Bytes::Gathered(bytes) => bytes,
            Bytes::Frame(frame) => frame,
        }
    }
}

impl Read for DraftReader<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 || buffer.is_empty() {
            return Ok(0);
        }
        if self.at >= self.now().len() {
            self.load()?;
        }
        let at = self.at;
        let bytes = &self.now()[at..];
        let len = bytes.len().min(buffer.len()).min(usize::try_from(self.left).unwrap_or(usize::MAX));
        buffer[..len].copy_from_slice(&bytes[..len]);
        self.at += len;
        self.left -= len as u64;
        Ok(len)
    }
}
