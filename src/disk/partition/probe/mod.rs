//! What a partition, a volume or a whole disk holds, by its magic bytes, with label and UUID in the
//! notation of `blkid`.
//!
//! Where several signatures stand, remains of what was there before, the order is that of `blkid`:
//! parts of a larger whole first, then file systems. A probe reads a few KB, but to say that all is
//! zero it may have to read more: see [`ZERO_READ_BYTES_MAX`].

mod dos;
mod iso;
mod linux;

pub use dos::probe as dos;

use crate::disk::bytes::ReadAt;
use crate::error::Result;
use crate::path::shown;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Ext2,
    Ext3,
    Ext4,
    Xfs,
    Btrfs,
    /// FAT12, FAT16 and FAT32.
    Vfat,
    Exfat,
    Ntfs,
    Swap,
    Luks1,
    Luks2,
    Lvm2,
    Iso9660,
    Squashfs,
    /// Known by its magic alone, and by `blkid`'s name for it.
    Other(&'static str),
    /// Every byte is zero.
    Zero,
    Unknown,
}

impl Kind {
    /// As `blkid` has it; `zero` and `unknown` are our own.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Ext2 => "ext2",
            Kind::Ext3 => "ext3",
            Kind::Ext4 => "ext4",
            Kind::Xfs => "xfs",
            Kind::Btrfs => "btrfs",
            Kind::Vfat => "vfat",
            Kind::Exfat => "exfat",
            Kind::Ntfs => "ntfs",
            Kind::Swap => "swap",
            Kind::Luks1 | Kind::Luks2 => "crypto_LUKS",
            Kind::Lvm2 => "LVM2_member",
            Kind::Iso9660 => "iso9660",
            Kind::Squashfs => "squashfs",
            Kind::Other(name) => name,
            Kind::Zero => "zero",
            Kind::Unknown => "unknown",
        }
    }

    /// Is there a signature?
    pub fn is_known(self) -> bool {
        !matches!(self, Kind::Zero | Kind::Unknown)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    pub kind: Kind,
    pub label: Option<String>,
    pub uuid: Option<String>,
}

impl Probe {
    fn new(kind: Kind) -> Probe {
        Probe { kind, label: None, uuid: None }
    }

    fn label(self, bytes: &[u8]) -> Probe {
        Probe { label: label(bytes), ..self }
    }

    fn uuid(self, uuid: impl Into<String>) -> Probe {
        Probe { uuid: Some(uuid.into()), ..self }
    }
}

/// Looks for a few kinds.
type Look = fn(&dyn ReadAt) -> Result<Option<Probe>>;

/// What is read at most to find that all is zero where the disk does not know by itself.
pub const ZERO_READ_BYTES_MAX: u64 = 64 << 20;
const ZERO_STEP_BYTES: usize = 64 << 10;

/// Names what `disk` holds.
pub fn probe(disk: &dyn ReadAt) -> Result<Probe> {
    let looks: [Look; 5] = [linux::members, dos::probe, linux::file_systems, iso::probe, others];
    for look in looks {
        if let Some(found) = look(disk)? {
            return Ok(found);
        }
    }
    Ok(Probe::new(if is_zero(disk)? { Kind::Zero } else { Kind::Unknown }))
}

/// Name, where its magic stands, and the magic.
const OTHERS: &[(&str, u64, &[u8])] = &[
    ("BitLocker", 3, b"-FVE-FS-"),
    ("apfs", 32, b"NXSB"),
    ("f2fs", 1_024, b"\x10\x20\xf5\xf2"),
    ("erofs", 1_024, b"\xe2\xe1\xf5\xe0"),
    ("hfsplus", 1_024, b"H+\x00\x04"),
    ("hfsplus", 1_024, b"HX\x00\x05"),
    ("bcache", 4_120, b"\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81"),
    ("jfs", 0x8000, b"JFS1"),
    ("reiserfs", 0x10034, b"ReIsEr2Fs"),
    ("reiserfs", 0x10034, b"ReIsErFs"),
    ("VMFS", 0x10_0000, b"\x0d\xd0\x01\xc0"),
];

fn others(disk: &dyn ReadAt) -> Result<Option<Probe>> {
    for (name, at, magic) in OTHERS {
        if starts_with(disk, *at, magic)? {
            return Ok(Some(Probe::new(Kind::Other(name))));
        }
    }
    Ok(None)
}

fn is_zero(disk: &dyn ReadAt) -> Result<bool> {
    let (mut at, mut read) = (0, 0);
    let (mut buffer, zeros) = (vec![0; ZERO_STEP_BYTES], vec![0; ZERO_STEP_BYTES]);
    while at < disk.size() {
        let span = disk.span(at)?;
        if span.zero {
            at = span.end;
            continue;
        }
        let count = buffer.len().min((span.end - at) as usize);
        read += count as u64;
        if read > ZERO_READ_BYTES_MAX {
            return Ok(false);
        }
        disk.read_at(at, &mut buffer[..count])?;
        if buffer[..count] != zeros[..count] {
            return Ok(false);
        }
        at += count as u64;
    }
    Ok(true)
}

fn starts_with(disk: &dyn ReadAt, at: u64, magic: &[u8]) -> Result<bool> {
    let mut bytes = [0; 16];
    let bytes = &mut bytes[..magic.len()];
    if at.checked_add(magic.len() as u64).is_none_or(|end| end > disk.size()) {
        return Ok(false);
    }
    disk.read_at(at, bytes)?;
    Ok(bytes == magic)
}

/// Up to the first zero, without spaces at the end; no label at all where nothing is left.
fn label(bytes: &[u8]) -> Option<String> {
    let text = bytes.split(|byte| *byte == 0).next()?.trim_ascii_end();
    (!text.is_empty()).then(|| shown(text))
}

/// The same of UTF-16.
fn label_utf16(letters: impl Iterator<Item = u16>) -> Option<String> {
    let letters = letters.take_while(|letter| *letter != 0);
    let text: String = char::decode_utf16(letters).map(|letter| letter.unwrap_or('\u{fffd}')).collect();
    label(text.as_bytes())
}
