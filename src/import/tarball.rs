//! A root file system in one tar, compressed or not: a layer without an image around it.

use super::Taken;
use super::Work;
use super::layer;
use crate::error::Result;
use crate::history::commit::Artifact;
use crate::history::commit::ArtifactKind;
use crate::history::commit::PlatformTree;
use crate::history::refs::RefName;
use crate::layer::flatten::Flattener;
use crate::progress::Progress;
use std::io::Read;

pub const MEDIA_TYPE: &str = "application/x-tar";

pub fn take(
    work: &mut Work,
    thing: &str,
    tar: Box<dyn Read + Send>,
    name: RefName,
    progress: &dyn Progress,
) -> Result<Vec<Taken>> {
    progress.begin(&format!("reading {thing}"), None);
    let mut flattener = Flattener::new();
    flattener.begin_layer();
    // A tar carries no promise of its digest: the digest is what the bytes turn out to have.
    let read = layer::read(work, thing, tar, Some(&mut flattener), progress)?;
    let tx = &mut work.tx;
    let record = flattener.finish(tx)?;
    let tree = tx.put_tree(&record)?;
    tx.put_chain(read.diff_id.chain_on(None), tree);
    layer::put_rows(tx, &read);
    let artifact = Artifact {
        kind: ArtifactKind::Tar,
        media_type: MEDIA_TYPE.into(),
        digest: read.digest.to_string(),
        size: read.row.size,
    };
    let trees = vec![PlatformTree { platform: String::new(), manifest: String::new(), tree }];
    Ok(vec![Taken { names: vec![name], artifact, trees }])
}
