//! The superblock: the geometry of the file system, its features and its names.

use crate::disk::bytes::ReadAt;
use crate::disk::native::ext::checksum;
use crate::disk::native::ext::features;
use crate::disk::native::ext::features::Features;
use crate::disk::native::field::array_at;
use crate::disk::native::field::u16_at;
use crate::disk::native::field::u32_at;
use crate::disk::native::field::u64_of;
use crate::error::Error;
use crate::error::Result;

/// Where it lies, whatever the block size.
const SUPERBLOCK_OFFSET: u64 = 1024;
const SUPERBLOCK_BYTES: usize = 1024;
const MAGIC: u16 = 0xef53;
/// 8 TiB with the smallest blocks, 1 PiB with the usual ones; costs 64 MiB.
const GROUPS_MAX: u64 = 8 << 20;

#[derive(Clone, Debug)]
pub struct Superblock {
    pub features: Features,
    /// In bytes.
    pub block_size: u64,
    /// All that follow count blocks, unless they say otherwise.
    pub blocks: u64,
    pub first_data_block: u64,
    pub blocks_per_group: u64,
    pub blocks_per_cluster: u64,
    pub free_clusters: u64,
    pub groups: u64,
    pub inodes: u32,
    pub inodes_per_group: u32,
    /// In bytes.
    pub inode_size: usize,
    /// The first inode number that is not the file system's own.
    pub first_inode: u32,
    /// The size of a group's descriptor, in bytes.
    pub descriptor_size: usize,
    pub first_meta_group: u64,
    /// With `sparse_super2`: the groups with a copy of the superblock.
    pub backup_groups: [u32; 2],
    pub uuid: [u8; 16],
    pub label: [u8; 16],
    /// Every checksum but the superblock's own begins with it.
    pub seed: u32,
    /// 0 without a journal, or with one on another device.
    pub journal_inode: u32,
    /// Files made by the Hurd keep other things in some fields.
    pub is_hurd: bool,
}

impl Superblock {
    /// Reads it from where it is kept; `None` without the magic number.
    pub fn read(disk: &dyn ReadAt) -> Result<Option<Superblock>> {
        if disk.size() < SUPERBLOCK_OFFSET + SUPERBLOCK_BYTES as u64 {
            return Ok(None);
        }
        let mut bytes = [0; SUPERBLOCK_BYTES];
        disk.read_at(SUPERBLOCK_OFFSET, &mut bytes)?;
        if u16_at(&bytes, 56) != MAGIC {
            return Ok(None);
        }
        Superblock::parse(&bytes, disk.size()).map(Some)
    }

    fn parse(bytes: &[u8; SUPERBLOCK_BYTES], disk_size: u64) -> Result<Superblock> {
        let word = |at| u32_at(bytes, at);
        let features = Features { compat: word(92), incompat: word(96), ro_compat: word(100) };
        let name = features.kind();
        let invalid =
            |problem: String| Err(Error::invalid(format!("superblock of an {name} file system"), problem));
        if features.has_ro_compat(features::RO_COMPAT_METADATA_CSUM) {
            if bytes[0x175] != 1 {
                return invalid(format!("has checksums of the unknown type {}", bytes[0x175]));
            }
            checksum::check(word(1020), checksum::crc32c(!0, &bytes[..1020]), || {
                format!("superblock of an {name} file system")
            })?;
        }
        features.check()?;

        let is_64_bit = features.has_incompat(features::INCOMPAT_64BIT);
        let has_clusters = features.has_ro_compat(features::RO_COMPAT_BIGALLOC);
        if word(24) > 6 {
            return invalid(format!("block size is 1024 << {}, more than 64 KiB", word(24)));
        }
        let block_size = 1024u64 << word(24);
        let cluster_log = if has_clusters { word(28) } else { word(24) };
        // The kernel's bound: a cluster is at most 2^30 bytes.
        if cluster_log < word(24) || cluster_log > 20 {
            return invalid(format!("cluster size is 1024 << {cluster_log}"));
        }
        let blocks_per_cluster = 1u64 << (cluster_log - word(24));
        let clusters_per_group = u64::from(if has_clusters { word(36) } else { word(32) });
        let blocks_per_group = u64::from(word(32));
        if clusters_per_group == 0
            || clusters_per_group > block_size * 8
            || clusters_per_group * blocks_per_cluster != blocks_per_group
        {
            return invalid(format!(
                "{blocks_per_group} blocks and {clusters_per_group} clusters in a group"
            ));
        }
        // Before revision 1 there was no choice.
        let (inode_size, first_inode) =
            if word(76) == 0 { (128, 11) } else { (usize::from(u16_at(bytes, 88)), word(84)) };
        if !inode_size.is_power_of_two() || inode_size < 128 || inode_size as u64 > block_size {
            return invalid(format!("inode size is {inode_size}"));
        }
        let inodes_per_group = word(40);
        if u64::from(inodes_per_group) < block_size / inode_size as u64
            || u64::from(inodes_per_group) > block_size * 8
        {
            return invalid(format!("{inodes_per_group} inodes in a group"));
        }
        let descriptor_size = if is_64_bit { usize::from(u16_at(bytes, 254)) } else { 32 };
        if is_64_bit && !(descriptor_size.is_power_of_two() && (64..=1024).contains(&descriptor_size)) {
            return invalid(format!("size of a group descriptor is {descriptor_size}"));
        }
        let high = if is_64_bit { 0x150 } else { usize::MAX };
        let blocks = u64_of(bytes, 4, high);
        let first_data_block = u64::from(word(20));
        if first_data_block > 1 || first_data_block >= blocks {
            return invalid(format!("first data block is {first_data_block} of {blocks}"));
        }
        let groups = (blocks - first_data_block).div_ceil(blocks_per_group);
        if groups > GROUPS_MAX {
            let thing = format!("number of block groups of an {name} file system");
            return Err(Error::Limit { thing, limit: GROUPS_MAX, unit: "groups" });
        }
        if u64::from(word(0)) != groups * u64::from(inodes_per_group) {
            let per = format!("{groups} groups of {inodes_per_group}");
            return invalid(format!("says {} inodes and has {per}", word(0)));
        }
        if blocks.checked_mul(block_size).is_none_or(|size| size > disk_size) {
            return Err(Error::Mismatch {
                thing: format!("device of an {name} file system"),
                expected: format!("{blocks} blocks of {block_size} bytes"),
                found: format!("{disk_size} bytes"),
            });
        }
        let uuid: [u8; 16] = array_at(bytes, 104).unwrap_or_default();
        Ok(Superblock {
            features,
            block_size,
            blocks,
            first_data_block,
            blocks_per_group,
            blocks_per_cluster,
            free_clusters: u64_of(bytes, 12, if is_64_bit { 0x158 } else { usize::MAX }),
            groups,
            inodes: word(0),
            inodes_per_group,
            inode_size,
            first_inode,
            descriptor_size,
            first_meta_group: u64::from(word(260)),
            backup_groups: [word(0x24c), word(0x250)],
            uuid,
            label: array_at(bytes, 120).unwrap_or_default(),
            seed: if features.has_incompat(features::INCOMPAT_CSUM_SEED) {
                word(0x270)
            } else {
                checksum::crc32c(!0, &uuid)
            },
            journal_inode: word(224),
            is_hurd: word(72) == 1,
        })
    }

    /// Where a block lies on the device; a number that is no block of this file system is refused.
    pub fn offset(&self, block: u64, thing: impl FnOnce() -> String) -> Result<u64> {
        if block > self.first_data_block && block < self.blocks {
            return Ok(block * self.block_size);
        }
        Err(Error::invalid(thing(), format!("block {block} is not one of {}", self.blocks)))
    }

    pub fn has_checksums(&self) -> bool {
        self.features.has_ro_compat(features::RO_COMPAT_METADATA_CSUM)
    }
}
