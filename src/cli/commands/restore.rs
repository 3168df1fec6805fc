use super::session::Session;
use crate::error::Error;
use crate::error::Result;
use crate::history::refs::RefKind;
use crate::repo::Signature;

/// Set a branch back to an older version of itself, or to any other
///
/// Nothing is deleted: `imgit reflog` shows where the branch was, and `imgit restore NAME NAME@{1}`
/// goes back.
///
/// Example: imgit restore web web~1
#[derive(clap::Args)]
pub struct Args {
    /// The branch that moves
    #[arg(value_name = "NAME[:REF]")]
    branch: String,
    /// The version it shall be at, e.g. web~1 or web@{yesterday}
    version: String,
}

pub fn run(args: Args, session: &Session) -> Result<u8> {
    let repo = session.repo()?;
    let branch = repo.existing_ref(&args.branch)?;
    if branch.kind != RefKind::Branch {
        return Err(Error::Usage(format!(
            "{} is a tag: tags stay where they are; `imgit tag --force` moves one",
            branch.name
        )));
    }
    let version = repo.resolve(&args.version)?;
    let moved = repo.set_ref(
        &branch,
        version.id,
        &Signature::now(None)?,
        &format!("restore: to {}", args.version),
        session.progress(),
    )?;
    match moved {
        true => session.console.say(&format!("{} is now at {}", branch.name, version.id.short())),
        false => session.console.say(&format!("{} is at {} already", branch.name, version.id.short())),
    }
    Ok(0)
}
