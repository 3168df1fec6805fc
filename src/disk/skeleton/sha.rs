//! The SHA-256 of a whole disk, on a thread of its own: nothing else takes as long.

use crate::error::Error;
use crate::error::Result;
use crate::progress::Progress;
use crossbeam_channel::Receiver;
use crossbeam_channel::Sender;
use sha2::Digest as _;
use sha2::Sha256;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::thread::Scope;
use std::thread::ScopedJoinHandle;

/// Runs of bytes that may wait to be hashed; zeros wait for free.
const WAITING_MAX: usize = 4;
static ZEROS: [u8; 256 << 10] = [0; 256 << 10];

enum Part {
    Bytes(Arc<Vec<u8>>, Range<usize>),
    /// The end of what came of one buffer.
    Done(Arc<Vec<u8>>),
    Zeros(u64),
}

/// Takes the bytes of the disk in order. Dropped, it stops at once.
pub struct Hashing<'scope> {
    parts: Option<Sender<Part>>,
    /// A buffer for each run of bytes that may still come, used before where there is one: fresh
    /// memory costs a page fault for every page.
    room: Receiver<Vec<u8>>,
    thread: Option<ScopedJoinHandle<'scope, Option<[u8; 32]>>>,
    stop: Arc<AtomicBool>,
}

impl<'scope> Hashing<'scope> {
    /// `progress` hears of the bytes that are hashed.
    pub fn start<'env>(
        scope: &'scope Scope<'scope, 'env>,
        progress: &'scope dyn Progress,
    ) -> Result<Hashing<'scope>> {
        let (parts, todo) = crossbeam_channel::unbounded();
        let (free, room) = crossbeam_channel::bounded(WAITING_MAX);
        for _ in 0..WAITING_MAX {
            let _ = free.send(Vec::new());
        }
        let stop = Arc::<AtomicBool>::default();
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("imgit-sha256".to_owned())
            .spawn_scoped(scope, move || {
                let stopped = || stopped.load(Ordering::Relaxed) || progress.cancelled();
                hash(&todo, &free, &stopped, progress)
            })
            .map_err(|source| Error::Stream { thing: "a new thread".into(), source })?;
        Ok(Hashing { parts: Some(parts), room, thread: Some(thread), stop })
    }

    /// A buffer with anything in it. Waits while too much is still to be hashed.
    pub fn buffer(&mut self, len: usize) -> Vec<u8> {
        // A thread that has ended was stopped or has panicked: `finish` tells.
        let mut buffer = self.room.recv().unwrap_or_default();
        buffer.resize(len, 0);
        buffer
    }

    /// Takes a part of a buffer.
    pub fn bytes(&mut self, bytes: &Arc<Vec<u8>>, range: Range<usize>) {
        self.send(Part::Bytes(Arc::clone(bytes), range));
    }

    /// Takes back what came from [`Hashing::buffer`]; nothing more of it is to be hashed.
    pub fn done(&mut self, bytes: Arc<Vec<u8>>) {
        self.send(Part::Done(bytes));
    }

    pub fn zeros(&mut self, count: u64) {
        self.send(Part::Zeros(count));
    }

    /// Says that nothing more is to come.
    pub fn end(&mut self) {
        self.parts = None;
    }

    /// Waits for the hash of all that came.
    pub fn finish(mut self) -> Result<[u8; 32]> {
        self.end();
        let thread = self.thread.take().expect("taken only here and on drop");
        let hash = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        hash.ok_or(Error::Interrupted)
    }

    fn send(&self, part: Part) {
        if let Some(parts) = &self.parts {
            let _ = parts.send(part);
        }
    }
}

impl Drop for Hashing<'_> {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Returns `None` where it was stopped.
fn hash(
    todo: &Receiver<Part>,
    free: &Sender<Vec<u8>>,
    stopped: &dyn Fn() -> bool,
    progress: &dyn Progress,
) -> Option<[u8; 32]> {
    let mut sha256 = Sha256::new();
    for part in todo {
        match part {
            Part::Bytes(bytes, range) => {
                if stopped() {
                    return None;
                }
                sha256.update(&bytes[range.clone()]);
                progress.advance(range.len() as u64);
            }
            // Whoever else reads it still keeps it.
            Part::Done(bytes) => drop(free.send(Arc::try_unwrap(bytes).unwrap_or_default())),
            Part::Zeros(mut left) => {
                while left > 0 {
                    if stopped() {
                        return None;
                    }
                    let now = left.min(ZEROS.len() as u64);
                    sha256.update(&ZEROS[..now as usize]);
                    progress.advance(now);
                    left -= now;
                }
            }
        }
    }
    Some(sha256.finalize().into())
}
