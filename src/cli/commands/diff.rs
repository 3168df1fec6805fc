use super::session::Session;
use crate::cli::output::diff as show;
use crate::error::Error;
use crate::error::Result;
use crate::fs::scan::ScanOptions;
use crate::inspect::compare;
use crate::inspect::compare::Side;
use crate::inspect::machine;
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
/// A and B are versions (NAME[:REF] with git's ~N, ^N and @{DATE}, or a commit id), or folders of
/// the host, written with a slash (./rootfs). `A..B` is the same as `A B`. One version alone with
/// --layer N shows what its layer N changed. Files that differ in nothing but their time are counted,
/// and listed with --times. Letters are git's: A added, D deleted, M content or attributes modified,
/// T another type, R renamed.
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
    let left_out = if args.ignore_machine { machine::leave_out(&mut diff) } else { 0 };
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
        Some((old, new)) if !is_folder(&args.old) && !old.is_empty() && !new.is_empty() => {
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

/// A folder is told from a name by how it begins, as the shell does with commands.
fn is_folder(text: &str) -> bool {
    text == "." || text == ".." || text.starts_with('/') || text.starts_with("./") || text.starts_with("../")
}

fn side<'a>(text: &str, layer: Option<usize>, args: &Args, repo: &'a Lazy) -> Result<Side<'a>> {
    if is_folder(text) {
        if !Path::new(text).is_dir() {
            return Err(Error::not_found("folder", text));
        }
        return Side::folder(PathBuf::from(text), &ScanOptions::default(), repo.session.progress());
    }
    let repo = repo.get()?;
    let version = repo.resolve(text)?;
    match layer {
        Some(number) => Side::layer(repo, &version, args.platform.as_deref(), number),
        None => Side::version(repo, &version, args.platform.as_deref()),
    }
}

/// Two folders can be compared without a store.
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
