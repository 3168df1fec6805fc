//! What a store has, as a small text to be carried to another one.
//!
//! ```text
//! imgit have 1
//! version <commit> <name>     a version, and a name it is known by there
//! tree <id>                   what of it no version before had: its trees
//! blob <digest>               … and its manifests, configs, layers and disks
//! ref branch <NAME:REF> <commit>
//! end <number of lines between>
//! ```
//!
//! It lists what has a closure: who has a commit, a tree or a layer has all that it needs, so the
//! contents, a hundred times as many, need not be listed. Commits alone, as git has them, would not
//! do: two stores that pulled one image by themselves have different commits of it, but the same
//! trees and layers. Only what a ref leads to is listed, because the rest may be collected before
//! the bundle arrives.

use super::format::Base;
use super::names;
use crate::error::Error;
use crate::error::Result;
use crate::fs;
use crate::history::graph;
use crate::history::refs::Ref;
use crate::history::refs::RefKind;
use crate::history::refs::RefName;
use crate::id::CommitId;
use crate::oci::digest::Digest;
use crate::progress::Progress;
use crate::repo::Repo;
use crate::repo::reach::Thing;
use crate::repo::reach::Walk;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;

const FIRST_LINE: &str = "imgit have 1";
/// Some hundred thousand versions.
const BYTES_MAX: u64 = 256 << 20;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Have {
    /// In the order in which they were listed, each with the name of its version.
    pub bases: Vec<(Base, String)>,
    pub refs: Vec<Ref>,
}

/// Lists what the refs of these names lead to, all of them if there are none.
pub fn have(repo: &Repo, patterns: &[String], progress: &dyn Progress) -> Result<Have> {
    progress.begin("listing what is here", None);
    let refs = names::select(repo, patterns)?;
    let mut called: HashMap<CommitId, String> = HashMap::new();
    for found in &refs {
        called.entry(found.commit).or_insert_with(|| found.name.to_string());
    }
    let tips: Vec<CommitId> = refs.iter().map(|found| found.commit).collect();
    let snapshot = repo.snapshot()?;
    let commits = graph::log(&snapshot, &tips, &[])?;
    drop(snapshot);
    let mut bases = Vec::new();
    // What is missing here is not promised.
    let mut missing = |_: Error| Ok(());
    let mut walk = Walk::new(repo, &mut missing);
    walk.shallow = true;
    for (id, commit) in commits {
        crate::progress::check(progress)?;
        let name = called.get(&id).cloned().unwrap_or_default();
        for parent in &commit.parents {
            called.entry(*parent).or_insert_with(|| name.clone());
        }
        walk.take_fresh();
        walk.commit(id)?;
        bases.push((Base::Commit(id), name.clone()));
        let mut more: Vec<Base> = walk.take_fresh().into_iter().filter_map(listed).collect();
        more.sort_by_cached_key(|base| (base.noun(), base.to_string()));
        for base in more {
            if is_here(repo, &base)? {
                bases.push((base, name.clone()));
            }
        }
    }
    Ok(Have { bases, refs })
}

fn listed(thing: Thing) -> Option<Base> {
    match thing {
        Thing::Tree(id) => Some(Base::Tree(id)),
        Thing::Blob(digest) => Some(Base::Blob(digest)),
        _ => None,
    }
}

/// Says whether the store has it, and so all that it needs.
pub fn is_here(repo: &Repo, base: &Base) -> Result<bool> {
    let snapshot = repo.snapshot()?;
    match base {
        Base::Commit(id) => Ok(snapshot.commit(id)?.is_some()),
        Base::Tree(id) => Ok(snapshot.tree(id)?.is_some()),
        Base::Blob(digest) => Ok(snapshot.blob(digest.as_str().as_bytes())?.is_some()),
    }
}

impl Have {
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for (base, name) in &self.bases {
            let _ = match base {
                Base::Commit(id) => writeln!(text, "version {id} {name}"),
                Base::Tree(id) => writeln!(text, "tree {id}"),
                Base::Blob(digest) => writeln!(text, "blob {digest}"),
            };
        }
        for found in &self.refs {
            let _ = writeln!(text, "ref {} {} {}", found.kind.word(), found.name, found.commit);
        }
        format!("{FIRST_LINE}\n{text}end {}\n", self.bases.len() + self.refs.len())
    }

    pub fn read(path: &Path) -> Result<Have> {
        let name = path.display().to_string();
        let text = String::from_utf8(fs::read_small(path, BYTES_MAX)?);
        Have::parse(&name, &text.map_err(|_| Error::invalid(&name, "is not a list that imgit wrote"))?)
    }

    /// Reads what [`Have::to_text`] wrote; `name` is what errors call it.
    pub fn parse(name: &str, text: &str) -> Result<Have> {
        let invalid = |problem: &str| Error::invalid(name, problem);
        let rest =
            text.strip_prefix("imgit have ").ok_or_else(|| invalid("is not a list that imgit wrote"))?;
        let lines = rest.strip_prefix("1\n").ok_or_else(|| invalid("is a list of a newer imgit"))?;
        let mut have = Have::default();
        let mut version = String::new();
        let mut lines = lines.lines();
        loop {
            let line = lines.next().ok_or_else(|| invalid("ends early"))?;
            let number = have.bases.len() + have.refs.len();
            let odd =
                || Error::invalid(format!("{name}, line {}", number + 2), "is not one that imgit wrote");
            let (word, rest) = line.split_once(' ').ok_or_else(odd)?;
            match word {
                "version" => {
                    let (id, called) = rest.split_once(' ').ok_or_else(odd)?;
                    version = called.to_owned();
                    have.bases.push((Base::Commit(id.parse()?), version.clone()));
                }
                "tree" => have.bases.push((Base::Tree(rest.parse()?), version.clone())),
                "blob" => have.bases.push((Base::Blob(Digest::parse(rest)?), version.clone())),
                "ref" => {
                    let words: Vec<&str> = rest.split(' ').collect();
                    let [kind, name, commit] = words[..] else { return Err(odd()) };
                    let kind = [RefKind::Branch, RefKind::Tag].into_iter().find(|one| one.word() == kind);
                    let name = RefName::parse(name)?;
                    have.refs.push(Ref { name, kind: kind.ok_or_else(odd)?, commit: commit.parse()? });
                }
                "end" if rest == number.to_string() => break,
                "end" => return Err(invalid("has not as many lines as it was written with")),
                _ => return Err(odd()),
            }
        }
        match lines.next() {
            None => Ok(have),
            Some(_) => Err(invalid("goes on after its end")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::TreeId;

    fn some() -> Have {
        let commit = CommitId::of(b"commit");
        let ref_of = |name, kind| Ref { name: RefName::parse(name).unwrap(), kind, commit };
        let name = "web:latest".to_owned();
        Have {
            bases: vec![
                (Base::Commit(commit), name.clone()),
                (Base::Tree(TreeId::of(b"tree")), name.clone()),
                (Base::Blob(Digest::of(b"layer")), name),
                (Base::Commit(CommitId::of(b"first")), String::new()),
            ],
            refs: vec![ref_of("web:latest", RefKind::Branch), ref_of("web:v1", RefKind::Tag)],
        }
    }

    #[test]
    fn a_list_there_and_back_and_a_torn_one_refused() {
        let text = some().to_text();
        assert_eq!(Have::parse("list", &text).unwrap(), some());
        assert_eq!(Have::parse("list", &Have::default().to_text()).unwrap(), Have::default());
        for end in 0..text.len() - 1 {
            assert!(Have::parse("list", &text[..end]).is_err(), "{end}");
        }
        for (from, to) in [("have 1", "have 2"), ("tree", "tee"), ("branch", "twig"), ("end 6", "end 5")] {
            assert!(Have::parse("list", &text.replace(from, to)).is_err(), "{to}");
        }
        assert!(Have::parse("list", &(text + "more\n")).is_err());
    }
}
