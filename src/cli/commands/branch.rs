use super::session::Session;
use crate::cli::output::time;
use crate::error::Error;
use crate::error::Result;
use crate::history::refs::RefKind;
use crate::history::refs::RefName;
use crate::oci::name::ImageName;
use crate::repo::Repo;
use crate::repo::Signature;
use serde_json::json;

/// List, create or delete branches
///
/// A branch is a name that moves: each import or pull that finds it changed adds a commit. The tag
/// of a registry is a branch here.
///
/// Example: imgit branch web:testing web~2
#[derive(clap::Args)]
pub struct Args {
    /// The new branch; without it all branches are listed
    #[arg(value_name = "NAME:BRANCH")]
    branch: Option<String>,
    /// The version it starts at [default: NAME:latest]
    version: Option<String>,
    /// Delete the branch instead; its versions stay until gc, and in the reflog
    #[arg(short, long, requires = "branch", conflicts_with = "version")]
    delete: bool,
    /// Move a branch that exists
    #[arg(short, long, requires = "branch")]
    force: bool,
    /// With no branch to create: only those of names that match
    #[arg(long, value_name = "GLOB", conflicts_with = "branch")]
    list: Option<String>,
}

pub fn run(args: Args, session: &Session) -> Result<u8> {
    let repo = session.repo()?;
    let Some(branch) = &args.branch else {
        return list(&repo, RefKind::Branch, args.list.as_deref(), session);
    };
    let typed = ImageName::parse(branch).map_err(Error::typed)?;
    if typed.tag().is_none() {
        return Err(Error::Usage(format!("say which branch: `imgit branch {}:BRANCH`", typed.name())));
    }
    let name = RefName::of(&typed);
    let signature = Signature::now(None)?;
    if args.delete {
        let id = repo.delete_ref(&name, RefKind::Branch, &signature, session.progress())?;
        session.console.say(&format!("Deleted branch {name}, it was at {}", id.short()));
        return Ok(0);
    }
    let version = match &args.version {
        Some(text) => repo.resolve(text)?,
        None => repo.resolve(name.name())?,
    };
    repo.create_ref(&name, RefKind::Branch, version.id, args.force, &signature, session.progress())?;
    session.console.say(&format!("Branched {name} from {}", version.id.short()));
    Ok(0)
}

/// Lists refs of one kind; tags are listed the same way.
pub fn list(repo: &Repo, kind: RefKind, glob: Option<&str>, session: &Session) -> Result<u8> {
    let glob = super::name_glob(glob)?;
    let mut out = session.output();
    let mut rows = Vec::new();
    for found in repo.refs()? {
        if found.kind != kind || !glob.is_match(found.name.name()) {
            continue;
        }
        let commit = repo.commit(&found.commit)?;
        if out.is_json() {
            out.record(&json!({
                "name": found.name.name(), "ref": found.name.reference(), "commit": found.commit.to_string(),
                "digest": commit.artifact.digest, "time": commit.time.secs, "message": commit.message,
            }))?;
        } else {
            rows.push(vec![found.name.to_string(), found.commit.short(), time(commit.time), commit.message]);
        }
    }
    if !out.is_json() && !rows.is_empty() {
        let heading = if kind == RefKind::Tag { "TAG" } else { "BRANCH" };
        out.table(&[heading, "COMMIT", "TIME", "MESSAGE"], &rows)?;
    }
    out.finish()?;
    Ok(0)
}
