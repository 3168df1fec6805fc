//! Huffman trees of limited depth (trees.c: `build_tree`, `gen_bitlen`, `gen_codes`).

use crate::layer::gzip::symbols::CODE_BITS_MAX;
use crate::layer::gzip::symbols::Code;
use crate::layer::gzip::symbols::LITERALS;
use crate::layer::gzip::symbols::reversed;

/// Nodes of the largest tree, the inner ones included.
const NODES_MAX: usize = 2 * LITERALS + 1;
/// Where the heap's least node stands; there is none at 0.
const LEAST: usize = 1;

/// What stays the same of the trees of one kind (`static_tree_desc`).
pub struct Kind<const SYMBOLS: usize> {
    /// The lengths of the fixed codes, if there are any.
    pub fixed: Option<[Code; SYMBOLS]>,
    pub extra_bits: &'static [u8],
    /// The symbol of the first of `extra_bits`.
    pub extra_base: usize,
    pub len_max: usize,
}

/// A tree and the counts it is made of.
pub struct Tree<const SYMBOLS: usize> {
    pub counts: [u16; SYMBOLS],
    pub codes: [Code; SYMBOLS],
    /// The last symbol that occurs.
    pub last: usize,
    kind: Kind<SYMBOLS>,
}

/// What a block would take, in bits, without its header (`opt_len`, `static_len`).
#[derive(Clone, Copy, Default)]
pub struct Sizes {
    pub own: i64,
    pub fixed: i64,
}

/// Memory for the making of one tree.
pub struct Workshop {
    /// A heap in front; from behind, the nodes in falling order of their counts.
    heap: [u16; NODES_MAX],
    heap_len: usize,
    sorted_from: usize,
    counts: [u16; NODES_MAX],
    fathers: [u16; NODES_MAX],
    depths: [u8; NODES_MAX],
    lens: [u8; NODES_MAX],
}

impl<const SYMBOLS: usize> Tree<SYMBOLS> {
    pub fn new(kind: Kind<SYMBOLS>) -> Tree<SYMBOLS> {
        Tree { counts: [0; SYMBOLS], codes: [Code::default(); SYMBOLS], last: 0, kind }
    }

    pub fn clear(&mut self) {
        self.counts = [0; SYMBOLS];
    }

    /// Makes the codes for the counts and adds to `sizes` what they will take.
    pub fn build(&mut self, work: &mut Workshop, sizes: &mut Sizes) {
        self.start_heap(work, sizes);
        let mut node = SYMBOLS;
        for at in (1..=work.heap_len / 2).rev() {
            work.sift_down(at);
        }
        // Join the two least until one is left.
        while work.heap_len >= 2 {
            let first = work.heap[LEAST];
            work.heap[LEAST] = work.heap[work.heap_len];
            work.heap_len -= 1;
            work.sift_down(LEAST);
            let second = work.heap[LEAST];
            work.keep(first);
            work.keep(second);
            let (first, second) = (usize::from(first), usize::from(second));
            work.counts[node] = work.counts[first].wrapping_add(work.counts[second]);
            work.depths[node] = work.depths[first].max(work.depths[second]) + 1;
            (work.fathers[first], work.fathers[second]) = (node as u16, node as u16);
            work.heap[LEAST] = node as u16;
            node += 1;
            work.sift_down(LEAST);
        }
        work.keep(work.heap[LEAST]);
        let lens = self.assign_lens(work, sizes);
        self.assign_codes(&lens);
    }

    fn start_heap(&mut self, work: &mut Workshop, sizes: &mut Sizes) {
        work.heap_len = 0;
        work.sorted_from = NODES_MAX;
        let mut last = None;
        for (symbol, count) in self.counts.iter().enumerate() {
            work.counts[symbol] = *count;
            if *count != 0 {
                work.push(symbol);
                last = Some(symbol);
            } else {
                self.codes[symbol].len = 0;
            }
        }
        // At least two codes, so that each has one bit at least.
        while work.heap_len < 2 {
            let symbol = last.filter(|last| *last < 2).map_or(0, |last| last + 1);
            last = last.max(Some(symbol));
            self.counts[symbol] = 1;
            work.counts[symbol] = 1;
            work.push(symbol);
            sizes.own -= 1;
            if let Some(fixed) = &self.kind.fixed {
                sizes.fixed -= i64::from(fixed[symbol].len);
            }
        }
        self.last = last.expect("two symbols are in the heap");
    }

    /// The length of each leaf's code, and how many there are of each length.
    fn assign_lens(&mut self, work: &mut Workshop, sizes: &mut Sizes) -> [u16; CODE_BITS_MAX + 1] {
        let len_max = self.kind.len_max;
        let mut lens = [0_u16; CODE_BITS_MAX + 1];
        let mut overflow = 0;
        let root = usize::from(work.heap[work.sorted_from]);
        work.lens[root] = 0;
        for at in work.sorted_from + 1..NODES_MAX {
            let node = usize::from(work.heap[at]);
            let mut len = usize::from(work.lens[usize::from(work.fathers[node])]) + 1;
            if len > len_max {
                len = len_max;
                overflow += 1;
            }
            work.lens[node] = len as u8;
            if node > self.last {
                continue;
            }
            lens[len] += 1;
            let extra = node.checked_sub(self.kind.extra_base).map_or(0, |at| self.kind.extra_bits[at]);
            let count = i64::from(work.counts[node]);
            sizes.own += count * (len as i64 + i64::from(extra));
            if let Some(fixed) = &self.kind.fixed {
                sizes.fixed += count * (i64::from(fixed[node].len) + i64::from(extra));
            }
            self.codes[node].len = len as u8;
        }
        if overflow > 0 {
            self.shorten(work, &mut lens, overflow, sizes);
        }
        lens
    }

    /// Makes room for codes that were too long by making others longer.
    fn shorten(
        &mut self,
        work: &Workshop,
        lens: &mut [u16; CODE_BITS_MAX + 1],
        mut overflow: i32,
        sizes: &mut Sizes,
    ) {
        let len_max = self.kind.len_max;
        while overflow > 0 {
            let mut len = len_max - 1;
            while lens[len] == 0 {
                len -= 1;
            }
            lens[len] -= 1;
            lens[len + 1] += 2;
            lens[len_max] -= 1;
            overflow -= 2;
        }
        let mut at = NODES_MAX;
        for len in (1..=len_max).rev() {
            let mut left = lens[len];
            while left > 0 {
                at -= 1;
                let node = usize::from(work.heap[at]);
                if node > self.last {
                    continue;
                }
                let before = &mut self.codes[node].len;
                if usize::from(*before) != len {
                    sizes.own += (len as i64 - i64::from(*before)) * i64::from(work.counts[node]);
                    *before = len as u8;
                }
                left -= 1;
            }
        }
    }

    /// RFC 1951, 3.2.2.
    fn assign_codes(&mut self, lens: &[u16; CODE_BITS_MAX + 1]) {
        let mut next = [0_u16; CODE_BITS_MAX + 1];
        let mut code = 0_u16;
        for len in 1..=CODE_BITS_MAX {
            code = (code + lens[len - 1]) << 1;
            next[len] = code;
        }
        for code in &mut self.codes[..=self.last] {
            let len = usize::from(code.len);
            if len > 0 {
                code.bits = reversed(next[len], len);
                next[len] += 1;
            }
        }
    }
}

impl Workshop {
    pub fn new() -> Workshop {
        Workshop {
            heap: [0; NODES_MAX],
            heap_len: 0,
            sorted_from: NODES_MAX,
            counts: [0; NODES_MAX],
            fathers: [0; NODES_MAX],
            depths: [0; NODES_MAX],
            lens: [0; NODES_MAX],
        }
    }

    fn push(&mut self, symbol: usize) {
        self.heap_len += 1;
        self.heap[self.heap_len] = symbol as u16;
        self.depths[symbol] = 0;
    }

    fn keep(&mut self, node: u16) {
        self.sorted_from -= 1;
        self.heap[self.sorted_from] = node;
    }

    /// Of equal counts the one whose tree is less deep.
    fn is_less(&self, left: u16, right: u16) -> bool {
        let (left, right) = (usize::from(left), usize::from(right));
        self.counts[left] < self.counts[right]
            || self.counts[left] == self.counts[right] && self.depths[left] <= self.depths[right]
    }

    fn sift_down(&mut self, mut at: usize) {
        let node = self.heap[at];
        let mut son = 2 * at;
        while son <= self.heap_len {
            if son < self.heap_len && self.is_less(self.heap[son + 1], self.heap[son]) {
                son += 1;
            }
            if self.is_less(node, self.heap[son]) {
                break;
            }
            self.heap[at] = self.heap[son];
            at = son;
            son *= 2;
        }
        self.heap[at] = node;
    }
}
