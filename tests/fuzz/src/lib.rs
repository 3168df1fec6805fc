//! What is fuzzed: for each target a function that takes any bytes and panics when a promise breaks.
//!
//! libFuzzer calls them through `src/bin`, and `tests/it/fuzz_seeds.rs` calls them with the seeds and
//! with mutations of them, on any machine.

use imgit::disk;
use imgit::fs::File;
use imgit::fs::SharedFile;
use imgit::history::Commit;
use imgit::history::Selection;
use imgit::layer;
use imgit::oci;
use imgit::oci::config::ImageConfig;
use imgit::oci::digest::Digest;
use imgit::oci::document::Missing;
use imgit::oci::location::Location;
use imgit::oci::name::ImageName;
use imgit::oci::platform::Platform;
use imgit::oci::source::Source;
use imgit::path::TreePath;
use imgit::store::pack::PACK_HEADER_BYTES;
use imgit::store::pack::TRAILER_BYTES;
use imgit::store::pack::footer::Footer;
use imgit::store::pack::footer::Trailer;
use imgit::store::pack::frame;
use imgit::store::pack::frame::FRAME_HEADER_BYTES;
use imgit::store::pack::frame::FrameHeader;
use imgit::store::pack::parse_pack_header;
use imgit::tree::Node;
use imgit::tree::Tree;
use imgit::tree::glob::Glob;
use std::os::unix::fs::FileExt;

/// A target's name, which is also that of its seeds, and the target.
pub type Target = (&'static str, fn(&[u8]));

pub const TARGETS: &[Target] = &[
    ("tar", tar),
    ("recipe", recipe),
    ("layers", layers),
    ("compressed", compressed),
    ("tree", tree),
    ("commit", commit),
    ("document", document),
    ("archive", archive),
    ("names", names),
    ("pack", pack),
    ("disk_image", disk_image),
    ("partition", partition),
];

/// A layer's tar: taken apart and rebuilt it is the same, or it is refused.
pub fn tar(bytes: &[u8]) {
    layer::testing::any_tar(bytes);
}

/// A stored recipe, as a damaged store could hold one.
pub fn recipe(bytes: &[u8]) {
    layer::testing::any_recipe(bytes);
}

/// Two layers, the length of the first in two bytes before it: flattened they are a sound tree.
pub fn layers(bytes: &[u8]) {
    let Some((len, rest)) = bytes.split_first_chunk::<2>() else { return };
    let (lower, upper) = rest.split_at(rest.len().min(usize::from(u16::from_le_bytes(*len))));
    layer::flatten::any_layers(lower, upper);
}

/// A compressed layer.
pub fn compressed(bytes: &[u8]) {
    layer::compression::any_compressed(bytes);
}

/// A directory's node or a tree's record: what is accepted has this one encoding.
pub fn tree(bytes: &[u8]) {
    if let Ok(node) = Node::decode(bytes) {
        assert_eq!(node.encode(), bytes);
        node.check().expect("what is decoded is sound");
    }
    if let Ok(tree) = Tree::decode(bytes) {
        assert_eq!(tree.encode(), bytes);
    }
}

/// A commit: what is accepted has this one encoding.
pub fn commit(bytes: &[u8]) {
    if let Ok(commit) = Commit::decode(bytes) {
        assert_eq!(commit.encode(), bytes);
        let _ = commit.subject();
    }
}

/// A manifest, index or config.
pub fn document(bytes: &[u8]) {
    let _ = oci::document::parse("document", bytes, None);
    if let Ok(config) = ImageConfig::parse(bytes) {
        let _ = config.platform().to_string();
        let _ = config.diff_ids();
        let _ = config.layer_history().count();
    }
}

/// An archive of images, with the documents in it.
pub fn archive(bytes: &[u8]) {
    thread_local! {
        static FILE: File = scratch();
    }
    let file = FILE.with(|file| {
        file.set_len(0).unwrap();
        file.write_all_at(bytes, 0).unwrap();
        file.try_clone().unwrap()
    });
    let file = SharedFile::new(file, "archive").unwrap();
    if let Ok(source) = oci::docker_archive::open(file.clone()) {
        images(&*source);
    }
    if let Ok(source) = oci::archive::open(file) {
        images(&source);
    }
}

fn images(source: &dyn Source) {
    let Ok(roots) = source.roots() else { return };
    for root in roots.iter().take(10) {
        let mut skip = |_: &_| {};
        let _ = oci::document::walk(source, &root.descriptor, &mut Missing::Told(&mut skip), &mut |_| Ok(()));
    }
}

/// A file that has no name any more.
fn scratch() -> File {
    let name = format!("imgit-fuzz-{}-{:?}", std::process::id(), std::thread::current().id());
    let path = std::env::temp_dir().join(name);
    let file = File::options().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
    std::fs::remove_file(path).unwrap();
    file
}

/// What is typed, and what images say they are called.
pub fn names(bytes: &[u8]) {
    let _ = TreePath::parse(bytes).map(|path| path.to_string());
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(name) = ImageName::parse(text) {
        let shown = name.to_string();
        assert_eq!(ImageName::parse(&shown).expect("a name is shown as it may be typed"), name);
    }
    if let Ok(digest) = Digest::parse(text) {
        assert_eq!(digest.to_string(), text);
    }
    let _ = Location::parse(text).map(|location| location.to_string());
    let _ = Platform::parse(text).map(|platform| platform.normalised().to_string());
    let now = "2026-05-03T14:12:00+02:00[+02:00]".parse().unwrap();
    let _ = Selection::parse(text, &now);
    if let Ok(glob) = Glob::parse(text) {
        let _ = TreePath::parse(b"etc/ssl/certs/a.pem").map(|path| glob.matches(&path));
    }
}

/// A footer alone; or a pack's header, first frame, trailer and footer, each believed as far as its
/// own checks go.
pub fn pack(bytes: &[u8]) {
    if let Ok(footer) = Footer::decode("footer", bytes) {
        assert_eq!(Footer::decode("footer", &footer.encode()).expect("what is written can be read"), footer);
        let _ = footer.offsets();
    }
    let Some((header, rest)) = bytes.split_first_chunk::<PACK_HEADER_BYTES>() else { return };
    let _ = parse_pack_header("pack", header);
    if let Some((header, stored)) = rest.split_first_chunk::<FRAME_HEADER_BYTES>()
        && let Ok(header) = FrameHeader::parse("frame", header)
    {
        let stored = stored[..stored.len().min(header.stored_len as usize)].to_vec();
        let _ = frame::decode("frame", &header, stored);
    }
    if let Some((_, trailer)) = bytes.split_last_chunk::<TRAILER_BYTES>()
        && let Ok(trailer) = Trailer::parse("pack", bytes.len() as u64, trailer)
    {
        let start = trailer.footer_offset as usize;
        let _ = trailer.open("pack", &bytes[start..start + trailer.stored_len as usize]);
    }
}

/// A disk image of any format, as runs laid over zeros.
pub fn disk_image(bytes: &[u8]) {
    disk::testing::any_image(bytes);
}

/// A disk with its tables, file systems and volumes, as runs laid over zeros.
pub fn partition(bytes: &[u8]) {
    disk::testing::any_partitioned(bytes);
}
