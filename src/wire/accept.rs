//! Which manifests are asked for, and what of an answer's `Content-Type` is believed.

use crate::error::Error;
use crate::error::Result;
use crate::oci::json;
use crate::oci::media_type::DOCKER_LIST;
use crate::oci::media_type::DOCKER_MANIFEST;
use crate::oci::media_type::MediaType;
use serde::Deserialize;

pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// One value a line of the list, as Docker sends them; a server that knows none of them may send
/// schema 1, which is refused by whoever reads it.
pub const MANIFESTS: [&str; 4] = [OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST];

/// Types that say nothing: a static file server, or a proxy, has no idea what a manifest is.
const MEANINGLESS: [&str; 4] = ["", "application/json", "application/octet-stream", "text/plain"];

/// Says what a manifest is: its own `mediaType`, or the answer's `Content-Type` where it has none.
///
/// OCI distribution-spec, "Pulling manifests": the two should match, and a mismatch is refused, for
/// two readers could take the same digest for two things (CVE-2021-41190).
pub fn manifest_type(thing: &str, content_type: &str, bytes: &[u8]) -> Result<MediaType> {
    #[derive(Deserialize)]
    struct Own {
        #[serde(default, rename = "mediaType", deserialize_with = "json::null_is_default")]
        media_type: MediaType,
    }
    let own: Own = json::parse(thing, bytes, json::MANIFEST_BYTES_MAX)?;
    let said = MediaType::new(content_type);
    let is_meaningless = MEANINGLESS.contains(&said.bare().to_ascii_lowercase().as_str());
    match (own.media_type.is_empty(), is_meaningless) {
        (true, true) => Ok(MediaType::default()),
        (true, false) => Ok(MediaType::new(said.bare())),
        (false, true) => Ok(own.media_type),
        (false, false) if said.bare() == own.media_type.bare() => Ok(own.media_type),
        (false, false) => Err(Error::Mismatch {
            thing: format!("media type of {thing}"),
            expected: format!("{} as it calls itself", own.media_type),
            found: format!("{said} as the server calls it"),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(content_type: &str, own: &str, outcome: &str) {
        let json = match own {
            "" => "{}".to_owned(),
            own => format!(r#"{{"mediaType":"{own}"}}"#),
        };
        let found = match manifest_type("manifest", content_type, json.as_bytes()) {
            Ok(media_type) => media_type.as_str().to_owned(),
            Err(err) => err.to_string(),
        };
        assert!(found.contains(outcome) && found.is_empty() == outcome.is_empty(), "{found}");
    }

    #[test]
    fn a_manifest_and_its_server_must_agree() {
        check(OCI_MANIFEST, OCI_MANIFEST, OCI_MANIFEST);
        check("application/vnd.oci.image.manifest.v1+json; charset=utf-8", OCI_MANIFEST, OCI_MANIFEST);
        check(OCI_INDEX, "", OCI_INDEX);
        check("application/octet-stream", OCI_INDEX, OCI_INDEX);
        check("", DOCKER_LIST, DOCKER_LIST);
        check("", "", "");
        check(OCI_INDEX, OCI_MANIFEST, "as the server calls it");
        check("text/html", OCI_MANIFEST, "text/html");
    }

    #[test]
    fn what_is_not_json_is_no_manifest() {
        assert!(manifest_type("manifest", OCI_INDEX, b"<html>").is_err());
    }
}
