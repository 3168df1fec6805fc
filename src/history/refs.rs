//! Names that point to commits: branches move and remember every move, tags stay.

pub use crate::store::RefKind;

use crate::attr::Time;
use crate::error::Error;
use crate::error::Result;
use crate::id::CommitId;
use crate::oci::name::ImageName;
use crate::path::shown;
use std::fmt;

/// `NAME:REFERENCE`: `debian:12`, `ghcr.io/acme/app:main`.
///
/// A branch and a tag share one namespace: what a registry calls a tag is a branch here, and
/// nobody should have to say which.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RefName {
    name: String,
    reference: String,
}

impl RefName {
    pub fn new(name: &str, reference: &str) -> Result<RefName> {
        RefName::parse(&format!("{name}:{reference}"))
    }

    /// Takes the name and its tag, `latest` if it has none; a digest is no part of a ref.
    pub fn of(name: &ImageName) -> RefName {
        RefName { name: name.name().to_owned(), reference: name.tag_or_default().to_owned() }
    }

    /// Reads what [`RefName`] displays as: the key of a ref in the store.
    pub fn parse(key: &str) -> Result<RefName> {
        let name = ImageName::parse(key)?;
        if name.tag().is_none() || name.digest().is_some() {
            return Err(Error::invalid(format!("ref `{}`", shown(key.as_bytes())), "is not NAME:REFERENCE"));
        }
        Ok(RefName::of(&name))
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn reference(&self) -> &str {
        &self.reference
    }
}

impl fmt::Display for RefName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.reference)
    }
}

impl RefKind {
    pub fn word(self) -> &'static str {
        match self {
            RefKind::Branch => "branch",
            RefKind::Tag => "tag",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ref {
    pub name: RefName,
    pub kind: RefKind,
    pub commit: CommitId,
}

/// One move of a ref.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReflogEntry {
    /// Counts up with the transactions of the store; moves in one transaction share it.
    pub seq: u64,
    /// `None` when the ref was made.
    pub old: Option<CommitId>,
    /// `None` when it was deleted.
    pub new: Option<CommitId>,
    pub time: Time,
    pub who: String,
    pub message: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn a_ref_reads_as_it_shows() {
        for key in ["debian:12", "localhost:5000/app:main", "[::1]:5000/a/b:v1.2", "VMs/Win-11:_x", "a+b:c"] {
            assert_eq!(RefName::parse(key).unwrap().to_string(), key);
        }
        assert_eq!(RefName::new("docker.io/library/debian", "12").unwrap().to_string(), "debian:12");
    }

    #[test]
    fn names_that_would_read_as_something_else_are_refused() {
        for key in [
            "debian", "debian:", ":x", "a//b:x", "/a:x", "a/../b:x", "-a:x", "a~1:x", "a^:x", "a@b:x",
            "a b:x", "a:b c", "a:-x", "a:.x", "a:x~1", "a:é", "é:a", "a:b:c",
        ] {
            assert!(RefName::parse(key).is_err(), "{key}");
        }
    }
}
