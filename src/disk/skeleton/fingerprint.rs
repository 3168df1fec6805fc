//! Fingerprints: a short hash of every block of every content, made while contents are put.
//!
//! About 3.5 MB for each GB of content. Beyond `STRIDES` not every block is kept any more, so
//! that memory is bounded whatever the size of a disk; a run is then found by its samples, and the
//! comparison with the bytes decides what lies between them.

use super::BLOCK_BYTES;
use super::is_zero;
use crate::error::Error;
use crate::error::Result;
use crate::id::ContentId;
use std::collections::HashMap;
use std::io;
use std::io::Read;

/// Up to so many rows, one block in so many is kept: 24 GiB of contents block by block, 64 GiB more
/// by every eighth, and so on. A row costs 14 bytes.
const STRIDES: &[(usize, u32)] = &[(6 << 20, 1), (8 << 20, 8), (10 << 20, 64), (16 << 20, 512)];

/// A hole of so many blocks ends a piece: it costs no rows.
const HOLE_BLOCKS: u64 = 16;

/// Equal blocks beyond this are not looked at: the first of them do as well.
const CANDIDATES_MAX: usize = 8;

/// How far a row may stand from its slot: hostile blocks can make rows crowd.
const PROBES_MAX: usize = 64;

const EMPTY: u32 = u32::MAX;

/// A hash of one whole block. Equal hashes are a guess, never a proof.
pub type Hash = fn(&[u8]) -> u64;

/// The contents of a disk while they are put, by their blocks.
#[derive(Debug)]
pub struct Fingerprints {
    hash: Hash,
    strides: &'static [(usize, u32)],
    rows: Rows,
    contents: Vec<Known>,
    numbers: HashMap<ContentId, u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    pub id: ContentId,
    pub size: u64,
}

/// Prints of blocks in a row of one content; 0 stands for a block of zeros.
#[derive(Debug, Default)]
struct Rows {
    prints: Vec<u64>,
    pieces: Vec<Piece>,
}

/// Rows that follow each other, from `at` on, and the blocks they are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub content: u32,
    /// From one row to the next.
    pub stride: u32,
    /// The block of the first row.
    pub block: u64,
    pub at: u32,
}

impl Default for Fingerprints {
    fn default() -> Fingerprints {
        Fingerprints::new(xxhash_rust::xxh3::xxh3_64)
    }
}

impl Fingerprints {
    pub fn new(hash: Hash) -> Fingerprints {
        Fingerprints::sampled(hash, STRIDES)
    }

    /// `strides` in the place of [`STRIDES`].
    pub(super) fn sampled(hash: Hash, strides: &'static [(usize, u32)]) -> Fingerprints {
        let (rows, contents, numbers) = Default::default();
        Fingerprints { hash, strides, rows, contents, numbers }
    }

    /// Takes fingerprints of what is read through it; [`Tee::keep`] when the content has its id.
    pub fn tee<'a>(&'a mut self, from: &'a mut dyn Read) -> Tee<'a> {
        let (pieces, prints) = (self.rows.pieces.len(), self.rows.prints.len());
        Tee {
            to: self,
            from,
            block: Vec::with_capacity(BLOCK_BYTES),
            blocks: 0,
            bytes: 0,
            zeros: 0,
            begun: false,
            pieces,
            prints,
        }
    }

    /// Numbers a content of which only hints tell where it is.
    pub fn note(&mut self, id: ContentId, size: u64) -> Result<u32> {
        if let Some(number) = self.numbers.get(&id) {
            return Ok(*number);
        }
        let number = self.next_number()?;
        self.contents.push(Known { id, size });
        self.numbers.insert(id, number);
        Ok(number)
    }

    fn next_number(&self) -> Result<u32> {
        let number = u32::try_from(self.contents.len()).ok().filter(|number| *number < EMPTY);
        number.ok_or_else(|| Error::Limit {
            thing: "number of contents of a disk".to_owned(),
            limit: u64::from(EMPTY),
            unit: "contents",
        })
    }

    /// Makes them findable.
    pub fn finish(self) -> Table {
        let Fingerprints { hash, rows: Rows { mut prints, mut pieces }, mut contents, .. } = self;
        prints.shrink_to_fit();
        pieces.shrink_to_fit();
        contents.shrink_to_fit();
        let slots = vec![EMPTY; prints.len() + prints.len() / 2 + 1];
        let mut table = Table { hash, prints, pieces, contents, slots };
        for row in 0..table.prints.len() {
            table.insert(row as u32);
        }
        table
    }
}

/// A content on its way into a sink.
pub struct Tee<'a> {
    to: &'a mut Fingerprints,
    from: &'a mut dyn Read,
    /// The bytes of a block that has not ended.
    block: Vec<u8>,
    blocks: u64,
    bytes: u64,
    /// Sampled blocks of zeros that have no row yet: those at an end get none.
    zeros: u64,
    /// A piece of this content can go on.
    begun: bool,
    /// What there was before.
    pieces: usize,
    prints: usize,
}

impl Tee<'_> {
    /// Returns the content's number. A content that was kept before is kept once.
    pub fn keep(mut self, id: ContentId) -> Result<u32> {
        if let Some(number) = self.to.numbers.get(&id) {
            return Ok(*number);
        }
        if !self.block.is_empty() {
            let mut block = std::mem::take(&mut self.block);
            block.resize(BLOCK_BYTES, 0);
            self.add(&block);
        }
        let number = self.to.note(id, self.bytes)?;
        // What is to stay is no longer to be taken back.
        (self.pieces, self.prints) = (self.to.rows.pieces.len(), self.to.rows.prints.len());
        Ok(number)
    }

    fn take(&mut self, mut bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        if !self.block.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(BLOCK_BYTES - self.block.len()));
            self.block.extend_from_slice(now);
            bytes = later;
            if self.block.len() == BLOCK_BYTES {
                let mut block = std::mem::take(&mut self.block);
                self.add(&block);
                block.clear();
                self.block = block;
            }
        }
        let mut blocks = bytes.chunks_exact(BLOCK_BYTES);
        for block in &mut blocks {
            self.add(block);
        }
        self.block.extend_from_slice(blocks.remainder());
    }

    fn add(&mut self, block: &[u8]) {
        let number = self.blocks;
        self.blocks += 1;
        let rows = &mut self.to.rows;
        let Some((_, stride)) = self.to.strides.iter().find(|(rows_max, _)| rows.prints.len() < *rows_max)
        else {
            return;
        };
        if !number.is_multiple_of(u64::from(*stride)) {
            return;
        }
        let print = print(self.to.hash, block);
        if print == 0 {
            self.zeros += 1;
            return;
        }
        let goes_on = rows.pieces.last().is_some_and(|piece| self.begun && piece.stride == *stride);
        if goes_on && self.zeros < HOLE_BLOCKS {
            rows.prints.extend((0..self.zeros).map(|_| 0));
        } else {
            rows.pieces.push(Piece {
                content: self.to.contents.len() as u32,
                stride: *stride,
                block: number,
                at: rows.prints.len() as u32,
            });
            self.begun = true;
        }
        self.zeros = 0;
        rows.prints.push(print);
    }
}

impl Read for Tee<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(buffer)?;
        self.take(&buffer[..count]);
        Ok(count)
    }
}

impl Drop for Tee<'_> {
    /// A content that was not kept leaves no rows.
    fn drop(&mut self) {
        self.to.rows.pieces.truncate(self.pieces);
        self.to.rows.prints.truncate(self.prints);
    }
}

/// The print of a block: 0 for zeros, and for nothing else.
fn print(hash: Hash, block: &[u8]) -> u64 {
    if is_zero(block) { 0 } else { hash(block).max(1) }
}

/// All blocks of all contents, by their prints.
#[derive(Debug)]
pub struct Table {
    hash: Hash,
    prints: Vec<u64>,
    pieces: Vec<Piece>,
    contents: Vec<Known>,
    /// Rows, each at or after the place that its print gives; open addressing.
    slots: Vec<u32>,
}

impl Table {
    /// The contents by their numbers.
    pub fn contents(&self) -> &[Known] {
        &self.contents
    }

    /// In memory, in bytes.
    pub fn footprint(&self) -> usize {
        self.prints.len() * 8
            + self.slots.len() * 4
            + self.pieces.len() * size_of::<Piece>()
            + self.contents.len() * size_of::<Known>()
    }

    pub(super) fn print(&self, block: &[u8]) -> u64 {
        print(self.hash, block)
    }

    /// The rows with this print, at most [`CANDIDATES_MAX`].
    pub(super) fn find(&self, print: u64) -> impl Iterator<Item = u32> + '_ {
        self.probe(print)
            .map(|slot| self.slots[slot])
            .take_while(|row| *row != EMPTY)
            .filter(move |row| self.prints[*row as usize] == print)
            .take(CANDIDATES_MAX)
    }

    pub(super) fn print_of(&self, row: u32) -> u64 {
        self.prints[row as usize]
    }

    /// The piece of a row, and the row where it ends.
    pub(super) fn piece(&self, row: u32) -> (Piece, u32) {
        let after = self.pieces.partition_point(|piece| piece.at <= row);
        let end = self.pieces.get(after).map_or(self.prints.len() as u32, |piece| piece.at);
        (self.pieces[after - 1], end)
    }

    fn probe(&self, print: u64) -> impl Iterator<Item = usize> + use<> {
        let slots = self.slots.len();
        // The high bits of the product: any number of slots will do.
        let home = ((u128::from(print) * slots as u128) >> 64) as usize;
        (0..PROBES_MAX.min(slots)).map(move |step| (home + step) % slots)
    }

    fn insert(&mut self, row: u32) {
        let print = self.prints[row as usize];
        if print == 0 {
            return;
        }
        let mut equal = 0;
        for slot in self.probe(print) {
            match self.slots[slot] {
                EMPTY => {
                    self.slots[slot] = row;
                    return;
                }
                other => equal += usize::from(self.prints[other as usize] == print),
            }
            if equal == CANDIDATES_MAX {
                return;
            }
        }
    }
}
