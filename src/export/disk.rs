//! The disks of a guest: the same bytes in a raw file, or in a format that `qemu-img` writes.

use super::ExportOptions;
use super::skipped::Skipped;
use crate::disk::document::Disk;
use crate::disk::skeleton::rebuild::SparseOutput;
use crate::disk::skeleton::rebuild::rebuild;
use crate::error::Error;
use crate::error::Result;
use crate::fs;
use crate::fs::AtomicFile;
use crate::oci::digest::Digest;
use crate::progress::Progress;
use crate::repo::Repo;
use crate::repo::Version;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;

/// `format` is `raw` or another of qemu's; `None` is the one that each disk came in. A file that was
/// kept as it was goes out as it was. A guest of several disks goes into a folder, each disk under
/// its own name.
pub fn to_file(
    repo: &Repo,
    version: &Version,
    format: Option<&str>,
    path: &Path,
    options: &ExportOptions,
    progress: &dyn Progress,
) -> Result<(Option<String>, Vec<Skipped>)> {
    let artifact = &version.commit.artifact;
    let no_disk = || Error::Usage(format!("{} is a {}, not a disk", version.shown, artifact.kind.word()));
    let document = repo.guest(artifact)?.ok_or_else(no_disk)?;
    if let [disk] = &document.disks[..] {
        let digest = one(repo, disk, format, path, options, progress)?;
        return Ok((Some(digest), Vec::new()));
    }
    if fs::look(path)?.is_none() {
        fs::create_dir(path)?;
    }
    for (number, disk) in document.disks.iter().enumerate() {
        // The name is the person's own file's, but a document may come from anywhere.
        let stem =
            Path::new(&disk.name).file_stem().map_or_else(|| "disk".into(), |stem| stem.to_string_lossy());
        let name = format!("{}-{stem}.{}", number + 1, format.unwrap_or(&disk.format));
        one(repo, disk, format, &path.join(name), options, progress)?;
    }
    Ok((None, Vec::new()))
}

/// Returns the digest of what stands at `path`, where that is known.
fn one(
    repo: &Repo,
    disk: &Disk,
    format: Option<&str>,
    path: &Path,
    options: &ExportOptions,
    progress: &dyn Progress,
) -> Result<String> {
    let format = format.unwrap_or(&disk.format);
    let digest = match &disk.file_digest {
        Some(file) if format == disk.format => file,
        _ => &disk.digest,
    };
    if !options.replace && fs::look_no_follow(path)?.is_some() {
        return Err(Error::Exists { kind: "file", name: path.display().to_string() });
    }
    let is_done = format == "raw" || *digest != disk.digest;
    let file = AtomicFile::create(path)?;
    let id = Digest::parse(digest)?.diff_id();
    let id = id.ok_or_else(|| Error::invalid(format!("digest {digest}"), "is no SHA-256"))?;
    let size = if *digest == disk.digest { disk.size } else { disk.file_size };
    progress.begin(&format!("writing {}", disk.name), Some(size));
    let mut recipe = repo.open_recipe(&id)?;
    rebuild(&mut recipe, &repo.contents(), &mut Sparse { file: file.as_file(), path }, progress)?;
    if is_done {
        put(file, options)?;
        return Ok(digest.clone());
    }
    let made = AtomicFile::create(path)?;
    progress.begin(&format!("converting to {format}"), None);
    convert(file.temporary(), made.temporary(), format, progress)?;
    put(made, options)?;
    Ok(disk.digest.clone())
}

fn put(file: AtomicFile, options: &ExportOptions) -> Result<()> {
    if options.replace { file.finish() } else { file.finish_new() }
}

struct Sparse<'a> {
    file: &'a fs::File,
    path: &'a Path,
}

impl SparseOutput for Sparse<'_> {
    fn set_len(&mut self, len: u64) -> Result<()> {
        self.file.set_len(len).map_err(Error::io("set the size of", self.path))
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.file.write_all_at(bytes, offset).map_err(Error::io("write", self.path))
    }
}

/// Has `qemu-img` write the same disk in another format.
fn convert(from: &Path, to: &Path, format: &str, progress: &dyn Progress) -> Result<()> {
    let qemu = crate::disk::format::Format::named(format).map_or(format, |format| format.qemu_name());
    let mut command = Command::new("qemu-img");
    command.args(["convert", "-f", "raw", "-O", qemu, "--"]).arg(from).arg(to);
    let run = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
    let mut child = run.map_err(|err| {
        let missing = err.kind() == std::io::ErrorKind::NotFound;
        let err = Error::io("run", "qemu-img")(err);
        if missing { err.with_hint("apt install qemu-utils, or export to raw:") } else { err }
    })?;
    loop {
        if progress.cancelled() {
            let _ = child.kill();
            let _ = child.wait();
            return Err(Error::Interrupted);
        }
        match child.try_wait().map_err(Error::io("wait for", "qemu-img"))? {
            Some(status) if status.success() => return Ok(()),
            Some(_) => break,
            None => std::thread::sleep(std::time::Duration::from_millis(20)),
        }
    }
    let said = child.wait_with_output().map_err(Error::io("wait for", "qemu-img"))?;
    Err(Error::invalid("qemu-img", String::from_utf8_lossy(&said.stderr).trim().to_owned()))
}
