//! `Location`: where an upload goes on, or where a thing has moved to.
//!
//! OCI distribution-spec: it is used as given, relative or absolute, its query kept; never built.

use crate::error::Error;
use crate::error::Result;
use crate::oci::digest::Digest;
use crate::path::shown;
use url::Url;

/// Resolves a `Location` or a `Link` against the address that it came from.
///
/// A registry behind a proxy that speaks TLS for it may not know of that and name itself with
/// `http`: on the same host we stay with TLS.
pub fn resolve(base: &Url, location: &str) -> Result<Url> {
    let refuse =
        |problem: &str| Error::invalid(format!("location `{}`", shown(location.as_bytes())), problem);
    let mut url = base.join(location.trim()).map_err(|err| refuse(&err.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(refuse("is not an address of HTTP"));
    }
    if base.scheme() == "https"
        && url.scheme() == "http"
        && url.host_str() == base.host_str()
        && (url.port().is_none() || url.port() == base.port())
    {
        url.set_scheme("https").map_err(|()| refuse("cannot be an address of HTTPS"))?;
    }
    // Names and passwords in an address would be sent as if they were ours.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_fragment(None);
    Ok(url)
}

/// The address that closes an upload.
pub fn closing(location: &Url, digest: &Digest) -> Url {
    let mut url = location.clone();
    url.query_pairs_mut().append_pair("digest", digest.as_str());
    url
}

/// Says whether both are the same scheme, host and port: what belongs to one belongs to the other.
pub fn same_origin(one: &Url, other: &Url) -> bool {
    one.origin() == other.origin()
}

/// Says whether `host[:port]` is this machine itself, where Docker allows plain HTTP.
pub fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => name,
        _ => host,
    };
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    bare.eq_ignore_ascii_case("localhost")
        || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(base: &str, location: &str, expected: &str) {
        let found = match resolve(&Url::parse(base).unwrap(), location) {
            Ok(url) => url.to_string(),
            Err(err) => err.to_string(),
        };
        assert!(found == expected || (found.contains(expected) && found.contains("location `")), "{found}");
    }

    #[test]
    fn locations_are_used_as_given() {
        let base = "https://h:5000/v2/a/blobs/uploads/";
        check(base, "/v2/a/blobs/uploads/1?_state=x%3D", "https://h:5000/v2/a/blobs/uploads/1?_state=x%3D");
        check(base, "1?s=2", "https://h:5000/v2/a/blobs/uploads/1?s=2");
        check(base, "https://other/x?y#z", "https://other/x?y");
        check(base, "//other/x", "https://other/x");
        check(base, "http://h:5000/x", "https://h:5000/x");
        check(base, "http://other/x", "http://other/x");
        check(base, "https://user:secret@h:5000/x", "https://h:5000/x");
        check("http://h/v2/", "https://h/x", "https://h/x");
        check(base, "file:///etc/passwd", "is not an address of HTTP");
        check(base, "http://[", "location `http://[`");
    }

    #[test]
    fn the_digest_joins_the_query() {
        let digest = Digest::parse("sha256+b64u:LCa0a2j_xo_5m0U8HTBBNBNCLXBkg7-g-YpeiGJm564").unwrap();
        let closed = closing(&Url::parse("https://h/u?_state=a%2Bb").unwrap(), &digest).to_string();
        assert_eq!(
            closed,
            "https://h/u?_state=a%2Bb&digest=sha256%2Bb64u%3ALCa0a2j_xo_5m0U8HTBBNBNCLXBkg7-g-YpeiGJm564"
        );
    }

    #[test]
    fn this_machine_itself() {
        for yes in ["localhost", "localhost:5000", "127.0.0.1", "127.8.9.1:80", "[::1]:5000", "[::1]"] {
            assert!(is_loopback(yes), "{yes}");
        }
        for no in ["localhost.example.com", "128.0.0.1", "example.com:127", "[::2]", "127.0.0.1.x:1"] {
            assert!(!is_loopback(no), "{no}");
        }
    }
}
