//! Packs that the index does without: what a rebuild could not read, and what came back since.
//!
//! Such a pack may hold what newer packs build on, and the newest moves of refs. So it is damage,
//! not litter: a check tells of it, and nothing is collected while there is one.

use crate::error::Error;
use crate::error::Result;
use crate::id::PackId;
use crate::store::Inner;
use crate::store::Store;
use crate::store::pack::pack_name;
use crate::store::pack::parse_pack_name;
use crate::store::snapshot::Snapshot;
use std::collections::HashSet;

impl Store {
    /// Names each pack file that the index lacks although it should be there. What a newer pack
    /// replaces, and a companion without its pack, is left out rightly.
    pub(super) fn left_out(&self, snapshot: &Snapshot) -> Result<Vec<Error>> {
        let inner = self.inner();
        if inner.left_out(snapshot)?.is_empty() {
            return Ok(Vec::new());
        }
        // A commit under way names its packs a moment before the index does: wait for it and look
        // again. Who may not lock may not write either, and tells what he sees.
        let held = if inner.read_only { None } else { inner.lock_commit().ok() };
        if let Some(commit) = &held {
            inner.recover(&**commit)?;
        }
        inner.left_out(&self.snapshot()?)
    }
}

impl Inner {
    fn left_out(&self, snapshot: &Snapshot) -> Result<Vec<Error>> {
        let known: HashSet<PackId> = snapshot.packs()?.into_iter().map(|(id, _)| id).collect();
        let names = self.backend.list("packs")?;
        let (known, unknown): (Vec<PackId>, Vec<PackId>) =
            names.iter().filter_map(|name| parse_pack_name(name)).partition(|id| known.contains(id));
        if unknown.is_empty() {
            return Ok(Vec::new());
        }
        let (mut replaced, mut companions) = (HashSet::new(), HashSet::new());
        // A known pack that cannot be read is told where packs are checked.
        for footer in known.iter().filter_map(|id| self.packs.footer(id).ok()) {
            replaced.extend(footer.replaces);
            companions.extend(footer.companions);
        }
        let mut found = Vec::with_capacity(unknown.len());
        for id in unknown {
            self.packs.forget(&id);
            let footer = self.packs.footer(&id);
            if let Ok(footer) = &footer {
                replaced.extend(footer.replaces.iter().copied());
                companions.extend(footer.companions.iter().copied());
            }
            found.push((id, footer.map(|footer| footer.companion)));
        }
        found.retain(|(id, footer)| {
            let orphan = matches!(footer, Ok(true)) && !companions.contains(id);
            !orphan && !replaced.contains(id)
        });
        Ok(found.into_iter().map(|(id, footer)| told(&id, footer.err())).collect())
    }
}

fn told(id: &PackId, unreadable: Option<Error>) -> Error {
    Error::Corrupt {
        thing: pack_name(id),
        expected: "a pack that the index knows".to_owned(),
        found: match unreadable {
            Some(err) => format!("one that cannot be read ({err})"),
            None => "one that it was made without".to_owned(),
        },
    }
}
