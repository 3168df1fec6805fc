//! A blob on its way up: one PUT that streams, begun again where it broke as far as that is possible.
//!
//! OCI distribution-spec, "Pushing blobs". The size is known, so the body goes with the closing PUT in
//! one request, which every registry takes; chunks are refused by some, and cost a round trip each.
//! After a break the server is asked how far it came. One that does not know (Docker's registry
//! forgets an upload that broke) is sent everything again, for which the bytes must still be at
//! hand: the last [`KEPT_BYTES_MAX`] of them always are, and all of them where the source can be
//! opened again.

use crate::error::Error;
use crate::error::Result;
use crate::error::from_stream;
use crate::oci::descriptor::Descriptor;
use crate::oci::digest::Verifier;
use crate::oci::sink::Open;
use crate::remote::call::Answer;
use crate::remote::call::Call;
use crate::remote::call::header;
use crate::remote::call::is_busy;
use crate::remote::call::silent;
use crate::remote::repository::Place;
use crate::remote::retry::Failure;
use crate::remote::retry::Retry;
use crate::remote::runtime::Runtime;
use crate::wire::location;
use crate::wire::range;
use crate::wire::refusal;
use crate::wire::refusal::Refusal;
use crate::wire::scope::Scopes;
use bytes::Bytes;
use http_body::Frame;
use http_body::SizeHint;
use reqwest::Body;
use reqwest::Method;
use reqwest::StatusCode;
use reqwest::header::CONTENT_RANGE;
use reqwest::header::CONTENT_TYPE;
use reqwest::header::HeaderMap;
use reqwest::header::LOCATION;
use reqwest::header::RANGE;
use std::collections::VecDeque;
use std::io::Read;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinError;
use tokio::task::JoinHandle;
use url::Url;

/// What is kept of a source that cannot be opened again; a smaller blob is kept whole.
const KEPT_BYTES_MAX: usize = 8 << 20;
const PIECE_BYTES: usize = 128 << 10;
/// Pieces between the source and the socket.
const PIECES_AHEAD: usize = 4;
/// A server reads the whole blob once more before it answers the last request, and may have to copy
/// it: so many times its usual patience.
const CLOSING_PATIENCE: u32 = 10;

/// Whether an upload is cancelled is the server's concern more than ours.
const FAREWELL_PATIENCE: Duration = Duration::from_secs(5);

const OCTETS: &str = "application/octet-stream";

/// Where the bytes come from.
pub enum Supply<'a> {
    /// A stream; `None` once it is being read.
    Once(Option<&'a mut dyn Read>),
    Again(&'a Open<'a>),
}

impl<'a> Supply<'a> {
    pub fn open(&mut self) -> Result<Box<dyn Read + 'a>> {
        match self {
            Supply::Once(reader) => Ok(Box::new(reader.take().expect("`Feed` keeps what it has opened"))),
            Supply::Again(open) => Ok(open()?),
        }
    }
}

/// An upload that a server has begun.
#[derive(Clone, Debug)]
pub struct Session {
    location: Url,
    /// So many bytes it has.
    at: u64,
}

/// Sends the blob; `begun` is a session that a failed mount has left.
pub fn upload(
    runtime: &Runtime,
    place: &Place,
    blob: &Descriptor,
    supply: Supply<'_>,
    begun: Option<Session>,
) -> Result<()> {
    let mut feed = Feed::new(supply, blob);
    let mut retry = Retry::new(&place.host.settings);
    let mut session = begun;
    if blob.size == 0 {
        // No byte is sent, and yet nothing longer may pass for it.
        feed.next()?;
    }
    loop {
        let current = match session.take() {
            Some(session) => session,
            None => runtime.run(begin(place, blob))?,
        };
        feed.seek(current.at)?;
        match send(runtime, place, blob, &current, &mut feed) {
            Ok(()) => return Ok(()),
            Err(failure) => {
                if let Err(error) = runtime.run(retry.after(failure)) {
                    // OCI distribution-spec: an abandoned upload should be cancelled.
                    let _ = runtime.run(cancel(place, blob, &current));
                    return Err(error);
                }
                session = runtime.run(status(place, blob, current))?;
            }
        }
    }
}

/// Asks for a blob of another repository of the same host. `Err` is the session that the server opened
/// in its stead, if it did.
pub async fn mount(place: &Place, blob: &Descriptor, from: &str) -> Result<(), Option<Session>> {
    let url = place.host.registry().mount(&place.repository, &blob.digest, from);
    let scopes = Scopes::push(&place.repository).and(&Scopes::pull(from));
    let call = call(Method::POST, place, blob, url).scopes(scopes, &place.repository);
    // Whatever goes wrong here, an upload will do, or will tell.
    let answer = place.host.fetch(&call, refusal::BODY_BYTES_MAX).await.map_err(|_| None)?;
    match answer.status {
        StatusCode::CREATED => Ok(()),
        StatusCode::ACCEPTED => Err(session_of(&answer.url, &answer.headers).ok()),
        _ => Err(None),
    }
}

async fn begin(place: &Place, blob: &Descriptor) -> Result<Session> {
    let call = call(Method::POST, place, blob, place.host.registry().uploads(&place.repository));
    let answer = place.host.fetch(&call, refusal::BODY_BYTES_MAX).await?.good(&call)?;
    session_of(&answer.url, &answer.headers)
}

/// How far the server came; `None` when it is best to begin anew.
async fn status(place: &Place, blob: &Descriptor, session: Session) -> Result<Option<Session>> {
    let call = call(Method::GET, place, blob, session.location.clone());
    let Ok(answer) = place.host.fetch_once(&call, refusal::BODY_BYTES_MAX).await else { return Ok(None) };
    let told = answer.header(RANGE.as_str()).and_then(range::uploaded);
    match told {
        Some(at) if answer.status.is_success() && at > 0 && at <= blob.size => {
            let location =
                session_of(&answer.url, &answer.headers).map_or(session.location, |new| new.location);
            Ok(Some(Session { location, at }))
        }
        _ => {
            if answer.status.is_success() {
                cancel(place, blob, &session).await?;
            }
            Ok(None)
        }
    }
}

/// Tells the server that nothing more will come.
pub async fn cancel(place: &Place, blob: &Descriptor, session: &Session) -> Result<()> {
    let call = call(Method::DELETE, place, blob, session.location.clone());
    let call = Call { patience: Some(FAREWELL_PATIENCE), ..call };
    let _ = place.host.fetch_once(&call, refusal::BODY_BYTES_MAX).await;
    Ok(())
}

fn call(method: Method, place: &Place, blob: &Descriptor, url: Url) -> Call {
    Call::new(method, url, "upload of blob", place.name_of_digest(&blob.digest))
        .scopes(Scopes::push(&place.repository), &place.repository)
}

fn session_of(base: &Url, headers: &HeaderMap) -> Result<Session> {
    let location = header(headers, LOCATION.as_str())
        .ok_or_else(|| Error::invalid("answer to an upload", "has no Location"))?;
    Ok(Session { location: location::resolve(base, location)?, at: 0 })
}

/// Sends what the server does not have, and closes the upload.
fn send(
    runtime: &Runtime,
    place: &Place,
    blob: &Descriptor,
    session: &Session,
    feed: &mut Feed<'_>,
) -> Result<(), Failure> {
    let call = |method, url| call(method, place, blob, url).header(CONTENT_TYPE, OCTETS);
    if session.at == 0 {
        let whole = call(Method::PUT, location::closing(&session.location, &blob.digest));
        let answer = send_body(runtime, place, &whole, feed, blob.size)?;
        return closed(runtime, place, blob, &whole, &answer);
    }
    let mut location = session.location.clone();
    if let Some(range) = range::of_chunk(session.at, blob.size - session.at) {
        let chunk = call(Method::PATCH, location.clone()).header(CONTENT_RANGE, &range);
        let answer = send_body(runtime, place, &chunk, feed, blob.size - session.at)?;
        accepted(&chunk, &answer)?;
        location = session_of(&answer.url, &answer.headers).map_or(location, |new| new.location);
    }
    let close = call(Method::PUT, location::closing(&location, &blob.digest));
    let answer = send_body(runtime, place, &close, feed, 0)?;
    closed(runtime, place, blob, &close, &answer)
}

/// Streams what the feed still has, `length` bytes.
fn send_body(
    runtime: &Runtime,
    place: &Place,
    call: &Call,
    feed: &mut Feed<'_>,
    length: u64,
) -> Result<Answer, Failure> {
    let stall = place.host.settings.stall_timeout;
    let (to, pieces) = mpsc::channel(PIECES_AHEAD);
    let body =
        if length == 0 { Body::from(Bytes::new()) } else { Body::wrap(Pieces { pieces, left: length }) };
    let host = place.host.clone();
    // Our own watch over the pieces replaces the limit on the whole of it.
    let streamed = Call { patience: Some(Duration::MAX), ..call.clone() };
    let mut request = Request(runtime.spawn(async move {
        let response = host.send_body(&streamed, body).await?;
        if response.status() == StatusCode::UNAUTHORIZED {
            host.renew(&streamed, &response).await?;
            let error = Error::Denied { thing: streamed.thing(), words: String::new() };
            return Err(Failure::passing(error));
        }
        Answer::read(response, &streamed.thing(), refusal::BODY_BYTES_MAX, stall).await
    }));
    let closing = stall.saturating_mul(CLOSING_PATIENCE);
    loop {
        let piece = if length == 0 { None } else { feed.next()? };
        let step = async {
            match piece {
                Some(piece) => Ok(request.pass(&to, piece, call, stall).await),
                None => Ok(Some(request.answer(call, closing).await)),
            }
        };
        if let Some(outcome) = runtime.run(step)? {
            return outcome;
        }
    }
}

/// A request whose body is being sent; ends when nobody waits for it any more.
struct Request(JoinHandle<Result<Answer, Failure>>);

impl Request {
    /// Hands on a piece of the body. `Some` when there is an answer already: a failure, or a server
    /// that has heard enough.
    async fn pass(
        &mut self,
        to: &mpsc::Sender<Bytes>,
        piece: Bytes,
        call: &Call,
        stall: Duration,
    ) -> Option<Result<Answer, Failure>> {
        let sent = tokio::select! {
            outcome = &mut self.0 => return Some(ended(outcome)),
            sent = tokio::time::timeout(stall, to.send(piece)) => sent,
        };
        match sent {
            Ok(Ok(())) => None,
            // Nobody takes pieces any more: the answer is on its way.
            Ok(Err(_)) => Some(self.answer(call, stall).await),
            Err(_) => Some(Err(silent(format!("send {}", call.thing()), stall))),
        }
    }

    async fn answer(&mut self, call: &Call, patience: Duration) -> Result<Answer, Failure> {
        match tokio::time::timeout(patience, &mut self.0).await {
            Ok(outcome) => ended(outcome),
            Err(_) => Err(silent(format!("finish {}", call.thing()), patience)),
        }
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn ended(outcome: Result<Result<Answer, Failure>, JoinError>) -> Result<Answer, Failure> {
    outcome.unwrap_or_else(|_| Err(Error::Interrupted.into()))
}

fn accepted(call: &Call, answer: &Answer) -> Result<(), Failure> {
    let refusal = Refusal::parse(&answer.body);
    let is_forgotten = refusal.has("BLOB_UPLOAD_UNKNOWN")
        || refusal.has("BLOB_UPLOAD_INVALID")
        || matches!(answer.status, StatusCode::NOT_FOUND | StatusCode::RANGE_NOT_SATISFIABLE);
    if answer.status.is_success() {
        Ok(())
    } else if is_busy(answer.status) {
        Err(answer.busy(call))
    } else if is_forgotten {
        let error =
            Error::Server { thing: call.thing(), status: answer.status.as_u16(), words: refusal.words };
        Err(Failure::passing(error))
    } else {
        Err(answer.refusal(call).into())
    }
}

/// A server that says less than "created" is asked whether the blob is there.
fn closed(
    runtime: &Runtime,
    place: &Place,
    blob: &Descriptor,
    call: &Call,
    answer: &Answer,
) -> Result<(), Failure> {
    accepted(call, answer)?;
    if answer.status == StatusCode::ACCEPTED
        && !runtime.run(crate::remote::download::is_there(place, blob))?
    {
        let words = "it took the whole blob and does not have it".into();
        return Err(Error::Server { thing: call.thing(), status: 202, words }.into());
    }
    Ok(())
}

/// A request's body: as many bytes as were announced, or a failure.
struct Pieces {
    pieces: mpsc::Receiver<Bytes>,
    left: u64,
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        self.pieces.poll_recv(context).map(|piece| match piece {
            Some(piece) => {
                self.left = self.left.saturating_sub(piece.len() as u64);
                Some(Ok(Frame::data(piece)))
            }
            None => Some(Err(std::io::ErrorKind::UnexpectedEof.into())),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// The bytes of one blob, held to its digest before the last of them are handed out.
struct Feed<'a> {
    supply: Supply<'a>,
    /// Is there from the first byte on.
    reader: Option<Verifier<Box<dyn Read + 'a>>>,
    blob: Descriptor,
    /// The last bytes that were read, for a server that did not get them.
    kept: VecDeque<Bytes>,
    kept_bytes: usize,
    /// Bytes read from the source.
    read: u64,
    /// Bytes handed out.
    at: u64,
}

impl<'a> Feed<'a> {
    fn new(supply: Supply<'a>, blob: &Descriptor) -> Feed<'a> {
        Feed {
            supply,
            reader: None,
            blob: blob.clone(),
            kept: VecDeque::new(),
            kept_bytes: 0,
            read: 0,
            at: 0,
        }
    }

    /// The next bytes will be those from `at` on.
    fn seek(&mut self, at: u64) -> Result<()> {
        let kept_from = self.read - self.kept_bytes as u64;
        if (kept_from..=self.read).contains(&at) {
            self.at = at;
            return Ok(());
        }
        if matches!(self.supply, Supply::Once(_)) {
            let size = self.blob.size;
            return Err(Error::Network {
                doing: format!("go on sending blob {}", self.blob.digest),
                source: format!(
                    "the connection broke after {} of {size} bytes, and the server has {at}",
                    self.at
                )
                .into(),
            });
        }
        (self.reader, self.read, self.kept_bytes) = (None, 0, 0);
        self.kept.clear();
        self.at = 0;
        while self.at < at {
            let Some(piece) = self.next()? else { break };
            // A piece may reach beyond: it is kept, so going back in it is free.
            self.at = self.at.min(at);
            debug_assert!(!piece.is_empty());
        }
        Ok(())
    }

    fn next(&mut self) -> Result<Option<Bytes>> {
        if self.at < self.read {
            return Ok(Some(self.kept_piece()));
        }
        if self.read == self.blob.size && self.reader.is_some() {
            return Ok(None);
        }
        let blob = &self.blob;
        let thing = format!("blob {}", blob.digest);
        let mut reader = match self.reader.take() {
            Some(reader) => reader,
            None => Verifier::new(&thing, &blob.digest, blob.size, self.supply.open()?),
        };
        let left = blob.size - self.read;
        let mut piece = vec![0; PIECE_BYTES.min(usize::try_from(left).unwrap_or(usize::MAX))];
        let mut filled = 0;
        while filled < piece.len() {
            match reader.read(&mut piece[filled..]) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(err) if err.kind() == std::io::ErrorKind::Interrupted => {}
                Err(err) => return Err(from_stream(thing, err)),
            }
        }
        piece.truncate(filled);
        self.read += filled as u64;
        if self.read == blob.size {
            // What is longer than it should be is found out before the server has it whole.
            reader.finish()?;
        }
        self.reader = Some(reader);
        if filled == 0 {
            return Ok(None);
        }
        let piece = Bytes::from(piece);
        self.keep(piece.clone());
        self.at = self.read;
        Ok(Some(piece))
    }

    fn keep(&mut self, piece: Bytes) {
        self.kept_bytes += piece.len();
        self.kept.push_back(piece);
        let kept_max = match self.supply {
            Supply::Once(_) => KEPT_BYTES_MAX,
            Supply::Again(_) => PIECE_BYTES,
        };
        while self.kept_bytes > kept_max
            && let Some(oldest) = self.kept.pop_front()
        {
            self.kept_bytes -= oldest.len();
        }
    }

    /// The rest of the piece that `at` is in.
    fn kept_piece(&mut self) -> Bytes {
        let mut from = self.read - self.kept_bytes as u64;
        for piece in &self.kept {
            let end = from + piece.len() as u64;
            if self.at < end {
                let rest = piece.slice((self.at - from) as usize..);
                self.at = end;
                return rest;
            }
            from = end;
        }
        unreachable!("`seek` has made sure that `at` is among the kept bytes")
    }
}
