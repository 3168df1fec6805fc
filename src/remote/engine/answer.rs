//! What an engine says: its version, its errors, and the lines it writes while it loads.

use crate::error::Error;
use crate::error::Result;
use crate::path::shown;
use crate::remote::call;
use reqwest::Response;
use serde::Deserialize;
use std::time::Duration;

const ANSWER_BYTES_MAX: usize = 1 << 20;
/// An error is for a person to read.
const WORDS_BYTES_MAX: usize = 16 << 10;
const LINE_BYTES_MAX: usize = 256 << 10;
const NAMES_MAX: usize = 10_000;

/// Who is at the other end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Version {
    /// Of the engine: `20.10.24`, or podman's own, `4.3.1`.
    pub version: String,
    /// Of Docker's API, as both speak it: `1.41`.
    pub api_version: String,
    pub os: String,
    /// As Go calls it: `amd64`.
    pub arch: String,
    components: Vec<Component>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Component {
    name: String,
}

impl Version {
    pub fn parse(bytes: &[u8]) -> Result<Version> {
        crate::oci::json::parse("the engine's version", bytes, ANSWER_BYTES_MAX as u64)
    }

    /// `Engine` is Docker's, `Podman Engine` podman's name for itself.
    pub fn is_podman(&self) -> bool {
        self.components.iter().any(|component| component.name.starts_with("Podman"))
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Line {
    stream: String,
    message: String,
    error: String,
    #[serde(rename = "errorDetail")]
    detail: Detail,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Detail {
    message: String,
}

impl Line {
    fn parse(bytes: &[u8]) -> Option<Line> {
        crate::oci::json::parse("line", bytes, LINE_BYTES_MAX as u64).ok()
    }

    fn failure(&self) -> Option<String> {
        let words = [&self.detail.message, &self.error].into_iter().find(|words| !words.is_empty())?;
        Some(shown(words.as_bytes()))
    }
}

/// A whole small answer.
pub async fn read(mut response: Response, engine: &str, patience: Duration) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    while let Some(chunk) =
        call::next_chunk(&mut response, engine, patience).await.map_err(|failure| failure.error)?
    {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > ANSWER_BYTES_MAX {
            let thing = format!("the answer of {engine}");
            return Err(Error::Limit { thing, limit: ANSWER_BYTES_MAX as u64, unit: "bytes" });
        }
    }
    Ok(bytes)
}

/// The engine's own words for a refusal; empty when it has none.
pub async fn words(mut response: Response, patience: Duration) -> String {
    let mut bytes = Vec::new();
    // A broken answer is still a refusal, and its front may say why.
    while let Ok(Some(chunk)) = call::next_chunk(&mut response, "", patience).await {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > WORDS_BYTES_MAX {
            break;
        }
    }
    bytes.truncate(WORDS_BYTES_MAX);
    match Line::parse(&bytes) {
        Some(Line { message, .. }) if !message.is_empty() => shown(message.as_bytes()),
        _ => shown(bytes.trim_ascii()),
    }
}

/// The failure that Docker writes behind an archive it could not finish: the status was sent before.
///
/// `tail` is the end of the stream; an archive ends in zeros.
pub fn failure_at_end(tail: &[u8]) -> Option<String> {
    let at = memchr::memmem::rfind(tail, br#"{"errorDetail""#)?;
    Line::parse(tail[at..].trim_ascii())?.failure()
}

/// Reads the lines of `/images/load`, as they come in.
pub struct Loaded {
    line: Vec<u8>,
    names: Vec<String>,
}

impl Loaded {
    pub fn new() -> Loaded {
        Loaded { line: Vec::new(), names: Vec::new() }
    }

    /// `Err` is a failure in the engine's words.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), String> {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            // What is longer than any line says nothing that is looked for here.
            let room = LINE_BYTES_MAX.saturating_sub(self.line.len());
            self.line.extend_from_slice(&piece[..piece.len().min(room)]);
            if piece.ends_with(b"\n") {
                self.end_line()?;
            }
        }
        Ok(())
    }

    pub fn finish(mut self) -> Result<Vec<String>, String> {
        self.end_line()?;
        Ok(self.names)
    }

    fn end_line(&mut self) -> Result<(), String> {
        let line = std::mem::take(&mut self.line);
        let Some(line) = Line::parse(line.trim_ascii()) else { return Ok(()) };
        if let Some(words) = line.failure() {
            return Err(words);
        }
        for said in line.stream.lines() {
            let names = ["Loaded image: ", "Loaded image(s): ", "Loaded image ID: "];
            let Some(list) = names.iter().find_map(|front| said.trim().strip_prefix(front)) else { continue };
            // Podman of 2022 has all names of an archive on one line.
            let room = NAMES_MAX - self.names.len();
            let list = list.split(',').map(str::trim).filter(|name| !name.is_empty());
            self.names.extend(list.take(room).map(|name| shown(name.as_bytes())));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(said: &str, expected: Result<&[&str], &str>) {
        // In one piece, and in pieces of one byte.
        for size in [said.len().max(1), 1] {
            let mut loaded = Loaded::new();
            let fed = said.as_bytes().chunks(size).try_for_each(|piece| loaded.feed(piece));
            let outcome = fed.and_then(|()| loaded.finish());
            let expected = expected.map(|names| names.iter().map(|name| name.to_string()).collect());
            assert_eq!(outcome, expected.map_err(str::to_owned), "{said}");
        }
    }

    #[test]
    fn names_are_found_in_the_lines_of_every_engine() {
        check("", Ok(&[]));
        check(r#"{"stream":"Loaded image: a,b:1,c"}"#, Ok(&["a", "b:1", "c"]));
        check(
            "{\"status\":\"Loading layer\",\"progressDetail\":{\"current\":1},\"id\":\"x\"}\r\n\
             {\"stream\":\"Loaded image: debian:12\\n\"}\r\n\
             {\"stream\":\"Loaded image ID: sha256:ab\\n\"}\r\n",
            Ok(&["debian:12", "sha256:ab"]),
        );
        check("{\"stream\":\"Loaded image(s): a,b\"}\nno JSON\n{\"stream\":7}\n", Ok(&["a", "b"]));
        check("{\"stream\":\"The image a is already there, renaming\\nLoaded image: a\"}", Ok(&["a"]));
    }

    #[test]
    fn a_failure_behind_a_good_status_is_one() {
        check(
            "{\"stream\":\"Loaded image: a\"}\n{\"errorDetail\":{\"message\":\"no space\"},\"error\":\"no\"}\n",
            Err("no space"),
        );
        check("{\"error\":\"no \\u001b[31mspace\"}", Err("no \\x1b[31mspace"));
        let tail = |text: &str| failure_at_end(text.as_bytes());
        assert_eq!(
            tail("\0\0{\"errorDetail\":{\"message\":\"m\"},\"error\":\"m\"}\r\n").as_deref(),
            Some("m")
        );
        assert_eq!(tail("{\"errorDetail\": in a file\0\0\0"), None);
        assert_eq!(tail("\0\0"), None);
    }

    #[test]
    fn an_endless_line_is_not_kept() {
        let mut loaded = Loaded::new();
        for _ in 0..100 {
            loaded.feed(&[b'x'; 100_000]).unwrap();
        }
        assert!(loaded.line.len() <= LINE_BYTES_MAX);
        loaded.feed(b"\n{\"stream\":\"Loaded image: a\"}\n").unwrap();
        assert_eq!(loaded.finish().unwrap(), ["a"]);
    }
}
