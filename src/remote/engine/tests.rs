use super::*;
use crate::fs::temp_dir;
use crate::oci::descriptor::Descriptor;
use crate::oci::digest::Digest;
use crate::oci::sink::Sink;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::os::unix::net::UnixListener;
use std::os::unix::net::UnixStream;
use std::sync::mpsc;
use std::thread;
use tempfile::TempDir;

/// An engine that says what a test wants it to, to one caller after the other.
struct Fake {
    folder: TempDir,
    /// Request lines and bodies; a body that broke off ends in `<broken>`.
    heard: mpsc::Receiver<(String, Vec<u8>)>,
}

/// What the fake does when it has read the request's head.
#[derive(Clone)]
enum Say {
    /// Reads the body, then writes this and closes.
    Then(Vec<u8>),
    /// Writes this without having read the body.
    AtOnce(Vec<u8>),
    Nothing,
}

impl Fake {
    fn saying(say: Say) -> (Fake, Engine) {
        let folder = temp_dir().unwrap();
        let path = folder.path().join("engine.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let (to, heard) = mpsc::channel();
        // Ends with the test's process.
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (say, to) = (say.clone(), to.clone());
                thread::spawn(move || serve(stream.unwrap(), say, to));
            }
        });
        let mut engine = Engine::at(&Address::Unix(path)).unwrap();
        engine.patience = Duration::from_secs(20);
        engine.name = "the engine".into();
        (Fake { folder, heard }, engine)
    }

    fn heard(&self) -> (String, Vec<u8>) {
        self.heard.recv_timeout(Duration::from_secs(20)).expect("the engine was asked")
    }

    fn then(answer: impl Into<Vec<u8>>) -> (Fake, Engine) {
        Fake::saying(Say::Then(answer.into()))
    }
}

fn serve(mut stream: UnixStream, say: Say, heard: mpsc::Sender<(String, Vec<u8>)>) {
    let mut from = BufReader::new(stream.try_clone().unwrap());
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") && from.read_line(&mut head).unwrap_or(0) > 0 {}
    let line = head.lines().next().unwrap_or_default().to_owned();
    match say {
        Say::Then(answer) => {
            let body = if head.contains("chunked") { body_of(&mut from) } else { Vec::new() };
            let _ = heard.send((line, body));
            let _ = stream.write_all(&answer);
        }
        Say::AtOnce(answer) => {
            let _ = stream.write_all(&answer);
            let _ = heard.send((line, Vec::new()));
            // An end to both directions at once could take the answer along.
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let _ = io::copy(&mut from, &mut io::sink());
        }
        Say::Nothing => {
            let _ = io::copy(&mut from, &mut io::sink());
        }
    }
}

fn body_of(from: &mut impl BufRead) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(piece) = piece_of(from) {
        if piece.is_empty() {
            return body;
        }
        body.extend(piece);
    }
    body.extend_from_slice(b"<broken>");
    body
}

/// One chunk; the last is empty, and none is a break.
fn piece_of(from: &mut impl BufRead) -> Option<Vec<u8>> {
    let mut line = String::new();
    from.read_line(&mut line).ok()?;
    let mut piece = vec![0; usize::from_str_radix(line.trim(), 16).ok()?];
    from.read_exact(&mut piece).ok()?;
    from.read_exact(&mut [0; 2]).ok()?;
    Some(piece)
}

fn answer(status: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn chunked(body: &[u8], is_whole: bool) -> Vec<u8> {
    let mut bytes = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n".to_vec();
    for piece in body.chunks(10_000) {
        bytes.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        bytes.extend_from_slice(piece);
        bytes.extend_from_slice(b"\r\n");
    }
    if is_whole {
        bytes.extend_from_slice(b"0\r\n\r\n");
    }
    bytes
}

fn words(err: Error) -> String {
    let mut words = err.to_string();
    let mut cause = std::error::Error::source(&err);
    while let Some(err) = cause {
        words.push_str(&format!(": {err}"));
        cause = err.source();
    }
    words
}

fn read_all(mut from: Box<dyn Read + Send>) -> (Vec<u8>, Option<String>) {
    let mut bytes = Vec::new();
    let outcome = from.read_to_end(&mut bytes);
    (bytes, outcome.err().map(|err| words(crate::error::from_stream("?", err))))
}

#[test]
fn an_image_is_saved_by_the_name_it_has_there() {
    for size in [0, 1, 512, 8 << 10, (8 << 10) + 1, 1 << 20] {
        let bytes: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
        let (fake, engine) = Fake::then(chunked(&bytes, true));
        let saved = read_all(engine.save("localhost:5000/team/web:v1").unwrap());
        assert_eq!(saved, (bytes, None), "{size}");
        let (line, _) = fake.heard();
        assert_eq!(line, "GET /images/localhost:5000/team/web:v1/get HTTP/1.1");
    }
}

#[test]
fn a_reference_leads_nowhere_else() {
    let (fake, engine) = Fake::then(answer("200 OK", b""));
    for bad in ["", "a//b", "../version", "a/../../x", "a/.", "a?x=1", "a#x", "a b", "a%2f", "/a", "a/", "é"]
    {
        assert!(matches!(engine.save(bad), Err(Error::Invalid { .. })), "{bad}");
    }
    assert!(engine.save(&"a".repeat(600)).is_err());
    assert!(fake.heard.try_recv().is_err(), "nobody was asked");
}

#[test]
fn a_refusal_is_in_the_engines_words() {
    let check = |status: &str, body: &str, expected: &str| {
        let (_fake, engine) = Fake::then(answer(status, body.as_bytes()));
        assert_eq!(words(engine.save("web").map(drop).unwrap_err()), expected);
    };
    check("404 Not Found", r#"{"message":"No such image: web"}"#, "image web in the engine not found");
    check(
        "500 Internal Server Error",
        r#"{"cause":"image not known","message":"docker.io/library/web: image not known","response":500}"#,
        "image web in the engine not found",
    );
    check(
        "500 Internal Server Error",
        r#"{"message":"no space left"}"#,
        "image web, the engine: the server answered 500: no space left",
    );
    check("403 Forbidden", "not\x1byou", "access to image web, the engine denied: not\\x1byou");
    check("302 Found", "", "image web, the engine: the server answered 302");
    let long = "x".repeat(100_000);
    let (_fake, engine) = Fake::then(answer("500 Oops", long.as_bytes()));
    assert!(words(engine.save("web").map(drop).unwrap_err()).len() < 20_000);
}

#[test]
fn a_stream_that_breaks_off_is_no_end() {
    let bytes = vec![7; 50_000];
    let (_fake, engine) = Fake::then(chunked(&bytes, false));
    let (read, failure) = read_all(engine.save("web").unwrap());
    assert!(read.len() <= bytes.len());
    assert!(failure.unwrap().starts_with("cannot read image web from the engine: "));
}

#[test]
fn a_failure_behind_the_archive_is_told_in_the_engines_words() {
    let tar = vec![7; 50_000];
    let failure = br#"{"errorDetail":{"message":"layer is gone"},"error":"layer is gone"}"#;
    let (_fake, engine) = Fake::then(chunked(&[&tar[..], failure, b"\r\n"].concat(), true));
    let (read, failure) = read_all(engine.save("web").unwrap());
    assert!(tar.starts_with(&read));
    assert_eq!(failure.unwrap(), "image web from the engine: the server answered 200: layer is gone");
}

#[test]
fn a_reader_that_leaves_early_ends_the_request() {
    let (_fake, engine) = Fake::then(chunked(&vec![7; 10 << 20], true));
    let mut from = engine.save("web").unwrap();
    from.read_exact(&mut [0; 1000]).unwrap();
    drop(from);
}

#[test]
fn an_archive_is_loaded_whole_and_names_come_back() {
    for size in [0, 1, 128 << 10, 3 << 20] {
        let bytes: Vec<u8> = (0..size).map(|at| (at % 241) as u8).collect();
        let said = b"{\"stream\":\"Loaded image: web:v1\\n\"}\n{\"stream\":\"Loaded image: web:v2\\n\"}\n";
        let (fake, engine) = Fake::then(answer("200 OK", said));
        assert_eq!(engine.load(&mut &bytes[..]).unwrap(), ["web:v1", "web:v2"]);
        let (line, body) = fake.heard();
        assert_eq!(line, "POST /images/load?quiet=1 HTTP/1.1");
        assert_eq!(body.len(), bytes.len());
        assert!(body == bytes);
    }
}

#[test]
fn a_refused_load_is_in_the_engines_words_however_early() {
    let expected = "loading an image, the engine: the server answered 500: no such format";
    let refusal = answer("500 Internal Server Error", br#"{"message":"no such format"}"#);
    let (_fake, engine) = Fake::then(refusal.clone());
    assert_eq!(words(engine.load(&mut &b"tar"[..]).unwrap_err()), expected);
    // An archive without an end: only the answer can end it.
    let (_fake, engine) = Fake::saying(Say::AtOnce(refusal));
    assert_eq!(words(engine.load(&mut io::repeat(7)).unwrap_err()), expected);

    let said = b"{\"errorDetail\":{\"message\":\"no space\"},\"error\":\"no space\"}\n";
    let (_fake, engine) = Fake::then(answer("200 OK", said));
    let expected = "loading an image, the engine: the server answered 200: no space";
    assert_eq!(words(engine.load(&mut &b"tar"[..]).unwrap_err()), expected);
}

#[test]
fn an_archive_that_breaks_off_never_looks_whole() {
    struct Breaks;
    impl Read for Breaks {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(Error::not_found("layer", "3").into())
        }
    }
    let (fake, engine) = Fake::then(answer("200 OK", b""));
    let mut archive = io::repeat(7).take(3 << 20).chain(Breaks);
    let err = engine.load(&mut archive).unwrap_err();
    assert_eq!(err.to_string(), "layer 3 not found", "the reader's fault, not the socket's");
    let (_, body) = fake.heard();
    assert!(body.ends_with(b"<broken>"));

    // The same of a sink that fails in the middle, whatever the writer of the tar does at its end.
    let mut sink = engine.sink().unwrap();
    let layer = vec![7; 2 << 20];
    let media_type = "application/vnd.oci.image.layer.v1.tar";
    let descriptor = Descriptor::new(media_type, Digest::of(&layer), layer.len() as u64);
    sink.put(&descriptor, &mut &layer[..]).unwrap();
    drop(sink);
    let (_, body) = fake.heard();
    assert!(body.ends_with(b"<broken>"));
}

#[test]
fn an_engine_that_is_silent_or_gone_is_given_up() {
    let (_fake, mut engine) = Fake::saying(Say::Nothing);
    engine.patience = Duration::from_millis(200);
    let silent = "cannot hear from the engine: the server has been silent for 0.2 s";
    assert_eq!(words(engine.version().unwrap_err()), silent);
    assert_eq!(words(engine.save("web").map(drop).unwrap_err()), silent);
    assert_eq!(words(engine.load(&mut &b"tar"[..]).unwrap_err()), silent);

    let (fake, engine) = Fake::then("");
    assert!(words(engine.version().unwrap_err()).starts_with("cannot reach the engine: "));
    drop(fake.folder);
    let err = engine.version().unwrap_err();
    assert!(err.hint().unwrap().contains("DOCKER_HOST"));
    assert!(words(err).contains("No such file"));

    let (_fake, engine) = Fake::saying(Say::Nothing);
    let other = engine.clone();
    thread::spawn(move || {
        thread::sleep(Duration::from_millis(100));
        other.interrupt();
    });
    assert!(matches!(engine.version().unwrap_err().root(), Error::Interrupted));
}

#[test]
fn an_endless_answer_is_cut() {
    let (_fake, engine) = Fake::then(answer("200 OK", &vec![b' '; 2 << 20]));
    assert_eq!(
        words(engine.version().unwrap_err()),
        "the answer of the engine is over the limit of 1048576 bytes"
    );
    let (_fake, engine) = Fake::then(answer("200 OK", b"7"));
    assert!(words(engine.version().unwrap_err()).starts_with("the engine's version: "));
}
