//! One layer: its tar into recipe and contents, its compressed bytes kept beside them.

use super::Work;
use super::blobs::Blobs;
use super::blobs::Known;
use super::pipeline;
use super::pipeline::Decoded;
use crate::error::Error;
use crate::error::Result;
use crate::error::from_stream;
use crate::id::ContentId;
use crate::id::DiffId;
use crate::layer;
use crate::layer::LayerEntry;
use crate::layer::compression::Compression;
use crate::layer::flatten::Flattener;
use crate::layer::recipe;
use crate::oci::descriptor::Descriptor;
use crate::oci::digest::Digest;
use crate::oci::digest::Verifier;
use crate::oci::source::Source;
use crate::progress::Progress;
use crate::repo::recipe_of;
use crate::store::BlobRow;
use crate::store::BlobSource;
use crate::store::BlobWriter;
use crate::store::Transaction;
use sha2::Digest as _;
use sha2::Sha256;
use std::io::Read;
use std::io::Seek;
use std::io::Write;
use std::sync::Arc;
use std::sync::Mutex;

/// Up to this many bytes of each recipe stay in memory until the commit; more goes to a temporary
/// file. There may be hundreds of layers.
const RECIPE_BYTES_IN_MEMORY: usize = 256 << 10;

/// A layer by its place in the image, for people: "layer 3 of 5".
pub struct LayerOf<'a> {
    pub thing: String,
    pub descriptor: &'a Descriptor,
    pub diff_id: DiffId,
}

/// A layer as it was found while reading it.
pub struct LayerRead {
    pub digest: Digest,
    pub diff_id: DiffId,
    pub row: BlobRow,
    tar_bytes: u64,
}

/// Makes sure that the store has the layer, and lists its entries to `flattener` if one is given.
pub fn take(
    work: &mut Work,
    blobs: &mut Blobs,
    source: &dyn Source,
    layer: &LayerOf,
    mut flattener: Option<&mut Flattener>,
    progress: &dyn Progress,
) -> Result<()> {
    let descriptor = layer.descriptor;
    if let Some(known) = blobs.get(&descriptor.digest)? {
        known.check_size(descriptor)?;
        if list_known(work, &known, layer, flattener.as_deref_mut())? {
            work.layers_known += 1;
            return Ok(());
        }
    }
    work.layers_read += 1;
    progress.begin(&format!("reading {}", layer.thing), Some(descriptor.size));
    let opened = source.open(descriptor)?;
    let verified = Verifier::new(layer.thing.clone(), &descriptor.digest, descriptor.size, opened);
    let read = read(work, &layer.thing, Box::new(verified), Some(&descriptor.digest), flattener, progress)?;
    check_diff_id(layer, read.diff_id)?;
    put_rows(&mut work.tx, &read);
    blobs.insert(&read.digest, read.row);
    Ok(())
}

/// Lists a layer that was read before, in this import or another; `false` if it must be read again.
fn list_known(
    work: &mut Work,
    known: &Known,
    layer: &LayerOf,
    flattener: Option<&mut Flattener>,
) -> Result<bool> {
    let Some(diff_id) = known.row().diff_id.or(recipe_of(known.row())) else { return Ok(false) };
    if let Some(spool) = work.recipes.get_mut(&diff_id) {
        check_diff_id(layer, diff_id)?;
        if let Some(flattener) = flattener {
            spool.rewind().map_err(|err| from_stream("the recipe", err))?;
            recipe::list(spool, &mut |entry| flattener.apply(entry))?;
        }
        return Ok(true);
    }
    // A collection may have kept the blob as some file's content and dropped what the layer needs.
    if work.repo.snapshot()?.recipe(&diff_id)?.is_none() {
        return Ok(false);
    }
    check_diff_id(layer, diff_id)?;
    if let Some(flattener) = flattener {
        recipe::list(&mut work.repo.open_recipe(&diff_id)?, &mut |entry| flattener.apply(entry))?;
    }
    Ok(true)
}

/// Takes a stream apart. `digest` is given where the stream verifies it by itself.
pub fn read(
    work: &mut Work,
    thing: &str,
    stream: Box<dyn Read + Send + '_>,
    digest: Option<&Digest>,
    mut flattener: Option<&mut Flattener>,
    progress: &dyn Progress,
) -> Result<LayerRead> {
    let kept: Kept = Arc::default();
    let mut keep = keeper(&kept, work.tx.blob_writer(), digest.and_then(Digest::sha256));
    let mut spool = tempfile::spooled_tempfile_in(RECIPE_BYTES_IN_MEMORY, work.repo.scratch());
    let tx = &mut work.tx;
    let limits = layer::Limits::default();
    let (decoded, taken) = pipeline::through(
        thing,
        stream,
        &mut keep,
        |tar| {
            let mut each = |entry: LayerEntry| match flattener.as_deref_mut() {
                Some(flattener) => flattener.apply(entry),
                None => Ok(()),
            };
            layer::read::take_apart(tar, tx, &mut spool, &mut each, &limits)
        },
        progress,
    )?;
    let taken = taken.whole()?;
    if taken.bytes == 0 && digest.is_none() {
        // `docker export … | imgit import tar:-` with a broken left side.
        return Err(Error::invalid(thing, "is empty"));
    }
    let length = spool.stream_position().map_err(|err| from_stream("the recipe", err))?;
    spool.rewind().map_err(|err| from_stream("the recipe", err))?;
    tx.put_recipe(decoded.diff_id, length, &mut spool)?;
    work.recipes.insert(decoded.diff_id, spool);
    let (row, hashed) = match kept.lock().expect("no panic while held").take() {
        Some(blob) => blob.finish(&decoded)?,
        None => (tar_row(decoded.diff_id, decoded.tar_bytes), decoded.diff_id.0),
    };
    let digest = digest.cloned().unwrap_or_else(|| Digest::from_sha256(hashed));
    Ok(LayerRead { digest, diff_id: decoded.diff_id, row, tar_bytes: decoded.tar_bytes })
}

/// Makes the layer findable by its digest, and by that of its tar: a registry may name either.
pub fn put_rows(tx: &mut Transaction, read: &LayerRead) {
    tx.put_blob(read.digest.as_str().as_bytes(), read.row);
    let plain = Digest::from(read.diff_id);
    if plain != read.digest {
        tx.put_blob(plain.as_str().as_bytes(), tar_row(read.diff_id, read.tar_bytes));
    }
}

/// The row of a tar that its recipe rebuilds.
fn tar_row(diff_id: DiffId, size: u64) -> BlobRow {
    BlobRow { source: BlobSource::Recipe(diff_id), size, diff_id: None }
}

fn check_diff_id(layer: &LayerOf, found: DiffId) -> Result<()> {
    if layer.diff_id == found {
        return Ok(());
    }
    Err(Error::Mismatch {
        thing: format!("diff id of {}", layer.thing),
        expected: format!("sha256:{}", layer.diff_id),
        found: format!("sha256:{found}"),
    })
}

/// The compressed bytes on their way into a pack of their own.
struct KeptBlob {
    writer: BlobWriter,
    /// The digest, where the stream verifies it anyway; else it is found on the way.
    verified: Option<[u8; 32]>,
    sha256: Sha256,
    bytes: u64,
}

type Kept = Arc<Mutex<Option<KeptBlob>>>;

impl KeptBlob {
    fn finish(mut self, decoded: &Decoded) -> Result<(BlobRow, [u8; 32])> {
        let hash = self.verified.unwrap_or_else(|| self.sha256.finalize().into());
        self.writer.finish(ContentId(hash), None)?;
        let source = BlobSource::Content(ContentId(hash));
        Ok((BlobRow { source, size: self.bytes, diff_id: Some(decoded.diff_id) }, hash))
    }
}

/// Answers the decoding thread where the compressed bytes go; the importing thread takes the blob
/// back when that one is done.
fn keeper(
    kept: &Kept,
    writer: BlobWriter,
    verified: Option<[u8; 32]>,
) -> impl FnMut(Compression) -> Result<Option<Box<dyn Write + Send>>> + Send + use<> {
    let kept = Arc::clone(kept);
    let mut writer = Some(writer);
    move |compression| {
        let Some(writer) = writer.take().filter(|_| compression != Compression::None) else {
            return Ok(None);
        };
        let blob = KeptBlob { writer, verified, sha256: Sha256::new(), bytes: 0 };
        *kept.lock().expect("no panic while held") = Some(blob);
        Ok(Some(Box::new(KeptHandle(Arc::clone(&kept)))))
    }
}

struct KeptHandle(Kept);

impl Write for KeptHandle {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut kept = self.0.lock().expect("no panic while held");
        let blob = kept.as_mut().expect("taken back only after the decoding thread ended");
        if blob.verified.is_none() {
            blob.sha256.update(bytes);
        }
        blob.writer.write(bytes)?;
        blob.bytes += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
