//! Trees put together, listed whole and counted again.

use super::*;
use crate::disk::guest::Mount;
use crate::tree::MemoryNodes;
use crate::tree::build::tests::tree_of;

/// `volumes` are `device: words`, `mounts` `point=device`; the root is the first volume. Returns
/// the paths and what was ignored.
fn check(volumes: &[(&str, &str)], mounts: &str, expected: &str, ignored: &[&str]) -> Tree {
    let mut nodes = MemoryNodes::new();
    let volume =
        |words: &str, nodes: &mut MemoryNodes| Volume { tree: tree_of(nodes, words), subvolumes: Vec::new() };
    let volumes_by_name: HashMap<_, _> =
        volumes.iter().map(|(device, words)| (device.to_string(), volume(words, &mut nodes))).collect();
    check_volumes(&mut nodes, volumes[0].0, &volumes_by_name, mounts, expected, ignored)
}

fn check_volumes(
    nodes: &mut MemoryNodes,
    root: &str,
    volumes: &HashMap<String, Volume>,
    mounts: &str,
    expected: &str,
    ignored: &[&str],
) -> Tree {
    let mount = |word: &str| {
        let (point, device) = word.split_once('=').unwrap();
        Mount { point: point.into(), device: device.into() }
    };
    let mounts = mounts.split_whitespace().map(mount).collect();
    let os = Os { root: root.into(), mounts, ..Os::default() };
    let Assembled { tree, ignored: told } = assemble(nodes, &os, volumes).unwrap().unwrap();
    let told: Vec<_> = told.iter().map(|one| format!("{} {}", one.point, one.problem)).collect();
    assert_eq!(told, ignored);
    let (mut paths, mut entries, mut bytes) = (Vec::new(), 0, 0);
    walk::walk(nodes, &tree, &TreePath::root(), &mut |path, entry| {
        paths.push(path.to_string());
        entries += 1;
        if let Kind::File { size, .. } = entry.kind {
            bytes += size;
        }
        Ok(Descend::Into)
    })
    .unwrap();
    assert_eq!(paths.join(" "), expected);
    assert_eq!((tree.entries, tree.bytes), (entries, bytes), "the sums are those of a count");
    assert_eq!(Tree::decode(&tree.encode()).unwrap(), tree);
    tree
}

#[test]
fn a_mount_hides_what_is_under_it_and_gives_the_folder_its_own_attributes() {
    let tree = check(
        &[("root", "boot/ boot/old=xxx etc/a=1"), ("boot", "vmlinuz=yy grub/")],
        "/=root /boot=boot",
        "/boot /boot/grub /boot/vmlinuz /etc /etc/a",
        &[],
    );
    let mut nodes = MemoryNodes::new();
    let mut root = tree_of(&mut nodes, "boot/:700 boot/old=xxx");
    let mut boot = tree_of(&mut nodes, "");
    boot.root_attr.uid = 7;
    root.root_attr.uid = 1;
    let volume = |tree: &Tree| Volume { tree: tree.clone(), subvolumes: Vec::new() };
    let volumes = HashMap::from([("r".to_owned(), volume(&root)), ("b".to_owned(), volume(&boot))]);
    let tree_of_both = check_volumes(&mut nodes, "r", &volumes, "/boot=b", "/boot", &[]);
    let entry = walk::lookup(&nodes, &tree_of_both, &TreePath::parse(b"boot").unwrap()).unwrap().unwrap();
    assert_eq!((entry.attr, tree_of_both.root_attr), (boot.root_attr, root.root_attr));
    assert_ne!(tree.root, root.root);
}

#[test]
fn inner_mounts_come_after_outer_ones_in_whatever_order_they_are_listed() {
    let volumes = [("root", "boot/ a=1"), ("boot", "efi/ k=22"), ("efi", "x=333"), ("other", "b/c=1")];
    check(&volumes, "/boot/efi=efi /boot=boot", "/a /boot /boot/efi /boot/efi/x /boot/k", &[]);
    check(&volumes, "/boot=boot /boot=other", "/a /boot /boot/b /boot/b/c", &[]);
    check(&volumes, "/boot=boot /boot=other /boot/b=efi", "/a /boot /boot/b /boot/b/x", &[]);
}

#[test]
fn links_get_the_mount_point_in_front_and_hidden_ones_go() {
    let tree = check(
        &[
            ("root", "a=1 b==a m/c==a m/d=2 m/e==m/d x=3 m/y==x z/"),
            ("one", "p=1 q==p"),
            ("two", "x=1 y/ y/w==x"),
        ],
        "/m=one /z=two",
        "/a /b /m /m/p /m/q /x /z /z/x /z/y /z/y/w",
        &[],
    );
    let links: Vec<_> = tree
        .hardlinks
        .iter()
        .map(|group| group.iter().map(|path| path.to_string()).collect::<Vec<_>>().join("="))
        .collect();
    assert_eq!(links, ["/a=/b", "/m/p=/m/q", "/z/x=/z/y/w"]);
}

#[test]
fn hostile_and_empty_mount_points_are_told_and_left_out() {
    let deep = format!("/{}=b", "d/".repeat(POINT_PARTS_MAX + 1));
    check(
        &[("root", "file=1 link->file to->dir dir/a=1"), ("b", "x=1")],
        &format!("/../x=b dir=b /file=b /to=b /to/a=b /none=b /none/x=b /dir=gone /dir/a=b {deep}"),
        "/dir /dir/a /file /link /to",
        &[
            "/../x is not a path inside the system",
            "dir does not begin at the root",
            &format!("{} is too deep", deep.trim_end_matches("=b")),
            "/file is no folder",
            "/to goes over a link, which is not followed",
            "/none has no folder to mount on",
            "/dir is for a device that is not there",
            "/to/a goes over a link, which is not followed",
            "/none/x has no folder to mount on",
            "/dir/a is no folder",
        ],
    );
}

#[test]
fn subvolumes_stand_where_they_are_shown_also_in_what_is_mounted_twice() {
    let mut nodes = MemoryNodes::new();
    let inner = |path: &str| Subvolume { path: path.into(), device: path.into() };
    let mut volume =
        |words: &str, inner: Vec<Subvolume>| Volume { tree: tree_of(&mut nodes, words), subvolumes: inner };
    let volumes = HashMap::from([
        ("top".to_owned(), volume("vroot/ vhome/", vec![inner("vroot"), inner("vhome")])),
        ("vroot".to_owned(), volume("home/ var/m/ a=1 btrfs/", vec![inner("var/m"), inner("gone")])),
        ("vhome".to_owned(), volume("ada=22 bob==ada", vec![])),
        ("var/m".to_owned(), volume("web=333", vec![])),
    ]);
    let tree = check_volumes(
        &mut nodes,
        "vroot",
        &volumes,
        "/home=vhome /btrfs=top",
        "/a /btrfs /btrfs/vhome /btrfs/vhome/ada /btrfs/vhome/bob /btrfs/vroot /btrfs/vroot/a \
         /btrfs/vroot/btrfs /btrfs/vroot/home /btrfs/vroot/var /btrfs/vroot/var/m /btrfs/vroot/var/m/web /home /home/ada /home/bob /var /var/m /var/m/web",
        &["gone is for a device that is not there", "gone is for a device that is not there"],
    );
    let links: Vec<_> = tree.hardlinks.iter().map(|group| group[0].to_string()).collect();
    assert_eq!(links, ["/btrfs/vhome/ada", "/home/ada"]);
}

#[test]
fn volumes_that_hold_each_other_end() {
    let mut nodes = MemoryNodes::new();
    let tree = tree_of(&mut nodes, "a/");
    let subvolumes = vec![Subvolume { path: "a".into(), device: "loop".into() }];
    let volumes = HashMap::from([("loop".to_owned(), Volume { tree, subvolumes })]);
    let os = Os { root: "loop".into(), ..Os::default() };
    let assembled = assemble(&mut nodes, &os, &volumes).unwrap().unwrap();
    assert_eq!(assembled.tree.entries, NESTING_MAX as u64 + 1);
    assert_eq!(assembled.ignored.len(), 1);
    assert!(assemble(&mut nodes, &Os::default(), &volumes).unwrap().is_none());
}

#[test]
fn too_many_mounts_are_too_many() {
    let words: String = (0..MOUNTS_MAX + 5).map(|at| format!("m{at}/ ")).collect();
    let mounts: String = (0..MOUNTS_MAX + 5).map(|at| format!("/m{at}=b{} ", at % 100)).collect();
    let mut nodes = MemoryNodes::new();
    let volume =
        |words: &str, nodes: &mut MemoryNodes| Volume { tree: tree_of(nodes, words), subvolumes: Vec::new() };
    let mut volumes = HashMap::from([("r".to_owned(), volume(&words, &mut nodes))]);
    volumes.extend((0..100).map(|at| (format!("b{at}"), volume("x=1", &mut nodes))));
    let mounts = mounts.split_whitespace().map(|word| {
        let (point, device) = word.split_once('=').unwrap();
        Mount { point: point.into(), device: device.into() }
    });
    let os = Os { root: "r".into(), mounts: mounts.collect(), ..Os::default() };
    let assembled = assemble(&mut nodes, &os, &volumes).unwrap().unwrap();
    assert_eq!(assembled.ignored.len(), 5);
    assert_eq!(assembled.tree.bytes, MOUNTS_MAX as u64);
}

#[test]
fn one_device_is_not_mounted_without_end() {
    let words: String = (0..MOUNTS_OF_ONE_MAX + 1).map(|at| format!("m{at:02}/ ")).collect();
    let mounts: String = (0..MOUNTS_OF_ONE_MAX + 1).map(|at| format!("/m{at:02}=b ")).collect();
    let expected: Vec<String> = (0..MOUNTS_OF_ONE_MAX).map(|at| format!("/m{at:02} /m{at:02}/x")).collect();
    check(
        &[("r", &words), ("b", "x=1")],
        &mounts,
        &format!("{} /m{MOUNTS_OF_ONE_MAX}", expected.join(" ")),
        &[&format!("/m{MOUNTS_OF_ONE_MAX} mounts the same once too often")],
    );
}
