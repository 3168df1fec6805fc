//! One request and one answer: what is asked, how an answer is read, and what its refusal means.

use crate::error::Error;
use crate::error::Result;
use crate::remote::retry::Failure;
use crate::wire::refusal;
use crate::wire::refusal::Refusal;
use crate::wire::retry_after;
use crate::wire::scope::Scopes;
use bytes::Bytes;
use jiff::Timestamp;
use reqwest::Method;
use reqwest::Response;
use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use reqwest::header::HeaderName;
use reqwest::header::HeaderValue;
use reqwest::header::RETRY_AFTER;
use std::time::Duration;
use url::Url;

/// A request that can be made again: its body is at hand.
#[derive(Clone, Debug)]
pub struct Call {
    /// "manifest" and "localhost:5000/app:v1", for errors.
    pub kind: &'static str,
    pub name: String,
    pub method: Method,
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// What must be allowed for it, and in which repository our credentials are looked up.
    pub scopes: Scopes,
    pub repository: String,
    /// How long the answer may take to begin, where it is more than the settings say.
    pub patience: Option<Duration>,
}

impl Call {
    pub fn new(method: Method, url: Url, kind: &'static str, name: impl Into<String>) -> Call {
        Call {
            kind,
            name: name.into(),
            method,
            url,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            scopes: Scopes::none(),
            repository: String::new(),
            patience: None,
        }
    }

    pub fn scopes(mut self, scopes: Scopes, repository: &str) -> Call {
        (self.scopes, self.repository) = (scopes, repository.to_owned());
        self
    }

    pub fn header(mut self, name: HeaderName, value: &str) -> Call {
        // Values are our own or parsed; one that no header takes is left out rather than sent wrong.
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.append(name, value);
        }
        self
    }

    pub fn body(mut self, body: Bytes) -> Call {
        self.body = body;
        self
    }

    /// What an error names.
    pub fn thing(&self) -> String {
        format!("{} {}", self.kind, self.name)
    }
}

/// An answer with its whole body.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// Where it came from in the end: what its `Location` is relative to.
    pub url: Url,
    pub body: Bytes,
}

impl Answer {
    /// Reads the body: all of it up to `bytes_max` of a good answer, the front of any other.
    pub async fn read(
        mut response: Response,
        thing: &str,
        bytes_max: u64,
        stall: Duration,
    ) -> Result<Answer, Failure> {
        let is_good = response.status().is_success();
        let bytes_max = if is_good { bytes_max } else { refusal::BODY_BYTES_MAX };
        let too_much = || Error::Limit { thing: thing.to_owned(), limit: bytes_max, unit: "bytes" };
        if is_good && response.content_length().is_some_and(|length| length > bytes_max) {
            return Err(too_much().into());
        }
        let mut body = Vec::new();
        while let Some(chunk) = next_chunk(&mut response, thing, stall).await? {
            body.extend_from_slice(&chunk);
            if body.len() as u64 > bytes_max {
                if is_good {
                    return Err(too_much().into());
                }
                break;
            }
        }
        Ok(Answer {
            status: response.status(),
            headers: response.headers().clone(),
            url: response.url().clone(),
            body: body.into(),
        })
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    /// The error that this answer is, for a call that wanted something else.
    pub fn refusal(&self, call: &Call) -> Error {
        let Refusal { words, .. } = Refusal::parse(&self.body);
        let thing = call.thing();
        match self.status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Error::Denied { thing, words },
            StatusCode::NOT_FOUND => Error::not_found(call.kind, &call.name),
            status => Error::Server { thing, status: status.as_u16(), words },
        }
    }

    pub fn good(self, call: &Call) -> Result<Answer> {
        if self.status.is_success() { Ok(self) } else { Err(self.refusal(call)) }
    }

    /// The failure of a server that is busy or broken for now.
    pub fn busy(&self, call: &Call) -> Failure {
        let asked = self.header(RETRY_AFTER.as_str());
        let asked = asked.and_then(|value| retry_after::parse(value, Timestamp::now()));
        Failure { error: self.refusal(call), passes: true, asked }
    }
}

/// Says whether the same request may be answered better later.
pub fn is_busy(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 425 | 429 | 500 | 502 | 503 | 504)
}

pub fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

pub fn header_values<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = &'a str> {
    headers.get_all(name).iter().filter_map(|value| value.to_str().ok())
}

/// The next piece of a body, from a server that must not be silent for longer than `stall`.
pub async fn next_chunk(
    response: &mut Response,
    thing: &str,
    stall: Duration,
) -> Result<Option<Bytes>, Failure> {
    match tokio::time::timeout(stall, response.chunk()).await {
        Ok(Ok(chunk)) => Ok(chunk),
        Ok(Err(err)) => Err(broken(format!("read {thing}"), err)),
        Err(_) => Err(silent(format!("read {thing}"), stall)),
    }
}

/// A connection that could not be made, or broke.
pub fn broken(doing: String, err: reqwest::Error) -> Failure {
    // The address may hold a signature that opens a blob to anyone.
    let err = err.without_url();
    let words = causes(&err);
    // No such host, or nobody there whom we trust: the next try would find the same.
    let lasts = err.is_builder()
        || (err.is_connect()
            && ["certificate", "Name or service not known", "No address associated"]
                .iter()
                .any(|word| words.contains(word)));
    Failure { error: Error::Network { doing, source: words.into() }, passes: !lasts, asked: None }
}

pub fn silent(doing: String, waited: Duration) -> Failure {
    let words = format!("the server has been silent for {} s", waited.as_secs_f32());
    Failure::passing(Error::Network { doing, source: words.into() })
}

/// An error and all its causes on one line: reqwest's own text is no more than "error sending request".
pub fn causes(err: &dyn std::error::Error) -> String {
    let mut words = err.to_string();
    let mut cause = err.source();
    while let Some(err) = cause {
        let text = err.to_string();
        if !words.ends_with(&text) {
            words.push_str(": ");
            words.push_str(&text);
        }
        cause = err.source();
    }
    crate::path::shown(words.as_bytes())
}
