//! An image on its way into an engine.

use crate::error::Error;
use crate::error::Result;
use crate::remote::call;
use crate::remote::engine::Engine;
use crate::remote::engine::answer::Loaded;
use bytes::Bytes;
use bytes::BytesMut;
use http_body::Frame;
use reqwest::Body;
use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use std::io;
use std::io::Write;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

const PIECE_BYTES: usize = 128 << 10;
/// Pieces between the writer and the socket.
const PIECES_AHEAD: usize = 4;

/// Takes a docker-archive piece by piece.
pub struct Load {
    engine: Engine,
    piece: BytesMut,
    to: mpsc::Sender<Piece>,
    request: Request,
    /// The engine has read enough and answered, before the archive's end.
    early: Option<Vec<String>>,
}

/// What goes to the socket; without an end of its own a body that stops is a broken one.
enum Piece {
    Bytes(Bytes),
    End,
}

/// Ends when nobody waits for it any more.
struct Request(JoinHandle<Result<Vec<String>>>);

impl Drop for Request {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Load {
    pub(super) fn open(engine: Engine) -> Load {
        let (to, pieces) = mpsc::channel(PIECES_AHEAD);
        let request =
            Request(engine.runtime.spawn(post(engine.clone(), Pieces { pieces, has_ended: false })));
        Load { engine, piece: BytesMut::new(), to, request, early: None }
    }

    /// Waits for the engine to have it all, and returns what it says it has loaded.
    pub fn finish(mut self) -> Result<Vec<String>> {
        self.pass_on()?;
        self.pass(Piece::End)?;
        match self.early.take() {
            Some(names) => Ok(names),
            None => {
                let request = &mut self.request.0;
                self.engine.runtime.run(async move { ended(request.await) })
            }
        }
    }

    fn pass_on(&mut self) -> Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = self.piece.split().freeze();
        self.pass(Piece::Bytes(piece))
    }

    fn pass(&mut self, piece: Piece) -> Result<()> {
        if self.early.is_some() {
            return Ok(());
        }
        let (to, request, engine) = (&self.to, &mut self.request.0, &self.engine);
        self.early = self.engine.runtime.run(async move {
            tokio::select! {
                biased;
                outcome = &mut *request => ended(outcome).map(Some),
                sent = tokio::time::timeout(engine.patience, to.send(piece)) => match sent {
                    Ok(Ok(())) => Ok(None),
                    // Nobody takes pieces any more: the answer is on its way.
                    Ok(Err(_)) => ended(request.await).map(Some),
                    Err(_) => Err(call::silent(format!("load an image into {}", engine.name), engine.patience).error),
                },
            }
        })?;
        Ok(())
    }
}

impl Write for Load {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = bytes.len().min(PIECE_BYTES - self.piece.len());
        self.piece.extend_from_slice(&bytes[..n]);
        if self.piece.len() == PIECE_BYTES {
            self.pass_on()?;
        }
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(self.pass_on()?)
    }
}

fn ended(outcome: Result<Result<Vec<String>>, tokio::task::JoinError>) -> Result<Vec<String>> {
    outcome.unwrap_or(Err(Error::Interrupted))
}

async fn post(engine: Engine, body: Pieces) -> Result<Vec<String>> {
    let thing = "loading an image";
    // `quiet` spares the lines of progress bars.
    let request = engine.request(Method::POST, &["images", "load"], Some("quiet=1"));
    let request = request.header(CONTENT_TYPE, "application/x-tar").body(Body::wrap(body));
    let mut response = engine.send(request, thing, None).await?;
    let mut loaded = Loaded::new();
    let refused = |words| Error::Server { thing: format!("{thing}, {}", engine.name), status: 200, words };
    while let Some(chunk) = call::next_chunk(&mut response, &engine.name, engine.patience)
        .await
        .map_err(|failure| failure.error)?
    {
        loaded.feed(&chunk).map_err(refused)?;
    }
    loaded.finish().map_err(refused)
}

/// The body of the request: as long as it is, and then its end, or a failure.
struct Pieces {
    pieces: mpsc::Receiver<Piece>,
    has_ended: bool,
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.has_ended {
            return Poll::Ready(None);
        }
        self.pieces.poll_recv(context).map(|piece| match piece {
            Some(Piece::Bytes(bytes)) => Some(Ok(Frame::data(bytes))),
            Some(Piece::End) => {
                self.has_ended = true;
                None
            }
            None => Some(Err(io::ErrorKind::UnexpectedEof.into())),
        })
    }
}
