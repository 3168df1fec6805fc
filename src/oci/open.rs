//! From a location to its source or its sink.

use crate::error::Error;
use crate::error::Result;
use crate::fs;
use crate::fs::SharedFile;
use crate::oci::archive;
use crate::oci::archive::OciArchiveSink;
use crate::oci::dir::Dir;
use crate::oci::dir::DirSink;
use crate::oci::docker_archive;
use crate::oci::docker_archive::DockerArchiveSink;
use crate::oci::layout::Layout;
use crate::oci::layout::LayoutSink;
use crate::oci::location;
use crate::oci::location::Location;
use crate::oci::location::Place;
use crate::oci::name::ImageName;
use crate::oci::outside::Nowhere;
use crate::oci::outside::Outside;
use crate::oci::sink::Sink;
use crate::oci::source::Root;
use crate::oci::source::Select;
use crate::oci::source::Source;
use crate::oci::stream;
use crate::oci::stream::Compression;
use crate::oci::tar_output::Target;
use std::io::Read;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

pub struct Opened {
    /// What a bare path was taken for; otherwise what was asked.
    pub location: Location,
    pub content: Content,
}

pub enum Content {
    /// Images in their own form: the ones chosen, and where their blobs are.
    Images { source: Box<dyn Source>, roots: Vec<Root> },
    /// A root file system as a tar, compressed as it came.
    Tar(Box<dyn Read + Send>),
    /// A root file system as a folder.
    Directory(PathBuf),
}

/// Opens what is there. Streams and compressed archives are spooled into `scratch`, because their
/// members are read out of order; a plain archive is read where it is.
pub fn open(location: &Location, scratch: &Path, outside: &dyn Outside) -> Result<Opened> {
    let images = |location: &Location, source: Box<dyn Source>| {
        let roots = location.select().from(source.roots()?)?;
        Ok(Opened { location: location.clone(), content: Content::Images { source, roots } })
    };
    match location {
        Location::Oci { path, .. } => images(location, Box::new(Layout::open(path)?)),
        Location::OciArchive { place, .. } => {
            images(location, Box::new(archive::open(seekable(place, scratch)?)?))
        }
        Location::DockerArchive { place, .. } => {
            images(location, docker_archive::open(seekable(place, scratch)?)?)
        }
        Location::Dir(path) => images(location, Box::new(Dir::open(path)?)),
        Location::Tar(place) => {
            Ok(Opened { location: location.clone(), content: Content::Tar(stream_of(place)?) })
        }
        Location::Directory(path) => match fs::metadata(path)?.is_dir() {
            true => Ok(Opened { location: location.clone(), content: Content::Directory(path.clone()) }),
            false => Err(Error::invalid(location.to_string(), "is not a folder")),
        },
        Location::Disk { .. } => Err(Error::Usage(format!("{location} is a disk, not an image"))),
        Location::Docker(_) | Location::DockerDaemon(_) => {
            images(location, outside.source(location, scratch)?)
        }
        Location::Bare(place) => open_bare(place, scratch),
    }
}

fn open_bare(place: &Place, scratch: &Path) -> Result<Opened> {
    if let Place::Path(path) = place {
        match fs::look(path)? {
            None => return Err(absent(place)),
            Some(there) if there.is_dir() => {
                return open(&location::recognise_folder(path)?, scratch, &Nowhere);
            }
            Some(_) => {}
        }
    }
    let file = seekable(place, scratch)?;
    let location = location::recognise_archive(&file, place.clone())?;
    // A stream is gone once it is spooled, so what was spooled is opened.
    let content = match &location {
        Location::OciArchive { .. } => images_of(Box::new(archive::open(file)?))?,
        Location::DockerArchive { .. } => images_of(docker_archive::open(file)?)?,
        _ => match place {
            Place::Path(_) => Content::Tar(stream_of(place)?),
            // What came in a stream is here uncompressed; `tar:-` would have kept it as it was.
            Place::Standard => Content::Tar(Box::new(file.whole())),
        },
    };
    Ok(Opened { location, content })
}

fn images_of(source: Box<dyn Source>) -> Result<Content> {
    let roots = Select::All.from(source.roots()?)?;
    Ok(Content::Images { source, roots })
}

fn absent(place: &Place) -> Error {
    let name = place.to_string();
    let err = Error::not_found("path", &name);
    match location::unknown_transport(&name) {
        Some(word) => err.with_hint(format!(
            "`{word}:` is no transport that imgit knows; there are {}",
            location::TRANSPORTS
        )),
        None => err,
    }
}

/// The archive as a file that can be read anywhere: itself, or uncompressed in `scratch`.
fn seekable(place: &Place, scratch: &Path) -> Result<SharedFile> {
    let name = place.to_string();
    if let Place::Path(path) = place {
        let file = fs::open(path)?;
        if file.metadata().map_err(Error::io("stat", path))?.is_file() {
            let file = SharedFile::new(file, path)?;
            let (head, _) = stream::peek(&name, Box::new(file.whole()))?;
            if stream::compression_of(&name, &head)? == Compression::None {
                return Ok(file);
            }
        }
    }
    let (_, mut plain) = stream::decoded(&name, stream_of(place)?)?;
    SharedFile::new(fs::spool_in(scratch, &mut plain, &name)?, name)
}

/// The bytes of a file, or of standard input.
pub fn stream_of(place: &Place) -> Result<Box<dyn Read + Send>> {
    match place {
        Place::Standard => Ok(Box::new(std::io::stdin())),
        Place::Path(path) => {
            let file = fs::open(path)?;
            match file.metadata().map_err(Error::io("stat", path))?.is_dir() {
                true => Err(Error::invalid(path.display().to_string(), "is a folder, not an archive")),
                false => Ok(Box::new(file)),
            }
        }
    }
}

/// How a place to write to is opened.
pub struct CreateOptions<'a> {
    /// Put a new archive or `dir:` over an old one; a layout is always added to.
    pub replace: bool,
    /// What `-` stands for as the path of an archive.
    pub standard_output: fn() -> Box<dyn Write + Send>,
    pub outside: &'a dyn Outside,
    /// Where the images come from, if from a registry.
    pub near: Option<&'a ImageName>,
}

/// Opens a place to write images to.
pub fn create(location: &Location, options: &CreateOptions) -> Result<Box<dyn Sink>> {
    let target = |place: &Place| match place {
        Place::Path(path) => Target::File { path: path.clone(), replace: options.replace },
        Place::Standard => Target::Stream((options.standard_output)()),
    };
    if let Select::Index(_) = location.select() {
        return Err(Error::Usage(format!(
            "cannot write to {location}: `@INDEX` chooses among what is there to read"
        )));
    }
    Ok(match location {
        Location::Oci { path, .. } => Box::new(LayoutSink::create(path)?),
        Location::OciArchive { place, .. } => Box::new(OciArchiveSink::create(target(place))?),
        Location::DockerArchive { place, .. } => Box::new(DockerArchiveSink::create(target(place))?),
        Location::Dir(path) => Box::new(DirSink::create(path, options.replace)?),
        Location::Docker(_) | Location::DockerDaemon(_) => options.outside.sink(location, options.near)?,
        Location::Tar(_) | Location::Directory(_) | Location::Disk { .. } | Location::Bare(_) => {
            return Err(Error::Usage(format!("cannot write images to {location}"))
                .with_hint("name a transport: docker://, oci:, oci-archive:, docker-archive: or dir:"));
        }
    })
}
