//! Collection: what no ref, and no line of the reflog that is young enough, leads to goes.
//!
//! The sweep takes the writers' lock alone: it waits for imports under way, none begins meanwhile,
//! and what is marked under that lock is all there is.

use super::reach;
use crate::error::Result;
use crate::history::commit::Commit;
use crate::id::CommitId;
use crate::id::ContentId;
use crate::id::DiffId;
use crate::id::NodeId;
use crate::id::TreeId;
use crate::progress::Progress;
use crate::repo::Repo;
use crate::repo::Signature;
use crate::store::ObjectKind;
use crate::store::Snapshot;
use crate::store::SweepOptions;
use crate::store::Swept;
use crate::store::sweep::Live;

pub struct GcOptions {
    pub dry_run: bool,
    /// What a ref named within so many days is kept.
    pub keep_days: u32,
}

/// How long what refs named is kept, unless told otherwise.
pub const KEEP_DAYS: u32 = 90;

const SECONDS_PER_DAY: i64 = 86_400;

pub fn gc(repo: &Repo, options: &GcOptions, progress: &dyn Progress) -> Result<Swept> {
    progress.begin("marking", None);
    let oldest = now()? - i64::from(options.keep_days) * SECONDS_PER_DAY;
    let sweep =
        SweepOptions { dry_run: options.dry_run, expire_log_before: Some(oldest), ..SweepOptions::default() };
    repo.store().sweep(&mut |snapshot| mark(repo, snapshot, oldest), &sweep, progress)
}

/// The clock, or an earlier `IMGIT_DATE`: whichever keeps more.
fn now() -> Result<i64> {
    Ok(Signature::now(None)?.moved.secs.min(jiff::Timestamp::now().as_second()))
}

/// What must stay: everything that the refs and the young lines of the reflog lead to.
fn mark(repo: &Repo, snapshot: &Snapshot, oldest: i64) -> Result<Box<Live<'static>>> {
    let roots = roots(snapshot, oldest)?;
    // A ref to something missing: nothing is thrown away from a store that is damaged.
    let reached = reach::reach(repo, roots, &mut Err)?;
    Ok(Box::new(move |kind, id| match kind {
        ObjectKind::Content => reached.contents.contains(&ContentId(*id)),
        ObjectKind::Node => reached.nodes.contains(&NodeId(*id)),
        ObjectKind::Tree => reached.trees.contains(&TreeId(*id)),
        ObjectKind::Recipe => reached.recipes.contains(&DiffId(*id)),
        ObjectKind::Commit => reached.commits.contains(&CommitId(*id)),
    }))
}

fn roots(snapshot: &Snapshot, oldest: i64) -> Result<Vec<CommitId>> {
    let mut roots: Vec<CommitId> = snapshot.refs(b"")?.iter().map(|found| found.commit).collect();
    for line in snapshot.logs()? {
        if line.moved.time.secs < oldest {
            continue;
        }
        for id in [line.moved.old, line.moved.new].into_iter().flatten() {
            // An older collection may have taken what an old line names.
            if snapshot.commit(&id)?.is_some_and(|bytes| Commit::decode(&bytes).is_ok()) {
                roots.push(id);
            }
        }
    }
    Ok(roots)
}
