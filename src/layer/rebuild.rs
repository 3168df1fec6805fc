//! Making the exact tar again, from its recipe and the contents.

use super::recipe::Op;
use super::recipe::Ops;
use crate::content::ContentSource;
use crate::error::Error;
use crate::error::Result;
use crate::error::from_stream;
use crate::id::ContentId;
use std::io::Read;
use std::io::Write;

/// Ops read ahead, so that the source hears of many contents before the first is opened.
const AHEAD_OPS: usize = 512;
const AHEAD_RAW_BYTES: usize = 1 << 20;
const COPY_BYTES: usize = 128 << 10;

/// Writes the tar to `out` and returns its length. Whoever needs proof hashes `out`.
pub fn rebuild(recipe: &mut dyn Read, contents: &dyn ContentSource, out: &mut dyn Write) -> Result<u64> {
    let mut ops = Ops::new(recipe)?;
    let mut copy = vec![0; COPY_BYTES];
    let mut ahead = Vec::new();
    let mut raw = Vec::new();
    let mut ids: Vec<ContentId> = Vec::new();
    let mut bytes = 0_u64;
    loop {
        ahead.clear();
        raw.clear();
        ids.clear();
        while ahead.len() < AHEAD_OPS && raw.len() < AHEAD_RAW_BYTES {
            let op = ops.next()?;
            match op {
                Op::Raw(len) => {
                    let start = raw.len();
                    raw.resize(start + len as usize, 0);
                    ops.read(&mut raw[start..])?;
                }
                Op::Slice { id, len, .. } if len > 0 && ids.last() != Some(&id) => ids.push(id),
                Op::Slice { .. } | Op::End(_) => {}
            }
            ahead.push(op);
            if matches!(op, Op::End(_)) {
                break;
            }
        }
        contents.will_open(&ids)?;
        let mut raw_at = 0;
        for op in &ahead {
            match *op {
                Op::Raw(len) => {
                    let next = raw_at + len as usize;
                    out.write_all(&raw[raw_at..next]).map_err(unwritten)?;
                    raw_at = next;
                    bytes += len;
                }
                Op::Slice { len: 0, .. } => {}
                Op::Slice { id, offset, len } => {
                    copy_slice(contents, &id, offset, len, out, &mut copy)?;
                    bytes = bytes.saturating_add(len);
                }
                Op::End(expected) if expected == bytes => return Ok(bytes),
                Op::End(expected) => {
                    return Err(Error::Mismatch {
                        thing: "layer made from its recipe".to_owned(),
                        expected: format!("{expected} bytes"),
                        found: format!("{bytes}"),
                    });
                }
            }
        }
    }
}

fn copy_slice(
    contents: &dyn ContentSource,
    id: &ContentId,
    offset: u64,
    len: u64,
    out: &mut dyn Write,
    copy: &mut [u8],
) -> Result<()> {
    let mut content = contents.open(id, offset, len)?;
    let mut left = len;
    while left > 0 {
        let room = copy.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        match content.read(&mut copy[..room]) {
            Ok(0) => {
                return Err(Error::Mismatch {
                    thing: format!("content {id}, read from byte {offset}"),
                    expected: format!("{len} bytes"),
                    found: format!("{}", len - left),
                });
            }
            Ok(found) => {
                out.write_all(&copy[..found]).map_err(unwritten)?;
                left -= found as u64;
            }
            Err(err) if err.kind() == std::io::ErrorKind::Interrupted => {}
            Err(err) => return Err(from_stream(format!("content {id}"), err)),
        }
    }
    Ok(())
}

fn unwritten(err: std::io::Error) -> Error {
    from_stream("the layer being written", err)
}
