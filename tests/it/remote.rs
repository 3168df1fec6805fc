//! The registry client against Debian's registry, by the library's own interface.

use crate::support::registry::Registry;
use imgit::error::Error;
use imgit::error::Result;
use imgit::oci::descriptor::Descriptor;
use imgit::oci::digest::Digest;
use imgit::oci::digest::Verifier;
use imgit::oci::document;
use imgit::oci::document::Document;
use imgit::oci::document::Missing;
use imgit::oci::name::ImageName;
use imgit::oci::source::Source;
use imgit::remote::Reference;
use imgit::remote::Remote;
use imgit::remote::Settings;
use imgit::remote::repository::Repository;
use std::io::Read;
use std::time::Duration;

/// Fails fast: two more tries, with hardly a pause.
fn quick() -> Settings {
    Settings {
        retry_times: 2,
        retry_delay: Some(Duration::from_millis(10)),
        stall_timeout: Duration::from_secs(20),
        ..Settings::default()
    }
}

fn repository(settings: Settings, name: &str) -> Repository {
    Remote::new(settings).unwrap().repository(&ImageName::parse(name).unwrap()).unwrap()
}

fn tag(tag: &str) -> Reference {
    Reference::tag(tag).unwrap()
}

/// Everything below a root, read and held to its digest.
fn digests(source: &dyn Source) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for root in source.roots()? {
        document::walk(source, &root.descriptor, &mut Missing::Fails, &mut |visit| {
            found.push(visit.descriptor.digest.to_string());
            if let Document::Manifest(manifest) = visit.document {
                for blob in manifest.blobs() {
                    Verifier::new("blob", &blob.digest, blob.size, source.open(blob)?).finish()?;
                    found.push(blob.digest.to_string());
                }
            }
            Ok(())
        })?;
    }
    Ok(found)
}

#[test]
fn an_image_is_pulled_bit_for_bit() {
    let registry = Registry::start();
    let digest = registry.push("web-v1.oci:v1", "team/web:v1");
    let repository = repository(quick(), &registry.name("team/web"));

    let head = repository.head(&tag("v1")).unwrap().unwrap();
    assert_eq!(head.digest.to_string(), digest);
    let (descriptor, bytes) = repository.manifest(&tag("v1")).unwrap();
    assert_eq!(descriptor, head);
    assert_eq!(bytes, registry.raw("team/web:v1"));
    assert_eq!(repository.manifest(&Reference::from(&head.digest)).unwrap().0, head);

    let source = repository.source(&tag("v1")).unwrap();
    assert_eq!(source.root().names, [registry.name("team/web:v1")]);
    let found = digests(&source).unwrap();
    assert!(found.len() >= 3, "{found:?}");
    for digest in &found[1..] {
        assert!(registry.blob(digest).is_some(), "{digest}");
    }
}

#[test]
fn what_is_not_there_is_not_found() {
    let registry = Registry::start();
    let digest: Digest = registry.push("web-v1.oci:v1", "web:v1").parse().unwrap();
    let web = repository(quick(), &registry.name("web"));
    assert_eq!(web.head(&tag("v2")).unwrap(), None);
    assert_eq!(repository(quick(), &registry.name("none")).head(&tag("v1")).unwrap(), None);
    let err = web.manifest(&tag("v2")).unwrap_err();
    assert_eq!(err.to_string(), format!("manifest {} not found", registry.name("web:v2")));
    let other = Descriptor::of("application/octet-stream", b"other");
    assert!(matches!(web.open(&other).err().unwrap(), Error::NotFound { kind: "blob", .. }));
    assert!(!web.has_blob(&other).unwrap());
    assert!(web.head(&Reference::from(&digest)).unwrap().is_some());
}

#[test]
fn nobody_at_the_other_end_is_a_clear_error() {
    let port = crate::support::registry::free_port();
    let err = repository(quick(), &format!("127.0.0.1:{port}/web")).head(&tag("v1")).unwrap_err();
    assert!(matches!(err, Error::Network { .. }), "{err:?}");
    assert_eq!(err.to_string(), format!("cannot ask 127.0.0.1:{port} for manifest 127.0.0.1:{port}/web:v1"));
    assert!(std::error::Error::source(&err).unwrap().to_string().contains("refused"), "{err:?}");
}

#[test]
fn a_reader_that_stops_early_stops_the_transfer() {
    let registry = Registry::start();
    registry.push("web-v1.oci:v1", "web:v1");
    let repository = repository(quick(), &registry.name("web"));
    let source = repository.source(&tag("v1")).unwrap();
    let (_, document) = document::read(&source, &source.root().descriptor).unwrap();
    let Document::Manifest(manifest) = document else { panic!("an image") };
    let mut reader = repository.open(&manifest.layers[0]).unwrap();
    reader.read_exact(&mut [0; 10]).unwrap();
    drop(reader);
    assert!(repository.head(&tag("v1")).unwrap().is_some());
}
