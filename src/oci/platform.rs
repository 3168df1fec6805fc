//! Platforms: `os/arch[/variant]`, many spellings of one machine, and which one serves which.

use crate::error::Error;
use crate::error::Result;
use crate::oci::json::null_is_default;
use crate::path::shown;
use serde::Deserialize;
use serde::Serialize;
use std::fmt;
use std::str::FromStr;

/// OCI image-spec, "platform". What was written is kept; compare [`Platform::normalised`] forms.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    #[serde(default, deserialize_with = "null_is_default")]
    pub architecture: String,
    #[serde(default, deserialize_with = "null_is_default")]
    pub os: String,
    #[serde(default, rename = "os.version", skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    #[serde(
        default,
        rename = "os.features",
        deserialize_with = "null_is_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub os_features: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl Platform {
    pub fn new(os: &str, architecture: &str, variant: Option<&str>) -> Platform {
        Platform {
            os: os.to_owned(),
            architecture: architecture.to_owned(),
            variant: variant.map(str::to_owned),
            ..Platform::default()
        }
    }

    /// Reads `os/arch[/variant]`, or one of the two alone (`arm64`, `linux`) as containerd does.
    pub fn parse(text: &str) -> Result<Platform> {
        let refuse =
            || Error::invalid(format!("platform `{}`", shown(text.as_bytes())), "is not OS/ARCH[/VARIANT]");
        let is_word = |part: &&str| {
            (1..=64).contains(&part.len())
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        };
        let parts: Vec<&str> = text.split('/').collect();
        if parts.len() > 3 || !parts.iter().all(is_word) {
            return Err(refuse());
        }
        let host = Platform::host();
        Ok(match parts[..] {
            [os] if is_os(os) => Platform::new(os, &host.architecture, host.variant.as_deref()),
            [arch] if is_architecture(arch) => Platform::new(&host.os, arch, None),
            [os, arch] => Platform::new(os, arch, None),
            [os, arch, variant] => Platform::new(os, arch, Some(variant)),
            _ => return Err(refuse()),
        }
        .normalised())
    }

    /// The machine we run on. Images run on Linux wherever imgit does.
    pub fn host() -> Platform {
        Platform::new("linux", std::env::consts::ARCH, None).normalised()
    }

    /// The same platform in the one spelling that containerd compares: `aarch64` is `arm64`, its
    /// `v8` goes without saying, and so does amd64's `v1`; bare `arm` is `v7`.
    pub fn normalised(&self) -> Platform {
        let os = match self.os.to_lowercase().as_str() {
            "macos" => "darwin".to_owned(),
            other => other.to_owned(),
        };
        let written = self.variant.as_deref().unwrap_or_default().to_lowercase();
        let (architecture, variant) = match self.architecture.to_lowercase().as_str() {
            "i386" | "i686" | "x86" => ("386".to_owned(), String::new()),
            "x86_64" | "x86-64" | "amd64" => {
                ("amd64".to_owned(), if written == "v1" { String::new() } else { written })
            }
            "aarch64" | "arm64" => (
                "arm64".to_owned(),
                if matches!(written.as_str(), "8" | "v8") { String::new() } else { written },
            ),
            "armhf" => ("arm".to_owned(), "v7".to_owned()),
            "armel" => ("arm".to_owned(), "v6".to_owned()),
            "arm" => match written.as_str() {
                "" | "7" => ("arm".to_owned(), "v7".to_owned()),
                "5" | "6" | "8" => ("arm".to_owned(), format!("v{written}")),
                _ => ("arm".to_owned(), written),
            },
            "powerpc64le" | "ppc64el" => ("ppc64le".to_owned(), written),
            other => (other.to_owned(), written),
        };
        Platform {
            os,
            architecture,
            variant: Some(variant).filter(|variant| !variant.is_empty()),
            ..self.clone()
        }
    }

    /// Says how well `offered` serves who asks for `self`: 0 is exact, more is older, `None` not at all.
    ///
    /// An arm/v7 machine runs v6 and v5, an amd64/v3 machine runs v2 and plain: containerd's order.
    pub fn rank(&self, offered: &Platform) -> Option<u32> {
        let (wanted, offered) = (self.normalised(), offered.normalised());
        if wanted.os != offered.os || wanted.architecture != offered.architecture {
            return None;
        }
        if wanted.variant == offered.variant {
            return Some(0);
        }
        let level = |platform: &Platform, plain: u32| match platform.variant.as_deref() {
            None => Some(plain),
            Some(variant) => variant.strip_prefix('v')?.parse::<u32>().ok(),
        };
        match wanted.architecture.as_str() {
            "arm" => level(&wanted, 7)?.checked_sub(level(&offered, 7)?),
            "amd64" => level(&wanted, 1)?.checked_sub(level(&offered, 1)?),
            // `v8` is what a plain arm64 is; newer ones run it.
            "arm64" if offered.variant.is_none() => Some(1),
            _ => None,
        }
    }

    /// Says whether nothing is known: attestations beside images are marked so.
    pub fn is_unknown(&self) -> bool {
        let unknown = |text: &str| text.is_empty() || text == "unknown";
        unknown(&self.os) && unknown(&self.architecture)
    }
}

fn is_os(text: &str) -> bool {
    matches!(
        text.to_lowercase().as_str(),
        "linux" | "windows" | "darwin" | "macos" | "freebsd" | "netbsd" | "openbsd" | "wasip1"
    )
}

fn is_architecture(text: &str) -> bool {
    const KNOWN: [&str; 13] = [
        "386", "amd64", "arm", "arm64", "loong64", "mips", "mips64", "mips64le", "mipsle", "ppc64le",
        "riscv64", "s390x", "wasm",
    ];
    KNOWN.contains(&Platform::new("linux", text, None).normalised().architecture.as_str())
}

impl FromStr for Platform {
    type Err = Error;
    fn from_str(text: &str) -> Result<Platform> {
        Platform::parse(text)
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", shown(self.os.as_bytes()), shown(self.architecture.as_bytes()))?;
        match &self.variant {
            Some(variant) if !variant.is_empty() => write!(f, "/{}", shown(variant.as_bytes())),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_machine() {
        for (text, normal) in [
            ("linux/aarch64", "linux/arm64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/arm64/v9", "linux/arm64/v9"),
            ("linux/arm", "linux/arm/v7"),
            ("linux/arm/6", "linux/arm/v6"),
            ("linux/armhf", "linux/arm/v7"),
            ("Linux/x86_64", "linux/amd64"),
            ("linux/amd64/v1", "linux/amd64"),
            ("arm64", "linux/arm64"),
            ("macos/arm64", "darwin/arm64"),
        ] {
            assert_eq!(Platform::parse(text).unwrap().to_string(), normal, "{text}");
        }
        assert_eq!(Platform::parse("linux").unwrap(), Platform::host());
        for bad in ["", "/", "linux/", "linux/a/b/c", "linux/a b", "nonsense"] {
            assert!(Platform::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn older_variants_serve_newer_machines() {
        let rank = |wanted: &str, offered: &str| {
            Platform::parse(wanted).unwrap().rank(&Platform::parse(offered).unwrap())
        };
        assert_eq!(rank("linux/arm64", "linux/arm64/v8"), Some(0));
        assert_eq!(rank("linux/arm", "linux/arm/v6"), Some(1));
        assert_eq!(rank("linux/arm/v6", "linux/arm/v7"), None);
        assert_eq!(rank("linux/amd64/v3", "linux/amd64"), Some(2));
        assert_eq!(rank("linux/amd64", "linux/amd64/v2"), None);
        assert_eq!(rank("linux/amd64", "windows/amd64"), None);
        assert_eq!(rank("linux/amd64", "linux/arm64"), None);
    }
}
