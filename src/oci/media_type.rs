//! Media types: what a blob is said to be.
//!
//! Any text is kept as it is; [`MediaType::kind`] says what imgit makes of it. OCI's names come from
//! oci-spec, Docker's (image manifest version 2, schema 2) stand here.

use oci_spec::image::MediaType as Oci;
use serde::Deserialize;
use serde::Serialize;
use std::fmt;

pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
pub const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";
pub const DOCKER_LAYER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
pub const DOCKER_LAYER_ZSTD: &str = "application/vnd.docker.image.rootfs.diff.tar.zstd";
pub const DOCKER_FOREIGN: &str = "application/vnd.docker.image.rootfs.foreign.diff.tar";
pub const DOCKER_FOREIGN_GZIP: &str = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
const DOCKER_SCHEMA1: &str = "application/vnd.docker.distribution.manifest.v1+json";
const DOCKER_SCHEMA1_SIGNED: &str = "application/vnd.docker.distribution.manifest.v1+prettyjws";

#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MediaType(String);

/// What a blob is to imgit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Manifest,
    Index,
    /// An image's config, with diff ids.
    Config,
    /// A layer tar, compressed as the name says. `foreign` layers may be missing from a registry.
    Layer {
        compression: Named,
        foreign: bool,
    },
    /// Docker's manifests of before 2016: no digests of configs, not supported.
    Schema1,
    Other,
}

/// The compression that a media type names; the bytes themselves decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    None,
    Gzip,
    Zstd,
}

impl MediaType {
    pub fn new(name: impl Into<String>) -> MediaType {
        MediaType(name.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The name without parameters: a registry may send `…+json; charset=utf-8`.
    pub fn bare(&self) -> &str {
        self.0.split(';').next().unwrap_or_default().trim_end()
    }

    pub fn kind(&self) -> Kind {
        let layer = |compression, foreign| Kind::Layer { compression, foreign };
        match Oci::from(self.bare()) {
            Oci::ImageManifest => Kind::Manifest,
            Oci::ImageIndex => Kind::Index,
            Oci::ImageConfig => Kind::Config,
            Oci::ImageLayer => layer(Named::None, false),
            Oci::ImageLayerGzip => layer(Named::Gzip, false),
            Oci::ImageLayerZstd => layer(Named::Zstd, false),
            Oci::ImageLayerNonDistributable => layer(Named::None, true),
            Oci::ImageLayerNonDistributableGzip => layer(Named::Gzip, true),
            Oci::ImageLayerNonDistributableZstd => layer(Named::Zstd, true),
            Oci::Other(other) => match other.as_str() {
                DOCKER_MANIFEST => Kind::Manifest,
                DOCKER_LIST => Kind::Index,
                DOCKER_CONFIG => Kind::Config,
                DOCKER_LAYER => layer(Named::None, false),
                DOCKER_LAYER_GZIP => layer(Named::Gzip, false),
                DOCKER_LAYER_ZSTD => layer(Named::Zstd, false),
                DOCKER_FOREIGN => layer(Named::None, true),
                DOCKER_FOREIGN_GZIP => layer(Named::Gzip, true),
                DOCKER_SCHEMA1 | DOCKER_SCHEMA1_SIGNED => Kind::Schema1,
                _ => Kind::Other,
            },
            _ => Kind::Other,
        }
    }

    /// Says whether the blob is JSON that names other blobs.
    pub fn is_document(&self) -> bool {
        matches!(self.kind(), Kind::Manifest | Kind::Index | Kind::Schema1)
    }

    pub fn is_layer(&self) -> bool {
        matches!(self.kind(), Kind::Layer { .. })
    }
}

impl From<Oci> for MediaType {
    fn from(oci: Oci) -> MediaType {
        MediaType(oci.into())
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&crate::path::shown(self.0.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docker_and_oci_names_mean_the_same_kinds() {
        let gzip = Kind::Layer { compression: Named::Gzip, foreign: false };
        for (name, kind) in [
            ("application/vnd.oci.image.manifest.v1+json", Kind::Manifest),
            ("application/vnd.oci.image.manifest.v1+json; charset=utf-8", Kind::Manifest),
            (DOCKER_MANIFEST, Kind::Manifest),
            ("application/vnd.oci.image.index.v1+json", Kind::Index),
            (DOCKER_LIST, Kind::Index),
            (DOCKER_CONFIG, Kind::Config),
            ("application/vnd.oci.image.layer.v1.tar+gzip", gzip),
            (DOCKER_LAYER_GZIP, gzip),
            (DOCKER_FOREIGN_GZIP, Kind::Layer { compression: Named::Gzip, foreign: true }),
            (DOCKER_SCHEMA1_SIGNED, Kind::Schema1),
            ("application/vnd.cncf.helm.config.v1+json", Kind::Other),
            ("", Kind::Other),
        ] {
            assert_eq!(MediaType::new(name).kind(), kind, "{name}");
        }
    }
}
