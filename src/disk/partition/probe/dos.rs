//! File systems of DOS and Windows, which begin with a boot sector.

use crate::disk::bytes::ReadAt;
use crate::disk::number::le16;
use crate::disk::number::le32;
use crate::disk::number::le64;
use crate::disk::partition::bytes_at;
use crate::disk::partition::probe::Kind;
use crate::disk::partition::probe::Probe;
use crate::disk::partition::probe::label;
use crate::disk::partition::probe::label_utf16;
use crate::error::Result;

/// Of a folder that holds the label; it stands among the first.
const ROOT_ENTRIES_MAX: u64 = 4_096;
/// Of a FAT32 root folder, as far as `blkid` looks.
const ROOT_CLUSTERS_MAX: usize = 100;

pub fn probe(disk: &dyn ReadAt) -> Result<Option<Probe>> {
    let Some(boot) = bytes_at::<512>(disk, 0)? else { return Ok(None) };
    match &boot[3..11] {
        b"NTFS    " => ntfs(disk, &boot),
        b"EXFAT   " => exfat(disk, &boot),
        b"-FVE-FS-" => Ok(None),
        _ => fat(disk, &boot),
    }
}

/// What the boot sector says of a FAT, in bytes where not said otherwise.
struct Fat {
    cluster: u64,
    table_at: u64,
    root_at: u64,
    root_entries: u64,
    data_at: u64,
    is_32: bool,
}

impl Fat {
    fn parse(boot: &[u8; 512]) -> Option<Fat> {
        let jumps = matches!(boot[0], 0xeb | 0xe9) || boot[510..] == [0x55, 0xaa];
        let (sector, per_cluster) = (u64::from(le16(boot, 11)), u64::from(boot[13]));
        let (reserved, tables, media) = (u64::from(le16(boot, 14)), u64::from(boot[16]), boot[21]);
        let is_sane = matches!(sector, 512 | 1_024 | 2_048 | 4_096)
            && per_cluster.is_power_of_two()
            && reserved > 0
            && tables > 0
            && (media == 0xf0 || media >= 0xf8);
        if !jumps || !is_sane {
            return None;
        }
        let root_entries = u64::from(le16(boot, 17));
        let sectors = match le16(boot, 19) {
            0 => u64::from(le32(boot, 32)),
            small => u64::from(small),
        };
        let (table_small, table_large) = (u64::from(le16(boot, 22)), u64::from(le32(boot, 36)));
        let is_32 = table_small == 0;
        let table = if is_32 { table_large } else { table_small };
        let root_at = reserved + tables * table;
        let data_at = root_at + (root_entries * 32).div_ceil(sector);
        let clusters = sectors.checked_sub(data_at)? / per_cluster;
        let clusters_max = if is_32 { 0x0fff_fff6 } else { 0xfff4 };
        if table == 0 || clusters == 0 || clusters > clusters_max {
            return None;
        }
        Some(Fat {
            cluster: per_cluster * sector,
            table_at: reserved * sector,
            root_at: root_at * sector,
            root_entries,
            data_at: data_at * sector,
            is_32,
        })
    }
}

fn fat(disk: &dyn ReadAt, boot: &[u8; 512]) -> Result<Option<Probe>> {
    let Some(fat) = Fat::parse(boot) else { return Ok(None) };
    let mut found = Probe::new(Kind::Vfat);
    let extended_at = if fat.is_32 { 66 } else { 38 };
    if matches!(boot[extended_at], 0x28 | 0x29) {
        found = found.uuid(serial(le32(boot, extended_at + 1)));
    }
    found.label = match fat.is_32 {
        false => fat_label(disk, fat.root_at, fat.root_entries)?,
        true => fat32_label(disk, &fat, le32(boot, 44))?,
    };
    Ok(Some(found))
}

fn serial(number: u32) -> String {
    format!("{:04X}-{:04X}", number >> 16, number & 0xffff)
}

/// The entry of the root folder that is the label, not a long name and not deleted.
fn fat_label(disk: &dyn ReadAt, at: u64, entries: u64) -> Result<Option<String>> {
    for index in 0..entries.min(ROOT_ENTRIES_MAX) {
        let Some(entry) = bytes_at::<32>(disk, at.saturating_add(index * 32))? else { break };
        match entry[0] {
            0 => break,
            0xe5 => continue,
            _ if entry[11] & 0x18 == 0x08 && entry[11] & 0x3f != 0x0f => {
                let mut name: [u8; 11] = entry[..11].try_into().expect("11 bytes");
                // 0xe5 as the first letter would mean deleted.
                name[0] = if name[0] == 5 { 0xe5 } else { name[0] };
                return Ok(label(&name));
            }
            _ => {}
        }
    }
    Ok(None)
}

fn fat32_label(disk: &dyn ReadAt, fat: &Fat, first: u32) -> Result<Option<String>> {
    let mut cluster = first;
    for _ in 0..ROOT_CLUSTERS_MAX {
        if !(2..0x0fff_fff7).contains(&cluster) {
            break;
        }
        let at = fat.data_at.saturating_add(u64::from(cluster - 2) * fat.cluster);
        if let Some(label) = fat_label(disk, at, fat.cluster / 32)? {
            return Ok(Some(label));
        }
        let Some(next) = bytes_at::<4>(disk, fat.table_at + u64::from(cluster) * 4)? else { break };
        cluster = le32(&next, 0) & 0x0fff_ffff;
    }
    Ok(None)
}

fn ntfs(disk: &dyn ReadAt, boot: &[u8; 512]) -> Result<Option<Probe>> {
    let sector = u64::from(le16(boot, 11));
    if !(256..=4_096).contains(&sector) || !sector.is_power_of_two() {
        return Ok(None);
    }
    // Over 128 it is a power of two, negated.
    let per_cluster = match boot[13] {
        count @ 1..=128 if count.is_power_of_two() => u64::from(count),
        power @ 240..=249 => 1 << (256 - u32::from(power)),
        _ => return Ok(None),
    };
    let cluster = sector * per_cluster;
    let record = match boot[64] as i8 {
        count @ 1.. => count as u64 * cluster,
        power @ -31..=-1 => 1 << power.unsigned_abs(),
        _ => return Ok(None),
    };
    let found = Probe::new(Kind::Ntfs).uuid(format!("{:016X}", le64(boot, 72)));
    // Record 3 of the file table is $Volume.
    let at = le64(boot, 48).checked_mul(cluster).and_then(|at| at.checked_add(3 * record));
    Ok(Some(match at {
        Some(at) => Probe { label: ntfs_label(disk, at)?, ..found },
        None => found,
    }))
}

/// The attribute $VOLUME_NAME of a file record, which always lies in the record itself.
fn ntfs_label(disk: &dyn ReadAt, at: u64) -> Result<Option<String>> {
    const VOLUME_NAME: u32 = 0x60;
    // Only what lies before the first place that a fix-up changes; $Volume is short.
    let Some(record) = bytes_at::<510>(disk, at)? else { return Ok(None) };
    if &record[..4] != b"FILE" {
        return Ok(None);
    }
    let mut attribute = &record[usize::from(le16(&record, 20)).min(record.len())..];
    while attribute.len() >= 24 {
        let (kind, len) = (le32(attribute, 0), le32(attribute, 4) as usize);
        if kind == VOLUME_NAME && attribute[8] == 0 {
            let (bytes, start) = (le32(attribute, 16) as usize, usize::from(le16(attribute, 20)));
            let name = attribute.get(start..).and_then(|rest| rest.get(..bytes));
            return Ok(name.and_then(|name| label_utf16(name.chunks_exact(2).map(|pair| le16(pair, 0)))));
        }
        if kind > VOLUME_NAME || len < 24 {
            break;
        }
        attribute = attribute.get(len..).unwrap_or_default();
    }
    Ok(None)
}

fn exfat(disk: &dyn ReadAt, boot: &[u8; 512]) -> Result<Option<Probe>> {
    const LABEL: u8 = 0x83;
    let (sector_bits, cluster_bits) = (u32::from(boot[108]), u32::from(boot[109]));
    if !(9..=12).contains(&sector_bits) || sector_bits + cluster_bits > 25 {
        return Ok(None);
    }
    let mut found = Probe::new(Kind::Exfat).uuid(serial(le32(boot, 100)));
    let (heap, root) = (u64::from(le32(boot, 88)), u64::from(le32(boot, 96)));
    let cluster = 1_u64 << (sector_bits + cluster_bits);
    let root_at = (heap << sector_bits) + root.saturating_sub(2) * cluster;
    for index in 0..(cluster / 32).min(ROOT_ENTRIES_MAX) {
        let Some(entry) = bytes_at::<32>(disk, root_at + index * 32)? else { break };
        if entry[0] == LABEL {
            let letters = usize::from(entry[1]).min(11);
            let letters = entry[2..2 + letters * 2].chunks_exact(2).map(|pair| le16(pair, 0));
            found.label = label_utf16(letters);
        }
        if entry[0] == 0 || entry[0] == LABEL {
            break;
        }
    }
    Ok(Some(found))
}
