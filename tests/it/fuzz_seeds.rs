//! The fuzz targets as ordinary tests: each over its seeds, and over damaged copies of them.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

#[path = "../fuzz/src/lib.rs"]
mod targets;

/// Damaged copies of each seed: enough to cross each branch near it, few enough for every day.
const DAMAGED: u64 = 60;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz")
}

#[test]
fn seeds_and_damaged_seeds_keep_the_promises() {
    for (name, target) in targets::TARGETS {
        assert!(folder().join(format!("src/bin/{name}.rs")).exists(), "{name} has no program");
        let mut seeds = 0;
        for seed in fs::read_dir(folder().join("seeds").join(name)).unwrap() {
            let seed = fs::read(seed.unwrap().path()).unwrap();
            target(&seed);
            for round in 0..DAMAGED {
                target(&damaged(seed.clone(), round));
            }
            seeds += 1;
        }
        assert!(seeds > 0, "{name} has no seeds");
    }
}

/// Flips, cuts, doubles or zeroes a place that depends on `round` alone.
fn damaged(mut bytes: Vec<u8>, round: u64) -> Vec<u8> {
    if bytes.is_empty() {
        return bytes;
    }
    // Knuth's multiplier: consecutive rounds land far from each other.
    let random = (round + 1).wrapping_mul(6_364_136_223_846_793_005);
    let at = (random >> 20) as usize % bytes.len();
    match round % 4 {
        0 => bytes[at] ^= 1 << (random >> 60 & 7),
        1 => bytes.truncate(at),
        2 => bytes.extend_from_within(at..),
        _ => bytes[at] = [0, 0xff, b'9', b'/'][(random >> 62) as usize],
    }
    bytes
}

/// Makes the seeds that only imgit itself can write: after a change of a format, run this one.
#[test]
#[ignore = "writes tests/fuzz/seeds"]
fn write_seeds() {
    use imgit::layer::gzip::codec::Codec;
    use imgit::layer::gzip::codec::Setting;
    use imgit::layer::gzip::recipe::Recipe;
    use imgit::layer::testing::end;
    use imgit::layer::testing::link;
    use imgit::layer::testing::member;
    use imgit::layer::testing::pax;

    let put = |target: &str, name: &str, bytes: &[u8]| {
        let folder = folder().join("seeds").join(target);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(name), bytes).unwrap();
    };
    let gzip = |bytes: &[u8]| {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        gzip.write_all(bytes).unwrap();
        gzip.finish().unwrap()
    };

    let long_name = [b"a/".repeat(80).as_slice(), b"end\0"].concat();
    let sparse: &[&[u8]] = &[
        b"GNU.sparse.major=1",
        b"GNU.sparse.minor=0",
        b"GNU.sparse.name=holes",
        b"GNU.sparse.realsize=4096",
    ];
    let map = [b"1\n1024\n3\n".to_vec(), vec![0; 512 - 9], b"abc".to_vec()].concat();
    let tars: Vec<(&str, Vec<u8>)> = vec![
        ("empty", end()),
        ("plain", [member(b"etc/", b'5', b""), member(b"etc/a", b'0', b"text"), end()].concat()),
        (
            "links",
            [member(b"a", b'0', b"x"), link(b"b", b'1', b"a"), link(b"c", b'2', b"../a"), end()].concat(),
        ),
        (
            "devices",
            [member(b"dev/n", b'3', b""), member(b"dev/b", b'4', b""), member(b"p", b'6', b"")].concat(),
        ),
        ("gnu-long", [member(b"././@LongLink", b'L', &long_name), member(b"x", b'0', b"y"), end()].concat()),
        (
            "pax",
            [
                pax(b'g', &[b"mtime=1.5"]),
                pax(b'x', &[b"path=p\xc3\xa9", b"mtime=-1.25", b"uid=3000000", b"SCHILY.xattr.user.a=b\0c"]),
                member(b"x", b'0', b"y"),
                end(),
            ]
            .concat(),
        ),
        ("pax-sparse", [pax(b'x', sparse), member(b"GNUSparseFile.0/holes", b'0', &map), end()].concat()),
        (
            "whiteouts",
            [member(b"etc/.wh.a", b'0', b""), member(b"b/.wh..wh..opq", b'0', b""), end()].concat(),
        ),
        (
            "twice",
            [member(b"a", b'0', b"1"), member(b"./a", b'0', b"2"), member(b"/a/b", b'0', b"3")].concat(),
        ),
        ("no-end", member(b"a", b'0', b"text")[..512 + 4].to_vec()),
        ("no-tar", b"this is no tar at all".repeat(30)),
    ];
    for (name, tar) in &tars {
        put("tar", name, tar);
        let apart = imgit::layer::testing::round_trip(tar, &imgit::layer::Limits::default()).unwrap();
        put("recipe", name, &apart.recipe);
        for (other, upper) in &tars {
            if ["plain", "links"].contains(name) && ["links", "whiteouts", "twice"].contains(other) {
                let len = u16::try_from(tar.len()).unwrap().to_le_bytes();
                put("layers", &format!("{name}-{other}"), &[&len[..], tar, upper].concat());
            }
        }
    }
    let text = b"some text that is worth compressing, some text".repeat(4);
    put("compressed", "gzip", &gzip(&text));
    put("compressed", "gzip-members", &[gzip(b"one"), gzip(b"two"), b"trailing".to_vec()].concat());
    put("compressed", "zstd", &zstd::encode_all(&text[..], 3).unwrap());
    let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"abc"].concat();
    put("compressed", "zstd-frames", &[skippable, zstd::encode_all(&b"one"[..], 1).unwrap()].concat());
    put("compressed", "plain", &text);
    // Letters of very different frequency, so that there are codes of many lengths.
    let letters: Vec<u8> =
        (0..3_000_u64).map(|n| (n.pow(3) / 7_000 % 16 * (n.pow(3) / 900 % 16)) as u8).collect();
    for (name, bytes, level) in [("stored", &text, 0), ("fixed", &text, 1), ("dynamic", &letters, 9)] {
        let mut deflate = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::new(level));
        deflate.write_all(bytes).unwrap();
        put("deflate", name, &deflate.finish().unwrap());
    }
    for (name, codec, block_bytes) in [("go", Codec::Go1, 0), ("pigz", Codec::Pigz, 128 << 10)] {
        let setting = Setting { codec, level: 6, block_bytes };
        let header = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
        let recipe = Recipe { setting, header, tail: vec![0; 3] }.to_bytes();
        let seed = [&[recipe.len() as u8][..], &recipe, &text].concat();
        put("compressed", &format!("recipe-{name}"), &seed);
    }

    skeletons(&put);
    bundles(&put);
    from_a_store(&put);
    disks(&put);
    for (name, text) in [
        ("image", "docker.io/library/debian:12"),
        (
            "digest",
            "ghcr.io/acme/app@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        ),
        ("digest-alone", "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ("port", "localhost:5000/a/b:tag"),
        ("oci", "oci:some/folder:v1"),
        ("docker-archive", "docker-archive:-:web:v2"),
        ("index", "oci-archive:/tmp/a.tar:@3"),
        ("platform", "linux/arm64/v8"),
        ("steps", "web:v2~3^2@{1}"),
        ("date", "web@{2026-05-03 14:12}"),
        ("words", "web@{3 days ago}"),
        ("range", "web~5..web"),
        ("glob", "/etc/ssl/**/*.[ch]{a,b}?"),
    ] {
        put("names", name, text.as_bytes());
    }
}

/// Recipes of disks, with every kind of op.
fn skeletons(put: &dyn Fn(&str, &str, &[u8])) {
    use imgit::disk::skeleton::Fingerprints;
    use imgit::disk::skeleton::Hint;
    use imgit::disk::skeleton::testing::put_all;
    use imgit::disk::skeleton::testing::round_trip;
    use imgit::layer::testing::Memory;

    let bytes = |seed: u64, len: u64| -> Vec<u8> {
        (0..len)
            .map(|at| (at + 1).wrapping_mul(seed.wrapping_mul(6_364_136_223_846_793_005)).to_be_bytes()[0])
            .collect()
    };
    let files = [bytes(3, 20_000), bytes(5, 300), bytes(7, 9_000)];
    let part = |number: usize, from: usize| files[number][from..].to_vec();
    let fill = |mut bytes: Vec<u8>| {
        bytes.resize(bytes.len().next_multiple_of(4096), 0);
        bytes
    };
    let whole =
        [fill(part(1, 0)), fill(part(0, 0)), vec![0; 50_000], fill(part(2, 0)), vec![1; 40_000]].concat();
    let pieces = [part(0, 8192), vec![3; 700], part(0, 0), part(2, 4096), part(2, 0), part(0, 512)].concat();
    for (name, disk, hints) in [
        ("empty", Vec::new(), vec![]),
        ("zeros", vec![0; 100_000], vec![]),
        ("whole", whole, vec![]),
        ("pieces", pieces, vec![Hint { content: 0, file_offset: 8192, disk_offset: 0, len: 11_808 }]),
    ] {
        let mut memory = Memory::default();
        let table = put_all(&mut memory, Fingerprints::default(), &files);
        put("skeleton", name, &round_trip(&disk, &[], &table, &hints, memory).recipe);
    }
}

/// Nodes, commits and packs of a real image; documents and archives of the fixtures.
fn from_a_store(put: &dyn Fn(&str, &str, &[u8])) {
    use imgit::history::History;
    use imgit::import::ImportOptions;
    use imgit::oci::location::Location;
    use imgit::progress::Silent;
    use imgit::repo::Repo;
    use imgit::repo::Signature;
    use imgit::store::pack::footer::Trailer;
    use imgit::tree::NodeSource;

    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let store = tempfile::tempdir().unwrap();
    let repo = Repo::create(&store.path().join("store"), std::time::Duration::from_secs(9)).unwrap();
    let source =
        Location::parse(&format!("oci:{}:notes", root.join("testdata/notes-zstd.oci").display())).unwrap();
    let options = ImportOptions {
        name: None,
        platform: None,
        message: Some("a message".into()),
        labels: Default::default(),
        signature: Signature::now(Some("somebody".into())).unwrap(),
        scan: Default::default(),
        disk: Default::default(),
        outside: std::sync::Arc::new(imgit::oci::outside::Nowhere),
        referrers: false,
    };
    imgit::import::import(&repo, &source, &options, &Silent).unwrap();
    let snapshot = repo.snapshot().unwrap();
    for found in repo.refs().unwrap() {
        let commit = History::commit(&snapshot, &found.commit).unwrap();
        put("commit", "image", &commit.encode());
        let tree = repo.tree_record(&commit.trees[0].tree).unwrap();
        put("tree", "tree", &tree.encode());
        put("tree", "root", &repo.nodes().node(&tree.root.full).unwrap().encode());
    }
    for found in repo.refs().unwrap() {
        // A move of a ref is a small pack.
        let (name, signature) = (&found.name, Signature::now(Some("somebody".into())).unwrap());
        repo.delete_ref(name, found.kind, &signature, &Silent).unwrap();
    }
    for pack in find(&store.path().join("store/packs"), "pack") {
        let bytes = fs::read(pack).unwrap();
        let trailer = bytes.last_chunk().unwrap();
        let trailer = Trailer::parse("pack", bytes.len() as u64, trailer).unwrap();
        let start = trailer.footer_offset as usize;
        let footer = trailer.open("pack", &bytes[start..start + trailer.stored_len as usize]).unwrap();
        let is_small = footer.objects.is_empty();
        put("pack", if is_small { "footer-moves" } else { "footer" }, &footer.encode());
        if is_small {
            put("pack", "moves", &bytes);
        }
    }
    for (name, path) in [("zstd", "testdata/notes-zstd.oci"), ("artifacts", "testdata/artifacts.oci")] {
        for (at, path) in find(&root.join(path).join("blobs"), "").iter().enumerate() {
            let bytes = fs::read(path).unwrap();
            if bytes.starts_with(b"{") && bytes.len() < 2_000 {
                put("document", &format!("{name}-{at}"), &bytes);
            }
        }
        put("document", &format!("{name}-index"), &fs::read(root.join(path).join("index.json")).unwrap());
    }
    archives(put);
    file_systems(put);
}

/// Small file systems, without checksums, which would hide everything behind them.
fn file_systems(put: &dyn Fn(&str, &str, &[u8])) {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("source");
    fs::create_dir_all(source.join("folder/below")).unwrap();
    fs::write(source.join("file"), vec![7; 2500]).unwrap();
    fs::hard_link(source.join("file"), source.join("folder/again")).unwrap();
    fs::write(source.join("folder/a long name that has lower case letters"), b"1").unwrap();
    std::os::unix::fs::symlink("target", source.join("link")).unwrap();
    std::os::unix::fs::symlink("t".repeat(90), source.join("long")).unwrap();
    let (source, image) = (source.display().to_string(), folder.path().join("image"));
    let path = image.display().to_string();
    let tool = |program: &str, args: &[&str]| {
        let done = std::process::Command::new(program).args(args).output().unwrap();
        assert!(done.status.success(), "{program}: {}", String::from_utf8_lossy(&done.stderr));
    };
    let keep = |target: &str, name: &str| {
        let mut bytes = fs::read(&image).unwrap();
        bytes.truncate(bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1));
        put(target, name, &bytes);
        fs::remove_file(&image).unwrap();
    };
    for (name, kind, features) in [
        ("lists", "ext2", "^resize_inode"),
        ("extents", "ext4", "^metadata_csum,^has_journal,^resize_inode"),
        ("inline", "ext4", "^metadata_csum,^has_journal,^resize_inode,inline_data"),
        ("clusters", "ext4", "^metadata_csum,^has_journal,^resize_inode,bigalloc"),
    ] {
        let options = ["-q", "-F", "-t", kind, "-b", "1024", "-N", "24", "-m", "0", "-O", features];
        tool("mke2fs", &[&options[..], &["-d", &source, &path, "160"]].concat());
        for request in ["ea_set file user.name value", "ea_set link trusted.name value", "mknod null c 1 3"] {
            tool("debugfs", &["-w", "-R", request, &path]);
        }
        keep("ext", name);
    }
    for (name, width, kib) in [("fat12", "12", "200"), ("fat16", "16", "2200"), ("fat32", "32", "200")] {
        let options = ["-C", "-F", width, "-s", "1", "-f", "1", "-n", "LABEL"];
        tool("mkfs.vfat", &[&options[..], &[&path, kib]].concat());
        // mtools takes so small a FAT32 for another.
        if width != "32" {
            let files = ["file", "folder"].map(|name| format!("{source}/{name}"));
            tool("mcopy", &["-s", "-i", &path, &files[0], &files[1], "::"]);
        }
        keep("fat", name);
    }
}

/// Small disks made by the tools that make disks, as the runs that the targets take.
fn disks(put: &dyn Fn(&str, &str, &[u8])) {
    use std::process::Command;
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let run = |command: &str, input: &str| {
        fs::write(folder.join("input"), input).unwrap();
        let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap());
        let out = Command::new("sh")
            .args(["-ec", command])
            .env("PATH", path)
            .current_dir(folder)
            .stdin(fs::File::open(folder.join("input")).unwrap())
            .output()
            .unwrap();
        assert!(out.status.success(), "{command}: {}", String::from_utf8_lossy(&out.stderr));
    };
    let seed = |target: &str, name: &str, file: &str| {
        put(target, name, &imgit::disk::testing::pack(&fs::read(folder.join(file)).unwrap()));
    };
    let text = b"some words of a guest ".repeat(40);
    let mut raw = vec![0; 1 << 20];
    raw[700 << 10..][..text.len()].copy_from_slice(&text);
    raw[510..512].copy_from_slice(&[0x55, 0xaa]);
    fs::write(folder.join("raw"), raw).unwrap();
    for (name, options) in [
        ("qcow2", "qcow2 -o cluster_size=4k"),
        ("qcow2-v2", "qcow2 -o compat=0.10,cluster_size=512"),
        ("qcow2-subclusters", "qcow2 -o extended_l2=on,cluster_size=16k"),
        ("qcow2-zlib", "qcow2 -c -o cluster_size=4k"),
        ("qcow2-zstd", "qcow2 -c -o compression_type=zstd,cluster_size=4k"),
        ("vmdk", "vmdk"),
        ("vmdk-stream", "vmdk -o subformat=streamOptimized"),
        ("vmdk-flat", "vmdk -o subformat=monolithicFlat"),
        ("vdi", "vdi"),
        ("vhd", "vpc"),
        ("vhd-fixed", "vpc -o subformat=fixed"),
        ("vhdx", "vhdx -o block_size=1M,log_size=1M"),
    ] {
        run(&format!("qemu-img convert -f raw -O {options} raw image"), "");
        seed("disk_image", name, "image");
    }
    run("qemu-img create -q -u -f qcow2 -b /etc/passwd -F raw backing 1M", "");
    seed("disk_image", "qcow2-backing", "backing");
    let logical = "label: dos\n,1M,83\n,2M,5\n,500K,82\n,500K,8e\n";
    for (name, size, command, input) in [
        ("gpt", "3M", "sfdisk -q disk", "label: gpt\nsize=500K,type=U,name=a\nsize=500K,type=L,name=b\n"),
        ("gpt-4k", "3M", "fdisk -b 4096 disk", "g\nn\n1\n\n+100K\nw\n"),
        ("mbr", "4M", "sfdisk -q disk", logical),
        ("ext4", "1M", "mke2fs -q -t ext4 -O ^has_journal -L label disk", ""),
        ("fat12", "512K", "mkfs.vfat -F 12 -n LABEL disk", ""),
        ("fat32", "512K", "mkfs.vfat -F 32 -n LABEL disk 2>/dev/null", ""),
        ("swap", "64K", "mkswap -q -L label disk", ""),
        ("iso", "0", "genisoimage -quiet -V LABEL -o disk input", "text"),
        ("squashfs", "0", "mksquashfs input disk -quiet -noappend -no-progress", "text"),
    ] {
        run(&format!("rm -f disk; truncate -s {size} disk; {command}"), input);
        seed("partition", name, "disk");
    }
    // More than the metadata at the start is not looked at.
    let lvm = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/lvm/pv1.zst")).unwrap();
    let mut lvm = zstd::decode_all(&lvm[..]).unwrap();
    lvm.truncate(2 << 20);
    put("partition", "lvm", &imgit::disk::testing::pack(&lvm));
}

/// A bundle of one content, the tables of it, and a list of what a store has.
fn bundles(put: &dyn Fn(&str, &str, &[u8])) {
    use imgit::bundle::format::Base;
    use imgit::bundle::format::ObjectKind;
    use imgit::bundle::format::Prerequisite;
    use imgit::bundle::format::Row;
    use imgit::bundle::format::Table;
    use imgit::bundle::format::Totals;
    use imgit::bundle::format::header;
    use imgit::bundle::have::Have;
    use imgit::history::Ref;
    use imgit::history::RefKind;
    use imgit::history::RefName;
    use imgit::id::CommitId;
    use imgit::id::ContentId;
    use imgit::id::DiffId;
    use imgit::id::TreeId;
    use imgit::oci::digest::Digest;
    use imgit::store::BlobRow;
    use imgit::store::BlobSource;
    use imgit::store::pack::frame::FrameEncoder;

    let (commit, content, diff_id) = (CommitId::of(b"x"), ContentId::of(b"one"), DiffId::of(b"tar"));
    let bases = [Base::Commit(commit), Base::Tree(TreeId::of(b"x")), Base::Blob(Digest::of(b"one"))];
    let refs = [("web:latest", RefKind::Branch), ("web:v1", RefKind::Tag)].map(|(name, kind)| Ref {
        name: RefName::parse(name).unwrap(),
        kind,
        commit,
    });
    let note = |base: &Base| Prerequisite { base: base.clone(), note: "web:latest".into() };
    let blobs = vec![
        (
            Digest::of(b"one"),
            BlobRow { source: BlobSource::Content(content), size: 3, diff_id: Some(diff_id) },
        ),
        (Digest::from(diff_id), BlobRow { source: BlobSource::Recipe(diff_id), size: 1_024, diff_id: None }),
    ];
    let frames = [
        ("head", Table::Head(Totals { commits: 0, objects: 1, bytes: 3 }).encode()),
        ("prerequisites", Table::Prerequisites(bases.iter().map(note).collect()).encode()),
        ("refs", Table::Refs(refs.to_vec()).encode()),
        ("blobs", Table::Blobs(blobs).encode()),
        ("stacks", Table::Chains(vec![(diff_id.chain_on(None), TreeId::of(b"x"))]).encode()),
        ("objects", Table::Objects(ObjectKind::Content, vec![Row { id: content.0, len: 3 }]).encode()),
        ("data", b"one".to_vec()),
        ("end", Table::End(1).encode()),
    ];
    let (mut whole, mut with_lengths) = (header().to_vec(), Vec::new());
    for (name, frame) in &frames {
        put("bundle", name, frame);
        FrameEncoder::new(1).unwrap().encode(&mut frame.clone(), Some(1), &mut whole).unwrap();
        with_lengths.extend(u16::try_from(frame.len()).unwrap().to_le_bytes());
        with_lengths.extend_from_slice(frame);
    }
    put("bundle", "whole", &whole);
    put("bundle", "frames", &with_lengths);
    let have =
        Have { bases: bases.iter().map(|base| (base.clone(), "web:v1".into())).collect(), refs: refs.into() };
    put("bundle", "list", have.to_text().as_bytes());
}

/// The smallest archives of an image without layers.
fn archives(put: &dyn Fn(&str, &str, &[u8])) {
    use imgit::layer::testing::end;
    use imgit::layer::testing::link;
    use imgit::layer::testing::member;
    use imgit::oci::digest::Digest;

    let config = br#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#;
    let config_digest = Digest::of(config);
    let config_size = config.len();
    let manifest = format!(
        r#"{{"schemaVersion":2,"config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{config_digest}","size":{config_size}}},"layers":[]}}"#
    );
    let (manifest_digest, manifest_size) = (Digest::of(manifest.as_bytes()), manifest.len());
    let index = format!(
        r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{manifest_digest}","size":{manifest_size}}}]}}"#
    );
    let blob = |digest: &Digest| format!("blobs/sha256/{}", digest.encoded()).into_bytes();
    let layout = [
        member(b"oci-layout", b'0', br#"{"imageLayoutVersion":"1.0.0"}"#),
        member(b"index.json", b'0', index.as_bytes()),
        member(&blob(&config_digest), b'0', config),
        member(&blob(&manifest_digest), b'0', manifest.as_bytes()),
    ]
    .concat();
    let list = |config: &str| format!(r#"[{{"Config":"{config}","RepoTags":["web:v1"],"Layers":[]}}]"#);
    let config_name = format!("{}.json", config_digest.encoded());
    let docker = [
        member(config_name.as_bytes(), b'0', config),
        link(b"alias.json", b'2', config_name.as_bytes()),
        member(b"manifest.json", b'0', list(&config_name).as_bytes()),
        end(),
    ];
    let blob_name = String::from_utf8(blob(&config_digest)).unwrap();
    let both = [layout.clone(), member(b"manifest.json", b'0', list(&blob_name).as_bytes()), end()];
    put("archive", "oci", &[layout, end()].concat());
    put("archive", "docker", &docker.concat());
    put("archive", "docker-and-oci", &both.concat());
}

fn find(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(find(&path, ending));
        } else if path.extension().is_none_or(|other| other == ending) || ending.is_empty() {
            found.push(path);
        }
    }
    found.sort();
    found
}
