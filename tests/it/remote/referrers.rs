//! Signatures and SBOMs: by the referrers API, and by the tag that stands in for it. And deleting.

use super::*;
use crate::support::http::Server;
use imgit::wire::accept::OCI_INDEX;
use imgit::wire::accept::OCI_MANIFEST;
use serde_json::Value;
use serde_json::json;

const EMPTY: &str = "application/vnd.oci.empty.v1+json";

/// An artifact that refers to `subject`, and its exact bytes.
fn artifact(subject: &Descriptor, artifact_type: &str, note: &str) -> (Descriptor, Vec<u8>) {
    let empty = Descriptor::of(EMPTY, b"{}");
    let json = json!({
        "schemaVersion": 2, "mediaType": OCI_MANIFEST, "artifactType": artifact_type,
        "config": empty, "layers": [empty], "subject": subject, "annotations": { "note": note },
    });
    let bytes = json.to_string().into_bytes();
    (Descriptor::of(OCI_MANIFEST, &bytes), bytes)
}

fn push(name: &str, artifact: &(Descriptor, Vec<u8>)) {
    let sink = sink(quick(), name, &[]);
    sink.put_blob(&Descriptor::of(EMPTY, b"{}"), &mut &b"{}"[..]).unwrap();
    sink.put_blob(&artifact.0, &mut &artifact.1[..]).unwrap();
}

fn types(found: &[Descriptor]) -> Vec<&str> {
    found.iter().map(|found| found.artifact_type.as_ref().unwrap().as_str()).collect()
}

#[test]
fn a_registry_without_the_api_lists_referrers_under_a_tag() {
    let registry = Registry::start();
    registry.push("web-v1.oci:v1", "web:v1");
    let web = repository(quick(), &registry.name("web"));
    let subject = web.head(&tag("v1")).unwrap().unwrap();
    assert_eq!(web.referrers(&subject.digest, None).unwrap(), []);

    let signature = artifact(&subject, "application/vnd.acme.signature", "one");
    let sbom = artifact(&subject, "application/spdx+json", "two");
    for artifact in [&signature, &sbom, &signature] {
        push(&registry.name("web"), artifact);
    }
    let all = web.referrers(&subject.digest, None).unwrap();
    assert_eq!(types(&all), ["application/vnd.acme.signature", "application/spdx+json"]);
    assert_eq!(all[0].digest, signature.0.digest);
    assert_eq!(all[0].annotations["note"], "one");
    let sboms = web.referrers(&subject.digest, Some("application/spdx+json")).unwrap();
    assert_eq!(types(&sboms), ["application/spdx+json"]);

    // What others read: an index under the tag that the specification names.
    let listed = format!("web:sha256-{}", subject.digest.encoded());
    let index: Value = serde_json::from_slice(&registry.raw(&listed)).unwrap();
    assert_eq!(index["mediaType"], OCI_INDEX);
    assert_eq!(index["manifests"].as_array().unwrap().len(), 2);

    web.delete(&Reference::from(&signature.0.digest)).unwrap();
    assert_eq!(types(&web.referrers(&subject.digest, None).unwrap()), ["application/spdx+json"]);
    assert_eq!(web.head(&Reference::from(&signature.0.digest)).unwrap(), None);
}

#[test]
fn a_manifest_is_deleted_by_its_digest_and_a_tag_only_where_it_can_be() {
    let registry = Registry::start();
    registry.push("web-v1.oci:v1", "web:v1");
    let web = repository(quick(), &registry.name("web"));
    let image = web.head(&tag("v1")).unwrap().unwrap();
    // Docker's registry cannot delete a tag alone; the image with all its other tags stays.
    let err = web.delete(&tag("v1")).unwrap_err();
    assert!(matches!(err, Error::Server { status: 400 | 405, .. }), "{err:?}");
    assert!(web.head(&tag("v1")).unwrap().is_some());

    web.delete(&Reference::from(&image.digest)).unwrap();
    assert_eq!(web.head(&tag("v1")).unwrap(), None);
    assert!(matches!(web.delete(&Reference::from(&image.digest)).unwrap_err(), Error::NotFound { .. }));
    assert_eq!(web.tags().unwrap(), Vec::<String>::new());
}

#[test]
fn the_api_is_asked_where_there_is_one() {
    let subject = Descriptor::of(OCI_MANIFEST, b"subject");
    let entry = |name: &str| {
        let mut entry = Descriptor::of(OCI_MANIFEST, name.as_bytes());
        entry.artifact_type = Some(name.into());
        json!(entry)
    };
    let pages = [vec![entry("a/x"), entry("b/x")], vec![entry("a/x"), json!(subject)]];
    let server = Server::start(move |request, reply| {
        let at = usize::from(request.target.contains("page=2"));
        let body = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": pages[at] }).to_string();
        let next = format!("<{}?page=2>; rel=\"next\"", request.path());
        let headers = [("Content-Type", OCI_INDEX), ("Link", if at == 0 { next.as_str() } else { "" })];
        match request.method.as_str() {
            "PUT" => {
                let length = request.header("content-length").unwrap().parse().unwrap();
                reply.read(length);
                reply.send("201 Created", &[("OCI-Subject", "sha256:x")], b"");
            }
            _ => reply.send("200 OK", &headers, body.as_bytes()),
        }
    });
    let web = repository(quick(), &server.name("web"));
    assert_eq!(web.referrers(&subject.digest, None).unwrap().len(), 4);
    assert_eq!(types(&web.referrers(&subject.digest, Some("a/x")).unwrap()), ["a/x", "a/x"]);
    let asked = server.lines();
    assert!(asked[2].ends_with(&format!("/referrers/{}?artifactType=a%2Fx", subject.digest)), "{asked:?}");

    // A registry that says it has seen the subject needs no list under a tag.
    let (descriptor, bytes) = artifact(&subject, "a/x", "");
    sink(quick(), &server.name("web"), &[]).put_blob(&descriptor, &mut &bytes[..]).unwrap();
    let asked = server.lines();
    assert_eq!(asked.last().unwrap(), &format!("PUT /v2/web/manifests/{}", descriptor.digest));
    assert_eq!(asked.iter().filter(|line| line.starts_with("PUT")).count(), 1);
}

#[test]
fn a_fallback_list_of_nonsense_is_an_error_that_names_it() {
    let subject = Descriptor::of(OCI_MANIFEST, b"subject");
    for (list, words) in [("[]", "cannot"), ("{\"manifests\":7}", "cannot"), ("<html>", "not JSON")] {
        let server =
            Server::start(move |request, reply| match request.path().contains("/manifests/sha256-") {
                true => reply.send("200 OK", &[("Content-Type", OCI_INDEX)], list.as_bytes()),
                false => reply.send("404 Not Found", &[], b""),
            });
        let web = repository(quick(), &server.name("web"));
        let err = web.referrers(&subject.digest, None).unwrap_err();
        assert!(matches!(err.root(), Error::Invalid { .. }), "{err:?}");
        assert!(format!("{err:?}").contains(words), "{err:?}");
    }
}

#[test]
fn a_catalog_is_read() {
    let registry = Registry::start();
    let remote = Remote::new(quick()).unwrap();
    assert_eq!(remote.repositories(&registry.address).unwrap(), Vec::<String>::new());
    registry.push("web-v1.oci:v1", "team/web:v1");
    registry.push("web-v1.oci:v1", "base:v1");
    assert_eq!(remote.repositories(&registry.address).unwrap(), ["base", "team/web"]);
    assert_eq!(repository(quick(), &registry.name("base")).tags().unwrap(), ["v1"]);
    let err = repository(quick(), &registry.name("none")).tags().unwrap_err();
    assert!(matches!(err, Error::NotFound { .. }), "{err:?}");
}
