//! What every installation has of its own, taken out of a comparison: the list is `machine.globs`.

use crate::path::TreePath;
use crate::tree::diff::Change;
use crate::tree::diff::Diff;
use crate::tree::diff::What;
use crate::tree::glob::Glob;

const GLOBS: &str = include_str!("machine.globs");

/// Takes such changes out of `diff` and returns how many there were. Of a renamed file both paths
/// have to be on the list.
pub fn leave_out(diff: &mut Diff) -> u64 {
    let globs: Vec<Glob> = globs().collect();
    let is_own = |path: &TreePath| globs.iter().any(|glob| glob.matches(path));
    let (mut left_out, counts) = (0, &mut diff.counts);
    diff.changes.retain(|change| {
        let own = is_own(&change.path)
            && match &change.what {
                What::Renamed { from, .. } => is_own(from),
                _ => true,
            };
        if own {
            left_out += 1;
            *count_of(change, counts) -= 1;
        }
        !own
    });
    left_out
}

/// Where the change was counted.
fn count_of<'a>(change: &Change, counts: &'a mut crate::tree::diff::Counts) -> &'a mut u64 {
    match &change.what {
        What::Added { .. } => &mut counts.added,
        What::Removed { .. } => &mut counts.removed,
        What::Renamed { .. } => &mut counts.renamed,
        What::Changed { aspects, .. } if aspects.more_than_times() => &mut counts.changed,
        What::Changed { .. } => &mut counts.times_only,
    }
}

fn globs() -> impl Iterator<Item = Glob> {
    let lines = GLOBS.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    // A name alone would be found in every folder; these are whole paths.
    lines.map(|line| Glob::parse(&format!("/{line}")).expect("a test parses all of them"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_of_globs_over_whole_paths() {
        let all: Vec<Glob> = globs().collect();
        assert!(all.len() > 40);
        let is_own =
            |path: &str| all.iter().any(|glob| glob.matches(&TreePath::parse(path.as_bytes()).unwrap()));
        for path in
            ["/etc/machine-id", "/etc/ssh/ssh_host_rsa_key", "/var/log/apt/history.log", "/lost+found"]
        {
            assert!(is_own(path), "{path}");
        }
        for path in [
            "/etc/passwd",
            "/opt/app/etc/machine-id",
            "/etc/ssh/sshd_config",
            "/home/lost+found",
            "/usr/tmp/x",
        ] {
            assert!(!is_own(path), "{path}");
        }
    }
}
