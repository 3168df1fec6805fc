//! A guest's disks through libguestfs: a small virtual machine of the library's own, the appliance,
//! mounts them and tells what is there.
//!
//! No byte of a guest's file system is parsed by the host: not by its kernel, not by this process.
//! Nothing is written to the disks, and no format that a guest could have put into its first sector
//! is believed (`overlay.rs`).
//!
//! The library is loaded when it is first needed (`ffi.rs` is the only door to it), so that imgit
//! starts on machines that have none; there [`Guestfs::launch`] fails with the packages to install.

mod accel;
mod appliance;
mod ffi;
mod inspect;
mod memory;
mod overlay;
mod stream;
mod volumes;

use self::accel::Accel;
use self::appliance::Appliance;
use self::overlay::Overlays;
use super::files::FileSink;
use super::guest::Filesystem;
use super::guest::Guest;
use super::guest::Image;
use super::guest::Key;
use super::guest::Os;
use crate::error::Doing;
use crate::error::Error;
use crate::error::Result;
use crate::progress::Progress;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

/// What Debian needs; the other families name them alike.
pub const INSTALL: &str = "apt install --no-install-recommends libguestfs0 libguestfs-xfs \
                           qemu-system-x86 qemu-utils linux-image-amd64";

#[derive(Clone, Debug, Default)]
pub struct LaunchOptions {
    pub keys: Vec<Key>,
    /// A folder to remember in whether KVM works; made if it is not there.
    pub cache: Option<PathBuf>,
}

/// A running appliance with the disks of one guest.
pub struct Guestfs {
    appliance: Appliance,
    /// What the appliance writes to. After it in this list: removed when qemu is gone.
    _overlays: Arc<Overlays>,
    /// What [`Guest::filesystems`] found, once it was asked.
    filesystems: Option<Vec<Filesystem>>,
    /// A backend that the user chose may run qemu where we do not see it.
    qemu_is_seen: bool,
}

/// The library's version, `1.48.6`; `None` where it is not installed or is too old to be used.
pub fn version() -> Option<String> {
    ffi::Handle::create().and_then(|handle| handle.version()).ok()
}

impl Guestfs {
    /// Boots the appliance: 3 seconds with KVM, 15 without, and as long again the first time, when the
    /// library puts it together. The user's `LIBGUESTFS_*` variables win over what we choose.
    pub fn launch(images: &[Image], options: &LaunchOptions, progress: &dyn Progress) -> Result<Guestfs> {
        let overlays = Arc::new(Overlays::new()?);
        let appliance = booted(images, &overlays, options, progress)?;
        let qemu_is_seen = appliance.has_qemu();
        let mut guest = Guestfs { appliance, _overlays: overlays, filesystems: None, qemu_is_seen };
        if !options.keys.is_empty() {
            guest.unlock(&options.keys, progress)?;
        }
        Ok(guest)
    }

    /// Opens what a key fits; one that fits nothing is an error, as is one that does not open.
    fn unlock(&mut self, keys: &[Key], progress: &dyn Progress) -> Result<()> {
        progress.begin("opening encrypted devices", None);
        let keys = keys.to_vec();
        self.blamed(self.appliance.call(progress, move |handle| volumes::unlock(handle, &keys)))
    }

    /// What fails because there is no qemu any more says nothing of the disk.
    fn blamed<T>(&self, done: Result<T>) -> Result<T> {
        match done {
            Err(err)
                if self.qemu_is_seen
                    && !self.appliance.has_qemu()
                    && !matches!(err.root(), Error::Interrupted) =>
            {
                let what = io::Error::new(
                    io::ErrorKind::ConnectionAborted,
                    "its qemu has ended: killed, or crashed",
                );
                let err = Error::Stream { thing: "from the libguestfs appliance".into(), source: what };
                Err(err.with_hint(
                    "try again with more free memory; --reader native keeps what only the appliance reads as bytes",
                ))
            }
            done => done,
        }
    }
}

fn booted(
    images: &[Image],
    overlays: &Arc<Overlays>,
    options: &LaunchOptions,
    progress: &dyn Progress,
) -> Result<Appliance> {
    if images.is_empty() {
        return Err(Error::Usage("no disk to start the appliance with".into()));
    }
    progress.begin("starting the appliance", None);
    let cache = options.cache.as_deref();
    if std::env::var_os("LIBGUESTFS_BACKEND_SETTINGS").is_some() {
        return boot(images, overlays, None, options, progress);
    }
    let mut failed = None;
    for accel in accel::choices(cache) {
        match boot(images, overlays, Some(accel), options, progress) {
            Ok(appliance) => {
                accel::remember(accel, cache);
                return Ok(appliance);
            }
            Err(Error::Interrupted) => return Err(Error::Interrupted),
            Err(err) => failed = Some(err),
        }
    }
    Err(failed.expect("there is always emulation to try"))
}

/// One try; `None` leaves everything to the library and the user's variables.
fn boot(
    images: &[Image],
    overlays: &Arc<Overlays>,
    accel: Option<Accel>,
    options: &LaunchOptions,
    progress: &dyn Progress,
) -> Result<Appliance> {
    let appliance = Appliance::new().map_err(|err| match err {
        Error::NotFound { .. } => Error::Context {
            doing: "libguestfs is not installed, and VM disks are read through it".into(),
            source: Box::new(err),
            hint: Some(format!("on Debian: {INSTALL}")),
        },
        other => other,
    })?;
    let (images, overlays) = (images.to_vec(), Arc::clone(overlays));
    let (made, wrapper) = appliance.call(progress, move |handle| {
        let made = images.iter().enumerate().map(|(at, image)| overlays.make(at, image));
        Ok((made.collect::<Result<Vec<_>>>()?, memory::wrapper(handle, overlays.folder())))
    })?;
    let has_keys = !options.keys.is_empty();
    let launched = appliance.start(move |handle| {
        if std::env::var_os("LIBGUESTFS_BACKEND").is_none() {
            // Elsewhere than on Debian libvirt may be the default; it cannot read root's files.
            handle.set_backend("direct")?;
        }
        if accel == Some(Accel::Emulated) {
            handle.set_backend_settings(&["force_tcg"])?;
        }
        memory::choose(handle, has_keys, wrapper.as_deref())?;
        for path in &made {
            handle.add_drive(path.as_os_str().as_bytes(), "qcow2")?;
        }
        handle.launch()
    });
    let limit = (accel == Some(Accel::Auto)).then_some(Duration::from_secs(accel::AUTO_SECONDS_MAX));
    // Putting the appliance together may take long and is no sign of a KVM that hangs.
    let mut qemu_since = None;
    loop {
        match launched.within(Duration::from_millis(50)) {
            Some(Ok(())) => return Ok(appliance),
            Some(Err(err)) => {
                return Err(err)
                    .doing(|| "cannot start the libguestfs appliance".into())
                    .map_err(with_advice);
            }
            None if progress.cancelled() => {
                appliance.end(&launched);
                return Err(Error::Interrupted);
            }
            None => {}
        }
        if appliance.has_qemu() {
            let since = *qemu_since.get_or_insert_with(Instant::now);
            if limit.is_some_and(|limit| since.elapsed() > limit) {
                appliance.end(&launched);
                return Err(Error::invalid("the libguestfs appliance", "does not answer"));
            }
        }
    }
}

fn with_advice(err: Error) -> Error {
    err.with_hint(format!("`libguestfs-test-tool` tells why; on Debian all that is needed is: {INSTALL}"))
}

impl Guest for Guestfs {
    fn filesystems(&mut self, progress: &dyn Progress) -> Result<Vec<Filesystem>> {
        if self.filesystems.is_none() {
            progress.begin("looking for file systems", None);
            self.filesystems = Some(self.blamed(self.appliance.call(progress, volumes::filesystems))?);
        }
        Ok(self.filesystems.clone().unwrap_or_default())
    }

    fn inspect(&mut self, progress: &dyn Progress) -> Result<Vec<Os>> {
        let filesystems = self.filesystems(progress)?;
        progress.begin("looking for operating systems", None);
        self.blamed(self.appliance.call(progress, move |handle| inspect::systems(handle, &filesystems)))
    }

    fn read(&mut self, device: &str, sink: &mut dyn FileSink, progress: &dyn Progress) -> Result<()> {
        let filesystems = self.filesystems(progress)?;
        let Some(filesystem) = filesystems.iter().find(|one| one.device == device) else {
            return Err(Error::not_found("file system", device));
        };
        progress.begin(&format!("reading {device} ({})", filesystem.kind), None);
        self.blamed(stream::read(&self.appliance, filesystem, sink, progress))
            .doing(|| format!("cannot read {device}"))
    }

    fn close(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}
