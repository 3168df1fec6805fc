//! What all formats but raw are: a map from the guest's bytes to places in a file.
//!
//! A format implements [`Map`]; reading, merging neighbours, unpacking and holes are here, once.

use crate::disk::bytes::ReadAt;
use crate::disk::bytes::Span;
use crate::disk::bytes::check;
use crate::disk::format::cache::Cache;
use crate::disk::format::source::Source;
use crate::error::Error;
use crate::error::Result;
use std::sync::Arc;

/// A run of the guest's bytes that are all had the same way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Where it ends, as the guest counts; above the offset it was asked for.
    pub end: u64,
    pub place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Nowhere: they are zero.
    Zero,
    /// In the file, from this offset on.
    At(u64),
    /// In a unit that is compressed as a whole.
    Packed(Packed),
    /// In the backing file at the offset they have here; zero where there is none, or beyond its end.
    Below,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packed {
    /// Where the unit starts, as the guest counts.
    pub unit: u64,
    /// Where its compressed bytes start in the file, and how many there may be.
    pub at: u64,
    pub len: u64,
}

/// Where a format keeps the bytes of the guest.
pub trait Map: Send + Sync {
    /// Do writers leave out the zeros at the end of the last unit in the file?
    const LAST_MAY_BE_CUT: bool = false;

    /// The run that the guest's `offset` (below the disk's size) is in, from there on.
    fn run(&self, offset: u64) -> Result<Run>;

    /// All bytes of a unit that [`Map::run`] found to be packed.
    fn unpack(&self, packed: &Packed) -> Result<Vec<u8>> {
        let unit = packed.unit;
        Err(Error::invalid("compressed unit", format!("{unit} in a format that has none")))
    }
}

/// Steps of [`Map::run`] that one answer may take: it is to be cheap, whatever the tables say.
const MERGED_RUNS_MAX: usize = 1_024;
/// What is kept of unpacked units, whatever their size.
const UNPACKED_BYTES_MAX: u64 = 16 << 20;

pub struct Mapped<M> {
    map: M,
    source: Source,
    below: Option<Arc<dyn ReadAt>>,
    size: u64,
    unit: u64,
    unpacked: Cache<Vec<u8>>,
}

impl<M: Map> Mapped<M> {
    /// `unit` is the cluster, block or grain of the format in bytes, `size` the guest's disk.
    pub fn new(map: M, source: Source, size: u64, unit: u64, below: Option<Arc<dyn ReadAt>>) -> Mapped<M> {
        let unit = unit.max(1);
        let units = (UNPACKED_BYTES_MAX / unit).clamp(2, 1 << 10) as usize;
        Mapped { map, source, below, size, unit, unpacked: Cache::new(units) }
    }

    /// The run at `offset` with those that go on where it ends, up to `limit` or a little beyond.
    fn merged(&self, offset: u64, limit: u64) -> Result<Run> {
        let mut run = self.map.run(offset)?;
        for _ in 0..MERGED_RUNS_MAX {
            debug_assert!(run.end > offset, "a run has a length");
            if run.end >= limit {
                break;
            }
            let next = self.map.run(run.end)?;
            let goes_on = match (run.place, next.place) {
                (Place::Zero, Place::Zero) | (Place::Below, Place::Below) => true,
                (Place::At(here), Place::At(there)) => here.checked_add(run.end - offset) == Some(there),
                _ => false,
            };
            if !goes_on {
                break;
            }
            run.end = next.end;
        }
        run.end = run.end.min(self.size);
        Ok(run)
    }

    fn read_run(&self, offset: u64, run: &Run, buffer: &mut [u8]) -> Result<()> {
        match run.place {
            Place::Zero => buffer.fill(0),
            Place::At(at) => self.read_file(at, buffer)?,
            Place::Packed(packed) => {
                let unit = self.unpacked.get(packed.unit, || Ok(Arc::new(self.map.unpack(&packed)?)))?;
                let inside = (offset - packed.unit) as usize;
                let bytes = unit.get(inside..).and_then(|rest| rest.get(..buffer.len()));
                buffer.copy_from_slice(bytes.ok_or_else(|| {
                    let (found, want) = (unit.len(), inside + buffer.len());
                    self.source.invalid(format!("has {found} bytes compressed at {}, not {want}", packed.at))
                })?);
            }
            Place::Below => {
                let size = self.below.as_ref().map_or(0, |below| below.size());
                let there = size.saturating_sub(offset).min(buffer.len() as u64) as usize;
                let (inside, beyond) = buffer.split_at_mut(there);
                beyond.fill(0);
                if let Some(below) = self.below.as_ref().filter(|_| there > 0) {
                    below.read_at(offset, inside)?;
                }
            }
        }
        Ok(())
    }

    /// Reads from the file, beyond whose end lies nothing but what may be cut off the last unit.
    fn read_file(&self, at: u64, buffer: &mut [u8]) -> Result<()> {
        let size = self.source.size();
        let there = size.saturating_sub(at).min(buffer.len() as u64) as usize;
        let (inside, beyond) = buffer.split_at_mut(there);
        if !beyond.is_empty() {
            let end = at.checked_add((there + beyond.len()) as u64);
            let padded = match M::LAST_MAY_BE_CUT {
                true => size.checked_next_multiple_of(self.unit).unwrap_or(u64::MAX),
                false => size,
            };
            if end.is_none_or(|end| end > padded) {
                return Err(self.source.invalid(format!(
                    "data at {at} lies beyond the end of the file, {size}: is it cut off?"
                )));
            }
            beyond.fill(0);
        }
        if inside.is_empty() { Ok(()) } else { self.source.file.read_at(at, inside) }
    }
}

impl<M: Map> ReadAt for Mapped<M> {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, mut offset: u64, mut buffer: &mut [u8]) -> Result<()> {
        check(self, offset, buffer)?;
        while !buffer.is_empty() {
            let run = self.merged(offset, offset + buffer.len() as u64)?;
            let count = (buffer.len() as u64).min(run.end - offset) as usize;
            let (now, later) = buffer.split_at_mut(count);
            self.read_run(offset, &run, now)?;
            offset = run.end;
            buffer = later;
        }
        Ok(())
    }

    fn span(&self, offset: u64) -> Result<Span> {
        if offset >= self.size {
            return Ok(Span { end: self.size, zero: false });
        }
        let run = self.merged(offset, self.size)?;
        match run.place {
            Place::Zero => Ok(Span { end: run.end, zero: true }),
            Place::Packed(_) => Ok(Span { end: run.end, zero: false }),
            // The file has holes of its own: clusters that were set aside and never written.
            Place::At(at) if at < self.source.size() => {
                let span = self.source.file.span(at)?;
                Ok(Span { end: run.end.min(offset.saturating_add(span.end - at)), zero: span.zero })
            }
            Place::At(_) => Ok(Span { end: run.end, zero: false }),
            Place::Below => match &self.below {
                Some(below) if offset < below.size() => {
                    let span = below.span(offset)?;
                    Ok(Span { end: run.end.min(span.end), zero: span.zero })
                }
                _ => Ok(Span { end: run.end, zero: true }),
            },
        }
    }
}
