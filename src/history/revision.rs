//! Saying which version is meant: `debian:12~2`, `web@{yesterday}`, `web:v1..web:v2`, `4f1c09e2`.
//!
//! ```text
//! NAME[:REF]      a branch or tag; REF is `latest` if not given
//! 4f1c09e2…       a commit, by four or more digits of its id, if no name is spelt like that
//!   ~N            its Nth ancestor by first parents; ~ is ~1
//!   ^N            its Nth parent; ^ is ^1, ^0 the commit itself
//!   @{N}          what the ref was N moves ago
//!   @{DATE}       what the ref was then; a day without a time means at its end
//!   @sha256:…     the newest version that has this digest, as artifact or as manifest
//! A..B            what is in B and not in A
//! ```

use super::Commit;
use super::History;
use super::Ref;
use super::RefName;
use super::ReflogEntry;
use super::date;
use super::graph::Ancestors;
use crate::attr::Time;
use crate::error::Error;
use crate::error::Result;
use crate::id::CommitId;
use crate::oci::name::DEFAULT_TAG;
use crate::oci::name::ImageName;
use crate::path::shown;
use jiff::Zoned;
use std::fmt;

/// Fewer digits of a commit id are more likely a name with a slip in it.
pub const ID_DIGITS_MIN: usize = 4;

/// `@{1234567}` counts moves, `@{20260503}` is a day.
const MOVE_DIGITS_MAX: usize = 7;

/// What stands where one version or a range of them may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    One(Revision),
    /// What `to` descends from and `from` does not.
    Range {
        from: Revision,
        to: Revision,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revision {
    /// As it was written, for messages.
    text: String,
    pub base: Base,
    pub steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    pub name: String,
    pub reference: Option<String>,
    /// The name in lower case, where it may also be the beginning of a commit id.
    pub digits: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// `~N`
    Ancestor(u64),
    /// `^N`
    Parent(u64),
    /// `@{N}`
    Move(u64),
    /// `@{DATE}`
    Then(Time),
    /// `@sha256:…`, or the beginning of a digest.
    Digest(String),
}

/// What a revision came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    pub id: CommitId,
    /// The ref it was said by, if it was; the ref may be at another commit now.
    pub name: Option<RefName>,
}

impl Selection {
    /// `now` is asked only for a date: it reads the time zones of the machine.
    pub fn parse(text: &str, now: &dyn Fn() -> Zoned) -> Result<Selection> {
        let Some(at) = range_dots(text) else {
            return Ok(Selection::One(Revision::parse(text, now)?));
        };
        let (from, to) = (&text[..at], &text[at + 2..]);
        if from.is_empty() || to.is_empty() || to.starts_with('.') {
            return Err(Error::invalid(
                format!("range `{}`", shown(text.as_bytes())),
                "is not A..B with a revision on both sides",
            ));
        }
        Ok(Selection::Range { from: Revision::parse(from, now)?, to: Revision::parse(to, now)? })
    }
}

/// Finds the `..` that no braces enclose.
fn range_dots(text: &str) -> Option<usize> {
    let mut in_braces = false;
    text.bytes().enumerate().find_map(|(at, byte)| {
        in_braces = byte == b'{' || in_braces && byte != b'}';
        (!in_braces && text.as_bytes()[at..].starts_with(b"..")).then_some(at)
    })
}

impl Revision {
    /// `now` is asked only for a date, as by [`Selection::parse`].
    pub fn parse(text: &str, now: &dyn Fn() -> Zoned) -> Result<Revision> {
        let at = text.find(['~', '^', '@']).unwrap_or(text.len());
        let (front, mut suffix) = text.split_at(at);
        let base = Base::parse(front)?;
        let mut steps = Vec::new();
        while !suffix.is_empty() {
            let (step, rest) = Step::parse(suffix, now)?.ok_or_else(|| {
                Error::invalid(
                    format!("revision `{}`", shown(text.as_bytes())),
                    format!(
                        "`{}` is none of ~N, ^N, @{{N}}, @{{DATE}} and @sha256:…",
                        shown(suffix.as_bytes())
                    ),
                )
            })?;
            if matches!(step, Step::Move(_) | Step::Then(_)) && !steps.is_empty() {
                return Err(Error::invalid(
                    format!("revision `{}`", shown(text.as_bytes())),
                    "has @{…} not right after the branch it asks about",
                ));
            }
            steps.push(step);
            suffix = rest;
        }
        Ok(Revision { text: text.to_owned(), base, steps })
    }

    /// Finds the commit that is meant.
    pub fn resolve(&self, history: &dyn History) -> Result<Resolved> {
        let (first, rest) = match self.steps.split_first() {
            Some((first @ (Step::Move(_) | Step::Then(_) | Step::Digest(_)), rest)) => (Some(first), rest),
            _ => (None, &self.steps[..]),
        };
        let mut resolved = match first {
            None => self.base.resolve(history)?,
            Some(Step::Digest(digest)) => self.base.with_digest(history, digest)?,
            Some(step) => self.base.as_it_was(history, step)?,
        };
        for step in rest {
            resolved.id = self.step(history, resolved.id, step)?;
        }
        Ok(resolved)
    }

    fn step(&self, history: &dyn History, id: CommitId, step: &Step) -> Result<CommitId> {
        let no_such =
            |hint: String| Error::not_found("revision", shown(self.text.as_bytes())).with_hint(hint);
        match step {
            Step::Parent(0) => Ok(id),
            Step::Parent(nth) => {
                let parents = history.commit(&id)?.parents;
                let parent = usize::try_from(nth - 1).ok().and_then(|nth| parents.get(nth).copied());
                parent.ok_or_else(|| no_such(format!("commit {} has {} parents", id.short(), parents.len())))
            }
            Step::Ancestor(n) => {
                let mut at = id;
                for gone in 0..*n {
                    let parents = history.commit(&at)?.parents;
                    at = *parents.first().ok_or_else(|| {
                        no_such(format!("history ends at commit {}, {gone} before it", at.short()))
                    })?;
                }
                Ok(at)
            }
            Step::Digest(digest) => newest_with(history, &[id], digest)?
                .ok_or_else(|| no_such(format!("no ancestor of commit {} has this digest", id.short()))),
            Step::Move(_) | Step::Then(_) => {
                unreachable!("parse takes these only as the first step")
            }
        }
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Base {
    fn parse(front: &str) -> Result<Base> {
        let name = ImageName::parse(front)?;
        let is_digits =
            (ID_DIGITS_MIN..=64).contains(&front.len()) && front.bytes().all(|byte| byte.is_ascii_hexdigit());
        Ok(Base {
            name: name.name().to_owned(),
            reference: name.tag().map(str::to_owned),
            digits: is_digits.then(|| front.to_lowercase()),
        })
    }

    /// The ref that is meant, which need not be there.
    pub fn ref_name(&self) -> Result<RefName> {
        RefName::new(&self.name, self.reference.as_deref().unwrap_or(DEFAULT_TAG))
    }

    fn resolve(&self, history: &dyn History) -> Result<Resolved> {
        let name = self.ref_name()?;
        if let Some(found) = history.find_ref(&name)? {
            return Ok(Resolved { id: found.commit, name: Some(name) });
        }
        let Some(digits) = &self.digits else {
            return Err(self.not_found(history, &name));
        };
        match history.by_prefix(digits)?[..] {
            [] => Err(self.not_found(history, &name)),
            [id] => Ok(Resolved { id, name: None }),
            ref several => {
                let some: Vec<String> =
                    several.iter().take(4).map(|id| id.to_string()[..16].to_owned()).collect();
                Err(Error::invalid(
                    format!("commit id {digits}"),
                    format!("is the beginning of {} ids", several.len()),
                )
                .with_hint(format!("give more digits: {}", some.join(", "))))
            }
        }
    }

    fn as_it_was(&self, history: &dyn History, step: &Step) -> Result<Resolved> {
        let name = self.ref_name()?;
        let log = history.reflog(&name)?;
        if log.is_empty() {
            return Err(match history.find_ref(&name)? {
                Some(_) => no_such_move(&name, step, "its moves were not kept".into()),
                None => self.not_found(history, &name),
            });
        }
        let id = match step {
            Step::Move(n) => {
                moves_ago(&log, *n).ok_or_else(|| format!("{name} has moved {} times", log.len()))
            }
            Step::Then(then) => {
                log.iter().rev().find(|entry| entry.time <= *then).and_then(|entry| entry.new).ok_or_else(
                    || {
                        let first = date::to_timestamp(log[0].time)
                            .map_or("long ago".to_owned(), |first| first.to_string());
                        format!("its first move was at {first}")
                    },
                )
            }
            _ => unreachable!("only these two ask for a ref as it was"),
        };
        Ok(Resolved { id: id.map_err(|hint| no_such_move(&name, step, hint))?, name: Some(name) })
    }

    /// Looks from every commit that the name, or the one ref asked for, is or was at.
    fn with_digest(&self, history: &dyn History, digest: &str) -> Result<Resolved> {
        let is_asked = |found: &Ref| match &self.reference {
            Some(reference) => found.name.name() == self.name && found.name.reference() == reference,
            None => found.name.name() == self.name,
        };
        let refs: Vec<Ref> = history.refs()?.into_iter().filter(is_asked).collect();
        if refs.is_empty() {
            return Err(self.not_found(history, &self.ref_name()?));
        }
        let mut tips = Vec::new();
        for found in &refs {
            tips.push(found.commit);
            tips.extend(history.reflog(&found.name)?.iter().filter_map(|entry| entry.new));
        }
        let id = newest_with(history, &tips, digest)?.ok_or_else(|| {
            Error::not_found("version", format!("{}@{digest}", self.name))
                .with_hint(format!("`imgit log {}` lists the versions there are", self.name))
        })?;
        Ok(Resolved { id, name: (refs.len() == 1).then(|| refs[0].name.clone()) })
    }

    fn not_found(&self, history: &dyn History, name: &RefName) -> Error {
        let not_found = match &self.digits {
            Some(_) => Error::not_found("name or commit", self.name.clone()),
            None => Error::not_found("version", name.to_string()),
        };
        // What would help to find the right name must not hide that this one is missing.
        let refs = history.refs().unwrap_or_default();
        match near(&refs, name) {
            Some(hint) => not_found.with_hint(hint),
            None => not_found,
        }
    }
}

fn no_such_move(name: &RefName, step: &Step, hint: String) -> Error {
    let asked = match step {
        Step::Move(n) => n.to_string(),
        Step::Then(then) => {
            date::to_timestamp(*then).map_or_else(|| then.secs.to_string(), |then| then.to_string())
        }
        _ => String::new(),
    };
    Error::not_found("version", format!("{name}@{{{asked}}}")).with_hint(hint)
}

/// `@{0}` is what the ref is, `@{1}` what it was before its last move.
fn moves_ago(log: &[ReflogEntry], n: u64) -> Option<CommitId> {
    let n = usize::try_from(n).ok()?;
    match log.len().checked_sub(n)? {
        0 => log[0].old,
        at => log[at - 1].new,
    }
}

/// The newest commit from `tips` down whose artifact or manifest digest begins with `digest`.
fn newest_with(history: &dyn History, tips: &[CommitId], digest: &str) -> Result<Option<CommitId>> {
    let digest_of = |commit: &Commit| {
        let manifests = commit.trees.iter().map(|tree| &tree.manifest);
        std::iter::once(&commit.artifact.digest)
            .chain(manifests)
            .find(|found| found.starts_with(digest))
            .cloned()
    };
    let mut newest: Option<(CommitId, String)> = None;
    for found in Ancestors::new(history, tips) {
        let (id, commit) = found?;
        match (digest_of(&commit), &newest) {
            (Some(digest), None) => newest = Some((id, digest)),
            (Some(other), Some((_, first))) if other != *first => {
                return Err(Error::invalid(
                    format!("digest {digest}"),
                    "is the beginning of several digests",
                )
                .with_hint(format!("give more digits: {first}, {other}")));
            }
            _ => {}
        }
    }
    Ok(newest.map(|(id, _)| id))
}

/// A hint of what may have been meant: other refs of the name, else names spelt like it.
fn near(refs: &[Ref], wanted: &RefName) -> Option<String> {
    const SHOWN_MAX: usize = 5;
    let mut own: Vec<&str> = refs
        .iter()
        .map(|found| &found.name)
        .filter(|name| name.name() == wanted.name())
        .map(RefName::reference)
        .collect();
    if !own.is_empty() {
        own.sort_unstable();
        let more = if own.len() > SHOWN_MAX { ", …" } else { "" };
        own.truncate(SHOWN_MAX);
        return Some(format!("{} has {}{more}", wanted.name(), own.join(", ")));
    }
    let mut names: Vec<&str> = refs.iter().map(|found| found.name.name()).collect();
    names.sort_unstable();
    names.dedup();
    // `nginx` for `bitnami/nginx` is no misspelling but as likely.
    let last = |name: &str| name.rsplit('/').next().unwrap_or(name).to_owned();
    let mut close: Vec<&str> =
        names.iter().filter(|name| last(name) == last(wanted.name())).copied().collect();
    if close.is_empty() {
        close = similar::get_close_matches(wanted.name(), &names, 3, 0.6);
    }
    close.truncate(SHOWN_MAX);
    (!close.is_empty()).then(|| format!("did you mean {}?", close.join(" or ")))
}

impl Step {
    /// Reads the first step and returns what follows it; `None` if it is not one.
    fn parse<'a>(suffix: &'a str, now: &dyn Fn() -> Zoned) -> Result<Option<(Step, &'a str)>> {
        let (sign, rest) = suffix.split_at_checked(1).unwrap_or(("", suffix));
        if sign == "~" || sign == "^" {
            let end = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
            let (digits, rest) = rest.split_at(end);
            let Ok(n) = (if digits.is_empty() { Ok(1) } else { digits.parse() }) else {
                return Ok(None);
            };
            return Ok(Some((if sign == "~" { Step::Ancestor(n) } else { Step::Parent(n) }, rest)));
        }
        if let Some((inner, rest)) = rest.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
            let is_number = !inner.is_empty()
                && inner.len() <= MOVE_DIGITS_MAX
                && inner.bytes().all(|byte| byte.is_ascii_digit());
            let step = match inner.parse() {
                Ok(n) if is_number => Step::Move(n),
                _ => Step::Then(date::parse(inner, &now(), date::Day::End)?),
            };
            return Ok(Some((step, rest)));
        }
        let end = rest.find(['~', '^', '@']).unwrap_or(rest.len());
        let (digest, rest) = rest.split_at(end);
        let is_digest = digest.split_once(':').is_some_and(|(algorithm, digits)| {
            !algorithm.is_empty()
                && algorithm.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+._-".contains(&byte))
                && digits.len() >= ID_DIGITS_MIN
                && digits.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"=_-".contains(&byte))
        });
        Ok(is_digest.then(|| (Step::Digest(digest.to_owned()), rest)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::memory::MemoryHistory;
    use proptest::prelude::*;

    fn now() -> Zoned {
        "1970-01-02T12:00:00+00:00[UTC]".parse().unwrap()
    }

    /// `web:latest` went a, b, m at 00:00, 01:00 and 03:00; `web:dev` is c.
    fn history() -> MemoryHistory {
        let mut history = MemoryHistory::of(&["a", "b: a", "c: a", "m: b c"]);
        for (key, message) in [
            ("web:latest", "a"),
            ("web:latest", "b"),
            ("web:dev", "c"),
            ("web:latest", "m"),
            ("bitnami/nginx:1", "a"),
        ] {
            history.set(key, message);
        }
        history
    }

    fn found(history: &MemoryHistory, text: &str) -> Result<String> {
        let resolved = Revision::parse(text, &now)?.resolve(history)?;
        Ok(history.message(&resolved.id))
    }

    fn check(text: &str, expected: &str) {
        assert_eq!(found(&history(), text).unwrap(), expected, "{text}");
    }

    fn check_refused(text: &str, expected: &str) {
        let err = found(&history(), text).unwrap_err();
        let hint = err.hint().map(|hint| format!(" ({hint})")).unwrap_or_default();
        assert_eq!(format!("{}{hint}", err.root()), expected);
    }

    #[test]
    fn names_and_their_ancestors() {
        check("web", "m");
        check("web:dev", "c");
        check("web~", "b");
        check("web~2", "a");
        check("web~1^0~1", "a");
        check("web^", "b");
        check("web^2", "c");
        check("web^2^", "a");
        check("web~0", "m");
    }

    #[test]
    fn what_a_ref_was() {
        check("web@{0}", "m");
        check("web@{1}", "b");
        check("web@{2}", "a");
        check("web@{1}~", "a");
        check("web@{1970-01-01 02:00}", "b");
        check("web@{1970-01-01T00:30:00Z}", "a");
        check("web@{yesterday}", "m");
        check("web@{19700101}", "m");
    }

    #[test]
    fn ids_and_digests() {
        let history = history();
        let id = history.id("b").to_string();
        let digest = history.commits[&history.id("b")].artifact.digest.clone();
        for text in [
            &id[..8],
            &id,
            &id[..8].to_uppercase(),
            &format!("web@{digest}"),
            &format!("web:latest@{}", &digest[..15]),
        ] {
            assert_eq!(found(&history, text).unwrap(), "b", "{text}");
        }
        assert_eq!(found(&history, &format!("{}~", &id[..8])).unwrap(), "a");
        assert_eq!(found(&history, &format!("web~@{digest}^")).unwrap(), "a");
        assert!(found(&history, &format!("web:dev@{digest}")).is_err());
    }

    #[test]
    fn a_name_that_looks_like_an_id_is_a_name() {
        let mut history = history();
        let digits = history.id("b").to_string()[..6].to_owned();
        assert_eq!(found(&history, &digits).unwrap(), "b");
        history.set(&format!("{digits}:latest"), "c");
        assert_eq!(found(&history, &digits).unwrap(), "c");
    }

    #[test]
    fn what_is_missing_is_named_with_what_is_near() {
        check_refused("web:prod", "version web:prod not found (web has dev, latest)");
        check_refused("wep", "version wep:latest not found (did you mean web?)");
        check_refused("nginx", "version nginx:latest not found (did you mean bitnami/nginx?)");
        check_refused("zzzzzz", "version zzzzzz:latest not found");
        check_refused("00000000", "name or commit 00000000 not found");
        let ends = format!("history ends at commit {}, 2 before it", history().id("a").short());
        check_refused("web~3", &format!("revision web~3 not found ({ends})"));
        let parents = format!("commit {} has 2 parents", history().id("m").short());
        check_refused("web^3", &format!("revision web^3 not found ({parents})"));
        check_refused("web@{9}", "version web:latest@{9} not found (web:latest has moved 3 times)");
        check_refused(
            "web@{1969-12-31}",
            "version web:latest@{1969-12-31T23:59:59.999999999Z} not found (its first move was at 1970-01-01T00:00:00Z)",
        );
    }

    #[test]
    fn an_id_that_is_not_enough_is_refused() {
        let mut history = MemoryHistory::default();
        while history.by_prefix("abcd").unwrap().len() < 2 {
            // Stored under made-up ids: the search for two real ones would take long.
            let n = history.commits.len() as u8;
            let mut id = [n; 32];
            (id[0], id[1]) = (0xab, 0xcd);
            history.commits.insert(CommitId(id), crate::history::memory::commit("x", 0, &[]));
        }
        let err = found(&history, "abcd").unwrap_err();
        assert_eq!(err.root().to_string(), "commit id abcd: is the beginning of 2 ids");
        assert_eq!(err.hint(), Some("give more digits: abcd000000000000, abcd010101010101"));
        assert_eq!(found(&history, "abcd01").unwrap(), "x");
    }

    #[test]
    fn ranges_have_two_sides() {
        let parse = |text: &str| Selection::parse(text, &now);
        let Ok(Selection::Range { from, to }) = parse("web:v1..ghcr.io/a/b:v2~2") else { panic!("a range") };
        assert_eq!((from.to_string().as_str(), to.to_string().as_str()), ("web:v1", "ghcr.io/a/b:v2~2"));
        assert!(matches!(parse("web@{3.days.ago..}"), Err(_) | Ok(Selection::One(_))));
        assert!(matches!(parse("web@{2 days ago}"), Ok(Selection::One(_))));
        for text in ["a..", "..b", "a...b", ".."] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_no_revision_is_refused() {
        for text in [
            "",
            "~1",
            "web@",
            "web@{",
            "web@{}",
            "web@{1",
            "web@x",
            "web~1@{1}",
            "web@sha256:",
            "web~99999999999999999999",
            "we b",
            "web^{tree}",
        ] {
            assert!(Revision::parse(text, &now).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in "[a-f0-9:~^@{}./ é-]{0,24}") {
            if let Ok(Selection::One(revision)) = Selection::parse(&text, &now) {
                prop_assert_eq!(revision.to_string(), text);
                let _ = revision.resolve(&history());
            }
        }
    }
}
