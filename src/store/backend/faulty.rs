//! A disk that fails on purpose: at the N-th changing step, once or from then on.

use crate::store::backend::mem::Hook;
use std::io;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Every step from the N-th on fails: the machine is off.
    Dead,
    /// Every step that needs room fails from the N-th on; removing and syncing still work.
    NoSpace,
    /// The N-th step alone fails.
    Once,
}

/// Counts the changing steps of a deed and fails them as told.
#[derive(Debug)]
pub struct Faults {
    at: u64,
    fault: Fault,
    steps: AtomicU64,
    names: Mutex<Vec<&'static str>>,
}

impl Faults {
    pub fn at(step: u64, fault: Fault) -> Arc<Faults> {
        Arc::new(Faults { at: step, fault, steps: AtomicU64::new(0), names: Mutex::new(Vec::new()) })
    }

    /// Counts only.
    pub fn never() -> Arc<Faults> {
        Faults::at(u64::MAX, Fault::Dead)
    }

    pub fn steps(&self) -> u64 {
        self.steps.load(Ordering::SeqCst)
    }

    pub fn hook(self: &Arc<Faults>) -> Hook {
        let faults = Arc::clone(self);
        Arc::new(move |what| {
            let step = faults.steps.fetch_add(1, Ordering::SeqCst);
            faults.names.lock().expect("no holder panics").push(what);
            let fails = match faults.fault {
                Fault::Dead => step >= faults.at,
                Fault::NoSpace => step >= faults.at && !matches!(what, "remove" | "sync" | "index sync"),
                Fault::Once => step == faults.at,
            };
            match faults.fault {
                _ if !fails => Ok(()),
                Fault::NoSpace => Err(io::ErrorKind::StorageFull.into()),
                Fault::Dead | Fault::Once => Err(io::Error::other("the disk failed as told")),
            }
        })
    }
}
