//! Recipes: what is left of a tar when the payloads are taken out, and where they go.
//!
//! ```text
//! recipe  = version (1 byte, 1), op…, end
//! op      = head (varint), rest        head = number << 2 | kind
//!   0 raw     number = length, 1 to 64 KiB   rest = so many bytes of the tar
//!   1 slice   number = length                rest = offset (varint), content id (32 bytes)
//!   2 again   number = length                rest = offset (varint); of the content of the slice before
//!   3 end     number = bytes of the tar, all ops together; nothing follows
//! varint  = 7 bits a byte, lowest first, the high bit says that more follow; shortest form only
//! ```
//!
//! The tar is the bytes of the ops in order. Every regular file has, between its header and its
//! padding, one slice or several of its content: the stored segments of a sparse file, the whole
//! of any other. A file of which the tar stores nothing has one slice of length 0, so that a
//! listing always finds the content's id there. Slices after the end of the archive are long raw
//! runs that were moved into contents. Raw ops next to each other are one run, cut for its length.

use super::LayerEntry;
use super::Limits;
use super::sparse::Shape;
use super::walk;
use super::walk::Headers;
use super::walk::Input;
use crate::codec::put_varint;
use crate::error::Error;
use crate::error::Result;
use crate::error::from_stream;
use crate::id::ContentId;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;

pub const VERSION: u8 = 1;

/// The longest raw op, which bounds the memory of writers and readers. Part of the format.
pub const RAW_OP_BYTES: usize = 64 << 10;

/// Calls `each` for every entry of the layer, as [`super::read::take_apart`] did, without contents.
pub fn list(recipe: &mut dyn Read, each: &mut dyn FnMut(LayerEntry) -> Result<()>) -> Result<()> {
    // What was let in under other limits is still to be read.
    let limits = Limits {
        entries: u64::MAX,
        pax_bytes: usize::MAX,
        path_bytes: crate::path::PATH_BYTES_MAX,
        sparse_bytes: u64::MAX,
        raw_run_bytes: 0,
    };
    let mut listing = Listing { ops: Ops::new(recipe)?, raw_left: 0, pending: None, at: 0 };
    walk::walk(&mut listing, &limits, each).map(drop)
}

/// Calls `each` with every content that the recipe needs, once for each use.
pub fn contents(recipe: &mut dyn Read, each: &mut dyn FnMut(ContentId) -> Result<()>) -> Result<()> {
    let mut ops = Ops::new(recipe)?;
    let mut last = None;
    loop {
        match ops.next()? {
            Op::Raw(len) => ops.skip(len)?,
            Op::Slice { id, .. } => {
                if last != Some(id) {
                    each(id)?;
                }
                last = Some(id);
            }
            Op::End(_) => return Ok(()),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// So many bytes follow: [`Ops::read`] or [`Ops::skip`] them before the next op.
    Raw(u64),
    Slice {
        id: ContentId,
        offset: u64,
        len: u64,
    },
    End(u64),
}

/// Reads a recipe op by op.
pub struct Ops<'a> {
    from: BufReader<&'a mut dyn Read>,
    last: Option<ContentId>,
}

fn damaged(problem: impl Into<String>) -> Error {
    Error::invalid("layer recipe", problem)
}

fn broken(err: std::io::Error) -> Error {
    if err.kind() == std::io::ErrorKind::UnexpectedEof {
        return damaged("ends too early");
    }
    from_stream("layer recipe", err)
}

impl<'a> Ops<'a> {
    pub fn new(recipe: &'a mut dyn Read) -> Result<Ops<'a>> {
        let mut ops = Ops { from: BufReader::with_capacity(RAW_OP_BYTES, recipe), last: None };
        let mut version = [0];
        ops.read(&mut version)?;
        if version[0] != VERSION {
            return Err(Error::Mismatch {
                thing: "layer recipe".to_owned(),
                expected: format!("version {VERSION}"),
                found: format!("version {}", version[0]),
            });
        }
        Ok(ops)
    }

    // Not an iterator: raw bytes are read between ops.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Op> {
        let head = self.varint()?;
        let number = head >> 2;
        match head & 3 {
            0 if number == 0 || number > RAW_OP_BYTES as u64 => {
                Err(damaged("raw run of a length that is not written"))
            }
            0 => Ok(Op::Raw(number)),
            1 => {
                let offset = self.varint()?;
                let mut id = [0; 32];
                self.read(&mut id)?;
                self.last = Some(ContentId(id));
                Ok(Op::Slice { id: ContentId(id), offset, len: number })
            }
            2 => {
                let offset = self.varint()?;
                let id = self.last.ok_or_else(|| damaged("slice of no content"))?;
                Ok(Op::Slice { id, offset, len: number })
            }
            _ => {
                let follows = !self.from.fill_buf().map_err(broken)?.is_empty();
                if follows {
                    return Err(damaged("goes on after its end"));
                }
                Ok(Op::End(number))
            }
        }
    }

    pub fn read(&mut self, into: &mut [u8]) -> Result<()> {
        self.from.read_exact(into).map_err(broken)
    }

    pub fn skip(&mut self, len: u64) -> Result<()> {
        let skipped = std::io::copy(&mut (&mut self.from).take(len), &mut std::io::sink()).map_err(broken)?;
        if skipped < len {
            return Err(damaged("ends too early"));
        }
        Ok(())
    }

    fn varint(&mut self) -> Result<u64> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let mut byte = [0];
            self.read(&mut byte)?;
            let bits = u64::from(byte[0] & 0x7f);
            number |= bits << shift;
            if byte[0] & 0x80 == 0 {
                let shortest = bits != 0 || shift == 0;
                let fits = shift < 63 || bits < 2;
                return if shortest && fits { Ok(number) } else { Err(damaged("malformed number")) };
            }
        }
        Err(damaged("malformed number"))
    }
}

/// Writes a recipe op by op.
pub struct Writer<'a> {
    to: std::io::BufWriter<&'a mut dyn Write>,
    raw: Vec<u8>,
    /// Room for one varint.
    number: Vec<u8>,
    last: Option<ContentId>,
    /// Bytes of the tar so far.
    bytes: u64,
    raw_bytes: u64,
}

fn unwritten(err: std::io::Error) -> Error {
    from_stream("the recipe being written", err)
}

impl<'a> Writer<'a> {
    pub fn new(to: &'a mut dyn Write) -> Result<Writer<'a>> {
        let mut to = std::io::BufWriter::with_capacity(RAW_OP_BYTES, to);
        to.write_all(&[VERSION]).map_err(unwritten)?;
        Ok(Writer {
            to,
            raw: Vec::with_capacity(RAW_OP_BYTES),
            number: Vec::new(),
            last: None,
            bytes: 0,
            raw_bytes: 0,
        })
    }

    pub fn raw(&mut self, mut bytes: &[u8]) -> Result<()> {
        self.bytes += bytes.len() as u64;
        self.raw_bytes += bytes.len() as u64;
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(RAW_OP_BYTES - self.raw.len()));
            self.raw.extend_from_slice(now);
            bytes = later;
            if self.raw.len() == RAW_OP_BYTES {
                self.flush_raw()?;
            }
        }
        Ok(())
    }

    pub fn slice(&mut self, id: ContentId, offset: u64, len: u64) -> Result<()> {
        self.flush_raw()?;
        self.bytes += len;
        let again = self.last == Some(id);
        self.varint(len << 2 | if again { 2 } else { 1 })?;
        self.varint(offset)?;
        if !again {
            self.to.write_all(&id.0).map_err(unwritten)?;
        }
        self.last = Some(id);
        Ok(())
    }

    /// Returns the bytes of the tar, and how many of them stand in the recipe itself.
    pub fn finish(mut self) -> Result<(u64, u64)> {
        self.flush_raw()?;
        self.varint(self.bytes << 2 | 3)?;
        self.to.flush().map_err(unwritten)?;
        Ok((self.bytes, self.raw_bytes))
    }

    fn flush_raw(&mut self) -> Result<()> {
        if self.raw.is_empty() {
            return Ok(());
        }
        self.varint((self.raw.len() as u64) << 2)?;
        self.to.write_all(&self.raw).map_err(unwritten)?;
        self.raw.clear();
        Ok(())
    }

    fn varint(&mut self, number: u64) -> Result<()> {
        self.number.clear();
        put_varint(&mut self.number, number);
        self.to.write_all(&self.number).map_err(unwritten)
    }
}

/// The walker's view of a recipe: raw bytes from it, payloads as ids alone.
struct Listing<'a> {
    ops: Ops<'a>,
    raw_left: u64,
    pending: Option<Op>,
    at: u64,
}

impl Listing<'_> {
    fn take(&mut self) -> Result<Op> {
        match self.pending.take() {
            Some(op) => Ok(op),
            None => self.ops.next(),
        }
    }
}

impl Headers for Listing<'_> {
    fn raw(&mut self, into: &mut [u8]) -> Result<usize> {
        let mut done = 0;
        while done < into.len() {
            if self.raw_left == 0 {
                match self.take()? {
                    Op::Raw(len) => self.raw_left = len,
                    Op::Slice { .. } => return Err(damaged("has a payload where a header belongs")),
                    end => {
                        self.pending = Some(end);
                        break;
                    }
                }
            }
            let len = (into.len() - done).min(usize::try_from(self.raw_left).unwrap_or(usize::MAX));
            self.ops.read(&mut into[done..done + len])?;
            done += len;
            self.raw_left -= len as u64;
        }
        self.at += done as u64;
        Ok(done)
    }

    fn at(&self) -> u64 {
        self.at
    }
}

impl Input for Listing<'_> {
    fn payload(&mut self, _name: &[u8], shape: &Shape) -> Result<ContentId> {
        let misfit = || damaged("has other payloads than its headers say");
        if self.raw_left > 0 {
            return Err(misfit());
        }
        let mut content = None;
        let mut found = 0_u64;
        while content.is_none() || found < shape.stored {
            match self.take()? {
                Op::Slice { id, len, .. } if content.is_none_or(|content| content == id) => {
                    content = Some(id);
                    found = found.checked_add(len).ok_or_else(misfit)?;
                }
                _ => return Err(misfit()),
            }
        }
        self.at += found;
        content.filter(|_| found == shape.stored).ok_or_else(misfit)
    }
}
