//! What LVM writes on a physical volume: a label, a header, and the metadata of its group as text.

use crate::disk::bytes::ReadAt;
use crate::disk::number::le32;
use crate::disk::number::le64;
use crate::disk::partition::bytes_at;
use crate::error::Error;
use crate::error::Result;

const SECTOR: u64 = 512;
/// The label is in one of the first four sectors; LVM writes the second.
const LABEL_SECTORS: u64 = 4;
/// Room for metadata is 1 MiB by default; groups of thousands of volumes have more.
const TEXT_BYTES_MAX: u64 = 8 << 20;
const AREA_MAGIC: &[u8] = b" LVM2 x[5A%r0N*>";
const AREA_HEADER_BYTES: u64 = 512;
/// LVM's own start value of the checksum.
const CHECKSUM_START: u32 = 0xf597_a6cf;

/// A physical volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// 32 letters and digits.
    pub id: String,
    /// Where metadata may be: offset and length in bytes.
    areas: Vec<(u64, u64)>,
}

/// Reads the label of a disk, if it is a physical volume.
pub fn read(disk: &dyn ReadAt) -> Result<Option<Label>> {
    for number in 0..LABEL_SECTORS {
        let Some(sector) = bytes_at::<512>(disk, number * SECTOR)? else { break };
        if &sector[..8] == b"LABELONE"
            && &sector[24..32] == b"LVM2 001"
            && le64(&sector, 8) == number
            && checksum(&sector[20..]) == le32(&sector, 16)
        {
            return Ok(parse(&sector));
        }
    }
    Ok(None)
}

/// The header of the volume follows the label: id, size, and two lists of areas, each up to a zero.
fn parse(sector: &[u8; 512]) -> Option<Label> {
    let header = sector.get(le32(sector, 20) as usize..)?;
    let id = header.get(..32)?;
    if !id.iter().all(u8::is_ascii_graphic) {
        return None;
    }
    let mut places = header.get(40..)?.chunks_exact(16).map(|place| (le64(place, 0), le64(place, 8)));
    let data_areas = places.by_ref().take_while(|(at, _)| *at != 0).count();
    debug_assert!(data_areas < 512);
    let areas = places.take_while(|(at, _)| *at != 0).collect();
    Some(Label { id: String::from_utf8_lossy(id).into_owned(), areas })
}

/// The 32 letters as `blkid` and LVM show them.
pub fn dashed(id: &str) -> String {
    let parts = [0..6, 6..10, 10..14, 14..18, 18..22, 22..26, 26..32];
    parts.map(|part| id.get(part).unwrap_or_default()).join("-")
}

impl Label {
    /// The text of the group from the first area that has a sound copy; `None` where the volume
    /// keeps none, which is a matter of taste: the others of its group have it.
    pub fn text(&self, disk: &dyn ReadAt) -> Result<Option<Vec<u8>>> {
        let mut last = Ok(None);
        for area in &self.areas {
            match area_text(disk, *area) {
                Ok(None) => {}
                Ok(Some(text)) => return Ok(Some(text)),
                Err(err) => last = Err(err),
            }
        }
        last
    }
}

fn area_text(disk: &dyn ReadAt, (area_at, area_len): (u64, u64)) -> Result<Option<Vec<u8>>> {
    const IGNORED: u32 = 1;
    let wrong = |problem: &str| Error::invalid(format!("LVM metadata at {area_at}"), problem);
    let Some(header) = bytes_at::<512>(disk, area_at)? else {
        return Err(wrong("lies beyond the end of the volume"));
    };
    if &header[4..20] != AREA_MAGIC || checksum(&header[4..]) != le32(&header, 0) {
        return Err(wrong("has no sound header"));
    }
    // Four slots, of which the first has the text in force.
    let (at, len, sum, flags) = (le64(&header, 40), le64(&header, 48), le32(&header, 56), le32(&header, 60));
    if at == 0 || len == 0 || flags & IGNORED != 0 {
        return Ok(None);
    }
    if len > TEXT_BYTES_MAX {
        let thing = format!("LVM metadata at {area_at}");
        return Err(Error::Limit { thing, limit: TEXT_BYTES_MAX, unit: "bytes" });
    }
    // A ring, from the end of the header to that of the area.
    let room = area_len.saturating_sub(AREA_HEADER_BYTES);
    if !(AREA_HEADER_BYTES..area_len).contains(&at) || len > room {
        return Err(wrong("does not lie in its area"));
    }
    let first = len.min(area_len - at);
    let mut text = vec![0; len as usize];
    let (before, after) = text.split_at_mut(first as usize);
    disk.read_at(area_at.saturating_add(at), before)?;
    if !after.is_empty() {
        disk.read_at(area_at + AREA_HEADER_BYTES, after)?;
    }
    if checksum(&text) != sum {
        return Err(wrong("has a wrong checksum"));
    }
    Ok(Some(text))
}

/// CRC-32 with another start, and not inverted at the end.
pub fn checksum(bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(!CHECKSUM_START);
    hasher.update(bytes);
    !hasher.finalize()
}
