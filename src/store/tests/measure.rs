//! How fast the store takes a tree of files: `cargo test --release --lib measure -- --ignored
//! --nocapture`, with `MEASURE` naming a folder to import (`/usr` by default).

use crate::content::ContentSink;
use crate::progress::Silent;
use crate::store::Config;
use crate::store::Store;
use crate::store::tests::options;
use std::io::Read as _;
use std::path::Path;
use std::path::PathBuf;
use std::time::Instant;

/// Stop reading the folder beyond this: the contents are held in memory to measure the store only.
const BYTES_MAX: usize = 500 << 20;

/// Processor time of all threads and of this one, in hundredths of a second: on a busy machine the
/// clock on the wall says little.
fn cpu() -> (u64, u64) {
    let ticks = |path: &str| {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let after_name = text.rsplit(')').next().unwrap_or_default().to_owned();
        let fields: Vec<u64> = after_name.split_whitespace().skip(11).take(2).flat_map(str::parse).collect();
        fields.iter().sum()
    };
    (ticks("/proc/self/stat"), ticks("/proc/thread-self/stat"))
}

fn collect(folder: &Path, files: &mut Vec<Vec<u8>>, bytes: &mut usize) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        let Ok(kind) = path.symlink_metadata().map(|meta| meta.file_type()) else { continue };
        if *bytes > BYTES_MAX {
            return;
        }
        if kind.is_dir() {
            collect(&path, files, bytes);
        } else if let (true, Ok(content)) = (kind.is_file(), std::fs::read(&path)) {
            *bytes += content.len();
            files.push(content);
        }
    }
}

#[test]
#[ignore = "a measurement"]
fn measure() {
    let from = std::env::var("MEASURE").unwrap_or_else(|_| "/usr".to_owned());
    let (mut files, mut bytes) = (Vec::new(), 0);
    collect(Path::new(&from), &mut files, &mut bytes);
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create(folder.path(), &Config::default(), &options()).unwrap();
    let mut ids = Vec::new();
    for round in ["first", "again"] {
        let start = Instant::now();
        let before = cpu();
        let mut transaction = store.begin().unwrap();
        ids.clear();
        for content in &files {
            ids.push(transaction.put(content.len() as u64, &mut &content[..]).unwrap());
        }
        let put = start.elapsed();
        let done = transaction.commit(&Silent).unwrap();
        let all = start.elapsed();
        let now = cpu();
        println!(
            "{round}: processor time {}0 ms, of it the caller's {}0 ms",
            now.0 - before.0,
            now.1 - before.1
        );
        let rate = bytes as f64 / 1e6 / all.as_secs_f64();
        println!(
            "{round}: {} files, {} MB; put {put:?}, commit {:?}, {rate:.0} MB/s; stored {} MB, {} new",
            files.len(),
            bytes / 1_000_000,
            all - put,
            done.stored_bytes / 1_000_000,
            done.new_contents,
        );
    }
    let index = std::fs::metadata(folder.path().join("meta.redb")).unwrap().len();
    println!("index: {} KB", index / 1_000);
    let start = Instant::now();
    let mut buffer = Vec::new();
    let located = store.locate(&ids).unwrap();
    println!("locate all: {:?}", start.elapsed());
    for location in located.into_iter().flatten() {
        buffer.clear();
        store.open_content(&location, 0, location.len).unwrap().read_to_end(&mut buffer).unwrap();
    }
    println!("read all: {:?}", start.elapsed());
    let start = Instant::now();
    for _ in 0..100 {
        store.snapshot().unwrap().sequence().unwrap();
    }
    println!("100 snapshots: {:?}", start.elapsed());
    let start = Instant::now();
    store.rebuild_index(&Silent).unwrap();
    println!("rebuild: {:?}", start.elapsed());
    let start = Instant::now();
    for number in 0..20u8 {
        let mut transaction = store.begin().unwrap();
        transaction.put(1, &mut &[number][..]).unwrap();
        transaction.commit(&Silent).unwrap();
    }
    println!("20 small commits: {:?}", start.elapsed());
}
