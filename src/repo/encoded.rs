//! A compressed blob that is not kept: made again from its recipe, or taken from the cache.

use crate::error::Error;
use crate::error::Result;
use crate::error::from_stream;
use crate::id::ContentId;
use crate::id::DiffId;
use crate::layer::gzip::rebuild::rebuild;
use crate::layer::gzip::recipe::Recipe;
use crate::oci::digest::Digest;
use crate::oci::digest::Verifier;
use crate::repo::cache::Cache;
use crate::repo::images;
use crate::repo::produced::produced;
use crate::store::Store;
use std::io::Read;

/// Far more than any recipe has; keeps a wrong content from being read whole.
const RECIPE_BYTES_MAX: u64 = 1 << 20;

/// Opens the blob; its last byte is not given before all of them are found right.
pub(super) fn open(
    store: &Store,
    cache: &Cache,
    digest: &Digest,
    size: u64,
    how: &ContentId,
    of: &DiffId,
) -> Result<Box<dyn Read + Send>> {
    if let Some(cached) = cache.open(digest, size) {
        return Ok(cached);
    }
    let recipe = recipe(store, how)?;
    let mut tar = images::open_rebuilt(store, of)?;
    let made = produced("compress", move |out| rebuild(&recipe, &mut tar, out))?;
    Ok(cache.keep(digest, size, Verifier::new(format!("rebuilt blob {digest}"), digest, size, made)))
}

/// How a blob is compressed.
pub(super) fn recipe(store: &Store, how: &ContentId) -> Result<Recipe> {
    let place = store.locate(&[*how])?.pop().flatten();
    let place = place.ok_or_else(|| Error::not_found("content", how.to_string()))?;
    if place.len > RECIPE_BYTES_MAX {
        let thing = format!("gzip recipe {how}");
        return Err(Error::Limit { thing, limit: RECIPE_BYTES_MAX, unit: "bytes" });
    }
    let mut bytes = Vec::new();
    images::open_content(store, how, place.len)?
        .read_to_end(&mut bytes)
        .map_err(|err| from_stream(format!("gzip recipe {how}"), err))?;
    Recipe::from_bytes(&bytes)
}
