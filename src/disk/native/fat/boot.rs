//! The boot sector: the geometry of the file system.

use crate::disk::bytes::ReadAt;
use crate::disk::native::field::u16_at;
use crate::disk::native::field::u32_at;
use crate::error::Error;
use crate::error::Result;

const BOOT_BYTES: usize = 512;
/// The first two clusters have entries in the table but no place.
pub const FIRST_CLUSTER: u32 = 2;
pub const ENTRY_BYTES: u64 = 32;
/// Linux's bounds on the number of clusters.
const FAT12_CLUSTERS_MAX: u64 = 0xff4;
const FAT16_CLUSTERS_MAX: u64 = 0xfff4;
const FAT32_CLUSTERS_MAX: u64 = 0x0fff_fff6;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    Fat12,
    Fat16,
    Fat32,
}

/// Offsets and sizes are in bytes.
#[derive(Clone, Debug)]
pub struct Boot {
    pub width: Width,
    pub table_start: u64,
    pub cluster_size: u64,
    pub data_start: u64,
    /// Numbered from [`FIRST_CLUSTER`].
    pub clusters: u32,
    pub root: Root,
    pub serial: Option<u32>,
    /// Of FAT32: where a sector tells how many clusters are free.
    pub info_start: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
pub enum Root {
    /// A place of its own, of a fixed size.
    Area {
        start: u64,
        len: u64,
    },
    Cluster(u32),
}

impl Boot {
    /// `None` where the sector does not look like one of FAT.
    pub fn read(disk: &dyn ReadAt) -> Result<Option<Boot>> {
        if disk.size() < BOOT_BYTES as u64 {
            return Ok(None);
        }
        let mut bytes = [0; BOOT_BYTES];
        disk.read_at(0, &mut bytes)?;
        match says_fat(&bytes) {
            true => Boot::parse(&bytes, disk.size()).map(Some),
            false => Ok(None),
        }
    }

    fn parse(bytes: &[u8; BOOT_BYTES], disk_size: u64) -> Result<Boot> {
        let invalid = |problem: String| Err(Error::invalid("boot sector of a vfat file system", problem));
        let half = |at| u64::from(u16_at(bytes, at));
        let word = |at| u64::from(u32_at(bytes, at));
        let sector = half(11);
        if !sector.is_power_of_two() || !(512..=4096).contains(&sector) {
            return invalid(format!("a sector has {sector} bytes"));
        }
        let sectors_per_cluster = u64::from(bytes[13]);
        if !sectors_per_cluster.is_power_of_two() {
            return invalid(format!("a cluster has {sectors_per_cluster} sectors"));
        }
        let (reserved, tables) = (half(14), u64::from(bytes[16]));
        if reserved == 0 || tables == 0 {
            return invalid(format!("has {reserved} reserved sectors and {tables} tables"));
        }
        // Linux's rule: a table without a 16-bit length is that of FAT32.
        let is_32 = half(22) == 0;
        let table_sectors = if is_32 { word(36) } else { half(22) };
        if table_sectors == 0 {
            return invalid("has a table of no sectors".into());
        }
        let root_bytes = half(17) * ENTRY_BYTES;
        let root_start = (reserved + tables * table_sectors) * sector;
        let data_start = root_start + root_bytes.next_multiple_of(sector);
        let sectors = if half(19) == 0 { word(32) } else { half(19) };
        if sectors * sector > disk_size {
            return Err(Error::Mismatch {
                thing: "device of a vfat file system".into(),
                expected: format!("{sectors} sectors of {sector} bytes"),
                found: format!("{disk_size} bytes"),
            });
        }
        let cluster_size = sectors_per_cluster * sector;
        let Some(data_bytes) = (sectors * sector).checked_sub(data_start) else {
            return invalid(format!("{sectors} sectors end before its data"));
        };
        let in_data = data_bytes / cluster_size;
        let width = match in_data {
            _ if is_32 => Width::Fat32,
            0..=FAT12_CLUSTERS_MAX => Width::Fat12,
            _ => Width::Fat16,
        };
        let in_table = (table_sectors * sector * 8 / width.bits()).saturating_sub(u64::from(FIRST_CLUSTER));
        let clusters = in_data.min(in_table);
        if clusters > width.clusters_max() {
            return invalid(format!("has {clusters} clusters, more than FAT{} can", width.bits()));
        }
        if !is_32 && half(17) == 0 {
            return invalid("has a root directory of no entries".into());
        }
        let root = match width {
            Width::Fat32 => Root::Cluster(u32_at(bytes, 44)),
            _ => Root::Area { start: root_start, len: root_bytes },
        };
        // 0x29: serial number, label and kind follow; 0x28: the serial number alone.
        let extended = if is_32 { 66 } else { 38 };
        let has_serial = matches!(bytes[extended], 0x28 | 0x29);
        Ok(Boot {
            width,
            table_start: reserved * sector,
            cluster_size,
            data_start,
            clusters: clusters as u32,
            root,
            info_start: is_32.then(|| half(48) * sector),
            serial: has_serial.then(|| u32_at(bytes, extended + 1)),
        })
    }

    /// Where a cluster lies; a number that is none is refused.
    pub fn offset(&self, cluster: u32, thing: impl FnOnce() -> String) -> Result<u64> {
        match cluster.checked_sub(FIRST_CLUSTER).filter(|at| *at < self.clusters) {
            Some(at) => Ok(self.data_start + u64::from(at) * self.cluster_size),
            None => {
                Err(Error::invalid(thing(), format!("cluster {cluster} is not one of {}", self.clusters)))
            }
        }
    }
}

impl Width {
    pub fn bits(self) -> u64 {
        match self {
            Width::Fat12 => 12,
            Width::Fat16 => 16,
            Width::Fat32 => 32,
        }
    }

    fn clusters_max(self) -> u64 {
        match self {
            Width::Fat12 => FAT12_CLUSTERS_MAX,
            Width::Fat16 => FAT16_CLUSTERS_MAX,
            Width::Fat32 => FAT32_CLUSTERS_MAX,
        }
    }
}

/// A jump over the fields, the mark of a boot sector, a known kind of medium, and the name of the
/// kind or at least fields that no boot code of another sort has in these places.
fn says_fat(bytes: &[u8; BOOT_BYTES]) -> bool {
    let has_jump = matches!(bytes[..3], [0xeb, _, 0x90] | [0xe9, _, _]);
    let has_medium = bytes[21] == 0xf0 || bytes[21] >= 0xf8;
    let is_other = [&b"NTFS    "[..], b"EXFAT   "].contains(&&bytes[3..11]);
    let has_name = bytes[54..59] == *b"FAT12"
        || bytes[54..59] == *b"FAT16"
        || bytes[54..59] == *b"FAT  "
        || bytes[82..87] == *b"FAT32";
    let has_fields = u16_at(bytes, 11).is_power_of_two()
        && u16_at(bytes, 11) >= 512
        && bytes[13].is_power_of_two()
        && u16_at(bytes, 14) != 0
        && matches!(bytes[16], 1 | 2);
    has_jump && has_medium && !is_other && bytes[510..] == [0x55, 0xaa] && (has_name || has_fields)
}
