//! Keeping compressed layers and other blobs as they come, in a pack of their own: they do not
//! compress again, and `repack` will want to drop them by the pack.

use crate::error::Error;
use crate::error::Result;
use crate::id::ContentId;
use crate::id::Sha1Id;
use crate::store::Store;
use crate::store::pack::Class;
use crate::store::pack::ObjectKind;
use crate::store::pack::writer::FinishedPack;
use crate::store::pack::writer::PackWriter;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::Mutex;

pub type SharedBlobs = Arc<Mutex<Blobs>>;

#[derive(Debug, Default)]
pub struct Blobs {
    pack: Option<PackWriter>,
    /// One blob is being written: its frames must stand in a row.
    busy: bool,
    added: HashSet<ContentId>,
    stats: BlobStats,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct BlobStats {
    pub contents: u64,
    pub bytes: u64,
}

impl Blobs {
    /// Ends the pack; a blob that was not finished is not in it.
    pub fn finish(&mut self) -> Result<Option<(FinishedPack, BlobStats)>> {
        if self.busy {
            return Err(Error::Usage("a blob is still being written".to_owned()));
        }
        match self.pack.take() {
            Some(pack) if !pack.is_empty() => Ok(Some((pack.finish()?, self.stats))),
            _ => Ok(None),
        }
    }
}

/// Writes one blob after another. [`BlobWriter::write`] until its end, then
/// [`BlobWriter::finish`] or [`BlobWriter::abort`].
pub struct BlobWriter {
    store: Store,
    blobs: SharedBlobs,
    /// Bytes of the blob being written; `None` between blobs.
    len: Option<u64>,
}

impl BlobWriter {
    pub(super) fn new(store: Store, blobs: SharedBlobs) -> BlobWriter {
        BlobWriter { store, blobs, len: None }
    }

    /// Appends to the blob, beginning one if none is begun.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let mut blobs = self.blobs.lock().expect("no holder panics");
        begin(&self.store, &mut blobs, &mut self.len)?;
        if let Some(pack) = &mut blobs.pack {
            pack.write_run(bytes)?;
        }
        self.len = self.len.map(|len| len + bytes.len() as u64);
        Ok(())
    }

    /// Ends the blob. The caller has hashed it, and vouches for `id`; returns its size and
    /// whether it is new. A known one is taken back out of the pack.
    pub fn finish(&mut self, id: ContentId, sha1: Option<Sha1Id>) -> Result<(u64, bool)> {
        let known = self.store.known(&[id])?[0];
        let mut blobs = self.blobs.lock().expect("no holder panics");
        begin(&self.store, &mut blobs, &mut self.len)?;
        let len = self.len.take().unwrap_or(0);
        blobs.busy = false;
        let new = !known && blobs.added.insert(id);
        if let Some(pack) = &mut blobs.pack {
            if new {
                pack.finish_run(id.0, sha1)?;
            } else {
                pack.abort_run()?;
            }
        }
        if new {
            blobs.stats.contents += 1;
            blobs.stats.bytes += len;
        }
        Ok((len, new))
    }

    /// Forgets the blob being written.
    pub fn abort(&mut self) -> Result<()> {
        if self.len.take().is_none() {
            return Ok(());
        }
        let mut blobs = self.blobs.lock().expect("no holder panics");
        blobs.busy = false;
        blobs.pack.as_mut().map_or(Ok(()), PackWriter::abort_run)
    }
}

fn begin(store: &Store, blobs: &mut Blobs, len: &mut Option<u64>) -> Result<()> {
    if len.is_some() {
        return Ok(());
    }
    if blobs.busy {
        return Err(Error::Usage("another blob is being written in this transaction".to_owned()));
    }
    if blobs.pack.is_none() {
        blobs.pack = Some(PackWriter::create(&*store.inner().backend, Class::Blobs, None)?);
    }
    blobs.busy = true;
    *len = Some(0);
    if let Some(pack) = &mut blobs.pack {
        pack.begin_run(ObjectKind::Content);
    }
    Ok(())
}

impl Drop for BlobWriter {
    fn drop(&mut self) {
        // A failure here is a failed pack, which the commit will report.
        let _ = self.abort();
    }
}
