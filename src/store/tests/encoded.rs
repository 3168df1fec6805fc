//! A blob's bytes become a recipe: with a fault at any step the store has either, and says the same.

use super::crash;
use crate::content::ContentSink as _;
use crate::error::Result;
use crate::id::DiffId;
use crate::progress::Silent;
use crate::store::BlobRow;
use crate::store::BlobSource;
use crate::store::Store;

/// Says of each blob that is kept whole that a content is how to make it.
fn encode(store: &Store) -> Result<()> {
    let mut transaction = store.begin()?;
    for (digest, blob) in store.snapshot()?.blobs()? {
        let Some(of) = blob.diff_id else { continue };
        let bytes = format!("how to make {}", crate::path::shown(&digest)).into_bytes();
        let how = transaction.put(bytes.len() as u64, &mut &bytes[..])?;
        transaction.put_blob(&digest, BlobRow { source: BlobSource::Encoded { how, of }, ..blob });
    }
    transaction.commit(&Silent).map(drop)
}

#[test]
fn an_encoded_blob_is_there_or_the_whole_one_is() {
    crash::check(encode);
}

#[test]
fn a_sweep_keeps_what_an_encoded_blob_is_made_of_and_drops_the_blob() {
    let world = crash::world();
    let store = crash::open(&world).unwrap();
    let whole = store.snapshot().unwrap().blobs().unwrap();
    encode(&store).unwrap();
    let encoded = store.snapshot().unwrap().blobs().unwrap();
    let needed: Vec<_> = encoded.iter().flat_map(|(_, row)| row.source.objects()).collect();
    let blobs: Vec<_> = whole.iter().flat_map(|(_, row)| row.source.objects()).collect();
    let sweep = |drop_also: Option<DiffId>| {
        let (needed, blobs) = (needed.clone(), blobs.clone());
        let live = move |kind, id: &[u8; 32]| {
            let object = (kind, *id);
            drop_also.is_none_or(|gone| gone.0 != *id)
                && (needed.contains(&object) || !blobs.contains(&object))
        };
        let mut mark =
            |_: &crate::store::Snapshot| Ok(Box::new(live.clone()) as Box<crate::store::sweep::Live>);
        store.sweep(&mut mark, &Default::default(), &Silent).unwrap()
    };
    assert_eq!(sweep(None).dropped, blobs.len() as u64);
    assert_eq!(store.snapshot().unwrap().blobs().unwrap(), encoded);
    store.rebuild_index(&Silent).unwrap();
    assert_eq!(store.snapshot().unwrap().blobs().unwrap(), encoded);
    crash::assert_sound(&store, "swept");

    // Without the recipe of what it holds, the blob cannot be made: its row goes too.
    let (gone, row) = &encoded[0];
    sweep(row.diff_id);
    let left = store.snapshot().unwrap().blobs().unwrap();
    assert!(left.len() == encoded.len() - 1 && left.iter().all(|(digest, _)| digest != gone));
    crash::assert_sound(&store, "swept again");
}
