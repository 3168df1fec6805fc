//! The walk through all directories.

use crate::attr::Attr;
use crate::attr::Time;
use crate::disk::bytes::ReadAt;
use crate::disk::files::Extent;
use crate::disk::files::FileBytes;
use crate::disk::files::FileSink;
use crate::disk::files::Found;
use crate::disk::native::content::Ahead;
use crate::disk::native::content::FileReader;
use crate::disk::native::content::ahead_ends;
use crate::disk::native::content::cut;
use crate::disk::native::fat::boot::Boot;
use crate::disk::native::fat::boot::ENTRY_BYTES;
use crate::disk::native::fat::boot::Root;
use crate::disk::native::fat::boot::Width;
use crate::disk::native::fat::chain::Chains;
use crate::disk::native::fat::dir;
use crate::disk::native::fat::dir::Entries;
use crate::disk::native::fat::dir::Entry;
use crate::disk::native::fat::time::unix_time;
use crate::error::Doing;
use crate::error::Error;
use crate::error::Result;
use crate::path::TreePath;
use crate::path::shown;
use crate::progress::Progress;

/// The format's own bound: entries of a directory are counted in 16 bits.
const DIRECTORY_BYTES_MAX: u64 = ENTRY_BYTES << 16;
const MODE: u32 = 0o755;
const MODE_READ_ONLY: u32 = 0o555;

pub struct Walk<'a> {
    disk: &'a dyn ReadAt,
    boot: &'a Boot,
    chains: Chains<'a>,
    ahead: Ahead,
    extents: Vec<Extent>,
    sink: &'a mut dyn FileSink,
    progress: &'a dyn Progress,
}

/// A directory whose own entries have been told, but for the directories in it.
struct Frame {
    path: TreePath,
    directories: std::vec::IntoIter<Entry>,
}

impl<'a> Walk<'a> {
    pub fn new(
        disk: &'a dyn ReadAt,
        boot: &'a Boot,
        sink: &'a mut dyn FileSink,
        progress: &'a dyn Progress,
    ) -> Walk<'a> {
        let (chains, extents) = (Chains::new(disk, boot), Vec::new());
        Walk { disk, boot, chains, ahead: Ahead::default(), extents, sink, progress }
    }

    pub fn run(mut self) -> Result<()> {
        let bytes = root(self.disk, self.boot, &mut self.chains).doing(|| "cannot read /".into())?;
        // The root has no entry that could have a time.
        self.sink.put(TreePath::root(), attr(MODE, Time::default()), Found::Dir)?;
        let mut frames = vec![self.enter(TreePath::root(), &bytes)?];
        while let Some(frame) = frames.last_mut() {
            let Some(entry) = frame.directories.next() else {
                frames.pop();
                continue;
            };
            let path = join(&frame.path, &entry.name)?;
            let bytes = self.directory(&entry, &path).doing(|| format!("cannot read {path}"))?;
            self.sink.put(path.clone(), attr(MODE, unix_time(entry.date, entry.time)), Found::Dir)?;
            let below = self.enter(path, &bytes)?;
            frames.push(below);
        }
        Ok(())
    }

    /// Tells the files of a directory; directories come back.
    fn enter(&mut self, path: TreePath, bytes: &[u8]) -> Result<Frame> {
        let mut entries: Vec<Entry> = Entries::new(bytes, self.boot.width == Width::Fat32).collect();
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        if let Some(pair) = entries.windows(2).find(|pair| pair[0].name == pair[1].name) {
            let name = format!("name `{}` in {path}", shown(&pair[0].name));
            return Err(Error::invalid(name, "is there twice"));
        }
        let (directories, mut files): (Vec<Entry>, Vec<Entry>) =
            entries.into_iter().partition(|entry| entry.is_dir);
        files.sort_by_key(|entry| entry.first_cluster);
        let place = |entry: &Entry| {
            let offset = self.boot.offset(entry.first_cluster, String::new).unwrap_or_default();
            (offset, u64::from(entry.size))
        };
        let ahead_ends = ahead_ends(files.iter().map(place));
        for (entry, ahead_end) in files.iter().zip(ahead_ends) {
            crate::progress::check(self.progress)?;
            self.file(join(&path, &entry.name)?, entry, ahead_end)?;
        }
        Ok(Frame { path, directories: directories.into_iter() })
    }

    fn directory(&mut self, entry: &Entry, path: &TreePath) -> Result<Vec<u8>> {
        crate::progress::check(self.progress)?;
        if entry.first_cluster == 0 {
            return Ok(Vec::new());
        }
        let thing = || format!("directory {path}");
        read_directory(self.disk, self.boot, &mut self.chains, entry.first_cluster, &thing)
    }

    fn file(&mut self, path: TreePath, entry: &Entry, ahead_end: u64) -> Result<()> {
        let size = u64::from(entry.size);
        self.extents.clear();
        if size > 0 {
            let clusters = size.div_ceil(self.boot.cluster_size);
            let thing = || format!("file {path}");
            let found = self.chains.read(entry.first_cluster, clusters, &thing, &mut self.extents)?;
            if found < clusters {
                return Err(Error::Mismatch {
                    thing: thing(),
                    expected: format!("{clusters} clusters for {size} bytes"),
                    found: format!("{found} clusters"),
                });
            }
            cut(&mut self.extents, size);
        }
        let mode = if entry.is_read_only { MODE_READ_ONLY } else { MODE };
        let mut reader = FileReader {
            disk: self.disk,
            progress: self.progress,
            ahead: &mut self.ahead,
            extents: &self.extents,
            size,
            ahead_end,
            at: 0,
        };
        let found = FileBytes { size, extents: &self.extents, from: &mut reader };
        self.sink.put(path, attr(mode, unix_time(entry.date, entry.time)), Found::File(found))?;
        self.progress.advance(size);
        Ok(())
    }
}

/// The label of a file system whose root directory can be read.
pub fn label(disk: &dyn ReadAt, boot: &Boot) -> Result<Option<Vec<u8>>> {
    Ok(dir::label(&root(disk, boot, &mut Chains::new(disk, boot))?))
}

fn root(disk: &dyn ReadAt, boot: &Boot, chains: &mut Chains<'_>) -> Result<Vec<u8>> {
    match boot.root {
        Root::Cluster(first) => read_directory(disk, boot, chains, first, &|| "root directory".into()),
        Root::Area { start, len } => {
            let mut bytes = vec![0; len as usize];
            disk.read_at(start, &mut bytes)?;
            Ok(bytes)
        }
    }
}

fn read_directory(
    disk: &dyn ReadAt,
    boot: &Boot,
    chains: &mut Chains<'_>,
    first: u32,
    thing: &dyn Fn() -> String,
) -> Result<Vec<u8>> {
    let mut extents = Vec::new();
    let clusters_max = DIRECTORY_BYTES_MAX.div_ceil(boot.cluster_size);
    if chains.read(first, clusters_max + 1, thing, &mut extents)? > clusters_max {
        return Err(Error::Limit { thing: thing(), limit: DIRECTORY_BYTES_MAX, unit: "bytes" });
    }
    let mut bytes = Vec::new();
    for extent in extents {
        let at = bytes.len();
        bytes.resize(at + extent.len as usize, 0);
        disk.read_at(extent.device_offset, &mut bytes[at..])?;
    }
    Ok(bytes)
}

fn attr(mode: u32, mtime: Time) -> Attr {
    Attr { mode, mtime, ..Attr::default() }
}

/// One step down, refused where the name is none or the path becomes longer than any may be.
fn join(path: &TreePath, name: &[u8]) -> Result<TreePath> {
    if name.contains(&b'/') || name.contains(&0) || matches!(name, b"." | b"..") {
        return Err(Error::invalid(format!("name `{}` in {path}", shown(name)), "can be no name"));
    }
    TreePath::parse(&[path.as_bytes(), b"/", name].concat())
}
