//! A tree as one tar file, the same bytes for the same tree.
//!
//! POSIX pax format: a ustar header for each entry, before it an extended header with what ustar
//! cannot hold (long or non-ASCII names, large numbers, fractions of seconds, extended attributes
//! as `SCHILY.xattr.*`, as container tools and GNU tar have them, ACLs once more as text). Entries stand in the order of
//! the tree's walk, directories before what is in them, the root first as `./`. Further names of
//! an inode are links to its first. User and group names are left empty: the tree has numbers.
//!
//! What a tar file cannot hold (sockets, a few numbers) is left out and listed.

use crate::attr::Attr;
use crate::attr::Time;
use crate::content::ContentSource;
use crate::error::Error;
use crate::error::Result;
use crate::error::from_stream;
use crate::export::acl;
use crate::export::skipped;
use crate::export::skipped::Skipped;
use crate::export::skipped::What;
use crate::export::steps::HardLinks;
use crate::export::steps::Step;
use crate::export::steps::Steps;
use crate::id::ContentId;
use crate::path::TreePath;
use crate::path::shown;
use crate::progress::Progress;
use crate::tree::Entry;
use crate::tree::Kind;
use crate::tree::NodeSource;
use crate::tree::Tree;
use std::io;
use std::io::Write;
use tar::EntryType;
use tar::Header;

/// What [`write_tar`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TarWritten {
    /// Entries, the root not counted.
    pub entries: u64,
    /// The length of the tar file.
    pub bytes: u64,
    pub skipped: Vec<Skipped>,
}

const BLOCK: usize = 512;
const BUFFER_BYTES: usize = 128 << 10;
/// The largest numbers that ustar's octal fields hold.
const ID_MAX: u64 = 0o7_777_777;
const SIZE_MAX: u64 = 0o77_777_777_777;
/// Bytes of a ustar name. Its prefix field is not used: readers disagree where to split.
const NAME_MAX: usize = 100;

/// Writes the whole tree, ending with the two zero blocks of a tar file.
pub fn write_tar(
    tree: &Tree,
    nodes: &dyn NodeSource,
    contents: &dyn ContentSource,
    out: &mut dyn Write,
    progress: &dyn Progress,
) -> Result<TarWritten> {
    progress.begin("writing tar", Some(tree.bytes));
    let mut writer = Writer {
        contents,
        out,
        progress,
        path: Vec::new(),
        links: HardLinks::new(tree),
        buffer: vec![0; BUFFER_BYTES],
        done: TarWritten::default(),
    };
    writer.head(EntryType::Directory, b"./", b"", 0, None, &tree.root_attr)?;
    let mut steps = Steps::new(tree, nodes)?;
    let mut above = Vec::new();
    while let Some(step) = steps.next(&mut |ids| contents.will_open(ids))? {
        crate::progress::check(progress)?;
        match step {
            Step::Enter(entry) => {
                above.push(writer.path.len());
                writer.step_down(&entry.name);
                let name = [&writer.path[..], b"/"].concat();
                writer.head(EntryType::Directory, &name, b"", 0, None, &entry.attr)?;
                writer.done.entries += 1;
            }
            Step::Item(entry) => {
                let len = writer.path.len();
                writer.step_down(&entry.name);
                writer.item(&entry)?;
                writer.path.truncate(len);
            }
            Step::Leave => writer
                .path
                .truncate(above.pop().expect("each leave follows an enter")),
        }
    }
    writer.write(&[0; 2 * BLOCK])?;
    writer
        .out
        .flush()
        .map_err(|err| from_stream("tar output", err))?;
    Ok(writer.done)
}

struct Writer<'a> {
    contents: &'a dyn ContentSource,
    out: &'a mut dyn Write,
    progress: &'a dyn Progress,
    /// The path of the entry at hand.
    path: Vec<u8>,
    links: HardLinks<'a>,
    buffer: Vec<u8>,
    done: TarWritten,
}

impl Writer<'_> {
    fn step_down(&mut self, name: &[u8]) {
        if !self.path.is_empty() {
            self.path.push(b'/');
        }
        self.path.extend_from_slice(name);
    }

    fn item(&mut self, entry: &Entry) -> Result<()> {
        let name = self.path.clone();
        let linked = (!self.links.is_empty()).then(|| self.tree_path());
        if let Some(target) = linked.as_ref().and_then(|path| self.links.target(path)) {
            let target = target.as_bytes().to_vec();
            // A link's own attributes are its target's; readers that look take the header's.
            let attr = Attr {
                xattrs: Default::default(),
                ..entry.attr.clone()
            };
            self.done.entries += 1;
            return self.head(EntryType::Link, &name, &target, 0, None, &attr);
        }
        match &entry.kind {
            Kind::File { content, size } => {
                self.head(EntryType::Regular, &name, b"", *size, None, &entry.attr)?;
                self.content(content, *size)?;
            }
            Kind::Symlink(target) => {
                self.head(EntryType::Symlink, &name, target, 0, None, &entry.attr)?
            }
            Kind::CharDevice { major, minor } | Kind::BlockDevice { major, minor } => {
                if u64::from(*major.max(minor)) > ID_MAX {
                    self.skip(What::Device, "a tar file cannot hold the number");
                    return Ok(());
                }
                let kind = match entry.kind {
                    Kind::CharDevice { .. } => EntryType::Char,
                    _ => EntryType::Block,
                };
                self.head(kind, &name, b"", 0, Some((*major, *minor)), &entry.attr)?;
            }
            Kind::Fifo => self.head(EntryType::Fifo, &name, b"", 0, None, &entry.attr)?,
            Kind::Socket => {
                self.skip(What::Socket, "a tar file cannot hold it");
                return Ok(());
            }
            Kind::Dir(_) => unreachable!("a directory is a step in, not an item"),
        }
        self.done.entries += 1;
        if let Some(path) = linked {
            self.links.written(&path);
        }
        Ok(())
    }

    fn head(
        &mut self,
        kind: EntryType,
        name: &[u8],
        target: &[u8],
        size: u64,
        device: Option<(u32, u32)>,
        attr: &Attr,
    ) -> Result<()> {
        let mut records = Records::default();
        if !fits_name(name) {
            records.name("path", name);
        }
        if !fits_name(target) {
            records.name("linkpath", target);
        }
        for (key, id) in [("uid", attr.uid), ("gid", attr.gid)] {
            if id > ID_MAX {
                records.add(key, id.to_string().as_bytes());
            }
        }
        if size > SIZE_MAX {
            records.add("size", size.to_string().as_bytes());
        }
        let secs = u64::try_from(attr.mtime.secs)
            .ok()
            .filter(|secs| *secs <= SIZE_MAX && attr.mtime.nanos == 0);
        if secs.is_none() {
            records.add("mtime", decimal(attr.mtime).as_bytes());
        }
        for (xattr, value) in attr.xattrs.iter() {
            match std::str::from_utf8(xattr) {
                Ok(text) if !text.contains('=') => {
                    records.add(&format!("SCHILY.xattr.{text}"), value)
                }
                _ => self.skip(What::Xattr(shown(xattr)), "a tar file cannot hold the name"),
            }
        }
        for (xattr, value) in attr.xattrs.iter() {
            let key = match xattr {
                b"system.posix_acl_access" => "SCHILY.acl.access",
                b"system.posix_acl_default" => "SCHILY.acl.default",
                _ => continue,
            };
            if let Some(text) = acl::text(value) {
                records.add(key, text.as_bytes());
            }
        }
        let records = records.finish();
        if !records.is_empty() {
            let mut header = header(
                EntryType::XHeader,
                &extended_name(name),
                b"",
                records.len() as u64,
            );
            header.set_mode(0o644);
            header.set_uid(0);
            header.set_gid(0);
            header.set_mtime(0);
            self.finish_header(header)?;
            self.write(&records)?;
            self.pad(records.len() as u64)?;
        }
        let mut header = header(kind, name, target, size.min(SIZE_MAX));
        header.set_mode(attr.mode & 0o7777);
        header.set_uid(attr.uid.min(ID_MAX));
        header.set_gid(attr.gid.min(ID_MAX));
        header.set_mtime(attr.mtime.secs.clamp(0, SIZE_MAX as i64) as u64);
        if let Some((major, minor)) = device {
            header
                .set_device_major(major)
                .expect("a ustar header has the field");
            header
                .set_device_minor(minor)
                .expect("a ustar header has the field");
        }
        self.finish_header(header)
    }

    fn finish_header(&mut self, mut header: Header) -> Result<()> {
        header.set_cksum();
        self.write(header.as_bytes())
    }

    fn content(&mut self, content: &ContentId, size: u64) -> Result<()> {
        let mut left = size;
        if size > 0 {
            let mut from = self.contents.open(content, 0, size)?;
            while left > 0 {
                let want = self
                    .buffer
                    .len()
                    .min(usize::try_from(left).unwrap_or(usize::MAX));
                let got = match from.read(&mut self.buffer[..want]) {
                    Ok(0) => {
                        let (expected, found) =
                            (format!("{size} bytes"), format!("{}", size - left));
                        return Err(Error::Corrupt {
                            thing: format!("content {content}"),
                            expected,
                            found,
                        });
                    }
                    Ok(got) => got,
                    Err(err) if err.kind() == io::ErrorKind::Interrupted => continue,
                    Err(err) => return Err(from_stream(format!("content {content}"), err)),
                };
                self.out
                    .write_all(&self.buffer[..got])
                    .map_err(|err| from_stream("tar output", err))?;
                self.done.bytes += got as u64;
                left -= got as u64;
                self.progress.advance(got as u64);
                if self.progress.cancelled() {
                    return Err(Error::Interrupted);
                }
            }
        }
        self.pad(size)
    }

    fn pad(&mut self, len: u64) -> Result<()> {
        let over = (len % BLOCK as u64) as usize;
        if over == 0 {
            Ok(())
        } else {
            self.write(&[0; BLOCK][over..])
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.done.bytes += bytes.len() as u64;
        self.out
            .write_all(bytes)
            .map_err(|err| from_stream("tar output", err))
    }

    fn skip(&mut self, what: What, why: &str) {
        let path = self.tree_path();
        skipped::add(&mut self.done.skipped, what, why, &path);
    }

    fn tree_path(&self) -> TreePath {
        TreePath::parse(&self.path).expect("names are clean and the steps bound the length")
    }
}

/// ustar is ASCII: what else its fields hold, each reader takes for its own character set.
fn fits_name(name: &[u8]) -> bool {
    name.len() <= NAME_MAX && name.is_ascii()
}

fn header(kind: EntryType, name: &[u8], target: &[u8], size: u64) -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_size(size);
    let ustar = header.as_ustar_mut().expect("it was just made one");
    put_name(&mut ustar.name, name, kind == EntryType::Directory);
    put_name(&mut ustar.linkname, target, false);
    for field in [&mut ustar.dev_major, &mut ustar.dev_minor] {
        field.copy_from_slice(b"0000000\0");
    }
    header
}

/// Where a pax record has the name, the field has what fits of it, for readers without pax.
fn put_name(field: &mut [u8; NAME_MAX], name: &[u8], is_dir: bool) {
    let mut len = name.len().min(NAME_MAX);
    // A cut that ends in a slash would make a file a directory.
    while !is_dir && len < name.len() && len > 0 && name[len - 1] == b'/' {
        len -= 1;
    }
    for (to, from) in field.iter_mut().zip(&name[..len]) {
        *to = if from.is_ascii() { *from } else { b'_' };
    }
    if is_dir && len < name.len() {
        field[NAME_MAX - 1] = b'/';
    }
}

/// A name for the extended header, of use only to readers that take it for a file.
fn extended_name(name: &[u8]) -> Vec<u8> {
    let bare = name.strip_suffix(b"/").unwrap_or(name);
    let last = bare.rsplit(|byte| *byte == b'/').next().unwrap_or(bare);
    let prefix = b"PaxHeaders/";
    [prefix, &last[..last.len().min(NAME_MAX - prefix.len())]].concat()
}

/// Seconds since 1970 as pax has them. Nanoseconds count forward even before 1970, decimals do not.
fn decimal(time: Time) -> String {
    let nanos = i128::from(time.secs) * 1_000_000_000 + i128::from(time.nanos);
    let sign = if nanos < 0 { "-" } else { "" };
    let (secs, nanos) = (
        nanos.unsigned_abs() / 1_000_000_000,
        nanos.unsigned_abs() % 1_000_000_000,
    );
    let text = format!("{sign}{secs}.{nanos:09}");
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

/// The records of one extended header.
#[derive(Default)]
struct Records {
    binary: bool,
    bytes: Vec<u8>,
}

impl Records {
    fn name(&mut self, key: &str, name: &[u8]) {
        self.binary |= std::str::from_utf8(name).is_err();
        self.add(key, name);
    }

    /// `LENGTH KEY=VALUE\n`, where the length counts its own digits.
    fn add(&mut self, key: &str, value: &[u8]) {
        let rest = 1 + key.len() + 1 + value.len() + 1;
        let mut len = rest + 1;
        while rest + len.to_string().len() != len {
            len = rest + len.to_string().len();
        }
        self.bytes
            .extend_from_slice(format!("{len} {key}=").as_bytes());
        self.bytes.extend_from_slice(value);
        self.bytes.push(b'\n');
    }

    fn finish(self) -> Vec<u8> {
        if !self.binary {
            return self.bytes;
        }
        // Values are UTF-8 unless this comes first.
        let mut all = Records::default();
        all.add("hdrcharset", b"BINARY");
        all.bytes.extend_from_slice(&self.bytes);
        all.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::HashSink;
    use crate::export::testing::Kept;
    use crate::export::testing::has;
    use crate::export::testing::is_root;
    use crate::export::testing::keep;
    use crate::export::testing::plant_plain;
    use crate::export::testing::plant_privileged;
    use crate::export::testing::sh;
    use crate::fs::scan::ScanOptions;
    use crate::fs::scan::scan;
    use crate::progress::Silent;
    use crate::tree::memory::MemoryNodes;
    use std::path::Path;

    fn tar_of(kept: &Kept) -> (Vec<u8>, TarWritten) {
        let mut bytes = Vec::new();
        let done = write_tar(&kept.tree, &kept.nodes, &kept.contents, &mut bytes, &Silent).unwrap();
        assert_eq!(done.bytes, bytes.len() as u64);
        (bytes, done)
    }

    /// Two folders: one planted (without what tar cannot hold), and the tar of it beside.
    fn planted() -> (tempfile::TempDir, Kept) {
        let folder = crate::fs::temp_dir().unwrap();
        let from = folder.path().join("from");
        crate::fs::create_dir(&from).unwrap();
        plant_plain(&from);
        sh(
            &from,
            "rm socket; chmod 0400 zero; touch -d '2001-01-01 01:01:01.25Z' .",
        );
        if is_root() {
            plant_privileged(&from);
            sh(&from, "touch -d '2001-01-01 01:01:01.25Z' .");
        }
        let kept = keep(&from);
        crate::fs::write_atomic(&folder.path().join("tree.tar"), &tar_of(&kept).0).unwrap();
        (folder, kept)
    }

    fn tree_of(folder: &Path) -> Tree {
        scan(
            folder,
            &mut HashSink::new(),
            &mut MemoryNodes::new(),
            &ScanOptions::default(),
            &Silent,
        )
        .unwrap()
    }

    #[test]
    fn the_same_tree_makes_the_same_bytes_and_a_socket_is_listed() {
        let folder = crate::fs::temp_dir().unwrap();
        plant_plain(folder.path());
        sh(folder.path(), "chmod 0400 zero");
        let kept = keep(folder.path());
        let (first, done) = tar_of(&kept);
        assert!(first == tar_of(&keep(folder.path())).0);
        assert_eq!(done.entries, kept.tree.entries - 1);
        assert_eq!(done.skipped.len(), 1);
        assert_eq!(
            (&done.skipped[0].what, done.skipped[0].count),
            (&What::Socket, 1)
        );
    }

    #[test]
    fn gnu_tar_reads_back_the_same_tree() {
        let (folder, kept) = planted();
        let flags = "--xattrs --xattrs-include='*' --numeric-owner -p -S";
        sh(
            folder.path(),
            &format!("mkdir out; tar -C out {flags} -xf tree.tar"),
        );
        same_tree(folder.path(), &kept);
    }

    #[test]
    fn bsdtar_reads_back_the_same_tree() {
        if !has("bsdtar") {
            return;
        }
        let (folder, kept) = planted();
        sh(
            folder.path(),
            "mkdir out; LC_ALL=C.UTF-8 bsdtar -C out --numeric-owner --xattrs --acls -p -xf tree.tar",
        );
        // Of libarchive, with tar files of GNU tar too: it leaves the root's time alone, and adds
        // the fraction of a time before 1970 instead of taking it away.
        sh(
            folder.path(),
            "touch -r from out; for f in old a/b; do touch -r from/$f out/$f; done",
        );
        same_tree(folder.path(), &kept);
    }

    #[track_caller]
    fn same_tree(folder: &Path, kept: &Kept) {
        let again = tree_of(&folder.join("out"));
        if again != kept.tree {
            let list = |of: &str| {
                let find = format!(
                    "cd {of}; find . -printf '%p %y %m %U %G %T@ %l %n\\n' | cut -c1-300 | sort"
                );
                sh(
                    folder,
                    &format!("{find}; getfattr -Rhd -m - . 2>/dev/null || true"),
                )
            };
            let (from, out) = (list("from"), list("out"));
            let diff: Vec<_> = similar::TextDiff::from_lines(&from, &out)
                .iter_all_changes()
                .filter(|change| change.tag() != similar::ChangeTag::Equal)
                .map(|change| format!("{}{change}", change.tag()))
                .collect();
            panic!("{}", diff.concat());
        }
    }

    #[test]
    fn python_reads_the_same_listing() {
        if !has("python3") {
            return;
        }
        let (folder, kept) = planted();
        let script = r#"
import tarfile, sys
for m in tarfile.open('tree.tar'):
    kind = 'd' if m.isdir() else 'l' if m.issym() else 'h' if m.islnk() else 'p' if m.isfifo() else 'b' if m.isblk() else 'c' if m.ischr() else 'f'
    print(kind, oct(m.mode), m.uid, m.gid, m.size, ascii(m.linkname), ascii(m.name)[:200])
"#;
        crate::fs::write_atomic(&folder.path().join("list.py"), script.as_bytes()).unwrap();
        let listed = sh(folder.path(), "python3 list.py");
        assert_eq!(listed.lines().count() as u64, kept.tree.entries + 1);
        for line in [
            "f 0o4755 ",
            "'a/b/zz' 'a/x'",
            "'gr\\xf6\\xdfe'",
            "'not\\udcff\\udcfeutf8'",
            "'../../nowhere' 'a/dangling'",
        ] {
            assert!(listed.contains(line), "{line} in {listed}");
        }
        if is_root() {
            assert!(
                listed.contains("d 0o755 4000000000 3000000000 0 '' 'a/b'"),
                "{listed}"
            );
        }
    }

    #[test]
    fn a_record_counts_its_own_length() {
        for len in [
            0, 1, 80, 88, 89, 90, 91, 92, 985, 986, 987, 988, 989, 9_000, 9_990,
        ] {
            let mut records = Records::default();
            records.add("path", &vec![b'x'; len]);
            let bytes = records.finish();
            let text = String::from_utf8(bytes.clone()).unwrap();
            let claimed: usize = text.split(' ').next().unwrap().parse().unwrap();
            assert_eq!(claimed, bytes.len());
        }
    }

    #[test]
    fn times_before_1970_are_negative_decimals() {
        for (secs, nanos, text) in [
            (0, 0, "0"),
            (-1, 0, "-1"),
            (-2, 500_000_000, "-1.5"),
            (-1, 999_999_999, "-0.000000001"),
            (1, 250_000_000, "1.25"),
            (10, 0, "10"),
            (i64::MIN, 0, "-9223372036854775808"),
        ] {
            assert_eq!(decimal(Time { secs, nanos }), text);
        }
    }

    #[test]
    fn numbers_too_large_for_octal_go_to_records() {
        let mut nodes = MemoryNodes::new();
        let attr = Attr {
            uid: 1 << 40,
            mtime: Time {
                secs: 1 << 40,
                nanos: 0,
            },
            ..Default::default()
        };
        let xattrs = vec![(b"user.a=b".as_slice().into(), b"".as_slice().into())];
        let odd = Attr {
            xattrs: crate::attr::Xattrs::new(xattrs),
            ..attr.clone()
        };
        let entry = |name: &[u8], kind, attr| Entry {
            name: name.into(),
            kind,
            attr,
        };
        let entries = vec![
            entry(b"a", Kind::Fifo, odd),
            entry(
                b"b",
                Kind::CharDevice {
                    major: 1 << 21,
                    minor: 0,
                },
                attr,
            ),
        ];
        let root =
            crate::tree::NodeSink::put_node(&mut nodes, &crate::tree::Node { entries }).unwrap();
        let tree = Tree {
            root,
            root_attr: Attr::default(),
            hardlinks: Vec::new(),
            entries: 2,
            bytes: 0,
        };
        let contents = crate::export::testing::MemoryContents::default();
        let (bytes, done) = tar_of(&Kept {
            tree,
            nodes,
            contents,
        });
        assert!(
            String::from_utf8_lossy(&bytes)
                .contains("21 uid=1099511627776\n23 mtime=1099511627776\n")
        );
        let skipped: Vec<String> = done
            .skipped
            .iter()
            .map(|one| format!("{}: {}", one.what, one.why))
            .collect();
        assert_eq!(
            skipped,
            [
                "extended attribute user.a=b: a tar file cannot hold the name",
                "device: a tar file cannot hold the number"
            ]
        );
    }
}
