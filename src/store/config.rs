//! `imgit.toml`: the format of a store and how it likes to be written.
//!
//! Features a store uses are listed by what not knowing them means: nothing, do not write, do not
//! even read. So an older imgit can still be told apart from a damaged store.

use crate::error::Error;
use crate::error::Result;
use crate::store::backend::Backend;
use crate::store::backend::read_small;
use serde::Deserialize;
use serde::Serialize;

pub const CONFIG_NAME: &str = "imgit.toml";
pub const FORMAT: u32 = 1;
/// Far more than any configuration; keeps a wrong file from being read whole.
const CONFIG_BYTES_MAX: u64 = 1 << 20;
/// Features this imgit knows, in each of the two lists that matter.
const KNOWN_READ_ONLY: [&str; 0] = [];
const KNOWN_INCOMPATIBLE: [&str; 1] = [ENCODED_BLOBS];
/// Compressed blobs that are made again by a recipe (`BlobSource::Encoded`).
pub const ENCODED_BLOBS: &str = "encoded-blobs";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Config {
    pub format: u32,
    #[serde(default)]
    pub features: Features,
    #[serde(default)]
    pub pack: PackConfig,
    #[serde(default)]
    pub cache: CacheConfig,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Features {
    /// Not knowing one of these does no harm.
    pub compatible: Vec<String>,
    /// Not knowing one of these forbids writing.
    pub read_only: Vec<String>,
    /// Not knowing one of these forbids opening.
    pub incompatible: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct PackConfig {
    /// zstd level of contents, -7 to 19. Of 529 MB of a Debian with compilers, level 1 makes 205 MB
    /// in 1.4 s of processor time, level 2 193 MB in 1.8, level 3 185 MB in 2.5.
    pub level: i32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct CacheConfig {
    /// How many bytes of rebuilt blobs are kept for the next who wants them; 0 for none.
    pub blob_bytes: u64,
}

impl Default for CacheConfig {
    fn default() -> CacheConfig {
        // A few images on their way to several places; little beside any store worth repacking.
        CacheConfig { blob_bytes: 1 << 30 }
    }
}

impl Default for PackConfig {
    fn default() -> PackConfig {
        PackConfig { level: 2 }
    }
}

impl Default for Config {
    fn default() -> Config {
        Config {
            format: FORMAT,
            features: Features::default(),
            pack: PackConfig::default(),
            cache: CacheConfig::default(),
        }
    }
}

impl Config {
    /// Reads and checks the configuration of a store.
    pub fn read(backend: &dyn Backend) -> Result<Config> {
        let path = backend.place().join(CONFIG_NAME);
        let bytes = match read_small(backend, CONFIG_NAME, CONFIG_BYTES_MAX) {
            Err(Error::NotFound { .. }) => {
                return Err(Error::NoStore { path: backend.place().into() });
            }
            other => other?,
        };
        let invalid = |problem: String| Error::invalid(path.display().to_string(), problem);
        let text = String::from_utf8(bytes).map_err(|_| invalid("is not UTF-8".to_owned()))?;
        // The format first: a newer one may have changed the rest.
        let format = toml::from_str::<Format>(&text).map_err(|err| invalid(err.message().to_owned()))?;
        if format.format != FORMAT {
            return Err(newer(backend, format.format.to_string()));
        }
        let config: Config = toml::from_str(&text).map_err(|err| invalid(err.message().to_owned()))?;
        let unknown =
            config.features.incompatible.iter().find(|name| !KNOWN_INCOMPATIBLE.contains(&&name[..]));
        match unknown {
            Some(name) => Err(newer(backend, format!("{FORMAT} with `{name}`"))),
            None => Ok(config),
        }
    }

    pub fn to_text(&self) -> String {
        let text = toml::to_string(self).expect("numbers, strings and lists of strings fit into TOML");
        format!("# A store of imgit. See src/store/FORMAT.md of its source.\n{text}")
    }

    /// The feature that forbids writing, if there is one.
    pub fn read_only_because(&self) -> Option<&str> {
        let unknown = self.features.read_only.iter().find(|name| !KNOWN_READ_ONLY.contains(&&name[..]));
        unknown.map(|name| &name[..])
    }

    pub fn level(&self) -> i32 {
        self.pack.level.clamp(-7, 19)
    }
}

#[derive(Deserialize)]
struct Format {
    format: u32,
}

/// The error for a store that is beyond this imgit.
pub fn newer(backend: &dyn Backend, found: String) -> Error {
    Error::NewerFormat { path: backend.place().into(), found, known: FORMAT.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::backend::mem::MemBackend;
    use crate::store::backend::write_small;

    fn check(text: &str) -> Result<Config> {
        let backend = MemBackend::new(None);
        write_small(&backend, CONFIG_NAME, text.as_bytes()).unwrap();
        Config::read(&backend)
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(check(&Config::default().to_text()).unwrap(), Config::default());
    }

    #[test]
    fn a_newer_format_is_told_apart_from_damage() {
        assert!(matches!(check("format = 2\nfeatures = 7"), Err(Error::NewerFormat { .. })));
        assert!(matches!(
            check("format = 1\n[features]\nincompatible = ['x']"),
            Err(Error::NewerFormat { .. })
        ));
        let readable = check("format = 1\n[features]\nread-only = ['x']\ncompatible = ['y']").unwrap();
        assert_eq!(readable.read_only_because(), Some("x"));
        for damage in ["", "format = 'one'", "form", "\u{0}"] {
            assert!(matches!(check(damage), Err(Error::Invalid { .. })), "{damage:?}");
        }
    }
}
