//! The header of a qcow2 and its extensions: what kind of qcow2 it is, and what of it is refused.

use crate::disk::format::source::Source;
use crate::disk::format::unpack::Packing;
use crate::disk::number::be32;
use crate::disk::number::be64;
use crate::error::Error;
use crate::error::Result;
use crate::path::shown;

pub const MAGIC: &[u8] = b"QFI\xfb";

/// Sizes that QEMU takes: 512 bytes to 2 MiB.
const CLUSTER_BITS: std::ops::RangeInclusive<u32> = 9..=21;
/// Subclusters are at least 512 bytes.
const EXTENDED_CLUSTER_BITS_MIN: u32 = 14;
/// QEMU's limit; enough for 2 PiB with the usual clusters.
const L1_BYTES_MAX: u64 = 32 << 20;
const BACKING_NAME_BYTES_MAX: u32 = 1_023;
/// Of all extensions together: they lie in the first cluster.
const EXTENSIONS_MAX: usize = 64;

const INCOMPATIBLE_DIRTY: u64 = 1 << 0;
const INCOMPATIBLE_CORRUPT: u64 = 1 << 1;
const INCOMPATIBLE_DATA_FILE: u64 = 1 << 2;
const INCOMPATIBLE_COMPRESSION: u64 = 1 << 3;
const INCOMPATIBLE_EXTENDED_L2: u64 = 1 << 4;

const EXTENSION_BACKING_FORMAT: u32 = 0xe279_2aca;
const EXTENSION_FEATURE_NAMES: u32 = 0x6803_f857;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    pub version: u32,
    /// In bytes.
    pub size: u64,
    pub cluster_bits: u32,
    pub l1_at: u64,
    pub l1_entries: u64,
    /// Each cluster has 32 subclusters with a state of their own.
    pub extended_l2: bool,
    pub packing: Packing,
    pub backing: Option<Backing>,
    pub snapshots: u32,
    pub is_dirty: bool,
    pub is_corrupt: bool,
}

/// The file that holds what this one does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backing {
    pub name: Vec<u8>,
    pub format: Option<Vec<u8>>,
}

impl Header {
    pub fn read(source: &Source) -> Result<Header> {
        let head: [u8; 72] = source.array(0, "the qcow2 header")?;
        if &head[..4] != MAGIC {
            return Err(source.invalid("does not begin as a qcow2 does"));
        }
        let version = be32(&head, 4);
        let cluster_bits = be32(&head, 20);
        if !matches!(version, 2 | 3) {
            return Err(source.invalid(format!("is a qcow of version {version}; imgit reads 2 and 3")));
        }
        if !CLUSTER_BITS.contains(&cluster_bits) {
            return Err(source.invalid(format!("has clusters of 2^{cluster_bits} bytes, not 2^9 to 2^21")));
        }
        match be32(&head, 32) {
            0 => {}
            1 => return Err(encrypted(source, "AES")),
            2 => return Err(encrypted(source, "LUKS")),
            other => return Err(encrypted(source, &format!("unknown method {other}"))),
        }
        let mut header = Header {
            version,
            size: be64(&head, 24),
            cluster_bits,
            l1_at: be64(&head, 40),
            l1_entries: be32(&head, 36).into(),
            extended_l2: false,
            packing: Packing::Deflate,
            backing: None,
            snapshots: be32(&head, 60),
            is_dirty: false,
            is_corrupt: false,
        };
        let mut header_bytes = 72;
        let mut incompatible = 0;
        if version == 3 {
            let more: [u8; 32] = source.array(72, "the qcow2 header")?;
            incompatible = be64(&more, 0);
            header_bytes = u64::from(be32(&more, 28));
            if header_bytes < 104 || header_bytes > header.cluster_bytes() {
                return Err(source.invalid(format!("has a qcow2 header of {header_bytes} bytes")));
            }
            if incompatible & INCOMPATIBLE_COMPRESSION != 0 {
                header.packing = compression(source, header_bytes)?;
            }
        }
        let extensions = Extensions::read(source, header_bytes, header.cluster_bytes())?;
        header.features(source, incompatible, &extensions)?;
        header.backing = backing(source, &head, extensions.backing_format)?;
        header.check_l1(source)?;
        Ok(header)
    }

    pub fn cluster_bytes(&self) -> u64 {
        1 << self.cluster_bits
    }

    pub fn l2_entry_bytes(&self) -> u64 {
        if self.extended_l2 { 16 } else { 8 }
    }

    /// Bytes of the guest that one L2 table maps: at most 2^39.
    pub fn l2_covers(&self) -> u64 {
        self.cluster_bytes() / self.l2_entry_bytes() * self.cluster_bytes()
    }

    fn features(&mut self, source: &Source, bits: u64, extensions: &Extensions) -> Result<()> {
        self.is_dirty = bits & INCOMPATIBLE_DIRTY != 0;
        self.is_corrupt = bits & INCOMPATIBLE_CORRUPT != 0;
        self.extended_l2 = bits & INCOMPATIBLE_EXTENDED_L2 != 0;
        if bits & INCOMPATIBLE_DATA_FILE != 0 {
            return Err(source.invalid(
                "keeps its data in an external file, which imgit does not open: an image from a stranger \
                 could name any file of this machine",
            ));
        }
        let known =
            INCOMPATIBLE_DIRTY | INCOMPATIBLE_CORRUPT | INCOMPATIBLE_COMPRESSION | INCOMPATIBLE_EXTENDED_L2;
        let unknown = bits & !known;
        if unknown != 0 {
            let names: Vec<String> = (0..64)
                .filter(|bit| unknown >> bit & 1 == 1)
                .map(|bit| extensions.feature_name(bit).unwrap_or_else(|| format!("number {bit}")))
                .collect();
            return Err(source
                .invalid(format!("needs features of qcow2 that imgit does not know: {}", names.join(", "))));
        }
        if self.extended_l2 && self.cluster_bits < EXTENDED_CLUSTER_BITS_MIN {
            return Err(source.invalid(format!("has subclusters in clusters of 2^{}", self.cluster_bits)));
        }
        Ok(())
    }

    fn check_l1(&self, source: &Source) -> Result<()> {
        let bytes = self.l1_entries * 8;
        if bytes > L1_BYTES_MAX {
            let thing = format!("L1 table of {}", source.name);
            return Err(Error::Limit { thing, limit: L1_BYTES_MAX, unit: "bytes" });
        }
        let (needed, found) = (self.size.div_ceil(self.l2_covers()), self.l1_entries);
        if needed > found {
            return Err(source
                .invalid(format!("has an L1 table of {found} entries; {} bytes need {needed}", self.size)));
        }
        Ok(())
    }
}

fn encrypted(source: &Source, method: &str) -> Error {
    source.invalid(format!("is encrypted ({method}), which imgit does not read"))
}

fn compression(source: &Source, header_bytes: u64) -> Result<Packing> {
    if header_bytes < 105 {
        return Err(source.invalid("says that it has a compression type, and has none"));
    }
    match source.array::<1>(104, "the qcow2 header")? {
        [0] => Ok(Packing::Deflate),
        [1] => Ok(Packing::Zstd),
        [other] => Err(source.invalid(format!("has clusters compressed by unknown method {other}"))),
    }
}

fn backing(source: &Source, head: &[u8; 72], format: Option<Vec<u8>>) -> Result<Option<Backing>> {
    let (at, len) = (be64(head, 8), be32(head, 16));
    if at == 0 {
        return Ok(None);
    }
    if len == 0 || len > BACKING_NAME_BYTES_MAX {
        return Err(source.invalid(format!("names a backing file in {len} bytes")));
    }
    let name = source.bytes(at, len as usize, "the name of the backing file")?;
    Ok(Some(Backing { name, format }))
}

#[derive(Default)]
struct Extensions {
    backing_format: Option<Vec<u8>>,
    /// Records of 48 bytes: kind, bit, name.
    feature_names: Vec<u8>,
}

impl Extensions {
    /// Up to the end mark, the end of the first cluster or that of the file.
    fn read(source: &Source, mut at: u64, cluster_bytes: u64) -> Result<Extensions> {
        let mut extensions = Extensions::default();
        let end = cluster_bytes.min(source.size());
        for _ in 0..EXTENSIONS_MAX {
            if at + 8 > end {
                break;
            }
            let head: [u8; 8] = source.array(at, "a header extension")?;
            let (kind, len) = (be32(&head, 0), u64::from(be32(&head, 4)));
            if kind == 0 {
                break;
            }
            let next = at + 8 + len.next_multiple_of(8);
            if at + 8 + len > end {
                return Err(source.invalid(format!("has a header extension at {at} of {len} bytes")));
            }
            let bytes = || source.bytes(at + 8, len as usize, "a header extension");
            match kind {
                EXTENSION_BACKING_FORMAT => extensions.backing_format = Some(bytes()?),
                EXTENSION_FEATURE_NAMES => extensions.feature_names = bytes()?,
                // Bitmaps, the name of a data file, and what is to come: they change no byte.
                _ => {}
            }
            at = next;
        }
        Ok(extensions)
    }

    fn feature_name(&self, bit: u32) -> Option<String> {
        let incompatible = |record: &&[u8]| record[0] == 0 && u32::from(record[1]) == bit;
        let record = self.feature_names.chunks_exact(48).find(incompatible)?;
        Some(shown(record[2..].split(|byte| *byte == 0).next().unwrap_or_default()))
    }
}
