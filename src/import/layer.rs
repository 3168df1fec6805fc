//! One layer: its tar into recipe and contents, its compressed bytes kept beside them.

use super::Work;
use super::blobs::Blobs;
use super::blobs::Known;
use super::pipeline::Decoding;
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
use std::thread::Scope;

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

/// Lists a layer that is known already to `flattener`, if one is given; `false` if it has to be read.
pub fn take_known(
    work: &mut Work,
    blobs: &Blobs,
    layer: &LayerOf,
    flattener: Option<&mut Flattener>,
) -> Result<bool> {
    let Some(known) = blobs.get(&layer.descriptor.digest)? else { return Ok(false) };
    known.check_size(layer.descriptor)?;
    let is_listed = list_known(work, &known, layer, flattener)?;
    work.layers_known += usize::from(is_listed);
    Ok(is_listed)
}

/// Reads a layer that was begun, and lists its entries to `flattener` if one is given.
pub fn take_begun(
    work: &mut Work,
    blobs: &mut Blobs,
    layer: &LayerOf,
    begun: Started<'_>,
    flattener: Option<&mut Flattener>,
    progress: &dyn Progress,
) -> Result<()> {
    work.layers_read += 1;
    progress.begin(&format!("reading {}", layer.thing), Some(layer.descriptor.size));
    let read = begun.finish(work, &layer.thing, flattener)?;
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

/// Begins to read a layer of `source`.
pub fn start<'scope>(
    scope: &'scope Scope<'scope, '_>,
    work: &Work,
    source: &dyn Source,
    layer: &LayerOf,
    progress: &'scope dyn Progress,
) -> Result<Started<'scope>> {
    let descriptor = layer.descriptor;
    let opened = source.open(descriptor)?;
    let verified = Verifier::new(layer.thing.clone(), &descriptor.digest, descriptor.size, opened);
    Started::new(scope, work, &layer.thing, Box::new(verified), Some(&descriptor.digest), progress)
}

/// Takes a stream apart whose digest nobody has promised.
pub fn read(
    work: &mut Work,
    thing: &str,
    stream: Box<dyn Read + Send + '_>,
    flattener: Option<&mut Flattener>,
    progress: &dyn Progress,
) -> Result<LayerRead> {
    std::thread::scope(|scope| {
        Started::new(scope, work, thing, stream, None, progress)?.finish(work, thing, flattener)
    })
}

/// A layer that is being decoded.
pub struct Started<'scope> {
    decoding: Decoding<'scope>,
    kept: Kept,
    digest: Option<Digest>,
}

impl<'scope> Started<'scope> {
    /// `digest` is given where the stream verifies it by itself.
    fn new(
        scope: &'scope Scope<'scope, '_>,
        work: &Work,
        thing: &str,
        stream: Box<dyn Read + Send + 'scope>,
        digest: Option<&Digest>,
        progress: &'scope dyn Progress,
    ) -> Result<Started<'scope>> {
        let kept: Kept = Arc::default();
        let keep = keeper(&kept, work.tx.blob_writer(), digest.and_then(Digest::sha256));
        let decoding = Decoding::start(scope, thing.to_owned(), stream, Box::new(keep), progress)?;
        Ok(Started { decoding, kept, digest: digest.cloned() })
    }

    fn finish(
        self,
        work: &mut Work,
        thing: &str,
        mut flattener: Option<&mut Flattener>,
    ) -> Result<LayerRead> {
        let Started { decoding, kept, digest } = self;
        let mut spool = tempfile::spooled_tempfile_in(RECIPE_BYTES_IN_MEMORY, work.repo.scratch());
        let tx = &mut work.tx;
        let limits = layer::Limits::default();
        let taken = decoding.take(thing, |tar| {
            let mut each = |entry: LayerEntry| match flattener.as_deref_mut() {
                Some(flattener) => flattener.apply(entry),
                None => Ok(()),
            };
            layer::read::take_apart(tar, tx, &mut spool, &mut each, &limits)
        })?;
        let taken = taken.whole()?;
        if taken.bytes == 0 && digest.is_none() {
            // `docker export … | imgit import tar:-` with a broken left side.
            return Err(Error::invalid(thing, "is empty"));
        }
        let length = spool.stream_position().map_err(|err| from_stream("the recipe", err))?;
        spool.rewind().map_err(|err| from_stream("the recipe", err))?;
        tx.put_recipe(taken.diff_id, length, &mut spool)?;
        work.recipes.insert(taken.diff_id, spool);
        let (row, hashed) = match kept.lock().expect("no panic while held").take() {
            Some(blob) => blob.finish(taken.diff_id)?,
            None => (tar_row(taken.diff_id, taken.bytes), taken.diff_id.0),
        };
        let digest = digest.unwrap_or_else(|| Digest::from_sha256(hashed));
        Ok(LayerRead { digest, diff_id: taken.diff_id, row, tar_bytes: taken.bytes })
    }
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
    fn finish(mut self, diff_id: DiffId) -> Result<(BlobRow, [u8; 32])> {
        let hash = self.verified.unwrap_or_else(|| self.sha256.finalize().into());
        self.writer.finish(ContentId(hash), None)?;
        let source = BlobSource::Content(ContentId(hash));
        Ok((BlobRow { source, size: self.bytes, diff_id: Some(diff_id) }, hash))
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
