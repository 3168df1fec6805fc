use super::branch::list;
use super::session::Session;
use crate::error::Error;
use crate::error::Result;
use crate::history::refs::RefKind;
use crate::history::refs::RefName;
use crate::oci::name::ImageName;
use crate::repo::Signature;

/// List, create or delete tags
///
/// A tag is a name that stays: it does not move without --force. What imports move is a branch.
///
/// Example: imgit tag web:v1 web~2
#[derive(clap::Args)]
pub struct Args {
    /// The new tag; without it all tags are listed
    #[arg(value_name = "NAME:TAG")]
    tag: Option<String>,
    /// The version it names [default: NAME:latest]
    version: Option<String>,
    /// Delete the tag instead
    #[arg(short, long, requires = "tag", conflicts_with = "version")]
    delete: bool,
    /// Move a tag that exists
    #[arg(short, long, requires = "tag")]
    force: bool,
    /// With no tag to create: only those of names that match
    #[arg(long, value_name = "GLOB", conflicts_with = "tag")]
    list: Option<String>,
}

pub fn run(args: Args, session: &Session) -> Result<u8> {
    let repo = session.repo()?;
    let Some(tag) = &args.tag else {
        return list(&repo, RefKind::Tag, args.list.as_deref(), session);
    };
    let typed = ImageName::parse(tag).map_err(Error::typed)?;
    if typed.tag().is_none() {
        return Err(Error::Usage(format!("say which tag: `imgit tag {}:TAG`", typed.name())));
    }
    let name = RefName::of(&typed);
    let signature = Signature::now(None)?;
    if args.delete {
        let id = repo.delete_ref(&name, RefKind::Tag, &signature, session.progress())?;
        session.console.say(&format!("Deleted tag {name}, it was at {}", id.short()));
        return Ok(0);
    }
    let version = match &args.version {
        Some(text) => repo.resolve(text)?,
        None => repo.resolve(name.name())?,
    };
    repo.create_ref(&name, RefKind::Tag, version.id, args.force, &signature, session.progress())?;
    session.console.say(&format!("Tagged {} as {name}.", version.id.short()));
    Ok(0)
}
