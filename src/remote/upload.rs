//! A blob on its way up: one PUT that streams, begun again where it broke as far as that is possible.
//!
//! OCI distribution-spec, "Pushing blobs". The size is known, so the body goes with the closing PUT in
//! one request, which every registry takes; chunks are refused by some, and cost a round trip each.
//! After a break the server is asked how far it came. One that does not know (Docker's registry
//! forgets an upload that broke) is sent everything again, for which the bytes must still be at
//! hand: the last [`crate::remote::feed::KEPT_BYTES_MAX`] of them always are, and all of them where the source can be
//! opened again.

use crate::error::Error;
use crate::error::Result;
use crate::oci::descriptor::Descriptor;
use crate::remote::call::Answer;
use crate::remote::call::Call;
use crate::remote::call::header;
use crate::remote::call::is_busy;
use crate::remote::call::silent;
use crate::remote::download;
use crate::remote::feed::Feed;
use crate::remote::feed::Supply;
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
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinError;
use tokio::task::JoinHandle;
use url::Url;

/// Pieces between the source and the socket.
const PIECES_AHEAD: usize = 4;
/// A server reads the whole blob once more before it answers the last request, and may have to copy
/// it: so many times its usual patience.
const CLOSING_PATIENCE: u32 = 10;

/// Whether an upload is cancelled is the server's concern more than ours.
const FAREWELL_PATIENCE: Duration = Duration::from_secs(5);

const OCTETS: &str = "application/octet-stream";

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
                // It may have been the answer alone that was lost.
                if session.is_none() && runtime.run(download::is_there(place, blob)).unwrap_or(false) {
                    return Ok(());
                }
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
    if answer.status == StatusCode::ACCEPTED && !runtime.run(download::is_there(place, blob))? {
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
