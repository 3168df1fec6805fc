//! What is fuzzed: for each target a function that takes any bytes and panics when a promise breaks.
//!
//! libFuzzer calls them through `src/bin`, and `tests/it/fuzz_seeds.rs` calls them with the seeds and
//! with mutations of them, on any machine.

use imgit::attr::Attr;
use imgit::bundle;
use imgit::bundle::format::Table;
use imgit::bundle::have::Have;
use imgit::disk;
use imgit::disk::files::FileSink;
use imgit::disk::files::Found;
use imgit::disk::native;
use imgit::error::Result;
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
use imgit::progress::Silent;
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
use std::collections::BTreeSet;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// A target's name, which is also that of its seeds, and the target.
pub type Target = (&'static str, fn(&[u8]));

pub const TARGETS: &[Target] = &[
    ("tar", tar),
    ("recipe", recipe),
    ("layers", layers),
    ("compressed", compressed),
    ("deflate", deflate),
    ("tree", tree),
    ("commit", commit),
    ("document", document),
    ("archive", archive),
    ("names", names),
    ("pack", pack),
    ("bundle", bundle),
    ("skeleton", skeleton),
    ("ext", file_system),
    ("fat", file_system),
    ("disk_image", disk_image),
    ("partition", partition),
];

/// What a file system's image is filled up to with zeros, so that seeds need not end in them: no FAT16
/// is smaller.
const IMAGE_BYTES: usize = 2_304 << 10;
/// What is read of each file: a size may be anything.
const TASTED_BYTES: u64 = 64 << 10;

/// A layer's tar: taken apart and rebuilt it is the same, or it is refused.
pub fn tar(bytes: &[u8]) {
    layer::testing::any_tar(bytes);
}

/// A stored recipe, as a damaged store could hold one.
pub fn recipe(bytes: &[u8]) {
    layer::testing::any_recipe(bytes);
}

/// A disk's stored recipe.
pub fn skeleton(bytes: &[u8]) {
    disk::skeleton::testing::any_recipe(bytes);
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
    layer::gzip::any_recipe(bytes);
}

/// A deflate stream: decoded or refused as zlib does.
pub fn deflate(bytes: &[u8]) {
    layer::inflate::testing::any_deflate(bytes);
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
    let now = || "2026-05-03T14:12:00+02:00[+02:00]".parse().unwrap();
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

/// A bundle, a table of one, or a list of what a store has; or the frames of a bundle, each after its
/// length in two bytes and with its checksum made right.
pub fn bundle(bytes: &[u8]) {
    let whole = |bytes: &[u8]| drop(bundle::verify::verify(("bundle", Box::new(bytes)), &Silent));
    whole(bytes);
    if let Ok(table) = Table::decode(bytes)
        && table.rank().is_some_and(|rank| rank > 0)
    {
        // Features, which only the head has, are not kept.
        assert_eq!(table.encode(), bytes);
    }
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(have) = Have::parse("list", text)
    {
        assert_eq!(Have::parse("list", &have.to_text()).expect("what is written can be read"), have);
    }
    let mut sealed = bundle::format::header().to_vec();
    let mut rest = bytes;
    while let Some((len, more)) = rest.split_first_chunk::<2>() {
        let (raw, later) = more.split_at(more.len().min(usize::from(u16::from_le_bytes(*len))));
        let encoder = frame::FrameEncoder::new(1);
        encoder.unwrap().encode(&mut raw.to_vec(), None, &mut sealed).expect("a frame of 64 KiB can be made");
        rest = later;
    }
    whole(&sealed);
}

/// An image of a file system: what is told is a tree, each name in it once, with sound attributes.
pub fn file_system(bytes: &[u8]) {
    let mut image = vec![0; bytes.len().max(IMAGE_BYTES)];
    image[..bytes.len()].copy_from_slice(bytes);
    let size = image.len() as u64;
    if let Ok(Some(found)) = native::open(Arc::new(image)) {
        let _ = (found.label(), found.uuid());
        assert!(found.facts().total_bytes <= size);
        let _ = found.read(&mut Told { size, seen: BTreeSet::new() }, &Silent);
    }
}

struct Told {
    size: u64,
    seen: BTreeSet<TreePath>,
}

impl FileSink for Told {
    fn put(&mut self, path: TreePath, attr: Attr, found: Found<'_>) -> Result<()> {
        match path.split() {
            None => assert!(self.seen.is_empty()),
            Some((above, _)) => assert!(self.seen.contains(&above)),
        }
        assert!(attr.mode <= 0o7777 && attr.mtime.nanos < 1_000_000_000);
        match found {
            Found::File(file) => {
                let mut at = 0;
                for extent in file.extents {
                    assert!(extent.file_offset >= at && extent.len > 0);
                    at = extent.file_offset + extent.len;
                    assert!(at <= file.size && extent.device_offset + extent.len <= self.size);
                }
                let want = file.size.min(TASTED_BYTES);
                let read = std::io::copy(&mut file.from.take(want), &mut std::io::sink());
                assert!(read.is_ok_and(|read| read == want), "nothing on this disk fails to be read");
            }
            Found::HardLink(first) => assert!(self.seen.contains(&first)),
            Found::Symlink(target) => assert!(!target.is_empty() && !target.contains(&0)),
            _ => {}
        }
        assert!(self.seen.insert(path));
        Ok(())
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
