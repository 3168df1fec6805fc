use super::session::Session;
use crate::error::Error;
use crate::error::Result;
use crate::inspect::find;
use crate::inspect::find::Filter;
use crate::inspect::listing;
use crate::path::TreePath;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

/// Find files of a version by name, type, size, mode or time
///
/// All conditions must hold; the letters and signs are those of find(1).
///
/// Example: imgit find web --type f --mode -4000 --size +1M
#[derive(clap::Args)]
pub struct Args {
    /// The version: NAME[:REF] with git's ~N, ^N and @{DATE}, or a commit id
    version: String,
    /// Look only in these folders of the image [default: all]
    paths: Vec<OsString>,
    /// A pattern: with a slash it is matched against the whole path, else against the last part
    #[arg(long, visible_alias = "path", value_name = "GLOB")]
    name: Vec<String>,
    /// f file, d folder, l symbolic link, c and b device, p fifo, s socket
    #[arg(long = "type", value_name = "TYPE", value_delimiter = ',')]
    types: Vec<char>,
    /// Bytes, with k, M, G or T: +N more than, -N less than, N exactly
    #[arg(long, value_name = "[+-]N", allow_hyphen_values = true)]
    size: Vec<String>,
    /// Octal: -MODE all these bits, /MODE any of them, MODE exactly
    #[arg(long, value_name = "[-/]MODE", allow_hyphen_values = true)]
    mode: Option<String>,
    /// Numeric owner
    #[arg(long)]
    uid: Option<u64>,
    /// Numeric group
    #[arg(long)]
    gid: Option<u64>,
    /// Changed after this date or time
    #[arg(long, value_name = "DATE")]
    newer: Option<String>,
    /// Carries an extended attribute of this name, e.g. security.capability
    #[arg(long, value_name = "NAME")]
    xattr: Option<String>,
    /// End names with NUL instead of a new line
    #[arg(short = '0', long)]
    print0: bool,
    /// This platform of a multi-platform image, or this file system of a VM (/dev/sda1)
    #[arg(long, visible_alias = "filesystem", value_name = "OS/ARCH[/VARIANT]|DEVICE")]
    platform: Option<String>,
}

pub fn run(args: Args, session: &Session) -> Result<u8> {
    let filter = Filter::parse(&find::Words {
        names: &args.name,
        types: &args.types,
        sizes: &args.size,
        mode: args.mode.as_deref(),
        uid: args.uid,
        gid: args.gid,
        newer: args.newer.as_deref(),
        xattr: args.xattr.as_deref(),
    })?;
    let repo = session.repo()?;
    let version = repo.resolve(&args.version)?;
    let tree = repo.tree(&version, args.platform.as_deref())?;
    let mut under = Vec::new();
    for path in &args.paths {
        under.push(TreePath::parse(path.as_bytes()).map_err(Error::typed)?);
    }
    let mut out = session.output();
    find::find(&repo.nodes(), &tree, &under, &filter, &mut |path, entry| {
        if out.is_json() {
            return out.record(&listing::entry_json(path, entry));
        }
        out.raw(b"/")?;
        if args.print0 {
            out.raw(path.as_bytes())?;
            return out.raw(b"\0");
        }
        out.name(path.as_bytes())?;
        out.raw(b"\n")
    })?;
    out.finish()?;
    Ok(0)
}
