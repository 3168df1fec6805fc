//! One registries.conf(5) as it is written: TOML to values, with every complaint naming file and key.
//!
//! Version 2, and the version 1 of before 2020 in a main file, which is read as what it meant.
//! Unknown keys are skipped: newer tools share the file.

use crate::error::Error;
use crate::error::Result;
use crate::path::shown;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::Path;
use std::path::PathBuf;

/// The largest in the field is a list of aliases of 10 KB.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// What one file says; `None` is for what it does not mention.
#[derive(Debug, Default)]
pub struct RegistriesFile {
    pub registries: Vec<Registry>,
    pub search: Option<Vec<String>>,
    pub helpers: Option<Vec<String>>,
    pub short_names: Option<ShortNames>,
    /// A short name and what it stands for; `None` takes back an alias of an earlier file.
    pub aliases: BTreeMap<String, Option<String>>,
}

/// `[[registry]]`: what holds for the images under a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registry {
    /// `HOST[:PORT][/PATH][:TAG|@DIGEST]` or `*.HOST`.
    pub prefix: String,
    /// What stands in place of the prefix; `None`, for wildcards only, leaves the name as it is.
    pub location: Option<String>,
    pub insecure: bool,
    pub blocked: bool,
    pub mirrors: Vec<Mirror>,
    /// The file that says so.
    pub origin: PathBuf,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    pub location: String,
    pub insecure: bool,
    pub pulls: Pulls,
}

/// `pull-from-mirror`: what a mirror is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pulls {
    All,
    ByDigest,
    ByTag,
}

/// `short-name-mode`: may a short name be looked for in several registries without asking?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShortNames {
    /// Ask; where nobody can be asked, refuse.
    Enforcing,
    /// Ask; where nobody can be asked, try all.
    Permissive,
    /// Try all.
    Disabled,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Document {
    #[serde(default)]
    registry: Vec<Table>,
    unqualified_search_registries: Option<Vec<String>>,
    credential_helpers: Option<Vec<String>>,
    short_name_mode: Option<String>,
    #[serde(default)]
    aliases: BTreeMap<String, String>,
    /// Version 1.
    registries: Option<Old>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", default)]
#[derive(Default)]
struct Table {
    prefix: String,
    location: String,
    insecure: bool,
    blocked: bool,
    mirror_by_digest_only: bool,
    pull_from_mirror: String,
    mirror: Vec<MirrorTable>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", default)]
#[derive(Default)]
struct MirrorTable {
    location: String,
    insecure: bool,
    pull_from_mirror: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Old {
    search: OldList,
    insecure: OldList,
    block: OldList,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct OldList {
    registries: Vec<String>,
}

impl RegistriesFile {
    /// `is_drop_in`: such a file may not be of version 1. A file that is not there is an error.
    pub fn read(path: &Path, is_drop_in: bool) -> Result<RegistriesFile> {
        let bytes = crate::fs::read_small(path, FILE_BYTES_MAX)?;
        let refuse = |problem: String| Error::invalid(path.display().to_string(), problem);
        let text = String::from_utf8(bytes).map_err(|_| refuse("expected TOML, found bytes".to_owned()))?;
        let document: Result<Document, _> = toml::from_str(&text);
        let file = document.map_err(|err| words(&text, &err)).and_then(|it| it.check(path, is_drop_in));
        file.map_err(|(place, problem)| {
            Error::invalid(format!("{}, {}", path.display(), shown(place.as_bytes())), problem)
        })
    }
}

/// A key or a line, and what is wrong with it.
type Complaint = (String, String);

impl Document {
    fn check(self, path: &Path, is_drop_in: bool) -> Result<RegistriesFile, Complaint> {
        let complain = |key: &str, problem: &str| Err((format!("`{key}`"), problem.to_owned()));
        let is_old = self.registries.is_some();
        if is_old && is_drop_in {
            return complain("registries", "a drop-in must be of version 2");
        }
        if is_old && !(self.registry.is_empty() && self.unqualified_search_registries.is_none()) {
            return complain("registries", "is of version 1, and the rest of the file of version 2");
        }
        let mut file = RegistriesFile { helpers: self.credential_helpers, ..RegistriesFile::default() };
        file.short_names = match self.short_name_mode.as_deref() {
            None | Some("") => None,
            Some("enforcing") => Some(ShortNames::Enforcing),
            Some("permissive") => Some(ShortNames::Permissive),
            Some("disabled") => Some(ShortNames::Disabled),
            Some(other) => {
                let problem = format!(
                    "expected enforcing, permissive or disabled, found `{}`",
                    shown(other.as_bytes())
                );
                return Err(("`short-name-mode`".to_owned(), problem));
            }
        };
        let search = match self.registries {
            Some(old) => {
                file.registries = old.registries(path)?;
                Some(old.search.registries)
            }
            None => self.unqualified_search_registries,
        };
        let (mut by_place, mut prefixes) = (BTreeMap::new(), BTreeSet::new());
        for table in self.registry {
            let registry = table.check(path)?;
            let place = registry.location.clone().unwrap_or_else(|| registry.prefix.clone());
            check_conflict(by_place.entry(place).or_insert_with(|| registry.clone()), &registry)?;
            // Of two tables for one prefix the first counts.
            if prefixes.insert(registry.prefix.clone()) {
                file.registries.push(registry);
            }
        }
        if let Some(search) = &search {
            for registry in search {
                check_place("`unqualified-search-registries`", registry)?;
                if registry.contains('/') {
                    return complain("unqualified-search-registries", "expected HOST[:PORT] without a path");
                }
            }
        }
        file.search = search;
        for (name, value) in self.aliases {
            let key = format!("`aliases`, `{name}`");
            if super::short_names::has_host(&name) || name.contains(['@', ':']) || name.is_empty() {
                return Err((key, "expected a name without host, tag and digest".to_owned()));
            }
            let value = (!value.is_empty()).then_some(value);
            if let Some(value) = &value {
                check_place(&key, value)?;
                let last = value.rsplit('/').next().unwrap_or_default();
                if !value.contains('/') || last.contains(['@', ':']) {
                    return Err((key, "expected HOST/NAME without tag and digest".to_owned()));
                }
            }
            file.aliases.insert(name, value);
        }
        Ok(file)
    }
}

impl Table {
    fn check(self, path: &Path) -> Result<Registry, Complaint> {
        let location = self.location.trim_end_matches('/').to_owned();
        let prefix = self.prefix.trim_end_matches('/').to_owned();
        let prefix = if prefix.is_empty() { location.clone() } else { prefix };
        let key = |field: &str| format!("`registry` {prefix}, `{field}`");
        if prefix.is_empty() {
            return Err(("`registry`".to_owned(), "has neither `prefix` nor `location`".to_owned()));
        }
        let is_wildcard = prefix.starts_with("*.");
        if is_wildcard && prefix.contains(['/', '@', ':']) {
            return Err((
                key("prefix"),
                "expected a wildcard like `*.example.com`, without a path".to_owned(),
            ));
        }
        if prefix[usize::from(is_wildcard)..].contains('*') {
            return Err((key("prefix"), "a wildcard is good at the front only, as `*.`".to_owned()));
        }
        if !is_wildcard {
            check_place(&key("prefix"), &prefix)?;
        }
        match &location[..] {
            "" if is_wildcard => {}
            "" => return Err((key("location"), "is missing".to_owned())),
            location => check_place(&key("location"), location)?,
        }
        if !self.pull_from_mirror.is_empty() {
            return Err((key("pull-from-mirror"), "belongs into a `registry.mirror`".to_owned()));
        }
        let mut mirrors = Vec::new();
        for mirror in self.mirror {
            let location = mirror.location.trim_end_matches('/').to_owned();
            check_place(&key("mirror.location"), &location)?;
            let pulls = match (&mirror.pull_from_mirror[..], self.mirror_by_digest_only) {
                ("", true) => Pulls::ByDigest,
                ("" | "all", false) => Pulls::All,
                ("digest-only", false) => Pulls::ByDigest,
                ("tag-only", false) => Pulls::ByTag,
                (_, true) => {
                    return Err((
                        key("mirror.pull-from-mirror"),
                        "cannot stand beside `mirror-by-digest-only`".to_owned(),
                    ));
                }
                (other, false) => {
                    let found = shown(other.as_bytes());
                    let problem = format!("expected all, digest-only or tag-only, found `{found}`");
                    return Err((key("mirror.pull-from-mirror"), problem));
                }
            };
            mirrors.push(Mirror { location, insecure: mirror.insecure, pulls });
        }
        Ok(Registry {
            location: (!location.is_empty()).then_some(location),
            insecure: self.insecure,
            blocked: self.blocked,
            mirrors,
            origin: path.to_path_buf(),
            prefix,
        })
    }
}

impl Old {
    fn registries(&self, path: &Path) -> Result<Vec<Registry>, Complaint> {
        let mut found: BTreeMap<&str, Registry> = BTreeMap::new();
        for (list, is_block) in [(&self.block, true), (&self.insecure, false)] {
            for place in &list.registries {
                let place = place.trim_end_matches('/');
                check_place("`registries`", place)?;
                let registry = found.entry(place).or_insert_with(|| Registry {
                    prefix: place.to_owned(),
                    location: Some(place.to_owned()),
                    insecure: false,
                    blocked: false,
                    mirrors: Vec::new(),
                    origin: path.to_path_buf(),
                });
                registry.blocked |= is_block;
                registry.insecure |= !is_block;
            }
        }
        Ok(found.into_values().collect())
    }
}

/// One place that is safe in one table and not in another is safe in neither.
fn check_conflict(one: &Registry, other: &Registry) -> Result<(), Complaint> {
    for (field, same) in
        [("insecure", one.insecure == other.insecure), ("blocked", one.blocked == other.blocked)]
    {
        if !same {
            let key = format!("`registry` {}, `{field}`", other.prefix);
            return Err((key, format!("contradicts the table of {}", one.prefix)));
        }
    }
    Ok(())
}

/// Holds for `HOST[:PORT][/PATH]…`, whose host could not be taken for a name on Docker Hub.
fn check_place(key: &str, place: &str) -> Result<(), Complaint> {
    let complain = |problem: &str| {
        let found = shown(place.as_bytes());
        Err((key.to_owned(), format!("{problem}, found `{found}`")))
    };
    if place.is_empty() {
        return Err((key.to_owned(), "is empty".to_owned()));
    }
    if place.contains("://") {
        return complain("expected HOST[:PORT][/PATH] without a scheme");
    }
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_/:@[]+".contains(&byte);
    if !place.bytes().all(is_plain) || place.contains("//") || place.contains("..") {
        return complain("expected HOST[:PORT][/PATH]");
    }
    if !super::short_names::has_host(&format!("{place}/x")) {
        return complain("expected a host with a dot or a port");
    }
    Ok(())
}

/// toml's words on one line, with the line of the file they are about.
fn words(text: &str, err: &toml::de::Error) -> Complaint {
    const SHOWN: usize = 100;
    let start = err.span().map_or(0, |span| span.start.min(text.len()));
    let number = text.as_bytes()[..start].iter().filter(|byte| **byte == b'\n').count() + 1;
    let line: String = text.lines().nth(number - 1).unwrap_or_default().trim().chars().take(SHOWN).collect();
    (format!("line {number}, `{line}`"), shown(err.message().as_bytes()))
}
