//! A recorded guest read, put together and asked what it is: the way of a disk through this module.

use super::assemble::Volume;
use super::assemble::assemble;
use super::os::TreeFiles;
use super::*;
use crate::attr::Attr;
use crate::content::ContentSink;
use crate::disk::files::Found;
use crate::layer::testing::Memory;
use crate::progress::Silent;
use crate::tree::Kind;
use crate::tree::MemoryNodes;
use crate::tree::Tree;
use crate::tree::build::Builder;
use crate::tree::walk;
use std::collections::HashMap;

struct ToTree<'a> {
    contents: &'a mut Memory,
    builder: Option<Builder>,
}

impl FileSink for ToTree<'_> {
    fn put(&mut self, path: TreePath, attr: Attr, found: Found<'_>) -> Result<()> {
        let Some(builder) = &mut self.builder else {
            assert!(path.is_root() && matches!(found, Found::Dir));
            self.builder = Some(Builder::new(attr));
            return Ok(());
        };
        match found {
            Found::Dir => builder.put_dir(path, attr),
            Found::File(file) => {
                let content = self.contents.put(file.size, file.from)?;
                builder.put(path, Kind::File { content, size: file.size }, attr);
            }
            Found::Symlink(target) => builder.put(path, Kind::Symlink(target), attr),
            _ => panic!("{path} is none of the recorded kinds"),
        }
        Ok(())
    }
}

fn tree_of(guest: &mut Recorded, device: &str, contents: &mut Memory, nodes: &mut MemoryNodes) -> Tree {
    let mut sink = ToTree { contents, builder: None };
    guest.read(device, &mut sink, &Silent).unwrap();
    sink.builder.unwrap().finish(nodes).unwrap()
}

#[test]
fn the_trees_of_a_guest_tell_what_the_appliance_told() {
    let mut guest = Recorded::parse(include_bytes!("../../../testdata/guest/debian.json")).unwrap();
    let filesystems = guest.filesystems(&Silent).unwrap();
    let kinds: Vec<_> = filesystems.iter().map(|one| (one.kind.as_str(), one.has_files())).collect();
    assert_eq!(kinds, [("vfat", true), ("ext4", true), ("swap", false), ("unknown", false)]);

    let (mut contents, mut nodes, mut volumes) = (Memory::default(), MemoryNodes::new(), HashMap::new());
    for one in filesystems.iter().filter(|one| one.has_files()) {
        let tree = tree_of(&mut guest, &one.device, &mut contents, &mut nodes);
        volumes.insert(one.device.clone(), Volume { tree, subvolumes: one.subvolumes.clone() });
    }
    let told = |nodes: &MemoryNodes, contents: &Memory, tree: &Tree| {
        os::system(&TreeFiles { nodes, tree, bytes: &contents.contents }, "/dev/sdb2", &filesystems)
            .unwrap()
            .unwrap()
    };
    let system = told(&nodes, &contents, &volumes["/dev/sdb2"].tree);
    assert_eq!(guest.inspect(&Silent).unwrap(), std::slice::from_ref(&system));

    let whole = assemble(&mut nodes, &system, &volumes).unwrap().unwrap();
    assert_eq!(whole.ignored, []);
    assert_eq!(told(&nodes, &contents, &whole.tree), system);
    let path = TreePath::parse(b"boot/efi/EFI/BOOTX64.EFI").unwrap();
    assert!(walk::lookup(&nodes, &whole.tree, &path).unwrap().is_some());
    let mut nowhere = ToTree { contents: &mut contents, builder: None };
    assert!(guest.read("/dev/sdz", &mut nowhere, &Silent).is_err());
}
