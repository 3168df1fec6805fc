//! Looking for damage: every pack against its checksums, every id against its bytes, the index
//! against the packs. Goes on after each fault and tells them all.

use crate::error::Error;
use crate::error::Result;
use crate::id::ContentId;
use crate::id::DiffId;
use crate::id::NodeId;
use crate::id::PackId;
use crate::progress::Progress;
use crate::store::Store;
use crate::store::index::rebuild::check_manifest;
use crate::store::index::tables::PackRow;
use crate::store::pack::Location;
use crate::store::pack::ObjectKind;
use crate::store::pack::ObjectRow;
use crate::store::pack::footer::Footer;
use crate::store::pack::frame::FRAME_HEADER_BYTES;
use crate::store::pack::journal::BlobSource;
use crate::store::pack::pack_name;
use crate::store::pack::parse_pack_name;
use crate::store::pack::reader::read_frame;
use crate::store::snapshot::Snapshot;
use crate::tree::Kind;
use crate::tree::NodeSource as _;
use sha2::Digest as _;
use std::collections::BTreeMap;
use std::io::Read as _;

#[derive(Clone, Debug, Default)]
pub struct VerifyOptions {
    /// Read and hash every content too, not only what the index is made of.
    pub read_data: bool,
}

/// What a check has seen.
#[derive(Debug, Default)]
pub struct Verified {
    pub packs: u64,
    pub objects: u64,
    /// Raw bytes read and hashed.
    pub bytes: u64,
    /// Files under `packs/` that are not packs, and packs the index does not use. Those that it
    /// should use are among the problems too.
    pub strays: Vec<String>,
    pub problems: Vec<Error>,
}

impl Store {
    /// Checks the store. Fails only where it cannot go on at all; what is damaged is in the
    /// result.
    pub fn verify(&self, options: &VerifyOptions, progress: &dyn Progress) -> Result<Verified> {
        let snapshot = self.snapshot()?;
        let mut check = Check {
            store: self,
            snapshot: &snapshot,
            options,
            progress,
            seen: Verified::default(),
            rows_met: 0,
        };
        check.packs()?;
        check.links()?;
        Ok(check.seen)
    }
}

struct Check<'a> {
    store: &'a Store,
    snapshot: &'a Snapshot,
    options: &'a VerifyOptions,
    progress: &'a dyn Progress,
    seen: Verified,
    /// Content and recipe rows of the index that a pack confirms.
    rows_met: u64,
}

impl Check<'_> {
    fn packs(&mut self) -> Result<()> {
        let mut known: BTreeMap<PackId, PackRow> = self.snapshot.packs()?.into_iter().collect();
        self.progress.begin("checking packs", Some(known.values().map(|row| row.len).sum()));
        let mut all_there = true;
        for name in self.store.inner().backend.list("packs")? {
            crate::progress::check(self.progress)?;
            let row = parse_pack_name(&name).and_then(|id| Some((id, known.remove(&id)?)));
            let Some((id, row)) = row else {
                self.seen.strays.push(name);
                continue;
            };
            self.seen.packs += 1;
            let checked = self.pack(&id, &row);
            all_there &= self.note(checked).is_some();
            self.progress.advance(row.len);
        }
        for left_out in self.store.left_out(self.snapshot)? {
            self.problem(left_out);
        }
        for id in known.into_keys() {
            all_there = false;
            self.problem(Error::not_found("pack", pack_name(&id)));
        }
        let counts = self.snapshot.counts()?;
        let rows = counts.contents + counts.recipes;
        // With a pack missing, its rows are told by that.
        if all_there && rows != self.rows_met {
            self.problem(damaged("index", format!("{} places", self.rows_met), rows.to_string()));
        }
        Ok(())
    }

    fn pack(&mut self, id: &PackId, row: &PackRow) -> Result<()> {
        let packs = &self.store.inner().packs;
        packs.forget(id);
        let footer = packs.footer(id)?;
        let object = packs.pack(id)?;
        let name = pack_name(id);
        let said = (row.len, row.objects, row.sequence);
        let found = (object.len(), footer.objects.len() as u64, footer.sequence);
        if said != found {
            self.problem(damaged(&name, format!("{said:?} as the index says"), format!("{found:?}")));
        }
        let offsets = footer.offsets();
        // Frames that hold only contents are left out unless all data is to be read.
        let mut wanted = vec![self.options.read_data; footer.frames.len()];
        for row in footer.objects.iter().filter(|row| !is_content(row)) {
            wanted.iter_mut().skip(row.frame as usize).take(1).for_each(|wanted| *wanted = true);
        }
        for (number, (frame, at)) in footer.frames.iter().zip(&offsets).enumerate() {
            if !wanted[number] {
                continue;
            }
            let checked = read_frame(&*object, id, *at).and_then(|read| {
                let end = at + FRAME_HEADER_BYTES as u64 + u64::from(frame.stored_len);
                if (read.next, read.raw.len()) == (end, frame.raw_len as usize) {
                    return Ok(());
                }
                let expected = format!("{} bytes up to {end}", frame.raw_len);
                Err(damaged(&format!("frame {number} of {name}"), expected, format!("{}", read.next)))
            });
            self.note(checked);
        }
        for row in &footer.objects {
            let checked = self.object(&Footer::location(*id, &offsets, row), row);
            self.note(checked);
        }
        Ok(())
    }

    /// One object: its index row, and its bytes as far as they are to be read.
    fn object(&mut self, location: &Location, row: &ObjectRow) -> Result<()> {
        self.seen.objects += 1;
        let place = match row.kind {
            ObjectKind::Content => self.snapshot.content(&ContentId(row.id))?,
            ObjectKind::Recipe => self.snapshot.recipe(&DiffId(row.id))?,
            _ => {
                let bytes = self.store.inner().packs.read(location)?;
                self.seen.bytes += row.len;
                return check_manifest(row, &bytes);
            }
        };
        if let Some(place) = place.filter(|place| place.pack == location.pack) {
            self.rows_met += 1;
            if place != *location && row.len > 0 {
                let thing = format!("{} {}", row.kind.noun(), crate::id::hex(&row.id));
                return Err(damaged(&thing, format!("{location:?}"), format!("{place:?}")));
            }
        }
        if row.kind == ObjectKind::Content && self.options.read_data {
            self.content(location, row)?;
        }
        Ok(())
    }

    fn content(&mut self, location: &Location, row: &ObjectRow) -> Result<()> {
        let mut reader = self.store.open_content(location, 0, location.len)?;
        let (mut sha256, mut sha1) = (sha2::Sha256::new(), sha1::Sha1::new());
        let mut buffer = vec![0; 64 << 10];
        loop {
            let len = reader
                .read(&mut buffer)
                .map_err(|err| crate::error::from_stream(format!("content {}", ContentId(row.id)), err))?;
            if len == 0 {
                break;
            }
            sha256.update(&buffer[..len]);
            if row.sha1.is_some() {
                sha1.update(&buffer[..len]);
            }
        }
        self.seen.bytes += row.len;
        let found = ContentId(sha256.finalize().into());
        if found.0 != row.id {
            let expected = ContentId(row.id).to_string();
            return Err(damaged(&format!("content {expected}"), expected.clone(), found.to_string()));
        }
        let found = crate::id::Sha1Id(sha1.finalize().into());
        match row.sha1 {
            Some(sha1) if sha1 != found => Err(damaged(
                &format!("SHA-1 of content {}", ContentId(row.id)),
                sha1.to_string(),
                found.to_string(),
            )),
            _ => Ok(()),
        }
    }

    /// Everything that is named is there: children of nodes, roots of trees, targets of refs,
    /// chains and blobs.
    fn links(&mut self) -> Result<()> {
        self.progress.begin("checking links", None);
        let mut digits = "0123456789abcdef".chars().map(String::from);
        let all = |digit: String| self.snapshot.node_ids_by_hex(&digit);
        let nodes: Vec<NodeId> = digits.try_fold(Vec::new(), |mut nodes, digit| {
            nodes.extend(all(digit)?);
            Ok::<_, Error>(nodes)
        })?;
        for id in nodes {
            let checked = self.node_links(&id);
            self.note(checked);
        }
        let refs = self.snapshot.refs(b"");
        for one in self.note(refs).unwrap_or_default() {
            let there = self.snapshot.commit(&one.commit);
            if let Some(None) = self.note(there) {
                let name = format!("{} of ref {}", one.commit, crate::path::shown(&one.name));
                self.problem(Error::not_found("commit", name));
            }
        }
        let logs = self.snapshot.logs();
        self.note(logs);
        let blobs = self.snapshot.blobs();
        for (digest, blob) in self.note(blobs).unwrap_or_default() {
            for (kind, id) in blob.source.objects() {
                self.there(kind, &id, || format!("of blob {}", crate::path::shown(&digest)))?;
            }
            if let (BlobSource::Content(_), Some(id)) = (blob.source, blob.diff_id) {
                let layer = || format!("of the layer in blob {}", crate::path::shown(&digest));
                self.there(ObjectKind::Recipe, &id.0, layer)?;
            }
        }
        let chains = self.snapshot.chains();
        for (chain, tree) in self.note(chains).unwrap_or_default() {
            let found = self.snapshot.tree(&tree);
            match self.note(found) {
                Some(Some(tree)) => {
                    self.there(ObjectKind::Node, &tree.root.full.0, || format!("the root of chain {chain}"))?;
                }
                Some(None) => self.problem(Error::not_found("tree", format!("{tree} of chain {chain}"))),
                None => {}
            }
        }
        Ok(())
    }

    fn node_links(&mut self, id: &NodeId) -> Result<()> {
        for entry in &self.snapshot.node(id)?.entries {
            let (kind, child) = match &entry.kind {
                Kind::File { content, .. } => (ObjectKind::Content, content.0),
                Kind::Dir(ids) => (ObjectKind::Node, ids.full.0),
                _ => continue,
            };
            self.there(kind, &child, || {
                format!("of {} in node {}", crate::path::shown(&entry.name), id.short())
            })?;
        }
        Ok(())
    }

    fn there(&mut self, kind: ObjectKind, id: &[u8; 32], of: impl Fn() -> String) -> Result<()> {
        if !self.snapshot.has(kind, id)? {
            self.problem(Error::not_found(kind.noun(), format!("{} {}", crate::id::hex(id), of())));
        }
        Ok(())
    }

    /// Remembers a failure; `None` then.
    fn note<T>(&mut self, checked: Result<T>) -> Option<T> {
        checked.map_err(|err| self.problem(err)).ok()
    }

    fn problem(&mut self, problem: Error) {
        self.progress.problem(&problem);
        self.seen.problems.push(problem);
    }
}

fn is_content(row: &ObjectRow) -> bool {
    row.kind == ObjectKind::Content
}

fn damaged(thing: &str, expected: String, found: String) -> Error {
    Error::Corrupt { thing: thing.to_owned(), expected, found }
}
