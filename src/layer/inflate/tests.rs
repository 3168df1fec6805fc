//! What zlib writes comes back, and what nobody writes is decoded or refused as zlib does.

use super::Inflate;
use super::testing::any_deflate;
use flate2::Compression;
use flate2::write::DeflateEncoder;
use proptest::prelude::*;
use std::io;
use std::io::Read;
use std::io::Write;

/// The bits of a stream as text, each group lowest first: `1 10 …`, with `h` before a code, which
/// stands highest first.
fn stream(text: &str) -> Vec<u8> {
    let mut bits: Vec<u8> = Vec::new();
    for group in text.split_whitespace() {
        let digits = group.strip_prefix('h').map_or_else(|| group.chars().rev().collect(), str::to_owned);
        bits.extend(digits.bytes().map(|digit| digit - b'0'));
    }
    bits.chunks(8).map(|byte| byte.iter().enumerate().map(|(at, bit)| bit << at).sum()).collect()
}

fn inflate(bytes: &[u8]) -> io::Result<Vec<u8>> {
    any_deflate(bytes);
    let mut out = Vec::new();
    Inflate::new(bytes).read_to_end(&mut out)?;
    Ok(out)
}

fn check(text: &str, expected: &[u8]) {
    assert_eq!(inflate(&stream(text)).unwrap(), expected, "{text}");
}

fn refuse(text: &str, problem: &str) {
    let err = inflate(&stream(text)).unwrap_err().to_string();
    assert!(err.contains(problem), "{text}: {err}");
}

/// Last block, fixed codes: `a`, then a match of 3 one back, then the end.
const A_AND_THREE: &str = "1 01 h10010001 h0000001 h00000 h0000000";

#[test]
fn blocks_of_each_type() {
    check("1 00 00000 0000000000000010 1111111111111101 01100001 01100010", b"ab");
    check("0 00 00000 0000000000000000 1111111111111111 1 01 h0000000", b"");
    check("1 01 h0000000", b"");
    check(A_AND_THREE, b"aaaa");
    // The longest length, once as a code of its own and once with all extra bits.
    check("1 01 h10010001 h11000101 h00000 h0000000", &[b'a'; 259]);
    check("1 01 h10010001 h11000100 11111 h00000 h0000000", &[b'a'; 259]);
    refuse("1 11", "reserved");
    refuse("1 00 00000 0000000000000010 1111111111111100", "complement");
    refuse("1 01 h0000001 h00000", "before its beginning");
    // Symbols 286 and offset 30, which fixed codes have and nothing stands for.
    refuse("1 01 h10010001 h11000110", "stands for nothing");
    refuse("1 01 h10010001 h0000001 h11110", "stands for nothing");
}

/// A dynamic block's head: 257 literals and lengths, so many offsets, and lengths of lengths for the
/// symbols 18, 0 and 1 (`h11`, `h10` and `h0`), in the order of the format.
const HEAD: &str =
    "1 10 00000 00000 1110 000 000 010 010 000 000 000 000 000 000 000 000 000 000 000 000 000 001";

#[test]
fn a_dynamic_block_needs_a_whole_code_or_a_lone_one() {
    // 97 zeros for what is before `a`, then `a`; 138 and 20 zeros, then the end; one offset.
    let lengths = "h11 1010110 h0 h11 1111111 h11 0001001";
    // `a`, the end: one bit each.
    check(&format!("{HEAD} {lengths} h0 h0 h0 h0 h1"), b"aa");
    // No offset at all is fine as long as none is used.
    check(&format!("{HEAD} {lengths} h0 h10 h0 h1"), b"a");
    // The end alone.
    check(&format!("{HEAD} h11 1111111 h11 1101011 h0 h10 h0"), b"");
    refuse(&format!("{HEAD} h11 1111111 h11 1101011 h0 h10 h1"), "stands for nothing");
    // Three codes of one bit; no end; a repeat beyond the last.
    refuse(&format!("{HEAD} h11 1010110 h0 h0 h11 1111111 h11 0001000 h0 h0"), "no code");
    refuse(&format!("{HEAD} h11 1010110 h0 h11 1111111 h11 0001001 h10 h0"), "no code");
    refuse(&format!("{HEAD} h11 1111111 h11 1111111"), "more lengths");
    refuse("1 10 11110 00000 0000", "more symbols");
    refuse("1 10 00000 11110 0000", "more symbols");
    // One length of lengths only: zlib wants a whole code there.
    refuse("1 10 00000 00000 0000 000 000 001 000", "no code");
    // 16 repeats the length before.
    let repeat = "1 10 00000 00000 0000 001 000 000 001 h1";
    refuse(repeat, "before the first");
}

#[test]
fn a_stream_that_is_cut_ends_too_early_and_goes_on_doing_so() {
    let whole = stream(A_AND_THREE);
    for cut in 0..whole.len() {
        let mut inflate = Inflate::new(&whole[..cut]);
        let mut out = Vec::new();
        let err = inflate.read_to_end(&mut out).unwrap_err();
        assert_eq!(err.kind(), io::ErrorKind::UnexpectedEof, "{cut}");
        assert!(b"aaaa".starts_with(&out[..]));
        assert!(inflate.read(&mut [0; 8]).is_err());
    }
}

#[test]
fn streams_follow_each_other() {
    let one = stream(A_AND_THREE);
    // Its offset reaches into the stream before, which is none of its own.
    let reaching = stream("1 01 h0000001 h00000 h0000000");
    let both = [one.clone(), one, reaching].concat();
    let mut inflate = Inflate::new(&both[..]);
    for _ in 0..2 {
        let mut out = Vec::new();
        inflate.read_to_end(&mut out).unwrap();
        assert_eq!(out, b"aaaa");
        assert_eq!(inflate.read(&mut [0; 8]).unwrap(), 0);
        inflate.restart();
    }
    assert!(inflate.read(&mut [0; 8]).is_err());
}

/// Words, noise and runs, so that all of literals, lengths and offsets come up.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        (0..2000_usize, any::<u32>()).prop_map(|(len, seed)| noise(seed, len)),
        (1..4000_usize, any::<u8>()).prop_map(|(len, byte)| vec![byte; len]),
        (1..200_usize, 1..30_usize, any::<u32>())
            .prop_map(|(len, times, seed)| noise(seed, len).repeat(times)),
        (1..3000_usize, any::<u32>(), 1..200_u8)
            .prop_map(|(len, seed, letters)| noise(seed, len).iter().map(|byte| byte % letters).collect()),
    ];
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

fn noise(seed: u32, len: usize) -> Vec<u8> {
    let mut state = u64::from(seed) | 1 << 40;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as u8
    };
    (0..len).map(|_| next()).collect()
}

fn deflate(bytes: &[u8], level: u32) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::new(level));
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_zlib_writes_comes_back(bytes in bytes(), level in 0..10_u32, rest in 0..40_usize) {
        let mut packed = deflate(&bytes, level);
        packed.extend(noise(7, rest));
        any_deflate(&packed);
        let mut out = Vec::new();
        Inflate::new(&packed[..]).read_to_end(&mut out).unwrap();
        prop_assert!(out == bytes);
    }

    #[test]
    fn damage_is_seen_as_zlib_sees_it(
        bytes in bytes(),
        level in 1..10_u32,
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0..8_u8), 1..4),
    ) {
        let mut packed = deflate(&bytes, level);
        for (at, bit) in flips {
            let at = at.index(packed.len());
            packed[at] ^= 1 << bit;
        }
        any_deflate(&packed);
    }

    #[test]
    fn any_bytes_are_taken_as_zlib_takes_them(mut bytes in prop::collection::vec(any::<u8>(), 1..300), kind in 0..8_u8) {
        // Types of blocks that go on for longer than noise would let them.
        bytes[0] = bytes[0] & !7 | kind;
        any_deflate(&bytes);
    }
}
