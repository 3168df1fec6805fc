//! An image on its way out of an engine.

use crate::error::Error;
use crate::error::Result;
use crate::remote::call;
use crate::remote::engine::answer;
use crate::remote::runtime::Runtime;
use bytes::Buf;
use bytes::Bytes;
use reqwest::Response;
use std::collections::VecDeque;
use std::io;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

/// Pieces between the socket and the reader.
const PIECES_AHEAD: usize = 8;
/// The end of the stream is looked at before it is handed out: a failure may stand there.
const TAIL_BYTES: usize = 8 << 10;

/// Reads the archive.
pub struct Save {
    runtime: Arc<Runtime>,
    /// For errors.
    thing: String,
    pieces: mpsc::Receiver<Result<Bytes>>,
    held: VecDeque<Bytes>,
    held_bytes: usize,
    has_ended: bool,
    pump: AbortHandle,
}

impl Save {
    pub fn new(runtime: Arc<Runtime>, response: Response, thing: String, patience: Duration) -> Save {
        let (to, pieces) = mpsc::channel(PIECES_AHEAD);
        let pump = runtime.spawn(pump(response, thing.clone(), patience, to)).abort_handle();
        Save { runtime, thing, pieces, held: VecDeque::new(), held_bytes: 0, has_ended: false, pump }
    }

    fn fill(&mut self) -> Result<()> {
        let pieces = &mut self.pieces;
        let next = match pieces.try_recv() {
            Ok(piece) => Some(piece),
            Err(_) => self.runtime.run(async { Ok(pieces.recv().await) })?,
        };
        match next {
            Some(piece) => {
                let piece = piece?;
                self.held_bytes += piece.len();
                self.held.push_back(piece);
            }
            None => {
                self.has_ended = true;
                let tail: Vec<u8> = self.held.iter().flatten().copied().collect();
                let tail = &tail[tail.len().saturating_sub(TAIL_BYTES)..];
                if let Some(words) = answer::failure_at_end(tail) {
                    self.held.clear();
                    return Err(Error::Server { thing: self.thing.clone(), status: 200, words });
                }
            }
        }
        Ok(())
    }
}

impl Read for Save {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        while !self.has_ended && self.held_bytes <= TAIL_BYTES {
            self.fill()?;
        }
        while self.held.front().is_some_and(Bytes::is_empty) {
            self.held.pop_front();
        }
        let Some(piece) = self.held.front_mut() else { return Ok(0) };
        let free = if self.has_ended { self.held_bytes } else { self.held_bytes - TAIL_BYTES };
        let n = buf.len().min(piece.len()).min(free);
        piece.copy_to_slice(&mut buf[..n]);
        self.held_bytes -= n;
        Ok(n)
    }
}

impl Drop for Save {
    fn drop(&mut self) {
        self.pump.abort();
    }
}

async fn pump(mut response: Response, thing: String, patience: Duration, to: mpsc::Sender<Result<Bytes>>) {
    loop {
        let piece = match call::next_chunk(&mut response, &thing, patience).await {
            Ok(Some(piece)) => Ok(piece),
            Ok(None) => return,
            Err(failure) => Err(failure.error),
        };
        let is_over = piece.is_err();
        // A reader that is gone has no use for more.
        if to.send(piece).await.is_err() || is_over {
            return;
        }
    }
}
