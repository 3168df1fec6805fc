//! Short names: what a name without a host may stand for.
//!
//! Docker takes `debian` for `docker.io/library/debian`. The containers tools ask registries.conf(5):
//! an alias, else each of `unqualified-search-registries`. Both answers are here, and where they come
//! from, for the caller to choose and to show.

use crate::error::Result;
use crate::oci::name::ImageName;
use crate::remote::config::registries::Registries;
use std::path::PathBuf;

/// The full names that a typed one may stand for, the first to try first; never empty.
#[derive(Debug, PartialEq, Eq)]
pub struct Resolved {
    pub names: Vec<ImageName>,
    pub from: From,
}

/// Why a short name stands for what it does.
#[derive(Debug, PartialEq, Eq)]
pub enum From {
    /// It was not short.
    Typed,
    /// `[aliases]` of this file.
    Alias(PathBuf),
    /// `unqualified-search-registries` of this file.
    Search(PathBuf),
    /// Nothing is configured: Docker Hub, as Docker does.
    Default,
}

impl Registries {
    /// Reads `NAME[:TAG][@DIGEST]` and spells out what it may stand for.
    pub fn resolve(&self, typed: &str) -> Result<Resolved> {
        let name = ImageName::parse(typed)?;
        if has_host(typed) {
            return Ok(Resolved { names: vec![name], from: From::Typed });
        }
        let end = typed.find([':', '@']).unwrap_or(typed.len());
        let (short, suffix) = typed.split_at(end);
        if let Some((Some(long), file)) = self.aliases.get(short) {
            let name = ImageName::parse(&format!("{long}{suffix}"))?;
            return Ok(Resolved { names: vec![name], from: From::Alias(file.clone()) });
        }
        match &self.search {
            Some((hosts, file)) if !hosts.is_empty() => {
                let names = hosts.iter().map(|host| ImageName::parse(&format!("{host}/{typed}")));
                Ok(Resolved { names: names.collect::<Result<_>>()?, from: From::Search(file.clone()) })
            }
            _ => Ok(Resolved { names: vec![name], from: From::Default }),
        }
    }
}

/// Whether the first part is a host: it has `.` or `:`, or is `localhost`, and a slash follows.
pub fn has_host(name: &str) -> bool {
    let first = name.split_once('/').map(|(first, _)| first);
    first.is_some_and(|first| first == "localhost" || first.contains(['.', ':']))
}
