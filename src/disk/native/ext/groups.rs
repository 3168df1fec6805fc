//! Block groups: where each keeps its inodes.

use crate::disk::native::cache::Cache;
use crate::disk::native::ext::checksum;
use crate::disk::native::ext::features;
use crate::disk::native::ext::superblock::Superblock;
use crate::disk::native::field::u16_at;
use crate::disk::native::field::u64_of;
use crate::error::Error;
use crate::error::Result;

/// Returns the offset on the device of each group's inode table; every descriptor is checked.
pub fn inode_tables(cache: &mut Cache<'_>, superblock: &Superblock) -> Result<Vec<u64>> {
    let in_block = superblock.block_size / superblock.descriptor_size as u64;
    let mut tables = Vec::new();
    let mut bytes = vec![0; superblock.block_size as usize];
    for at in 0..superblock.groups.div_ceil(in_block) {
        cache.read(descriptors_offset(superblock, at, in_block)?, &mut bytes)?;
        for (bytes, group) in bytes.chunks_exact(superblock.descriptor_size).zip(at * in_block..) {
            if group < superblock.groups {
                tables.push(inode_table(superblock, group, bytes)?);
            }
        }
    }
    Ok(tables)
}

/// Where the `at`th block of descriptors lies.
fn descriptors_offset(superblock: &Superblock, at: u64, in_block: u64) -> Result<u64> {
    // The superblock is in block 1 if blocks are no larger than it, even with clusters.
    let superblock_at = if superblock.block_size == 1024 { 1 } else { 0 };
    let is_spread = superblock.features.has_incompat(features::INCOMPAT_META_BG);
    let block = if is_spread && at >= superblock.first_meta_group {
        let group = at * in_block;
        let mut skipped = u64::from(has_superblock(superblock, group));
        if at == 0 && superblock_at > superblock.first_data_block {
            skipped += 1;
        }
        superblock.first_data_block + group * superblock.blocks_per_group + skipped
    } else {
        superblock_at + 1 + at
    };
    superblock.offset(block, || format!("block {at} of the group descriptors"))
}

/// Says whether a group begins with a copy of the superblock.
fn has_superblock(superblock: &Superblock, group: u64) -> bool {
    let is_power_of = |base: u64| {
        let mut power = base;
        while power < group {
            power *= base;
        }
        power == group
    };
    if group == 0 {
        true
    } else if superblock.features.compat & features::COMPAT_SPARSE_SUPER2 != 0 {
        superblock.backup_groups.iter().any(|backup| u64::from(*backup) == group)
    } else if !superblock.features.has_ro_compat(features::RO_COMPAT_SPARSE_SUPER) {
        true
    } else {
        group == 1 || [3, 5, 7].into_iter().any(is_power_of)
    }
}

fn inode_table(superblock: &Superblock, group: u64, bytes: &[u8]) -> Result<u64> {
    let stored = u32::from(u16_at(bytes, 30));
    let number = (group as u32).to_le_bytes();
    let thing = || format!("descriptor of block group {group}");
    if superblock.has_checksums() {
        let seed = checksum::crc32c(superblock.seed, &number);
        let computed = checksum::crc32c(checksum::crc32c(seed, &bytes[..30]), &[0, 0]);
        let computed = checksum::crc32c(computed, &bytes[32..]);
        checksum::check(stored, computed & 0xffff, thing)?;
    } else if superblock.features.has_ro_compat(features::RO_COMPAT_GDT_CSUM) {
        let seed = checksum::crc16(checksum::crc16(!0, &superblock.uuid), &number);
        let computed = checksum::crc16(checksum::crc16(seed, &bytes[..30]), &bytes[32..]);
        checksum::check(stored, u32::from(computed), thing)?;
    }
    let first = u64_of(bytes, 8, if superblock.descriptor_size >= 64 { 40 } else { usize::MAX });
    let table_bytes = u64::from(superblock.inodes_per_group) * superblock.inode_size as u64;
    let start = superblock.offset(first, || format!("inode table of block group {group}"))?;
    let blocks = table_bytes.div_ceil(superblock.block_size);
    if first + blocks > superblock.blocks {
        let problem = format!("{blocks} blocks from {first} on leave the file system");
        return Err(Error::invalid(format!("inode table of block group {group}"), problem));
    }
    Ok(start)
}
