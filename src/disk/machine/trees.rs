//! Reading the file systems of a guest: by our own readers where they know them, else in the
//! appliance.

use super::Keeper;
use super::ReadOptions;
use super::Reader;
use super::sink::TreeSink;
use crate::disk::files::FileSink;
use crate::disk::guest::Filesystem;
use crate::disk::guest::Guest;
use crate::disk::guest::Image;
use crate::disk::guest::Os;
use crate::disk::guest::assemble::Volume;
use crate::disk::guest::devices::Devices;
use crate::disk::guestfs;
use crate::disk::guestfs::Guestfs;
use crate::disk::guestfs::LaunchOptions;
use crate::disk::native;
use crate::disk::native::NativeFs;
use crate::error::Error;
use crate::error::Result;
use crate::progress::Progress;
use crate::tree::Tree;
use std::collections::HashMap;
use std::sync::Arc;

/// What was read of the file systems of a guest.
#[derive(Default)]
pub struct Trees {
    pub filesystems: Vec<Filesystem>,
    /// By device.
    pub volumes: HashMap<String, Volume>,
    pub problems: Vec<String>,
    /// Still running, where it was needed.
    guest: Option<Guestfs>,
}

impl Trees {
    /// What the appliance makes of the systems, where it runs. It takes its time, which is worth it only
    /// for systems that we do not know ourselves.
    pub fn told(&mut self, progress: &dyn Progress) -> Result<Vec<Os>> {
        match self.guest.as_mut().map(|guest| guest.inspect(progress)).transpose() {
            Ok(told) => Ok(told.unwrap_or_default()),
            Err(err) if is_the_disks(&err) => {
                self.problems.push(format!("the appliance cannot inspect the disks: {}", story(&err)));
                Ok(Vec::new())
            }
            Err(err) => Err(err),
        }
    }
}

/// Reads every file system that somebody can read. `images` are the disks as the appliance opens them;
/// `Err` says why it cannot.
pub fn read(
    keeper: &mut dyn Keeper,
    devices: &Devices,
    images: Result<Vec<Image>, String>,
    options: &ReadOptions,
    progress: &dyn Progress,
) -> Result<Trees> {
    let mut trees = Trees { problems: devices.problems.clone(), ..Trees::default() };
    let native = natives(devices, options, &mut trees.problems)?;
    let launch = |images: &[Image]| {
        let launch = LaunchOptions { keys: options.keys.clone(), cache: options.cache.clone() };
        Guestfs::launch(images, &launch, progress)
    };
    let mut guest = match needs_appliance(devices, &native, options) {
        None => None,
        Some(device) if options.reader == Reader::Native => {
            trees.problems.push(format!("{device} is kept as bytes: no reader of our own knows it"));
            None
        }
        Some(device) => match &images {
            Ok(images) => Some(launch(images)?),
            Err(why) => {
                trees.problems.push(format!("{device} is kept as bytes: {why}"));
                None
            }
        },
    };
    let filesystems = match &mut guest {
        Some(guest) => union(guest.filesystems(progress)?, devices),
        None => devices.devices.iter().map(|device| device.filesystem.clone()).collect(),
    };
    for filesystem in &filesystems {
        crate::progress::check(progress)?;
        let device = &filesystem.device;
        let mut read = native.get(&device[..]).map(|native| {
            let place = devices.get(device).and_then(|device| device.place);
            one(keeper, place, |sink| native.read(sink, progress))
        });
        if options.reader == Reader::Auto
            && let Some(Err(err)) = &read
            && is_the_disks(err)
            && let Ok(images) = &images
            && guestfs::version().is_some()
        {
            // What our own reader does not understand another one may.
            if guest.is_none() {
                guest = Some(launch(images)?);
            }
            read = None;
        }
        if read.is_none() && filesystem.has_files() {
            read = guest.as_mut().map(|guest| one(keeper, None, |sink| guest.read(device, sink, progress)));
        }
        match read {
            None if filesystem.has_files() && guest.is_some() => {
                let kind = &filesystem.kind;
                trees
                    .problems
                    .push(format!("{device} ({kind}) is kept as bytes: the appliance does not see it"));
            }
            None => {}
            Some(Ok(tree)) => {
                let subvolumes = filesystem.subvolumes.clone();
                trees.volumes.insert(device.clone(), Volume { tree, subvolumes });
            }
            // What the disk is to blame for must not keep it out of the store.
            Some(Err(err)) if is_the_disks(&err) => {
                let kind = &filesystem.kind;
                trees.problems.push(format!("{device} ({kind}) is kept as bytes: {}", story(&err)));
            }
            Some(Err(err)) => return Err(err),
        }
    }
    trees.filesystems = filesystems;
    trees.guest = guest;
    Ok(trees)
}

/// What the appliance tells, and what only we have found: it may understand a damaged table less.
fn union(told: Vec<Filesystem>, devices: &Devices) -> Vec<Filesystem> {
    let ours = devices.devices.iter().map(|device| &device.filesystem);
    let is_new = |ours: &&Filesystem| told.iter().all(|told| told.device != ours.device);
    let missed: Vec<Filesystem> = ours.filter(is_new).cloned().collect();
    told.into_iter().chain(missed).collect()
}

/// Whether the bytes of the disk are to blame, and not what reads them. A file system that the
/// appliance does not find is one behind a table it cannot read.
fn is_the_disks(err: &Error) -> bool {
    let root = err.root();
    matches!(
        root,
        Error::Invalid { .. } | Error::Mismatch { .. } | Error::Limit { .. } | Error::NotFound { .. }
    )
}

fn one(
    keeper: &mut dyn Keeper,
    place: Option<(usize, u64)>,
    read: impl FnOnce(&mut dyn FileSink) -> Result<()>,
) -> Result<Tree> {
    let mut sink = TreeSink::new(keeper, place);
    read(&mut sink)?;
    sink.finish()
}

/// The file systems that we read ourselves.
fn natives<'a>(
    devices: &'a Devices,
    options: &ReadOptions,
    problems: &mut Vec<String>,
) -> Result<HashMap<&'a str, Box<dyn NativeFs>>> {
    let mut found = HashMap::new();
    if options.reader == Reader::Guestfs {
        return Ok(found);
    }
    for device in devices.devices.iter().filter(|device| device.kind.is_known()) {
        match native::open(Arc::clone(&device.bytes)) {
            Ok(Some(native)) => _ = found.insert(&device.filesystem.device[..], native),
            Ok(None) => {}
            Err(err) if options.reader == Reader::Native => {
                let device = &device.filesystem.device;
                problems.push(format!("{device} is kept as bytes: {}", story(&err)));
            }
            Err(_) => {}
        }
    }
    Ok(found)
}

/// A device that only the appliance can read, if there is one.
fn needs_appliance<'a>(
    devices: &'a Devices,
    native: &HashMap<&str, Box<dyn NativeFs>>,
    options: &ReadOptions,
) -> Option<&'a str> {
    let first = devices.devices.first().map(|device| &device.filesystem.device[..]);
    if options.reader == Reader::Guestfs || !options.keys.is_empty() {
        return first;
    }
    let is_left =
        |filesystem: &&Filesystem| filesystem.has_files() && !native.contains_key(&filesystem.device[..]);
    devices.devices.iter().map(|device| &device.filesystem).find(is_left).map(|left| &left.device[..])
}

fn story(err: &Error) -> String {
    let mut story = err.to_string();
    let mut cause = std::error::Error::source(err);
    while let Some(err) = cause {
        story = format!("{story}: {err}");
        cause = err.source();
    }
    story
}
