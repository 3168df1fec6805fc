//! The store under many hands: index lost, several writers, readers beside them, collection, locks.

use crate::support::DAWN;
use crate::support::DAY;
use crate::support::IMGIT;
use crate::support::Outcome;
use crate::support::World;
use crate::support::sha256;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::thread;

/// What each verb says that reads manifests only.
fn said(world: &World) -> String {
    [
        "catalog",
        "catalog --json",
        "branch",
        "tag",
        "log",
        "log --json",
        "reflog web",
        "diff web~1 web",
        "du web",
        "show web",
        "inspect notes",
        "whereis *.conf",
        "find web --name *.html",
        "ls -lR web~1",
    ]
    .map(|line| {
        let said = world.run(line);
        // How large the index file is on disk depends on how it came to be.
        let lines = said.stdout.lines().filter(|line| !line.starts_with("On disk")).collect::<Vec<_>>();
        format!("$ {line}\n{}\n", lines.join("\n"))
    })
    .concat()
}

fn filled() -> World {
    let world = World::with_web();
    world.ok("import -q testdata/notes-multi.oci.tar notes");
    world.ok("import -q testdata/notes-multi.oci.tar gone");
    world.ok("tag web:first web~1");
    world.ok("restore web web~1");
    world.ok("restore web web@{1}");
    world.ok("branch --delete gone:latest");
    world
}

#[test]
fn the_index_may_be_lost_and_everything_is_said_as_before() {
    let world = filled();
    let before = said(&world);
    let whereis = world.ok("whereis /usr/bin/*");
    world.sh("rm store/meta.redb");
    let first = world.run("catalog");
    assert!(first.code == 0 && first.stderr.contains("rebuilt from"), "{first}");
    assert_eq!(said(&world), before);
    world.ok("fsck --rebuild");
    assert_eq!(said(&world), before);
    // Not lost but garbage, or cut short.
    for damage in [
        "head -c 5000 /dev/urandom > store/meta.redb",
        "truncate -s 70000 store/meta.redb",
        ": > store/meta.redb",
    ] {
        world.sh(damage);
        let outcome = world.run("fsck --rebuild");
        assert_eq!(outcome.code, 0, "{damage}: {outcome}");
        assert_eq!(said(&world), before, "{damage}");
    }
    assert_eq!(world.ok("whereis /usr/bin/*"), whereis);
    world.assert_sound();
}

/// All of them find no store, one creates it: the others failed with "already exists".
#[test]
fn many_imports_at_once_all_succeed() {
    let world = World::new();
    let lines: Vec<String> = [
        "oci:testdata/web-v1.oci:v1 web:a",
        "docker-archive:testdata/web-v2.docker.tar web:b",
        "oci:testdata/web-v1.oci:v1 web:c",
        "testdata/notes.dir notes:d",
        "testdata/notes-multi.oci.tar notes:e",
        "docker-archive:testdata/web-v2.docker.tar web:f",
        "testdata/artifacts.oci",
        "oci:testdata/web-v1.oci:v1 web:a",
    ]
    .iter()
    .map(|words| format!("import {words}"))
    .collect();
    let outcomes: Vec<Outcome> = thread::scope(|scope| {
        let start = |line: &String| {
            let mut command = world.command();
            command.args(line.split(' ')).stdout(Stdio::piped()).stderr(Stdio::piped());
            let child = command.spawn().unwrap();
            scope.spawn(move || Outcome::of(child.wait_with_output().unwrap()))
        };
        let children: Vec<_> = lines.iter().map(start).collect();
        children.into_iter().map(|child| child.join().unwrap()).collect()
    });
    for (line, outcome) in lines.iter().zip(&outcomes) {
        assert_eq!(outcome.code, 0, "{line}: {outcome}");
    }
    assert_eq!(world.ok("branch").lines().count() - 1, 6 + 10);
    // Two imported one image to one branch: one commit, whoever came first.
    assert_eq!(world.ok("log --oneline web:a").lines().count(), 1);
    assert_eq!(world.ok("diff web:a web:c"), "");
    for name in ["web:a", "web:b", "web:f", "notes:e"] {
        world.ok(&format!("export {name} oci:out-{}", &name[name.len() - 1..]));
    }
    world.sh("skopeo copy -q oci:out-a dir:copy-a && skopeo copy -q oci:out-b dir:copy-b");
    world.assert_sound();
}

#[test]
fn readers_go_on_while_an_import_is_under_way() {
    let world = World::with_web();
    let before = said(&world);
    let mut import = world.command();
    import.args(["import", "-q", "docker-archive:-", "other"]).stdin(Stdio::piped()).stdout(Stdio::null());
    let mut import = import.spawn().unwrap();
    let mut input = import.stdin.take().unwrap();
    let archive = world.read("testdata/web-v2.docker.tar");
    let (first, rest) = archive.split_at(archive.len() / 2);
    input.write_all(first).unwrap();
    assert_eq!(said(&world), before, "a reader sees the store as it was");
    world.ok("fsck");
    // Another writer does not wait for the slow one.
    world.ok("--lock-timeout 2 import -q testdata/notes.dir quick");
    world.ok("--lock-timeout 2 tag web:quick web~1");
    input.write_all(rest).unwrap();
    drop(input);
    assert!(import.wait().unwrap().success());
    assert_eq!(world.ok("diff other web"), "");
    world.assert_sound();
}

#[test]
fn importing_again_reads_no_layer_and_says_so() {
    for (source, blobs) in [
        ("oci:testdata/web-v1.oci:v1", Some("web-v1.oci")),
        ("dir:testdata/notes.dir", None),
        ("docker-archive:testdata/web-v2.docker.tar", None),
        ("oci-archive:testdata/notes-multi.oci.tar", None),
    ] {
        let world = World::new();
        world.ok(&format!("import {source} it"));
        let packs = world.sh_text("find store/packs -type f | sort");
        let again = world.run(&format!("import {source} it"));
        assert!(again.code == 0 && again.stderr.contains("up to date"), "{source}: {again}");
        assert_eq!(world.sh_text("find store/packs -type f | sort"), packs, "{source}: nothing is written");
        if let Some(layout) = blobs {
            // With its layers gone from the source the image is still known, also under a new name.
            world.sh(&format!("cp -r testdata/{layout} thin && find thin/blobs -size +4k -delete"));
            world.ok("import oci:thin:v1 it");
            world.ok("import oci:thin:v1 new");
            assert_eq!(world.ok("diff it new"), "");
            let fresh = World::new();
            fresh.sh(&format!("cp -r testdata/{layout} thin && find thin/blobs -size +4k -delete"));
            let missing = fresh.fails(4, "import oci:thin:v1 it");
            assert!(missing.contains("layer 1 of 6"), "{missing}");
        }
        world.assert_sound();
    }
}

#[test]
fn a_shared_base_is_read_once() {
    let world = World::new();
    let read = |source: &str| {
        let said = world.run(&format!("import {source}"));
        assert_eq!(said.code, 0, "{said}");
        let counted = said.stderr.lines().find(|line| line.contains("layer")).unwrap_or_default().to_string();
        counted.split(';').next().unwrap().to_string()
    };
    assert_eq!(read("oci:testdata/web-v1.oci:v1 web"), "6 layers read, 0 known");
    assert_eq!(read("docker-archive:testdata/web-v2.docker.tar web"), "3 layers read, 3 known");
}

#[test]
fn a_store_that_cannot_be_used_says_why() {
    let world = World::new();
    let none = world.fails(10, "log");
    assert!(none.contains("no store at") && none.contains("store"), "{none}");
    for verb in ["catalog", "export web out", "fsck", "gc", "whereis x", "tag a:b"] {
        world.fails(10, verb);
    }
    world.ok("init");
    assert_eq!(world.path("store").metadata().unwrap().permissions().mode() & 0o777, 0o700);
    world.sh("sed -i 's/^\\(format.*= *\\)[0-9]*/\\1999/' store/imgit.toml");
    let newer = world.fails(1, "catalog");
    assert!(newer.contains("999") && newer.contains("reads up to"), "{newer}");
    world.sh("echo nonsense > store/imgit.toml");
    let nonsense = world.run("catalog");
    assert!(matches!(nonsense.code, 1 | 6) && nonsense.stderr.contains("imgit.toml"), "{nonsense}");
}

#[test]
fn a_store_without_write_permission_is_read_and_not_written() {
    let world = World::with_web();
    // Root may write anywhere: somebody else tries.
    world.sh("chmod 755 . store && chmod -R a+rX,go-w . && cp $IMGIT imgit && chmod 755 imgit");
    let nobody = |line: &str| {
        let mut command = world.in_here("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "./imgit"]).args(line.split(' '));
        Outcome::of(command.output().unwrap())
    };
    let refused = nobody("import testdata/notes.dir notes");
    assert!(refused.code == 1 && refused.stderr.to_lowercase().contains("permission denied"), "{refused}");
    assert!(refused.stderr.contains("store"), "{refused}");
    let read = nobody("log --oneline web");
    assert!(read.code == 0 && read.stdout == world.ok("log --oneline web"), "{read}");
    world.assert_sound();
}

#[test]
fn a_lock_that_is_held_is_named_with_its_holder() {
    let world = World::with_web();
    // As another process would hold it.
    let script = format!(
        "exec 9<>store/locks/writers; flock -x 9; {IMGIT} --lock-timeout 0 import testdata/notes.dir x"
    );
    let mut locked = world.in_here("sh");
    let locked = Outcome::of(locked.args(["-c", &script]).output().unwrap());
    assert_eq!(locked.code, 11, "{locked}");
    assert!(locked.stderr.contains("is locked by"), "{locked}");
    world.ok("import -q testdata/notes.dir x");
    world.assert_sound();
}

#[test]
fn gc_frees_what_a_deleted_branch_held_and_keeps_the_rest() {
    let world = filled();
    // 4 MB that only one branch knows.
    world.sh("mkdir big && head -c 4000000 /dev/urandom > big/noise && $IMGIT import -q ./big big");
    let exported = |world: &World| {
        ["web", "web~1", "notes"]
            .map(|name| {
                world.sh("rm -rf out");
                world.ok(&format!("export {name} oci:out"));
                world.sh_text("cd out && find . -type f -exec sha256sum {} + | sort")
            })
            .concat()
    };
    let (before, size) = (exported(&world), |world: &World| -> u64 {
        world.sh_text("du -sb store/packs | cut -f1").parse().unwrap()
    });
    let full = size(&world);
    world.ok("branch --delete big:latest");
    let words = said(&world);
    // The reflog keeps it for ninety days.
    world.ok("gc");
    assert!(size(&world) > 4_000_000, "gone too early");
    world.ok("branch big:again big@{1}");
    world.ok("branch --delete big:again");
    world.at(DAWN + 100 * DAY);
    let dry = world.run("gc --dry-run");
    assert!(dry.code == 0 && size(&world) > 4_000_000, "{dry}");
    let done = world.run("gc");
    assert!(done.code == 0 && size(&world) < full - 3_900_000, "{done}: {} of {full}", size(&world));
    world.at(DAWN + DAY);
    assert_eq!(exported(&world), before);
    for line in ["log", "diff web~1 web", "catalog", "show web"] {
        assert!(words.contains(&world.ok(line)), "{line}");
    }
    world.fails(4, "show big@{1}");
    world.assert_sound();
    // What was collected can be imported again, and a lost index is rebuilt without it.
    world.ok("import -q ./big big");
    world.ok("export big tar:big.tar");
    assert!(
        world.sh_text("tar -xOf big.tar noise | sha256sum").starts_with(&sha256(&world.read("big/noise")))
    );
    world.sh("rm store/meta.redb");
    world.assert_sound();
    world.ok("gc --keep-days 0");
    world.assert_sound();
    assert_eq!(exported(&world), before);
}

/// `IMGIT_STORE=/tmp` made a store among everything else there.
#[test]
fn a_store_is_not_made_in_a_folder_of_other_things() {
    let world = World::new();
    world.sh("mkdir -p store && touch store/mine");
    world.fails(2, "import oci:testdata/web-v1.oci web");
    world.sh("rm store/mine");
    world.ok("import oci:testdata/web-v1.oci web");
}

/// An import decided what was known before it took the lock: a collection in between took it away.
#[test]
fn a_layer_collected_with_its_image_is_read_again() {
    let world = World::new();
    world.ok("import oci:testdata/web-v1.oci web:v1");
    // The layers' blobs are also files of a tree, so they outlive the image.
    world.ok("import testdata/web-v1.oci/blobs layout");
    world.ok("branch --delete web:v1");
    world.ok("gc --keep-days 0");
    world.ok("import oci:testdata/web-v1.oci web:v1");
    world.assert_sound();
    world.ok("export web:v1 oci:again");
    world.sh("skopeo copy -q oci:again dir:copy");
}

/// Output that nobody reads made a command abort after its work was done.
#[test]
fn a_closed_stderr_does_not_change_the_outcome() {
    let world = World::new();
    world.ok("import oci:testdata/web-v1.oci web");
    let binary = env!("CARGO_BIN_EXE_imgit");
    world.sh(&format!("mkfifo pipe; sleep 0.2 <pipe & exec 3>pipe; wait; {binary} tag web:x 2>&3"));
    assert!(world.ok("tag").contains("web:x"));
}
