//! The one reading of a tar, shared by [`super::read`] (from the stream) and [`super::recipe`]
//! (from what was kept of it), so that both see the same entries.

use super::LayerEntry;
use super::LayerKind;
use super::Limits;
use super::header::BLOCK_BYTES;
use super::header::Block;
use super::header::Halt;
use super::header::Header;
use super::header::has_payload;
use super::header::padding;
use super::header::text;
use super::header::unread;
use super::pax::Pax;
use super::sparse;
use super::sparse::Shape;
use crate::attr::Attr;
use crate::attr::Xattrs;
use crate::error::Error;
use crate::error::Result;
use crate::id::ContentId;
use crate::path::TreePath;
use crate::path::shown;

pub trait Headers {
    /// Reads bytes that are no payload; fewer than asked only where the tar ends.
    fn raw(&mut self, into: &mut [u8]) -> Result<usize>;
    /// Bytes of the tar so far.
    fn at(&self) -> u64;
}

pub trait Input: Headers {
    /// Takes the stored bytes of one file.
    fn payload(&mut self, name: &[u8], shape: &Shape) -> Result<ContentId>;
}

/// All that stands before the payload of one entry.
pub struct Head {
    /// With what the PAX records say put over it.
    pub header: Header,
    pub pax: Option<Pax>,
    block: Block,
}

/// Where the walk could not go on although the tar had not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    /// Offset of the header in question.
    pub at: u64,
    pub problem: String,
}

#[derive(Debug)]
pub struct Walked {
    pub entries: u64,
    pub unread: Option<Unread>,
}

pub fn walk(
    input: &mut impl Input,
    limits: &Limits,
    each: &mut dyn FnMut(LayerEntry) -> Result<()>,
) -> Result<Walked> {
    let mut walked = Walked { entries: 0, unread: None };
    let mut sparse_bytes_left = limits.sparse_bytes;
    loop {
        let at = input.at();
        match next(input, limits, &mut sparse_bytes_left) {
            Ok(None) => return Ok(walked),
            Ok(Some(entry)) => {
                walked.entries += 1;
                if walked.entries > limits.entries {
                    return Err(Error::Limit {
                        thing: "the number of entries of the layer".to_owned(),
                        limit: limits.entries,
                        unit: "entries",
                    });
                }
                each(entry)?;
            }
            Err(Halt::Unread(problem)) => {
                walked.unread = Some(Unread { at, problem });
                return Ok(walked);
            }
            Err(Halt::Fault(err)) => return Err(err),
        }
    }
}

/// Reads up to the end of the next entry; `None` at the end of the archive.
fn next(
    input: &mut impl Input,
    limits: &Limits,
    sparse_bytes_left: &mut u64,
) -> Result<Option<LayerEntry>, Halt> {
    match head(input, limits)? {
        Some(head) => entry(input, limits, sparse_bytes_left, head).map(Some),
        None => Ok(None),
    }
}

/// Reads the headers of the next entry; `None` at the end of the archive.
pub fn head(input: &mut impl Headers, limits: &Limits) -> Result<Option<Head>, Halt> {
    let mut pax: Option<Pax> = None;
    let mut long_name = Vec::new();
    let mut long_link = Vec::new();
    loop {
        let mut block: Block = [0; BLOCK_BYTES];
        if at_end(input, &mut block)? {
            return Ok(None);
        }
        let mut header = Header::parse(&block)?;
        match header.flag {
            b'x' => pax = Some(Pax::parse(special(input, &header, limits.pax_bytes, "PAX header")?)?),
            b'g' => {
                // Go hands a global header out as an entry of its own, engines skip it, and what
                // came before it is forgotten.
                Pax::parse(special(input, &header, limits.pax_bytes, "PAX header")?)?;
                (pax, long_name, long_link) = (None, Vec::new(), Vec::new());
            }
            // One more for the NUL that ends the name.
            b'L' => {
                long_name = long_text(special(input, &header, limits.path_bytes.saturating_add(1), "name")?)
            }
            b'K' => {
                long_link =
                    long_text(special(input, &header, limits.path_bytes.saturating_add(1), "link target")?)
            }
            _ => {
                if let Some(pax) = &pax {
                    pax.merge_into(&mut header)?;
                }
                if !long_name.is_empty() {
                    header.name = long_name;
                }
                if !long_link.is_empty() {
                    header.link = long_link;
                }
                if header.flag == 0 {
                    // Only tars older than the directory type say it with a slash; Go asks no other
                    // type.
                    header.flag = if header.name.ends_with(b"/") { b'5' } else { b'0' };
                }
                if !has_payload(header.flag) {
                    header.size = 0;
                }
                return Ok(Some(Head { header, pax, block }));
            }
        }
    }
}

/// Reads a header block; says whether it was the end instead.
fn at_end(input: &mut impl Headers, block: &mut Block) -> Result<bool, Halt> {
    let zeros = |block: &Block| block.iter().all(|byte| *byte == 0);
    match input.raw(block)? {
        0 => return Ok(true),
        BLOCK_BYTES => {}
        found => return unread(format!("ends inside a header, after {found} bytes of {BLOCK_BYTES}")),
    }
    if !zeros(block) {
        return Ok(false);
    }
    match input.raw(block)? {
        0 => Ok(true),
        BLOCK_BYTES if zeros(block) => Ok(true),
        BLOCK_BYTES => unread("one block of zeros, where two end an archive"),
        _ => unread("ends inside the block after the first one of zeros"),
    }
}

/// Reads the body of a header that speaks of the next one.
fn special(input: &mut impl Headers, header: &Header, limit: usize, what: &str) -> Result<Vec<u8>, Halt> {
    // `Header::parse` refuses negative sizes of these types.
    let size = header.size.unsigned_abs();
    let Some(len) = usize::try_from(size).ok().filter(|len| *len <= limit) else {
        let thing = format!("a {what} in the layer");
        return Err(Halt::Fault(Error::Limit { thing, limit: limit as u64, unit: "bytes" }));
    };
    let mut body = vec![0; len];
    if input.raw(&mut body)? < len {
        return unread(format!("ends inside a {what}"));
    }
    skip_padding(input, size)?;
    Ok(body)
}

/// The tar may end here: Go does not miss the padding of a last entry either.
pub fn skip_padding(input: &mut impl Headers, size: u64) -> Result<()> {
    input.raw(&mut [0; BLOCK_BYTES][..padding(size)]).map(drop)
}

fn long_text(mut body: Vec<u8>) -> Vec<u8> {
    body.truncate(text(&body).len());
    body
}

fn entry(
    input: &mut impl Input,
    limits: &Limits,
    sparse_bytes_left: &mut u64,
    Head { mut header, pax, block }: Head,
) -> Result<LayerEntry, Halt> {
    let Ok(payload) = u64::try_from(header.size) else {
        return unread("negative size");
    };
    let mut shape = Shape::plain(payload);
    if header.flag == b'S' {
        shape = sparse::old_gnu(input, &header, &block, payload, limits.pax_bytes)?;
    } else if let Some(pax) = &pax
        && let Some(sparse) = sparse::pax(input, &mut header, pax, payload, limits.pax_bytes)?
    {
        shape = sparse;
    }
    if shape.sparse {
        *sparse_bytes_left = sparse_bytes_left.checked_sub(shape.size).ok_or_else(|| Error::Limit {
            thing: format!("layer entry `{}`: the size of the layer's sparse files", shown(&header.name)),
            limit: limits.sparse_bytes,
            unit: "bytes",
        })?;
    }
    let path = path(&header.name, limits)?;
    let what = match header.flag {
        b'1' => LayerKind::Hardlink { target: self::path(&header.link, limits)? },
        b'2' if header.link.is_empty() => {
            return Err(Error::invalid(named(&header), "symbolic link without a target").into());
        }
        b'2' => {
            within(&header.link, limits)?;
            LayerKind::Symlink(header.link.as_slice().into())
        }
        b'3' => {
            let (major, minor) = device(&header)?;
            LayerKind::CharDevice { major, minor }
        }
        b'4' => {
            let (major, minor) = device(&header)?;
            LayerKind::BlockDevice { major, minor }
        }
        b'5' => LayerKind::Dir,
        b'6' => LayerKind::Fifo,
        _ => {
            let content = input.payload(&header.name, &shape)?;
            skip_padding(input, payload)?;
            LayerKind::File { content, size: shape.size }
        }
    };
    let what = whiteout(&path)?.unwrap_or(what);
    let attr = Attr {
        mode: (header.mode & 0o7777) as u32,
        uid: owner(header.uid),
        gid: owner(header.gid),
        mtime: header.mtime,
        xattrs: pax.as_ref().map_or_else(Xattrs::default, Pax::xattrs),
    };
    Ok(LayerEntry { path, attr, what })
}

pub fn path(name: &[u8], limits: &Limits) -> Result<TreePath> {
    within(name, limits)?;
    TreePath::parse(name)
}

pub fn within(name: &[u8], limits: &Limits) -> Result<()> {
    if name.len() <= limits.path_bytes {
        return Ok(());
    }
    let thing = format!("path `{}`", shown(name));
    Err(Error::Limit { thing, limit: limits.path_bytes as u64, unit: "bytes" })
}

pub fn named(header: &Header) -> String {
    format!("layer entry `{}`", shown(&header.name))
}

pub fn device(header: &Header) -> Result<(u32, u32), Halt> {
    match (u32::try_from(header.major), u32::try_from(header.minor)) {
        (Ok(major), Ok(minor)) => Ok((major, minor)),
        _ => unread("device number out of range"),
    }
}

/// Tars made where ids are signed have -2 for `nobody`; the kernel takes it as 2^32 - 2.
pub fn owner(id: i64) -> u64 {
    u64::try_from(id).unwrap_or_else(|_| u64::from(id as u32))
}

pub const WHITEOUT_PREFIX: &[u8] = b".wh.";
/// AUFS kept its own books under such names; only the opaque marker among them is of the format.
pub const METADATA_PREFIX: &[u8] = b".wh..wh.";
pub const OPAQUE_NAME: &[u8] = b".wh..wh..opq";

/// OCI layer spec, "Whiteouts": the name decides, whatever the type of the entry.
pub fn whiteout(path: &TreePath) -> Result<Option<LayerKind>> {
    let Some((dir, name)) = path.split() else {
        return Ok(None);
    };
    if name == OPAQUE_NAME {
        return Ok(Some(LayerKind::Opaque));
    }
    match name.strip_prefix(WHITEOUT_PREFIX) {
        None => Ok(None),
        Some(_) if name.starts_with(METADATA_PREFIX) => Ok(None),
        Some(b"" | b"." | b"..") => Err(Error::invalid(format!("whiteout `{path}`"), "hides no name")),
        Some(hidden) => Ok(Some(LayerKind::Whiteout { of: dir.join(hidden) })),
    }
}
