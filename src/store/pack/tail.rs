//! The growing end of a pack: frames are made by several threads and appended in their order by
//! whichever thread finishes one.

use crate::error::Error;
use crate::error::Result;
use crate::store::backend::Draft;
use crate::store::pack::footer::FrameRow;
use crate::store::pack::frame::FRAME_HEADER_BYTES;
use crate::store::pack::frame::FrameEncoder;
use crossbeam_channel::Receiver;
use crossbeam_channel::Sender;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::thread::JoinHandle;

/// Frames on their way at most: of 3 MiB, 24 MiB raw and at worst compressed as well.
const FRAMES_IN_FLIGHT_MAX: u32 = 8;
/// After so many bytes the kernel is told to begin writing, so that the last sync is short.
const WRITE_BACK_BYTES: u64 = 32 << 20;

/// Raw bytes that are to become frame `number`.
pub struct Job {
    pub number: u32,
    pub raw: Vec<u8>,
    pub level: Option<i32>,
}

#[derive(Debug)]
pub struct Tail {
    state: Mutex<State>,
    moved: Condvar,
}

#[derive(Debug)]
struct State {
    draft: Option<Box<dyn Draft>>,
    frames: Vec<FrameRow>,
    /// Frames that came before their turn.
    early: BTreeMap<u32, (Vec<u8>, FrameRow)>,
    failed: Option<Error>,
    broken: bool,
    unsynced: u64,
    sync: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Tail {
    pub fn new(draft: Box<dyn Draft>) -> Tail {
        Tail {
            state: Mutex::new(State {
                draft: Some(draft),
                frames: Vec::new(),
                early: BTreeMap::new(),
                failed: None,
                broken: false,
                unsynced: 0,
                sync: None,
            }),
            moved: Condvar::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A thread that panicked while it held this has set `broken` on its way out.
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Waits until frame `number` may be issued without holding too much in memory.
    pub fn wait_for_room(&self, number: u32) -> Result<()> {
        self.wait_until(|state| number.saturating_sub(state.frames.len() as u32) < FRAMES_IN_FLIGHT_MAX)
    }

    /// Waits until all frames before `number` are appended.
    pub fn wait_for(&self, number: u32) -> Result<()> {
        self.wait_until(|state| state.frames.len() as u32 >= number)
    }

    fn wait_until(&self, ready: impl Fn(&State) -> bool) -> Result<()> {
        let mut state = self.state();
        loop {
            if state.broken {
                return Err(state.failed.take().unwrap_or_else(failed_before));
            }
            if ready(&state) {
                return Ok(());
            }
            state = self.moved.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
    }

    /// Hands over frame `number`; it is written once all before it are. The buffer is left to the
    /// caller when it was the frame's turn.
    pub fn append(&self, number: u32, frame: &mut Vec<u8>, row: FrameRow) {
        let mut state = self.state();
        if number != state.frames.len() as u32 {
            state.early.insert(number, (std::mem::take(frame), row));
            return;
        }
        let mut written = state.append(frame, row);
        while written.is_ok() {
            let next = state.frames.len() as u32;
            let Some((frame, row)) = state.early.remove(&next) else { break };
            written = state.append(&frame, row);
        }
        if let Err(err) = written {
            state.fail(Some(err));
        }
        drop(state);
        self.moved.notify_all();
    }

    pub fn fail(&self, err: Option<Error>) {
        self.state().fail(err);
        self.moved.notify_all();
    }

    /// Where every frame begins and its row; all must have been appended.
    pub fn frames(&self, header_bytes: u64) -> Vec<(u64, FrameRow)> {
        let mut at = header_bytes;
        let placed = |row: &FrameRow| {
            at += frame_bytes(row);
            (at - frame_bytes(row), *row)
        };
        self.state().frames.iter().map(placed).collect()
    }

    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        self.state().draft.as_ref().ok_or_else(failed_before)?.read_at(offset, buffer)
    }

    /// Takes back all frames from `number` on; none may be on its way.
    pub fn truncate(&self, number: u32, header_bytes: u64) -> Result<()> {
        let mut state = self.state();
        state.frames.truncate(number as usize);
        let len = state.frames.iter().map(frame_bytes).sum::<u64>() + header_bytes;
        state.draft.as_mut().ok_or_else(failed_before)?.truncate(len)
    }

    /// Ends the writing of frames and gives back the draft, every byte in it durable.
    pub fn finish(&self, sync: bool) -> Result<(Box<dyn Draft>, Vec<FrameRow>)> {
        let mut state = self.state();
        if let Some((signal, thread)) = state.sync.take() {
            drop(signal);
            let _ = thread.join();
        }
        let mut draft = state.draft.take().ok_or_else(failed_before)?;
        if sync {
            draft.sync()?;
        }
        Ok((draft, std::mem::take(&mut state.frames)))
    }
}

fn frame_bytes(row: &FrameRow) -> u64 {
    (FRAME_HEADER_BYTES + row.stored_len as usize) as u64
}

fn failed_before() -> Error {
    Error::invalid("the pack being written", "failed before")
}

impl State {
    fn append(&mut self, frame: &[u8], row: FrameRow) -> Result<()> {
        let draft = self.draft.as_mut().ok_or_else(failed_before)?;
        draft.append(frame)?;
        self.frames.push(row);
        self.unsynced += frame.len() as u64;
        if self.unsynced >= WRITE_BACK_BYTES {
            self.unsynced = 0;
            if self.sync.is_none() {
                self.sync = draft.syncer().and_then(start_syncing);
            }
            if let Some((signal, _)) = &self.sync {
                // Still busy with the last one: it will take these bytes next time.
                let _ = signal.try_send(());
            }
        }
        Ok(())
    }

    fn fail(&mut self, err: Option<Error>) {
        if !self.broken {
            self.broken = true;
            self.failed = err;
        }
    }
}

impl Drop for State {
    fn drop(&mut self) {
        if let Some((signal, thread)) = self.sync.take() {
            drop(signal);
            let _ = thread.join();
        }
    }
}

fn start_syncing(sync: Box<dyn Fn() + Send>) -> Option<(Sender<()>, JoinHandle<()>)> {
    let (signal, signals) = crossbeam_channel::bounded(1);
    let thread = std::thread::Builder::new()
        .name("imgit-write-back".to_owned())
        .spawn(move || signals.iter().for_each(|()| sync()))
        .ok()?;
    Some((signal, thread))
}

/// Compresses one job by way of the buffer `frame` and appends it; gives the job's emptied buffer
/// back. Both are used again: fresh memory costs a page fault for every page.
pub fn run_job(tail: &Tail, encoder: &mut FrameEncoder, frame: &mut Vec<u8>, job: Job) -> Vec<u8> {
    let Job { number, mut raw, level } = job;
    frame.clear();
    match encoder.encode(&mut raw, level, frame) {
        Ok(()) => {
            let row =
                FrameRow { stored_len: (frame.len() - FRAME_HEADER_BYTES) as u32, raw_len: raw.len() as u32 };
            tail.append(number, frame, row);
        }
        Err(err) => tail.fail(Some(err)),
    }
    raw.clear();
    raw
}

/// A thread that makes frames until the jobs end.
pub fn start_worker(
    tail: &Arc<Tail>,
    jobs: Receiver<Job>,
    spares: Sender<Vec<u8>>,
    level: i32,
) -> Result<JoinHandle<()>> {
    /// Tells those who wait when this thread ends in a panic.
    struct Watch(Arc<Tail>);
    impl Drop for Watch {
        fn drop(&mut self) {
            if std::thread::panicking() {
                self.0.fail(None);
            }
        }
    }
    let watch = Watch(Arc::clone(tail));
    let mut encoder = FrameEncoder::new(level)?;
    let mut frame = Vec::new();
    std::thread::Builder::new()
        .name("imgit-pack".to_owned())
        .spawn(move || {
            for job in jobs {
                let spare = run_job(&watch.0, &mut encoder, &mut frame, job);
                let _ = spares.try_send(spare);
            }
        })
        .map_err(|source| Error::Stream { thing: "a thread".to_owned(), source })
}
