//! Places that images go to.

use crate::error::Result;
use crate::oci::descriptor::Descriptor;
use crate::oci::source::Root;
use std::io::Read;

/// In which form a place takes layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layers {
    /// The blobs that the manifest names, so that its digest holds.
    AsTheyAre,
    /// The plain tars, each under its diff id and with its size as a tar: a docker-archive has no
    /// manifest of its own that could name compressed ones.
    Uncompressed,
}

/// A place to write images to. The order of calls: blobs in the order of their manifest, then the
/// manifest, then indexes; [`Sink::finish`] makes all of it visible.
///
/// What was put before a failure may stay behind as blobs that nothing names, never as an image.
pub trait Sink {
    /// Says in which form [`Sink::put`] wants layers. Everything else is put as it is.
    fn wants(&self) -> Layers {
        Layers::AsTheyAre
    }

    /// Says whether the blob is there and needs no [`Sink::put`]. What was there before this sink is
    /// read and held to its size and digest: a name proves nothing.
    fn has(&mut self, descriptor: &Descriptor) -> Result<bool>;

    /// Takes one blob or manifest, holding it to its digest and size. Putting it again is no error.
    fn put(&mut self, descriptor: &Descriptor, from: &mut dyn Read) -> Result<()>;

    /// The same place for several blobs at once, where it can take them.
    fn shared(&self) -> Option<&dyn SharedSink> {
        None
    }

    /// Names what was put. Everything under `roots` must be there by now.
    fn finish(self: Box<Self>, roots: &[Root]) -> Result<()>;
}

/// A place that takes several blobs at once: one with a latency to hide.
pub trait SharedSink: Sync {
    /// Takes one blob unless it is there, and says whether it had to be sent. `open` may be called
    /// again when a transfer has to begin anew.
    fn offer<'a>(&self, descriptor: &Descriptor, open: &'a Open<'a>) -> Result<bool>;
}

/// Opens a blob to be read from its beginning.
pub type Open<'a> = dyn Fn() -> Result<Box<dyn Read + Send + 'a>> + 'a;
