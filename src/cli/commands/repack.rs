use super::session::Session;
use crate::cli::error::PARTIAL;
use crate::cli::output::bytes;
use crate::error::Error;
use crate::error::Result;
use crate::repo::Repo;
use crate::upkeep::gc;
use crate::upkeep::gc::GcOptions;
use crate::upkeep::repack;
use crate::upkeep::repack::Outcome;
use crate::upkeep::repack::RepackOptions;
use crate::upkeep::repack::RepackReport;
use serde_json::json;

/// Keep recipes in place of compressed layers
///
/// After an import each compressed layer lies beside its files. Where one can be made again from
/// them, byte for byte, only how is kept: by the encoder and level that gzip, pigz, zlib or Go used.
/// Each is made whole and compared before it goes; what cannot be made stays, and `du` says so. A
/// collection (see gc) then frees the space.
#[derive(clap::Args)]
pub struct Args {
    /// Only layers of these versions and their ancestors [default: of all that is in the store]
    versions: Vec<String>,
    /// Only say what would be done
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Try layers again for which no encoder was found before
    #[arg(long)]
    again: bool,
    /// Leave the space to be freed by the next gc
    #[arg(long)]
    no_gc: bool,
}

pub fn run(args: Args, session: &Session) -> Result<u8> {
    let repo = session.repo()?;
    let versions = args.versions.iter().map(|text| Ok(repo.resolve(text)?.id)).collect::<Result<Vec<_>>>()?;
    let options = RepackOptions { dry_run: args.dry_run, versions, again: args.again };
    let report = repack::repack(&repo, &options, session.progress())?;
    let mut out = session.output();
    let mut rows = Vec::new();
    for layer in &report.layers {
        let (outcome, setting) = match &layer.outcome {
            Outcome::Repacked { recipe, .. } => ("repacked", Some(&recipe.setting)),
            Outcome::Kept(reason) => (reason.words(), None),
        };
        let encoder = setting.map(|setting| setting.codec.name());
        if out.is_json() {
            out.record(&json!({
                "message_type": "layer", "digest": layer.digest.to_string(), "bytes": layer.size, "outcome": outcome,
                "encoder": encoder, "level": setting.map(|setting| setting.level),
            }))?;
        } else {
            let how = setting.map_or(outcome.to_owned(), |setting| {
                format!("{} level {}", setting.codec.name(), setting.level)
            });
            rows.push(vec![layer.digest.short().to_owned(), bytes(layer.size), how]);
        }
    }
    let (count, size) = report.repacked();
    if out.is_json() {
        out.record(&json!({
            "message_type": "summary", "dry_run": args.dry_run, "layers": report.layers.len(), "repacked": count,
            "repacked_bytes": size, "recipe_bytes": report.recipe_bytes(),
        }))?;
    } else if !rows.is_empty() {
        out.table(&["LAYER", "SIZE", "OUTCOME"], &rows)?;
    }
    out.finish()?;
    say(session, &report, args.dry_run);
    if count > 0 && !args.dry_run && !args.no_gc {
        collect(session, &repo)?;
    }
    Ok(if session.console.problems() > 0 { PARTIAL } else { 0 })
}

/// Repacks what an import has just brought.
pub fn after_import(session: &Session, repo: &Repo, versions: Vec<crate::id::CommitId>) -> Result<()> {
    let options = RepackOptions { versions, ..RepackOptions::default() };
    let report = repack::repack(repo, &options, session.progress())?;
    say(session, &report, false);
    if report.repacked().0 > 0 {
        collect(session, repo)?;
    }
    Ok(())
}

fn say(session: &Session, report: &RepackReport, dry_run: bool) {
    let (count, size) = report.repacked();
    session.console.say(&format!(
        "{} {count} of {} compressed layers: recipes of {} in place of {}.",
        if dry_run { "Would repack" } else { "Repacked" },
        report.layers.len(),
        bytes(report.recipe_bytes()),
        bytes(size),
    ));
}

/// Frees the replaced blobs; where somebody else is writing for long, that is left for later.
fn collect(session: &Session, repo: &Repo) -> Result<()> {
    let options = GcOptions { dry_run: false, keep_days: gc::KEEP_DAYS };
    match gc::gc(repo, &options, session.progress()) {
        Err(err) if matches!(err.root(), Error::Locked { .. }) => {
            session.console.say("Somebody else is writing: the next `imgit gc` frees the space.");
        }
        done => {
            let freed = bytes(done?.freed_bytes.max(0) as u64);
            session.console.say(&format!("Freed {freed} on disk."));
        }
    }
    Ok(())
}
