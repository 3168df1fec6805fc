use super::session::Session;
use crate::bundle;
use crate::bundle::apply::Applied;
use crate::bundle::apply::AppliedRef;
use crate::bundle::apply::ApplyOptions;
use crate::bundle::apply::Outcome;
use crate::bundle::create::CreateOptions;
use crate::bundle::format::Totals;
use crate::bundle::have::Have;
use crate::cli::error::GENERAL;
use crate::cli::error::PARTIAL;
use crate::cli::output::bytes;
use crate::error::Error;
use crate::error::Result;
use crate::fs;
use crate::fs::AtomicFile;
use crate::history::refs::Ref;
use crate::oci::location::Place;
use crate::oci::open::stream_of;
use crate::repo::Repo;
use crate::repo::Signature;
use serde_json::json;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

/// Carry versions between stores that no network connects
///
/// A bundle is one file that holds branches and tags with all their versions, images and disks.
/// `have` lists what the store at the other end has; a bundle made with that list holds nothing of it.
///
/// Example: imgit bundle create web.bundle 'web:*' && imgit --store /elsewhere bundle apply web.bundle
#[derive(clap::Args)]
#[command(disable_help_subcommand = true, subcommand_value_name = "DEED")]
pub struct Args {
    #[command(subcommand)]
    deed: Deed,
}

#[derive(clap::Subcommand)]
enum Deed {
    Have(HaveArgs),
    Create(CreateArgs),
    Verify(VerifyArgs),
    List(ListArgs),
    Apply(ApplyArgs),
}

/// Write down what this store has, for `create --have` at the other end
///
/// The list names versions, trees, layers and refs, not files: about 1 kB for each version.
#[derive(clap::Args)]
struct HaveArgs {
    /// Branches and tags, or patterns as 'debian:*' [default: all]
    #[arg(value_name = "NAME[:REF]")]
    names: Vec<String>,
    /// The file to write [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Write a bundle of some branches and tags
///
/// Their versions go in, with all that these descend from and are made of. What is left out for --have
/// or --since the bundle builds on: it can be applied only where that is.
///
/// Example: imgit bundle create news.bundle --have other.have
#[derive(clap::Args)]
struct CreateArgs {
    /// The file to write; - is standard output
    file: PathBuf,
    /// Branches and tags, or patterns as 'debian:*' [default with --have: those that it lists]
    #[arg(value_name = "NAME[:REF]")]
    names: Vec<String>,
    /// Every branch and tag
    #[arg(long, conflicts_with = "names")]
    all: bool,
    /// Leave out what `imgit bundle have` of the other store listed in this file
    #[arg(long, value_name = "FILE")]
    have: Option<PathBuf>,
    /// Leave out this version and all that it descends from; may be given more than once
    #[arg(long, value_name = "VERSION")]
    since: Vec<String>,
    /// Put the bundle over a file that is there
    #[arg(short, long)]
    force: bool,
}

/// Check that a bundle is whole, and that this store has what it builds on
///
/// Reads all of it and holds every object to its id. Exit code 6 for a damaged bundle, 4 if this store
/// lacks what it builds on.
#[derive(clap::Args)]
struct VerifyArgs {
    /// The bundle; - is standard input
    file: PathBuf,
}

/// List the branches and tags in a bundle, its size, and what it builds on
#[derive(clap::Args)]
struct ListArgs {
    /// The bundle; - is standard input
    file: PathBuf,
}

/// Take the versions of a bundle into this store, and move its branches and tags
///
/// All of it is proven first: layers and disks are rebuilt and compared with their digests. It becomes
/// visible at once or not at all; applying it again does nothing. As in a fetch, a branch moves forward
/// only and a tag stays, unless forced. What would not move is named, and makes the exit code 3, or 1
/// if it is all there is.
#[derive(clap::Args)]
struct ApplyArgs {
    /// The bundle; - is standard input
    file: PathBuf,
    /// Only say what would move
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Move tags, and branches that have gone another way here
    #[arg(short, long)]
    force: bool,
}

pub fn run(args: Args, session: &Session) -> Result<u8> {
    match args.deed {
        Deed::Have(args) => have(args, session),
        Deed::Create(args) => create(args, session),
        Deed::Verify(args) => verify(args, session),
        Deed::List(args) => list(args, session),
        Deed::Apply(args) => apply(args, session),
    }
}

fn have(args: HaveArgs, session: &Session) -> Result<u8> {
    let repo = session.repo()?;
    let have = bundle::have::have(&repo, &args.names, session.progress())?;
    match &args.output {
        Some(path) => {
            fs::write_atomic(path, have.to_text().as_bytes())?;
            let refs = counted(have.refs.len() as u64, "ref");
            session.console.say(&format!("Wrote {}: what {refs} lead to.", path.display()));
        }
        None => {
            let mut out = session.output();
            out.raw(have.to_text().as_bytes())?;
            out.finish()?;
        }
    }
    Ok(0)
}

fn create(args: CreateArgs, session: &Session) -> Result<u8> {
    let repo = session.repo()?;
    let have = args.have.as_deref().map(Have::read).transpose()?;
    let refs = wanted(&repo, &args, have.as_ref())?;
    let since = args.since.iter().map(|text| Ok(repo.resolve(text)?.id)).collect::<Result<_>>()?;
    let options = CreateOptions { have: have.unwrap_or_default(), since };
    let (name, progress) = (shown(&args.file), session.progress());
    let done = match place(&args.file) {
        Place::Standard => {
            let mut out = session.output();
            let done = bundle::create::create(&repo, &refs, &options, (&name, &mut out), progress)?;
            out.finish()?;
            done
        }
        Place::Path(path) => {
            if !args.force && fs::look_no_follow(&path)?.is_some() {
                let err = Error::Exists { kind: "file", name };
                return Err(err.with_hint("--force puts the bundle over it"));
            }
            let mut file = AtomicFile::create(&path)?;
            let done = bundle::create::create(&repo, &refs, &options, (&name, &mut file), progress)?;
            file.flush().map_err(Error::io("write", &path))?;
            if args.force {
                file.finish()?
            } else {
                file.finish_new()?
            }
            done
        }
    };
    let builds_on = if done.prerequisites > 0 { "; it builds on what the other store has" } else { "" };
    session.console.say(&format!(
        "Wrote {name}: {} in {}{builds_on}.",
        contents(done.refs, &done.totals),
        bytes(done.bytes),
    ));
    Ok(0)
}

/// The refs that are to go in.
fn wanted(repo: &Repo, args: &CreateArgs, have: Option<&Have>) -> Result<Vec<Ref>> {
    match have {
        _ if args.all || !args.names.is_empty() => bundle::select(repo, &args.names),
        Some(have) => {
            let listed = |found: &Ref| have.refs.iter().any(|one| one.name == found.name);
            let refs: Vec<Ref> = repo.refs()?.into_iter().filter(listed).collect();
            match refs.is_empty() {
                true => Err(Error::not_found("branch or tag", "that the list names")),
                false => Ok(refs),
            }
        }
        None => Err(Error::Usage("say which branches and tags: NAME[:REF] or --all".into())),
    }
}

fn verify(args: VerifyArgs, session: &Session) -> Result<u8> {
    let name = shown(&args.file);
    let head = bundle::verify::verify((&name, stream_of(&place(&args.file))?), session.progress())?;
    session.console.say(&format!("{name} is whole: {}.", contents(head.refs.len() as u64, &head.totals)));
    if !head.prerequisites.is_empty() {
        bundle::apply::check_prerequisites(&session.repo()?, &head)?;
        session.console.say("This store has all that it builds on.");
    }
    Ok(0)
}

fn list(args: ListArgs, session: &Session) -> Result<u8> {
    let head = bundle::verify::list((&shown(&args.file), stream_of(&place(&args.file))?))?;
    let mut out = session.output();
    if out.is_json() {
        for found in &head.refs {
            out.record(&as_json(found))?;
        }
        for needed in &head.prerequisites {
            let (kind, id) = (needed.base.noun(), needed.base.to_string());
            out.record(&json!({ "message_type": "builds_on", "kind": kind, "id": id, "note": needed.note }))?;
        }
        out.record(&json!({
            "message_type": "summary", "versions": head.totals.commits, "objects": head.totals.objects,
            "bytes": head.totals.bytes,
        }))?;
    } else {
        let row = |found: &Ref| vec![found.name.to_string(), found.kind.word().into(), found.commit.short()];
        out.table(&["REF", "KIND", "COMMIT"], &head.refs.iter().map(row).collect::<Vec<_>>())?;
        out.line("")?;
        out.line(format!("Holds {}.", contents(head.refs.len() as u64, &head.totals)))?;
        for needed in &head.prerequisites {
            out.line(format!("Builds on {needed}."))?;
        }
    }
    out.finish()?;
    Ok(0)
}

fn apply(args: ApplyArgs, session: &Session) -> Result<u8> {
    let name = shown(&args.file);
    let from = stream_of(&place(&args.file))?;
    let repo = session.repo_or_new()?;
    let options = ApplyOptions { dry_run: args.dry_run, force: args.force, signature: Signature::now(None)? };
    let done = bundle::apply::apply(&repo, (&name, from), &options, session.progress())?;
    let mut out = session.output();
    for one in &done.refs {
        if out.is_json() {
            let mut record = as_json(&one.bundled);
            record["old"] = one.old.map(|id| id.to_string()).into();
            record["outcome"] = word(one.outcome).into();
            out.record(&record)?;
        } else {
            let Ref { name, commit, .. } = &one.bundled;
            out.line(format!("{} {name} {}", commit.short(), word(one.outcome)))?;
        }
    }
    out.finish()?;
    session.console.say(&summary(&name, &done, args.dry_run));
    let refused: Vec<&AppliedRef> = done.refs.iter().filter(|one| one.outcome.is_refused()).collect();
    for one in &refused {
        session.console.warn(&why(one));
    }
    Ok(match refused.len() {
        0 => 0,
        count if count == done.refs.len() => GENERAL,
        _ => PARTIAL,
    })
}

fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::New => "new",
        Outcome::Forward => "forward",
        Outcome::Same => "same",
        Outcome::Ahead => "behind",
        Outcome::Forced => "forced",
        Outcome::Diverged | Outcome::TagStays | Outcome::OtherKind => "refused",
    }
}

fn why(one: &AppliedRef) -> String {
    let name = &one.bundled.name;
    let here = one.old.map(|id| id.short()).unwrap_or_default();
    match one.outcome {
        Outcome::Diverged => format!("{name} has gone another way here, to {here}; --force moves it"),
        Outcome::TagStays => format!("tag {name} is at {here} here; --force moves it"),
        _ => format!("{name} is a {} in the bundle, but not here", one.bundled.kind.word()),
    }
}

fn summary(name: &str, done: &Applied, dry_run: bool) -> String {
    let moved = done.refs.iter().filter(|one| one.outcome.moves()).count() as u64;
    match &done.committed {
        Some(committed) => format!(
            "Applied {name}: {} moved; {}, {}, stored in {}.",
            counted(moved, "ref"),
            counted(committed.new_contents, "new content"),
            bytes(committed.new_content_bytes),
            bytes(committed.stored_bytes),
        ),
        None if dry_run => format!("Would move {}.", counted(moved, "ref")),
        None => "Nothing to do.".into(),
    }
}

fn contents(refs: u64, totals: &Totals) -> String {
    let (versions, objects) = (counted(totals.commits, "version"), counted(totals.objects, "object"));
    format!("{}, {versions}, {objects} of {}", counted(refs, "ref"), bytes(totals.bytes))
}

fn counted(count: u64, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

fn as_json(found: &Ref) -> serde_json::Value {
    json!({
        "name": found.name.name(), "ref": found.name.reference(), "kind": found.kind.word(),
        "commit": found.commit.to_string(),
    })
}

fn place(file: &Path) -> Place {
    if file == Path::new("-") { Place::Standard } else { Place::Path(file.to_path_buf()) }
}

fn shown(file: &Path) -> String {
    match place(file) {
        Place::Standard => "standard input".into(),
        Place::Path(path) => path.display().to_string(),
    }
}
