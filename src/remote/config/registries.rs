//! registries.conf(5): all its files as one, and what it makes of an image's name.
//!
//! `$CONTAINERS_REGISTRIES_CONF`, else the person's `containers/registries.conf`, else the one in
//! `/etc/containers`. Then drop-ins, `registries.conf.d/*.conf` in the order of their names: the
//! machine's and after them the person's, but the person's alone where the main file is the
//! person's. What a later file mentions replaces what an earlier one said; tables of registries are
//! replaced prefix by prefix, aliases name by name.

use crate::error::Error;
use crate::error::Result;
use crate::oci::name::ImageName;
use crate::remote::config::environment::Environment;
use crate::remote::config::registries_file::Pulls;
use crate::remote::config::registries_file::RegistriesFile;
use crate::remote::config::registries_file::Registry;
use crate::remote::config::registries_file::ShortNames;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::path::PathBuf;

#[derive(Debug, Default)]
pub struct Registries {
    by_prefix: BTreeMap<String, Registry>,
    pub(super) search: Option<(Vec<String>, PathBuf)>,
    pub(super) aliases: BTreeMap<String, (Option<String>, PathBuf)>,
    short_names: Option<ShortNames>,
    helpers: Vec<String>,
}

/// One place where an image may be had, without what opens it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    pub host: String,
    pub repository: String,
    pub insecure: bool,
    pub is_mirror: bool,
}

impl Registries {
    pub fn load(environment: &Environment) -> Result<Registries> {
        let mut registries = Registries::default();
        let of_person = environment.of_person("registries.conf");
        let of_machine = environment.of_machine("containers/registries.conf");
        let has_own = match &of_person {
            Some(path) => environment.registries_conf.is_none() && crate::fs::look(path)?.is_some(),
            None => false,
        };
        let main = match (&environment.registries_conf, &of_person) {
            // Named by the person: it must be there.
            (Some(path), _) => Some(path),
            (None, Some(path)) if has_own => Some(path),
            _ => Some(&of_machine).filter(|path| matches!(crate::fs::look(path), Ok(Some(_)) | Err(_))),
        };
        if let Some(path) = main {
            registries.add(path, RegistriesFile::read(path, false)?);
        }
        let folder = |path: &Path| path.with_extension("conf.d");
        let machine = Some(&of_machine).filter(|_| !has_own);
        for folder in machine.into_iter().chain(&of_person).map(|path| folder(path)) {
            for path in drop_ins(&folder)? {
                registries.add(&path, RegistriesFile::read(&path, true)?);
            }
        }
        // What other tools learnt by asking the person; it outranks the files (shortnames.go).
        if let Some(path) = learnt_aliases(environment)
            && crate::fs::look(&path).ok().flatten().is_some()
        {
            let learnt = RegistriesFile::read(&path, true)?;
            registries.add(&path, RegistriesFile { aliases: learnt.aliases, ..RegistriesFile::default() });
        }
        Ok(registries)
    }

    fn add(&mut self, path: &Path, file: RegistriesFile) {
        self.by_prefix.extend(file.registries.into_iter().map(|table| (table.prefix.clone(), table)));
        if let Some(search) = file.search {
            self.search = Some((search, path.to_path_buf()));
        }
        if let Some(helpers) = file.helpers {
            self.helpers = helpers;
        }
        self.short_names = file.short_names.or(self.short_names);
        let aliases = file.aliases.into_iter();
        self.aliases.extend(aliases.map(|(name, value)| (name, (value, path.to_path_buf()))));
    }

    /// `credential-helpers`; none is the same as `["containers-auth.json"]`.
    pub fn credential_helpers(&self) -> &[String] {
        &self.helpers
    }

    pub fn short_names(&self) -> ShortNames {
        self.short_names.unwrap_or(ShortNames::Permissive)
    }

    /// The table with the longest prefix of a name that is spelled out, or of a host alone.
    fn table(&self, full: &str) -> Option<&Registry> {
        let matching = self.by_prefix.values().filter(|table| prefix_len(full, &table.prefix).is_some());
        matching.max_by_key(|table| table.prefix.len())
    }

    /// Where to read an image: mirrors in their order, then the place itself.
    ///
    /// A blocked image is [`Error::Invalid`]. `docker.io` stays `docker.io`: which machine serves it
    /// is the client's business.
    pub fn sources(&self, name: &ImageName) -> Result<Vec<Source>> {
        let Some(table) = self.allowed(&name.full(), || format!("image {name}"))? else {
            return Ok(vec![itself(name, false)]);
        };
        let mut sources = Vec::new();
        for mirror in &table.mirrors {
            let is_asked = match mirror.pulls {
                Pulls::All => true,
                Pulls::ByDigest => name.digest().is_some(),
                Pulls::ByTag => name.digest().is_none(),
            };
            if is_asked {
                let source = Source { insecure: mirror.insecure, is_mirror: true, ..itself(name, false) };
                sources.push(self.moved(name, table, &mirror.location, source)?);
            }
        }
        let source = itself(name, table.insecure);
        sources.push(match &table.location {
            Some(location) => self.moved(name, table, location, source)?,
            None => source,
        });
        Ok(sources)
    }

    /// Where to write an image: registries.conf(5) moves reads only, so this is the name's own host.
    pub fn destination(&self, name: &ImageName) -> Result<Source> {
        let table = self.allowed(&name.full(), || format!("image {name}"))?;
        Ok(itself(name, table.is_some_and(|table| table.insecure)))
    }

    /// A registry itself, for what is about none of its repositories.
    pub fn host(&self, host: &str) -> Result<Source> {
        let table = self.allowed(host, || format!("host {host}"))?;
        let insecure = table.is_some_and(|table| table.insecure);
        Ok(Source { host: host.to_owned(), repository: String::new(), insecure, is_mirror: false })
    }

    /// The name with the table's prefix replaced by `location`, which may itself be blocked.
    fn moved(&self, name: &ImageName, table: &Registry, location: &str, source: Source) -> Result<Source> {
        let full = name.full();
        let len = prefix_len(&full, &table.prefix).expect("the table was chosen by its prefix");
        let text = format!("{location}{}", &full[len..]);
        let refuse = |problem: String| {
            Error::invalid(format!("{}, `registry` {}", table.origin.display(), table.prefix), problem)
        };
        let new = ImageName::parse(&text).map_err(|err| refuse(err.to_string()))?;
        if (new.tag_or_default(), new.digest()) != (name.tag_or_default(), name.digest()) {
            return Err(refuse(format!(
                "`{location}` has a tag or digest of its own, which is not followed"
            )));
        }
        self.allowed(&new.full(), || format!("image {name}"))?;
        let (host, repository) = new.host_and_path();
        Ok(Source { host: host.to_owned(), repository, ..source })
    }

    fn allowed(&self, full: &str, thing: impl Fn() -> String) -> Result<Option<&Registry>> {
        let table = self.table(full);
        match table {
            Some(Registry { blocked: true, prefix, origin, .. }) => {
                Err(Error::invalid(thing(), format!("registry {prefix} is blocked in {}", origin.display())))
            }
            _ => Ok(table),
        }
    }
}

fn itself(name: &ImageName, insecure: bool) -> Source {
    let (host, repository) = name.host_and_path();
    Source { host: host.to_owned(), repository, insecure, is_mirror: false }
}

/// How much of a spelled-out name a prefix stands for, if it does: whole parts only.
fn prefix_len(full: &str, prefix: &str) -> Option<usize> {
    let host_len = full.find('/').unwrap_or(full.len());
    if let Some(domain) = prefix.strip_prefix('*') {
        // Any port: a wildcard has no way to name one.
        let name = full[..host_len].split(':').next().unwrap_or_default();
        return (name.ends_with(domain) && name.len() > domain.len()).then_some(name.len());
    }
    let rest = full.strip_prefix(prefix)?;
    // A colon behind a host is a port, and that is another host.
    let ends = match rest.bytes().next() {
        None | Some(b'/' | b'@') => true,
        Some(b':') => prefix.len() > host_len,
        Some(_) => false,
    };
    ends.then_some(prefix.len())
}

fn drop_ins(folder: &Path) -> Result<Vec<PathBuf>> {
    if crate::fs::look(folder)?.is_none_or(|found| !found.is_dir()) {
        return Ok(Vec::new());
    }
    let names = crate::fs::list(folder)?.into_iter().filter(|name| name.ends_with(b".conf"));
    let mut files = Vec::new();
    for path in names.map(|name| folder.join(OsStr::from_bytes(&name))) {
        // One that was removed since is no fault.
        if crate::fs::look(&path)?.is_some_and(|found| !found.is_dir()) {
            files.push(path);
        }
    }
    Ok(files)
}

fn learnt_aliases(environment: &Environment) -> Option<PathBuf> {
    let cache = match environment.uid {
        0 => Some(environment.root.join("var/cache")),
        _ => environment.cache_home.clone(),
    };
    cache.map(|cache| cache.join("containers/short-name-aliases.conf"))
}

#[cfg(test)]
#[path = "registries_tests.rs"]
mod tests;
