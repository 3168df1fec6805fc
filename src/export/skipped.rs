//! What could not be brought out, counted by kind, with a few paths of each.

use crate::path::TreePath;
use std::fmt;

/// Enough to see what it is about; a list of all would have no bound.
pub const PATHS_KEPT_MAX: usize = 5;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    pub what: What,
    /// Why, as a clause: "not permitted", "a tar file cannot hold it".
    pub why: String,
    /// How many entries this befell.
    pub count: u64,
    /// The first of them, in path order.
    pub paths: Vec<TreePath>,
}

/// What of an entry is missing outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// The entry itself and all that is below it.
    Entry,
    Device,
    Socket,
    /// Uid and gid.
    Owner,
    /// The setuid or setgid bit, because the owner it would act for is not the tree's.
    SetId,
    Mode,
    Time,
    /// That two names are one file; it is written twice.
    HardLink,
    Xattr(String),
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            What::Entry => f.write_str("entry"),
            What::Device => f.write_str("device"),
            What::Socket => f.write_str("socket"),
            What::Owner => f.write_str("owner"),
            What::SetId => f.write_str("setuid and setgid bits"),
            What::Mode => f.write_str("mode"),
            What::Time => f.write_str("time"),
            What::HardLink => f.write_str("hard link"),
            What::Xattr(name) => write!(f, "extended attribute {name}"),
        }
    }
}

impl fmt::Display for Skipped {
    /// `skipped owner of 812 entries: not permitted (/etc, /etc/passwd, …)`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Skipped { what, why, count, paths } = self;
        let noun = if *count == 1 { "entry" } else { "entries" };
        let named: Vec<String> = paths.iter().map(ToString::to_string).collect();
        let more = if *count > paths.len() as u64 { ", …" } else { "" };
        write!(f, "skipped {what} of {count} {noun}: {why} ({}{more})", named.join(", "))
    }
}

/// Kinds met before; extended attributes beyond these many names are counted under `…`.
const KINDS_MAX: usize = 100;

pub(super) fn add(list: &mut Vec<Skipped>, what: What, why: &str, path: &TreePath) {
    let known = list.iter().position(|skipped| skipped.what == what && skipped.why == why);
    let at = known.unwrap_or_else(|| {
        let what = if list.len() < KINDS_MAX { what } else { What::Xattr("…".into()) };
        if list.len() <= KINDS_MAX {
            list.push(Skipped { what, why: why.to_string(), count: 0, paths: Vec::new() });
        }
        list.len() - 1
    });
    list[at].count += 1;
    if list[at].paths.len() < PATHS_KEPT_MAX {
        list[at].paths.push(path.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_skipped_entries_are_one_line_with_the_first_paths() {
        let mut list = Vec::new();
        for n in 0..1_000 {
            let path = TreePath::parse(format!("dev/{n:04}").as_bytes()).unwrap();
            add(&mut list, What::Device, "not permitted", &path);
            add(&mut list, What::Xattr(format!("user.{n}")), "not permitted", &path);
        }
        assert_eq!((list[0].count, list[0].paths.len()), (1_000, PATHS_KEPT_MAX));
        assert_eq!(list.len(), KINDS_MAX + 1);
        assert_eq!(list.iter().map(|skipped| skipped.count).sum::<u64>(), 2_000);
    }
}
