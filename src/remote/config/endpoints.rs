//! Where an image may be had, with all that a connection needs.

use crate::error::Result;
use crate::oci::name::ImageName;
use crate::remote::config::certs::Certs;
use crate::remote::config::registries::Registries;
use crate::remote::config::registries::Source;
use crate::remote::endpoint::Endpoint;
use crate::remote::endpoint::Endpoints;

/// registries.conf and certs.d together.
pub struct Hosts {
    pub registries: Registries,
    pub certs: Certs,
    /// `--tls-verify`: outranks `insecure`, either way, for every host.
    pub tls_verify: Option<bool>,
}

impl Hosts {
    fn endpoint(&self, source: Source) -> Result<Endpoint> {
        let certs = self.certs.of(&source.host)?;
        Ok(Endpoint {
            insecure: self.tls_verify.map_or(source.insecure, |verify| !verify),
            host: source.host,
            repository: source.repository,
            ca: certs.ca,
            client: certs.client,
            is_mirror: source.is_mirror,
        })
    }
}

impl Endpoints for Hosts {
    fn of(&self, name: &ImageName) -> Result<Vec<Endpoint>> {
        self.registries.sources(name)?.into_iter().map(|source| self.endpoint(source)).collect()
    }

    fn destination(&self, name: &ImageName) -> Result<Endpoint> {
        self.endpoint(self.registries.destination(name)?)
    }

    fn at(&self, host: &str) -> Result<Endpoint> {
        self.endpoint(self.registries.host(host)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::config::testing::World;

    #[test]
    fn certificates_and_verification_go_with_the_host_that_is_asked() {
        let cert = "-----BEGIN CERTIFICATE-----\n";
        let world = World::with(&[
            ("etc/containers/certs.d/mirror.io:5000/ca.crt", cert),
            (
                "etc/containers/registries.conf",
                "[[registry]]\nlocation = 'a.io'\ninsecure = true\n\
                 [[registry.mirror]]\nlocation = 'mirror.io:5000/a'\n",
            ),
        ]);
        let environment = world.environment();
        let check = |tls_verify, expected: &[(&str, bool, usize, bool)]| {
            let registries = Registries::load(&environment).unwrap();
            let hosts = Hosts { registries, certs: Certs::new(&environment, None), tls_verify };
            let endpoints = hosts.of(&ImageName::parse("a.io/x:1").unwrap()).unwrap();
            let found: Vec<_> = endpoints
                .iter()
                .map(|at| (format!("{}/{}", at.host, at.repository), at.insecure, at.ca.len(), at.is_mirror))
                .collect();
            let expected: Vec<_> = expected
                .iter()
                .map(|&(at, insecure, ca, mirror)| (at.to_owned(), insecure, ca, mirror))
                .collect();
            assert_eq!(found, expected);
            hosts.destination(&ImageName::parse("a.io/x:1").unwrap()).unwrap()
        };
        let push = check(None, &[("mirror.io:5000/a/x", false, 1, true), ("a.io/x", true, 0, false)]);
        assert_eq!((&push.host[..], &push.repository[..], push.insecure), ("a.io", "x", true));
        let registries = Registries::load(&environment).unwrap();
        let hosts = Hosts { registries, certs: Certs::new(&environment, None), tls_verify: None };
        let at =
            |host: &str| hosts.at(host).map(|at| (at.host, at.repository, at.insecure, at.ca.len())).unwrap();
        assert_eq!(at("a.io"), ("a.io".to_owned(), String::new(), true, 0));
        assert_eq!(at("mirror.io:5000"), ("mirror.io:5000".to_owned(), String::new(), false, 1));
        check(Some(true), &[("mirror.io:5000/a/x", false, 1, true), ("a.io/x", false, 0, false)]);
        check(Some(false), &[("mirror.io:5000/a/x", true, 1, true), ("a.io/x", true, 0, false)]);
    }
}
