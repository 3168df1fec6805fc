//! Real machines of Debian packages (`testdata/make/machines.sh`): minutes, and packages from a mirror.
//!
//!     cargo test --release --test it -- --ignored machines

use crate::support::World;
use serde_json::Value;
use std::path::PathBuf;
use std::process::Command;

/// In the trees of the disks and not in the tar they were made from.
const OWN: [&str; 2] = ["/lost+found", "/boot/efi/"];

/// The folder with the disks, which are made if they are not there.
fn machines() -> PathBuf {
    let folder = std::env::var_os("IMGIT_MACHINES_DIR").unwrap_or_else(|| "/var/tmp/imgit-machines".into());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/make/machines.sh");
    assert!(Command::new(script).status().unwrap().success(), "{script} fails");
    folder.into()
}

/// A world where these disks lie at hand.
fn world() -> World {
    let world = World::new();
    for file in std::fs::read_dir(machines()).unwrap() {
        let file = file.unwrap().path();
        let name = file.file_name().unwrap().to_str().unwrap();
        std::os::unix::fs::symlink(&file, world.path(name)).unwrap();
    }
    world
}

fn json(world: &World, line: &str) -> Value {
    let text = world.ok(&format!("{line} --format json"));
    serde_json::from_str(text.lines().last().unwrap()).unwrap()
}

/// Device, or nothing for the whole, and the id of its tree.
fn trees(world: &World, name: &str) -> Vec<(String, String)> {
    let text = |tree: &Value, field: &str| tree[field].as_str().unwrap().to_string();
    let commit = json(world, &format!("show {name}"));
    commit["trees"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tree| (text(tree, "platform"), text(tree, "tree")))
        .collect()
}

fn comes_back(world: &World, name: &str, disk: &str) {
    world.ok(&format!("export -q {name} raw:out.raw --force"));
    world.sh(&format!("cmp out.raw {disk} && rm out.raw"));
}

/// A tree that libguestfs reads from ext4 is the one that we read, entry by entry: both are one id.
#[test]
#[ignore = "minutes: machines of 3 GB, and the appliance"]
fn both_readers_tell_the_same_of_a_debian() {
    let world = world();
    world.ok("import -q --reader native gpt-1.raw vm:native");
    world.ok("import -q --reader guestfs gpt-1.raw vm:guestfs");
    assert_eq!(trees(&world, "vm:native"), trees(&world, "vm:guestfs"));
    let shown = world.ok("inspect vm:native");
    for words in [
        "System:      Debian GNU/Linux 12 (bookworm)",
        "Hostname:    golden",
        "Arch:        x86_64",
        "Kernel:      6.",
        "Mount:       /boot/efi /dev/sda1",
    ] {
        assert!(shown.contains(words), "{words}\n{shown}");
    }
    comes_back(&world, "vm:guestfs", "gpt-1.raw");
    // What was planted is what the tar has, to the nanosecond, but for the socket and what is no file's.
    world.ok("import -q root-1.tar tree");
    let changes = world.ok("diff --name-status tree vm:native");
    let own = |line: &&str| OWN.iter().any(|own| line.contains(own)) || line.ends_with("/srv/odd/socket");
    assert_eq!(changes.lines().filter(|line| !own(line)).collect::<Vec<_>>(), [""; 0]);
    let odd = world.ok("ls -l vm:native /srv/odd");
    for words in ["1965-03-04", "2045-06-07", "5, 300", "caf\\xe9"] {
        assert!(odd.contains(words), "{words}\n{odd}");
    }
    world.assert_sound();
}

#[test]
#[ignore = "minutes: machines of 3 GB"]
fn the_next_version_of_a_machine_costs_what_has_changed() {
    let world = world();
    world.ok("import -q gpt-1.raw vm");
    let first = json(&world, "import gpt-1.raw again")["new_contents"].as_u64().unwrap();
    assert_eq!(first, 0, "the same disk under another name");
    let done = json(&world, "import gpt-2.raw vm");
    let (bytes, stored) =
        (done["new_content_bytes"].as_u64().unwrap(), done["stored_bytes"].as_u64().unwrap());
    eprintln!("second version: {bytes} new bytes, {stored} stored");
    let size = std::fs::metadata(world.path("root-1.tar")).unwrap().len();
    assert!(stored < size / 4, "{stored} of {size}");
    let status = world.ok("diff --name-status vm~1 vm");
    for line in [
        "A\t/usr/bin/git",
        "D\t/usr/bin/less",
        "M\t/etc/ssh/sshd_config",
        "M\t/etc/motd",
        "M\t/srv/odd/sparse",
        "D\t/srv/odd/capable",
    ] {
        assert!(status.lines().any(|found| found == line), "{line}");
    }
    assert!(
        status.lines().any(|line| line.starts_with('R') && line.contains("/srv/odd/renamed")),
        "{status}"
    );
    comes_back(&world, "vm~1", "gpt-1.raw");
    comes_back(&world, "vm", "gpt-2.raw");
    world.assert_sound();
}

/// LVM with xfs and btrfs have no reader of ours: their trees are held against the tar they were made of.
#[test]
#[ignore = "minutes: machines of 3 GB, and the appliance"]
fn xfs_on_lvm_and_btrfs_hold_the_tree_they_were_given() {
    let world = world();
    world.ok("import -q root-1.tar tree");
    for (disk, root) in [("lvm", "/dev/golden_vg/root"), ("btrfs", "btrfsvol:/dev/sda/@")] {
        world.ok(&format!("import -q {disk}.raw {disk}"));
        let changes = world.ok(&format!("diff --name-status --times tree {disk}"));
        let own = |line: &&str| {
            ["/etc/fstab", "/home", "/srv", "/srv/odd", "/srv/odd/socket", "/boot", "/"]
                .iter()
                .any(|own| line.ends_with(&format!("\t{own}")))
                || line.contains("/home/ada")
        };
        assert_eq!(changes.lines().filter(|line| !own(line)).collect::<Vec<_>>(), [""; 0], "{disk}");
        assert!(world.ok(&format!("inspect {disk}")).contains(&format!("Mount:       / {root}")));
        comes_back(&world, disk, &format!("{disk}.raw"));
    }
    assert_eq!(world.ok("cat btrfs /home/ada/notes"), "at home\n");
    world.assert_sound();
}

/// A machine and a container of the same packages: what they share is kept once.
#[test]
#[ignore = "minutes: machines of 3 GB"]
fn a_machine_and_a_container_of_the_same_packages_share_them() {
    let world = world();
    world.ok("import -q gpt-1.raw vm");
    let files = |world: &World| json(world, "du")["file_pack_bytes"].as_u64().unwrap();
    let before = files(&world);
    world.ok("import -q oci:box.oci:1 box");
    let more = files(&world) - before;
    eprintln!("files and manifests: {before} bytes, the container beside the machine {more} more");
    assert!(more < before / 50, "{more} of {before}");
    let usage = world.ok("du --format json");
    let weighs = |name: &str| -> (u64, u64) {
        let mut lines = usage.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let one = lines.rfind(|line| line["version"] == name).unwrap();
        (one["bytes"].as_u64().unwrap(), one["shared_bytes"].as_u64().unwrap())
    };
    let (bytes, shared) = weighs("box:latest");
    assert!(shared > bytes / 100 * 99, "{shared} of {bytes}");
    world.assert_sound();
}
