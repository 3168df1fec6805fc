//! What the client must be told: where a name's repository really is, and who we are there.

use crate::error::Result;
use crate::oci::name::ImageName;
use std::fmt;

/// Who we are at a host. Asked once for each repository, and only when a server wants to know.
pub trait Credentials: Send + Sync {
    /// `host` is as names have it: `docker.io`, `localhost:5000`.
    fn find(&self, host: &str, repository: &str) -> Result<Option<Credential>>;
}

#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Credential {
    Password {
        user: String,
        password: String,
    },
    /// An OAuth2 refresh token, exchanged at the token server only.
    IdentityToken(String),
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Credential::Password { user, .. } => write!(f, "Password {{ user: {user:?}, .. }}"),
            Credential::IdentityToken(_) => f.write_str("IdentityToken(..)"),
        }
    }
}

/// Where a name's repository really is.
pub trait Endpoints: Send + Sync {
    /// Mirrors in the order they are asked, then the host itself.
    fn of(&self, name: &ImageName) -> Result<Vec<Endpoint>>;

    /// Where it is pushed to: mirrors and what is rewritten are for reading.
    fn destination(&self, name: &ImageName) -> Result<Endpoint> {
        let (host, path) = name.host_and_path();
        Ok(Endpoint::new(host, path))
    }

    /// The registry itself, for what is not about a repository; [`Endpoint::repository`] is empty.
    fn at(&self, host: &str) -> Result<Endpoint> {
        Ok(Endpoint::new(host, ""))
    }
}

#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// `host[:port]`; `docker.io` stands for where Docker Hub really is.
    pub host: String,
    /// The path at that host, which a mirror may have changed.
    pub repository: String,
    /// TLS is tried first, but neither it nor its certificates are insisted on. A host that is this
    /// machine itself (`localhost`, 127/8, `[::1]`) and has no `ca` counts as insecure, as in Docker.
    pub insecure: bool,
    /// More certificate authorities, PEM.
    pub ca: Vec<Vec<u8>>,
    /// Our certificate and its key, PEM.
    pub client: Option<(Vec<u8>, Vec<u8>)>,
    pub is_mirror: bool,
}

impl Endpoint {
    /// By TLS, with the certificate authorities of this machine.
    pub fn new(host: impl Into<String>, repository: impl Into<String>) -> Endpoint {
        Endpoint {
            host: host.into(),
            repository: repository.into(),
            insecure: false,
            ca: Vec::new(),
            client: None,
            is_mirror: false,
        }
    }

    /// Says whether plain HTTP and TLS without a proof are good enough here.
    pub(super) fn is_lax(&self) -> bool {
        self.insecure || (self.ca.is_empty() && crate::wire::location::is_loopback(&self.host))
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({}/{}", self.host, self.repository)?;
        let flags = [("insecure", self.insecure), ("mirror", self.is_mirror)];
        flags.iter().filter(|(_, is)| *is).try_for_each(|(flag, _)| write!(f, ", {flag}"))?;
        f.write_str(")")
    }
}

/// Nobody in particular, everywhere.
pub struct Anonymous;

impl Credentials for Anonymous {
    fn find(&self, _host: &str, _repository: &str) -> Result<Option<Credential>> {
        Ok(None)
    }
}

/// Every repository where its name says.
pub struct Direct;

impl Endpoints for Direct {
    fn of(&self, name: &ImageName) -> Result<Vec<Endpoint>> {
        let (host, path) = name.host_and_path();
        Ok(vec![Endpoint::new(host, path)])
    }
}

/// The same everywhere: a password that was just typed.
pub struct Always(pub Credential);

impl Credentials for Always {
    fn find(&self, _host: &str, _repository: &str) -> Result<Option<Credential>> {
        Ok(Some(self.0.clone()))
    }
}
