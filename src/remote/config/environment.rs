//! What the configuration depends on besides its files, read once by whoever runs the process.

use std::ffi::OsString;
use std::path::Path;
use std::path::PathBuf;

/// The variables and places that the files of a person and of a machine are found by.
///
/// `None` and an empty variable are the same: not set.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// `$HOME`.
    pub home: Option<PathBuf>,
    /// `$XDG_CONFIG_HOME`, else `~/.config`.
    pub config_home: Option<PathBuf>,
    /// `$XDG_CACHE_HOME`, else `~/.cache`.
    pub cache_home: Option<PathBuf>,
    /// `$XDG_RUNTIME_DIR`.
    pub runtime_dir: Option<PathBuf>,
    /// `$DOCKER_CONFIG`, else `~/.docker`.
    pub docker_config: Option<PathBuf>,
    /// `$REGISTRY_AUTH_FILE`.
    pub auth_file: Option<PathBuf>,
    /// `$CONTAINERS_REGISTRIES_CONF`.
    pub registries_conf: Option<PathBuf>,
    /// `$DOCKER_HOST` and `$CONTAINER_HOST`: where Docker's and podman's engines are.
    pub docker_host: Option<String>,
    pub container_host: Option<String>,
    /// `$DOCKER_CONTEXT`, a name that Docker keeps an engine under.
    pub docker_context: Option<String>,
    /// `$DOCKER_CERT_PATH`, else [`Environment::docker_config`]: certificates for an engine.
    pub docker_certs: Option<PathBuf>,
    /// `$DOCKER_TLS_VERIFY` has any value.
    pub docker_tls: bool,
    /// `$PATH`, where credential helpers are.
    pub path: OsString,
    /// Above `etc`, `run` and `var`: `/`.
    pub root: PathBuf,
    pub uid: u32,
}

impl Environment {
    pub fn of_process() -> Environment {
        let uid = rustix::process::getuid().as_raw();
        Environment::read(Path::new("/"), uid, |name| std::env::var_os(name))
    }

    pub fn read(root: &Path, uid: u32, variable: impl Fn(&str) -> Option<OsString>) -> Environment {
        let path = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let home = path("HOME");
        let text = |name: &str| path(name).map(|value| value.to_string_lossy().into_owned());
        let in_home = |name: &str| home.as_ref().map(|home| home.join(name));
        let docker_config = path("DOCKER_CONFIG").or_else(|| in_home(".docker"));
        Environment {
            config_home: path("XDG_CONFIG_HOME").or_else(|| in_home(".config")),
            cache_home: path("XDG_CACHE_HOME").or_else(|| in_home(".cache")),
            runtime_dir: path("XDG_RUNTIME_DIR"),
            docker_certs: path("DOCKER_CERT_PATH").or_else(|| docker_config.clone()),
            docker_config,
            docker_host: text("DOCKER_HOST"),
            container_host: text("CONTAINER_HOST"),
            docker_context: text("DOCKER_CONTEXT"),
            docker_tls: path("DOCKER_TLS_VERIFY").is_some(),
            auth_file: path("REGISTRY_AUTH_FILE"),
            registries_conf: path("CONTAINERS_REGISTRIES_CONF"),
            path: variable("PATH").unwrap_or_default(),
            root: root.to_path_buf(),
            uid,
            home,
        }
    }

    /// A file or folder of the person's under `containers/`.
    pub fn of_person(&self, name: &str) -> Option<PathBuf> {
        self.config_home.as_ref().map(|config| config.join("containers").join(name))
    }

    /// A file or folder of the machine's: `containers/registries.conf` under `/etc`.
    pub fn of_machine(&self, name: &str) -> PathBuf {
        self.root.join("etc").join(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_variable_is_not_set_and_home_stands_in() {
        let environment = Environment::read(Path::new("/"), 7, |name| match name {
            "HOME" => Some("/home/ada".into()),
            "XDG_CONFIG_HOME" | "REGISTRY_AUTH_FILE" => Some("".into()),
            "DOCKER_CONFIG" => Some("/docker".into()),
            _ => None,
        });
        assert_eq!(environment.of_person("x").unwrap(), Path::new("/home/ada/.config/containers/x"));
        assert_eq!(environment.docker_config.as_deref(), Some(Path::new("/docker")));
        assert_eq!((environment.auth_file, environment.runtime_dir, environment.uid), (None, None, 7));
    }
}
