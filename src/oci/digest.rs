//! Digests: `algorithm:encoded`, and the reader that holds a stream to one.
//!
//! OCI image-spec, "Digests". A digest that fits the grammar is kept whatever its algorithm; only
//! SHA-256 and SHA-512 can be verified here. The grammar has neither `/` nor a part made of dots,
//! so the two halves of a parsed digest are safe as file names.

use crate::error::Error;
use crate::error::Result;
use crate::id::DiffId;
use crate::id::hex;
use crate::id::unhex;
use crate::path::shown;
use sha2::Digest as _;
use std::fmt;
use std::io;
use std::io::Read;
use std::str::FromStr;

/// Both halves become file names in a layout, and no file system takes more than 255 bytes.
const DIGEST_BYTES_MAX: usize = 255;

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest {
    text: Box<str>,
    colon: usize,
}

impl Digest {
    pub fn parse(text: &str) -> Result<Digest> {
        let refuse =
            |problem: &str| Err(Error::invalid(format!("digest `{}`", shown(text.as_bytes())), problem));
        if text.len() > DIGEST_BYTES_MAX {
            return Err(Error::Limit {
                thing: format!("digest `{}…`", shown(&text.as_bytes()[..32])),
                limit: DIGEST_BYTES_MAX as u64,
                unit: "bytes",
            });
        }
        let Some((algorithm, encoded)) = text.split_once(':') else {
            return refuse("has no `algorithm:` in front");
        };
        let is_component = |part: &str| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        };
        if !algorithm.split(['+', '.', '_', '-']).all(is_component) {
            return refuse("has an algorithm outside of [a-z0-9] and single separators");
        }
        if encoded.is_empty() || !encoded.bytes().all(|b| b.is_ascii_alphanumeric() || b"=_-".contains(&b)) {
            return refuse("has an encoded part outside of [a-zA-Z0-9=_-]+");
        }
        // The registered algorithms are written in lower-case hex of one length.
        if let Some(digits) = hex_digits_of(algorithm) {
            let is_hex = encoded.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
            if encoded.len() != digits || !is_hex {
                return refuse(&format!("is not {digits} lower-case hex digits, as {algorithm} is written"));
            }
        }
        Ok(Digest { colon: algorithm.len(), text: text.into() })
    }

    /// The SHA-256 of `bytes`.
    pub fn of(bytes: &[u8]) -> Digest {
        Digest::from_sha256(sha2::Sha256::digest(bytes).into())
    }

    pub fn from_sha256(hash: [u8; 32]) -> Digest {
        Digest::made("sha256", &hash)
    }

    fn made(algorithm: &str, hash: &[u8]) -> Digest {
        Digest { text: format!("{algorithm}:{}", hex(hash)).into(), colon: algorithm.len() }
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub fn algorithm(&self) -> &str {
        &self.text[..self.colon]
    }

    pub fn encoded(&self) -> &str {
        &self.text[self.colon + 1..]
    }

    /// Says whether imgit knows how to compute it.
    pub fn can_verify(&self) -> bool {
        Hasher::new(self.algorithm()).is_some()
    }

    /// The 32 bytes, when it is a SHA-256.
    pub fn sha256(&self) -> Option<[u8; 32]> {
        if self.algorithm() != "sha256" {
            return None;
        }
        unhex(self.encoded())?.try_into().ok()
    }

    pub fn diff_id(&self) -> Option<DiffId> {
        self.sha256().map(DiffId)
    }

    /// Enough of it for a person: twelve digits, as docker shows them.
    pub fn short(&self) -> &str {
        &self.encoded()[..self.encoded().len().min(12)]
    }
}

fn hex_digits_of(algorithm: &str) -> Option<usize> {
    match algorithm {
        "sha256" | "blake3" => Some(64),
        "sha384" => Some(96),
        "sha512" => Some(128),
        _ => None,
    }
}

impl FromStr for Digest {
    type Err = Error;
    fn from_str(text: &str) -> Result<Digest> {
        Digest::parse(text)
    }
}

impl From<DiffId> for Digest {
    fn from(id: DiffId) -> Digest {
        Digest::from_sha256(id.0)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({})", self.text)
    }
}

impl serde::Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.text)
    }
}

impl<'de> serde::Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Digest, D::Error> {
        let text = String::deserialize(from)?;
        Digest::parse(&text).map_err(serde::de::Error::custom)
    }
}

enum Hasher {
    Sha256(sha2::Sha256),
    Sha512(Box<sha2::Sha512>),
}

impl Hasher {
    fn new(algorithm: &str) -> Option<Hasher> {
        match algorithm {
            "sha256" => Some(Hasher::Sha256(sha2::Sha256::new())),
            "sha512" => Some(Hasher::Sha512(Box::new(sha2::Sha512::new()))),
            _ => None,
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Hasher::Sha256(hasher) => hasher.update(bytes),
            Hasher::Sha512(hasher) => hasher.update(bytes),
        }
    }

    fn finish(self) -> Digest {
        match self {
            Hasher::Sha256(hasher) => Digest::made("sha256", &hasher.finalize()),
            Hasher::Sha512(hasher) => Digest::made("sha512", &hasher.finalize()),
        }
    }
}

/// Reads a stream and holds it to its digest and size.
///
/// The check is made when the last expected byte has come in, before it is handed on: whoever has
/// read `size` bytes has read the right ones. One byte more than `size`, or an end before it, is a
/// [`Error::Mismatch`] too. Reading on after a failure fails again. A digest of an algorithm that
/// imgit cannot compute is held to its size alone.
pub struct Verifier<R> {
    inner: R,
    thing: String,
    expected: Digest,
    size: u64,
    count: u64,
    hasher: Option<Hasher>,
    state: State,
}

#[derive(PartialEq)]
enum State {
    Reading,
    Right,
    Ended,
    /// What was expected, and what was found.
    Wrong(String, String),
}

impl<R: Read> Verifier<R> {
    /// `thing` is what an error names: "layer 3 of 5", "config".
    pub fn new(thing: impl Into<String>, expected: &Digest, size: u64, inner: R) -> Verifier<R> {
        Verifier {
            inner,
            thing: thing.into(),
            hasher: Hasher::new(expected.algorithm()),
            expected: expected.clone(),
            size,
            count: 0,
            state: State::Reading,
        }
    }

    /// Reads whatever the consumer has left, so that the whole stream is checked.
    pub fn finish(&mut self) -> Result<()> {
        io::copy(self, &mut io::sink()).map_err(|err| crate::error::from_stream(&self.thing, err))?;
        Ok(())
    }

    /// So many bytes have come in.
    pub fn count(&self) -> u64 {
        self.count
    }

    fn wrong(&mut self, expected: String, found: String) -> io::Error {
        self.state = State::Wrong(expected.clone(), found.clone());
        Error::Mismatch { thing: self.thing.clone(), expected, found }.into()
    }

    fn check(&mut self) -> io::Result<()> {
        if let Some(hasher) = self.hasher.take() {
            let found = hasher.finish();
            if found != self.expected {
                return Err(self.wrong(self.expected.to_string(), found.to_string()));
            }
        }
        self.state = State::Right;
        Ok(())
    }
}

impl<R: Read> Read for Verifier<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() || self.state == State::Ended {
            return Ok(0);
        }
        // The first failure may be lost between threads: whoever asks again hears the same.
        if let State::Wrong(expected, found) = &self.state {
            let (expected, found) = (expected.clone(), found.clone());
            return Err(Error::Mismatch { thing: self.thing.clone(), expected, found }.into());
        }
        // An empty blob is checked by its end.
        let n = self.inner.read(buf)?;
        self.count += n as u64;
        if self.count > self.size {
            return Err(self.wrong(bytes(self.size), "more".to_owned()));
        }
        if n == 0 {
            if self.count < self.size {
                return Err(self.wrong(bytes(self.size), bytes(self.count)));
            }
            if self.state == State::Reading {
                self.check()?;
            }
            self.state = State::Ended;
            return Ok(0);
        }
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&buf[..n]);
        }
        if self.count == self.size {
            self.check()?;
        }
        Ok(n)
    }
}

fn bytes(n: u64) -> String {
    format!("{n} bytes")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::from_stream;

    #[test]
    fn the_grammar_of_the_image_spec() {
        let hex64 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        for good in [
            format!("sha256:{hex64}"),
            format!("sha512:{hex64}{hex64}"),
            format!("blake3:{hex64}"),
            "multihash+base58:QmRZxt2b1FVZPNqd8hsiykDL3TdBDeTSPX9Kv46HmX4Gx8".into(),
            "sha256+b64u:LCa0a2j_xo_5m0U8HTBBNBNCLXBkg7-g-YpeiGJm564".into(),
            "x:=".into(),
        ] {
            let digest = Digest::parse(&good).unwrap();
            assert_eq!(digest.to_string(), good);
            assert_eq!(format!("{}:{}", digest.algorithm(), digest.encoded()), good);
        }
        for bad in [
            "",
            "sha256",
            ":abc",
            "sha256:",
            "sha256:abc",
            &format!("sha256:{}", hex64.to_uppercase()),
            &format!("SHA256:{hex64}"),
            &format!("sha256:{hex64}0"),
            &format!("sha256:../{}", &hex64[3..]),
            "a..b:c",
            "../x:c",
            "a/b:c",
            "x:a/b",
            "x:..",
            "x:a:b",
            "x:a\0",
            "é:a",
            &format!("x:{}", "a".repeat(254)),
        ] {
            assert!(Digest::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_what_can_be_computed_is_verifiable() {
        assert!(Digest::of(b"").can_verify());
        assert!(!Digest::parse("x:abc").unwrap().can_verify());
        assert_eq!(Digest::of(b"").sha256().unwrap()[0], 0xe3);
    }

    fn check(found: &[u8], named: &[u8], size: u64, outcome: Result<(), &str>) {
        let sha512 = Digest::made("sha512", &sha2::Sha512::digest(named));
        for digest in [Digest::of(named), sha512] {
            let mut out = Vec::new();
            let read = Verifier::new("layer 1", &digest, size, found).read_to_end(&mut out);
            match outcome {
                Ok(()) => {
                    read.unwrap();
                    assert_eq!(out, found);
                }
                Err(words) => {
                    let err = from_stream("?", read.unwrap_err());
                    assert!(matches!(err, Error::Mismatch { .. }), "{err}");
                    assert!(err.to_string().contains(words), "{err}");
                }
            }
        }
    }

    #[test]
    fn a_stream_is_held_to_digest_and_size() {
        check(b"abc", b"abc", 3, Ok(()));
        check(b"", b"", 0, Ok(()));
        check(b"abd", b"abc", 3, Err("layer 1: expected sha"));
        check(b"ab", b"abc", 3, Err("expected 3 bytes, found 2 bytes"));
        check(b"abcd", b"abc", 3, Err("expected 3 bytes, found more"));
        check(b"x", b"", 0, Err("expected 0 bytes, found more"));
        check(b"", b"x", 0, Err("expected sha"));
    }

    #[test]
    fn wrong_bytes_are_not_handed_out_to_the_last() {
        let mut verifier = Verifier::new("blob", &Digest::of(b"abc"), 3, &b"abd"[..]);
        let mut buf = [0; 2];
        verifier.read_exact(&mut buf).unwrap();
        assert!(verifier.read_exact(&mut buf[..1]).is_err());
        assert!(verifier.read(&mut buf).is_err());
    }

    #[test]
    fn an_endless_stream_stops_at_its_size() {
        let mut verifier = Verifier::new("blob", &Digest::of(b""), 1 << 20, io::repeat(0));
        assert!(verifier.finish().is_err());
        assert!(verifier.count() < 3 << 20);
    }

    #[test]
    fn an_unknown_algorithm_is_held_to_its_size() {
        let digest = Digest::parse("x:abc").unwrap();
        Verifier::new("blob", &digest, 3, &b"any"[..]).finish().unwrap();
        assert!(Verifier::new("blob", &digest, 2, &b"any"[..]).finish().is_err());
    }
}
