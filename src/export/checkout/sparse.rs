//! Bytes into a file, with holes where there are only zeros.

use rustix::fd::BorrowedFd;
use std::io;
use std::io::Read;

/// Zeros are left as a hole in runs of this size: a few blocks, so that a binary with a page of
/// zeros stays in one piece.
pub const HOLE_BYTES: usize = 16 << 10;

/// Reads until the buffer is full or the stream ends.
pub fn fill(from: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match from.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
            Err(err) => return Err(err),
        }
    }
    Ok(filled)
}

pub fn write_at(file: BorrowedFd<'_>, mut bytes: &[u8], mut at: u64) -> rustix::io::Result<()> {
    while !bytes.is_empty() {
        let written = rustix::io::retry_on_intr(|| rustix::io::pwrite(file, bytes, at))?;
        bytes = &bytes[written..];
        at += written as u64;
    }
    Ok(())
}

/// The parts of `bytes` between holes: runs of whole zero pieces of [`HOLE_BYTES`].
pub fn solid_runs(bytes: &[u8]) -> impl Iterator<Item = (usize, usize)> + use<> {
    static ZEROS: [u8; HOLE_BYTES] = [0; HOLE_BYTES];
    let mut runs: Vec<(usize, usize)> = Vec::new();
    let mut start = 0;
    for piece in bytes.chunks(HOLE_BYTES) {
        let end = start + piece.len();
        if piece != ZEROS {
            match runs.last_mut() {
                Some(last) if last.1 == start => last.1 = end,
                _ => runs.push((start, end)),
            }
        }
        start = end;
    }
    runs.into_iter()
}
