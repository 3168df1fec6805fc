//! The rules of flattening, one small stack of layers each.

use super::Flattener;
use crate::attr::Attr;
use crate::attr::Time;
use crate::attr::Xattrs;
use crate::error::Result;
use crate::id::ContentId;
use crate::layer::LayerEntry;
use crate::layer::LayerKind;
use crate::layer::walk::whiteout;
use crate::path::TreePath;
use crate::tree::Kind;
use crate::tree::MemoryNodes;
use crate::tree::NodeSource;
use crate::tree::Tree;
use crate::tree::walk::Descend;
use crate::tree::walk::lookup;
use crate::tree::walk::walk;

fn path(raw: &str) -> TreePath {
    TreePath::parse(raw.as_bytes()).unwrap()
}

/// Reads `+file=text`, `+dir/`, `+link->target`, `+hard==target`; `:mode` may follow. What a
/// whiteout is its name decides.
pub fn entry(word: &str) -> LayerEntry {
    let word = word.strip_prefix('+').unwrap_or(word);
    let (word, mode) = word.split_once(':').unwrap_or((word, "644"));
    let (name, what) = if let Some((name, target)) = word.split_once("->") {
        (name, LayerKind::Symlink(target.as_bytes().into()))
    } else if let Some((name, target)) = word.split_once("==") {
        (name, LayerKind::Hardlink { target: path(target) })
    } else if word.ends_with('/') {
        (word, LayerKind::Dir)
    } else {
        let (name, text) = word.split_once('=').unwrap_or((word, ""));
        (name, LayerKind::File { content: ContentId::of(text.as_bytes()), size: text.len() as u64 })
    };
    let path = path(name);
    let what = whiteout(&path).unwrap().unwrap_or(what);
    let attr = Attr {
        mode: u32::from_str_radix(mode, 8).unwrap(),
        uid: 7,
        mtime: Time { secs: 9, nanos: 1 },
        ..Attr::default()
    };
    LayerEntry { path, attr, what }
}

fn apply(flattener: &mut Flattener, layer: &str) -> Result<()> {
    flattener.begin_layer();
    layer.split_whitespace().try_for_each(|word| flattener.apply(entry(word)))
}

/// Flattens in one go, with a tree after each layer, and each layer on the stored tree below:
/// the three agree.
fn flatten(layers: &[&str]) -> Result<(MemoryNodes, Tree)> {
    let mut nodes = MemoryNodes::new();
    let mut at_once = Flattener::new();
    let mut stepwise = Flattener::new();
    let mut tree = Flattener::new().finish(&mut nodes)?;
    for layer in layers {
        apply(&mut at_once, layer)?;
        apply(&mut stepwise, layer)?;
        let step = stepwise.finish(&mut nodes)?;
        let below = nodes.clone();
        let mut on_stored = Flattener::on(&tree, &below);
        apply(&mut on_stored, layer)?;
        tree = on_stored.finish(&mut nodes)?;
        assert_eq!(step, tree);
    }
    assert_eq!(at_once.finish(&mut nodes)?, tree);
    tree.check()?;
    Ok((nodes, tree))
}

/// All that is in the tree but directories that are not empty, and the groups of hard links.
fn shown(nodes: &dyn NodeSource, tree: &Tree) -> String {
    let mut words = Vec::new();
    let (mut entries, mut bytes) = (0, 0);
    walk(nodes, tree, &TreePath::root(), &mut |path, entry| {
        entries += 1;
        let name = String::from_utf8_lossy(path.as_bytes()).into_owned();
        match &entry.kind {
            Kind::Dir(ids) if nodes.node(&ids.full)?.entries.is_empty() => words.push(format!("{name}/")),
            Kind::Dir(_) => {}
            Kind::Symlink(target) => words.push(format!("{name}->{}", String::from_utf8_lossy(target))),
            Kind::File { size, .. } => {
                bytes += size;
                words.push(name);
            }
            _ => words.push(name),
        }
        Ok(Descend::Into)
    })
    .unwrap();
    assert_eq!((entries, bytes), (tree.entries, tree.bytes));
    for group in &tree.hardlinks {
        let names: Vec<_> = group.iter().map(|path| String::from_utf8_lossy(path.as_bytes())).collect();
        words.push(format!("[{}]", names.join(" ")));
    }
    words.join(" ")
}

#[track_caller]
fn check(layers: &[&str], expected: &str) {
    let (nodes, tree) = flatten(layers).unwrap();
    assert_eq!(shown(&nodes, &tree), expected);
}

#[track_caller]
fn refused(layers: &[&str], expected: &str) {
    assert_eq!(flatten(layers).unwrap_err().to_string(), expected);
}

fn attr_of(layers: &[&str], at: &str) -> (u32, u64, i64) {
    let (nodes, tree) = flatten(layers).unwrap();
    let attr = lookup(&nodes, &tree, &path(at)).unwrap().unwrap().attr;
    (attr.mode, attr.uid, attr.mtime.secs)
}

const IMPLIED: (u32, u64, i64) = (0o755, 0, 0);

#[test]
fn a_whiteout_hides_older_layers_only() {
    check(&["+etc/a +etc/b", "+etc/.wh.a"], "etc/b");
    check(&["+etc/a +etc/b", "+etc/.wh.a +etc/a"], "etc/a etc/b");
    check(&["+etc/a +etc/b", "+etc/a +etc/.wh.a"], "etc/a etc/b");
    check(&["+etc/a +etc/b", "+.wh.etc"], "");
    check(&["+a", "+b", "+.wh.a +.wh.b"], "");
    check(&["+a", "+.wh.a", "+a"], "a");
}

#[test]
fn a_whiteout_of_what_is_not_there_does_nothing() {
    check(&["+a", "+.wh.b +etc/.wh.c +a/.wh.d +.wh..wh..opq/.wh.x"], "a");
}

#[test]
fn a_whiteout_of_a_directory_leaves_what_its_own_layer_has_in_it() {
    let layers = ["+d/:700 +d/old +d/sub/old", "+d/sub/new +.wh.d"];
    check(&layers, "d/sub/new");
    assert_eq!(attr_of(&layers, "d"), IMPLIED);
    assert_eq!(attr_of(&["+d/:700 +d/old", "+d/:711 +d/new +.wh.d"], "d"), (0o711, 7, 9));
    check(&["+d/old", "+d/ +.wh.d"], "d/");
    check(&["+d/a/old +d/b/old", "+d/b/ +.wh.d"], "d/b/");
}

#[test]
fn opaque_whiteout_hides_older_layers_only() {
    check(&["+etc/a +etc/b", "+etc/.wh..wh..opq +etc/c"], "etc/c");
    check(&["+etc/a +etc/b", "+etc/c +etc/.wh..wh..opq"], "etc/c");
    check(&["+etc/a/x +etc/b", "+etc/a/y +etc/.wh..wh..opq"], "etc/a/y");
    check(&["+etc/a +etc/b", "+etc/a +etc/.wh..wh..opq +etc/.wh..wh..opq"], "etc/a");
    check(&["+a +b/c", "+.wh..wh..opq"], "");
    check(&["+a", "+nowhere/.wh..wh..opq +a/.wh..wh..opq"], "a");
    // The directory itself stays as it was.
    assert_eq!(attr_of(&["+d/:700 +d/a", "+d/.wh..wh..opq"], "d").0, 0o700);
    check(&["+d/a", "+d/.wh..wh..opq", "+d/b"], "d/b");
    // A marker after another, in either order of depth.
    check(&["+d/e/a +d/b", "+d/e/.wh..wh..opq +d/.wh..wh..opq +d/e/c"], "d/e/c");
    check(&["+d/e/a +d/b", "+d/.wh..wh..opq +d/e/.wh..wh..opq"], "d/");
    check(&["+d/e/a +d/b", "+d/e/x +d/e/.wh..wh..opq +.wh.d"], "d/e/x");
}

#[test]
fn a_directory_over_a_directory_changes_only_attributes() {
    check(&["+d/:700 +d/a", "+d/:711"], "d/a");
    assert_eq!(attr_of(&["+d/:700 +d/a", "+d/:711"], "d"), (0o711, 7, 9));
}

#[test]
fn types_change() {
    check(&["+x/a +x/b/c", "+x"], "x");
    check(&["+x", "+x/"], "x/");
    check(&["+x", "+x/ +x/a"], "x/a");
    check(&["+x->y +y/a", "+x/ +x/b"], "x/b y/a");
    check(&["+y/a +x/", "+x->y"], "x->y y/a");
    refused(&["+x", "+x/a"], "path `/x`: is no folder, but the layer has entries below it");
}

#[test]
fn of_duplicates_the_last_wins() {
    check(&["+a=1 +a->b"], "a->b");
    check(&["+d/a +d +d/"], "d/");
    let (_, tree) = flatten(&["+a=1 +a=22 +a=333"]).unwrap();
    assert_eq!((tree.entries, tree.bytes), (1, 3));
}

#[test]
fn missing_directories_are_made_and_described_later() {
    check(&["+a/b/c"], "a/b/c");
    assert_eq!(attr_of(&["+a/b/c"], "a/b"), IMPLIED);
    assert_eq!(attr_of(&["+a/b/c +a/b/:700"], "a/b"), (0o700, 7, 9));
}

#[test]
fn the_root_has_attributes() {
    let (_, tree) = flatten(&["+a", "+./:700"]).unwrap();
    assert_eq!((tree.root_attr.mode, tree.root_attr.uid), (0o700, 7));
    let (_, tree) = flatten(&["+a"]).unwrap();
    assert_eq!(tree.root_attr.mode, 0o755);
    refused(&["+.=file"], "layer entry `/`: puts something that is no folder in the place of the root");
}

#[test]
fn links_above_an_entry_are_followed_inside_the_root() {
    check(&["+usr/bin/ +bin->usr/bin", "+bin/sh"], "bin->usr/bin usr/bin/sh");
    check(&["+usr/bin/ +bin->/usr/bin", "+bin/sh"], "bin->/usr/bin usr/bin/sh");
    check(&["+a/b/up->../../../../c +c/", "+a/b/up/x"], "a/b/up->../../../../c c/x");
    check(&["+one->two +two->three/./ +three/", "+one/x"], "one->two three/x two->three/./");
    // What the target lacks is made, as containerd does.
    check(&["+bin->usr/bin", "+bin/sh"], "bin->usr/bin usr/bin/sh");
    // At the end of a path no link is followed.
    check(&["+d/ +l->d", "+l"], "d/ l");
    check(&["+d/a +l->d", "+l/.wh.a"], "d/ l->d");
    check(&["+d/a +l->d", "+.wh.l"], "d/a");
    check(&["+d/a +l->d", "+l/.wh..wh..opq"], "d/ l->d");
    refused(&["+l->l", "+l/x"], "number of symbolic links on /l is over the limit of 40 links");
    refused(&["+l->f +f", "+l/x"], "path `/f`: is no folder, but the layer has entries below it");
}

#[test]
fn hard_links_within_and_across_layers() {
    check(&["+a=1 +b==a +c==b"], "a b c [a b c]");
    check(&["+a=1", "+b==a"], "a b [a b]");
    check(&["+a=1 +b==a", "+c==b +d=1 +e==d"], "a b c d e [a b c] [d e]");
    // A file that is replaced leaves its group.
    check(&["+a=1 +b==a +c==a", "+b=2"], "a b c [a c]");
    check(&["+a=1 +b==a", "+b=2"], "a b");
    check(&["+a=1 +b==a", "+b=2", "+c==b"], "a b c [b c]");
    check(&["+a=1 +d/b==a +d/c==a", "+.wh.d"], "a");
    check(&["+a=1 +d/b==a +d/c==a", "+d/.wh..wh..opq +d/c==a"], "a d/c [a d/c]");
    check(&["+a=1 +d/b==a", "+d"], "a d");
    // The target goes, its other name stays: a rename.
    check(&["+a=1", "+b==a +.wh.a"], "b");
    check(&["+a=1 +b==a", "+c==a +.wh.a"], "b c [b c]");
    // A group in a directory that nothing touches.
    check(&["+d/a=1 +d/b==d/a", "+x"], "d/a d/b x [d/a d/b]");
    check(&["+d/a=1 +e/b==d/a", "+e/x==e/b"], "d/a e/b e/x [d/a e/b e/x]");
    // To itself: the file it was.
    check(&["+a=1 +a==a"], "a");
    check(&["+l->t +m==l"], "l->t m->t [l m]");
    check(&["+d/a=1 +l->d +x==l/a"], "d/a l->d x [d/a x]");
}

#[test]
fn hard_links_have_the_attributes_of_their_target() {
    assert_eq!(attr_of(&["+a=1:4755", "+b==a:600"], "b").0, 0o4755);
}

#[test]
fn hard_links_to_what_is_not_there_or_no_file() {
    refused(&["+b==a"], "hard link `/b`: its target `/a` is not in the image");
    refused(&["+a", "+.wh.a +b==a"], "hard link `/b`: its target `/a` is not in the image");
    refused(&["+d/ +b==d"], "hard link `/b`: its target `/d` is a folder");
    refused(&["+d/a +d==d/a"], "hard link `/d`: its target `/d/a` lies in the folder that it replaces");
    refused(&["+b==."], "hard link `/b`: its target `/` is not in the image");
}

#[test]
fn the_books_of_aufs_are_no_files_but_may_be_linked_to() {
    check(&["+.wh..wh.aufs +.wh..wh.orph/ +.wh..wh.plnk/ +.wh..wh.plnk/1.2=text +a"], "a");
    check(&["+.wh..wh.plnk/1.2=text:600 +a==.wh..wh.plnk/1.2 +d/b==.wh..wh.plnk/1.2"], "a d/b");
    refused(
        &["+.wh..wh.plnk/1.2=text", "+a==.wh..wh.plnk/1.2"],
        "hard link `/a`: its target `/.wh..wh.plnk/1.2` is not in the image",
    );
}

#[test]
fn extended_attributes_and_devices_arrive() {
    let mut flattener = Flattener::new();
    let pair = (Box::from(&b"security.capability"[..]), Box::from(&b"\x01\0"[..]));
    let attr = Attr { mode: 0o4755, xattrs: Xattrs::new(vec![pair]), ..Attr::default() };
    for (name, what) in [
        ("c", LayerKind::CharDevice { major: 1, minor: 3 }),
        ("b", LayerKind::BlockDevice { major: 8, minor: 0 }),
        ("p", LayerKind::Fifo),
    ] {
        flattener.apply(LayerEntry { path: path(name), attr: attr.clone(), what }).unwrap();
    }
    let mut nodes = MemoryNodes::new();
    let tree = flattener.finish(&mut nodes).unwrap();
    let found = |name: &str| lookup(&nodes, &tree, &path(name)).unwrap().unwrap();
    assert_eq!(found("c").kind, Kind::CharDevice { major: 1, minor: 3 });
    assert_eq!(found("b").kind, Kind::BlockDevice { major: 8, minor: 0 });
    assert_eq!((found("p").kind, found("p").attr), (Kind::Fifo, attr));
}

#[test]
fn links_cannot_make_a_path_without_end() {
    // Each layer hangs a folder below the one that the link of the last one leads to.
    let deep = "d/".repeat(1_000);
    let mut flattener = Flattener::new();
    flattener.apply(entry(&deep)).unwrap();
    flattener.apply(entry(&format!("l->{deep}"))).unwrap();
    flattener.apply(entry(&format!("l/{deep}"))).unwrap();
    flattener.apply(entry(&format!("m->l/{deep}"))).unwrap();
    let err = flattener.apply(entry(&format!("m/{deep}"))).unwrap_err();
    assert_eq!(err.to_string(), "the depth of folder `d` is over the limit of 2048 parts");
}

#[test]
fn only_what_is_touched_is_read() {
    let mut nodes = MemoryNodes::new();
    let mut flattener = Flattener::new();
    apply(&mut flattener, "+a/b/c=1 +d/e/f=2 +g=3").unwrap();
    let tree = flattener.finish(&mut nodes).unwrap();
    let counting = crate::tree::memory::Counting { nodes: &nodes, reads: Default::default() };
    let mut flattener = Flattener::on(&tree, &counting);
    apply(&mut flattener, "+a/x=4").unwrap();
    let mut upper = nodes.clone();
    let tree = flattener.finish(&mut upper).unwrap();
    assert_eq!(counting.reads.get(), 2);
    assert_eq!((tree.entries, tree.bytes), (8, 4));
    assert_eq!(upper.len(), nodes.len() + 2);
}

/// Unpacks the layers by umoci and prints what is there then, a line for each path.
const UMOCI: &str = r#"
import base64, hashlib, json, os, subprocess, sys, tempfile
with tempfile.TemporaryDirectory() as top:
    blobs = top + '/image/blobs/sha256'
    os.makedirs(blobs)
    def put(data, kind):
        digest = hashlib.sha256(data).hexdigest()
        open(blobs + '/' + digest, 'wb').write(data)
        return {'mediaType': 'application/vnd.oci.image.' + kind, 'digest': 'sha256:' + digest, 'size': len(data)}
    layers = [put(base64.b64decode(line), 'layer.v1.tar') for line in sys.stdin]
    config = {'architecture': 'amd64', 'os': 'linux', 'config': {},
              'rootfs': {'type': 'layers', 'diff_ids': [layer['digest'] for layer in layers]}}
    manifest = {'schemaVersion': 2, 'mediaType': 'application/vnd.oci.image.manifest.v1+json',
                'config': put(json.dumps(config).encode(), 'config.v1+json'), 'layers': layers}
    named = put(json.dumps(manifest).encode(), 'manifest.v1+json')
    named['annotations'] = {'org.opencontainers.image.ref.name': 'x'}
    open(top + '/image/index.json', 'w').write(json.dumps({'schemaVersion': 2, 'manifests': [named]}))
    open(top + '/image/oci-layout', 'w').write('{"imageLayoutVersion": "1.0.0"}')
    subprocess.run(['umoci', 'unpack', '--image', top + '/image:x', top + '/bundle'], check=True, stdout=2)
    subprocess.run(['find', top + '/bundle/rootfs', '-mindepth', '1', '-printf', '%P %y %m %U %n %l\n'], check=True)
"#;

/// `None` where umoci cannot be run as it must be.
fn by_umoci(layers: &[&str]) -> Option<Vec<String>> {
    use std::io::Write;
    use std::process::Command;
    use std::process::Stdio;
    let said = |command: &mut Command| command.output().ok().filter(|output| output.status.success());
    let is_root = said(Command::new("id").arg("-u")).is_some_and(|output| output.stdout == b"0\n");
    if !is_root || said(Command::new("umoci").arg("--version")).is_none() {
        eprintln!("skipped: umoci is not here, or this is not root");
        return None;
    }
    let mut script = Command::new("python3");
    let mut child = script.args(["-c", UMOCI]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().ok()?;
    let mut lines = String::new();
    for layer in layers {
        lines += &base64(&layer.split_whitespace().flat_map(tar_of).chain([0; 1024]).collect::<Vec<_>>());
        lines.push('\n');
    }
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "umoci refuses {layers:?}");
    let mut found: Vec<_> = String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
    found.sort();
    Some(found)
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let bits =
            three.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for at in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * at)) as usize & 63] as char;
            text.push(if at <= three.len() { digit } else { '=' });
        }
    }
    text
}

/// The word of [`entry`] as a tar has it.
fn tar_of(word: &str) -> Vec<u8> {
    use crate::layer::testing;
    let LayerEntry { path, attr, what } = entry(word);
    let name = path.as_bytes();
    let mut member = match &what {
        LayerKind::Dir => testing::member(name, b'5', b""),
        LayerKind::Symlink(target) => testing::link(name, b'2', target),
        LayerKind::Hardlink { target } => testing::link(name, b'1', target.as_bytes()),
        LayerKind::File { size, .. } => testing::member(name, b'0', &vec![b'x'; *size as usize]),
        _ => testing::member(name, b'0', b""),
    };
    let header = member.first_chunk_mut().unwrap();
    header[100..108].copy_from_slice(format!("{:07o}\0", attr.mode).as_bytes());
    header[108..116].copy_from_slice(b"0000007\0");
    testing::seal(header);
    member
}

#[test]
fn umoci_makes_the_same_of_these() {
    let stacks: &[&[&str]] = &[
        &["+etc/a:4755 +etc/b", "+etc/.wh.a", "+etc/a=new"],
        &["+etc/a +etc/b", "+etc/.wh..wh..opq +etc/c"],
        &["+etc/a +etc/b", "+etc/c +etc/.wh..wh..opq"],
        &["+d/:700 +d/a +d/sub/b", "+d/:1777 +d/.wh.sub +d/.wh.nothing"],
        &["+d/ +d/a +d/b", "+d"],
        &["+d", "+d/ +d/a"],
        &["+x->y +y/ +y/a", "+x/ +x/b"],
        &["+y/ +y/a +x/", "+x->y"],
        &["+usr/ +usr/bin/ +bin->usr/bin", "+bin/sh"],
        &["+usr/ +usr/bin/ +bin->/usr/bin", "+bin/sh +sbin->/bin", "+sbin/init"],
        &["+a/ +a/b/ +c/ +a/b/up->../../../../c", "+a/b/up/x"],
        &["+a=1 +b==a", "+c==b +d=1 +e==d", "+b=2"],
        &["+a=1 +b==a", "+c==a +.wh.a"],
        &["+a=1 +a=22 +a->b"],
        &["+l->t +m==l"],
    ];
    for layers in stacks {
        let Some(theirs) = by_umoci(layers) else { return };
        let (nodes, tree) = flatten(layers).unwrap();
        let mut ours = Vec::new();
        walk(&nodes, &tree, &TreePath::root(), &mut |path, entry| {
            let (kind, mode, target) = match &entry.kind {
                Kind::Dir(_) => ('d', entry.attr.mode, String::new()),
                Kind::Symlink(target) => ('l', entry.attr.mode, String::from_utf8_lossy(target).into_owned()),
                _ => ('f', entry.attr.mode, String::new()),
            };
            let folders = match &entry.kind {
                Kind::Dir(ids) => {
                    let node = nodes.node(&ids.full)?;
                    2 + node.entries.iter().filter(|entry| matches!(entry.kind, Kind::Dir(_))).count()
                }
                _ => tree.hardlinks_of(path).map_or(1, <[TreePath]>::len),
            };
            let name = String::from_utf8_lossy(path.as_bytes()).into_owned();
            ours.push(format!("{name} {kind} {mode:o} {} {folders} {target}", entry.attr.uid));
            Ok(Descend::Into)
        })
        .unwrap();
        ours.sort();
        assert_eq!(ours, theirs, "{layers:?}");
    }
}
