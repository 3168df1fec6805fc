//! QEMU's qcow2, versions 2 and 3, read only.
//!
//! Written out rather than taken from the crate `imago`: that one is an asynchronous block layer for
//! reading and writing which opens further files by itself, while what is needed here is a map from
//! offsets to clusters over bytes from a stranger. Specification: QEMU, `docs/interop/qcow2.rst`.
//!
//! Refused by name: encryption, external data files, features nobody knows, and backing files unless
//! the caller allows them. Internal snapshots are not seen: the disk is the one that would boot.

mod clusters;
mod header;

pub use header::Header;
pub use header::MAGIC;

use crate::disk::bytes::ReadAt;
use crate::disk::format::Format;
use crate::disk::format::Image;
use crate::disk::format::OpenOptions;
use crate::disk::format::chain::Chain;
use crate::disk::format::mapped::Mapped;
use crate::disk::format::source::Source;
use crate::disk::format::table::Tables;
use crate::disk::format::unpack::Packing;
use crate::error::Doing;
use crate::error::Error;
use crate::error::Result;
use crate::path::shown;
use clusters::Clusters;
use header::Backing;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

pub fn open(source: Source, options: &OpenOptions, chain: &mut Chain) -> Result<Image> {
    let header = Header::read(&source)?;
    options.check_size(&source, header.size)?;
    let mut facts = facts(&header);
    let below = match &header.backing {
        Some(backing) => {
            facts.push(("backing-file", shown(&backing.name)));
            Some(open_backing(&source, backing, options, chain)?)
        }
        None => None,
    };
    let (size, cluster) = (header.size, header.cluster_bytes());
    let clusters = Clusters { header, tables: Tables::new(source.clone()) };
    let disk = Arc::new(Mapped::new(clusters, source, size, cluster, below));
    Ok(Image { format: Format::Qcow2, disk, facts })
}

fn facts(header: &Header) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        ("version", header.version.to_string()),
        ("cluster-bytes", header.cluster_bytes().to_string()),
        ("compression", if header.packing == Packing::Zstd { "zstd" } else { "zlib" }.to_string()),
    ];
    for (name, holds) in [
        ("extended-l2", header.extended_l2),
        ("marked-dirty", header.is_dirty),
        ("marked-corrupt", header.is_corrupt),
    ] {
        if holds {
            facts.push((name, "yes".to_string()));
        }
    }
    if header.snapshots > 0 {
        facts.push(("internal-snapshots", header.snapshots.to_string()));
    }
    facts
}

fn open_backing(
    source: &Source,
    backing: &Backing,
    options: &OpenOptions,
    chain: &mut Chain,
) -> Result<Arc<dyn ReadAt>> {
    let name = shown(&backing.name);
    if !options.allow_backing {
        return Err(source
            .invalid(format!(
                "needs the backing file {name}, which imgit does not open: an image from a stranger could \
                 name any file of this machine"
            ))
            .with_hint("`--allow-backing` opens it; only for images whose maker you trust"));
    }
    let path = backing_path(source, backing)?;
    let format = match &backing.format {
        Some(word) => Some(Format::named(&shown(word)).ok_or_else(|| {
            source.invalid(format!("has a backing file {name} of unknown format {}", shown(word)))
        })?),
        None => None,
    };
    let image = chain.open(&path, format, options);
    Ok(image.doing(|| format!("cannot open the backing file of {}", source.name))?.disk)
}

/// Relative to the folder of the image, as QEMU has it. Its other notations are refused: they name
/// servers, devices and options, not files.
fn backing_path(source: &Source, backing: &Backing) -> Result<PathBuf> {
    let refused = |why: &str| -> Error {
        source.invalid(format!("has the backing file {}, {why}", shown(&backing.name)))
    };
    let name = backing.name.strip_prefix(b"file:").unwrap_or(&backing.name);
    let before_slash = name.split(|byte| *byte == b'/').next().unwrap_or_default();
    if before_slash.contains(&b':') {
        return Err(refused("which is not the path of a file"));
    }
    if name.is_empty() || name.contains(&0) {
        return Err(refused("which is no path"));
    }
    match &source.folder {
        Some(folder) => Ok(folder.join(Path::new(OsStr::from_bytes(name)))),
        None => Err(refused("and lies inside of another file, from where there is no way to it")),
    }
}
