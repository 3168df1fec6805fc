//! One compressed unit of an image: a cluster or a grain, in memory as a whole.
//!
//! Its size is known before, so a bomb is no more than that; and what follows the compressed bytes
//! is left alone, because formats state their length in sectors.

use flate2::Decompress;
use flate2::FlushDecompress;
use zstd::stream::raw::Decoder;
use zstd::stream::raw::Operation;

/// Memory that a zstd frame may ask for: 2 to this power. QEMU's frames hold one cluster, 2 MiB at most.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// With zlib's header and checksum (vmdk).
    Zlib,
    /// Without (qcow2).
    Deflate,
    Zstd,
}

/// Unpacks to `len` bytes, or fewer where there are no more; or says in words why it cannot.
pub fn unpack(packing: Packing, packed: &[u8], len: usize) -> Result<Vec<u8>, String> {
    let mut bytes = vec![0; len];
    let count = match packing {
        Packing::Zlib => inflate(Decompress::new(true), packed, &mut bytes)?,
        Packing::Deflate => inflate(Decompress::new(false), packed, &mut bytes)?,
        Packing::Zstd => unpack_zstd(packed, &mut bytes).map_err(|err| err.to_string())?,
    };
    bytes.truncate(count);
    Ok(bytes)
}

fn inflate(mut inflate: Decompress, packed: &[u8], bytes: &mut [u8]) -> Result<usize, String> {
    inflate.decompress(packed, bytes, FlushDecompress::Finish).map_err(|err| err.to_string())?;
    Ok(inflate.total_out() as usize)
}

fn unpack_zstd(mut packed: &[u8], bytes: &mut [u8]) -> std::io::Result<usize> {
    let mut decoder = Decoder::new()?;
    decoder.set_parameter(zstd::zstd_safe::DParameter::WindowLogMax(ZSTD_WINDOW_LOG_MAX))?;
    let mut count = 0;
    while count < bytes.len() {
        let status = decoder.run_on_buffers(packed, &mut bytes[count..])?;
        let stuck = status.bytes_read == 0 && status.bytes_written == 0;
        count += status.bytes_written;
        packed = &packed[status.bytes_read..];
        // At the end of its frame, or starved.
        if status.remaining == 0 || stuck {
            break;
        }
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_unit_is_as_long_as_it_may_be_and_noise_is_refused() {
        let text = b"a cluster of text ".repeat(100);
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
        zlib.write_all(&text).unwrap();
        let zlib = zlib.finish().unwrap();
        let frame = zstd::encode_all(&text[..], 3).unwrap();
        for (packing, packed) in
            [(Packing::Zlib, &zlib[..]), (Packing::Deflate, &zlib[2..]), (Packing::Zstd, &frame)]
        {
            let padded = [packed, &[0x55; 40]].concat();
            assert_eq!(unpack(packing, &padded, text.len()).unwrap(), text, "{packing:?}");
            // A unit whose end nobody asks for is QEMU's business, not a fault.
            assert_eq!(unpack(packing, packed, 100).unwrap(), text[..100], "{packing:?}");
            assert_eq!(unpack(packing, packed, text.len() + 1).unwrap(), text, "{packing:?}");
            let half = unpack(packing, &packed[..packed.len() / 2], text.len());
            assert!(half.is_err() || half.is_ok_and(|half| half.len() < text.len()), "{packing:?}");
            assert!(unpack(packing, &[0xff; 40], text.len()).is_err(), "{packing:?}");
        }
    }
}
