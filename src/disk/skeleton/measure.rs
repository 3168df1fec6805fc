//! What the skeleton of a real disk weighs and costs: `MEASURE_DISK=disk.raw MEASURE_FILES=folder
//! cargo test --release --lib skeleton::measure -- --ignored --nocapture`. The disk is raw; the
//! folder holds its files; `MEASURE_REGION` says where its file system begins (0 by default).

use super::Fingerprints;
use super::Region;
use super::find;
use super::rebuild::SparseOutput;
use super::rebuild::rebuild;
use super::stored::StoredDisk;
use crate::content::ContentSink;
use crate::disk::bytes::ReadAt;
use crate::disk::bytes::Span;
use crate::error::Result;
use crate::progress::Silent;
use crate::store::Config;
use crate::store::OpenOptions;
use crate::store::Store;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Instant;

struct RawFile(File, u64);

impl ReadAt for RawFile {
    fn size(&self) -> u64 {
        self.1
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        self.0.read_exact_at(buffer, offset).unwrap();
        Ok(())
    }

    fn span(&self, offset: u64) -> Result<Span> {
        use rustix::fs::SeekFrom;
        let seek = |to| rustix::fs::seek(&self.0, to).unwrap_or(self.1);
        let data = seek(SeekFrom::Data(offset));
        let zero = data > offset;
        Ok(Span { end: if zero { data } else { seek(SeekFrom::Hole(offset)) }, zero })
    }
}

impl SparseOutput for File {
    fn set_len(&mut self, len: u64) -> Result<()> {
        File::set_len(self, len).unwrap();
        Ok(())
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.write_all_at(bytes, offset).unwrap();
        Ok(())
    }
}

fn walk(folder: &Path, each: &mut dyn FnMut(&Path)) {
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        let kind = path.symlink_metadata().unwrap().file_type();
        if kind.is_dir() {
            walk(&path, each);
        } else if kind.is_file() {
            each(&path);
        }
    }
}

/// The most memory that this process has had, and the time that it has used, for people.
fn so_far() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let ticks: u64 =
        stat.split_whitespace().skip(13).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum();
    format!("peak {}, processor {}.{:02} s so far", peak.trim(), ticks / 100, ticks % 100)
}

#[test]
#[ignore = "a measurement"]
fn measure() {
    let path = std::env::var("MEASURE_DISK").expect("MEASURE_DISK names a raw disk");
    let files = std::env::var("MEASURE_FILES").expect("MEASURE_FILES names a folder with its files");
    let start = std::env::var("MEASURE_REGION").map_or(0, |start| start.parse().unwrap());
    let file = File::open(&path).unwrap();
    let size = file.metadata().unwrap().len();
    let disk = RawFile(file, size);
    let scratch = tempfile::tempdir_in(Path::new(&path).parent().unwrap()).unwrap();
    let store =
        Store::create(&scratch.path().join("store"), &Config::default(), &OpenOptions::default()).unwrap();
    let time = |what: &str, since: Instant| println!("{what}: {:.2?}; {}", since.elapsed(), so_far());

    let now = Instant::now();
    let mut transaction = store.begin().unwrap();
    let mut prints = Fingerprints::default();
    let mut bytes = 0;
    walk(Path::new(&files), &mut |path| {
        let mut file = File::open(path).unwrap();
        let len = file.metadata().unwrap().len();
        bytes += len;
        let mut tee = prints.tee(&mut file);
        let id = transaction.put(len, &mut tee).unwrap();
        tee.keep(id).unwrap();
    });
    let table = prints.finish();
    println!(
        "{} contents of {} MB, table {} KB",
        table.contents().len(),
        bytes / 1_000_000,
        table.footprint() / 1000
    );
    time("put with fingerprints", now);

    let now = Instant::now();
    let source = transaction.contents().unwrap();
    let region = Region { start, size: size - start };
    let skeleton = find(&disk, &[region], &table, &[], &source, &Silent).unwrap();
    time("found", now);
    drop(source);

    let now = Instant::now();
    let mut ops = Vec::new();
    let written = skeleton.write(&disk, &table, [], &mut transaction, &mut ops, &Silent).unwrap();
    time("written", now);
    let done = transaction.commit(&Silent).unwrap();
    let recipe = [&written.head[..], &ops].concat();
    let packed = |bytes: &[u8], level| zstd::encode_all(bytes, level).unwrap().len();
    println!(
        "{} claims; {:?}",
        skeleton.claims.len(),
        super::Written { head: Vec::new(), ..written.clone() }
    );
    println!(
        "recipe {} bytes, zstd-9 {}, of it head {} and ops {}; refuted {} bytes",
        recipe.len(),
        packed(&recipe, 9),
        packed(&written.head, 9),
        packed(&ops, 9),
        skeleton.refuted_bytes
    );
    let not_zero = written.content_bytes + written.residue_bytes;
    println!(
        "matched {:.2} % of {} MB that are not zero; stored {} MB",
        100.0 * written.content_bytes as f64 / not_zero as f64,
        not_zero / 1_000_000,
        done.stored_bytes / 1_000_000
    );

    let now = Instant::now();
    let mut out = File::create(scratch.path().join("again.raw")).unwrap();
    let contents = store.contents();
    rebuild(&mut &recipe[..], &contents, &mut out, &Silent).unwrap();
    time("rebuilt, hash checked", now);

    let now = Instant::now();
    let stored = StoredDisk::open(&mut &recipe[..], store.contents()).unwrap();
    let mut buffer = vec![0; 1 << 20];
    let mut residue = Vec::new();
    for at in (0..size).step_by(1 << 26) {
        stored.read_at(at, &mut buffer[..(size - at).min(4096) as usize]).unwrap();
    }
    time("a block each 64 MiB", now);
    // What the residue weighs alone.
    let mut reader = super::recipe::Ops::new(stored.head(), &ops[..]);
    let files: u64 = stored.head().files.iter().map(|list| list.ids).sum();
    while let Some(extent) = reader.next().unwrap() {
        if matches!(extent.from, super::recipe::Origin::Content { number, .. } if number >= files) {
            let mut bytes = vec![0; extent.len as usize];
            disk.read_at(extent.at, &mut bytes).unwrap();
            residue.extend(bytes);
        }
    }
    println!("residue {} bytes, zstd-3 {}", residue.len(), packed(&residue, 3));
}
