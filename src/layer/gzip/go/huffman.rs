//! Huffman codes of limited length (huffman_code.go).

use crate::layer::gzip::symbols::Code;
use crate::layer::gzip::symbols::reversed;

#[derive(Clone, Copy, Default)]
struct Leaf {
    symbol: u16,
    count: i32,
}

/// Codes of the symbols below `SYMBOLS`.
pub struct Codes<const SYMBOLS: usize> {
    pub codes: [Code; SYMBOLS],
    leaves: Vec<Leaf>,
}

/// One more than the longest code that deflate has.
const LEVELS: usize = 16;

/// The state of the tree at a depth (`levelInfo`).
#[derive(Clone, Copy, Default)]
struct Level {
    last_count: i32,
    next_leaf_count: i32,
    next_pair_count: i32,
    needed: i32,
}

impl<const SYMBOLS: usize> Codes<SYMBOLS> {
    pub fn new() -> Codes<SYMBOLS> {
        Codes::of([Code::default(); SYMBOLS])
    }

    pub fn of(codes: [Code; SYMBOLS]) -> Codes<SYMBOLS> {
        Codes { codes, leaves: Vec::new() }
    }

    pub fn bits_for(&self, counts: &[i32; SYMBOLS]) -> usize {
        counts.iter().zip(&self.codes).map(|(count, code)| *count as usize * usize::from(code.len)).sum()
    }

    /// Makes the codes that need the fewest bits for `counts`, none longer than `len_max`.
    pub fn generate(&mut self, counts: &[i32; SYMBOLS], len_max: usize) {
        self.leaves.clear();
        for (symbol, count) in counts.iter().enumerate() {
            if *count != 0 {
                self.leaves.push(Leaf { symbol: symbol as u16, count: *count });
            } else {
                self.codes[symbol].len = 0;
            }
        }
        if self.leaves.len() <= 2 {
            for (at, leaf) in self.leaves.iter().enumerate() {
                self.codes[usize::from(leaf.symbol)] = Code { bits: at as u16, len: 1 };
            }
            return;
        }
        self.leaves.sort_unstable_by_key(|leaf| (leaf.count, leaf.symbol));
        let (counts_of_len, len_max) = self.lengths(len_max);
        self.assign(&counts_of_len[..=len_max]);
    }

    /// How many symbols have a code of each length, and the greatest length (`bitCounts`).
    fn lengths(&mut self, len_max: usize) -> ([i32; LEVELS], usize) {
        let leaves = self.leaves.len();
        self.leaves.push(Leaf { symbol: u16::MAX, count: i32::MAX });
        let list = &self.leaves[..];
        let len_max = len_max.min(leaves - 1);
        let mut levels = [Level::default(); LEVELS + 1];
        // `leaf_counts[i][j]`: literals left of the level j ancestor of the rightmost node at level i.
        let mut leaf_counts = [[0_i32; LEVELS]; LEVELS];
        for level in 1..=len_max {
            levels[level] = Level {
                last_count: list[1].count,
                next_leaf_count: list[2].count,
                next_pair_count: if level == 1 { i32::MAX } else { list[0].count + list[1].count },
                needed: 0,
            };
            leaf_counts[level][level] = 2;
        }
        levels[len_max].needed = 2 * leaves as i32 - 4;
        let mut level = len_max;
        loop {
            let now = &mut levels[level];
            if now.next_pair_count == i32::MAX && now.next_leaf_count == i32::MAX {
                // Out of leaves and pairs: never back to this level or one below.
                now.needed = 0;
                levels[level + 1].next_pair_count = i32::MAX;
                level += 1;
                continue;
            }
            let previous_count = now.last_count;
            if now.next_leaf_count < now.next_pair_count {
                now.last_count = now.next_leaf_count;
                leaf_counts[level][level] += 1;
                now.next_leaf_count = list[leaf_counts[level][level] as usize].count;
            } else {
                now.last_count = now.next_pair_count;
                let (below, from) = leaf_counts.split_at_mut(level);
                from[0][..level].copy_from_slice(&below[level - 1][..level]);
                levels[level - 1].needed = 2;
            }
            levels[level].needed -= 1;
            if levels[level].needed == 0 {
                if level == len_max {
                    break;
                }
                levels[level + 1].next_pair_count = previous_count + levels[level].last_count;
                level += 1;
            } else {
                while levels[level - 1].needed > 0 {
                    level -= 1;
                }
            }
        }
        self.leaves.truncate(leaves);
        let mut counts_of_len = [0; LEVELS];
        let counts = &leaf_counts[len_max];
        for (len, level) in (1..=len_max).rev().enumerate() {
            counts_of_len[len + 1] = counts[level] - counts[level - 1];
        }
        (counts_of_len, len_max)
    }

    /// RFC 1951, 3.2.2: codes of one length follow one another in the order of their symbols.
    fn assign(&mut self, counts_of_len: &[i32]) {
        let mut code = 0_u16;
        let mut end = self.leaves.len();
        for (len, count) in counts_of_len.iter().enumerate() {
            code <<= 1;
            if len == 0 || *count == 0 {
                continue;
            }
            let start = end - *count as usize;
            let chunk = &mut self.leaves[start..end];
            chunk.sort_unstable_by_key(|leaf| leaf.symbol);
            for leaf in chunk {
                self.codes[usize::from(leaf.symbol)] = Code { bits: reversed(code, len), len: len as u8 };
                code += 1;
            }
            end = start;
        }
    }
}
