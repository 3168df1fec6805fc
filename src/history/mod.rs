//! Versions: commits, the names that point to them, and the ways to say which one is meant.
//!
//! Rules and the format of commits. All reading goes through [`History`], which the store's
//! snapshot implements; the moves of refs have their format in the store's journal. Merging
//! trees is a deed of its own.

pub mod commit;
pub mod date;
pub mod graph;
pub mod refs;
pub mod revision;
mod stored;

pub use commit::Artifact;
pub use commit::ArtifactKind;
pub use commit::Commit;
pub use commit::PlatformTree;
pub use refs::Ref;
pub use refs::RefKind;
pub use refs::RefName;
pub use refs::ReflogEntry;
pub use revision::Revision;
pub use revision::Selection;

use crate::error::Result;
use crate::id::CommitId;

/// What resolving a revision and drawing a log need to read.
pub trait History {
    fn refs(&self) -> Result<Vec<Ref>>;

    fn find_ref(&self, name: &RefName) -> Result<Option<Ref>> {
        Ok(self.refs()?.into_iter().find(|found| found.name == *name))
    }

    /// Every move of a ref, oldest first; kept after the ref itself is gone.
    fn reflog(&self, name: &RefName) -> Result<Vec<ReflogEntry>>;

    fn commit(&self, id: &CommitId) -> Result<Commit>;

    /// The commits whose id begins with these lower-case hex digits, of any number.
    fn by_prefix(&self, digits: &str) -> Result<Vec<CommitId>>;
}

#[cfg(test)]
pub(crate) mod memory;
