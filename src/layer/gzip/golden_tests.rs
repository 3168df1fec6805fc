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
    while out.len() < 150_000 {
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

const INPUT: &str = "5839a6067fb676af";

#[test]
fn go() {
    // Go 1.19.8
    let expected = [
        (-2, "328d12af8e946acb"),
        (0, "0c3ae7c918fe1605"),
        (1, "6f857efd9aae2bbc"),
        (2, "35d1a8489d8be888"),
        (3, "ba493c2ec9d24ab5"),
        (4, "746e55b8f667aad9"),
        (5, "213c995f949918b8"),
        (6, "e9ec1a6f929d758d"),
        (7, "0165526384240b00"),
        (8, "840504610cf17e1b"),
        (9, "3f08e8198252c394"),
    ];
    check(Codec::Go1, 0, &expected);
}

#[test]
fn zlib() {
    // zlib 1.2.13, by Python
    let expected = [
        (1, "2e97aaec26e1d049"),
        (2, "eed7fda808b716c4"),
        (3, "564a8647a175ac90"),
        (4, "80c024d864cdc485"),
        (5, "1f1849f165336dba"),
        (6, "fff8e92051471be6"),
        (7, "7111df9a3d068f09"),
        (8, "85adf9177f46b9c7"),
        (9, "f89b42a1132d74b9"),
    ];
    check(Codec::Zlib, 0, &expected);
}

#[test]
fn pigz() {
    // pigz 2.6, -p 2
    let expected = [
        (1, "d549a015cf81c471"),
        (2, "a39dbf1e1b3fd57a"),
        (3, "8c53a5c80e499801"),
        (4, "efe3ecf8c0213b5c"),
        (5, "07ea7103da8c220f"),
        (6, "c2c6a20e3e6e618d"),
        (7, "87beef96a909a006"),
        (8, "fdc034b505d010ae"),
        (9, "f0815681b7c91ce6"),
    ];
    check(Codec::Pigz, 128 << 10, &expected);
}

#[test]
fn pigz_with_other_blocks() {
    // pigz 2.6, -p 2 -b 32
    let expected = [(6, "64dfb5e4143b7d1d")];
    check(Codec::Pigz, 32 << 10, &expected);
}

#[test]
fn gnu_gzip() {
    // GNU gzip 1.12
    let expected = [
        (1, "37101c00f64b67e5"),
        (2, "9b2a0993d5ff615c"),
        (3, "352b4112ecaa4b07"),
        (4, "26ee7545d3a6f4c3"),
        (5, "0348ae93b3f15fb2"),
        (6, "038ccea6e82bd1c6"),
        (7, "702db6fbbb28b52b"),
        (8, "eea3cf7833ce047f"),
        (9, "ec38008e8692e1c7"),
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
