//! One 512-byte tar header: its format, numbers and names. Reads a block, and nothing beyond it.
//!
//! The readings are those of Go's `archive/tar`, because every container engine uses it: what it
//! refuses is [`Halt::Unread`] here, what it lets pass is let pass. Names are bytes.

use crate::attr::Time;
use crate::error::Error;

pub const BLOCK_BYTES: usize = 512;
pub type Block = [u8; BLOCK_BYTES];

/// Why the walk over a tar does not go on.
#[derive(Debug)]
pub enum Halt {
    /// The bytes are no tar from here on; they can still be kept as they are.
    Unread(String),
    /// The layer is refused, or the stream broke.
    Fault(Error),
}

impl From<Error> for Halt {
    fn from(err: Error) -> Halt {
        Halt::Fault(err)
    }
}

pub fn unread<T>(problem: impl Into<String>) -> Result<T, Halt> {
    Err(Halt::Unread(problem.into()))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    V7,
    Ustar,
    Star,
    Gnu,
}

#[derive(Clone, Debug)]
pub struct Header {
    pub format: Format,
    /// The type flag as it stands in the block; see [`has_payload`].
    pub flag: u8,
    pub name: Vec<u8>,
    pub link: Vec<u8>,
    /// Stored bytes that follow, where [`has_payload`] says that any do.
    pub size: i64,
    pub mode: i64,
    pub uid: i64,
    pub gid: i64,
    pub mtime: Time,
    pub major: i64,
    pub minor: i64,
}

impl Header {
    pub fn parse(block: &Block) -> Result<Header, Halt> {
        let format = format(block)?;
        let mut header = Header {
            format,
            flag: block[156],
            name: text(&block[..100]).to_vec(),
            link: text(&block[157..257]).to_vec(),
            size: number(&block[124..136], "size")?,
            mode: number(&block[100..108], "mode")?,
            uid: number(&block[108..116], "uid")?,
            gid: number(&block[116..124], "gid")?,
            mtime: Time { secs: number(&block[136..148], "mtime")?, nanos: 0 },
            major: 0,
            minor: 0,
        };
        if format != Format::V7 {
            header.major = number(&block[329..337], "major")?;
            header.minor = number(&block[337..345], "minor")?;
        }
        let prefix = match format {
            Format::V7 => &[][..],
            Format::Ustar => text(&block[345..500]),
            Format::Star => {
                number(&block[476..488], "atime")?;
                number(&block[488..500], "ctime")?;
                text(&block[345..476])
            }
            // Go before 1.8 wrote a ustar prefix into GNU headers, over atime and ctime. Go reads
            // those still, told apart by times that are no numbers.
            Format::Gnu => {
                let times = [&block[345..357], &block[357..369]];
                let sound = times.iter().all(|time| time[0] == 0 || number(time, "time").is_ok());
                let prefix = text(&block[345..500]);
                if sound || !prefix.is_ascii() { &[][..] } else { prefix }
            }
        };
        if !prefix.is_empty() {
            let mut name = prefix.to_vec();
            name.push(b'/');
            name.append(&mut header.name);
            header.name = name;
        }
        if header.size < 0 && has_payload(header.flag) {
            return unread("negative size");
        }
        Ok(header)
    }
}

/// Types 1 to 6 have no payload, whatever their size field says; all others, known or not, have.
pub fn has_payload(flag: u8) -> bool {
    !(b'1'..=b'6').contains(&flag)
}

/// Zeros that fill the last block of a payload.
pub fn padding(size: u64) -> usize {
    (size.wrapping_neg() % BLOCK_BYTES as u64) as usize
}

fn format(block: &Block) -> Result<Format, Halt> {
    let stated = octal(&block[148..156]);
    // Old tars summed signed bytes, which is 256 less for every byte over 127.
    let (mut sum, mut high) = (0_i64, 0_i64);
    for (at, byte) in block.iter().enumerate() {
        let byte = if (148..156).contains(&at) { b' ' } else { *byte };
        sum += i64::from(byte);
        high += i64::from(byte >> 7);
    }
    if stated.is_none_or(|stated| stated != sum && stated != sum - 256 * high) {
        return unread("not a tar header: wrong checksum");
    }
    Ok(match (&block[257..263], &block[263..265]) {
        (b"ustar\0", _) if &block[508..] == b"tar\0" => Format::Star,
        (b"ustar\0", _) => Format::Ustar,
        (b"ustar ", b" \0") => Format::Gnu,
        _ => Format::V7,
    })
}

/// The bytes before the first NUL.
pub fn text(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// Octal, or base-256 (two's complement, big-endian) where the first bit is set.
pub fn number(field: &[u8], what: &str) -> Result<i64, Halt> {
    let found =
        if field.first().is_some_and(|first| first & 0x80 != 0) { base256(field) } else { octal(field) };
    found.map_or_else(|| unread(format!("{what} is not a number")), Ok)
}

fn base256(field: &[u8]) -> Option<i64> {
    let inverted = if field[0] & 0x40 != 0 { 0xff } else { 0 };
    let mut number = 0_u64;
    for (at, byte) in field.iter().enumerate() {
        let byte = byte ^ inverted;
        let byte = if at == 0 { byte & 0x7f } else { byte };
        if number >> 56 != 0 {
            return None;
        }
        number = number << 8 | u64::from(byte);
    }
    let number = i64::try_from(number).ok()?;
    Some(if inverted == 0 { number } else { !number })
}

fn octal(field: &[u8]) -> Option<i64> {
    let blank = |byte: &u8| *byte == b' ' || *byte == 0;
    let Some(start) = field.iter().position(|byte| !blank(byte)) else {
        return Some(0);
    };
    let end = field.iter().rposition(|byte| !blank(byte)).map_or(start, |last| last + 1);
    let mut number = 0_i64;
    for byte in text(&field[start..end]) {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit < 8)?;
        number = number.checked_mul(8)?.checked_add(i64::from(digit))?;
    }
    Some(number)
}

/// Decimal as Go's `ParseInt` reads it: a sign or none, digits, nothing else.
pub fn decimal(text: &[u8]) -> Option<i64> {
    // Rust's own parser has the same grammar and the same bounds.
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_shape() {
        let check = |field: &[u8], expected: Option<i64>| {
            assert_eq!(number(field, "it").ok(), expected, "{field:?}");
        };
        check(b"0000644\0", Some(0o644));
        check(b"   644 \0", Some(0o644));
        check(b"\0\0\0\0\0\0\0\0", Some(0));
        check(b"00000008", None);
        check(b"12 34\0\0\0", None);
        check(b"-1\0\0\0\0\0\0", None);
        check(b"77\x0012345", Some(0o77));
        check(&[0x80, 0, 0, 0, 0, 0, 1, 0], Some(256));
        check(&[0xff; 12], Some(-1));
        check(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe], Some(-2));
        check(&[0x80, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], Some(i64::MAX));
        check(&[0x80, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0], None);
        check(&[0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0], None);
        check(&[0xff, 0xff, 0xff, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0], Some(i64::MIN));
    }

    #[test]
    fn decimals_are_those_of_go() {
        for (text, expected) in [("12", Some(12)), ("+12", Some(12)), ("-12", Some(-12)), ("007", Some(7))] {
            assert_eq!(decimal(text.as_bytes()), expected);
        }
        for text in ["", "+", "-", "1_0", " 1", "1 ", "9223372036854775808", "0x1"] {
            assert_eq!(decimal(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn padding_fills_a_block() {
        assert_eq!([0, 1, 511, 512, 513, u64::MAX].map(padding), [0, 511, 1, 0, 511, 1]);
    }
}
