//! Inflate (RFC 1951) as a stream, the slowest step of an import.
//!
//! It decodes what zlib decodes and refuses what zlib refuses; the tests and a fuzzer hold it to
//! that. It is here because the libraries that are faster than zlib-ng take whole buffers only,
//! which layers do not fit. Measured, cycles for each byte out of the layers of a Debian with
//! compilers: zlib-rs 6.2, fdeflate 5.4, zlib-ng 5.1, igzip 4.7, libdeflate and this 4.3.
//!
//! Never reads a byte more than the stream has: what follows is left to the caller.

mod entry;
mod run;
mod table;
#[doc(hidden)]
pub mod testing;

use entry::Entry;
use run::Bits;
use run::Codes;
use run::Stop;
use std::io;
use std::io::BufRead;
use std::io::Read;
use table::Lengths;
use table::Litlens;
use table::Offsets;

/// How far back a match may reach.
const WINDOW_BYTES: usize = 32 << 10;
/// The window, and what is decoded before it moves on: together they fit a core's second cache.
const OUT_BYTES: usize = WINDOW_BYTES + (128 << 10);

/// One deflate stream; its end is the end of the reader.
pub struct Inflate<R> {
    from: R,
    bits: Bits,
    at: At,
    is_last: bool,
    codes: Box<Codes>,
    /// Decoded up to `end`, given out up to `given`.
    out: Box<[u8; OUT_BYTES]>,
    given: usize,
    end: usize,
    fault: Option<io::Error>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    /// Before the head of a block.
    Head,
    /// So many bytes of a stored block are to come.
    Stored(usize),
    Symbols,
    End,
    /// It failed, and does so again.
    Broken,
}

impl<R> Inflate<R> {
    pub fn new(from: R) -> Inflate<R> {
        let out = vec![0; OUT_BYTES].try_into().expect("it is that long");
        Inflate {
            from,
            bits: Bits::default(),
            at: At::Head,
            is_last: false,
            codes: Box::new(Codes { litlens: Litlens::new(), offsets: Offsets::new() }),
            out,
            given: 0,
            end: 0,
            fault: None,
        }
    }

    /// Begins another stream, which follows in the same reader.
    pub fn restart(&mut self) {
        (self.bits, self.at) = (Bits::default(), At::Head);
        (self.given, self.end, self.fault) = (0, 0, None);
    }

    pub fn get_ref(&self) -> &R {
        &self.from
    }

    pub fn get_mut(&mut self) -> &mut R {
        &mut self.from
    }
}

impl<R: BufRead> Read for Inflate<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.given == self.end && !into.is_empty() {
            self.decode_unless_broken()?;
        }
        let len = into.len().min(self.end - self.given);
        into[..len].copy_from_slice(&self.out[self.given..self.given + len]);
        self.given += len;
        Ok(len)
    }
}

impl<R: BufRead> Inflate<R> {
    /// What was decoded before a fault is given out first.
    fn decode_unless_broken(&mut self) -> io::Result<()> {
        if let Some(fault) = self.fault.take() {
            return Err(fault);
        }
        if let Err(fault) = self.decode() {
            self.at = At::Broken;
            if self.given == self.end {
                return Err(fault);
            }
            self.fault = Some(fault);
        }
        Ok(())
    }

    /// Decodes until there is little room, or to the end.
    fn decode(&mut self) -> io::Result<()> {
        let window = self.end.saturating_sub(WINDOW_BYTES);
        self.out.copy_within(window..self.end, 0);
        self.end -= window;
        self.given = self.end;
        loop {
            match self.at {
                At::End => return Ok(()),
                At::Broken => return Err(broken("failed before")),
                At::Head => self.head()?,
                At::Stored(0) => self.end_block(),
                At::Stored(_) if self.end == OUT_BYTES => return Ok(()),
                At::Stored(left) => self.at = At::Stored(left - self.stored(left)?),
                At::Symbols if self.end > OUT_BYTES - run::ROOM_MIN => return Ok(()),
                At::Symbols => self.symbols()?,
            }
        }
    }

    fn head(&mut self) -> io::Result<()> {
        self.is_last = self.take(1)? == 1;
        match self.take(2)? {
            0 => {
                self.take(self.bits.count & 7)?;
                let (len, complement) = (self.take(16)?, self.take(16)?);
                if len != !complement & 0xffff {
                    return Err(broken("a stored block whose length and complement differ"));
                }
                self.at = At::Stored(len);
                return Ok(());
            }
            1 => self.fixed(),
            2 => self.dynamic()?,
            _ => return Err(broken("a block of the reserved type")),
        }
        self.at = At::Symbols;
        Ok(())
    }

    /// RFC 1951, 3.2.6.
    fn fixed(&mut self) {
        let mut lengths = [8; 288];
        lengths[144..256].fill(9);
        lengths[256..280].fill(7);
        self.codes.litlens.fill(&lengths, false, Entry::of_litlen);
        self.codes.offsets.fill(&[5; 32], false, Entry::of_offset);
    }

    /// RFC 1951, 3.2.7.
    fn dynamic(&mut self) -> io::Result<()> {
        const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
        const LITLENS_MAX: usize = 286;
        const OFFSETS_MAX: usize = 30;
        const END: usize = 256;
        let (litlens, offsets) = (self.take(5)? + 257, self.take(5)? + 1);
        let lengths_of_lengths = self.take(4)? + 4;
        if litlens > LITLENS_MAX || offsets > OFFSETS_MAX {
            return Err(broken("more symbols than there are"));
        }
        let mut lengths = [0; ORDER.len()];
        for symbol in &ORDER[..lengths_of_lengths] {
            lengths[*symbol] = self.take(3)? as u8;
        }
        let mut code = Lengths::new();
        if !code.fill(&lengths, false, Entry::of_plain) {
            return Err(broken(NO_CODE));
        }
        let mut lengths = [0; LITLENS_MAX + OFFSETS_MAX];
        let lengths = &mut lengths[..litlens + offsets];
        let mut at = 0;
        while at < lengths.len() {
            let (length, times) = match self.symbol(|_, bits| (code.root(bits), 0))?.least() {
                16 if at == 0 => return Err(broken("a length to be repeated before the first")),
                16 => (lengths[at - 1], 3 + self.take(2)?),
                17 => (0, 3 + self.take(3)?),
                18 => (0, 11 + self.take(7)?),
                length => (length as u8, 1),
            };
            let repeated = lengths.get_mut(at..at + times);
            repeated.ok_or_else(|| broken("more lengths than symbols"))?.fill(length);
            at += times;
        }
        let (litlens, offsets) = lengths.split_at(litlens);
        let codes = &mut self.codes;
        if litlens[END] == 0
            || !codes.litlens.fill(litlens, true, Entry::of_litlen)
            || !codes.offsets.fill(offsets, true, Entry::of_offset)
        {
            return Err(broken(NO_CODE));
        }
        Ok(())
    }

    fn stored(&mut self, left: usize) -> io::Result<usize> {
        let bytes = input(&mut self.from)?;
        let len = left.min(bytes.len()).min(OUT_BYTES - self.end);
        if len == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.out[self.end..self.end + len].copy_from_slice(&bytes[..len]);
        self.from.consume(len);
        self.end += len;
        Ok(len)
    }

    fn symbols(&mut self) -> io::Result<()> {
        let input = input(&mut self.from)?;
        let mut rest = input;
        let stop = run::run(&self.codes, &mut self.bits, &mut rest, &mut self.out, &mut self.end);
        let used = input.len() - rest.len();
        self.from.consume(used);
        match stop {
            Stop::Broken(what) => Err(broken(what)),
            Stop::End => {
                self.end_block();
                Ok(())
            }
            // What input there is may be the last.
            Stop::Short if self.end <= OUT_BYTES - run::ROOM_MIN => self.one_symbol(),
            Stop::Short => Ok(()),
        }
    }

    /// The same for one literal or match, taking no bit that it does not need.
    fn one_symbol(&mut self) -> io::Result<()> {
        let entry = self.symbol(|codes, bits| match codes.litlens.root(bits) {
            link if link.is_link() => {
                (codes.litlens.linked(link, bits >> Litlens::ROOT_BITS), Litlens::ROOT_BITS)
            }
            entry => (entry, 0),
        })?;
        if entry.is_literal() {
            self.out[self.end] = entry.literal();
            self.end += 1;
            return Ok(());
        }
        if entry.is_end() {
            self.end_block();
            return Ok(());
        }
        let length = self.number(entry)?;
        let entry = self.symbol(|codes, bits| match codes.offsets.root(bits) {
            link if link.is_link() => {
                (codes.offsets.linked(link, bits >> Offsets::ROOT_BITS), Offsets::ROOT_BITS)
            }
            entry => (entry, 0),
        })?;
        let offset = self.number(entry)?;
        let from = self.end.checked_sub(offset).ok_or_else(|| broken(run::TOO_FAR))?;
        for at in from..from + length {
            self.out[self.end] = self.out[at];
            self.end += 1;
        }
        Ok(())
    }

    /// Skips the code of the next symbol, which `look_up` finds with what bits of it were linked by.
    fn symbol(&mut self, look_up: impl Fn(&Codes, u64) -> (Entry, u32)) -> io::Result<Entry> {
        loop {
            // Bits that are not there yet are zeros: the right entry is found with its own bits.
            let (entry, linked_by) = look_up(&self.codes, self.bits.bits);
            let bits = linked_by + entry.code_bits();
            if bits <= self.bits.count {
                self.bits.bits >>= bits;
                self.bits.count -= bits;
                return Ok(entry);
            }
            self.pull()?;
        }
    }

    fn number(&mut self, entry: Entry) -> io::Result<usize> {
        if entry.is_exception() {
            return Err(broken(run::NOTHING));
        }
        Ok(entry.least() + self.take(entry.bits() - entry.code_bits())?)
    }

    /// Up to 16 bits.
    fn take(&mut self, count: u32) -> io::Result<usize> {
        while self.bits.count < count {
            self.pull()?;
        }
        let taken = self.bits.bits & ((1 << count) - 1);
        self.bits.bits >>= count;
        self.bits.count -= count;
        Ok(taken as usize)
    }

    /// One more byte. Asked only when it is needed, so that less than a byte is left at the end.
    fn pull(&mut self) -> io::Result<()> {
        let byte = *input(&mut self.from)?.first().ok_or(io::ErrorKind::UnexpectedEof)?;
        self.from.consume(1);
        self.bits.bits |= u64::from(byte) << self.bits.count;
        self.bits.count += 8;
        Ok(())
    }

    fn end_block(&mut self) {
        self.at = if self.is_last { At::End } else { At::Head };
    }
}

/// What can be read without waiting, or is waited for; nothing at the end.
fn input(from: &mut impl BufRead) -> io::Result<&[u8]> {
    loop {
        match from.fill_buf() {
            Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
            Err(err) => return Err(err),
            Ok(_) => break,
        }
    }
    from.fill_buf()
}

const NO_CODE: &str = "lengths that are of no code";

fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the deflate stream has {what}"))
}

#[cfg(test)]
mod tests;
