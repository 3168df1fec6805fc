//! `mirror.toml`: what to mirror, from where, under which name.

use crate::error::Error;
use crate::error::Result;
use crate::oci::name::ImageName;
use crate::oci::platform::Platform;
use globset::Glob;
use globset::GlobMatcher;
use regex::Regex;
use semver::VersionReq;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Requests and transfers to one registry at once, where the file does not say.
const JOBS: usize = 3;

#[derive(Debug)]
pub struct Config {
    pub repositories: Vec<Repository>,
    /// By host, how much may be under way at once.
    jobs: BTreeMap<String, usize>,
    default_jobs: usize,
}

/// One repository of a registry, or several whose names fit a pattern.
#[derive(Debug)]
pub struct Repository {
    /// `docker.io/library/debian`; `*` stands for anything behind the host.
    pub from: String,
    /// What it is called in the store; the same where the file does not say.
    pub to: Option<String>,
    pub tags: Tags,
    /// None: all of them, as they come.
    pub platform: Option<Platform>,
    pub referrers: bool,
}

/// Which tags are wanted: those that one of the first four names, less the excluded, the newest of them.
#[derive(Debug, Default)]
pub struct Tags {
    pub list: Vec<String>,
    pub globs: Vec<GlobMatcher>,
    pub regexes: Vec<Regex>,
    pub semver: Option<VersionReq>,
    pub exclude: Vec<GlobMatcher>,
    pub newest: Option<usize>,
}

impl Config {
    /// `thing` is what errors name: the file.
    pub fn parse(thing: &str, text: &str) -> Result<Config> {
        let file: File = toml::from_str(text).map_err(|err| Error::invalid(thing, err.to_string()))?;
        let wrong =
            |at: usize, problem: String| Error::invalid(format!("{thing}: repository {}", at + 1), problem);
        if file.repository.is_empty() {
            return Err(Error::invalid(thing, "names no [[repository]]"));
        }
        let mut repositories = Vec::new();
        for (at, entry) in file.repository.into_iter().enumerate() {
            let defaults = &file.defaults;
            repositories.push(entry.repository(defaults).map_err(|problem| wrong(at, problem))?);
        }
        let jobs = file.host.into_iter().map(|(host, of)| (host, of.jobs.max(1))).collect();
        Ok(Config { repositories, jobs, default_jobs: file.defaults.jobs.unwrap_or(JOBS).max(1) })
    }

    /// How much may be under way at `host` at once.
    pub fn jobs(&self, host: &str) -> usize {
        self.jobs.get(host).copied().unwrap_or(self.default_jobs)
    }
}

impl Repository {
    /// Says whether the registry has to be asked which repositories it has.
    pub fn is_pattern(&self) -> bool {
        self.from.contains('*')
    }

    /// The host and what follows it.
    pub fn host_and_path(&self) -> (&str, &str) {
        self.from.split_once('/').expect("`from` was parsed with a host in front")
    }

    /// Says whether `name` is one of those meant.
    pub fn fits(&self, name: &ImageName) -> bool {
        let (host, path) = name.host_and_path();
        Glob::new(&self.from).is_ok_and(|glob| glob.compile_matcher().is_match(format!("{host}/{path}")))
    }

    /// What the repository `name` is called in the store: of a pattern's `to`, `*` is the last part of it.
    pub fn name_in_store(&self, name: &ImageName) -> Result<ImageName> {
        match &self.to {
            None => Ok(name.clone()),
            Some(to) => {
                let last = name.name().rsplit('/').next().unwrap_or(name.name());
                ImageName::parse(&to.replace('*', last))
            }
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    defaults: Defaults,
    #[serde(default)]
    host: BTreeMap<String, Host>,
    #[serde(default)]
    repository: Vec<Entry>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Defaults {
    jobs: Option<usize>,
    platform: Option<String>,
    #[serde(default)]
    referrers: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Host {
    jobs: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    from: String,
    to: Option<String>,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    glob: Vec<String>,
    #[serde(default)]
    regex: Vec<String>,
    semver: Option<String>,
    #[serde(default)]
    exclude: Vec<String>,
    newest: Option<usize>,
    platform: Option<String>,
    referrers: Option<bool>,
}

impl Entry {
    fn repository(self, defaults: &Defaults) -> Result<Repository, String> {
        let is_pattern = self.from.contains('*');
        let from = match is_pattern {
            // The catalog is one host's; a pattern over hosts has nobody to ask.
            true if self
                .from
                .split_once('/')
                .is_some_and(|(host, _)| host.contains(['.', ':']) && !host.contains('*')) =>
            {
                self.from
            }
            true => return Err(format!("`from = \"{}\"`: a pattern needs a host in front", self.from)),
            false => {
                let name = ImageName::parse(&self.from).map_err(|err| err.to_string())?;
                name.check_for_registry().map_err(|err| err.to_string())?;
                if name.tag().is_some() || name.digest().is_some() {
                    return Err(format!("`from = \"{}\"` has a tag: those stand in `tags`", self.from));
                }
                let (host, path) = name.host_and_path();
                format!("{host}/{path}")
            }
        };
        if let Some(to) = &self.to {
            if is_pattern != to.contains('*') {
                return Err(format!("`to = \"{to}\"`: has a `*` if, and only if, `from` has one"));
            }
            let name = ImageName::parse(&to.replace('*', "x")).map_err(|err| err.to_string())?;
            if name.tag().is_some() || name.digest().is_some() {
                return Err(format!("`to = \"{to}\"` has a tag: images keep their own"));
            }
        }
        for tag in &self.tags {
            if !crate::oci::name::is_tag(tag) {
                return Err(format!("`{tag}` is no tag; patterns stand in `glob` and `regex`"));
            }
        }
        let globs = |all: &[String]| -> Result<Vec<GlobMatcher>, String> {
            all.iter()
                .map(|glob| Ok(Glob::new(glob).map_err(|err| err.to_string())?.compile_matcher()))
                .collect()
        };
        let platform = self.platform.as_ref().or(defaults.platform.as_ref());
        let tags = Tags {
            globs: globs(&self.glob)?,
            regexes: self.regex.iter().map(|regex| whole(regex)).collect::<Result<_, _>>()?,
            semver: self
                .semver
                .as_deref()
                .map(VersionReq::parse)
                .transpose()
                .map_err(|err| err.to_string())?,
            exclude: globs(&self.exclude)?,
            newest: self.newest,
            list: self.tags,
        };
        Ok(Repository {
            from,
            to: self.to,
            tags,
            platform: platform
                .map(|text| Platform::parse(text))
                .transpose()
                .map_err(|err| err.to_string())?,
            referrers: self.referrers.unwrap_or(defaults.referrers),
        })
    }
}

/// A pattern for the whole tag: `1` shall not fit `21`.
fn whole(regex: &str) -> Result<Regex, String> {
    Regex::new(&format!("^(?:{regex})$")).map_err(|err| err.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let found = match Config::parse("mirror.toml", text) {
            Ok(config) => format!("{config:?}"),
            Err(err) => err.to_string(),
        };
        assert!(found.contains(expected), "{text}\n{found}");
    }

    #[test]
    fn what_the_file_may_say() {
        check("[[repository]]\nfrom = 'debian'", r#"from: "docker.io/library/debian""#);
        check("[[repository]]\nfrom = 'r.io/a/*'\nto = 'a/*'", r#"from: "r.io/a/*""#);
        check("[[repository]]\nfrom = 'a/*'", "a pattern needs a host");
        check("[[repository]]\nfrom = 'debian:12'", "has a tag");
        check("[[repository]]\nfrom = 'debian'\nto = 'a/*'", "has a `*` if, and only if");
        check("[[repository]]\nfrom = 'debian'\ntags = ['12*']", "patterns stand in");
        check("[[repository]]\nfrom = 'debian'\nregex = ['(']", "repository 1");
        check("[[repository]]\nfrom = 'debian'\nsemver = 'x.y'", "repository 1");
        check("[[repository]]\nfrom = 'debian'\ntag = ['12']", "unknown field `tag`");
        check("[defaults]\njobs = 2", "names no [[repository]]");
        check("]", "mirror.toml");
    }

    #[test]
    fn limits_are_by_host() {
        let text = "[defaults]\njobs = 2\n[host.'r.io']\njobs = 7\n[[repository]]\nfrom = 'debian'";
        let config = Config::parse("mirror.toml", text).unwrap();
        assert_eq!((config.jobs("r.io"), config.jobs("docker.io")), (7, 2));
    }

    #[test]
    fn a_pattern_names_each_by_its_last_part() {
        let config = Config::parse("f", "[[repository]]\nfrom = 'r.io/team/*'\nto = 'ours/*'").unwrap();
        let name = ImageName::parse("r.io/team/web").unwrap();
        assert_eq!(config.repositories[0].name_in_store(&name).unwrap().name(), "ours/web");
    }
}
