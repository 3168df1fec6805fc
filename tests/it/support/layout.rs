//! OCI layouts made on the spot, right or wrong in one place.

use super::World;
use super::sha256;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;
use serde_json::json;
use std::io::Write;

/// An image of one layer in a layout, with the values that its documents promise.
pub struct Layout {
    pub layer: Vec<u8>,
    pub media_type: String,
    pub layer_digest: String,
    pub layer_size: u64,
    pub diff_id: String,
    /// Blobs that are written under another name than their own, or not at all.
    pub config: Value,
    pub manifest: Option<Vec<u8>>,
    pub index: Option<Vec<u8>>,
}

impl Layout {
    /// An image whose only layer is this tar, uncompressed.
    pub fn of(tar: Vec<u8>) -> Layout {
        let digest = format!("sha256:{}", sha256(&tar));
        Layout {
            layer_size: tar.len() as u64,
            layer: tar,
            media_type: "application/vnd.oci.image.layer.v1.tar".into(),
            layer_digest: digest.clone(),
            diff_id: digest,
            config: json!({ "architecture": "amd64", "os": "linux", "config": {} }),
            manifest: None,
            index: None,
        }
    }

    /// The same with these bytes as the compressed layer, `kind` being `gzip` or `zstd`.
    pub fn compressed(mut self, kind: &str, bytes: Vec<u8>) -> Layout {
        self.media_type = format!("application/vnd.oci.image.layer.v1.tar+{kind}");
        self.layer_digest = format!("sha256:{}", sha256(&bytes));
        self.layer_size = bytes.len() as u64;
        self.layer = bytes;
        self
    }

    /// Writes it as `folder`, tag `v`.
    pub fn write(mut self, world: &World, folder: &str) {
        self.config["rootfs"] = json!({ "type": "layers", "diff_ids": [self.diff_id] });
        let config = self.config.to_string().into_bytes();
        let put = |bytes: &[u8]| {
            let digest = sha256(bytes);
            world.write(&format!("{folder}/blobs/sha256/{digest}"), bytes);
            json!({ "digest": format!("sha256:{digest}"), "size": bytes.len() })
        };
        let mut config = put(&config);
        config["mediaType"] = "application/vnd.oci.image.config.v1+json".into();
        let layer = self.layer_digest.trim_start_matches("sha256:");
        world.write(&format!("{folder}/blobs/sha256/{layer}"), &self.layer);
        let layers =
            json!([{ "mediaType": self.media_type, "digest": self.layer_digest, "size": self.layer_size }]);
        let manifest_type = "application/vnd.oci.image.manifest.v1+json";
        let manifest = self.manifest.unwrap_or_else(|| {
            json!({ "schemaVersion": 2, "mediaType": manifest_type, "config": config, "layers": layers })
                .to_string()
                .into_bytes()
        });
        let mut manifest = put(&manifest);
        manifest["mediaType"] = manifest_type.into();
        manifest["annotations"] = json!({ "org.opencontainers.image.ref.name": "v" });
        let index = self.index.unwrap_or_else(|| {
            json!({ "schemaVersion": 2, "manifests": [manifest] }).to_string().into_bytes()
        });
        world.write(&format!("{folder}/index.json"), index);
        world.write(&format!("{folder}/oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#);
    }
}

/// One entry with any name and link target, however wrong; `size` zero bytes follow.
pub fn entry(kind: tar::EntryType, name: &str, link: &str, size: u64) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
    header.as_mut_bytes()[157..157 + link.len()].copy_from_slice(link.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    header.set_cksum();
    header.as_bytes().to_vec()
}

pub fn file(name: &str, content: &[u8]) -> Vec<u8> {
    let mut bytes = entry(tar::EntryType::Regular, name, "", content.len() as u64);
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

pub fn ended(entries: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = entries.concat();
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
