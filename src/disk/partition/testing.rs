//! Checksums made sound, for fuzzing. Not for use by the program.

use super::lvm::testing::seal_area;
use super::lvm::testing::seal_label;
use crate::disk::number::le32;
use crate::disk::number::le64;

/// Makes the checksums of both copies of a GPT sound, and those of the first physical volume of LVM.
pub fn seal(disk: &mut [u8]) {
    for sector in [512, 4_096] {
        for lba in [1, (disk.len() / sector).saturating_sub(1)] {
            seal_gpt(disk, sector, lba);
        }
    }
    for at in (0..disk.len().min(2 << 20)).step_by(512) {
        if disk[at..].starts_with(b"LABELONE") && disk.len() >= at + 512 {
            seal_label(&mut disk[at..]);
            seal_area(disk, at - at % 4_096 + 4_096);
            break;
        }
    }
}

fn seal_gpt(disk: &mut [u8], sector: usize, lba: usize) {
    let at = lba * sector;
    if !disk.get(at..).is_some_and(|header| header.starts_with(b"EFI PART") && header.len() >= sector) {
        return;
    }
    let entries_at = (le64(disk, at + 72) as usize).saturating_mul(sector);
    let entries_len = (le32(disk, at + 80) as usize).saturating_mul(le32(disk, at + 84) as usize);
    if let Some(entries) = disk.get(entries_at..).and_then(|rest| rest.get(..entries_len)) {
        let sum = crc32fast::hash(entries);
        disk[at + 88..at + 92].copy_from_slice(&sum.to_le_bytes());
    }
    disk[at + 16..at + 20].fill(0);
    let len = (le32(disk, at + 12) as usize).clamp(92, sector);
    let sum = crc32fast::hash(&disk[at..at + len]);
    disk[at + 16..at + 20].copy_from_slice(&sum.to_le_bytes());
}
