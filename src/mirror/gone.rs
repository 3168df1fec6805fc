//! Tags that the source has no more: marked with the date, and moved out of sight where asked.

use crate::error::Result;
use crate::history::commit::Commit;
use crate::history::commit::GONE;
use crate::history::refs::Ref;
use crate::history::refs::RefKind;
use crate::history::refs::RefName;
use crate::id::TreeId;
use crate::oci::location::Location;
use crate::oci::name::ImageName;
use crate::progress::Progress;
use crate::repo::Repo;
use crate::repo::Signature;

/// In front of the name of what was pruned. `catalog` leaves these out.
pub const HIDDEN: &str = "gone/";

/// The branches that were fetched from the repository `from`, each with the tag that it had there.
pub fn fetched_from(repo: &Repo, from: &ImageName) -> Result<Vec<(Ref, Commit, String)>> {
    let mut found = Vec::new();
    for branch in repo.refs()? {
        if branch.kind != RefKind::Branch || branch.name.name().starts_with(HIDDEN) {
            continue;
        }
        let commit = repo.commit(&branch.commit)?;
        if let Ok(Location::Docker(source)) = Location::parse(&commit.source)
            && source.name() == from.name()
            && let Some(tag) = source.tag()
        {
            found.push((branch, commit, tag.to_string()));
        }
    }
    Ok(found)
}

/// Adds a version that says so, with the files of the last one.
pub fn mark(
    repo: &Repo,
    branch: &Ref,
    commit: &Commit,
    signature: &Signature,
    progress: &dyn Progress,
) -> Result<()> {
    let date = jiff::Timestamp::from_second(signature.moved.secs).unwrap_or_default();
    let mut marked = commit.clone();
    marked.parents = vec![branch.commit];
    marked.author = signature.who.clone();
    marked.time = signature.time;
    marked.tz_offset = signature.tz_offset;
    marked.message = format!("gone from {}", commit.source);
    marked.labels.insert(GONE.to_string(), date.to_string());
    let trees: Vec<TreeId> = marked.trees.iter().map(|tree| tree.tree).collect();
    let mut tx = repo.begin()?;
    let id = tx.put_commit(marked.encode(), &trees)?;
    let moved = (Some(branch.commit), Some(id));
    repo.move_in(&mut tx, &branch.name, branch.kind, moved, signature, "mirror: gone at the source")?;
    tx.commit(progress).map(|_| ())
}

/// Moves a branch out of sight, its history with it.
pub fn hide(repo: &Repo, branch: &Ref, signature: &Signature, progress: &dyn Progress) -> Result<RefName> {
    // A port has no place in the middle of a name.
    let name = branch.name.name().replace([':', '[', ']'], "_");
    let hidden = RefName::parse(&format!("{HIDDEN}{name}:{}", branch.name.reference()))?;
    let before = repo.reference(&hidden)?.map(|there| there.commit);
    let mut tx = repo.begin()?;
    let message = format!("mirror: pruned {}", branch.name);
    repo.move_in(&mut tx, &hidden, RefKind::Branch, (before, Some(branch.commit)), signature, &message)?;
    let away = (Some(branch.commit), None);
    repo.move_in(&mut tx, &branch.name, branch.kind, away, signature, "mirror: pruned")?;
    tx.commit(progress)?;
    Ok(hidden)
}
