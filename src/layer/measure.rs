//! Speed and memory, to be looked at and not asserted:
//! `cargo test --release --lib layer::measure -- --ignored --nocapture --test-threads 1 NAME`

use super::LayerKind;
use super::Limits;
use super::flatten::Flattener;
use super::read::take_apart;
use super::recipe;
use super::testing::end;
use super::testing::member;
use crate::content::ContentSink;
use crate::content::HashSink;
use crate::error::Result;
use crate::error::from_stream;
use crate::id::ContentId;
use crate::tree::Node;
use crate::tree::NodeIds;
use crate::tree::NodeSink;
use std::io::Read;
use std::time::Instant;

/// Reads and forgets: what is left is the walker's own work.
struct Nothing(Vec<u8>);

impl ContentSink for Nothing {
    fn put(&mut self, size: u64, from: &mut dyn Read) -> Result<ContentId> {
        let mut left = size;
        while left > 0 {
            let room = self.0.len().min(left as usize);
            left -= from.read(&mut self.0[..room]).map_err(|err| from_stream("content", err))? as u64;
        }
        Ok(ContentId([0; 32]))
    }
}

#[derive(Default)]
struct Ids {
    nodes: u64,
}

impl NodeSink for Ids {
    fn put_node(&mut self, node: &Node) -> Result<NodeIds> {
        self.nodes += 1;
        Ok(node.ids())
    }
}

/// Sizes as in a Debian: most files small, most bytes in few.
fn debian_like() -> Vec<u8> {
    let mut tar = Vec::new();
    for number in 0_usize..12_000 {
        let size = match number % 100 {
            0 => 1_000_000,
            1..=9 => 60_000,
            10..=37 => 8_000,
            _ => 1_200,
        };
        let name = format!("usr/share/package{}/file{number}", number / 50);
        tar.extend(member(name.as_bytes(), b'0', &vec![number as u8; size]));
    }
    tar.extend(end());
    tar
}

#[test]
#[ignore = "a measurement"]
fn walking() {
    let tar = debian_like();
    let run = |name: &str, contents: &mut dyn ContentSink| {
        let mut best = f64::MAX;
        let mut recipe = Vec::new();
        for _ in 0..5 {
            recipe.clear();
            let start = Instant::now();
            let taken = take_apart(&mut &tar[..], contents, &mut recipe, &mut |_| Ok(()), &Limits::default());
            best = best.min(start.elapsed().as_secs_f64());
            assert_eq!(taken.unwrap().entries, 12_000);
        }
        let speed = tar.len() as f64 / best / 1e6;
        println!(
            "{name}: {speed:.0} MB/s of a {} MB tar, recipe {} KB",
            tar.len() / 1_000_000,
            recipe.len() / 1000
        );
        recipe
    };
    run("walking alone", &mut Nothing(vec![0; 256 << 10]));
    let recipe = run("walking and SHA-256", &mut HashSink::new());
    let start = Instant::now();
    let mut entries = 0;
    recipe::list(&mut &recipe[..], &mut |_| {
        entries += 1;
        Ok(())
    })
    .unwrap();
    println!("listing: {:.2} million entries/s", f64::from(entries) / start.elapsed().as_secs_f64() / 1e6);
}

/// A tar that is made while it is read.
struct Many {
    next: u32,
    each_dir: u32,
    block: Vec<u8>,
    at: usize,
}

const MANY: u32 = 1_000_000;

impl Read for Many {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        if self.at == self.block.len() {
            let number = self.next;
            self.next += 1;
            let name = format!("usr/lib/dir{:05}/file-number-{number:07}", number / self.each_dir);
            self.block =
                if number < MANY { member(name.as_bytes(), b'0', &number.to_le_bytes()) } else { Vec::new() };
            self.at = 0;
        }
        let len = (&self.block[self.at..]).read(into)?;
        self.at += len;
        Ok(len)
    }
}

fn resident(what: &str) {
    let status = format!("/proc/{}/status", std::process::id());
    let found = std::process::Command::new("grep").args(["-E", "VmHWM|VmRSS", &status]).output().unwrap();
    println!(
        "{what}: {}",
        String::from_utf8_lossy(&found.stdout).split_whitespace().collect::<Vec<_>>().join(" ")
    );
}

fn flatten_many(each_dir: u32) {
    resident("before");
    let start = Instant::now();
    let mut flattener = Flattener::new();
    let mut tar = Many { next: 0, each_dir, block: Vec::new(), at: 0 };
    let mut each = |mut entry: super::LayerEntry| {
        if let LayerKind::File { content, .. } = &mut entry.what {
            content.0[..4].copy_from_slice(&entry.path.as_bytes()[entry.path.as_bytes().len() - 4..]);
        }
        flattener.apply(entry)
    };
    let taken =
        take_apart(&mut tar, &mut HashSink::new(), &mut std::io::sink(), &mut each, &Limits::default())
            .unwrap();
    println!("{} entries taken apart and applied in {:.2} s", taken.entries, start.elapsed().as_secs_f64());
    resident("applied");
    let mut ids = Ids::default();
    let start = Instant::now();
    let tree = flattener.finish(&mut ids).unwrap();
    println!("{} entries, {} nodes put in {:.2} s", tree.entries, ids.nodes, start.elapsed().as_secs_f64());
    resident("finished");
}

#[test]
#[ignore = "a measurement"]
fn a_million_entries_in_ten_thousand_folders() {
    flatten_many(100);
}

#[test]
#[ignore = "a measurement"]
fn a_million_entries_in_one_folder() {
    flatten_many(MANY);
}
