//! Bundles whose checksums are all right and whose words are not: made from a good one by changing
//! one thing in it.

use crate::support::World;
use crate::support::layout::Layout;
use imgit::bundle::format::Base;
use imgit::bundle::format::Head;
use imgit::bundle::format::ObjectKind;
use imgit::bundle::format::Prerequisite;
use imgit::bundle::format::Table;
use imgit::bundle::format::Totals;
use imgit::bundle::reader::Reader;
use imgit::bundle::reader::Section;
use imgit::bundle::writer::Writer;
use imgit::history::Commit;
use imgit::history::Ref;
use imgit::history::RefName;
use imgit::id::ChainId;
use imgit::id::CommitId;
use imgit::id::ContentId;
use imgit::id::DiffId;
use imgit::id::NodeId;
use imgit::id::PlainId;
use imgit::id::TreeId;
use imgit::oci::digest::Digest;
use imgit::path::TreePath;
use imgit::store::BlobRow;
use imgit::store::BlobSource;
use imgit::tree::Kind;
use imgit::tree::Node;
use imgit::tree::Tree;
use std::io::Cursor;
use std::io::Read;

/// A bundle taken to pieces.
#[derive(Clone)]
struct Pieces {
    head: Head,
    blobs: Vec<(Digest, BlobRow)>,
    chains: Vec<(ChainId, TreeId)>,
    objects: Vec<(ObjectKind, [u8; 32], Vec<u8>)>,
}

impl Pieces {
    fn of(bytes: Vec<u8>) -> Pieces {
        let mut reader = Reader::open("good", Box::new(Cursor::new(bytes))).unwrap();
        let head = reader.head().clone();
        let mut pieces = Pieces { head, blobs: Vec::new(), chains: Vec::new(), objects: Vec::new() };
        while let Some(section) = reader.section().unwrap() {
            match section {
                Section::Blobs(all) => pieces.blobs.extend(all),
                Section::Chains(all) => pieces.chains.extend(all),
                Section::Objects(kind, rows) => {
                    for row in rows {
                        let mut bytes = Vec::new();
                        reader.body(row.len).read_to_end(&mut bytes).unwrap();
                        pieces.objects.push((kind, row.id, bytes));
                    }
                }
            }
        }
        pieces
    }

    fn to_bytes(&self) -> Vec<u8> {
        let of = |kind| self.objects.iter().filter(move |object| object.0 == kind);
        let counted = self
            .objects
            .iter()
            .filter(|object| matches!(object.0, ObjectKind::Content | ObjectKind::Kept | ObjectKind::Recipe));
        let totals = Totals {
            commits: of(ObjectKind::Commit).count() as u64,
            objects: self.objects.len() as u64,
            bytes: counted.map(|object| object.2.len() as u64).sum(),
        };
        let mut bytes = Vec::new();
        let mut writer = Writer::new("hostile", &mut bytes, 1).unwrap();
        writer.table(&Table::Head(totals)).unwrap();
        writer.table(&Table::Prerequisites(self.head.prerequisites.clone())).unwrap();
        writer.table(&Table::Refs(self.head.refs.clone())).unwrap();
        let put = |writer: &mut Writer, kind| {
            for (_, id, bytes) in of(kind) {
                writer.object(kind, *id, bytes.len() as u64, &mut &bytes[..]).unwrap();
            }
        };
        put(&mut writer, ObjectKind::Commit);
        writer.table(&Table::Blobs(self.blobs.clone())).unwrap();
        writer.table(&Table::Chains(self.chains.clone())).unwrap();
        for kind in
            [ObjectKind::Content, ObjectKind::Kept, ObjectKind::Recipe, ObjectKind::Node, ObjectKind::Tree]
        {
            put(&mut writer, kind);
        }
        writer.finish().unwrap();
        bytes
    }

    fn first(&mut self, kind: ObjectKind) -> &mut (ObjectKind, [u8; 32], Vec<u8>) {
        self.objects.iter_mut().find(|object| object.0 == kind).unwrap()
    }

    /// Changes the newest commit, and lets all refs name what became of it.
    fn commit(&mut self, change: impl FnOnce(&mut Commit)) {
        let object = self.objects.iter_mut().rev().find(|object| object.0 == ObjectKind::Commit).unwrap();
        let mut commit = Commit::decode(&object.2).unwrap();
        change(&mut commit);
        object.2 = commit.encode();
        object.1 = commit.id().0;
        self.head.refs.iter_mut().for_each(|one| one.commit = commit.id());
    }

    /// Adds a tree of its own and makes the newest commit, a folder's, be it.
    fn tree(&mut self, nodes: &[Node], tree: Tree) {
        for node in nodes {
            self.objects.push((ObjectKind::Node, node.ids().full.0, node.encode()));
        }
        self.objects.push((ObjectKind::Tree, tree.id().0, tree.encode()));
        self.commit(|commit| {
            commit.trees[0].tree = tree.id();
            commit.artifact.digest = format!("sha256:{}", tree.id());
        });
    }

    fn blob(&mut self, is_it: impl Fn(&BlobRow) -> bool) -> &mut (Digest, BlobRow) {
        self.blobs.iter_mut().find(|(_, row)| is_it(row)).unwrap()
    }
}

fn is_compressed(row: &BlobRow) -> bool {
    row.diff_id.is_some()
}

fn is_tar(row: &BlobRow) -> bool {
    matches!(row.source, BlobSource::Recipe(_))
}

/// A folder entry that leads to `node`.
fn folder(name: &str, node: &Node) -> imgit::tree::Entry {
    let attr = imgit::attr::Attr { mode: 0o755, ..Default::default() };
    imgit::tree::Entry { name: name.as_bytes().into(), kind: Kind::Dir(node.ids()), attr }
}

fn tree_of(root: &Node, entries: u64, bytes: u64) -> Tree {
    let root_attr = imgit::attr::Attr { mode: 0o755, ..Default::default() };
    Tree { root: root.ids(), root_attr, hardlinks: Vec::new(), entries, bytes }
}

type Change = fn(&mut Pieces);

/// What is changed, and what is said of it.
const OF_AN_IMAGE: &[(&str, &str, Change)] = &[
    ("a content is another", "content ", |it| it.first(ObjectKind::Content).2.push(b'x')),
    ("a compressed layer is another", "content ", |it| it.first(ObjectKind::Kept).2.push(0)),
    ("a content is left out", "the bundle needs", |it| {
        let at = it.objects.iter().position(|object| object.0 == ObjectKind::Content && object.2.len() > 900);
        it.objects.remove(at.unwrap());
    }),
    ("a content is listed twice", "is listed twice", |it| {
        let twice = it.first(ObjectKind::Content).clone();
        it.objects.push(twice);
    }),
    ("a kept layer is a content too", "is listed twice", |it| {
        let (_, id, bytes) = it.first(ObjectKind::Kept).clone();
        it.objects.push((ObjectKind::Content, id, bytes));
    }),
    ("a recipe is cut", "recipe", |it| it.first(ObjectKind::Recipe).2.truncate(900)),
    ("a recipe is of another layer", "what it rebuilds", |it| {
        let other = it.objects.iter().rfind(|object| object.0 == ObjectKind::Recipe).unwrap().2.clone();
        it.first(ObjectKind::Recipe).2 = other;
    }),
    ("a recipe is of another version", "version", |it| it.first(ObjectKind::Recipe).2[0] = 77),
    ("a recipe is left out", "the bundle needs", |it| {
        let at = it.objects.iter().position(|object| object.0 == ObjectKind::Recipe).unwrap();
        it.objects.remove(at);
    }),
    ("a layer unpacks to something else", "expected", |it| {
        let other = it.blobs.iter().rfind(|(_, row)| is_compressed(row)).unwrap().1.diff_id;
        it.blob(is_compressed).1.diff_id = other;
    }),
    ("a layer unpacks to what is not there", "expected", |it| {
        it.blob(is_compressed).1.diff_id = Some(DiffId::of(b"x"));
    }),
    ("a blob has another digest", "expected sha256:", |it| it.blob(is_compressed).0 = Digest::of(b"x")),
    ("a tar has another digest", "expected sha256:", |it| it.blob(is_tar).0 = Digest::of(b"x")),
    ("a tar has a digest of another kind", "expected sha512:", |it| {
        it.blob(is_tar).0 = Digest::parse(&format!("sha512:{}", "0".repeat(128))).unwrap();
    }),
    ("a blob has a digest of another kind", "expected sha512:", |it| {
        let plain = |row: &BlobRow| row.diff_id.is_none() && !is_tar(row);
        it.blob(plain).0 = Digest::parse(&format!("sha512:{}", "0".repeat(128))).unwrap();
    }),
    ("a blob has another size", "size: expected", |it| it.blob(is_compressed).1.size += 1),
    ("a tar has another size", "size: expected", |it| it.blob(is_tar).1.size += 1),
    ("a tar is said to be compressed", "is said to be compressed", |it| {
        it.blob(is_tar).1.diff_id = Some(DiffId::of(b"x"));
    }),
    ("a blob is listed twice", "is listed twice", |it| {
        let twice = it.blobs[0].clone();
        it.blobs.push(twice);
    }),
    ("a blob is of nothing", "the bundle needs", |it| {
        let id = ContentId::of(b"nothing");
        let row = BlobRow { source: BlobSource::Content(id), size: 7, diff_id: None };
        it.blobs.push((Digest::from_sha256(id.0), row));
    }),
    ("a manifest is left out of the list", "the bundle needs", |it| {
        let commit = Commit::decode(&it.first(ObjectKind::Commit).2).unwrap();
        it.blobs.retain(|(digest, _)| digest.as_str() != commit.artifact.digest);
    }),
    ("a layer is left out of the list", "the bundle needs", |it| {
        let gone = it.blob(is_compressed).0.clone();
        it.blobs.retain(|(digest, _)| *digest != gone);
    }),
    ("a stack of layers comes to another tree", "tree of the layers", |it| {
        let other = it.chains.iter().find(|(_, tree)| *tree != it.chains[0].1).unwrap().1;
        it.chains[0].1 = other;
    }),
    ("a stack of layers is of no image", "is of no image of the bundle", |it| {
        let tree = it.chains[0].1;
        it.chains.push((ChainId::of(b"stack"), tree));
    }),
    ("a stack comes to a tree that is not there", "tree of the layers", |it| {
        it.chains[0].1 = TreeId::of(b"x")
    }),
    ("the tree is not that of the layers", "tree of its layers", |it| {
        let trees: Vec<[u8; 32]> =
            it.objects.iter().filter(|object| object.0 == ObjectKind::Tree).map(|object| object.1).collect();
        it.commit(|commit| {
            let other = trees.iter().find(|tree| **tree != commit.trees[0].tree.0).unwrap();
            commit.trees[0].tree = TreeId(*other);
        });
    }),
    ("the tree is not there", "not found", |it| it.commit(|commit| commit.trees[0].tree = TreeId::of(b"x"))),
    ("the manifest of the tree is not there", "the bundle needs", |it| {
        it.commit(|commit| commit.trees[0].manifest = Digest::of(b"x").to_string());
    }),
    ("the artifact is not there", "the bundle needs", |it| {
        it.commit(|commit| commit.artifact.digest = Digest::of(b"x").to_string());
    }),
    ("the artifact is no digest", "digest", |it| it.commit(|commit| commit.artifact.digest = "../x".into())),
    ("the image is said to be a disk", "document of a guest", |it| {
        it.commit(|commit| commit.artifact.kind = imgit::history::ArtifactKind::Disk);
    }),
    ("the image is said to be a folder", "is not its tree", |it| {
        it.commit(|commit| commit.artifact.kind = imgit::history::ArtifactKind::Directory);
    }),
    ("the image is said to be a tar", "the bundle needs", |it| {
        it.commit(|commit| commit.artifact.kind = imgit::history::ArtifactKind::Tar);
    }),
    ("a parent is not there", "the bundle needs", |it| {
        it.commit(|commit| commit.parents = vec![CommitId::of(b"x")]);
    }),
    ("a ref names what is not there", "the bundle needs", |it| it.head.refs[0].commit = CommitId::of(b"x")),
    ("a commit is another", "commit ", |it| it.first(ObjectKind::Commit).1 = [7; 32]),
    ("it builds on what is not here", "prerequisite blob sha256:", |it| {
        let base = Base::Blob(Digest::of(b"x"));
        it.head.prerequisites.push(Prerequisite { base, note: "\u{1b}[31mred".into() });
    }),
    ("a node is another", "node ", |it| it.first(ObjectKind::Node).1 = [7; 32]),
    ("a node is left out", "the bundle needs", |it| {
        let at = it.objects.iter().position(|object| object.0 == ObjectKind::Node).unwrap();
        it.objects.remove(at);
    }),
];

const OF_A_REPACKED_IMAGE: &[(&str, &str, Change)] = &[
    ("a made layer has another digest", "expected sha256:", |it| {
        it.blob(is_compressed).0 = Digest::of(b"x");
    }),
    ("a made layer has another size", "bytes", |it| it.blob(is_compressed).1.size += 1),
    ("a made layer holds nothing", "another layer than it is made of", |it| {
        it.blob(is_compressed).1.diff_id = None;
    }),
    ("a made layer is made of nothing", "the bundle needs", |it| made(it, |how, of| (how, DiffId::of(of)))),
    ("a made layer is made in no way", "not found", |it| {
        made(it, |_, of| (ContentId::of(b"x"), DiffId(*of)))
    }),
    ("a made layer is made in a wrong way", "gzip recipe", |it| {
        let manifest = it.blobs.iter().find(|(_, row)| !is_compressed(row) && !is_tar(row)).unwrap().1;
        let BlobSource::Content(manifest) = manifest.source else { panic!("a manifest is a content") };
        made(it, |_, of| (manifest, DiffId(*of)));
    }),
    ("how it is made is another content", "content ", |it| {
        let mut how = None;
        made(it, |id, of| {
            how = Some(id);
            (id, DiffId(*of))
        });
        let how = it.objects.iter_mut().find(|object| Some(ContentId(object.1)) == how).unwrap();
        *how.2.last_mut().unwrap() ^= 1;
    }),
];

/// Changes what a compressed layer is made of.
fn made(pieces: &mut Pieces, change: impl FnOnce(ContentId, &[u8; 32]) -> (ContentId, DiffId)) {
    let (_, row) = pieces.blob(is_compressed);
    let BlobSource::Encoded { how, of } = row.source else { panic!("it is kept") };
    let (how, of) = change(how, &of.0);
    row.source = BlobSource::Encoded { how, of };
    row.diff_id = Some(of);
}

const OF_A_FOLDER: &[(&str, &str, Change)] = &[
    ("a file has another size", "its content has 5", |it| {
        let attr = imgit::attr::Attr::default();
        let kind = Kind::File { content: ContentId::of(b"text\n"), size: 6 };
        let root = Node { entries: vec![imgit::tree::Entry { name: b"file"[..].into(), kind, attr }] };
        it.tree(std::slice::from_ref(&root), tree_of(&root, 1, 6));
    }),
    ("a file has no content", "the bundle needs", |it| {
        let attr = imgit::attr::Attr::default();
        let kind = Kind::File { content: ContentId::of(b"x"), size: 1 };
        let root = Node { entries: vec![imgit::tree::Entry { name: b"file"[..].into(), kind, attr }] };
        it.tree(std::slice::from_ref(&root), tree_of(&root, 1, 1));
    }),
    ("a folder's id without times is wrong", "without times", |it| {
        let below = Node::default();
        let mut entry = folder("below", &below);
        if let Kind::Dir(ids) = &mut entry.kind {
            ids.plain = PlainId::of(b"x");
        }
        let root = Node { entries: vec![entry] };
        it.tree(&[below, root.clone()], tree_of(&root, 1, 0));
    }),
    ("the root's id without times is wrong", "tree ", |it| {
        let root = Node::default();
        let mut tree = tree_of(&root, 0, 0);
        tree.root.plain = PlainId::of(b"x");
        it.tree(&[root], tree);
    }),
    ("the root is not there", "the bundle needs", |it| {
        let mut tree = tree_of(&Node::default(), 0, 0);
        tree.root.full = NodeId::of(b"x");
        it.tree(&[], tree);
    }),
    ("the counts are wrong", "expected 1 entries", |it| {
        let root = Node::default();
        it.tree(std::slice::from_ref(&root), tree_of(&root, 1, 0));
    }),
    ("a child comes after its parent", "the bundle needs", |it| {
        let below = Node { entries: vec![folder("x", &Node::default())] };
        let root = Node { entries: vec![folder("below", &below)] };
        it.tree(&[Node::default(), root.clone(), below], tree_of(&root, 2, 0));
    }),
    ("a tree of forty nodes has a trillion entries", "the limit of 100000000 entries", |it| {
        let mut nodes = vec![Node::default()];
        for _ in 0..40 {
            let below = nodes.last().unwrap();
            nodes.push(Node { entries: vec![folder("a", below), folder("b", below)] });
        }
        let tree = tree_of(nodes.last().unwrap(), 1 << 41, 0);
        it.tree(&nodes, tree);
    }),
    ("a tree is too deep", "the limit of 2048 levels", |it| {
        let mut nodes = vec![Node::default()];
        for _ in 0..2_100 {
            let below = nodes.last().unwrap();
            nodes.push(Node { entries: vec![folder("a", below)] });
        }
        let tree = tree_of(nodes.last().unwrap(), 2_100, 0);
        it.tree(&nodes, tree);
    }),
    ("a path is too long", "the limit of 65535 bytes", |it| {
        let mut nodes = vec![Node::default()];
        for _ in 0..300 {
            let below = nodes.last().unwrap();
            nodes.push(Node { entries: vec![folder(&"a".repeat(250), below)] });
        }
        let tree = tree_of(nodes.last().unwrap(), 300, 0);
        it.tree(&nodes, tree);
    }),
    ("a hard link leads nowhere", "hard link /a", |it| {
        let root = Node { entries: vec![folder("b", &Node::default())] };
        let mut tree = tree_of(&root, 1, 0);
        tree.hardlinks = vec![["a", "b"].map(|path| TreePath::parse(path.as_bytes()).unwrap()).to_vec()];
        it.tree(&[Node::default(), root], tree);
    }),
    ("a hard link is a folder", "is a folder", |it| {
        let root = Node { entries: vec![folder("a", &Node::default()), folder("b", &Node::default())] };
        let mut tree = tree_of(&root, 2, 0);
        tree.hardlinks = vec![["a", "b"].map(|path| TreePath::parse(path.as_bytes()).unwrap()).to_vec()];
        it.tree(&[Node::default(), root], tree);
    }),
    ("the folder is not its tree", "is not its tree", |it| {
        it.commit(|commit| commit.artifact.digest = Digest::of(b"x").to_string());
    }),
];

/// Each change is refused with its words, and leaves the store as it was.
fn check(world: &World, good: &Pieces, changes: &[(&str, &str, Change)]) {
    let before = (world.there_ok("log --json"), world.other_files());
    for (what, said, change) in changes {
        let mut pieces = good.clone();
        change(&mut pieces);
        world.write("hostile.bundle", pieces.to_bytes());
        let outcome = world.there("bundle apply hostile.bundle");
        assert!(matches!(outcome.code, 4 | 6), "{what}: {outcome}");
        assert!(outcome.stderr.contains(said), "{what}: {outcome}");
        assert!(!outcome.stderr.contains('\u{1b}'), "{what}: {outcome}");
        assert_eq!((world.there_ok("log --json"), world.other_files()), before, "{what}");
    }
    world.write("good.bundle", good.to_bytes());
    world.there_ok("bundle apply good.bundle");
    world.assert_other_sound();
}

#[test]
fn nothing_in_an_image_is_believed() {
    let world = World::new();
    world.ok("import -q testdata/notes.dir notes");
    world.ok("bundle create -q notes.bundle notes");
    world.there_ok("init");
    check(&world, &Pieces::of(world.read("notes.bundle")), OF_AN_IMAGE);
}

#[test]
fn nothing_in_a_repacked_image_is_believed() {
    let world = World::new();
    world.sh("mkdir root; seq 1 9000 > root/numbers; tar -cf root.tar root; gzip -n9k root.tar");
    Layout::of(world.read("root.tar")).compressed("gzip", world.read("root.tar.gz")).write(&world, "image");
    world.ok("import -q oci:image:v web");
    world.ok("repack -q");
    world.ok("bundle create -q web.bundle web");
    world.there_ok("init");
    check(&world, &Pieces::of(world.read("web.bundle")), OF_A_REPACKED_IMAGE);
}

#[test]
fn nothing_in_a_folder_is_believed() {
    let world = World::new();
    world.sh("mkdir folder; echo text > folder/text; ln folder/text folder/same");
    world.ok("import -q ./folder folder");
    world.ok("bundle create -q folder.bundle folder");
    world.there_ok("init");
    check(&world, &Pieces::of(world.read("folder.bundle")), OF_A_FOLDER);
}

/// A recipe that rebuilds the right tar, but says of no file that it is one: a layer that is known by
/// it would have no files for whoever imports it next. So the recipe is made anew.
#[test]
fn a_recipe_that_hides_the_files_of_its_layer_is_made_anew() {
    let world = World::with_web();
    world.ok("bundle create -q web.bundle web");
    let mut pieces = Pieces::of(world.read("web.bundle"));
    world.ok("export -q web docker-archive:web.tar");
    world.sh("mkdir x && tar -xf web.tar -C x");
    let mut hidden = 0;
    for (kind, id, recipe) in &mut pieces.objects {
        if *kind == ObjectKind::Recipe
            && let Some(tar) = world.tar_of(&DiffId(*id))
        {
            *recipe = vec![1];
            for raw in tar.chunks(64 << 10) {
                imgit::codec::put_varint(recipe, (raw.len() as u64) << 2);
                recipe.extend_from_slice(raw);
            }
            imgit::codec::put_varint(recipe, (tar.len() as u64) << 2 | 3);
            hidden += 1;
        }
    }
    assert!(hidden > 2);
    world.write("hidden.bundle", pieces.to_bytes());
    world.there_ok("bundle apply hidden.bundle");
    world.assert_same();
    // Another image on these layers, which are known by now.
    world.sh("$IMGIT export -q web oci:again:v");
    for store in ["store", "other"] {
        world.ok(&format!("--store {store} import -q oci:again:v next"));
    }
    assert_eq!(world.there_ok("ls -lR next /"), world.ok("ls -lR next /"));
}

impl World {
    /// A layer of the docker-archive that was unpacked to `x`.
    fn tar_of(&self, id: &DiffId) -> Option<Vec<u8>> {
        let script = format!("find x -type f | xargs sha256sum | grep ^{id} | head -n 1 | cut -c67-");
        let name = self.sh_text(&script);
        (!name.is_empty()).then(|| self.read(&name))
    }
}

/// The names in a bundle are held to the same rules as those that are typed.
#[test]
fn a_ref_is_called_as_it_is_shown() {
    let world = World::with_web();
    world.ok("bundle create -q web.bundle web");
    let mut pieces = Pieces::of(world.read("web.bundle"));
    let good: Ref = pieces.head.refs[0].clone();
    let other = RefName::parse("elsewhere/web:other").unwrap();
    pieces.head.refs.push(Ref { name: other, ..good });
    world.write("two.bundle", pieces.to_bytes());
    assert_eq!(world.there_ok("bundle apply two.bundle").lines().count(), 2);
    world.assert_other_sound();
}
