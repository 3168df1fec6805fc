//! Our encoders against the programs themselves, on inputs of every kind and around every edge.

use crate::support::World;
use imgit::layer::gzip::codec::Codec;
use imgit::layer::gzip::codec::Setting;
use imgit::layer::gzip::header_len;
use imgit::layer::gzip::rebuild::rebuild;
use imgit::layer::gzip::recipe::Recipe;
use std::collections::BTreeMap;
use std::path::Path;

/// A generator that every machine has: the numbers are the same for ever.
struct Numbers(u32);

impl Numbers {
    fn next(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) as usize % below.max(1)
    }

    fn bytes(&mut self, len: usize, alphabet: &[u8]) -> Vec<u8> {
        (0..len).map(|_| alphabet[self.next(alphabet.len())]).collect()
    }
}

fn every_byte() -> Vec<u8> {
    (0..=255).collect()
}

/// Words in no order: matches of all lengths at all distances.
fn words(numbers: &mut Numbers, len: usize) -> Vec<u8> {
    let list: Vec<Vec<u8>> = (0..400)
        .map(|_| {
            let len = 2 + numbers.next(12);
            numbers.bytes(len, b"etaoinshrdlu\n\0")
        })
        .collect();
    let mut text = Vec::new();
    while text.len() < len {
        text.extend_from_slice(&list[numbers.next(list.len())]);
        if numbers.next(9) == 0 {
            let len = numbers.next(40);
            text.extend(numbers.bytes(len, &every_byte()));
        }
    }
    text.truncate(len);
    text
}

/// Around the window, the blocks of pigz and of Go's fastest level, and what is left for the end.
fn inputs(numbers: &mut Numbers) -> BTreeMap<String, Vec<u8>> {
    let mut inputs = BTreeMap::from([
        ("empty".to_owned(), Vec::new()),
        ("one".to_owned(), b"a".to_vec()),
        ("three".to_owned(), b"abc".to_vec()),
        ("same".to_owned(), vec![b'a'; 20]),
        ("zeros".to_owned(), vec![0; 200_000]),
        ("noise".to_owned(), numbers.bytes(140_000, &every_byte())),
        ("two letters".to_owned(), numbers.bytes(66_000, b"ab")),
        ("period".to_owned(), numbers.bytes(33, &every_byte()).repeat(3_000)),
        ("far".to_owned(), numbers.bytes(32_500, &every_byte()).repeat(3)),
    ]);
    for size in [100, 65_274, 65_535, 65_536, 65_537, 98_304 - 100, 131_072, 131_073] {
        inputs.insert(format!("words {size}"), words(numbers, size));
    }
    inputs
}

/// Compares what a program made, as `WHO=LEVEL=NAME` in `out`, with what the codec makes.
#[track_caller]
fn check(world: &World, who: &str, codec: Codec, block_bytes: u32, inputs: &BTreeMap<String, Vec<u8>>) {
    let mut seen = 0;
    for file in std::fs::read_dir(world.path("out")).unwrap() {
        let file = file.unwrap().file_name().into_string().unwrap();
        let Some(rest) = file.strip_prefix(&format!("{who}=")) else { continue };
        let (level, name) = rest.split_once('=').unwrap();
        let setting = Setting { codec, level: level.parse().unwrap(), block_bytes };
        let expected = world.read(&format!("out/{file}"));
        let header = expected[..header_len(&expected).unwrap()].to_vec();
        let mut made = Vec::new();
        rebuild(&Recipe { setting, header, tail: Vec::new() }, &mut &inputs[name][..], &mut made).unwrap();
        assert!(made == expected, "{file}: {} bytes, not {}", made.len(), expected.len());
        seen += 1;
    }
    assert!(seen >= inputs.len(), "{who} has made {seen} files of {}", inputs.len());
}

fn support(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support").join(name).display().to_string()
}

fn has(program: &str) -> bool {
    let found = std::process::Command::new("sh").args(["-c", &format!("command -v {program}")]).output();
    found.unwrap().status.success()
}

fn world_of(inputs: &BTreeMap<String, Vec<u8>>) -> World {
    let world = World::new();
    world.write("out/.keep", "");
    std::fs::remove_file(world.path("out/.keep")).unwrap();
    for (name, bytes) in inputs {
        world.write(&format!("in/{name}"), bytes);
    }
    world
}

#[test]
fn gnu_gzip_and_pigz_on_every_kind_of_input() {
    let inputs = inputs(&mut Numbers(1));
    let world = world_of(&inputs);
    world.sh(r#"cd in; for file in *; do for level in 1 3 6; do
               gzip -n -$level <"$file" >"../out/gzip=$level=$file"
               pigz -n -p 2 -$level <"$file" >"../out/pigz=$level=$file"
           done; done
           pigz -n -p 2 -b 32 -9 <"words 131073" >"../out/small=9=words 131073""#);
    check(&world, "gzip", Codec::Gnu, 0, &inputs);
    check(&world, "pigz", Codec::Pigz, 128 << 10, &inputs);
    check(
        &world,
        "small",
        Codec::Pigz,
        32 << 10,
        &inputs.into_iter().filter(|(name, _)| name == "words 131073").collect(),
    );
}

#[test]
fn pythons_zlib_on_every_kind_of_input() {
    let inputs = inputs(&mut Numbers(2));
    let world = world_of(&inputs);
    world.sh(&format!("python3 {} in out 1 3 6 9", support("zlib_gzip.py")));
    if std::fs::read_dir(world.path("out")).unwrap().next().is_some() {
        check(&world, "zlib", Codec::Zlib, 0, &inputs);
    }
}

/// Small inputs of few letters end in every way that an input can end.
#[test]
fn zlib_and_gnu_gzip_on_a_thousand_small_inputs() {
    let mut numbers = Numbers(3);
    let inputs: BTreeMap<String, Vec<u8>> = (0..300)
        .map(|number| {
            let (len, letters) = (numbers.next(900), 1 + numbers.next(6));
            let mut bytes = numbers.bytes(len, &b"abcdef"[..letters]);
            if numbers.next(2) == 0 {
                bytes.extend_from_within(..numbers.next(len));
            }
            (number.to_string(), bytes)
        })
        .collect();
    let world = world_of(&inputs);
    world.sh(&format!("python3 {} in out 2 6", support("zlib_gzip.py")));
    world.sh("for file in in/*; do gzip -n <$file >out/gzip=6=${file#in/}; done");
    if world.path("out/zlib=6=0").exists() {
        check(&world, "zlib", Codec::Zlib, 0, &inputs);
    }
    check(&world, "gzip", Codec::Gnu, 0, &inputs);
}

#[test]
fn gos_own_on_every_kind_of_input() {
    if !has("go") {
        return;
    }
    let inputs = inputs(&mut Numbers(4));
    let world = world_of(&inputs);
    world.sh(&format!("go run {} in out -2 0 1 2 4 6", support("goflate.go")));
    check(&world, "go", Codec::Go1, 0, &inputs);
}

#[test]
fn javas_on_every_kind_of_input() {
    if !has("java") {
        return;
    }
    let inputs = inputs(&mut Numbers(5));
    let world = world_of(&inputs);
    world.sh(&format!("java {} in out 6", support("Deflate.java")));
    check(&world, "java", Codec::Zlib, 0, &inputs);
}

/// Every level, on what layers are made of.
#[test]
#[ignore = "takes a minute without optimisation"]
fn every_level_on_a_tar_of_programs() {
    let world = World::new();
    world.sh("mkdir in out; tar cf in/programs -C /usr/bin $(cd /usr/bin; ls | head -60)
         for level in 1 2 3 4 5 6 7 8 9; do
             gzip -n -$level <in/programs >out/gzip=$level=programs
             pigz -n -p 2 -$level <in/programs >out/pigz=$level=programs
         done");
    world.sh(&format!("python3 {} in out 1 2 3 4 5 6 7 8 9", support("zlib_gzip.py")));
    let inputs = BTreeMap::from([("programs".to_owned(), world.read("in/programs"))]);
    check(&world, "gzip", Codec::Gnu, 0, &inputs);
    check(&world, "pigz", Codec::Pigz, 128 << 10, &inputs);
    check(&world, "zlib", Codec::Zlib, 0, &inputs);
    if has("go") {
        world.sh(&format!("go run {} in out 1 2 3 4 5 6 7 8 9", support("goflate.go")));
        check(&world, "go", Codec::Go1, 0, &inputs);
    }
}
