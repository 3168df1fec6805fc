//! Branches and tags: reading them, and moving them with a line in the reflog.

use super::Repo;
use crate::attr::Time;
use crate::error::Error;
use crate::error::Result;
use crate::history::History;
use crate::history::refs::Ref;
use crate::history::refs::RefKind;
use crate::history::refs::RefName;
use crate::history::refs::ReflogEntry;
use crate::id::CommitId;
use crate::oci::name::ImageName;
use crate::progress::Progress;
use crate::store::Expected;
use crate::store::Move;
use crate::store::RefMove;
use crate::store::Transaction;

/// Who did it, and when.
#[derive(Clone, Debug)]
pub struct Signature {
    pub who: String,
    /// When the version was made: the commit's time.
    pub time: Time,
    /// When the ref moved: the reflog's time, by which collection judges what is young.
    pub moved: Time,
    /// Seconds east of UTC where it was done.
    pub tz_offset: i32,
}

impl Signature {
    /// Now, by the given name or else by `user@host`.
    ///
    /// `SOURCE_DATE_EPOCH` sets the commit's time alone, so that a build can be repeated to the same
    /// commit id; `IMGIT_DATE` (seconds since 1970) sets all times, as git's `GIT_COMMITTER_DATE` does.
    pub fn now(who: Option<String>) -> Result<Signature> {
        let zoned = jiff::Zoned::now();
        let stamp = zoned.timestamp();
        let clock = Time { secs: stamp.as_second(), nanos: stamp.subsec_nanosecond().max(0) as u32 };
        let moved = seconds_in("IMGIT_DATE")?.unwrap_or(clock);
        let time = seconds_in("SOURCE_DATE_EPOCH")?.unwrap_or(moved);
        let host = || rustix::system::uname().nodename().to_string_lossy().into_owned();
        let user = || {
            ["USER", "LOGNAME"]
                .iter()
                .find_map(|name| std::env::var(name).ok())
                .unwrap_or_else(|| "root".into())
        };
        let who = who.unwrap_or_else(|| format!("{}@{}", user(), host()));
        Ok(Signature { who, time, moved, tz_offset: zoned.offset().seconds() })
    }
}

fn seconds_in(variable: &str) -> Result<Option<Time>> {
    let Ok(text) = std::env::var(variable) else { return Ok(None) };
    let refuse = |_| Error::Usage(format!("{variable} `{text}` is not a number of seconds"));
    Ok(Some(Time { secs: text.parse().map_err(refuse)?, nanos: 0 }))
}

impl Repo {
    /// Every branch and tag, sorted by name.
    pub fn refs(&self) -> Result<Vec<Ref>> {
        History::refs(&self.snapshot()?)
    }

    pub fn reference(&self, name: &RefName) -> Result<Option<Ref>> {
        self.snapshot()?.find_ref(name)
    }

    /// The ref that is meant, which must be there.
    pub fn existing_ref(&self, text: &str) -> Result<Ref> {
        let name = RefName::of(&ImageName::parse(text).map_err(Error::typed)?);
        self.reference(&name)?.ok_or_else(|| Error::not_found("branch or tag", name.to_string()))
    }

    /// Where a ref has been, newest first; also of one that was deleted.
    pub fn reflog(&self, name: &RefName) -> Result<Vec<ReflogEntry>> {
        let mut entries = self.snapshot()?.reflog(name)?;
        entries.reverse();
        Ok(entries)
    }

    /// Asks `tx` to move a ref; the transaction fails if somebody else moved it meanwhile.
    pub fn move_in(
        &self,
        tx: &mut Transaction,
        name: &RefName,
        kind: RefKind,
        (old, new): (Option<CommitId>, Option<CommitId>),
        signature: &Signature,
        message: &str,
    ) -> Result<()> {
        tx.move_ref(RefMove {
            expected: Expected::Is(old),
            moved: Move {
                name: name.to_string().into_bytes(),
                kind,
                old,
                new,
                time: signature.moved,
                who: signature.who.clone(),
                message: message.to_string(),
            },
        })
    }

    /// Moves one ref in a transaction of its own. `false`: it was there already.
    pub fn set_ref(
        &self,
        at: &Ref,
        to: CommitId,
        signature: &Signature,
        message: &str,
        progress: &dyn Progress,
    ) -> Result<bool> {
        if at.commit == to {
            return Ok(false);
        }
        let mut tx = self.begin()?;
        self.move_in(&mut tx, &at.name, at.kind, (Some(at.commit), Some(to)), signature, message)?;
        tx.commit(progress)?;
        Ok(true)
    }

    /// Creates a branch or tag; with `force`, moves one that is there.
    pub fn create_ref(
        &self,
        name: &RefName,
        kind: RefKind,
        to: CommitId,
        force: bool,
        signature: &Signature,
        progress: &dyn Progress,
    ) -> Result<()> {
        let old = self.reference(name)?;
        if let Some(old) = &old {
            if !force {
                let err = Error::Exists {
                    kind: old.kind.word(),
                    name: format!("{name}, at {},", old.commit.short()),
                };
                return Err(err.with_hint("--force moves it"));
            }
            if old.kind != kind {
                return Err(Error::Exists { kind: old.kind.word(), name: name.to_string() }
                    .with_hint(format!("delete it first: imgit {} --delete {name}", old.kind.word())));
            }
        }
        let mut tx = self.begin()?;
        let verb = if old.is_some() { "moved" } else { "created" };
        let message = format!("{}: {verb} at {}", kind.word(), to.short());
        self.move_in(&mut tx, name, kind, (old.map(|old| old.commit), Some(to)), signature, &message)?;
        tx.commit(progress)?;
        Ok(())
    }

    /// Deletes a branch or tag; its reflog stays. Returns where it was.
    pub fn delete_ref(
        &self,
        name: &RefName,
        kind: RefKind,
        signature: &Signature,
        progress: &dyn Progress,
    ) -> Result<CommitId> {
        let old = self.reference(name)?.filter(|old| old.kind == kind);
        let old = old.ok_or_else(|| Error::not_found(kind.word(), name.to_string()))?;
        let mut tx = self.begin()?;
        let message = format!("{}: deleted", kind.word());
        self.move_in(&mut tx, name, kind, (Some(old.commit), None), signature, &message)?;
        tx.commit(progress)?;
        Ok(old.commit)
    }
}
