//! The disks of a guest: the same bytes in a raw file, or in a format that `qemu-img` writes.

use super::ExportOptions;
use crate::disk::document::Disk;
use crate::disk::format;
use crate::disk::format::Format;
use crate::disk::format::OpenOptions;
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
use std::ffi::OsString;
use std::io::Read;
use std::io::Seek;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

/// How often it is looked whether `qemu-img` is done, or somebody wants it to stop.
const POLL: Duration = Duration::from_millis(20);
const SAID_BYTES_MAX: u64 = 4096;

/// `format` is `raw` or another of qemu's; `None` is the one that each disk came in. A file that was
/// kept as it was goes out as it was. A guest of several disks goes into a folder, each disk under
/// its own name. Returns what [`one`] does.
pub fn to_file(
    repo: &Repo,
    version: &Version,
    format: Option<&str>,
    path: &Path,
    options: &ExportOptions,
    progress: &dyn Progress,
) -> Result<(Option<String>, bool)> {
    let artifact = &version.commit.artifact;
    let no_disk =
        || Error::Usage(format!("{} is no disk: its kind is {}", version.shown, artifact.kind.word()));
    let document = repo.guest(artifact)?.ok_or_else(no_disk)?;
    if let [disk] = &document.disks[..] {
        let (digest, is_of_guest) = one(repo, disk, format, path, options, progress)?;
        return Ok((Some(digest), is_of_guest));
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
    Ok((None, false))
}

/// Returns the digest of what stands at `path`, or, if `true` stands beside it, of the disk in it: a
/// file that was converted is another each time.
fn one(
    repo: &Repo,
    disk: &Disk,
    format: Option<&str>,
    path: &Path,
    options: &ExportOptions,
    progress: &dyn Progress,
) -> Result<(String, bool)> {
    let word = format.unwrap_or(&disk.format);
    let format =
        Format::named(word).ok_or_else(|| Error::Usage(format!("disks cannot be written as {word}:")))?;
    let digest = match &disk.file_digest {
        Some(file) if format.name() == disk.format => file,
        _ => &disk.digest,
    };
    if !options.replace && fs::look_no_follow(path)?.is_some() {
        return Err(Error::Exists { kind: "file", name: path.display().to_string() });
    }
    let is_done = format == Format::Raw || *digest != disk.digest;
    let file = AtomicFile::create(path)?;
    let id = Digest::parse(digest)?.diff_id();
    let id = id.ok_or_else(|| Error::invalid(format!("digest {digest}"), "is no SHA-256"))?;
    let size = if *digest == disk.digest { disk.size } else { disk.file_size };
    progress.begin(&format!("writing {}", disk.name), Some(size));
    let mut recipe = repo.open_recipe(&id)?;
    rebuild(&mut recipe, &repo.contents(), &mut Sparse { file: file.as_file(), path }, progress)?;
    if is_done {
        put(file, options)?;
        return Ok((digest.clone(), false));
    }
    let made = AtomicFile::create(path)?;
    progress.begin(&format!("converting to {}", format.name()), None);
    convert(file.temporary(), made.temporary(), format, disk.size, progress)?;
    put(made, options)?;
    Ok((disk.digest.clone(), true))
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

/// Has `qemu-img` write the same disk in another format, and looks whether it did: some formats hold
/// only certain sizes.
fn convert(from: &Path, to: &Path, format: Format, size: u64, progress: &dyn Progress) -> Result<()> {
    let mut command = Command::new("qemu-img");
    command.args(["convert", "-f", "raw", "-O", format.qemu_name()]);
    if format == Format::Vhd {
        // Else it rounds the size up to a number of cylinders.
        command.args(["-o", "force_size=on"]);
    }
    command.arg("--").arg(local(from)?).arg(local(to)?);
    let mut said = fs::spool(&mut std::io::empty(), "qemu-img")?;
    let errors = said.try_clone().map_err(Error::io("read from", "qemu-img"))?;
    let run = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::from(errors)).spawn();
    let mut child = run.map_err(|err| {
        let missing = err.kind() == std::io::ErrorKind::NotFound;
        let err = Error::io("run", "qemu-img")(err);
        if missing { err.with_hint("apt install qemu-utils, or export to raw:") } else { err }
    })?;
    let status = loop {
        if progress.cancelled() {
            let _ = child.kill();
            let _ = child.wait();
            return Err(Error::Interrupted);
        }
        match child.try_wait().map_err(Error::io("wait for", "qemu-img"))? {
            Some(status) => break status,
            None => std::thread::sleep(POLL),
        }
    };
    if !status.success() {
        let mut text = Vec::new();
        let read = said.rewind().and_then(|()| said.take(SAID_BYTES_MAX).read_to_end(&mut text));
        read.map_err(Error::io("read from", "qemu-img"))?;
        return Err(Error::invalid("qemu-img", String::from_utf8_lossy(&text).trim().to_owned()));
    }
    let found = format::open(to, Some(format), &OpenOptions::default())?.disk.size();
    if found != size {
        return Err(Error::Mismatch {
            thing: format!("size of the disk as {}", format.name()),
            expected: format!("{size} bytes"),
            found: format!("{found} bytes"),
        }
        .with_hint("export to raw:, which holds any size"));
    }
    Ok(())
}

/// A path that qemu takes for nothing but a path.
fn local(path: &Path) -> Result<OsString> {
    let mut local = OsString::from("file:");
    local.push(fs::canonical(path)?);
    Ok(local)
}
