//! Names: eight and three bytes of an old code page, or up to 255 units of UTF-16.

use std::fmt::Write as _;

pub const SHORT_BYTES: usize = 11;
/// In the entry's flags: the name, or its ending, is shown in lower case.
const LOWER_NAME: u8 = 0x08;
const LOWER_ENDING: u8 = 0x10;

/// Code page 437 from 0x80 on, Linux's default.
const CODE_PAGE: &str = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐\
└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{a0}";

/// The name as Linux shows it; empty for one of spaces only.
pub fn short(bytes: &[u8; SHORT_BYTES], flags: u8) -> Vec<u8> {
    let mut bytes = *bytes;
    // 0xe5 at this place marks a free entry.
    if bytes[0] == 0x05 {
        bytes[0] = 0xe5;
    }
    let mut name = part(&bytes[..8], flags & LOWER_NAME != 0);
    let ending = part(&bytes[8..], flags & LOWER_ENDING != 0);
    if !ending.is_empty() {
        write!(name, ".{ending}").expect("a string takes any text");
    }
    name.into_bytes()
}

/// Up to a zero byte, without spaces at the end.
fn part(bytes: &[u8], is_lower: bool) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let letters = bytes[..end].iter().map(|byte| match byte {
        0..0x80 => char::from(*byte),
        _ => CODE_PAGE.chars().nth(usize::from(*byte) - 0x80).expect("the page has 128 letters"),
    });
    let text: String = match is_lower {
        true => letters.map(lower).collect(),
        false => letters.collect(),
    };
    text.trim_end_matches(' ').into()
}

/// As the code page has it: one letter for one letter, from the same page.
fn lower(letter: char) -> char {
    match letter.to_lowercase().next() {
        Some(lower) if lower.is_ascii() || CODE_PAGE.contains(lower) => lower,
        _ => letter,
    }
}

/// UTF-8; half of a surrogate pair that has no other half as the three bytes UTF-8 would have for
/// it, so that two names stay two.
pub fn long(units: &[u16]) -> Vec<u8> {
    let mut name = Vec::new();
    for letter in char::decode_utf16(units.iter().copied()) {
        match letter {
            Ok(letter) => name.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes()),
            Err(half) => {
                let unit = half.unpaired_surrogate();
                let low = |bits: u16| 0x80 | (bits & 0x3f) as u8;
                name.extend([0xe0 | (unit >> 12) as u8, low(unit >> 6), low(unit)]);
            }
        }
    }
    name
}

/// What ties a long name to the short one behind it.
pub fn checksum(short: &[u8; SHORT_BYTES]) -> u8 {
    short.iter().fold(0u8, |sum, byte| sum.rotate_right(1).wrapping_add(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8; SHORT_BYTES], flags: u8, expected: &str) {
        assert_eq!(String::from_utf8(short(bytes, flags)).unwrap(), expected);
    }

    #[test]
    fn short_names_are_shown_as_linux_does() {
        check(b"README  TXT", 0, "README.TXT");
        check(b"README  TXT", 0x18, "readme.txt");
        check(b"README  TXT", 0x08, "readme.TXT");
        check(b"A B         ".first_chunk().unwrap(), 0, "A B");
        check(b"\x05\x80\xff     \xe1  ", 0, "σÇ\u{a0}.ß");
        check(b"\x80\x8e\xe2     \xe4  ", 0x18, "çäΓ.σ");
        check(b"           ", 0, "");
        check(b"NO\0ENDXXEX\0", 0, "NO.EX");
    }

    #[test]
    fn half_a_surrogate_pair_keeps_its_name_apart() {
        assert_eq!(long(&[0x61, 0xd83d, 0xde00]), "a😀".as_bytes());
        let names: Vec<_> = [0xd800, 0xd801, 0xdfff].map(|half| long(&[0x61, half])).into();
        assert_eq!(names, [b"a\xed\xa0\x80", b"a\xed\xa0\x81", b"a\xed\xbf\xbf"]);
    }
}
