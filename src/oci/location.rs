//! Where an image is, as people write it: `oci:PATH:REF`, `docker-archive:FILE`, or a bare path.
//!
//! containers-transports(5), unchanged. Reading the words touches nothing; [`crate::oci::open`] looks at
//! what a bare path holds, for its content says what it is, never its name.

use crate::error::Error;
use crate::error::Result;
use crate::fs;
use crate::fs::SharedFile;
use crate::fs::members;
use crate::fs::members::Member;
use crate::oci::dir;
use crate::oci::docker_archive;
use crate::oci::layout;
use crate::oci::name::ImageName;
use crate::oci::source::Select;
use crate::path::shown;
use std::fmt;
use std::path::Path;
use std::path::PathBuf;
use std::str::FromStr;

/// Members to look at before an archive without a sign is taken for a plain tar.
const SIGNS_WITHIN_MEMBERS: usize = 10_000;

/// A file by its path, or standard input (for a sink: standard output).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    Path(PathBuf),
    Standard,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// `oci:PATH[:REF|:@INDEX]`
    Oci { path: PathBuf, select: Select },
    /// `oci-archive:FILE[:REF|:@INDEX]`
    OciArchive { place: Place, select: Select },
    /// `docker-archive:FILE[:REF|:@INDEX]`
    DockerArchive { place: Place, select: Select },
    /// `dir:PATH`, as skopeo writes it.
    Dir(PathBuf),
    /// `tar:FILE`: a root file system.
    Tar(Place),
    /// A folder that is a root file system.
    Directory(PathBuf),
    /// `disk:PATH`, or the format in the place of `disk`: a VM's disk. `format` is one of [`DISKS`],
    /// `None` where the file says what it is.
    Disk { format: Option<&'static str>, path: PathBuf },
    /// `docker://NAME[:TAG|@DIGEST]`: in a registry.
    Docker(ImageName),
    /// `docker-daemon:NAME[:TAG]` or `docker-daemon:ALGORITHM:HEX`: in the engine of Docker or podman.
    DockerDaemon(String),
    /// A path or `-` alone; [`crate::oci::open::open`] makes it one of the others.
    Bare(Place),
}

/// Transports of containers-transports(5) and our own plans, with what to say of them today.
const NOT_YET: [(&str, &str); 4] = [
    (
        "containers-storage",
        "podman's storage is not supported; `podman save` writes what `docker-archive:` reads",
    ),
    ("sif", "Singularity images are not supported"),
    ("ostree", "ostree repositories are not supported"),
    ("tarball", "is skopeo's word for layers without an image; `tar:` reads a root file system"),
];

/// What may stand in front of a path, for hints.
pub const TRANSPORTS: &str = "docker://, docker-daemon:, oci:, oci-archive:, docker-archive:, dir:, tar:, disk: and the formats of disks, raw: qcow2: vmdk: vdi: vhd: vhdx:";

/// The formats of disks that may stand in front of a path.
pub const DISKS: [&str; 7] = ["raw", "qcow2", "vmdk", "vdi", "vhd", "vhdx", "ova"];

impl Location {
    /// Reads the words; nothing on disk is looked at.
    pub fn parse(text: &str) -> Result<Location> {
        let refuse =
            |problem: &str| Error::invalid(format!("location `{}`", shown(text.as_bytes())), problem);
        if text.is_empty() || text.contains('\0') {
            return Err(refuse("is not a path"));
        }
        let Some((transport, rest)) = text.split_once(':') else {
            return Ok(Location::Bare(place(text)));
        };
        if let Some((_, why)) = NOT_YET.iter().find(|(name, _)| *name == transport) {
            return Err(Error::Usage(format!("cannot use {}: {why}", shown(text.as_bytes()))));
        }
        let whole_path = || match rest {
            "" => Err(refuse("has no path")),
            path => Ok(path),
        };
        Ok(match transport {
            "docker" => Location::Docker(registry_name(rest, &refuse)?),
            "docker-daemon" => Location::DockerDaemon(whole_path()?.to_owned()),
            "oci" => {
                let (path, select) = path_and_select(rest, &refuse)?;
                Location::Oci { path: path.into(), select }
            }
            "oci-archive" => {
                let (path, select) = path_and_select(rest, &refuse)?;
                Location::OciArchive { place: place(path), select }
            }
            "docker-archive" => {
                let (path, select) = path_and_select(rest, &refuse)?;
                Location::DockerArchive { place: place(path), select }
            }
            "dir" => Location::Dir(whole_path()?.into()),
            "tar" => Location::Tar(place(whole_path()?)),
            word if rest == "-" && (word == "disk" || DISKS.contains(&word)) => {
                return Err(Error::Usage(format!(
                    "cannot use {word}:-: a disk is read and written in no order"
                )));
            }
            "disk" => Location::Disk { format: None, path: whole_path()?.into() },
            word if DISKS.contains(&word) => {
                let format = DISKS.into_iter().find(|format| *format == word);
                Location::Disk { format, path: whole_path()?.into() }
            }
            _ => Location::Bare(place(text)),
        })
    }

    /// Which of several images is meant.
    pub fn select(&self) -> &Select {
        match self {
            Location::Oci { select, .. }
            | Location::OciArchive { select, .. }
            | Location::DockerArchive { select, .. } => select,
            _ => &Select::All,
        }
    }

    /// Says whether it is `-`: standard input, or output for a sink.
    pub fn is_standard(&self) -> bool {
        match self {
            Location::OciArchive { place, .. } | Location::DockerArchive { place, .. } => {
                *place == Place::Standard
            }
            Location::Tar(place) | Location::Bare(place) => *place == Place::Standard,
            _ => false,
        }
    }

    /// Says whether it is beyond this machine's files, so that [`crate::oci::outside::Outside`] opens it.
    pub fn is_outside(&self) -> bool {
        matches!(self, Location::Docker(_) | Location::DockerDaemon(_))
    }

    /// The name behind the path, for a sink: what the image will be called there.
    pub fn reference(&self) -> Option<&str> {
        match (self, self.select()) {
            (Location::DockerDaemon(name), _) => Some(name),
            (_, Select::Name(name)) => Some(name),
            _ => None,
        }
    }
}

/// The word in front of the first colon, where no slash says that this is a path: `./a:b` is one.
pub fn unknown_transport(bare: &str) -> Option<&str> {
    bare.split_once(':').map(|(word, _)| word).filter(|word| !word.contains('/'))
}

/// containers-transports(5), "docker://": not tag and digest together.
fn registry_name(rest: &str, refuse: &dyn Fn(&str) -> Error) -> Result<ImageName> {
    let name = rest.strip_prefix("//").ok_or_else(|| refuse("has no `//` behind `docker:`"))?;
    let name = ImageName::parse(name)?;
    name.check_for_registry()?;
    Ok(name)
}

fn place(path: &str) -> Place {
    match path {
        "-" => Place::Standard,
        path => Place::Path(path.into()),
    }
}

/// The path ends at the first colon: containers-transports(5), "oci".
fn path_and_select<'a>(rest: &'a str, refuse: &dyn Fn(&str) -> Error) -> Result<(&'a str, Select)> {
    let (path, select) = match rest.split_once(':') {
        None => (rest, Select::All),
        // `oci:PATH:` is taken for `oci:PATH`, as skopeo does.
        Some((path, "")) => (path, Select::All),
        Some((path, select)) => match select.strip_prefix('@') {
            Some(index) => {
                let is_number = index.bytes().all(|byte| byte.is_ascii_digit());
                let index = index.parse().ok().filter(|_| is_number);
                (path, Select::Index(index.ok_or_else(|| refuse("has an index that is no number"))?))
            }
            None if !is_ref_name(select) => {
                return Err(refuse("has a reference of other letters than OCI allows"));
            }
            None => (path, Select::Name(select.to_owned())),
        },
    };
    match path {
        "" => Err(refuse("has no path")),
        path => Ok((path, select)),
    }
}

/// OCI image-spec, "org.opencontainers.image.ref.name", without its rule for separators: Docker's own
/// tags may begin or end with `_`, and nothing here depends on it.
fn is_ref_name(name: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric();
    !name.is_empty()
        && name.len() <= 1_024
        && name.bytes().all(|byte| is_word(byte) || b"-._:@/+".contains(&byte))
}

impl FromStr for Location {
    type Err = Error;
    fn from_str(text: &str) -> Result<Location> {
        Location::parse(text)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Path(path) => write!(f, "{}", shown(path.as_os_str().as_encoded_bytes())),
            Place::Standard => f.write_str("-"),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path_of = |path: &Path| shown(path.as_os_str().as_encoded_bytes());
        match self {
            Location::Oci { path, .. } => write!(f, "oci:{}", path_of(path))?,
            Location::OciArchive { place, .. } => write!(f, "oci-archive:{place}")?,
            Location::DockerArchive { place, .. } => write!(f, "docker-archive:{place}")?,
            Location::Dir(path) => write!(f, "dir:{}", path_of(path))?,
            Location::Tar(place) => write!(f, "tar:{place}")?,
            Location::Directory(path) => write!(f, "directory {}", path_of(path))?,
            Location::Disk { format, path } => write!(f, "{}:{}", format.unwrap_or("disk"), path_of(path))?,
            // Spelled out, so that nobody takes one registry for another.
            Location::Docker(name) => write!(f, "docker://{}", name.full())?,
            Location::DockerDaemon(name) => write!(f, "docker-daemon:{}", shown(name.as_bytes()))?,
            Location::Bare(place) => write!(f, "{place}")?,
        }
        match self.select() {
            Select::All => Ok(()),
            Select::Name(name) => write!(f, ":{name}"),
            Select::Index(index) => write!(f, ":@{index}"),
        }
    }
}

/// Says what a folder is.
pub fn recognise_folder(path: &Path) -> Result<Location> {
    let is_there = |name: &str| {
        Ok::<bool, Error>(fs::look_no_follow(&path.join(name))?.is_some_and(|there| !there.is_dir()))
    };
    if is_there(layout::MARKER)? {
        return Ok(Location::Oci { path: path.to_path_buf(), select: Select::All });
    }
    if is_there(dir::MANIFEST)? && is_there(dir::VERSION)? {
        return Ok(Location::Dir(path.to_path_buf()));
    }
    Ok(Location::Directory(path.to_path_buf()))
}

/// Says what an archive is, by its members; `file` is uncompressed, `place` what it is called.
pub fn recognise_archive(file: &SharedFile, place: Place) -> Result<Location> {
    if file.is_empty() {
        return Err(Error::invalid(place.to_string(), "is empty"));
    }
    // What does not begin as a tar is no tar; what does, and goes wrong later, is a damaged one.
    if !members::begins_as_tar(file)? {
        return Err(unknown(&place));
    }
    let (mut is_docker, mut is_oci) = (false, false);
    members::scan(file, SIGNS_WITHIN_MEMBERS, &mut |name, member| {
        let is_file = matches!(member, Member::File { .. });
        is_docker |= is_file && (name == docker_archive::MANIFEST || name == "repositories");
        is_oci |= is_file && name == layout::MARKER;
    })?;
    // Docker 25 and later write both; its manifest.json has the better names.
    Ok(match (is_docker, is_oci) {
        (true, _) => Location::DockerArchive { place, select: Select::All },
        (_, true) => Location::OciArchive { place, select: Select::All },
        _ => Location::Tar(place),
    })
}

fn unknown(place: &Place) -> Error {
    Error::invalid(
        place.to_string(),
        "is nothing that imgit knows: not a folder, and not a tar (plain, gzip or zstd) of `docker save`, \
         of an OCI layout or of files",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let found = match Location::parse(text) {
            Ok(location) => {
                // What is shown can be read again.
                assert_eq!(Location::parse(&location.to_string()).unwrap().to_string(), location.to_string());
                format!("{location:?}")
            }
            Err(err) => err.to_string(),
        };
        assert!(found.contains(expected), "{text}: {found}");
    }

    #[test]
    fn the_words_of_containers_transports() {
        check("oci:/a/b", r#"Oci { path: "/a/b", select: All }"#);
        check("oci:a:docker.io/library/b:1", r#"Oci { path: "a", select: Name("docker.io/library/b:1") }"#);
        check("oci:a:@2", r#"Oci { path: "a", select: Index(2) }"#);
        check("oci:a:", r#"Oci { path: "a", select: All }"#);
        check("oci-archive:a.tar:1", r#"OciArchive { place: Path("a.tar"), select: Name("1") }"#);
        check("docker-archive:a.tar:b:1", r#"DockerArchive { place: Path("a.tar"), select: Name("b:1") }"#);
        check("docker-archive:-", "DockerArchive { place: Standard, select: All }");
        check("docker-archive:/dev/stdin", r#"Path("/dev/stdin")"#);
        check("dir:a:b", r#"Dir("a:b")"#);
        check("tar:a.tar.gz", r#"Tar(Path("a.tar.gz"))"#);
        check("-", "Bare(Standard)");
        check("./a:b", r#"Bare(Path("./a:b"))"#);
        check("docker://busybox", r#"Docker(ImageName { name: "busybox", tag: None"#);
        check("docker://localhost:5000/a/b:1", r#"name: "localhost:5000/a/b", tag: Some("1")"#);
        check("docker:busybox", "no `//`");
        check("docker://Web", "lower-case");
        check("docker-daemon:debian:12", r#"DockerDaemon("debian:12")"#);
        check("qcow2:a:b", r#"Disk { format: Some("qcow2"), path: "a:b" }"#);
        check("raw:-", "in no order");
        check("disk:a", r#"Disk { format: None, path: "a" }"#);
        for bad in [
            "",
            "oci:",
            "oci::x",
            "dir:",
            "tar:",
            "disk:",
            "oci:a:@",
            "oci:a:@x",
            "oci:a:@+1",
            "oci:a:b c",
            "a\0b",
        ] {
            assert!(Location::parse(bad).is_err(), "{bad}");
        }
    }
}
