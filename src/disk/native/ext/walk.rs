//! The walk through all directories.
//!
//! Within a directory, inodes are looked up in the order of their numbers and files are read in
//! that of their places on the disk, a batch at a time, since that is how they were written.

use crate::attr::Attr;
use crate::attr::Xattr;
use crate::attr::Xattrs;
use crate::disk::files::Extent;
use crate::disk::files::FileBytes;
use crate::disk::files::FileSink;
use crate::disk::files::Found;
use crate::disk::native::cache::Cache;
use crate::disk::native::content::Ahead;
use crate::disk::native::content::FileReader;
use crate::disk::native::content::ahead_ends;
use crate::disk::native::ext::Ext;
use crate::disk::native::ext::acl;
use crate::disk::native::ext::checksum;
use crate::disk::native::ext::dir;
use crate::disk::native::ext::dir::Name;
use crate::disk::native::ext::dir::Names;
use crate::disk::native::ext::features;
use crate::disk::native::ext::inode::BLOCK_AREA_BYTES;
use crate::disk::native::ext::inode::Inode;
use crate::disk::native::ext::inode::InodeKind;
use crate::disk::native::ext::inode::ROOT_INODE;
use crate::disk::native::ext::map;
use crate::disk::native::ext::map::Map;
use crate::disk::native::ext::xattr;
use crate::disk::native::ext::xattr::Meaning;
use crate::disk::native::ext::xattr::Value;
use crate::error::Doing;
use crate::error::Error;
use crate::error::Result;
use crate::path::PATH_BYTES_MAX;
use crate::path::PATH_PARTS_MAX;
use crate::path::TreePath;
use crate::progress::Progress;
use std::collections::HashMap;
use std::collections::HashSet;

/// Inodes that are held at once: large enough to sort their files, small beside anything else.
const BATCH: usize = 512;
/// Linux takes no value larger than 64 KiB, nor shows names of more than that.
const XATTR_BYTES_MAX: usize = 64 << 10;
/// All attributes of one inode.
const XATTRS_BYTES_MAX: usize = 4 << 20;
/// What is read of a directory at once, a multiple of every block size.
const DIRECTORY_BYTES: u64 = 256 << 10;

pub struct Walk<'a> {
    ext: &'a Ext,
    cache: Cache<'a>,
    ahead: Ahead,
    extents: Vec<Extent>,
    sink: &'a mut dyn FileSink,
    progress: &'a dyn Progress,
    /// Inodes with names that have not all been met, by the first that was.
    linked: HashMap<u32, Linked>,
    directories: HashSet<u32>,
}

struct Linked {
    path: TreePath,
    attr: Attr,
    left: u16,
}

/// A directory whose own entries have been told, but for the directories in it.
struct Frame {
    path: TreePath,
    depth: usize,
    names: Names,
    next: usize,
}

/// What an inode's attributes are made of.
#[derive(Default)]
struct Attributes {
    pairs: Vec<Xattr>,
    bytes: usize,
    inline: Option<Vec<u8>>,
}

impl<'a> Walk<'a> {
    pub fn new(ext: &'a Ext, sink: &'a mut dyn FileSink, progress: &'a dyn Progress) -> Walk<'a> {
        Walk {
            ext,
            cache: Cache::new(&*ext.disk),
            ahead: Ahead::default(),
            extents: Vec::new(),
            sink,
            progress,
            linked: HashMap::new(),
            directories: HashSet::new(),
        }
    }

    pub fn run(mut self) -> Result<()> {
        let mut frames = vec![self.enter(TreePath::root(), 0, ROOT_INODE)?];
        while let Some(frame) = frames.last_mut() {
            let Some(name) = frame.names.list().get(frame.next).copied() else {
                frames.pop();
                continue;
            };
            frame.next += 1;
            let (path, depth) = (join(&frame.path, frame.names.of(name), frame.depth)?, frame.depth + 1);
            let below = self.enter(path, depth, name.inode)?;
            frames.push(below);
        }
        Ok(())
    }

    /// Tells a directory and what is in it, but for directories, which come back.
    fn enter(&mut self, path: TreePath, depth: usize, number: u32) -> Result<Frame> {
        let (attr, mut names) = self.directory(number).doing(|| format!("cannot read {path}"))?;
        self.sink.put(path.clone(), attr, Found::Dir)?;
        let mut directories = Names::default();
        names.sort_by_inode();
        let mut found = Vec::with_capacity(BATCH);
        for batch in names.list().chunks(BATCH) {
            crate::progress::check(self.progress)?;
            for name in batch {
                let path = join(&path, names.of(*name), depth)?;
                if self.has_first_name(name.inode) {
                    self.more_names(path, name.inode)?;
                    continue;
                }
                let inode = self.named_inode(*name).doing(|| format!("cannot read {path}"))?;
                match inode.kind {
                    InodeKind::Dir => directories.push(names.of(*name), name.inode)?,
                    InodeKind::File => {
                        found.push((map::first_offset(&self.ext.superblock, &inode), path, inode))
                    }
                    _ => self.not_a_file(path, &inode)?,
                }
            }
            self.files(&mut found)?;
        }
        directories.sort()?;
        Ok(Frame { path, depth, names: directories, next: 0 })
    }

    /// What a directory is, and its names in their order.
    fn directory(&mut self, number: u32) -> Result<(Attr, Names)> {
        if !self.directories.insert(number) {
            return Err(Error::invalid(format!("directory inode {number}"), "is in more than one place"));
        }
        let inode = self.ext.inode(&mut self.cache, number)?;
        if inode.kind != InodeKind::Dir {
            return Err(Error::invalid(format!("inode {number}"), "is no directory"));
        }
        let attributes = self.attributes(&inode)?;
        let mut names = Names::default();
        if inode.is_inline() {
            // The first four bytes are the number of the directory above.
            dir::read(&inode.block_area()[4..], number, &mut names)?;
            dir::read(attributes.inline.as_deref().unwrap_or_default(), number, &mut names)?;
        } else {
            self.blocks_of_names(&inode, &mut names)?;
        }
        names.sort()?;
        Ok((attr(&inode, attributes.pairs)?, names))
    }

    fn blocks_of_names(&mut self, inode: &Inode, names: &mut Names) -> Result<()> {
        let block_size = self.ext.superblock.block_size;
        if !inode.size.is_multiple_of(block_size) {
            let problem = format!("has a size of {} bytes", inode.size);
            return Err(Error::invalid(format!("directory inode {}", inode.number), problem));
        }
        self.map(inode)?;
        let mut buffer = vec![0; inode.size.min(DIRECTORY_BYTES) as usize];
        for extent in &self.extents {
            let mut done = 0;
            while done < extent.len {
                crate::progress::check(self.progress)?;
                let count = (extent.len - done).min(buffer.len() as u64) as usize;
                let buffer = &mut buffer[..count];
                self.ext.disk.read_at(extent.device_offset + done, buffer)?;
                for block in buffer.chunks_exact(block_size as usize) {
                    if self.ext.superblock.has_checksums() {
                        dir::check(block, inode, (extent.file_offset + done) / block_size)?;
                    }
                    dir::read(block, inode.number, names)?;
                    done += block_size;
                }
            }
        }
        Ok(())
    }

    /// An inode that a directory may name.
    fn named_inode(&mut self, name: Name) -> Result<Inode> {
        let inode = self.ext.inode(&mut self.cache, name.inode)?;
        if name.inode < self.ext.superblock.first_inode || inode.is_xattr_value() {
            let problem = "belongs to the file system itself but has a name";
            return Err(Error::invalid(format!("inode {}", name.inode), problem));
        }
        Ok(inode)
    }

    fn has_first_name(&self, number: u32) -> bool {
        self.linked.contains_key(&number)
    }

    fn more_names(&mut self, path: TreePath, number: u32) -> Result<()> {
        let linked = self.linked.get_mut(&number).expect("it was just found");
        let (first, attr) = (linked.path.clone(), linked.attr.clone());
        linked.left -= 1;
        if linked.left == 0 {
            self.linked.remove(&number);
        }
        self.sink.put(path, attr, Found::HardLink(first))
    }

    fn first_name(&mut self, path: &TreePath, attr: &Attr, inode: &Inode) {
        if inode.links() > 1 {
            let linked = Linked { path: path.clone(), attr: attr.clone(), left: inode.links() - 1 };
            self.linked.insert(inode.number, linked);
        }
    }

    fn not_a_file(&mut self, path: TreePath, inode: &Inode) -> Result<()> {
        let (attr, inline) = self.about(inode).doing(|| format!("cannot read {path}"))?;
        let found = match inode.special() {
            Some(found) => found,
            None => Found::Symlink(self.target(inode, inline).doing(|| format!("cannot read {path}"))?),
        };
        self.first_name(&path, &attr, inode);
        self.sink.put(path, attr, found)
    }

    /// Tells a batch of files, in the order of the disk.
    fn files(&mut self, found: &mut Vec<(u64, TreePath, Inode)>) -> Result<()> {
        // Two names of one inode keep the order of the names.
        found.sort_by_key(|(offset, ..)| *offset);
        let ahead_ends = ahead_ends(found.iter().map(|(offset, _, inode)| (*offset, inode.size)));
        for ((_, path, inode), ahead_end) in found.drain(..).zip(ahead_ends) {
            if self.has_first_name(inode.number) {
                self.more_names(path, inode.number)?;
                continue;
            }
            self.file(path, &inode, ahead_end)?;
        }
        Ok(())
    }

    fn file(&mut self, path: TreePath, inode: &Inode, ahead_end: u64) -> Result<()> {
        let (attr, inline) = self.about(inode).doing(|| format!("cannot read {path}"))?;
        self.first_name(&path, &attr, inode);
        let size = inode.size;
        if let Some(bytes) = inline {
            let bytes = inline_bytes(inode, &bytes).doing(|| format!("cannot read {path}"))?;
            let found = FileBytes { size, extents: &[], from: &mut &bytes[..] };
            self.sink.put(path, attr, Found::File(found))?;
        } else {
            self.map(inode).doing(|| format!("cannot read {path}"))?;
            let placed = self.ext.replayed.as_ref().map(|replayed| replayed.place(&self.extents));
            let extents = placed.as_deref().unwrap_or(&self.extents);
            let mut reader = FileReader {
                disk: &*self.ext.disk,
                progress: self.progress,
                ahead: &mut self.ahead,
                extents: &self.extents,
                size,
                ahead_end,
                at: 0,
            };
            let found = FileBytes { size, extents, from: &mut reader };
            self.sink.put(path, attr, Found::File(found))?;
        }
        self.progress.advance(size);
        Ok(())
    }

    fn map(&mut self, inode: &Inode) -> Result<()> {
        let (superblock, progress) = (&self.ext.superblock, self.progress);
        Map { superblock, cache: &mut self.cache, progress, extents: &mut self.extents }.read(inode)
    }

    fn target(&mut self, inode: &Inode, inline: Option<Vec<u8>>) -> Result<Box<[u8]>> {
        let superblock = &self.ext.superblock;
        let refuse =
            |problem: String| Err(Error::invalid(format!("symlink inode {}", inode.number), problem));
        if inode.size == 0 || inode.size > superblock.block_size {
            return refuse(format!("has a target of {} bytes", inode.size));
        }
        let mut target = if let Some(rest) = inline {
            inline_bytes(inode, &rest)?
        } else if is_in_inode(self.ext, inode) {
            match inode.block_area().get(..inode.size as usize) {
                Some(target) => target.to_vec(),
                None => return refuse(format!("has a target of {} bytes in the inode", inode.size)),
            }
        } else {
            self.whole(inode)?
        };
        // To Linux a target is a C string.
        target.truncate(target.iter().position(|byte| *byte == 0).unwrap_or(target.len()));
        if target.is_empty() {
            return refuse("has an empty target".into());
        }
        Ok(target.into())
    }

    /// The bytes of a symlink or of an attribute; the caller has bounded the size.
    fn whole(&mut self, inode: &Inode) -> Result<Vec<u8>> {
        self.map(inode)?;
        let mut bytes = vec![0; inode.size as usize];
        for extent in &self.extents {
            let place = &mut bytes[extent.file_offset as usize..][..extent.len as usize];
            self.cache.read(extent.device_offset, place)?;
        }
        Ok(bytes)
    }

    /// The attributes of an entry, and what of its bytes is among them.
    fn about(&mut self, inode: &Inode) -> Result<(Attr, Option<Vec<u8>>)> {
        let attributes = self.attributes(inode)?;
        let inline = inode.is_inline().then(|| attributes.inline.unwrap_or_default());
        Ok((attr(inode, attributes.pairs)?, inline))
    }

    fn attributes(&mut self, inode: &Inode) -> Result<Attributes> {
        let mut attributes = Attributes::default();
        if inode.xattr_block != 0 {
            let (superblock, block) = (&self.ext.superblock, inode.xattr_block);
            let offset = superblock.offset(block, || format!("attributes of inode {}", inode.number))?;
            let mut bytes = vec![0; superblock.block_size as usize];
            self.cache.read(offset, &mut bytes)?;
            for item in xattr::in_block(superblock, &bytes, block)? {
                self.attribute(inode, item, &mut attributes)?;
            }
        }
        // Later ones win: Linux looks into the inode first.
        for item in xattr::in_inode(inode.rest(), inode.number)? {
            self.attribute(inode, item, &mut attributes)?;
        }
        Ok(attributes)
    }

    fn attribute(&mut self, inode: &Inode, item: xattr::Item<'_>, into: &mut Attributes) -> Result<()> {
        let meaning = item.meaning();
        if let Meaning::Hidden = meaning {
            return Ok(());
        }
        let from_inode;
        let value = match item.value {
            Value::Here(value) => value,
            Value::Inode { number, size } => {
                from_inode = self.value(number, size)?;
                &from_inode[..]
            }
        };
        let (name, value) = match meaning {
            Meaning::Hidden => return Ok(()),
            Meaning::InlineData => {
                into.inline = Some(value.to_vec());
                return Ok(());
            }
            Meaning::Attribute(name) => (name, value.to_vec()),
            Meaning::Acl(name) => match acl::shown(value) {
                Some(value) if value.is_empty() => return Ok(()),
                Some(value) => (name.to_vec(), value),
                None => {
                    let problem = "is no POSIX ACL";
                    return Err(Error::invalid(format!("access list of inode {}", inode.number), problem));
                }
            },
        };
        into.bytes += name.len() + value.len();
        if into.bytes > XATTRS_BYTES_MAX {
            let thing = format!("all attributes of inode {}", inode.number);
            return Err(Error::Limit { thing, limit: XATTRS_BYTES_MAX as u64, unit: "bytes" });
        }
        into.pairs.push((name.into(), value.into()));
        Ok(())
    }

    /// The value of an attribute that has an inode of its own.
    fn value(&mut self, number: u32, size: u32) -> Result<Vec<u8>> {
        let thing = || format!("attribute value in inode {number}");
        let value_inode = self.ext.inode(&mut self.cache, number)?;
        if !self.ext.superblock.features.has_incompat(features::INCOMPAT_EA_INODE)
            || value_inode.kind != InodeKind::File
            || !value_inode.is_xattr_value()
            || value_inode.is_inline()
        {
            return Err(Error::invalid(thing(), "is no inode of a value"));
        }
        if size as usize > XATTR_BYTES_MAX {
            return Err(Error::Limit { thing: thing(), limit: XATTR_BYTES_MAX as u64, unit: "bytes" });
        }
        if value_inode.size != u64::from(size) {
            return Err(Error::Mismatch {
                thing: thing(),
                expected: format!("{size} bytes"),
                found: format!("{} bytes", value_inode.size),
            });
        }
        let value = self.whole(&value_inode)?;
        let computed = checksum::crc32c(self.ext.superblock.seed, &value);
        checksum::check(value_inode.value_hash(), computed, thing)?;
        Ok(value)
    }
}

fn attr(inode: &Inode, pairs: Vec<Xattr>) -> Result<Attr> {
    Ok(Attr {
        mode: inode.mode(),
        uid: inode.uid(),
        gid: inode.gid(),
        mtime: inode.mtime()?,
        xattrs: Xattrs::new(pairs),
    })
}

/// Says whether a symlink's target is where other inodes have their blocks; Linux's own rule.
fn is_in_inode(ext: &Ext, inode: &Inode) -> bool {
    let superblock = &ext.superblock;
    if superblock.features.has_incompat(features::INCOMPAT_EA_INODE) {
        return inode.size < BLOCK_AREA_BYTES as u64;
    }
    let of_attributes = match inode.xattr_block {
        0 => 0,
        _ => superblock.block_size * superblock.blocks_per_cluster / 512,
    };
    inode.sectors == of_attributes
}

/// The bytes of a small file: as many as fit into the inode, then those of its attribute.
fn inline_bytes(inode: &Inode, rest: &[u8]) -> Result<Vec<u8>> {
    let area = inode.block_area();
    let size = usize::try_from(inode.size).unwrap_or(usize::MAX);
    let in_rest = size.saturating_sub(area.len());
    let Some(rest) = rest.get(..in_rest) else {
        let (expected, found) = (format!("{in_rest} more bytes"), format!("{} bytes", rest.len()));
        return Err(Error::Mismatch {
            thing: format!("inline data of inode {}", inode.number),
            expected,
            found,
        });
    };
    Ok([&area[..size.min(area.len())], rest].concat())
}

/// One step down, refused where the path becomes longer than any may be.
fn join(path: &TreePath, name: &[u8], depth: usize) -> Result<TreePath> {
    let len = path.as_bytes().len() + 1 + name.len();
    for (found, limit, unit) in [(len, PATH_BYTES_MAX, "bytes"), (depth + 1, PATH_PARTS_MAX, "parts")] {
        if found > limit {
            let start =
                String::from_utf8_lossy(&path.as_bytes()[..path.as_bytes().len().min(64)]).into_owned();
            return Err(Error::Limit { thing: format!("path {start}…"), limit: limit as u64, unit });
        }
    }
    Ok(path.join(name))
}
