//! Taking a tar apart in one pass: payloads to a content sink, everything else into a recipe.
//!
//! Exact by construction: each byte of the stream goes to one of the two as it is read, and the
//! meaning of headers decides only which. So `rebuild` gives the stream back whenever
//! [`take_apart`] succeeds. Bytes that are no tar (a wrong checksum, a second archive after the
//! end) stay in the recipe and are told in [`Taken::unread`]; engines refuse the first kind, see
//! [`Taken::whole`]. An entry that claims more bytes than follow is an error at once, because
//! half a file is no content.

use super::EMPTY;
use super::LayerEntry;
use super::Limits;
pub use super::walk::Unread;

use super::recipe;
use super::sparse::Shape;
use super::walk;
use super::walk::Headers;
use super::walk::Input;
use crate::content::ContentSink;
use crate::content::HashedRead;
use crate::error::Error;
use crate::error::Result;
use crate::error::from_stream;
use crate::hash::Nested;
use crate::id::ContentId;
use crate::id::DiffId;
use crate::path::shown;
use std::io;
use std::io::Read;
use std::io::Write;

/// Large enough that the cost of a read is lost in that of hashing what it brings.
const BUFFER_BYTES: usize = 256 << 10;

#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Taken {
    /// Length of the tar.
    pub bytes: u64,
    /// SHA-256 of the tar.
    pub diff_id: DiffId,
    pub entries: u64,
    /// Bytes that stand in the recipe itself.
    pub raw_bytes: u64,
    /// Set where the walk stopped before the archive's end; the rest is kept, but not understood.
    pub unread: Option<Unread>,
}

impl Taken {
    /// Returns an error for what no engine would take as a layer.
    pub fn whole(self) -> Result<Taken> {
        match &self.unread {
            None => Ok(self),
            Some(Unread { at, problem }) => {
                Err(Error::invalid(format!("layer, at byte {at} of {}", self.bytes), problem.as_str()))
            }
        }
    }
}

/// Reads `tar` to its end, calling `each` for every entry once its content is in `contents`.
///
/// All empty files are one [`EMPTY`] content, which is put once.
pub fn take_apart(
    tar: &mut dyn Read,
    contents: &mut dyn ContentSink,
    recipe: &mut dyn Write,
    each: &mut dyn FnMut(LayerEntry) -> Result<()>,
    limits: &Limits,
) -> Result<Taken> {
    let mut stream = Stream {
        tar: Buffered::new(tar),
        recipe: recipe::Writer::new(recipe)?,
        contents,
        empty_is_put: false,
    };
    let walked = walk::walk(&mut stream, limits, each)?;
    stream.keep_rest(limits.raw_run_bytes)?;
    let (bytes, raw_bytes) = stream.recipe.finish()?;
    let diff_id = DiffId(stream.tar.hash.finish());
    Ok(Taken { bytes, diff_id, entries: walked.entries, raw_bytes, unread: walked.unread })
}

struct Stream<'a> {
    tar: Buffered<'a>,
    recipe: recipe::Writer<'a>,
    contents: &'a mut dyn ContentSink,
    empty_is_put: bool,
}

impl Headers for Stream<'_> {
    fn raw(&mut self, into: &mut [u8]) -> Result<usize> {
        let len = self.tar.read_full(into).map_err(broken)?;
        self.recipe.raw(&into[..len])?;
        Ok(len)
    }

    fn at(&self) -> u64 {
        self.tar.at
    }
}

impl Input for Stream<'_> {
    fn payload(&mut self, name: &[u8], shape: &Shape) -> Result<ContentId> {
        let id = self.content(name, shape)?;
        for segment in &shape.segments {
            self.recipe.slice(id, segment.offset, segment.len)?;
        }
        if shape.stored == 0 {
            self.recipe.slice(id, 0, 0)?;
        }
        Ok(id)
    }
}

impl Stream<'_> {
    fn content(&mut self, name: &[u8], shape: &Shape) -> Result<ContentId> {
        if shape.size == 0 && self.empty_is_put {
            return Ok(EMPTY);
        }
        let mut file = File { tar: &mut self.tar, shape, segment: 0, at: 0, stored: 0, fault: None };
        let put = match shape.segments[..] {
            // All of the file stands in a row in the tar, which is hashed anyway.
            [one] if one.offset == 0 && one.len == shape.size => {
                file.tar.hash.begin_part();
                self.contents.put_hashed(shape.size, &mut file)
            }
            _ => self.contents.put(shape.size, &mut file),
        };
        let (at, stored, fault) = (file.at, file.stored, file.fault);
        self.tar.hash.end_part();
        // What broke here is the cause, whatever the sink made of it.
        if let Some(fault) = fault {
            return Err(match fault {
                Fault::Broken(err) => broken(err),
                Fault::Short => Error::invalid(
                    format!("layer entry `{}`", shown(name)),
                    format!("says it has {} bytes, but the layer ends after {stored} of them", shape.stored),
                ),
            });
        }
        let id = put?;
        if at < shape.size {
            return Err(Error::Mismatch {
                thing: format!("layer entry `{}`", shown(name)),
                expected: format!("{} bytes to be stored", shape.size),
                found: format!("{at}"),
            });
        }
        self.empty_is_put |= shape.size == 0;
        Ok(id)
    }

    /// Keeps what follows the last entry: short in the recipe, long in contents.
    fn keep_rest(&mut self, run_bytes: usize) -> Result<()> {
        let mut run = Vec::new();
        loop {
            run.clear();
            let limit = run_bytes.max(1) as u64;
            let len = (&mut self.tar).take(limit).read_to_end(&mut run).map_err(broken)?;
            if (len as u64) < limit {
                return self.recipe.raw(&run);
            }
            let id = self.contents.put(limit, &mut run.as_slice())?;
            self.recipe.slice(id, 0, limit)?;
        }
    }
}

fn broken(err: io::Error) -> Error {
    from_stream("layer", err)
}

/// Like `BufReader`, but counts and hashes what leaves it, and lets long reads pass by its buffer.
pub(super) struct Buffered<'a> {
    from: &'a mut dyn Read,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    pub at: u64,
    hash: Nested,
}

impl<'a> Buffered<'a> {
    pub fn new(from: &'a mut dyn Read) -> Buffered<'a> {
        Buffered { from, buffer: vec![0; BUFFER_BYTES], start: 0, end: 0, at: 0, hash: Nested::new() }
    }

    /// Fills `into` unless the stream ends first.
    pub fn read_full(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        while done < into.len() {
            match self.read(&mut into[done..])? {
                0 => break,
                len => done += len,
            }
        }
        Ok(done)
    }
}

impl Read for Buffered<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let len = if self.start < self.end || into.len() < self.buffer.len() / 2 {
            if self.start == self.end {
                (self.start, self.end) = (0, 0);
                self.end = read_some(self.from, &mut self.buffer)?;
            }
            let len = into.len().min(self.end - self.start);
            into[..len].copy_from_slice(&self.buffer[self.start..self.start + len]);
            self.start += len;
            len
        } else {
            read_some(self.from, into)?
        };
        self.hash.update(&into[..len]);
        self.at += len as u64;
        Ok(len)
    }
}

fn read_some(from: &mut dyn Read, into: &mut [u8]) -> io::Result<usize> {
    loop {
        match from.read(into) {
            Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
            // No reader may claim more than there was room for; one that does shall not panic here.
            found => return found.map(|len| len.min(into.len())),
        }
    }
}

enum Fault {
    Broken(io::Error),
    Short,
}

/// One file as the sink reads it: stored segments from the tar, zeros between them.
struct File<'s, 'a> {
    tar: &'s mut Buffered<'a>,
    shape: &'s Shape,
    segment: usize,
    /// Bytes of the file so far, and how many of them came from the tar.
    at: u64,
    stored: u64,
    fault: Option<Fault>,
}

impl Read for File<'_, '_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let clip = |left: u64| into.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        while let Some(segment) = self.shape.segments.get(self.segment) {
            if self.at < segment.offset {
                return Ok(self.zeros(segment.offset, into));
            }
            let len = clip(segment.offset + segment.len - self.at);
            if len == 0 && !into.is_empty() {
                self.segment += 1;
                continue;
            }
            let len = match self.tar.read(&mut into[..len]) {
                Err(err) => {
                    self.fault = Some(Fault::Broken(err));
                    return Err(io::Error::other("the layer cannot be read"));
                }
                Ok(0) if len > 0 => {
                    self.fault = Some(Fault::Short);
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                Ok(len) => len,
            };
            self.at += len as u64;
            self.stored += len as u64;
            return Ok(len);
        }
        Ok(self.zeros(self.shape.size, into))
    }
}

impl HashedRead for File<'_, '_> {
    fn id(&mut self) -> ContentId {
        self.tar.hash.end_part().expect("asked once, of a file that stands in a row")
    }
}

impl File<'_, '_> {
    fn zeros(&mut self, until: u64, into: &mut [u8]) -> usize {
        let len = into.len().min(usize::try_from(until - self.at).unwrap_or(usize::MAX));
        into[..len].fill(0);
        self.at += len as u64;
        len
    }
}
