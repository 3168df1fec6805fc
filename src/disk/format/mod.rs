//! Disk images: from a file on the host to the bytes the guest sees.
//!
//! [`open`] finds the format by magic bytes and gives a [`ReadAt`] that many threads may use. Every
//! format is a map from the guest's offsets to places in the file (`mapped`); tables are read
//! when they are asked for, through a small cache (`table`), so an image costs a few MB of
//! memory at most, whatever sizes it claims.
//!
//! An image comes from a stranger. No other file is opened because it says so, but for the backing
//! files of a qcow2 where the caller allows them, and the extents of a vmdk, which lie in its folder.
//! All code is our own and synchronous: no crate reads these formats without opening files by itself.

mod cache;
mod chain;
mod detect;
mod mapped;
mod ova;
mod qcow2;
mod source;
mod table;
#[doc(hidden)]
pub mod testing;
mod unpack;
mod vdi;
mod vhd;
mod vhdx;
mod vmdk;

pub use detect::HEAD_BYTES;
pub use detect::TAIL_BYTES;
pub use detect::detect;
pub use detect::detect_in;
pub use ova::Ova;
pub use ova::OvaDisk;
pub use source::Source;

use crate::disk::bytes::ReadAt;
use crate::error::Error;
use crate::error::Result;
use chain::Chain;
use std::path::Path;
use std::sync::Arc;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    Raw,
    Qcow2,
    Vmdk,
    Vdi,
    Vhd,
    Vhdx,
}

impl Format {
    pub const ALL: [Format; 6] =
        [Format::Raw, Format::Qcow2, Format::Vmdk, Format::Vdi, Format::Vhd, Format::Vhdx];

    pub fn name(self) -> &'static str {
        match self {
            Format::Raw => "raw",
            Format::Qcow2 => "qcow2",
            Format::Vmdk => "vmdk",
            Format::Vdi => "vdi",
            Format::Vhd => "vhd",
            Format::Vhdx => "vhdx",
        }
    }

    /// What `qemu-img` calls it.
    pub fn qemu_name(self) -> &'static str {
        if self == Format::Vhd { "vpc" } else { self.name() }
    }

    /// By its name here or QEMU's.
    pub fn named(name: &str) -> Option<Format> {
        Format::ALL.into_iter().find(|format| name == format.name() || name == format.qemu_name())
    }
}

#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// Opens the backing files that a qcow2 names. Only for images whose maker is trusted.
    pub allow_backing: bool,
    /// The largest disk of a guest, in bytes.
    pub size_max: u64,
}

impl Default for OpenOptions {
    /// 64 TiB, the largest that vhdx allows. A table of a few MB can claim any size, and whoever reads
    /// the disk from end to end pays for it.
    fn default() -> OpenOptions {
        OpenOptions { allow_backing: false, size_max: 64 << 40 }
    }
}

impl OpenOptions {
    fn check_size(&self, source: &Source, size: u64) -> Result<()> {
        // Well below 2^64 whatever the caller says: ends of runs may be computed without a thought.
        let limit = self.size_max.min(1 << 62);
        if size <= limit {
            return Ok(());
        }
        Err(Error::Limit { thing: format!("disk of {size} bytes in {}", source.name), limit, unit: "bytes" })
    }
}

/// An open disk image.
pub struct Image {
    pub format: Format,
    /// What the guest sees.
    pub disk: Arc<dyn ReadAt>,
    /// What else there is to say of the file: version, subformat, cluster size. Names are for
    /// records and may be relied on.
    pub facts: Vec<(&'static str, String)>,
}

/// Opens an image as `forced` or, without it, as what its bytes say it is.
pub fn open(path: &Path, forced: Option<Format>, options: &OpenOptions) -> Result<Image> {
    Chain::default().open(path, forced, options)
}

/// [`open`] for an image whose bytes lie anywhere, a member of an archive for one.
pub fn open_in(source: Source, forced: Option<Format>, options: &OpenOptions) -> Result<Image> {
    open_source(source, forced, options, &mut Chain::default())
}

fn open_source(
    source: Source,
    forced: Option<Format>,
    options: &OpenOptions,
    chain: &mut Chain,
) -> Result<Image> {
    if source.size() == 0 && forced != Some(Format::Raw) {
        return Err(source.invalid("is empty"));
    }
    let format = match forced {
        Some(format) => format,
        None => detect_in(&*source.file)?.ok_or_else(|| unknown(&source))?,
    };
    match format {
        Format::Raw => {
            options.check_size(&source, source.size())?;
            Ok(Image { format, disk: source.file, facts: Vec::new() })
        }
        Format::Qcow2 => qcow2::open(source, options, chain),
        Format::Vmdk => vmdk::open(source, options),
        Format::Vdi => vdi::open(source, options),
        Format::Vhd => vhd::open(source, options),
        Format::Vhdx => vhdx::open(source, options),
    }
}

fn unknown(source: &Source) -> Error {
    source
        .invalid("is no disk image that imgit knows: no magic number, partition table or file system")
        .with_hint("`raw:PATH` takes any file as the bytes of a disk")
}

#[cfg(test)]
mod measure;
#[cfg(test)]
mod tests;
