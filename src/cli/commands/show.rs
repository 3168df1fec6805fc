use super::log;
use super::session::Session;
use crate::cli::output::diff as show_diff;
use crate::error::Result;
use crate::inspect::compare;
use crate::inspect::compare::Side;
use crate::repo::Version;
use crate::tree::diff::DiffOptions;

/// Show a version: who, when, from where, and what it changed
#[derive(clap::Args)]
pub struct Args {
    /// The version: NAME[:REF] with git's ~N, ^N and @{DATE}, or a commit id
    version: String,
    /// Sizes before and after of what it changed, and the sums
    #[arg(long)]
    stat: bool,
    /// Show the changed lines of text files, too
    #[arg(short, long, conflicts_with = "stat")]
    patch: bool,
    /// Compare the trees of this platform
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Option<String>,
}

pub fn run(args: Args, session: &Session) -> Result<u8> {
    let repo = session.repo()?;
    let version = repo.resolve(&args.version)?;
    let names = log::decorations(&repo)?.remove(&version.id).unwrap_or_default();
    let mut out = session.output();
    if out.is_json() {
        out.record(&log::as_json(&version.id, &version.commit, &names))?;
    } else {
        for line in log::paragraph(&version.id, &version.commit, &names) {
            out.line(line)?;
        }
    }
    let Some(parent) = version.commit.parents.first() else {
        out.finish()?;
        return Ok(0);
    };
    let parent = Version { id: *parent, commit: repo.commit(parent)?, name: None, shown: parent.short() };
    if !version.commit.trees.is_empty() && !parent.commit.trees.is_empty() {
        let old = Side::version(&repo, &parent, args.platform.as_deref())?;
        let new = Side::version(&repo, &version, args.platform.as_deref())?;
        let diff = compare::compare(&old, &new, &DiffOptions::default())?;
        if args.stat {
            show_diff::stat(&mut out, &diff)?;
        } else {
            show_diff::changes(&mut out, &diff)?;
        }
        if args.patch {
            show_diff::patch(&mut out, &diff, &old, &new, 3)?;
        }
    }
    out.finish()?;
    Ok(0)
}
