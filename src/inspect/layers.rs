//! Compressed layers: which are made by a recipe, which are kept whole, and why.

use crate::error::Result;
use crate::layer::compression::Compression;
use crate::oci::digest::Digest;
use crate::oci::source::Source as _;
use crate::repo::Repo;
use crate::store::BlobSource;
use std::io::Read as _;

/// The word of `repack` for a layer whose recipe is not worth it.
const TOO_SMALL: &str = "too small";

/// So many layers, and their compressed bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    pub layers: u64,
    pub bytes: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Layers {
    /// Not kept: made again when they are wanted.
    pub recipes: Count,
    /// Kept, because zstd's encoders are not reproduced.
    pub zstd: Count,
    /// Kept, because no encoder made the same bytes.
    pub no_encoder: Count,
    /// Kept, because a recipe would be hardly smaller.
    pub small: Count,
    /// Kept, because nobody has tried.
    pub not_tried: Count,
    /// Bytes of rebuilt layers that may be deleted at any time.
    pub cache_bytes: u64,
}

impl Count {
    fn add(&mut self, bytes: u64) {
        self.layers += 1;
        self.bytes += bytes;
    }
}

/// Looks at every compressed layer's row, and at the first bytes of those that are kept.
pub fn layers(repo: &Repo) -> Result<Layers> {
    let cache = repo.cache();
    let tried = cache.tried();
    let mut found = Layers { cache_bytes: cache.bytes(), ..Layers::default() };
    let images = repo.images();
    let blobs = repo.snapshot()?.blobs()?;
    for (digest, row) in blobs {
        let count = match row.source {
            BlobSource::Encoded { .. } => &mut found.recipes,
            BlobSource::Content(_) if row.diff_id.is_some() => {
                let text = String::from_utf8_lossy(&digest);
                let mut first = Vec::new();
                // One that cannot be read is for `fsck` to tell.
                if let Ok(digest) = Digest::parse(&text)
                    && let Ok(blob) = images.open(&images.descriptor(&digest, row.size))
                {
                    let _ = blob.take(4).read_to_end(&mut first);
                }
                match Compression::detect(&first) {
                    Compression::Zstd => &mut found.zstd,
                    _ => match tried.get(&text[..]).map(|why| &why[..]) {
                        None => &mut found.not_tried,
                        Some(TOO_SMALL) => &mut found.small,
                        Some(_) => &mut found.no_encoder,
                    },
                }
            }
            _ => continue,
        };
        count.add(row.size);
    }
    Ok(found)
}
