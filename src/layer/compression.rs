//! Compressed layers: found by their first bytes, decoded as a stream, held to a limit.
//!
//! What Go's readers and GNU gzip take is taken: gzip of several members, bytes after the last
//! one (ignored, but read, so that a digest over the compressed bytes sees them all), zstd of
//! several frames and skippable ones between them, as zstd:chunked has. Names found elsewhere
//! (media types, file names) are not asked: registries hold layers whose type lies.

use crate::error::Error;
use crate::error::Result;
use crate::error::from_stream;
use crate::layer::gzip::member::Member;
use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Compression {
    /// Reads the first bytes of a stream; four are enough.
    pub fn detect(start: &[u8]) -> Compression {
        match start {
            [0x1f, 0x8b, 8, ..] => Compression::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Compression::Zstd,
            // A skippable frame: zstd:chunked may put one first.
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Compression::Zstd,
            _ => Compression::None,
        }
    }
}

/// What a compressed stream may unpack to before it is taken for a bomb.
#[derive(Clone, Debug)]
pub struct DecodeLimits {
    pub bytes: u64,
    /// Bytes out for each byte in. Deflate cannot do more than 1,032, so this only ever stops
    /// zstd, which can do 30,000 on zeros.
    pub ratio: u64,
    /// Until so many bytes are out the ratio is not looked at: a small layer may well hold a
    /// large file of zeros, and unpacking this much costs a second and no disk.
    pub ratio_from_bytes: u64,
    /// Memory that a zstd frame may ask for: 2 to this power. 27 (128 MiB) is what the zstd tool
    /// takes without `--long`.
    pub zstd_window_log: u32,
}

impl Default for DecodeLimits {
    fn default() -> DecodeLimits {
        DecodeLimits { bytes: 1 << 40, ratio: 1_100, ratio_from_bytes: 1 << 30, zstd_window_log: 27 }
    }
}

const INPUT_BUFFER_BYTES: usize = 128 << 10;

/// Returns what `from` is and a reader of what it holds; one that is not compressed passes as is.
///
/// `noun` is what errors call it: "layer", "archive".
///
/// Faults of the reader carry an [`Error`] where there is more to say than the decoder's words;
/// [`from_stream`] takes it out again.
pub fn decoder<'a>(
    noun: &'static str,
    from: impl Read + Send + 'a,
    limits: &DecodeLimits,
) -> Result<(Compression, Box<dyn Read + Send + 'a>)> {
    buffered_decoder(noun, BufReader::with_capacity(INPUT_BUFFER_BYTES, from), limits)
}

/// [`decoder`] of what is buffered already.
pub fn buffered_decoder<'a>(
    noun: &'static str,
    from: impl BufRead + Send + 'a,
    limits: &DecodeLimits,
) -> Result<(Compression, Box<dyn Read + Send + 'a>)> {
    let broken = |err| from_stream(format!("compressed {noun}"), err);
    let mut input = Input { from, first: [0; 4], first_at: 0, first_end: 0, bytes: 0 };
    input.fill_first().map_err(broken)?;
    let compression = Compression::detect(&input.first[..input.first_end]);
    let limits = limits.clone();
    let decoder: Box<dyn Read + Send + 'a> = match compression {
        Compression::None => Box::new(input),
        Compression::Gzip => {
            Box::new(Capped { decoder: Gzip::Member(Box::new(Member::new(input))), limits, noun, out: 0 })
        }
        Compression::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(input).map_err(broken)?;
            decoder.window_log_max(limits.zstd_window_log).map_err(broken)?;
            Box::new(Capped { decoder, limits, noun, out: 0 })
        }
    };
    Ok((compression, decoder))
}

/// The compressed stream, with its first bytes looked at and put back, counting what is used.
struct Input<R> {
    from: R,
    first: [u8; 4],
    first_at: usize,
    first_end: usize,
    bytes: u64,
}

impl<R: BufRead> Input<R> {
    fn fill_first(&mut self) -> io::Result<()> {
        while self.first_end < self.first.len() {
            match self.from.read(&mut self.first[self.first_end..]) {
                Ok(0) => break,
                Ok(len) => self.first_end += len,
                Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                Err(err) => return Err(err),
            }
        }
        Ok(())
    }
}

impl<R: BufRead> Read for Input<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.first_at < self.first_end {
            let len = (&self.first[self.first_at..self.first_end]).read(into)?;
            self.consume(len);
            return Ok(len);
        }
        let len = self.from.read(into)?;
        self.bytes += len as u64;
        Ok(len)
    }
}

impl<R: BufRead> BufRead for Input<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.first_at < self.first_end {
            return Ok(&self.first[self.first_at..self.first_end]);
        }
        self.from.fill_buf()
    }

    fn consume(&mut self, len: usize) {
        self.bytes += len as u64;
        if self.first_at < self.first_end {
            self.first_at += len;
        } else {
            self.from.consume(len);
        }
    }
}

/// Members one after the other, then anything.
enum Gzip<R> {
    Member(Box<Member<Input<R>>>),
    /// After the last member: nothing comes out any more. Holds the bytes read.
    Done(u64),
}

impl<R: BufRead> Read for Gzip<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            let Gzip::Member(member) = self else { return Ok(0) };
            let len = member.read(into)?;
            if len > 0 || into.is_empty() {
                return Ok(len);
            }
            let input = member.get_mut();
            // Three bytes may lie across the end of a buffer, so they are looked at as the first were.
            (input.first_at, input.first_end) = (0, 0);
            input.fill_first()?;
            if Compression::detect(&input.first[..input.first_end]) == Compression::Gzip {
                member.restart();
                continue;
            }
            io::copy(input, &mut io::sink())?;
            *self = Gzip::Done(input.bytes);
        }
    }
}

trait Decoder: Read {
    fn bytes_in(&self) -> u64;
}

impl<R: BufRead> Decoder for Gzip<R> {
    fn bytes_in(&self) -> u64 {
        match self {
            Gzip::Member(member) => member.get_ref().bytes,
            Gzip::Done(bytes) => *bytes,
        }
    }
}

impl<R: BufRead> Decoder for zstd::stream::read::Decoder<'_, Input<R>> {
    fn bytes_in(&self) -> u64 {
        self.get_ref().bytes
    }
}

/// A decoder that gives up when what comes out is out of proportion.
struct Capped<D> {
    decoder: D,
    limits: DecodeLimits,
    noun: &'static str,
    out: u64,
}

impl<D: Decoder> Read for Capped<D> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let len = self.decoder.read(into).map_err(|err| self.named(err))?;
        self.out = self.out.saturating_add(len as u64);
        let limit = |what: &str, limit, unit| {
            Err(Error::Limit { thing: format!("the {what} of the {}", self.noun), limit, unit }.into())
        };
        if self.out > self.limits.bytes {
            return limit("uncompressed size", self.limits.bytes, "bytes");
        }
        let fair = self.decoder.bytes_in().saturating_mul(self.limits.ratio);
        if self.out > self.limits.ratio_from_bytes && self.out > fair {
            return limit("compression ratio", self.limits.ratio, "bytes out for each byte in");
        }
        Ok(len)
    }
}

impl<D> Capped<D> {
    fn named(&self, err: io::Error) -> io::Error {
        // zstd has no other way to say it than these words.
        if err.to_string().contains("requires too much memory") {
            return Error::Limit {
                thing: "the window of a zstd frame".to_owned(),
                limit: 1_u64.checked_shl(self.limits.zstd_window_log).unwrap_or(u64::MAX),
                unit: "bytes",
            }
            .into();
        }
        match err.kind() {
            io::ErrorKind::Interrupted => err,
            io::ErrorKind::UnexpectedEof if err.get_ref().is_none_or(|inner| !inner.is::<Error>()) => {
                Error::invalid(format!("compressed {}", self.noun), "ends too early").into()
            }
            _ => err,
        }
    }
}

/// For fuzzing: any bytes as a compressed stream.
#[doc(hidden)]
pub fn any_compressed(bytes: &[u8]) {
    let limits = DecodeLimits { bytes: 1 << 22, ..DecodeLimits::default() };
    if let Ok((_, mut decoder)) = decoder("layer", bytes, &limits) {
        let _ = io::copy(&mut decoder, &mut io::sink());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        zstd::encode_all(bytes, 3).unwrap()
    }

    fn skippable(bytes: &[u8]) -> Vec<u8> {
        [&[0x5a, 0x2a, 0x4d, 0x18][..], &(bytes.len() as u32).to_le_bytes(), bytes].concat()
    }

    /// Reads a byte at a time where `slow`, so that every seam is crossed.
    struct Source<'a> {
        bytes: &'a [u8],
        slow: bool,
    }

    impl Read for Source<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let room = if self.slow { into.len().min(1) } else { into.len() };
            self.bytes.read(&mut into[..room])
        }
    }

    fn decoded(bytes: &[u8], limits: &DecodeLimits, slow: bool) -> Result<(Compression, Vec<u8>, usize)> {
        let mut source = Source { bytes, slow };
        let mut out = Vec::new();
        let (compression, mut decoder) = decoder("layer", &mut source, limits)?;
        decoder.read_to_end(&mut out).map_err(|err| from_stream("layer", err))?;
        drop(decoder);
        Ok((compression, out, source.bytes.len()))
    }

    fn check(bytes: &[u8], compression: Compression, expected: &[u8]) {
        for slow in [false, true] {
            let (found, out, left) = decoded(bytes, &DecodeLimits::default(), slow).unwrap();
            assert_eq!((found, &out[..]), (compression, expected));
            assert_eq!(left, 0, "all is read, so that a digest covers it");
        }
    }

    #[test]
    fn what_is_not_compressed_passes() {
        for bytes in [&b""[..], b"\x1f", b"\x1f\x8b", b"etc/passwd\0\0\0"] {
            check(bytes, Compression::None, bytes);
        }
    }

    #[test]
    fn gzip_members_and_trailing_bytes() {
        check(&gzip(b""), Compression::Gzip, b"");
        check(&[gzip(b"one "), gzip(b""), gzip(b"two")].concat(), Compression::Gzip, b"one two");
        for trailing in [&[0; 1000][..], b"garbage", b"\x1f", b"\x1f\x8b"] {
            check(&[&gzip(b"one")[..], trailing].concat(), Compression::Gzip, b"one");
        }
    }

    #[test]
    fn zstd_frames_and_skippable_frames() {
        check(&zstd(b""), Compression::Zstd, b"");
        let chunked =
            [skippable(b"first"), zstd(b"one "), skippable(b""), zstd(b"two"), skippable(b"index")].concat();
        check(&chunked, Compression::Zstd, b"one two");
    }

    #[test]
    fn damage_is_an_error() {
        let text = b"some text that is long enough to be cut and bent".repeat(50);
        for whole in [gzip(&text), zstd(&text)] {
            for cut in [5, whole.len() / 2, whole.len() - 1] {
                let err = decoded(&whole[..cut], &DecodeLimits::default(), true).unwrap_err();
                assert_eq!(err.to_string(), "compressed layer: ends too early");
            }
        }
        let mut bent = gzip(&text);
        let crc = bent.len() - 6;
        bent[crc] ^= 1;
        assert!(decoded(&bent, &DecodeLimits::default(), false).is_err());
        assert!(
            decoded(
                &[gzip(b"one"), b"\x1f\x8b\x08garbage".to_vec()].concat(),
                &DecodeLimits::default(),
                false
            )
            .is_err()
        );
        assert!(decoded(&[&zstd(b"one")[..], b"garbage"].concat(), &DecodeLimits::default(), false).is_err());
    }

    #[test]
    fn a_cause_below_keeps_its_name() {
        struct Breaks;
        impl Read for Breaks {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(Error::invalid("layer 3 of 5", "digest mismatch").into())
            }
        }
        let text = b"some text".repeat(50);
        for whole in [gzip(&text), zstd(&text)] {
            let (_, mut decoder) =
                decoder("layer", whole[..20].chain(Breaks), &DecodeLimits::default()).unwrap();
            let err = decoder.read_to_end(&mut Vec::new()).unwrap_err();
            assert_eq!(from_stream("layer", err).to_string(), "layer 3 of 5: digest mismatch");
        }
    }

    #[test]
    fn bombs_are_refused_by_the_limit_they_pass() {
        let zeros = vec![0; 32 << 20];
        let check = |bytes: &[u8], limits: DecodeLimits, expected: &str| {
            assert_eq!(decoded(bytes, &limits, false).unwrap_err().to_string(), expected);
        };
        let small = || DecodeLimits { ratio_from_bytes: 8 << 20, ..DecodeLimits::default() };
        check(
            &zstd(&zeros),
            small(),
            "the compression ratio of the layer is over the limit of 1100 bytes out for each byte in",
        );
        check(
            &gzip(&zeros),
            DecodeLimits { bytes: 1 << 20, ..small() },
            "the uncompressed size of the layer is over the limit of 1048576 bytes",
        );
        // Deflate cannot pass the ratio, and what is small enough may.
        assert_eq!(decoded(&gzip(&zeros), &small(), false).unwrap().1.len(), zeros.len());
        assert_eq!(decoded(&zstd(&zeros), &DecodeLimits::default(), false).unwrap().1.len(), zeros.len());

        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
        encoder.window_log(28).unwrap();
        encoder.write_all(&vec![1; 300 << 10]).unwrap();
        encoder.flush().unwrap();
        encoder.write_all(&vec![2; 300 << 10]).unwrap();
        check(
            &encoder.finish().unwrap(),
            DecodeLimits::default(),
            "the window of a zstd frame is over the limit of 134217728 bytes",
        );
    }
}
