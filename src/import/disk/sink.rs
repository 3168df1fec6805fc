//! The entries of one file system into a tree, their contents into the store, each block of them
//! known to the skeleton that will be looked for.

use crate::attr::Attr;
use crate::content::ContentSink;
use crate::disk::files::FileBytes;
use crate::disk::files::FileSink;
use crate::disk::files::Found;
use crate::disk::skeleton::Fingerprints;
use crate::disk::skeleton::Hint;
use crate::error::Error;
use crate::error::Result;
use crate::path::TreePath;
use crate::store::Transaction;
use crate::tree::Kind;
use crate::tree::Tree;
use crate::tree::build::Builder;

pub struct TreeSink<'a> {
    pub tx: &'a mut Transaction,
    pub prints: &'a mut Fingerprints,
    /// Where the file system's device begins on its disk, and that disk's hints. `None` where what
    /// the reader knows of places is of no use.
    pub place: Option<(u64, &'a mut Vec<Hint>)>,
    builder: Option<Builder>,
}

impl<'a> TreeSink<'a> {
    pub fn new(
        tx: &'a mut Transaction,
        prints: &'a mut Fingerprints,
        place: Option<(u64, &'a mut Vec<Hint>)>,
    ) -> TreeSink<'a> {
        TreeSink { tx, prints, place, builder: None }
    }

    pub fn finish(self) -> Result<Tree> {
        let builder = self.builder.ok_or_else(|| Error::invalid("file system", "has no root"))?;
        builder.finish(self.tx)
    }

    fn builder(&mut self) -> Result<&mut Builder> {
        self.builder.as_mut().ok_or_else(|| Error::invalid("file system", "has no root"))
    }

    fn file(&mut self, file: FileBytes<'_>) -> Result<Kind> {
        let FileBytes { size, extents, from } = file;
        let Some((start, hints)) = self.place.as_mut().filter(|_| !extents.is_empty()) else {
            let mut tee = self.prints.tee(from);
            let content = self.tx.put(size, &mut tee)?;
            tee.keep(content)?;
            return Ok(Kind::File { content, size });
        };
        // Where its bytes lie is known: nothing has to be searched for.
        let content = self.tx.put(size, from)?;
        let number = self.prints.note(content, size)?;
        hints.extend(extents.iter().map(|extent| Hint {
            content: number,
            file_offset: extent.file_offset,
            disk_offset: *start + extent.device_offset,
            len: extent.len,
        }));
        Ok(Kind::File { content, size })
    }
}

impl FileSink for TreeSink<'_> {
    fn put(&mut self, path: TreePath, attr: Attr, found: Found<'_>) -> Result<()> {
        if path.is_root() {
            self.builder = Some(Builder::new(attr));
            return Ok(());
        }
        let kind = match found {
            Found::File(file) => self.file(file)?,
            Found::Dir => {
                self.builder()?.put_dir(path, attr);
                return Ok(());
            }
            Found::HardLink(first) => {
                self.builder()?.put_name(path, first);
                return Ok(());
            }
            Found::Symlink(target) => Kind::Symlink(target),
            Found::CharDevice { major, minor } => Kind::CharDevice { major, minor },
            Found::BlockDevice { major, minor } => Kind::BlockDevice { major, minor },
            Found::Fifo => Kind::Fifo,
            Found::Socket => Kind::Socket,
        };
        self.builder()?.put(path, kind, attr);
        Ok(())
    }
}
