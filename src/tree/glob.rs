//! Path patterns for `find` and `whereis`, on bytes: a name need not be UTF-8 to be found.
//!
//! `*` and `?` do not cross a slash, `**` does, `[a-z]` and `{a,b}` as in a shell. A pattern
//! without a slash is matched against the last part of a path, any other against the whole of it.

use crate::error::Error;
use crate::error::Result;
use crate::path::TreePath;
use globset::Candidate;
use globset::GlobBuilder;
use globset::GlobMatcher;

#[derive(Clone, Debug)]
pub struct Glob {
    matcher: GlobMatcher,
    /// Over the last part alone; `None` where the pattern cannot be cut at its slashes.
    last_part: Option<GlobMatcher>,
    whole_path: bool,
}

impl Glob {
    pub fn parse(pattern: &str) -> Result<Glob> {
        Glob::parse_with(pattern, false)
    }

    pub fn parse_with(pattern: &str, ignore_case: bool) -> Result<Glob> {
        let whole_path = pattern.trim_end_matches('/').contains('/');
        let clean = pattern.trim_start_matches("./").trim_matches('/');
        let compiled = |part: &str| {
            let glob = GlobBuilder::new(part).literal_separator(true).case_insensitive(ignore_case).build();
            glob.map(|glob| glob.compile_matcher())
                .map_err(|err| Error::invalid(format!("pattern `{pattern}`"), err.kind().to_string()))
        };
        let last_part = clean.rsplit('/').next().filter(|_| is_plain(clean));
        Ok(Glob { matcher: compiled(clean)?, last_part: last_part.map(compiled).transpose()?, whole_path })
    }

    pub fn matches(&self, path: &TreePath) -> bool {
        let bytes = match path.as_bytes() {
            whole if self.whole_path => whole,
            whole => whole.rsplit(|byte| *byte == b'/').next().unwrap_or(whole),
        };
        self.matcher.is_match_candidate(&Candidate::from_bytes(bytes))
    }

    /// Says whether a path that ends in `name` may match: a first sieve for an index of names.
    pub fn may_end_in(&self, name: &[u8]) -> bool {
        self.last_part.as_ref().is_none_or(|glob| glob.is_match_candidate(&Candidate::from_bytes(name)))
    }

    /// What an index of names can look for: the last part of the pattern, if it has no wildcard.
    pub fn literal_name(&self) -> Option<&str> {
        let pattern = self.matcher.glob().glob();
        let name = pattern.rsplit('/').next().unwrap_or(pattern);
        (is_plain(pattern) && !name.is_empty() && !name.contains(['*', '?'])).then_some(name)
    }
}

/// A brace or bracket may hold the slash that a pattern would be cut at.
fn is_plain(pattern: &str) -> bool {
    !pattern.contains(['[', ']', '{', '}', '\\'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, path: &[u8], matches: bool) {
        let path = TreePath::parse(path).unwrap();
        assert_eq!(Glob::parse(pattern).unwrap().matches(&path), matches, "{pattern} {path}");
    }

    #[test]
    fn stars_stop_at_slashes_and_names_match_anywhere() {
        check("*.conf", b"etc/apt/apt.conf", true);
        check("*.conf", b"etc/apt.conf/x", false);
        check("etc/*.conf", b"etc/apt/apt.conf", false);
        check("etc/*/*.conf", b"etc/apt/apt.conf", true);
        check("etc/**", b"etc/apt/apt.conf", true);
        check("**/apt.conf", b"etc/apt/apt.conf", true);
        check("**/apt.conf", b"apt.conf", true);
        check("/passwd", b"etc/passwd", false);
        check("/etc/passwd", b"etc/passwd", true);
        check("passwd", b"etc/passwd", true);
        check("apt/", b"etc/apt", true);
        check("lib?.so.{1,2}", b"usr/lib/liba.so.2", true);
        check("[ab]*", b"x/bin", true);
    }

    #[test]
    fn names_are_bytes() {
        check("caf*", b"caf\xe9", true);
        check("caf?", b"caf\xe9", true);
        check("etc/*", b"etc/\xff\xfe", true);
    }

    #[test]
    fn the_last_part_is_a_sieve_for_names() {
        let may = |pattern: &str, name: &str| Glob::parse(pattern).unwrap().may_end_in(name.as_bytes());
        assert!(may("/etc/*.conf", "apt.conf") && !may("/etc/*.conf", "apt.txt"));
        assert!(may("etc/**", "anything"));
        assert!(may("{a/b,c}", "z"), "a pattern that cannot be cut lets all through");
        assert!(may("*.so", "x.so") && !may("*.so", "x"));
    }

    #[test]
    fn a_bad_pattern_is_named() {
        let err = Glob::parse("a[b").unwrap_err().to_string();
        assert!(err.starts_with("pattern `a[b`: "), "{err}");
    }

    #[test]
    fn a_name_without_wildcards_can_be_looked_up() {
        let name = |pattern: &str| Glob::parse(pattern).unwrap().literal_name().map(str::to_owned);
        assert_eq!(name("**/openssl.cnf").as_deref(), Some("openssl.cnf"));
        assert_eq!(name("/etc/passwd").as_deref(), Some("passwd"));
        assert_eq!(name("*.so"), None);
        assert_eq!(name("{a/b,c}"), None);
    }
}
