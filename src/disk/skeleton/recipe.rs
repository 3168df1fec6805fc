//! Recipes of disks: where every byte of a disk comes from.
//!
//! ```text
//! recipe  = version (1 byte, 129), head, op…
//! head    = size of the disk (varint), its SHA-256 (32 bytes), facts, files, windows
//! facts   = count (varint), then by key: length and bytes of key and of value
//! files   = count (varint), then for each list: ids in it (varint, 1 to 512), its content id
//! windows = the same
//! op      = kind (1 byte), length, rest
//!   0 zero       so many zero bytes
//!   1 next       of the content after the last one named, from byte 0
//!   2 again      of the last one named; rest = offset (signed), from where the last run of it ended
//!   3 other      rest = number (signed), from the last one named; offset (varint)
//!   4 residue    of the windows' contents, see below
//!   129 130 131  like 1 2 3, and zeros follow to the next multiple of 4096 of the length
//! length  = varint: 2 × sectors of 512 bytes, or 2 × bytes + 1 where that does not go
//! varint  = 7 bits a byte, lowest first, the high bit says that more follow; shortest form only
//! signed  = varint of 0, -1, 1, -2, … as 0, 1, 2, 3, …
//! ```
//! The disk is the bytes of the ops in order; it ends the recipe. Contents of files are numbered
//! from 0 in the order of the lists, each of which is a content of so many ids of 32 bytes (`lists`
//! says why). The residue within each window of 16 KiB of the disk, all pieces one after another, is
//! one content; those are listed in the same way, in the order of the disk. Runs that are one are
//! written as one, so a skeleton has one encoding. The recipe of a layer begins with byte 1.

use super::WINDOW_BYTES;
use super::lists;
use super::lists::LIST_IDS_MAX;
pub use super::lists::List;
use crate::codec::put_bytes;
use crate::codec::put_signed;
use crate::codec::put_varint;
use crate::content::ContentSource;
use crate::error::Error;
use crate::error::Result;
use crate::error::from_stream;
use crate::id::ContentId;
use crate::id::DiffId;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;

/// The versions of disk recipes begin here, far from those of layer recipes.
pub const VERSION: u8 = 129;

/// A larger disk is no disk.
const SIZE_MAX: u64 = 1 << 62;
const FACTS_MAX: u64 = 256;
const FACT_BYTES_MAX: u64 = 64 << 10;

/// What a padded run fills. Part of the format.
const PAD_BYTES: u64 = 4096;

const KIND_ZERO: u8 = 0;
const KIND_NEXT: u8 = 1;
const KIND_AGAIN: u8 = 2;
const KIND_OTHER: u8 = 3;
const KIND_RESIDUE: u8 = 4;
const PADDED: u8 = 0x80;

/// What a recipe tells of the disk as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    pub size: u64,
    /// The SHA-256 of all its bytes.
    pub id: DiffId,
    /// What is worth knowing of the file it came in, sorted by key: format, options.
    pub facts: Vec<(String, String)>,
    pub files: Vec<List>,
    pub windows: Vec<List>,
}

/// Calls `each` with every content that the recipe needs, the lists themselves included. A content
/// may come twice.
pub fn contents(
    recipe: &mut dyn Read,
    source: &dyn ContentSource,
    each: &mut dyn FnMut(ContentId) -> Result<()>,
) -> Result<()> {
    let head = Head::read(&mut BufReader::new(recipe))?;
    for batch in head.lists().collect::<Vec<_>>().chunks(512) {
        source.will_open(&batch.iter().map(|list| list.id).collect::<Vec<_>>())?;
        for list in batch {
            each(list.id)?;
            lists::read(list, source)?.into_iter().try_for_each(&mut *each)?;
        }
    }
    Ok(())
}

/// Calls `each` with every window that has residue, in the order of the disk, and how many bytes it has.
pub fn residue(
    recipe: &mut dyn Read,
    source: &dyn ContentSource,
    each: &mut dyn FnMut(ContentId, u64),
) -> Result<()> {
    let mut recipe = BufReader::new(recipe);
    let head = Head::read(&mut recipe)?;
    let files: u64 = head.files.iter().map(|list| list.ids).sum();
    let mut bytes: Vec<u64> = Vec::new();
    let mut ops = Ops::new(&head, recipe);
    while let Some(extent) = ops.next()? {
        if let Origin::Content { number, .. } = extent.from
            && let Some(window) = number.checked_sub(files)
        {
            // Windows are numbered in the order of the disk: the next one is a new one.
            match bytes.get_mut(window as usize) {
                Some(bytes) => *bytes += extent.len,
                None => bytes.push(extent.len),
            }
        }
    }
    let mut bytes = bytes.into_iter();
    for list in &head.windows {
        for id in lists::read(list, source)? {
            each(id, bytes.next().unwrap_or_default());
        }
    }
    Ok(())
}

fn damaged(problem: impl Into<String>) -> Error {
    Error::invalid("disk recipe", problem)
}

fn broken(err: std::io::Error) -> Error {
    if err.kind() == std::io::ErrorKind::UnexpectedEof {
        return damaged("ends too early");
    }
    from_stream("disk recipe", err)
}

impl Head {
    /// All lists in the order in which their contents are numbered.
    pub fn lists(&self) -> impl Iterator<Item = List> + '_ {
        self.files.iter().chain(&self.windows).copied()
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        put_varint(&mut out, self.size);
        out.extend_from_slice(&self.id.0);
        put_varint(&mut out, self.facts.len() as u64);
        for (key, value) in &self.facts {
            put_bytes(&mut out, key.as_bytes());
            put_bytes(&mut out, value.as_bytes());
        }
        for lists in [&self.files, &self.windows] {
            put_varint(&mut out, lists.len() as u64);
            for list in lists {
                put_varint(&mut out, list.ids);
                out.extend_from_slice(&list.id.0);
            }
        }
        out
    }

    /// Reads the head; the ops follow.
    pub fn read(from: &mut impl BufRead) -> Result<Head> {
        let [version] = array(from)?;
        if version != VERSION {
            return Err(Error::Mismatch {
                thing: "disk recipe".to_owned(),
                expected: format!("version {VERSION}"),
                found: format!("version {version}"),
            });
        }
        let size = varint(from)?;
        if size > SIZE_MAX {
            return Err(damaged(format!("is of a disk of {size} bytes")));
        }
        let id = DiffId(array(from)?);
        let mut facts: Vec<(String, String)> = Vec::new();
        for _ in 0..bounded(from, FACTS_MAX, "facts")? {
            let fact = (text(from)?, text(from)?);
            if facts.last().is_some_and(|last| last.0 >= fact.0) {
                return Err(damaged("has facts out of order"));
            }
            facts.push(fact);
        }
        Ok(Head { size, id, facts, files: read_lists(from)?, windows: read_lists(from)? })
    }

    /// Refuses what [`Head::read`] would refuse.
    pub fn check(&self) -> Result<()> {
        Head::read(&mut &self.encode()[..]).map(drop)
    }
}

fn read_lists(from: &mut impl BufRead) -> Result<Vec<List>> {
    let mut lists = Vec::new();
    for _ in 0..varint(from)? {
        let ids = bounded(from, LIST_IDS_MAX, "ids in a list")?;
        if ids == 0 {
            return Err(damaged("has an empty list"));
        }
        lists.push(List { ids, id: ContentId(array(from)?) });
    }
    Ok(lists)
}

fn array<const N: usize>(from: &mut impl BufRead) -> Result<[u8; N]> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes).map_err(broken)?;
    Ok(bytes)
}

fn bounded(from: &mut impl BufRead, most: u64, what: &str) -> Result<u64> {
    match varint(from)? {
        count if count <= most => Ok(count),
        count => Err(damaged(format!("has {count} {what}, {most} at most are known"))),
    }
}

fn text(from: &mut impl BufRead) -> Result<String> {
    let mut bytes = vec![0; bounded(from, FACT_BYTES_MAX, "bytes in a fact")? as usize];
    from.read_exact(&mut bytes).map_err(broken)?;
    String::from_utf8(bytes).map_err(|_| damaged("has a fact that is not UTF-8"))
}

fn varint(from: &mut impl BufRead) -> Result<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let [byte] = array(from)?;
        let bits = u64::from(byte & 0x7f);
        number |= bits << shift;
        if byte & 0x80 == 0 {
            let shortest = bits != 0 || shift == 0;
            let fits = shift < 63 || bits < 2;
            return if shortest && fits { Ok(number) } else { Err(damaged("malformed number")) };
        }
    }
    Err(damaged("malformed number"))
}

fn signed(from: &mut impl BufRead) -> Result<i64> {
    let raw = varint(from)?;
    Ok((raw >> 1) as i64 ^ -((raw & 1) as i64))
}

/// A run of the disk and where its bytes come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    pub at: u64,
    pub len: u64,
    pub from: Origin,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    Zero,
    /// The content of that number: those of files, then those of windows.
    Content {
        number: u64,
        offset: u64,
    },
}

/// Reads the ops of a recipe as extents.
#[derive(Clone, Debug)]
pub struct Ops<R> {
    from: R,
    size: u64,
    files: u64,
    windows: u64,
    state: State,
}

/// What an op refers to, and what it may not follow. Small: it is kept for random access.
#[derive(Clone, Copy, Debug, Default)]
struct State {
    /// Where on the disk the next op begins.
    at: u64,
    /// The number after the last one named, and where the run ended in that content.
    next: u64,
    end: u64,
    window: WindowState,
    /// Of the op before: to refuse what would have been written as one.
    before: Before,
    residue_left: u64,
    pad_left: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct WindowState {
    /// Windows that have residue so far.
    count: u64,
    /// The window of the last residue, and how much it has.
    place: u64,
    bytes: u64,
}

impl WindowState {
    /// Cuts the residue of `len` bytes at `at`: returns the number and offset in the content of its
    /// window, and how many bytes of it lie in there.
    fn take(&mut self, at: u64, len: u64) -> (u64, u64, u64) {
        let place = at / WINDOW_BYTES;
        if self.count == 0 || place != self.place {
            *self = WindowState { count: self.count + 1, place, bytes: 0 };
        }
        let now = len.min((place + 1) * WINDOW_BYTES - at);
        self.bytes += now;
        (self.count - 1, self.bytes - now, now)
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Before {
    #[default]
    Nothing,
    Zero,
    Residue,
    /// So many zeros would have been its padding; 0 for none.
    Run(u64),
}

fn padding(len: u64) -> u64 {
    len.wrapping_neg() % PAD_BYTES
}

impl<R: BufRead> Ops<R> {
    /// `from` stands after the head.
    pub fn new(head: &Head, from: R) -> Ops<R> {
        let sum = |lists: &[List]| lists.iter().fold(0_u64, |sum, list| sum.saturating_add(list.ids));
        Ops {
            from,
            size: head.size,
            files: sum(&head.files),
            windows: sum(&head.windows),
            state: State::default(),
        }
    }

    /// The next extent; `None` after the last byte of the disk. Residue comes window by window.
    // Not an iterator: an error ends it.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<Extent>> {
        let state = &mut self.state;
        if state.pad_left > 0 {
            let len = std::mem::take(&mut state.pad_left);
            return Ok(Some(self.extent(len, Origin::Zero)));
        }
        if state.residue_left == 0 {
            if state.at == self.size {
                return self.end();
            }
            if let Some(extent) = self.op()? {
                return Ok(Some(extent));
            }
        }
        let state = &mut self.state;
        let (window, offset, len) = state.window.take(state.at, state.residue_left);
        state.residue_left -= len;
        if window >= self.windows {
            return Err(damaged("has residue in more windows than it lists"));
        }
        Ok(Some(self.extent(len, Origin::Content { number: self.files + window, offset })))
    }

    fn extent(&mut self, len: u64, from: Origin) -> Extent {
        let at = self.state.at;
        self.state.at += len;
        Extent { at, len, from }
    }

    fn end(&mut self) -> Result<Option<Extent>> {
        if self.state.window.count != self.windows {
            return Err(damaged("lists windows that have no residue"));
        }
        if !self.from.fill_buf().map_err(broken)?.is_empty() {
            return Err(damaged("goes on after the end of the disk"));
        }
        Ok(None)
    }

    /// Reads one op; residue is only begun.
    fn op(&mut self) -> Result<Option<Extent>> {
        let [kind] = array(&mut self.from)?;
        let len = self.length()?;
        let before = std::mem::replace(&mut self.state.before, Before::Run(padding(len)));
        match kind {
            KIND_ZERO => {
                let was_padding = |padding: u64| padding > 0 && len >= padding;
                if before == Before::Zero || matches!(before, Before::Run(pad) if was_padding(pad)) {
                    return Err(damaged("has zeros in two ops that belong in one"));
                }
                self.state.before = Before::Zero;
                Ok(Some(self.extent(len, Origin::Zero)))
            }
            KIND_RESIDUE => {
                if before == Before::Residue {
                    return Err(damaged("has residue in two ops that belong in one"));
                }
                self.state.before = Before::Residue;
                self.state.residue_left = len;
                Ok(None)
            }
            _ => self.run(kind, len, before).map(Some),
        }
    }

    fn run(&mut self, kind: u8, len: u64, before: Before) -> Result<Extent> {
        let last = self.state.next.checked_sub(1);
        let (number, offset) = match kind & !PADDED {
            KIND_NEXT => (self.state.next, 0),
            KIND_AGAIN => {
                let number = last.ok_or_else(|| damaged("goes on with no content"))?;
                let on = signed(&mut self.from)?;
                if on == 0 && matches!(before, Before::Run(_)) {
                    return Err(damaged("has a run in two ops that belong in one"));
                }
                let offset = self.state.end.checked_add_signed(on);
                (number, offset.ok_or_else(|| damaged("has a run outside of its content"))?)
            }
            KIND_OTHER => {
                let by = signed(&mut self.from)?;
                let offset = varint(&mut self.from)?;
                // From the number before the first one, where none was named.
                let number = self.state.next.checked_add_signed(by).and_then(|number| number.checked_sub(1));
                let number = number.ok_or_else(|| damaged("names a content before the first"))?;
                if Some(number) == last || number == self.state.next && offset == 0 {
                    return Err(damaged("has a run in a longer form than it needs"));
                }
                (number, offset)
            }
            _ => return Err(damaged(format!("has an op of the unknown kind {kind}"))),
        };
        if number >= self.files {
            return Err(damaged(format!("names content {number} of {}", self.files)));
        }
        let end = offset.checked_add(len).ok_or_else(|| damaged("has a run outside of its content"))?;
        if kind & PADDED != 0 {
            let pad = padding(len);
            if pad == 0 || pad > self.size - self.state.at - len {
                return Err(damaged("has a run with padding that does not fit"));
            }
            self.state.pad_left = pad;
            self.state.before = Before::Nothing;
        }
        (self.state.next, self.state.end) = (number + 1, end);
        Ok(self.extent(len, Origin::Content { number, offset }))
    }

    fn length(&mut self) -> Result<u64> {
        let raw = varint(&mut self.from)?;
        let len = match raw & 1 {
            0 => (raw >> 1).checked_mul(512),
            _ => Some(raw >> 1).filter(|len| !len.is_multiple_of(512)),
        };
        len.filter(|len| *len > 0 && *len <= self.size - self.state.at)
            .ok_or_else(|| damaged(format!("has a run of a length that cannot be at {}", self.state.at)))
    }
}

impl<'a> Ops<&'a [u8]> {
    /// Bytes that are still to be read, where that is enough to go on from here with [`Ops::resume`].
    pub(super) fn mark(&self) -> Option<Mark> {
        let whole = self.state.residue_left == 0 && self.state.pad_left == 0;
        whole.then_some(Mark { left: self.from.len(), state: self.state })
    }

    /// Goes on from a mark of the same ops, all of which are `ops`.
    pub(super) fn resume(&self, ops: &'a [u8], mark: &Mark) -> Ops<&'a [u8]> {
        Ops { from: &ops[ops.len() - mark.left..], state: mark.state, ..*self }
    }
}

/// A place between two ops.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    left: usize,
    state: State,
}

impl Mark {
    /// Where on the disk it is.
    pub fn at(&self) -> u64 {
        self.state.at
    }
}

/// Writes ops; runs that are one are joined.
pub struct Writer<'a> {
    to: &'a mut dyn Write,
    /// Room for one op.
    op: Vec<u8>,
    pending: Pending,
    /// Zeros after what is pending.
    zeros: u64,
    /// As in [`State`].
    next: u64,
    end: u64,
    bytes: u64,
    ops: u64,
}

enum Pending {
    Nothing,
    Run { number: u64, offset: u64, len: u64 },
    Residue(u64),
}

impl<'a> Writer<'a> {
    pub fn new(to: &'a mut dyn Write) -> Writer<'a> {
        let op = Vec::with_capacity(40);
        Writer { to, op, pending: Pending::Nothing, zeros: 0, next: 0, end: 0, bytes: 0, ops: 0 }
    }

    pub fn zero(&mut self, len: u64) {
        self.zeros += len;
    }

    /// Of the content of a file.
    pub fn run(&mut self, number: u64, offset: u64, len: u64) -> Result<()> {
        if len == 0 {
            return Ok(());
        }
        if let Pending::Run { number: last, offset: start, len: so_far } = &mut self.pending
            && (*last, *start + *so_far, self.zeros) == (number, offset, 0)
        {
            *so_far += len;
            return Ok(());
        }
        self.flush()?;
        self.pending = Pending::Run { number, offset, len };
        Ok(())
    }

    pub fn residue(&mut self, len: u64) -> Result<()> {
        if len == 0 {
            return Ok(());
        }
        match &mut self.pending {
            Pending::Residue(so_far) if self.zeros == 0 => *so_far += len,
            _ => {
                self.flush()?;
                self.pending = Pending::Residue(len);
            }
        }
        Ok(())
    }

    /// Returns how many ops were written, and their bytes.
    pub fn finish(mut self) -> Result<(u64, u64)> {
        self.flush()?;
        Ok((self.ops, self.bytes))
    }

    fn flush(&mut self) -> Result<()> {
        let mut zeros = std::mem::take(&mut self.zeros);
        match std::mem::replace(&mut self.pending, Pending::Nothing) {
            Pending::Nothing => {}
            Pending::Residue(len) => self.op(KIND_RESIDUE, len, |_| {})?,
            Pending::Run { number, offset, len } => {
                let pad = padding(len);
                let padded = if pad > 0 && zeros >= pad { PADDED } else { 0 };
                if padded != 0 {
                    zeros -= pad;
                }
                let (next, end) = (self.next, self.end);
                (self.next, self.end) = (number + 1, offset + len);
                if number == next && offset == 0 {
                    self.op(KIND_NEXT | padded, len, |_| {})?;
                } else if number + 1 == next {
                    let on = (offset as i64).wrapping_sub(end as i64);
                    self.op(KIND_AGAIN | padded, len, |out| put_signed(out, on))?;
                } else {
                    let by = (number as i64 + 1).wrapping_sub(next as i64);
                    self.op(KIND_OTHER | padded, len, |out| {
                        put_signed(out, by);
                        put_varint(out, offset);
                    })?;
                }
            }
        }
        if zeros > 0 {
            self.op(KIND_ZERO, zeros, |_| {})?;
        }
        Ok(())
    }

    fn op(&mut self, kind: u8, len: u64, rest: impl FnOnce(&mut Vec<u8>)) -> Result<()> {
        self.op.clear();
        self.op.push(kind);
        put_varint(&mut self.op, if len.is_multiple_of(512) { len / 512 * 2 } else { len * 2 + 1 });
        rest(&mut self.op);
        self.bytes += self.op.len() as u64;
        self.ops += 1;
        self.to.write_all(&self.op).map_err(|err| from_stream("the recipe being written", err))
    }
}

/// Puts residue into the contents of its windows.
pub(super) struct Windows {
    state: WindowState,
    bytes: Vec<u8>,
    lists: lists::ListWriter,
}

impl Windows {
    pub fn new() -> Windows {
        Windows { state: WindowState::default(), bytes: Vec::new(), lists: lists::ListWriter::default() }
    }

    /// Takes residue that lies at `at` of the disk, after all that came before.
    pub fn put(
        &mut self,
        mut at: u64,
        mut bytes: &[u8],
        sink: &mut dyn crate::content::ContentSink,
    ) -> Result<()> {
        while !bytes.is_empty() {
            let count = self.state.count;
            let (_, _, len) = self.state.take(at, bytes.len() as u64);
            if self.state.count != count {
                self.end(sink)?;
            }
            let (now, later) = bytes.split_at(len as usize);
            self.bytes.extend_from_slice(now);
            bytes = later;
            at += len;
        }
        Ok(())
    }

    /// Returns the lists of all windows, and how many there are.
    pub fn finish(mut self, sink: &mut dyn crate::content::ContentSink) -> Result<(Vec<List>, u64)> {
        self.end(sink)?;
        Ok((self.lists.finish(sink)?, self.state.count))
    }

    fn end(&mut self, sink: &mut dyn crate::content::ContentSink) -> Result<()> {
        if self.bytes.is_empty() {
            return Ok(());
        }
        let id = sink.put(self.bytes.len() as u64, &mut &self.bytes[..])?;
        self.bytes.clear();
        self.lists.put(&id, sink)
    }
}
