//! Bundles: everything travels, only what is new does, and nothing of a stranger's is believed.

mod hostile;

use crate::support::DAWN;
use crate::support::DAY;
use crate::support::IMGIT;
use crate::support::Outcome;
use crate::support::World;
use crate::support::layout::Layout;
use crate::support::sha256;
use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::process::Stdio;
use std::thread;
use std::time::Duration;
use std::time::Instant;

impl World {
    /// Runs `imgit` on the store at the other end.
    fn there(&self, line: &str) -> Outcome {
        self.run(&format!("--store other {line}"))
    }

    fn there_ok(&self, line: &str) -> String {
        self.ok(&format!("--store other {line}"))
    }

    fn size(&self, name: &str) -> u64 {
        fs::metadata(self.path(name)).unwrap().len()
    }

    /// Two stores say the same, and the other one is sound.
    fn assert_same(&self) {
        for line in ["catalog --json", "branch --json", "tag --json", "log --json", "log --graph"] {
            assert_eq!(self.there_ok(line), self.ok(line), "{line}");
        }
        self.assert_other_sound();
    }

    fn assert_other_sound(&self) {
        let outcome = self.there("fsck --read-data");
        assert_eq!(outcome.code, 0, "fsck: {outcome}");
        assert_eq!(fs::read_dir(self.path("other/tmp")).unwrap().count(), 0, "left in tmp/");
    }

    /// Every file of the other store, with its length and time.
    fn other_files(&self) -> String {
        self.sh_text("find other -type f ! -path '*/locks/*' -printf '%p %s %T@\\n' | sort")
    }
}

/// A disk with a partition and a file system on it.
const DISK: &str = "
truncate -s 6M small.raw; printf 'type=linux\\n' | sfdisk -q small.raw
mkdir -p tree/etc; seq 1 9000 > tree/etc/numbers; ln tree/etc/numbers tree/etc/same; ln -s same tree/link
mke2fs -q -t ext4 -d tree -E offset=1048576 small.raw 4M
qemu-img convert -O qcow2 small.raw small.qcow2
";

/// One of everything: images of one and of several platforms, with gzip, zstd and no compression,
/// artifacts, a tar, a folder, a disk; branches that share versions, and a tag.
fn filled() -> World {
    let world = World::with_web();
    for (source, name) in [
        ("testdata/notes-multi.oci.tar", "notes"),
        ("oci:testdata/notes-zstd.oci:notes", "zstd"),
        ("testdata/notes.dir", "notes:dir"),
        ("oci:testdata/artifacts.oci:image", "artifacts/image"),
        ("oci:testdata/artifacts.oci:nolayers", "artifacts/nolayers"),
        ("docker-archive:testdata/notes-pair.docker.tar", "pair"),
    ] {
        world.ok(&format!("import -q {source} {name}"));
    }
    world.sh(DISK);
    world.sh("tar -cf tree.tar tree; gzip -nk tree.tar");
    world.ok("import -q tree.tar.gz tar");
    world.ok("import -q ./tree folder");
    world.ok("import -q raw:small.raw vm");
    world.ok("import -q --exact-file small.qcow2 exact");
    world.at(DAWN + 2 * DAY);
    world.sh("printf moved | dd of=small.raw bs=1 seek=1100000 conv=notrunc status=none");
    world.ok("import -q raw:small.raw vm");
    world.ok("tag web:v1 web~1");
    world.ok("branch web:old web~1");
    world
}

#[test]
fn everything_travels_and_comes_out_the_same() {
    let world = filled();
    world.ok("bundle create -q all.bundle --all");
    world.ok("bundle create -q again.bundle --all");
    assert!(world.read("all.bundle") == world.read("again.bundle"), "one store writes one bundle");
    world.ok("bundle verify all.bundle");
    let said = world.there_ok("bundle apply all.bundle");
    assert_eq!(
        said.lines().filter(|line| line.ends_with(" new")).count(),
        world.ok("bundle list all.bundle --json").lines().count() - 1
    );
    world.assert_same();
    for (version, sink) in [
        ("web", "oci:out"),
        ("web~1", "oci:out"),
        ("notes", "oci:out"),
        ("zstd", "oci:out"),
        ("artifacts/image", "oci:out"),
        ("artifacts/nolayers", "oci:out"),
        ("tar", "tar:out"),
        ("vm", "raw:out"),
        ("vm~1", "raw:out"),
        ("exact", "disk:out"),
    ] {
        let mut hashes = BTreeSet::new();
        for store in ["store", "other"] {
            world.sh("rm -rf out");
            let digest = world.ok(&format!("--store {store} export -q {version} {sink}"));
            hashes.insert(
                digest + &world.sh_text("find out -type f ! -name index.json | sort | xargs sha256sum"),
            );
        }
        assert_eq!(hashes.len(), 1, "{version}");
    }
    world.ok("--store other export -q vm raw:vm.raw");
    assert_eq!(sha256(&world.read("vm.raw")), sha256(&world.read("small.raw")));
    // The index can be made anew from what an apply wrote.
    world.sh("rm other/meta.redb");
    world.assert_same();
}

#[test]
fn a_second_apply_does_nothing_and_reads_next_to_nothing() {
    let world = World::with_web();
    world.ok("bundle create -q web.bundle web");
    world.there_ok("bundle apply web.bundle");
    let before = world.other_files();
    let again = world.there("bundle apply web.bundle");
    assert!(again.code == 0 && again.stderr.contains("Nothing to do"), "{again}");
    assert!(again.stdout.ends_with("web:latest same\n"), "{again}");
    assert_eq!(world.other_files(), before);
    // What the refs say is enough: the rest of the file need not even be there.
    world.sh("head -c 2000 web.bundle > cut.bundle");
    assert_eq!(world.there("bundle apply cut.bundle").code, 0);
    assert_eq!(world.fails(6, "bundle verify cut.bundle").lines().count(), 2);
}

#[test]
fn the_next_version_costs_what_is_new_in_it() {
    let world = World::new();
    world.ok("import -q oci:testdata/web-v1.oci:v1 web");
    world.ok("bundle create -q first.bundle web");
    world.there_ok("bundle apply first.bundle");
    world.at(DAWN + DAY);
    world.ok("import -q docker-archive:testdata/web-v2.docker.tar web");
    world.there_ok("bundle have -o other.have");
    world.ok("bundle create -q second.bundle --have other.have");
    world.ok("bundle create -q since.bundle web --since web~1");
    assert!(world.size("since.bundle") < 20_000, "{}", world.size("since.bundle"));
    // 2.2 MB and 7.1 kB of new files, with the recipes of three layers.
    let (first, second) = (world.size("first.bundle"), world.size("second.bundle"));
    assert!(first > 2_000_000 && second < 20_000, "{first} {second}");
    let listed = world.ok("bundle list second.bundle");
    assert!(listed.contains("1 version,") && listed.contains("Builds on commit 5448ba50"), "{listed}");

    let lacking = world.run("--store third bundle apply second.bundle");
    assert_eq!(lacking.code, 4, "{lacking}");
    assert!(
        lacking.stderr.contains("5448ba50622b990188649a752091cd26c0c82301468650c39da69b1d15678c24"),
        "{lacking}"
    );
    assert!(lacking.stderr.contains("(web:latest: import oci:testdata/web-v1.oci:v1)"), "{lacking}");
    assert_eq!(world.ok("--store third catalog"), "");
    let lacking = world.fails(4, "--store third bundle verify second.bundle");
    assert!(lacking.contains("prerequisite commit 5448ba50"), "{lacking}");

    world.there_ok("bundle verify second.bundle");
    assert_eq!(world.there_ok("bundle apply --dry-run second.bundle"), "5f88648e web:latest forward\n");
    assert_eq!(world.there_ok("log --oneline web").lines().count(), 1);
    assert_eq!(world.there_ok("bundle apply second.bundle"), "5f88648e web:latest forward\n");
    world.assert_same();
    let reflog = world.there_ok("reflog web");
    assert!(
        reflog.starts_with("5f88648e web:latest@{0} 2026-01-02 00:00:00 bundle: second.bundle\n"),
        "{reflog}"
    );
    // Nothing new: the refs alone.
    world.there_ok("bundle have -o other.have");
    world.ok("tag web:v2");
    world.ok("bundle create -q third.bundle web:* --have other.have");
    assert!(world.size("third.bundle") < 700, "{}", world.size("third.bundle"));
    assert_eq!(
        world.there_ok("bundle apply third.bundle"),
        "5f88648e web:latest same\n5f88648e web:v2 new\n"
    );
}

/// Each store has a commit of its own of the same image: what they share is trees and layers.
#[test]
fn stores_that_imported_the_same_by_themselves_share_it() {
    let world = World::with_web();
    world.at(DAWN + 9 * DAY);
    world.there_ok("import -q oci:testdata/web-v1.oci:v1 mine");
    world.there_ok("bundle have -o other.have");
    world.ok("bundle create -q thin.bundle web --have other.have");
    world.ok("bundle create -q whole.bundle web");
    assert!(world.size("thin.bundle") < 20_000, "{}", world.size("thin.bundle"));
    assert!(world.size("whole.bundle") > 2_000_000);
    let listed = world.ok("bundle list thin.bundle");
    assert!(listed.contains("2 versions") && listed.contains("Builds on tree"), "{listed}");
    assert!(listed.contains("(mine:latest)"), "{listed}");
    world.there_ok("bundle apply thin.bundle");
    world.assert_other_sound();
    assert_eq!(world.there_ok("log --json web"), world.ok("log --json web"));
    world.there_ok("export -q web~1 oci:out:v1");
    world.sh("skopeo copy -q oci:out:v1 dir:copy");
}

/// A layer that one store keeps as it came and the other makes anew is one layer.
#[test]
fn repacked_layers_travel_as_what_they_are_made_of() {
    let world = World::new();
    world.sh("mkdir root; seq 1 90000 > root/numbers; tar -cf root.tar root; gzip -n9k root.tar");
    Layout::of(world.read("root.tar")).compressed("gzip", world.read("root.tar.gz")).write(&world, "image");
    world.ok("import -q oci:image:v web");
    world.ok("bundle create -q kept.bundle web");
    let repacked = world.run("repack");
    assert!(repacked.stderr.contains("Repacked 1 of 1"), "{repacked}");
    world.ok("bundle create -q made.bundle web");
    let (kept, made) = (world.size("kept.bundle"), world.size("made.bundle"));
    assert!(made * 10 < kept * 7, "{made} of {kept}");
    for (first, second) in [("kept", "made"), ("made", "kept")] {
        world.sh("rm -rf other out");
        world.there_ok(&format!("bundle apply {first}.bundle"));
        world.there_ok(&format!("bundle apply {second}.bundle"));
        world.assert_same();
        let digest = world.there_ok("export web oci:out:v");
        assert_eq!(digest.trim_end(), format!("sha256:{}", sha256(world.ok("inspect --raw web").as_bytes())));
        world.sh("skopeo copy -q oci:out:v dir:copy && rm -r copy");
    }
    // What is known by its digest there is left out here, in whichever form.
    world.there_ok("bundle have -o other.have");
    world.ok("bundle create -q none.bundle web --have other.have");
    assert!(world.size("none.bundle") < 700, "{}", world.size("none.bundle"));
}

/// A list from a store that knows versions of which this one has never heard.
#[test]
fn a_list_of_unknown_things_spares_nothing_and_does_no_harm() {
    let world = World::with_web();
    world.there_ok("import -q testdata/notes-multi.oci.tar notes");
    world.there_ok("bundle have -o other.have");
    world.ok("bundle create -q web.bundle web --have other.have");
    assert!(!world.ok("bundle list web.bundle").contains("Builds on"));
    let none = world.fails(4, "bundle create none.bundle --have other.have");
    assert!(none.contains("that the list names"), "{none}");
    world.there_ok("bundle apply web.bundle");
    world.assert_other_sound();
}

#[test]
fn refs_move_as_a_fetch_moves_them() {
    let world = World::with_web();
    world.ok("tag web:v web");
    world.ok("branch web:back web~1");
    world.ok("branch web:kind web");
    world.ok("bundle create -q web.bundle --all");
    world.there_ok("bundle apply web.bundle");
    // Another way, an older tag, more versions, another kind.
    world.there_ok("restore -q web web~1");
    world.at(DAWN + 3 * DAY);
    world.there_ok("import -q testdata/notes.dir web");
    world.there_ok("tag --force web:v web~1");
    world.there_ok("restore -q web:back web:kind");
    world.there_ok("branch --delete web:kind");
    world.there_ok("tag web:kind web:v");
    let before = world.other_files();
    let refused = world.there("bundle apply web.bundle");
    assert_eq!(refused.code, 3, "{refused}");
    let words = [
        "5448ba50 web:back behind",
        "5f88648e web:kind refused",
        "5f88648e web:latest refused",
        "5f88648e web:v refused",
    ];
    assert_eq!(refused.stdout.lines().collect::<Vec<_>>(), words);
    for words in [
        "web:latest has gone another way here",
        "tag web:v is at 5448ba50 here",
        "web:kind is a branch in the bundle",
    ] {
        assert!(refused.stderr.contains(words), "{refused}");
    }
    assert_eq!(world.other_files(), before);
    let forced = world.there("bundle apply --force web.bundle");
    assert_eq!(forced.code, 3, "{forced}");
    let words = [
        "5448ba50 web:back forced",
        "5f88648e web:kind refused",
        "5f88648e web:latest forced",
        "5f88648e web:v forced",
    ];
    assert_eq!(forced.stdout.lines().collect::<Vec<_>>(), words);
    assert!(world.there_ok("reflog web").contains("bundle: web.bundle (forced)"));
    world.there_ok("tag --delete web:kind");
    assert_eq!(world.there("bundle apply web.bundle").code, 0);
    world.assert_same();

    // All of it refused: nothing is stored, and it failed.
    world.ok("bundle create -q v.bundle web:v");
    let fresh = "--store fourth";
    world.ok(&format!("{fresh} import -q testdata/notes.dir web:v"));
    let before = world.sh("find fourth/packs -type f");
    assert!(
        world.fails(1, &format!("{fresh} bundle apply v.bundle")).contains("web:v is a tag in the bundle")
    );
    assert_eq!(world.sh("find fourth/packs -type f"), before);
}

#[test]
fn pipes_files_and_names_are_as_elsewhere() {
    let world = World::with_web();
    world.sh("$IMGIT bundle create -q - --all | $IMGIT --store other bundle apply -q -");
    world.assert_same();
    world.sh("$IMGIT bundle create -q - web | $IMGIT bundle verify -q -");
    world.sh("$IMGIT bundle have web > list; grep -q '^ref branch web:latest ' list");
    world.ok("bundle create -q web.bundle web");
    let there = world.fails(1, "bundle create web.bundle web");
    assert!(there.contains("already exists") && there.contains("--force"), "{there}");
    world.ok("bundle create -q --force web.bundle web");
    for (code, line) in [
        (2, "bundle"),
        (2, "bundle create new.bundle"),
        (2, "bundle create new.bundle web --all"),
        (4, "bundle create new.bundle nope"),
        (4, "bundle create new.bundle nope:*"),
        (4, "bundle create new.bundle web --since nope"),
        (4, "bundle create new.bundle --have nope"),
        (6, "bundle create new.bundle --have web.bundle"),
        (4, "bundle apply nope"),
        (6, "bundle apply testdata/README.md"),
        (6, "bundle list testdata/web-v2.docker.tar"),
        (6, "bundle verify list"),
        (10, "--store nowhere bundle have"),
    ] {
        let outcome = world.run(line);
        assert_eq!(outcome.code, code, "{line}: {outcome}");
    }
    // Nothing half made is left under any name.
    let names = world.sh_text("ls -A | grep -c 'new.bundle\\|imgit-tmp' || true");
    assert_eq!(names, "0");
}

#[test]
fn a_damaged_bundle_changes_nothing() {
    let world = World::new();
    world.ok("import -q testdata/notes.dir notes");
    world.there_ok("import -q oci:testdata/artifacts.oci:image other");
    world.ok("bundle create -q notes.bundle notes");
    let before = (world.there_ok("log --json"), world.sh_text("find other/packs -type f"));
    let bytes = world.read("notes.bundle");
    let places = (0..16).chain((16..bytes.len()).step_by(bytes.len() / 24)).chain([bytes.len() - 1]);
    for at in places {
        let mut flipped = bytes.clone();
        flipped[at] ^= 0x20;
        for (what, damaged) in [("flipped", &flipped[..]), ("cut", &bytes[..at])] {
            world.write("damaged.bundle", damaged);
            let outcome = world.there("bundle apply damaged.bundle");
            assert_eq!(outcome.code, 6, "{what} at {at}: {outcome}");
            assert!(outcome.stderr.contains("damaged.bundle"), "{what} at {at}: {outcome}");
        }
    }
    assert_eq!((world.there_ok("log --json"), world.sh_text("find other/packs -type f")), before);
    world.there_ok("bundle apply notes.bundle");
    world.assert_other_sound();
}

#[test]
fn an_apply_that_is_killed_leaves_the_old_state_and_goes_through_later() {
    let world = World::with_web();
    world.ok("bundle create -q web.bundle web");
    world.there_ok("import -q testdata/notes.dir notes");
    for round in 0..6_u64 {
        let mut command = world.in_here(IMGIT);
        command.args(["--store", "other", "bundle", "apply", "web.bundle"]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        thread::sleep(Duration::from_millis(20 + round * 60));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(matches!(world.there("log web").code, 0 | 4));
        assert_eq!(world.there("fsck").code, 0);
    }
    world.there_ok("bundle apply web.bundle");
    world.there_ok("gc");
    assert_eq!(world.there_ok("log --json web"), world.ok("log --json web"));
    world.assert_other_sound();
}

/// A bundle goes in beside an import, and collection waits for it as for one.
#[test]
fn an_apply_from_a_pipe_holds_collection_off() {
    let world = World::with_web();
    world.ok("bundle create -q web.bundle web");
    world.there_ok("init");
    let bytes = world.read("web.bundle");
    let mut apply = world.in_here(IMGIT);
    apply.args(["--store", "other", "bundle", "apply", "-"]).stdin(Stdio::piped()).stdout(Stdio::null());
    let mut apply = apply.stderr(Stdio::null()).spawn().unwrap();
    let mut input = apply.stdin.take().unwrap();
    input.write_all(&bytes[..600_000]).unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while world.there("--lock-timeout 0 gc").code != 11 {
        assert!(Instant::now() < deadline, "gc never had to wait");
    }
    world.there_ok("import -q testdata/notes.dir notes");
    input.write_all(&bytes[600_000..]).unwrap();
    drop(input);
    assert!(apply.wait().unwrap().success());
    world.there_ok("log web");
    world.assert_other_sound();
}
