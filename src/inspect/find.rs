//! Which entries of a tree meet a set of conditions. Reads nodes only.

use crate::attr::Time;
use crate::error::Error;
use crate::error::Result;
use crate::history::date;
use crate::path::TreePath;
use crate::tree::Entry;
use crate::tree::Kind;
use crate::tree::NodeSource;
use crate::tree::Tree;
use crate::tree::glob::Glob;
use crate::tree::walk;
use crate::tree::walk::Descend;

/// The conditions as they were typed.
pub struct Words<'a> {
    pub names: &'a [String],
    pub types: &'a [char],
    pub sizes: &'a [String],
    pub mode: Option<&'a str>,
    pub uid: Option<u64>,
    pub gid: Option<u64>,
    pub newer: Option<&'a str>,
    pub xattr: Option<&'a str>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Size {
    Over(u64),
    Under(u64),
    Exactly(u64),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Mode {
    All(u32),
    Any(u32),
    Exactly(u32),
}

/// What they mean.
pub struct Filter {
    names: Vec<Glob>,
    types: Vec<char>,
    sizes: Vec<Size>,
    mode: Option<Mode>,
    uid: Option<u64>,
    gid: Option<u64>,
    newer: Option<Time>,
    xattr: Option<Vec<u8>>,
}

impl Filter {
    pub fn parse(words: &Words) -> Result<Filter> {
        for letter in words.types {
            if !"fdlcbps".contains(*letter) {
                return Err(Error::Usage(format!("type `{letter}` is none of f, d, l, c, b, p, s")));
            }
        }
        Ok(Filter {
            names: words.names.iter().map(|glob| Glob::parse(glob)).collect::<Result<_>>()?,
            types: words.types.to_vec(),
            sizes: words.sizes.iter().map(|text| size(text)).collect::<Result<_>>()?,
            mode: words.mode.map(mode).transpose()?,
            uid: words.uid,
            gid: words.gid,
            newer: words
                .newer
                .map(|text| date::parse(text, &jiff::Zoned::now(), date::Day::Start))
                .transpose()?,
            xattr: words.xattr.map(|name| name.as_bytes().to_vec()),
        })
    }

    fn holds(&self, path: &TreePath, entry: &Entry) -> bool {
        let attr = &entry.attr;
        (self.names.is_empty() || self.names.iter().any(|glob| glob.matches(path)))
            && (self.types.is_empty() || self.types.contains(&letter(&entry.kind)))
            && self.sizes.iter().all(|size| size.holds(&entry.kind))
            && self.mode.is_none_or(|mode| mode.holds(attr.mode))
            && self.uid.is_none_or(|uid| attr.uid == uid)
            && self.gid.is_none_or(|gid| attr.gid == gid)
            && self.newer.is_none_or(|time| attr.mtime > time)
            && self.xattr.as_ref().is_none_or(|name| attr.xattrs.iter().any(|(found, _)| found == &name[..]))
    }
}

/// Calls `each` for every entry under one of `under` (the whole tree if empty) that meets `filter`.
pub fn find(
    nodes: &dyn NodeSource,
    tree: &Tree,
    under: &[TreePath],
    filter: &Filter,
    each: &mut dyn FnMut(&TreePath, &Entry) -> Result<()>,
) -> Result<()> {
    let root = [TreePath::root()];
    for top in if under.is_empty() { &root[..] } else { under } {
        if walk::lookup(nodes, tree, top)?.is_none() {
            return Err(Error::not_found("path", top.to_string()));
        }
        walk::walk(nodes, tree, top, &mut |path, entry| {
            if !path.is_root() && filter.holds(path, entry) {
                each(path, entry)?;
            }
            Ok(Descend::Into)
        })?;
    }
    Ok(())
}

fn letter(kind: &Kind) -> char {
    match kind {
        Kind::File { .. } => 'f',
        Kind::Dir(_) => 'd',
        Kind::Symlink(_) => 'l',
        Kind::CharDevice { .. } => 'c',
        Kind::BlockDevice { .. } => 'b',
        Kind::Fifo => 'p',
        Kind::Socket => 's',
    }
}

impl Size {
    fn holds(self, kind: &Kind) -> bool {
        let Kind::File { size, .. } = *kind else { return false };
        match self {
            Size::Over(limit) => size > limit,
            Size::Under(limit) => size < limit,
            Size::Exactly(wanted) => size == wanted,
        }
    }
}

impl Mode {
    fn holds(self, found: u32) -> bool {
        match self {
            Mode::All(bits) => found & bits == bits,
            Mode::Any(bits) => found & bits != 0,
            Mode::Exactly(wanted) => found == wanted,
        }
    }
}

fn size(text: &str) -> Result<Size> {
    let (make, digits): (fn(u64) -> Size, &str) = match text.as_bytes().first() {
        Some(b'+') => (Size::Over, &text[1..]),
        Some(b'-') => (Size::Under, &text[1..]),
        _ => (Size::Exactly, text),
    };
    let (digits, unit) = match digits.chars().last() {
        Some('k' | 'K') => (&digits[..digits.len() - 1], 1u64 << 10),
        Some('M') => (&digits[..digits.len() - 1], 1 << 20),
        Some('G') => (&digits[..digits.len() - 1], 1 << 30),
        Some('T') => (&digits[..digits.len() - 1], 1 << 40),
        _ => (digits, 1),
    };
    let count = digits.parse::<u64>().ok().and_then(|count| count.checked_mul(unit));
    count.map(make).ok_or_else(|| Error::Usage(format!("size `{text}` is not [+-]N with k, M, G or T")))
}

fn mode(text: &str) -> Result<Mode> {
    let (make, digits): (fn(u32) -> Mode, &str) = match text.as_bytes().first() {
        Some(b'-') => (Mode::All, &text[1..]),
        Some(b'/') => (Mode::Any, &text[1..]),
        _ => (Mode::Exactly, text),
    };
    let bits = u32::from_str_radix(digits, 8).ok().filter(|bits| *bits <= 0o7777);
    bits.map(make)
        .ok_or_else(|| Error::Usage(format!("mode `{text}` is not octal, as in 644, -4000 or /222")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_modes_read_as_find_1_reads_them() {
        assert_eq!(size("+1M").unwrap(), Size::Over(1 << 20));
        assert_eq!(size("-10k").unwrap(), Size::Under(10 << 10));
        assert_eq!(size("7").unwrap(), Size::Exactly(7));
        assert_eq!(mode("-4000").unwrap(), Mode::All(0o4000));
        assert_eq!(mode("/222").unwrap(), Mode::Any(0o222));
        for bad in ["", "+", "1X", "99999999999T"] {
            assert!(size(bad).is_err(), "{bad}");
        }
        assert!(mode("888").is_err());
        assert!(mode("77777").is_err());
    }
}
