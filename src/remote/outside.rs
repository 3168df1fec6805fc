//! Locations that are registries or engines, opened for import, export and copy.

use crate::error::Error;
use crate::error::Result;
use crate::oci::location::Location;
use crate::oci::name::ImageName;
use crate::oci::outside::Outside;
use crate::oci::sink::Sink;
use crate::oci::source::Source;
use crate::remote::Reference;
use crate::remote::Remote;
use crate::remote::engine::Engine;
use crate::remote::sink::SinkOptions;
use crate::remote::sink::Tags;
use std::path::Path;

impl Outside for Remote {
    fn source(&self, location: &Location, _scratch: &Path) -> Result<Box<dyn Source>> {
        match location {
            Location::Docker(name) => Ok(Box::new(self.repository(name)?.source(&Reference::of(name))?)),
            _ => Err(Error::Usage(format!("{location} is not in a registry"))),
        }
    }

    fn sink(&self, location: &Location, near: Option<&ImageName>) -> Result<Box<dyn Sink>> {
        let Location::Docker(name) = location else {
            return Err(Error::Usage(format!("{location} is not in a registry")));
        };
        let (host, path) = name.host_and_path();
        let near = near
            .map(ImageName::host_and_path)
            .filter(|(other, other_path)| *other == host && *other_path != path);
        let options =
            SinkOptions { tags: Tags::AsNamed, mount_from: near.into_iter().map(|(_, path)| path).collect() };
        Ok(Box::new(self.destination(name)?.sink(options)?))
    }
}

/// The engine of Docker or podman on this machine.
pub struct Daemon(Engine);

impl Daemon {
    pub fn new(engine: Engine) -> Daemon {
        Daemon(engine)
    }
}

impl Outside for Daemon {
    fn source(&self, location: &Location, scratch: &Path) -> Result<Box<dyn Source>> {
        match location {
            Location::DockerDaemon(name) => self.0.source(name, scratch),
            _ => Err(Error::Usage(format!("{location} is not in an engine"))),
        }
    }

    fn sink(&self, _location: &Location, _near: Option<&ImageName>) -> Result<Box<dyn Sink>> {
        Ok(Box::new(self.0.sink()?))
    }
}
