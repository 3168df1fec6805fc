//! Huffman codes of limited length for counted symbols.

/// A symbol's code, its bits in the order deflate writes them: length in the low 8 bits.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Code(u32);

impl Code {
    fn new(bits: u32, len: u32) -> Code {
        // Deflate packs Huffman codes from their most significant bit on.
        Code(bits.reverse_bits() >> (32 - len) << 8 | len)
    }

    #[inline(always)]
    pub fn len(self) -> u32 {
        self.0 & 0xff
    }

    #[inline(always)]
    pub fn bits(self) -> u64 {
        u64::from(self.0 >> 8)
    }

    fn is_none(self) -> bool {
        self.0 == 0
    }
}

/// Longest code plus one.
const LEN_END: usize = 16;

/// Codes for up to `N` symbols. Making new ones for fewer leaves the others as they were.
pub struct Codes<const N: usize> {
    codes: [Code; N],
    /// Counted symbols as `count << 16 | symbol`, and a last one above them all.
    nodes: Vec<u32>,
}

impl<const N: usize> Codes<N> {
    pub fn new() -> Codes<N> {
        Codes { codes: [Code::default(); N], nodes: Vec::with_capacity(N + 1) }
    }

    /// The codes of deflate's fixed blocks for literals and lengths. RFC 1951, 3.2.6.
    pub fn fixed_literals() -> Codes<N> {
        let mut made = Codes::new();
        for symbol in 0..286 {
            made.codes[symbol] = match symbol as u32 {
                symbol @ 0..144 => Code::new(symbol + 48, 8),
                symbol @ 144..256 => Code::new(symbol - 144 + 400, 9),
                symbol @ 256..280 => Code::new(symbol - 256, 7),
                symbol => Code::new(symbol - 280 + 192, 8),
            };
        }
        made
    }

    /// The codes of deflate's fixed blocks for distances.
    pub fn fixed_distances() -> Codes<N> {
        let mut made = Codes::new();
        for symbol in 0..30 {
            made.codes[symbol] = Code::new(symbol as u32, 5);
        }
        made
    }

    #[inline(always)]
    pub fn codes(&self) -> &[Code; N] {
        &self.codes
    }

    /// Bits that symbols of these counts take; one without a code takes none.
    pub fn bits_of(&self, counts: &[u16]) -> usize {
        counts.iter().zip(&self.codes).map(|(count, code)| usize::from(*count) * code.len() as usize).sum()
    }

    /// The same, if all have a code.
    pub fn bits_if_all(&self, counts: &[u16]) -> Option<usize> {
        self.has_all(counts, 0).then(|| self.bits_of(counts))
    }

    /// Whether every symbol that occurs, the first of them `from`, has a code.
    pub fn has_all(&self, counts: &[u16], from: usize) -> bool {
        counts.iter().zip(&self.codes[from..]).all(|(count, code)| *count == 0 || !code.is_none())
    }

    /// Makes codes of at most `len_max` bits, 15 or less, for symbols of these counts.
    pub fn generate(&mut self, counts: &[u16], len_max: usize) {
        self.nodes.clear();
        for (symbol, count) in counts.iter().enumerate() {
            self.codes[symbol] = Code::default();
            if *count != 0 {
                self.nodes.push(u32::from(*count) << 16 | symbol as u32);
            }
        }
        if self.nodes.len() <= 2 {
            for (bits, node) in self.nodes.iter().enumerate() {
                self.codes[symbol_of(*node)] = Code::new(bits as u32, 1);
            }
            return;
        }
        self.nodes.sort_unstable();
        let numbers = numbers_of_lens(&mut self.nodes, len_max);
        self.assign(&numbers);
    }

    /// Gives the rarest symbols the longest codes, and codes of one length in order of symbols.
    /// RFC 1951, 3.2.2.
    fn assign(&mut self, numbers: &[usize; LEN_END]) {
        let mut end = self.nodes.len();
        let mut bits = 0;
        for (len, number) in numbers.iter().enumerate().skip(1) {
            bits <<= 1;
            let chunk = &mut self.nodes[end - number..end];
            chunk.sort_unstable_by_key(|node| symbol_of(*node));
            for node in chunk {
                self.codes[symbol_of(*node)] = Code::new(bits, len as u32);
                bits += 1;
            }
            end -= number;
        }
    }
}

fn symbol_of(node: u32) -> usize {
    (node & 0xffff) as usize
}

fn count_of(node: u32) -> u32 {
    node >> 16
}

/// One length of code, as a row of the packages that are made of leaves and of pairs below.
#[derive(Clone, Copy, Default)]
struct Row {
    last: u32,
    next_leaf: u32,
    /// Valid when the row below needs nothing.
    next_pair: u32,
    /// Packages still to make before going up again.
    needed: usize,
}

/// No more of them.
const NONE: u32 = u32::MAX;

/// How many symbols get a code of each length: package-merge, only its boundary kept.
/// For three symbols or more, sorted.
fn numbers_of_lens(nodes: &mut Vec<u32>, len_max: usize) -> [usize; LEN_END] {
    let n = nodes.len();
    let len_max = len_max.min(n - 1).min(LEN_END - 1);
    let count = |at: usize| nodes.get(at).map_or(NONE, |node| count_of(*node));

    let mut rows = [Row::default(); LEN_END + 1];
    // leaves[row][below]: how many leaves stand left of the row's newest package in row `below`.
    let mut leaves = [[0; LEN_END]; LEN_END];
    for row in 1..=len_max {
        rows[row] = Row { last: count(1), next_leaf: count(2), next_pair: count(0) + count(1), needed: 0 };
        leaves[row][row] = 2;
    }
    rows[1].next_pair = NONE;
    rows[len_max].needed = 2 * n - 4;

    let mut at = len_max;
    loop {
        let row = rows[at];
        if row.next_pair == NONE && row.next_leaf == NONE {
            // Never again this row, nor one below it.
            rows[at].needed = 0;
            rows[at + 1].next_pair = NONE;
            at += 1;
            continue;
        }
        if row.next_leaf < row.next_pair {
            rows[at].last = row.next_leaf;
            leaves[at][at] += 1;
            rows[at].next_leaf = count(leaves[at][at]);
        } else {
            rows[at].last = row.next_pair;
            let own = leaves[at][at];
            leaves[at] = leaves[at - 1];
            leaves[at][at] = own;
            rows[at - 1].needed = 2;
        }
        rows[at].needed -= 1;
        if rows[at].needed == 0 {
            if at == len_max {
                break;
            }
            rows[at + 1].next_pair = row.last + rows[at].last;
            at += 1;
        } else {
            // What was taken from below is made anew first.
            while rows[at - 1].needed > 0 {
                at -= 1;
            }
        }
    }

    let mut numbers = [0; LEN_END];
    let boundary = &leaves[len_max];
    for len in 1..=len_max {
        let row = len_max + 1 - len;
        numbers[len] = boundary[row] - boundary[row - 1];
    }
    numbers
}
