//! The registry client against Debian's registry, by the library's own interface.

mod access;
mod faults;
mod referrers;
mod tls;
mod uploads;

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
use imgit::oci::sink::Sink;
use imgit::oci::source::Source;
use imgit::remote::Reference;
use imgit::remote::Remote;
use imgit::remote::Settings;
use imgit::remote::repository::Repository;
use imgit::remote::sink::RegistrySink;
use imgit::remote::sink::SinkOptions;
use imgit::remote::sink::Tags;
use imgit::remote::source::RegistrySource;
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

/// Puts everything below the root of `source` into `sink`, several blobs at a time, and tags it.
fn copy(source: &RegistrySource, sink: RegistrySink) -> Result<()> {
    let mut documents = Vec::new();
    let roots = source.roots()?;
    document::walk(source, &roots[0].descriptor, &mut Missing::Fails, &mut |visit| {
        documents.push((visit.descriptor.clone(), visit.bytes.to_vec(), visit.document.clone()));
        Ok(())
    })?;
    for (descriptor, bytes, document) in documents.into_iter().rev() {
        if let Document::Manifest(manifest) = &document {
            std::thread::scope(|scope| {
                let put = |blob: &Descriptor| match sink.has_blob(blob)? {
                    true => Ok(()),
                    false => sink.put_from(blob, &|| source.open(blob)),
                };
                let threads: Vec<_> = manifest.blobs().map(|blob| scope.spawn(move || put(blob))).collect();
                threads.into_iter().try_for_each(|thread| thread.join().unwrap())
            })?;
        }
        sink.put_blob(&descriptor, &mut &bytes[..])?;
    }
    Box::new(sink).finish(&roots)
}

fn sink(settings: Settings, name: &str, tags: &[&str]) -> RegistrySink {
    let tags = Tags::These(tags.iter().map(|tag| tag.to_string()).collect());
    repository(settings, name).sink(SinkOptions { tags, ..SinkOptions::default() }).unwrap()
}

/// `size` bytes that no compression and no luck makes equal to others.
fn noise(seed: u64, size: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(size);
    bytes
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

const OCTETS: &str = "application/octet-stream";

#[test]
fn an_image_is_pushed_bit_for_bit() {
    let (here, there) = (Registry::start(), Registry::start());
    let digest = here.push("web-v1.oci:v1", "web:v1");
    let source = repository(quick(), &here.name("web")).source(&tag("v1")).unwrap();
    copy(&source, sink(quick(), &there.name("mirror/web"), &["1.0", "latest"])).unwrap();

    assert_eq!(there.raw("mirror/web:1.0"), here.raw("web:v1"));
    assert_eq!(there.raw("mirror/web:latest"), here.raw("web:v1"));
    for digest in digests(&source).unwrap() {
        assert_eq!(there.blob(&digest), here.blob(&digest), "{digest}");
    }
    let pushed = repository(quick(), &there.name("mirror/web")).head(&tag("1.0")).unwrap().unwrap();
    assert_eq!(pushed.digest.to_string(), digest);
}

#[test]
fn tags_come_from_the_names_unless_told() {
    let registry = Registry::start();
    registry.push("web-v1.oci:v1", "web:v1");
    let source = repository(quick(), &registry.name("web")).source(&tag("v1")).unwrap();
    let target = repository(quick(), &registry.name("other"));
    copy(&source, target.sink(SinkOptions::default()).unwrap()).unwrap();
    assert_eq!(target.head(&tag("v1")).unwrap().unwrap(), source.root().descriptor);
    // With no tag at all, it is there by its digest.
    copy(&source, sink(quick(), &registry.name("third"), &[])).unwrap();
    let third = repository(quick(), &registry.name("third"));
    assert_eq!(third.head(&tag("v1")).unwrap(), None);
    assert!(third.head(&Reference::from(&source.root().descriptor.digest)).unwrap().is_some());
}

#[test]
fn blobs_of_every_size_go_up_and_come_down() {
    let registry = Registry::start();
    let sink = sink(quick(), &registry.name("blobs"), &[]);
    let repository = repository(quick(), &registry.name("blobs"));
    for size in [0, 1, 100, 128 << 10, (128 << 10) + 1, 20 << 20] {
        let bytes = noise(size as u64, size);
        let blob = Descriptor::of(OCTETS, &bytes);
        assert!(!sink.has_blob(&blob).unwrap(), "{size}");
        sink.put_blob(&blob, &mut &bytes[..]).unwrap();
        assert!(sink.has_blob(&blob).unwrap(), "{size}");
        assert!(repository.has_blob(&blob).unwrap(), "{size}");
        let mut back = Vec::new();
        repository.open(&blob).unwrap().read_to_end(&mut back).unwrap();
        assert!(back == bytes, "{size}");
        // Again is no error, and reads nothing.
        sink.put_blob(&blob, &mut std::io::empty()).unwrap();
    }
}

#[test]
fn wrong_bytes_are_not_pushed() {
    let registry = Registry::start();
    let sink = sink(quick(), &registry.name("web"), &[]);
    for size in [0, 1, 1000, 9 << 20] {
        let bytes = noise(size as u64 + 1, size);
        let mut wrong = bytes.clone();
        wrong.push(1);
        let longer = &wrong[..];
        let (other, shorter) = if size == 0 { (longer, longer) } else { (&wrong[1..], &bytes[1..]) };
        let blob = Descriptor::of(OCTETS, &bytes);
        for from in [longer, other, shorter] {
            let err = sink.put_blob(&blob, &mut &*from).unwrap_err();
            assert!(matches!(err.root(), Error::Mismatch { .. }), "{size}: {err:?}");
        }
        assert_eq!(registry.blob(blob.digest.as_str()), None, "{size}");
    }
}

#[test]
fn a_blob_that_the_host_has_is_mounted() {
    let registry = Registry::start();
    let bytes = noise(7, 100_000);
    let blob = Descriptor::of(OCTETS, &bytes);
    sink(quick(), &registry.name("base"), &[]).put_blob(&blob, &mut &bytes[..]).unwrap();
    let derived = repository(quick(), &registry.name("derived"));
    let options = |from: &[&str]| SinkOptions {
        tags: Tags::These(Vec::new()),
        mount_from: from.iter().map(|from| from.to_string()).collect(),
    };
    let sink = derived.sink(options(&["nothing/here", "derived", "base"])).unwrap();
    assert!(sink.has_blob(&blob).unwrap());
    assert!(derived.has_blob(&blob).unwrap());
    // What nobody has is uploaded, in the session that the failed mount has opened.
    let other = Descriptor::of(OCTETS, b"other");
    assert!(!sink.has_blob(&other).unwrap());
    sink.put_blob(&other, &mut &b"other"[..]).unwrap();
    assert!(derived.has_blob(&other).unwrap());
}

#[test]
fn a_manifest_without_its_blobs_is_refused_in_the_servers_words() {
    let registry = Registry::start();
    let digest = registry.push("web-v1.oci:v1", "web:v1").parse().unwrap();
    let (descriptor, bytes) =
        repository(quick(), &registry.name("web")).manifest(&Reference::Digest(digest)).unwrap();
    let err = sink(quick(), &registry.name("empty"), &[]).put_blob(&descriptor, &mut &bytes[..]).unwrap_err();
    assert!(matches!(err, Error::Server { status: 400 | 404, .. }), "{err:?}");
    assert!(err.to_string().contains("MANIFEST_BLOB_UNKNOWN: blob unknown to registry"), "{err}");
}
