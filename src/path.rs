//! Paths inside an image: bytes, relative to its root, already clean.
//!
//! [`TreePath::parse`] is the only place where `.`, empty parts and leading slashes are dropped
//! and where `..` is refused, so no one below checks it twice.

use crate::error::Error;
use std::fmt;

/// More than any file system takes; the rest is an attack. Linux's PATH_MAX is 4,096.
pub const PATH_BYTES_MAX: usize = 65_535;

/// How deep a path may be: readers recurse once for each level, on a thread's small stack.
pub const PATH_PARTS_MAX: usize = 2_048;

#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TreePath(Vec<u8>);

impl TreePath {
    pub fn root() -> TreePath {
        TreePath::default()
    }

    /// Accepts `./a/b`, `/a/b`, `a//b/`; refuses `..`, NUL and paths over the limit.
    pub fn parse(bytes: &[u8]) -> Result<TreePath, Error> {
        let refuse = |problem: &str| Err(Error::invalid(format!("path `{}`", shown(bytes)), problem));
        if bytes.len() > PATH_BYTES_MAX {
            return Err(Error::Limit {
                thing: format!("path `{}`", shown(bytes)),
                limit: PATH_BYTES_MAX as u64,
                unit: "bytes",
            });
        }
        let mut clean = Vec::with_capacity(bytes.len());
        let mut n_parts = 0;
        for part in bytes.split(|byte| *byte == b'/') {
            match part {
                b"" | b"." => continue,
                b".." => return refuse("points outside its root"),
                _ if part.contains(&0) => return refuse("contains a NUL byte"),
                _ => {}
            }
            n_parts += 1;
            if n_parts > PATH_PARTS_MAX {
                return Err(Error::Limit {
                    thing: format!("path `{}`", shown(&bytes[..256])),
                    limit: PATH_PARTS_MAX as u64,
                    unit: "parts",
                });
            }
            if !clean.is_empty() {
                clean.push(b'/');
            }
            clean.extend_from_slice(part);
        }
        Ok(TreePath(clean))
    }

    /// The path without leading or trailing slash; empty for the root.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    pub fn parts(&self) -> impl Iterator<Item = &[u8]> {
        self.0.split(|byte| *byte == b'/').filter(|part| !part.is_empty())
    }

    /// The folder and the last part; `None` for the root.
    pub fn split(&self) -> Option<(TreePath, &[u8])> {
        if self.is_root() {
            return None;
        }
        Some(match self.0.iter().rposition(|byte| *byte == b'/') {
            Some(at) => (TreePath(self.0[..at].to_vec()), &self.0[at + 1..]),
            None => (TreePath::root(), &self.0),
        })
    }

    /// `name` is one clean part, as tree nodes hold it.
    pub fn join(&self, name: &[u8]) -> TreePath {
        let mut bytes = self.0.clone();
        if !bytes.is_empty() {
            bytes.push(b'/');
        }
        bytes.extend_from_slice(name);
        TreePath(bytes)
    }

    /// Says whether `self` is `other` or lies under it.
    pub fn is_under(&self, other: &TreePath) -> bool {
        other.is_root()
            || self
                .0
                .strip_prefix(&other.0[..])
                .is_some_and(|rest| rest.first().is_none_or(|byte| *byte == b'/'))
    }
}

impl fmt::Display for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}", shown(&self.0))
    }
}

impl fmt::Debug for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{self}`")
    }
}

/// Bytes as a person may see them: valid UTF-8 as it is, control and other bytes as `\xNN`.
pub fn shown(bytes: &[u8]) -> String {
    const SHOWN_BYTES_MAX: usize = 4_096;
    let cut = &bytes[..bytes.len().min(SHOWN_BYTES_MAX)];
    let mut text = String::with_capacity(cut.len());
    for chunk in cut.utf8_chunks() {
        for letter in chunk.valid().chars() {
            if letter.is_control() {
                text.extend(letter.to_string().bytes().map(|byte| format!("\\x{byte:02x}")));
            } else {
                text.push(letter);
            }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    if cut.len() < bytes.len() {
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_and_slashes_go_and_dotdot_is_refused() {
        for (raw, clean) in [("./a/b", "a/b"), ("/a//b/", "a/b"), (".", ""), ("/", ""), ("a/./b", "a/b")] {
            assert_eq!(TreePath::parse(raw.as_bytes()).unwrap().as_bytes(), clean.as_bytes());
        }
        for raw in ["..", "a/../b", "/../etc", "a\0b"] {
            assert!(TreePath::parse(raw.as_bytes()).is_err(), "{raw:?}");
        }
        assert!(TreePath::parse(&[b'a'; PATH_BYTES_MAX + 1]).is_err());
        assert!(TreePath::parse("a/".repeat(PATH_PARTS_MAX).as_bytes()).is_ok());
        assert!(TreePath::parse("a/".repeat(PATH_PARTS_MAX + 1).as_bytes()).is_err());
    }

    #[test]
    fn under_means_whole_parts() {
        let path = |raw: &str| TreePath::parse(raw.as_bytes()).unwrap();
        assert!(path("etc/ssl").is_under(&path("etc")));
        assert!(path("etc").is_under(&path("etc")));
        assert!(path("etc").is_under(&TreePath::root()));
        assert!(!path("etcetera").is_under(&path("etc")));
    }
}
