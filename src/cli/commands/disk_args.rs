//! How the file systems of disks are read: what the verbs that read disks have in common.

use crate::disk::guest::Key;
use crate::disk::machine::ReadOptions;
use crate::disk::machine::Reader;
use crate::error::Error;
use crate::error::Result;
use std::path::PathBuf;

/// The most that a file with a passphrase may have.
const PASSPHRASE_BYTES_MAX: u64 = 1 << 20;

#[derive(clap::Args)]
pub struct ReadArgs {
    /// Who reads the file systems: our own readers (ext2/3/4, FAT), libguestfs, or whoever can
    #[arg(long, value_enum, default_value_t = ReaderArg::Auto)]
    reader: ReaderArg,
    /// Open an encrypted device: SELECTOR is a device, a UUID or `all`; may be repeated
    #[arg(long = "key", value_name = "SELECTOR:key:PASSPHRASE|SELECTOR:file:PATH")]
    keys: Vec<String>,
    /// Open the backing files that a qcow2 names: one from a stranger may name any file here
    #[arg(long)]
    allow_backing: bool,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum ReaderArg {
    Auto,
    Guestfs,
    Native,
}

impl ReadArgs {
    pub fn options(&self) -> Result<ReadOptions> {
        Ok(ReadOptions {
            also: Vec::new(),
            reader: match self.reader {
                ReaderArg::Auto => Reader::Auto,
                ReaderArg::Guestfs => Reader::Guestfs,
                ReaderArg::Native => Reader::Native,
            },
            keys: self.keys.iter().map(|text| key(text)).collect::<Result<_>>()?,
            allow_backing: self.allow_backing,
            cache: std::env::var_os("XDG_CACHE_HOME")
                .map(PathBuf::from)
                .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")))
                .map(|cache| cache.join("imgit")),
        })
    }
}

/// As libguestfs's tools spell it.
fn key(text: &str) -> Result<Key> {
    let wrong = || Error::Usage("a key is SELECTOR:key:PASSPHRASE or SELECTOR:file:PATH".to_string());
    let (selector, rest) = text.split_once(':').ok_or_else(wrong)?;
    let passphrase = match rest.split_once(':').ok_or_else(wrong)? {
        ("key", passphrase) => passphrase.to_string(),
        ("file", path) => {
            let bytes = crate::fs::read_small(path.as_ref(), PASSPHRASE_BYTES_MAX)?;
            let text = String::from_utf8(bytes).map_err(|_| Error::invalid(path, "is not UTF-8"))?;
            text.trim_end_matches('\n').to_string()
        }
        _ => return Err(wrong()),
    };
    Ok(Key { selector: selector.to_string(), passphrase })
}
