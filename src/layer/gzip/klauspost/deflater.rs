//! A deflate stream at one level: the input cut into windows, each searched and written as a block.

use crate::layer::gzip::klauspost::block::BlockWriter;
use crate::layer::gzip::klauspost::fast::FastSearch;
use crate::layer::gzip::klauspost::history;
use crate::layer::gzip::klauspost::history::WINDOW_BYTES;
use crate::layer::gzip::klauspost::lazy::LazySearch;
use crate::layer::gzip::klauspost::tokens::Tokens;
use crate::layer::gzip::klauspost::variant::Variant;

/// The window where bytes are only written as literals.
const PLAIN_WINDOW_BYTES: usize = 32 << 10;
/// So few bytes before a flush are stored.
const STORED_BYTES_END: usize = 33;
/// So few bytes before a flush are not searched.
const PLAIN_BYTES_END: usize = 128;

pub struct Deflater {
    method: Method,
    blocks: BlockWriter,
}

enum Method {
    /// Level 0.
    Stored(Window),
    /// Level -2: literals only.
    Plain(Window),
    /// Levels 1 to 6.
    Fast(Window, FastSearch, Box<Tokens>),
    /// Levels 7 to 9.
    Lazy(Box<LazySearch>),
}

impl Deflater {
    /// For levels 0 to 9 and -2, or `None`.
    pub fn new(level: i8, variant: Variant) -> Option<Deflater> {
        let (method, penalty) = match level {
            0 => (Method::Stored(Window::new(WINDOW_BYTES)), 0),
            -2 => (Method::Plain(Window::new(PLAIN_WINDOW_BYTES)), 10),
            1..=6 => {
                let search = FastSearch::new(level, variant);
                (Method::Fast(Window::new(WINDOW_BYTES), search, Box::default()), 7)
            }
            7..=9 => (Method::Lazy(Box::new(LazySearch::new(level as usize, variant))), 8),
            _ => return None,
        };
        Some(Deflater { method, blocks: BlockWriter::new(variant, penalty) })
    }

    /// Begins another stream, which may reach back into a dictionary.
    pub fn restart(&mut self, dictionary: &[u8]) {
        self.blocks.clear();
        match &mut self.method {
            Method::Stored(window) | Method::Plain(window) => window.clear(),
            Method::Fast(window, search, tokens) => {
                window.clear();
                search.clear();
                // Searched as if it were to be written, so that its places are entered the same way.
                let reach = dictionary.len().saturating_sub(history::REACH as usize);
                search.find(&dictionary[reach..], tokens);
                tokens.clear();
            }
            Method::Lazy(search) => {
                search.clear();
                search.dictionary(dictionary);
            }
        }
    }

    /// Where finished bytes are appended.
    pub fn out(&mut self) -> &mut Vec<u8> {
        self.blocks.out()
    }

    pub fn write(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.is_full() {
                self.step(false);
            }
            let taken = match &mut self.method {
                Method::Stored(window) | Method::Plain(window) | Method::Fast(window, _, _) => {
                    window.fill(bytes)
                }
                Method::Lazy(search) => search.fill(bytes),
            };
            bytes = &bytes[taken..];
        }
    }

    fn is_full(&self) -> bool {
        match &self.method {
            Method::Stored(window) | Method::Plain(window) | Method::Fast(window, _, _) => window.is_full(),
            Method::Lazy(search) => search.is_full(),
        }
    }

    /// Writes all that was given, and an empty stored block, which ends with a whole byte.
    pub fn flush(&mut self) {
        self.step(true);
        self.blocks.stored(&[]);
    }

    /// Ends the stream.
    pub fn finish(&mut self) {
        self.step(true);
        self.blocks.end();
    }

    fn step(&mut self, sync: bool) {
        match &mut self.method {
            Method::Stored(window) => {
                if !window.bytes.is_empty() {
                    self.blocks.stored(&window.bytes);
                }
                window.clear();
            }
            Method::Plain(window) => {
                if !window.bytes.is_empty() {
                    self.blocks.plain(&window.bytes, sync);
                }
                window.clear();
            }
            Method::Fast(window, search, tokens) => {
                fast(&window.bytes, search, tokens, &mut self.blocks, sync);
                tokens.clear();
                window.clear();
            }
            Method::Lazy(search) => search.search(&mut self.blocks, sync),
        }
    }
}

fn fast(window: &[u8], search: &mut FastSearch, tokens: &mut Tokens, blocks: &mut BlockWriter, sync: bool) {
    if window.is_empty() {
        return;
    }
    if window.len() < PLAIN_BYTES_END {
        match window.len() < STORED_BYTES_END {
            true => blocks.stored(window),
            false => blocks.plain(window, true),
        }
        return search.clear();
    }
    search.find(window, tokens);
    let found = tokens.list().len();
    if found == 0 {
        blocks.stored(window);
    } else if found > window.len() - (window.len() >> 4) {
        blocks.plain(window, sync);
    } else {
        blocks.dynamic(tokens, Some(window), sync);
    }
}

/// Bytes gathered until there are so many.
struct Window {
    bytes: Vec<u8>,
    size: usize,
}

impl Window {
    fn new(size: usize) -> Window {
        Window { bytes: Vec::with_capacity(size), size }
    }

    fn clear(&mut self) {
        self.bytes.clear();
    }

    fn is_full(&self) -> bool {
        self.bytes.len() == self.size
    }

    fn fill(&mut self, bytes: &[u8]) -> usize {
        let taken = bytes.len().min(self.size - self.bytes.len());
        self.bytes.extend_from_slice(&bytes[..taken]);
        taken
    }
}
