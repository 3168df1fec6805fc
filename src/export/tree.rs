//! A version's tree to one tar, or to a folder.

use super::ExportOptions;
use super::checkout;
use super::checkout::CheckoutOptions;
use super::skipped::Skipped;
use super::tar;
use crate::error::Error;
use crate::error::Result;
use crate::error::from_stream;
use crate::fs::AtomicFile;
use crate::history::commit::ArtifactKind;
use crate::oci::digest::Digest;
use crate::oci::digest::Verifier;
use crate::oci::location::Place;
use crate::oci::source::Source;
use crate::progress::Progress;
use crate::repo::Repo;
use crate::repo::Version;
use std::io::BufWriter;
use std::io::Write;
use std::path::Path;

const BUFFER_BYTES: usize = 1 << 20;

/// Writes the flattened tree; a version that came as a tar goes out as the very same bytes.
pub fn to_tar(
    repo: &Repo,
    version: &Version,
    place: &Place,
    options: &ExportOptions,
    progress: &dyn Progress,
) -> Result<(Option<String>, Vec<Skipped>)> {
    let platform = options.tree();
    let write = |out: &mut dyn Write| -> Result<(Option<String>, Vec<Skipped>)> {
        if version.commit.artifact.kind == ArtifactKind::Tar {
            return same_tar(repo, version, out, progress).map(|digest| (Some(digest), Vec::new()));
        }
        let tree = repo.tree(version, platform.as_deref())?;
        progress.begin("writing the tree", Some(tree.bytes));
        let written = tar::write_tar(&tree, &repo.nodes(), &repo.contents(), out, progress)?;
        Ok((None, written.skipped))
    };
    match place {
        Place::Standard => {
            let mut out = BufWriter::with_capacity(BUFFER_BYTES, (options.standard_output)());
            let done = write(&mut out)?;
            out.flush().map_err(|err| from_stream("standard output", err))?;
            Ok(done)
        }
        Place::Path(path) => {
            let file = AtomicFile::create(path)?;
            let mut out = BufWriter::with_capacity(BUFFER_BYTES, file.as_file());
            let done = write(&mut out)?;
            out.flush().map_err(Error::io("write", path))?;
            drop(out);
            if options.replace {
                file.finish()?
            } else {
                file.finish_new()?
            }
            Ok(done)
        }
    }
}

/// The tar that was imported, compressed as it was.
fn same_tar(repo: &Repo, version: &Version, out: &mut dyn Write, progress: &dyn Progress) -> Result<String> {
    let artifact = &version.commit.artifact;
    let digest = Digest::parse(&artifact.digest)?;
    let images = repo.images();
    progress.begin("writing the tar", Some(artifact.size));
    let opened = images.open(&images.descriptor(&digest, artifact.size))?;
    let mut verified = Verifier::new(format!("tar {digest}"), &digest, artifact.size, opened);
    std::io::copy(&mut verified, out).map_err(|err| from_stream(format!("tar {digest}"), err))?;
    verified.finish()?;
    Ok(artifact.digest.clone())
}

pub fn to_folder(
    repo: &Repo,
    version: &Version,
    platform: Option<&str>,
    path: &Path,
    progress: &dyn Progress,
) -> Result<(Option<String>, Vec<Skipped>)> {
    let tree = repo.tree(version, platform)?;
    let options = CheckoutOptions::default();
    let done = checkout::checkout(&tree, &repo.nodes(), &repo.contents(), path, &options, progress)?;
    Ok((None, done.skipped))
}
