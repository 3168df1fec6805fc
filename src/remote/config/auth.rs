//! Credentials: which files and helpers are asked in which order, and where a login is kept.
//!
//! Read: `--authfile` or `$REGISTRY_AUTH_FILE` alone, else `containers/auth.json` of the runtime
//! folder, then of the configuration folder, then Docker's `config.json`, then `~/.dockercfg`; the
//! first that has a credential wins. Written: the first of these only (containers-auth.json(5)).
//! `credential-helpers` of registries.conf(5) may put helpers before or in place of the files.

use crate::error::Doing;
use crate::error::Error;
use crate::error::Result;
use crate::remote::config::auth_file::AuthFile;
use crate::remote::config::environment::Environment;
use crate::remote::config::helper::Helper;
use crate::remote::config::host;
use crate::remote::endpoint::Credential;
use crate::remote::endpoint::Credentials;
use std::ffi::OsString;
use std::fmt;
use std::path::Path;
use std::path::PathBuf;

/// In `credential-helpers` this stands for the auth files.
const FILES: &str = "containers-auth.json";

pub struct Auth {
    /// In the order they are asked; the flag is for the old format.
    files: Vec<(PathBuf, bool)>,
    /// The first file was asked for by name on the command line, and must be there to be read.
    must_exist: bool,
    /// `$XDG_RUNTIME_DIR`, where the first file lies in it.
    runtime_dir: Option<PathBuf>,
    helpers: Vec<String>,
    /// `$PATH`.
    path: OsString,
}

/// Where a credential is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    File(PathBuf),
    /// What follows `docker-credential-`.
    Helper(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::File(path) => path.display().fmt(f),
            Place::Helper(name) => write!(f, "docker-credential-{name}"),
        }
    }
}

impl Auth {
    /// `given` is `--authfile`; `helpers` are the `credential-helpers` of registries.conf(5), or none.
    pub fn new(environment: &Environment, given: Option<&Path>, helpers: &[String]) -> Auth {
        let explicit = given.or(environment.auth_file.as_deref());
        let helpers = if helpers.is_empty() { vec![FILES.to_owned()] } else { helpers.to_vec() };
        Auth {
            files: explicit.map_or_else(|| default_files(environment), |path| vec![(path.to_owned(), false)]),
            must_exist: given.is_some(),
            runtime_dir: environment.runtime_dir.clone().filter(|_| explicit.is_none()),
            helpers,
            path: environment.path.clone(),
        }
    }

    /// The credential for a repository and where it is kept.
    ///
    /// A helper that fails is passed over if a later one has the credential.
    pub fn lookup(&self, host: &str, repository: &str) -> Result<Option<(Credential, Place)>> {
        let registry = host::canonical(host);
        let mut failure = None;
        for helper in &self.helpers {
            let found = match &helper[..] {
                FILES => self.look_in_files(registry, repository),
                name => self.helper(name).and_then(|helper| ask(&helper, registry, None)),
            };
            match found {
                Ok(Some(found)) => return Ok(Some(found)),
                Ok(None) => {}
                Err(err) => failure = failure.or(Some(err)),
            }
        }
        failure
            .map_or(Ok(None), |err| Err(err).doing(|| format!("cannot find the credentials for {registry}")))
    }

    fn look_in_files(&self, registry: &str, repository: &str) -> Result<Option<(Credential, Place)>> {
        for (path, is_legacy) in &self.files {
            let Some(file) = AuthFile::read(path, *is_legacy)? else {
                if self.must_exist {
                    return Err(Error::not_found("auth file", path.display().to_string()));
                }
                continue;
            };
            if let Some(found) = self.look_in_file(&file, registry, repository)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn look_in_file(
        &self,
        file: &AuthFile,
        registry: &str,
        repository: &str,
    ) -> Result<Option<(Credential, Place)>> {
        // A helper of this registry's own is the only word that this file has on it.
        if let Some((name, key)) = file.helper_of(registry)? {
            return ask(&self.helper_named_in(file, &name)?, registry, Some(&key));
        }
        if let Some(name) = file.default_helper()? {
            match Helper::find(&name, &self.path)? {
                Some(helper) => {
                    if let Some(found) = ask(&helper, registry, None)? {
                        return Ok(Some(found));
                    }
                }
                None if file.has_entry_of(registry)? && file.find(registry, repository)?.is_none() => {
                    return Err(not_installed(&name, Some(file)));
                }
                // Nothing says that it has this credential: its absence bars nobody from public images.
                None => {}
            }
        }
        let found = file.find(registry, repository)?;
        Ok(found.map(|credential| (credential, Place::File(file.path().to_owned()))))
    }

    /// Keeps a credential for `key`: a host, or a namespace `HOST/PATH`. Says where it went.
    ///
    /// A helper takes it where the file names one for this host, else the file.
    pub fn login(&self, key: &str, credential: &Credential) -> Result<Place> {
        check_key(key)?;
        let doing = || format!("cannot store the login for {key}");
        let mut failure = None;
        for name in &self.helpers {
            let stored = match &name[..] {
                FILES => self.login_in_file(key, credential),
                name => self.store(&self.helper(name)?, key, credential),
            };
            match stored {
                Ok(place) => return Ok(place),
                Err(err) => failure = failure.or(Some(err)),
            }
        }
        Err(failure.expect("there is at least one helper, and each stored or failed")).doing(doing)
    }

    fn login_in_file(&self, key: &str, credential: &Credential) -> Result<Place> {
        let mut file = self.open_for_writing()?;
        let registry = host::of_key(key, false);
        if let Some(registry) = registry {
            if let Some((name, key)) = file.helper_of(registry)? {
                return self.store(&self.helper_named_in(&file, &name)?, &key, credential);
            }
            if let Some(name) = file.default_helper()? {
                let key = own_key(&file, registry);
                let place = self.store(&self.helper_named_in(&file, &name)?, &key, credential)?;
                file.mark(&key)?;
                file.write()?;
                return Ok(place);
            }
        }
        let key = registry.map_or(key.to_owned(), |registry| own_key(&file, registry));
        file.put(&key, credential)?;
        file.write()?;
        Ok(Place::File(file.path().to_owned()))
    }

    fn store(&self, helper: &Helper, key: &str, credential: &Credential) -> Result<Place> {
        if host::of_key(key, false).is_none() {
            return Err(Error::Usage(format!(
                "docker-credential-{} keeps one login for each host, none for the namespace {key}",
                helper.name()
            )));
        }
        helper.store(key, credential)?;
        Ok(Place::Helper(helper.name().to_owned()))
    }

    /// Forgets the credential for `key` and says where it was; nowhere is an empty list.
    pub fn logout(&self, key: &str) -> Result<Vec<Place>> {
        check_key(key)?;
        let mut places = Vec::new();
        for name in &self.helpers {
            match &name[..] {
                FILES => {
                    let mut file = self.open_for_writing()?;
                    places.extend(self.forget_by_helpers(&file, key)?);
                    if file.remove(key)? {
                        file.write()?;
                        places.push(Place::File(file.path().to_owned()));
                    }
                }
                name => places.extend(forget(&self.helper(name)?, key, None)?),
            }
        }
        Ok(places)
    }

    /// Forgets every credential that a login keeps here, and returns what they were for.
    ///
    /// Which helper is for which host is configuration and stays.
    pub fn logout_all(&self) -> Result<Vec<String>> {
        let mut keys = Vec::new();
        for name in &self.helpers {
            if name != FILES {
                let helper = self.helper(name)?;
                for key in helper.list()? {
                    helper.erase(&key)?;
                    keys.push(key);
                }
                continue;
            }
            let mut file = self.open_for_writing()?;
            for (key, name) in file.helpers()? {
                if self.helper_named_in(&file, &name)?.erase(&key)? {
                    keys.push(key);
                }
            }
            let entries = file.remove_all()?;
            if let Some(name) = file.default_helper()? {
                let helper = self.helper_named_in(&file, &name)?;
                for key in &entries {
                    helper.erase(key)?;
                }
            }
            if !entries.is_empty() {
                file.write()?;
            }
            keys.extend(entries);
        }
        keys.sort();
        keys.dedup();
        Ok(keys)
    }

    /// The file that a login is written to.
    pub fn target(&self) -> Option<&Path> {
        self.files.first().map(|(path, _)| path.as_path())
    }

    fn open_for_writing(&self) -> Result<AuthFile> {
        let Some(path) = self.target() else {
            let words =
                "where to keep a login? none of --authfile, REGISTRY_AUTH_FILE, XDG_RUNTIME_DIR is set";
            return Err(Error::Usage(words.to_owned()));
        };
        if let Some(folder) = &self.runtime_dir
            && crate::fs::look(folder)?.is_none()
        {
            return Err(Error::not_found("$XDG_RUNTIME_DIR", folder.display().to_string())
                .with_hint("unset it, or name a file by `--authfile`"));
        }
        if let Some(file) = AuthFile::read(path, false)? {
            return Ok(file);
        }
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            crate::fs::create_private_dir_all(folder)
                .map_err(|err| err.with_hint("name a file of your own by `--authfile`"))?;
        }
        Ok(AuthFile::empty(path))
    }

    fn forget_by_helpers(&self, file: &AuthFile, key: &str) -> Result<Option<Place>> {
        let Some(registry) = host::of_key(key, false) else { return Ok(None) };
        if let Some((name, key)) = file.helper_of(registry)? {
            return forget(&self.helper_named_in(file, &name)?, registry, Some(&key));
        }
        match file.default_helper()? {
            Some(name) => forget(&self.helper_named_in(file, &name)?, registry, None),
            None => Ok(None),
        }
    }

    fn helper(&self, name: &str) -> Result<Helper> {
        Helper::find(name, &self.path)?.ok_or_else(|| not_installed(name, None))
    }

    fn helper_named_in(&self, file: &AuthFile, name: &str) -> Result<Helper> {
        let found = Helper::find(name, &self.path).doing(|| format!("{}", file.path().display()))?;
        found.ok_or_else(|| not_installed(name, Some(file)))
    }
}

impl Credentials for Auth {
    fn find(&self, host: &str, repository: &str) -> Result<Option<Credential>> {
        Ok(self.lookup(host, repository)?.map(|(credential, _)| credential))
    }
}

/// `--creds`: for the registry that was typed, and for none of its mirrors; those have what is kept.
pub struct Given {
    pub host: String,
    pub credential: Credential,
    pub otherwise: Auth,
}

impl Credentials for Given {
    fn find(&self, host: &str, repository: &str) -> Result<Option<Credential>> {
        if host::canonical(host) == host::canonical(&self.host) {
            return Ok(Some(self.credential.clone()));
        }
        self.otherwise.find(host, repository)
    }
}

fn default_files(environment: &Environment) -> Vec<(PathBuf, bool)> {
    let runtime = match &environment.runtime_dir {
        Some(folder) => folder.join("containers/auth.json"),
        None => environment.root.join(format!("run/containers/{}/auth.json", environment.uid)),
    };
    let files = [
        (Some(runtime), false),
        (environment.of_person("auth.json"), false),
        (environment.docker_config.as_ref().map(|folder| folder.join("config.json")), false),
        (environment.home.as_ref().map(|home| home.join(".dockercfg")), true),
    ];
    files.into_iter().filter_map(|(path, is_legacy)| Some((path?, is_legacy))).collect()
}

/// The key under which this file keeps, or would keep, a registry.
fn own_key(file: &AuthFile, registry: &str) -> String {
    // Docker itself looks for nothing but this.
    let is_dockers = file.path().file_name().is_some_and(|name| name == "config.json");
    if is_dockers && registry == host::HUB { host::HUB_KEY.to_owned() } else { registry.to_owned() }
}

/// Asks a helper under every name the registry may have there; `key` is the file's own.
fn ask(helper: &Helper, registry: &str, key: Option<&str>) -> Result<Option<(Credential, Place)>> {
    for key in keys(registry, key) {
        if let Some(credential) = helper.get(key)? {
            return Ok(Some((credential, Place::Helper(helper.name().to_owned()))));
        }
    }
    Ok(None)
}

fn forget(helper: &Helper, registry: &str, key: Option<&str>) -> Result<Option<Place>> {
    let mut had = false;
    for key in keys(registry, key) {
        had |= helper.erase(key)?;
    }
    Ok(had.then(|| Place::Helper(helper.name().to_owned())))
}

fn keys<'a>(registry: &'a str, key: Option<&'a str>) -> Vec<&'a str> {
    let mut keys: Vec<&str> = key.into_iter().collect();
    for other in host::helper_keys(registry).iter().copied().chain([registry]) {
        if !keys.contains(&other) {
            keys.push(other);
        }
    }
    keys
}

/// containers-auth.json(5): a host, or a namespace or repository in it, without tag and digest.
fn check_key(key: &str) -> Result<()> {
    let (host, path) = key.split_once('/').unwrap_or((key, "x"));
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    let is_host = !host.is_empty() && host.chars().all(|letter| is_plain(letter) || "[]:".contains(letter));
    let is_path = path.split('/').all(|part| !part.is_empty() && part.chars().all(is_plain));
    if is_host && is_path {
        return Ok(());
    }
    let key = crate::path::shown(key.as_bytes());
    Err(Error::Usage(format!("`{key}` is no registry: expected HOST[:PORT] or HOST[:PORT]/NAMESPACE")))
}

fn not_installed(name: &str, file: Option<&AuthFile>) -> Error {
    let asked_by = file.map_or("registries.conf".to_owned(), |file| file.path().display().to_string());
    Error::invalid(asked_by, format!("the credential helper docker-credential-{name} is not installed"))
}

#[cfg(test)]
#[path = "auth_tests.rs"]
mod tests;
