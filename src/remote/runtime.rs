//! The one place where blocking code waits for async code.

use crate::error::Error;
use crate::error::Result;
use std::future::Future;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Enough for the sockets: what comes out of them is hashed and unpacked on the callers' threads.
const THREADS: usize = 2;

pub struct Runtime {
    /// `None` only while it is being dropped.
    tokio: Option<tokio::runtime::Runtime>,
    stop: watch::Sender<bool>,
}

impl Runtime {
    pub fn start() -> Result<Runtime> {
        let tokio = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("imgit-remote")
            .enable_all()
            .build()
            .map_err(|err| Error::Network {
                doing: "start the network threads".into(),
                source: err.into(),
            })?;
        Ok(Runtime { tokio: Some(tokio), stop: watch::Sender::new(false) })
    }

    /// Waits for `work`, or for the person who has had enough.
    pub fn run<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let mut stop = self.stop.subscribe();
        self.tokio().block_on(async move {
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => Err(Error::Interrupted),
                outcome = work => outcome,
            }
        })
    }

    pub fn spawn<F>(&self, work: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.tokio().spawn(work)
    }

    pub fn interrupt(&self) {
        self.stop.send_replace(true);
    }

    fn tokio(&self) -> &tokio::runtime::Runtime {
        self.tokio.as_ref().expect("it is taken by `drop` alone")
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        // A silent server must not keep the process.
        if let Some(tokio) = self.tokio.take() {
            tokio.shutdown_background();
        }
    }
}
