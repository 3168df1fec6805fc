//! Compressed layers that are kept whole become recipes: how to make them from the files.
//!
//! A blob goes only when every byte of it was made again from what the store keeps (its tar's recipe,
//! the contents, the encoder's setting) and compared. Then the new word about it is made durable and
//! visible in one transaction; the bytes are left to the next collection. So at any point, power cut
//! or not, there is either the blob or its proven recipe. Whatever goes wrong with one, it stays.

use crate::content::ContentSink as _;
use crate::error::Error;
use crate::error::Result;
use crate::error::from_stream;
use crate::id::CommitId;
use crate::id::ContentId;
use crate::id::DiffId;
use crate::layer::compression::Compression;
use crate::layer::gzip::probe::Probe;
use crate::layer::gzip::probe::prove;
use crate::layer::gzip::recipe::Recipe;
use crate::oci::digest::Digest;
use crate::oci::source::Source as _;
use crate::progress::Progress;
use crate::progress::Silent;
use crate::repo::Repo;
use crate::repo::reach;
use crate::store::BlobRow;
use crate::store::BlobSource;
use crate::store::Transaction;
use sha2::Digest as _;
use sha2::Sha256;
use std::io::Read;
use std::io::Write;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;

/// A recipe of more than this share of its blob is not worth it.
const RECIPE_SHARE: u64 = 10;
/// So many of those that make the beginning right are tried on the whole.
const PROOFS_MAX: usize = 8;
/// What was proven is committed after so many bytes of blobs: a crash costs no more work than that.
const COMMIT_BYTES: u64 = 4 << 30;

#[derive(Default)]
pub struct RepackOptions {
    /// Only say what would be done.
    pub dry_run: bool,
    /// Only what these commits and their ancestors need; with none, all there is.
    pub versions: Vec<CommitId>,
    /// Try those again that did not work before.
    pub again: bool,
}

#[derive(Default)]
pub struct RepackReport {
    pub layers: Vec<Layer>,
}

/// What came of one compressed layer.
pub struct Layer {
    pub digest: Digest,
    pub size: u64,
    pub outcome: Outcome,
}

pub enum Outcome {
    Repacked { recipe: Recipe, recipe_bytes: u64 },
    Kept(Reason),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Its encoders are not reproduced.
    Zstd,
    /// No encoder makes these bytes.
    NoEncoder,
    /// What must be kept of it is hardly less than the blob.
    TooSmall,
    /// An error, which was told.
    Failed,
}

impl Reason {
    pub fn words(self) -> &'static str {
        match self {
            Reason::Zstd => "zstd",
            Reason::NoEncoder => "no encoder found",
            Reason::TooSmall => "too small",
            Reason::Failed => "failed",
        }
    }

    /// Whether it will be the same next time.
    fn stays(self) -> bool {
        self == Reason::NoEncoder || self == Reason::TooSmall
    }
}

impl RepackReport {
    /// How many blobs were replaced, and their bytes.
    pub fn repacked(&self) -> (usize, u64) {
        let sizes = self.layers.iter().filter(|layer| matches!(layer.outcome, Outcome::Repacked { .. }));
        sizes.fold((0, 0), |(count, bytes), layer| (count + 1, bytes + layer.size))
    }

    pub fn recipe_bytes(&self) -> u64 {
        let bytes = |layer: &Layer| match &layer.outcome {
            Outcome::Repacked { recipe_bytes, .. } => *recipe_bytes,
            Outcome::Kept(_) => 0,
        };
        self.layers.iter().map(bytes).sum()
    }
}

pub fn repack(repo: &Repo, options: &RepackOptions, progress: &dyn Progress) -> Result<RepackReport> {
    let mut report = RepackReport::default();
    // Collection waits for the transaction: what the proofs have read is still there at the commit.
    let mut tx = repo.begin()?;
    let mut pending_bytes = 0;
    let mut tried = repo.cache().tried();
    let mut interrupted = false;
    for (digest, size) in candidates(repo, options)? {
        // Between two transactions things may have changed.
        let Some((row, blob, of)) = kept_layer(repo, &digest)? else { continue };
        let before = tried.remove(digest.as_str()).filter(|_| !options.again);
        let outcome = if let Some(why) = before {
            let small = why == Reason::TooSmall.words();
            Outcome::Kept(if small { Reason::TooSmall } else { Reason::NoEncoder })
        } else {
            progress.begin(&format!("repacking {}", digest.short()), Some(size));
            match attempt(repo, &digest, &row, &blob, &of, progress) {
                Err(err) if matches!(err.root(), Error::Interrupted) => {
                    interrupted = true;
                    break;
                }
                Err(err) => {
                    let doing = format!("cannot repack {digest}, which stays as it is");
                    progress.problem(&Error::Context { doing, source: Box::new(err), hint: None });
                    Outcome::Kept(Reason::Failed)
                }
                Ok(outcome) => outcome,
            }
        };
        match &outcome {
            Outcome::Repacked { recipe, .. } if !options.dry_run => {
                put(&mut tx, &digest, &row, recipe, of)?;
                pending_bytes += size;
            }
            Outcome::Kept(why) if why.stays() => drop(tried.insert(digest.to_string(), why.words().into())),
            _ => {}
        }
        report.layers.push(Layer { digest, size, outcome });
        if pending_bytes >= COMMIT_BYTES {
            tx.commit(&Silent)?;
            tx = repo.begin()?;
            pending_bytes = 0;
        }
    }
    // An interruption, which progress would tell of, does not throw away what is proven.
    tx.commit(&Silent)?;
    repo.cache().set_tried(&tried);
    if interrupted {
        return Err(Error::Interrupted);
    }
    Ok(report)
}

/// The compressed layers that are kept whole, the largest first.
fn candidates(repo: &Repo, options: &RepackOptions) -> Result<Vec<(Digest, u64)>> {
    let mut found = Vec::new();
    if options.versions.is_empty() {
        for (digest, row) in repo.snapshot()?.blobs()? {
            let text = String::from_utf8_lossy(&digest);
            if is_kept_layer(&row)
                && let Ok(digest) = Digest::parse(&text)
            {
                found.push((digest, row.size));
            }
        }
    } else {
        let reached = reach::reach(repo, options.versions.iter().copied(), &mut Err)?;
        for digest in reached.blobs {
            if let Some(row) = repo.blob(&digest)?.filter(is_kept_layer) {
                found.push((digest, row.size));
            }
        }
    }
    found.sort_by(|(left, left_size), (right, right_size)| {
        right_size.cmp(left_size).then_with(|| left.as_str().cmp(right.as_str()))
    });
    Ok(found)
}

fn is_kept_layer(row: &BlobRow) -> bool {
    matches!(row.source, BlobSource::Content(_)) && row.diff_id.is_some()
}

/// The blob and the tar it holds, if the blob is a compressed layer that is still kept whole.
fn kept_layer(repo: &Repo, digest: &Digest) -> Result<Option<(BlobRow, ContentId, DiffId)>> {
    let Some(row) = repo.blob(digest)? else { return Ok(None) };
    match (row.source, row.diff_id) {
        (BlobSource::Content(blob), Some(of)) => Ok(Some((row, blob, of))),
        _ => Ok(None),
    }
}

/// Tries one blob; a panic is an error like others.
fn attempt(
    repo: &Repo,
    digest: &Digest,
    row: &BlobRow,
    blob: &ContentId,
    of: &DiffId,
    progress: &dyn Progress,
) -> Result<Outcome> {
    let trial = Trial { repo, digest, size: row.size, blob, of, progress };
    catch_unwind(AssertUnwindSafe(|| trial.run()))
        .unwrap_or_else(|_| Err(Error::invalid("gzip encoder", "panicked")))
}

struct Trial<'a> {
    repo: &'a Repo,
    digest: &'a Digest,
    size: u64,
    blob: &'a ContentId,
    of: &'a DiffId,
    progress: &'a dyn Progress,
}

impl Trial<'_> {
    fn run(&self) -> Result<Outcome> {
        let mut first = [0; 4];
        let mut blob = self.blob()?;
        let read = read_up_to(&mut blob, &mut first)?;
        match Compression::detect(&first[..read]) {
            Compression::Gzip => {}
            Compression::Zstd => return Ok(Outcome::Kept(Reason::Zstd)),
            Compression::None => return Ok(Outcome::Kept(Reason::NoEncoder)),
        }
        let Some(probe) = Probe::read(&mut self.blob()?, &mut self.tar()?)? else {
            return Ok(Outcome::Kept(Reason::NoEncoder));
        };
        for recipe in probe.recipes().take(PROOFS_MAX) {
            crate::progress::check(self.progress)?;
            let Some(recipe) = self.prove(recipe)? else { continue };
            let bytes = recipe.to_bytes();
            if bytes.len() as u64 * RECIPE_SHARE > self.size {
                return Ok(Outcome::Kept(Reason::TooSmall));
            }
            if Recipe::from_bytes(&bytes)? != recipe {
                return Err(Error::invalid("gzip recipe", "is not read as it was written"));
            }
            return Ok(Outcome::Repacked { recipe, recipe_bytes: bytes.len() as u64 });
        }
        Ok(Outcome::Kept(Reason::NoEncoder))
    }

    /// Makes the whole blob from the store alone and compares bytes, length and digest.
    fn prove(&self, recipe: Recipe) -> Result<Option<Recipe>> {
        let mut blob = Told { from: self.blob()?, progress: self.progress };
        let mut made = Made { sha256: Sha256::new(), bytes: 0 };
        let Some(recipe) = prove(recipe, &mut blob, &mut self.tar()?, &mut made)? else { return Ok(None) };
        let found = ContentId(made.sha256.finalize().into());
        if found != *self.blob || made.bytes != self.size {
            return Err(Error::Mismatch {
                thing: format!("rebuilt blob {}", self.digest),
                expected: format!("{} of {} bytes", self.blob, self.size),
                found: format!("{found} of {} bytes", made.bytes),
            });
        }
        Ok(Some(recipe))
    }

    fn blob(&self) -> Result<Box<dyn Read + Send>> {
        let images = self.repo.images();
        images.open(&images.descriptor(self.digest, self.size))
    }

    fn tar(&self) -> Result<Box<dyn Read + Send>> {
        self.repo.rebuilt(self.of)
    }
}

/// Says how the blob is made from now on.
fn put(tx: &mut Transaction, digest: &Digest, row: &BlobRow, recipe: &Recipe, of: DiffId) -> Result<()> {
    let bytes = recipe.to_bytes();
    let how = tx.put(bytes.len() as u64, &mut &bytes[..])?;
    let source = BlobSource::Encoded { how, of };
    tx.put_blob(digest.as_str().as_bytes(), BlobRow { source, size: row.size, diff_id: Some(of) });
    Ok(())
}

fn read_up_to(from: &mut dyn Read, into: &mut [u8]) -> Result<usize> {
    let mut bytes = Vec::new();
    from.take(into.len() as u64)
        .read_to_end(&mut bytes)
        .map_err(|err| from_stream("a compressed layer", err))?;
    into[..bytes.len()].copy_from_slice(&bytes);
    Ok(bytes.len())
}

/// The blob being compared: tells how far, and stops when it is to.
struct Told<'a> {
    from: Box<dyn Read + Send>,
    progress: &'a dyn Progress,
}

impl Read for Told<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        crate::progress::check(self.progress)?;
        let len = self.from.read(into)?;
        self.progress.advance(len as u64);
        Ok(len)
    }
}

/// What was made, hashed.
struct Made {
    sha256: Sha256,
    bytes: u64,
}

impl Write for Made {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.sha256.update(bytes);
        self.bytes += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
