//! Imports that end in the middle: by Ctrl-C, by kill -9, by their size alone.

use crate::support::IMGIT;
use crate::support::Outcome;
use crate::support::World;
use crate::support::layout::Layout;
use crate::support::layout::entry;
use crate::support::layout::file;
use crate::support::sha256;
use std::io::Write;
use std::process::Child;
use std::process::ChildStdin;
use std::process::Command;
use std::process::Stdio;
use std::thread;
use std::time::Duration;
use std::time::Instant;

/// An import of a tar from a pipe, with some MB of it in the store's tmp/ and no end in sight.
fn halfway(world: &World) -> (Child, ChildStdin) {
    let mut command = world.command();
    command
        .args(["import", "tar:-", "big"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut number = 0_u32;
    let deadline = Instant::now() + Duration::from_secs(30);
    while world.leftovers().is_empty() || number < 40 {
        assert!(Instant::now() < deadline, "nothing is in tmp/ after {number} files");
        number += 1;
        let noise: Vec<u8> =
            (0..4_000_u32).flat_map(|at| sha256(&(at + number).to_le_bytes()).into_bytes()).collect();
        input.write_all(&file(&format!("noise-{number}"), &noise)).unwrap();
    }
    (child, input)
}

fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status();
    assert!(status.unwrap().success());
}

#[test]
fn ctrl_c_ends_an_import_with_130_and_leaves_nothing() {
    let world = World::with_web();
    let before = world.everything_said();
    let (child, mut input) = halfway(&world);
    signal(&child, "INT");
    // The stream goes on; the import does not.
    let feeder = thread::spawn(move || while input.write_all(&file("more", &[7; 100_000])).is_ok() {});
    let outcome = Outcome::of(child.wait_with_output().unwrap());
    feeder.join().unwrap();
    assert_eq!(outcome.code, 130, "{outcome}");
    assert!(outcome.stderr.contains("interrupted"), "{outcome}");
    assert_eq!(world.leftovers(), Vec::<String>::new());
    assert_eq!(world.everything_said(), before);
    world.assert_sound();
}

/// Collection waits for an import under way, and says for whose it gave up waiting.
#[test]
fn gc_names_the_import_it_would_have_to_wait_for() {
    let world = World::with_web();
    let (mut child, input) = halfway(&world);
    let locked = world.fails(11, "--lock-timeout 0 gc");
    assert!(
        locked.contains("is locked by") && locked.contains(&format!("process {}", child.id())),
        "{locked}"
    );
    // Another writer goes ahead.
    world.ok("import -q testdata/notes.dir notes");
    child.kill().unwrap();
    child.wait().unwrap();
    drop(input);
    world.ok("--lock-timeout 0 gc");
    world.assert_sound();
}

/// While the source is silent nothing is read, and so nothing was asked: a second Ctrl-C ends it.
#[test]
fn a_second_ctrl_c_ends_it_at_once() {
    let world = World::with_web();
    let (child, input) = halfway(&world);
    for _ in 0..2 {
        signal(&child, "INT");
        thread::sleep(Duration::from_millis(200));
    }
    let outcome = Outcome::of(child.wait_with_output().unwrap());
    drop(input);
    assert_eq!(outcome.code, 130, "{outcome}");
    world.ok("import -q testdata/notes.dir notes");
    world.ok("gc");
    world.assert_sound();
}

/// A dead writer's draft is nobody's: it harms nothing, and collection takes it away.
#[test]
fn after_kill_9_all_works_and_gc_clears_up() {
    let world = World::with_web();
    let before = world.everything_said();
    let (mut child, _input) = halfway(&world);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!world.leftovers().is_empty(), "the kill came too late to mean anything");
    assert_eq!(world.everything_said(), before);
    world.ok("fsck --read-data");
    world.ok("import -q testdata/notes.dir notes");
    world.ok("gc");
    world.assert_sound();
    assert_eq!(world.ok("diff web~1 web --name-status /etc/web/tls.conf"), "A\t/etc/web/tls.conf\n");
}

/// At any moment: whatever was said to be done is there, and nothing is half there.
#[test]
fn kill_9_at_any_moment_leaves_the_old_state_or_the_new() {
    let world = World::with_web();
    for round in 0..12_u64 {
        let mut command = world.command();
        command.args(["import", "testdata/notes-multi.oci.tar", &format!("n{round}")]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        thread::sleep(Duration::from_millis(round * 9));
        child.kill().unwrap();
        child.wait().unwrap();
        let there = world.run(&format!("log --oneline n{round}"));
        assert!(matches!(there.code, 0 | 4), "{there}");
        assert_eq!(world.run("fsck").code, 0);
    }
    world.ok("import -q testdata/notes-multi.oci.tar last");
    world.ok("gc");
    world.assert_sound();
}

/// A million files in one layer: bounded memory, in a time that is a matter of the disk.
#[test]
#[ignore = "takes minutes without optimisation"]
fn a_million_entries_stay_under_300_megabytes() {
    let world = World::new();
    let mut tar = Vec::with_capacity(1 << 30);
    for folder in 0..1_000 {
        tar.extend(entry(tar::EntryType::Directory, &format!("d{folder}/"), "", 0));
        for number in 0..1_000 {
            tar.extend(file(&format!("d{folder}/f{number}"), b""));
        }
    }
    tar.resize(tar.len() + 1024, 0);
    Layout::of(tar).write(&world, "million");
    let mut import = world.in_here("python3");
    import.args([
        "-c",
        "import os,resource,subprocess,sys; subprocess.run(sys.argv[1:], check=True); \
         print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)",
        IMGIT,
        "import",
        "-q",
        "oci:million:v",
        "million",
    ]);
    let outcome = Outcome::of(import.output().unwrap());
    assert_eq!(outcome.code, 0, "{outcome}");
    let kilobytes: u64 = outcome.stdout.lines().last().unwrap().parse().unwrap();
    assert!(kilobytes < 300_000, "{kilobytes} kB");
    assert_eq!(world.ok("find million --type f").lines().count(), 1_000_000);
}
