//! A group of three disks that LVM made (testdata/make/lvm.sh): each 4 KiB block of a volume begins
//! with the volume's name and the block's number.

use super::testing::put_text;
use super::testing::seal_label;
use super::*;
use crate::disk::partition::Kind;
use crate::disk::partition::probe;
use std::sync::LazyLock;

fn fixture() -> Vec<Vec<u8>> {
    static DISKS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/lvm");
        let read = |number| {
            let packed = std::fs::read(folder.join(format!("pv{number}.zst"))).unwrap();
            zstd::decode_all(&packed[..]).unwrap()
        };
        [1, 2, 3].map(read).into()
    });
    DISKS.clone()
}

fn named(disks: Vec<Vec<u8>>) -> Vec<(String, Arc<dyn ReadAt>)> {
    let named = |(number, disk): (usize, Vec<u8>)| {
        let disk: Arc<dyn ReadAt> = Arc::new(disk);
        (format!("disk {}", number + 1), disk)
    };
    disks.into_iter().enumerate().map(named).collect()
}

/// Where the first metadata area is, and the text in force there.
fn text_of(disk: &Vec<u8>) -> (usize, String) {
    let label = read_label(disk).unwrap().unwrap();
    let text = label.text(disk).unwrap().unwrap();
    (4_096, String::from_utf8(text).unwrap())
}

/// The three disks with another text in force on all of them.
fn with_text(change: impl Fn(String) -> String) -> Vec<Vec<u8>> {
    let mut disks = fixture();
    for disk in &mut disks {
        let (area_at, text) = text_of(disk);
        put_text(disk, area_at, change(text).as_bytes());
    }
    disks
}

#[test]
fn every_block_of_every_volume_is_where_lvm_put_it() {
    let mut disks = named(fixture());
    disks.insert(1, ("no volume".to_string(), Arc::new(vec![0; 9_999])));
    disks.reverse();
    let found = volumes(&disks).unwrap();
    let names: Vec<_> =
        found.volumes.iter().map(|volume| (volume.path(), volume.disk.size() >> 20)).collect();
    let expected = [("between", 1), ("small", 4), ("striped", 8), ("wide-one", 26)];
    assert_eq!(names, expected.map(|(name, size)| (format!("/dev/data_vg/{name}"), size)));
    for volume in found.volumes.iter().filter(|volume| volume.name != "between") {
        let mut block = [0; 4_096];
        for number in 0..volume.disk.size() / 4_096 {
            volume.disk.read_at(number * 4_096, &mut block).unwrap();
            let text = format!("{} {number}\n", volume.name);
            assert!(block.starts_with(text.as_bytes()), "{text}");
        }
        assert_eq!(volume.uuid.len(), 38);
    }
    let words = "logical volume data_vg/mirrored: LVM metadata: has a segment of type mirror, which imgit does not read";
    assert_eq!(found.problems, [words]);
}

/// Two machines put beside each other: every id is another one, the names are the same.
#[test]
fn of_two_groups_of_one_name_one_is_read() {
    let other_ids = |text: String| {
        let lines = text.split('\n').map(|line| match line.trim_start().strip_prefix("id = \"") {
            Some(id) => format!("id = \"{}{}", if id.starts_with('a') { 'b' } else { 'a' }, &id[1..]),
            None => line.to_string(),
        });
        lines.collect::<Vec<_>>().join("\n")
    };
    let mut others = with_text(other_ids);
    for disk in &mut others {
        let label = &mut disk[512..1_024];
        // The id of the physical volume stands at the begin of its header, at offset 32.
        label[32] = if label[32] == b'a' { b'b' } else { b'a' };
        seal_label(label);
    }
    let alone = volumes(&named(others.clone())).unwrap();
    assert_eq!(alone.volumes.len(), 4);
    let both = volumes(&named([fixture(), others].concat())).unwrap();
    assert_eq!(
        both.volumes.iter().map(Volume::path).collect::<Vec<_>>(),
        alone.volumes.iter().map(Volume::path).collect::<Vec<_>>()
    );
    let twice = |problem: &&String| problem.starts_with("volume group data_vg is there twice");
    assert_eq!(both.problems.iter().filter(twice).count(), 1, "{:?}", both.problems);
}

#[test]
fn a_missing_disk_costs_only_the_volumes_on_it() {
    let disks = named(fixture());
    // The order of the disks in the appliance is that in which its kernel found them.
    let mut alone = Vec::new();
    for disk in &disks {
        let found = volumes(std::slice::from_ref(disk)).unwrap();
        let is_missing =
            |problem: &&String| problem.contains("physical volume") && problem.ends_with("not found");
        assert!(found.problems.iter().filter(is_missing).count() >= 2, "{:?}", found.problems);
        alone.push(found.volumes.iter().map(Volume::path).collect::<Vec<_>>());
    }
    alone.sort();
    assert_eq!(
        alone,
        [vec![], vec!["/dev/data_vg/between".to_string()], vec!["/dev/data_vg/small".to_string()]]
    );
    let twice = volumes(&[disks[0].clone(), disks[0].clone()]).unwrap();
    assert!(
        twice.problems[0].starts_with("disk 1 is a copy of another physical volume"),
        "{:?}",
        twice.problems
    );
    assert!(volumes(&[]).unwrap().volumes.is_empty());
}

#[test]
fn a_physical_volume_is_recognised_by_the_probe() {
    let disks = fixture();
    let found = probe(&disks[0]).unwrap();
    assert_eq!(found.kind, Kind::Lvm2);
    let (_, text) = text_of(&disks[0]);
    assert!(text.contains(&format!("id = \"{}\"", found.uuid.unwrap())));
    let mut flipped = disks[0].clone();
    flipped[512 + 40] ^= 1;
    assert_ne!(probe(&flipped).unwrap().kind, Kind::Lvm2);
}

#[test]
fn the_newest_text_counts_wherever_it_is() {
    let mut disks = fixture();
    let (area_at, text) = text_of(&disks[2]);
    let seqno = text.lines().find(|line| line.contains("seqno")).unwrap();
    let newer = text.replace(seqno, "seqno = 999").replace("small {", "renamed {");
    put_text(&mut disks[2], area_at, newer.as_bytes());
    let found = volumes(&named(disks.clone())).unwrap();
    assert!(found.volumes.iter().any(|volume| volume.name == "renamed"));
    // One damaged copy is told, and the others serve.
    disks[2][area_at + 600] ^= 1;
    let found = volumes(&named(disks)).unwrap();
    assert!(found.volumes.iter().any(|volume| volume.name == "small"));
    assert!(found.problems[0].contains("wrong checksum"), "{:?}", found.problems);
}

#[test]
fn metadata_that_makes_no_sense_is_a_problem_not_a_fault() {
    for (from, to, words) in [
        ("extent_size = 2048", "extent_size = 0", "impossible extent_size"),
        ("extent_size = 2048", "extent_size = 18446744073709551615", "impossible extent_size"),
        ("pe_start = 2048", "pe_start = 18446744073709551615", "part of a disk"),
        ("small {", "\"../x\" {", "no name"),
        ("small {", ".. {", "is no name for a volume"),
        ("start_extent = 20", "start_extent = 21", "where 20 comes next"),
        ("stripe_count = 2", "stripe_count = 3", "in 3 stripes"),
        ("stripe_count = 2", "stripe_count = 0", "in 0 stripes"),
        ("stripe_size = 128", "stripe_size = 0", "stripes that are no multiple of 0"),
        ("\"pv0\", 0", "\"pv9\", 0", "which is no physical volume"),
        ("\"pv0\", 0", "0, \"pv0\"", "nobody understands"),
        ("\"pv0\", 0", "\"pv0\", 18446744073709551615", "part of a disk"),
        ("extent_count = 26", "extent_count = 18446744073709551615", ""),
        ("segment_count = 1", "segment_count = 18446744073709551615", "lacks segment 2"),
        ("logical_volumes {", "logical_volumes { {", "no name"),
        ("seqno", "nothing", "has no volume group"),
        ("type = \"striped\"", "type = \"thin-pool\"", "of type thin-pool"),
    ] {
        let found = volumes(&named(with_text(|text| text.replace(from, to)))).unwrap();
        assert!(found.problems.iter().any(|problem| problem.contains(words)), "{to}: {:?}", found.problems);
    }
    // One extent in many volumes is a way to make a small disk look huge.
    let found = volumes(&named(with_text(|text| {
        let small = text.split("small {").nth(1).unwrap().split("\n}\n}\n").next().unwrap().to_string();
        let many: String = (0..30).map(|number| format!("copy{number} {{{small}\n}}\n}}\n")).collect();
        text.replace("logical_volumes {", &format!("logical_volumes {{ {many}"))
    })));
    let found = found.unwrap();
    let total: u64 = found.volumes.iter().map(|volume| volume.disk.size()).sum();
    assert!(total <= 48 << 20, "{total}");
    assert!(
        found.problems.iter().any(|problem| problem.contains("larger than the disks")),
        "{:?}",
        found.problems
    );
}

#[test]
fn damage_of_any_sort_is_a_problem_or_a_volume() {
    let mut whole = fixture();
    whole.iter_mut().for_each(|disk| disk.truncate(64 << 10));
    for round in 0..300_usize {
        let mut disks = whole.clone();
        let disk = &mut disks[round % 3];
        for step in 0..8 {
            disk[512 + (round * 7_919 + step * 104_729) % 8_192] ^= 1 << (round % 8);
        }
        seal_label(&mut disk[512..1_024]);
        if let Ok(found) = volumes(&named(disks)) {
            for volume in &found.volumes {
                let _ = volume.disk.read_at(0, &mut [0; 512]);
            }
        }
    }
}
