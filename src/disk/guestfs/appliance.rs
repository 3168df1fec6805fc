//! One running appliance: a thread that owns the library's handle, and everyone else asking it.
//!
//! All calls are made on that thread, so whoever waits for one can look at the clock and at
//! [`Progress::cancelled`] meanwhile. qemu is a child of that thread, which is how it is found when
//! it hangs and must be killed; the library itself reaps it then. No process outlives an
//! [`Appliance`]: dropping it ends qemu, and the library's own watcher does when this process dies.

use super::ffi::Canceller;
use super::ffi::Handle;
use crate::error::Error;
use crate::error::Result;
use crate::fs;
use crate::progress::Progress;
use rustix::process::Pid;
use rustix::process::Signal;
use std::path::PathBuf;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::RecvTimeoutError;
use std::sync::mpsc::Sender;
use std::sync::mpsc::channel;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

/// How often a waiting caller looks up.
const LOOK: Duration = Duration::from_millis(50);
/// How long a cancelled call may take to end by itself before qemu is killed.
const CANCEL_GRACE: Duration = Duration::from_millis(500);
/// A backend that the user chose may run qemu where it is out of our reach: then the call is left.
const END_MAX: Duration = Duration::from_secs(3);
/// A pid has at most seven digits; qemu and a watcher are all that run, supermin's tools at first.
const CHILDREN_BYTES_MAX: u64 = 64 << 10;

type Job = Box<dyn FnOnce(&Handle) + Send>;

pub struct Appliance {
    /// `None` only while it is dropped.
    jobs: Option<Sender<Job>>,
    thread: JoinHandle<()>,
    canceller: Canceller,
    tid: Pid,
}

/// A call that has been asked for.
pub struct Pending<T>(Receiver<Result<T>>);

impl Appliance {
    /// Makes a handle on a thread of its own; starts no qemu.
    pub fn new() -> Result<Appliance> {
        let (jobs, asked) = channel::<Job>();
        let (started, start) = channel();
        let body = move || {
            let handle = match Handle::create() {
                Ok(handle) => handle,
                Err(err) => {
                    let _ = started.send(Err(err));
                    return;
                }
            };
            let _ = started.send(Ok((handle.canceller(), rustix::thread::gettid())));
            for job in asked {
                job(&handle);
            }
        };
        let thread = thread::Builder::new()
            .name("guestfs".into())
            .spawn(body)
            .map_err(|source| Error::Stream { thing: "a new thread".into(), source })?;
        let (canceller, tid) = start.recv().unwrap_or_else(|_| Err(dead()))?;
        Ok(Appliance { jobs: Some(jobs), thread, canceller, tid })
    }

    /// Begins a call; the caller goes on.
    pub fn start<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Handle) -> Result<T> + Send + 'static,
    ) -> Pending<T> {
        let (answer, pending) = channel();
        let job = Box::new(move |handle: &Handle| {
            let _ = answer.send(call(handle));
        });
        // Where the thread is gone, so is the answer's sender: the wait tells.
        let _ = self.jobs.as_ref().map(|jobs| jobs.send(job));
        Pending(pending)
    }

    /// Makes a call and waits for it. When the person asks to stop, ends it within a second, if need
    /// be with the appliance.
    pub fn call<T: Send + 'static>(
        &self,
        progress: &dyn Progress,
        call: impl FnOnce(&Handle) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.wait(self.start(call), progress)
    }

    pub fn wait<T>(&self, pending: Pending<T>, progress: &dyn Progress) -> Result<T> {
        loop {
            if let Some(answer) = pending.within(LOOK) {
                return answer;
            }
            if progress.cancelled() {
                self.end(&pending);
                return Err(Error::Interrupted);
            }
        }
    }

    /// Ends a call whose answer nobody wants any more.
    pub fn end<T>(&self, pending: &Pending<T>) {
        self.canceller.cancel();
        let begin = Instant::now();
        while pending.within(LOOK).is_none() && begin.elapsed() < END_MAX {
            if begin.elapsed() > CANCEL_GRACE {
                self.kill();
            }
        }
    }

    /// Says whether qemu is there, as opposed to the tools that put its disk together.
    pub fn has_qemu(&self) -> bool {
        let machines = [&b"qemu-system"[..], b"qemu-kvm"];
        self.children().iter().any(|(_, name)| machines.iter().any(|machine| name.starts_with(machine)))
    }

    /// Kills what the library has started; its call fails then.
    pub fn kill(&self) {
        for (pid, name) in self.children() {
            // The library's watcher ends by itself, and would be waited for in vain.
            if !name.starts_with(b"guestfs_recover") {
                let _ = rustix::process::kill_process(pid, Signal::KILL);
            }
        }
    }

    /// Pid and name of each process that the handle's thread has started.
    fn children(&self) -> Vec<(Pid, Vec<u8>)> {
        let path = PathBuf::from(format!("/proc/self/task/{}/children", self.tid.as_raw_nonzero()));
        let Ok(list) = fs::read_small(&path, CHILDREN_BYTES_MAX) else {
            return Vec::new();
        };
        let pids = list.split(|byte| *byte == b' ').filter_map(|text| std::str::from_utf8(text).ok());
        let pids = pids.filter_map(|text| text.parse().ok()).filter_map(Pid::from_raw);
        let name = |pid: Pid| {
            let path = PathBuf::from(format!("/proc/{}/comm", pid.as_raw_nonzero()));
            fs::read_small(&path, CHILDREN_BYTES_MAX).unwrap_or_default()
        };
        pids.map(|pid| (pid, name(pid))).collect()
    }
}

impl<T> Pending<T> {
    /// The answer, if it comes in time.
    pub fn within(&self, time: Duration) -> Option<Result<T>> {
        match self.0.recv_timeout(time) {
            Ok(answer) => Some(answer),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(Err(dead())),
        }
    }
}

impl Drop for Appliance {
    fn drop(&mut self) {
        // All disks are read only: there is nothing to sync, and a polite end takes a second more.
        self.kill();
        drop(self.jobs.take());
        let begin = Instant::now();
        while !self.thread.is_finished() && begin.elapsed() < END_MAX {
            thread::sleep(Duration::from_millis(5));
        }
    }
}

fn dead() -> Error {
    Error::invalid("guestfs", "its thread has ended")
}
