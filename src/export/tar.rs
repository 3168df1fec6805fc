//! A tree as one tar file, the same bytes for the same tree.
//!
//! POSIX pax format: a ustar header for each entry, before it an extended header with what ustar
//! cannot hold (long or non-ASCII names, large numbers, fractions of seconds, extended attributes
//! as `SCHILY.xattr.*`, as container tools and GNU tar have them; ACLs once more as text). Entries stand in the order of
//! the tree's walk, directories before what is in them, the root first as `./`. Further names of
//! an inode are links to its first. User and group names are left empty: the tree has numbers.
//!
//! What a tar file cannot hold (sockets, a few numbers) is left out and listed.

mod records;

use crate::attr::Attr;
use crate::content::ContentSource;
use crate::error::Error;
use crate::error::Result;
use crate::error::from_stream;
use crate::export::acl;
use crate::export::skipped;
use crate::export::skipped::Skipped;
use crate::export::skipped::What;
use crate::export::steps::HardLinks;
use crate::export::steps::Step;
use crate::export::steps::Steps;
use crate::export::tar::records::Records;
use crate::export::tar::records::decimal;
use crate::id::ContentId;
use crate::path::TreePath;
use crate::path::shown;
use crate::progress::Progress;
use crate::tree::Entry;
use crate::tree::Kind;
use crate::tree::NodeSource;
use crate::tree::Tree;
use std::io;
use std::io::Write;
use tar::EntryType;
use tar::Header;

/// What [`write_tar`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TarWritten {
    /// Entries, the root not counted.
    pub entries: u64,
    /// The length of the tar file.
    pub bytes: u64,
    pub skipped: Vec<Skipped>,
}

const BLOCK: usize = 512;
const BUFFER_BYTES: usize = 128 << 10;
/// The largest numbers that ustar's octal fields hold.
const ID_MAX: u64 = 0o7_777_777;
const SIZE_MAX: u64 = 0o77_777_777_777;
/// Bytes of a ustar name. Its prefix field is not used: readers disagree where to split.
const NAME_MAX: usize = 100;

/// Writes the whole tree, ending with the two zero blocks of a tar file.
pub fn write_tar(
    tree: &Tree,
    nodes: &dyn NodeSource,
    contents: &dyn ContentSource,
    out: &mut dyn Write,
    progress: &dyn Progress,
) -> Result<TarWritten> {
    progress.begin("writing tar", Some(tree.bytes));
    let mut writer = Writer {
        contents,
        out,
        progress,
        path: Vec::new(),
        links: HardLinks::new(tree),
        buffer: vec![0; BUFFER_BYTES],
        done: TarWritten::default(),
    };
    writer.head(EntryType::Directory, b"./", b"", 0, None, &tree.root_attr)?;
    let mut steps = Steps::new(tree, nodes)?;
    let mut above = Vec::new();
    while let Some(step) = steps.next(&mut |ids| contents.will_open(ids))? {
        crate::progress::check(progress)?;
        match step {
            Step::Enter(entry) => {
                above.push(writer.path.len());
                writer.step_down(&entry.name);
                let name = [&writer.path[..], b"/"].concat();
                writer.head(EntryType::Directory, &name, b"", 0, None, &entry.attr)?;
                writer.done.entries += 1;
            }
            Step::Item(entry) => {
                let len = writer.path.len();
                writer.step_down(&entry.name);
                writer.item(&entry)?;
                writer.path.truncate(len);
            }
            Step::Leave => writer.path.truncate(above.pop().expect("each leave follows an enter")),
        }
    }
    writer.write(&[0; 2 * BLOCK])?;
    writer.out.flush().map_err(|err| from_stream("tar output", err))?;
    Ok(writer.done)
}

struct Writer<'a> {
    contents: &'a dyn ContentSource,
    out: &'a mut dyn Write,
    progress: &'a dyn Progress,
    /// The path of the entry at hand.
    path: Vec<u8>,
    links: HardLinks<'a>,
    buffer: Vec<u8>,
    done: TarWritten,
}

impl Writer<'_> {
    fn step_down(&mut self, name: &[u8]) {
        if !self.path.is_empty() {
            self.path.push(b'/');
        }
        self.path.extend_from_slice(name);
    }

    fn item(&mut self, entry: &Entry) -> Result<()> {
        let name = self.path.clone();
        let linked = (!self.links.is_empty()).then(|| self.tree_path());
        if let Some(target) = linked.as_ref().and_then(|path| self.links.target(path)) {
            let target = target.as_bytes().to_vec();
            // A link's own attributes are its target's; readers that look take the header's.
            let attr = Attr { xattrs: Default::default(), ..entry.attr.clone() };
            self.done.entries += 1;
            return self.head(EntryType::Link, &name, &target, 0, None, &attr);
        }
        match &entry.kind {
            Kind::File { content, size } => {
                self.head(EntryType::Regular, &name, b"", *size, None, &entry.attr)?;
                self.content(content, *size)?;
            }
            Kind::Symlink(target) => self.head(EntryType::Symlink, &name, target, 0, None, &entry.attr)?,
            Kind::CharDevice { major, minor } | Kind::BlockDevice { major, minor } => {
                if u64::from(*major.max(minor)) > ID_MAX {
                    self.skip(What::Device, "a tar file cannot hold the number");
                    return Ok(());
                }
                let kind = match entry.kind {
                    Kind::CharDevice { .. } => EntryType::Char,
                    _ => EntryType::Block,
                };
                self.head(kind, &name, b"", 0, Some((*major, *minor)), &entry.attr)?;
            }
            Kind::Fifo => self.head(EntryType::Fifo, &name, b"", 0, None, &entry.attr)?,
            Kind::Socket => {
                self.skip(What::Socket, "a tar file cannot hold it");
                return Ok(());
            }
            Kind::Dir(_) => unreachable!("a directory is a step in, not an item"),
        }
        self.done.entries += 1;
        if let Some(path) = linked {
            self.links.written(&path);
        }
        Ok(())
    }

    fn head(
        &mut self,
        kind: EntryType,
        name: &[u8],
        target: &[u8],
        size: u64,
        device: Option<(u32, u32)>,
        attr: &Attr,
    ) -> Result<()> {
        let mut records = Records::default();
        if !fits_name(name) {
            records.name("path", name);
        }
        if !fits_name(target) {
            records.name("linkpath", target);
        }
        for (key, id) in [("uid", attr.uid), ("gid", attr.gid)] {
            if id > ID_MAX {
                records.add(key, id.to_string().as_bytes());
            }
        }
        if size > SIZE_MAX {
            records.add("size", size.to_string().as_bytes());
        }
        let secs =
            u64::try_from(attr.mtime.secs).ok().filter(|secs| *secs <= SIZE_MAX && attr.mtime.nanos == 0);
        if secs.is_none() {
            records.add("mtime", decimal(attr.mtime).as_bytes());
        }
        for (xattr, value) in attr.xattrs.iter() {
            match std::str::from_utf8(xattr) {
                Ok(text) if !text.contains('=') => records.add(&format!("SCHILY.xattr.{text}"), value),
                _ => self.skip(What::Xattr(shown(xattr)), "a tar file cannot hold the name"),
            }
        }
        for (xattr, value) in attr.xattrs.iter() {
            let key = match xattr {
                b"system.posix_acl_access" => "SCHILY.acl.access",
                b"system.posix_acl_default" => "SCHILY.acl.default",
                _ => continue,
            };
            if let Some(text) = acl::text(value) {
                records.add(key, text.as_bytes());
            }
        }
        let records = records.finish();
        if !records.is_empty() {
            let mut header = header(EntryType::XHeader, &extended_name(name), b"", records.len() as u64);
            header.set_mode(0o644);
            header.set_uid(0);
            header.set_gid(0);
            header.set_mtime(0);
            self.finish_header(header)?;
            self.write(&records)?;
            self.pad(records.len() as u64)?;
        }
        let mut header = header(kind, name, target, size.min(SIZE_MAX));
        header.set_mode(attr.mode & 0o7777);
        header.set_uid(attr.uid.min(ID_MAX));
        header.set_gid(attr.gid.min(ID_MAX));
        header.set_mtime(attr.mtime.secs.clamp(0, SIZE_MAX as i64) as u64);
        if let Some((major, minor)) = device {
            header.set_device_major(major).expect("a ustar header has the field");
            header.set_device_minor(minor).expect("a ustar header has the field");
        }
        self.finish_header(header)
    }

    fn finish_header(&mut self, mut header: Header) -> Result<()> {
        header.set_cksum();
        self.write(header.as_bytes())
    }

    fn content(&mut self, content: &ContentId, size: u64) -> Result<()> {
        let mut left = size;
        if size > 0 {
            let mut from = self.contents.open(content, 0, size)?;
            while left > 0 {
                let want = self.buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                let got = match from.read(&mut self.buffer[..want]) {
                    Ok(0) => {
                        let (expected, found) = (format!("{size} bytes"), format!("{}", size - left));
                        return Err(Error::Corrupt { thing: format!("content {content}"), expected, found });
                    }
                    Ok(got) => got,
                    Err(err) if err.kind() == io::ErrorKind::Interrupted => continue,
                    Err(err) => return Err(from_stream(format!("content {content}"), err)),
                };
                self.out.write_all(&self.buffer[..got]).map_err(|err| from_stream("tar output", err))?;
                self.done.bytes += got as u64;
                left -= got as u64;
                self.progress.advance(got as u64);
                if self.progress.cancelled() {
                    return Err(Error::Interrupted);
                }
            }
        }
        self.pad(size)
    }

    fn pad(&mut self, len: u64) -> Result<()> {
        let over = (len % BLOCK as u64) as usize;
        if over == 0 { Ok(()) } else { self.write(&[0; BLOCK][over..]) }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.done.bytes += bytes.len() as u64;
        self.out.write_all(bytes).map_err(|err| from_stream("tar output", err))
    }

    fn skip(&mut self, what: What, why: &str) {
        let path = self.tree_path();
        skipped::add(&mut self.done.skipped, what, why, &path);
    }

    fn tree_path(&self) -> TreePath {
        TreePath::parse(&self.path).expect("names are clean and the steps bound the length")
    }
}

/// ustar is ASCII: what else its fields hold, each reader takes for its own character set.
fn fits_name(name: &[u8]) -> bool {
    name.len() <= NAME_MAX && name.is_ascii()
}

fn header(kind: EntryType, name: &[u8], target: &[u8], size: u64) -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_size(size);
    let ustar = header.as_ustar_mut().expect("it was just made one");
    put_name(&mut ustar.name, name, kind == EntryType::Directory);
    put_name(&mut ustar.linkname, target, false);
    for field in [&mut ustar.dev_major, &mut ustar.dev_minor] {
        field.copy_from_slice(b"0000000\0");
    }
    header
}

/// Where a pax record has the name, the field has what fits of it, for readers without pax.
fn put_name(field: &mut [u8; NAME_MAX], name: &[u8], is_dir: bool) {
    let mut len = name.len().min(NAME_MAX);
    // A cut that ends in a slash would make a file a directory.
    while !is_dir && len < name.len() && len > 0 && name[len - 1] == b'/' {
        len -= 1;
    }
    for (to, from) in field.iter_mut().zip(&name[..len]) {
        *to = if from.is_ascii() { *from } else { b'_' };
    }
    if is_dir && len < name.len() {
        field[NAME_MAX - 1] = b'/';
    }
}

/// A name for the extended header, of use only to readers that take it for a file.
fn extended_name(name: &[u8]) -> Vec<u8> {
    let bare = name.strip_suffix(b"/").unwrap_or(name);
    let last = bare.rsplit(|byte| *byte == b'/').next().unwrap_or(bare);
    let prefix = b"PaxHeaders/";
    [prefix, &last[..last.len().min(NAME_MAX - prefix.len())]].concat()
}

#[cfg(test)]
mod tests;
