//! Speed, to be looked at and not asserted, beside `qemu-img` reading the same file:
//! `cargo test --release --lib disk::format::measure -- --ignored --nocapture`

use super::*;
use std::process::Command;
use std::time::Instant;

const DISK_BYTES: u64 = 4 << 30;
/// As much of the machine's own files as a small guest has.
const DATA: &str = "tar -C / -c usr/bin usr/lib usr/share 2>/dev/null | head -c 1000M";

#[test]
#[ignore = "writes 5 GB to the temporary folder"]
fn formats_from_end_to_end() {
    let folder = tempfile::tempdir().unwrap();
    let run = |command: &str| {
        let start = Instant::now();
        let status = Command::new("sh").args(["-c", command]).current_dir(folder.path()).status().unwrap();
        assert!(status.success(), "{command}");
        start.elapsed().as_secs_f64()
    };
    run(&format!(
        "{DATA} | dd of=raw bs=1M seek=100 iflag=fullblock status=none; truncate -s {DISK_BYTES} raw"
    ));
    for (name, options) in [
        ("raw", ""),
        ("qcow2", "-O qcow2"),
        ("qcow2-zlib", "-c -O qcow2"),
        ("qcow2-zstd", "-c -O qcow2 -o compression_type=zstd"),
        ("vmdk", "-O vmdk"),
        ("vmdk-stream", "-O vmdk -o subformat=streamOptimized"),
        ("vdi", "-O vdi"),
        ("vpc", "-O vpc"),
        ("vhdx", "-O vhdx"),
    ] {
        if name != "raw" {
            run(&format!("qemu-img convert -f raw {options} raw {name}"));
        }
        let format = Format::named(name.split('-').next().unwrap()).unwrap();
        let start = Instant::now();
        let image = open(&folder.path().join(name), Some(format), &OpenOptions::default()).unwrap();
        let (mut at, mut read, mut spans) = (0, 0, 0);
        let mut buffer = vec![0; 1 << 20];
        while at < image.disk.size() {
            let span = image.disk.span(at).unwrap();
            spans += 1;
            while !span.zero && at < span.end {
                let count = buffer.len().min((span.end - at) as usize);
                image.disk.read_at(at, &mut buffer[..count]).unwrap();
                (at, read) = (at + count as u64, read + count as u64);
            }
            at = span.end;
        }
        let ours = start.elapsed().as_secs_f64();
        let qemu = format.qemu_name();
        let theirs =
            run(&format!("qemu-img convert -f {qemu} --target-image-opts -n {name} driver=null-co,size=5G"));
        println!("{name:12} {:5} MB in {spans:6} spans, {ours:6.2} s; qemu-img {theirs:6.2} s", read >> 20);
        if name != "raw" {
            std::fs::remove_file(folder.path().join(name)).unwrap();
        }
    }
}
