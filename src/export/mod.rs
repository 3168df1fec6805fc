//! Out: an image to where images go, its digests as they came in, or its tree to a tar or folder.

pub mod acl;
pub mod checkout;
mod disk;
mod image;
pub mod skipped;
pub mod steps;
pub mod tar;
mod tree;

#[cfg(test)]
pub(crate) mod testing;

use crate::error::Doing;
use crate::error::Error;
use crate::error::Result;
use crate::history::commit::ArtifactKind;
use crate::history::refs::RefName;
use crate::oci::location;
use crate::oci::location::Location;
use crate::oci::location::Place;
use crate::oci::platform::Platform;
use crate::progress::Progress;
use crate::repo::Repo;
use crate::repo::Version;
use skipped::Skipped;
use std::io::Write;
use std::path::Path;

pub struct ExportOptions {
    /// Of a multi-platform image, this platform alone.
    pub platform: Option<Platform>,
    /// Of a guest, the files of this file system alone, by its device.
    pub filesystem: Option<String>,
    /// Put a new archive or `dir:` over an old one.
    pub replace: bool,
    /// What the sink shall call the image, where the location does not say.
    pub name: Option<RefName>,
    /// What `-` stands for as the path of an archive.
    pub standard_output: fn() -> Box<dyn Write + Send>,
}

impl ExportOptions {
    /// Which tree of the version is meant.
    fn tree(&self) -> Option<String> {
        self.filesystem.clone().or_else(|| self.platform.as_ref().map(ToString::to_string))
    }
}

pub struct Exported {
    /// What the sink was taken for.
    pub sink: String,
    /// The digest of the manifest, index or disk that was written; `None` for trees.
    pub digest: Option<String>,
    /// The digest is that of the bytes that the guest sees, not of the file that holds them.
    pub is_of_guest: bool,
    /// What the place could not take: owners, say, when not root.
    pub skipped: Vec<Skipped>,
}

/// Writes `version` to `sink`; a bare path is a folder to be made, `./` in front if it has a colon, or a
/// guest's disk by its name: `vm.qcow2`.
pub fn export(
    repo: &Repo,
    version: &Version,
    sink: &Location,
    options: &ExportOptions,
    progress: &dyn Progress,
) -> Result<Exported> {
    let platform = options.tree();
    let platform = platform.as_deref();
    let sink = match sink {
        Location::Bare(place @ Place::Path(path)) => {
            let text = place.to_string();
            // A folder of that name would be there, and no image where it was meant to go.
            if let Some(word) = location::unknown_transport(&text) {
                return Err(Error::Usage(format!(
                    "cannot export to {text}: `{word}:` is no transport that imgit knows"
                ))
                .with_hint(format!("there are {}; ./{text} is a folder", location::TRANSPORTS)));
            }
            &place_of(version, path, options)
        }
        other => other,
    };
    let mut is_of_guest = false;
    let done = match sink {
        Location::Tar(place) => tree::to_tar(repo, version, place, options, progress),
        Location::Disk { format, path } => disk::to_file(repo, version, *format, path, options, progress)
            .map(|(digest, of_guest)| {
                is_of_guest = of_guest;
                (digest, Vec::new())
            }),
        Location::Directory(path) => tree::to_folder(repo, version, platform, path, progress),
        _ => image::to_sink(repo, version, sink, options, progress),
    };
    let (digest, skipped) = done.doing(|| format!("cannot export {} to {sink}", version.shown))?;
    Ok(Exported { sink: sink.to_string(), digest, is_of_guest, skipped })
}

/// What a path alone means: a folder for the files, but for a guest one with the name of a disk is a
/// disk, unless it ends in a slash or a folder is there.
fn place_of(version: &Version, path: &Path, options: &ExportOptions) -> Location {
    let is_folder = path.as_os_str().as_encoded_bytes().ends_with(b"/") || path.is_dir();
    if version.commit.artifact.kind == ArtifactKind::Disk && options.filesystem.is_none() && !is_folder {
        let ending = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
        let word = if ending == "img" { "raw" } else { &ending[..] };
        if let Some(format) = location::DISKS.into_iter().find(|format| *format == word) {
            return Location::Disk { format: Some(format), path: path.to_path_buf() };
        }
    }
    Location::Directory(path.to_path_buf())
}

/// A version that is no image cannot become one by itself.
fn no_image(version: &Version) -> Error {
    let kind = version.commit.artifact.kind.word();
    if version.commit.artifact.kind == ArtifactKind::Disk {
        return Error::Usage(format!("{} is a disk, not an image", version.shown))
            .with_hint("export the disk to raw:PATH or qcow2:PATH, its files to tar:PATH or to a folder");
    }
    Error::Usage(format!("{} is a {kind}, not an image: export it to tar:PATH or to a folder", version.shown))
}
