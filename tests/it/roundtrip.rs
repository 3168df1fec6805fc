//! In and out again: every fixture through every sink, read back by the engines.

use crate::support::World;
use crate::support::difference;
use crate::support::sha256;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Read;

/// Fixtures whose manifest is on disk: it must come out byte for byte.
const WITH_MANIFEST: &[&str] = &[
    "oci:testdata/web-v1.oci:v1",
    "dir:testdata/notes.dir",
    "oci:testdata/notes-zstd.oci:notes",
    "oci:testdata/notes-chunked.oci:notes",
    "oci-archive:testdata/notes-buildah.oci.tar:localhost/notes:1",
    "oci:testdata/artifacts.oci:image",
    "oci:testdata/artifacts.oci:nolayers",
];

/// A docker-archive has no manifest: its config and the diff ids are what must stay.
const WITH_CONFIG: &[&str] = &[
    "docker-archive:testdata/web-v2.docker.tar",
    "docker-archive:testdata/notes-pair.docker.tar:example.com/team/notes:1",
    "docker-archive:testdata/notes-pair.docker.tar:example.com/team/notes:2",
    "docker-archive:testdata/notes-docker20.docker.tar:notes:1",
    "docker-archive:testdata/notes-docker20.docker.tar:team/notes:twice",
    "docker-archive:testdata/notes-docker28.docker.tar",
];

const SINKS: &[&str] = &["oci:out", "oci-archive:out.tar", "dir:out"];

#[test]
fn manifests_come_out_byte_for_byte_through_every_sink() {
    for source in WITH_MANIFEST {
        let world = World::new();
        world.ok(&format!("import {source} it:v1"));
        let manifest = world.sh(&format!("skopeo inspect --raw {source}"));
        assert_eq!(world.ok("inspect --raw it:v1").as_bytes(), manifest, "{source}");
        for sink in SINKS {
            world.sh("rm -rf out out.tar copy");
            let digest = world.ok(&format!("export it:v1 {sink}"));
            assert_eq!(digest.trim_end(), format!("sha256:{}", sha256(&manifest)), "{source} to {sink}");
            let raw = world.sh(&format!("skopeo inspect --raw {sink}"));
            assert_eq!(raw, manifest, "{source} to {sink}");
            // skopeo reads each blob and holds it to its digest.
            world.sh(&format!("skopeo copy -q {sink} dir:copy"));
        }
        check_docker_archive(&world, source);
        world.assert_sound();
    }
}

#[test]
fn configs_and_diff_ids_of_docker_archives_come_out_through_every_sink() {
    for source in WITH_CONFIG {
        let world = World::new();
        world.ok(&format!("import {source} it:v1"));
        let config = world.sh(&format!("skopeo inspect --raw --config {source}"));
        assert_eq!(world.ok("inspect --config it:v1").as_bytes(), config, "{source}");
        for sink in SINKS {
            world.sh("rm -rf out out.tar copy");
            world.ok(&format!("export it:v1 {sink}"));
            let manifest: Value =
                serde_json::from_slice(&world.sh(&format!("skopeo inspect --raw {sink}"))).unwrap();
            assert_eq!(
                manifest["config"]["digest"],
                format!("sha256:{}", sha256(&config)),
                "{source} to {sink}"
            );
            let layers: Vec<&Value> =
                manifest["layers"].as_array().unwrap().iter().map(|layer| &layer["digest"]).collect();
            assert_eq!(layers, diff_ids(&config).iter().collect::<Vec<_>>(), "{source} to {sink}");
            world.sh(&format!("skopeo copy -q {sink} dir:copy"));
        }
        check_docker_archive(&world, source);
        world.assert_sound();
    }
}

/// Exports `it:v1` as a docker-archive: the same config, layers that hash to its diff ids.
fn check_docker_archive(world: &World, source: &str) {
    world.sh("rm -rf out.docker copy");
    world.ok("export it:v1 docker-archive:out.docker");
    let members = members(&world.read("out.docker"));
    let manifest: Value = serde_json::from_slice(&members["manifest.json"]).unwrap();
    let config = &members[manifest[0]["Config"].as_str().unwrap()];
    assert_eq!(config, world.ok("inspect --config it:v1").as_bytes(), "{source} to docker-archive");
    let layers: Vec<Value> = manifest[0]["Layers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|name| format!("sha256:{}", sha256(&members[name.as_str().unwrap()])).into())
        .collect();
    assert_eq!(layers, diff_ids(config), "{source} to docker-archive");
    world.sh("skopeo copy -q docker-archive:out.docker dir:copy");
}

fn members(tar: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut members = BTreeMap::new();
    for entry in tar::Archive::new(tar).entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        members.insert(entry.path().unwrap().to_string_lossy().into_owned(), bytes);
    }
    members
}

fn diff_ids(config: &[u8]) -> Vec<Value> {
    let config: Value = serde_json::from_slice(config).unwrap();
    config["rootfs"]["diff_ids"].as_array().unwrap().clone()
}

#[test]
fn podman_loads_what_comes_out_and_has_the_same_image() {
    let world = World::with_web();
    for (version, number) in [("web~1", 1), ("web", 2)] {
        let config = sha256(world.ok(&format!("inspect --config {version}")).as_bytes());
        for sink in ["oci-archive", "docker-archive"] {
            let file = format!("web-{number}.{sink}");
            world.ok(&format!("export {version} {sink}:{file}"));
            world.podman(&format!("load -q -i {file}"));
            // podman's image id is the config's digest.
            assert_eq!(world.podman("images -q --no-trunc"), format!("sha256:{config}"), "{file}");
            world.podman("rmi -f --all");
        }
    }
}

#[test]
fn artifacts_of_every_kind_come_out_as_they_came_in() {
    let world = World::new();
    world.ok("import testdata/artifacts.oci");
    let index = |path: &str| -> BTreeMap<String, Value> {
        let index: Value = serde_json::from_slice(&world.read(path)).unwrap();
        let manifests = index["manifests"].as_array().unwrap().clone();
        let name = |manifest: &Value| {
            manifest["annotations"]["org.opencontainers.image.ref.name"].as_str().unwrap().to_string()
        };
        manifests.into_iter().map(|manifest| (name(&manifest), manifest)).collect()
    };
    let refs = index("testdata/artifacts.oci/index.json");
    assert!(refs.len() >= 10, "{refs:?}");
    for (name, came_in) in &refs {
        world.ok(&format!("export artifacts:{name} oci:out-{name}:{name}"));
        let out = &index(&format!("out-{name}/index.json"))[name];
        for field in ["digest", "size", "mediaType"] {
            assert_eq!(out[field], came_in[field], "{field} of {name}");
        }
        // Each blob that came out is one that came in, to the byte.
        world.sh(&format!(
            "cd out-{name}/blobs && find . -type f -exec cmp {{}} ../../testdata/artifacts.oci/blobs/{{}} \\;"
        ));
    }
    let blobs = "find . -type f | sort";
    let came_in = world.sh_text(&format!("cd testdata/artifacts.oci/blobs && {blobs}"));
    let came_out = world.sh_text(&format!("for out in out-*; do (cd $out/blobs && {blobs}); done | sort -u"));
    assert_eq!(came_out, came_in);
    world.assert_sound();
}

#[test]
fn an_index_comes_out_whole_or_one_platform_of_it() {
    let world = World::new();
    let source = "oci-archive:testdata/notes-multi.oci.tar";
    world.ok(&format!("import {source} notes:all"));
    let index = world.sh(&format!("skopeo inspect --raw {source}"));
    for sink in SINKS {
        world.sh("rm -rf out out.tar copy");
        world.ok(&format!("export notes:all {sink}"));
        assert_eq!(world.sh(&format!("skopeo inspect --raw {sink}")), index, "{sink}");
        world.sh(&format!("skopeo copy -q --all {sink} dir:copy"));
    }
    let children: Value = serde_json::from_slice(&index).unwrap();
    for child in children["manifests"].as_array().unwrap() {
        let arch = child["platform"]["architecture"].as_str().unwrap();
        world.ok(&format!("export --platform linux/{arch} notes:all oci:{arch}"));
        world.ok(&format!("import --platform linux/{arch} {source} notes:{arch}"));
        world.ok(&format!("export notes:{arch} oci:alone-{arch}"));
        for out in [arch.to_string(), format!("alone-{arch}")] {
            let digest = sha256(&world.sh(&format!("skopeo inspect --raw oci:{out}")));
            assert_eq!(child["digest"], format!("sha256:{digest}"), "{out}");
        }
        assert!(
            world
                .ok(&format!("inspect notes:all --platform linux/{arch}"))
                .contains(&format!("linux/{arch}"))
        );
    }
    let missing = world.fails(4, &format!("import --platform linux/s390x {source} x"));
    assert!(missing.contains("linux/s390x") && missing.contains("linux/amd64"), "{missing}");
    let no_index = world.fails(2, "export notes:all docker-archive:out.docker");
    assert!(no_index.contains("--platform"), "{no_index}");
    world.assert_sound();
}

#[test]
fn archives_come_from_standard_input_and_compressed() {
    let cases = [
        ("docker-archive", "web-v2.docker.tar"),
        ("oci-archive", "notes-multi.oci.tar"),
        ("docker-archive", "notes-docker28.docker.tar"),
    ];
    for (kind, file) in cases {
        let world = World::new();
        world.ok(&format!("import {kind}:testdata/{file} it:file"));
        let id = |name: &str| world.sh_text(&format!("$IMGIT inspect {name} --json | jq -r .digest"));
        let expected = id("it:file");
        let by = |how: &str, script: String| {
            world.sh(&script);
            assert_eq!(id(&format!("it:{how}")), expected, "{file} by {how}");
        };
        by("stdin", format!("$IMGIT import {kind}:- it:stdin < testdata/{file}"));
        by("pipe", format!("cat testdata/{file} | $IMGIT import {kind}:- it:pipe"));
        by("gzip", format!("gzip -c testdata/{file} > x.tar.gz; $IMGIT import {kind}:x.tar.gz it:gzip"));
        by("zstd", format!("zstd -q testdata/{file} -o x.tar.zst; $IMGIT import x.tar.zst it:zstd"));
        by("gzipped-pipe", format!("gzip -c testdata/{file} | $IMGIT import {kind}:- it:gzipped-pipe"));
        by("bare", format!("$IMGIT import testdata/{file} it:bare"));
        world.assert_sound();
    }
}

#[test]
fn a_bare_path_is_recognised_and_says_what_it_was_taken_for() {
    for (path, kind, name) in [
        ("testdata/web-v1.oci", "oci", "web-v1:v1"),
        ("testdata/notes.dir", "dir", "notes:latest"),
        ("testdata/notes-buildah.oci.tar", "oci-archive", "localhost/notes:1"),
        ("testdata/notes-docker28.docker.tar", "docker-archive", "notes:1"),
        ("testdata/web-v2.docker.tar", "docker-archive", "web:v2"),
        ("testdata/make", "", "make:latest"),
    ] {
        let world = World::new();
        let outcome = world.run(&format!("import {path}"));
        assert_eq!(outcome.code, 0, "{path}: {outcome}");
        assert!(outcome.stderr.contains(&format!("Taking {path} for ")), "{path}: {outcome}");
        assert!(outcome.stderr.contains(&format!(" for {kind}")), "{path}: {outcome}");
        assert!(outcome.stdout.trim_end().ends_with(name), "{path}: {outcome}");
    }
}

#[test]
fn a_tar_is_kept_byte_for_byte_and_a_flattened_one_is_the_same_each_time() {
    let world = World::new();
    world
        .sh("cp -a testdata/make . && tar --format=posix -cf in.tar make && $IMGIT import tar:in.tar it:tar");
    world.ok("export it:tar tar:out.tar");
    assert!(world.read("out.tar") == world.read("in.tar"), "the tar is another one now");
    world.ok("import oci:testdata/web-v1.oci:v1 web");
    world.ok("export web tar:one.tar");
    world.sh("$IMGIT export web tar:- > two.tar && cmp one.tar two.tar");
    world.ok("import tar:one.tar web:flat");
    assert_eq!(world.ok("diff web web:flat --times"), "");
    world.assert_sound();
}

#[test]
fn a_directory_is_checked_out_as_it_was() {
    let world = World::new();
    world.sh(
        "mkdir -p in/sub/empty && cd in && echo text > sub/file && ln sub/file twin && ln -s sub/file link \
         && mkfifo fifo && mknod null c 1 3 && mknod disk b 7 0 && chmod 4755 twin && chown 12:3000000 sub \
         && truncate -s 3M holes && printf x | dd of=holes bs=1 seek=1000000 conv=notrunc status=none \
         && setfattr -n user.note -v 'a b' sub/file && setcap cap_net_raw+ep holes && setfacl -m u:7:rw sub/file \
         && printf '\\377' > \"$(printf 'not-\\377-utf8')\" && touch -d '1969-07-20 20:17:40.5' link -h && chmod 1777 sub/empty \
         && touch -d '1960-01-01' sub/empty && touch -d '2001-02-03 04:05:06.789' sub .",
    );
    world.ok("import ./in it");
    world.ok("export it out");
    assert_eq!(difference(&world.listing("in"), &world.listing("out")), [""; 0]);
    assert_eq!(world.ok("diff it ./out --times"), "");
    let refused = world.fails(1, "export it out");
    assert!(refused.contains("out"), "{refused}");
    world.assert_sound();
}
