//! Bytes of directory nodes and tree records: canonical, so that an id names exactly one value.
//!
//! A node is its version, the number of its entries, and the entries in the order of their names:
//!
//! ```text
//! tag      1 byte: kind in bits 0-2, then one bit each for what differs from the expected
//! name     length, bytes
//! mode     if OTHER_MODE: varint; else that of the last entry of this kind (0644, 0755, 0777, 0)
//! owner    if OTHER_OWNER: uid, gid; else those of the last entry (0, 0)
//! mtime    seconds less those of the last entry (0), signed; if NANOS: the nanoseconds
//! xattrs   if XATTRS: count, then name and value of each, sorted
//! kind     file: size, content id · dir: full id, plain id · symlink: target · device: major, minor
//! ```
//!
//! A Debian file costs its name and 37 bytes. Names are not shared with the entry before: packs
//! are compressed anyway, and a plain listing stays easy to check.
//!
//! The plain id is the hash of the same bytes under another version byte, without the mtimes
//! (and the NANOS bit), and with only the plain id of each child.

use super::Entry;
use super::Kind;
use super::Node;
use super::NodeIds;
use super::Tree;
use crate::attr::Attr;
use crate::attr::Time;
use crate::attr::Xattrs;
use crate::codec::Reader;
use crate::codec::put_attr;
use crate::codec::put_bytes;
use crate::codec::put_signed;
use crate::codec::put_varint;
use crate::codec::put_xattrs;
use crate::error::Error;
use crate::error::Result;
use crate::id::ContentId;
use crate::id::NodeId;
use crate::id::PlainId;
use crate::id::TreeId;
use crate::path::TreePath;
use crate::path::shown;

pub const NODE_VERSION: u8 = 1;
pub const TREE_VERSION: u8 = 1;

/// First byte of what a plain id is the hash of; unlike every version, so that no plain id is
/// ever the full id of something else.
const PLAIN_MARK: u8 = 0x80 | NODE_VERSION;

const KIND_BITS: u8 = 0b0000_0111;
const FILE: u8 = 0;
const DIR: u8 = 1;
const SYMLINK: u8 = 2;
const CHAR_DEVICE: u8 = 3;
const BLOCK_DEVICE: u8 = 4;
const FIFO: u8 = 5;
const SOCKET: u8 = 6;
const N_KINDS: usize = 7;

const OTHER_MODE: u8 = 0b0000_1000;
const OTHER_OWNER: u8 = 0b0001_0000;
const NANOS: u8 = 0b0010_0000;
const XATTRS: u8 = 0b0100_0000;
const UNKNOWN_BITS: u8 = 0b1000_0000;

/// The shortest entry, a fifo: tag, length and one byte of name, mtime.
const ENTRY_BYTES_MIN: usize = 4;

/// What an entry is expected to share with those before it in the same node.
struct Expected {
    modes: [u32; N_KINDS],
    owner: (u64, u64),
    secs: i64,
}

impl Expected {
    fn at_start() -> Expected {
        Expected { modes: [0o644, 0o755, 0o777, 0, 0, 0, 0], owner: (0, 0), secs: 0 }
    }
}

impl Node {
    /// Encodes a node that [`Node::check`] finds nothing wrong with.
    pub fn encode(&self) -> Vec<u8> {
        self.encode_both().0
    }

    pub fn ids(&self) -> NodeIds {
        self.encode_with_ids().1
    }

    /// What a store needs to put a node, in one pass over it.
    pub fn encode_with_ids(&self) -> (Vec<u8>, NodeIds) {
        let (full, plain) = self.encode_both();
        let ids = NodeIds { full: NodeId::of(&full), plain: PlainId::of(&plain) };
        (full, ids)
    }

    /// Returns the encoding, and the bytes whose hash is the plain id.
    fn encode_both(&self) -> (Vec<u8>, Vec<u8>) {
        debug_assert!(self.check().is_ok(), "{:?}", self.check());
        // A usual entry takes 50 to 90 bytes; growing once or not at all beats guessing better.
        let mut full = Vec::with_capacity(16 + self.entries.len() * 80);
        let mut plain = Vec::with_capacity(16 + self.entries.len() * 72);
        full.push(NODE_VERSION);
        put_varint(&mut full, self.entries.len() as u64);
        plain.push(PLAIN_MARK);
        plain.extend_from_slice(&full[1..]);
        let mut expected = Expected::at_start();
        for entry in &self.entries {
            put_entry(&mut full, &mut plain, entry, &mut expected);
        }
        (full, plain)
    }

    /// Reads what [`Node::encode`] wrote and nothing else.
    pub fn decode(bytes: &[u8]) -> Result<Node> {
        let mut reader = Reader::new("tree node", bytes);
        reader.version(NODE_VERSION)?;
        let count = reader.count(ENTRY_BYTES_MIN)?;
        let mut entries: Vec<Entry> = Vec::with_capacity(count);
        let mut expected = Expected::at_start();
        for _ in 0..count {
            let entry = read_entry(&mut reader, &mut expected)?;
            if entries.last().is_some_and(|last| last.name >= entry.name) {
                return Err(reader.invalid(format!("has `{}` out of order", shown(&entry.name))));
            }
            entries.push(entry);
        }
        reader.finish()?;
        Ok(Node { entries })
    }

    /// Refuses what has no encoding: unclean or unsorted names, modes and times out of range.
    pub fn check(&self) -> Result<()> {
        let refuse = |entry: &Entry, problem: &str| {
            Err(Error::invalid(format!("tree entry `{}`", shown(&entry.name)), problem))
        };
        let mut last: Option<&Entry> = None;
        for entry in &self.entries {
            if !is_clean(&entry.name) {
                return refuse(entry, "is not a clean name");
            }
            if last.is_some_and(|last| last.name >= entry.name) {
                return refuse(entry, "is out of order");
            }
            if let Some(problem) = attr_problem(&entry.attr) {
                return refuse(entry, problem);
            }
            last = Some(entry);
        }
        Ok(())
    }
}

fn attr_problem(attr: &Attr) -> Option<&'static str> {
    if attr.mode > 0o7777 {
        return Some("has a mode with more than permission bits");
    }
    if attr.mtime.nanos >= 1_000_000_000 {
        return Some("has a time with more than 999,999,999 nanoseconds");
    }
    None
}

fn is_clean(name: &[u8]) -> bool {
    !matches!(name, b"" | b"." | b"..") && !name.iter().any(|byte| matches!(byte, b'/' | 0))
}

fn put_entry(full: &mut Vec<u8>, plain: &mut Vec<u8>, entry: &Entry, expected: &mut Expected) {
    let attr = &entry.attr;
    let kind = kind_number(&entry.kind);
    let expected_mode = &mut expected.modes[usize::from(kind)];
    let other_mode = *expected_mode != attr.mode;
    let other_owner = expected.owner != (attr.uid, attr.gid);
    let flag = |set: bool, bit: u8| if set { bit } else { 0 };
    let plain_tag = kind
        | flag(other_mode, OTHER_MODE)
        | flag(other_owner, OTHER_OWNER)
        | flag(!attr.xattrs.is_empty(), XATTRS);

    full.push(plain_tag | flag(attr.mtime.nanos != 0, NANOS));
    let shared_from = full.len();
    put_bytes(full, &entry.name);
    if other_mode {
        put_varint(full, u64::from(attr.mode));
    }
    if other_owner {
        put_varint(full, attr.uid);
        put_varint(full, attr.gid);
    }
    plain.push(plain_tag);
    plain.extend_from_slice(&full[shared_from..]);

    put_signed(full, attr.mtime.secs.wrapping_sub(expected.secs));
    if attr.mtime.nanos != 0 {
        put_varint(full, u64::from(attr.mtime.nanos));
    }
    *expected_mode = attr.mode;
    expected.owner = (attr.uid, attr.gid);
    expected.secs = attr.mtime.secs;

    let shared_from = full.len();
    if !attr.xattrs.is_empty() {
        put_xattrs(full, &attr.xattrs);
    }
    match &entry.kind {
        Kind::File { content, size } => {
            put_varint(full, *size);
            full.extend_from_slice(&content.0);
        }
        Kind::Dir(ids) => {
            plain.extend_from_slice(&full[shared_from..]);
            plain.extend_from_slice(&ids.plain.0);
            full.extend_from_slice(&ids.full.0);
            full.extend_from_slice(&ids.plain.0);
            return;
        }
        Kind::Symlink(target) => put_bytes(full, target),
        Kind::CharDevice { major, minor } | Kind::BlockDevice { major, minor } => {
            put_varint(full, u64::from(*major));
            put_varint(full, u64::from(*minor));
        }
        Kind::Fifo | Kind::Socket => {}
    }
    plain.extend_from_slice(&full[shared_from..]);
}

fn kind_number(kind: &Kind) -> u8 {
    match kind {
        Kind::File { .. } => FILE,
        Kind::Dir(_) => DIR,
        Kind::Symlink(_) => SYMLINK,
        Kind::CharDevice { .. } => CHAR_DEVICE,
        Kind::BlockDevice { .. } => BLOCK_DEVICE,
        Kind::Fifo => FIFO,
        Kind::Socket => SOCKET,
    }
}

fn read_entry(reader: &mut Reader, expected: &mut Expected) -> Result<Entry> {
    let tag = reader.byte()?;
    let kind = tag & KIND_BITS;
    if tag & UNKNOWN_BITS != 0 || usize::from(kind) >= N_KINDS {
        return Err(reader.invalid(format!("has an entry with tag {tag:#04x}")));
    }
    let name = reader.bytes()?;
    if !is_clean(name) {
        return Err(reader.invalid(format!("has the name `{}`, which is not clean", shown(name))));
    }
    // A bit that is set for nothing would give one value two encodings, hence two ids.
    let needless = |reader: &Reader, what: &str| {
        Err(reader.invalid(format!("says of `{}` again what it has as {what}", shown(name))))
    };
    let expected_mode = &mut expected.modes[usize::from(kind)];
    if tag & OTHER_MODE != 0 {
        let mode = reader.mode()?;
        if mode == *expected_mode {
            return needless(reader, "mode");
        }
        *expected_mode = mode;
    }
    let mode = *expected_mode;
    if tag & OTHER_OWNER != 0 {
        let owner = (reader.varint()?, reader.varint()?);
        if owner == expected.owner {
            return needless(reader, "owner");
        }
        expected.owner = owner;
    }
    let (uid, gid) = expected.owner;
    expected.secs = expected.secs.wrapping_add(reader.signed()?);
    let nanos = if tag & NANOS != 0 { reader.nanos()? } else { 0 };
    if tag & NANOS != 0 && nanos == 0 {
        return needless(reader, "nanoseconds");
    }
    let xattrs = if tag & XATTRS != 0 { reader.xattrs()? } else { Xattrs::default() };
    if tag & XATTRS != 0 && xattrs.is_empty() {
        return needless(reader, "extended attributes");
    }
    let kind = match kind {
        FILE => Kind::File { size: reader.varint()?, content: ContentId(reader.array()?) },
        DIR => Kind::Dir(read_ids(reader)?),
        SYMLINK => Kind::Symlink(reader.bytes()?.into()),
        CHAR_DEVICE => Kind::CharDevice { major: reader.varint_u32()?, minor: reader.varint_u32()? },
        BLOCK_DEVICE => Kind::BlockDevice { major: reader.varint_u32()?, minor: reader.varint_u32()? },
        FIFO => Kind::Fifo,
        _ => Kind::Socket,
    };
    let mtime = Time { secs: expected.secs, nanos };
    Ok(Entry { name: name.into(), kind, attr: Attr { mode, uid, gid, mtime, xattrs } })
}

fn read_ids(reader: &mut Reader) -> Result<NodeIds> {
    Ok(NodeIds { full: NodeId(reader.array()?), plain: PlainId(reader.array()?) })
}

impl Tree {
    /// The version, both ids of the root, its attributes, the counts, and the hard-link groups:
    /// their number, then for each the number of its paths and the paths.
    pub fn encode(&self) -> Vec<u8> {
        debug_assert!(self.check().is_ok(), "{:?}", self.check());
        let mut out = vec![TREE_VERSION];
        out.extend_from_slice(&self.root.full.0);
        out.extend_from_slice(&self.root.plain.0);
        put_attr(&mut out, &self.root_attr);
        put_varint(&mut out, self.entries);
        put_varint(&mut out, self.bytes);
        put_varint(&mut out, self.hardlinks.len() as u64);
        for group in &self.hardlinks {
            put_varint(&mut out, group.len() as u64);
            for path in group {
                put_bytes(&mut out, path.as_bytes());
            }
        }
        out
    }

    /// Reads what [`Tree::encode`] wrote and nothing else.
    pub fn decode(bytes: &[u8]) -> Result<Tree> {
        let mut reader = Reader::new("tree record", bytes);
        reader.version(TREE_VERSION)?;
        let root = read_ids(&mut reader)?;
        let root_attr = reader.attr()?;
        let entries = reader.varint()?;
        let bytes = reader.varint()?;
        // Two paths of one byte each, their lengths and the count.
        let n_groups = reader.count(5)?;
        let mut hardlinks = Vec::with_capacity(n_groups);
        for _ in 0..n_groups {
            let n_paths = reader.count(2)?;
            let mut group = Vec::with_capacity(n_paths);
            for _ in 0..n_paths {
                let raw = reader.bytes()?;
                let path = TreePath::parse(raw)?;
                if path.as_bytes() != raw {
                    return Err(reader.invalid(format!("has the path `{}`, which is not clean", shown(raw))));
                }
                group.push(path);
            }
            hardlinks.push(group);
        }
        reader.finish()?;
        let tree = Tree { root, root_attr, hardlinks, entries, bytes };
        tree.check()?;
        Ok(tree)
    }

    pub fn id(&self) -> TreeId {
        TreeId::of(&self.encode())
    }

    /// Refuses what has no encoding: hard-link groups unsorted, of less than two, or overlapping.
    pub fn check(&self) -> Result<()> {
        let refuse = |problem: &str| Err(Error::invalid("tree record", problem));
        if let Some(problem) = attr_problem(&self.root_attr) {
            return refuse(problem);
        }
        let sorted = |group: &Vec<TreePath>| group.windows(2).all(|pair| pair[0] < pair[1]);
        if self.hardlinks.iter().any(|group| group.len() < 2 || group[0].is_root() || !sorted(group)) {
            return refuse("has a hard-link group that is not two or more sorted paths");
        }
        if !self.hardlinks.windows(2).all(|pair| pair[0][0] < pair[1][0]) {
            return refuse("has hard-link groups out of order");
        }
        let mut paths: Vec<&TreePath> = self.hardlinks.iter().flatten().collect();
        paths.sort_unstable();
        if let Some(pair) = paths.windows(2).find(|pair| pair[0] == pair[1]) {
            return refuse(&format!("has {} in two hard-link groups", pair[0]));
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check_refused(bytes: &[u8], problem: &str) {
        let err = Node::decode(bytes).unwrap_err().to_string();
        assert!(err.contains(problem), "{err}");
    }

    fn xattrs() -> impl Strategy<Value = Xattrs> {
        let bytes = || prop::collection::vec(any::<u8>(), 0..4).prop_map(Box::from);
        prop_oneof![
            3 => Just(Xattrs::default()),
            1 => prop::collection::vec((bytes(), bytes()), 0..4).prop_map(Xattrs::new),
        ]
    }

    fn number() -> impl Strategy<Value = u64> {
        prop_oneof![0u64..3, any::<u64>()]
    }

    pub(crate) fn attr() -> impl Strategy<Value = Attr> {
        let mode = prop_oneof![Just(0o644u32), Just(0o755), 0u32..=0o7777];
        let nanos = prop_oneof![Just(0), 0u32..1_000_000_000];
        let secs = prop_oneof![-3i64..3, any::<i64>()];
        (mode, number(), number(), secs, nanos, xattrs()).prop_map(|(mode, uid, gid, secs, nanos, xattrs)| {
            Attr { mode, uid, gid, mtime: Time { secs, nanos }, xattrs }
        })
    }

    fn ids() -> impl Strategy<Value = NodeIds> {
        any::<([u8; 32], [u8; 32])>()
            .prop_map(|(full, plain)| NodeIds { full: NodeId(full), plain: PlainId(plain) })
    }

    fn kind() -> impl Strategy<Value = Kind> {
        prop_oneof![
            any::<([u8; 32], u64)>()
                .prop_map(|(content, size)| Kind::File { content: ContentId(content), size }),
            ids().prop_map(Kind::Dir),
            prop::collection::vec(any::<u8>(), 0..9).prop_map(|target| Kind::Symlink(target.into())),
            any::<(u32, u32)>().prop_map(|(major, minor)| Kind::CharDevice { major, minor }),
            any::<(u32, u32)>().prop_map(|(major, minor)| Kind::BlockDevice { major, minor }),
            Just(Kind::Fifo),
            Just(Kind::Socket),
        ]
    }

    pub(crate) fn node() -> impl Strategy<Value = Node> {
        let name = prop::collection::vec(any::<u8>(), 1..6).prop_filter("clean", |name| is_clean(name));
        prop::collection::btree_map(name, (kind(), attr()), 0..8).prop_map(|entries| Node {
            entries: entries
                .into_iter()
                .map(|(name, (kind, attr))| Entry { name: name.into(), kind, attr })
                .collect(),
        })
    }

    fn tree() -> impl Strategy<Value = Tree> {
        let paths = prop::collection::btree_set("[a-c]{1,2}(/[a-c]{1,2}){0,2}", 0..9);
        (ids(), attr(), paths, 2usize..4, number(), number()).prop_map(
            |(root, root_attr, paths, size, entries, bytes)| {
                let paths: Vec<_> =
                    paths.iter().map(|path| TreePath::parse(path.as_bytes()).unwrap()).collect();
                Tree {
                    root,
                    root_attr,
                    hardlinks: paths.chunks_exact(size).map(<[_]>::to_vec).collect(),
                    entries,
                    bytes,
                }
            },
        )
    }

    proptest! {
        #[test]
        fn a_node_there_and_back(node in node()) {
            prop_assert_eq!(Node::decode(&node.encode()).unwrap(), node);
        }

        #[test]
        fn a_node_has_one_encoding(node in node(), at: prop::sample::Index, byte: u8, cut: bool) {
            let mut bytes = node.encode();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            if cut {
                bytes.remove(at);
            }
            if let Ok(node) = Node::decode(&bytes) {
                prop_assert_eq!(node.encode(), bytes);
            }
        }

        #[test]
        fn any_bytes_are_decoded_or_refused(mut bytes in prop::collection::vec(any::<u8>(), 1..200)) {
            bytes[0] = NODE_VERSION;
            if let Ok(node) = Node::decode(&bytes) {
                prop_assert_eq!(node.encode(), &bytes[..]);
            }
            let _ = Tree::decode(&bytes);
        }

        #[test]
        fn the_plain_id_ignores_times(node in node(), times in prop::collection::vec((any::<i64>(), 0u32..1_000_000_000), 8), full: [u8; 32]) {
            let mut other = node.clone();
            for (entry, (secs, nanos)) in other.entries.iter_mut().zip(times) {
                entry.attr.mtime = Time { secs, nanos };
                if let Kind::Dir(ids) = &mut entry.kind {
                    ids.full = NodeId(full);
                }
            }
            prop_assert_eq!(node.ids().plain, other.ids().plain);
            prop_assert_eq!(node == other, node.ids().full == other.ids().full);
        }

        #[test]
        fn the_plain_id_ignores_nothing_else(one in node(), two in node()) {
            let timeless = |mut node: Node| {
                for entry in &mut node.entries {
                    entry.attr.mtime = Time::default();
                    if let Kind::Dir(ids) = &mut entry.kind {
                        ids.full = NodeId([0; 32]);
                    }
                }
                node
            };
            prop_assert_eq!(one.ids().plain == two.ids().plain, timeless(one) == timeless(two));
        }

        #[test]
        fn a_tree_record_there_and_back(tree in tree()) {
            prop_assert_eq!(Tree::decode(&tree.encode()).unwrap(), tree);
        }

        #[test]
        fn a_tree_record_has_one_encoding(tree in tree(), at: prop::sample::Index, byte: u8) {
            let mut bytes = tree.encode();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            if let Ok(tree) = Tree::decode(&bytes) {
                prop_assert_eq!(tree.encode(), bytes);
            }
        }
    }

    #[test]
    fn what_is_not_canonical_is_refused() {
        let fifo = |name: &[u8]| [&[FIFO, name.len() as u8][..], name, &[0]].concat();
        let node =
            |entries: &[Vec<u8>]| [&[NODE_VERSION, entries.len() as u8][..], &entries.concat()].concat();
        assert_eq!(Node::decode(&node(&[fifo(b"a"), fifo(b"b")])).unwrap().entries.len(), 2);
        check_refused(&node(&[fifo(b"b"), fifo(b"a")]), "out of order");
        check_refused(&node(&[fifo(b"a"), fifo(b"a")]), "out of order");
        for name in [&b".."[..], b".", b"a/b", b"a\0"] {
            check_refused(&node(&[fifo(name)]), "not clean");
        }
        check_refused(&[&node(&[fifo(b"a")])[..], &[0]].concat(), "1 bytes after its end");
        check_refused(&[2, 0], "version 2");
        check_refused(&[1, 0xff, 0xff, 0xff, 0xff, 0x0f], "counts more");
        check_refused(&node(&[vec![FIFO | OTHER_MODE, 1, b'a', 0, 0]]), "again what it has as mode");
        check_refused(&node(&[vec![FIFO | OTHER_OWNER, 1, b'a', 0, 0, 0]]), "again what it has as owner");
        check_refused(&node(&[vec![FIFO | NANOS, 1, b'a', 0, 0]]), "again what it has as nanoseconds");
        check_refused(
            &node(&[vec![FIFO | XATTRS, 1, b'a', 0, 0]]),
            "again what it has as extended attributes",
        );
        check_refused(&node(&[vec![7, 1, b'a', 0]]), "tag 0x07");
    }

    /// These ids are in stores: a change here is a change of the format and needs a new version.
    #[test]
    fn the_ids_of_version_1_stay() {
        let entry = |name: &[u8], kind: Kind, secs: i64| Entry {
            name: name.into(),
            kind,
            attr: Attr { mode: 0o755, uid: 7, mtime: Time { secs, nanos: 5 }, ..Attr::default() },
        };
        let content = ContentId([3; 32]);
        let node = Node {
            entries: vec![
                entry(b"a", Kind::File { content, size: 300 }, 1_700_000_000),
                entry(b"b", Kind::Symlink(b"a"[..].into()), -1),
            ],
        };
        assert_eq!(
            crate::id::hex(&node.encode()),
            "0102\
             38\
             0161ed03070080c49fd50c05ac02\
             0303030303030303030303030303030303030303030303030303030303030303\
             2a0162ed0381c49fd50c050161"
        );
        let ids = node.ids();
        assert_eq!(ids.full.to_string(), "74ffaa411e8159ec22d3eca12c9674d522c587a62da037f65c0188fde54296da");
        assert_eq!(ids.plain.to_string(), "551c960ba9cb67d914c3251b4f5b62a2fea9b968e2b75a0bccf3959c709531bb");
        assert_eq!(
            Node::default().ids().full.to_string(),
            "47dc540c94ceb704a23875c11273e16bb0b8a87aed84de911f2133568115f254"
        );
    }

    /// Run with `cargo test --release -- --ignored --nocapture encoding_speed`.
    #[test]
    #[ignore = "a measurement"]
    fn encoding_speed() {
        let node = Node {
            entries: (0..40)
                .map(|n| Entry {
                    name: format!("libexample{n:02}.so").into_bytes().into(),
                    kind: Kind::File { content: ContentId::of(&[n]), size: 20_000 },
                    attr: Attr {
                        mode: 0o644,
                        mtime: Time { secs: 1_700_000_000 + i64::from(n) % 4, nanos: 0 },
                        ..Attr::default()
                    },
                })
                .collect(),
        };
        let rate = |what: &str, deed: &dyn Fn()| {
            let start = std::time::Instant::now();
            (0..25_000).for_each(|_| deed());
            println!("{what}: {:.2} million entries/s", 1.0 / start.elapsed().as_secs_f64());
        };
        let bytes = node.encode();
        println!("{} bytes an entry", bytes.len() / node.entries.len());
        rate("encode and both ids", &|| drop(std::hint::black_box(node.encode_with_ids())));
        rate("decode", &|| drop(std::hint::black_box(Node::decode(&bytes))));
    }
}
