//! A small cache of the places of a disk where metadata lies.

use crate::disk::bytes::ReadAt;
use crate::error::Result;

/// What is read at once: a multiple of every block size, and 256 inodes of the usual size.
const WINDOW_BYTES: u64 = 64 << 10;
/// 4 MiB in all: the inode tables and allocation tables of a few places at a time.
const WINDOWS_MAX: usize = 64;

pub struct Cache<'a> {
    disk: &'a dyn ReadAt,
    windows: Vec<Window>,
    /// The window that answered last.
    last: usize,
    clock: u64,
}

struct Window {
    start: u64,
    bytes: Vec<u8>,
    used: u64,
}

impl<'a> Cache<'a> {
    pub fn new(disk: &'a dyn ReadAt) -> Cache<'a> {
        Cache { disk, windows: Vec::new(), last: 0, clock: 0 }
    }

    /// Fills `buffer` from `offset` on; what leaves the disk is an error.
    pub fn read(&mut self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        crate::disk::bytes::check(self.disk, offset, buffer)?;
        let mut at = offset;
        let mut rest = buffer;
        while !rest.is_empty() {
            let start = at / WINDOW_BYTES * WINDOW_BYTES;
            let window = self.window(start)?;
            let from = &window[(at - start) as usize..];
            let count = from.len().min(rest.len());
            rest[..count].copy_from_slice(&from[..count]);
            rest = &mut rest[count..];
            at += count as u64;
        }
        Ok(())
    }

    /// `start` is a multiple of a window's size and lies below the disk's.
    fn window(&mut self, start: u64) -> Result<&[u8]> {
        self.clock += 1;
        if self.windows.get(self.last).is_none_or(|window| window.start != start) {
            self.last = match self.windows.iter().position(|window| window.start == start) {
                Some(found) => found,
                None => self.load(start)?,
            };
        }
        let window = &mut self.windows[self.last];
        window.used = self.clock;
        Ok(&window.bytes)
    }

    fn load(&mut self, start: u64) -> Result<usize> {
        let oldest = (0..self.windows.len()).min_by_key(|at| self.windows[*at].used);
        let at = match oldest {
            Some(oldest) if self.windows.len() == WINDOWS_MAX => oldest,
            _ => {
                self.windows.push(Window { start: u64::MAX, bytes: Vec::new(), used: 0 });
                self.windows.len() - 1
            }
        };
        let window = &mut self.windows[at];
        // No offset: what a failed read leaves behind must never answer.
        window.start = u64::MAX;
        let len = (self.disk.size() - start).min(WINDOW_BYTES) as usize;
        if window.bytes.len() != len {
            window.bytes = vec![0; len];
        }
        self.disk.read_at(start, &mut window.bytes)?;
        window.start = start;
        Ok(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_cross_windows_and_end_with_the_disk() {
        let disk: Vec<u8> = (0..WINDOW_BYTES * 80 + 100).map(|at| (at % 251) as u8).collect();
        let mut cache = Cache::new(&disk);
        for offset in (0..disk.len() - 700).step_by(9_973).chain([disk.len() - 700]) {
            let mut buffer = [0; 700];
            cache.read(offset as u64, &mut buffer).unwrap();
            assert_eq!(buffer[..], disk[offset..offset + 700]);
        }
        assert_eq!(cache.windows.len(), WINDOWS_MAX);
        assert!(cache.read(disk.len() as u64 - 699, &mut [0; 700]).is_err());
        assert!(cache.read(u64::MAX, &mut [0; 1]).is_err());
    }
}
