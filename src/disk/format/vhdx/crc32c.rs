//! CRC-32 with Castagnoli's polynomial, which vhdx uses throughout.
//!
//! A table of our own: it is for headers and a log of a few MB, not worth one more crate.

const POLYNOMIAL: u32 = 0x82f6_3b78;

const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut sum = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            sum = if sum & 1 == 1 { sum >> 1 ^ POLYNOMIAL } else { sum >> 1 };
            bit += 1;
        }
        table[byte] = sum;
        byte += 1;
    }
    table
};

/// Is the checksum in bytes 4 to 7 that of all the bytes?
pub fn has_checksum(bytes: &[u8]) -> bool {
    bytes.len() >= 8 && checksum(bytes).to_le_bytes() == bytes[4..8]
}

/// The checksum of a structure of at least 8 bytes, with bytes 4 to 7, where it stands, counted as zero.
pub fn checksum(bytes: &[u8]) -> u32 {
    !update(update(update(!0, &bytes[..4]), &[0; 4]), &bytes[8..])
}

fn update(sum: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(sum, |sum, byte| sum >> 8 ^ TABLE[(sum as u8 ^ byte) as usize])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_castagnolis() {
        assert_eq!(!update(!0, b"123456789"), 0xe306_9283);
        let mut bytes = *b"head____rest";
        assert!(!has_checksum(&bytes));
        let sum = checksum(&bytes);
        bytes[4..8].copy_from_slice(&sum.to_le_bytes());
        assert!(has_checksum(&bytes));
        bytes[9] ^= 1;
        assert!(!has_checksum(&bytes));
        assert!(!has_checksum(b"head"));
    }
}
