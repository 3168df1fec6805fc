//! Servers that break, lie, stall and never end, on the way down.

use super::*;
use crate::support::http::Reply;
use crate::support::http::Request;
use crate::support::http::Server;
use imgit::error::from_stream;
use imgit::remote::endpoint::Always;
use imgit::remote::endpoint::Credential;
use imgit::remote::endpoint::Endpoint;
use imgit::remote::endpoint::Endpoints;
use imgit::wire::accept::OCI_INDEX;
use imgit::wire::accept::OCI_MANIFEST;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Instant;

const INDEX: &[u8] =
    br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;

/// Counts the requests, and answers each by its number from 0.
fn numbered(answer: impl Fn(usize, &Request, &mut Reply) + Send + Sync + 'static) -> Server {
    let n = AtomicUsize::new(0);
    Server::start(move |request, reply| answer(n.fetch_add(1, Ordering::SeqCst), request, reply))
}

fn manifest(reply: &mut Reply, bytes: &[u8]) {
    let digest = Digest::of(bytes).to_string();
    reply.send("200 OK", &[("Content-Type", OCI_INDEX), ("Docker-Content-Digest", &digest)], bytes);
}

fn web(server: &Server) -> Repository {
    repository(quick(), &server.name("web"))
}

/// Reads a blob as its readers do, held to its digest.
fn read(repository: &Repository, blob: &Descriptor) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut verified = Verifier::new("blob", &blob.digest, blob.size, repository.open(blob)?);
    verified.read_to_end(&mut bytes).map_err(|err| from_stream("blob", err))?;
    Ok(bytes)
}

fn cause(err: &Error) -> String {
    std::error::Error::source(err.root()).map(|cause| cause.to_string()).unwrap_or_default()
}

/// The first byte that a request wants.
fn start_of(request: &Request) -> usize {
    let range = request.header("range").map(|range| range.strip_prefix("bytes=").unwrap());
    range.map_or(0, |range| range.strip_suffix('-').unwrap().parse().unwrap())
}

#[test]
fn a_blob_that_breaks_off_goes_on_where_it_broke() {
    let bytes = Arc::new(noise(1, 5 << 20));
    let blob = Descriptor::of(OCTETS, &bytes);
    // Every connection gives up to a megabyte and a half, more often than there are tries.
    let served = bytes.clone();
    let server = numbered(move |_, request, reply| {
        let (start, size) = (start_of(request), served.len());
        let rest = &served[start..];
        let range = format!("bytes {start}-{}/{size}", size - 1);
        let length = rest.len().to_string();
        match start {
            0 => reply.head("200 OK", &[("Content-Length", &length)]),
            _ => reply.head("206 Partial Content", &[("Content-Length", &length), ("Content-Range", &range)]),
        }
        reply.bytes(&rest[..rest.len().min(3 << 19)]);
    });
    assert!(read(&web(&server), &blob).unwrap() == *bytes);
    let requests = server.requests();
    assert_eq!(requests.len(), 4);
    assert_eq!(requests[0].header("range"), None);
    assert!(requests[1..].iter().all(|request| start_of(request) > 0));
}

#[test]
fn a_server_without_ranges_is_read_from_the_start_again() {
    let bytes = Arc::new(noise(2, 1 << 20));
    let blob = Descriptor::of(OCTETS, &bytes);
    let served = bytes.clone();
    let server = numbered(move |n, _, reply| {
        reply.head("200 OK", &[("Content-Length", &served.len().to_string())]);
        reply.bytes(&served[..if n == 0 { 600_000 } else { served.len() }]);
    });
    assert!(read(&web(&server), &blob).unwrap() == *bytes);
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn a_server_that_always_breaks_off_is_given_up() {
    let server = numbered(move |_, request, reply| {
        let left = (1000 - start_of(request)).to_string();
        let range = format!("bytes {}-999/1000", start_of(request));
        match start_of(request) {
            0 => reply.head("200 OK", &[("Content-Length", &left)]),
            _ => reply.head("206 Partial", &[("Content-Length", &left), ("Content-Range", &range)]),
        }
        reply.bytes(b"a");
    });
    let blob = Descriptor::new(OCTETS, Digest::of(b"x"), 1000);
    let err = read(&web(&server), &blob).unwrap_err();
    assert!(matches!(err, Error::Network { .. }), "{err:?}");
    assert!(err.to_string().starts_with(&format!("cannot read blob {}", blob.digest)), "{err}");
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn a_range_that_is_not_the_one_asked_for_is_refused() {
    for range in ["bytes 900-999/1000", "bytes 1-999/2000", "nonsense"] {
        let server = numbered(move |n, _, reply| match n {
            0 => {
                reply.head("200 OK", &[("Content-Length", "1000")]);
                reply.bytes(b"a");
            }
            _ => reply.send("206 Partial Content", &[("Content-Range", range)], &[b'a'; 999]),
        });
        let err = read(&web(&server), &Descriptor::new(OCTETS, Digest::of(b"x"), 1000)).unwrap_err();
        assert!(matches!(err, Error::Mismatch { .. }), "{err:?}");
        assert!(err.to_string().contains(range), "{err}");
    }
}

#[test]
fn what_passes_is_tried_again_and_what_lasts_is_not() {
    for (status, tries) in [
        ("500 Internal Server Error", 3),
        ("502 Bad Gateway", 3),
        ("503 Service Unavailable", 3),
        ("504 Gateway Timeout", 3),
        ("429 Too Many Requests", 3),
        ("400 Bad Request", 1),
        ("403 Forbidden", 1),
        ("404 Not Found", 1),
        ("418 I'm a teapot", 1),
    ] {
        let body = br#"{"errors":[{"code":"TOOMANYREQUESTS","message":"slow\u001b down"}]}"#;
        let server = numbered(move |_, _, reply| reply.send(status, &[], body));
        let err = web(&server).manifest(&tag("v1")).unwrap_err();
        assert_eq!(server.requests().len(), tries, "{status}");
        match err {
            Error::NotFound { .. } => assert_eq!(status, "404 Not Found"),
            err => assert!(err.to_string().contains(r"TOOMANYREQUESTS: slow\x1b down"), "{err}"),
        }
        // The third time is the last: the same server, which is well again, is heard.
        let server = numbered(move |n, _, reply| match n {
            0 | 1 => reply.send(status, &[], b""),
            _ => manifest(reply, INDEX),
        });
        assert_eq!(web(&server).manifest(&tag("v1")).is_ok(), tries == 3, "{status}");
    }
}

#[test]
fn a_server_gets_the_rest_it_asks_for() {
    let server = numbered(|n, _, reply| match n {
        0 => reply.send("503 Service Unavailable", &[("Retry-After", "1")], b""),
        _ => manifest(reply, INDEX),
    });
    let start = Instant::now();
    web(&server).manifest(&tag("v1")).unwrap();
    assert!(start.elapsed() >= Duration::from_secs(1));
    // An hour is too long to sit and wait.
    let server = numbered(|_, _, reply| reply.send("429 Too Many", &[("Retry-After", "3600")], b"enough"));
    let err = web(&server).manifest(&tag("v1")).unwrap_err();
    assert!(matches!(&err, Error::Server { status: 429, words, .. } if words == "enough"), "{err:?}");
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn bytes_that_are_not_what_they_should_be_are_refused() {
    let other = Digest::of(b"other");
    let check = |headers: Vec<(&'static str, String)>, body: &'static [u8], words: &str| {
        let server = Server::start(move |_, reply| {
            let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, &**value)).collect();
            reply.send("200 OK", &headers, body);
        });
        let by_tag = web(&server).manifest(&tag("v1")).unwrap_err();
        assert!(by_tag.to_string().contains(words), "{by_tag:?}");
    };
    let type_of = |name: &str| ("Content-Type", name.to_owned());
    let told = ("Docker-Content-Digest", other.to_string());
    check(vec![type_of(OCI_INDEX), told], INDEX, "expected sha256:");
    check(vec![type_of(OCI_MANIFEST)], INDEX, "as the server calls it");
    check(vec![type_of("text/html")], b"<html>", "not JSON");

    let server = Server::start(|_, reply| manifest(reply, INDEX));
    let by_digest = web(&server).manifest(&Reference::from(&other)).unwrap_err();
    assert!(matches!(by_digest, Error::Mismatch { .. }), "{by_digest:?}");
    let by_digest = web(&server).head(&Reference::from(&other)).unwrap_err();
    assert!(matches!(by_digest, Error::Mismatch { .. }), "{by_digest:?}");
    assert!(web(&server).head(&Reference::from(&Digest::of(INDEX))).unwrap().is_some());

    // A blob of another size than promised, by its own announcement.
    let server = Server::start(|_, reply| reply.send("200 OK", &[], b"four"));
    let err = read(&web(&server), &Descriptor::of(OCTETS, b"three")).unwrap_err();
    assert!(err.to_string().ends_with("expected 5 bytes, found 4 bytes"), "{err}");
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_server_that_tells_no_digest_is_asked_for_the_whole() {
    for method in ["405 Method Not Allowed", "200 OK"] {
        let server = Server::start(move |request, reply| match request.method.as_str() {
            "HEAD" => reply.head(method, &[("Content-Type", OCI_INDEX)]),
            _ => reply.send("200 OK", &[("Content-Type", OCI_INDEX)], INDEX),
        });
        let found = web(&server).head(&tag("v1")).unwrap().unwrap();
        assert_eq!(found, Descriptor::of(OCI_INDEX, INDEX));
        assert_eq!(server.lines(), ["HEAD /v2/web/manifests/v1", "GET /v2/web/manifests/v1"]);
    }
    // One that does is asked once.
    let server = Server::start(|_, reply| manifest(reply, INDEX));
    web(&server).head(&tag("v1")).unwrap().unwrap();
    assert_eq!(server.lines(), ["HEAD /v2/web/manifests/v1"]);
}

#[test]
fn a_manifest_without_end_is_not_read_to_its_end() {
    let endless = |reply: &mut Reply| {
        reply.head("200 OK", &[("Content-Type", OCI_INDEX)]);
        while reply.bytes(&[b' '; 65536]) {}
    };
    let server = Server::start(move |_, reply| endless(reply));
    let err = web(&server).manifest(&tag("v1")).unwrap_err();
    assert!(matches!(err, Error::Limit { limit: 4_194_304, .. }), "{err:?}");
    // Nor is one that says beforehand how large it is, nor the words of a refusal.
    let server = Server::start(|_, reply| reply.head("200 OK", &[("Content-Length", "99999999999")]));
    assert!(matches!(web(&server).manifest(&tag("v1")).unwrap_err(), Error::Limit { .. }));
    let server = Server::start(|_, reply| {
        reply.head("418 I'm a teapot", &[]);
        while reply.bytes(&[b'x'; 65536]) {}
    });
    assert!(web(&server).manifest(&tag("v1")).unwrap_err().to_string().len() < 1000);
}

#[test]
fn a_blob_without_end_ends_a_byte_late() {
    let server = Server::start(|_, reply| {
        reply.head("200 OK", &[]);
        while reply.bytes(&[0; 65536]) {}
    });
    let blob = Descriptor::new(OCTETS, Digest::of(b"x"), 100_000);
    let mut bytes = Vec::new();
    web(&server).open(&blob).unwrap().read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes.len(), 100_001);
    let err = read(&web(&server), &blob).unwrap_err();
    assert!(matches!(err, Error::Mismatch { .. }), "{err:?}");
}

#[test]
fn a_silent_server_is_given_up() {
    let patient = Settings { stall_timeout: Duration::from_millis(300), retry_times: 1, ..quick() };
    let wait = || std::thread::sleep(Duration::from_secs(5));
    // Before its answer, in the middle of a manifest, and in the middle of a blob.
    let before = Server::start(move |_, _| wait());
    let within = Server::start(move |_, reply| {
        reply.head("200 OK", &[("Content-Type", OCI_INDEX), ("Content-Length", "1000")]);
        reply.bytes(b"{");
        wait();
    });
    let start = Instant::now();
    for server in [&before, &within] {
        let err = repository(patient.clone(), &server.name("web")).manifest(&tag("v1")).unwrap_err();
        assert!(cause(&err).contains("silent for 0.3 s"), "{err:?}");
        assert_eq!(server.requests().len(), 2);
    }
    let blob = Descriptor::new(OCTETS, Digest::of(b"x"), 1000);
    let err = read(&repository(patient, &within.name("web")), &blob).unwrap_err();
    assert!(cause(&err).contains("silent for 0.3 s"), "{err:?}");
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_reader_that_takes_its_time_is_no_silent_server() {
    let bytes = Arc::new(noise(3, 8 << 20));
    let blob = Descriptor::of(OCTETS, &bytes);
    let served = bytes.clone();
    let server = Server::start(move |_, reply| reply.send("200 OK", &[], &served));
    let hasty = Settings { stall_timeout: Duration::from_millis(200), ..quick() };
    let mut reader = repository(hasty, &server.name("web")).open(&blob).unwrap();
    std::thread::sleep(Duration::from_millis(600));
    let mut back = Vec::new();
    reader.read_to_end(&mut back).unwrap();
    assert!(back == *bytes);
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn an_interrupt_ends_every_wait() {
    let server = Server::start(|request, reply| {
        if request.path().contains("blobs") {
            reply.head("200 OK", &[("Content-Length", "1000")]);
        }
        std::thread::sleep(Duration::from_secs(3));
    });
    let remote = Remote::new(quick()).unwrap();
    let web = remote.repository(&ImageName::parse(&server.name("web")).unwrap()).unwrap();
    let mut reader = web.open(&Descriptor::new(OCTETS, Digest::of(b"x"), 1000)).unwrap();
    let start = Instant::now();
    std::thread::scope(|scope| {
        let read = scope.spawn(|| from_stream("blob", reader.read(&mut [0; 10]).unwrap_err()));
        let head = scope.spawn(|| web.head(&tag("v1")).unwrap_err());
        std::thread::sleep(Duration::from_millis(200));
        remote.interrupt();
        assert!(matches!(read.join().unwrap(), Error::Interrupted));
        assert!(matches!(head.join().unwrap(), Error::Interrupted));
    });
    assert!(start.elapsed() < Duration::from_secs(2));
}

fn with_password() -> Settings {
    let credential = Credential::Password { user: "ada".into(), password: "secret".into() };
    Settings { credentials: Arc::new(Always(credential)), ..quick() }
}

/// Asks for a password, then answers.
fn guarded(request: &Request, reply: &mut Reply, answer: impl Fn(&mut Reply)) {
    match request.header("authorization") {
        None => reply.send("401 Unauthorized", &[("WWW-Authenticate", "Basic realm=x")], b""),
        Some(_) => answer(reply),
    }
}

#[test]
fn authorization_stays_when_a_redirect_leads_away() {
    let elsewhere = Arc::new(Server::start(|request, reply| match request.path() {
        "/back" => {
            let home = request.target.split_once("to=").unwrap().1;
            reply.send("307 Temporary Redirect", &[("Location", home)], b"");
        }
        _ => reply.send("200 OK", &[], b"blob"),
    }));
    let other = elsewhere.clone();
    let home = Server::start(move |request, reply| match request.path() {
        "/here" => guarded(request, reply, |reply| reply.send("200 OK", &[], b"blob")),
        "/returned" => reply.send("200 OK", &[], b"blob"),
        path => guarded(request, reply, |reply| {
            let host = request.header("host").unwrap();
            let to = match path.split('/').nth(2).unwrap() {
                "here" => "/here".to_owned(),
                "away" => format!("http://{}/away?signature=1", other.address),
                "back" => format!("http://{}/back?to=http://{host}/returned", other.address),
                _ => request.target.clone(),
            };
            reply.send("307 Temporary Redirect", &[("Location", &to)], b"");
        }),
    });
    let blob = Descriptor::of(OCTETS, b"blob");
    let of = |name: &str| repository(with_password(), &home.name(name));
    for name in ["here", "away", "back"] {
        assert_eq!(read(&of(name), &blob).unwrap(), b"blob", "{name}");
    }
    let went: Vec<_> = elsewhere.requests();
    assert_eq!(went.len(), 2);
    assert!(went.iter().all(|request| request.header("authorization").is_none()), "{went:?}");
    let seen = |path: &str| home.requests().iter().rfind(|request| request.path() == path).cloned().unwrap();
    assert!(seen("/here").header("authorization").is_some());
    assert!(seen("/returned").header("authorization").is_none());
    assert!(matches!(read(&of("round"), &blob).unwrap_err(), Error::Limit { .. }));
}

#[test]
fn a_blob_whose_token_expires_in_the_middle_goes_on_with_a_new_one() {
    let bytes = Arc::new(noise(4, 100_000));
    let blob = Descriptor::of(OCTETS, &bytes);
    let (served, issued) = (bytes.clone(), AtomicUsize::new(0));
    let server = Server::start(move |request, reply| {
        if request.path() == "/token" {
            let token =
                format!(r#"{{"token":"t{}","expires_in":300}}"#, issued.fetch_add(1, Ordering::SeqCst));
            return reply.send("200 OK", &[], token.as_bytes());
        }
        let start = start_of(request);
        // Each token is good for one answer, which breaks off.
        if request.header("authorization") != Some(&format!("Bearer t{}", usize::from(start > 0))) {
            let realm = format!(r#"Bearer realm="http://{}/token""#, request.header("host").unwrap());
            return reply.send("401 Unauthorized", &[("WWW-Authenticate", &realm)], b"");
        }
        let length = (100_000 - start).to_string();
        let range = format!("bytes {start}-99999/100000");
        match start {
            0 => reply.head("200 OK", &[("Content-Length", &length)]),
            _ => reply.head("206 Partial", &[("Content-Length", &length), ("Content-Range", &range)]),
        }
        reply.bytes(&served[start..if start == 0 { 40_000 } else { 100_000 }]);
    });
    assert!(read(&web(&server), &blob).unwrap() == *bytes);
    assert_eq!(server.lines().iter().filter(|line| line.contains("/token")).count(), 2);
}

#[test]
fn pages_are_followed_to_their_end_and_no_further() {
    let server = Server::start(|request, reply| {
        let (tags, next) = match request.target.as_str() {
            "/v2/web/tags/list?n=1000" => (r#"["a","b"]"#, "</v2/web/tags/list?n=1000&last=b>; rel=next"),
            "/v2/web/tags/list?n=1000&last=b" => {
                (r#"["c","../x","\u001b[2J"]"#, "</v2/web/tags/list?last=c>; rel=\"next\"")
            }
            "/v2/web/tags/list?last=c" => ("null", ""),
            "/v2/loop/tags/list?n=1000" => (r#"["a"]"#, "</v2/loop/tags/list?n=1>; rel=next"),
            "/v2/loop/tags/list?n=1" => (r#"["b"]"#, "</v2/loop/tags/list?n=1000>; rel=next"),
            "/v2/away/tags/list?n=1000" => (r#"["a"]"#, "<http://127.0.0.1:1/v2/>; rel=next"),
            other => panic!("{other}"),
        };
        reply.send("200 OK", &[("Link", next)], format!(r#"{{"name":"x","tags":{tags}}}"#).as_bytes());
    });
    assert_eq!(web(&server).tags().unwrap(), ["a", "b", "c"]);
    let err = repository(quick(), &server.name("loop")).tags().unwrap_err();
    assert!(err.to_string().contains("leads back to a page"), "{err}");
    let err = repository(quick(), &server.name("away")).tags().unwrap_err();
    assert!(err.to_string().contains("goes on at another host, 127.0.0.1"), "{err}");
}

#[test]
fn a_warning_is_shown_once() {
    let server = Server::start(|_, reply| {
        let warning = r#"299 - "this goes away""#;
        reply.send("200 OK", &[("Content-Type", OCI_INDEX), ("Warning", warning)], INDEX);
    });
    let remote = Remote::new(quick()).unwrap();
    let web = remote.repository(&ImageName::parse(&server.name("web")).unwrap()).unwrap();
    web.manifest(&tag("v1")).unwrap();
    web.manifest(&tag("v2")).unwrap();
    assert_eq!(remote.take_warnings(), [format!("{}: this goes away", server.address)]);
    web.manifest(&tag("v3")).unwrap();
    assert!(remote.take_warnings().is_empty());
}

/// These hosts one after the other, the last of them the one of the name.
struct Mirrored(Vec<String>);

impl Endpoints for Mirrored {
    fn of(&self, name: &ImageName) -> Result<Vec<Endpoint>> {
        let endpoint = |(n, host): (usize, &String)| Endpoint {
            is_mirror: n + 1 < self.0.len(),
            ..Endpoint::new(host, name.host_and_path().1)
        };
        Ok(self.0.iter().enumerate().map(endpoint).collect())
    }
}

#[test]
fn what_a_mirror_cannot_do_the_host_itself_does() {
    let bytes = noise(5, 100_000);
    let blob = Descriptor::of(OCTETS, &bytes);
    let (served, half) = (bytes.clone(), bytes[..50_000].to_vec());
    let origin = Server::start(move |request, reply| match request.path() {
        "/v2/web/manifests/v1" => manifest(reply, INDEX),
        path if path.contains("/blobs/") => {
            let start = start_of(request);
            let range = format!("bytes {start}-99999/100000");
            reply.send("206 Partial Content", &[("Content-Range", &range)], &served[start..]);
        }
        _ => reply.send("404 Not Found", &[], b""),
    });
    let missing = Server::start(|_, reply| reply.send("404 Not Found", &[], b""));
    let lying = Server::start(|_, reply| reply.send("200 OK", &[("Content-Type", OCI_MANIFEST)], INDEX));
    // It gives half a blob, and then no more.
    let dying = numbered(move |n, _, reply| match n {
        0 => {
            reply.head("200 OK", &[("Content-Length", "100000")]);
            reply.bytes(&half);
        }
        _ => reply.send("500 Internal Server Error", &[], b""),
    });
    let nobody = format!("127.0.0.1:{}", crate::support::registry::free_port());
    for mirror in [&missing.address, &lying.address, &nobody] {
        let endpoints = Arc::new(Mirrored(vec![mirror.clone(), origin.address.clone()]));
        let web = repository(Settings { endpoints, ..quick() }, &origin.name("web"));
        assert_eq!(web.manifest(&tag("v1")).unwrap().1, INDEX);
        assert_eq!(web.head(&tag("v2")).unwrap(), None);
    }
    let endpoints = Arc::new(Mirrored(vec![dying.address.clone(), origin.address.clone()]));
    let web = repository(Settings { endpoints, ..quick() }, &origin.name("web"));
    assert!(read(&web, &blob).unwrap() == bytes);
    let last = origin.requests().pop().unwrap();
    assert_eq!(last.header("range"), Some("bytes=50000-"));
    // A mirror is for reading.
    let only = Arc::new(Mirrored(Vec::new()));
    let remote = Remote::new(Settings { endpoints: only, ..quick() }).unwrap();
    let err = remote.repository(&ImageName::parse("example.com/web").unwrap()).err().unwrap();
    assert!(matches!(err, Error::Usage(_)), "{err:?}");
}

/// An index of which one manifest is missing, as `docker save` leaves them and some mirrors too.
#[test]
fn what_a_registry_does_not_have_is_told_from_what_it_cannot_say() {
    let there = br#"{"schemaVersion":2,"manifests":[]}"#;
    let missing = Descriptor::of(OCI_INDEX, b"missing");
    let index = serde_json::json!({
        "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [Descriptor::of(OCI_INDEX, there), missing],
    });
    let (index, gone) = (index.to_string(), missing.digest.to_string());
    for (status, outcome) in [("404 Not Found", Some(2)), ("500 Internal Server Error", None)] {
        let (index, gone) = (index.clone(), gone.clone());
        let server = Server::start(move |request, reply| match request.path() {
            "/v2/web/manifests/v1" => manifest(reply, index.as_bytes()),
            path if path.ends_with(Digest::of(index.as_bytes()).as_str()) => {
                manifest(reply, index.as_bytes())
            }
            path if path.ends_with(&gone) => reply.send(status, &[], b""),
            _ => manifest(reply, there),
        });
        let source = web(&server).source(&tag("v1")).unwrap();
        let mut told = Vec::new();
        let mut tell = |descriptor: &Descriptor| told.push(descriptor.digest.clone());
        let mut visited = 0;
        let root = &source.root().descriptor;
        let walked = document::walk(&source, root, &mut Missing::Told(&mut tell), &mut |_| {
            visited += 1;
            Ok(())
        });
        assert_eq!(walked.is_ok().then_some(visited), outcome, "{walked:?}");
        assert_eq!(told.len(), usize::from(outcome.is_some()));
        // What was asked for to see whether it is there is not asked for again.
        let asked = server.lines().iter().filter(|line| line.contains(Digest::of(there).encoded())).count();
        assert_eq!(asked, 1);
    }
}
