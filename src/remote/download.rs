//! A blob on its way down: a few pieces ahead of its reader, and begun again where it broke.

use crate::error::Error;
use crate::error::Result;
use crate::oci::descriptor::Descriptor;
use crate::remote::call::Answer;
use crate::remote::call::Call;
use crate::remote::call::header;
use crate::remote::call::next_chunk;
use crate::remote::repository::Place;
use crate::remote::retry::Failure;
use crate::remote::retry::Retry;
use crate::remote::runtime::Runtime;
use crate::wire::range;
use crate::wire::refusal;
use crate::wire::scope::Scopes;
use bytes::Buf;
use bytes::Bytes;
use reqwest::Method;
use reqwest::Response;
use reqwest::StatusCode;
use reqwest::header::ACCEPT_ENCODING;
use reqwest::header::CONTENT_LENGTH;
use reqwest::header::CONTENT_RANGE;
use reqwest::header::RANGE;
use std::io;
use std::io::Read;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

/// Pieces between the socket and the reader; hyper makes them up to 400 KiB.
const PIECES_AHEAD: usize = 8;
/// So many bytes after a break show that the line works again, and all tries are there again.
const BYTES_OF_TRUST: u64 = 1 << 20;

/// Reads the blob; fails with [`Error::Network`] when no place has more of it.
pub struct Download {
    runtime: Arc<Runtime>,
    pieces: mpsc::Receiver<Result<Bytes>>,
    piece: Bytes,
    pump: AbortHandle,
}

impl Download {
    pub fn new(runtime: Arc<Runtime>, places: Vec<Place>, blob: &Descriptor, opened: Response) -> Download {
        let (to, pieces) = mpsc::channel(PIECES_AHEAD);
        let pump = runtime.spawn(pump(places, blob.clone(), opened, to)).abort_handle();
        Download { runtime, pieces, piece: Bytes::new(), pump }
    }
}

impl Read for Download {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() && !buf.is_empty() {
            let pieces = &mut self.pieces;
            let next = match pieces.try_recv() {
                Ok(piece) => Some(piece),
                Err(_) => self.runtime.run(async { Ok(pieces.recv().await) })?,
            };
            match next {
                Some(piece) => self.piece = piece?,
                None => return Ok(0),
            }
        }
        let n = buf.len().min(self.piece.len());
        self.piece.copy_to_slice(&mut buf[..n]);
        Ok(n)
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        self.pump.abort();
    }
}

/// Asks for the whole blob.
pub async fn start(place: &Place, blob: &Descriptor) -> Result<Response> {
    let call = call(Method::GET, place, blob);
    let response = place.host.open(&call).await?;
    good(place, &call, response).await.map_err(|failure| failure.error)
}

/// Says whether a HEAD finds the blob in its right size.
pub async fn is_there(place: &Place, blob: &Descriptor) -> Result<bool> {
    let call = call(Method::HEAD, place, blob);
    let answer = place.host.fetch(&call, 0).await?;
    if answer.status == StatusCode::NOT_FOUND {
        return Ok(false);
    }
    let answer = answer.good(&call)?;
    let size = answer.header(CONTENT_LENGTH.as_str()).and_then(|size| size.parse::<u64>().ok());
    match size {
        // Some servers say 0 of everything.
        Some(size) if size != blob.size && size != 0 => Err(wrong_size(&call, blob, size)),
        _ => Ok(true),
    }
}

fn call(method: Method, place: &Place, blob: &Descriptor) -> Call {
    // A document that lies among the blobs is asked for as one, by its digest.
    let registry = place.host.registry();
    let url = match blob.media_type.is_document() {
        true => registry.manifest(&place.repository, &(&blob.digest).into()),
        false => registry.blob(&place.repository, &blob.digest),
    };
    let call = Call::new(method, url, "blob", place.name_of_digest(&blob.digest));
    // A proxy that compresses what is compressed already would change the size and defeat ranges.
    call.scopes(Scopes::pull(&place.repository), &place.repository).header(ACCEPT_ENCODING, "identity")
}

async fn good(place: &Place, call: &Call, response: Response) -> Result<Response, Failure> {
    if response.status().is_success() {
        return Ok(response);
    }
    let stall = place.host.settings.stall_timeout;
    let answer = Answer::read(response, &call.thing(), refusal::BODY_BYTES_MAX, stall).await?;
    Err(answer.refusal(call).into())
}

/// Hands the body on to the reader, through as many connections and places as it takes.
async fn pump(places: Vec<Place>, blob: Descriptor, opened: Response, to: mpsc::Sender<Result<Bytes>>) {
    let mut sent = 0;
    let mut body = Some((opened, 0));
    for (at, place) in places.iter().enumerate() {
        match pump_from(place, &blob, body.take(), &mut sent, &to).await {
            Ok(()) => return,
            Err(error) if at + 1 == places.len() => {
                // A reader that is gone has no use for it.
                let _ = to.send(Err(error)).await;
            }
            Err(_) => {}
        }
    }
}

/// `body` is an answer and how many of its bytes to pass over.
async fn pump_from(
    place: &Place,
    blob: &Descriptor,
    mut body: Option<(Response, u64)>,
    sent: &mut u64,
    to: &mpsc::Sender<Result<Bytes>>,
) -> Result<()> {
    let call = call(Method::GET, place, blob);
    let mut retry = Retry::new(&place.host.settings);
    loop {
        let before = *sent;
        let outcome = match body.take() {
            Some((response, skip)) => pass_on(place, &call, blob, response, skip, sent, to).await,
            None => match resume(place, &call, blob, *sent).await {
                Ok(opened) => {
                    body = Some(opened);
                    continue;
                }
                Err(failure) => Err(failure),
            },
        };
        match outcome {
            Ok(()) => return Ok(()),
            Err(failure) => {
                if *sent - before >= BYTES_OF_TRUST {
                    retry.renew();
                }
                retry.after(failure).await?;
            }
        }
    }
}

/// Asks for what is missing; says how much of the answer the reader has already.
async fn resume(
    place: &Place,
    call: &Call,
    blob: &Descriptor,
    sent: u64,
) -> Result<(Response, u64), Failure> {
    let call = if sent == 0 { call.clone() } else { call.clone().header(RANGE, &range::from(sent)) };
    let response = good(place, &call, place.host.open_once(&call).await?).await?;
    if response.status() != StatusCode::PARTIAL_CONTENT {
        // No ranges here: all of it, once more.
        return Ok((response, sent));
    }
    let told = header(response.headers(), CONTENT_RANGE.as_str()).unwrap_or_default();
    match range::content_range(told) {
        Some((first, size)) if first <= sent && size.is_none_or(|size| size == blob.size) => {
            Ok((response, sent - first))
        }
        _ => Err(Error::Mismatch {
            thing: format!("range of {}", call.thing()),
            expected: format!("bytes from {sent} on of {}", blob.size),
            found: format!("`{}`", crate::path::shown(told.as_bytes())),
        }
        .into()),
    }
}

async fn pass_on(
    place: &Place,
    call: &Call,
    blob: &Descriptor,
    mut response: Response,
    mut skip: u64,
    sent: &mut u64,
    to: &mpsc::Sender<Result<Bytes>>,
) -> Result<(), Failure> {
    if response.status() == StatusCode::OK
        && let Some(size) = response.content_length().filter(|size| *size != blob.size)
    {
        return Err(wrong_size(call, blob, size).into());
    }
    let stall = place.host.settings.stall_timeout;
    loop {
        let mut piece = match next_chunk(&mut response, &call.thing(), stall).await {
            Ok(Some(piece)) => piece,
            Ok(None) if *sent >= blob.size => return Ok(()),
            Ok(None) => {
                let words = format!("it ended after {sent} of {} bytes", blob.size);
                let doing = format!("read {}", call.thing());
                return Err(Failure::passing(Error::Network { doing, source: words.into() }));
            }
            // All is there; how the connection ended is of no interest.
            Err(_) if *sent >= blob.size => return Ok(()),
            Err(failure) => return Err(failure),
        };
        let skipped = skip.min(piece.len() as u64);
        piece.advance(skipped as usize);
        skip -= skipped;
        // One byte too many tells the reader all there is to know of a body without end.
        let wanted = (blob.size + 1).saturating_sub(*sent);
        piece.truncate(usize::try_from(wanted).unwrap_or(usize::MAX));
        if piece.is_empty() {
            if wanted == 0 {
                return Ok(());
            }
            continue;
        }
        *sent += piece.len() as u64;
        if to.send(Ok(piece)).await.is_err() || *sent > blob.size {
            return Ok(());
        }
    }
}

fn wrong_size(call: &Call, blob: &Descriptor, found: u64) -> Error {
    Error::Mismatch {
        thing: call.thing(),
        expected: format!("{} bytes", blob.size),
        found: format!("{found} bytes"),
    }
}
