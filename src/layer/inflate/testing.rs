//! For tests and fuzzing: any bytes as a deflate stream, held to what zlib makes of them.

use super::Inflate;
use flate2::Decompress;
use flate2::FlushDecompress;
use flate2::Status;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;

/// More is not looked at, as a few bytes can stand for gigabytes. It is several times what is decoded
/// at once.
const OUT_BYTES_MAX: usize = 512 << 10;

/// The bytes of a stream, and how many follow it, which is not asked where the bytes are too many.
/// `None` for a stream that is broken or cut.
type Outcome = Option<(Vec<u8>, Option<usize>)>;

/// Panics unless both decoders do the same, whatever pieces the input comes in.
pub fn any_deflate(bytes: &[u8]) {
    let expected = by_zlib(bytes);
    assert!(by_us(bytes, 64 << 10) == expected);
    for piece in [1, 7, 40, 5_000] {
        let from = BufReader::with_capacity(piece, bytes);
        assert!(by_us(from, piece * 3 + 1) == expected, "in pieces of {piece}");
    }
}

fn by_zlib(bytes: &[u8]) -> Outcome {
    let mut zlib = Decompress::new(false);
    let mut out = vec![0; OUT_BYTES_MAX];
    let status = zlib.decompress(bytes, &mut out, FlushDecompress::None).ok()?;
    out.truncate(zlib.total_out() as usize);
    match status {
        _ if out.len() == OUT_BYTES_MAX => Some((out, None)),
        Status::StreamEnd => Some((out, Some(bytes.len() - zlib.total_in() as usize))),
        Status::Ok | Status::BufError => None,
    }
}

fn by_us(from: impl BufRead, step: usize) -> Outcome {
    let mut inflate = Inflate::new(from);
    let mut out = Vec::new();
    loop {
        let room = step.min(OUT_BYTES_MAX - out.len());
        if room == 0 {
            return Some((out, None));
        }
        let len = out.len();
        out.resize(len + room, 0);
        let more = inflate.read(&mut out[len..]).ok()?;
        out.truncate(len + more);
        if more == 0 {
            let mut rest = Vec::new();
            inflate.get_mut().read_to_end(&mut rest).ok()?;
            return Some((out, Some(rest.len())));
        }
    }
}
