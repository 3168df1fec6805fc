//! One registry: makes a call with the right authorization, follows its redirects, tries again.

use crate::error::Error;
use crate::error::Result;
use crate::path::shown;
use crate::remote::Settings;
use crate::remote::auth::Auth;
use crate::remote::auth::Authorization;
use crate::remote::call::Answer;
use crate::remote::call::Call;
use crate::remote::call::broken;
use crate::remote::call::header;
use crate::remote::call::header_values;
use crate::remote::call::is_busy;
use crate::remote::call::silent;
use crate::remote::endpoint::Endpoint;
use crate::remote::retry::Failure;
use crate::remote::retry::Retry;
use crate::remote::warnings::Warnings;
use crate::wire::challenge;
use crate::wire::location;
use crate::wire::refusal;
use crate::wire::route::Registry;
use crate::wire::warning;
use reqwest::Body;
use reqwest::Client;
use reqwest::Method;
use reqwest::Response;
use reqwest::StatusCode;
use reqwest::header::AUTHORIZATION;
use reqwest::header::CONTENT_LENGTH;
use reqwest::header::LOCATION;
use reqwest::header::WARNING;
use reqwest::header::WWW_AUTHENTICATE;
use std::sync::Arc;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering;
use url::Url;

/// Docker Hub takes one or two, others up to three.
const REDIRECTS_MAX: usize = 8;

pub struct Host {
    /// As names have it.
    pub name: String,
    pub settings: Arc<Settings>,
    client: Client,
    /// The person has said that plain HTTP is good enough, wherever this host sends us.
    is_insecure: bool,
    scheme: AtomicU8,
    auth: Auth,
    warnings: Arc<Warnings>,
}

/// TLS until something else is known: values of `scheme`.
const UNKNOWN: u8 = 0;
const TLS: u8 = 1;
const PLAIN: u8 = 2;

impl Host {
    pub fn new(
        endpoint: &Endpoint,
        client: Client,
        settings: Arc<Settings>,
        warnings: Arc<Warnings>,
    ) -> Result<Host> {
        // What is no host is found out here, so that no address made later can fail.
        Registry::new("https", &endpoint.host)?;
        Ok(Host {
            name: endpoint.host.clone(),
            settings,
            client,
            is_insecure: endpoint.insecure,
            scheme: AtomicU8::new(if endpoint.is_lax() { UNKNOWN } else { TLS }),
            auth: Auth::new(&endpoint.host),
            warnings,
        })
    }

    pub fn registry(&self) -> Registry {
        let scheme = if self.scheme.load(Ordering::Relaxed) == PLAIN { "http" } else { "https" };
        Registry::new(scheme, &self.name).expect("`new` has made one of this host")
    }

    /// Makes a call and reads the whole answer, whatever its status; 401 and what passes by itself are
    /// dealt with.
    pub async fn fetch(&self, call: &Call, bytes_max: u64) -> Result<Answer> {
        let mut retry = Retry::new(&self.settings);
        loop {
            match self.fetch_once(call, bytes_max).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => retry.after(failure).await?,
            }
        }
    }

    pub async fn fetch_once(&self, call: &Call, bytes_max: u64) -> Result<Answer, Failure> {
        let response = self.open_once(call).await?;
        Answer::read(response, &call.thing(), bytes_max, self.settings.stall_timeout).await
    }

    /// Makes a call and returns its answer of whatever status, the body unread.
    pub async fn open(&self, call: &Call) -> Result<Response> {
        let mut retry = Retry::new(&self.settings);
        loop {
            match self.open_once(call).await {
                Ok(response) => return Ok(response),
                Err(failure) => retry.after(failure).await?,
            }
        }
    }

    /// One try, that is, one with each authorization that we have.
    pub async fn open_once(&self, call: &Call) -> Result<Response, Failure> {
        let mut authorization = self.authorization(call).await?;
        let mut response = self.follow(call, authorization.as_ref()).await?;
        if response.status() == StatusCode::UNAUTHORIZED && self.is_ours(response.url()) {
            let refused = authorization.take();
            match self.auth.answer(self, call, &challenges(&response), refused).await? {
                Some(new) => response = self.follow(call, Some(&new)).await?,
                None => return Err(self.read_refusal(call, response).await?.refusal(call).into()),
            }
        }
        if is_busy(response.status()) {
            return Err(self.read_refusal(call, response).await?.busy(call));
        }
        Ok(response)
    }

    /// One try with a body that cannot be sent twice. A 401 is for the caller to see.
    pub async fn send_body(&self, call: &Call, body: Body) -> Result<Response, Failure> {
        let authorization = self.authorization(call).await?;
        self.request(call, &call.url, authorization.as_ref(), body).await
    }

    /// After a 401 that [`Host::send_body`] gave back: makes sure that the next try has a new token.
    pub async fn renew(&self, call: &Call, response: &Response) -> Result<(), Failure> {
        let refused = self.authorization(call).await?;
        // Another host may ask for a password as it likes.
        let challenges = if self.is_ours(response.url()) { challenges(response) } else { Vec::new() };
        match self.auth.answer(self, call, &challenges, refused).await? {
            Some(_) => Ok(()),
            None => Err(Error::Denied { thing: call.thing(), words: String::new() }.into()),
        }
    }

    /// An upload may go on at another host, which is none of those we have a password for.
    async fn authorization(&self, call: &Call) -> Result<Option<Authorization>, Failure> {
        if self.is_at_us(&call.url) { self.auth.known(self, call).await } else { Ok(None) }
    }

    async fn read_refusal(&self, call: &Call, response: Response) -> Result<Answer, Failure> {
        Answer::read(response, &call.thing(), refusal::BODY_BYTES_MAX, self.settings.stall_timeout).await
    }

    fn is_ours(&self, url: &Url) -> bool {
        location::same_origin(url, self.registry().url())
    }

    /// Says whether a secret may be sent there.
    pub fn may_be_told(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default();
        url.scheme() == "https" || self.is_insecure || location::is_loopback(host)
    }

    /// Follows redirects. The authorization stays behind as soon as one leads away from here, and
    /// does not come back: who sent us away could have changed the address we return to.
    pub async fn follow(
        &self,
        call: &Call,
        authorization: Option<&Authorization>,
    ) -> Result<Response, Failure> {
        let mut url = call.url.clone();
        let mut authorization = authorization;
        for _ in 0..=REDIRECTS_MAX {
            let response = self.request(call, &url, authorization, call.body.clone().into()).await?;
            let is_redirect = match response.status().as_u16() {
                // These would turn a PUT into a GET.
                301..=303 => matches!(call.method, Method::GET | Method::HEAD),
                307 | 308 => true,
                _ => false,
            };
            let to = header(response.headers(), LOCATION.as_str()).filter(|_| is_redirect);
            let Some(to) = to else { return Ok(response) };
            let next = location::resolve(response.url(), to)?;
            if response.url().scheme() == "https" && next.scheme() == "http" && !self.may_be_told(&next) {
                let problem = format!("is sent from TLS to plain HTTP at {}", shown_host(&next));
                return Err(Error::invalid(call.thing(), problem).into());
            }
            if !location::same_origin(response.url(), &next) {
                authorization = None;
            }
            url = next;
        }
        Err(Error::Limit {
            thing: format!("redirects of {}", call.thing()),
            limit: REDIRECTS_MAX as u64,
            unit: "steps",
        }
        .into())
    }

    async fn request(
        &self,
        call: &Call,
        url: &Url,
        authorization: Option<&Authorization>,
        body: Body,
    ) -> Result<Response, Failure> {
        let mut url = url.clone();
        if self.is_at_us(&url) && self.scheme.load(Ordering::Relaxed) == PLAIN {
            let _ = url.set_scheme("http");
        }
        let again = body.as_bytes().map(bytes::Bytes::copy_from_slice);
        let outcome = self.request_once(call, &url, authorization, body).await;
        let is_at_us = self.is_at_us(&url) && url.scheme() == "https";
        match outcome {
            // As Docker does where it may: who does not speak TLS is spoken to without.
            Err(Trouble::Connect(_))
                if is_at_us && self.scheme.load(Ordering::Relaxed) != TLS && again.is_some() =>
            {
                let _ = url.set_scheme("http");
                let body = again.expect("the guard has looked").into();
                let response = self.request_once(call, &url, authorization, body).await?;
                self.scheme.store(PLAIN, Ordering::Relaxed);
                Ok(response)
            }
            Ok(response) => {
                if is_at_us {
                    self.scheme.store(TLS, Ordering::Relaxed);
                }
                Ok(response)
            }
            Err(trouble) => Err(trouble.into()),
        }
    }

    async fn request_once(
        &self,
        call: &Call,
        url: &Url,
        authorization: Option<&Authorization>,
        body: Body,
    ) -> Result<Response, Trouble> {
        let doing = || format!("ask {} for {}", shown_host(url), call.thing());
        let mut request = self.client.request(call.method.clone(), url.clone()).headers(call.headers.clone());
        if let Some(authorization) = authorization.filter(|_| self.may_be_told(url)) {
            request = request.header(AUTHORIZATION, authorization.header());
        }
        // Some servers refuse a POST or PUT without a length, and others a GET with one.
        if matches!(call.method, Method::POST | Method::PUT | Method::PATCH) {
            if body.as_bytes().is_some_and(<[u8]>::is_empty) {
                request = request.header(CONTENT_LENGTH, 0);
            }
            request = request.body(body);
        }
        let patience = call.patience.unwrap_or(self.settings.stall_timeout);
        match tokio::time::timeout(patience, request.send()).await {
            Ok(Ok(response)) => {
                self.hear_warnings(&response);
                Ok(response)
            }
            Ok(Err(err)) if err.is_connect() => Err(Trouble::Connect(broken(doing(), err))),
            Ok(Err(err)) => Err(Trouble::Other(broken(doing(), err))),
            Err(_) => Err(Trouble::Other(silent(doing(), patience))),
        }
    }

    fn is_at_us(&self, url: &Url) -> bool {
        let ours = self.registry();
        url.host() == ours.url().host() && url.port() == ours.url().port()
    }

    fn hear_warnings(&self, response: &Response) {
        for text in header_values(response.headers(), WARNING.as_str()).filter_map(warning::parse) {
            self.warnings.add(format!("{}: {text}", self.name));
        }
    }
}

enum Trouble {
    Connect(Failure),
    Other(Failure),
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Failure {
        match trouble {
            Trouble::Connect(failure) | Trouble::Other(failure) => failure,
        }
    }
}

fn challenges(response: &Response) -> Vec<challenge::Challenge> {
    challenge::parse(header_values(response.headers(), WWW_AUTHENTICATE.as_str()))
}

/// Host and port of an address, for people.
fn shown_host(url: &Url) -> String {
    let host = shown(url.host_str().unwrap_or_default().as_bytes());
    url.port().map_or(host.clone(), |port| format!("{host}:{port}"))
}
