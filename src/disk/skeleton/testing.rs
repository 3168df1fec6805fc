//! What tests and fuzz targets of skeletons share: a disk taken apart with the proof that it comes
//! back, and what holds for all bytes as a recipe. Not for use by the program.

use super::Fingerprints;
use super::Hint;
use super::Region;
use super::Table;
use super::Written;
use super::find;
use super::rebuild::SparseOutput;
use super::rebuild::Stream;
use super::rebuild::rebuild;
use super::recipe;
use super::recipe::Head;
use super::recipe::Ops;
use super::recipe::Origin;
use super::stored::StoredDisk;
use crate::content::ContentSink;
use crate::disk::bytes::ReadAt;
use crate::error::Result;
use crate::id::ContentId;
use crate::id::DiffId;
use crate::layer::testing::Memory;
use crate::progress::Silent;
use std::io::Read;

/// A disk that is made again.
#[derive(Default)]
pub struct Image(pub Vec<u8>);

/// Enough for tests; a recipe of hostile size is not to be believed.
const IMAGE_BYTES_MAX: u64 = 64 << 20;

impl SparseOutput for Image {
    fn set_len(&mut self, len: u64) -> Result<()> {
        if len > IMAGE_BYTES_MAX {
            return Err(crate::error::Error::Limit {
                thing: "disk of a test".into(),
                limit: IMAGE_BYTES_MAX,
                unit: "bytes",
            });
        }
        self.0.resize(len as usize, 0);
        Ok(())
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.0[offset as usize..][..bytes.len()].copy_from_slice(bytes);
        Ok(())
    }
}

/// Puts contents and takes their fingerprints.
pub fn put_all(memory: &mut Memory, mut prints: Fingerprints, contents: &[Vec<u8>]) -> Table {
    for content in contents {
        let mut bytes = &content[..];
        let mut tee = prints.tee(&mut bytes);
        let id = memory.put(content.len() as u64, &mut tee).unwrap();
        tee.keep(id).unwrap();
    }
    prints.finish()
}

/// A disk taken apart.
pub struct Apart {
    pub recipe: Vec<u8>,
    pub written: Written,
    pub refuted_bytes: u64,
    pub memory: Memory,
}

/// Takes a disk apart and panics unless each way back gives the same bytes.
pub fn round_trip(
    disk: &Vec<u8>,
    regions: &[Region],
    table: &Table,
    hints: &[Hint],
    mut memory: Memory,
) -> Apart {
    let skeleton = find(disk, regions, table, hints, &memory, &Silent).unwrap();
    assert_eq!(skeleton.id, DiffId::of(disk));
    let mut ops = Vec::new();
    let facts = [("format".to_owned(), "raw".to_owned())];
    let written = skeleton.write(disk, table, facts, &mut memory, &mut ops, &Silent).unwrap();
    assert_eq!(written.op_bytes, ops.len() as u64);
    assert_eq!(written.content_bytes + written.zero_bytes + written.residue_bytes, disk.len() as u64);
    let recipe = [&written.head[..], &ops].concat();

    let mut image = Image::default();
    let head = rebuild(&mut &recipe[..], &memory, &mut image, &Silent).unwrap();
    assert!(image.0 == *disk, "the rebuilt disk differs");
    assert_eq!((head.size, head.id), (disk.len() as u64, DiffId::of(disk)));
    let mut streamed = Vec::new();
    Stream::new(&mut &recipe[..], &memory).unwrap().read_to_end(&mut streamed).unwrap();
    assert!(streamed == *disk, "the streamed disk differs");
    let stored = StoredDisk::open(&mut &recipe[..], memory.clone()).unwrap();
    check_stored(&stored, disk);
    assert_eq!(again(&recipe).unwrap(), recipe, "a recipe has one encoding");

    let mut used = std::collections::HashSet::new();
    let mut each = |id: ContentId| {
        used.insert(id);
        Ok(())
    };
    recipe::contents(&mut &recipe[..], &memory, &mut each).unwrap();
    let needed = Memory {
        contents: memory
            .contents
            .iter()
            .filter(|(id, _)| used.contains(id))
            .map(|(id, b)| (*id, b.clone()))
            .collect(),
        puts: 0,
    };
    let mut image = Image::default();
    rebuild(&mut &recipe[..], &needed, &mut image, &Silent).expect("a recipe names all that it needs");
    Apart { recipe, written, refuted_bytes: skeleton.refuted_bytes, memory }
}

fn check_stored(stored: &StoredDisk<Memory>, disk: &[u8]) {
    let size = disk.len() as u64;
    assert_eq!(stored.size(), size);
    // Steps that share no factor with a block, so that every seam is crossed somewhere.
    let mut at = 0;
    while at < size {
        let mut buffer = vec![1; (size - at).min(30_011) as usize];
        stored.read_at(at, &mut buffer).unwrap();
        assert!(buffer == disk[at as usize..][..buffer.len()], "bytes at {at} differ");
        let span = stored.span(at).unwrap();
        assert!(span.end > at && span.end <= size);
        assert!(!span.zero || super::is_zero(&disk[at as usize..span.end.min(at + 40_000) as usize]));
        at += 30_011 - 17;
    }
    assert!(stored.read_at(size, &mut [0]).is_err());
}

/// Writes a recipe again from what was read.
fn again(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut from = bytes;
    let head = Head::read(&mut from)?;
    let files: u64 = head.files.iter().map(|list| list.ids).sum();
    let mut ops = Vec::new();
    let mut writer = recipe::Writer::new(&mut ops);
    let mut reader = Ops::new(&head, from);
    while let Some(extent) = reader.next()? {
        match extent.from {
            Origin::Zero => writer.zero(extent.len),
            Origin::Content { number, offset } if number < files => writer.run(number, offset, extent.len)?,
            Origin::Content { .. } => writer.residue(extent.len)?,
        }
    }
    writer.finish()?;
    Ok([head.encode(), ops].concat())
}

/// For fuzzing: any bytes as a recipe, over contents that are not there.
pub fn any_recipe(bytes: &[u8]) {
    let memory = Memory::default();
    if let Ok(written) = again(bytes) {
        assert!(written == bytes, "a recipe has one encoding");
        let stored = StoredDisk::open(&mut &*bytes, memory.clone()).expect("what can be read can be opened");
        for at in [0, stored.size() / 2, stored.size().saturating_sub(1)] {
            let mut buffer = vec![0; (stored.size() - at).min(5_000) as usize];
            let _ = stored.read_at(at, &mut buffer);
            let span = (at < stored.size()).then(|| stored.span(at).unwrap());
            assert!(span.is_none_or(|span| span.end > at && span.end <= stored.size()));
        }
    }
    let _ = recipe::contents(&mut &*bytes, &memory, &mut |_| Ok(()));
    if let Ok(head) = Head::read(&mut &*bytes)
        && head.size <= IMAGE_BYTES_MAX
    {
        let _ = rebuild(&mut &*bytes, &memory, &mut Image::default(), &Silent);
    }
}
