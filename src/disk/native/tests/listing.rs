//! A file system as lines, one an entry, from our readers and from a folder of this machine.

use crate::attr::Attr;
use crate::attr::Time;
use crate::content::ContentSink;
use crate::content::HashSink;
use crate::disk::files::Extent;
use crate::disk::files::FileSink;
use crate::disk::files::Found;
use crate::disk::native::NativeFs;
use crate::error::Result;
use crate::fs::scan::ScanOptions;
use crate::fs::scan::scan;
use crate::path::TreePath;
use crate::progress::Silent;
use crate::tree::Kind;
use crate::tree::NodeIds;
use crate::tree::NodeSource;
use crate::tree::memory::MemoryNodes;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

/// By path; `.` is the root.
pub type Lines = BTreeMap<String, Line>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// `dir`, `file SIZE ID`, `symlink TARGET`, `char 1:3`, `block 8:1`, `fifo`, `socket`.
    pub what: String,
    pub mode: u32,
    pub owner: (u64, u64),
    pub mtime: Time,
    /// `name=hex`, sorted.
    pub xattrs: Vec<String>,
    /// All its names, this one too, if there are several.
    pub names: Vec<String>,
}

impl Line {
    pub fn new(what: String, attr: &Attr) -> Line {
        let mut xattrs = Vec::new();
        for (name, value) in attr.xattrs.iter() {
            let mut line = format!("{}=", crate::path::shown(name));
            value.iter().for_each(|byte| write!(line, "{byte:02x}").unwrap());
            xattrs.push(line);
        }
        let owner = (attr.uid, attr.gid);
        Line { what, mode: attr.mode, owner, mtime: attr.mtime, xattrs, names: Vec::new() }
    }
}

/// Panics with the lines that differ.
pub fn assert_same(found: &Lines, expected: &Lines, what: &str) {
    let mut report = String::new();
    for path in found.keys().chain(expected.keys().filter(|path| !found.contains_key(*path))) {
        if found.get(path) != expected.get(path) {
            let (found, expected) = (found.get(path), expected.get(path));
            write!(report, "\n{path}\n   found    {found:?}\n   expected {expected:?}").unwrap();
        }
    }
    assert!(report.is_empty(), "{what}: {}", &report[..report.len().min(8_000)]);
}

fn shown(path: &TreePath) -> String {
    let text = path.to_string();
    if path.is_root() { ".".into() } else { text[1..].into() }
}

/// What a reader tells; `extents` are compared with the image in the file `image`.
pub fn of_native(found: &dyn NativeFs, image: &str) -> Result<Lines> {
    let mut sink = Collect { lines: Lines::new(), firsts: BTreeMap::new(), image: Some(image.into()) };
    found.read(&mut sink, &Silent)?;
    Ok(sink.finish())
}

/// The same of any device.
pub fn of_device(found: &dyn NativeFs) -> Result<Lines> {
    let mut sink = Collect { lines: Lines::new(), firsts: BTreeMap::new(), image: None };
    found.read(&mut sink, &Silent)?;
    Ok(sink.finish())
}

struct Collect {
    lines: Lines,
    /// Later names by the first.
    firsts: BTreeMap<String, Vec<String>>,
    image: Option<String>,
}

impl Collect {
    fn finish(mut self) -> Lines {
        for (first, mut names) in self.firsts {
            names.push(first);
            names.sort();
            for name in &names {
                self.lines.get_mut(name).unwrap().names = names.clone();
            }
        }
        self.lines
    }
}

impl FileSink for Collect {
    fn put(&mut self, path: TreePath, attr: Attr, found: Found<'_>) -> Result<()> {
        match path.split() {
            None => assert!(self.lines.is_empty(), "the root comes first"),
            Some((above, _)) => assert_eq!(self.lines[&shown(&above)].what, "dir", "above {path}"),
        }
        let what = match found {
            Found::Dir => "dir".into(),
            Found::File(file) => {
                let extents = file.extents.to_vec();
                let mut bytes = Bytes { sink: HashSink::new(), file: file.from, all: Vec::new() };
                let id = bytes.put(file.size)?;
                if let Some(image) = &self.image {
                    check_extents(&bytes.all, &extents, image);
                }
                format!("file {} {id}", file.size)
            }
            Found::HardLink(first) => {
                let line = self.lines[&shown(&first)].clone();
                assert_eq!(Line::new(line.what.clone(), &attr), line);
                self.firsts.entry(shown(&first)).or_default().push(shown(&path));
                line.what
            }
            Found::Symlink(target) => format!("symlink {}", crate::path::shown(&target)),
            Found::CharDevice { major, minor } => format!("char {major}:{minor}"),
            Found::BlockDevice { major, minor } => format!("block {major}:{minor}"),
            Found::Fifo => "fifo".into(),
            Found::Socket => "socket".into(),
        };
        let line = Line::new(what, &attr);
        assert!(self.lines.insert(shown(&path), line).is_none(), "{path} is told twice");
        Ok(())
    }
}

struct Bytes<'a> {
    sink: HashSink,
    file: &'a mut dyn std::io::Read,
    all: Vec<u8>,
}

/// Files up to this size are kept to compare their extents.
const COMPARED_BYTES_MAX: u64 = 64 << 20;

impl Bytes<'_> {
    fn put(&mut self, size: u64) -> Result<crate::id::ContentId> {
        if size > COMPARED_BYTES_MAX {
            return self.sink.put(size, self.file);
        }
        self.file.read_to_end(&mut self.all).map_err(|err| crate::error::from_stream("file", err))?;
        self.sink.put(size, &mut &self.all[..])
    }
}

/// Every extent has the file's bytes, and what lies between them is zeros.
fn check_extents(bytes: &[u8], extents: &[Extent], image: &str) {
    use std::os::unix::fs::FileExt;
    if extents.is_empty() || bytes.is_empty() {
        return;
    }
    let image = crate::fs::File::open(image).unwrap();
    let mut at = 0;
    for extent in extents {
        assert!(is_zero(&bytes[at..extent.file_offset as usize]));
        let mut on_disk = vec![0; extent.len as usize];
        image.read_exact_at(&mut on_disk, extent.device_offset).unwrap();
        assert!(bytes[extent.file_offset as usize..][..on_disk.len()] == on_disk[..], "{extent:?}");
        at = (extent.file_offset + extent.len) as usize;
    }
    assert!(is_zero(&bytes[at..]));
}

/// Quick without optimisation, too.
fn is_zero(bytes: &[u8]) -> bool {
    bytes == vec![0; bytes.len()]
}

/// A folder as the kernel shows it.
pub fn of_folder(folder: &Path) -> Lines {
    let mut nodes = MemoryNodes::new();
    let tree = scan(folder, &mut HashSink::new(), &mut nodes, &ScanOptions::default(), &Silent).unwrap();
    let mut lines = Lines::from([(".".into(), Line::new("dir".into(), &tree.root_attr))]);
    collect(&nodes, &tree.root, &TreePath::root(), &mut lines);
    for names in &tree.hardlinks {
        let mut names: Vec<String> = names.iter().map(shown).collect();
        names.sort();
        for name in &names {
            lines.get_mut(name).unwrap().names = names.clone();
        }
    }
    lines
}

fn collect(nodes: &MemoryNodes, ids: &NodeIds, above: &TreePath, lines: &mut Lines) {
    for entry in &nodes.node(&ids.full).unwrap().entries {
        let path = above.join(&entry.name);
        let what = match &entry.kind {
            Kind::Dir(below) => {
                collect(nodes, below, &path, lines);
                "dir".into()
            }
            Kind::File { content, size } => format!("file {size} {content}"),
            Kind::Symlink(target) => format!("symlink {}", crate::path::shown(target)),
            Kind::CharDevice { major, minor } => format!("char {major}:{minor}"),
            Kind::BlockDevice { major, minor } => format!("block {major}:{minor}"),
            Kind::Fifo => "fifo".into(),
            Kind::Socket => "socket".into(),
        };
        lines.insert(shown(&path), Line::new(what, &entry.attr));
    }
}
