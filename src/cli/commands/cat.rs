use super::session::Session;
use crate::content::ContentSource;
use crate::error::Error;
use crate::error::Result;
use crate::error::from_stream;
use crate::path::TreePath;
use crate::path::shown;
use crate::tree::Kind;
use crate::tree::walk;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

/// Print files of a version
///
/// Symbolic links are followed inside the image, never outside it.
///
/// Example: imgit cat web~1 /etc/os-release
#[derive(clap::Args)]
pub struct Args {
    /// The version: NAME[:REF] with git's ~N, ^N and @{DATE}, or a commit id
    version: String,
    /// The files' paths in the image
    #[arg(required = true)]
    paths: Vec<OsString>,
    /// This platform of a multi-platform image, or this file system of a VM (/dev/sda1)
    #[arg(long, visible_alias = "filesystem", value_name = "OS/ARCH[/VARIANT]|DEVICE")]
    platform: Option<String>,
}

pub fn run(args: Args, session: &Session) -> Result<u8> {
    let repo = session.repo()?;
    let version = repo.resolve(&args.version)?;
    let tree = repo.tree(&version, args.platform.as_deref())?;
    let mut out = session.output();
    for path in &args.paths {
        let path = TreePath::parse(path.as_bytes()).map_err(Error::typed)?;
        let absent = || Error::not_found("path", format!("{path} in {}", version.shown));
        let (_, entry) = walk::resolve(&repo.nodes(), &tree, &path)?.ok_or_else(absent)?;
        let Kind::File { content, size } = entry.kind else {
            return Err(Error::Usage(format!("{path} in {} is not a regular file", version.shown)));
        };
        let contents = repo.contents();
        let mut from = contents.open(&content, 0, size)?;
        std::io::copy(&mut from, &mut out).map_err(|err| from_stream(shown(path.as_bytes()), err))?;
    }
    out.finish()?;
    Ok(0)
}
