//! What names a manifest in a repository: a tag or a digest.

use crate::error::Error;
use crate::error::Result;
use crate::oci::digest::Digest;
use crate::oci::name::ImageName;
use crate::oci::name::is_tag;
use crate::path::shown;
use std::fmt;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reference {
    Tag(String),
    Digest(Digest),
}

/// OCI distribution-spec, "Referrers Tag Schema".
const ALGORITHM_LETTERS_MAX: usize = 32;
const ENCODED_LETTERS_MAX: usize = 64;

impl Reference {
    pub fn tag(tag: &str) -> Result<Reference> {
        match is_tag(tag) {
            true => Ok(Reference::Tag(tag.to_owned())),
            false => Err(Error::invalid(
                format!("tag `{}`", shown(tag.as_bytes())),
                "is not [a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}",
            )),
        }
    }

    /// What a whole name asks for: its digest, else its tag, else `latest`.
    pub fn of(name: &ImageName) -> Reference {
        match name.digest() {
            Some(digest) => Reference::Digest(digest.clone()),
            None => Reference::Tag(name.tag_or_default().to_owned()),
        }
    }

    /// The tag under which a registry without a referrers API lists what refers to `digest`.
    pub fn fallback(digest: &Digest) -> Reference {
        // A digest's algorithm may hold `+`, which no tag may.
        let as_tag = |text: &str, max: usize| -> String {
            text.chars()
                .take(max)
                .map(|c| if c.is_ascii_alphanumeric() || "_.-".contains(c) { c } else { '-' })
                .collect()
        };
        Reference::Tag(format!(
            "{}-{}",
            as_tag(digest.algorithm(), ALGORITHM_LETTERS_MAX),
            as_tag(digest.encoded(), ENCODED_LETTERS_MAX)
        ))
    }
}

impl From<&Digest> for Reference {
    fn from(digest: &Digest) -> Reference {
        Reference::Digest(digest.clone())
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reference::Tag(tag) => f.write_str(tag),
            Reference::Digest(digest) => digest.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_of_a_name_goes_before_its_tag() {
        let of = |name: &str| Reference::of(&ImageName::parse(name).unwrap()).to_string();
        let digest = Digest::of(b"").to_string();
        assert_eq!(of("debian"), "latest");
        assert_eq!(of("debian:12"), "12");
        assert_eq!(of(&format!("debian:12@{digest}")), digest);
        assert!(Reference::tag("a/b").is_err());
    }

    #[test]
    fn the_fallback_tag_is_cut_to_what_a_tag_takes() {
        let fallback = |digest: &str| Reference::fallback(&Digest::parse(digest).unwrap()).to_string();
        let hex = "0123456789abcdef".repeat(8);
        assert_eq!(fallback(&format!("sha256:{}", &hex[..64])), format!("sha256-{}", &hex[..64]));
        assert_eq!(fallback(&format!("sha512:{hex}")), format!("sha512-{}", &hex[..64]));
        let long = fallback(&format!("{}:a=b", "x+y".repeat(20)));
        assert_eq!(long, format!("{}-a-b", &"x-y".repeat(20)[..32]));
        assert!(is_tag(&long));
    }
}
