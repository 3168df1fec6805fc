//! An OVA: a tar of a description (`.ovf`) and the disks of a guest, read where they lie.
//!
//! Nothing is unpacked: a disk is a window of the tar. What is a disk is found by its magic bytes;
//! the description is not read, and a disk in an OVA cannot name another file.

use crate::disk::bytes::Part;
use crate::disk::bytes::ReadAt;
use crate::disk::format::Format;
use crate::disk::format::Image;
use crate::disk::format::OpenOptions;
use crate::disk::format::detect::detect_in;
use crate::disk::format::open_in;
use crate::disk::format::source::Source;
use crate::error::Error;
use crate::error::Result;
use crate::fs::SharedFile;
use crate::fs::members;
use crate::fs::members::Member;
use std::sync::Arc;

/// A guest has tens of disks at most, and some files with words about it.
const MEMBERS_MAX: usize = 1_000;
const GZIP: [u8; 2] = [0x1f, 0x8b];

pub struct Ova {
    file: SharedFile,
    /// In the order of the tar, which is that of the description.
    pub disks: Vec<OvaDisk>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OvaDisk {
    /// Of the member: a word for people, never a path.
    pub name: String,
    offset: u64,
    len: u64,
}

impl Ova {
    /// Lists the disks of an OVA; `None` for a file that is none: no tar, or one without an `.ovf`.
    pub fn read(file: &SharedFile) -> Result<Option<Ova>> {
        if !members::begins_as_tar(file)? {
            return Ok(None);
        }
        let mut found = Vec::new();
        let whole = members::scan(file, MEMBERS_MAX, &mut |name, member| {
            if let Member::File { offset, len } = member {
                found.push(OvaDisk { name, offset, len });
            }
        })?;
        if !found.iter().any(|member| ending(&member.name) == "ovf") {
            return Ok(None);
        }
        if !whole {
            let thing = format!("number of members of {}", file.path().display());
            return Err(Error::Limit { thing, limit: MEMBERS_MAX as u64, unit: "members" });
        }
        let mut ova = Ova { file: file.clone(), disks: Vec::new() };
        for member in
            found.into_iter().filter(|member| !matches!(&ending(&member.name)[..], "ovf" | "mf" | "cert"))
        {
            if ova.is_disk(&member)? {
                ova.disks.push(member);
            }
        }
        Ok(Some(ova))
    }

    pub fn open(&self, disk: &OvaDisk, options: &OpenOptions) -> Result<Image> {
        open_in(
            Source { file: Arc::new(self.part(disk)?), name: self.name(disk), folder: None },
            None,
            options,
        )
    }

    /// Raw disks and CDs lie in an OVA for other ends; a compressed or divided disk is an error.
    fn is_disk(&self, member: &OvaDisk) -> Result<bool> {
        let part = self.part(member)?;
        let refused = |what: &str| Err(Error::invalid(&*self.name(member), what));
        let mut start = [0; 2];
        if part.size() >= 2 {
            part.read_at(0, &mut start)?;
        }
        if start == GZIP {
            return refused("is compressed by gzip, which imgit does not read inside of an OVA");
        }
        if ending(&member.name).bytes().all(|digit| digit.is_ascii_digit()) {
            return refused("is a chunk of a divided file, which imgit does not put together");
        }
        Ok(detect_in(&part)?.is_some_and(|format| format != Format::Raw))
    }

    fn part(&self, disk: &OvaDisk) -> Result<Part> {
        Part::new(Arc::new(self.file.clone()), disk.offset, disk.len)
    }

    fn name(&self, disk: &OvaDisk) -> Arc<str> {
        format!("{} in {}", disk.name, self.file.path().display()).into()
    }
}

/// What follows the last dot, in small letters.
fn ending(name: &str) -> String {
    name.rsplit_once('.').map_or("-", |(_, ending)| ending).to_ascii_lowercase()
}
