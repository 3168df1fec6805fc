//! What a registry is called: Docker Hub has had many names, and keys of old files are URLs.

/// Docker Hub as image names have it.
pub const HUB: &str = "docker.io";
/// Docker Hub as `docker login` stores it.
pub const HUB_KEY: &str = "https://index.docker.io/v1/";

/// One spelling for each registry.
pub fn canonical(host: &str) -> &str {
    match host {
        "index.docker.io" | "registry-1.docker.io" => HUB,
        other => other,
    }
}

/// The registry that a key of an auth file stands for, or `None` for a namespace in one.
///
/// Keys with a scheme are whole URLs, and `~/.dockercfg` has URLs without one; the rest of such a
/// key says nothing more. `docker login` keeps its own tokens as `…/access-token` beside the
/// credential: they open no registry.
pub fn of_key(key: &str, is_legacy: bool) -> Option<&str> {
    let bare = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://"));
    match bare.unwrap_or(key).split_once('/') {
        Some((_, rest)) if rest.ends_with("-token") => None,
        Some((host, _)) if bare.is_some() || is_legacy => Some(canonical(host)),
        Some(_) => None,
        None => Some(canonical(bare.unwrap_or(key))),
    }
}

/// The names under which a helper may know a registry, the likeliest first.
pub fn helper_keys(host: &str) -> &[&str] {
    match canonical(host) {
        HUB => &[HUB_KEY, HUB],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_stand_for_a_registry() {
        for (key, legacy, host) in [
            ("docker.io", false, Some(HUB)),
            (HUB_KEY, false, Some(HUB)),
            ("https://index.docker.io/v1", false, Some(HUB)),
            ("index.docker.io", false, Some(HUB)),
            ("http://registry-1.docker.io/v2/", false, Some(HUB)),
            ("https://index.docker.io/v1/access-token", false, None),
            ("https://a.io:5000", false, Some("a.io:5000")),
            ("a.io:5000", false, Some("a.io:5000")),
            ("a.io/team", false, None),
            ("index.docker.io/v1/", false, None),
            ("index.docker.io/v1/", true, Some(HUB)),
            ("a.io/v1/", true, Some("a.io")),
        ] {
            assert_eq!(of_key(key, legacy), host, "{key}");
        }
    }
}
