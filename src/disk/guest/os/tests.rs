//! Systems in trees made by hand.

use super::*;
use crate::attr::Attr;
use crate::disk::guest::Mount;
use crate::id::ContentId;
use crate::layer::testing::Memory;
use crate::tree::MemoryNodes;
use crate::tree::build::Builder;

/// `path=text` for a file, `path->target` for a link; `\n` in a text is a new line.
fn told(words: &[&str]) -> Option<Os> {
    let mut memory = Memory::default();
    let mut nodes = MemoryNodes::new();
    let mut builder = Builder::new(Attr::default());
    let elf = [&b"\x7fELF\x02\x01\x01"[..], &[0; 9], &[3, 0, 62, 0]].concat();
    for word in words {
        let (path, kind) = match word.split_once("->") {
            Some((path, target)) => (path, Kind::Symlink(target.as_bytes().into())),
            None => {
                let (path, text) = word.split_once('=').unwrap();
                let bytes = if text == "ELF" { elf.clone() } else { text.as_bytes().to_vec() };
                let content = ContentId::of(&bytes);
                let size = bytes.len() as u64;
                memory.contents.insert(content, bytes);
                (path, Kind::File { content, size })
            }
        };
        builder.put(clean(path), kind, Attr::default());
    }
    let tree = builder.finish(&mut nodes).unwrap();
    system(&TreeFiles { nodes: &nodes, tree: &tree, bytes: &memory.contents }, "/dev/sda1", &[]).unwrap()
}

#[test]
fn a_debian_tells_all() {
    let os = told(&[
        "etc/os-release->../usr/lib/os-release",
        "usr/lib/os-release=ID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME=\"Debian 12\"\n",
        "etc/hostname=# mine\nweb1\n",
        "bin->usr/bin",
        "usr/bin/sh->dash",
        "usr/bin/dash=ELF",
        "boot/vmlinuz-6.1.0-9-amd64=x",
        "lib->usr/lib",
        "usr/lib/modules/6.1.0-25-amd64/x=x",
        "var/lib/dpkg/status=x",
    ]);
    let expected = Os {
        root: "/dev/sda1".into(),
        kind: Some("linux".into()),
        distro: Some("debian".into()),
        product: Some("Debian 12".into()),
        version: Some((12, 0)),
        arch: Some("x86_64".into()),
        hostname: Some("web1".into()),
        package_format: Some("deb".into()),
        kernel: Some("6.1.0-25-amd64".into()),
        mounts: vec![Mount { point: "/".into(), device: "/dev/sda1".into() }],
    };
    assert_eq!(os, Some(expected));
}

#[test]
fn what_is_no_system_is_none_and_nonsense_is_left_out() {
    assert_eq!(told(&["home/ada/notes=x"]), None);
    assert_eq!(told(&["etc/fstab=# nothing"]), None);
    assert_eq!(told(&["etc/os-release->os-release", "etc/fstab=x"]), None);
    assert!(told(&["etc/fstab=#", "etc/passwd=x"]).is_some());
    let odd =
        told(&["etc/os-release=ID=x", "etc/hostname=two words", "bin/sh->/etc", "lib/modules=no folder"]);
    let odd = odd.unwrap();
    assert_eq!((odd.hostname, odd.arch, odd.kernel), (None, None, None));
}

#[test]
fn the_newest_kernel_is_by_number() {
    let check = |names: &[&str], expected: Option<&str>| {
        let names: Vec<_> = names.iter().map(|name| name.as_bytes().to_vec()).collect();
        assert_eq!(newest_kernel(&names, &[]).as_deref(), expected, "{names:?}");
    };
    check(&["vmlinuz-6.1.0-9-amd64", "vmlinuz-6.1.0-25-amd64", "initrd.img-7"], Some("6.1.0-25-amd64"));
    check(&["vmlinuz-5.15.0", "vmlinuz-5.9", "vmlinuz"], Some("5.15.0"));
    check(&["vmlinuz-6.1", "vmlinuz-6.1.1"], Some("6.1.1"));
    check(&["vmlinuz-0-rescue-ab", "config-6.1", "vmlinuz-\u{7}"], Some("0-rescue-ab"));
    check(
        &["vmlinuz-99999999999999999999999999999999999999999999", "vmlinuz-1"],
        Some("99999999999999999999999999999999999999999999"),
    );
}
