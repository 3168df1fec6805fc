//! The two ways through the input: a match is taken at once, or after a look at the next byte
//! (deflate.c: `deflate_fast`, `deflate_slow`).

use super::Flavour;
use super::block::Block;
use super::window::AHEAD_MIN;
use super::window::DISTANCE_MAX;
use super::window::MATCH_MIN;
use super::window::Search;
use super::window::WINDOW_BYTES;
use super::window::Window;

/// A match of the least length is not worth more distance than this.
const SHORT_MATCH_DISTANCE_MAX: usize = 4096;
/// Up to this level a match is taken at once.
const FAST_LEVEL_MAX: i8 = 3;
/// Good, lazy, nice, chain of each level from 1 on. With levels 1 to 3, of a match longer than `lazy`
/// only the start is remembered; with others such a match makes a look at the next byte needless.
const LEVELS: [(usize, usize, usize, usize); 9] = [
    (4, 4, 8, 4),
    (4, 5, 16, 8),
    (4, 6, 32, 32),
    (4, 4, 16, 16),
    (8, 16, 32, 32),
    (8, 16, 128, 128),
    (8, 32, 128, 256),
    (32, 128, 258, 1024),
    (32, 258, 258, 4096),
];

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Flush {
    /// Go on as long as enough is ahead.
    No,
    /// Write all there is, in blocks that are not the last (`Z_BLOCK`).
    Block,
    Finish,
}

pub struct Deflate {
    flavour: Flavour,
    is_fast: bool,
    lazy: usize,
    search: Search,
    window: Window,
    block: Block,
    match_length: usize,
    match_start: usize,
    byte_pending: bool,
    /// GNU gzip has seen the end of the input.
    ended: bool,
}

impl Deflate {
    /// `None` if there is no such level.
    pub fn new(flavour: Flavour, level: i8) -> Option<Deflate> {
        let (good, lazy, nice, chain) = *LEVELS.get(usize::try_from(level).ok()?.checked_sub(1)?)?;
        Some(Deflate {
            flavour,
            is_fast: level <= FAST_LEVEL_MAX,
            lazy,
            search: Search::new(good, nice, chain, flavour),
            window: Window::new(),
            block: Block::new(flavour, level),
            match_length: MATCH_MIN - 1,
            match_start: 0,
            byte_pending: false,
            ended: false,
        })
    }

    /// Begins another stream, or a part of one, with what stands before it.
    pub fn restart(&mut self, dictionary: &[u8]) {
        self.window.reset();
        self.block.reset();
        self.match_length = MATCH_MIN - 1;
        self.byte_pending = false;
        self.ended = false;
        self.window.set_dictionary(dictionary);
    }

    /// The block being gathered, for what is not deflate's own: marks between blocks.
    pub fn block(&mut self) -> &mut Block {
        &mut self.block
    }

    /// Takes input; the window is always filled before any of it is looked at.
    pub fn take(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) {
        while !bytes.is_empty() {
            if !self.window.has_room() {
                self.run(Flush::No, out);
                self.slide();
            }
            bytes = self.window.fill(bytes);
        }
    }

    pub fn run(&mut self, flush: Flush, out: &mut Vec<u8>) {
        if self.is_fast {
            self.run_fast(flush, out);
        } else {
            self.run_slow(flush, out);
        }
    }

    fn slide(&mut self) {
        // It may now lie before the window, from where the distance is right all the same.
        self.match_start = self.match_start.wrapping_sub(self.window.slide());
    }

    /// Whether to go on with what is ahead.
    #[inline(always)]
    fn has_enough(&mut self, flush: Flush) -> bool {
        if self.window.ahead >= AHEAD_MIN {
            return true;
        }
        if flush == Flush::No {
            return false;
        }
        match self.flavour {
            Flavour::Zlib => self.slide(),
            Flavour::Gnu if !self.ended => {
                self.slide();
                self.window.clear_two_after_end();
                self.ended = true;
            }
            Flavour::Gnu => {}
        }
        self.window.ahead > 0
    }

    /// Puts the place into its chain; the one before it that a match may begin at.
    #[inline(always)]
    fn insert(&mut self) -> Option<usize> {
        let Deflate { window, .. } = self;
        if window.ahead < MATCH_MIN {
            return None;
        }
        let before = window.insert(window.at);
        let near = before != 0 && window.at - before <= DISTANCE_MAX;
        let searchable = window.at <= 2 * WINDOW_BYTES - AHEAD_MIN;
        (near && searchable).then_some(before)
    }

    fn run_fast(&mut self, flush: Flush, out: &mut Vec<u8>) {
        while self.has_enough(flush) {
            let before = self.insert();
            let Deflate { window, block, .. } = self;
            let (start, length) = match before {
                Some(from) => window.longest_match(from, MATCH_MIN - 1, 0, &self.search),
                None => (0, 0),
            };
            let full;
            if length >= MATCH_MIN {
                full = block.put_match(length, window.at - start, window.block_len());
                window.ahead -= length;
                if length <= self.lazy && window.ahead >= MATCH_MIN {
                    for place in window.at + 1..window.at + length {
                        window.insert(place);
                    }
                }
                window.at += length;
            } else {
                full = block.put_literal(window.byte(window.at), window.block_len());
                window.ahead -= 1;
                window.at += 1;
            }
            if full {
                self.write_block(false, out);
            }
        }
        self.end(flush, out);
    }

    fn run_slow(&mut self, flush: Flush, out: &mut Vec<u8>) {
        while self.has_enough(flush) {
            let before = self.insert();
            let Deflate { window, block, .. } = self;
            let (previous_length, previous_start) = (self.match_length, self.match_start);
            self.match_length = MATCH_MIN - 1;
            if let Some(from) = before.filter(|_| previous_length < self.lazy) {
                (self.match_start, self.match_length) =
                    window.longest_match(from, previous_length, previous_start, &self.search);
                if self.match_length == MATCH_MIN
                    && window.at.wrapping_sub(self.match_start) > SHORT_MATCH_DISTANCE_MAX
                {
                    self.match_length = MATCH_MIN - 1;
                }
            }
            if previous_length >= MATCH_MIN && self.match_length <= previous_length {
                let distance = (window.at - 1).wrapping_sub(previous_start);
                let full = block.put_match(previous_length, distance, window.block_len());
                let insert_end = (window.at + window.ahead).saturating_sub(MATCH_MIN - 1);
                let end = window.at + previous_length - 1;
                for place in window.at + 1..end.min(insert_end) {
                    window.insert(place);
                }
                window.ahead -= previous_length - 1;
                window.at = end;
                self.byte_pending = false;
                self.match_length = MATCH_MIN - 1;
                if full {
                    self.write_block(false, out);
                }
                continue;
            }
            if self.byte_pending && block.put_literal(window.byte(window.at - 1), window.block_len()) {
                self.write_block(false, out);
            }
            self.byte_pending = true;
            self.window.at += 1;
            self.window.ahead -= 1;
        }
        self.end(flush, out);
    }

    fn end(&mut self, flush: Flush, out: &mut Vec<u8>) {
        if flush == Flush::No {
            return;
        }
        if self.byte_pending {
            self.block.put_literal(self.window.byte(self.window.at - 1), self.window.block_len());
            self.byte_pending = false;
        }
        self.window.uninserted = self.window.at.min(MATCH_MIN - 1);
        if flush == Flush::Finish || !self.block.is_empty() {
            self.write_block(flush == Flush::Finish, out);
        }
    }

    fn write_block(&mut self, last: bool, out: &mut Vec<u8>) {
        self.block.write(self.window.block(), self.window.block_len(), last, out);
        self.window.block_start = self.window.at as isize;
    }
}
