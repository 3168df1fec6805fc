//! HTTP clients by what they take for proof of a server, and show of ourselves.

use crate::error::Error;
use crate::error::Result;
use crate::remote::Settings;
use crate::remote::call::causes;
use crate::remote::endpoint::Endpoint;
use crate::remote::trust::Anyone;
use crate::remote::trust::Trust;
use crate::wire::location::is_loopback;
use reqwest::Client;
use reqwest::redirect::Policy;
use rustls::ClientConfig;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use std::collections::HashMap;
use std::sync::Arc;
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
        // Redirects are followed by `Host`, which knows who may see the authorization.
        let mut builder = Client::builder()
            .user_agent(&self.user_agent)
            .redirect(Policy::none())
            .referer(false)
            .connect_timeout(self.connect_timeout)
            .pool_idle_timeout(IDLE)
            .http1_only()
            .tls_backend_preconfigured(configuration(endpoint)?);
        if is_local {
            // A proxy's localhost is not ours; Go and curl leave it out too.
            builder = builder.no_proxy();
        }
        builder.build().map_err(|err| causes(&err))
    }
}

fn configuration(endpoint: &Endpoint) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let trust: Arc<dyn ServerCertVerifier> = match endpoint.insecure {
        true => Arc::new(Anyone::new(&provider)),
        false => {
            let mut authorities = Vec::new();
            for pem in &endpoint.ca {
                authorities.extend(certificates(pem)?);
            }
            Arc::new(Trust::new(authorities, provider.clone()).map_err(|err| err.to_string())?)
        }
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|err| err.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(trust);
    let mut configuration = match &endpoint.client {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let key = PrivateKeyDer::from_pem_slice(key).map_err(|err| format!("our key: {err}"))?;
            builder.with_client_auth_cert(certificates(certificate)?, key).map_err(|err| err.to_string())?
        }
    };
    configuration.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(configuration)
}

/// All certificates of a PEM file, of which there must be one at least.
fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|err| format!("a certificate is not PEM: {err}"))?;
    if found.is_empty() { Err("a file has no PEM certificate in it".into()) } else { Ok(found) }
}
