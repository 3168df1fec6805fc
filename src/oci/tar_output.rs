//! A tar whose bytes depend on nothing but what is put in, written to a file or to a stream.

use crate::error::Error;
use crate::error::Result;
use crate::fs::AtomicFile;
use std::io;
use std::io::BufWriter;
use std::io::Read;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

/// Where an archive goes.
pub enum Target {
    /// A file that is there only when it is whole. One that is there already is replaced if told so.
    File { path: PathBuf, replace: bool },
    /// Standard output, or what a test gives.
    Stream(Box<dyn Write + Send>),
}

pub(super) struct TarOutput {
    tar: tar::Builder<BufWriter<Output>>,
    /// What errors name.
    path: PathBuf,
}

enum Output {
    File { file: AtomicFile, replace: bool },
    Stream(Box<dyn Write + Send>),
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Output::File { file, .. } => file.write(bytes),
            Output::Stream(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Output::File { file, .. } => file.flush(),
            Output::Stream(stream) => stream.flush(),
        }
    }
}

impl TarOutput {
    pub fn create(target: Target) -> Result<TarOutput> {
        let (path, output) = match target {
            Target::File { path, replace } => {
                // Said before the work is done, and again by `finish_new` if it comes meanwhile.
                if !replace && crate::fs::look_no_follow(&path)?.is_some() {
                    return Err(Error::Exists { kind: "file", name: path.display().to_string() });
                }
                let file = AtomicFile::create(&path)?;
                (path, Output::File { file, replace })
            }
            Target::Stream(stream) => (PathBuf::from("standard output"), Output::Stream(stream)),
        };
        Ok(TarOutput { tar: tar::Builder::new(BufWriter::with_capacity(256 << 10, output)), path })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn folder(&mut self, name: &str) -> Result<()> {
        let mut header = header(tar::EntryType::Directory, 0o755, 0);
        self.tar.append_data(&mut header, name, io::empty()).map_err(Error::io("write", &self.path))
    }

    /// `from` must give exactly `size` bytes or fail.
    pub fn file(&mut self, name: &str, size: u64, from: &mut dyn Read) -> Result<()> {
        let mut header = header(tar::EntryType::Regular, 0o644, size);
        self.tar.append_data(&mut header, name, from).map_err(|err| {
            // A fault of the reader carries its own name through; the rest is the writer's.
            match err.get_ref().is_some_and(|inner| inner.is::<Error>()) {
                true => crate::error::from_stream(name, err),
                false => Error::io("write", &self.path)(err),
            }
        })
    }

    pub fn finish(self) -> Result<()> {
        let path = self.path;
        let buffered = self.tar.into_inner().map_err(Error::io("write", &path))?;
        let output = buffered.into_inner().map_err(|err| Error::io("write", &path)(err.into_error()))?;
        match output {
            Output::File { file, replace: true } => file.finish(),
            Output::File { file, .. } => file.finish_new(),
            Output::Stream(mut stream) => stream.flush().map_err(Error::io("write", &path)),
        }
    }
}

fn header(kind: tar::EntryType, mode: u32, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header
}
