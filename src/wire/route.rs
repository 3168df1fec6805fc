//! The endpoints of a registry: OCI distribution-spec, "Endpoints", and Docker's catalog.
//!
//! Names and tags are checked before they come here, so none of them needs escaping in a path; a
//! digest in a query does, for it may hold a `+`.

use crate::error::Error;
use crate::error::Result;
use crate::oci::digest::Digest;
use crate::path::shown;
use crate::wire::reference::Reference;
use url::Url;

/// As many names in one page as servers are asked for; they may send fewer.
const PAGE: &str = "1000";
/// The name of Docker Hub, and where it really is.
pub const DOCKER_HUB: &str = "docker.io";
const DOCKER_HUB_ADDRESS: &str = "registry-1.docker.io";

/// One registry: `https://host[:port]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registry(Url);

impl Registry {
    /// `host` as an image name has it; `docker.io` is a name that no registry listens at.
    pub fn new(scheme: &str, host: &str) -> Result<Registry> {
        let address = if host == DOCKER_HUB { DOCKER_HUB_ADDRESS } else { host };
        let thing = || format!("registry `{}`", shown(host.as_bytes()));
        let url = Url::parse(&format!("{scheme}://{address}/"))
            .map_err(|err| Error::invalid(thing(), err.to_string()))?;
        if url.host_str().is_none()
            || url.as_str().trim_end_matches('/').contains(['@', '?', '#'])
            || url.path() != "/"
        {
            return Err(Error::invalid(thing(), "is not HOST[:PORT]"));
        }
        Ok(Registry(url))
    }

    pub fn url(&self) -> &Url {
        &self.0
    }

    fn at(&self, path: &str) -> Url {
        let mut url = self.0.clone();
        url.set_path(path);
        url
    }

    pub fn ping(&self) -> Url {
        self.at("/v2/")
    }

    pub fn manifest(&self, repository: &str, reference: &Reference) -> Url {
        self.at(&format!("/v2/{repository}/manifests/{reference}"))
    }

    pub fn blob(&self, repository: &str, digest: &Digest) -> Url {
        self.at(&format!("/v2/{repository}/blobs/{digest}"))
    }

    pub fn uploads(&self, repository: &str) -> Url {
        self.at(&format!("/v2/{repository}/blobs/uploads/"))
    }

    /// Asks for a blob of the repository `from` to be shared with `repository`.
    pub fn mount(&self, repository: &str, digest: &Digest, from: &str) -> Url {
        let mut url = self.uploads(repository);
        url.query_pairs_mut().append_pair("mount", digest.as_str()).append_pair("from", from);
        url
    }

    pub fn tags(&self, repository: &str) -> Url {
        let mut url = self.at(&format!("/v2/{repository}/tags/list"));
        url.query_pairs_mut().append_pair("n", PAGE);
        url
    }

    pub fn catalog(&self) -> Url {
        let mut url = self.at("/v2/_catalog");
        url.query_pairs_mut().append_pair("n", PAGE);
        url
    }

    pub fn referrers(&self, repository: &str, digest: &Digest, artifact_type: Option<&str>) -> Url {
        let mut url = self.at(&format!("/v2/{repository}/referrers/{digest}"));
        if let Some(artifact_type) = artifact_type {
            url.query_pairs_mut().append_pair("artifactType", artifact_type);
        }
        url
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_endpoint() {
        let registry = Registry::new("http", "localhost:5000").unwrap();
        let digest = Digest::of(b"");
        let tag = Reference::tag("v1").unwrap();
        for (url, expected) in [
            (registry.ping(), "".to_owned()),
            (registry.manifest("a/b", &tag), "a/b/manifests/v1".into()),
            (registry.manifest("a/b", &Reference::from(&digest)), format!("a/b/manifests/{digest}")),
            (registry.blob("a/b", &digest), format!("a/b/blobs/{digest}")),
            (registry.uploads("a"), "a/blobs/uploads/".into()),
            (
                registry.mount("a", &digest, "b/c"),
                format!("a/blobs/uploads/?mount={}&from=b%2Fc", digest.as_str().replace(':', "%3A")),
            ),
            (registry.tags("a"), "a/tags/list?n=1000".into()),
            (registry.catalog(), "_catalog?n=1000".into()),
            (registry.referrers("a", &digest, None), format!("a/referrers/{digest}")),
            (
                registry.referrers("a", &digest, Some("application/x+json")),
                format!("a/referrers/{digest}?artifactType=application%2Fx%2Bjson"),
            ),
        ] {
            assert_eq!(url.as_str(), format!("http://localhost:5000/v2/{expected}"));
        }
    }

    #[test]
    fn docker_hub_is_elsewhere() {
        let hub = Registry::new("https", "docker.io").unwrap();
        assert_eq!(hub.ping().as_str(), "https://registry-1.docker.io/v2/");
        assert_eq!(Registry::new("https", "[::1]:5000").unwrap().ping().as_str(), "https://[::1]:5000/v2/");
    }

    #[test]
    fn a_host_is_nothing_more() {
        for bad in ["", "a/b", "a?b", "u@h", "h:99999", "a b", "h#f"] {
            assert!(Registry::new("https", bad).is_err(), "{bad}");
        }
    }
}
