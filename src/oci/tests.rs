//! Images through every source and sink, and what damage does to them.

use crate::error::Error;
use crate::error::Result;
use crate::fs;
use crate::oci::copy;
use crate::oci::copy::Copied;
use crate::oci::copy::CopyOptions;
use crate::oci::descriptor::Descriptor;
use crate::oci::digest::Digest;
use crate::oci::digest::Verifier;
use crate::oci::docker_archive::DockerArchiveSink;
use crate::oci::document;
use crate::oci::document::Document;
use crate::oci::document::Missing;
use crate::oci::layout::LayoutSink;
use crate::oci::location::Location;
use crate::oci::open;
use crate::oci::open::Content;
use crate::oci::open::CreateOptions;
use crate::oci::outside::Nowhere;
use crate::oci::sink::Sink;
use crate::oci::source::Root;
use crate::oci::source::Source;
use crate::oci::tar_output::Target;
use crate::progress::Silent;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::path::PathBuf;
use tempfile::TempDir;

fn testdata(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(name)
}

/// Every name in an error's story, for tests that look for one of them.
fn story(err: &Error) -> String {
    let mut text = err.to_string();
    let mut cause = std::error::Error::source(err);
    while let Some(err) = cause {
        text += &format!(": {err}");
        cause = err.source();
    }
    text
}

fn creating(replace: bool) -> CreateOptions<'static> {
    CreateOptions { replace, standard_output: || Box::new(std::io::sink()), outside: &Nowhere, near: None }
}

fn copied(source: &dyn Source, roots: &[Root], sink: Box<dyn Sink>) -> Result<Copied> {
    let scratch = fs::temp_dir()?;
    copy::copy(
        source,
        roots,
        sink,
        &CopyOptions { scratch: scratch.path(), jobs: 2, referrers: false },
        &Silent,
    )
}

/// Every digest under the roots, in order of the walk, all blobs read and verified.
fn digests(source: &dyn Source, roots: &[Root]) -> Result<Vec<Digest>> {
    let mut found = Vec::new();
    for root in roots {
        document::walk(source, &root.descriptor, &mut Missing::Fails, &mut |visit| {
            found.push(visit.descriptor.digest.clone());
            if let Document::Manifest(manifest) = visit.document {
                for blob in manifest.blobs() {
                    Verifier::new("blob", &blob.digest, blob.size, source.open(blob)?).finish()?;
                    found.push(blob.digest.clone());
                }
            }
            Ok(())
        })?;
    }
    Ok(found)
}

struct Images {
    took_for: String,
    source: Box<dyn Source>,
    roots: Vec<Root>,
}

impl Images {
    fn open(location: &str) -> Result<Images> {
        let scratch = fs::temp_dir()?;
        let opened = open::open(&Location::parse(location)?, scratch.path(), &Nowhere)?;
        match opened.content {
            Content::Images { source, roots } => {
                Ok(Images { took_for: opened.location.to_string(), source, roots })
            }
            _ => Err(Error::invalid(location, "holds no images")),
        }
    }

    fn fixture(name: &str) -> Images {
        Images::open(testdata(name).to_str().unwrap()).unwrap()
    }

    fn digests(&self) -> Result<Vec<Digest>> {
        digests(&*self.source, &self.roots)
    }

    fn names(&self) -> Vec<Vec<&str>> {
        self.roots.iter().map(|root| root.names.iter().map(String::as_str).collect()).collect()
    }

    fn copy(&self, to: &str) -> Result<Images> {
        let location = Location::parse(to)?;
        let sink = open::create(&location, &creating(false))?;
        copied(&*self.source, &self.roots, sink)?;
        Images::open(to)
    }
}

fn reads_all(location: &str) -> Result<Vec<Digest>> {
    Images::open(location)?.digests()
}

const IMAGES: [&str; 6] = [
    "web-v1.oci",
    "notes-buildah.oci.tar",
    "notes-zstd.oci",
    "notes-chunked.oci",
    "notes.dir",
    "notes-docker28.docker.tar",
];

#[test]
fn digests_survive_every_place_that_keeps_manifests() {
    for fixture in IMAGES.iter().chain(&["notes-multi.oci.tar", "web-v2.docker.tar"]) {
        let original = Images::fixture(fixture);
        let expected = original.digests().unwrap();
        let folder = fs::temp_dir().unwrap();
        let at = folder.path().display();
        let layout = original.copy(&format!("oci:{at}/layout")).unwrap();
        let archive = layout.copy(&format!("oci-archive:{at}/archive.tar")).unwrap();
        let dir = archive.copy(&format!("dir:{at}/dir")).unwrap();
        for copy in [&layout, &archive, &dir] {
            assert_eq!(copy.digests().unwrap(), expected, "{fixture} in {}", copy.took_for);
        }
        assert_eq!(layout.names(), original.names());
        assert_eq!(archive.names(), original.names());
        // A bare path is taken for what was written there.
        for (name, shown) in [("layout", "oci:"), ("archive.tar", "oci-archive:"), ("dir", "dir:")] {
            let path = format!("{at}/{name}");
            assert_eq!(Images::open(&path).unwrap().took_for, format!("{shown}{path}"));
        }
    }
}

#[test]
fn a_docker_archive_keeps_configs_and_diff_ids() {
    for fixture in
        IMAGES.iter().chain(&["web-v2.docker.tar", "notes-pair.docker.tar", "notes-docker20.docker.tar"])
    {
        let original = Images::fixture(fixture);
        let folder = fs::temp_dir().unwrap();
        let at = folder.path().display();
        let first = original.copy(&format!("docker-archive:{at}/first.tar")).unwrap();
        let second = first.copy(&format!("docker-archive:{at}/second.tar")).unwrap();
        assert_eq!(first.digests().unwrap(), second.digests().unwrap(), "{fixture}");
        let bytes = |name: &str| fs::read_small(&folder.path().join(name), 8 << 20).unwrap();
        assert_eq!(bytes("first.tar"), bytes("second.tar"), "{fixture}");
        let configs = |images: &Images| {
            let digests = images.digests().unwrap();
            images
                .roots
                .iter()
                .map(|root| {
                    digests[digests.iter().position(|digest| *digest == root.descriptor.digest).unwrap() + 1]
                        .clone()
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(configs(&first), configs(&original), "{fixture}");
    }
}

#[test]
fn docker_archives_of_all_ages_are_read() {
    let pair = Images::fixture("notes-pair.docker.tar");
    assert_eq!(
        pair.names(),
        [vec!["example.com/team/notes:1", "example.com/team/notes:first"], vec!["example.com/team/notes:2"],]
    );
    // The manifest is made up, so it must be the same on every run and in every version.
    assert_eq!(
        pair.roots[0].descriptor.digest.as_str(),
        "sha256:4ee5a402aefd05ffb06a9d9fd609a8446fbb59b6152331a8c5bed326ac5246db"
    );
    let old = Images::fixture("notes-docker20.docker.tar");
    assert_eq!(old.names(), [vec!["notes:1", "notes:latest"], vec!["team/notes:twice"]]);
    assert_eq!(old.digests().unwrap().len(), 4 + 5);
    let new = Images::fixture("notes-docker28.docker.tar");
    assert_eq!(new.names(), [vec!["docker.io/library/notes:1", "1"]]);
    assert_eq!(new.digests().unwrap().len(), 4);
}

#[test]
fn one_of_several_images_is_chosen_behind_the_path() {
    let pair = testdata("notes-pair.docker.tar");
    let choose = |select: &str| Images::open(&format!("docker-archive:{}{select}", pair.display()));
    assert_eq!(choose(":example.com/team/notes:2").unwrap().names(), [["example.com/team/notes:2"]]);
    assert_eq!(choose(":@1").unwrap().names(), [["example.com/team/notes:2"]]);
    assert!(choose(":@2").is_err());
    assert!(choose(":example.com/team/notes").is_err());
    let artifacts = testdata("artifacts.oci");
    let nested = reads_all(&format!("oci:{}:nested", artifacts.display())).unwrap();
    assert!(nested.len() > 3);
    assert_eq!(reads_all(&format!("oci:{}:empty-index", artifacts.display())).unwrap().len(), 1);
    let sha512 = Images::open(&format!("oci:{}:sha512", artifacts.display())).unwrap();
    assert_eq!(sha512.roots[0].descriptor.digest.algorithm(), "sha512");
    let folder = fs::temp_dir().unwrap();
    for to in ["oci", "oci-archive", "dir"] {
        let copy = sha512.copy(&format!("{to}:{}/{to}", folder.path().display())).unwrap();
        assert_eq!(copy.digests().unwrap()[1..], sha512.digests().unwrap()[1..], "{to}");
    }
}

#[test]
fn a_compressed_archive_is_spooled_and_read() {
    let folder = fs::temp_dir().unwrap();
    let plain = fs::read_small(&testdata("notes-pair.docker.tar"), 1 << 20).unwrap();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&plain).unwrap();
    for (name, bytes) in [("a", gzip.finish().unwrap()), ("b", zstd::encode_all(&plain[..], 1).unwrap())] {
        let path = folder.path().join(name);
        fs::write_atomic(&path, &bytes).unwrap();
        assert_eq!(
            reads_all(path.to_str().unwrap()).unwrap(),
            Images::fixture("notes-pair.docker.tar").digests().unwrap()
        );
    }
}

/// A docker-archive of one layer, built by hand: config, members.
fn docker_archive(
    folder: &Path,
    config_name: &str,
    diff_id: &Digest,
    members: &[(&str, &[u8])],
    layers: &[&str],
) -> String {
    let config = format!(
        r#"{{"os":"linux","architecture":"amd64","rootfs":{{"type":"layers","diff_ids":["{diff_id}"]}}}}"#
    );
    let config_name = config_name.replace("HEX", Digest::of(config.as_bytes()).encoded());
    let list = serde_json::json!([{"Config": config_name, "RepoTags": null, "Layers": layers}]).to_string();
    let mut tar = tar::Builder::new(Vec::new());
    let own = [(&config_name[..], config.as_bytes()), ("manifest.json", list.as_bytes())];
    for (name, bytes) in members.iter().chain(&own) {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        tar.append_data(&mut header, name, *bytes).unwrap();
    }
    let path = folder.join("made.tar");
    fs::write_atomic(&path, &tar.into_inner().unwrap()).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn layers_that_a_tool_has_compressed_keep_their_bytes() {
    // kaniko and crane: `sha256:HEX` for the config, `HEX.tar.gz` for layers.
    let folder = fs::temp_dir().unwrap();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&[0; 1024]).unwrap();
    let layer = gzip.finish().unwrap();
    let path = docker_archive(
        folder.path(),
        "sha256:HEX",
        &Digest::of(&[0; 1024]),
        &[("l.tar.gz", &layer)],
        &["l.tar.gz"],
    );
    assert_eq!(reads_all(&path).unwrap()[2], Digest::of(&layer));
}

#[test]
fn what_a_docker_archive_says_is_held_against_it() {
    let layer = [0; 1024];
    let diff_id = Digest::of(&layer);
    let check = |config: &str, diff_id: &Digest, layers: &[&str], words: &str| {
        let folder = fs::temp_dir().unwrap();
        let path = docker_archive(folder.path(), config, diff_id, &[("l.tar", &layer)], layers);
        match reads_all(&path) {
            Ok(_) => assert_eq!(words, "fine"),
            Err(err) => assert!(story(&err).contains(words), "{}", story(&err)),
        }
    };
    check("HEX.json", &diff_id, &["l.tar"], "fine");
    check("config.json", &diff_id, &["./l.tar"], "fine");
    check("HEX.json", &Digest::of(b"other"), &["l.tar"], "blob: expected sha256:");
    check("HEX.json", &diff_id, &["none.tar"], "layer none.tar not found");
    check("HEX.json", &diff_id, &["../l.tar"], "points outside its root");
    check("HEX.json", &diff_id, &[], "expected 1 as in the config, found 0 in manifest.json");
    check(&format!("{}.json", diff_id.encoded()), &diff_id, &["l.tar"], "config ");
}

/// A layout of one image, to be damaged.
fn layout() -> (TempDir, String) {
    let folder = fs::temp_dir().unwrap();
    let path = format!("{}/layout", folder.path().display());
    Images::fixture("notes-buildah.oci.tar").copy(&format!("oci:{path}")).unwrap();
    (folder, path)
}

fn damaged(damage: impl FnOnce(&Path), words: &str) {
    let (_folder, path) = layout();
    damage(Path::new(&path));
    let err = story(&reads_all(&format!("oci:{path}")).unwrap_err());
    assert!(err.contains(words), "{err}");
}

const LAYER: &str = "blobs/sha256/6d071f5ca6508c534421414778a5bdd4ce0f3c5debe46db08b4632eb3b5640f7";
const MANIFEST: &str = "blobs/sha256/f6f72c2480e7fc4a7cf3acecab4a5151212d8c875339142f0f24bde31e1b40db";

#[test]
fn a_damaged_layout_is_an_error_that_names_the_damage() {
    let write = |name: &'static str, text: String| {
        move |root: &Path| fs::write_atomic(&root.join(name), text.as_bytes()).unwrap()
    };
    let link = |name: &'static str, to: &'static str| {
        move |root: &Path| {
            fs::remove_file(&root.join(name)).unwrap();
            symlink(to, root.join(name)).unwrap();
        }
    };
    let grow = |name: &'static str, len: u64| {
        move |root: &Path| fs::create(&root.join(name)).unwrap().set_len(len).unwrap()
    };
    damaged(|root| fs::remove_file(&root.join(LAYER)).unwrap(), "not found");
    damaged(|root| fs::remove_file(&root.join("oci-layout")).unwrap(), "not an OCI layout");
    damaged(|root| fs::remove_file(&root.join("index.json")).unwrap(), "without index.json");
    damaged(write("oci-layout", r#"{"imageLayoutVersion":"2.0.0"}"#.into()), "reads version 1");
    damaged(write("oci-layout", "{}".into()), "imageLayoutVersion");
    damaged(write("index.json", "{".into()), "not JSON");
    damaged(
        write("index.json", format!(r#"{{"x":{}{}}}"#, "[".repeat(1000), "]".repeat(1000))),
        "128 levels",
    );
    damaged(grow("index.json", 100 << 20), "limit of 16777216 bytes");
    damaged(grow(MANIFEST, 100 << 20), "found more");
    damaged(grow(LAYER, 1 << 40), "found more");
    damaged(write(MANIFEST, "{}".into()), "found 2 bytes");
    damaged(
        write("index.json", r#"{"manifests":[{"digest":"sha256:../../../etc/passwd","size":1}]}"#.into()),
        "digest",
    );
    damaged(write("index.json", r#"{"manifests":[{"digest":"a:../x","size":1}]}"#.into()), "digest");
    damaged(link(LAYER, "../../../secret"), "leads out of its folder");
    damaged(link(LAYER, "/etc/passwd"), "leads out of its folder");
    damaged(link(LAYER, "."), "not a regular file");
    damaged(link("index.json", "/etc/passwd"), "leads out of its folder");
    damaged(link("index.json", "index.json"), "leads out of its folder");
}

#[test]
fn damaged_archives_fail_and_never_panic() {
    let scratch = fs::temp_dir().unwrap();
    let path = scratch.path().join("damaged.tar");
    // Not synced, for there are hundreds of them.
    let write = |bytes: &[u8]| fs::create(&path).unwrap().write_all(bytes).unwrap();
    for fixture in ["notes-docker28.docker.tar", "notes-docker20.docker.tar", "notes-buildah.oci.tar"] {
        let good = fs::read_small(&testdata(fixture), 1 << 20).unwrap();
        let whole = Images::fixture(fixture).digests().unwrap();
        let last_member = good.iter().rposition(|byte| *byte != 0).unwrap();
        for cut in (0..last_member).step_by(3_001) {
            write(&good[..cut]);
            reads_all(path.to_str().unwrap()).unwrap_err();
        }
        let mut place = 1usize;
        for round in 0..200 {
            place = place.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let mut bad = good.clone();
            let at = (place >> 20) % bad.len();
            bad[at] ^= 1 << (round % 8);
            write(&bad);
            // Padding and times may change without harm; digests never.
            if let Ok(digests) = reads_all(path.to_str().unwrap()) {
                assert_eq!(digests.len(), whole.len(), "{fixture}, byte {at}");
            }
        }
    }
}

#[test]
fn what_is_no_image_is_said_so() {
    let folder = fs::temp_dir().unwrap();
    let check = |name: &str, bytes: &[u8], words: &str| {
        let path = folder.path().join(name);
        fs::write_atomic(&path, bytes).unwrap();
        let err = story(&reads_all(path.to_str().unwrap()).unwrap_err());
        assert!(err.contains(words), "{err}");
    };
    check("text", b"not an image", "is nothing that imgit knows");
    check("zeros", &[0; 4096], "is nothing that imgit knows");
    check("empty", b"", "is empty");
    check("xz", b"\xfd7zXZ\0\0\0", "compressed by xz");
    check("gzip", b"\x1f\x8b\x08 broken", "ends too early");
    let none = story(&reads_all("docker-achive:x.tar").unwrap_err());
    assert!(none.contains("docker-achive:x.tar not found"), "{none}");
    assert!(reads_all("dir:/nonexistent").is_err());
    assert!(reads_all(&format!("oci-archive:{}", folder.path().display())).is_err());
    let plain = Location::parse(folder.path().to_str().unwrap()).unwrap();
    assert!(matches!(open::open(&plain, folder.path(), &Nowhere).unwrap().content, Content::Directory(_)));
}

#[test]
fn a_name_in_a_layout_moves_and_the_rest_stays() {
    let (_folder, path) = layout();
    let to = format!("oci:{path}");
    let put = |fixture: &str, names: &[&str]| {
        let images = Images::fixture(fixture);
        let roots = [Root::new(
            images.roots[0].descriptor.clone(),
            names.iter().map(|name| name.to_string()).collect(),
        )];
        let sink = Box::new(LayoutSink::create(Path::new(&path)).unwrap());
        copied(&*images.source, &roots, sink).unwrap();
    };
    let index = Path::new(&path).join("index.json");
    let text = String::from_utf8(fs::read_small(&index, 4096).unwrap()).unwrap();
    fs::write_atomic(&index, text.replacen('{', r#"{"acme":[1],"#, 1).as_bytes()).unwrap();
    put("notes-zstd.oci", &["two", "three"]);
    put("notes-zstd.oci", &["two"]);
    assert_eq!(Images::open(&to).unwrap().names(), [vec!["localhost/notes:1"], vec!["three", "two"]]);
    put("notes-chunked.oci", &["two"]);
    put("notes-chunked.oci", &[]);
    assert_eq!(Images::open(&to).unwrap().names(), [vec!["localhost/notes:1"], vec!["three"], vec!["two"]]);
    put("notes.dir", &[]);
    put("notes.dir", &[]);
    assert_eq!(Images::open(&to).unwrap().names().last().unwrap().len(), 0);
    put("notes.dir", &["localhost/notes:1"]);
    assert_eq!(Images::open(&to).unwrap().names(), [vec!["three"], vec!["two"], vec!["localhost/notes:1"]]);
    let text = String::from_utf8(fs::read_small(&index, 4096).unwrap()).unwrap();
    assert!(text.contains(r#""acme":[1]"#), "{text}");
    reads_all(&to).unwrap();
}

#[test]
fn two_exports_to_one_layout_at_once_keep_both_names() {
    let (_folder, path) = layout();
    let images = Images::fixture("notes-zstd.oci");
    let put = |name: &str| {
        let roots = [Root::new(images.roots[0].descriptor.clone(), vec![name.to_owned()])];
        let sink = Box::new(LayoutSink::create(Path::new(&path)).unwrap());
        copied(&*images.source, &roots, sink).unwrap();
    };
    put("first");
    // Another one is between its reading and its writing of index.json.
    let other = fs::open(Path::new(&path)).unwrap();
    rustix::fs::flock(&other, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let index = Path::new(&path).join("index.json");
    let text = String::from_utf8(fs::read_small(&index, 4096).unwrap()).unwrap();
    std::thread::scope(|scope| {
        let second = scope.spawn(|| put("second"));
        std::thread::sleep(std::time::Duration::from_millis(500));
        assert!(!second.is_finished(), "it did not wait");
        fs::write_atomic(&index, text.replace("first", "other").as_bytes()).unwrap();
        drop(other);
    });
    let names = Images::open(&format!("oci:{path}")).unwrap();
    assert_eq!(names.names(), [vec!["localhost/notes:1"], vec!["other", "second"]]);
}

#[test]
fn a_sink_takes_no_wrong_bytes_and_leaves_no_trace_of_them() {
    let folder = fs::temp_dir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let wrong = Descriptor::new("application/octet-stream", Digest::of(b"right"), 5);
    for (to, left) in [
        ("oci:L", vec!["blobs", "oci-layout"]),
        ("oci-archive:A", vec![]),
        ("docker-archive:D", vec![]),
        ("dir:S", vec!["version"]),
    ] {
        let (transport, name) = to.split_once(':').unwrap();
        for bytes in [&b"wrong"[..], b"righ", b"right and more"] {
            let location = Location::parse(&format!("{transport}:{}", at(name))).unwrap();
            let mut sink = open::create(&location, &creating(true)).unwrap();
            let err = sink.put(&wrong, &mut &bytes[..]).unwrap_err();
            assert!(matches!(err.root(), Error::Mismatch { .. }), "{err}");
            assert!(!sink.has(&wrong).unwrap());
            let absent = Root::new(Descriptor::of("x/y", b"absent"), Vec::new());
            assert!(sink.finish(&[absent]).is_err());
        }
        let names = match left.is_empty() {
            true => Vec::new(),
            false => fs::list(Path::new(&at(name))).unwrap(),
        };
        assert_eq!(names, left.iter().map(|name| name.as_bytes().to_vec()).collect::<Vec<_>>());
        assert_eq!(fs::look(Path::new(&at(name))).unwrap().is_some(), !left.is_empty());
    }
    assert!(fs::list(&folder.path().join("L/blobs/sha256")).unwrap().is_empty());
}

#[test]
fn what_is_there_under_the_right_name_is_read_before_it_is_trusted() {
    let images = Images::fixture("notes-buildah.oci.tar");
    let expected = images.digests().unwrap();
    let layer = LAYER.rsplit_once('/').unwrap().1;
    for (to, blob) in [("oci", LAYER), ("dir", layer)] {
        let folder = fs::temp_dir().unwrap();
        let at = folder.path().join("there");
        let to = format!("{to}:{}", at.display());
        images.copy(&to).unwrap();
        let good = fs::read_small(&at.join(blob), 1 << 20).unwrap();
        let mut flipped = good.clone();
        flipped[9] ^= 1;
        for bad in [&good[..100], &flipped, b""] {
            fs::write_atomic(&at.join(blob), bad).unwrap();
            if to.starts_with("dir") {
                // An image that was never finished: its blobs are there, its name is not.
                fs::remove_file(&at.join("manifest.json")).unwrap();
            }
            assert_eq!(images.copy(&to).unwrap().digests().unwrap(), expected, "{to}");
        }
    }
}

#[test]
fn an_old_dir_image_stays_until_the_new_one_is_whole() {
    let folder = fs::temp_dir().unwrap();
    let at = folder.path().join("there");
    let to = format!("dir:{}", at.display());
    let location = Location::parse(&to).unwrap();
    let replace = || open::create(&location, &creating(true)).unwrap();
    let old = Images::fixture("notes-buildah.oci.tar");
    let new = Images::fixture("notes-zstd.oci");
    old.copy(&to).unwrap();
    let expected = old.digests().unwrap();
    // Half-way: one blob is written, the next breaks off.
    let mut sink = replace();
    let first = Descriptor::of("application/octet-stream", b"first");
    sink.put(&first, &mut &b"first"[..]).unwrap();
    let second = Descriptor::of("application/octet-stream", b"second");
    sink.put(&second, &mut &b"sec"[..]).unwrap_err();
    drop(sink);
    assert_eq!(reads_all(&to).unwrap(), expected);
    // All blobs are there, but the manifest that is to be named is not.
    let mut sink = replace();
    sink.put(&first, &mut &b"first"[..]).unwrap();
    sink.finish(&[Root::new(second, Vec::new())]).unwrap_err();
    assert_eq!(reads_all(&to).unwrap(), expected);
    // Whole: the new image and nothing else of ours, whatever the person keeps beside it.
    fs::write_atomic(&at.join("signature-1"), b"of the old image").unwrap();
    fs::write_atomic(&at.join("mine"), b"mine").unwrap();
    copied(&*new.source, &new.roots, replace()).unwrap();
    assert_eq!(reads_all(&to).unwrap(), new.digests().unwrap());
    let others = ["version", "mine"].len();
    assert_eq!(fs::list(&at).unwrap().len(), new.digests().unwrap().len() + others);
    // The same once more: what is right is kept.
    copied(&*new.source, &new.roots, replace()).unwrap();
    assert_eq!(reads_all(&to).unwrap(), new.digests().unwrap());
}

#[test]
fn nothing_of_the_persons_is_written_over() {
    let folder = fs::temp_dir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let images = Images::fixture("notes-buildah.oci.tar");
    fs::write_atomic(&at("file"), b"mine").unwrap();
    fs::create_dir(&at("home")).unwrap();
    fs::write_atomic(&at("home/mine"), b"mine").unwrap();
    for to in [
        "oci:home",
        "dir:home",
        "oci-archive:file",
        "docker-archive:file",
        "oci:file",
        "dir:file",
        "oci-archive:home",
    ] {
        let (transport, name) = to.split_once(':').unwrap();
        assert!(images.copy(&format!("{transport}:{}", at(name).display())).is_err(), "{to}");
    }
    assert_eq!(fs::list(&at("home")).unwrap(), [b"mine"]);
    assert_eq!(fs::read_small(&at("file"), 9).unwrap(), b"mine");
    // A layout whose folders lead elsewhere.
    fs::create_dir_all(&at("trap")).unwrap();
    fs::write_atomic(&at("trap/oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    symlink(at("home"), at("trap/blobs")).unwrap();
    let err = images.copy(&format!("oci:{}", at("trap").display())).err().unwrap();
    assert!(story(&err).contains("is not a folder"), "{}", story(&err));
    // With leave, an old archive and an old `dir:` are replaced.
    for to in ["oci-archive:old.tar", "dir:old"] {
        let (transport, name) = to.split_once(':').unwrap();
        let to = format!("{transport}:{}", at(name).display());
        images.copy(&to).unwrap();
        assert!(matches!(images.copy(&to).err().unwrap().root(), Error::Exists { .. }));
        let other = Images::fixture("notes-zstd.oci");
        let sink = open::create(&Location::parse(&to).unwrap(), &creating(true)).unwrap();
        copied(&*other.source, &other.roots, sink).unwrap();
        assert_eq!(reads_all(&to).unwrap(), other.digests().unwrap());
    }
    assert_eq!(fs::list(&at("old")).unwrap().len(), 2 + 3);
}

#[test]
fn a_docker_archive_takes_images_only() {
    let artifacts = testdata("artifacts.oci");
    for (reference, words) in [("sbom", "is an artifact"), ("platforms", "not an index of several platforms")]
    {
        let images = Images::open(&format!("oci:{}:{reference}", artifacts.display())).unwrap();
        let document = &images.roots[0].descriptor;
        let target = Target::Stream(Box::new(std::io::sink()));
        let mut sink = DockerArchiveSink::create(target).unwrap();
        let mut reader = images.source.open(document).unwrap();
        let err = story(&sink.put(document, &mut reader).unwrap_err());
        assert!(err.contains(words), "{err}");
    }
}
