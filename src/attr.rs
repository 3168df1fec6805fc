//! What a file system knows of an entry besides its name and bytes.

/// Seconds and nanoseconds since 1970; before 1970 `secs` is negative and `nanos` counts forward.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time {
    pub secs: i64,
    pub nanos: u32,
}

/// Extended attributes, sorted by name, each name once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[expect(clippy::box_collection, reason = "most entries have none: one word for them, not three")]
pub struct Xattrs(Option<Box<Vec<Xattr>>>);

/// Name and value.
pub type Xattr = (Box<[u8]>, Box<[u8]>);

impl Xattrs {
    pub fn new(mut pairs: Vec<Xattr>) -> Xattrs {
        // Stable sort, then keep the last of equal names: a later PAX record wins.
        pairs.sort_by(|a, b| a.0.cmp(&b.0));
        pairs.reverse();
        pairs.dedup_by(|a, b| a.0 == b.0);
        pairs.reverse();
        Xattrs((!pairs.is_empty()).then(|| Box::new(pairs)))
    }

    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.0.iter().flat_map(|pairs| pairs.iter()).map(|(name, value)| (&name[..], &value[..]))
    }

    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |pairs| pairs.len())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }
}

/// Everything about an entry but its name, kind and bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attr {
    /// Permission, setuid, setgid and sticky bits: `0o7777`. The kind of file is not in here.
    pub mode: u32,
    pub uid: u64,
    pub gid: u64,
    pub mtime: Time,
    pub xattrs: Xattrs,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_two_xattrs_with_one_name_wins() {
        let pair = |name: &[u8], value: &[u8]| (name.into(), value.into());
        let xattrs = Xattrs::new(vec![pair(b"b", b"1"), pair(b"a", b"2"), pair(b"b", b"3")]);
        assert_eq!(xattrs.iter().collect::<Vec<_>>(), [(&b"a"[..], &b"2"[..]), (b"b", b"3")]);
    }
}
