//! The file system of CDs.

use crate::disk::bytes::ReadAt;
use crate::disk::partition::bytes_at;
use crate::disk::partition::probe::Kind;
use crate::disk::partition::probe::Probe;
use crate::error::Result;

const DESCRIPTORS_AT: u64 = 0x8000;
const DESCRIPTOR_BYTES: u64 = 2_048;
const DESCRIPTORS_MAX: u64 = 16;
const PRIMARY: u8 = 1;
const END: u8 = 255;

pub fn probe(disk: &dyn ReadAt) -> Result<Option<Probe>> {
    for index in 0..DESCRIPTORS_MAX {
        let Some(descriptor) = bytes_at::<2048>(disk, DESCRIPTORS_AT + index * DESCRIPTOR_BYTES)? else {
            break;
        };
        if &descriptor[1..6] != b"CD001" || descriptor[0] == END {
            break;
        }
        if descriptor[0] == PRIMARY {
            let found = Probe::new(Kind::Iso9660).label(&descriptor[40..72]);
            let times = [&descriptor[830..847], &descriptor[813..830]];
            return Ok(Some(Probe { uuid: times.into_iter().find_map(time), ..found }));
        }
    }
    Ok(None)
}

/// Sixteen digits down to hundredths; all zero is no time. `blkid` takes the last change, or else the making.
fn time(field: &[u8]) -> Option<String> {
    let digits = std::str::from_utf8(&field[..16]).ok()?;
    if !digits.bytes().all(|digit| digit.is_ascii_digit()) || digits.bytes().all(|digit| digit == b'0') {
        return None;
    }
    let parts = [0..4, 4..6, 6..8, 8..10, 10..12, 12..14, 14..16];
    Some(parts.map(|part| &digits[part]).join("-"))
}
