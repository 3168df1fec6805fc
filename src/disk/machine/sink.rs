//! The entries of one file system into a tree, their contents to whoever keeps them.

use super::Keeper;
use crate::attr::Attr;
use crate::disk::files::FileSink;
use crate::disk::files::Found;
use crate::error::Error;
use crate::error::Result;
use crate::path::TreePath;
use crate::tree::Kind;
use crate::tree::Tree;
use crate::tree::build::Builder;

pub struct TreeSink<'a> {
    keeper: &'a mut dyn Keeper,
    place: Option<(usize, u64)>,
    builder: Option<Builder>,
}

impl<'a> TreeSink<'a> {
    /// `place` as [`Keeper::file`] takes it.
    pub fn new(keeper: &'a mut dyn Keeper, place: Option<(usize, u64)>) -> TreeSink<'a> {
        TreeSink { keeper, place, builder: None }
    }

    pub fn finish(self) -> Result<Tree> {
        let builder = self.builder.ok_or_else(|| Error::invalid("file system", "has no root"))?;
        builder.finish(self.keeper)
    }

    fn builder(&mut self) -> Result<&mut Builder> {
        self.builder.as_mut().ok_or_else(|| Error::invalid("file system", "has no root"))
    }
}

impl FileSink for TreeSink<'_> {
    fn put(&mut self, path: TreePath, attr: Attr, found: Found<'_>) -> Result<()> {
        if path.is_root() {
            self.builder = Some(Builder::new(attr));
            return Ok(());
        }
        let kind = match found {
            Found::File(file) => {
                let size = file.size;
                Kind::File { content: self.keeper.file(&path, file, self.place)?, size }
            }
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
