//! In: a bundle's objects and refs into the store, as one transaction.
//!
//! The refs are moved as a fetch moves them: a new one is made, a branch goes forward, whatever else
//! stays where it is unless it is forced. A bundle whose versions are all here is not read beyond
//! its refs.

use super::format::Base;
use super::format::Head;
use super::format::Prerequisite;
use super::have::is_here;
use super::prove::prove;
use super::reader::Reader;
use super::reader::Section;
use super::shapes::absent;
use super::take;
use super::take::Commits;
use super::take::Taking;
use crate::error::Doing as _;
use crate::error::Error;
use crate::error::Result;
use crate::error::from_stream;
use crate::history::History;
use crate::history::commit::Commit;
use crate::history::graph;
use crate::history::refs::Ref;
use crate::history::refs::RefKind;
use crate::history::refs::RefName;
use crate::history::refs::ReflogEntry;
use crate::id::CommitId;
use crate::id::TreeId;
use crate::progress::Progress;
use crate::repo::Repo;
use crate::repo::Signature;
use crate::store::Committed;
use crate::store::Snapshot;
use crate::store::Transaction;
use std::io::Read;
use std::io::Seek as _;

/// Missing prerequisites that an error names.
const NAMED_MAX: usize = 5;

pub struct ApplyOptions {
    /// Say what would move, and write nothing.
    pub dry_run: bool,
    /// Move tags, and branches that have gone another way.
    pub force: bool,
    pub signature: Signature,
}

/// What becomes of a ref.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    New,
    Forward,
    /// It was there already.
    Same,
    /// The branch here has more versions, which build on the bundle's.
    Ahead,
    Forced,
    /// The branch here has gone another way.
    Diverged,
    /// The tag here names another version.
    TagStays,
    /// A tag here and a branch there, or the other way round.
    OtherKind,
}

impl Outcome {
    pub fn moves(self) -> bool {
        matches!(self, Outcome::New | Outcome::Forward | Outcome::Forced)
    }

    pub fn is_refused(self) -> bool {
        matches!(self, Outcome::Diverged | Outcome::TagStays | Outcome::OtherKind)
    }
}

#[derive(Clone, Debug)]
pub struct AppliedRef {
    pub bundled: Ref,
    pub old: Option<CommitId>,
    pub outcome: Outcome,
}

pub struct Applied {
    pub refs: Vec<AppliedRef>,
    /// `None` when nothing had to be written.
    pub committed: Option<Committed>,
}

/// Applies the bundle that `from` gives, which errors and the reflog call `name`.
pub fn apply(
    repo: &Repo,
    (name, from): (&str, Box<dyn Read + Send + '_>),
    options: &ApplyOptions,
    progress: &dyn Progress,
) -> Result<Applied> {
    let failed = || format!("cannot apply {name}");
    let mut reader = Reader::open(name, from).doing(failed)?;
    // Before the first look: collection waits for it, so what is found here stays here.
    let tx = if options.dry_run { None } else { Some(repo.begin()?) };
    apply_read(repo, &mut reader, tx, options, progress).doing(failed)
}

fn apply_read(
    repo: &Repo,
    reader: &mut Reader,
    tx: Option<Transaction>,
    options: &ApplyOptions,
    progress: &dyn Progress,
) -> Result<Applied> {
    let head = reader.head().clone();
    check_prerequisites(repo, &head)?;
    let mut all_here = true;
    for one in &head.refs {
        all_here &= is_here(repo, &Base::Commit(one.commit))?;
    }
    progress.begin(&format!("reading {}", reader.name()), Some(head.totals.bytes));
    let (commits, next) = match all_here {
        true => (Commits::default(), None),
        false => take::commits(repo, reader)?,
    };
    let refs = outcomes(repo, &head.refs, &commits, options.force)?;
    let Some(mut tx) = tx.filter(|_| refs.iter().any(|one| one.outcome.moves())) else {
        return Ok(Applied { refs, committed: None });
    };
    if !all_here {
        take_all(repo, reader, next, &commits, &mut tx, progress)?;
    }
    for one in refs.iter().filter(|one| one.outcome.moves()) {
        let Ref { name, kind, commit } = &one.bundled;
        let forced = if one.outcome == Outcome::Forced { " (forced)" } else { "" };
        let message = format!("bundle: {}{forced}", reader.name());
        repo.move_in(&mut tx, name, *kind, (one.old, Some(*commit)), &options.signature, &message)?;
    }
    let committed = tx.commit(progress)?;
    Ok(Applied { refs, committed: Some(committed) })
}

/// Takes in everything that is not a commit, proves it, and puts it with the commits.
fn take_all(
    repo: &Repo,
    reader: &mut Reader,
    mut next: Option<Section>,
    commits: &Commits,
    tx: &mut Transaction,
    progress: &dyn Progress,
) -> Result<()> {
    let mut taking = Taking::new(repo, tx, progress);
    while let Some(section) = next {
        taking.section(reader, section)?;
        next = reader.section()?;
    }
    let mut taken = taking.taken;
    let recipes = std::mem::take(&mut taken.recipes);
    let proven = prove(repo, &tx.contents()?, (commits, &taken), recipes, progress)?;
    for (id, mut recipe, len) in proven.recipes {
        recipe.rewind().map_err(|err| from_stream("a recipe", err))?;
        tx.put_recipe(id, len, &mut recipe)?;
    }
    proven.blobs.iter().for_each(|(digest, row)| tx.put_blob(digest.as_str().as_bytes(), *row));
    proven.chains.iter().for_each(|(chain, tree)| tx.put_chain(*chain, *tree));
    for (_, commit) in commits.in_order() {
        let trees: Vec<TreeId> = commit.trees.iter().map(|tree| tree.tree).collect();
        tx.put_commit(commit.encode(), &trees)?;
    }
    Ok(())
}

/// What the bundle builds on and the store has not.
pub fn missing(repo: &Repo, head: &Head) -> Result<Vec<Prerequisite>> {
    let mut missing = Vec::new();
    for one in &head.prerequisites {
        if !is_here(repo, &one.base)? {
            missing.push(one.clone());
        }
    }
    Ok(missing)
}

/// The error for prerequisites that are missing, if any are.
pub fn check_prerequisites(repo: &Repo, head: &Head) -> Result<()> {
    let missing = missing(repo, head)?;
    if missing.is_empty() {
        return Ok(());
    }
    let mut names: Vec<String> = missing.iter().take(NAMED_MAX).map(Prerequisite::to_string).collect();
    if missing.len() > NAMED_MAX {
        names.push(format!("{} more", missing.len() - NAMED_MAX));
    }
    let err = Error::not_found("prerequisite", names.join(", "));
    Err(err.with_hint(
        "apply what it builds on first, or create it with --have and `imgit bundle have` of this store",
    ))
}

/// What becomes of each ref, by the histories on both sides.
fn outcomes(repo: &Repo, refs: &[Ref], commits: &Commits, force: bool) -> Result<Vec<AppliedRef>> {
    let snapshot = repo.snapshot()?;
    let both = Both { commits, snapshot: &snapshot };
    let mut found = Vec::with_capacity(refs.len());
    for bundled in refs {
        // Reading it says that it is there.
        both.commit(&bundled.commit).map_err(|_| absent("commit", &bundled.commit))?;
        let here = snapshot.find_ref(&bundled.name)?;
        let outcome = match &here {
            None => Outcome::New,
            Some(here) if here.kind != bundled.kind => Outcome::OtherKind,
            Some(here) if here.commit == bundled.commit => Outcome::Same,
            Some(_) if bundled.kind == RefKind::Tag && !force => Outcome::TagStays,
            Some(_) if bundled.kind == RefKind::Tag => Outcome::Forced,
            Some(here) if graph::is_ancestor(&both, &here.commit, &bundled.commit)? => Outcome::Forward,
            Some(_) if force => Outcome::Forced,
            Some(here) if graph::is_ancestor(&both, &bundled.commit, &here.commit)? => Outcome::Ahead,
            Some(_) => Outcome::Diverged,
        };
        found.push(AppliedRef { bundled: bundled.clone(), old: here.map(|here| here.commit), outcome });
    }
    Ok(found)
}

/// The commits of the bundle, then those of the store.
struct Both<'a> {
    commits: &'a Commits,
    snapshot: &'a Snapshot,
}

impl History for Both<'_> {
    fn refs(&self) -> Result<Vec<Ref>> {
        History::refs(self.snapshot)
    }

    fn reflog(&self, name: &RefName) -> Result<Vec<ReflogEntry>> {
        self.snapshot.reflog(name)
    }

    fn commit(&self, id: &CommitId) -> Result<Commit> {
        match self.commits.get(id) {
            Some(commit) => Ok(commit.clone()),
            None => History::commit(self.snapshot, id),
        }
    }

    fn by_prefix(&self, digits: &str) -> Result<Vec<CommitId>> {
        self.snapshot.by_prefix(digits)
    }
}
