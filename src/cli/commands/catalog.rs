use super::session::Session;
use crate::cli::output::bytes;
use crate::cli::output::time;
use crate::error::Result;
use crate::inspect::catalog;
use crate::inspect::catalog::Row;
use serde_json::json;

/// List everything in the store, a line for each name
///
/// SIZE is what the distinct files of all its versions weigh, UNIQUE the part of it that no other
/// name has; what the disks of VMs hold beside files is in neither, see `imgit du`. Branches stand before tags; a tag is marked with a star.
#[derive(clap::Args)]
pub struct Args {
    /// Only names that match, e.g. 'ghcr.io/acme/*' [default: all]
    #[arg(value_name = "GLOB")]
    pattern: Option<String>,
}

pub fn run(args: Args, session: &Session) -> Result<u8> {
    let repo = session.repo()?;
    let glob = super::name_glob(args.pattern.as_deref())?;
    let rows = catalog::catalog(&repo, &|name| glob.is_match(name))?;
    let mut out = session.output();
    if out.is_json() {
        for row in &rows {
            out.record(&as_json(row))?;
        }
    } else if rows.is_empty() {
        session.console.say("Nothing here yet: `imgit import SOURCE NAME` brings an image in.");
    } else {
        let cells: Vec<Vec<String>> = rows.iter().map(cells).collect();
        out.table(&["NAME", "KIND", "REFS", "VERSIONS", "SIZE", "UNIQUE", "NEWEST"], &cells)?;
    }
    out.finish()?;
    Ok(0)
}

fn cells(row: &Row) -> Vec<String> {
    let refs: Vec<String> =
        row.branches.iter().cloned().chain(row.tags.iter().map(|tag| format!("{tag}*"))).collect();
    vec![
        row.name.clone(),
        row.kind.to_string(),
        refs.join(","),
        row.versions.to_string(),
        bytes(row.usage.bytes),
        bytes(row.usage.unique),
        time(row.newest),
    ]
}

fn as_json(row: &Row) -> serde_json::Value {
    json!({
        "name": row.name, "kind": row.kind, "branches": row.branches, "tags": row.tags, "versions": row.versions,
        "files": row.usage.files, "bytes": row.usage.bytes, "unique_bytes": row.usage.unique,
        "shared_bytes": row.usage.shared(), "newest": row.newest.secs,
    })
}
