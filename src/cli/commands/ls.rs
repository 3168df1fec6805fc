use super::session::Session;
use crate::cli::output::Output;
use crate::cli::output::bytes;
use crate::cli::output::mode;
use crate::cli::output::time;
use crate::error::Error;
use crate::error::Result;
use crate::inspect::listing;
use crate::path::TreePath;
use crate::path::shown;
use crate::tree::Entry;
use crate::tree::Kind;
use crate::tree::walk;
use crate::tree::walk::Descend;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

/// List a folder of a version
///
/// Example: imgit ls -lR web:v1 /etc
#[derive(clap::Args)]
pub struct Args {
    /// The version: NAME[:REF] with git's ~N, ^N and @{DATE}, or a commit id
    version: String,
    /// The folder or file in the image [default: its root]
    path: Option<OsString>,
    /// Show mode, owner, size, time and link target
    #[arg(short, long)]
    long: bool,
    /// Show what is below, too
    #[arg(short = 'R', long)]
    recursive: bool,
    /// This platform of a multi-platform image, or this file system of a VM (/dev/sda1)
    #[arg(long, visible_alias = "filesystem", value_name = "OS/ARCH[/VARIANT]|DEVICE")]
    platform: Option<String>,
}

pub fn run(args: Args, session: &Session) -> Result<u8> {
    let repo = session.repo()?;
    let version = repo.resolve(&args.version)?;
    let tree = repo.tree(&version, args.platform.as_deref())?;
    let nodes = repo.nodes();
    let asked = match &args.path {
        Some(path) => TreePath::parse(path.as_bytes()).map_err(Error::typed)?,
        None => TreePath::root(),
    };
    let mut out = session.output();
    let absent = || Error::not_found("path", format!("{asked} in {}", version.shown));
    let (path, entry) = walk::resolve(&nodes, &tree, &asked)?.ok_or_else(absent)?;
    if !matches!(entry.kind, Kind::Dir(_)) {
        print(&mut out, &args, &path, path.as_bytes(), &entry)?;
        return out.finish().map(|()| 0);
    }
    walk::walk(&nodes, &tree, &path, &mut |at, entry| {
        if at == &path {
            return Ok(Descend::Into);
        }
        let name = if args.recursive { at.as_bytes() } else { &entry.name };
        print(&mut out, &args, at, name, entry)?;
        Ok(if args.recursive { Descend::Into } else { Descend::Skip })
    })?;
    out.finish()?;
    Ok(0)
}

fn print(out: &mut Output, args: &Args, path: &TreePath, name: &[u8], entry: &Entry) -> Result<()> {
    if out.is_json() {
        return out.record(&listing::entry_json(path, entry));
    }
    if !args.long {
        out.name(name)?;
        return out.raw(b"\n");
    }
    let size = match entry.kind {
        Kind::File { size, .. } => bytes(size),
        Kind::CharDevice { major, minor } | Kind::BlockDevice { major, minor } => format!("{major}, {minor}"),
        _ => String::from("-"),
    };
    let target = match &entry.kind {
        Kind::Symlink(target) => format!(" -> {}", shown(target)),
        _ => String::new(),
    };
    out.line(format!(
        "{} {:>5} {:>5} {:>9} {} {}{}",
        mode(entry),
        entry.attr.uid,
        entry.attr.gid,
        size,
        time(entry.attr.mtime),
        shown(name),
        target,
    ))
}
