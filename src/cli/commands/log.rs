use super::session::Session;
use crate::cli::output::Output;
use crate::cli::output::time_of_day;
use crate::error::Error;
use crate::error::Result;
use crate::history::commit::Commit;
use crate::history::graph;
use crate::history::graph::Graph;
use crate::history::graph::Row;
use crate::history::revision::Selection;
use crate::id::CommitId;
use crate::path::TreePath;
use crate::repo::Repo;
use crate::tree::walk;
use serde_json::json;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

/// Show the versions that led to one, newest first
///
/// Example: imgit log --oneline --graph web~5..web /etc
#[derive(clap::Args)]
pub struct Args {
    /// A version, or A..B: what B has and A has not [default: every branch and tag]
    version: Option<String>,
    /// Only versions that changed one of these paths [default: all]
    paths: Vec<OsString>,
    /// One line for each version
    #[arg(long)]
    oneline: bool,
    /// Draw how they descend from each other
    #[arg(long)]
    graph: bool,
    /// Show at most so many
    #[arg(short = 'n', long, value_name = "N")]
    max_count: Option<usize>,
}

pub fn run(args: Args, session: &Session) -> Result<u8> {
    let repo = session.repo()?;
    let history = repo.snapshot()?;
    let (tips, hidden) = match &args.version {
        None => (repo.refs()?.iter().map(|found| found.commit).collect(), Vec::new()),
        Some(text) => match Selection::parse(text, &jiff::Zoned::now).map_err(Error::typed)? {
            Selection::One(revision) => (vec![revision.resolve(&history)?.id], Vec::new()),
            Selection::Range { from, to } => {
                (vec![to.resolve(&history)?.id], vec![from.resolve(&history)?.id])
            }
        },
    };
    let mut paths = Vec::new();
    for path in &args.paths {
        paths.push(TreePath::parse(path.as_bytes()).map_err(Error::typed)?);
    }
    let decorations = decorations(&repo)?;
    let mut out = session.output();
    let mut graph = Graph::new();
    let mut shown = 0;
    for (id, commit) in {
        let commits = graph::log(&history, &tips, &hidden)?;
        drop(history);
        commits
    } {
        if args.max_count.is_some_and(|most| shown >= most) {
            break;
        }
        if !paths.is_empty() && !touches(&repo, &commit, &paths)? {
            continue;
        }
        shown += 1;
        let names = decorations.get(&id).cloned().unwrap_or_default();
        if out.is_json() {
            out.record(&as_json(&id, &commit, &names))?;
            continue;
        }
        let lines =
            if args.oneline { vec![oneline(&id, &commit, &names)] } else { paragraph(&id, &commit, &names) };
        let row = args.graph.then(|| graph.row(&id, &commit.parents));
        print(&mut out, row, &lines)?;
    }
    out.finish()?;
    Ok(0)
}

/// The refs that point at each commit, as the log shows them in brackets.
pub fn decorations(repo: &Repo) -> Result<BTreeMap<CommitId, Vec<String>>> {
    let mut names: BTreeMap<CommitId, Vec<String>> = BTreeMap::new();
    for found in repo.refs()? {
        let star = if found.kind == crate::history::refs::RefKind::Tag { "tag: " } else { "" };
        names.entry(found.commit).or_default().push(format!("{star}{}", found.name));
    }
    Ok(names)
}

/// Says whether any of the paths is another thing here than in the first parent.
fn touches(repo: &Repo, commit: &Commit, paths: &[TreePath]) -> Result<bool> {
    let parent = commit.parents.first().map(|id| repo.commit(id)).transpose()?;
    let nodes = repo.nodes();
    for tree in &commit.trees {
        let of_platform = |parent: &Commit| {
            parent.trees.iter().find(|other| other.platform == tree.platform).map(|other| other.tree)
        };
        let before = parent.as_ref().and_then(of_platform);
        for path in paths {
            let look = |id| walk::lookup(&nodes, &repo.tree_record(id)?, path);
            let before = before.as_ref().map(look).transpose()?.flatten();
            if look(&tree.tree)? != before {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

fn in_brackets(names: &[String]) -> String {
    if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) }
}

fn oneline(id: &CommitId, commit: &Commit, names: &[String]) -> String {
    format!("{}{} {}", id.short(), in_brackets(names), commit.subject())
}

/// A commit as git shows one; `show` begins the same way.
pub fn paragraph(id: &CommitId, commit: &Commit, names: &[String]) -> Vec<String> {
    let mut lines = vec![format!("commit {id}{}", in_brackets(names))];
    if commit.parents.len() > 1 {
        let parents: Vec<String> = commit.parents.iter().map(CommitId::short).collect();
        lines.push(format!("Merge:  {}", parents.join(" ")));
    }
    lines.push(format!("Author: {}", commit.author));
    lines.push(format!("Date:   {}", time_of_day(commit.time)));
    lines.push(format!("Source: {}", commit.source));
    lines.push(format!("Digest: {} ({})", commit.artifact.digest, commit.artifact.kind.word()));
    lines.extend(commit.labels.iter().map(|(key, value)| format!("Label:  {key}={value}")));
    lines.push(String::new());
    lines.extend(commit.message.lines().map(|line| format!("    {line}")));
    lines.push(String::new());
    lines
}

pub fn as_json(id: &CommitId, commit: &Commit, names: &[String]) -> serde_json::Value {
    let parents: Vec<String> = commit.parents.iter().map(ToString::to_string).collect();
    let trees: Vec<_> = commit
        .trees
        .iter()
        .map(|tree| json!({ "platform": tree.platform, "manifest": tree.manifest, "tree": tree.tree.to_string() }))
        .collect();
    json!({
        "commit": id.to_string(), "refs": names, "parents": parents, "author": commit.author, "time": commit.time.secs,
        "message": commit.message, "source": commit.source, "labels": commit.labels, "trees": trees,
        "kind": commit.artifact.kind.word(), "media_type": commit.artifact.media_type,
        "digest": commit.artifact.digest, "size": commit.artifact.size,
    })
}

fn print(out: &mut Output, row: Option<Row>, lines: &[String]) -> Result<()> {
    let Some(row) = row else {
        return lines.iter().try_for_each(|line| out.line(line));
    };
    // A rail without bars is shorter: the text stands in one column all the same.
    let width = row.node.len();
    for (at, line) in lines.iter().enumerate() {
        let rail = if at == 0 { &row.node } else { &row.text };
        out.line(format!("{rail:width$} {line}").trim_end())?;
    }
    row.links.iter().try_for_each(|link| out.line(link))
}
