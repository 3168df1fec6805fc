//! The options of every verb that speaks to a registry, and the client they make.

use super::secret;
use crate::error::Error;
use crate::error::Result;
use crate::oci::location::Location;
use crate::oci::name::ImageName;
use crate::oci::outside::Nowhere;
use crate::oci::outside::Outside;
use crate::remote::Remote;
use crate::remote::Settings;
use crate::remote::config::auth::Auth;
use crate::remote::config::auth::Given;
use crate::remote::config::certs::Certs;
use crate::remote::config::endpoints::Hosts;
use crate::remote::config::environment::Environment;
use crate::remote::config::registries::Registries;
use crate::remote::endpoint::Credential;
use crate::remote::endpoint::Credentials;
use crate::remote::engine::Engine;
use crate::remote::engine::address::Address;
use crate::remote::outside::Daemon;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// As skopeo and podman spell them.
#[derive(clap::Args)]
#[command(next_help_heading = "Registries")]
pub struct RegistryArgs {
    /// Where credentials are [default: as podman and docker keep them]
    #[arg(long, value_name = "PATH", env = "REGISTRY_AUTH_FILE", hide_env = true)]
    authfile: Option<PathBuf>,
    /// Credentials for this command alone; without a password it is read from standard input
    #[arg(long, value_name = "USER[:PASSWORD]")]
    creds: Option<String>,
    /// Refuse plain HTTP and certificates that nobody vouches for [default: true]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    tls_verify: Option<bool>,
    /// CAs (*.crt) and client certificates (*.cert, *.key) for the registry
    #[arg(long, value_name = "DIR")]
    cert_dir: Option<PathBuf>,
    /// How often a request is repeated that failed for no lasting reason
    #[arg(long, value_name = "N", default_value_t = 3)]
    retry_times: u32,
    /// How long to wait before that [default: more each time]
    #[arg(long, value_name = "SECONDS")]
    retry_delay: Option<u64>,
}

impl RegistryArgs {
    /// The client with its configuration; nothing is asked yet. `host` is whom `--creds` are for.
    pub fn remote(&self, host: Option<&str>) -> Result<Remote> {
        let environment = Environment::of_process();
        let registries = Registries::load(&environment)?;
        let auth = self.auth_of(&environment, &registries);
        let credentials: Arc<dyn Credentials> = match (&self.creds, host) {
            (None, _) => Arc::new(auth),
            (Some(typed), Some(host)) => {
                let credential = credential(typed)?;
                Arc::new(Given { host: host.to_string(), credential, otherwise: auth })
            }
            (Some(_), None) => {
                return Err(Error::Usage("--creds are for one registry: use `imgit login`".into()));
            }
        };
        let certs = Certs::new(&environment, self.cert_dir.as_deref());
        Remote::new(Settings {
            retry_times: self.retry_times,
            retry_delay: self.retry_delay.map(Duration::from_secs),
            credentials,
            endpoints: Arc::new(Hosts { registries, certs, tls_verify: self.tls_verify }),
            ..Settings::default()
        })
    }

    /// The client for the registry that `name` is in.
    pub fn remote_of(&self, name: &ImageName) -> Result<Remote> {
        self.remote(Some(name.host_and_path().0))
    }

    /// Where logins are kept.
    pub fn auth(&self) -> Result<Auth> {
        let environment = Environment::of_process();
        let registries = Registries::load(&environment)?;
        Ok(self.auth_of(&environment, &registries))
    }

    fn auth_of(&self, environment: &Environment, registries: &Registries) -> Auth {
        Auth::new(environment, self.authfile.as_deref(), registries.credential_helpers())
    }

    /// Whoever opens `location`, if it is beyond this machine's files.
    pub fn outside(&self, location: &Location) -> Result<Arc<dyn Outside>> {
        Ok(match location {
            Location::Docker(name) => Arc::new(self.remote_of(name)?),
            Location::DockerDaemon(_) => {
                Arc::new(Daemon::new(Engine::at(&Address::find(&Environment::of_process())?)?))
            }
            _ => Arc::new(Nowhere),
        })
    }
}

/// `USER:PASSWORD`, or `USER` with the password on the first line of standard input.
fn credential(typed: &str) -> Result<Credential> {
    let (user, password) = match typed.split_once(':') {
        Some((user, password)) => (user.to_string(), password.to_string()),
        None => (typed.to_string(), secret::ask(&format!("Password of {typed}: "))?),
    };
    Ok(Credential::Password { user, password })
}

/// The same for each end of a copy, as skopeo spells them.
#[derive(clap::Args)]
#[command(next_help_heading = "Registries")]
pub struct BothRegistryArgs {
    /// Where credentials are [default: as podman and docker keep them]
    #[arg(long, value_name = "PATH", env = "REGISTRY_AUTH_FILE", hide_env = true)]
    authfile: Option<PathBuf>,
    /// The same, for the source alone
    #[arg(long, value_name = "PATH")]
    src_authfile: Option<PathBuf>,
    /// The same, for the destination alone
    #[arg(long, value_name = "PATH")]
    dest_authfile: Option<PathBuf>,
    /// Credentials for the source
    #[arg(long, value_name = "USER[:PASSWORD]")]
    src_creds: Option<String>,
    /// Credentials for the destination
    #[arg(long, value_name = "USER[:PASSWORD]")]
    dest_creds: Option<String>,
    /// Refuse plain HTTP and certificates that nobody vouches for, at the source [default: true]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    src_tls_verify: Option<bool>,
    /// The same at the destination [default: true]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    dest_tls_verify: Option<bool>,
    /// CAs (*.crt) and client certificates (*.cert, *.key) for the source
    #[arg(long, value_name = "DIR")]
    src_cert_dir: Option<PathBuf>,
    /// The same for the destination
    #[arg(long, value_name = "DIR")]
    dest_cert_dir: Option<PathBuf>,
    /// How often a request is repeated that failed for no lasting reason
    #[arg(long, value_name = "N", default_value_t = 3)]
    retry_times: u32,
    /// How long to wait before that [default: more each time]
    #[arg(long, value_name = "SECONDS")]
    retry_delay: Option<u64>,
}

impl BothRegistryArgs {
    pub fn source(&self) -> RegistryArgs {
        RegistryArgs {
            authfile: self.src_authfile.clone().or_else(|| self.authfile.clone()),
            creds: self.src_creds.clone(),
            tls_verify: self.src_tls_verify,
            cert_dir: self.src_cert_dir.clone(),
            retry_times: self.retry_times,
            retry_delay: self.retry_delay,
        }
    }

    pub fn dest(&self) -> RegistryArgs {
        RegistryArgs {
            authfile: self.dest_authfile.clone().or_else(|| self.authfile.clone()),
            creds: self.dest_creds.clone(),
            tls_verify: self.dest_tls_verify,
            cert_dir: self.dest_cert_dir.clone(),
            retry_times: self.retry_times,
            retry_delay: self.retry_delay,
        }
    }
}
