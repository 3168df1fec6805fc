//! Inodes: what the file system knows of an entry besides its names and bytes.

use crate::attr::Time;
use crate::disk::files::Found;
use crate::disk::native::ext::checksum;
use crate::disk::native::ext::features;
use crate::disk::native::ext::superblock::Superblock;
use crate::disk::native::field::array_at;
use crate::disk::native::field::u16_at;
use crate::disk::native::field::u32_at;
use crate::disk::native::field::u64_of;
use crate::error::Error;
use crate::error::Result;

pub const ROOT_INODE: u32 = 2;
/// Every inode has these; what follows is there only in larger ones.
const OLD_INODE_BYTES: usize = 128;
/// Pointers to blocks, a root of extents, a short symlink or the first bytes of a file.
pub const BLOCK_AREA_BYTES: usize = 60;

const FLAG_ENCRYPTED: u32 = 0x800;
const FLAG_INDEXED: u32 = 0x1000;
const FLAG_HUGE: u32 = 0x4_0000;
const FLAG_EXTENTS: u32 = 0x8_0000;
const FLAG_EA_INODE: u32 = 0x20_0000;
const FLAG_INLINE: u32 = 0x1000_0000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InodeKind {
    Fifo,
    CharDevice,
    Dir,
    BlockDevice,
    File,
    Symlink,
    Socket,
}

/// An inode that is in use and whose checksum holds.
pub struct Inode {
    pub number: u32,
    pub kind: InodeKind,
    /// Checksums of what belongs to it begin with this.
    pub seed: u32,
    pub size: u64,
    /// The block of extended attributes, or 0.
    pub xattr_block: u64,
    /// In units of 512 bytes, those of an attribute block included.
    pub sectors: u64,
    bytes: Box<[u8]>,
}

impl Inode {
    /// `bytes` is as long as the superblock says.
    pub fn parse(superblock: &Superblock, number: u32, bytes: Box<[u8]>) -> Result<Inode> {
        let thing = || format!("inode {number}");
        let refuse = |problem: &str| Err(Error::invalid(thing(), problem));
        let extra = extra_bytes(&bytes);
        if OLD_INODE_BYTES + extra > bytes.len() || !extra.is_multiple_of(4) {
            return refuse(&format!("says it has {extra} extra bytes"));
        }
        let seed = checksum::crc32c(superblock.seed, &number.to_le_bytes());
        let seed = checksum::crc32c(seed, bytes.get(100..104).unwrap_or_default());
        if superblock.has_checksums() {
            check(&bytes, extra, seed, thing)?;
        }
        let kind = match u16_at(&bytes, 0) >> 12 {
            0o01 => InodeKind::Fifo,
            0o02 => InodeKind::CharDevice,
            0o04 => InodeKind::Dir,
            0o06 => InodeKind::BlockDevice,
            0o10 => InodeKind::File,
            0o12 => InodeKind::Symlink,
            0o14 => InodeKind::Socket,
            0 => return refuse("is not in use but has a name"),
            other => return refuse(&format!("is of the unknown kind {other:#o}")),
        };
        let has_high_size =
            kind == InodeKind::File || superblock.features.has_incompat(features::INCOMPAT_LARGEDIR);
        let size = u64_of(&bytes, 4, if has_high_size { 108 } else { usize::MAX });
        if i64::try_from(size).is_err() {
            return refuse(&format!("has a size of {size} bytes"));
        }
        let xattr_high = if superblock.is_hurd { 0 } else { u64::from(u16_at(&bytes, 118)) };
        let mut inode = Inode {
            number,
            kind,
            seed,
            size,
            xattr_block: u64::from(u32_at(&bytes, 104)) | xattr_high << 32,
            sectors: u64::from(u32_at(&bytes, 28)),
            bytes,
        };
        if superblock.features.has_ro_compat(features::RO_COMPAT_HUGE_FILE) {
            inode.sectors |= u64::from(u16_at(&inode.bytes, 116)) << 32;
            if inode.flags() & FLAG_HUGE != 0 {
                inode.sectors = inode.sectors.saturating_mul(superblock.block_size / 512);
            }
        }
        if inode.flags() & FLAG_ENCRYPTED != 0 {
            return refuse("is encrypted (feature encrypt), which is not read here");
        }
        if inode.links() == 0 {
            return refuse("has no links but has a name");
        }
        Ok(inode)
    }

    /// Permission, setuid, setgid and sticky bits.
    pub fn mode(&self) -> u32 {
        u32::from(u16_at(&self.bytes, 0)) & 0o7777
    }

    pub fn uid(&self) -> u64 {
        u64::from(u16_at(&self.bytes, 2)) | u64::from(u16_at(&self.bytes, 120)) << 16
    }

    pub fn gid(&self) -> u64 {
        u64::from(u16_at(&self.bytes, 24)) | u64::from(u16_at(&self.bytes, 122)) << 16
    }

    pub fn links(&self) -> u16 {
        u16_at(&self.bytes, 26)
    }

    fn flags(&self) -> u32 {
        u32_at(&self.bytes, 32)
    }

    pub fn has_extents(&self) -> bool {
        self.flags() & FLAG_EXTENTS != 0
    }

    pub fn is_inline(&self) -> bool {
        self.flags() & FLAG_INLINE != 0
    }

    pub fn is_indexed(&self) -> bool {
        self.flags() & FLAG_INDEXED != 0
    }

    /// The value of an extended attribute, which may have no name in any folder.
    pub fn is_xattr_value(&self) -> bool {
        self.flags() & FLAG_EA_INODE != 0
    }

    /// Of the value of an attribute, its checksum.
    pub fn value_hash(&self) -> u32 {
        u32_at(&self.bytes, 8)
    }

    /// 32 bits of seconds; in larger inodes 2 bits more of them, and nanoseconds.
    pub fn mtime(&self) -> Result<Time> {
        let secs = i64::from(u32_at(&self.bytes, 16) as i32);
        if extra_bytes(&self.bytes) < 12 {
            return Ok(Time { secs, nanos: 0 });
        }
        let more = u32_at(&self.bytes, 136);
        let nanos = more >> 2;
        if nanos >= 1_000_000_000 {
            let problem = format!("was modified at {nanos} nanoseconds of a second");
            return Err(Error::invalid(format!("inode {}", self.number), problem));
        }
        Ok(Time { secs: secs + (i64::from(more & 3) << 32), nanos })
    }

    pub fn block_area(&self) -> [u8; BLOCK_AREA_BYTES] {
        array_at(&self.bytes, 40).expect("an inode has 128 bytes at least")
    }

    /// What follows the fields: extended attributes, if any.
    pub fn rest(&self) -> &[u8] {
        self.bytes.get(OLD_INODE_BYTES + extra_bytes(&self.bytes)..).unwrap_or_default()
    }

    /// A device, fifo or socket; the other kinds have bytes elsewhere.
    pub fn special(&self) -> Option<Found<'static>> {
        let area = self.block_area();
        let (major, minor) = match (u32_at(&area, 0), u32_at(&area, 4)) {
            (0, new) => ((new >> 8) & 0xfff, new & 0xff | (new >> 12) & 0xf_ff00),
            (old, _) => ((old >> 8) & 0xff, old & 0xff),
        };
        match self.kind {
            InodeKind::CharDevice => Some(Found::CharDevice { major, minor }),
            InodeKind::BlockDevice => Some(Found::BlockDevice { major, minor }),
            InodeKind::Fifo => Some(Found::Fifo),
            InodeKind::Socket => Some(Found::Socket),
            InodeKind::Dir | InodeKind::File | InodeKind::Symlink => None,
        }
    }
}

/// How many bytes of fields follow the first 128.
fn extra_bytes(bytes: &[u8]) -> usize {
    if bytes.len() > OLD_INODE_BYTES { usize::from(u16_at(bytes, OLD_INODE_BYTES)) } else { 0 }
}

/// The checksum is over the whole inode, its own fields as zeros; a small inode keeps half of it.
fn check(bytes: &[u8], extra: usize, seed: u32, thing: impl FnOnce() -> String) -> Result<()> {
    let has_high = extra >= 4;
    let mut computed = checksum::crc32c(seed, &bytes[..124]);
    computed = checksum::crc32c(computed, &[0, 0]);
    computed = checksum::crc32c(computed, &bytes[126..OLD_INODE_BYTES]);
    if bytes.len() > OLD_INODE_BYTES {
        computed = checksum::crc32c(computed, &bytes[128..130]);
        computed = checksum::crc32c(computed, if has_high { &[0, 0] } else { &bytes[130..132] });
        computed = checksum::crc32c(computed, &bytes[132..]);
    }
    let mut stored = u32::from(u16_at(bytes, 124));
    if has_high {
        stored |= u32::from(u16_at(bytes, 130)) << 16;
    } else {
        computed &= 0xffff;
    }
    checksum::check(stored, computed, thing)
}
