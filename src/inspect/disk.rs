//! A disk that is only looked at: its trees in memory, of its files no more than somebody will read.

use super::compare::LINES_BYTES_MAX;
use super::compare::is_binary;
use crate::content::ContentSink;
use crate::content::HashSink;
use crate::disk::files::FileBytes;
use crate::disk::guest::os::HEAD_BYTES;
use crate::disk::guest::os::TEXT_BYTES_MAX;
use crate::disk::machine::Contents;
use crate::disk::machine::Keeper;
use crate::disk::machine::Machine;
use crate::disk::machine::ReadOptions;
use crate::error::Error;
use crate::error::Result;
use crate::error::from_stream;
use crate::id::ContentId;
use crate::id::NodeId;
use crate::path::TreePath;
use crate::progress::Progress;
use crate::tree::MemoryNodes;
use crate::tree::Node;
use crate::tree::NodeIds;
use crate::tree::NodeSink;
use crate::tree::NodeSource;
use std::cell::RefCell;
use std::collections::HashMap;
use std::collections::HashSet;
use std::io::ErrorKind;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use tempfile::SpooledTempFile;

/// Up to this many bytes of texts stay in memory.
const BYTES_IN_MEMORY: usize = 1 << 20;

/// How the files end that tell of a system, wherever links to them lead. One of another name costs a
/// second reading of the disk.
const NAMES: [&[u8]; 3] = [b"os-release", b"fstab", b"hostname"];

/// Reads a disk and forgets the files, but for the texts among them if `with_lines`.
pub fn read(
    path: &Path,
    format: Option<&str>,
    with_lines: bool,
    options: &ReadOptions,
    progress: &dyn Progress,
) -> Result<(Contents, MemoryNodes, Texts)> {
    let machine = Machine::open(path, format, options)?;
    let mut looked = Looked::new(with_lines);
    let mut contents = machine.read(&mut looked, options, progress)?;
    if !looked.missed.is_empty() {
        let wanted = std::mem::take(&mut looked.missed);
        looked = Looked { wanted, ..Looked::new(with_lines) };
        contents = machine.read(&mut looked, options, progress)?;
    }
    machine.check_unchanged()?;
    Ok((contents, looked.nodes, looked.texts))
}

struct Looked {
    nodes: MemoryNodes,
    hashes: HashSink,
    with_lines: bool,
    texts: Texts,
    /// How programs begin.
    heads: HashMap<ContentId, Vec<u8>>,
    /// Kept whatever they are called.
    wanted: HashSet<ContentId>,
    /// Asked for and not there.
    missed: HashSet<ContentId>,
}

impl Looked {
    fn new(with_lines: bool) -> Looked {
        Looked {
            nodes: MemoryNodes::new(),
            hashes: HashSink::new(),
            with_lines,
            texts: Texts::new(),
            heads: HashMap::new(),
            wanted: HashSet::new(),
            missed: HashSet::new(),
        }
    }

    /// Whether it is kept if it is a text.
    fn is_of_use(&self, path: &TreePath, size: u64) -> bool {
        let tells = NAMES.iter().any(|name| path.as_bytes().ends_with(name));
        self.with_lines && size <= LINES_BYTES_MAX || tells && size <= TEXT_BYTES_MAX
    }

    fn note_program(&mut self, id: ContentId, head: &[u8]) {
        if head.starts_with(b"\x7fELF") {
            self.heads.entry(id).or_insert_with(|| head.to_vec());
        }
    }
}

impl Keeper for Looked {
    fn file(&mut self, path: &TreePath, file: FileBytes<'_>, _: Option<(usize, u64)>) -> Result<ContentId> {
        let FileBytes { size, from, .. } = file;
        let broken = |err: std::io::Error| match err.kind() {
            ErrorKind::UnexpectedEof => Error::invalid(path.to_string(), "ends early"),
            _ => from_stream(path.to_string(), err),
        };
        let is_of_use = self.is_of_use(path, size);
        if is_of_use || !self.wanted.is_empty() && size <= TEXT_BYTES_MAX {
            let mut bytes = vec![0; size as usize];
            from.read_exact(&mut bytes).map_err(broken)?;
            let id = ContentId::of(&bytes);
            if self.wanted.contains(&id) || is_of_use && !is_binary(&bytes) {
                self.texts.keep(id, &bytes)?;
            }
            self.note_program(id, &bytes[..bytes.len().min(HEAD_BYTES as usize)]);
            return Ok(id);
        }
        let mut head = vec![0; size.min(HEAD_BYTES) as usize];
        from.read_exact(&mut head).map_err(broken)?;
        let id = self.hashes.put(size, &mut (&head[..]).chain(from))?;
        self.note_program(id, &head);
        Ok(id)
    }

    fn read_back(&mut self, wanted: HashMap<ContentId, u64>) -> Result<HashMap<ContentId, Vec<u8>>> {
        let mut found = HashMap::new();
        for (id, len) in wanted {
            if let Some(bytes) = self.texts.read(&id)?.or_else(|| self.heads.get(&id).cloned()) {
                found.insert(id, bytes);
            } else if len > HEAD_BYTES {
                self.missed.insert(id);
            }
            // Else it is the head of what is no program.
        }
        Ok(found)
    }
}

impl NodeSource for Looked {
    fn node(&self, id: &NodeId) -> Result<Arc<Node>> {
        self.nodes.node(id)
    }
}

impl NodeSink for Looked {
    fn put_node(&mut self, node: &Node) -> Result<NodeIds> {
        self.nodes.put_node(node)
    }
}

/// Contents one after the other in a temporary file.
pub struct Texts {
    file: RefCell<SpooledTempFile>,
    /// Offset and length.
    places: HashMap<ContentId, (u64, u64)>,
    end: u64,
}

impl Texts {
    fn new() -> Texts {
        let file = RefCell::new(SpooledTempFile::new(BYTES_IN_MEMORY));
        Texts { file, places: HashMap::new(), end: 0 }
    }

    fn keep(&mut self, id: ContentId, bytes: &[u8]) -> Result<()> {
        if !self.places.contains_key(&id) {
            let file = self.file.get_mut();
            let written = file.seek(SeekFrom::Start(self.end)).and_then(|_| file.write_all(bytes));
            written.map_err(|err| from_stream("a temporary file", err))?;
            self.places.insert(id, (self.end, bytes.len() as u64));
            self.end += bytes.len() as u64;
        }
        Ok(())
    }

    /// `None` for what was not kept.
    pub fn read(&self, id: &ContentId) -> Result<Option<Vec<u8>>> {
        let Some((start, len)) = self.places.get(id) else { return Ok(None) };
        let mut file = self.file.borrow_mut();
        let mut bytes = vec![0; *len as usize];
        let read = file.seek(SeekFrom::Start(*start)).and_then(|_| file.read_exact(&mut bytes));
        read.map_err(|err| from_stream("a temporary file", err))?;
        Ok(Some(bytes))
    }
}
