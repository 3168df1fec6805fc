//! containers-certs.d(5): whom to trust, and what to show, on a TLS connection to one host.
//!
//! The first folder that is there counts: `certs.d/HOST[:PORT]` of the person, of the machine
//! (`/etc/containers`), of Docker (`/etc/docker`). In it `*.crt` are certificates of authorities,
//! `NAME.cert` and `NAME.key` those of the client, all PEM.

use crate::error::Error;
use crate::error::Result;
use crate::remote::config::environment::Environment;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::path::PathBuf;

/// A bundle of all public authorities is 220 KB.
const FILE_BYTES_MAX: u64 = 4 << 20;
const FILES_MAX: usize = 100;

pub struct Certs {
    /// `--cert-dir`: the files themselves are in it, for any host.
    given: Option<PathBuf>,
    /// Each has a folder for each host.
    folders: Vec<PathBuf>,
}

/// What one host's folder holds, as PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostCerts {
    pub ca: Vec<Vec<u8>>,
    /// Certificate chain and key. Of several the first by name.
    pub client: Option<(Vec<u8>, Vec<u8>)>,
}

impl Certs {
    pub fn new(environment: &Environment, given: Option<&Path>) -> Certs {
        let machine = ["containers/certs.d", "docker/certs.d"].map(|name| environment.of_machine(name));
        Certs {
            given: given.map(Path::to_path_buf),
            folders: environment.of_person("certs.d").into_iter().chain(machine).collect(),
        }
    }

    /// `host` is `HOST[:PORT]` as the image's name has it.
    pub fn of(&self, host: &str) -> Result<HostCerts> {
        if let Some(folder) = &self.given {
            return read(folder, &crate::fs::list(folder)?);
        }
        if host.is_empty() || host.contains('/') || host.starts_with('.') {
            return Err(Error::invalid(
                format!("host `{}`", crate::path::shown(host.as_bytes())),
                "is no host",
            ));
        }
        for folder in self.folders.iter().map(|folder| folder.join(host)) {
            match crate::fs::list(&folder) {
                Ok(names) => return read(&folder, &names),
                // Docker's is closed to all but root, and then it is not for us.
                Err(Error::Io { source, .. }) if is_closed(&source) => continue,
                Err(err) => return Err(err),
            }
        }
        Ok(HostCerts::default())
    }
}

fn is_closed(err: &io::Error) -> bool {
    matches!(
        err.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied | io::ErrorKind::NotADirectory
    )
}

fn read(folder: &Path, names: &[Vec<u8>]) -> Result<HostCerts> {
    let mut certs = HostCerts::default();
    if names.len() > FILES_MAX {
        let thing = format!("folder {}", folder.display());
        return Err(Error::Limit { thing, limit: FILES_MAX as u64, unit: "files" });
    }
    for name in names {
        let path = folder.join(OsStr::from_bytes(name));
        let other = |ending: &[u8], new: &[u8]| {
            let base = name.strip_suffix(ending)?;
            Some([base, new].concat())
        };
        if name.ends_with(b".crt") {
            certs.ca.push(pem(&path, "CERTIFICATE")?);
        } else if let Some(key) = other(b".cert", b".key") {
            if !names.contains(&key) {
                return Err(lone(&path, "a key", &key, "a certificate of an authority is `*.crt`"));
            }
            let key = folder.join(OsStr::from_bytes(&key));
            let pair = (pem(&path, "CERTIFICATE")?, pem(&key, "PRIVATE KEY")?);
            certs.client.get_or_insert(pair);
        } else if let Some(cert) = other(b".key", b".cert")
            && !names.contains(&cert)
        {
            return Err(lone(&path, "a certificate", &cert, "a client shows certificate and key"));
        }
    }
    Ok(certs)
}

/// Refuses now what would be a riddle later: a failed handshake that names no file.
fn pem(path: &Path, label: &str) -> Result<Vec<u8>> {
    let bytes = crate::fs::read_small(path, FILE_BYTES_MAX)?;
    let has = |text: &str| memchr::memmem::find(&bytes, text.as_bytes()).is_some();
    if !has("-----BEGIN ") || !has(&format!("{label}-----")) {
        let thing = path.display().to_string();
        return Err(Error::invalid(thing, format!("expected PEM with a block `{label}`")));
    }
    Ok(bytes)
}

fn lone(path: &Path, what: &str, other: &[u8], hint: &str) -> Error {
    let problem = format!("expected {what} in {} beside it", crate::path::shown(other));
    Error::invalid(path.display().to_string(), problem).with_hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::config::testing::World;

    const CERT: &str = "-----BEGIN CERTIFICATE-----\n";
    const KEY: &str = "-----BEGIN EC PRIVATE KEY-----\n";

    fn check(files: &[(&str, &str)], host: &str, ca: &[&str], client: Option<(&str, &str)>) {
        let world = World::with(files);
        let certs = Certs::new(&world.environment(), None).of(host).unwrap();
        let expected = HostCerts {
            ca: ca.iter().map(|text| text.as_bytes().to_vec()).collect(),
            client: client.map(|(cert, key)| (cert.into(), key.into())),
        };
        assert_eq!(certs, expected, "{files:?}");
    }

    #[test]
    fn the_first_folder_that_is_there_counts() {
        let person = "home/.config/containers/certs.d/a.io:5000/ca.crt";
        let machine = "etc/containers/certs.d/a.io:5000/ca.crt";
        let docker = "etc/docker/certs.d/a.io:5000/ca.crt";
        let (one, two, three) = (CERT.to_owned() + "1", CERT.to_owned() + "2", CERT.to_owned() + "3");
        let all = [(person, &one[..]), (machine, &two[..]), (docker, &three[..])];
        check(&all, "a.io:5000", &[&one], None);
        check(&all[1..], "a.io:5000", &[&two], None);
        check(&all[2..], "a.io:5000", &[&three], None);
        check(&all, "a.io", &[], None);
    }

    #[test]
    fn endings_say_what_a_file_is() {
        check(
            &[
                ("etc/docker/certs.d/a.io/x.crt", CERT),
                ("etc/docker/certs.d/a.io/b.cert", CERT),
                ("etc/docker/certs.d/a.io/b.key", KEY),
                ("etc/docker/certs.d/a.io/c.cert", CERT),
                ("etc/docker/certs.d/a.io/c.key", "-----BEGIN PRIVATE KEY-----\n"),
                ("etc/docker/certs.d/a.io/README", "?"),
            ],
            "a.io",
            &[CERT],
            Some((CERT, KEY)),
        );
    }

    #[test]
    fn a_lone_or_a_wrong_file_is_named() {
        for (file, text, expected) in [
            ("b.cert", CERT, "W/etc/docker/certs.d/a.io/b.cert: expected a key in b.key beside it"),
            ("b.key", KEY, "W/etc/docker/certs.d/a.io/b.key: expected a certificate in b.cert beside it"),
            ("b.crt", "\x30\x01", "W/etc/docker/certs.d/a.io/b.crt: expected PEM with a block `CERTIFICATE`"),
            ("b.crt", KEY, "W/etc/docker/certs.d/a.io/b.crt: expected PEM with a block `CERTIFICATE`"),
        ] {
            let world = World::with(&[(&format!("etc/docker/certs.d/a.io/{file}"), text)]);
            let err = Certs::new(&world.environment(), None).of("a.io").unwrap_err();
            assert_eq!(world.words(&err).split(": W/").next().unwrap(), expected);
        }
    }

    #[test]
    fn a_folder_given_is_for_any_host_and_must_be_there() {
        let world = World::with(&[("mine/ca.crt", CERT), ("etc/docker/certs.d/a.io/b.key", KEY)]);
        let of = |name: &str| Certs::new(&world.environment(), Some(&world.path(name))).of("a.io");
        assert_eq!(of("mine").unwrap().ca.len(), 1);
        assert!(of("missing").is_err());
    }

    #[test]
    fn a_host_is_no_path() {
        let world = World::new();
        for host in ["../../x", "..", ".", "", "a/b"] {
            assert!(Certs::new(&world.environment(), None).of(host).is_err(), "{host}");
        }
    }
}
