//! Is everything here that should be, and is it what it says? Finds all it can, stops at nothing.

use super::reach;
use crate::error::Error;
use crate::error::Result;
use crate::id::CommitId;
use crate::oci::digest::Digest;
use crate::oci::digest::Verifier;
use crate::oci::source::Source;
use crate::progress::Progress;
use crate::repo::Repo;
use crate::store::BlobRow;
use crate::store::BlobSource;
use crate::store::VerifyOptions;
use std::collections::BTreeSet;
use std::io;

pub struct FsckOptions {
    /// Read every content, and rebuild every layer, compressed where only a recipe is kept.
    pub read_data: bool,
}

#[derive(Default)]
pub struct FsckReport {
    /// Sentences that name what is damaged.
    pub problems: Vec<String>,
    pub packs: u64,
    pub commits: u64,
    pub objects: u64,
    pub bytes_read: u64,
}

pub fn fsck(repo: &Repo, options: &FsckOptions, progress: &dyn Progress) -> Result<FsckReport> {
    let mut report = FsckReport::default();
    progress.begin("checking packs", None);
    let packs = repo.store().verify(&VerifyOptions { read_data: options.read_data }, &Listed(progress))?;
    report.packs = packs.packs;
    report.objects = packs.objects;
    report.bytes_read = packs.bytes;
    report.problems.extend(packs.problems.iter().map(in_words));
    histories(repo, options, &mut report, progress)?;
    Ok(report)
}

/// Passes everything on but problems: those are in the report, once.
struct Listed<'a>(&'a dyn Progress);

impl Progress for Listed<'_> {
    fn begin(&self, what: &str, total: Option<u64>) {
        self.0.begin(what, total);
    }

    fn advance(&self, bytes: u64) {
        self.0.advance(bytes);
    }

    fn cancelled(&self) -> bool {
        self.0.cancelled()
    }
}

/// From every ref and reflog line down to the contents, and the layers rebuilt from them.
fn histories(
    repo: &Repo,
    options: &FsckOptions,
    report: &mut FsckReport,
    progress: &dyn Progress,
) -> Result<()> {
    progress.begin("checking histories", None);
    let refs = match repo.refs() {
        Ok(refs) => refs,
        Err(err) => {
            report.problems.push(in_words(&err));
            return Ok(());
        }
    };
    let roots: BTreeSet<CommitId> = refs.iter().map(|found| found.commit).collect();
    let problems = &mut report.problems;
    let reached = reach::reach(repo, roots, &mut |err| {
        problems.push(in_words(&err));
        Ok(())
    })?;
    report.commits = reached.commits.len() as u64;
    let contents: Vec<_> = reached.contents.iter().copied().collect();
    for ids in contents.chunks(1_024) {
        for (id, place) in ids.iter().zip(repo.store().locate(ids)?) {
            if place.is_none() {
                report.problems.push(format!("content {id}: a tree or recipe names it, but no pack has it"));
            }
        }
    }
    if options.read_data {
        for diff_id in &reached.recipes {
            crate::progress::check(progress)?;
            if let Err(err) = rebuild(repo, &Digest::from(*diff_id), progress) {
                report.problems.push(in_words(&err));
            }
        }
        for digest in &reached.blobs {
            crate::progress::check(progress)?;
            let encoded = |row: BlobRow| matches!(row.source, BlobSource::Encoded { .. });
            if repo.blob(digest)?.is_some_and(encoded)
                && let Err(err) = rebuild(repo, digest, progress)
            {
                report.problems.push(in_words(&err));
            }
        }
    }
    Ok(())
}

/// Rebuilds a layer, from nothing that is cached, and holds it to its digest.
fn rebuild(repo: &Repo, digest: &Digest, progress: &dyn Progress) -> Result<()> {
    let images = repo.images().uncached();
    let size = images.size(digest)?.ok_or_else(|| Error::not_found("layer", digest.to_string()))?;
    progress.begin(&format!("rebuilding layer {}", digest.short()), Some(size));
    let opened = images.open(&images.descriptor(digest, size))?;
    let mut verified = Verifier::new(format!("layer {digest}"), digest, size, opened);
    io::copy(&mut verified, &mut io::sink())
        .map_err(|err| crate::error::from_stream(format!("layer {digest}"), err))?;
    verified.finish()
}

fn in_words(err: &Error) -> String {
    let mut text = err.to_string();
    let mut cause = std::error::Error::source(err);
    while let Some(err) = cause {
        text.push_str(&format!(": {err}"));
        cause = err.source();
    }
    text
}
