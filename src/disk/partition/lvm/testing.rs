//! Checksums made sound after a change, for tests and fuzzing. Not for use by the program.

use super::label::checksum;
use crate::disk::number::le64;

/// Of a label sector.
pub fn seal_label(sector: &mut [u8]) {
    let sum = checksum(&sector[20..512]);
    sector[16..20].copy_from_slice(&sum.to_le_bytes());
}

/// Puts another text into an area, and makes its header sound.
pub fn put_text(disk: &mut [u8], area_at: usize, text: &[u8]) {
    disk[area_at + 512..][..text.len()].copy_from_slice(text);
    disk[area_at + 40..area_at + 48].copy_from_slice(&512_u64.to_le_bytes());
    disk[area_at + 48..area_at + 56].copy_from_slice(&(text.len() as u64).to_le_bytes());
    seal_area(disk, area_at);
}

/// The checksums of the text and of the header of an area whose text does not wrap.
pub fn seal_area(disk: &mut [u8], area_at: usize) {
    let Some(area) = disk.get_mut(area_at..).filter(|area| area.len() >= 512) else { return };
    let (at, len) = (le64(area, 40) as usize, le64(area, 48) as usize);
    if let Some(text) = area.get(at..).and_then(|rest| rest.get(..len)) {
        let sum = checksum(text);
        area[56..60].copy_from_slice(&sum.to_le_bytes());
    }
    let sum = checksum(&area[4..512]);
    area[..4].copy_from_slice(&sum.to_le_bytes());
}
