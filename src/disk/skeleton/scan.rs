//! One pass over the disk: what is zero, and which contents its blocks look like.
//!
//! The disk goes by in chunks. In each, hints come first; then every free block of the region's
//! grid is looked up, where going on with a run is better than beginning one and a longer run is
//! better than a shorter one; then every sector of what is left. All of it are guesses, which
//! [`super::verify`] compares with the bytes: so what lies between two parts of one run may be
//! claimed as well.

use super::BLOCK_BYTES;
use super::Claim;
use super::Hint;
use super::Region;
use super::SECTOR_BYTES;
use super::fingerprint::Piece;
use super::fingerprint::Table;
use super::is_zero;
use super::sha::Hashing;
use crate::disk::bytes::ReadAt;
use crate::error::Error;
use crate::error::Result;
use crate::progress::Progress;
use std::sync::Arc;

/// How much of the disk is looked at together; a multiple of a block.
const CHUNK_BYTES: u64 = 8 << 20;

/// Zeros that the disk knows of are left out of a chunk only from this length on.
const SKIPPED_ZEROS_MIN: u64 = 64 << 10;

/// What lies between two parts of a run belongs to it as well, up to this length.
const JOINED_BYTES_MAX: u64 = 64 << 10;

/// Claims beyond this are dropped, to bound the memory: 64 MB. A disk in more pieces than this has
/// more residue than it needs.
const CLAIMS_MAX: usize = 2 << 20;

const BLOCK: u64 = BLOCK_BYTES as u64;
const SECTOR: u64 = SECTOR_BYTES as u64;

/// Returns the claims in the order of the disk, none over another, and hashes all of it.
pub fn scan(
    disk: &dyn ReadAt,
    regions: &[Region],
    table: &Table,
    hints: &[Hint],
    hashing: &mut Hashing<'_>,
    progress: &dyn Progress,
) -> Result<Vec<Claim>> {
    let hints = in_order(hints, table, disk.size())?;
    let mut scan = Scan { table, hints: &hints, found: Found::default(), run: None };
    for region in cover(regions, disk.size()) {
        scan.run = None;
        let end = region.start + region.size;
        let mut at = region.start;
        while at < end {
            crate::progress::check(progress)?;
            let stretch = stretch(disk, at, region.start, end)?;
            let len = stretch.end - at;
            if stretch.zero {
                hashing.zeros(len);
                scan.found.push(Claim::zero(at, len));
                scan.run = None;
            } else {
                let mut bytes = hashing.buffer(len as usize);
                disk.read_at(at, &mut bytes)?;
                let bytes = Arc::new(bytes);
                hashing.bytes(&bytes, 0..bytes.len());
                scan.chunk(at, &bytes);
                hashing.done(bytes);
            }
            at = stretch.end;
        }
    }
    Ok(scan.found.claims)
}

/// The whole disk as regions: those given, cut where they overlap, and the gaps between them.
fn cover(regions: &[Region], size: u64) -> Vec<Region> {
    let mut given = regions.to_vec();
    given.sort_by_key(|region| region.start);
    let mut all = Vec::new();
    let mut at = 0;
    for region in given {
        let start = region.start.clamp(at, size);
        let end = region.start.saturating_add(region.size).min(size);
        if end <= start {
            continue;
        }
        if at < start {
            all.push(Region { start: at, size: start - at });
        }
        all.push(Region { start, size: end - start });
        at = end;
    }
    if at < size {
        all.push(Region { start: at, size: size - at });
    }
    all
}

/// Hints by their place on the disk, one for each byte. A hint that cannot be is a fault of whoever
/// gave it.
fn in_order(hints: &[Hint], table: &Table, size: u64) -> Result<Vec<Claim>> {
    let mut claims = Vec::with_capacity(hints.len());
    for hint in hints {
        let known = table.contents().get(hint.content as usize);
        let content_bytes = known.map_or(0, |known| known.size);
        let fits = |start: u64, end: u64| start.checked_add(hint.len).is_some_and(|reach| reach <= end);
        if known.is_none() || !fits(hint.disk_offset, size) || !fits(hint.file_offset, content_bytes) {
            return Err(Error::invalid(
                format!("extent of {} bytes at {} of the disk", hint.len, hint.disk_offset),
                format!(
                    "lies outside the disk of {size} bytes or, from byte {}, outside its content of {content_bytes}",
                    hint.file_offset
                ),
            ));
        }
        claims.push(Claim {
            at: hint.disk_offset,
            len: hint.len,
            offset: hint.file_offset,
            number: hint.content,
            pad: 0,
        });
    }
    claims.sort_by_key(|claim| claim.at);
    let mut free = 0;
    claims.retain_mut(|claim| {
        cut(claim, free, u64::MAX);
        free = free.max(claim.end());
        claim.len > 0
    });
    Ok(claims)
}

/// Leaves of a claim what lies between `from` and `to`.
fn cut(claim: &mut Claim, from: u64, to: u64) {
    let skip = from.saturating_sub(claim.at).min(claim.len);
    claim.at += skip;
    claim.offset += skip;
    claim.len = (claim.len - skip).min(to.saturating_sub(claim.at));
}

struct Stretch {
    end: u64,
    zero: bool,
}

/// What to look at next: a run of known zeros, or a chunk. Both end on the grid or with the region.
fn stretch(disk: &dyn ReadAt, at: u64, grid: u64, end: u64) -> Result<Stretch> {
    let known = |at: u64| -> Result<(u64, bool)> {
        let span = disk.span(at)?;
        // Whatever it says, go on.
        Ok((span.end.clamp(at + 1, end.max(at + 1)), span.zero))
    };
    let on_grid = |at: u64| at - (at - grid) % BLOCK;
    let zeros_end = |mut to: u64| -> Result<u64> {
        while to < end {
            match known(to)? {
                (next, true) => to = next,
                _ => break,
            }
        }
        Ok(if to == end { to } else { on_grid(to) })
    };
    let (mut to, zero) = known(at)?;
    if zero {
        let zeros = zeros_end(to)?;
        if zeros == end || zeros.saturating_sub(at) >= SKIPPED_ZEROS_MIN {
            return Ok(Stretch { end: zeros, zero: true });
        }
    }
    let chunk_end = end.min(at + CHUNK_BYTES);
    while to < chunk_end {
        let (next, zero) = known(to)?;
        if zero && zeros_end(next)?.saturating_sub(to) >= SKIPPED_ZEROS_MIN + BLOCK {
            break;
        }
        to = next;
    }
    let whole = grid + (to - grid).div_ceil(BLOCK) * BLOCK;
    Ok(Stretch { end: whole.min(chunk_end), zero: false })
}

/// All claims so far.
#[derive(Default)]
struct Found {
    claims: Vec<Claim>,
    /// The last claim on a content.
    last: Option<usize>,
}

impl Found {
    /// Takes the next claim; joins it with those before where they are one.
    fn push(&mut self, claim: Claim) {
        if claim.is_zero() {
            match self.claims.last_mut() {
                Some(before) if before.is_zero() && before.end() == claim.at => before.len += claim.len,
                _ => drop(self.add(claim)),
            }
            return;
        }
        if let Some(last) = self.last {
            let before = self.claims[last];
            let on = claim.at - before.at;
            let between = claim.at - (before.at + before.len);
            let fits = before.number == claim.number && before.offset + on == claim.offset;
            if fits && (between <= JOINED_BYTES_MAX) {
                self.claims.truncate(last + 1);
                let joined = &mut self.claims[last];
                joined.len = on + claim.len;
                joined.pad = claim.pad;
                return;
            }
        }
        if self.add(claim) {
            self.last = Some(self.claims.len() - 1);
        }
    }

    fn add(&mut self, claim: Claim) -> bool {
        let room = self.claims.len() < CLAIMS_MAX;
        if room {
            self.claims.push(claim);
        }
        room
    }
}

/// A run that may go on at block `next` of the content, expected at the next free block of the disk.
#[derive(Clone, Copy)]
struct Run {
    piece: Piece,
    /// Where the rows of the piece end.
    rows_end: u32,
    next: u64,
    /// On the disk.
    at: u64,
}

struct Scan<'a> {
    table: &'a Table,
    /// Those that are still to come.
    hints: &'a [Claim],
    found: Found,
    run: Option<Run>,
}

/// One block of the grid, or what the region's end leaves of it.
#[derive(Clone, Copy)]
struct Cell {
    print: u64,
    free: bool,
}

/// The chunk being looked at.
struct Chunk<'a> {
    at: u64,
    bytes: &'a [u8],
    cells: Vec<Cell>,
    claims: Vec<Claim>,
}

/// A run that nobody has claimed.
#[derive(Clone, Copy)]
struct Gap {
    from: u64,
    to: u64,
    /// Zeros up to here may be what fills the last block of something in the gap.
    seen: u64,
}

impl Chunk<'_> {
    fn end(&self) -> u64 {
        self.at + self.bytes.len() as u64
    }

    fn bytes(&self, from: u64, to: u64) -> &[u8] {
        &self.bytes[(from - self.at) as usize..(to - self.at) as usize]
    }

    fn cell_at(&self, cell: usize) -> u64 {
        self.at + cell as u64 * BLOCK
    }

    fn cell_bytes(&self, cell: usize) -> &[u8] {
        let start = self.cell_at(cell);
        self.bytes(start, (start + BLOCK).min(self.end()))
    }

    fn claim_zero(&mut self, from: u64, to: u64) {
        self.claims.push(Claim::zero(from, to - from));
    }

    /// Claims a run of a content with the zeros that fill its last block, no further than `limit`.
    /// Returns where that ends.
    fn claim(&mut self, mut claim: Claim, limit: u64) -> u64 {
        /// What file systems have as blocks, and a sector.
        const FILLED: [u64; 3] = [BLOCK, 1024, SECTOR];
        let from = claim.at + claim.len;
        let ends = FILLED.map(|block| claim.at + claim.len.next_multiple_of(block));
        let filled = ends.iter().find(|end| **end <= limit && is_zero(self.bytes(from, **end)));
        claim.pad = filled.map_or(0, |end| end - from) as u16;
        self.claims.push(claim);
        claim.end()
    }

    /// What nobody has claimed. Puts the claims in order.
    fn gaps(&mut self) -> Vec<Gap> {
        self.claims.sort_unstable_by_key(|claim| claim.at);
        let mut gaps = Vec::new();
        let mut from = self.at;
        for claim in &self.claims {
            if from < claim.at {
                let seen = if claim.is_zero() { claim.len.min(BLOCK - 1) } else { 0 };
                gaps.push(Gap { from, to: claim.at, seen: claim.at + seen });
            }
            from = claim.end();
        }
        if from < self.end() {
            gaps.push(Gap { from, to: self.end(), seen: self.end() });
        }
        gaps
    }
}

impl Scan<'_> {
    fn chunk(&mut self, at: u64, bytes: &[u8]) {
        let cells = vec![Cell { print: 0, free: true }; bytes.len().div_ceil(BLOCK_BYTES)];
        let mut chunk = Chunk { at, bytes, cells, claims: Vec::new() };
        self.take_hints(&mut chunk);
        self.on_grid(&mut chunk);
        for gap in chunk.gaps() {
            self.off_grid(&mut chunk, gap);
        }
        chunk.claims.sort_unstable_by_key(|claim| claim.at);
        for claim in chunk.claims {
            self.found.push(claim);
        }
    }

    fn take_hints(&mut self, chunk: &mut Chunk) {
        let end = chunk.end();
        while let Some((hint, later)) = self.hints.split_first() {
            if hint.at >= end {
                break;
            }
            let mut claim = *hint;
            // What began in known zeros is not claimed there.
            cut(&mut claim, chunk.at, end);
            if claim.len > 0 {
                let next = later.first().map_or(end, |next| next.at.min(end));
                let whole = hint.at + hint.len <= end;
                let claimed_to = chunk.claim(claim, if whole { next } else { 0 });
                let from = ((claim.at - chunk.at) / BLOCK) as usize;
                let to = (claimed_to - chunk.at).div_ceil(BLOCK) as usize;
                chunk.cells[from..to].iter_mut().for_each(|cell| cell.free = false);
            }
            if hint.at + hint.len > end {
                break;
            }
            self.hints = later;
        }
    }

    /// The first pass: every block of the grid.
    fn on_grid(&mut self, chunk: &mut Chunk) {
        let mut last = [0; BLOCK_BYTES];
        for number in 0..chunk.cells.len() {
            if !chunk.cells[number].free {
                continue;
            }
            let bytes = chunk.cell_bytes(number);
            chunk.cells[number].print = if bytes.len() == BLOCK_BYTES {
                self.table.print(bytes)
            } else {
                last[..bytes.len()].copy_from_slice(bytes);
                self.table.print(&last)
            };
        }
        for number in 0..chunk.cells.len() {
            let Cell { print, free } = chunk.cells[number];
            let at = chunk.cell_at(number);
            if !free {
                self.run = None;
                continue;
            }
            self.run = self.run.filter(|run| run.at == at);
            let goes_on = self.run.and_then(|run| self.goes_on(run, print));
            if print == 0 {
                let to = (at + BLOCK).min(chunk.end());
                chunk.claim_zero(at, to);
                chunk.cells[number].free = false;
                self.run = goes_on.map(|run| Run { next: run.next + 1, at: at + BLOCK, ..run });
                continue;
            }
            if goes_on.is_some() {
                self.claim_cell(chunk, number, goes_on);
                continue;
            }
            match self.begin(chunk, number) {
                Some(run) => {
                    self.claim_before(chunk, number, &run);
                    self.claim_cell(chunk, number, Some(run));
                }
                None => {
                    // The last block of a file, where what follows the file is not zero.
                    let tail = self.run.filter(|run| {
                        let size = self.table.contents()[run.piece.content as usize].size;
                        run.piece.stride == 1 && run.next == size / BLOCK && !size.is_multiple_of(BLOCK)
                    });
                    self.claim_cell(chunk, number, tail);
                    self.run = None;
                }
            }
        }
    }

    /// Whether the run goes on with a block of this print; where only samples are known, until the
    /// next of them it does.
    fn goes_on(&self, run: Run, print: u64) -> Option<Run> {
        let on = run.next - run.piece.block;
        let stride = u64::from(run.piece.stride);
        let row = u64::from(run.piece.at) + on / stride;
        if row >= u64::from(run.rows_end) || run.next * BLOCK >= self.size(run.piece.content) {
            return None;
        }
        let as_known = !on.is_multiple_of(stride) || self.table.print_of(row as u32) == print;
        as_known.then_some(run)
    }

    fn size(&self, content: u32) -> u64 {
        self.table.contents()[content as usize].size
    }

    /// Claims the cell for the block that the run has next.
    fn claim_cell(&mut self, chunk: &mut Chunk, cell: usize, run: Option<Run>) {
        let Some(run) = run else { return };
        let at = chunk.cell_at(cell);
        let end = (at + BLOCK).min(chunk.end());
        let offset = run.next * BLOCK;
        let len = (end - at).min(self.size(run.piece.content) - offset);
        chunk.claim(Claim { at, len, offset, number: run.piece.content, pad: 0 }, end);
        chunk.cells[cell].free = false;
        self.run = Some(Run { next: run.next + 1, at: at + BLOCK, ..run });
    }

    /// Where only samples are known: what the run has before the one that was found.
    fn claim_before(&mut self, chunk: &mut Chunk, cell: usize, run: &Run) {
        for back in 1..u64::from(run.piece.stride).min(run.next + 1) as usize {
            let Some(cell) = cell.checked_sub(back) else { break };
            if !chunk.cells[cell].free {
                break;
            }
            self.claim_cell(chunk, cell, Some(Run { next: run.next - back as u64, ..*run }));
        }
    }

    /// The candidate with the longest run from this cell on, the first of several.
    fn begin(&self, chunk: &Chunk, cell: usize) -> Option<Run> {
        let follow = |row: u32, stride: u32, step: u32| -> Option<bool> {
            let next = chunk.cells.get(cell + (step * stride) as usize)?;
            Some(next.free && next.print == self.table.print_of(row + step))
        };
        self.longest(chunk.cells[cell].print, chunk.cell_at(cell), &mut |piece, row, rows_end| {
            (1..rows_end - row).take_while(|step| follow(row, piece.stride, *step) == Some(true)).count()
        })
    }

    fn longest(
        &self,
        print: u64,
        at: u64,
        follows: &mut dyn FnMut(&Piece, u32, u32) -> usize,
    ) -> Option<Run> {
        let mut best: Option<(usize, Run)> = None;
        for row in self.table.find(print) {
            let (piece, rows_end) = self.table.piece(row);
            let next = piece.block + u64::from(row - piece.at) * u64::from(piece.stride);
            let follows = follows(&piece, row, rows_end);
            if best.is_none_or(|(longest, _)| follows > longest) {
                best = Some((follows, Run { piece, rows_end, next, at }));
            }
        }
        best.map(|(_, run)| run)
    }

    /// The second pass: every sector of a gap that can begin a block.
    fn off_grid(&self, chunk: &mut Chunk, gap: Gap) {
        let mut at = gap.from.next_multiple_of(SECTOR);
        while at < gap.to && at + BLOCK <= gap.seen {
            let print = self.table.print(chunk.bytes(at, at + BLOCK));
            let Some(run) = self.begin_off_grid(chunk, print, at, gap) else {
                at += SECTOR;
                continue;
            };
            let (mut end, mut next) = (at, run);
            while end < gap.to && end + BLOCK <= gap.seen {
                let print = self.table.print(chunk.bytes(end, end + BLOCK));
                let Some(run) = self.goes_on(next, print) else { break };
                next.next = run.next + 1;
                end += BLOCK;
            }
            let offset = run.next * BLOCK;
            let len = (end.min(gap.to) - at).min(self.size(run.piece.content) - offset);
            chunk.claim(Claim { at, len, offset, number: run.piece.content, pad: 0 }, gap.to);
            at = end;
        }
    }

    fn begin_off_grid(&self, chunk: &Chunk, print: u64, at: u64, gap: Gap) -> Option<Run> {
        // The prints of the blocks that follow, as far as a candidate has asked for them.
        let mut prints = Vec::new();
        self.longest(print, at, &mut |piece, row, rows_end| {
            let mut follows = 0;
            for step in 1..rows_end - row {
                let blocks = (step * piece.stride) as usize;
                while prints.len() < blocks {
                    let start = at + (prints.len() as u64 + 1) * BLOCK;
                    if start >= gap.to || start + BLOCK > gap.seen {
                        return follows;
                    }
                    prints.push(self.table.print(chunk.bytes(start, start + BLOCK)));
                }
                if prints[blocks - 1] != self.table.print_of(row + step) {
                    return follows;
                }
                follows += 1;
            }
            follows
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_cover_the_disk_once() {
        let region = |start, size| Region { start, size };
        let given = [region(50, 20), region(10, 20), region(25, 10), region(26, 2), region(90, u64::MAX)];
        let all = cover(&given, 100);
        let expected = [(0, 10), (10, 20), (30, 5), (35, 15), (50, 20), (70, 20), (90, 10)];
        assert_eq!(all, expected.map(|(start, size)| region(start, size)));
        assert_eq!(cover(&[], 7), [region(0, 7)]);
        assert_eq!(cover(&[region(9, 5)], 0), []);
    }
}
