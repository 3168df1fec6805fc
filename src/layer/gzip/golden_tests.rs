//! What each encoder makes of one input, as the original programs made it: what a recipe in a store
//! means, for ever. A digest here is never changed.

use super::codec::Codec;
use super::codec::Setting;
use super::probe::Probe;
use super::probe::prove;
use super::rebuild::rebuild;
use super::recipe::Recipe;
use crate::id::ContentId;

/// Text-like, repeating near and far, compressible and not, with runs; longer than two windows.
fn input() -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state >> 16
    };
    let mut out: Vec<u8> = Vec::new();
    while out.len() < 300_000 {
        let len = next() as usize % 700;
        match next() % 6 {
            0 => out.extend((0..len).map(|_| next() as u8)),
            1 => out.extend((0..len).map(|_| b"etaoin shrdlu"[next() as usize % 13])),
            2 => out.extend(std::iter::repeat_n(next() as u8, len)),
            3 => out.extend((0..len).map(|at| (at / 7) as u8)),
            // Some bytes again, from nearby or from up to 65,535 before.
            kind => {
                let back = if kind == 4 { next() % 900 } else { next() } as usize % out.len().max(1) + 1;
                for _ in 0..len {
                    out.push(*out.len().checked_sub(back).and_then(|at| out.get(at)).unwrap_or(&0));
                }
            }
        }
    }
    out
}

const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

fn made(setting: Setting, input: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let recipe = Recipe { setting, header: HEADER.to_vec(), tail: Vec::new() };
    rebuild(&recipe, &mut &input[..], &mut out).unwrap();
    out
}

/// The first eight bytes of the SHA-256 of each level's deflate stream.
#[track_caller]
fn check(codec: Codec, block_bytes: u32, expected: &[(i8, &str)]) {
    let input = input();
    assert_eq!(ContentId::of(&input).to_string()[..16], *INPUT);
    for (level, digest) in expected {
        let setting = Setting { codec, level: *level, block_bytes };
        let whole = made(setting, &input);
        let found = ContentId::of(&whole[HEADER.len()..whole.len() - 8]).to_string();
        assert_eq!(&found[..16], *digest, "{} level {level}", codec.name());
    }
}

const INPUT: &str = "3a263b60daabb476";

#[test]
fn go() {
    // Go 1.19.8
    let expected = [
        (-2, "02b5d5c96de95ff1"),
        (0, "4094318ba579c688"),
        (1, "5d7d846600f5b607"),
        (2, "d6b3547a6335d887"),
        (3, "9a738395a72457ec"),
        (4, "86c12e88291ec72a"),
        (5, "ba45d4fa8e9490ef"),
        (6, "9a3745fd3ac6e87a"),
        (7, "ca258f647c2052a8"),
        (8, "a2deb75789b4761f"),
        (9, "3ce2722d273773ec"),
    ];
    check(Codec::Go1, 0, &expected);
}

#[test]
fn zlib() {
    // zlib 1.2.13, by Python
    let expected = [
        (1, "86099e4c762ba5cb"),
        (2, "5ff6728307c4b13d"),
        (3, "f719a2a77d6ad68b"),
        (4, "ed0616c49aa96568"),
        (5, "ca80490b57bcac50"),
        (6, "13b130f4e1cdec61"),
        (7, "3ecccd4d3cec0940"),
        (8, "05bf8fe22a2fbc73"),
        (9, "c7033bab92dcf3fa"),
    ];
    check(Codec::Zlib, 0, &expected);
}

#[test]
fn pigz() {
    // pigz 2.6, -p 2
    let expected = [
        (1, "349d635627697469"),
        (2, "eb1bd2908d5243be"),
        (3, "544e49a83a4c45fa"),
        (4, "e40b082589776cb6"),
        (5, "65087b969e1d1a99"),
        (6, "7e46b00eef79a334"),
        (7, "b378dfe97c82b8de"),
        (8, "b54338143ba31032"),
        (9, "fca5167317db2ff7"),
    ];
    check(Codec::Pigz, 128 << 10, &expected);
}

#[test]
fn pigz_with_other_blocks() {
    // pigz 2.6, -p 2 -b 32
    let expected = [(6, "e4ddc8c8b71da8ff")];
    check(Codec::Pigz, 32 << 10, &expected);
}

#[test]
fn gnu_gzip() {
    // GNU gzip 1.12
    let expected = [
        (1, "37ccf53e0d68666f"),
        (2, "5bafe359e3c72b15"),
        (3, "d0326badfa8f8148"),
        (4, "bc39490be60f47e3"),
        (5, "8bd2863db4bee1d8"),
        (6, "7e81a8058a373b27"),
        (7, "9599f23ff2e33c35"),
        (8, "5b9122407a6b70af"),
        (9, "6ad9292e315d0548"),
    ];
    check(Codec::Gnu, 0, &expected);
}

#[test]
fn a_setting_that_no_program_has_is_refused() {
    for (codec, level, block_bytes) in [
        (Codec::Go1, 10, 0),
        (Codec::Go1, -3, 0),
        (Codec::Zlib, 0, 0),
        (Codec::Gnu, 10, 0),
        (Codec::Zlib, i8::MIN, 0),
        (Codec::Pigz, 6, 0),
        (Codec::Pigz, 6, u32::MAX),
        (Codec::Pigz, 0, 128 << 10),
    ] {
        let err = Setting { codec, level, block_bytes }.encoder().err().expect("no encoder").to_string();
        assert!(err.contains(codec.name()), "{err}");
    }
}

#[test]
fn the_probe_finds_what_made_a_stream_and_the_proof_its_tail() {
    let input = input();
    for setting in [
        Setting { codec: Codec::Go1, level: 6, block_bytes: 0 },
        Setting { codec: Codec::Zlib, level: 9, block_bytes: 0 },
        Setting { codec: Codec::Gnu, level: 1, block_bytes: 0 },
        Setting { codec: Codec::Pigz, level: 4, block_bytes: 128 << 10 },
    ] {
        let compressed = [made(setting, &input), vec![0; 100]].concat();
        let probe = Probe::read(&mut &compressed[..], &mut &input[..]).unwrap().unwrap();
        let recipe = probe.recipes().next().unwrap();
        assert_eq!(recipe.setting, setting);
        let mut again = Vec::new();
        let proven = prove(recipe, &mut &compressed[..], &mut &input[..], &mut again).unwrap().unwrap();
        assert_eq!(proven.tail, [0; 100]);
        assert!(again == compressed);
        again.clear();
        rebuild(&Recipe::from_bytes(&proven.to_bytes()).unwrap(), &mut &input[..], &mut again).unwrap();
        assert!(again == compressed);

        // One bit anywhere, or an end too early, and it is not proven.
        for at in [compressed.len() / 2, compressed.len() - 105] {
            let mut bent = compressed.clone();
            bent[at] ^= 1;
            assert_eq!(
                prove(proven.clone(), &mut &bent[..], &mut &input[..], &mut Vec::new()).unwrap(),
                None
            );
        }
        let cut = &compressed[..compressed.len() - 105];
        assert_eq!(prove(proven.clone(), &mut &cut[..], &mut &input[..], &mut Vec::new()).unwrap(), None);
        let short = &input[..input.len() - 1];
        assert_eq!(prove(proven, &mut &compressed[..], &mut &short[..], &mut Vec::new()).unwrap(), None);
    }
}

#[test]
fn what_no_encoder_made_has_no_recipe() {
    let input = input();
    let mut compressed = made(Setting { codec: Codec::Go1, level: 6, block_bytes: 0 }, &input);
    compressed[2_000] ^= 1;
    let probe = Probe::read(&mut &compressed[..], &mut &input[..]).unwrap().unwrap();
    assert_eq!(probe.recipes().next(), None);
    assert!(Probe::read(&mut &b"not gzip at all"[..], &mut &input[..]).unwrap().is_none());
    assert!(Probe::read(&mut &b""[..], &mut &b""[..]).unwrap().is_none());
}
