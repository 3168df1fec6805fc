//! Checksums made sound, for fuzzing. Not for use by the program.

use super::detect::VHD_COOKIE;
use super::vhd;
use super::vhdx::crc32c;
use crate::disk::number::be64;
use crate::disk::number::le32;

/// Makes the checksums of a vhd or vhdx sound.
pub fn seal(image: &mut [u8]) {
    for footer in [0, image.len().saturating_sub(512)] {
        if image[footer..].starts_with(VHD_COOKIE) && image.len() >= footer + 512 {
            let header = be64(image, footer + 16) as usize;
            seal_sum(image, footer, 512, 64);
            seal_sum(image, header, 1_024, 36);
        }
    }
    if !image.starts_with(b"vhdxfile") {
        return;
    }
    for at in (0..image.len()).step_by(4_096) {
        let len = match image[at..].first_chunk::<12>() {
            Some([b'h', b'e', b'a', b'd', ..]) => 4_096,
            Some([b'r', b'e', b'g', b'i', ..]) => 64 << 10,
            Some(entry @ [b'l', b'o', b'g', b'e', ..]) => le32(entry, 8) as usize,
            _ => continue,
        };
        if let Some(part) =
            image.get_mut(at..).and_then(|rest| rest.get_mut(..len)).filter(|part| part.len() >= 8)
        {
            let sum = crc32c::checksum(part);
            part[4..8].copy_from_slice(&sum.to_le_bytes());
        }
    }
}

fn seal_sum(image: &mut [u8], start: usize, len: usize, at: usize) {
    if let Some(part) = image.get_mut(start..).and_then(|rest| rest.get_mut(..len)) {
        let sum = vhd::checksum(part, at);
        part[at..at + 4].copy_from_slice(&sum.to_be_bytes());
    }
}
