//! Tars at the edge of the format, and beyond: what they mean, and that no byte of them is lost.

use super::EMPTY;
use super::LayerEntry;
use super::LayerKind;
use super::Limits;
use super::header::Block;
use super::testing;
use super::testing::Apart;
use super::testing::end;
use super::testing::header;
use super::testing::link;
use super::testing::member;
use super::testing::padded;
use super::testing::pax;
use super::testing::seal;
use crate::attr::Time;
use crate::error::Error;
use crate::id::ContentId;

fn apart(tar: &[u8]) -> Apart {
    testing::round_trip(tar, &Limits::default()).unwrap()
}

/// What the tar means, in a line: paths in order, a file with its size, others with a sign.
fn meaning(entries: &[LayerEntry]) -> String {
    let word = |entry: &LayerEntry| {
        let path = String::from_utf8_lossy(entry.path.as_bytes()).into_owned();
        match &entry.what {
            LayerKind::File { size, .. } => format!("{path}:{size}"),
            LayerKind::Dir => format!("{path}/"),
            LayerKind::Symlink(target) => format!("{path}->{}", String::from_utf8_lossy(target)),
            LayerKind::Hardlink { target } => {
                format!("{path}=={}", String::from_utf8_lossy(target.as_bytes()))
            }
            LayerKind::CharDevice { major, minor } => format!("{path}=c{major},{minor}"),
            LayerKind::BlockDevice { major, minor } => format!("{path}=b{major},{minor}"),
            LayerKind::Fifo => format!("{path}|"),
            LayerKind::Whiteout { of } => format!("-{}", String::from_utf8_lossy(of.as_bytes())),
            LayerKind::Opaque => format!("!{path}"),
        }
    };
    entries.iter().map(word).collect::<Vec<_>>().join(" ")
}

/// The parts make a whole archive that means `expected`; without its end blocks it means the same.
fn check(parts: &[Vec<u8>], expected: &str) -> Apart {
    let bare = apart(&parts.concat());
    assert_eq!(bare.taken.unread, None);
    assert_eq!(meaning(&bare.entries), expected);
    let whole = apart(&[parts.concat(), end()].concat());
    assert_eq!(whole.entries, bare.entries);
    assert_eq!(whole.taken.unread, None);
    whole
}

/// The bytes are kept, but from the header at `at` on they are no tar.
fn check_unread(tar: &[u8], at: u64, expected: &str) {
    let apart = apart(tar);
    assert_eq!(meaning(&apart.entries), expected);
    assert_eq!(apart.taken.unread.as_ref().unwrap().at, at);
    assert!(matches!(apart.taken.whole(), Err(Error::Invalid { .. })));
}

fn fault(tar: &[u8]) -> String {
    testing::round_trip(tar, &Limits::default()).unwrap_err().to_string()
}

fn changed(mut block: Block, at: usize, bytes: &[u8]) -> Block {
    block[at..at + bytes.len()].copy_from_slice(bytes);
    seal(&mut block);
    block
}

fn content(apart: &Apart, at: usize) -> &[u8] {
    match &apart.entries[at].what {
        LayerKind::File { content, .. } => &apart.memory.contents[content],
        other => panic!("{other:?} has no content"),
    }
}

#[test]
fn every_kind_of_entry() {
    let device = |name: &[u8], flag| {
        let block = changed(header(name, flag, 0), 329, b"0000004\0");
        changed(block, 337, b"0000102\0").to_vec()
    };
    check(
        &[
            member(b"./", b'5', b""),
            member(b"bin/", b'5', b""),
            member(b"bin/sh", b'0', b"#!"),
            link(b"bin/ash", b'1', b"./bin/sh"),
            link(b"sh", b'2', b"/bin/sh"),
            device(b"tty", b'3'),
            device(b"sda", b'4'),
            member(b"pipe", b'6', b""),
            member(b"/abs", b'7', b"x"),
            member(b"odd", b'Q', b"unknown"),
        ],
        "/ bin/ bin/sh:2 bin/ash==bin/sh sh->/bin/sh tty=c4,66 sda=b4,66 pipe| abs:1 odd:7",
    );
}

#[test]
fn whiteouts_are_known_by_name_alone() {
    check(
        &[
            member(b"etc/.wh.a", b'0', b""),
            member(b"etc/.wh..wh..opq", b'0', b""),
            member(b".wh..wh.plnk/1", b'0', b"x"),
            member(b".wh.d/", b'5', b""),
            member(b".wh.f", b'0', b"with payload"),
        ],
        "-etc/a !etc/.wh..wh..opq .wh..wh.plnk/1:1 -d -f",
    );
    for name in [&b"a/.wh."[..], b".wh..", b".wh..."] {
        assert!(fault(&member(name, b'0', b"")).contains("hides no name"));
    }
}

#[test]
fn a_trailing_slash_makes_a_directory_only_of_the_oldest_type() {
    // Go, and with it every engine, asks this of type NUL alone.
    check(
        &[member(b"old/", 0, b""), member(b"new/", b'0', b"x"), member(b"file", 0, b"y")],
        "old/ new:1 file:1",
    );
    // Its size says nothing then.
    check(&[header(b"old/", 0, 4096).to_vec(), member(b"a", b'0', b"")], "old/ a:0");
}

#[test]
fn links_devices_and_directories_have_no_payload_whatever_their_size_says() {
    for flag in b'1'..=b'6' {
        let block = changed(header(b"a", flag, 1 << 30), 157, b"target");
        let apart = apart(&[block.to_vec(), member(b"b", b'0', b"x"), end()].concat());
        assert_eq!(apart.entries.len(), 2);
        let negative = changed(block, 124, &[0xff; 12]);
        assert_eq!(testing::round_trip(&negative, &Limits::default()).unwrap().entries.len(), 1);
    }
}

#[test]
fn empty_files_are_one_content() {
    let apart =
        check(&[member(b"a", b'0', b""), member(b"b", b'0', b""), member(b"c", b'0', b"")], "a:0 b:0 c:0");
    assert_eq!(apart.memory.puts, 1);
    assert_eq!(EMPTY, ContentId::of(b""));
}

#[test]
fn numbers_in_base_256() {
    let big = (1_u64 << 40) + 5;
    let block = changed(header(b"a", b'0', 0), 108, &[0x80, 0, 0, 1, 0, 0, 0, 7]);
    let block =
        changed(block, 136, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe]);
    let block = changed(block, 124, &[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
    let apart = check(&[padded(block, b"hi")], "a:2");
    assert_eq!(apart.entries[0].attr.uid, (1 << 32) + 7);
    assert_eq!(apart.entries[0].attr.mtime, Time { secs: -2, nanos: 0 });

    let mut claims = [0_u8; 12];
    claims[0] = 0x80;
    claims[4..].copy_from_slice(&big.to_be_bytes());
    assert!(fault(&changed(header(b"a", b'0', 0), 124, &claims)).contains("1099511627781 bytes"));
    // nobody, where ids are signed
    let block = changed(header(b"a", b'0', 0), 108, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe]);
    assert_eq!(check(&[block.to_vec()], "a:0").entries[0].attr.uid, 4_294_967_294);
}

#[test]
fn checksums_of_signed_bytes() {
    let mut block = header(b"caf\xe9", b'0', 1);
    let sum: i64 = block
        .iter()
        .enumerate()
        .map(|(at, byte)| if (148..156).contains(&at) { 32 } else { i64::from(*byte as i8) })
        .sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let apart = apart(&padded(block, b"x"));
    assert_eq!(apart.entries[0].path.as_bytes(), b"caf\xe9");
}

#[test]
fn prefixes_of_ustar_star_and_old_go() {
    let ustar = |name: &[u8]| changed(header(name, b'0', 0), 257, b"ustar\x0000");
    check(&[changed(ustar(b"c"), 345, b"a/b").to_vec()], "a/b/c:0");
    let star = changed(changed(ustar(b"c"), 345, b"a/b"), 508, b"tar\0");
    check(&[star.to_vec()], "a/b/c:0");
    // A GNU header has times there, but Go before 1.8 wrote a prefix into them.
    check(&[changed(header(b"c", b'0', 0), 345, b"14000000000\x0014000000000\0").to_vec()], "c:0");
    check(&[changed(header(b"c", b'0', 0), 345, b"usr/share").to_vec()], "usr/share/c:0");
    let v7 = changed(header(b"c", b'0', 0), 257, &[0; 8]);
    check(&[changed(v7, 345, b"ignored").to_vec()], "c:0");
}

#[test]
fn gnu_long_names() {
    let long = [b"d/".repeat(200), b"f".repeat(300)].concat();
    let mut ended = long.clone();
    ended.push(0);
    let apart = check(
        &[
            member(b"././@LongLink", b'L', &ended),
            member(b"././@LongLink", b'K', &long),
            link(b"cut", b'2', b"cut"),
            member(b"next", b'0', b""),
        ],
        &format!("{0}->{0} next:0", String::from_utf8_lossy(&long)),
    );
    assert_eq!(apart.taken.entries, 2);
    let fault = fault(&member(b"././@LongLink", b'L', &vec![b'a'; 100_000]));
    assert_eq!(fault, "a name in the layer is over the limit of 65536 bytes");
}

#[test]
fn pax_records_over_header_fields() {
    let long = "x".repeat(300);
    let apart = check(
        &[
            pax(
                b'x',
                &[
                    format!("path={long}").as_bytes(),
                    b"size=3",
                    b"uid=4294967296",
                    b"gid=2097153",
                    b"mtime=-1.5",
                    b"SCHILY.xattr.security.capability=\x01\0\0\x02\0\x20\0\0",
                    b"comment=who cares",
                ],
            ),
            padded(header(b"short", b'0', 0), b"abc"),
            pax(b'x', &[b"linkpath=a/b"]),
            link(b"l", b'2', b"z"),
            member(b"plain", b'0', b""),
        ],
        &format!("{long}:3 l->a/b plain:0"),
    );
    let attr = &apart.entries[0].attr;
    assert_eq!((attr.uid, attr.gid, attr.mtime), (1 << 32, 2_097_153, Time { secs: -2, nanos: 500_000_000 }));
    assert_eq!(
        attr.xattrs.iter().next().unwrap(),
        (&b"security.capability"[..], &b"\x01\0\0\x02\0\x20\0\0"[..])
    );
    assert_eq!(apart.entries[2].attr.xattrs.len(), 0);
}

#[test]
fn a_global_header_is_passed_over_and_forgets_what_came_before() {
    check(
        &[
            pax(b'g', &[b"path=global", b"comment=0123456789abcdef"]),
            member(b"a", b'0', b""),
            pax(b'x', &[b"path=lost"]),
            pax(b'g', &[b"mtime=1"]),
            member(b"b", b'0', b""),
        ],
        "a:0 b:0",
    );
}

#[test]
fn a_gnu_name_wins_over_a_pax_path_as_in_go() {
    check(&[pax(b'x', &[b"path=pax"]), member(b"l", b'L', b"gnu\0"), member(b"a", b'0', b"")], "gnu:0");
}

fn old_sparse(segments: &[(u64, u64)], extended: bool, real: u64, stored: u64) -> Block {
    let mut block = header(b"s", b'S', stored);
    for (at, (offset, len)) in segments.iter().enumerate() {
        block[386 + at * 24..][..24].copy_from_slice(format!("{offset:011o}\0{len:011o}\0").as_bytes());
    }
    block[482] = u8::from(extended);
    block[483..495].copy_from_slice(format!("{real:011o}\0").as_bytes());
    seal(&mut block);
    block
}

#[test]
fn old_gnu_sparse_files_with_and_without_extension() {
    let apart = check(&[padded(old_sparse(&[(2, 3), (8, 1)], false, 10, 4), b"abcd")], "s:10");
    assert_eq!(content(&apart, 0), b"\0\0abc\0\0\0d\0");

    let mut extension = [0_u8; 512];
    for (at, offset) in (100..121_u64).enumerate() {
        extension[at * 24..][..24].copy_from_slice(format!("{:011o}\0{:011o}\0", offset * 2, 1).as_bytes());
    }
    extension[504] = 1;
    let mut last = [0_u8; 512];
    last[..24].copy_from_slice(format!("{:011o}\0{:011o}\0", 300, 0).as_bytes());
    let head = old_sparse(&[(0, 1), (2, 1), (4, 1), (6, 1)], true, 300, 25);
    let tar =
        [head.to_vec(), extension.to_vec(), last.to_vec(), padded([0; 512], &[b'x'; 25])[512..].to_vec()]
            .concat();
    let apart = check(&[tar, member(b"after", b'0', b"y")], "s:300 after:1");
    assert_eq!(content(&apart, 0).iter().filter(|byte| **byte == b'x').count(), 25);
    assert_eq!(content(&apart, 0)[240], b'x');
}

#[test]
fn pax_sparse_files_of_all_three_versions() {
    let expected = b"\0\0abc\0\0\0d\0";
    let version_0_0 = pax(
        b'x',
        &[
            b"GNU.sparse.size=10",
            b"GNU.sparse.numblocks=2",
            b"GNU.sparse.offset=2",
            b"GNU.sparse.numbytes=3",
            b"GNU.sparse.offset=8",
            b"GNU.sparse.numbytes=1",
        ],
    );
    let version_0_1 = pax(
        b'x',
        &[
            b"GNU.sparse.size=10",
            b"GNU.sparse.numblocks=2",
            b"GNU.sparse.name=true",
            b"GNU.sparse.map=2,3,8,1",
        ],
    );
    let version_1_0 = pax(
        b'x',
        &[b"GNU.sparse.major=1", b"GNU.sparse.minor=0", b"GNU.sparse.name=true", b"GNU.sparse.realsize=10"],
    );
    let mut with_map = b"2\n2\n3\n8\n1\n".to_vec();
    with_map.resize(512, 0);
    with_map.extend_from_slice(b"abcd");
    let apart = check(
        &[
            version_0_0,
            member(b"s", b'0', b"abcd"),
            version_0_1.clone(),
            member(b"GNUSparseFile.0/s", b'0', b"abcd"),
            version_1_0.clone(),
            member(b"GNUSparseFile.0/s", b'0', &with_map),
        ],
        "s:10 true:10 true:10",
    );
    for at in 0..3 {
        assert_eq!(content(&apart, at), expected);
    }
    assert_eq!(apart.memory.contents.len(), 1);
    // Less or more stored than the map says: Go refuses it.
    for payload in [&b"abc"[..], b"abcde"] {
        check_unread(&[version_0_1.clone(), member(b"s", b'0', payload)].concat(), 0, "");
    }
    check_unread(&[version_1_0, member(b"s", b'0', b"2\n2\n3\n")].concat(), 0, "");
}

#[test]
fn a_sparse_file_that_is_one_hole() {
    let tar = [old_sparse(&[], false, 1 << 20, 0).to_vec(), old_sparse(&[], false, 0, 0).to_vec()];
    let apart = check(&tar, "s:1048576 s:0");
    assert!(content(&apart, 0).iter().all(|byte| *byte == 0));
}

#[test]
fn a_sparse_bomb_fails_at_once() {
    let pax = pax(
        b'x',
        &[b"GNU.sparse.major=1", b"GNU.sparse.minor=0", b"GNU.sparse.realsize=1152921504606846976"],
    );
    let mut map = b"0\n".to_vec();
    map.resize(512, 0);
    let fault = fault(&[pax, member(b"s", b'0', &map)].concat());
    assert_eq!(
        fault,
        "layer entry `s`: the size of the layer's sparse files is over the limit of 68719476736 bytes"
    );
}

#[test]
fn sparse_maps_that_lie() {
    for (segments, real, stored) in [
        (&[(8_u64, 1_u64), (2, 3)][..], 10_u64, 4_u64), // out of order
        (&[(0, 4), (2, 4)], 10, 8),                     // overlap
        (&[(8, 4)], 10, 4),                             // beyond the end
    ] {
        let tar = padded(old_sparse(segments, false, real, stored), &vec![b'x'; stored as usize]);
        check_unread(&tar, 0, "");
    }
    let wild = changed(
        old_sparse(&[(0, 0)], false, 10, 0),
        386,
        &[0x80, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    );
    let wild = changed(wild, 398, &[0x80, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
    check_unread(&wild, 0, "");
    // Type S means something else in star's tars.
    check_unread(&changed(old_sparse(&[], false, 0, 0), 257, b"ustar\x0000"), 0, "");
}

#[test]
fn what_follows_the_end_is_kept_and_not_read() {
    let tar =
        [member(b"a", b'0', b"x"), end(), member(b"b", b'0', b"y"), end(), b"garbage".to_vec()].concat();
    let apart = apart(&tar);
    assert_eq!(meaning(&apart.entries), "a:1");
    assert_eq!(apart.taken.unread, None);
}

#[test]
fn long_runs_that_are_no_entry_go_into_contents() {
    let limits = Limits { raw_run_bytes: 1000, ..Limits::default() };
    let tar = [member(b"a", b'0', b"x"), end(), vec![7; 2500]].concat();
    let apart = testing::round_trip(&tar, &limits).unwrap();
    assert_eq!(apart.memory.contents.len(), 2);
    assert_eq!(apart.taken.raw_bytes, 512 + 511 + 1024 + 500);
}

#[test]
fn archives_that_just_stop() {
    // After the payload without its padding, or after one block of zeros: Go takes both.
    let tar = member(b"a", b'0', b"x");
    assert_eq!(apart(&tar[..513]).taken.unread, None);
    assert_eq!(apart(&[tar.clone(), vec![0; 512]].concat()).taken.unread, None);
    assert_eq!(apart(b"").taken.unread, None);
    assert_eq!(apart(&[tar.clone(), vec![0; 512 * 3], vec![1; 100]].concat()).taken.unread, None);
    // Go refuses these.
    check_unread(&[tar.clone(), vec![0; 600]].concat(), 1024, "a:1");
    check_unread(&[tar.clone(), vec![0; 512], tar.clone()].concat(), 1024, "a:1");
    check_unread(&[tar.clone(), tar[..100].to_vec()].concat(), 1024, "a:1");
    check_unread(&pax(b'x', &[b"path=long"])[..520], 0, "");
    check_unread(b"no tar at all", 0, "");
    check_unread(&[tar.clone(), vec![b'z'; 5000]].concat(), 1024, "a:1");
}

#[test]
fn a_truncated_payload_is_an_error_that_says_what_is_missing() {
    let tar = member(b"usr/bin/x", b'0', &[b'x'; 2000]);
    assert_eq!(
        fault(&tar[..512 + 700]),
        "layer entry `usr/bin/x`: says it has 2000 bytes, but the layer ends after 700 of them"
    );
}

#[test]
fn a_stream_that_breaks_is_named_by_its_own_fault() {
    struct Breaks;
    impl std::io::Read for Breaks {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            let _ = into;
            Err(Error::invalid("layer 3 of 5", "digest mismatch").into())
        }
    }
    let tar = header(b"a", b'0', 100);
    let mut stream = std::io::Read::chain(&tar[..], Breaks);
    let taken = super::read::take_apart(
        &mut stream,
        &mut testing::Memory::default(),
        &mut Vec::new(),
        &mut |_| Ok(()),
        &Limits::default(),
    );
    assert_eq!(taken.unwrap_err().to_string(), "layer 3 of 5: digest mismatch");
}

#[test]
fn names_that_lead_out_are_refused() {
    for name in [&b"../etc/passwd"[..], b"a/../../b", b"/.."] {
        assert!(fault(&member(name, b'0', b"")).contains("points outside its root"));
        assert!(fault(&link(b"a", b'1', name)).contains("points outside its root"));
    }
    // A symbolic link may say what it likes: it is followed inside the root, or not at all.
    check(&[link(b"a", b'2', b"../../../etc/passwd")], "a->../../../etc/passwd");
    assert!(fault(&link(b"a", b'2', b"")).contains("without a target"));
}

#[test]
fn limits_are_named() {
    let limits = Limits { entries: 2, ..Limits::default() };
    let three = [member(b"a", b'0', b""), member(b"b", b'0', b""), member(b"c", b'0', b"")].concat();
    let fault = |tar: &[u8]| testing::round_trip(tar, &limits).unwrap_err().to_string();
    assert_eq!(fault(&three), "the number of entries of the layer is over the limit of 2 entries");
    let deep = [member(b"", b'L', &b"d/".repeat(3000)), member(b"", b'5', b"")].concat();
    assert!(fault(&deep).ends_with("is over the limit of 2048 parts"));
    let big = changed(header(b"x", b'x', 0), 124, b"77777777777\0");
    assert_eq!(fault(&big), "a PAX header in the layer is over the limit of 1048576 bytes");
}

/// What a shell prints on standard output, or nothing where a tool it needs is missing.
fn made_by(tool: &str, script: &str) -> Option<Vec<u8>> {
    let found = std::process::Command::new(tool).arg("--version").output();
    if !found.is_ok_and(|found| found.status.success()) {
        eprintln!("skipped: no {tool} here");
        return None;
    }
    let setup = "set -e; cd \"$(mktemp -d)\"; trap 'rm -rf \"$PWD\"' EXIT; ";
    let made = std::process::Command::new("sh").arg("-c").arg(format!("{setup}{script}")).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    Some(made.stdout)
}

#[test]
fn tars_by_gnu_tar() {
    let tree = "mkdir -p a/b; echo hi >a/b/f; ln a/b/f a/hard; ln -s b/f a/soft; mkfifo a/pipe; \
        long=a/$(printf 'n%.0s' $(seq 200)); echo x >$long; \
        truncate -s 1M a/hole; printf tail >>a/hole; touch -d '1960-01-01 00:00:00.25' a/old; ";
    for options in [
        "--format=gnu",
        "--format=pax",
        "--format=pax --sparse",
        "--format=gnu --sparse",
        "--format=pax --sparse --sparse-version=0.0",
        "--format=pax --sparse --sparse-version=0.1",
        "--format=pax -b1 --xattrs",
        "--format=oldgnu --sparse -b 40",
    ] {
        let Some(tar) = made_by("tar", &format!("{tree} tar -c {options} --sort=name a")) else {
            return;
        };
        let apart = apart(&tar);
        assert_eq!(apart.taken.unread, None, "{options}");
        let long = format!("a/{}", "n".repeat(200));
        let expected =
            format!("a/ a/b/ a/b/f:3 a/hard==a/b/f a/hole:1048580 {long}:2 a/old:0 a/pipe| a/soft->b/f");
        assert_eq!(meaning(&apart.entries), expected, "{options}");
        assert!(content(&apart, 4).ends_with(b"\0tail"), "{options}");
        let nanos = if options.contains("pax") { 250_000_000 } else { 0 };
        assert_eq!(apart.entries[6].attr.mtime.nanos, nanos, "{options}");
    }
}

#[test]
fn tars_by_python() {
    let script = "import io, sys, tarfile\n\
        for format in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):\n\
        \x20   tar = tarfile.open(fileobj=sys.stdout.buffer, mode='w|', format=format, errors='surrogateescape')\n\
        \x20   for name in ('plain', 'caf\\u00e9', 'b\\udce9', 'd/' * 70 + 'e' * 60):\n\
        \x20       entry = tarfile.TarInfo(name); entry.size = 3; entry.mtime = 7\n\
        \x20       tar.addfile(entry, io.BytesIO(b'abc'))\n\
        \x20   tar.close()\n";
    let Some(tar) = made_by("python3", &format!("cat >t.py <<'X'\n{script}X\npython3 t.py")) else {
        return;
    };
    // Three archives in one stream; only the first is read, all are kept.
    assert_eq!(apart(&tar).entries.len(), 4);
    let mut rest = &tar[..];
    while !rest.is_empty() {
        let apart = apart(rest);
        assert_eq!(apart.entries.len(), 4);
        assert_eq!(apart.entries[1].path.as_bytes(), "café".as_bytes());
        assert_eq!(apart.entries[3].path.as_bytes(), [b"d/".repeat(70), b"e".repeat(60)].concat());
        rest = &rest[10240..];
    }
}

#[test]
fn tars_by_the_tar_crate() {
    let mut builder = tar::Builder::new(Vec::new());
    for name in ["a".to_owned(), format!("{}f", "deep/".repeat(60))] {
        let mut header = tar::Header::new_gnu();
        header.set_size(5);
        header.set_mode(0o4755);
        header.set_uid(3_000_000_000);
        header.set_mtime(99);
        builder.append_data(&mut header, &name, &b"hello"[..]).unwrap();
    }
    let tar = builder.into_inner().unwrap();
    let apart = apart(&tar);
    let mut archive = tar::Archive::new(&tar[..]);
    for (theirs, ours) in archive.entries().unwrap().zip(&apart.entries) {
        let theirs = theirs.unwrap();
        assert_eq!(theirs.path_bytes(), ours.path.as_bytes());
        assert_eq!((ours.attr.mode, ours.attr.uid, ours.attr.mtime.secs), (0o4755, 3_000_000_000, 99));
    }
    assert_eq!(apart.taken.entries, 2);
}
