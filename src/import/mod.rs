//! In: from wherever an image is, into the store, as one commit for each ref.
//!
//! Everything of one import goes through one transaction: it becomes visible whole or leaves no
//! trace. What the store already knows is not read again.

mod ahead;
mod blobs;
mod directory;
pub mod disk;
mod image;
mod layer;
mod naming;
mod pipeline;
mod relay;
mod tarball;

use crate::error::Doing;
use crate::error::Error;
use crate::error::Result;
use crate::history::commit::Artifact;
use crate::history::commit::Commit;
use crate::history::commit::GONE;
use crate::history::commit::PlatformTree;
use crate::history::refs::RefKind;
use crate::history::refs::RefName;
use crate::id::CommitId;
use crate::id::DiffId;
use crate::id::TreeId;
use crate::oci::location::Location;
use crate::oci::name::ImageName;
use crate::oci::open;
use crate::oci::open::Content;
use crate::oci::outside::Outside;
use crate::oci::platform::Platform;
use crate::progress::Progress;
use crate::repo::Repo;
use crate::repo::Signature;
use crate::store::Committed;
use crate::store::Transaction;
use std::collections::BTreeMap;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use tempfile::SpooledTempFile;

pub struct ImportOptions {
    /// The name in the store; by default the one that the source carries.
    pub name: Option<ImageName>,
    /// Take this platform of a multi-platform image alone.
    pub platform: Option<Platform>,
    pub message: Option<String>,
    pub labels: BTreeMap<String, String>,
    pub signature: Signature,
    /// For directories: stay on one file system, and what to leave out.
    pub scan: crate::fs::scan::ScanOptions,
    pub disk: disk::DiskOptions,
    pub outside: Arc<dyn Outside>,
    /// What refers to the image comes along.
    pub referrers: bool,
}

/// What became of one ref.
pub struct Imported {
    pub name: RefName,
    pub commit: CommitId,
    /// The ref already held this very artifact; nothing was written.
    pub unchanged: bool,
    pub artifact: Artifact,
}

pub struct ImportReport {
    /// What a bare path was taken for.
    pub location: Location,
    pub refs: Vec<Imported>,
    /// `None` when nothing had to be written.
    pub committed: Option<Committed>,
    pub layers_read: usize,
    pub layers_known: usize,
}

/// What a source's reader made of one artifact, before it becomes a commit.
pub(crate) struct Taken {
    pub names: Vec<RefName>,
    pub artifact: Artifact,
    pub trees: Vec<PlatformTree>,
}

/// How often an import begins anew because somebody else imported to the same ref meanwhile.
const TRIES_MAX: usize = 4;

/// Imports everything that `location` names.
///
/// Of two imports to one ref at once, the later one begins anew on what the first one made of it;
/// a stream cannot be read twice and fails with [`Error::Moved`].
pub fn import(
    repo: &Repo,
    location: &Location,
    options: &ImportOptions,
    progress: &dyn Progress,
) -> Result<ImportReport> {
    for _ in 1..TRIES_MAX {
        match import_once(repo, location, options, progress) {
            Err(err) if matches!(err.root(), Error::Moved { .. }) && !location.is_standard() => {}
            done => return done,
        }
    }
    import_once(repo, location, options, progress)
}

fn import_once(
    repo: &Repo,
    location: &Location,
    options: &ImportOptions,
    progress: &dyn Progress,
) -> Result<ImportReport> {
    let failed = || format!("cannot import {location}");
    let (location, content) = match disk::taken_for(location).doing(failed)? {
        Some(disk) => (disk, None),
        None => {
            let opened = open::open(location, &repo.scratch(), &*options.outside).doing(failed)?;
            (opened.location, Some(opened.content))
        }
    };
    let location = &location;
    let failed = || format!("cannot import {location}");
    if let Some(content) = &content
        && let Some(report) = unmoved(repo, location, content, options)?
    {
        return Ok(report);
    }
    let mut work =
        Work { repo, options, tx: repo.begin()?, recipes: HashMap::new(), layers_read: 0, layers_known: 0 };
    let one_name = || match &options.name {
        Some(name) => Ok(RefName::of(name)),
        None => Ok(RefName::of(&naming::file_name(location)?)),
    };
    let source = exact(location, content.as_ref());
    let taken = match content {
        None => disk::take(&mut work, location, one_name().doing(failed)?, progress),
        Some(Content::Directory(path))
            if holds(&path, repo.store().place()) && options.scan.exclude.is_empty() =>
        {
            let problem = format!("the store {} lies in it", repo.store().place().display());
            Err(Error::Usage(problem).with_hint("--exclude leaves it out"))
        }
        Some(Content::Directory(path)) => {
            directory::take(&mut work, &path, one_name().doing(failed)?, progress)
        }
        Some(Content::Tar(tar)) => {
            tarball::take(&mut work, &location.to_string(), tar, one_name().doing(failed)?, progress)
        }
        Some(Content::Images { source, roots }) => {
            let named = naming::name_all(roots, location, options.name.as_ref()).doing(failed)?;
            image::take(&mut work, &*source, named, progress)
        }
    }
    .doing(failed)?;
    let mut refs = Vec::new();
    for taken in taken {
        for name in &taken.names {
            refs.push(work.record(name, &taken, location, &source).doing(failed)?);
        }
    }
    let (layers_read, layers_known) = (work.layers_read, work.layers_known);
    let committed = match refs.iter().any(|imported| !imported.unchanged) {
        true => Some(work.tx.commit(progress).doing(failed)?),
        false => None,
    };
    Ok(ImportReport { location: location.clone(), refs, committed, layers_read, layers_known })
}

/// One platform of an image, from a tag that has not moved since: known without asking for the index
/// again, which the store does not keep.
fn unmoved(
    repo: &Repo,
    location: &Location,
    content: &Content,
    options: &ImportOptions,
) -> Result<Option<ImportReport>> {
    let (Location::Docker(_), Some(wanted), false, Content::Images { roots, .. }) =
        (location, &options.platform, options.referrers, content)
    else {
        return Ok(None);
    };
    let source = exact(location, Some(content)).to_string();
    let is_wanted = |tree: &PlatformTree| {
        Platform::parse(&tree.platform).is_ok_and(|there| wanted.rank(&there).is_some())
    };
    let mut refs = Vec::new();
    for (_, names) in naming::name_all(roots.clone(), location, options.name.as_ref())? {
        for name in names {
            let Some(head) = repo.reference(&name)? else { return Ok(None) };
            let commit = repo.commit(&head.commit)?;
            let is_same = commit.source == source && !commit.labels.contains_key(GONE);
            if !is_same || commit.trees.len() != 1 || !is_wanted(&commit.trees[0]) {
                return Ok(None);
            }
            refs.push(Imported { name, commit: head.commit, unchanged: true, artifact: commit.artifact });
        }
    }
    Ok(Some(ImportReport {
        location: location.clone(),
        refs,
        committed: None,
        layers_read: 0,
        layers_known: 0,
    }))
}

/// What a commit says of where it came from: a tag of a registry with what it stood for.
fn exact(location: &Location, content: Option<&Content>) -> Location {
    match (location, content) {
        (Location::Docker(name), Some(Content::Images { roots, .. })) if roots.len() == 1 => {
            Location::Docker(name.with_digest(roots[0].descriptor.digest.clone()))
        }
        _ => location.clone(),
    }
}

/// Says whether `inner` is `outer` or lies below it.
fn holds(outer: &Path, inner: &Path) -> bool {
    match (crate::fs::canonical(outer), crate::fs::canonical(inner)) {
        (Ok(outer), Ok(inner)) => inner.starts_with(outer),
        _ => false,
    }
}

/// One import under way.
///
/// Its transaction is begun before the first look at what the store has: collection waits for it,
/// so that what was found known is still there at the commit.
pub(crate) struct Work<'a> {
    pub repo: &'a Repo,
    pub options: &'a ImportOptions,
    pub tx: Transaction,
    /// Recipes of layers read in this import, which the store cannot give yet.
    pub recipes: HashMap<DiffId, SpooledTempFile>,
    pub layers_read: usize,
    pub layers_known: usize,
}

impl Work<'_> {
    /// Adds the commit that says: `name` is now this.
    fn record(
        &mut self,
        name: &RefName,
        taken: &Taken,
        location: &Location,
        source: &Location,
    ) -> Result<Imported> {
        let (options, repo) = (self.options, self.repo);
        let head = repo.reference(name)?;
        if head.as_ref().is_some_and(|head| head.kind == RefKind::Tag) {
            let err = Error::Exists { kind: "tag", name: name.to_string() };
            return Err(err.with_hint("a tag does not move: import to a branch, then `imgit tag --force`"));
        }
        let head = head.map(|head| head.commit);
        if let Some(id) = head {
            let commit = repo.commit(&id)?;
            let is_gone = commit.labels.contains_key(GONE);
            if commit.artifact == taken.artifact && commit.trees == taken.trees && !is_gone {
                return Ok(Imported {
                    name: name.clone(),
                    commit: id,
                    unchanged: true,
                    artifact: commit.artifact,
                });
            }
        }
        let commit = Commit {
            artifact: taken.artifact.clone(),
            trees: taken.trees.clone(),
            parents: head.into_iter().collect(),
            author: options.signature.who.clone(),
            time: options.signature.time,
            tz_offset: options.signature.tz_offset,
            message: options.message.clone().unwrap_or_else(|| format!("import {location}")),
            source: source.to_string(),
            labels: options.labels.clone(),
        };
        let trees: Vec<TreeId> = commit.trees.iter().map(|tree| tree.tree).collect();
        let id = self.tx.put_commit(commit.encode(), &trees)?;
        let message = format!("import: {location}");
        repo.move_in(&mut self.tx, name, RefKind::Branch, (head, Some(id)), &options.signature, &message)?;
        Ok(Imported { name: name.clone(), commit: id, unchanged: false, artifact: commit.artifact })
    }
}
