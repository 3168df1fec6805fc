//! Sparse files in tars: where the stored bytes of a file belong in it. All four GNU forms.
//!
//! A map is believed only if its segments are in order, do not overlap, lie inside the file and
//! add up to what is stored; Go and bsdtar demand the same.

use super::header::BLOCK_BYTES;
use super::header::Block;
use super::header::Format;
use super::header::Halt;
use super::header::Header;
use super::header::decimal;
use super::header::number;
use super::header::unread;
use super::pax::Pax;
use super::walk::Headers;

/// `len` stored bytes belong at `offset`; everything between segments is zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    pub offset: u64,
    pub len: u64,
}

/// The bytes of one regular file: how long it is, and which parts of it the tar stores.
#[derive(Clone, Debug)]
pub struct Shape {
    pub size: u64,
    pub stored: u64,
    pub segments: Vec<Segment>,
    pub sparse: bool,
}

impl Shape {
    pub fn plain(size: u64) -> Shape {
        let segments = if size == 0 { Vec::new() } else { vec![Segment { offset: 0, len: size }] };
        Shape { size, stored: size, segments, sparse: false }
    }

    /// `stored` is what remains of the payload after a map that stands in it.
    fn sparse(size: i64, stored: u64, pairs: &[(i64, i64)]) -> Result<Shape, Halt> {
        let mut segments = Vec::with_capacity(pairs.len());
        let (mut end, mut sum) = (0_i64, 0_u64);
        for &(offset, len) in pairs {
            let next = offset.checked_add(len).filter(|next| offset >= end && len >= 0 && *next <= size);
            let Some(next) = next else {
                return unread("sparse map with segments out of order or out of the file");
            };
            end = next;
            sum += len as u64;
            if len > 0 {
                segments.push(Segment { offset: offset as u64, len: len as u64 });
            }
        }
        if size < 0 || sum != stored {
            return unread(format!("sparse map names {sum} stored bytes of {stored}"));
        }
        Ok(Shape { size: size as u64, stored, segments, sparse: true })
    }
}

/// Format `S`: four segments in the header, more in blocks after it.
pub fn old_gnu(
    input: &mut impl Headers,
    header: &Header,
    block: &Block,
    stored: u64,
    map_bytes_max: usize,
) -> Result<Shape, Halt> {
    if header.format != Format::Gnu {
        return unread("sparse type flag in a header that is not GNU's");
    }
    let size = number(&block[483..495], "real size")?;
    let mut pairs = Vec::new();
    segments_of(&block[386..482], &mut pairs)?;
    let mut extended = block[482] > 0;
    let mut map_bytes = 0;
    while extended {
        let mut more: Block = [0; BLOCK_BYTES];
        map_bytes += BLOCK_BYTES;
        within(map_bytes, map_bytes_max)?;
        if input.raw(&mut more)? < BLOCK_BYTES {
            return unread("ends inside a sparse map");
        }
        segments_of(&more[..504], &mut pairs)?;
        extended = more[504] > 0;
    }
    Shape::sparse(size, stored, &pairs)
}

fn segments_of(table: &[u8], pairs: &mut Vec<(i64, i64)>) -> Result<(), Halt> {
    // An offset that begins with NUL ends this table, for GNU tar and bsdtar alike.
    for row in table.chunks_exact(24).take_while(|row| row[0] != 0) {
        pairs.push((number(&row[..12], "sparse offset")?, number(&row[12..], "sparse length")?));
    }
    Ok(())
}

/// Formats 0.0, 0.1 and 1.0: `None` where the records speak of no sparse file, or of an unknown kind.
///
/// Sets the header's name where the records hold the true one.
pub fn pax(
    input: &mut impl Headers,
    header: &mut Header,
    pax: &Pax,
    stored: u64,
    map_bytes_max: usize,
) -> Result<Option<Shape>, Halt> {
    let version = (pax.get(b"GNU.sparse.major"), pax.get(b"GNU.sparse.minor"));
    let has_map = !pax.sparse_pairs.is_empty() || pax.get(b"GNU.sparse.map").is_some();
    let map_in_payload = match version {
        (Some(b"0"), Some(b"0" | b"1")) => false,
        (Some(b"1"), Some(b"0")) => true,
        (None, None) if has_map => false,
        _ => return Ok(None),
    };
    if let Some(name) = pax.get(b"GNU.sparse.name") {
        header.name = name.to_vec();
    }
    let size = match pax.number("GNU.sparse.size")? {
        Some(size) => size,
        None => pax.number("GNU.sparse.realsize")?.unwrap_or(header.size),
    };
    if !super::header::has_payload(header.flag) {
        return unread("sparse map of an entry that is no file");
    }
    if map_in_payload {
        let (pairs, map_bytes) = map_1_0(input, stored, map_bytes_max)?;
        return Shape::sparse(size, stored - map_bytes, &pairs).map(Some);
    }
    let numbers: Option<Vec<i64>> = if pax.sparse_pairs.is_empty() {
        match pax.get(b"GNU.sparse.map") {
            None => Some(Vec::new()),
            Some(map) => map.split(|byte| *byte == b',').map(decimal).collect(),
        }
    } else {
        pax.sparse_pairs.iter().map(|range| decimal(pax.at(range))).collect()
    };
    let (Some(numbers), Some(count)) = (numbers, pax.number("GNU.sparse.numblocks")?) else {
        return unread("malformed PAX sparse map");
    };
    if count.checked_mul(2) != i64::try_from(numbers.len()).ok() {
        return unread("PAX sparse map of another length than it says");
    }
    let pairs: Vec<_> = numbers.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
    Shape::sparse(size, stored, &pairs).map(Some)
}

/// The map of format 1.0: decimal lines in the first blocks of the payload.
fn map_1_0(
    input: &mut impl Headers,
    stored: u64,
    map_bytes_max: usize,
) -> Result<(Vec<(i64, i64)>, u64), Halt> {
    let mut map = Vec::new();
    let mut lines = Vec::new();
    let mut line_start = 0;
    // The first line is the number of pairs; each pair is two lines more.
    let mut wanted = 1;
    while lines.len() < wanted {
        let mut block: Block = [0; BLOCK_BYTES];
        within(map.len() + BLOCK_BYTES, map_bytes_max)?;
        if stored < (map.len() + BLOCK_BYTES) as u64 || input.raw(&mut block)? < BLOCK_BYTES {
            return unread("ends inside a sparse map");
        }
        map.extend_from_slice(&block);
        for at in map.len() - BLOCK_BYTES..map.len() {
            if map[at] == b'\n' && lines.len() < wanted {
                let Some(number) = decimal(&map[line_start..at]) else {
                    return unread("malformed sparse map");
                };
                line_start = at + 1;
                if lines.is_empty() {
                    let pairs =
                        usize::try_from(number).ok().and_then(|pairs| pairs.checked_mul(2)?.checked_add(1));
                    let Some(pairs) = pairs else {
                        return unread("malformed sparse map");
                    };
                    wanted = pairs;
                }
                lines.push(number);
            }
        }
    }
    let pairs = lines[1..].chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
    Ok((pairs, map.len() as u64))
}

fn within(map_bytes: usize, map_bytes_max: usize) -> Result<(), Halt> {
    if map_bytes <= map_bytes_max {
        return Ok(());
    }
    Err(Halt::Fault(crate::error::Error::Limit {
        thing: "a sparse map in the layer".to_owned(),
        limit: map_bytes_max as u64,
        unit: "bytes",
    }))
}
