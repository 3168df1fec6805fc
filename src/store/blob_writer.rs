//! Keeping compressed layers and other blobs as they come, in packs of their own: they do not
//! compress again, and `repack` will want to drop them by the pack.

use crate::error::Error;
use crate::error::Result;
use crate::id::ContentId;
use crate::id::Sha1Id;
use crate::store::Store;
use crate::store::pack::Class;
use crate::store::pack::ObjectKind;
use crate::store::pack::writer::PackWriter;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::Mutex;

pub type SharedBlobs = Arc<Mutex<Blobs>>;

#[derive(Debug, Default)]
pub struct Blobs {
    /// Packs that no blob is being written to. A blob's frames stand in a row, so there are as many
    /// packs as there were ever blobs being written at once.
    idle: Vec<PackWriter>,
    writing: usize,
    added: HashSet<ContentId>,
    stats: BlobStats,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct BlobStats {
    pub contents: u64,
    pub bytes: u64,
}

impl Blobs {
    /// Gives the packs, which are to be finished; a blob that was not finished is in none.
    pub fn take(&mut self) -> Result<(Vec<PackWriter>, BlobStats)> {
        if self.writing > 0 {
            return Err(Error::Usage("a blob is still being written".to_owned()));
        }
        Ok((self.idle.drain(..).filter(|pack| !pack.is_empty()).collect(), self.stats))
    }
}

/// Writes one blob after another. [`BlobWriter::write`] until its end, then
/// [`BlobWriter::finish`] or [`BlobWriter::abort`].
pub struct BlobWriter {
    store: Store,
    blobs: SharedBlobs,
    now: Option<Begun>,
}

/// The blob being written, and the pack that is its own meanwhile.
struct Begun {
    pack: PackWriter,
    len: u64,
}

impl BlobWriter {
    pub(super) fn new(store: Store, blobs: SharedBlobs) -> BlobWriter {
        BlobWriter { store, blobs, now: None }
    }

    /// Appends to the blob, beginning one if none is begun.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let begun = self.begun()?;
        begun.len += bytes.len() as u64;
        begun.pack.write_run(bytes)
    }

    /// Ends the blob. The caller has hashed it, and vouches for `id`; returns its size and
    /// whether it is new. A known one is taken back out of the pack.
    pub fn finish(&mut self, id: ContentId, sha1: Option<Sha1Id>) -> Result<(u64, bool)> {
        let known = self.store.known(&[id])?[0];
        self.begun()?;
        let Begun { mut pack, len } = self.now.take().expect("begun above");
        let mut blobs = self.blobs.lock().expect("no holder panics");
        let new = !known && blobs.added.insert(id);
        let ended = if new { pack.finish_run(id.0, sha1) } else { pack.abort_run() };
        // A pack that failed stays among the others, for the commit to fail on it.
        blobs.idle.push(pack);
        blobs.writing -= 1;
        ended?;
        if new {
            blobs.stats.contents += 1;
            blobs.stats.bytes += len;
        }
        Ok((len, new))
    }

    /// Forgets the blob being written.
    pub fn abort(&mut self) -> Result<()> {
        let Some(Begun { mut pack, .. }) = self.now.take() else { return Ok(()) };
        let aborted = pack.abort_run();
        let mut blobs = self.blobs.lock().expect("no holder panics");
        blobs.writing -= 1;
        blobs.idle.push(pack);
        aborted
    }

    fn begun(&mut self) -> Result<&mut Begun> {
        if self.now.is_none() {
            let mut blobs = self.blobs.lock().expect("no holder panics");
            let mut pack = match blobs.idle.pop() {
                Some(pack) => pack,
                None => PackWriter::create(&*self.store.inner().backend, Class::Blobs, None)?,
            };
            pack.begin_run(ObjectKind::Content);
            blobs.writing += 1;
            self.now = Some(Begun { pack, len: 0 });
        }
        Ok(self.now.as_mut().expect("begun above"))
    }
}

impl Drop for BlobWriter {
    fn drop(&mut self) {
        // A failure here is a failed pack, which the commit will report.
        let _ = self.abort();
    }
}
