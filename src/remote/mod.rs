//! The registry client: manifests and blobs over HTTP, for a caller who knows of neither sockets nor
//! async.
//!
//! ```text
//! Remote ── Repository ── RegistrySource   oci::Source: what `import` reads from
//!               │    └─── RegistrySink     oci::Sink: what `export` writes to
//!             Place                        one repository at one address: mirrors, then the host itself
//!               │
//!             Host                         auth, redirects, retries: one call in, one answer out
//! ```
//!
//! Everything seen from outside blocks, and may be called from any thread that is not itself
//! driving async work; the runtime below has two threads of its own. What is promised:
//!
//! - A credential or a token goes to the registry that it is for, to the token server that this
//!   registry names, and to nobody a redirect names; over plain HTTP only where the endpoint is
//!   insecure or this machine itself.
//! - Manifests are held to their digest here. Blobs are held to their size; whoever reads them
//!   wraps them in a [`crate::oci::digest::Verifier`].
//! - A body is streamed or bounded, a server that falls silent is given up, and what may be asked
//!   again is, with pauses that grow.
//! - Every connection carries one transfer at a time (HTTP/1.1): layers that wait to be read must not
//!   hold back the one that is being read, as they would on a shared HTTP/2 connection.

mod auth;
mod call;
mod catalog;
pub mod config;
mod download;
pub mod endpoint;
pub mod engine;
mod feed;
mod host;
mod manifest;
pub mod outside;
mod pages;
mod referrers;
pub mod repository;
mod retry;
mod runtime;
pub mod sink;
pub mod source;
mod tls;
mod trust;
mod upload;
mod warnings;

use crate::error::Result;
use crate::oci::name::ImageName;
use crate::remote::endpoint::Always;
use crate::remote::endpoint::Anonymous;
use crate::remote::endpoint::Credential;
use crate::remote::endpoint::Credentials;
use crate::remote::endpoint::Direct;
use crate::remote::endpoint::Endpoint;
use crate::remote::endpoint::Endpoints;
use crate::remote::host::Host;
use crate::remote::repository::Place;
use crate::remote::repository::Repository;
use crate::remote::runtime::Runtime;
use crate::remote::tls::Clients;
use crate::remote::warnings::Warnings;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

pub use crate::wire::reference::Reference;

#[derive(Clone)]
pub struct Settings {
    /// How often a failed request is made again, besides the first time.
    pub retry_times: u32,
    /// The pause between two tries; `None` lets it grow, with chance in it.
    pub retry_delay: Option<Duration>,
    pub connect_timeout: Duration,
    /// How long a server may be silent in the middle of a transfer.
    pub stall_timeout: Duration,
    pub user_agent: String,
    pub credentials: Arc<dyn Credentials>,
    pub endpoints: Arc<dyn Endpoints>,
}

impl Default for Settings {
    /// Nobody in particular, at the hosts that the names say, by TLS.
    fn default() -> Settings {
        Settings {
            retry_times: 3,
            retry_delay: None,
            connect_timeout: Duration::from_secs(15),
            stall_timeout: Duration::from_secs(60),
            user_agent: concat!("imgit/", env!("CARGO_PKG_VERSION")).to_owned(),
            credentials: Arc::new(Anonymous),
            endpoints: Arc::new(Direct),
        }
    }
}

/// All registries. A clone is the same client: it shares connections, tokens and what it learned.
#[derive(Clone)]
pub struct Remote {
    shared: Arc<Shared>,
}

/// What every repository of one [`Remote`] has in common.
struct Shared {
    settings: Arc<Settings>,
    runtime: Arc<Runtime>,
    clients: Clients,
    hosts: Mutex<HashMap<Endpoint, Arc<Host>>>,
    warnings: Arc<Warnings>,
}

impl Remote {
    pub fn new(settings: Settings) -> Result<Remote> {
        Ok(Remote {
            shared: Arc::new(Shared {
                clients: Clients::new(&settings),
                settings: Arc::new(settings),
                runtime: Arc::new(Runtime::start()?),
                hosts: Mutex::default(),
                warnings: Arc::default(),
            }),
        })
    }

    /// The repository that `name` is in; its tag and digest are not looked at. Asks nobody.
    pub fn repository(&self, name: &ImageName) -> Result<Repository> {
        name.check_for_registry()?;
        let endpoints = self.shared.settings.endpoints.of(name)?;
        let places = endpoints.into_iter().map(|endpoint| self.place(endpoint)).collect::<Result<_>>()?;
        Repository::new(self.shared.runtime.clone(), name, places)
    }

    /// The repository that `name` is pushed to.
    pub fn destination(&self, name: &ImageName) -> Result<Repository> {
        name.check_for_registry()?;
        let place = self.place(self.shared.settings.endpoints.destination(name)?)?;
        Repository::new(self.shared.runtime.clone(), name, vec![place])
    }

    /// Checks who we are at a host, or would be with `credential`.
    ///
    /// A registry that asks nobody takes anything. Nothing of it is remembered.
    pub fn login(&self, host: &str, credential: &Credential) -> Result<()> {
        let endpoint = self.shared.settings.endpoints.at(host)?;
        let settings = Settings {
            credentials: Arc::new(Always(credential.clone())),
            ..Settings::clone(&self.shared.settings)
        };
        let client = self.shared.clients.get(&endpoint)?;
        let host = Host::new(&endpoint, client, Arc::new(settings), self.shared.warnings.clone())?;
        self.shared.runtime.run(catalog::ping(&host))
    }

    /// All repositories of a registry, as far as it tells: Docker Hub and others do not.
    pub fn repositories(&self, host: &str) -> Result<Vec<String>> {
        let host = self.host(self.shared.settings.endpoints.at(host)?)?;
        self.shared.runtime.run(catalog::repositories(&host))
    }

    /// What servers have warned of since this was last asked, each text once, with their names.
    pub fn take_warnings(&self) -> Vec<String> {
        self.shared.warnings.take()
    }

    /// Ends all that runs and all that is yet to be asked with [`crate::error::Error::Interrupted`].
    pub fn interrupt(&self) {
        self.shared.runtime.interrupt();
    }

    fn place(&self, endpoint: Endpoint) -> Result<Place> {
        let (repository, is_mirror) = (endpoint.repository.clone(), endpoint.is_mirror);
        Ok(Place::new(self.host(endpoint)?, repository, is_mirror))
    }

    fn host(&self, endpoint: Endpoint) -> Result<Arc<Host>> {
        let key = Endpoint { repository: String::new(), is_mirror: false, ..endpoint };
        let mut hosts = self.shared.hosts.lock().expect("no holder panics");
        if let Some(host) = hosts.get(&key) {
            return Ok(host.clone());
        }
        let client = self.shared.clients.get(&key)?;
        let shared = &self.shared;
        let host = Arc::new(Host::new(&key, client, shared.settings.clone(), shared.warnings.clone())?);
        hosts.insert(key, host.clone());
        Ok(host)
    }
}
