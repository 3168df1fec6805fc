//! HTTP clients by what they take for proof of a server, and show of ourselves.

use crate::error::Error;
use crate::error::Result;
use crate::remote::Settings;
use crate::remote::endpoint::Endpoint;
use crate::wire::location::is_loopback;
use reqwest::Certificate;
use reqwest::Client;
use reqwest::Identity;
use reqwest::redirect::Policy;
use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

/// Connections wait this long for the next request.
const IDLE: Duration = Duration::from_secs(60);

/// Reading the machine's certificates takes milliseconds, so equal endpoints share a client.
pub struct Clients {
    connect_timeout: Duration,
    user_agent: String,
    made: Mutex<HashMap<Endpoint, Client>>,
}

impl Clients {
    pub fn new(settings: &Settings) -> Clients {
        // Who has chosen another provider for the whole process keeps it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Clients {
            connect_timeout: settings.connect_timeout,
            user_agent: settings.user_agent.clone(),
            made: Mutex::default(),
        }
    }

    pub fn get(&self, endpoint: &Endpoint) -> Result<Client> {
        let is_local = is_loopback(&endpoint.host);
        let key = Endpoint {
            host: if is_local { "localhost".into() } else { String::new() },
            repository: String::new(),
            insecure: endpoint.is_lax(),
            is_mirror: false,
            ..endpoint.clone()
        };
        let mut made = self.made.lock().expect("no holder panics");
        if let Some(client) = made.get(&key) {
            return Ok(client.clone());
        }
        let client = self
            .make(&key, is_local)
            .map_err(|problem| Error::invalid(format!("the certificates for {}", endpoint.host), problem))?;
        made.insert(key, client.clone());
        Ok(client)
    }

    fn make(&self, endpoint: &Endpoint, is_local: bool) -> Result<Client, String> {
        let said = |err: reqwest::Error| crate::remote::call::causes(&err);
        // Redirects are followed by `Host`, which knows who may see the authorization.
        let mut builder = Client::builder()
            .user_agent(&self.user_agent)
            .redirect(Policy::none())
            .referer(false)
            .connect_timeout(self.connect_timeout)
            .pool_idle_timeout(IDLE)
            .http1_only();
        if is_local {
            // A proxy's localhost is not ours; Go and curl leave it out too.
            builder = builder.no_proxy();
        }
        if endpoint.insecure {
            builder = builder.tls_danger_accept_invalid_certs(true);
        }
        let mut extra = Vec::new();
        for pem in &endpoint.ca {
            extra.extend(Certificate::from_pem_bundle(pem).map_err(said)?);
        }
        builder = builder.tls_certs_merge(extra);
        if let Some((certificate, key)) = &endpoint.client {
            let both = [certificate.as_slice(), b"\n", key.as_slice()].concat();
            builder = builder.identity(Identity::from_pem(&both).map_err(said)?);
        }
        builder.build().map_err(said)
    }
}
