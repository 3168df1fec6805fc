//! From the guest's offsets to clusters: the L1 table, the L2 tables, and in them 32 subclusters.

use crate::disk::format::mapped::Map;
use crate::disk::format::mapped::Packed;
use crate::disk::format::mapped::Place;
use crate::disk::format::mapped::Run;
use crate::disk::format::qcow2::header::Header;
use crate::disk::format::table::Tables;
use crate::disk::format::unpack::unpack;
use crate::disk::number::be64;
use crate::error::Result;

const OFFSET_MASK: u64 = 0x00ff_ffff_ffff_fe00;
const COMPRESSED: u64 = 1 << 62;
/// In an L2 entry of version 3 without subclusters: reads as zero, whatever the offset says.
const ZERO: u64 = 1;
const SUBCLUSTERS: u64 = 32;

pub struct Clusters {
    pub header: Header,
    pub tables: Tables,
}

impl Map for Clusters {
    const LAST_MAY_BE_CUT: bool = true;

    fn run(&self, offset: u64) -> Result<Run> {
        let header = &self.header;
        let (covers, cluster) = (header.l2_covers(), header.cluster_bytes());
        let l1_at = header.l1_at.saturating_add(offset / covers * 8);
        let l1_entry = u64::from_be_bytes(self.tables.entry(l1_at, "an entry of the L1 table")?);
        let l2_at = l1_entry & OFFSET_MASK;
        if l2_at == 0 {
            // `covers` is at most 2^39 and offsets are below 2^63: see `OpenOptions::size_max`.
            return Ok(Run { end: (offset / covers + 1) * covers, place: Place::Below });
        }
        self.aligned(l2_at, "L2 table")?;
        let entry_at = l2_at + offset % covers / cluster * header.l2_entry_bytes();
        let start = offset - offset % cluster;
        let end = start + cluster;
        if header.extended_l2 {
            let entry: [u8; 16] = self.tables.entry(entry_at, "an entry of an L2 table")?;
            let (entry, states) = (be64(&entry, 0), be64(&entry, 8));
            if entry & COMPRESSED == 0 {
                return self.subclusters(offset, start, entry, states);
            }
            return Ok(Run { end, place: self.packed(start, entry) });
        }
        let entry = u64::from_be_bytes(self.tables.entry(entry_at, "an entry of an L2 table")?);
        let at = entry & OFFSET_MASK;
        let place = if entry & COMPRESSED != 0 {
            self.packed(start, entry)
        } else if entry & ZERO != 0 {
            if header.version < 3 {
                let problem = format!("has a zero cluster at {start}, which version 2 does not know");
                return Err(self.tables.source().invalid(problem));
            }
            Place::Zero
        } else if at == 0 {
            Place::Below
        } else {
            self.aligned(at, "cluster")?;
            Place::At(at + (offset - start))
        };
        Ok(Run { end, place })
    }

    fn unpack(&self, packed: &Packed) -> Result<Vec<u8>> {
        let source = self.tables.source();
        let name = "a compressed cluster";
        if packed.at >= source.size() {
            // For its error.
            source.array::<1>(packed.at, name)?;
        }
        // The length is in whole sectors, and the file may end with the last cluster.
        let len = packed.len.min(source.size() - packed.at);
        let bytes = source.bytes(packed.at, len as usize, name)?;
        unpack(self.header.packing, &bytes, self.header.cluster_bytes() as usize).map_err(|problem| {
            source.invalid(format!("has damaged compressed bytes at {}: {problem}", packed.at))
        })
    }
}

impl Clusters {
    fn aligned(&self, at: u64, what: &str) -> Result<()> {
        if at.is_multiple_of(self.header.cluster_bytes()) {
            return Ok(());
        }
        let (source, cluster) = (self.tables.source(), self.header.cluster_bytes());
        Err(source.invalid(format!("has a {what} at {at}, which no cluster of {cluster} bytes begins at")))
    }

    fn packed(&self, unit: u64, entry: u64) -> Place {
        let offset_bits = 62 - (self.header.cluster_bits - 8);
        let at = entry & ((1 << offset_bits) - 1);
        let sectors = (entry & (COMPRESSED - 1)) >> offset_bits;
        Place::Packed(Packed { unit, at, len: (sectors + 1) * 512 - at % 512 })
    }

    /// The subcluster at `offset` and those after it that are in the same state.
    fn subclusters(&self, offset: u64, start: u64, entry: u64, states: u64) -> Result<Run> {
        let source = self.tables.source();
        let at = entry & OFFSET_MASK;
        let bytes = self.header.cluster_bytes() / SUBCLUSTERS;
        let state = |index: u64| (states >> index & 1 == 1, states >> (32 + index) & 1 == 1);
        let first = (offset - start) / bytes;
        let here = state(first);
        let place = match here {
            (true, true) => {
                return Err(source.invalid(format!("has a subcluster at {offset} both allocated and zero")));
            }
            (false, true) => Place::Zero,
            (false, false) => Place::Below,
            (true, false) if at == 0 => {
                return Err(source.invalid(format!("has a subcluster at {offset} allocated nowhere")));
            }
            (true, false) => {
                self.aligned(at, "cluster")?;
                Place::At(at + (offset - start))
            }
        };
        let last = (first..SUBCLUSTERS).take_while(|index| state(*index) == here).last().unwrap_or(first);
        Ok(Run { end: start + (last + 1) * bytes, place })
    }
}
