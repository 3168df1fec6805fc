use super::session::Session;
use crate::cli::error::DAMAGE;
use crate::error::Result;
use crate::repo::Repo;
use crate::upkeep::fsck;
use crate::upkeep::fsck::FsckOptions;
use serde_json::json;

/// Check the store: packs, ids, trees, histories and refs
///
/// Exit code 6 when anything is damaged; each problem is named on a line of its own.
#[derive(clap::Args)]
pub struct Args {
    /// Read every content and compare it with its id; rebuild every layer and compare its digest
    #[arg(long, visible_alias = "scrub")]
    read_data: bool,
    /// Throw the index away and build it anew from the packs first
    #[arg(long)]
    rebuild: bool,
}

pub fn run(args: Args, session: &Session) -> Result<u8> {
    if args.rebuild {
        Repo::rebuild(&session.store_dir()?, session.global.lock_timeout(), session.progress())?;
        session.console.say("Rebuilt the index from the packs.");
    }
    let repo = session.repo()?;
    let report = fsck::fsck(&repo, &FsckOptions { read_data: args.read_data }, session.progress())?;
    let mut out = session.output();
    for problem in &report.problems {
        if out.is_json() {
            out.record(&json!({ "message_type": "problem", "message": problem }))?;
        } else {
            out.line(problem)?;
        }
    }
    if out.is_json() {
        out.record(&json!({
            "message_type": "summary", "problems": report.problems.len(), "packs": report.packs,
            "commits": report.commits, "objects": report.objects, "bytes_read": report.bytes_read,
        }))?;
    }
    out.finish()?;
    session.console.say(&format!(
        "Checked {} packs, {} commits, {} objects: {}.",
        report.packs,
        report.commits,
        report.objects,
        if report.problems.is_empty() {
            let data = if args.read_data { "" } else { " (contents not read; --read-data does)" };
            format!("sound{data}")
        } else {
            match report.problems.len() {
                1 => "1 problem".to_string(),
                several => format!("{several} problems"),
            }
        },
    ));
    Ok(if report.problems.is_empty() { 0 } else { DAMAGE })
}
