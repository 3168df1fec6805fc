//! A commit: what was imported or made, from what, by whom, when and why.
//!
//! The encoding is canonical and its hash is the commit's name: a version byte, then the fields
//! in the order of [`Commit`], texts and lists after their length, ids as 32 bytes, the time as
//! seconds, nanoseconds and seconds east of Greenwich.

use crate::attr::Time;
use crate::codec::Reader;
use crate::codec::put_bytes;
use crate::codec::put_signed;
use crate::codec::put_time;
use crate::codec::put_varint;
use crate::error::Error;
use crate::error::Result;
use crate::id::CommitId;
use crate::id::TreeId;
use std::collections::BTreeMap;
use std::collections::HashSet;

/// The label of a version whose source has it no more, with the date when that was found.
pub const GONE: &str = "imgit.gone";

pub const COMMIT_VERSION: u8 = 1;

/// No place on earth was ever a day and two hours off; the bound of the date library.
const TZ_OFFSET_SECS_MAX: i64 = 93_599;

/// What kind of thing a commit holds: decides which exports make sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ArtifactKind {
    /// One image manifest.
    Image,
    /// An image index: images of several platforms.
    Index,
    /// Any other OCI manifest: charts, signatures, models.
    Other,
    Tar,
    Directory,
    Disk,
}

impl ArtifactKind {
    const ALL: [ArtifactKind; 6] = [
        ArtifactKind::Image,
        ArtifactKind::Index,
        ArtifactKind::Other,
        ArtifactKind::Tar,
        ArtifactKind::Directory,
        ArtifactKind::Disk,
    ];

    /// Part of the format.
    fn number(self) -> u8 {
        match self {
            ArtifactKind::Image => 0,
            ArtifactKind::Index => 1,
            ArtifactKind::Other => 2,
            ArtifactKind::Tar => 3,
            ArtifactKind::Directory => 4,
            ArtifactKind::Disk => 5,
        }
    }

    /// The word that a person reads.
    pub fn word(self) -> &'static str {
        match self {
            ArtifactKind::Image => "image",
            ArtifactKind::Index => "index",
            ArtifactKind::Other => "artifact",
            ArtifactKind::Tar => "tar",
            ArtifactKind::Directory => "directory",
            ArtifactKind::Disk => "disk",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    pub kind: ArtifactKind,
    pub media_type: String,
    /// `sha256:…` of the bytes that came in; of a directory, which has none, the tree id.
    pub digest: String,
    pub size: u64,
}

/// The file system of one platform of the artifact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlatformTree {
    /// `linux/arm64/v8`; empty where nothing was said.
    pub platform: String,
    /// Digest of the manifest it was flattened from; empty where there is none.
    pub manifest: String,
    pub tree: TreeId,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    pub artifact: Artifact,
    /// In the order of the index; none where the artifact is no file system.
    pub trees: Vec<PlatformTree>,
    /// The first is the version before; more where versions were merged.
    pub parents: Vec<CommitId>,
    pub author: String,
    pub time: Time,
    /// Seconds east of Greenwich where the author was.
    pub tz_offset: i32,
    pub message: String,
    /// Where it came from: `docker-archive:web.tar`.
    pub source: String,
    pub labels: BTreeMap<String, String>,
}

impl Commit {
    pub fn id(&self) -> CommitId {
        CommitId::of(&self.encode())
    }

    /// The first line of the message.
    pub fn subject(&self) -> &str {
        self.message.lines().next().unwrap_or_default()
    }

    /// The tree of a platform, or the only tree there is if none is asked for.
    pub fn tree(&self, platform: Option<&str>) -> Option<&PlatformTree> {
        match platform {
            Some(platform) => self.trees.iter().find(|tree| tree.platform == platform),
            None => self.trees.first().filter(|_| self.trees.len() == 1),
        }
    }

    /// Encodes a commit that [`Commit::check`] finds nothing wrong with.
    pub fn encode(&self) -> Vec<u8> {
        debug_assert!(self.check().is_ok(), "{:?}", self.check());
        let mut out = vec![COMMIT_VERSION, self.artifact.kind.number()];
        put_bytes(&mut out, self.artifact.media_type.as_bytes());
        put_bytes(&mut out, self.artifact.digest.as_bytes());
        put_varint(&mut out, self.artifact.size);
        put_varint(&mut out, self.trees.len() as u64);
        for tree in &self.trees {
            put_bytes(&mut out, tree.platform.as_bytes());
            put_bytes(&mut out, tree.manifest.as_bytes());
            out.extend_from_slice(&tree.tree.0);
        }
        put_varint(&mut out, self.parents.len() as u64);
        for parent in &self.parents {
            out.extend_from_slice(&parent.0);
        }
        put_bytes(&mut out, self.author.as_bytes());
        put_time(&mut out, self.time);
        put_signed(&mut out, i64::from(self.tz_offset));
        put_bytes(&mut out, self.message.as_bytes());
        put_bytes(&mut out, self.source.as_bytes());
        put_varint(&mut out, self.labels.len() as u64);
        for (name, value) in &self.labels {
            put_bytes(&mut out, name.as_bytes());
            put_bytes(&mut out, value.as_bytes());
        }
        out
    }

    /// Reads what [`Commit::encode`] wrote and nothing else.
    pub fn decode(bytes: &[u8]) -> Result<Commit> {
        let mut reader = Reader::new("commit", bytes);
        reader.version(COMMIT_VERSION)?;
        let number = reader.byte()?;
        let kind = ArtifactKind::ALL
            .into_iter()
            .find(|kind| kind.number() == number)
            .ok_or_else(|| reader.invalid(format!("has artifact kind {number}")))?;
        let artifact = Artifact {
            kind,
            media_type: reader.text()?.to_owned(),
            digest: reader.text()?.to_owned(),
            size: reader.varint()?,
        };
        let mut trees = Vec::new();
        for _ in 0..reader.count(34)? {
            trees.push(PlatformTree {
                platform: reader.text()?.to_owned(),
                manifest: reader.text()?.to_owned(),
                tree: TreeId(reader.array()?),
            });
        }
        let mut parents = Vec::new();
        for _ in 0..reader.count(32)? {
            parents.push(CommitId(reader.array()?));
        }
        let author = reader.text()?.to_owned();
        let time = reader.time()?;
        let tz_offset = reader.signed()?;
        let tz_offset =
            i32::try_from(tz_offset).map_err(|_| reader.invalid("has a time zone beyond the earth"))?;
        let message = reader.text()?.to_owned();
        let source = reader.text()?.to_owned();
        let mut labels = BTreeMap::new();
        for _ in 0..reader.count(2)? {
            let name = reader.text()?.to_owned();
            if labels.last_key_value().is_some_and(|(last, _)| *last >= name) {
                return Err(reader.invalid("has labels out of order"));
            }
            labels.insert(name, reader.text()?.to_owned());
        }
        reader.finish()?;
        let commit = Commit { artifact, trees, parents, author, time, tz_offset, message, source, labels };
        commit.check()?;
        Ok(commit)
    }

    /// Refuses what has no encoding: times out of range, a parent twice.
    pub fn check(&self) -> Result<()> {
        let refuse = |problem: &str| Err(Error::invalid("commit", problem));
        if self.time.nanos >= 1_000_000_000 {
            return refuse("has a time with more than 999,999,999 nanoseconds");
        }
        if i64::from(self.tz_offset).abs() > TZ_OFFSET_SECS_MAX {
            return refuse("has a time zone beyond the earth");
        }
        let mut seen = HashSet::new();
        if !self.parents.iter().all(|parent| seen.insert(parent)) {
            return refuse("has one parent twice");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn commit() -> impl Strategy<Value = Commit> {
        let artifact = (prop::sample::select(&ArtifactKind::ALL[..]), ".{0,9}", ".{0,9}", any::<u64>())
            .prop_map(|(kind, media_type, digest, size)| Artifact { kind, media_type, digest, size });
        let tree = (".{0,5}", ".{0,5}", any::<[u8; 32]>())
            .prop_map(|(platform, manifest, tree)| PlatformTree { platform, manifest, tree: TreeId(tree) });
        let trees = prop::collection::vec(tree, 0..3);
        let parents = prop::collection::hash_set(any::<[u8; 32]>().prop_map(CommitId), 0..3);
        let time = (any::<i64>(), 0u32..1_000_000_000, -50_000i32..50_000);
        let labels = prop::collection::btree_map(".{0,3}", ".{0,3}", 0..4);
        (artifact, trees, parents, time, ".{0,9}", ".{0,9}", ".{0,9}", labels).prop_map(
            |(artifact, trees, parents, (secs, nanos, tz_offset), author, message, source, labels)| Commit {
                artifact,
                trees,
                parents: parents.into_iter().collect(),
                author,
                time: Time { secs, nanos },
                tz_offset,
                message,
                source,
                labels,
            },
        )
    }

    proptest! {
        #[test]
        fn a_commit_there_and_back(commit in commit()) {
            prop_assert_eq!(Commit::decode(&commit.encode()).unwrap(), commit);
        }

        #[test]
        fn a_commit_has_one_encoding(commit in commit(), at: prop::sample::Index, byte: u8, cut: bool) {
            let mut bytes = commit.encode();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            if cut {
                bytes.truncate(at);
            }
            if let Ok(commit) = Commit::decode(&bytes) {
                prop_assert_eq!(commit.encode(), bytes);
            }
        }
    }

    #[test]
    fn what_is_not_canonical_is_refused() {
        let good = crate::history::memory::commit("first", 7, &[]);
        let check = |spoil: &dyn Fn(&mut Vec<u8>), problem: &str| {
            let mut bytes = good.encode();
            spoil(&mut bytes);
            let err = Commit::decode(&bytes).unwrap_err().to_string();
            assert!(err.contains(problem), "{err}");
        };
        check(&|bytes| bytes[0] = 9, "format version 9; this imgit reads 1");
        check(&|bytes| bytes[1] = 6, "artifact kind 6");
        check(&|bytes| bytes.push(0), "1 bytes after its end");
        check(&|bytes| bytes.truncate(9), "counts more");
    }
}
