//! Servers that break, forget and refuse, on the way up.

use super::*;
use crate::support::http::Reply;
use crate::support::http::Request;
use crate::support::http::Server;
use imgit::remote::endpoint::Always;
use imgit::remote::endpoint::Credential;
use std::sync::Arc;
use std::sync::Mutex;

/// A registry in a closure: what has been uploaded, and how a test wants the n-th body treated.
#[derive(Default)]
struct Uploads {
    /// What the one open upload has so far.
    partial: Vec<u8>,
    done: Vec<Vec<u8>>,
    bodies: usize,
}

#[derive(Clone, Copy, Debug)]
enum Fate {
    Taken,
    /// So many bytes are read, and the connection is gone.
    Cut(usize),
    /// All is read and kept, and the answer is lost.
    Unheard,
    /// Refused with this status once so many bytes are read.
    Refused(usize, &'static str),
}

struct Habits {
    /// It knows how far a broken upload came.
    remembers: bool,
    fate: fn(usize) -> Fate,
    location: fn(&Request) -> String,
}

fn relative(_: &Request) -> String {
    "/upload/1?_state=a%2Bb".into()
}

fn absolute(request: &Request) -> String {
    format!("http://{}/upload/1", request.header("host").unwrap())
}

fn registry(habits: Habits) -> (Server, Arc<Mutex<Uploads>>) {
    let uploads = Arc::new(Mutex::new(Uploads::default()));
    let state = uploads.clone();
    let server = Server::start(move |request, reply| {
        let mut state = state.lock().unwrap();
        let location = (habits.location)(request);
        match request.method.as_str() {
            "POST" => {
                assert_eq!(request.header("content-length"), Some("0"));
                state.partial.clear();
                reply.send("202 Accepted", &[("Location", &location)], b"");
            }
            "GET" if habits.remembers => {
                let range = format!("0-{}", state.partial.len().saturating_sub(1));
                reply.send("204 No Content", &[("Location", &location), ("Range", &range)], b"");
            }
            "PUT" | "PATCH" => body(&habits, &mut state, request, reply),
            "HEAD" if !state.done.is_empty() => {
                reply.head("200 OK", &[("Content-Length", &SIZE.to_string())])
            }
            "DELETE" => reply.send("204 No Content", &[], b""),
            _ => reply.send("404 Not Found", &[], b""),
        }
    });
    (server, uploads)
}

fn body(habits: &Habits, state: &mut Uploads, request: &Request, reply: &mut Reply) {
    let length: usize = request.header("content-length").unwrap().parse().unwrap();
    let fate = if length == 0 { Fate::Taken } else { (habits.fate)(state.bodies) };
    state.bodies += usize::from(length > 0);
    match fate {
        Fate::Cut(n) => {
            let read = reply.read(n);
            state.partial.extend(read);
            return;
        }
        Fate::Refused(n, status) => {
            reply.read(n);
            reply.send(
                status,
                &[("WWW-Authenticate", "Basic realm=x")],
                br#"{"errors":[{"code":"NO","message":"not now"}]}"#,
            );
            return;
        }
        Fate::Taken | Fate::Unheard => {}
    }
    if request.method == "PATCH" {
        let range = format!("{}-{}", state.partial.len(), state.partial.len() + length - 1);
        assert_eq!(request.header("content-range"), Some(&*range));
    }
    let read = reply.read(length);
    if read.len() < length {
        // The client went away: an upload that is not whole is none.
        return;
    }
    state.partial.extend(read);
    if request.method == "PATCH" {
        return reply.send("202 Accepted", &[("Location", "/upload/2")], b"");
    }
    assert!(request.target.contains("digest=sha256%3A"), "{}", request.target);
    let done = std::mem::take(&mut state.partial);
    state.done.push(done);
    if !matches!(fate, Fate::Unheard) {
        reply.send("201 Created", &[], b"");
    }
}

const SIZE: usize = 12 << 20;

/// Puts 12 MiB; returns the outcome and what the server was asked, in short.
fn put(habits: Habits, again: bool) -> (Result<()>, String) {
    let (server, uploads) = registry(habits);
    let bytes = noise(9, SIZE);
    let blob = Descriptor::of(OCTETS, &bytes);
    let sink = sink(quick(), &server.name("web"), &[]);
    let outcome = match again {
        true => sink.put_from(&blob, &|| Ok(Box::new(std::io::Cursor::new(noise(9, SIZE))))),
        false => sink.put_blob(&blob, &mut &bytes[..]),
    };
    let uploads = uploads.lock().unwrap();
    assert_eq!(outcome.is_ok(), !uploads.done.is_empty());
    assert!(uploads.done.iter().all(|done| *done == bytes));
    let words: Vec<String> = server.requests().iter().map(|request| request.method.clone()).collect();
    (outcome, words.join(" "))
}

#[test]
fn a_blob_goes_up_in_one_piece() {
    for location in [relative, absolute as fn(&Request) -> String] {
        let (outcome, asked) = put(Habits { remembers: false, fate: |_| Fate::Taken, location }, false);
        outcome.unwrap();
        assert_eq!(asked, "POST PUT");
    }
}

#[test]
fn a_server_that_forgets_is_sent_all_of_it_again() {
    let forgets = |fate| Habits { remembers: false, fate, location: relative };
    // The first megabyte is still at hand, so it does not matter whether the source can be opened again.
    for again in [true, false] {
        let (outcome, asked) =
            put(forgets(|n| if n == 0 { Fate::Refused(0, "503 Busy") } else { Fate::Taken }), again);
        outcome.unwrap();
        assert_eq!(asked, "POST PUT GET HEAD POST PUT");
    }
    let cut = |n| if n == 0 { Fate::Cut(SIZE - 1000) } else { Fate::Taken };
    let (outcome, asked) = put(forgets(cut), true);
    outcome.unwrap();
    assert_eq!(asked, "POST PUT GET HEAD POST PUT");
    let (outcome, _) = put(forgets(cut), false);
    let err = outcome.unwrap_err();
    assert!(err.to_string().starts_with("cannot go on sending blob sha256:"), "{err:?}");
}

#[test]
fn a_blob_that_arrived_is_not_sent_again() {
    let habits = Habits { remembers: false, fate: |_| Fate::Unheard, location: relative };
    let (outcome, asked) = put(habits, false);
    outcome.unwrap();
    assert_eq!(asked, "POST PUT GET HEAD");
}

#[test]
fn a_server_that_remembers_is_sent_the_rest() {
    let habits = Habits {
        remembers: true,
        fate: |n| if n < 2 { Fate::Cut(5 << 20) } else { Fate::Taken },
        location: relative,
    };
    let (outcome, asked) = put(habits, false);
    outcome.unwrap();
    assert_eq!(asked, "POST PUT GET PATCH GET PATCH PUT");
}

#[test]
fn an_upload_that_lasts_not_is_cancelled() {
    let habits = Habits { remembers: false, fate: |_| Fate::Refused(SIZE, "400 Bad"), location: relative };
    let (outcome, asked) = put(habits, true);
    let err = outcome.unwrap_err();
    assert!(matches!(&err, Error::Server { status: 400, words, .. } if words == "NO: not now"), "{err:?}");
    assert_eq!(asked, "POST PUT DELETE");

    let habits = Habits { remembers: false, fate: |_| Fate::Refused(0, "500 Bad"), location: relative };
    let (outcome, asked) = put(habits, true);
    assert!(matches!(outcome.unwrap_err(), Error::Server { status: 500, .. }));
    assert_eq!(asked, "POST PUT GET HEAD POST PUT GET HEAD POST PUT DELETE");
}

#[test]
fn authorization_is_not_sent_with_an_upload_to_another_host() {
    let storage = Arc::new(Server::start(|request, reply| {
        reply.read(request.header("content-length").unwrap_or("0").parse().unwrap());
        match request.target.contains("closed") {
            true => reply.send("401 Unauthorized", &[("WWW-Authenticate", "Basic realm=x")], b""),
            false => reply.send("201 Created", &[], b""),
        }
    }));
    let place = storage.clone();
    let server = Server::start(move |request, reply| match request.header("authorization") {
        None => reply.send("401 Unauthorized", &[("WWW-Authenticate", "Basic realm=x")], b""),
        Some(_) => {
            let bucket = if request.path().contains("closed") { "closed" } else { "bucket" };
            let location = format!("http://{}/{bucket}?signature=1", place.address);
            reply.send("202 Accepted", &[("Location", &location)], b"");
        }
    });
    let credential = Credential::Password { user: "ada".into(), password: "secret".into() };
    let settings = Settings { credentials: Arc::new(Always(credential)), ..quick() };
    let blob = Descriptor::of(OCTETS, b"blob");
    sink(settings.clone(), &server.name("web"), &[]).put_blob(&blob, &mut &b"blob"[..]).unwrap();
    let line = storage.lines()[0].clone();
    assert!(line.starts_with("PUT /bucket?signature=1&digest=sha256%3A"), "{line}");
    // Nor when that host asks for it.
    let err = sink(settings, &server.name("closed"), &[]).put_blob(&blob, &mut &b"blob"[..]).unwrap_err();
    assert!(matches!(err, Error::Denied { .. }), "{err:?}");
    let requests = storage.requests();
    assert!(requests.len() >= 3, "{requests:?}");
    assert!(requests.iter().all(|request| request.header("authorization").is_none()), "{requests:?}");
}

#[test]
fn an_answer_without_a_location_is_refused() {
    let server = Server::start(|_, reply| reply.send("202 Accepted", &[], b""));
    let blob = Descriptor::of(OCTETS, b"blob");
    let err = sink(quick(), &server.name("web"), &[]).put_blob(&blob, &mut &b"blob"[..]).unwrap_err();
    assert!(err.to_string().contains("has no Location"), "{err}");
}

#[test]
fn a_source_that_fails_fails_the_upload() {
    let (server, uploads) = registry(Habits { remembers: false, fate: |_| Fate::Taken, location: relative });
    let blob = Descriptor::of(OCTETS, &noise(1, 3 << 20));
    let err = sink(quick(), &server.name("web"), &[])
        .put_from(&blob, &|| Err(Error::not_found("blob", "somewhere")))
        .unwrap_err();
    assert!(matches!(err, Error::NotFound { .. }), "{err:?}");
    assert!(uploads.lock().unwrap().done.is_empty());
}

/// Docker's registry forgets what it has of an upload that broke, so a real one is sent it all again.
#[test]
fn a_real_registry_survives_a_connection_that_breaks() {
    let real = Registry::start();
    let (address, n) = (real.address.clone(), Mutex::new(0));
    // Between us and the registry: lets everything through but the end of the first large body.
    let proxy = crate::support::http::Proxy::start(&address, move |sent| {
        let mut n = n.lock().unwrap();
        let is_cut = *n == 0 && sent > 3 << 20;
        *n += usize::from(is_cut);
        is_cut
    });
    let bytes = noise(10, SIZE);
    let blob = Descriptor::of(OCTETS, &bytes);
    let sink = sink(quick(), &format!("{}/web", proxy.address), &[]);
    sink.put_from(&blob, &|| Ok(Box::new(std::io::Cursor::new(noise(10, SIZE))))).unwrap();
    assert_eq!(real.blob(blob.digest.as_str()).as_deref(), Some(&bytes[..]));
    assert_eq!(proxy.cuts(), 1);
}

#[test]
fn a_put_follows_a_redirect_that_keeps_it_a_put() {
    let bytes = br#"{"schemaVersion":2,"manifests":[]}"#;
    let server = Server::start(move |request, reply| match request.path() {
        "/moved" => {
            let read = reply.read(request.header("content-length").unwrap().parse().unwrap());
            assert_eq!(read, bytes);
            reply.send("201 Created", &[], b"");
        }
        path => {
            reply.read(request.header("content-length").unwrap().parse().unwrap());
            let status = if path.contains("kept") { "308 Permanent Redirect" } else { "302 Found" };
            reply.send(status, &[("Location", "/moved")], b"");
        }
    });
    let index = Descriptor::of("application/vnd.oci.image.index.v1+json", bytes);
    let put = |name: &str| sink(quick(), &server.name(name), &[]).put_blob(&index, &mut &bytes[..]);
    put("kept").unwrap();
    assert!(matches!(put("changed").unwrap_err(), Error::Server { status: 302, .. }));
}
