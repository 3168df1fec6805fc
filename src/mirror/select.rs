//! Which of a repository's tags are wanted.

use super::config::Tags;
use semver::Version;
use std::cmp::Ordering;

impl Tags {
    /// Says whether the registry need not be asked which tags there are.
    pub fn is_list(&self) -> bool {
        !self.list.is_empty() && self.globs.is_empty() && self.regexes.is_empty() && self.semver.is_none()
    }

    /// The wanted ones of `all`, sorted as versions, the newest last. Without any rule all are wanted.
    pub fn of(&self, all: &[String]) -> Vec<String> {
        let mut wanted: Vec<&String> = all.iter().filter(|tag| self.wants(tag)).collect();
        wanted.sort_by(|a, b| by_version(a, b));
        wanted.dedup();
        let from = self.newest.map_or(0, |newest| wanted.len().saturating_sub(newest));
        wanted[from..].iter().map(|tag| tag.to_string()).collect()
    }

    fn wants(&self, tag: &str) -> bool {
        let has_no_rule =
            self.list.is_empty() && self.globs.is_empty() && self.regexes.is_empty() && self.semver.is_none();
        let in_range = |tag: &str| match (&self.semver, version(tag)) {
            (Some(range), Some(version)) => range.matches(&version),
            _ => false,
        };
        let is_wanted = has_no_rule
            || self.list.iter().any(|one| one == tag)
            || self.globs.iter().any(|glob| glob.is_match(tag))
            || self.regexes.iter().any(|regex| regex.is_match(tag))
            || in_range(tag);
        is_wanted && !self.exclude.iter().any(|glob| glob.is_match(tag))
    }
}

/// `v1.2.3`, `1.2`, `1`: tags leave out what is zero, and many have a `v`.
fn version(tag: &str) -> Option<Version> {
    let text = tag.strip_prefix('v').unwrap_or(tag);
    let core = text.find(['-', '+']).unwrap_or(text.len());
    let (numbers, rest) = text.split_at(core);
    let missing = match numbers.split('.').count() {
        1 => ".0.0",
        2 => ".0",
        _ => "",
    };
    Version::parse(&format!("{numbers}{missing}{rest}")).ok()
}

/// Versions by their order, after what is none; the rest by digits as numbers, as `sort -V` has it.
fn by_version(a: &str, b: &str) -> Ordering {
    match (version(a), version(b)) {
        (Some(x), Some(y)) => x.cmp(&y).then_with(|| a.cmp(b)),
        (Some(_), None) => Ordering::Greater,
        (None, Some(_)) => Ordering::Less,
        (None, None) => naturally(a, b),
    }
}

fn naturally(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    while let (Some(x), Some(y)) = (a.first(), b.first()) {
        let order = match (number(a), number(b)) {
            (Some((m, rest_a)), Some((n, rest_b))) => {
                (a, b) = (rest_a, rest_b);
                m.len().cmp(&n.len()).then_with(|| m.cmp(n))
            }
            _ => {
                (a, b) = (&a[1..], &b[1..]);
                x.cmp(y)
            }
        };
        if order != Ordering::Equal {
            return order;
        }
    }
    a.len().cmp(&b.len())
}

/// The digits in front without leading zeros, and what follows them.
fn number(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let len = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = text.split_at(len);
    let zeros = digits.iter().take_while(|byte| **byte == b'0').count();
    (len > 0).then(|| (&digits[zeros..], rest))
}

#[cfg(test)]
mod tests {
    use super::super::Config;

    const ALL: [&str; 12] = [
        "latest",
        "1.9",
        "1.10",
        "1.10.3",
        "v2.0.0",
        "2.1.0-rc1",
        "bookworm-20260105",
        "bookworm-9",
        "12",
        "12.1",
        "sha256-abc.sig",
        "3",
    ];

    fn check(rules: &str, expected: &[&str]) {
        let config = Config::parse("f", &format!("[[repository]]\nfrom = 'r.io/a'\n{rules}")).unwrap();
        let all: Vec<String> = ALL.iter().map(|tag| tag.to_string()).collect();
        assert_eq!(config.repositories[0].tags.of(&all), expected, "{rules}");
    }

    #[test]
    fn rules_add_up_and_exclusion_wins() {
        check("tags = ['12', 'nope']", &["12"]);
        check("glob = ['bookworm-*']", &["bookworm-9", "bookworm-20260105"]);
        check("regex = ['1\\.\\d+']", &["1.9", "1.10"]);
        check("semver = '>=1.10, <3'", &["1.10", "1.10.3", "v2.0.0"]);
        check("semver = '^2.1.0-rc'", &["2.1.0-rc1"]);
        check("tags = ['latest']\nglob = ['1.*']\nexclude = ['*.3']", &["latest", "1.9", "1.10"]);
        check("glob = ['1*']\nnewest = 2", &["12", "12.1"]);
        check("newest = 1", &["12.1"]);
        check("exclude = ['*']", &[]);
        check("newest = 0", &[]);
    }
}
