//! The store as a place to read images from: every blob by its digest, kept whole or rebuilt.

use crate::error::Error;
use crate::error::Result;
use crate::id::ContentId;
use crate::id::DiffId;
use crate::oci::descriptor::Descriptor;
use crate::oci::digest::Digest;
use crate::oci::media_type::MediaType;
use crate::oci::source::Root;
use crate::oci::source::Source;
use crate::repo::cache::Cache;
use crate::repo::encoded;
use crate::repo::produced::produced;
use crate::repo::recipes;
use crate::store::BlobRow;
use crate::store::BlobSource;
use crate::store::Store;
use std::io::Read;

pub struct Images {
    store: Store,
    cache: Cache,
}

impl Images {
    pub(super) fn new(store: Store) -> Images {
        Images { cache: Cache::of(&store), store }
    }

    /// The same without the cache: what is not kept is rebuilt each time.
    pub fn uncached(self) -> Images {
        Images { cache: Cache::none(), ..self }
    }

    /// How long a blob is; `None` if it is not here.
    pub fn size(&self, digest: &Digest) -> Result<Option<u64>> {
        Ok(self.row(digest)?.map(|row| row.size))
    }

    /// A descriptor for a blob known by its digest alone; what it is shows in its bytes.
    pub fn descriptor(&self, digest: &Digest, size: u64) -> Descriptor {
        Descriptor::new(MediaType::default(), digest.clone(), size)
    }

    fn row(&self, digest: &Digest) -> Result<Option<BlobRow>> {
        self.store.snapshot()?.blob(digest.as_str().as_bytes())
    }
}

impl Source for Images {
    /// None: in the store, images are found by their refs.
    fn roots(&self) -> Result<Vec<Root>> {
        Ok(Vec::new())
    }

    fn open(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>> {
        let absent = || Error::not_found("blob", descriptor.digest.to_string());
        let row = self.row(&descriptor.digest)?.ok_or_else(absent)?;
        open_row(&self.store, &self.cache, &descriptor.digest, &row)
    }

    fn has(&self, descriptor: &Descriptor) -> bool {
        matches!(self.row(&descriptor.digest), Ok(Some(_)))
    }
}

pub(super) fn open_recipe(store: &Store, diff_id: &DiffId) -> Result<Box<dyn Read + Send>> {
    let absent = || Error::not_found("layer", format!("sha256:{diff_id}"));
    let locate = || store.snapshot()?.recipe(diff_id)?.ok_or_else(absent);
    Ok(Box::new(open_located(locate, |place| store.open_content(place, 0, place.len))?))
}

pub(super) fn open_row(
    store: &Store,
    cache: &Cache,
    digest: &Digest,
    row: &BlobRow,
) -> Result<Box<dyn Read + Send>> {
    match row.source {
        BlobSource::Content(id) => open_content(store, &id, row.size),
        BlobSource::Recipe(diff_id) => open_rebuilt(store, &diff_id),
        BlobSource::Encoded { how, of } => encoded::open(store, cache, digest, row.size, &how, &of),
    }
}

pub(super) fn open_content(store: &Store, id: &ContentId, len: u64) -> Result<Box<dyn Read + Send>> {
    let absent = || Error::not_found("content", id.to_string());
    let locate = || store.locate(&[*id])?.pop().flatten().ok_or_else(absent);
    Ok(Box::new(open_located(locate, |place| store.open_content(place, 0, len))?))
}

/// Opens what was located, and where its pack is gone by then, locates it once more: a collection may
/// have moved it into another pack in between.
fn open_located<L, R>(locate: impl Fn() -> Result<L>, open: impl Fn(&L) -> Result<R>) -> Result<R> {
    match open(&locate()?) {
        Err(Error::NotFound { .. }) => open(&locate()?),
        other => other,
    }
}

/// Rebuilds a layer's tar or a disk on a thread of its own, so that reading it and making it overlap.
pub(super) fn open_rebuilt(store: &Store, diff_id: &DiffId) -> Result<Box<dyn Read + Send>> {
    let recipe = open_recipe(store, diff_id)?;
    let contents = store.contents();
    produced("rebuild", move |out| recipes::rebuild(recipe, &contents, out))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    /// The packs that each look into the index names, the pack that is there, what comes of it.
    fn check(named: &[&'static str], there: &str, expected: Result<&str, &str>) {
        let looks = Cell::new(0);
        let locate = || {
            looks.set(looks.get() + 1);
            named.get(looks.get() - 1).copied().ok_or_else(|| Error::not_found("content", "id"))
        };
        let open = |pack: &&'static str| match *pack {
            "broken" => Err(Error::invalid("pack", "is broken")),
            pack if pack == there => Ok(pack),
            pack => Err(Error::not_found("pack", pack)),
        };
        let found = open_located(locate, open).map_err(|err| err.to_string());
        assert_eq!(
            found.as_deref().map_err(String::as_str),
            expected.as_ref().map(|pack| *pack).map_err(|err| *err)
        );
        assert!(looks.get() <= 2);
    }

    #[test]
    fn what_a_collection_moved_is_located_once_more() {
        check(&["a"], "a", Ok("a"));
        check(&["a", "b"], "b", Ok("b"));
        check(&["a", "b", "c"], "c", Err("pack b not found"));
        check(&["a"], "b", Err("content id not found"));
        check(&["broken", "b"], "b", Err("pack: is broken"));
    }
}
