//! A skeleton into its recipe, and what no content explains into contents of its own.

use super::BLOCK_BYTES;
use super::Skeleton;
use super::Table;
use super::ZERO;
use super::is_zero;
use super::lists::ListWriter;
use super::recipe::Head;
use super::recipe::Windows;
use super::recipe::Writer;
use crate::content::ContentSink;
use crate::disk::bytes::ReadAt;
use crate::error::Result;
use crate::progress::Progress;
use std::io::Write;

/// How much residue is read at once; a multiple of a block.
const RESIDUE_READ_BYTES: u64 = 1 << 20;

/// What was written, by where the bytes of the disk come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The recipe is these bytes, then all that went to `ops`.
    pub head: Vec<u8>,
    pub op_bytes: u64,
    pub ops: u64,
    /// Contents that the disk holds bytes of.
    pub contents: u64,
    pub content_bytes: u64,
    pub zero_bytes: u64,
    pub residue_bytes: u64,
    /// Contents that hold the residue.
    pub windows: u64,
}

impl Written {
    /// Bytes of the whole recipe.
    pub fn recipe_bytes(&self) -> u64 {
        self.head.len() as u64 + self.op_bytes
    }
}

impl Skeleton {
    /// Puts the residue into `sink` and writes the ops of the recipe to `ops`, a few bytes each: its
    /// head is known only afterwards, so `ops` wants a buffer and a place to be read from again.
    ///
    /// `disk` and `table` must be those the skeleton was found with. `facts` say what is worth
    /// knowing of the file that the disk came in; one value for each key.
    pub fn write(
        &self,
        disk: &dyn ReadAt,
        table: &Table,
        facts: impl IntoIterator<Item = (String, String)>,
        sink: &mut dyn ContentSink,
        ops: &mut dyn Write,
        progress: &dyn Progress,
    ) -> Result<Written> {
        let mut lists = ListWriter::default();
        let mut numbers = vec![ZERO; table.contents().len()];
        for claim in self.claims.iter().filter(|claim| !claim.is_zero()) {
            numbers[claim.number as usize] = 0;
        }
        let mut contents = 0;
        for (number, known) in numbers.iter_mut().zip(table.contents()).filter(|(number, _)| **number == 0) {
            *number = contents;
            contents += 1;
            lists.put(&known.id, sink)?;
        }
        let files = lists.finish(sink)?;
        let mut out = Out {
            disk,
            progress,
            sink,
            ops: Writer::new(ops),
            windows: Windows::new(),
            buffer: Vec::new(),
            zero_bytes: 0,
            residue_bytes: 0,
        };
        let mut content_bytes = 0;
        let mut at = 0;
        for claim in &self.claims {
            out.unclaimed(at, claim.at)?;
            at = claim.end();
            if claim.is_zero() {
                out.zero(claim.len);
                continue;
            }
            content_bytes += claim.len;
            out.ops.run(u64::from(numbers[claim.number as usize]), claim.offset, claim.len)?;
            out.zero(u64::from(claim.pad));
        }
        out.unclaimed(at, self.size)?;
        let Out { ops, windows, sink, zero_bytes, residue_bytes, .. } = out;
        let (ops, op_bytes) = ops.finish()?;
        let (window_lists, windows) = windows.finish(sink)?;
        let mut facts: Vec<(String, String)> = facts.into_iter().collect();
        facts.sort();
        let head = Head { size: self.size, id: self.id, facts, files, windows: window_lists };
        head.check()?;
        Ok(Written {
            head: head.encode(),
            op_bytes,
            ops,
            contents: u64::from(contents),
            content_bytes,
            zero_bytes,
            residue_bytes,
            windows,
        })
    }
}

struct Out<'a> {
    disk: &'a dyn ReadAt,
    progress: &'a dyn Progress,
    sink: &'a mut dyn ContentSink,
    ops: Writer<'a>,
    windows: Windows,
    buffer: Vec<u8>,
    zero_bytes: u64,
    residue_bytes: u64,
}

impl Out<'_> {
    fn zero(&mut self, len: u64) {
        self.zero_bytes += len;
        self.ops.zero(len);
    }

    /// Bytes that nobody claimed, or not rightly: zero all the same, or residue.
    fn unclaimed(&mut self, mut at: u64, end: u64) -> Result<()> {
        while at < end {
            crate::progress::check(self.progress)?;
            let len = (end - at).min(RESIDUE_READ_BYTES);
            self.buffer.resize(len as usize, 0);
            self.disk.read_at(at, &mut self.buffer)?;
            let mut from = at;
            for block in self.buffer.chunks(BLOCK_BYTES) {
                if is_zero(block) {
                    self.zero_bytes += block.len() as u64;
                    self.ops.zero(block.len() as u64);
                } else {
                    self.residue_bytes += block.len() as u64;
                    self.ops.residue(block.len() as u64)?;
                    self.windows.put(from, block, self.sink)?;
                }
                from += block.len() as u64;
            }
            at += len;
        }
        Ok(())
    }
}
