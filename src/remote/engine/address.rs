//! Where an engine is: a unix socket, or a host and port.

use crate::error::Error;
use crate::error::Result;
use crate::path::shown;
use crate::remote::config::environment::Environment;
use crate::remote::engine::context;
use reqwest::Certificate;
use reqwest::Client;
use reqwest::ClientBuilder;
use reqwest::Identity;
use reqwest::redirect::Policy;
use std::fmt;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::path::PathBuf;
use url::Url;

const PORT: u16 = 2375;
const TLS_PORT: u16 = 2376;
const PEM_BYTES_MAX: u64 = 1 << 20;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    Unix(PathBuf),
    Tcp {
        /// `http://HOST:PORT/` or `https://…`.
        url: Url,
        /// Certificates for `https`: `ca.pem`, `cert.pem` and `key.pem`, each if it is there.
        certs: Option<PathBuf>,
    },
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Unix(path) => write!(f, "unix://{}", path.display()),
            Address::Tcp { url, .. } => f.write_str(url.as_str().trim_end_matches('/')),
        }
    }
}

impl Address {
    /// Finds the engine of a person: `$DOCKER_HOST`, Docker's context, `$CONTAINER_HOST`, and then
    /// the first socket that is there, Docker's before podman's.
    pub fn find(environment: &Environment) -> Result<Address> {
        if let Some(host) = &environment.docker_host {
            return Address::parse(host, environment);
        }
        if let Some(address) = context::current(environment)? {
            return Ok(address);
        }
        if let Some(host) = &environment.container_host {
            return Address::parse(host, environment);
        }
        let run = environment.root.join("run");
        let own = |name: &str| environment.runtime_dir.as_ref().map(|folder| folder.join(name));
        let sockets = [
            Some(run.join("docker.sock")),
            own("docker.sock"),
            own("podman/podman.sock"),
            Some(run.join("podman/podman.sock")),
        ];
        for socket in sockets.iter().flatten() {
            // A folder we may not look into is no socket of ours.
            let found = crate::fs::look(socket).ok().flatten();
            if found.is_some_and(|file| file.file_type().is_socket()) {
                return Ok(Address::Unix(socket.clone()));
            }
        }
        let looked: Vec<String> = sockets.iter().flatten().map(|path| path.display().to_string()).collect();
        Err(Error::not_found("engine", format!("at {}", looked.join(", ")))
            .with_hint("start one (`podman system service`), or name its socket by `DOCKER_HOST`"))
    }

    /// Reads `unix://PATH`, `tcp://HOST[:PORT]`, `http://…` or `https://…`.
    ///
    /// As Docker does, `tcp` is TLS where `$DOCKER_TLS_VERIFY` says so.
    pub fn parse(text: &str, environment: &Environment) -> Result<Address> {
        let refuse = |problem: &str| {
            let thing = format!("engine `{}`", shown(text.as_bytes()));
            Error::invalid(thing, problem)
        };
        let expected = "expected unix://PATH or tcp://HOST[:PORT]";
        let (scheme, rest) = text.split_once("://").ok_or_else(|| refuse(expected))?;
        let is_tls = match scheme {
            "unix" if Path::new(rest).is_absolute() => return Ok(Address::Unix(rest.into())),
            "unix" => return Err(refuse("expected an absolute path")),
            "tcp" => environment.docker_tls,
            "http" => false,
            "https" => true,
            "ssh" => {
                return Err(refuse("is behind SSH, which is not followed").with_hint(
                    "forward it: `ssh -NL /tmp/engine.sock:/run/docker.sock HOST`, then DOCKER_HOST=unix:///tmp/engine.sock",
                ));
            }
            _ => return Err(refuse(expected)),
        };
        let (scheme, port) = if is_tls { ("https", TLS_PORT) } else { ("http", PORT) };
        let mut url = Url::parse(&format!("{scheme}://{rest}")).map_err(|err| refuse(&err.to_string()))?;
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
            return Err(refuse(expected));
        }
        // A URL does not show a port that is its scheme's own, and 80 is not an engine's.
        let host_and_port = rest.split('/').next().unwrap_or_default();
        let has_port = host_and_port.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
        if !has_port {
            url.set_port(Some(port)).map_err(|()| refuse(expected))?;
        }
        Ok(Address::Tcp { url, certs: environment.docker_certs.clone().filter(|_| is_tls) })
    }

    /// The address that paths are put behind, and what makes the connections.
    pub(super) fn client(&self) -> Result<(Url, ClientBuilder)> {
        // An engine has no redirects, and no proxy lies before a person's own.
        let builder = Client::builder().redirect(Policy::none()).referer(false).no_proxy().http1_only();
        let _ = rustls::crypto::ring::default_provider().install_default();
        match self {
            Address::Unix(path) => {
                // A machine's own certificates are of no use on a socket, and take time to read.
                let builder = builder.unix_socket(path.clone()).tls_certs_only([]);
                Ok((Url::parse("http://localhost/").expect("it is one"), builder))
            }
            Address::Tcp { url, certs } => {
                let builder = match certs {
                    Some(folder) => with_certs(builder, folder)?,
                    None => builder,
                };
                Ok((url.clone(), builder))
            }
        }
    }
}

/// Docker's names; its own certificate authority replaces those of the machine.
fn with_certs(mut builder: ClientBuilder, folder: &Path) -> Result<ClientBuilder> {
    let read = |name: &str| {
        let path = folder.join(name);
        match crate::fs::look(&path)? {
            Some(_) => Ok(Some((crate::fs::read_small(&path, PEM_BYTES_MAX)?, path))),
            None => Ok(None),
        }
    };
    let refuse = |path: PathBuf| {
        move |err: reqwest::Error| {
            Error::invalid(path.display().to_string(), crate::remote::call::causes(&err))
        }
    };
    if let Some((pem, path)) = read("ca.pem")? {
        builder = builder.tls_certs_only(Certificate::from_pem_bundle(&pem).map_err(refuse(path))?);
    }
    match (read("cert.pem")?, read("key.pem")?) {
        (Some((cert, path)), Some((key, _))) => {
            let both = [&cert[..], b"\n", &key[..]].concat();
            builder = builder.identity(Identity::from_pem(&both).map_err(refuse(path))?);
        }
        (None, None) => {}
        (Some(_), None) => {
            return Err(Error::not_found("file", folder.join("key.pem").display().to_string()));
        }
        (None, Some(_)) => {
            return Err(Error::not_found("file", folder.join("cert.pem").display().to_string()));
        }
    }
    Ok(builder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::config::testing::World;
    use std::os::unix::net::UnixListener;

    fn shown_or_error(world: &World, found: Result<Address>) -> String {
        match found {
            Ok(address) => address.to_string().replace(&world.root().display().to_string(), "W"),
            Err(err) => format!("error: {}", world.words(&err)),
        }
    }

    #[test]
    fn addresses_are_read_as_docker_reads_them() {
        let world = World::new();
        let mut environment = world.environment();
        let mut check = |text: &str, plain: &str, tls: &str| {
            for (docker_tls, expected) in [(false, plain), (true, tls)] {
                environment.docker_tls = docker_tls;
                assert_eq!(shown_or_error(&world, Address::parse(text, &environment)), expected, "{text}");
            }
        };
        check("unix:///run/x.sock", "unix:///run/x.sock", "unix:///run/x.sock");
        check("tcp://host", "http://host:2375", "https://host:2376");
        check("tcp://[::1]", "http://[::1]:2375", "https://[::1]:2376");
        check("tcp://host:80", "http://host", "https://host:80");
        check("tcp://host:1/base", "http://host:1/base", "https://host:1/base");
        check("https://host:1", "https://host:1", "https://host:1");
        for bad in ["", "host", "/run/x.sock", "npipe:////./pipe/x", "fd://", "tcp://u:p@host", "tcp://h?x=1"]
        {
            let expected = format!("error: engine `{bad}`: expected unix://PATH or tcp://HOST[:PORT]");
            check(bad, &expected, &expected);
        }
        let relative = "error: engine `unix://x.sock`: expected an absolute path";
        check("unix://x.sock", relative, relative);
        assert!(Address::parse("ssh://ada@host", &environment).unwrap_err().hint().is_some());
    }

    #[test]
    fn the_variables_go_before_the_sockets_and_dockers_before_podmans() {
        let world = World::new();
        let mut environment = world.environment();
        assert_eq!(
            Address::find(&environment).unwrap_err().to_string().matches("sock").count(),
            4,
            "each place is named"
        );
        let find = |environment: &Environment| shown_or_error(&world, Address::find(environment));
        world.write("run/docker.sock", "a file is no engine");
        for socket in ["run/podman/podman.sock", "user/podman/podman.sock", "user/docker.sock"] {
            let path = world.path(socket);
            crate::fs::create_dir_all(path.parent().unwrap()).unwrap();
            UnixListener::bind(&path).unwrap();
            assert_eq!(find(&environment), format!("unix://W/{socket}"));
        }
        environment.container_host = Some("tcp://podman".into());
        assert_eq!(find(&environment), "http://podman:2375");
        environment.docker_host = Some("tcp://docker".into());
        assert_eq!(find(&environment), "http://docker:2375");
    }
}
