use super::session::Session;
use crate::cli::error::NOT_FOUND;
use crate::content::ContentSink;
use crate::content::HashSink;
use crate::error::Error;
use crate::error::Result;
use crate::id::ContentId;
use crate::id::Sha1Id;
use crate::id::unhex;
use crate::inspect::listing;
use crate::inspect::whereis;
use crate::inspect::whereis::Wanted;
use crate::repo::Repo;
use crate::tree::Kind;
use crate::tree::glob::Glob;
use serde_json::json;
use std::path::Path;
use std::path::PathBuf;

/// Find every version that holds a file, by path or by content
///
/// All versions in the store are searched. Exit code 4 when none holds it.
///
/// Example: imgit whereis 'libssl.so*'
#[derive(clap::Args)]
pub struct Args {
    /// A path pattern (one without a slash matches the last part of a path), a SHA-256 or a SHA-1
    #[arg(required_unless_present = "file", conflicts_with = "file")]
    what: Option<String>,
    /// What has the same content as this file of the host
    #[arg(long, value_name = "PATH")]
    file: Option<PathBuf>,
}

pub fn run(args: Args, session: &Session) -> Result<u8> {
    let repo = session.repo()?;
    let wanted = match (&args.what, &args.file) {
        (_, Some(path)) => Wanted::Sha256(hash(path)?),
        (Some(what), None) => meant(what, &repo)?,
        (None, None) => return Err(Error::Usage("say what to look for".into())),
    };
    let places = whereis::whereis(&repo, &wanted)?;
    let mut out = session.output();
    for place in &places {
        if out.is_json() {
            let mut value = listing::entry_json(&place.path, &place.entry);
            value["versions"] = json!(place.versions);
            out.record(&value)?;
            continue;
        }
        let what = match &place.entry.kind {
            Kind::File { content, .. } => content.short(),
            other => listing::kind_word(other).to_string(),
        };
        out.line(format!("{}  {what}  {}", place.path, place.versions.join(" ")))?;
    }
    out.finish()?;
    if places.is_empty() {
        session.console.say("No version that a branch or tag leads to has it.");
    }
    Ok(if places.is_empty() { NOT_FOUND } else { 0 })
}

fn hash(path: &Path) -> Result<ContentId> {
    let mut from = crate::fs::open(path)?;
    let size = from.metadata().map_err(Error::io("stat", path))?.len();
    HashSink::new().put(size, &mut from)
}

/// Forty or 64 hex digits are a hash; anything else is a path pattern.
fn meant(what: &str, repo: &Repo) -> Result<Wanted> {
    /// As few digits of a SHA-256 as the listing shows.
    const DIGITS_MIN: usize = 8;
    let is_hex = what.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hex
        && (DIGITS_MIN..64).contains(&what.len())
        && what.len() != 40
        && let [id] = repo.snapshot()?.contents_by_hex(&what.to_ascii_lowercase(), 2)?[..]
    {
        return Ok(Wanted::Sha256(id));
    }
    let digits = what.strip_prefix("sha256:").or(what.strip_prefix("sha1:")).unwrap_or(what);
    Ok(match unhex(digits).map(|bytes| (bytes.len(), bytes)) {
        Some((32, bytes)) => Wanted::Sha256(ContentId(bytes.try_into().expect("32 bytes"))),
        Some((20, bytes)) => Wanted::Sha1(Sha1Id(bytes.try_into().expect("20 bytes"))),
        _ => Wanted::Path(Glob::parse(what).map_err(Error::typed)?),
    })
}
