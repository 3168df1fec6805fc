//! What holds for every disk: it comes back to the byte, and what it holds is found.

use super::BLOCK_BYTES;
use super::Fingerprints;
use super::Hint;
use super::Region;
use super::find;
use super::recipe;
use super::testing::Apart;
use super::testing::any_recipe;
use super::testing::put_all;
use super::testing::round_trip;
use crate::content::ContentSource;
use crate::error::Error;
use crate::id::ContentId;
use crate::layer::testing::Memory;
use crate::progress::Progress;
use crate::progress::Silent;
use proptest::prelude::*;
use proptest::sample::Index;
use std::io::Read;

const BLOCK: usize = BLOCK_BYTES;

/// Bytes that look like no other.
fn noise(seed: u32, len: usize) -> Vec<u8> {
    let mut state = u64::from(seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// Bytes of the disk that stand in residue.
fn residue(contents: &[Vec<u8>], disk: &Vec<u8>, regions: &[Region]) -> u64 {
    let mut memory = Memory::default();
    let table = put_all(&mut memory, Fingerprints::default(), contents);
    round_trip(disk, regions, &table, &[], memory).written.residue_bytes
}

/// A disk of so many bytes with these at these places.
fn disk(len: usize, parts: &[(usize, &[u8])]) -> Vec<u8> {
    let mut disk = vec![0; len];
    for (at, bytes) in parts {
        disk[*at..][..bytes.len()].copy_from_slice(bytes);
    }
    disk
}

#[test]
fn whole_files_on_the_grid_leave_no_residue() {
    let files = [noise(1, 10_000), noise(2, 700), noise(3, 4 * BLOCK), Vec::new()];
    let image = disk(100_000, &[(0, &files[2]), (5 * BLOCK, &files[0]), (9 * BLOCK, &files[1])]);
    assert_eq!(residue(&files, &image, &[]), 0);
}

#[test]
fn the_grid_begins_at_the_region_and_gaps_have_one_too() {
    let files = [noise(1, 100 * BLOCK), noise(2, 300)];
    let start = 63 * 512;
    let image = disk(1 << 20, &[(start, &files[0]), (start + 110 * BLOCK, &files[1])]);
    let regions = [Region { start: start as u64, size: 120 * BLOCK as u64 }];
    assert_eq!(residue(&files, &image, &regions), 0);
    // Without the region, the second pass finds it by the sector.
    assert_eq!(residue(&files, &image, &[]), 0);
}

#[test]
fn a_file_is_found_across_the_chunks_of_the_scan() {
    let file = noise(1, 9 << 20);
    let image = disk(10 << 20, &[(512, &file)]);
    assert_eq!(residue(&[file], &image, &[]), 0);
}

#[test]
fn what_follows_a_file_in_its_last_block_does_not_hide_its_end() {
    let file = noise(1, 3 * BLOCK + 100);
    let slack = noise(2, BLOCK - 100);
    let image = disk(8 * BLOCK, &[(BLOCK, &file), (4 * BLOCK + 100, &slack)]);
    assert_eq!(residue(&[file], &image, &[]), (BLOCK - 100) as u64);
}

#[test]
fn the_longer_run_wins_and_a_run_goes_on() {
    // The second file begins as the first one and goes on otherwise; a third is all of one block.
    let start = noise(1, 2 * BLOCK);
    let one = [&start[..], &noise(2, 5 * BLOCK)].concat();
    let two = [&start[..], &noise(3, 5 * BLOCK)].concat();
    let image = disk(20 * BLOCK, &[(0, &two), (10 * BLOCK, &one)]);
    let mut memory = Memory::default();
    let table = put_all(&mut memory, Fingerprints::default(), &[start, one, two]);
    let apart = round_trip(&image, &[], &table, &[], memory);
    // A run, zeros, a run, zeros.
    assert_eq!((apart.written.ops, apart.written.residue_bytes), (4, 0));
}

#[test]
fn a_changed_sector_costs_that_sector_and_its_window() {
    let file = noise(1, 64 * BLOCK);
    let mut changed = file.clone();
    changed[20 * BLOCK + 1000] ^= 1;
    assert_eq!(residue(&[file], &changed, &[]), 512);
}

#[test]
fn equal_windows_of_two_versions_are_one_content() {
    let first = noise(1, 40 * (16 << 10));
    let mut second = first.clone();
    // Something is found in the second that was not in the first: what lies behind is still equal.
    let file = noise(2, 2 * BLOCK);
    second[5 * (16 << 10) + BLOCK..][..file.len()].copy_from_slice(&file);
    let mut memory = Memory::default();
    let table = put_all(&mut memory, Fingerprints::default(), &[file]);
    let one = round_trip(&first, &[], &table, &[], memory);
    let two = round_trip(&second, &[], &table, &[], one.memory.clone());
    let new = two.memory.contents.keys().filter(|id| !one.memory.contents.contains_key(*id)).count();
    // The window itself; and the lists that name it and the file.
    assert!(new <= 4, "{new}");
}

#[test]
fn colliding_fingerprints_cost_space_never_bytes() {
    // Every block looks like every other, or like one of three.
    for hash in [|_: &[u8]| 7, |block: &[u8]| u64::from(block[0] % 3)] {
        let files = [noise(1, 9 * BLOCK), noise(2, 3 * BLOCK + 5), noise(3, 300)];
        let parts: [(usize, &[u8]); 4] =
            [(0, &files[1]), (8 * BLOCK, &files[0]), (20 * BLOCK, &files[2]), (22 * BLOCK, &files[2])];
        let image = disk(30 * BLOCK, &parts);
        let mut memory = Memory::default();
        let table = put_all(&mut memory, Fingerprints::new(hash), &files);
        let apart = round_trip(&image, &[], &table, &[], memory);
        assert!(apart.refuted_bytes > 0);
    }
}

#[test]
fn crowded_slots_and_equal_blocks_stay_cheap() {
    // All in one slot, and a content of one block a thousand times.
    let files = [noise(1, 400 * BLOCK), vec![7; 1000 * BLOCK]];
    let image = disk(900 * BLOCK, &[(0, &files[0]), (410 * BLOCK, &vec![7; 480 * BLOCK])]);
    let mut memory = Memory::default();
    let table = put_all(
        &mut memory,
        Fingerprints::new(|block| 1 + (xxhash_rust::xxh3::xxh3_64(block) >> 40)),
        &files,
    );
    round_trip(&image, &[], &table, &[], memory);
    assert_eq!(residue(&files, &image, &[]), 0);
}

#[test]
fn a_run_is_found_by_its_samples() {
    let mut files = vec![noise(1, 90 * BLOCK), noise(2, 300 * BLOCK + 7), noise(3, 500 * BLOCK)];
    // A hole in a file is a hole on the disk.
    files[2][100 * BLOCK..180 * BLOCK].fill(0);
    let sampled = |parts: &[(usize, &[u8])]| {
        let mut memory = Memory::default();
        let prints = Fingerprints::sampled(xxhash_rust::xxh3::xxh3_64, &[(20, 1), (40, 8), (9999, 64)]);
        let table = put_all(&mut memory, prints, &files);
        assert!(table.footprint() < 20 * 1024, "{}", table.footprint());
        round_trip(&disk(1200 * BLOCK, parts), &[], &table, &[], memory).written
    };
    let whole: [(usize, &[u8]); 3] = [(BLOCK, &files[0]), (100 * BLOCK, &files[1]), (600 * BLOCK, &files[2])];
    let written = sampled(&whole);
    assert_eq!(written.residue_bytes, 0, "{written:?}");
    // A part that begins and ends between two samples.
    let written = sampled(&[(BLOCK, &files[2][200 * BLOCK..290 * BLOCK])]);
    assert_eq!((written.residue_bytes, written.content_bytes), (0, 90 * BLOCK as u64), "{written:?}");
}

#[test]
fn hints_are_verified_and_nonsense_is_refused() {
    let files = [noise(1, 3 * BLOCK + 10), noise(2, 200)];
    // Blocks of 1 KiB: nothing of it is on the grid of 4 KiB.
    let image = disk(64 << 10, &[(1024, &files[0]), (1024 * 15, &files[1]), (1024 * 16, &noise(3, 100))]);
    let hint = |content: u32, at: u64| Hint {
        content,
        file_offset: 0,
        disk_offset: at,
        len: files[content as usize].len() as u64,
    };
    let check = |hints: &[Hint]| -> Apart {
        let mut memory = Memory::default();
        let mut prints = Fingerprints::default();
        for file in &files {
            let id =
                crate::content::ContentSink::put(&mut memory, file.len() as u64, &mut &file[..]).unwrap();
            prints.note(id, file.len() as u64).unwrap();
        }
        round_trip(&image, &[], &prints.finish(), hints, memory)
    };
    let apart = check(&[hint(0, 1024), hint(1, 15 * 1024)]);
    assert_eq!((apart.written.content_bytes, apart.refuted_bytes), (files[0].len() as u64 + 200, 0));
    assert!(apart.written.residue_bytes <= BLOCK as u64);
    let wrong = check(&[hint(0, 2048), hint(1, 2048 + 512)]);
    assert_eq!(wrong.written.content_bytes, 0);
    assert!(wrong.refuted_bytes > 0);

    let table = put_all(&mut Memory::default(), Fingerprints::default(), &files);
    for nonsense in [
        Hint { content: 2, ..hint(0, 0) },
        Hint { len: 4 * BLOCK as u64, ..hint(0, 0) },
        Hint { file_offset: u64::MAX, ..hint(0, 0) },
        hint(0, (64 << 10) - 100),
        hint(0, u64::MAX),
    ] {
        let found = find(&image, &[], &table, &[nonsense], &Memory::default(), &Silent);
        assert!(matches!(found, Err(Error::Invalid { .. })), "{nonsense:?}");
    }
}

/// Contents of which some bytes are not what was put.
struct Lying(Memory);

impl ContentSource for Lying {
    fn open(&self, id: &ContentId, offset: u64, len: u64) -> crate::error::Result<Box<dyn Read + '_>> {
        let mut bytes = Vec::new();
        self.0.open(id, offset, len)?.read_to_end(&mut bytes).unwrap();
        bytes.iter_mut().step_by(50_000).for_each(|byte| *byte ^= 1);
        Ok(Box::new(std::io::Cursor::new(bytes)))
    }
}

#[test]
fn contents_that_do_not_come_back_or_are_missing_are_noticed() {
    let file = noise(1, 100 * BLOCK);
    let mut memory = Memory::default();
    let table = put_all(&mut memory, Fingerprints::default(), std::slice::from_ref(&file));
    let skeleton = find(&file, &[], &table, &[], &Lying(memory.clone()), &Silent).unwrap();
    assert!(skeleton.refuted_bytes > 0);
    assert!(find(&file, &[], &table, &[], &Memory::default(), &Silent).is_err());
    let apart = round_trip(&file, &[], &table, &[], memory);
    let mut out = super::testing::Image::default();
    let rebuilt = super::rebuild::rebuild(&mut &apart.recipe[..], &Lying(apart.memory), &mut out, &Silent);
    assert!(rebuilt.is_err());
}

#[test]
fn it_ends_when_it_is_told_to() {
    struct Impatient;
    impl Progress for Impatient {
        fn cancelled(&self) -> bool {
            true
        }
    }
    let table = Fingerprints::default().finish();
    /// As large as no memory is, and all zeros.
    struct Void;
    impl crate::disk::bytes::ReadAt for Void {
        fn size(&self) -> u64 {
            1 << 60
        }
        fn read_at(&self, _: u64, _: &mut [u8]) -> crate::error::Result<()> {
            unreachable!("it is known to be zero")
        }
        fn span(&self, _: u64) -> crate::error::Result<crate::disk::bytes::Span> {
            Ok(crate::disk::bytes::Span { end: 1 << 60, zero: true })
        }
    }
    let found = find(&Void, &[], &table, &[], &Memory::default(), &Impatient);
    assert!(matches!(found, Err(Error::Interrupted)));
}

#[derive(Clone, Debug)]
enum Part {
    /// A piece of a content, by the sector on the disk.
    Content {
        of: Index,
        from: Index,
        len: Index,
        sector: Index,
    },
    /// The same, but for one byte.
    Near {
        of: Index,
        sector: Index,
        at: Index,
    },
    Noise {
        seed: u32,
        len: usize,
        at: Index,
    },
}

fn part() -> impl Strategy<Value = Part> {
    prop_oneof![
        5 => any::<(Index, Index, Index, Index)>()
            .prop_map(|(of, from, len, sector)| Part::Content { of, from, len, sector }),
        1 => any::<(Index, Index, Index)>().prop_map(|(of, sector, at)| Part::Near { of, sector, at }),
        1 => (any::<u32>(), 1..9000_usize, any::<Index>()).prop_map(|(seed, len, at)| Part::Noise { seed, len, at }),
    ]
}

fn contents() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let size =
        prop_oneof![3 => 0..3 * BLOCK, 2 => 0..20 * BLOCK, 1 => (1..12 * BLOCK / 512).prop_map(|n| n * 512)];
    let one = (any::<u32>(), size, 0..4_u8).prop_map(|(seed, size, kind)| {
        let mut bytes = noise(seed, size);
        match kind {
            0 => bytes.fill(seed as u8),
            // A hole.
            1 => bytes.iter_mut().skip(BLOCK).take(30 * BLOCK).for_each(|byte| *byte = 0),
            _ => {}
        }
        bytes
    });
    prop::collection::vec(one, 1..6)
}

fn place(disk: &mut [u8], at: usize, bytes: &[u8]) {
    let len = bytes.len().min(disk.len() - at);
    disk[at..at + len].copy_from_slice(&bytes[..len]);
}

fn build(size: usize, contents: &[Vec<u8>], parts: &[Part]) -> (Vec<u8>, Vec<Hint>) {
    let mut disk = vec![0; size];
    let mut hints = Vec::new();
    for part in parts {
        match part {
            Part::Content { of, from, len, sector } => {
                let number = of.index(contents.len());
                let content = &contents[number];
                let from = from.index(content.len() / 512 + 1) * 512;
                let len = len.index(content.len() - from + 1);
                let at = sector.index(size.div_ceil(512)) * 512;
                place(&mut disk, at, &content[from..from + len]);
                let len = len.min(size - at) as u64;
                let hint =
                    Hint { content: number as u32, file_offset: from as u64, disk_offset: at as u64, len };
                hints.push(hint);
            }
            Part::Near { of, sector, at } => {
                let mut content = of.get(contents).clone();
                if !content.is_empty() {
                    let at = at.index(content.len());
                    content[at] ^= 1;
                }
                place(&mut disk, sector.index(size.div_ceil(512)) * 512, &content);
            }
            Part::Noise { seed, len, at } => place(&mut disk, at.index(size), &noise(*seed, *len)),
        }
    }
    (disk, hints)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn any_disk_comes_back(
        contents in contents(),
        parts in prop::collection::vec(part(), 0..12),
        size in 1..400_000_usize,
        regions in prop::collection::vec((0..400_000_u64, 0..400_000_u64), 0..4),
        hash in prop::sample::select(vec![0, 0, 1, 2]),
        hinted: bool,
    ) {
        let hash: super::fingerprint::Hash = match hash {
            0 => xxhash_rust::xxh3::xxh3_64,
            1 => |block| u64::from(block[0]),
            _ => |_| 1,
        };
        let (disk, hints) = build(size, &contents, &parts);
        let regions: Vec<Region> = regions.into_iter().map(|(start, size)| Region { start, size }).collect();
        let mut memory = Memory::default();
        // Contents with equal bytes are one: hints go by numbers that the table gave.
        let mut prints = Fingerprints::new(hash);
        let mut numbers = Vec::new();
        for content in &contents {
            let mut bytes = &content[..];
            let mut tee = prints.tee(&mut bytes);
            let id = crate::content::ContentSink::put(&mut memory, content.len() as u64, &mut tee).unwrap();
            numbers.push(tee.keep(id).unwrap());
        }
        let hints: Vec<Hint> = hints
            .into_iter()
            .filter(|_| hinted)
            .map(|hint| Hint { content: numbers[hint.content as usize], ..hint })
            .collect();
        round_trip(&disk, &regions, &prints.finish(), &hints, memory);
    }

    #[test]
    fn any_bytes_are_a_recipe_or_not(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        any_recipe(&[&[recipe::VERSION][..], &bytes].concat());
    }

    #[test]
    fn damaged_recipes_are_refused_or_read(
        contents in contents(),
        parts in prop::collection::vec(part(), 0..12),
        changes in prop::collection::vec((any::<Index>(), any::<u8>()), 1..4),
    ) {
        let (disk, _) = build(100_000, &contents, &parts);
        let mut memory = Memory::default();
        let table = put_all(&mut memory, Fingerprints::default(), &contents);
        let mut recipe = round_trip(&disk, &[], &table, &[], memory).recipe;
        for (at, byte) in changes {
            let at = at.index(recipe.len());
            recipe[at] = byte;
        }
        any_recipe(&recipe);
    }
}
