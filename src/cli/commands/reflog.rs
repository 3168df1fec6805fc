use super::session::Session;
use crate::cli::output::time;
use crate::error::Error;
use crate::error::Result;
use crate::history::refs::RefName;
use crate::oci::name::ImageName;
use serde_json::json;

/// Show where a branch or tag has been, newest first
///
/// Every move is kept, also of what was deleted. NAME@{N} names the version of line N, and
/// NAME@{yesterday} what it was then.
///
/// Example: imgit reflog web:latest
#[derive(clap::Args)]
pub struct Args {
    /// The branch or tag
    #[arg(value_name = "NAME[:REF]")]
    name: String,
    /// Show at most so many
    #[arg(short = 'n', long, value_name = "N")]
    max_count: Option<usize>,
}

pub fn run(args: Args, session: &Session) -> Result<u8> {
    let repo = session.repo()?;
    let name = RefName::of(&ImageName::parse(&args.name).map_err(Error::typed)?);
    let mut out = session.output();
    let entries = repo.reflog(&name)?;
    if entries.is_empty() {
        return Err(Error::not_found("branch or tag", name.to_string()));
    }
    for (back, entry) in entries.iter().enumerate().take(args.max_count.unwrap_or(usize::MAX)) {
        let id = |id: Option<crate::id::CommitId>| id.map(|id| id.to_string());
        if out.is_json() {
            out.record(&json!({
                "name": name.to_string(), "back": back, "old": id(entry.old), "new": id(entry.new),
                "time": entry.time.secs, "who": entry.who, "message": entry.message,
            }))?;
        } else {
            let now = entry.new.map_or_else(|| "deleted ".to_string(), |id| id.short());
            out.line(format!("{now} {}@{{{back}}} {} {}", name, time(entry.time), entry.message))?;
        }
    }
    out.finish()?;
    Ok(0)
}
