//! What a client must be told before it asks a registry: where, and as whom.

use crate::error::Result;
use crate::oci::name::ImageName;
use std::fmt;

/// Finds what opens a registry.
pub trait Credentials: Send + Sync {
    /// `None` is to ask as nobody. `repository` is without host, tag and digest.
    fn find(&self, host: &str, repository: &str) -> Result<Option<Credential>>;
}

#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    Password { user: String, password: String },
    IdentityToken(String),
}

/// Shows no secret.
impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Credential::Password { user, .. } => f.debug_struct("Password").field("user", user).finish(),
            Credential::IdentityToken(_) => f.write_str("IdentityToken"),
        }
    }
}

/// Says where an image may be had.
pub trait Endpoints: Send + Sync {
    /// Mirrors first, then the host itself.
    fn of(&self, name: &ImageName) -> Result<Vec<Endpoint>>;
}

#[derive(Clone)]
pub struct Endpoint {
    pub host: String,
    pub repository: String,
    pub insecure: bool,
    pub ca: Vec<Vec<u8>>,
    pub client: Option<(Vec<u8>, Vec<u8>)>,
    pub is_mirror: bool,
}
