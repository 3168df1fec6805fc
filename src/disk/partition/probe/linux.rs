//! File systems of Linux, swap, and what makes disks into parts of something larger.

use crate::disk::bytes::ReadAt;
use crate::disk::number::be16;
use crate::disk::number::be32;
use crate::disk::number::le16;
use crate::disk::number::le32;
use crate::disk::partition::bytes_at;
use crate::disk::partition::guid::uuid;
use crate::disk::partition::lvm::dashed;
use crate::disk::partition::lvm::read_label;
use crate::disk::partition::probe::Kind;
use crate::disk::partition::probe::Probe;
use crate::disk::partition::probe::label;
use crate::disk::partition::probe::starts_with;
use crate::error::Result;

/// LUKS, LVM, RAID: what is inside is seen elsewhere.
pub fn members(disk: &dyn ReadAt) -> Result<Option<Probe>> {
    for probe in [luks, lvm, raid] {
        if let Some(found) = probe(disk)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

pub fn file_systems(disk: &dyn ReadAt) -> Result<Option<Probe>> {
    for probe in [swap, xfs, ext, squashfs, btrfs] {
        if let Some(found) = probe(disk)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

fn luks(disk: &dyn ReadAt) -> Result<Option<Probe>> {
    let Some(header) = bytes_at::<208>(disk, 0)? else { return Ok(None) };
    if &header[..6] != b"LUKS\xba\xbe" {
        return Ok(None);
    }
    let found = match be16(&header, 6) {
        1 => Probe::new(Kind::Luks1),
        2 => Probe::new(Kind::Luks2).label(&header[24..72]),
        _ => return Ok(None),
    };
    Ok(Some(Probe { uuid: label(&header[168..208]), ..found }))
}

fn lvm(disk: &dyn ReadAt) -> Result<Option<Probe>> {
    Ok(read_label(disk)?.map(|label| Probe::new(Kind::Lvm2).uuid(dashed(&label.id))))
}

/// Linux software RAID with a superblock of version 1: in the first sector, at 4 KiB, or near the end.
fn raid(disk: &dyn ReadAt) -> Result<Option<Probe>> {
    let near_end = (disk.size() / 512).saturating_sub(16) / 8 * 8 * 512;
    for at in [0, 4_096, near_end] {
        if let Some(header) = bytes_at::<64>(disk, at)?
            && le32(&header, 0) == 0xa92b_4efc
            && le32(&header, 4) == 1
        {
            let set = header[16..32].try_into().expect("16 bytes");
            return Ok(Some(
                Probe::new(Kind::Other("linux_raid_member")).label(&header[32..64]).uuid(uuid(set)),
            ));
        }
    }
    Ok(None)
}

fn ext(disk: &dyn ReadAt) -> Result<Option<Probe>> {
    const HAS_JOURNAL: u32 = 0x4;
    const JOURNAL_DEVICE: u32 = 0x8;
    /// What the ext3 driver knew: filetype, recover, meta_bg; sparse_super, large_file, btree_dir.
    const EXT3_INCOMPATIBLE: u32 = 0x2 | 0x4 | 0x10;
    const EXT3_READ_ONLY: u32 = 0x1 | 0x2 | 0x4;
    let Some(superblock) = bytes_at::<264>(disk, 1_024)? else { return Ok(None) };
    // Two bytes of magic are few: the block size and the revision must make sense too.
    if le16(&superblock, 56) != 0xef53 || le32(&superblock, 24) > 6 || le32(&superblock, 76) > 1 {
        return Ok(None);
    }
    let [compatible, incompatible, read_only] = [92, 96, 100].map(|at| le32(&superblock, at));
    let kind = if incompatible & JOURNAL_DEVICE != 0 {
        Kind::Other("jbd")
    } else if incompatible & !EXT3_INCOMPATIBLE != 0 || read_only & !EXT3_READ_ONLY != 0 {
        Kind::Ext4
    } else if compatible & HAS_JOURNAL != 0 {
        Kind::Ext3
    } else {
        Kind::Ext2
    };
    let id = superblock[104..120].try_into().expect("16 bytes");
    Ok(Some(Probe::new(kind).label(&superblock[120..136]).uuid(uuid(id))))
}

fn xfs(disk: &dyn ReadAt) -> Result<Option<Probe>> {
    let Some(superblock) = bytes_at::<128>(disk, 0)? else { return Ok(None) };
    if &superblock[..4] != b"XFSB" || !be32(&superblock, 4).is_power_of_two() {
        return Ok(None);
    }
    let id = superblock[32..48].try_into().expect("16 bytes");
    Ok(Some(Probe::new(Kind::Xfs).label(&superblock[108..120]).uuid(uuid(id))))
}

fn btrfs(disk: &dyn ReadAt) -> Result<Option<Probe>> {
    let Some(superblock) = bytes_at::<0x22b>(disk, 0x10000)? else { return Ok(None) };
    if &superblock[0x40..0x48] != b"_BHRfS_M" {
        return Ok(None);
    }
    let id = superblock[0x20..0x30].try_into().expect("16 bytes");
    Ok(Some(Probe::new(Kind::Btrfs).label(&superblock[0x12b..]).uuid(uuid(id))))
}

/// The signature ends the first page, whatever size pages have.
fn swap(disk: &dyn ReadAt) -> Result<Option<Probe>> {
    for page in [4_096, 8_192, 16_384, 32_768, 65_536] {
        for magic in [&b"SWAPSPACE2"[..], b"SWAP-SPACE"] {
            if !starts_with(disk, page - 10, magic)? {
                continue;
            }
            let found = Probe::new(Kind::Swap);
            return Ok(match bytes_at::<44>(disk, 1_024)? {
                Some(header) if header[12..28] != [0; 16] => {
                    let id = header[12..28].try_into().expect("16 bytes");
                    Some(found.label(&header[28..44]).uuid(uuid(id)))
                }
                _ => Some(found),
            });
        }
        if starts_with(disk, page - 10, b"S1SUSPEND")? || starts_with(disk, page - 10, b"LINHIB0001")? {
            return Ok(Some(Probe::new(Kind::Other("swsuspend"))));
        }
    }
    Ok(None)
}

fn squashfs(disk: &dyn ReadAt) -> Result<Option<Probe>> {
    let Some(superblock) = bytes_at::<32>(disk, 0)? else { return Ok(None) };
    let is_squashfs = &superblock[..4] == b"hsqs" && le16(&superblock, 28) >= 4;
    Ok(is_squashfs.then(|| Probe::new(Kind::Squashfs)))
}
