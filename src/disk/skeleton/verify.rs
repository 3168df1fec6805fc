//! Every claim on a content is compared with the content, byte by byte; what differs is residue.
//!
//! Contents are read in the order in which they were put, because that is how they are packed: each
//! frame is decoded once. The disk is read where the claims are. Two threads share the work.

use super::Claim;
use super::SECTOR_BYTES;
use super::fingerprint::Known;
use super::fingerprint::Table;
use crate::content::ContentSource;
use crate::disk::bytes::ReadAt;
use crate::error::Result;
use crate::error::from_stream;
use crate::id::ContentId;
use crate::progress::Progress;
use std::io;
use std::io::Read;

/// How much is compared at once.
const PIECE_BYTES: usize = 1 << 20;

/// The source hears of so many contents before the first of them is opened.
const AHEAD_CONTENTS: usize = 512;

/// Bytes of a content between two claims that are rather read than left out.
const READ_OVER_BYTES_MAX: u64 = 4 << 20;

/// Between two differences, so many equal bytes are worth a run of their own.
const EQUAL_BYTES_MIN: u64 = 4096;

const THREADS: usize = 2;

pub struct Verified {
    pub claims: Vec<Claim>,
    pub refuted_bytes: u64,
}

/// Returns the claims that hold; one that holds in parts becomes those parts.
pub fn verify(
    disk: &dyn ReadAt,
    claims: Vec<Claim>,
    table: &Table,
    source: &(dyn ContentSource + Sync),
    progress: &dyn Progress,
) -> Result<Verified> {
    let mut order: Vec<u32> = (0..claims.len() as u32).collect();
    order.retain(|at| !claims[*at as usize].is_zero());
    order.sort_unstable_by_key(|at| (claims[*at as usize].number, claims[*at as usize].offset));
    let by_content: Vec<&[u32]> =
        order.chunk_by(|one, two| claims[*one as usize].number == claims[*two as usize].number).collect();
    let work = Work { disk, claims: &claims, known: table.contents(), source, progress };
    let mut refuted = Vec::new();
    for batch in by_content.chunks(AHEAD_CONTENTS) {
        let ids: Vec<ContentId> = batch.iter().map(|of| work.known_of(of).id).collect();
        source.will_open(&ids)?;
        let (one, two) = batch.split_at(half(&claims, batch));
        std::thread::scope(|scope| {
            debug_assert_eq!(THREADS, 2);
            let other = (!two.is_empty()).then(|| scope.spawn(|| work.compare(two)));
            let mut found = work.compare(one)?;
            if let Some(other) = other {
                found.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
            }
            refuted.extend(found);
            Ok::<_, crate::error::Error>(())
        })?;
    }
    Ok(without(claims, refuted))
}

/// Where half of the bytes of a batch are reached.
fn half(claims: &[Claim], batch: &[&[u32]]) -> usize {
    let bytes = |of: &&[u32]| of.iter().map(|at| claims[*at as usize].len).sum::<u64>();
    let all: u64 = batch.iter().map(&bytes).sum();
    let mut so_far = 0;
    batch
        .iter()
        .position(|of| {
            so_far += bytes(of);
            so_far * 2 >= all
        })
        .map_or(batch.len(), |last| last + 1)
}

/// A claim, and what of it differs: parts of its run in order.
struct Refuted {
    claim: u32,
    parts: Vec<(u64, u64)>,
}

struct Work<'a> {
    disk: &'a dyn ReadAt,
    claims: &'a [Claim],
    known: &'a [Known],
    source: &'a (dyn ContentSource + Sync),
    progress: &'a dyn Progress,
}

impl Work<'_> {
    fn known_of(&self, claims: &[u32]) -> Known {
        self.known[self.claims[claims[0] as usize].number as usize]
    }

    fn compare(&self, batch: &[&[u32]]) -> Result<Vec<Refuted>> {
        let (mut here, mut there) = (vec![0; PIECE_BYTES], vec![0; PIECE_BYTES]);
        let mut refuted = Vec::new();
        for of in batch {
            let known = self.known_of(of);
            let mut content = Content { id: known.id, size: known.size, source: self.source, open: None };
            for at in *of {
                crate::progress::check(self.progress)?;
                let claim = self.claims[*at as usize];
                let mut parts = Vec::new();
                let mut done = 0;
                while done < claim.len {
                    let len = (claim.len - done).min(PIECE_BYTES as u64);
                    let (here, there) = (&mut here[..len as usize], &mut there[..len as usize]);
                    self.disk.read_at(claim.at + done, here)?;
                    content.read_at(claim.offset + done, there)?;
                    if here != there {
                        differences(here, there, done, &mut parts);
                    }
                    done += len;
                }
                if !parts.is_empty() {
                    refuted.push(Refuted { claim: *at, parts });
                }
            }
        }
        Ok(refuted)
    }
}

/// Adds the sectors that differ to `parts`, joined over short stretches that do not.
fn differences(here: &[u8], there: &[u8], start: u64, parts: &mut Vec<(u64, u64)>) {
    let sectors = here.chunks(SECTOR_BYTES).zip(there.chunks(SECTOR_BYTES));
    for (number, (here, there)) in sectors.enumerate() {
        if here == there {
            continue;
        }
        let from = start + (number * SECTOR_BYTES) as u64;
        let to = from + here.len() as u64;
        match parts.last_mut() {
            Some(last) if from - last.1 < EQUAL_BYTES_MIN => last.1 = to,
            _ => parts.push((from, to)),
        }
    }
}

/// A content that is read forwards.
struct Content<'a> {
    id: ContentId,
    size: u64,
    source: &'a (dyn ContentSource + Sync),
    open: Option<(u64, Box<dyn Read + 'a>)>,
}

impl Content<'_> {
    fn read_at(&mut self, offset: u64, into: &mut [u8]) -> Result<()> {
        let near = |at: u64| at <= offset && offset - at <= READ_OVER_BYTES_MAX;
        let broken = |err: io::Error| from_stream(format!("content {}", self.id), err);
        let (at, mut reader) = match self.open.take() {
            Some((at, reader)) if near(at) => (at, reader),
            _ => (offset, self.source.open(&self.id, offset, self.size.saturating_sub(offset))?),
        };
        io::copy(&mut (&mut reader).take(offset - at), &mut io::sink()).map_err(broken)?;
        reader.read_exact(into).map_err(broken)?;
        self.open = Some((offset + into.len() as u64, reader));
        Ok(())
    }
}

/// The claims without what was refuted.
fn without(claims: Vec<Claim>, mut refuted: Vec<Refuted>) -> Verified {
    if refuted.is_empty() {
        return Verified { claims, refuted_bytes: 0 };
    }
    refuted.sort_unstable_by_key(|refuted| refuted.claim);
    let mut refuted = refuted.into_iter().peekable();
    let mut kept = Vec::with_capacity(claims.len());
    let mut refuted_bytes = 0;
    for (number, claim) in claims.into_iter().enumerate() {
        let Some(Refuted { parts, .. }) = refuted.next_if(|refuted| refuted.claim as usize == number) else {
            kept.push(claim);
            continue;
        };
        let mut from = 0;
        for (start, end) in parts.into_iter().chain([(claim.len, claim.len)]) {
            refuted_bytes += end - start;
            // Where nothing else of a claim holds, too little is no gain; its end keeps its zeros.
            if start > from && (start == claim.len || start - from >= EQUAL_BYTES_MIN) {
                let pad = if start == claim.len { claim.pad } else { 0 };
                let run =
                    Claim { at: claim.at + from, offset: claim.offset + from, len: start - from, ..claim };
                kept.push(Claim { pad, ..run });
            }
            from = end;
        }
    }
    Verified { claims: kept, refuted_bytes }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that differ at these places, of so many; the runs that are left.
    fn check(len: usize, differ: &[usize], expected: &[(u64, u64)]) {
        let here = vec![1; len];
        let mut there = here.clone();
        differ.iter().for_each(|at| there[*at] = 2);
        let mut parts = Vec::new();
        differences(&here, &there, 0, &mut parts);
        let claim = Claim { at: 100, len: len as u64, offset: 7, number: 3, pad: 5 };
        let verified = without(vec![claim], vec![Refuted { claim: 0, parts }]);
        let runs: Vec<_> = verified.claims.iter().map(|run| (run.at - 100, run.len)).collect();
        assert_eq!(runs, expected);
        for run in &verified.claims {
            assert_eq!(run.offset - 7, run.at - 100);
            assert_eq!(run.pad, if run.at + run.len == claim.at + claim.len { 5 } else { 0 });
        }
    }

    #[test]
    fn what_differs_is_taken_out_by_the_sector() {
        check(20_000, &[0], &[(512, 19_488)]);
        check(20_000, &[19_999], &[(0, 19_968)]);
        check(20_000, &[5_000, 9_215], &[(0, 4_608), (9_216, 10_784)]);
        check(20_000, &[4_608, 9_216], &[(0, 4_608), (5_120, 4_096), (9_728, 10_272)]);
        check(20_000, &[1_000], &[(1_024, 18_976)]);
        check(300, &[299], &[]);
        check(1_000, &[0], &[(512, 488)]);
    }
}
