use super::disk_args::ReadArgs;
use super::session::Session;
use crate::cli::output::diff as show;
use crate::disk::machine;
use crate::error::Error;
use crate::error::Result;
use crate::fs::scan::ScanOptions;
use crate::inspect::compare;
use crate::inspect::compare::Side;
use crate::inspect::machine as own;
use crate::oci::location::Location;
use crate::path::TreePath;
use crate::repo::Repo;
use crate::tree::diff::DiffOptions;
use crate::tree::diff::Times;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::path::PathBuf;

/// Show what changed between two versions
///
/// A and B are versions (NAME[:REF] with git's ~N, ^N and @{DATE}, or a commit id), folders of the
/// host, written with a slash (./rootfs), or disks: disk:PATH, raw:, qcow2:, vmdk:, vdi:, vhd:, vhdx:
/// or ova:PATH, or the path of a file that is one. Of a folder or a disk nothing is stored. `A..B` is
/// the same as `A B`. One version alone with --layer N shows what its layer N changed. Files that
/// differ in nothing but their time are counted, and listed with --times. Letters are git's: A added,
/// D deleted, M content or attributes modified, T another type, R renamed.
///
/// Example: imgit diff -p web~1 web /etc
#[derive(clap::Args)]
#[command(
    override_usage = "imgit diff [OPTIONS] <A> <B> [PATH]...\n       imgit diff [OPTIONS] <A>..<B> [PATH]..."
)]
pub struct Args {
    /// The old side, or both as A..B
    #[arg(value_name = "A")]
    old: String,
    /// The new side, then the paths in the image to look at [default: all]
    #[arg(value_name = "B [PATH]")]
    rest: Vec<OsString>,
    /// Compare layer N alone, counted from 1; with one version, what that layer changed
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    layer: Option<u32>,
    /// List files whose time is all that changed, too
    #[arg(long)]
    times: bool,
    /// Sizes before and after, and the sums
    #[arg(long, conflicts_with_all = ["name_status", "patch"])]
    stat: bool,
    /// Only a letter and a path on each line, as git does
    #[arg(long, conflicts_with = "patch")]
    name_status: bool,
    /// Show the changed lines of text files
    #[arg(short, long)]
    patch: bool,
    /// Lines of context around a change, for --patch
    #[arg(short = 'U', long, value_name = "N", default_value_t = 3)]
    unified: usize,
    /// Compare the image configs, too: env, entrypoint, cmd, user, ports, labels, history
    #[arg(long)]
    config: bool,
    /// Show a renamed file as one removed and one added
    #[arg(long)]
    no_renames: bool,
    /// Leave out what every installation has of its own: machine-id, host keys, logs, caches, leases
    #[arg(long)]
    ignore_machine: bool,
    /// Exit code 1 if anything differs, 0 if not
    #[arg(long)]
    exit_code: bool,
    /// Compare the trees of this platform, or this file system of VMs (/dev/sda1)
    #[arg(long, visible_alias = "filesystem", value_name = "OS/ARCH[/VARIANT]|DEVICE")]
    platform: Option<String>,
    #[command(flatten, next_help_heading = "Sides that are disks")]
    disk: ReadArgs,
}

pub fn run(args: Args, session: &Session) -> Result<u8> {
    if args.patch && session.global.json() {
        return Err(Error::Usage("--patch has no JSON form: each change names both contents".into()));
    }
    let (old, new, paths) = sides(&args)?;
    let repo = Lazy { session, repo: std::cell::OnceCell::new() };
    let layer = args.layer.map(|number| number as usize);
    let (old, new) = match (&new, layer) {
        (Some(new), layer) => (side(&old, layer, &args, &repo)?, side(new, layer, &args, &repo)?),
        (None, Some(number)) => {
            let version = repo.get()?.resolve(&old)?;
            let platform = args.platform.as_deref();
            // The upper one first: if there is no such layer, it is the one to name.
            let whole = Side::stack(repo.get()?, &version, platform, number)?;
            (Side::stack(repo.get()?, &version, platform, number - 1)?, whole)
        }
        (None, None) => {
            return Err(Error::Usage(format!(
                "compare {old} with what? `imgit diff {old}~1 {old}` shows its last change"
            )));
        }
    };
    // A list of names counts nothing, so folders that differ in times alone need no reading.
    let is_counted = !args.name_status || session.global.json();
    let options = DiffOptions {
        paths,
        times: match args.times {
            true => Times::List,
            false if is_counted => Times::Count,
            false => Times::Ignore,
        },
        renames: !args.no_renames,
        expand: true,
    };
    let mut diff = compare::compare(&old, &new, &options)?;
    let left_out = if args.ignore_machine { own::leave_out(&mut diff) } else { 0 };
    let configs = match args.config.then(|| Ok((old.config()?, new.config()?))).transpose()? {
        Some((Some(old), Some(new))) => compare::configs(&old, &new),
        _ => Vec::new(),
    };
    let mut out = session.output();
    show::configs(&mut out, &configs)?;
    if args.stat {
        show::stat(&mut out, &diff)?;
    } else if args.name_status {
        show::name_status(&mut out, &diff)?;
    } else {
        show::changes(&mut out, &diff)?;
        if args.patch {
            show::patch(&mut out, &diff, &old, &new, args.unified)?;
        }
    }
    out.finish()?;
    // After changed configs, "no differences" would read as if there were none at all.
    let is_told = !configs.is_empty() && diff.is_empty();
    if !args.stat && !args.name_status && !is_told {
        session.console.say(&show::summary(&diff, args.times));
    }
    if left_out > 0 {
        session.console.say(&format!("{left_out} more are what every installation has of its own."));
    }
    let differ = !diff.is_empty() || !configs.is_empty() || (args.times && diff.counts.times_only > 0);
    Ok(u8::from(args.exit_code && differ))
}

/// What was typed, as old side, new side and paths.
fn sides(args: &Args) -> Result<(String, Option<String>, Vec<TreePath>)> {
    let mut rest = args.rest.iter();
    let (old, new) = match args.old.split_once("..") {
        Some((old, new))
            if !is_path(&args.old) && as_disk(&args.old).is_none() && !old.is_empty() && !new.is_empty() =>
        {
            (old.to_string(), Some(new.to_string()))
        }
        _ if args.layer.is_some()
            && args.rest.first().is_none_or(|next| next.as_bytes().starts_with(b"/")) =>
        {
            (args.old.clone(), None)
        }
        _ => {
            let text = |text: &OsString| {
                text.to_str()
                    .map(String::from)
                    .ok_or_else(|| Error::Usage("the new side's name is not UTF-8".into()))
            };
            (args.old.clone(), rest.next().map(text).transpose()?)
        }
    };
    let paths =
        rest.map(|path| TreePath::parse(path.as_bytes()).map_err(Error::typed)).collect::<Result<_>>()?;
    Ok((old, new, paths))
}

/// What is on the host is told from a name by how it begins, as the shell does with commands.
fn is_path(text: &str) -> bool {
    text == "." || text == ".." || text.starts_with('/') || text.starts_with("./") || text.starts_with("../")
}

/// `qcow2:PATH` and the like: its format and its path. A name may begin so too, as in `raw:latest`;
/// then it is none unless there is such a file.
fn as_disk(text: &str) -> Option<(Option<&'static str>, PathBuf)> {
    match Location::parse(text) {
        Ok(Location::Disk { format, path })
            if path.to_str().is_some_and(is_path)
                || crate::fs::look(&path).is_ok_and(|there| there.is_some()) =>
        {
            Some((format, path))
        }
        _ => None,
    }
}

fn side<'a>(text: &str, layer: Option<usize>, args: &Args, repo: &'a Lazy) -> Result<Side<'a>> {
    let platform = args.platform.as_deref();
    let disk = |format: Option<&str>, path: &Path| {
        Side::disk(path, format, platform, args.patch, &args.disk.options()?, repo.session.progress())
    };
    if let Some((format, path)) = as_disk(text) {
        return disk(format, &path);
    }
    if is_path(text) {
        let path = Path::new(text);
        let there = crate::fs::look(path)?.ok_or_else(|| Error::not_found("folder or disk", text))?;
        if there.is_dir() {
            return Side::folder(path.to_path_buf(), &ScanOptions::default(), repo.session.progress());
        }
        let format = machine::recognise(path)?;
        let format = format.ok_or_else(|| Error::invalid(text, "is neither a folder nor a disk"))?;
        return disk(Some(format), path);
    }
    let version = match repo.get().and_then(|repo| Ok((repo, repo.resolve(text)?))) {
        Ok(found) => found,
        // A file's name alone, as import takes it; what is in the store comes first.
        Err(err) => match recognised(text) {
            Some(format) => {
                repo.session.console.say(&format!("Taking {text} for {format}:{text}"));
                return disk(Some(format), Path::new(text));
            }
            None => {
                return Err(match Location::parse(text) {
                    Ok(Location::Disk { path, .. }) => {
                        err.with_hint(format!("nor is there a file {}", path.display()))
                    }
                    _ => err,
                });
            }
        },
    };
    match (version, layer) {
        ((repo, version), Some(number)) => Side::layer(repo, &version, platform, number),
        ((repo, version), None) => Side::version(repo, &version, platform),
    }
}

fn recognised(path: &str) -> Option<&'static str> {
    let there = crate::fs::look(path.as_ref()).ok().flatten()?;
    if there.is_dir() { None } else { machine::recognise(path.as_ref()).ok().flatten() }
}

/// Folders and disks can be compared without a store.
struct Lazy<'a> {
    session: &'a Session,
    repo: std::cell::OnceCell<Repo>,
}

impl Lazy<'_> {
    fn get(&self) -> Result<&Repo> {
        if self.repo.get().is_none() {
            let _ = self.repo.set(self.session.repo()?);
        }
        Ok(self.repo.get().expect("set above"))
    }
}
