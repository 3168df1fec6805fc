//! What holds for every input: nothing panics, and what is taken apart is rebuilt to the byte.

use super::Limits;
use super::compression::any_compressed;
use super::flatten::any_layers;
use super::header::BLOCK_BYTES;
use super::testing;
use super::testing::any_recipe;
use super::testing::any_tar;
use super::testing::end;
use super::testing::header;
use super::testing::link;
use super::testing::member;
use super::testing::pax;
use super::testing::seal;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::sample::select;

fn name() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => "[ab](/[ab]){0,2}/?".prop_map(String::into_bytes),
        1 => "\\./a|/b|\\.|a//b|\\.wh\\.a|b/\\.wh\\.\\.wh\\.\\.opq|\\.\\./a".prop_map(String::into_bytes),
        1 => prop::collection::vec(1_u8..=255, 1..40),
    ]
}

fn record() -> impl Strategy<Value = Vec<u8>> {
    let number = || {
        prop_oneof![
            any::<i64>().prop_map(|number| number.to_string()),
            (0..2000_u32).prop_map(|number| number.to_string())
        ]
    };
    let numbered = select(vec![
        "size",
        "uid",
        "gid",
        "mtime",
        "GNU.sparse.size",
        "GNU.sparse.realsize",
        "GNU.sparse.numblocks",
    ]);
    prop_oneof![
        3 => (numbered, number()).prop_map(|(key, number)| format!("{key}={number}").into_bytes()),
        1 => Just(b"mtime=-1.25".to_vec()),
        1 => name().prop_map(|name| [b"path=", &name[..]].concat()),
        1 => any::<[u8; 4]>().prop_map(|value| [b"SCHILY.xattr.user.a=", &value[..]].concat()),
        1 => select(vec!["0", "1"]).prop_map(|major| format!("GNU.sparse.major={major}").into_bytes()),
        1 => Just(b"GNU.sparse.minor=0".to_vec()),
        1 => Just(b"GNU.sparse.map=0,1,5,2".to_vec()),
    ]
}

/// One header with all that belongs to it.
fn part() -> impl Strategy<Value = Vec<u8>> {
    let payload = || prop::collection::vec(any::<u8>(), 0..1100);
    let flag = select(b"0\x0034567S9".to_vec());
    prop_oneof![
        4 => (name(), payload()).prop_map(|(name, payload)| member(&name, b'0', &payload)),
        2 => (name(), flag, payload()).prop_map(|(name, flag, payload)| member(&name, flag, &payload)),
        2 => (name(), select(b"12".to_vec()), name()).prop_map(|(name, flag, target)| link(&name, flag, &target)),
        2 => (prop::collection::vec(record(), 0..5), select(b"xg".to_vec())).prop_map(|(records, flag)| {
            pax(flag, &records.iter().map(Vec::as_slice).collect::<Vec<_>>())
        }),
        1 => (select(b"LK".to_vec()), name()).prop_map(|(flag, name)| member(b"././@LongLink", flag, &name)),
        1 => (name(), prop::collection::vec((0_u64..2000, 0_u64..600), 0..4), any::<bool>(), payload()).prop_map(
            |(name, segments, extended, payload)| {
                let mut block = header(&name, b'S', payload.len() as u64);
                for (at, (offset, len)) in segments.iter().enumerate() {
                    block[386 + at * 24..][..24].copy_from_slice(format!("{offset:011o}\0{len:011o}\0").as_bytes());
                }
                block[482] = u8::from(extended);
                block[483..495].copy_from_slice(b"00000004000\0");
                seal(&mut block);
                testing::padded(block, &payload)
            }
        ),
        1 => Just(end()),
    ]
}

fn tar() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(part(), 0..6).prop_map(|parts| [parts.concat(), end()].concat())
}

/// What happens to bytes on their way: some change, some go, some are put in.
#[derive(Clone, Debug)]
enum Damage {
    Byte(Index, u8),
    /// A changed byte in a header whose checksum is made right again, which reaches further.
    Sealed(Index, usize, u8),
    Cut(Index),
    Drop(Index, usize),
    Insert(Index, Vec<u8>),
}

fn damage() -> impl Strategy<Value = Vec<Damage>> {
    let one = prop_oneof![
        any::<(Index, u8)>().prop_map(|(at, byte)| Damage::Byte(at, byte)),
        (any::<Index>(), 0..BLOCK_BYTES, any::<u8>())
            .prop_map(|(block, at, byte)| Damage::Sealed(block, at, byte)),
        (any::<Index>(), 100..160_usize, select(b"01234567 \0\x80\xff".to_vec()))
            .prop_map(|(block, at, byte)| Damage::Sealed(block, at, byte)),
        any::<Index>().prop_map(Damage::Cut),
        (any::<Index>(), 0..600_usize).prop_map(|(at, len)| Damage::Drop(at, len)),
        (any::<Index>(), prop::collection::vec(any::<u8>(), 0..600))
            .prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
    ];
    prop::collection::vec(one, 0..4)
}

fn damaged(mut bytes: Vec<u8>, damage: &[Damage]) -> Vec<u8> {
    for one in damage {
        let len = bytes.len();
        match one {
            _ if len == 0 => {}
            Damage::Byte(at, byte) => bytes[at.index(len)] = *byte,
            Damage::Sealed(block, at, byte) => {
                let start = block.index(len) / BLOCK_BYTES * BLOCK_BYTES;
                if let Some(block) = bytes[start..].first_chunk_mut::<BLOCK_BYTES>() {
                    block[*at] = *byte;
                    seal(block);
                }
            }
            Damage::Cut(at) => bytes.truncate(at.index(len)),
            Damage::Drop(at, count) => {
                let start = at.index(len);
                bytes.drain(start..len.min(start + count));
            }
            Damage::Insert(at, new) => {
                let start = at.index(len);
                bytes.splice(start..start, new.iter().copied());
            }
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_bytes_come_back(bytes in prop::collection::vec(any::<u8>(), 0..3000), run in 1_usize..2000) {
        // No random bytes have a right checksum: all is kept, in the recipe or in contents.
        let apart = testing::round_trip(&bytes, &Limits { raw_run_bytes: run, ..Limits::default() }).unwrap();
        prop_assert_eq!(apart.entries.len(), 0);
        prop_assert_eq!(apart.taken.whole().is_ok(), bytes.is_empty());
    }

    #[test]
    fn damaged_tars_come_back_or_are_refused(tar in tar(), damage in damage()) {
        any_tar(&damaged(tar, &damage));
    }

    #[test]
    fn damaged_recipes_are_refused_or_rebuilt(tar in tar(), damage in damage()) {
        if let Ok(apart) = testing::round_trip(&tar, &Limits { sparse_bytes: 1 << 20, ..Limits::default() }) {
            let recipe = damaged(apart.recipe.clone(), &damage);
            any_recipe(&recipe);
            let _ = super::rebuild::rebuild(&mut &*recipe, &apart.memory, &mut std::io::sink());
        }
    }

    #[test]
    fn any_bytes_are_a_recipe_or_not(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        any_recipe(&[&[1][..], &bytes].concat());
    }

    #[test]
    fn damaged_layers_are_flattened_or_refused(lower in tar(), upper in tar(), damage in damage()) {
        any_layers(&lower, &damaged(upper, &damage));
    }

    #[test]
    fn damaged_compression_ends(tar in tar(), damage in damage()) {
        use std::io::Write;
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&tar).unwrap();
        any_compressed(&damaged(gzip.finish().unwrap(), &damage));
        any_compressed(&damaged(zstd::encode_all(&tar[..], 1).unwrap(), &damage));
    }
}
