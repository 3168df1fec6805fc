//! Places beyond this machine's files: registries and engines.
//!
//! The formats know no sockets. Whoever wants images from such a place, or to put them there, brings
//! the one that does; to this module it is one more source or sink.

use crate::error::Error;
use crate::error::Result;
use crate::oci::location::Location;
use crate::oci::name::ImageName;
use crate::oci::sink::Sink;
use crate::oci::source::Source;
use std::path::Path;

/// Opens locations for which [`Location::is_outside`] holds.
pub trait Outside: Send + Sync {
    /// Opens a place to read one image from. What comes as an archive is spooled into `scratch`.
    fn source(&self, location: &Location, scratch: &Path) -> Result<Box<dyn Source>>;

    /// Opens a place to write images to. `near` is where they came from: a registry takes a blob
    /// from another of its own repositories without a transfer.
    fn sink(&self, location: &Location, near: Option<&ImageName>) -> Result<Box<dyn Sink>>;
}

/// No such places.
pub struct Nowhere;

impl Outside for Nowhere {
    fn source(&self, location: &Location, _: &Path) -> Result<Box<dyn Source>> {
        Err(unreachable(location))
    }

    fn sink(&self, location: &Location, _: Option<&ImageName>) -> Result<Box<dyn Sink>> {
        Err(unreachable(location))
    }
}

fn unreachable(location: &Location) -> Error {
    Error::Usage(format!("{location} is out of reach here"))
}
