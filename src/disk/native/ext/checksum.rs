//! The checksums of ext4's metadata.
//!
//! Each is a CRC-32C that begins with a seed: that of the file system, or one made of it for an
//! inode. Linux keeps the register as it is, without the usual inversion at both ends.

use crate::error::Error;
use crate::error::Result;

pub fn crc32c(seed: u32, bytes: &[u8]) -> u32 {
    !crc32c::crc32c_append(!seed, bytes)
}

/// CRC-16 with the polynomial 0x8005, reflected: group descriptors before CRC-32C came.
pub fn crc16(seed: u16, bytes: &[u8]) -> u16 {
    bytes.iter().fold(seed, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xa001 } else { crc >> 1 })
    })
}

/// Compares what a structure says with what its bytes say.
pub fn check(stored: u32, computed: u32, thing: impl FnOnce() -> String) -> Result<()> {
    if stored == computed {
        return Ok(());
    }
    Err(Error::Mismatch {
        thing: thing(),
        expected: format!("checksum {stored:#010x}"),
        found: format!("{computed:#010x}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_the_published_ones() {
        assert_eq!(!crc32c(!0, b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(crc32c(7, b"1234"), b"56789"), crc32c(7, b"123456789"));
        assert_eq!(crc16(0, b"123456789"), 0xbb3d);
    }
}
