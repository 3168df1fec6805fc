//! PAX records: the body of an `x` header, and what its records say over the header's fields.

use super::header::Halt;
use super::header::Header;
use super::header::decimal;
use super::header::unread;
use crate::attr::Time;
use crate::attr::Xattrs;
use std::ops::Range;

/// The records of one `x` header. Of two with one key, the later wins; one without a value says
/// nothing (Go keeps the header's value then, where POSIX would erase it).
#[derive(Debug, Default)]
pub struct Pax {
    body: Vec<u8>,
    records: Vec<(Range<usize>, Range<usize>)>,
    /// `GNU.sparse.offset` and `.numbytes` in turn: the one keyword that may repeat (format 0.0).
    pub sparse_pairs: Vec<Range<usize>>,
}

pub const SCHILY_XATTR: &[u8] = b"SCHILY.xattr.";
const LIBARCHIVE_XATTR: &[u8] = b"LIBARCHIVE.xattr.";

impl Pax {
    pub fn parse(body: Vec<u8>) -> Result<Pax, Halt> {
        let mut pax = Pax { body, ..Pax::default() };
        let mut at = 0;
        while at < pax.body.len() {
            let Some((key, value, end)) = record(&pax.body, at) else {
                return unread("malformed PAX record");
            };
            let name = &pax.body[key.clone()];
            if name == b"GNU.sparse.offset" || name == b"GNU.sparse.numbytes" {
                let is_offset = name == b"GNU.sparse.offset";
                if is_offset != pax.sparse_pairs.len().is_multiple_of(2)
                    || pax.body[value.clone()].contains(&b',')
                {
                    return unread("malformed PAX sparse map");
                }
                pax.sparse_pairs.push(value);
            } else {
                pax.records.push((key, value));
            }
            at = end;
        }
        Ok(pax)
    }

    /// The value of `key`, unless it is empty.
    pub fn get(&self, key: &[u8]) -> Option<&[u8]> {
        let (_, value) = self.records.iter().rev().find(|(found, _)| &self.body[found.clone()] == key)?;
        Some(&self.body[value.clone()]).filter(|value| !value.is_empty())
    }

    pub fn at(&self, range: &Range<usize>) -> &[u8] {
        &self.body[range.clone()]
    }

    /// Keys and values in the order of the header, later ones of the same key included.
    pub fn records(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.records.iter().map(|(key, value)| (self.at(key), self.at(value)))
    }

    pub fn number(&self, key: &'static str) -> Result<Option<i64>, Halt> {
        let Some(value) = self.get(key.as_bytes()) else {
            return Ok(None);
        };
        match decimal(value) {
            None => unread(format!("PAX {key} is not a number")),
            found => Ok(found),
        }
    }

    /// Puts what the records say over what the header says.
    pub fn merge_into(&self, header: &mut Header) -> Result<(), Halt> {
        if let Some(path) = self.get(b"path") {
            header.name = path.to_vec();
        }
        if let Some(link) = self.get(b"linkpath") {
            header.link = link.to_vec();
        }
        if let Some(uid) = self.number("uid")? {
            header.uid = uid;
        }
        if let Some(gid) = self.number("gid")? {
            header.gid = gid;
        }
        if let Some(size) = self.number("size")? {
            header.size = size;
        }
        for key in ["mtime", "atime", "ctime"] {
            let Some(text) = self.get(key.as_bytes()) else {
                continue;
            };
            match time(text) {
                None => return unread(format!("PAX {key} is not a time")),
                Some(time) if key == "mtime" => header.mtime = time,
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// Extended attributes. libarchive writes each one twice; the plain form wins, as Go knows no other.
    pub fn xattrs(&self) -> Xattrs {
        let mut encoded = Vec::new();
        let mut plain = Vec::new();
        for (key, value) in &self.records {
            let (key, value) = (self.at(key), self.at(value));
            if let Some(name) = key.strip_prefix(SCHILY_XATTR) {
                plain.push((name.into(), value.into()));
            } else if let Some(name) = key.strip_prefix(LIBARCHIVE_XATTR)
                && let Some(value) = base64(value)
            {
                encoded.push((percent_decoded(name).into(), value.into()));
            }
        }
        if plain.is_empty() && encoded.is_empty() {
            return Xattrs::default();
        }
        encoded.append(&mut plain);
        let last = Xattrs::new(encoded);
        let kept = last.iter().filter(|(name, value)| !name.is_empty() && !value.is_empty());
        Xattrs::new(kept.map(|(name, value)| (name.into(), value.into())).collect())
    }
}

/// Reads `"%d %s=%s\n"` at `start`: where key and value stand, and where the next record begins.
fn record(body: &[u8], start: usize) -> Option<(Range<usize>, Range<usize>, usize)> {
    let rest = &body[start..];
    // No length that fits has more than 20 digits; without a bound a long body is read n times.
    let space = rest.iter().take(21).position(|byte| *byte == b' ')?;
    let len = usize::try_from(decimal(&rest[..space])?).ok()?;
    if len < 5 || len > rest.len() || len < space + 2 || rest[len - 1] != b'\n' {
        return None;
    }
    let record = &rest[space + 1..len - 1];
    let equals = record.iter().position(|byte| *byte == b'=')?;
    let (key, value) = (&record[..equals], &record[equals + 1..]);
    let text = match key {
        b"" => return None,
        b"path" | b"linkpath" | b"uname" | b"gname" => value,
        _ => key,
    };
    if text.contains(&0) {
        return None;
    }
    let key_start = start + space + 1;
    let value_start = key_start + equals + 1;
    Some((key_start..value_start - 1, value_start..start + len - 1, start + len))
}

/// `-1.5` is half a second before -1: the sign holds for the fraction too.
fn time(text: &[u8]) -> Option<Time> {
    let mut parts = text.splitn(2, |byte| *byte == b'.');
    let whole = parts.next().unwrap_or_default();
    let fraction = parts.next().unwrap_or_default();
    let secs = decimal(whole)?;
    let mut nanos = 0_u32;
    let mut unit = 100_000_000;
    for byte in fraction {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10)?;
        nanos += u32::from(digit) * unit;
        unit /= 10;
    }
    if whole[0] == b'-' && nanos > 0 {
        // Below the smallest second there is nothing; Go wraps around here, which helps no one.
        return Some(Time { secs: secs.checked_sub(1)?, nanos: 1_000_000_000 - nanos });
    }
    Some(Time { secs, nanos })
}

fn percent_decoded(name: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(name.len());
    let mut at = 0;
    while at < name.len() {
        let digit = |at: usize| name.get(at).and_then(|byte| (*byte as char).to_digit(16));
        match (name[at], digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                decoded.push((high * 16 + low) as u8);
                at += 3;
            }
            (byte, ..) => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    decoded
}

/// Standard alphabet, padded or not, as libarchive writes it.
fn base64(text: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut held) = (0_u32, 0);
    for byte in text.iter().take_while(|byte| **byte != b'=') {
        let six = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            b'\r' | b'\n' => continue,
            _ => return None,
        };
        bits = (bits << 6 | u32::from(six)) & 0x3fff;
        held += 6;
        if held >= 8 {
            held -= 8;
            decoded.push((bits >> held) as u8);
        }
    }
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::testing;

    fn pax(body: &[u8]) -> Pax {
        Pax::parse(body.to_vec()).unwrap()
    }

    #[test]
    fn the_last_record_of_a_key_wins_and_an_empty_one_says_nothing() {
        assert_eq!(pax(b"9 path=a\n9 path=b\n").get(b"path"), Some(&b"b"[..]));
        assert_eq!(pax(b"9 path=a\n8 path=\n").get(b"path"), None);
        assert_eq!(pax(b"12 path=a\nb\n").get(b"path"), Some(&b"a\nb"[..]));
    }

    #[test]
    fn malformed_records_are_refused() {
        for body in [
            &b"x"[..],
            b"9 path=a",
            b"8 path=a\n",
            b"11 path=a\n",
            b"4 a\n",
            b"5 ab\n",
            b"5 =a\n",
            b"9 path=\0\n",
            b"99999999999999999999 path=a\n",
            b"-9 path=a\n",
            b"9  path=a\n\n",
            b"000000000000000000000009 path=a\n",
        ] {
            assert!(Pax::parse(body.to_vec()).is_err(), "{:?}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn times_before_1970_count_forward() {
        let check =
            |text: &str, secs, nanos| assert_eq!(time(text.as_bytes()), Some(Time { secs, nanos }), "{text}");
        check("1.5", 1, 500_000_000);
        check("1.", 1, 0);
        check("-1", -1, 0);
        check("-1.25", -2, 750_000_000);
        check("-0.25", -1, 750_000_000);
        check("1.1234567899", 1, 123_456_789);
        for text in ["", ".5", "1.x", "1.2.3", "1,5", "-9223372036854775808.5"] {
            assert_eq!(time(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn xattrs_of_both_kinds() {
        let records: [&[u8]; 4] = [
            b"SCHILY.xattr.user.a=\x01\0=\n",
            b"LIBARCHIVE.xattr.user.%62%3d=aGk=",
            b"LIBARCHIVE.xattr.user.a=aGk",
            b"SCHILY.xattr.user.empty=",
        ];
        let body: Vec<u8> = records.iter().flat_map(|record| testing::pax_record(record)).collect();
        let xattrs = pax(&body).xattrs();
        let found: Vec<_> = xattrs.iter().collect();
        assert_eq!(found, [(&b"user.a"[..], &b"\x01\0=\n"[..]), (b"user.b=", b"hi")]);
    }
}
