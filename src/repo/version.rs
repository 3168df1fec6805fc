//! A version: the commit that a revision names, and the tree of it that is meant.

use super::Repo;
use crate::error::Error;
use crate::error::Result;
use crate::history::commit::ArtifactKind;
use crate::history::commit::Commit;
use crate::history::commit::PlatformTree;
use crate::history::refs::RefName;
use crate::history::revision::Revision;
use crate::id::CommitId;
use crate::oci::descriptor::Descriptor;
use crate::oci::digest::Digest;
use crate::oci::media_type::MediaType;
use crate::oci::platform::Platform;
use crate::tree::Tree;

pub struct Version {
    pub id: CommitId,
    pub commit: Commit,
    /// The branch or tag it was found by.
    pub name: Option<RefName>,
    /// As it was typed, for messages.
    pub shown: String,
}

impl Version {
    /// The descriptor of the OCI artifact; `None` for folders and tars, which are none.
    pub fn descriptor(&self) -> Result<Option<Descriptor>> {
        let artifact = &self.commit.artifact;
        match artifact.kind {
            ArtifactKind::Image | ArtifactKind::Index | ArtifactKind::Other => {
                let digest = Digest::parse(&artifact.digest)?;
                Ok(Some(Descriptor::new(MediaType::new(artifact.media_type.clone()), digest, artifact.size)))
            }
            _ => Ok(None),
        }
    }
}

impl Repo {
    /// Finds the version that `NAME[:REF]` with git's suffixes, or a commit id, names.
    pub fn resolve(&self, text: &str) -> Result<Version> {
        let found =
            Revision::parse(text, &jiff::Zoned::now()).map_err(Error::typed)?.resolve(&self.snapshot()?)?;
        Ok(Version {
            id: found.id,
            commit: self.commit(&found.id)?,
            name: found.name,
            shown: text.to_string(),
        })
    }

    /// The tree of the wanted platform; without one, of the only platform or of this machine's.
    pub fn platform_tree(&self, version: &Version, wanted: Option<&str>) -> Result<PlatformTree> {
        let trees = &version.commit.trees;
        let none = || {
            let problem = "has no file system: it is an artifact or a disk of bytes, or its layers were not in the source";
            Error::Usage(format!("{} {problem}", version.shown))
        };
        let is_disk = version.commit.artifact.kind == ArtifactKind::Disk;
        // Of a guest the first is its whole system, and the others are file systems by device.
        if wanted.is_none() && (trees.len() <= 1 || is_disk) {
            return trees.first().cloned().ok_or_else(none);
        }
        if let Some(device) = wanted.filter(|wanted| !is_disk && wanted.starts_with('/')) {
            let kind = version.commit.artifact.kind.word();
            let problem = format!("{} ({kind}) has no file system {device}: it is no disk", version.shown);
            return Err(Error::Usage(problem));
        }
        if let Some(device) = wanted.filter(|_| is_disk) {
            return trees.iter().find(|tree| tree.platform == device).cloned().ok_or_else(|| {
                let has: Vec<&str> = trees.iter().skip(1).map(|tree| tree.platform.as_str()).collect();
                Error::not_found("file system", format!("{device} in {}", version.shown)).with_hint(
                    match &has[..] {
                        [] => "it has one file system or none: without --filesystem it is meant".to_string(),
                        has => format!("it has {}", has.join(", ")),
                    },
                )
            });
        }
        let wanted = wanted.map_or_else(|| Ok(Platform::host()), Platform::parse)?;
        let rank = |tree: &&PlatformTree| {
            Platform::parse(&tree.platform).ok().and_then(|offered| wanted.rank(&offered))
        };
        let fit = trees.iter().filter(|tree| rank(tree).is_some()).min_by_key(|tree| rank(tree));
        fit.cloned().ok_or_else(|| {
            let has: Vec<&str> = trees.iter().map(|tree| tree.platform.as_str()).collect();
            Error::not_found("platform", format!("{wanted} in {}", version.shown))
                .with_hint(format!("it has {}; choose with --platform", has.join(", ")))
        })
    }

    pub fn tree(&self, version: &Version, platform: Option<&str>) -> Result<Tree> {
        self.tree_record(&self.platform_tree(version, platform)?.tree)
    }
}
