//! The flattener against a model that is slow and says what the rules say: a list of paths.

use super::Flattener;
use super::tests::entry;
use crate::attr::Attr;
use crate::layer::LayerEntry;
use crate::layer::LayerKind;
use crate::path::TreePath;
use crate::tree::Kind;
use crate::tree::MemoryNodes;
use crate::tree::Tree;
use crate::tree::walk::Descend;
use crate::tree::walk::walk;
use proptest::prelude::*;
use std::collections::BTreeMap;

#[derive(Clone, Debug, PartialEq)]
enum Is {
    Dir,
    Leaf(LayerKind),
}

#[derive(Clone, Debug)]
struct Item {
    path: String,
    is: Is,
    attr: Attr,
    layer: usize,
    /// Paths with one number are one inode.
    inode: usize,
}

#[derive(Default)]
struct Model {
    items: Vec<Item>,
    inodes: usize,
}

fn under(path: &str, dir: &str) -> bool {
    dir.is_empty() || path.strip_prefix(dir).is_some_and(|rest| rest.starts_with('/'))
}

fn join(dir: &str, name: &str) -> String {
    if dir.is_empty() { name.to_owned() } else { format!("{dir}/{name}") }
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(dir, _)| dir)
}

fn text(path: &TreePath) -> String {
    String::from_utf8(path.as_bytes().to_vec()).unwrap()
}

fn implied() -> Attr {
    Attr { mode: 0o755, ..Attr::default() }
}

impl Model {
    fn get(&self, path: &str) -> Option<&Item> {
        self.items.iter().find(|item| item.path == path)
    }

    fn put(&mut self, path: &str, is: Is, attr: Attr, layer: usize, inode: Option<usize>) {
        self.items.retain(|item| item.path != path && !under(&item.path, path));
        self.inodes += 1;
        let inode = inode.unwrap_or(self.inodes);
        self.items.push(Item { path: path.to_owned(), is, attr, layer, inode });
    }

    /// `Err` where an engine would fail, `Ok(None)` where there is nothing.
    fn resolve(&mut self, path: &str, make: Option<usize>) -> Result<Option<String>, ()> {
        let mut at = String::new();
        let mut to_go: Vec<String> = path.split('/').rev().map(str::to_owned).collect();
        let mut hops = 0;
        while let Some(part) = to_go.pop() {
            if part.is_empty() {
                continue;
            }
            if part == ".." {
                at = parent(&at).to_owned();
                continue;
            }
            let next = join(&at, &part);
            match self.get(&next).map(|item| item.is.clone()) {
                Some(Is::Dir) => at = next,
                Some(Is::Leaf(LayerKind::Symlink(target))) => {
                    hops += 1;
                    if hops > 40 {
                        return Err(());
                    }
                    let target = String::from_utf8(target.to_vec()).unwrap();
                    if target.starts_with('/') {
                        at.clear();
                    }
                    to_go.extend(target.split('/').rev().map(str::to_owned));
                }
                Some(Is::Leaf(_)) => return if make.is_some() { Err(()) } else { Ok(None) },
                None => {
                    let Some(layer) = make else { return Ok(None) };
                    self.put(&next, Is::Dir, implied(), layer, None);
                    at = next;
                }
            }
        }
        Ok(Some(at))
    }

    /// Removes what older layers have at the path or under it, as far as `keep_top` says.
    fn hide(&mut self, path: &str, layer: usize, keep_top: bool) {
        let within = |item: &Item| under(&item.path, path) || (!keep_top && item.path == path);
        let own: Vec<String> = self
            .items
            .iter()
            .filter(|item| within(item) && item.layer == layer)
            .map(|item| item.path.clone())
            .collect();
        self.items.retain(|item| !within(item) || item.layer == layer);
        for path in own {
            let mut dir = parent(&path).to_owned();
            while !dir.is_empty() && self.get(&dir).is_none() {
                self.put_implied(&dir, layer);
                dir = parent(&dir).to_owned();
            }
        }
    }

    fn put_implied(&mut self, path: &str, layer: usize) {
        self.inodes += 1;
        let (is, attr, inode) = (Is::Dir, implied(), self.inodes);
        self.items.push(Item { path: path.to_owned(), is, attr, layer, inode });
    }

    fn apply(&mut self, entry: LayerEntry, layer: usize) -> Result<(), ()> {
        let path = text(&entry.path);
        let name = path.rsplit('/').next().unwrap().to_owned();
        match entry.what {
            LayerKind::Whiteout { of } => {
                let of = text(&of);
                let Some(dir) = self.resolve(parent(&of), None)? else { return Ok(()) };
                self.hide(&join(&dir, of.rsplit('/').next().unwrap()), layer, false);
            }
            LayerKind::Opaque => {
                let Some(dir) = self.resolve(parent(&path), None)? else { return Ok(()) };
                self.hide(&dir, layer, true);
            }
            LayerKind::Dir => {
                let dir = self.resolve(parent(&path), Some(layer))?.ok_or(())?;
                let path = join(&dir, &name);
                match self.items.iter_mut().find(|item| item.path == path && item.is == Is::Dir) {
                    Some(item) => (item.attr, item.layer) = (entry.attr, layer),
                    None => self.put(&path, Is::Dir, entry.attr, layer, None),
                }
            }
            LayerKind::Hardlink { target } => {
                let target = text(&target);
                let dir = self.resolve(parent(&path), Some(layer))?.ok_or(())?;
                let path = join(&dir, &name);
                let target_dir = self.resolve(parent(&target), None)?.ok_or(())?;
                let target = join(&target_dir, target.rsplit('/').next().unwrap());
                let found = self.get(&target).ok_or(())?.clone();
                if found.is == Is::Dir || under(&target, &path) {
                    return Err(());
                }
                if path != target {
                    self.put(&path, found.is, found.attr, layer, Some(found.inode));
                }
            }
            other => {
                let dir = self.resolve(parent(&path), Some(layer))?.ok_or(())?;
                let mode = if matches!(other, LayerKind::Symlink(_)) { 0o777 } else { entry.attr.mode };
                self.put(&join(&dir, &name), Is::Leaf(other), Attr { mode, ..entry.attr }, layer, None);
            }
        }
        Ok(())
    }

    fn view(&self) -> View {
        let entries =
            self.items.iter().map(|item| (item.path.clone(), (item.is.clone(), item.attr.clone()))).collect();
        let mut groups: BTreeMap<usize, Vec<String>> = BTreeMap::new();
        for item in &self.items {
            groups.entry(item.inode).or_default().push(item.path.clone());
        }
        let mut groups: Vec<_> = groups.into_values().filter(|group| group.len() > 1).collect();
        groups.iter_mut().for_each(|group| group.sort());
        groups.sort();
        (entries, groups)
    }
}

type View = (BTreeMap<String, (Is, Attr)>, Vec<Vec<String>>);

fn view(nodes: &MemoryNodes, tree: &Tree) -> View {
    let mut entries = BTreeMap::new();
    let mut bytes = 0;
    walk(nodes, tree, &TreePath::root(), &mut |path, entry| {
        let is = match &entry.kind {
            Kind::Dir(_) => Is::Dir,
            Kind::File { content, size } => {
                bytes += size;
                Is::Leaf(LayerKind::File { content: *content, size: *size })
            }
            Kind::Symlink(target) => Is::Leaf(LayerKind::Symlink(target.clone())),
            other => panic!("{other:?}"),
        };
        entries.insert(text(path), (is, entry.attr.clone()));
        Ok(Descend::Into)
    })
    .unwrap();
    assert_eq!((tree.entries, tree.bytes), (entries.len() as u64, bytes));
    tree.check().unwrap();
    (entries, tree.hardlinks.iter().map(|group| group.iter().map(text).collect()).collect())
}

/// Few names, so that entries meet.
fn word() -> impl Strategy<Value = String> {
    let path = || {
        prop::collection::vec(prop::sample::select(vec!["a", "b", "c"]), 1..4)
            .prop_map(|parts| parts.join("/"))
    };
    let mode = prop::sample::select(vec!["600", "755", "4711"]);
    let before_name = |path: String, prefix: &str| match path.rsplit_once('/') {
        Some((dir, name)) => format!("{dir}/{prefix}{name}"),
        None => format!("{prefix}{path}"),
    };
    let what = prop_oneof![
        4 => (path(), prop::sample::select(vec!["", "1", "22"])).prop_map(|(path, text)| format!("{path}={text}")),
        4 => path().prop_map(|path| format!("{path}/")),
        2 => (path(), path(), prop::sample::select(vec!["", "/", "../", "../../"])).prop_map(|(path, target, up)| format!("{path}->{up}{target}")),
        3 => (path(), path()).prop_map(|(path, target)| format!("{path}=={target}")),
        3 => path().prop_map(move |path| before_name(path, ".wh.")),
        1 => path().prop_map(|path| format!("{path}/.wh..wh..opq")),
        1 => Just(".wh..wh..opq".to_owned()),
    ];
    (what, mode).prop_map(|(what, mode)| format!("{what}:{mode}"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn the_flattener_does_what_the_model_does(layers in prop::collection::vec(prop::collection::vec(word(), 0..10), 1..5)) {
        let mut model = Model::default();
        let mut nodes = MemoryNodes::new();
        let mut at_once = Flattener::new();
        let mut stepwise = Flattener::new();
        let mut stored = Flattener::new().finish(&mut nodes).unwrap();
        for (number, layer) in layers.iter().enumerate() {
            let below = nodes.clone();
            let mut on_stored = Flattener::on(&stored, &below);
            at_once.begin_layer();
            stepwise.begin_layer();
            for word in layer {
                // An entry that one refuses all refuse; it may have made folders in each before.
                let expected = model.apply(entry(word), number + 1).is_ok();
                let found = [at_once.apply(entry(word)), stepwise.apply(entry(word)), on_stored.apply(entry(word))];
                prop_assert!(found.iter().all(|found| found.is_ok() == expected), "{}: {:?}", word, found);
            }
            stored = on_stored.finish(&mut nodes).unwrap();
            let step = stepwise.finish(&mut nodes).unwrap();
            prop_assert_eq!(&step, &stored);
            prop_assert_eq!(view(&nodes, &stored), model.view());
        }
        prop_assert_eq!(at_once.finish(&mut nodes).unwrap(), stored);
    }
}
