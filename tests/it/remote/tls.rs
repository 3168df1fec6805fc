//! TLS: who is believed, and what we show of ourselves.

use super::*;
use crate::support::registry::Certificates;
use crate::support::registry::Options;
use imgit::remote::endpoint::Endpoint;
use imgit::remote::endpoint::Endpoints;
use std::sync::Arc;

/// Every repository where its name says, with these certificates.
struct With(fn(&mut Endpoint, &Known), Known);

#[derive(Default)]
struct Known {
    ca: Vec<u8>,
    client: (Vec<u8>, Vec<u8>),
}

impl Endpoints for With {
    fn of(&self, name: &ImageName) -> Result<Vec<Endpoint>> {
        let (host, path) = name.host_and_path();
        let mut endpoint = Endpoint::new(host, path);
        (self.0)(&mut endpoint, &self.1);
        Ok(vec![endpoint])
    }
}

fn check(registry: &Registry, known: Known, change: fn(&mut Endpoint, &Known)) -> Result<bool> {
    let settings = Settings { endpoints: Arc::new(With(change, known)), ..quick() };
    repository(settings, &registry.name("web")).has_blob(&Descriptor::of(OCTETS, b"none"))
}

fn assert_refused(outcome: Result<bool>, words: &str) {
    let err = outcome.unwrap_err();
    assert!(matches!(err, Error::Network { .. }), "{err:?}");
    let cause = std::error::Error::source(&err).unwrap().to_string();
    assert!(cause.contains(words), "{cause}");
}

#[test]
fn a_server_is_believed_by_its_authority() {
    let certificates = Certificates::make();
    let (ca, ca_twice) = (certificates.read("ca.crt"), certificates.read("ca.crt"));
    let registry = Registry::with(Options { tls: Some(certificates), ..Options::default() });
    let trusting: fn(&mut Endpoint, &Known) = |endpoint, known| endpoint.ca.push(known.ca.clone());
    assert!(!check(&registry, Known { ca, ..Known::default() }, trusting).unwrap());

    let other = Certificates::make().read("ca.crt");
    let refused = check(&registry, Known { ca: other, ..Known::default() }, trusting);
    assert_refused(refused, "invalid peer certificate");
    let refused = check(&registry, Known { ca: ca_twice, ..Known::default() }, |endpoint, known| {
        // The right authority, and a name that the certificate does not have.
        endpoint.host = endpoint.host.replace("127.0.0.1", "localhost");
        endpoint.ca.push(known.ca.clone());
    });
    assert_refused(refused, "not valid for name");
    // As in Docker, this machine itself needs no proof, nor does what is said to be insecure.
    assert!(!check(&registry, Known::default(), |_, _| ()).unwrap());
    let insecure = check(&registry, Known { ca: b"".into(), ..Known::default() }, |endpoint, _| {
        endpoint.insecure = true;
    });
    assert!(!insecure.unwrap());
}

#[test]
fn what_is_to_be_proven_is_not_asked_in_the_clear() {
    let registry = Registry::start();
    let known = Known { ca: Certificates::make().read("ca.crt"), ..Known::default() };
    let refused = check(&registry, known, |endpoint, known| endpoint.ca.push(known.ca.clone()));
    assert_refused(refused, "InvalidContentType");
}

#[test]
fn a_certificate_may_be_its_own_authority() {
    let certificates = Certificates::make_self_signed();
    let ca = certificates.read("server.crt");
    let registry = Registry::with(Options { tls: Some(certificates), ..Options::default() });
    let trusting: fn(&mut Endpoint, &Known) = |endpoint, known| endpoint.ca.push(known.ca.clone());
    assert!(!check(&registry, Known { ca, ..Known::default() }, trusting).unwrap());
    let other = Certificates::make_self_signed().read("server.crt");
    assert_refused(check(&registry, Known { ca: other, ..Known::default() }, trusting), "certificate");
}

#[test]
fn a_client_shows_its_certificate() {
    let certificates = Certificates::make().asked_of_clients();
    let ca = certificates.read("ca.crt");
    let client = (certificates.read("client.crt"), certificates.read("client.key"));
    let registry = Registry::with(Options { tls: Some(certificates), ..Options::default() });
    let known = Known { ca: ca.clone(), client };
    let shown = check(&registry, known, |endpoint, known| {
        endpoint.ca.push(known.ca.clone());
        endpoint.client = Some(known.client.clone());
    });
    assert!(!shown.unwrap());
    let trusting: fn(&mut Endpoint, &Known) = |endpoint, known| endpoint.ca.push(known.ca.clone());
    assert_refused(check(&registry, Known { ca, ..Known::default() }, trusting), "");
}

#[test]
fn files_that_are_no_certificates_are_named() {
    for (ca, words) in [("", "no PEM certificate"), ("-----BEGIN CERTIFICATE-----\n!", "not PEM")] {
        let known = Known { ca: ca.into(), ..Known::default() };
        let endpoints = Arc::new(With(|endpoint, known| endpoint.ca.push(known.ca.clone()), known));
        let remote = Remote::new(Settings { endpoints, ..quick() }).unwrap();
        let err = remote.repository(&ImageName::parse("example.com/web").unwrap()).err().unwrap();
        let text = err.to_string();
        assert!(text.starts_with("the certificates for example.com: ") && text.contains(words), "{text}");
    }
}
