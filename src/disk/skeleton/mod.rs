//! The skeleton of a disk: the disk minus the files it holds, exact to the byte.
//!
//! ```text
//! contents as they are put -> Fingerprints -> Table -.
//! disk, regions, hints ------------------------------+-> find -> Skeleton -> write -> recipe
//!                                                                              '----> residue
//! recipe + contents -> rebuild: the disk again, as a stream or into a sparse file
//!                   -> stored: bytes at offsets, without rebuilding the rest
//! ```
//! Every block of a content is known by a fingerprint. The disk is read once, in blocks on a grid
//! that begins at each region, and what the fingerprints claim is then compared with the contents
//! byte by byte: a wrong claim costs space, never bytes. No file system is understood here, so ext4
//! and LVM, damaged and encrypted areas go the same way; what nobody claims is residue.

pub mod fingerprint;
mod lists;
pub mod rebuild;
pub mod recipe;
mod scan;
mod sha;
pub mod stored;
mod verify;
mod write;

#[cfg(test)]
mod measure;
pub mod testing;
#[cfg(test)]
mod tests;

pub use fingerprint::Fingerprints;
pub use fingerprint::Table;
pub use write::Written;

use crate::content::ContentSource;
use crate::disk::bytes::ReadAt;
use crate::error::Result;
use crate::id::DiffId;
use crate::progress::Progress;

/// The unit of fingerprints and of the grid. 512 bytes or 1 KiB gain nothing after compression.
pub const BLOCK_BYTES: usize = 4096;

/// The least step at which something may begin on a disk.
const SECTOR_BYTES: usize = 512;

/// Residue is cut at multiples of this on the disk, so that a window which two versions of a disk
/// share is one content. Part of the format of recipes.
pub const WINDOW_BYTES: u64 = 16 << 10;

/// A stretch of the disk with a grid of its own: a partition, a segment of a logical volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    pub start: u64,
    pub size: u64,
}

/// Where bytes of a content lie on the disk, from somebody who knows the file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hint {
    /// As [`Fingerprints`] numbered the content.
    pub content: u32,
    pub file_offset: u64,
    pub disk_offset: u64,
    pub len: u64,
}

/// Which bytes of a disk stand in contents, and which are zero. The rest is residue.
#[derive(Debug)]
pub struct Skeleton {
    pub size: u64,
    /// The SHA-256 of the whole disk.
    pub id: DiffId,
    claims: Vec<Claim>,
    /// Bytes that a fingerprint or a hint claimed wrongly.
    pub refuted_bytes: u64,
}

/// A run of the disk that is explained. Claims are in the order of the disk and do not overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Claim {
    at: u64,
    len: u64,
    /// In the content; 0 for zeros.
    offset: u64,
    /// Of the content, or [`ZERO`].
    number: u32,
    /// So many zero bytes follow.
    pad: u16,
}

/// Stands for the number of a content where there is none.
const ZERO: u32 = u32::MAX;

impl Claim {
    fn zero(at: u64, len: u64) -> Claim {
        Claim { at, len, offset: 0, number: ZERO, pad: 0 }
    }

    fn is_zero(&self) -> bool {
        self.number == ZERO
    }

    /// Where on the disk the run ends, its zeros included.
    fn end(&self) -> u64 {
        self.at + self.len + u64::from(self.pad)
    }
}

/// Reads the disk once, hashes all of it, and finds the contents of `table` on it.
///
/// `regions` may be empty, overlap or leave gaps; a gap is a region too. `hints` come before
/// anything that is searched. `source` gives back the contents that claims are compared with,
/// mostly in the order of their numbers.
pub fn find(
    disk: &dyn ReadAt,
    regions: &[Region],
    table: &Table,
    hints: &[Hint],
    source: &(dyn ContentSource + Sync),
    progress: &dyn Progress,
) -> Result<Skeleton> {
    progress.begin("matching the disk", Some(disk.size()));
    std::thread::scope(|scope| {
        let mut hashing = sha::Hashing::start(scope, progress)?;
        let claims = scan::scan(disk, regions, table, hints, &mut hashing, progress)?;
        // While claims are verified, the hash catches up with the zeros that cost the scan nothing.
        hashing.end();
        let verified = verify::verify(disk, claims, table, source, progress)?;
        let id = DiffId(hashing.finish()?);
        Ok(Skeleton { size: disk.size(), id, claims: verified.claims, refuted_bytes: verified.refuted_bytes })
    })
}

/// Whether all bytes are zero; as fast as memory can be read.
fn is_zero(bytes: &[u8]) -> bool {
    // One test for each stride, so that the compiler is free to read many bytes at once.
    bytes.chunks(256).all(|stride| stride.iter().fold(0, |all, byte| all | byte) == 0)
}
