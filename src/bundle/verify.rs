//! Checking a bundle by itself: is it whole, and are its objects what it lists them as?
//!
//! Needs no store, and proves less than `apply`, which has the rest of what layers are made of.

use super::format::Head;
use super::format::ObjectKind;
use super::reader::Reader;
use super::reader::Section;
use super::take::hash_all;
use super::take::hold;
use crate::error::Doing as _;
use crate::error::Error;
use crate::error::Result;
use crate::progress::Progress;
use std::io::Read;

/// Reads the whole bundle.
pub fn verify((name, from): (&str, Box<dyn Read + Send + '_>), progress: &dyn Progress) -> Result<Head> {
    check(name, from, progress).doing(|| format!("cannot verify {name}"))
}

fn check(name: &str, from: Box<dyn Read + Send + '_>, progress: &dyn Progress) -> Result<Head> {
    let mut reader = Reader::open(name, from)?;
    progress.begin(&format!("reading {name}"), Some(reader.head().totals.bytes));
    while let Some(section) = reader.section()? {
        let Section::Objects(kind, rows) = section else { continue };
        for row in &rows {
            crate::progress::check(progress)?;
            let (len, hash) = hash_all(&mut reader.body(row.len), name)?;
            if len != row.len {
                return Err(Error::invalid(name, "ends early"));
            }
            match kind {
                // Filed under what it rebuilds.
                ObjectKind::Recipe => {}
                kind => hold(kind.noun(), row, hash)?,
            }
            progress.advance(len);
        }
    }
    Ok(reader.head().clone())
}

/// What a bundle is about, without reading the rest of it.
pub fn list((name, from): (&str, Box<dyn Read + Send + '_>)) -> Result<Head> {
    Ok(Reader::open(name, from).doing(|| format!("cannot list {name}"))?.head().clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::format::Row;
    use crate::bundle::format::Table;
    use crate::bundle::format::Totals;
    use crate::bundle::writer::Writer;
    use crate::id::ContentId;
    use crate::progress::Silent;
    use crate::store::pack::frame::FrameEncoder;

    /// A bundle of these contents, of which the last is longer than what is gathered.
    fn bundle(contents: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = Writer::new("test", &mut bytes, 3).unwrap();
        let sizes: u64 = contents.iter().map(|content| content.len() as u64).sum();
        let totals = Totals { commits: 0, objects: contents.len() as u64, bytes: sizes };
        writer.table(&Table::Head(totals)).unwrap();
        for content in contents {
            let id = ContentId::of(content).0;
            let kind = if content.len() % 2 == 0 { ObjectKind::Content } else { ObjectKind::Kept };
            writer.object(kind, id, content.len() as u64, &mut &content[..]).unwrap();
        }
        assert_eq!(writer.finish().unwrap().objects, totals.objects);
        bytes
    }

    fn check(bytes: &[u8]) -> Result<Head> {
        verify(("test", Box::new(bytes)), &Silent)
    }

    #[test]
    fn objects_of_all_sizes_there_and_back() {
        let hashes = |len: u32| (0..len / 4).flat_map(|at| crc32fast::hash(&at.to_le_bytes()).to_le_bytes());
        let many = (0..5_000).map(|number: u32| number.to_le_bytes().to_vec());
        let mut contents: Vec<Vec<u8>> = many.collect();
        contents.extend([
            Vec::new(),
            vec![1; 262_144],
            vec![2; 262_146],
            hashes(3 << 20).collect(),
            hashes(5 << 20).chain([1]).collect(),
        ]);
        assert_eq!(check(&bundle(&contents)).unwrap().totals.objects, 5_005);
    }

    #[test]
    fn every_flipped_byte_and_every_early_end_is_noticed() {
        let bytes = bundle(&[b"one".to_vec(), b"four".to_vec(), Vec::new()]);
        check(&bytes).unwrap();
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 0x04;
            assert!(check(&flipped).is_err(), "byte {at}");
            assert!(check(&bytes[..at]).is_err(), "{at} bytes");
        }
        assert!(check(&[&bytes[..], b"x"].concat()).unwrap_err().root().to_string().contains("goes on"));
    }

    /// Frames with these bytes, all checksums right.
    fn sealed(frames: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = crate::bundle::format::header().to_vec();
        for frame in frames {
            FrameEncoder::new(1).unwrap().encode(&mut frame.clone(), None, &mut bytes).unwrap();
        }
        bytes
    }

    #[test]
    fn what_is_sound_in_its_parts_must_be_so_as_a_whole() {
        let head = Table::Head(Totals { commits: 0, objects: 1, bytes: 3 }).encode();
        let row = Row { id: ContentId::of(b"one").0, len: 3 };
        let rows = |kind, row| Table::Objects(kind, vec![row]).encode();
        let one = || rows(ObjectKind::Content, row);
        let end = || Table::End(1).encode();
        let data = || b"one".to_vec();
        check(&sealed(&[head.clone(), one(), data(), end()])).unwrap();
        let long = Row { len: u64::MAX, ..row };
        let two = Table::Objects(ObjectKind::Content, vec![long, long]).encode();
        for (frames, problem) in [
            (vec![one(), data(), end()], "does not begin with its head"),
            (vec![head.clone(), end()], "expected 1 objects"),
            (vec![head.clone(), one(), end()], "ends early"),
            (vec![head.clone(), one(), b"one!".to_vec(), end()], "up to 3 bytes of objects"),
            (vec![head.clone(), one(), Vec::new(), data(), end()], "up to 3 bytes of objects"),
            (vec![head.clone(), one(), b"two".to_vec(), end()], "expected 7692c3ad"),
            (vec![head.clone(), rows(ObjectKind::Tree, row), data(), one()], "out of order"),
            (vec![head.clone(), head.clone(), end()], "out of order"),
            (
                vec![head.clone(), one(), data(), one(), data(), end()],
                "expected 1 objects, 3 bytes, found 2 objects",
            ),
            (vec![head.clone(), one(), data(), Table::End(2).encode()], "expected 1 objects"),
            (vec![head.clone(), two], "more bytes than there can be"),
            (vec![head.clone(), rows(ObjectKind::Content, long), data()], "ends early"),
            (vec![head], "ends early"),
        ] {
            let err = check(&sealed(&frames)).unwrap_err();
            let text = err.root().to_string();
            assert!(text.contains(problem), "{problem}: {text}");
        }
    }
}
