//! The bytes of a bundle, as values: the header and the tables. `FORMAT.md` is the plan of them.

use crate::codec::Reader;
use crate::codec::put_bytes;
use crate::codec::put_varint;
use crate::error::Error;
use crate::error::Result;
use crate::history::refs::Ref;
use crate::history::refs::RefKind;
use crate::history::refs::RefName;
use crate::id::ChainId;
use crate::id::CommitId;
use crate::id::ContentId;
use crate::id::DiffId;
use crate::id::TreeId;
use crate::oci::digest::Digest;
use crate::path::shown;
use crate::store::BlobRow;
use crate::store::BlobSource;
use std::fmt;

pub const MAGIC: [u8; 8] = *b"imgitbn\n";
pub const VERSION: u16 = 1;
/// Magic, version, two zeros, CRC-32 of those twelve bytes.
pub const HEADER_BYTES: usize = 16;

/// Features this imgit knows among those that must be known. None yet.
const KNOWN_FEATURES: [&str; 0] = [];
/// Tables from this kind on may be passed over by who does not know them.
const OPTIONAL_TABLES: u8 = 128;

/// What a bundle is about: everything that stands before its objects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    pub totals: Totals,
    pub prerequisites: Vec<Prerequisite>,
    pub refs: Vec<Ref>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub commits: u64,
    /// Of every kind, commits among them.
    pub objects: u64,
    /// Of contents and recipes, uncompressed.
    pub bytes: u64,
}

/// What a store can have whole, with all that it needs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Base {
    Commit(CommitId),
    Tree(TreeId),
    Blob(Digest),
}

/// Something that the bundle builds on: it must be in the store already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prerequisite {
    pub base: Base,
    /// What a person knows it by: a branch, the first line of a message.
    pub note: String,
}

/// What the objects of a section are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectKind {
    Commit,
    Content,
    /// A content that is a compressed layer, to be kept among its like.
    Kept,
    Recipe,
    Node,
    Tree,
}

/// One object of a section; a recipe's id is that of what it rebuilds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    pub id: [u8; 32],
    pub len: u64,
}

/// What stands in a frame that is not data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Table {
    Head(Totals),
    Prerequisites(Vec<Prerequisite>),
    Refs(Vec<Ref>),
    /// Their bytes follow in frames of data.
    Objects(ObjectKind, Vec<Row>),
    Blobs(Vec<(Digest, BlobRow)>),
    Chains(Vec<(ChainId, TreeId)>),
    /// One of a newer imgit that may be passed over.
    Optional,
    /// The last, with the number of objects before it.
    End(u64),
}

impl Base {
    pub fn noun(&self) -> &'static str {
        match self {
            Base::Commit(_) => "commit",
            Base::Tree(_) => "tree",
            Base::Blob(_) => "blob",
        }
    }
}

impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Base::Commit(id) => id.fmt(f),
            Base::Tree(id) => id.fmt(f),
            Base::Blob(digest) => digest.fmt(f),
        }
    }
}

impl fmt::Display for Prerequisite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.base.noun(), self.base)?;
        if self.note.is_empty() { Ok(()) } else { write!(f, " ({})", shown(self.note.as_bytes())) }
    }
}

impl ObjectKind {
    const ALL: [ObjectKind; 6] = [
        ObjectKind::Commit,
        ObjectKind::Content,
        ObjectKind::Kept,
        ObjectKind::Recipe,
        ObjectKind::Node,
        ObjectKind::Tree,
    ];

    /// Part of the format.
    fn code(self) -> u8 {
        match self {
            ObjectKind::Content => 1,
            ObjectKind::Node => 2,
            ObjectKind::Tree => 3,
            ObjectKind::Recipe => 4,
            ObjectKind::Commit => 5,
            ObjectKind::Kept => 6,
        }
    }

    pub fn noun(self) -> &'static str {
        match self {
            ObjectKind::Content | ObjectKind::Kept => "content",
            ObjectKind::Node => "node",
            ObjectKind::Tree => "tree",
            ObjectKind::Recipe => "recipe",
            ObjectKind::Commit => "commit",
        }
    }
}

impl Table {
    /// Where it may stand: tables of a lower rank come first. Part of the format.
    pub fn rank(&self) -> Option<u8> {
        Some(match self {
            Table::Head(_) => 0,
            Table::Prerequisites(_) => 1,
            Table::Refs(_) => 2,
            Table::Objects(ObjectKind::Commit, _) => 3,
            Table::Blobs(_) => 4,
            Table::Chains(_) => 5,
            Table::Objects(ObjectKind::Content | ObjectKind::Kept, _) => 6,
            Table::Objects(ObjectKind::Recipe, _) => 7,
            Table::Objects(ObjectKind::Node, _) => 8,
            Table::Objects(ObjectKind::Tree, _) => 9,
            Table::End(_) => 10,
            Table::Optional => return None,
        })
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Table::Head(totals) => {
                // No feature that must be known, none that need not.
                out.extend_from_slice(&[1, 0, 0]);
                for count in [totals.commits, totals.objects, totals.bytes] {
                    put_varint(&mut out, count);
                }
            }
            Table::Prerequisites(all) => {
                put_list(&mut out, 2, all, |out, one| {
                    match &one.base {
                        Base::Commit(id) => put_id(out, 1, &id.0),
                        Base::Tree(id) => put_id(out, 2, &id.0),
                        Base::Blob(digest) => {
                            out.push(3);
                            put_bytes(out, digest.as_str().as_bytes());
                        }
                    }
                    put_bytes(out, one.note.as_bytes());
                });
            }
            Table::Refs(all) => put_list(&mut out, 3, all, |out, one| {
                out.push(one.kind.code());
                put_bytes(out, one.name.to_string().as_bytes());
                out.extend_from_slice(&one.commit.0);
            }),
            Table::Objects(kind, rows) => {
                out.extend_from_slice(&[4, kind.code()]);
                put_varint(&mut out, rows.len() as u64);
                for row in rows {
                    out.extend_from_slice(&row.id);
                    put_varint(&mut out, row.len);
                }
            }
            Table::Blobs(all) => put_list(&mut out, 5, all, |out, (digest, row)| {
                put_bytes(out, digest.as_str().as_bytes());
                match row.source {
                    BlobSource::Content(id) => put_id(out, 1, &id.0),
                    BlobSource::Recipe(id) => put_id(out, 2, &id.0),
                    BlobSource::Encoded { how, of } => {
                        put_id(out, 3, &how.0);
                        out.extend_from_slice(&of.0);
                    }
                }
                put_varint(out, row.size);
                match row.diff_id {
                    None => out.push(0),
                    Some(id) => put_id(out, 1, &id.0),
                }
            }),
            Table::Chains(all) => put_list(&mut out, 6, all, |out, (chain, tree)| {
                out.extend_from_slice(&chain.0);
                out.extend_from_slice(&tree.0);
            }),
            Table::Optional => out.push(OPTIONAL_TABLES),
            Table::End(objects) => {
                out.push(7);
                put_varint(&mut out, *objects);
            }
        }
        out
    }

    /// Reads what [`Table::encode`] wrote; a table of a newer imgit, too, if it may be passed over.
    pub fn decode(bytes: &[u8]) -> Result<Table> {
        let reader = &mut Reader::new("table of a bundle", bytes);
        let table = match reader.byte()? {
            1 => {
                check_features(reader)?;
                Table::Head(Totals {
                    commits: reader.varint()?,
                    objects: reader.varint()?,
                    bytes: reader.varint()?,
                })
            }
            2 => Table::Prerequisites(take_list(reader, 34, |reader| {
                let base = match reader.byte()? {
                    1 => Base::Commit(CommitId(reader.array()?)),
                    2 => Base::Tree(TreeId(reader.array()?)),
                    3 => Base::Blob(Digest::parse(reader.text()?)?),
                    kind => return Err(reader.invalid(format!("builds on something of kind {kind}"))),
                };
                Ok(Prerequisite { base, note: reader.text()?.to_owned() })
            })?),
            3 => Table::Refs(take_list(reader, 34, |reader| {
                let kind = match reader.byte()? {
                    1 => RefKind::Branch,
                    2 => RefKind::Tag,
                    kind => return Err(reader.invalid(format!("has a ref of kind {kind}"))),
                };
                let text = reader.text()?;
                let name = RefName::parse(text)?;
                if name.to_string() != text {
                    return Err(reader.invalid(format!("has the ref `{text}`, which is called {name}")));
                }
                Ok(Ref { kind, name, commit: CommitId(reader.array()?) })
            })?),
            4 => {
                let code = reader.byte()?;
                let kind = ObjectKind::ALL.into_iter().find(|kind| kind.code() == code);
                let kind = kind.ok_or_else(|| reader.invalid(format!("has objects of kind {code}")))?;
                let rows =
                    take_list(reader, 33, |reader| Ok(Row { id: reader.array()?, len: reader.varint()? }))?;
                Table::Objects(kind, rows)
            }
            5 => Table::Blobs(take_list(reader, 36, |reader| {
                let digest = Digest::parse(reader.text()?)?;
                let source = match reader.byte()? {
                    1 => BlobSource::Content(ContentId(reader.array()?)),
                    2 => BlobSource::Recipe(DiffId(reader.array()?)),
                    3 => BlobSource::Encoded { how: ContentId(reader.array()?), of: DiffId(reader.array()?) },
                    kind => return Err(reader.invalid(format!("has a blob of kind {kind}"))),
                };
                let size = reader.varint()?;
                let diff_id = match reader.byte()? {
                    0 => None,
                    1 => Some(DiffId(reader.array()?)),
                    kind => return Err(reader.invalid(format!("has a layer id of kind {kind}"))),
                };
                Ok((digest, BlobRow { source, size, diff_id }))
            })?),
            6 => Table::Chains(take_list(reader, 64, |reader| {
                Ok((ChainId(reader.array()?), TreeId(reader.array()?)))
            })?),
            7 => Table::End(reader.varint()?),
            OPTIONAL_TABLES.. => return Ok(Table::Optional),
            kind => return Err(reader.invalid(format!("is of kind {kind}, which this imgit does not know"))),
        };
        match reader.left() {
            0 => Ok(table),
            left => Err(reader.invalid(format!("has {left} bytes after its end"))),
        }
    }
}

/// The first bytes of a bundle.
pub fn header() -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[..8].copy_from_slice(&MAGIC);
    header[8..10].copy_from_slice(&VERSION.to_le_bytes());
    let crc = crc32fast::hash(&header[..12]);
    header[12..].copy_from_slice(&crc.to_le_bytes());
    header
}

pub fn check_header(thing: &str, header: &[u8; HEADER_BYTES]) -> Result<()> {
    if header[..8] != MAGIC {
        return Err(Error::invalid(thing, "is not a bundle"));
    }
    let crc = crc32fast::hash(&header[..12]);
    if header[12..] != crc.to_le_bytes() {
        return Err(Error::invalid(thing, "has a damaged header"));
    }
    match u16::from_le_bytes([header[8], header[9]]) {
        VERSION => Ok(()),
        found => Err(newer(thing, &format!("has format {found}"))),
    }
}

fn check_features(reader: &mut Reader) -> Result<()> {
    for must in [true, false] {
        for _ in 0..reader.count(1)? {
            let name = reader.text()?;
            if must && !KNOWN_FEATURES.contains(&name) {
                return Err(newer("bundle", &format!("uses `{}`", shown(name.as_bytes()))));
            }
        }
    }
    Ok(())
}

fn newer(thing: &str, what: &str) -> Error {
    Error::invalid(thing, format!("{what}; this imgit reads format {VERSION}"))
        .with_hint("a newer imgit has written it: a newer one reads it")
}

fn put_id(out: &mut Vec<u8>, kind: u8, id: &[u8; 32]) {
    out.push(kind);
    out.extend_from_slice(id);
}

fn put_list<T>(out: &mut Vec<u8>, kind: u8, all: &[T], put: impl Fn(&mut Vec<u8>, &T)) {
    out.push(kind);
    put_varint(out, all.len() as u64);
    all.iter().for_each(|one| put(out, one));
}

/// `least` is how many bytes one takes at least.
fn take_list<T>(
    reader: &mut Reader,
    least: usize,
    take: impl Fn(&mut Reader) -> Result<T>,
) -> Result<Vec<T>> {
    let count = reader.count(least)?;
    (0..count).map(|_| take(reader)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(super) fn tables() -> Vec<Table> {
        let commit = CommitId::of(b"commit");
        let digest = Digest::of(b"layer");
        let refs = [("web:latest", RefKind::Branch), ("web:v1", RefKind::Tag)];
        let refs = refs.map(|(name, kind)| Ref { name: RefName::parse(name).unwrap(), kind, commit });
        let bases = [Base::Commit(commit), Base::Tree(TreeId::of(b"")), Base::Blob(digest.clone())];
        let note = "web:latest";
        let row = |source, diff_id| BlobRow { source, size: 1 << 40, diff_id };
        let diff_id = DiffId::of(b"tar");
        vec![
            Table::Head(Totals { commits: 1, objects: 300, bytes: u64::MAX }),
            Table::Prerequisites(bases.map(|base| Prerequisite { base, note: note.to_owned() }).to_vec()),
            Table::Refs(refs.to_vec()),
            Table::Objects(
                ObjectKind::Commit,
                vec![Row { id: commit.0, len: 0 }, Row { id: [7; 32], len: 1 << 33 }],
            ),
            Table::Blobs(vec![
                (digest.clone(), row(BlobSource::Content(ContentId::of(b"gz")), Some(diff_id))),
                (Digest::from(diff_id), row(BlobSource::Recipe(diff_id), None)),
                (
                    Digest::of(b"gz"),
                    row(BlobSource::Encoded { how: ContentId::of(b"how"), of: diff_id }, Some(diff_id)),
                ),
            ]),
            Table::Chains(vec![(diff_id.chain_on(None), TreeId::of(b""))]),
            Table::End(300),
        ]
    }

    #[test]
    fn tables_there_and_back_and_in_their_order() {
        let mut last = None;
        for table in tables() {
            let bytes = table.encode();
            assert_eq!(Table::decode(&bytes).unwrap(), table);
            for end in 0..bytes.len() {
                assert!(Table::decode(&bytes[..end]).is_err(), "{table:?} of {end} bytes");
            }
            assert!(Table::decode(&[&bytes[..], b"x"].concat()).is_err(), "{table:?}");
            assert!(table.rank() > last, "{table:?}");
            last = table.rank();
        }
        for kind in ObjectKind::ALL {
            let table = Table::Objects(kind, Vec::new());
            assert_eq!(Table::decode(&table.encode()).unwrap(), table);
        }
    }

    #[test]
    fn what_is_newer_is_told_from_what_is_damaged() {
        let unknown_feature = [&[1, 1, 5][..], b"ropes", &[0, 0, 0, 0]].concat();
        let err = Table::decode(&unknown_feature).unwrap_err();
        assert!(err.to_string().contains("uses `ropes`") && err.hint().is_some(), "{err}");
        // One that need not be known.
        let mut known = unknown_feature;
        known.splice(1..3, [0, 1, 5]);
        known.pop();
        assert!(matches!(Table::decode(&known), Ok(Table::Head(_))));
        assert_eq!(Table::decode(&[200, 1, 2]).unwrap(), Table::Optional);
        assert!(Table::decode(&[8]).unwrap_err().to_string().contains("of kind 8"));

        let mut newer = header();
        newer[8] = 2;
        let crc = crc32fast::hash(&newer[..12]);
        newer[12..].copy_from_slice(&crc.to_le_bytes());
        for (header, problem) in [
            (newer, "has format 2; this imgit reads format 1"),
            ([b'x'; 16], "is not a bundle"),
            ([&header()[..9], &[1; 7]].concat().try_into().unwrap(), "has a damaged header"),
        ] {
            let err = check_header("web.bundle", &header).unwrap_err().to_string();
            assert!(err.contains(problem), "{err}");
        }
        check_header("web.bundle", &header()).unwrap();
    }

    proptest! {
        #[test]
        fn a_table_has_one_encoding(which in 0..7usize, at: prop::sample::Index, byte: u8) {
            let mut bytes = tables()[which].encode();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            // The names of features are not kept.
            if let Ok(table) = Table::decode(&bytes) && table.rank().is_some_and(|rank| rank > 0) {
                prop_assert_eq!(table.encode(), bytes);
            }
        }
    }
}
