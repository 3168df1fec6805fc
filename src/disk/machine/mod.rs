//! The disks of one machine read: what they are, the files on them, the tree that the machine itself
//! would see.
//!
//! ```text
//! files on the host -> formats -> bytes -> devices -> file systems -> trees -> the system's tree
//! ```
//! Each file system is read by our own reader where we have one, else in the appliance. What becomes
//! of the files' contents is a [`Keeper`]'s: the store keeps them, a comparison forgets them.

mod sink;
mod system;
mod trees;

use super::bytes::ReadAt;
use super::files::FileBytes;
use super::format;
use super::format::Format;
use super::format::Ova;
use super::guest::Filesystem;
use super::guest::Image;
use super::guest::Key;
use super::guest::Os;
use super::guest::assemble::Nodes;
use super::guest::devices::Devices;
use crate::error::Doing;
use crate::error::Error;
use crate::error::Result;
use crate::fs::SharedFile;
use crate::fs::window::Stamp;
use crate::id::ContentId;
use crate::path::TreePath;
use crate::progress::Progress;
use crate::tree::Tree;
use std::collections::HashMap;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

#[derive(Clone, Debug, Default)]
pub struct ReadOptions {
    /// More disks of the same machine.
    pub also: Vec<PathBuf>,
    pub reader: Reader,
    pub keys: Vec<Key>,
    /// Opens the backing files that a qcow2 names.
    pub allow_backing: bool,
    /// A folder to remember in whether KVM works.
    pub cache: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reader {
    /// Our own where they know the file system, else the appliance.
    #[default]
    Auto,
    Guestfs,
    Native,
}

/// Takes what is read of the files.
pub trait Keeper: Nodes {
    /// `place` is where the file system's device begins: the number of the disk, the offset on it;
    /// `None` where the device is not one place of one disk.
    fn file(
        &mut self,
        path: &TreePath,
        file: FileBytes<'_>,
        place: Option<(usize, u64)>,
    ) -> Result<ContentId>;

    /// The first bytes of contents that were put before, as many as is asked for of each. What is not
    /// at hand any more is left out.
    fn read_back(&mut self, wanted: HashMap<ContentId, u64>) -> Result<HashMap<ContentId, Vec<u8>>>;
}

/// The disks of a machine, in order.
pub struct Machine {
    pub disks: Vec<Disk>,
    pub devices: Devices,
    before: Vec<Stamp>,
}

/// One disk as it is read.
pub struct Disk {
    /// Without its folder.
    pub name: String,
    pub image: format::Image,
    /// All of the host's file; of a disk in an OVA, none.
    pub file: Option<SharedFile>,
}

/// What is on the disks.
#[derive(Default)]
pub struct Contents {
    pub filesystems: Vec<Filesystem>,
    /// What the machine sees; `None` where there is no file system that can be read.
    pub whole: Option<Tree>,
    pub os: Option<Os>,
    /// Every file system by itself, with its device.
    pub trees: Vec<(String, Tree)>,
    /// What could not be read or made sense of, one sentence each.
    pub problems: Vec<String>,
}

const OVA: &str = "ova";

/// Says what disk a file is, in the words of [`Machine::open`]; `None` for one that is no disk.
pub fn recognise(path: &Path) -> Result<Option<&'static str>> {
    let file = SharedFile::open_disk(path)?;
    Ok(match format::detect_in(&file)? {
        Some(format) => Some(format.name()),
        None if Ova::read(&file)?.is_some() => Some(OVA),
        None => None,
    })
}

impl Machine {
    /// Opens the disk at `path`, of `format` where that is said, and those beside it.
    pub fn open(path: &Path, format: Option<&str>, options: &ReadOptions) -> Result<Machine> {
        let mut disks = open(path, format, options)?;
        for path in &options.also {
            disks.extend(open(path, None, options).doing(|| format!("disk {}", path.display()))?);
        }
        let before = stamps(&disks)?;
        let bytes: Vec<Arc<dyn ReadAt>> = disks.iter().map(|disk| Arc::clone(&disk.image.disk)).collect();
        Ok(Machine { devices: Devices::find(&bytes)?, disks, before })
    }

    /// Reads every file system that somebody can read, and puts them together.
    pub fn read(
        &self,
        keeper: &mut dyn Keeper,
        options: &ReadOptions,
        progress: &dyn Progress,
    ) -> Result<Contents> {
        let read = trees::read(keeper, &self.devices, self.for_appliance(options), options, progress)?;
        system::put_together(keeper, read, progress)
    }

    /// Fails where somebody has written to a disk since it was opened.
    pub fn check_unchanged(&self) -> Result<()> {
        if stamps(&self.disks)? == self.before {
            return Ok(());
        }
        let what = self.disks.iter().map(|disk| disk.name.as_str()).collect::<Vec<_>>().join(", ");
        Err(Error::invalid(what, "changed while it was read: is the machine running?"))
    }

    /// The disks as the appliance opens them, or why it cannot.
    fn for_appliance(&self, options: &ReadOptions) -> Result<Vec<Image>, String> {
        let image = |disk: &Disk| {
            let file = disk.file.as_ref().ok_or("the appliance cannot read a disk inside of an OVA")?;
            Ok(Image {
                path: file.path().to_path_buf(),
                format: disk.image.format.qemu_name().to_owned(),
                allow_backing: options.allow_backing,
            })
        };
        self.disks.iter().map(image).collect()
    }
}

fn open(path: &Path, format: Option<&str>, options: &ReadOptions) -> Result<Vec<Disk>> {
    let file = SharedFile::open_disk(path)?;
    let open_options =
        format::OpenOptions { allow_backing: options.allow_backing, ..format::OpenOptions::default() };
    let forced = format.and_then(Format::named);
    let is_ova = format == Some(OVA) || forced.is_none() && format::detect_in(&file)?.is_none();
    if is_ova && let Some(ova) = Ova::read(&file)? {
        let opened = |disk| -> Result<Disk> {
            let image = ova.open(disk, &open_options)?;
            Ok(Disk { name: file_name(Path::new(&disk.name)), image, file: None })
        };
        return ova.disks.iter().map(opened).collect();
    }
    if format == Some(OVA) {
        return Err(Error::invalid(path.display().to_string(), "is no OVA: a tar with an .ovf and disks"));
    }
    let image = format::open(path, forced, &open_options)?;
    Ok(vec![Disk { name: file_name(path), image, file: Some(file) }])
}

fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(|| "disk".into(), |name| name.to_string_lossy().into_owned())
}

/// What changes when somebody writes to a file.
fn stamps(disks: &[Disk]) -> Result<Vec<Stamp>> {
    disks.iter().filter_map(|disk| disk.file.as_ref()).map(SharedFile::stamp).collect()
}
