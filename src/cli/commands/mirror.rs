use super::session::Session;
use crate::cli::error::PARTIAL;
use crate::cli::output::bytes;
use crate::cli::output::time;
use crate::cli::registries::RegistryArgs;
use crate::error::Error;
use crate::error::Result;
use crate::export;
use crate::export::ExportOptions;
use crate::history::refs::RefName;
use crate::mirror;
use crate::mirror::Config;
use crate::mirror::Outcome;
use crate::mirror::Report;
use crate::mirror::RunOptions;
use crate::oci::digest::Digest;
use crate::oci::location::Location;
use crate::oci::name::ImageName;
use crate::oci::outside::Outside;
use crate::remote::Reference;
use crate::remote::Remote;
use crate::repo::Signature;
use serde_json::json;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// A mirror.toml is text that a person wrote.
const CONFIG_BYTES_MAX: u64 = 1 << 20;

/// Keep repositories of registries up to date in the store
///
/// A mirror.toml says which, and which of their tags. Each run fetches what moved: a branch here
/// remembers all that its tag ever was. A run that finds nothing costs one request for each tag. Tags
/// that the source deletes stay, marked as gone.
///
/// Example: imgit mirror run mirror.toml --keep-going
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// Fetch what moved
    Run(RunArgs),
    /// Say what the store has of each repository; nobody is asked
    Status(StatusArgs),
    /// Send all that was mirrored to another registry
    ///
    /// For a place without a network, `imgit bundle create` makes one file of it.
    Push(PushArgs),
}

#[derive(clap::Args)]
struct RunArgs {
    /// What to mirror
    #[arg(value_name = "MIRROR.TOML")]
    config: PathBuf,
    /// Say what would be fetched; write nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Report what fails and go on; the exit code is 3 then
    #[arg(long)]
    keep_going: bool,
    /// Move what is gone out of sight, to gone/NAME; its history stays
    #[arg(long)]
    prune: bool,
    /// Begin anew so often, for ever: 30s, 15m, 6h
    #[arg(long, value_name = "TIME", value_parser = every)]
    every: Option<Duration>,
    /// Who, for the log [default: user and host name]
    #[arg(long, env = "IMGIT_AUTHOR", hide_env_values = true)]
    author: Option<String>,
    #[command(flatten)]
    registries: RegistryArgs,
}

#[derive(clap::Args)]
struct StatusArgs {
    /// What is mirrored
    #[arg(value_name = "MIRROR.TOML")]
    config: PathBuf,
}

#[derive(clap::Args)]
struct PushArgs {
    /// What is mirrored
    #[arg(value_name = "MIRROR.TOML")]
    config: PathBuf,
    /// Where to; the repositories keep their paths: HOST/PREFIX/library/debian
    #[arg(value_name = "HOST[/PREFIX]")]
    dest: String,
    /// Say what would be sent; send nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Report what fails and go on; the exit code is 3 then
    #[arg(long)]
    keep_going: bool,
    /// Signatures, SBOMs and whatever else refers to the images go along
    #[arg(long)]
    referrers: bool,
    #[command(flatten)]
    registries: RegistryArgs,
}

pub fn run(args: Args, session: &Session) -> Result<u8> {
    match args.what {
        What::Run(args) => mirror_run(args, session),
        What::Status(args) => status(&args, session),
        What::Push(args) => push(&args, session),
    }
}

fn mirror_run(args: RunArgs, session: &Session) -> Result<u8> {
    let config = read(&args.config)?;
    let upstream = Registries(Arc::new(args.registries.remote(None)?));
    let repo = session.repo_or_new()?;
    loop {
        let options = RunOptions {
            dry_run: args.dry_run,
            keep_going: args.keep_going,
            prune: args.prune,
            signature: Signature::now(args.author.clone())?,
        };
        let report = mirror::run(&repo, &config, &upstream, &options, session.progress())?;
        let code = print(session, report)?;
        let Some(pause) = args.every else { return Ok(code) };
        wait(session, pause)?;
    }
}

/// Sleeps, and wakes when the person wants to stop.
fn wait(session: &Session, pause: Duration) -> Result<()> {
    const NAP: Duration = Duration::from_millis(200);
    let until = std::time::Instant::now() + pause;
    while std::time::Instant::now() < until {
        crate::progress::check(session.progress())?;
        std::thread::sleep(NAP);
    }
    Ok(())
}

fn every(typed: &str) -> Result<Duration, String> {
    let wrong = || format!("`{typed}` is not a number with s, m, h or d behind it");
    let (number, unit) = typed.split_at(typed.len().saturating_sub(1));
    let seconds: u64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(seconds).filter(|all| *all > 0).map(Duration::from_secs).ok_or_else(wrong)
}

fn read(path: &Path) -> Result<Config> {
    let shown = path.display().to_string();
    let bytes = crate::fs::read_small(path, CONFIG_BYTES_MAX)?;
    let text = String::from_utf8(bytes).map_err(|_| Error::invalid(&shown, "is not UTF-8"))?;
    Config::parse(&shown, &text)
}

fn print(session: &Session, report: Report) -> Result<u8> {
    let mut out = session.output();
    let failures = report.failures();
    let (mut fetched, mut unmoved, mut gone) = (0, 0, 0);
    let mut first = None;
    for (from, to, outcome) in report.outcomes {
        let word = match &outcome {
            Outcome::Unmoved => "unmoved",
            Outcome::Fetched { .. } => "fetched",
            Outcome::WouldFetch => "would fetch",
            Outcome::Gone => "gone",
            Outcome::Pruned => "pruned",
            Outcome::Failed(_) => "failed",
        };
        fetched += usize::from(matches!(outcome, Outcome::Fetched { .. } | Outcome::WouldFetch));
        unmoved += usize::from(matches!(outcome, Outcome::Unmoved));
        gone += usize::from(matches!(outcome, Outcome::Gone | Outcome::Pruned));
        if out.is_json() {
            let mut record = json!({
                "message_type": "mirrored", "from": from.full(), "to": to.as_ref().map(RefName::to_string),
                "outcome": word,
            });
            match &outcome {
                Outcome::Fetched { commit, stored_bytes } => {
                    record["commit"] = json!(commit.to_string());
                    record["stored_bytes"] = json!(stored_bytes);
                }
                Outcome::Failed(err) => record["error"] = json!(crate::cli::error::chain(err)),
                _ => {}
            }
            out.record(&record)?;
        } else if let Outcome::Fetched { commit, stored_bytes } = &outcome {
            let to = to.map(|to| to.to_string()).unwrap_or_default();
            out.line(format!("{} {to} ({})", commit.short(), bytes(*stored_bytes)))?;
        } else if !matches!(outcome, Outcome::Unmoved | Outcome::Failed(_)) {
            out.line(format!("{word} {}", to.map_or_else(|| from.full(), |to| to.to_string())))?;
        }
        if let Outcome::Failed(err) = outcome {
            session.console.warn(&format!("{}: {}", from.full(), crate::cli::error::chain(&err)));
            first.get_or_insert(err);
        }
    }
    if out.is_json() {
        out.record(&json!({
            "message_type": "summary", "fetched": fetched, "unmoved": unmoved, "gone": gone, "failed": failures,
            "ended_early": report.ended,
        }))?;
    }
    out.finish()?;
    session.console.say(&format!("{fetched} fetched, {unmoved} unmoved, {gone} gone, {failures} failed."));
    match first {
        Some(err) if report.ended => Err(err.with_hint("--keep-going goes on with the others")),
        Some(_) => Ok(PARTIAL),
        None => Ok(0),
    }
}

fn status(args: &StatusArgs, session: &Session) -> Result<u8> {
    let config = read(&args.config)?;
    let repo = session.repo()?;
    let all = mirror::status(&repo, &config)?;
    let mut out = session.output();
    if out.is_json() {
        for one in &all {
            out.record(&json!({
                "from": one.from.full(), "to": one.to.to_string(), "digest": one.digest, "time": one.time.secs,
                "gone": one.gone,
            }))?;
        }
    } else {
        let rows: Vec<Vec<String>> = all
            .iter()
            .map(|one| {
                vec![
                    one.from.full(),
                    one.to.to_string(),
                    one.digest.clone(),
                    time(one.time),
                    one.gone.clone().unwrap_or_default(),
                ]
            })
            .collect();
        out.table(&["FROM", "IN THE STORE", "DIGEST", "SINCE", "GONE"], &rows)?;
    }
    out.finish()?;
    Ok(0)
}

fn push(args: &PushArgs, session: &Session) -> Result<u8> {
    let config = read(&args.config)?;
    let repo = session.repo()?;
    let dest = args.dest.strip_prefix("docker://").unwrap_or(&args.dest).trim_end_matches('/');
    let remote = Arc::new(args.registries.remote(dest.split('/').next())?);
    let mut out = session.output();
    let mut failed = 0;
    for one in mirror::status(&repo, &config)?.into_iter().filter(|one| one.gone.is_none()) {
        let (_, path) = one.from.host_and_path();
        let there =
            ImageName::parse(&format!("{dest}/{path}:{}", one.to.reference())).map_err(Error::typed)?;
        let location = Location::Docker(there);
        if args.dry_run {
            out.line(format!("would send {} to {location}", one.to))?;
            continue;
        }
        let version = repo.resolve(&one.to.to_string())?;
        let options = ExportOptions {
            platform: None,
            filesystem: None,
            replace: false,
            name: version.name.clone(),
            standard_output: || Box::new(std::io::stdout()),
            outside: remote.clone(),
            jobs: super::export::JOBS,
            referrers: args.referrers,
        };
        match export::export(&repo, &version, &location, &options, session.progress()) {
            Ok(done) if out.is_json() => out.record(&json!({
                "message_type": "pushed", "version": version.shown, "sink": done.sink, "digest": done.digest,
            }))?,
            Ok(done) => out.line(format!("{} {}", done.digest.unwrap_or_default(), done.sink))?,
            Err(err) if args.keep_going && !matches!(err.root(), Error::Interrupted) => {
                failed += 1;
                session.console.warn(&crate::cli::error::chain(&err));
            }
            Err(err) => return Err(err),
        }
    }
    out.finish()?;
    Ok(if failed > 0 { PARTIAL } else { 0 })
}

struct Registries(Arc<Remote>);

impl mirror::Upstream for Registries {
    fn repositories(&self, host: &str) -> Result<Vec<String>> {
        self.0.repositories(host)
    }

    fn tags(&self, repository: &ImageName) -> Result<Vec<String>> {
        self.0.repository(repository)?.tags()
    }

    fn digest(&self, image: &ImageName) -> Result<Option<Digest>> {
        Ok(self.0.repository(image)?.head(&Reference::of(image))?.map(|found| found.digest))
    }

    fn outside(&self) -> Arc<dyn Outside> {
        self.0.clone()
    }
}
