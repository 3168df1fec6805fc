//! A diff on the page: a line for each change, sums, or the changed lines of text.

use super::Output;
use super::bytes;
use crate::error::Result;
use crate::inspect::compare::ConfigChange;
use crate::inspect::compare::Lines;
use crate::inspect::compare::Side;
use crate::inspect::listing;
use crate::path::shown;
use crate::tree::Entry;
use crate::tree::Kind;
use crate::tree::diff::Aspects;
use crate::tree::diff::Change;
use crate::tree::diff::Diff;
use crate::tree::diff::What;
use serde_json::Value;
use serde_json::json;
use similar::TextDiff;

/// One line a change: git's letter, the path, then what differs.
pub fn changes(out: &mut Output, diff: &Diff) -> Result<()> {
    for change in &diff.changes {
        if out.is_json() {
            out.record(&as_json(change))?;
            continue;
        }
        let path = match &change.what {
            What::Renamed { from, .. } => format!("{from} -> {}", change.path),
            _ => change.path.to_string(),
        };
        let details = details(change).join(", ");
        let line = format!("{}  {path}", change.letter());
        out.line(if details.is_empty() { line } else { format!("{line}  ({details})") })?;
    }
    json_summary(out, diff)
}

/// `M<tab>path`, and both paths for a rename, as `git diff --name-status` writes them.
pub fn name_status(out: &mut Output, diff: &Diff) -> Result<()> {
    if out.is_json() {
        return changes(out, diff);
    }
    for change in &diff.changes {
        out.raw(&[change.letter() as u8])?;
        if let What::Renamed { from, .. } = &change.what {
            out.raw(b"100\t/")?;
            out.raw(from.as_bytes())?;
        }
        out.raw(b"\t/")?;
        out.raw(change.path.as_bytes())?;
        out.raw(b"\n")?;
    }
    Ok(())
}

pub fn stat(out: &mut Output, diff: &Diff) -> Result<()> {
    if out.is_json() {
        return json_summary(out, diff);
    }
    for change in &diff.changes {
        let (old, new) = (size(change.before()), size(change.after()));
        let sign = if new < old { '-' } else { '+' };
        if old != new {
            out.line(format!(
                " {} | {} -> {} ({sign}{})",
                change.path,
                bytes(old),
                bytes(new),
                bytes(old.abs_diff(new))
            ))?;
        } else {
            let words = match change.what {
                What::Added { .. } => "added".to_string(),
                What::Removed { .. } => "removed".to_string(),
                What::Renamed { .. } => [vec!["renamed".to_string()], details(change)].concat().join(", "),
                What::Changed { .. } => details(change).join(", "),
            };
            out.line(format!(" {} | {words}", change.path))?;
        }
    }
    out.line(summary(diff, true))
}

/// `3 added, 1 removed, 5 changed, 2 renamed`, and how many differ by their time alone.
pub fn summary(diff: &Diff, times_listed: bool) -> String {
    let counts = &diff.counts;
    let mut parts = Vec::new();
    for (count, word) in [
        (counts.added, "added"),
        (counts.removed, "removed"),
        (counts.changed, "changed"),
        (counts.renamed, "renamed"),
    ] {
        if count > 0 {
            parts.push(format!("{count} {word}"));
        }
    }
    let mut text = if parts.is_empty() { "no differences".to_string() } else { parts.join(", ") };
    if counts.times_only > 0 {
        let hint = if times_listed { "" } else { " (--times lists them)" };
        text.push_str(&format!("; {} more differ only in their time{hint}", counts.times_only));
    }
    text
}

pub fn configs(out: &mut Output, changes: &[ConfigChange]) -> Result<()> {
    for change in changes {
        if out.is_json() {
            out.record(&json!({
                "message_type": "config", "field": change.field, "removed": change.removed, "added": change.added,
            }))?;
            continue;
        }
        for (sign, values) in [('-', &change.removed), ('+', &change.added)] {
            for value in values {
                out.line(format!("config {} {sign} {}", change.field, shown(value.as_bytes())))?;
            }
        }
        if change.removed.is_empty() && change.added.is_empty() {
            out.line(format!("config {} in another order", change.field))?;
        }
    }
    Ok(())
}

/// Unified diffs of the text files; of others it is said that they are binary.
pub fn patch(out: &mut Output, diff: &Diff, old: &Side, new: &Side, context: usize) -> Result<()> {
    if out.is_json() {
        return Ok(());
    }
    for change in &diff.changes {
        let old_path = match &change.what {
            What::Renamed { from, .. } => from,
            _ => &change.path,
        };
        let is_file =
            |entry: Option<&Entry>| entry.is_none_or(|entry| matches!(entry.kind, Kind::File { .. }));
        let same_content = matches!(&change.what, What::Changed { aspects, .. } | What::Renamed { aspects, .. } if !aspects.content && !aspects.kind);
        if same_content || !is_file(change.before()) || !is_file(change.after()) {
            continue;
        }
        let lines = |side: &Side, path, entry: Option<&Entry>| match entry {
            Some(entry) => side.lines(path, entry),
            None => Ok(Lines::Text(Vec::new())),
        };
        let (before, after) =
            (lines(old, old_path, change.before())?, lines(new, &change.path, change.after())?);
        let label = |side: char, path: &crate::path::TreePath, entry: Option<&Entry>| match entry {
            Some(_) => format!("{side}{path}"),
            None => "/dev/null".to_string(),
        };
        let labels = [label('a', old_path, change.before()), label('b', &change.path, change.after())];
        match (before, after) {
            (Lines::Text(before), Lines::Text(after)) => {
                let lines = TextDiff::from_lines(&before[..], &after[..]);
                let mut unified = lines.unified_diff();
                unified.context_radius(context).header(&labels[0], &labels[1]);
                unified
                    .to_writer(&mut *out)
                    .map_err(|err| crate::error::from_stream("standard output", err))?;
            }
            (Lines::TooLarge, _) | (_, Lines::TooLarge) => {
                out.line(format!("Files {} and {} are too large to compare by lines", labels[0], labels[1]))?
            }
            _ => out.line(format!("Binary files {} and {} differ", labels[0], labels[1]))?,
        }
    }
    Ok(())
}

fn size(entry: Option<&Entry>) -> u64 {
    match entry.map(|entry| &entry.kind) {
        Some(Kind::File { size, .. }) => *size,
        _ => 0,
    }
}

fn aspects(change: &Change) -> Aspects {
    match &change.what {
        What::Changed { aspects, .. } | What::Renamed { aspects, .. } => *aspects,
        _ => Aspects::default(),
    }
}

/// What differs, in words.
fn details(change: &Change) -> Vec<String> {
    let (Some(old), Some(new)) = (change.before(), change.after()) else { return Vec::new() };
    let aspects = aspects(change);
    let mut words = Vec::new();
    if aspects.kind {
        words.push(format!("{} -> {}", listing::kind_word(&old.kind), listing::kind_word(&new.kind)));
    }
    if aspects.content {
        match (size(Some(old)), size(Some(new))) {
            (old, new) if old == new => words.push(format!("content, {} as before", bytes(new))),
            (old, new) => words.push(format!("content, {} -> {}", bytes(old), bytes(new))),
        }
    }
    if aspects.target
        && let (Kind::Symlink(old), Kind::Symlink(new)) = (&old.kind, &new.kind)
    {
        words.push(format!("target {} -> {}", shown(old), shown(new)));
    }
    if aspects.device {
        words.push("device number".into());
    }
    if aspects.mode {
        words.push(format!("mode {:04o} -> {:04o}", old.attr.mode, new.attr.mode));
    }
    if aspects.owner {
        words.push(format!("owner {}:{} -> {}:{}", old.attr.uid, old.attr.gid, new.attr.uid, new.attr.gid));
    }
    if aspects.xattrs {
        let names = xattrs_changed(old, new);
        words.push(format!("xattr {}", names.join(" ")));
    }
    if aspects.hardlinks {
        words.push("hard links".into());
    }
    if aspects.times {
        words.push("time".into());
    }
    words
}

fn xattrs_changed(old: &Entry, new: &Entry) -> Vec<String> {
    let has = |entry: &Entry, pair: (&[u8], &[u8])| entry.attr.xattrs.iter().any(|other| other == pair);
    let mut names: Vec<String> = Vec::new();
    for (one, other) in [(old, new), (new, old)] {
        names.extend(one.attr.xattrs.iter().filter(|pair| !has(other, *pair)).map(|(name, _)| shown(name)));
    }
    names.sort();
    names.dedup();
    names
}

fn as_json(change: &Change) -> Value {
    let entry = |path, entry: Option<&Entry>| entry.map(|entry| listing::entry_json(path, entry));
    let old_path = match &change.what {
        What::Renamed { from, .. } => from,
        _ => &change.path,
    };
    let aspects = aspects(change);
    let flags = [
        (aspects.kind, "type"),
        (aspects.content, "content"),
        (aspects.target, "target"),
        (aspects.device, "device"),
        (aspects.mode, "mode"),
        (aspects.owner, "owner"),
        (aspects.xattrs, "xattrs"),
        (aspects.hardlinks, "hardlinks"),
        (aspects.times, "times"),
    ];
    let changed: Vec<&str> = flags.iter().filter(|(is, _)| *is).map(|(_, word)| *word).collect();
    json!({
        "message_type": "change", "status": change.letter().to_string(), "path": change.path.to_string(), "changed": changed,
        "old": entry(old_path, change.before()), "new": entry(&change.path, change.after()),
    })
}

fn json_summary(out: &mut Output, diff: &Diff) -> Result<()> {
    if !out.is_json() {
        return Ok(());
    }
    let counts = &diff.counts;
    out.record(&json!({
        "message_type": "summary", "added": counts.added, "removed": counts.removed, "changed": counts.changed,
        "renamed": counts.renamed, "times_only": counts.times_only,
    }))
}
