//! Reading a bundle as a stream: a table at a time, and the bytes of the objects it lists.
//!
//! What it gives has passed the checksums and stands in the order of the format; nothing of it is
//! believed otherwise. One frame is in memory at a time. Unread objects are passed over.

use super::format::HEADER_BYTES;
use super::format::Head;
use super::format::ObjectKind;
use super::format::Row;
use super::format::Table;
use super::format::Totals;
use super::format::check_header;
use crate::error::Error;
use crate::error::Result;
use crate::error::from_stream;
use crate::id::ChainId;
use crate::id::TreeId;
use crate::oci::digest::Digest;
use crate::store::BlobRow;
use crate::store::pack::frame;
use crate::store::pack::frame::FRAME_HEADER_BYTES;
use crate::store::pack::frame::FrameHeader;
use std::io;
use std::io::BufReader;
use std::io::Read;

/// What may stand before the objects, decoded: hundreds of thousands of refs.
const HEAD_BYTES_MAX: u64 = 64 << 20;

const BUFFER_BYTES: usize = 128 << 10;

pub struct Reader<'a> {
    from: BufReader<Box<dyn Read + Send + 'a>>,
    name: String,
    head: Head,
    /// A table that was read to see that the head is over.
    ahead: Option<Table>,
    rank: u8,
    /// The frame of data in memory, and how much of it was given.
    data: Vec<u8>,
    at: usize,
    /// Bytes of the section that are in no frame yet.
    owed: u64,
    /// What was listed so far.
    listed: Totals,
    ended: bool,
}

/// What comes after the head.
#[derive(Debug)]
pub enum Section {
    /// The bytes of each row follow by [`Reader::body`].
    Objects(ObjectKind, Vec<Row>),
    Blobs(Vec<(Digest, BlobRow)>),
    Chains(Vec<(ChainId, TreeId)>),
}

impl<'a> Reader<'a> {
    /// Reads everything up to the objects. `name` is what errors call the bundle.
    pub fn open(name: &str, from: Box<dyn Read + Send + 'a>) -> Result<Reader<'a>> {
        let mut reader = Reader {
            from: BufReader::with_capacity(BUFFER_BYTES, from),
            name: name.to_owned(),
            head: Head::default(),
            ahead: None,
            rank: 0,
            data: Vec::new(),
            at: 0,
            owed: 0,
            listed: Totals::default(),
            ended: false,
        };
        let mut header = [0; HEADER_BYTES];
        if reader.fill(&mut header)? < HEADER_BYTES {
            return Err(reader.invalid("is not a bundle"));
        }
        check_header(&reader.name, &header)?;
        match reader.table()? {
            Table::Head(totals) => reader.head.totals = totals,
            _ => return Err(reader.invalid("does not begin with its head")),
        }
        let mut bytes = 0;
        loop {
            let table = reader.table()?;
            bytes += reader.data.len() as u64;
            if bytes > HEAD_BYTES_MAX {
                let thing = format!("the list of refs and prerequisites of {name}");
                return Err(Error::Limit { thing, limit: HEAD_BYTES_MAX, unit: "bytes" });
            }
            match table {
                Table::Prerequisites(more) => reader.head.prerequisites.extend(more),
                Table::Refs(more) => reader.head.refs.extend(more),
                Table::Optional => {}
                other => {
                    reader.data.clear();
                    reader.ahead = Some(other);
                    return Ok(reader);
                }
            }
        }
    }

    pub fn head(&self) -> &Head {
        &self.head
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The next section; `None` at the end, which is then known to be one.
    pub fn section(&mut self) -> Result<Option<Section>> {
        self.pass_over()?;
        loop {
            let table = match self.ahead.take() {
                Some(table) => table,
                None if self.ended => return Ok(None),
                None => self.table()?,
            };
            self.data.clear();
            self.at = 0;
            match table {
                Table::Objects(kind, rows) => {
                    let owed = rows.iter().try_fold(0u64, |sum, row| sum.checked_add(row.len));
                    self.owed = owed.ok_or_else(|| self.invalid("lists more bytes than there can be"))?;
                    let count = rows.len() as u64;
                    self.listed.objects += count;
                    match kind {
                        ObjectKind::Commit => self.listed.commits += count,
                        ObjectKind::Node | ObjectKind::Tree => {}
                        _ => self.listed.bytes = self.listed.bytes.saturating_add(self.owed),
                    }
                    return Ok(Some(Section::Objects(kind, rows)));
                }
                Table::Blobs(all) => return Ok(Some(Section::Blobs(all))),
                Table::Chains(all) => return Ok(Some(Section::Chains(all))),
                Table::Optional => {}
                Table::End(objects) => {
                    self.ended = true;
                    if (self.listed, objects) != (self.head.totals, self.head.totals.objects) {
                        let shown =
                            |totals: &Totals| format!("{} objects, {} bytes", totals.objects, totals.bytes);
                        return Err(self.mismatch(shown(&self.head.totals), shown(&self.listed)));
                    }
                    if self.fill(&mut [0])? > 0 {
                        return Err(self.invalid("goes on after its end"));
                    }
                    return Ok(None);
                }
                Table::Head(_) | Table::Prerequisites(_) | Table::Refs(_) => {
                    return Err(self.invalid("has its tables out of order"));
                }
            }
        }
    }

    /// The bytes of the next object of the section, which is `len` bytes long.
    pub fn body(&mut self, len: u64) -> Body<'_, 'a> {
        Body { reader: self, left: len }
    }

    /// The whole of a small object.
    pub fn small(&mut self, len: u64) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let name = self.name.clone();
        self.body(len).read_to_end(&mut bytes).map_err(|err| from_stream(name, err))?;
        Ok(bytes)
    }

    /// Goes over an object that nobody wants.
    pub fn skip(&mut self, len: u64) -> Result<()> {
        let name = self.name.clone();
        io::copy(&mut self.body(len), &mut io::sink()).map(drop).map_err(|err| from_stream(name, err))
    }

    fn pass_over(&mut self) -> Result<()> {
        while self.owed > 0 {
            self.load()?;
        }
        Ok(())
    }

    /// Reads the next frame of data into memory.
    fn load(&mut self) -> Result<()> {
        self.frame()?;
        self.at = 0;
        let len = self.data.len() as u64;
        if len == 0 || len > self.owed {
            return Err(self.mismatch(format!("up to {} bytes of objects", self.owed), len.to_string()));
        }
        self.owed -= len;
        Ok(())
    }

    fn table(&mut self) -> Result<Table> {
        self.frame()?;
        let table = Table::decode(&self.data).map_err(|err| self.in_it(err))?;
        match table.rank() {
            Some(rank) if rank < self.rank => Err(self.invalid("has its tables out of order")),
            rank => {
                self.rank = rank.unwrap_or(self.rank);
                Ok(table)
            }
        }
    }

    fn frame(&mut self) -> Result<()> {
        let mut header = [0; FRAME_HEADER_BYTES];
        if self.fill(&mut header)? < FRAME_HEADER_BYTES {
            return Err(self.invalid("ends early"));
        }
        let header = FrameHeader::parse(&self.name, &header).map_err(not_stored)?;
        let mut stored = vec![0; header.stored_len as usize];
        if self.fill(&mut stored)? < stored.len() {
            return Err(self.invalid("ends early"));
        }
        self.data = frame::decode(&self.name, &header, stored).map_err(not_stored)?;
        Ok(())
    }

    /// Fills the buffer as far as the stream goes.
    fn fill(&mut self, into: &mut [u8]) -> Result<usize> {
        let mut at = 0;
        while at < into.len() {
            match self.from.read(&mut into[at..]) {
                Ok(0) => break,
                Ok(len) => at += len,
                Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                Err(err) => return Err(from_stream(&self.name, err)),
            }
        }
        Ok(at)
    }

    pub fn invalid(&self, problem: impl Into<String>) -> Error {
        Error::invalid(&self.name, problem)
    }

    fn mismatch(&self, expected: String, found: String) -> Error {
        Error::Mismatch { thing: self.name.clone(), expected, found }
    }

    /// Says of a fault in a part which bundle has it.
    pub fn in_it(&self, err: Error) -> Error {
        let hint = err.hint().map(str::to_owned);
        Error::Context { doing: self.name.clone(), source: Box::new(err), hint }
    }
}

/// A frame's faults are told as a store's, which this is not.
fn not_stored(err: Error) -> Error {
    match err {
        Error::Corrupt { thing, expected, found } => Error::Mismatch { thing, expected, found },
        other => other,
    }
}

/// Streams one object; every frame is checked before its first byte is given.
pub struct Body<'r, 'a> {
    reader: &'r mut Reader<'a>,
    left: u64,
}

impl Read for Body<'_, '_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 || into.is_empty() {
            return Ok(0);
        }
        if self.reader.at == self.reader.data.len() {
            self.reader.load()?;
        }
        let data = &self.reader.data[self.reader.at..];
        let len = data.len().min(into.len()).min(usize::try_from(self.left).unwrap_or(usize::MAX));
        into[..len].copy_from_slice(&data[..len]);
        self.reader.at += len;
        self.left -= len as u64;
        Ok(len)
    }
}
