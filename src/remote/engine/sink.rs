//! An engine as a place that images go to.

use crate::error::Error;
use crate::error::Result;
use crate::oci::descriptor::Descriptor;
use crate::oci::docker_archive::DockerArchiveSink;
use crate::oci::sink::Layers;
use crate::oci::sink::Sink;
use crate::oci::source::Root;
use crate::oci::tar_output::Target;
use crate::remote::engine::Engine;
use crate::remote::engine::load::Load;
use std::io;
use std::io::Read;
use std::io::Write;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

/// Writes a docker-archive straight into `POST /images/load`.
pub struct EngineSink {
    archive: DockerArchiveSink,
    load: Shared,
}

/// The archive's writer has one half, we keep the other: to end what the writer only fills.
#[derive(Clone)]
struct Shared(Arc<Mutex<Option<Load>>>);

impl EngineSink {
    pub(super) fn open(engine: &Engine) -> Result<EngineSink> {
        let load = Shared(Arc::new(Mutex::new(Some(engine.open_load()))));
        Ok(EngineSink { archive: DockerArchiveSink::create(Target::Stream(Box::new(load.clone())))?, load })
    }
}

impl Sink for EngineSink {
    fn wants(&self) -> Layers {
        self.archive.wants()
    }

    fn has(&mut self, descriptor: &Descriptor) -> Result<bool> {
        self.archive.has(descriptor)
    }

    fn put(&mut self, descriptor: &Descriptor, from: &mut dyn Read) -> Result<()> {
        self.archive.put(descriptor, from)
    }

    fn finish(self: Box<Self>, roots: &[Root]) -> Result<()> {
        let EngineSink { archive, load } = *self;
        Box::new(archive).finish(roots)?;
        match load.take() {
            Some(load) => load.finish().map(drop),
            None => Err(Error::Interrupted),
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Option<Load>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Option<Load> {
        self.lock().take()
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.lock().as_mut() {
            Some(load) => load.write(bytes),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.lock().as_mut().map_or(Ok(()), Write::flush)
    }
}
