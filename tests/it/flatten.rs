//! The flattened tree against the ones that umoci and podman make of the same image, entry by entry.

use crate::support::World;
use crate::support::difference;

/// Every image of the fixtures, as an OCI layout that umoci can read, and as imgit imports it.
const IMAGES: &[(&str, &str)] = &[
    ("web-v1", "oci:testdata/web-v1.oci:v1"),
    ("web-v2", "docker-archive:testdata/web-v2.docker.tar"),
    ("notes", "dir:testdata/notes.dir"),
    ("notes-1", "docker-archive:testdata/notes-pair.docker.tar:example.com/team/notes:1"),
    ("notes-2", "docker-archive:testdata/notes-pair.docker.tar:example.com/team/notes:2"),
    ("notes-twice", "docker-archive:testdata/notes-docker20.docker.tar:team/notes:twice"),
];

#[test]
fn checkouts_are_what_umoci_unpacks() {
    for (name, source) in IMAGES {
        let world = World::new();
        world.ok(&format!("import {source} it"));
        world.ok("export it out");
        world.sh(&format!(
            "skopeo copy -q -f oci {source} oci:layout:v && umoci unpack --image layout:v umoci 2>/dev/null"
        ));
        let (ours, theirs) = (world.listing("out"), world.listing("umoci/rootfs"));
        assert!(theirs.len() > 3, "{name}: {theirs:?}");
        assert_eq!(difference(&theirs, &ours), [""; 0], "{name}: - is umoci's, + is ours");
    }
}

#[test]
fn checkouts_are_what_was_written_down_when_the_fixtures_were_made() {
    let world = World::with_web();
    for (version, file) in [("web~1", "web-v1.listing"), ("web", "web-v2.listing")] {
        world.ok(&format!("export {version} {file}.out"));
        let listing = String::from_utf8(world.read(&format!("testdata/{file}"))).unwrap();
        let written: Vec<String> = listing.lines().map(String::from).collect();
        assert_eq!(difference(&written, &world.listing(&format!("{file}.out"))), [""; 0], "{version}");
    }
}

/// podman 4.3 differs where `testdata/README.md` says: times of the root, times before 1970, times of
/// folders that a layer writes into without listing them, and of a file that got one more hard link.
#[test]
fn checkouts_are_what_podman_mounts_but_for_its_known_times() {
    for (version, known) in [
        ("web~1", &[".", "home/big/born-1969"][..]),
        (
            "web",
            &[
                ".",
                "home/big/born-1969",
                "srv/www/css",
                "srv/www/img",
                "srv/www/index.html",
                "usr/local-index.html",
            ],
        ),
    ] {
        let world = World::with_web();
        world.ok(&format!("export {version} out"));
        world.ok(&format!("export {version} oci-archive:out.tar"));
        world.podman("load -q -i out.tar");
        let id = world.podman("images -q --no-trunc");
        let place = world.podman(&format!("image mount {id}"));
        let (ours, theirs) = (world.listing("out"), world.listing(&place));
        let unexpected: Vec<String> = difference(&theirs, &ours)
            .into_iter()
            .filter(|line| !known.contains(&line.split(' ').nth(1).unwrap()))
            .collect();
        assert_eq!(unexpected, [""; 0], "{version}: - is podman's, + is ours");
        // Without times nothing at all differs.
        let timeless = |lines: &[String]| -> Vec<String> {
            let without = |line: &String| {
                let mut fields: Vec<&str> = line.split(' ').collect();
                fields[4] = "-";
                fields.join(" ")
            };
            lines.iter().map(without).collect()
        };
        assert_eq!(difference(&timeless(&theirs), &timeless(&ours)), [""; 0], "{version}");
        world.podman(&format!("image unmount {id}"));
    }
}

#[test]
fn what_is_stored_is_what_is_checked_out_and_what_a_flattened_tar_unpacks_to() {
    let world = World::with_web();
    for version in ["web~1", "web"] {
        world.sh("rm -rf out unpacked");
        world.ok(&format!("export {version} out"));
        assert_eq!(world.ok(&format!("diff {version} ./out --times")), "", "{version}");
        world.ok(&format!("export -f {version} tar:out.tar"));
        world.sh(
            "mkdir unpacked && tar --xattrs --xattrs-include='*' --acls --numeric-owner -C unpacked -xpf out.tar",
        );
        assert_eq!(difference(&world.listing("out"), &world.listing("unpacked")), [""; 0], "{version}");
        let count = world.ok(&format!("ls -R {version}")).lines().count();
        assert_eq!(count + 1, world.listing("out").len(), "{version}: ls lists all but the root");
    }
}

#[test]
fn umoci_and_we_agree_on_layers_that_each_change_what_the_last_one_made() {
    // Each line is a layer: what GNU tar packs of the files that the script leaves in `l`.
    let layers = [
        "mkdir -p a/b c; echo 1 > a/b/f; ln a/b/f c/hard; ln -s a/b c/soft; mkdir -p o/x; echo x > o/x/y; echo z > o/z",
        "mkdir -p a; touch a/.wh.b; mkdir o; touch o/.wh..wh..opq; echo new > o/z",
        "mkdir -p c a; echo 2 > c/soft; echo dir > a/b; ln c/soft c/again",
        "mkdir -p a/b/deep c; echo 3 > a/b/deep/f; touch c/.wh.hard c/.wh.nothing",
        "mkdir -p o; ln -s /nowhere/far o/x; chmod 700 o; touch .wh.c",
        "mkdir -p o/x c/d; echo back > o/x/y; chmod 2755 c; chown 7:8 c/d",
    ];
    let world = World::new();
    world.sh("umoci init --layout layout && umoci new --image layout:v");
    for script in layers {
        world.sh(&format!(
            "rm -rf l && mkdir l && cd l && {script} && find . -exec touch -h -d @1700000000 {{}} + \
             && tar --sort=name -cf ../l.tar $(ls -A) && umoci raw add-layer --image ../layout:v ../l.tar"
        ));
    }
    world.ok("import oci:layout:v it");
    world.ok("export it out");
    world.sh("umoci unpack --image layout:v umoci 2>/dev/null");
    // The root and folders written into without being listed: umoci leaves the clock's time there.
    let timeless = |folder: &str| {
        world.sh_text(&format!("cd {folder} && find . -printf '%P %y %m %U:%G %l\\n' | sort; find . -type f -exec sha256sum {{}} + | sort"))
    };
    assert_eq!(timeless("out"), timeless("umoci/rootfs"));
    for number in 1..=layers.len() {
        assert_ne!(world.ok(&format!("diff it --layer {number} --name-status")), "", "layer {number}");
    }
    world.assert_sound();
}
