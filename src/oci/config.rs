//! Image configs: what to run, on what, and which layers make the root file system.

use crate::error::Error;
use crate::error::Result;
use crate::id::DiffId;
use crate::oci::digest::Digest;
use crate::oci::json;
use crate::oci::json::null_is_default;
use crate::oci::platform::Platform;
use crate::path::shown;
use serde::Deserialize;
use serde::Deserializer;
use serde::de::IgnoredAny;
use std::collections::BTreeMap;

/// An engine takes 127 layers at most; what is beyond this is no image.
pub const LAYERS_MAX: usize = 10_000;

/// OCI image-spec, "Image Configuration", as far as imgit shows it. The bytes are kept beside it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct ImageConfig {
    #[serde(default, deserialize_with = "null_is_default")]
    pub created: Option<String>,
    #[serde(default)]
    pub author: Option<String>,
    #[serde(default, deserialize_with = "null_is_default")]
    pub architecture: String,
    #[serde(default, deserialize_with = "null_is_default")]
    pub os: String,
    #[serde(default)]
    pub variant: Option<String>,
    #[serde(default, rename = "os.version")]
    pub os_version: Option<String>,
    #[serde(default, rename = "os.features", deserialize_with = "json::list")]
    pub os_features: Vec<String>,
    #[serde(default, deserialize_with = "null_is_default")]
    pub config: Execution,
    pub rootfs: RootFs,
    #[serde(default, deserialize_with = "json::list")]
    pub history: Vec<History>,
}

/// How to run it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Execution {
    #[serde(default, deserialize_with = "null_is_default")]
    pub user: String,
    /// `80/tcp` and the like, sorted.
    #[serde(default, deserialize_with = "keys")]
    pub exposed_ports: Vec<String>,
    #[serde(default, deserialize_with = "json::list")]
    pub env: Vec<String>,
    #[serde(default, deserialize_with = "json::list")]
    pub entrypoint: Vec<String>,
    #[serde(default, deserialize_with = "json::list")]
    pub cmd: Vec<String>,
    /// Paths, sorted.
    #[serde(default, deserialize_with = "keys")]
    pub volumes: Vec<String>,
    #[serde(default, deserialize_with = "null_is_default")]
    pub working_dir: String,
    #[serde(default, deserialize_with = "null_is_default")]
    pub labels: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "null_is_default")]
    pub stop_signal: String,
    /// Docker's own: `["NONE"]`, `["CMD", …]` or `["CMD-SHELL", …]`; intervals are left out.
    #[serde(default)]
    pub healthcheck: Option<Healthcheck>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Healthcheck {
    #[serde(default, deserialize_with = "json::list")]
    pub test: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct RootFs {
    #[serde(rename = "type", default, deserialize_with = "null_is_default")]
    kind: String,
    #[serde(default, deserialize_with = "json::list")]
    pub diff_ids: Vec<Digest>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct History {
    #[serde(default)]
    pub created: Option<String>,
    #[serde(default)]
    pub created_by: Option<String>,
    #[serde(default)]
    pub author: Option<String>,
    #[serde(default)]
    pub comment: Option<String>,
    #[serde(default, deserialize_with = "null_is_default")]
    pub empty_layer: bool,
}

impl ImageConfig {
    pub fn parse(bytes: &[u8]) -> Result<ImageConfig> {
        let config: ImageConfig = json::parse("config", bytes, json::CONFIG_BYTES_MAX)?;
        // OCI image-spec, "rootfs": an unknown type is an error, for its layers mean something else.
        if config.rootfs.kind != "layers" {
            return Err(Error::invalid(
                "config",
                format!("has rootfs.type `{}`, not `layers`", shown(config.rootfs.kind.as_bytes())),
            ));
        }
        if config.rootfs.diff_ids.len() > LAYERS_MAX {
            return Err(Error::Limit {
                thing: "number of layers in config".into(),
                limit: LAYERS_MAX as u64,
                unit: "layers",
            });
        }
        Ok(config)
    }

    pub fn platform(&self) -> Platform {
        Platform {
            os: self.os.clone(),
            architecture: self.architecture.clone(),
            variant: self.variant.clone(),
            os_version: self.os_version.clone(),
            os_features: self.os_features.clone(),
        }
    }

    /// The layers' ids, where all of them are the SHA-256 that every engine writes.
    pub fn diff_ids(&self) -> Result<Vec<DiffId>> {
        let sha256 = |digest: &Digest| {
            digest.diff_id().ok_or_else(|| Error::invalid(format!("diff id {digest}"), "is not a sha256"))
        };
        self.rootfs.diff_ids.iter().map(sha256).collect()
    }

    /// The steps that made a layer, in the order of the layers.
    pub fn layer_history(&self) -> impl Iterator<Item = &History> {
        self.history.iter().filter(|step| !step.empty_layer)
    }
}

/// Go's `map[string]struct{}`: only the keys mean something.
fn keys<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    let map = Option::<BTreeMap<String, IgnoredAny>>::deserialize(from)?.unwrap_or_default();
    Ok(map.into_keys().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<ImageConfig> {
        ImageConfig::parse(json.as_bytes())
    }

    #[test]
    fn what_docker_writes_is_read() {
        let id = Digest::of(b"");
        let config = parse(&format!(
            r#"{{"architecture":"arm64","variant":"v8","os":"linux","created":"2026-01-01T00:00:00Z","container":"x",
            "config":{{"Env":["A=1"],"Cmd":"sh","Entrypoint":null,"Volumes":{{"/b":{{}},"/a":null}},"Labels":null,
            "ExposedPorts":{{"80/tcp":{{}}}},"Healthcheck":{{"Test":["NONE"]}},"OnBuild":null,"StopSignal":"SIGQUIT"}},
            "history":[{{"created_by":"ADD","empty_layer":null}},{{"created_by":"CMD","empty_layer":true}}],
            "rootfs":{{"type":"layers","diff_ids":["{id}"]}},"unknown":{{}}}}"#
        ))
        .unwrap();
        assert_eq!(config.platform().normalised().to_string(), "linux/arm64");
        assert_eq!(config.config.cmd, ["sh"]);
        assert_eq!(config.config.volumes, ["/a", "/b"]);
        assert_eq!(config.config.exposed_ports, ["80/tcp"]);
        assert_eq!(config.diff_ids().unwrap(), [DiffId::of(b"")]);
        assert_eq!(config.layer_history().count(), 1);
    }

    #[test]
    fn the_least_that_is_a_config() {
        let config =
            parse(r#"{"config":null,"history":null,"rootfs":{"type":"layers","diff_ids":null}}"#).unwrap();
        assert_eq!(config.diff_ids().unwrap(), []);
    }

    #[test]
    fn what_is_no_config_is_refused() {
        for (json, words) in [
            (r#"{"rootfs":{"type":"layers+base","diff_ids":[]}}"#.to_owned(), "rootfs.type `layers+base`"),
            (r#"{"rootfs":{}}"#.to_owned(), "rootfs.type ``"),
            ("{}".to_owned(), "missing field `rootfs`"),
            (r#"{"rootfs":{"type":"layers","diff_ids":["sha256:../x"]}}"#.to_owned(), "digest"),
            (format!(r#"{{"a":{}1{}}}"#, "[".repeat(1000), "]".repeat(1000)), "levels"),
            (
                format!(r#"{{"history":[{}{{}}],"rootfs":{{"type":"layers"}}}}"#, "{},".repeat(100_000)),
                "more than 100000 elements",
            ),
            (" ".repeat(17 << 20), "limit of 16777216 bytes"),
        ] {
            let err = parse(&json).unwrap_err().to_string();
            assert!(err.contains(words), "{err}");
        }
    }
}
