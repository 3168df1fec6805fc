//! Names that point to commits: branches move and remember every move, tags stay.

use crate::attr::Time;
use crate::codec::Reader;
use crate::codec::put_bytes;
use crate::codec::put_time;
use crate::codec::put_varint;
use crate::error::Error;
use crate::error::Result;
use crate::id::CommitId;
use crate::path::shown;
use std::fmt;

/// What `NAME` alone means.
pub const DEFAULT_REFERENCE: &str = "latest";

/// OCI distribution-spec: many clients limit host and name to 255 characters.
pub const NAME_BYTES_MAX: usize = 255;
/// OCI distribution-spec, "Pulling manifests".
pub const REFERENCE_BYTES_MAX: usize = 128;

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
    /// Accepts a name in its familiar form and a reference as registries allow it.
    pub fn new(name: &str, reference: &str) -> Result<RefName> {
        check_name(name)?;
        check_reference(reference)?;
        Ok(RefName {
            name: name.to_owned(),
            reference: reference.to_owned(),
        })
    }

    /// Reads what [`RefName`] displays as: the key of a ref in the store.
    pub fn parse(key: &str) -> Result<RefName> {
        let (name, reference) = split(key);
        let reference = reference
            .ok_or_else(|| Error::invalid(format!("ref `{}`", shown(key.as_bytes())), "is not NAME:REFERENCE"))?;
        RefName::new(name, reference)
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

/// Cuts `NAME[:REFERENCE]`; a colon before the last slash belongs to the port of a host.
pub(super) fn split(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        Some((name, reference)) if !reference.contains('/') => (name, Some(reference)),
        _ => (text, None),
    }
}

pub(super) fn check_name(name: &str) -> Result<()> {
    let refuse = |problem: &str| Err(Error::invalid(format!("name `{}`", shown(name.as_bytes())), problem));
    if name.len() > NAME_BYTES_MAX {
        return refuse("is longer than 255 characters");
    }
    // Only the host that stands first may have a port.
    let (host, path) = match name.split_once('/') {
        Some((host, path)) if host.contains(':') => (host, path),
        _ => ("", name),
    };
    if !host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte)) {
        return refuse("has a host that is not NAME[:PORT]");
    }
    for part in path.split('/') {
        if part.is_empty() || part.starts_with(['.', '-']) || part.contains("..") {
            return refuse("has a part that is empty, begins with `.` or `-`, or contains `..`");
        }
        if !part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-+".contains(&byte)) {
            return refuse("has letters other than a-z, A-Z, 0-9, `.`, `_`, `-`, `+` and `/`");
        }
    }
    Ok(())
}

pub(super) fn check_reference(reference: &str) -> Result<()> {
    let refuse = |problem: &str| {
        Err(Error::invalid(format!("branch or tag `{}`", shown(reference.as_bytes())), problem))
    };
    if reference.len() > REFERENCE_BYTES_MAX {
        return refuse("is longer than 128 characters");
    }
    if reference.is_empty() || reference.starts_with(['.', '-']) {
        return refuse("is empty or begins with `.` or `-`");
    }
    if !reference.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte)) {
        return refuse("has letters other than a-z, A-Z, 0-9, `_`, `.` and `-`");
    }
    Ok(())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RefKind {
    /// Moves with every import of its name.
    Branch,
    /// Stays unless forced.
    Tag,
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
    /// Counts up with every move in the store.
    pub seq: u64,
    /// `None` when the ref was made.
    pub old: Option<CommitId>,
    /// `None` when it was deleted.
    pub new: Option<CommitId>,
    pub time: Time,
    pub who: String,
    pub message: String,
}

/// Version of the encoding of a [`ReflogEntry`].
const REFLOG_VERSION: u8 = 1;

const HAS_OLD: u8 = 1;
const HAS_NEW: u8 = 2;

impl ReflogEntry {
    /// Version, which of the ids are there, number, ids, time, who, message.
    pub fn encode(&self) -> Vec<u8> {
        let has = |id: &Option<CommitId>, bit: u8| if id.is_some() { bit } else { 0 };
        let mut out = vec![REFLOG_VERSION, has(&self.old, HAS_OLD) | has(&self.new, HAS_NEW)];
        put_varint(&mut out, self.seq);
        for id in [&self.old, &self.new].into_iter().flatten() {
            out.extend_from_slice(&id.0);
        }
        put_time(&mut out, self.time);
        put_bytes(&mut out, self.who.as_bytes());
        put_bytes(&mut out, self.message.as_bytes());
        out
    }

    pub fn decode(bytes: &[u8]) -> Result<ReflogEntry> {
        let mut reader = Reader::new("reflog entry", bytes);
        reader.version(REFLOG_VERSION)?;
        let has = reader.byte()?;
        if has & !(HAS_OLD | HAS_NEW) != 0 {
            return Err(reader.invalid(format!("has unknown flags {has:#04x}")));
        }
        let seq = reader.varint()?;
        let mut id = |bit: u8| match has & bit {
            0 => Ok(None),
            _ => reader.array().map(|id| Some(CommitId(id))),
        };
        let (old, new) = (id(HAS_OLD)?, id(HAS_NEW)?);
        let entry = ReflogEntry {
            seq,
            old,
            new,
            time: reader.time()?,
            who: reader.text()?.to_owned(),
            message: reader.text()?.to_owned(),
        };
        reader.finish()?;
        Ok(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_reflog_entry_there_and_back(
            seq: u64, old: Option<[u8; 32]>, new: Option<[u8; 32]>, secs: i64, nanos in 0u32..1_000_000_000,
            who in ".{0,5}", message in ".{0,5}", at: prop::sample::Index, byte: u8,
        ) {
            let (old, new) = (old.map(CommitId), new.map(CommitId));
            let entry = ReflogEntry { seq, old, new, time: Time { secs, nanos }, who, message };
            let mut bytes = entry.encode();
            prop_assert_eq!(ReflogEntry::decode(&bytes).unwrap(), entry);
            let at = at.index(bytes.len());
            bytes[at] = byte;
            if let Ok(entry) = ReflogEntry::decode(&bytes) {
                prop_assert_eq!(entry.encode(), bytes);
            }
        }
    }

    #[test]
    fn a_ref_reads_as_it_shows() {
        for key in ["debian:12", "localhost:5000/app:main", "[::1]:5000/a/b:v1.2", "VMs/Win-11:_x", "a+b:c"] {
            assert_eq!(RefName::parse(key).unwrap().to_string(), key);
        }
    }

    #[test]
    fn names_that_would_read_as_something_else_are_refused() {
        let too_long = format!("{}:x", "a".repeat(256));
        for key in [
            "debian", "debian:", ":x", "a//b:x", "/a:x", "a/../b:x", "-a:x", "a~1:x", "a^:x", "a@b:x", "a b:x", "a:b c",
            "a:-x", "a:.x", "a:x~1", "a:é", "é:a", "a:b:c", too_long.as_str(),
        ] {
            assert!(RefName::parse(key).is_err(), "{key}");
        }
    }
}
