//! The allocation table: which cluster follows which.

use crate::disk::bytes::ReadAt;
use crate::disk::files::Extent;
use crate::disk::native::cache::Cache;
use crate::disk::native::content::push;
use crate::disk::native::fat::boot::Boot;
use crate::disk::native::fat::boot::FIRST_CLUSTER;
use crate::disk::native::fat::boot::Width;
use crate::disk::native::field::u16_at;
use crate::disk::native::field::u32_at;
use crate::error::Error;
use crate::error::Result;

/// Runs of one file: 4 GiB in the smallest clusters may have twice as many.
const EXTENTS_MAX: usize = 4 << 20;

/// Counting takes 0.1 s for as many.
const COUNTED_CLUSTERS_MAX: u32 = 4 << 20;
const INFO_BYTES: usize = 512;
const INFO_AT: usize = 484;
/// `RRaA` and `rrAa`, which mark the sector and the numbers in it.
const INFO_MAGIC: (u32, u32) = (0x4161_5252, 0x6141_7272);

pub struct Chains<'a> {
    boot: &'a Boot,
    cache: Cache<'a>,
    /// A bit for each cluster that is in some chain: none may be in two, nor twice in one.
    taken: Vec<u64>,
}

impl<'a> Chains<'a> {
    pub fn new(disk: &'a dyn ReadAt, boot: &'a Boot) -> Chains<'a> {
        let taken = vec![0; (boot.clusters as usize).div_ceil(64)];
        Chains { boot, cache: Cache::new(disk), taken }
    }

    /// Appends the runs of the chain from `first` on, up to `clusters` of them or to its end.
    ///
    /// A cluster that some chain already has is refused, so a loop ends at once.
    pub fn read(
        &mut self,
        first: u32,
        clusters: u64,
        thing: &dyn Fn() -> String,
        extents: &mut Vec<Extent>,
    ) -> Result<u64> {
        let (mut at, mut count) = (first, 0);
        while count < clusters {
            let device_offset = self.boot.offset(at, thing)?;
            let place = (at - FIRST_CLUSTER) as usize;
            let (word, bit) = (&mut self.taken[place / 64], 1 << (place % 64));
            if *word & bit != 0 {
                return Err(Error::invalid(thing(), format!("cluster {at} is in use twice")));
            }
            *word |= bit;
            if extents.len() == EXTENTS_MAX {
                return Err(Error::Limit { thing: thing(), limit: EXTENTS_MAX as u64, unit: "runs" });
            }
            let len = self.boot.cluster_size;
            push(extents, Extent { file_offset: count * len, device_offset, len });
            count += 1;
            match self.next(at)? {
                Some(0) => return Err(Error::invalid(thing(), format!("cluster {at} leads to a free one"))),
                Some(next) => at = next,
                None => break,
            }
        }
        Ok(count)
    }

    /// The table's entry for a cluster; `None` at the end of a chain.
    fn next(&mut self, cluster: u32) -> Result<Option<u32>> {
        let mut bytes = [0; 4];
        let (number, end) = match self.boot.width {
            Width::Fat12 => {
                let at = u64::from(cluster) * 3 / 2;
                self.cache.read(self.boot.table_start + at, &mut bytes[..2])?;
                let pair = u16_at(&bytes, 0);
                (u32::from(if cluster % 2 == 1 { pair >> 4 } else { pair & 0xfff }), 0xff7)
            }
            Width::Fat16 => {
                self.cache.read(self.boot.table_start + u64::from(cluster) * 2, &mut bytes[..2])?;
                (u32::from(u16_at(&bytes, 0)), 0xfff7)
            }
            Width::Fat32 => {
                self.cache.read(self.boot.table_start + u64::from(cluster) * 4, &mut bytes)?;
                (u32_at(&bytes, 0) & 0x0fff_ffff, 0x0fff_fff7)
            }
        };
        Ok((number < end).then_some(number))
    }

    /// How many clusters are not free: counted, or in a large file system what it says itself.
    pub fn used(&mut self) -> Result<u64> {
        if self.boot.clusters > COUNTED_CLUSTERS_MAX {
            return Ok(u64::from(self.boot.clusters - self.said_free()?));
        }
        let mut used = 0;
        for cluster in FIRST_CLUSTER..FIRST_CLUSTER + self.boot.clusters {
            used += u64::from(self.next(cluster)? != Some(0));
        }
        Ok(used)
    }

    /// 0 where nothing credible is said.
    fn said_free(&mut self) -> Result<u32> {
        let Some(start) = self.boot.info_start else { return Ok(0) };
        let mut bytes = [0; INFO_BYTES];
        self.cache.read(start, &mut bytes)?;
        let is_info = (u32_at(&bytes, 0), u32_at(&bytes, INFO_AT)) == INFO_MAGIC;
        let free = u32_at(&bytes, INFO_AT + 4);
        Ok(if is_info && free <= self.boot.clusters { free } else { 0 })
    }
}
