use super::session::Session;
use crate::cli::output::bytes;
use crate::error::Result;
use crate::upkeep::gc;
use crate::upkeep::gc::GcOptions;
use serde_json::json;

/// Free what no branch, tag or recent reflog line leads to
///
/// Safe at any time, also while another imgit imports.
#[derive(clap::Args)]
pub struct Args {
    /// Only say what would be freed
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Keep what a ref named within so many days, even if it has moved on or was deleted
    #[arg(long, value_name = "DAYS", default_value_t = gc::KEEP_DAYS)]
    keep_days: u32,
}

pub fn run(args: Args, session: &Session) -> Result<u8> {
    let repo = session.repo()?;
    let options = GcOptions { dry_run: args.dry_run, keep_days: args.keep_days };
    let done = gc::gc(&repo, &options, session.progress())?;
    let mut out = session.output();
    if out.is_json() {
        out.record(&json!({
            "message_type": "summary", "dry_run": args.dry_run, "dropped_objects": done.dropped,
            "dropped_bytes": done.dropped_bytes, "packs_rewritten": done.packs_rewritten, "freed_bytes": done.freed_bytes,
        }))?;
    } else {
        let verb = if args.dry_run { "Would free" } else { "Freed" };
        session.console.say(&format!(
            "{verb} {} on disk: {} objects of {}; {} packs rewritten.",
            bytes(done.freed_bytes.max(0) as u64),
            done.dropped,
            bytes(done.dropped_bytes),
            done.packs_rewritten,
        ));
    }
    out.finish()?;
    Ok(0)
}
