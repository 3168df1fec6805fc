//! Docker's contexts: engines that a person has given names, one of them the current one.
//!
//! `contexts/meta/ID/meta.json` beside Docker's `config.json`, where ID is the SHA-256 of the name;
//! certificates in `contexts/tls/ID/docker`. The context `default` is no file.

use crate::error::Error;
use crate::error::Result;
use crate::oci::json;
use crate::oci::json::null_is_default;
use crate::path::shown;
use crate::remote::config::environment::Environment;
use crate::remote::engine::address::Address;
use serde::Deserialize;
use sha2::Digest;
use sha2::Sha256;
use std::fmt::Write;
use std::path::Path;

const FILE_BYTES_MAX: u64 = 1 << 20;
const DEFAULT: &str = "default";

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct DockerConfig {
    #[serde(deserialize_with = "null_is_default")]
    current_context: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Meta {
    endpoints: Endpoints,
}

#[derive(Deserialize)]
struct Endpoints {
    docker: Docker,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Docker {
    host: String,
}

/// The engine of the current context; `None` where that is the default.
pub fn current(environment: &Environment) -> Result<Option<Address>> {
    let Some(folder) = &environment.docker_config else { return Ok(None) };
    let name = match &environment.docker_context {
        Some(name) => name.clone(),
        None => current_name(&folder.join("config.json"))?,
    };
    if name.is_empty() || name == DEFAULT {
        return Ok(None);
    }
    let id = Sha256::digest(&name).iter().fold(String::new(), |mut id, byte| {
        write!(id, "{byte:02x}").expect("a String takes all");
        id
    });
    let meta = folder.join("contexts/meta").join(&id).join("meta.json");
    if crate::fs::look(&meta)?.is_none() {
        return Err(Error::not_found("Docker's context", shown(name.as_bytes()))
            .with_hint("`docker context use default`, or name the engine by `DOCKER_HOST`"));
    }
    let meta: Meta = read(&meta)?;
    let certs = folder.join("contexts/tls").join(&id).join("docker");
    let has_certs = crate::fs::look(&certs)?.is_some();
    let environment = Environment {
        docker_tls: has_certs,
        docker_certs: Some(certs).filter(|_| has_certs),
        ..environment.clone()
    };
    Address::parse(&meta.endpoints.docker.host, &environment).map(Some)
}

fn current_name(path: &Path) -> Result<String> {
    if crate::fs::look(path).ok().flatten().is_none() {
        return Ok(String::new());
    }
    Ok(read::<DockerConfig>(path)?.current_context)
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T> {
    let bytes = crate::fs::read_small(path, FILE_BYTES_MAX)?;
    json::parse(&path.display().to_string(), &bytes, FILE_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::config::testing::World;

    /// `printf docker-desktop | sha256sum`
    const ID: &str = "ba080d849081ade50bd3c508b67cc5ff985e82da5d2b865b0e02765ac20500da";

    #[test]
    fn the_current_context_is_followed() {
        let world = World::new();
        let mut environment = world.environment();
        let find = |environment: &Environment| match current(environment) {
            Ok(found) => found.map_or("-".to_owned(), |address| address.to_string()),
            Err(err) => world.words(&err).split(": ").next().unwrap().to_owned(),
        };
        assert_eq!(find(&environment), "-");
        for nothing in ["{}", r#"{"currentContext":null}"#, r#"{"currentContext":"default"}"#] {
            world.write("home/.docker/config.json", nothing);
            assert_eq!(find(&environment), "-");
        }
        world.write("home/.docker/config.json", r#"{"auths":{},"currentContext":"docker-desktop"}"#);
        assert_eq!(find(&environment), "Docker's context docker-desktop not found");
        let meta = format!("home/.docker/contexts/meta/{ID}/meta.json");
        let text = |host: &str| {
            format!(
                r#"{{"Name":"docker-desktop","Metadata":{{}},"Endpoints":{{"docker":{{"Host":"{host}","SkipTLSVerify":false}}}}}}"#
            )
        };
        world.write(&meta, text("unix:///home/ada/.docker/desktop/docker.sock"));
        assert_eq!(find(&environment), "unix:///home/ada/.docker/desktop/docker.sock");
        world.write(&meta, text("tcp://far:2376"));
        assert_eq!(find(&environment), "http://far:2376");
        world.write(&format!("home/.docker/contexts/tls/{ID}/docker/ca.pem"), "");
        assert_eq!(find(&environment), "https://far:2376");
        environment.docker_context = Some("default".into());
        assert_eq!(find(&environment), "-");
        environment.docker_context = Some("../x".into());
        assert_eq!(find(&environment), "Docker's context ../x not found");
    }
}
