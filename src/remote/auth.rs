//! Who we are, said the way a server wants to hear it: Basic, or a token fetched for the purpose.
//!
//! A token is kept for each set of scopes until it is about to expire, and is fetched once however
//! many layers wait for it. One that a server refuses before its time is replaced once.

use crate::error::Doing;
use crate::error::Error;
use crate::error::Result;
use crate::path::shown;
use crate::remote::call::Answer;
use crate::remote::call::Call;
use crate::remote::call::is_busy;
use crate::remote::endpoint::Credential;
use crate::remote::host::Host;
use crate::remote::retry::Failure;
use crate::wire::challenge::Challenge;
use crate::wire::scope::Scopes;
use crate::wire::token;
use crate::wire::token::Token;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use reqwest::header::HeaderValue;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;
use std::time::Instant;
use tokio::sync::Mutex as AsyncMutex;
use url::Url;

/// A token is replaced so long before it expires: a clock may be off, and a request takes a while.
const MARGIN: Duration = Duration::from_secs(10);

/// The value of an `Authorization` header.
#[derive(Clone, PartialEq, Eq)]
pub struct Authorization(HeaderValue);

impl Authorization {
    fn new(text: &str) -> Result<Authorization> {
        let mut value = HeaderValue::from_str(text)
            .map_err(|_| Error::invalid("credential", "has letters that no header takes"))?;
        value.set_sensitive(true);
        Ok(Authorization(value))
    }

    fn basic(user: &str, password: &str) -> Result<Authorization> {
        Authorization::new(&format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
    }

    pub fn header(&self) -> HeaderValue {
        self.0.clone()
    }
}

pub struct Auth {
    host: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// How this server wants to hear it; `None` until it has asked.
    way: Option<Way>,
    tokens: HashMap<Scopes, Arc<AsyncMutex<Slot>>>,
    /// By repository.
    credentials: HashMap<String, Option<Credential>>,
}

#[derive(Clone)]
enum Way {
    Basic,
    Bearer { realm: Url, service: Option<String> },
}

#[derive(Default)]
struct Slot {
    token: Option<(Authorization, Instant)>,
    /// What the server wanted beyond what we asked for.
    wanted: Scopes,
}

impl Slot {
    fn live(&self) -> Option<Authorization> {
        let (authorization, until) = self.token.as_ref()?;
        (Instant::now() < *until).then(|| authorization.clone())
    }
}

impl Auth {
    pub fn new(host: &str) -> Auth {
        Auth { host: host.to_owned(), state: Mutex::default() }
    }

    /// What a server that has asked before wants to hear; `None` for one that has not asked yet.
    pub async fn known(&self, host: &Host, call: &Call) -> Result<Option<Authorization>, Failure> {
        let way = self.state().way.clone();
        match way {
            None => Ok(None),
            Some(Way::Basic) => self.basic(host, call),
            Some(Way::Bearer { realm, service }) => {
                let slot = self.slot(&call.scopes);
                let mut slot = slot.lock().await;
                if let Some(authorization) = slot.live() {
                    return Ok(Some(authorization));
                }
                self.fetch(host, call, &realm, service.as_deref(), &mut slot).await.map(Some)
            }
        }
    }

    /// What to say to a server that asks who we are, and did not like `refused`. `None` when there is
    /// nothing else to say.
    pub async fn answer(
        &self,
        host: &Host,
        call: &Call,
        challenges: &[Challenge],
        refused: Option<Authorization>,
    ) -> Result<Option<Authorization>, Failure> {
        let bearer = challenges.iter().find_map(|challenge| match challenge {
            Challenge::Bearer { realm, service, scopes } => Some((realm, service, scopes)),
            Challenge::Basic => None,
        });
        if let Some((realm, service, scopes)) = bearer {
            let realm = self.realm(host, realm)?;
            self.state().way = Some(Way::Bearer { realm: realm.clone(), service: service.clone() });
            let slot = self.slot(&call.scopes);
            let mut slot = slot.lock().await;
            // Somebody else may have replaced it while we waited for the lock.
            if let Some(live) = slot.live().filter(|live| Some(live) != refused.as_ref()) {
                return Ok(Some(live));
            }
            slot.wanted = scopes.clone();
            return self.fetch(host, call, &realm, service.as_deref(), &mut slot).await.map(Some);
        }
        if challenges.contains(&Challenge::Basic) {
            self.state().way = Some(Way::Basic);
            return Ok(self.basic(host, call)?.filter(|basic| Some(basic) != refused.as_ref()));
        }
        Ok(None)
    }

    fn basic(&self, host: &Host, call: &Call) -> Result<Option<Authorization>, Failure> {
        match self.credential(host, call)? {
            Some(Credential::Password { user, password }) => {
                Ok(Some(Authorization::basic(&user, &password)?))
            }
            // An identity token is for a token server, and this registry has none.
            Some(Credential::IdentityToken(_)) | None => Ok(None),
        }
    }

    async fn fetch(
        &self,
        host: &Host,
        call: &Call,
        realm: &Url,
        service: Option<&str>,
        slot: &mut Slot,
    ) -> Result<Authorization, Failure> {
        let scopes = call.scopes.clone().and(&slot.wanted);
        let credential = self.credential(host, call)?;
        let token = fetch_token(host, realm, service, &scopes, credential.as_ref())
            .await
            .map_err(|failure| Failure { error: self.during(failure.error, call), ..failure })?;
        let authorization = Authorization::new(&format!("Bearer {}", token.secret))?;
        // Half of a life that is shorter than the margin.
        let life = token.life.checked_sub(MARGIN).unwrap_or_default().max(token.life / 2);
        // So far off that no clock has it is a day off.
        let until =
            Instant::now().checked_add(life).unwrap_or_else(|| Instant::now() + Duration::from_secs(86_400));
        slot.token = Some((authorization.clone(), until));
        Ok(authorization)
    }

    fn during(&self, error: Error, call: &Call) -> Error {
        Err::<(), _>(error)
            .doing(|| format!("cannot log in at {} for {}", self.host, call.thing()))
            .expect_err("it was an error")
    }

    fn realm(&self, host: &Host, realm: &str) -> Result<Url> {
        let thing = || format!("token server `{}` of {}", shown(realm.as_bytes()), self.host);
        let url =
            host.registry().url().join(realm).map_err(|err| Error::invalid(thing(), err.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Error::invalid(thing(), "is not an address of HTTP"));
        }
        if !host.may_be_told(&url) {
            return Err(Error::invalid(thing(), "would hear our password over plain HTTP"));
        }
        Ok(url)
    }

    fn credential(&self, host: &Host, call: &Call) -> Result<Option<Credential>> {
        if let Some(known) = self.state().credentials.get(&call.repository) {
            return Ok(known.clone());
        }
        // A credential helper is another process; it is asked outside of the lock, off the sockets.
        let find = || host.settings.credentials.find(&self.host, &call.repository);
        let found = tokio::task::block_in_place(find)?;
        self.state().credentials.insert(call.repository.clone(), found.clone());
        Ok(found)
    }

    fn slot(&self, scopes: &Scopes) -> Arc<AsyncMutex<Slot>> {
        self.state().tokens.entry(scopes.clone()).or_default().clone()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no holder panics")
    }
}

async fn fetch_token(
    host: &Host,
    realm: &Url,
    service: Option<&str>,
    scopes: &Scopes,
    credential: Option<&Credential>,
) -> Result<Token, Failure> {
    let name = shown(realm.host_str().unwrap_or_default().as_bytes());
    let new = |method, url| Call::new(method, url, "token of", &name);
    let (call, authorization) = match credential {
        None => (new(Method::GET, token::query(realm, service, scopes, None)), None),
        Some(Credential::Password { user, password }) => (
            new(Method::GET, token::query(realm, service, scopes, Some(user))),
            Some(Authorization::basic(user, password)?),
        ),
        Some(Credential::IdentityToken(identity)) => {
            let form = token::form(service, scopes, identity);
            let call = new(Method::POST, realm.clone()).body(form.into());
            (call.header(CONTENT_TYPE, "application/x-www-form-urlencoded"), None)
        }
    };
    let response = host.follow(&call, authorization.as_ref()).await?;
    let thing = call.thing();
    let answer = Answer::read(response, &thing, token::ANSWER_BYTES_MAX, host.settings.stall_timeout).await?;
    if is_busy(answer.status) {
        return Err(answer.busy(&call));
    }
    if !answer.status.is_success() {
        // RFC 6749, section 5.2: a refresh token that is no good is answered with 400.
        return Err(match answer.refusal(&call) {
            Error::Server { thing, status: 400, words } => Error::Denied { thing, words },
            error => error,
        }
        .into());
    }
    Ok(Token::parse(&thing, &answer.body)?)
}
