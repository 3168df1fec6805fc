//! A file that is read while others may write to it.

use crate::progress::Progress;
use rustix::fd::BorrowedFd;
use rustix::io::Errno;
use std::io;
use std::io::Read;

/// A reader asks whether to stop this often.
const CHECK_BYTES: u64 = 4 << 20;

pub enum Fault {
    Os(Errno),
    Short,
}

/// Yields as many bytes as `stat` promised, whatever happens: after a fault, zeros.
///
/// A sink that was promised bytes cannot go on without them, but the scan can leave out one file.
pub struct SteadyRead<'a> {
    pub file: BorrowedFd<'a>,
    pub at: u64,
    pub size: u64,
    pub fault: Option<Fault>,
    pub progress: &'a dyn Progress,
}

impl Read for SteadyRead<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let want = buffer.len().min(usize::try_from(self.size - self.at).unwrap_or(usize::MAX));
        if want == 0 {
            return Ok(0);
        }
        let mut read = 0;
        if self.fault.is_none() {
            // At an offset, so that a second reading starts over by itself.
            match rustix::io::retry_on_intr(|| rustix::io::pread(self.file, &mut buffer[..want], self.at)) {
                Ok(0) => self.fault = Some(Fault::Short),
                Ok(some) => read = some,
                Err(err) => self.fault = Some(Fault::Os(err)),
            }
        }
        if self.fault.is_some() {
            buffer[..want].fill(0);
            read = want;
        }
        if self.at / CHECK_BYTES != (self.at + read as u64) / CHECK_BYTES {
            crate::progress::check(self.progress)?;
        }
        self.at += read as u64;
        self.progress.advance(read as u64);
        Ok(read)
    }
}
