//! Image names as people write them: `debian`, `bitnami/nginx:1.27`, `ghcr.io/acme/app@sha256:…`.
//!
//! A name is kept as Docker shows it: `docker.io/library/debian` is `debian`. Disks and directories
//! have names too, so more than a registry would take is good here (upper case, for one);
//! [`ImageName::check_for_registry`] holds a name to the registry's rules. Revisions (`~2`, `^`,
//! `@{…}`, `A..B`) are none of this module's: [`split_suffix`] cuts them off first.

use crate::error::Error;
use crate::error::Result;
use crate::oci::digest::Digest;
use crate::path::shown;
use std::fmt;
use std::str::FromStr;

/// OCI distribution-spec: many clients limit host and name to 255 characters.
pub const NAME_BYTES_MAX: usize = 255;
/// OCI distribution-spec, "Pulling manifests".
pub const TAG_BYTES_MAX: usize = 128;
pub const DEFAULT_TAG: &str = "latest";

const DOCKER_HUB: &str = "docker.io";
const DOCKER_HUB_OLD: &str = "index.docker.io";
/// Where Docker Hub keeps its official images.
const OFFICIAL: &str = "library";

/// `NAME[:TAG][@DIGEST]`, the name in its familiar form.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageName {
    name: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl ImageName {
    /// Reads `NAME[:TAG][@DIGEST]`, strictly: a revision's suffix is an error here.
    pub fn parse(text: &str) -> Result<ImageName> {
        let refuse = |problem: String| Error::invalid(format!("image name `{}`", brief(text)), problem);
        let (front, digest) = match text.split_once('@') {
            Some((front, digest)) => {
                (front, Some(Digest::parse(digest).map_err(|err| refuse(err.to_string()))?))
            }
            None => (text, None),
        };
        // A colon before the last slash belongs to the port of a host.
        let (name, tag) = match front.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (front, None),
        };
        check_name(name).map_err(&refuse)?;
        if let Some(tag) = tag {
            check_tag(tag).map_err(&refuse)?;
        }
        Ok(ImageName { name: familiar(name).to_owned(), tag: tag.map(str::to_owned), digest })
    }

    /// The name as Docker shows it, without tag and digest: `debian`, `ghcr.io/acme/app`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The tag as it was written; [`ImageName::tag_or_default`] fills in `latest`.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    pub fn tag_or_default(&self) -> &str {
        self.tag().unwrap_or(DEFAULT_TAG)
    }

    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    pub fn with_tag(&self, tag: &str) -> Result<ImageName> {
        check_tag(tag).map_err(|problem| Error::invalid(format!("tag `{}`", brief(tag)), problem))?;
        Ok(ImageName { name: self.name.clone(), tag: Some(tag.to_owned()), digest: None })
    }

    /// The same name and tag, held to what they stood for.
    pub fn with_digest(&self, digest: Digest) -> ImageName {
        ImageName { digest: Some(digest), ..self.clone() }
    }

    /// `NAME:TAG` with the tag always there, as `docker images` and a manifest.json's RepoTags show it.
    pub fn tagged(&self) -> String {
        format!("{}:{}", self.name, self.tag_or_default())
    }

    /// Host and name: `("docker.io", "library/debian")`, `("localhost:5000", "app")`.
    pub fn host_and_path(&self) -> (&str, String) {
        match split_host(&self.name) {
            Some((host, path)) => (host, path.to_owned()),
            None if self.name.contains('/') => (DOCKER_HUB, self.name.clone()),
            None => (DOCKER_HUB, format!("{OFFICIAL}/{}", self.name)),
        }
    }

    /// Everything spelled out: `docker.io/library/debian:latest`.
    pub fn full(&self) -> String {
        let (host, path) = self.host_and_path();
        let tag = match (&self.tag, &self.digest) {
            (None, Some(_)) => String::new(),
            _ => format!(":{}", self.tag_or_default()),
        };
        let digest = self.digest.as_ref().map(|digest| format!("@{digest}")).unwrap_or_default();
        format!("{host}/{path}{tag}{digest}")
    }

    /// Refuses what no registry would take, saying why: OCI distribution-spec, "Pulling manifests".
    pub fn check_for_registry(&self) -> Result<()> {
        let (_, path) = self.host_and_path();
        match path.split('/').find(|part| !is_registry_part(part)) {
            None => Ok(()),
            Some(part) => Err(Error::invalid(
                format!("image name `{self}`"),
                format!(
                    "`{part}` is not lower-case letters, digits and single separators, as registries ask"
                ),
            )),
        }
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

impl FromStr for ImageName {
    type Err = Error;
    fn from_str(text: &str) -> Result<ImageName> {
        ImageName::parse(text)
    }
}

/// Cuts `NAME[:TAG][@DIGEST]` from the revision suffix behind it.
///
/// `web:v2~2` gives `("web:v2", "~2")`, `web@{2026-05-03}^` gives `("web", "@{2026-05-03}^")`, and
/// `web@sha256:…` has no suffix. The front is not yet checked; neither half is ever lost.
pub fn split_suffix(text: &str) -> (&str, &str) {
    let at = text
        .char_indices()
        .find(|(at, letter)| matches!(letter, '~' | '^') || text[*at..].starts_with("@{"))
        .map_or(text.len(), |(at, _)| at);
    text.split_at(at)
}

/// Says whether `tag` is `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`.
pub fn is_tag(tag: &str) -> bool {
    check_tag(tag).is_ok()
}

fn check_tag(tag: &str) -> Result<(), String> {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if tag.is_empty() {
        return Err("has an empty tag".into());
    }
    if tag.len() > TAG_BYTES_MAX {
        return Err(format!("has a tag of more than {TAG_BYTES_MAX} characters"));
    }
    if !is_word(tag.as_bytes()[0]) || !tag.bytes().all(|byte| is_word(byte) || b".-".contains(&byte)) {
        return Err(format!("has a tag `{}` that is not [a-zA-Z0-9_][a-zA-Z0-9._-]*", shown(tag.as_bytes())));
    }
    Ok(())
}

fn check_name(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("is empty".into());
    }
    if name.len() > NAME_BYTES_MAX {
        return Err(format!("is longer than {NAME_BYTES_MAX} characters"));
    }
    let path = match split_host(name) {
        Some((host, path)) => {
            if !is_host(host) {
                return Err(format!("has a host `{}` that is not NAME[:PORT]", shown(host.as_bytes())));
            }
            path
        }
        None => name,
    };
    for part in path.split('/') {
        let problem = match part.as_bytes() {
            [] => "has an empty part between slashes",
            // `..` is a range of revisions, and `.` at the front a hidden or a relative path.
            [b'.' | b'-', ..] => "has a part that begins with `.` or `-`",
            _ if part.contains("..") => "contains `..`",
            bytes if !bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"._-+".contains(byte)) => {
                "has letters other than a-z, A-Z, 0-9, `.`, `_`, `-`, `+` and `/`"
            }
            _ => continue,
        };
        return Err(problem.into());
    }
    Ok(())
}

/// The first part is a host only if it has `.` or `:` or is `localhost`, and only before a slash.
fn split_host(name: &str) -> Option<(&str, &str)> {
    let (first, rest) = name.split_once('/')?;
    (first == "localhost" || first.contains(['.', ':'])).then_some((first, rest))
}

fn is_host(host: &str) -> bool {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (host, None),
    };
    let is_port = |port: &str| port.parse::<u16>().is_ok() && port.bytes().all(|byte| byte.is_ascii_digit());
    let is_address = match name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => name.split('.').all(|label| {
            !label.is_empty()
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        }),
    };
    is_address && port.is_none_or(is_port)
}

fn familiar(name: &str) -> &str {
    let on_hub = match split_host(name) {
        Some((DOCKER_HUB | DOCKER_HUB_OLD, rest)) => rest,
        Some(_) => return name,
        None => name,
    };
    match on_hub.strip_prefix(OFFICIAL).and_then(|rest| rest.strip_prefix('/')) {
        // `docker.io/library/library/x` would lose its meaning with both taken off.
        Some(official) if !official.contains('/') => official,
        _ if split_host(on_hub).is_some() => name,
        _ => on_hub,
    }
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_registry_part(part: &str) -> bool {
    let is_word = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = part.as_bytes();
    let ends_in_words = bytes.first().is_some_and(is_word) && bytes.last().is_some_and(is_word);
    let separators = part.split(|letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit());
    ends_in_words
        && separators.filter(|separator| !separator.is_empty()).all(|separator| {
            matches!(separator, "." | "_" | "__") || separator.bytes().all(|byte| byte == b'-')
        })
}

/// What an error shows of an input of any length.
fn brief(text: &str) -> String {
    const SHOWN: usize = 300;
    match text.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}…", shown(&text.as_bytes()[..at])),
        None => shown(text.as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn check(text: &str, familiar: &str, full: &str) {
        let name = ImageName::parse(text).unwrap_or_else(|err| panic!("{text}: {err}"));
        assert_eq!(name.to_string(), familiar, "{text}");
        assert_eq!(name.full(), full, "{text}");
        assert_eq!(ImageName::parse(&name.to_string()).unwrap(), name, "{text}");
        assert_eq!(ImageName::parse(&name.full()).unwrap().name(), name.name(), "{text}");
    }

    #[test]
    fn names_are_kept_as_docker_shows_them() {
        check("debian", "debian", "docker.io/library/debian:latest");
        check("debian:12", "debian:12", "docker.io/library/debian:12");
        check("library/debian", "debian", "docker.io/library/debian:latest");
        check("docker.io/debian", "debian", "docker.io/library/debian:latest");
        check("docker.io/library/debian:12", "debian:12", "docker.io/library/debian:12");
        check("index.docker.io/library/debian", "debian", "docker.io/library/debian:latest");
        check("docker.io/bitnami/nginx", "bitnami/nginx", "docker.io/bitnami/nginx:latest");
        check("ghcr.io/acme/app:v1", "ghcr.io/acme/app:v1", "ghcr.io/acme/app:v1");
        check("localhost/app", "localhost/app", "localhost/app:latest");
        check("localhost:5000/app", "localhost:5000/app", "localhost:5000/app:latest");
        check("localhost:5000", "localhost:5000", "docker.io/library/localhost:5000");
        check("[::1]:5000/app:x", "[::1]:5000/app:x", "[::1]:5000/app:x");
        check("disks/Win10.qcow2", "disks/Win10.qcow2", "docker.io/disks/Win10.qcow2:latest");
        check("docker.io", "docker.io", "docker.io/library/docker.io:latest");
        check("docker.io/library/library/x", "library/library/x", "docker.io/library/library/x:latest");
        check("docker.io/library", "library", "docker.io/library/library:latest");
        check("docker.io/a.b/c", "docker.io/a.b/c", "docker.io/a.b/c:latest");
        check(&format!("web@{DIGEST}"), &format!("web@{DIGEST}"), &format!("docker.io/library/web@{DIGEST}"));
        check(
            &format!("web:1@{DIGEST}"),
            &format!("web:1@{DIGEST}"),
            &format!("docker.io/library/web:1@{DIGEST}"),
        );
    }

    #[test]
    fn what_is_no_name_is_refused() {
        let long = "a".repeat(NAME_BYTES_MAX + 1);
        let long_tag = format!("a:{}", "t".repeat(TAG_BYTES_MAX + 1));
        for bad in [
            "",
            ":",
            ":a",
            "a:",
            "/a",
            "a/",
            "a//b",
            "a/../b",
            "..",
            ".",
            "-",
            "-a",
            "a b",
            "a~1",
            "a^",
            "a@{1}",
            "a@",
            "a@sha256:abc",
            "a:b:c",
            "a:.b",
            "a:b/c:d e",
            "é",
            "a\n",
            "a\0",
            "x..y",
            "a:-b",
            "http://a/b",
            "h:99999/a",
            "h:+1/a",
            "-h.x/a",
            "a/.b",
            "[::1/a",
            &long,
            &long_tag,
        ] {
            assert!(ImageName::parse(bad).is_err(), "{bad:?}");
        }
        assert!(ImageName::parse(&long[1..]).is_ok());
    }

    #[test]
    fn an_error_does_not_repeat_a_megabyte() {
        let err = ImageName::parse(&"é".repeat(1 << 19)).unwrap_err();
        assert!(err.to_string().len() < 2_000);
    }

    #[test]
    fn a_registry_is_stricter() {
        for good in ["debian", "a/b-c/d__e", "localhost:5000/a--b.c", "Example.com/a"] {
            ImageName::parse(good).unwrap().check_for_registry().unwrap();
        }
        for bad in ["Debian", "a/b_", "a___b", "a+b", "x.io/a._b"] {
            assert!(ImageName::parse(bad).unwrap().check_for_registry().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_suffix_is_cut_where_it_begins() {
        for (text, front, suffix) in [
            ("web", "web", ""),
            ("web:v2~2", "web:v2", "~2"),
            ("web^2~1", "web", "^2~1"),
            ("web@{2026-05-03}^", "web", "@{2026-05-03}^"),
            (DIGEST, DIGEST, ""),
            ("web@sha256:ab~1", "web@sha256:ab", "~1"),
            ("~", "", "~"),
            ("é@{1}", "é", "@{1}"),
        ] {
            assert_eq!(split_suffix(text), (front, suffix));
        }
    }
}
