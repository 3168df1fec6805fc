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
    whole_path: bool,
}

impl Glob {
    pub fn parse(pattern: &str) -> Result<Glob> {
        Glob::parse_with(pattern, false)
    }

    pub fn parse_with(pattern: &str, ignore_case: bool) -> Result<Glob> {
        let whole_path = pattern.trim_end_matches('/').contains('/');
        let clean = pattern.trim_start_matches("./").trim_matches('/');
        let matcher = GlobBuilder::new(clean)
            .literal_separator(true)
            .case_insensitive(ignore_case)
            .build()
            .map_err(|err| Error::invalid(format!("pattern `{pattern}`"), err.kind().to_string()))?
            .compile_matcher();
        Ok(Glob {
            matcher,
            whole_path,
        })
    }

    pub fn matches(&self, path: &TreePath) -> bool {
        let bytes = match path.as_bytes() {
            whole if self.whole_path => whole,
            whole => whole.rsplit(|byte| *byte == b'/').next().unwrap_or(whole),
        };
        self.matcher
            .is_match_candidate(&Candidate::from_bytes(bytes))
    }

    /// What an index of names can look for: the last part of the pattern, if it has no wildcard.
    pub fn literal_name(&self) -> Option<&str> {
        let pattern = self.matcher.glob().glob();
        let name = pattern.rsplit('/').next().unwrap_or(pattern);
        // A brace or bracket may hold the slash we split at.
        let plain = |text: &str| !text.contains(['[', ']', '{', '}', '\\']);
        (plain(pattern) && !name.is_empty() && !name.contains(['*', '?'])).then_some(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, path: &[u8], matches: bool) {
        let path = TreePath::parse(path).unwrap();
        assert_eq!(
            Glob::parse(pattern).unwrap().matches(&path),
            matches,
            "{pattern} {path}"
        );
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
    fn a_bad_pattern_is_named() {
        let err = Glob::parse("a[b").unwrap_err().to_string();
        assert!(err.starts_with("pattern `a[b`: "), "{err}");
    }

    #[test]
    fn a_name_without_wildcards_can_be_looked_up() {
        let name = |pattern: &str| {
            Glob::parse(pattern)
                .unwrap()
                .literal_name()
                .map(str::to_owned)
        };
        assert_eq!(name("**/openssl.cnf").as_deref(), Some("openssl.cnf"));
        assert_eq!(name("/etc/passwd").as_deref(), Some("passwd"));
        assert_eq!(name("*.so"), None);
        assert_eq!(name("{a/b,c}"), None);
    }
}
