//! Compressed layers into recipes and back: the same bytes, whatever happens in between.

use crate::support::DAWN;
use crate::support::DAY;
use crate::support::World;
use crate::support::layout::Layout;
use crate::support::layout::ended;
use crate::support::layout::file;
use crate::support::sha256;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

/// A tar with what layers have in it: text, a program, zeros, an empty file.
fn tar() -> Vec<u8> {
    let program = &fs::read("/bin/sh").unwrap()[..40_000];
    let text: String = (0..2_000).map(|number| format!("line {number}\n")).collect();
    ended(&[
        file("etc/words", text.as_bytes()),
        file("bin/sh", program),
        file("zeros", &[0; 120_000]),
        file("empty", b""),
    ])
}

/// Imports as `NAME:v` an image whose one layer is the tar, put through a program.
fn import(world: &World, name: &str, program: &str) -> Vec<u8> {
    let tar = tar();
    world.write("layer.tar", &tar);
    let blob = world.sh(&format!("({program}) <layer.tar"));
    let kind = if blob.starts_with(&[0x1f, 0x8b]) { "gzip" } else { "zstd" };
    Layout::of(tar).compressed(kind, blob.clone()).write(world, name);
    world.ok(&format!("import -q oci:{name}:v {name}"));
    blob
}

fn check_export(world: &World, name: &str, blob: &[u8]) {
    world.sh("rm -rf out");
    world.ok(&format!("export {name} oci:out:v"));
    let digest = sha256(blob);
    assert!(world.read(&format!("out/blobs/sha256/{digest}")) == blob, "{name}");
}

/// What `repack --json` says of each layer: outcome and encoder, by digest.
fn repacked(world: &World, line: &str) -> Vec<(String, String)> {
    let out = world.ok(line);
    let values = out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let layers = values.filter(|value| value["message_type"] == "layer");
    layers
        .map(|layer| {
            let encoder = layer["encoder"].as_str().map(|name| format!("{name} {}", layer["level"]));
            let outcome = encoder.unwrap_or_else(|| layer["outcome"].as_str().unwrap().to_owned());
            (layer["digest"].as_str().unwrap().to_owned(), outcome)
        })
        .collect()
}

#[test]
fn layers_of_real_programs_become_recipes_and_come_back() {
    let world = World::new();
    const PYTHON: &str =
        "python3 -c 'import gzip,sys; sys.stdout.buffer.write(gzip.compress(sys.stdin.buffer.read(), 6))'";
    const NOBODYS: &str = "import sys,zlib; c = zlib.compressobj(6, 8, 31, 9, zlib.Z_HUFFMAN_ONLY); \
        sys.stdout.buffer.write(c.compress(sys.stdin.buffer.read()) + c.flush())";
    let goflate = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/goflate.go");
    let go = format!(
        "mkdir -p goin goout; cat layer.tar >goin/tar; go run {} goin goout 6; cat goout/go=6=tar",
        goflate.display()
    );
    // docker's, where there is a Go to make it with.
    let has_go = !world.sh_text("command -v go || true").is_empty();
    let (go, of_go) = if has_go { (&go[..], "goflate/1 6") } else { ("gzip -1", "gzip/1 1") };
    let programs = [
        ("docker", go, of_go),
        ("gnu", "gzip -9", "gzip/1 9"),
        ("pigz", "pigz -n -p 2", "pigz/1 6"),
        ("python", PYTHON, "zlib/1 6"),
    ];
    let blobs = programs.map(|(name, program, _)| import(&world, name, program));
    let zstd = import(&world, "zstd", "zstd -q");
    // Of a setting that no program has: nobody's.
    let nobodys = import(&world, "nobodys", &format!("python3 -c '{NOBODYS}'"));
    let du = world.ok("du");
    assert!(du.contains("1 kept: zstd") && du.contains("5 kept: not tried"), "{du}");
    let dry = repacked(&world, "repack --dry-run --json");
    assert_eq!(dry.len(), 6);
    assert!(!world.ok("du").contains("by recipe"));

    let before = blob_pack_bytes(&world);
    let done = repacked(&world, "repack --json");
    assert_eq!(done, dry);
    let outcome = |blob: &[u8]| {
        let digest = format!("sha256:{}", sha256(blob));
        done.iter().find(|(found, _)| *found == digest).unwrap().1.clone()
    };
    for ((name, _, expected), blob) in programs.iter().zip(&blobs) {
        assert_eq!(outcome(blob), *expected, "{name}");
    }
    assert_eq!(outcome(&zstd), "zstd");
    assert_eq!(outcome(&nobodys), "no encoder found");
    // The space is free.
    let gone: usize = blobs.iter().map(Vec::len).sum();
    assert!(blob_pack_bytes(&world) + gone as u64 <= before, "{before} less {gone}");
    let du = world.ok("du");
    assert!(du.contains("4 by recipe") && du.contains("1 kept: no encoder found"), "{du}");

    let exported = |world: &World| {
        for ((name, _, _), blob) in programs.iter().zip(&blobs) {
            check_export(world, name, blob);
        }
        check_export(world, "zstd", &zstd);
        check_export(world, "nobodys", &nobodys);
    };
    exported(&world);
    // From the cache this time, then from a cache that is damaged, then without one.
    exported(&world);
    world.sh("for file in store/cache/sha256-*; do printf x | dd of=$file bs=1 seek=99 conv=notrunc 2>/dev/null; done");
    exported(&world);
    world.sh("rm -r store/cache");
    exported(&world);
    world.assert_sound();

    // Again there is nothing to do, and importing the same again reads nothing.
    assert!(repacked(&world, "repack --json").iter().all(|(_, outcome)| !outcome.contains('/')));
    assert!(world.run("import oci:gnu:v gnu").stderr.contains("up to date"));

    // The packs alone have it all, and a collection keeps it.
    world.sh("rm store/meta.redb");
    world.ok("fsck --rebuild --read-data");
    world.at(DAWN + 200 * DAY);
    world.ok("gc --keep-days 0");
    exported(&world);
    world.assert_sound();
}

fn blob_pack_bytes(world: &World) -> u64 {
    let out = world.ok("du --json");
    let summary: Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
    summary["blob_pack_bytes"].as_u64().unwrap()
}

#[test]
fn images_of_every_engine_come_back_whatever_could_be_repacked() {
    let world = World::new();
    world.sh(
        "mkdir -p root/etc && cp /bin/sh root/ && seq 20000 >root/etc/numbers
         umoci init --layout umoci && umoci new --image umoci:v
         umoci unpack --rootless --image umoci:v bundle >/dev/null && cp -r root/. bundle/rootfs/
         umoci repack --image umoci:v bundle >/dev/null
         skopeo copy -q --dest-compress-format gzip --dest-compress docker-archive:testdata/web-v2.docker.tar oci:skopeo:v",
    );
    for name in ["umoci", "skopeo"] {
        world.ok(&format!("import -q oci:{name}:v {name}"));
    }
    world.ok("import -q --repack oci:testdata/web-v1.oci:v1 web");
    world.ok("import -q oci:testdata/notes-zstd.oci:notes notes");
    world.ok("repack");
    for (name, source) in
        [("umoci", "oci:umoci:v"), ("skopeo", "oci:skopeo:v"), ("web", "oci:testdata/web-v1.oci:v1")]
    {
        world.sh("rm -rf out there here");
        world.ok(&format!("export {name} oci:out:v"));
        // skopeo reads each blob and holds it to its digest.
        world.sh(&format!("skopeo copy -q oci:out:v dir:there && skopeo copy -q {source} dir:here"));
        world.sh("diff -r there here");
    }
    world.assert_sound();
}

#[test]
fn a_store_with_recipes_of_layers_is_refused_by_those_who_do_not_know_them() {
    let world = World::new();
    import(&world, "gnu", "gzip");
    assert!(!String::from_utf8(world.read("store/imgit.toml")).unwrap().contains("encoded-blobs"));
    world.ok("repack --dry-run");
    assert!(!String::from_utf8(world.read("store/imgit.toml")).unwrap().contains("encoded-blobs"));
    world.ok("repack --no-gc");
    let config = String::from_utf8(world.read("store/imgit.toml")).unwrap();
    assert!(config.contains(r#"incompatible = ["encoded-blobs"]"#), "{config}");
}

#[test]
fn damage_in_what_a_recipe_needs_is_found_and_never_exported() {
    let world = World::new();
    let blob = import(&world, "gnu", "gzip");
    world.ok("repack");
    // One bit in the pack of files.
    world.sh("pack=$(ls -S store/packs/*/*.pack | head -1); size=$(stat -c %s $pack)
         printf '\\377' | dd of=$pack bs=1 seek=$((size / 2)) conv=notrunc 2>/dev/null");
    let export = world.run("export gnu oci:out:v");
    assert_eq!(export.code, 6, "{export}");
    assert!(!world.path(&format!("out/blobs/sha256/{}", sha256(&blob))).exists());
    let fsck = world.run("fsck --read-data");
    assert_eq!(fsck.code, 6, "{fsck}");
}

/// At any moment there is the blob or its recipe, and what is exported is the same.
#[test]
fn kill_9_at_any_moment_loses_no_layer() {
    let world = World::new();
    let blobs = [("one", "gzip -1"), ("two", "pigz -n -p 2")]
        .map(|(name, program)| (name, import(&world, name, program)));
    let mut round = 0;
    loop {
        let mut command = world.command();
        let mut child = command.arg("repack").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        thread::sleep(Duration::from_millis(30 + round * 120));
        let is_done = child.try_wait().unwrap().is_some();
        let _ = child.kill();
        child.wait().unwrap();
        assert_eq!(world.run("fsck").code, 0);
        for (name, blob) in &blobs {
            check_export(&world, name, blob);
        }
        round += 1;
        if is_done || round > 15 {
            break;
        }
    }
    world.ok("repack");
    world.ok("gc");
    assert!(world.ok("du").contains("2 by recipe"));
    world.assert_sound();
}
