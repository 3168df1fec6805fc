//! How fast an image is read: `IMAGE=x.img cargo test --release native::tests::measure -- --ignored --nocapture`.

use super::open;
use crate::attr::Attr;
use crate::disk::files::FileSink;
use crate::disk::files::Found;
use crate::error::Result;
use crate::path::TreePath;
use crate::progress::Silent;
use std::path::Path;
use std::time::Instant;

#[derive(Default)]
struct Count {
    entries: u64,
    bytes: u64,
    buffer: Vec<u8>,
}

impl FileSink for Count {
    fn put(&mut self, _: TreePath, _: Attr, found: Found<'_>) -> Result<()> {
        self.entries += 1;
        if let Found::File(file) = found {
            loop {
                match file.from.read(&mut self.buffer).unwrap() {
                    0 => break,
                    read => self.bytes += read as u64,
                }
            }
        }
        Ok(())
    }
}

#[test]
#[ignore = "measures $IMAGE"]
fn an_image_is_read_into_nothing() {
    let image = std::env::var("IMAGE").unwrap();
    for buffer in [64 << 10, 256 << 10, 1 << 20] {
        let mut count = Count { buffer: vec![0; buffer], ..Count::default() };
        let start = Instant::now();
        open(Path::new(&image)).unwrap().unwrap().read(&mut count, &Silent).unwrap();
        let secs = start.elapsed().as_secs_f64();
        let rate = count.bytes as f64 / 1e6 / secs;
        println!(
            "{} entries, {} bytes, by {buffer}: {secs:.3} s, {rate:.0} MB/s",
            count.entries, count.bytes
        );
    }
}
