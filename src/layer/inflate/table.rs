//! From the lengths of a Huffman code to a table that is asked with the next bits of the stream.
//!
//! The first table is chosen from by the first bits of a code. A longer code finds a link there, to
//! a table that the rest of it chooses from. What zlib refuses is refused: more codes than fit, and
//! fewer than could be, but for a single code of one bit and for none at all.

use super::entry::Entry;

/// RFC 1951, 3.2.7: no code is longer.
const CODE_BITS_MAX: usize = 15;
const SYMBOLS_MAX: usize = 288;

/// `2^ROOT` entries, and room for all that links lead to.
#[derive(Debug)]
pub struct Table<const ROOT: u32, const LEN: usize>([Entry; LEN]);

/// Of literals, lengths and the end. Wide enough that most codes need no link, and small enough
/// to stay in the first cache; 2,342 entries are used at most, and the power of two spares the
/// check of an index.
pub type Litlens = Table<11, 4096>;
/// Of offsets: 402 are used at most.
pub type Offsets = Table<8, 512>;
/// Of the lengths of codes, which have 7 bits at most.
pub type Lengths = Table<7, 128>;

impl<const ROOT: u32, const LEN: usize> Table<ROOT, LEN> {
    pub fn new() -> Self {
        Table([Entry::nothing(); LEN])
    }

    /// The entry for the next bits: a link, or what is to be skipped and what it means.
    #[inline(always)]
    pub fn root(&self, bits: u64) -> Entry {
        self.0[bits as usize & ((1 << ROOT) - 1)]
    }

    /// Follows a link; `bits` are those after the first [`Table::ROOT_BITS`].
    #[inline(always)]
    pub fn linked(&self, link: Entry, bits: u64) -> Entry {
        self.0[link.linked(bits) & (LEN - 1)]
    }

    pub const ROOT_BITS: u32 = ROOT;

    /// Fills the table for codes of these lengths, each but 0 that of a symbol. `false` if there
    /// is no such code; `may_lack` lets those pass that zlib lets pass.
    pub fn fill(&mut self, lengths: &[u8], may_lack: bool, entry: impl Fn(usize) -> Entry) -> bool {
        let mut counts = [0_usize; CODE_BITS_MAX + 1];
        for length in lengths {
            counts[usize::from(*length)] += 1;
        }
        counts[0] = 0;
        // In halves of the shortest code's share: 1 << 15 when all is used.
        let used: usize = (1..=CODE_BITS_MAX).map(|length| counts[length] << (CODE_BITS_MAX - length)).sum();
        match used.cmp(&(1 << CODE_BITS_MAX)) {
            std::cmp::Ordering::Equal => {}
            std::cmp::Ordering::Greater => return false,
            std::cmp::Ordering::Less => {
                let is_lone = counts[1] == 1 && counts[2..].iter().all(|count| *count == 0);
                if !may_lack || !(is_lone || used == 0) {
                    return false;
                }
                self.fill_lone(lengths.iter().position(|length| *length == 1).map(entry));
                return true;
            }
        }
        self.fill_whole(&sorted(lengths, &counts), &counts, entry);
        true
    }

    /// One code, a zero, or none.
    fn fill_lone(&mut self, lone: Option<Entry>) {
        self.0.fill(Entry::nothing().with_code(1));
        if let Some(entry) = lone {
            self.0.iter_mut().step_by(2).for_each(|even| *even = entry.with_code(1));
        }
    }

    /// Codes of one length are given out in the order of the symbols, each one more than the last;
    /// they stand in the stream, and so in an index, with their first bit lowest.
    fn fill_whole(
        &mut self,
        symbols: &[u16; SYMBOLS_MAX],
        counts: &[usize; CODE_BITS_MAX + 1],
        entry: impl Fn(usize) -> Entry,
    ) {
        let mut code = 0;
        let mut symbols = symbols.iter();
        // The first table holds all codes so far for so many bits; each more doubles it.
        let mut filled_bits = 0;
        let mut link = Link { root: usize::MAX, start: 0, end: 1 << ROOT };
        for length in 1..=CODE_BITS_MAX as u32 {
            if length <= ROOT {
                self.0.copy_within(..1 << filled_bits, 1 << filled_bits);
                filled_bits = length;
            }
            for left in (1..=counts[length as usize]).rev() {
                let Some(symbol) = symbols.next() else { return };
                let entry = entry(usize::from(*symbol));
                if length <= ROOT {
                    self.0[code] = entry.with_code(length);
                } else {
                    let root = code & ((1 << ROOT) - 1);
                    if root != link.root {
                        let bits = rest_bits(length, left, counts, ROOT);
                        link = Link { root, start: link.end, end: link.end + (1 << bits) };
                        self.0[root] = Entry::link(link.start, bits).with_code(ROOT);
                    }
                    let rest = link.start + (code >> ROOT);
                    let entries = self.0[rest..link.end].iter_mut().step_by(1 << (length - ROOT));
                    entries.for_each(|place| *place = entry.with_code(length - ROOT));
                }
                code = next(code, length);
            }
        }
    }
}

/// The table that codes with the same beginning share.
struct Link {
    root: usize,
    start: usize,
    end: usize,
}

/// The symbols that have codes, by length and then by number.
fn sorted(lengths: &[u8], counts: &[usize; CODE_BITS_MAX + 1]) -> [u16; SYMBOLS_MAX] {
    let mut places = [0; CODE_BITS_MAX + 1];
    for length in 1..CODE_BITS_MAX {
        places[length + 1] = places[length] + counts[length];
    }
    let mut symbols = [0; SYMBOLS_MAX];
    for (symbol, length) in lengths.iter().enumerate().filter(|(_, length)| **length > 0) {
        let place = &mut places[usize::from(*length)];
        symbols[*place] = symbol as u16;
        *place += 1;
    }
    symbols
}

/// One more, counted from the other end; after the last of a length, as many zeros.
fn next(code: usize, length: u32) -> usize {
    let zeros = !code & ((1 << length) - 1);
    let Some(highest) = zeros.checked_ilog2() else { return 0 };
    code & ((1 << highest) - 1) | 1 << highest
}

/// How many bits choose from a table that begins with a code of `length`, of which `left` are
/// still to come: as many as the longest code in it has.
fn rest_bits(length: u32, left: usize, counts: &[usize; CODE_BITS_MAX + 1], root: u32) -> u32 {
    let mut bits = length - root;
    let mut used = left;
    while used < 1 << bits && ((bits + root) as usize) < CODE_BITS_MAX {
        bits += 1;
        used = (used << 1) + counts[(bits + root) as usize];
    }
    bits
}
