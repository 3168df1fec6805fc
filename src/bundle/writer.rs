//! Writing a bundle to a stream: tables and data as frames, compressed by several threads and
//! written in their order.

use super::format::ObjectKind;
use super::format::Row;
use super::format::Table;
use super::format::header;
use crate::error::Error;
use crate::error::Result;
use crate::error::from_stream;
use crate::store::pack::frame::FrameEncoder;
use crate::store::pack::frame::GATHER_BYTES;
use crate::store::pack::frame::GATHERED_BYTES_MAX;
use crate::store::pack::frame::RUN_FRAME_BYTES;
use crossbeam_channel::Receiver;
use crossbeam_channel::Sender;
use std::collections::VecDeque;
use std::io::Read;
use std::io::Write;
use std::thread::JoinHandle;

/// Rows of one table at most: under 1 MiB, far from what a frame may hold.
const ROWS_MAX: usize = 16 << 10;
/// Prerequisites, refs, blobs and chains of one table at most: under 2 MiB.
pub const LIST_MAX: usize = 4 << 10;
const THREADS_MAX: usize = 4;
/// Frames on their way at most; bounds the memory.
const FRAMES_IN_FLIGHT_MAX: usize = 8;

/// Writes tables in their order; [`Writer::finish`] ends the bundle.
pub struct Writer<'a> {
    to: &'a mut dyn Write,
    name: String,
    level: i32,
    jobs: Option<Sender<Job>>,
    threads: Vec<JoinHandle<()>>,
    waiting: VecDeque<Receiver<Result<Vec<u8>>>>,
    /// The section that is being gathered.
    kind: ObjectKind,
    rows: Vec<Row>,
    data: Vec<u8>,
    written: Written,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    pub objects: u64,
    pub bytes: u64,
}

struct Job {
    raw: Vec<u8>,
    level: Option<i32>,
    done: Sender<Result<Vec<u8>>>,
}

impl<'a> Writer<'a> {
    /// `name` is what errors call the stream; `level` is zstd's.
    pub fn new(name: &str, to: &'a mut dyn Write, level: i32) -> Result<Writer<'a>> {
        let mut writer = Writer {
            to,
            name: name.to_owned(),
            level,
            jobs: None,
            threads: Vec::new(),
            waiting: VecDeque::new(),
            kind: ObjectKind::Commit,
            rows: Vec::new(),
            data: Vec::new(),
            written: Written::default(),
        };
        writer.start_threads()?;
        writer.put(&header())?;
        Ok(writer)
    }

    fn start_threads(&mut self) -> Result<()> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX);
        let (jobs, todo) = crossbeam_channel::bounded::<Job>(threads);
        for _ in 0..threads {
            let todo = todo.clone();
            let mut encoder = FrameEncoder::new(self.level)?;
            let work = move || {
                for Job { mut raw, level, done } in todo {
                    let mut frame = Vec::new();
                    // Nobody waits for it after a failure elsewhere.
                    let _ = done.send(encoder.encode(&mut raw, level, &mut frame).map(|()| frame));
                }
            };
            let spawned = std::thread::Builder::new().name("imgit-bundle".to_owned()).spawn(work);
            let failed = |source| Error::Stream { thing: "a new thread".to_owned(), source };
            self.threads.push(spawned.map_err(failed)?);
        }
        self.jobs = Some(jobs);
        Ok(())
    }

    /// Writes a table that no data follows.
    pub fn table(&mut self, table: &Table) -> Result<()> {
        self.end_section()?;
        self.frame(table.encode(), Some(self.level))
    }

    /// Writes an object of `len` bytes.
    pub fn object(&mut self, kind: ObjectKind, id: [u8; 32], len: u64, from: &mut dyn Read) -> Result<()> {
        let row = Row { id, len };
        self.written.objects += 1;
        let broken = |err| from_stream(format!("{} {}", kind.noun(), crate::id::hex(&id)), err);
        if len > GATHERED_BYTES_MAX as u64 {
            self.end_section()?;
            self.frame(Table::Objects(kind, vec![row]).encode(), Some(self.level))?;
            let mut left = len;
            while left > 0 {
                let mut raw = vec![0; left.min(RUN_FRAME_BYTES as u64) as usize];
                from.read_exact(&mut raw).map_err(broken)?;
                left -= raw.len() as u64;
                self.frame(raw, level_of(kind, self.level))?;
            }
            return Ok(());
        }
        if kind != self.kind || self.data.len() >= GATHER_BYTES || self.rows.len() >= ROWS_MAX {
            self.end_section()?;
        }
        self.kind = kind;
        let start = self.data.len();
        self.data.resize(start + len as usize, 0);
        from.read_exact(&mut self.data[start..]).map_err(broken)?;
        self.rows.push(row);
        Ok(())
    }

    /// Writes the end and all that is still on its way.
    pub fn finish(mut self) -> Result<Written> {
        self.table(&Table::End(self.written.objects))?;
        while !self.waiting.is_empty() {
            self.put_next()?;
        }
        self.to.flush().map_err(|err| unwritten(&self.name, err))?;
        Ok(self.written)
    }

    fn end_section(&mut self) -> Result<()> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let (kind, rows) = (self.kind, std::mem::take(&mut self.rows));
        self.frame(Table::Objects(kind, rows).encode(), Some(self.level))?;
        match std::mem::take(&mut self.data) {
            data if data.is_empty() => Ok(()),
            data => self.frame(data, level_of(kind, self.level)),
        }
    }

    fn frame(&mut self, raw: Vec<u8>, level: Option<i32>) -> Result<()> {
        if self.waiting.len() >= FRAMES_IN_FLIGHT_MAX {
            self.put_next()?;
        }
        let (done, wait) = crossbeam_channel::bounded(1);
        if let Some(jobs) = &self.jobs {
            // The threads live as long as `jobs`; that one has died shows in `put_next`.
            let _ = jobs.send(Job { raw, level, done });
        }
        self.waiting.push_back(wait);
        Ok(())
    }

    fn put_next(&mut self) -> Result<()> {
        let Some(wait) = self.waiting.pop_front() else { return Ok(()) };
        let died = || Error::invalid(&self.name, "a thread that compressed it died");
        let frame = wait.recv().map_err(|_| died())??;
        self.put(&frame)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.written.bytes += bytes.len() as u64;
        self.to.write_all(bytes).map_err(|err| unwritten(&self.name, err))
    }
}

impl Drop for Writer<'_> {
    fn drop(&mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            // What a panic there spoilt was told by `put_next`.
            let _ = thread.join();
        }
    }
}

/// Compressed layers do not compress again.
fn level_of(kind: ObjectKind, level: i32) -> Option<i32> {
    (kind != ObjectKind::Kept).then_some(level)
}

fn unwritten(name: &str, source: std::io::Error) -> Error {
    match source.get_ref().is_some_and(|inner| inner.is::<Error>()) {
        true => from_stream(name, source),
        false => Error::Io { doing: "write", path: name.into(), source },
    }
}
