//! What the store has of each repository; no registry is asked.

use super::config::Config;
use super::config::Repository;
use super::gone;
use crate::attr::Time;
use crate::error::Result;
use crate::history::commit::GONE;
use crate::history::refs::RefName;
use crate::oci::name::ImageName;
use crate::repo::Repo;
use std::collections::BTreeSet;

/// One mirrored tag.
pub struct Mirrored {
    pub from: ImageName,
    pub to: RefName,
    pub digest: String,
    /// When the newest version was made here.
    pub time: Time,
    /// When it was found gone at the source.
    pub gone: Option<String>,
}

/// Every branch in the store that one of the file's repositories filled, sorted by where it is from.
pub fn status(repo: &Repo, config: &Config) -> Result<Vec<Mirrored>> {
    let mut all = Vec::new();
    for repository in &config.repositories {
        for from in known(repo, repository)? {
            for (branch, commit, tag) in gone::fetched_from(repo, &from)? {
                all.push(Mirrored {
                    from: from.with_tag(&tag)?,
                    to: branch.name,
                    digest: commit.artifact.digest.clone(),
                    time: commit.time,
                    gone: commit.labels.get(GONE).cloned(),
                });
            }
        }
    }
    all.sort_by(|a, b| (&a.from, &a.to).cmp(&(&b.from, &b.to)));
    all.dedup_by(|a, b| a.to == b.to && a.from == b.from);
    Ok(all)
}

/// The repositories that the store has seen of a pattern, or the one that is meant.
fn known(repo: &Repo, repository: &Repository) -> Result<Vec<ImageName>> {
    if !repository.is_pattern() {
        return Ok(vec![ImageName::parse(&repository.from)?]);
    }
    let mut found = BTreeSet::new();
    for branch in repo.refs()? {
        let source = repo.commit(&branch.commit)?.source;
        if let Some(name) = source.strip_prefix("docker://").and_then(|name| ImageName::parse(name).ok())
            && repository.fits(&name)
        {
            found.insert(ImageName::parse(name.name())?);
        }
    }
    Ok(found.into_iter().collect())
}
