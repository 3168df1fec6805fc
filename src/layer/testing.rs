//! What tests and fuzz targets of layers share: contents in memory, tars made by hand, and the
//! properties that hold for every input. Not for use by the program.

use super::EMPTY;
use super::LayerEntry;
use super::Limits;
use super::header::BLOCK_BYTES;
use super::header::Block;
use super::header::padding;
use super::read::Taken;
use super::read::take_apart;
use super::rebuild::rebuild;
use super::recipe;
use crate::content::ContentSink;
use crate::content::ContentSource;
use crate::error::Error;
use crate::error::Result;
use crate::error::from_stream;
use crate::id::ContentId;
use std::collections::HashMap;
use std::io::Read;

/// Contents kept in memory.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    pub contents: HashMap<ContentId, Vec<u8>>,
    pub puts: u64,
}

impl ContentSink for Memory {
    fn put(&mut self, size: u64, from: &mut dyn Read) -> Result<ContentId> {
        let mut bytes = Vec::new();
        // Oddly sized reads, so that every seam of the reader is crossed.
        let mut buffer = [0; 777];
        while (bytes.len() as u64) < size {
            let room = buffer.len().min((size - bytes.len() as u64) as usize);
            let len = from.read(&mut buffer[..room]).map_err(|err| from_stream("content", err))?;
            if len == 0 {
                return Err(Error::invalid("content", "ends too early"));
            }
            bytes.extend_from_slice(&buffer[..len]);
        }
        let id = ContentId::of(&bytes);
        self.contents.insert(id, bytes);
        self.puts += 1;
        Ok(id)
    }
}

impl ContentSource for Memory {
    fn open(&self, id: &ContentId, offset: u64, len: u64) -> Result<Box<dyn Read + '_>> {
        let missing = || Error::not_found("content", id.to_string());
        let bytes = self.contents.get(id).ok_or_else(missing)?;
        let start = usize::try_from(offset).map_err(|_| missing())?;
        let end = usize::try_from(len).ok().and_then(|len| start.checked_add(len)).ok_or_else(missing)?;
        Ok(Box::new(bytes.get(start..end).ok_or_else(missing)?))
    }
}

/// A tar taken apart, with the proof that nothing of it was lost.
#[derive(Debug)]
pub struct Apart {
    pub taken: Taken,
    pub entries: Vec<LayerEntry>,
    pub recipe: Vec<u8>,
    pub memory: Memory,
}

/// Takes `tar` apart, and panics unless its recipe gives the same bytes and the same listing.
///
/// Errors are those of taking apart: for input that is refused.
pub fn round_trip(tar: &[u8], limits: &Limits) -> Result<Apart> {
    let mut memory = Memory::default();
    let mut recipe = Vec::new();
    let mut entries = Vec::new();
    let mut each = |entry| {
        entries.push(entry);
        Ok(())
    };
    let taken = take_apart(&mut &*tar, &mut memory, &mut recipe, &mut each, limits)?;
    assert_eq!(taken.bytes, tar.len() as u64);
    assert_eq!(taken.entries, entries.len() as u64);

    let mut again = Vec::new();
    let len = rebuild(&mut &*recipe, &memory, &mut again).expect("what was taken apart can be rebuilt");
    assert!(again == tar, "rebuilt tar differs: {} bytes of {}", again.len(), tar.len());
    assert_eq!(len, tar.len() as u64);

    let mut listed = Vec::new();
    let mut each = |entry| {
        listed.push(entry);
        Ok(())
    };
    recipe::list(&mut &*recipe, &mut each).expect("what was taken apart can be listed");
    assert_eq!(listed, entries);

    let mut used = std::collections::HashSet::new();
    let mut each = |id| {
        used.insert(id);
        Ok(())
    };
    recipe::contents(&mut &*recipe, &mut each).expect("what was taken apart can be scanned");
    assert!(memory.contents.keys().all(|id| used.contains(id)), "a recipe names all that it put");
    assert!(used.iter().all(|id| memory.contents.contains_key(id)));
    Ok(Apart { taken, entries, recipe, memory })
}

/// For fuzzing: any bytes as a tar.
pub fn any_tar(bytes: &[u8]) {
    let limits = Limits { sparse_bytes: 1 << 20, ..Limits::default() };
    let _ = round_trip(bytes, &limits);
}

/// For fuzzing: any bytes as a recipe, over contents that are not there, or all alike.
pub fn any_recipe(bytes: &[u8]) {
    let mut memory = Memory::default();
    memory.contents.insert(EMPTY, Vec::new());
    let _ = rebuild(&mut &*bytes, &memory, &mut std::io::sink());
    let _ = recipe::list(&mut &*bytes, &mut |_| Ok(()));
    let _ = recipe::contents(&mut &*bytes, &mut |_| Ok(()));
}

/// A header block in the GNU format, with a sound checksum.
pub fn header(name: &[u8], flag: u8, size: u64) -> Block {
    let mut block: Block = [0; BLOCK_BYTES];
    let len = name.len().min(100);
    block[..len].copy_from_slice(&name[..len]);
    block[100..108].copy_from_slice(b"0000644\0");
    block[108..116].copy_from_slice(b"0000000\0");
    block[116..124].copy_from_slice(b"0000000\0");
    block[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
    block[136..148].copy_from_slice(b"00000000000\0");
    block[156] = flag;
    block[257..265].copy_from_slice(b"ustar  \0");
    seal(&mut block);
    block
}

/// Writes the checksum of what the block holds now.
pub fn seal(block: &mut Block) {
    block[148..156].fill(b' ');
    let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

/// A header and its payload, padded.
pub fn member(name: &[u8], flag: u8, payload: &[u8]) -> Vec<u8> {
    padded(header(name, flag, payload.len() as u64), payload)
}

pub fn padded(header: Block, payload: &[u8]) -> Vec<u8> {
    let mut bytes = header.to_vec();
    bytes.extend_from_slice(payload);
    bytes.resize(bytes.len() + padding(payload.len() as u64), 0);
    bytes
}

/// An entry whose header names another one.
pub fn link(name: &[u8], flag: u8, target: &[u8]) -> Vec<u8> {
    let mut block = header(name, flag, 0);
    block[157..157 + target.len()].copy_from_slice(target);
    seal(&mut block);
    block.to_vec()
}

/// `key=value` with the length in front that PAX wants, which counts itself.
pub fn pax_record(record: &[u8]) -> Vec<u8> {
    let mut len = record.len() + 3;
    while len != record.len() + 2 + len.to_string().len() {
        len = record.len() + 2 + len.to_string().len();
    }
    [format!("{len} ").as_bytes(), record, b"\n"].concat()
}

/// An `x` (or `g`) header with these records.
pub fn pax(flag: u8, records: &[&[u8]]) -> Vec<u8> {
    let body: Vec<u8> = records.iter().flat_map(|record| pax_record(record)).collect();
    member(b"PaxHeaders/x", flag, &body)
}

/// The two blocks of zeros.
pub fn end() -> Vec<u8> {
    vec![0; 2 * BLOCK_BYTES]
}
