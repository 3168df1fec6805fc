//! Reading packs: a few open files and a few decoded frames are kept, so that many small contents
//! read in order cost one decode for each frame.

use crate::error::Error;
use crate::error::Result;
use crate::id::PackId;
use crate::store::backend::Backend;
use crate::store::backend::Object;
use crate::store::pack::Class;
use crate::store::pack::Location;
use crate::store::pack::PACK_HEADER_BYTES;
use crate::store::pack::TRAILER_BYTES;
use crate::store::pack::footer::Footer;
use crate::store::pack::footer::Trailer;
use crate::store::pack::frame;
use crate::store::pack::frame::FRAME_HEADER_BYTES;
use crate::store::pack::frame::FrameHeader;
use crate::store::pack::pack_name;
use crate::store::pack::parse_pack_header;
use std::collections::VecDeque;
use std::io;
use std::io::Read;
use std::sync::Arc;
use std::sync::Mutex;

/// 16 to 20 MiB with the frames that are written today.
const FRAMES_KEPT: usize = 16;
const PACKS_KEPT: usize = 32;

type FrameKey = (PackId, u64);

/// A decoded frame and where the next one begins.
#[derive(Clone, Debug)]
pub struct Frame {
    pub raw: Arc<Vec<u8>>,
    pub next: u64,
}

#[derive(Debug)]
pub struct PackReader {
    backend: Arc<dyn Backend>,
    packs: Mutex<VecDeque<(PackId, Arc<dyn Object>)>>,
    frames: Mutex<VecDeque<(FrameKey, Frame)>>,
}

impl PackReader {
    pub fn new(backend: Arc<dyn Backend>) -> PackReader {
        PackReader { backend, packs: Mutex::default(), frames: Mutex::default() }
    }

    /// Opens `len` bytes of the object at a location from `offset` on.
    pub fn open(self: &Arc<Self>, location: &Location, offset: u64, len: u64) -> Result<ObjectReader> {
        if offset.checked_add(len).is_none_or(|end| end > location.len) {
            return Err(Error::invalid(
                format!("bytes {offset}+{len} of an object"),
                format!("it has {} bytes", location.len),
            ));
        }
        let mut reader = ObjectReader {
            packs: Arc::clone(self),
            pack: location.pack,
            next: location.frame,
            frame: None,
            at: 0,
            left: len,
        };
        if len > 0 {
            reader.seek(u64::from(location.skip) + offset)?;
        }
        Ok(reader)
    }

    /// Reads a whole object that the caller knows to be small.
    pub fn read(self: &Arc<Self>, location: &Location) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.open(location, 0, location.len)?
            .read_to_end(&mut bytes)
            .map_err(|err| crate::error::from_stream(pack_name(&location.pack), err))?;
        Ok(bytes)
    }

    /// Reads and checks the footer of a pack, without keeping it.
    pub fn footer(&self, pack: &PackId) -> Result<Footer> {
        let footer = read_footer(&*self.pack(pack)?, &pack_name(pack))?;
        match footer {
            (footer, id) if id == *pack => Ok(footer),
            (_, id) => Err(Error::Corrupt {
                thing: pack_name(pack),
                expected: pack.to_string(),
                found: id.to_string(),
            }),
        }
    }

    /// Drops what is kept of a pack that is about to go.
    pub fn forget(&self, pack: &PackId) {
        self.packs.lock().expect("no holder panics").retain(|(id, _)| id != pack);
        self.frames.lock().expect("no holder panics").retain(|((id, _), _)| id != pack);
    }

    pub fn pack(&self, id: &PackId) -> Result<Arc<dyn Object>> {
        if let Some(pack) = recall(&self.packs, id) {
            return Ok(pack);
        }
        let pack = self.backend.open(&pack_name(id))?;
        keep(&self.packs, *id, Arc::clone(&pack), PACKS_KEPT);
        Ok(pack)
    }

    pub fn frame(&self, pack: &PackId, at: u64) -> Result<Frame> {
        let key = (*pack, at);
        if let Some(frame) = recall(&self.frames, &key) {
            return Ok(frame);
        }
        let object = self.pack(pack)?;
        let frame = read_frame(&*object, pack, at)?;
        keep(&self.frames, key, frame.clone(), FRAMES_KEPT);
        Ok(frame)
    }
}

/// Finds a kept value and makes it the newest.
pub(super) fn recall<K: PartialEq, V: Clone>(kept: &Mutex<VecDeque<(K, V)>>, key: &K) -> Option<V> {
    let mut kept = kept.lock().expect("no holder panics");
    let at = kept.iter().rposition(|(known, _)| known == key)?;
    let entry = kept.remove(at)?;
    let value = entry.1.clone();
    kept.push_back(entry);
    Some(value)
}

pub(super) fn keep<K, V>(kept: &Mutex<VecDeque<(K, V)>>, key: K, value: V, most: usize) {
    let mut kept = kept.lock().expect("no holder panics");
    if kept.len() >= most {
        kept.pop_front();
    }
    kept.push_back((key, value));
}

fn frame_header(object: &dyn Object, thing: &str, at: u64) -> Result<FrameHeader> {
    let mut header = [0; FRAME_HEADER_BYTES];
    object.read_at(at, &mut header)?;
    FrameHeader::parse(thing, &header)
}

/// Reads and checks the frame whose header begins at `at`.
pub fn read_frame(object: &dyn Object, pack: &PackId, at: u64) -> Result<Frame> {
    let thing = format!("frame at {at} of {}", pack_name(pack));
    let header = frame_header(object, &thing, at)?;
    let mut stored = vec![0; header.stored_len as usize];
    object.read_at(at + FRAME_HEADER_BYTES as u64, &mut stored)?;
    Ok(Frame {
        raw: Arc::new(frame::decode(&thing, &header, stored)?),
        next: at + FRAME_HEADER_BYTES as u64 + u64::from(header.stored_len),
    })
}

/// Reads the header and footer of any pack; its id is the hash of what was read.
pub fn read_footer(object: &dyn Object, thing: &str) -> Result<(Footer, PackId)> {
    if object.len() < (PACK_HEADER_BYTES + TRAILER_BYTES) as u64 {
        return Err(Error::Corrupt {
            thing: thing.to_owned(),
            expected: "a sealed pack".to_owned(),
            found: format!("{} bytes", object.len()),
        });
    }
    let mut header = [0; PACK_HEADER_BYTES];
    object.read_at(0, &mut header)?;
    let class: Class = parse_pack_header(thing, &header)?;
    let mut bytes = [0; TRAILER_BYTES];
    object.read_at(object.len() - TRAILER_BYTES as u64, &mut bytes)?;
    let trailer = Trailer::parse(thing, object.len(), &bytes)?;
    let mut stored = vec![0; trailer.stored_len as usize];
    object.read_at(trailer.footer_offset, &mut stored)?;
    let footer = trailer.open(thing, &stored)?;
    if footer.class != class {
        return Err(Error::Corrupt {
            thing: thing.to_owned(),
            expected: format!("class {class:?} as its header says"),
            found: format!("{:?}", footer.class),
        });
    }
    Ok((footer, trailer.id))
}

/// Streams one object, one frame at a time; every frame is checked before its first byte is given.
#[derive(Debug)]
pub struct ObjectReader {
    packs: Arc<PackReader>,
    pack: PackId,
    next: u64,
    frame: Option<Arc<Vec<u8>>>,
    at: usize,
    left: u64,
}

impl ObjectReader {
    /// Goes `skip` raw bytes on from the start of the next frame, by frame headers alone.
    fn seek(&mut self, mut skip: u64) -> Result<()> {
        let object = self.packs.pack(&self.pack)?;
        loop {
            let thing = format!("frame at {} of {}", self.next, pack_name(&self.pack));
            let header = frame_header(&*object, &thing, self.next)?;
            if skip < u64::from(header.raw_len) {
                break;
            }
            if header.raw_len == 0 {
                return Err(Error::Corrupt {
                    thing,
                    expected: "bytes of an object".to_owned(),
                    found: "none".to_owned(),
                });
            }
            skip -= u64::from(header.raw_len);
            self.next += FRAME_HEADER_BYTES as u64 + u64::from(header.stored_len);
        }
        self.load()?;
        self.at = skip as usize;
        Ok(())
    }

    fn load(&mut self) -> Result<()> {
        let frame = self.packs.frame(&self.pack, self.next)?;
        if frame.raw.is_empty() {
            return Err(Error::Corrupt {
                thing: format!("frame at {} of {}", self.next, pack_name(&self.pack)),
                expected: "bytes of an object".to_owned(),
                found: "none".to_owned(),
            });
        }
        self.next = frame.next;
        self.frame = Some(frame.raw);
        self.at = 0;
        Ok(())
    }
}

impl Read for ObjectReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 || buffer.is_empty() {
            return Ok(0);
        }
        if self.frame.as_ref().is_none_or(|frame| self.at >= frame.len()) {
            self.load()?;
        }
        let frame = self.frame.as_ref().map_or(&[][..], |frame| &frame[self.at..]);
        let len = frame.len().min(buffer.len()).min(self.left.min(usize::MAX as u64) as usize);
        buffer[..len].copy_from_slice(&frame[..len]);
        self.at += len;
        self.left -= len as u64;
        Ok(len)
    }
}
