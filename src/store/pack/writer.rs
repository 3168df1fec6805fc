//! Writing a pack: small objects are gathered into frames, large ones get their own run of
//! frames, a pool of threads compresses.
//!
//! Memory is bounded by the frames in flight, whatever the sizes of the objects.

use crate::error::Result;
use crate::id::PackId;
use crate::id::Sha1Id;
use crate::store::backend::Backend;
use crate::store::backend::Draft;
use crate::store::pack::Class;
use crate::store::pack::ObjectKind;
use crate::store::pack::ObjectRow;
use crate::store::pack::PACK_HEADER_BYTES;
use crate::store::pack::draft::DraftPack;
use crate::store::pack::footer::Footer;
use crate::store::pack::footer::FrameRow;
use crate::store::pack::frame::FrameEncoder;
use crate::store::pack::frame::GATHER_BYTES;
use crate::store::pack::frame::GATHERED_BYTES_MAX;
use crate::store::pack::frame::RUN_FRAME_BYTES;
use crate::store::pack::pack_header;
use crate::store::pack::pack_name;
use crate::store::pack::tail::Job;
use crate::store::pack::tail::Tail;
use crate::store::pack::tail::run_job;
use crate::store::pack::tail::start_worker;
use crossbeam_channel::Receiver;
use crossbeam_channel::Sender;
use std::sync::Arc;
use std::thread::JoinHandle;

/// Manifests are a hundredth of the bytes: worth more effort than contents, but level 9 saves a
/// twentieth of them for a twentieth of the time of an import.
const MANIFEST_LEVEL: i32 = 3;
/// Manifests come last, all at once, and are waited for: in several frames, several threads take
/// them. They are hashes for the most part, so larger frames would save next to nothing.
const GATHER_MANIFESTS_BYTES: usize = 512 << 10;
const THREADS_MAX: usize = 4;

#[derive(Debug)]
pub struct PackWriter {
    class: Class,
    tail: Arc<Tail>,
    pool: Pool,
    /// `None` keeps frames raw.
    level: Option<i32>,
    issued: u32,
    objects: Vec<ObjectRow>,
    contents: Gather,
    manifests: Gather,
    run: Option<Run>,
}

/// Small objects on their way into one frame; its number is known once it is issued.
#[derive(Debug, Default)]
struct Gather {
    bytes: Vec<u8>,
    rows: Vec<ObjectRow>,
}

/// A large object being written.
#[derive(Debug)]
struct Run {
    kind: ObjectKind,
    first: u32,
    len: u64,
    bytes: Vec<u8>,
}

#[derive(Debug)]
struct Pool {
    jobs: Option<Sender<Job>>,
    spares: Option<Receiver<Vec<u8>>>,
    threads: Vec<JoinHandle<()>>,
}

impl PackWriter {
    /// Begins a pack under `tmp/`. Nothing is visible before [`SealedDraft::publish`].
    pub fn create(backend: &dyn Backend, class: Class, level: Option<i32>) -> Result<PackWriter> {
        let mut draft = backend.draft("pack")?;
        draft.append(&pack_header(class))?;
        Ok(PackWriter {
            class,
            tail: Arc::new(Tail::new(draft)),
            pool: Pool { jobs: None, spares: None, threads: Vec::new() },
            level,
            issued: 0,
            objects: Vec::new(),
            contents: Gather::default(),
            manifests: Gather::default(),
            run: None,
        })
    }

    pub fn is_empty(&self) -> bool {
        self.objects.is_empty() && self.contents.rows.is_empty() && self.manifests.rows.is_empty()
    }

    /// Adds an object that is in memory.
    pub fn add(&mut self, kind: ObjectKind, id: [u8; 32], sha1: Option<Sha1Id>, bytes: &[u8]) -> Result<()> {
        if bytes.len() > GATHERED_BYTES_MAX {
            self.begin_run(kind);
            self.write_run(bytes)?;
            return self.finish_run(id, sha1);
        }
        let gather = if kind == ObjectKind::Content { &mut self.contents } else { &mut self.manifests };
        gather.rows.push(ObjectRow {
            kind,
            id,
            sha1,
            frame: 0,
            skip: gather.bytes.len() as u32,
            len: bytes.len() as u64,
        });
        gather.bytes.extend_from_slice(bytes);
        let enough = if kind == ObjectKind::Content { GATHER_BYTES } else { GATHER_MANIFESTS_BYTES };
        if gather.bytes.len() >= enough {
            let gather = std::mem::take(gather);
            self.issue_gather(gather, kind)?;
        }
        Ok(())
    }

    /// Begins an object of any size, whose id is known at its end.
    pub fn begin_run(&mut self, kind: ObjectKind) {
        let bytes = self.buffer();
        self.run = Some(Run { kind, first: self.issued, len: 0, bytes });
    }

    pub fn write_run(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let run = self.run.as_mut().expect("write_run stands between begin_run and finish_run");
            let room = RUN_FRAME_BYTES - run.bytes.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            run.bytes.extend_from_slice(now);
            run.len += now.len() as u64;
            bytes = later;
            if run.bytes.len() == RUN_FRAME_BYTES {
                let kind = run.kind;
                let raw = std::mem::take(&mut run.bytes);
                self.issue(raw, kind)?;
                let spare = self.buffer();
                if let Some(run) = &mut self.run {
                    run.bytes = spare;
                }
            }
        }
        Ok(())
    }

    pub fn finish_run(&mut self, id: [u8; 32], sha1: Option<Sha1Id>) -> Result<()> {
        let run = self.run.take().expect("finish_run follows begin_run");
        if !run.bytes.is_empty() {
            self.issue(run.bytes, run.kind)?;
        }
        self.objects.push(ObjectRow { kind: run.kind, id, sha1, frame: run.first, skip: 0, len: run.len });
        Ok(())
    }

    /// Takes the begun run back out of the pack: the object turned out to be known.
    pub fn abort_run(&mut self) -> Result<()> {
        let Some(run) = self.run.take() else { return Ok(()) };
        if self.issued > run.first {
            self.tail.wait_for(self.issued)?;
            self.tail.truncate(run.first, PACK_HEADER_BYTES as u64)?;
            self.issued = run.first;
        }
        Ok(())
    }

    /// The contents that were added so far, to be read before the pack is finished.
    pub fn read_back(&mut self) -> Result<DraftPack<'_>> {
        self.tail.wait_for(self.issued)?;
        Ok(DraftPack::new(&self.tail, &self.objects, &self.contents.rows, &self.contents.bytes))
    }

    /// Appends all that is still gathered and makes it durable. The footer is still missing.
    pub fn finish(mut self) -> Result<FinishedPack> {
        self.abort_run()?;
        let contents = std::mem::take(&mut self.contents);
        self.issue_gather(contents, ObjectKind::Content)?;
        let manifests = std::mem::take(&mut self.manifests);
        self.issue_gather(manifests, ObjectKind::Node)?;
        self.tail.wait_for(self.issued)?;
        self.pool.stop();
        let (draft, frames) = self.tail.finish(true)?;
        let mut footer = Footer::new(self.class);
        footer.frames = frames;
        footer.objects = std::mem::take(&mut self.objects);
        Ok(FinishedPack { footer, draft })
    }

    fn issue_gather(&mut self, mut gather: Gather, kind: ObjectKind) -> Result<()> {
        for row in &mut gather.rows {
            row.frame = self.issued;
        }
        self.objects.append(&mut gather.rows);
        if gather.bytes.is_empty() {
            return Ok(());
        }
        self.issue(gather.bytes, kind)?;
        let spare = self.buffer();
        match kind {
            ObjectKind::Content => self.contents.bytes = spare,
            _ => self.manifests.bytes = spare,
        }
        Ok(())
    }

    fn issue(&mut self, raw: Vec<u8>, kind: ObjectKind) -> Result<()> {
        let level = match kind {
            ObjectKind::Content => self.level,
            _ => Some(MANIFEST_LEVEL),
        };
        let job = Job { number: self.issued, raw, level };
        self.tail.wait_for_room(self.issued)?;
        self.issued += 1;
        if level.is_none() {
            // Nothing to compress: the caller's thread copies as fast as any.
            run_job(&self.tail, &mut FrameEncoder::new(1)?, &mut Vec::new(), job);
            return Ok(());
        }
        self.pool.start(&self.tail, self.level.unwrap_or(MANIFEST_LEVEL))?;
        if let Some(jobs) = &self.pool.jobs {
            // The workers live as long as `jobs`; one that panicked has marked the tail.
            let _ = jobs.send(job);
        }
        Ok(())
    }

    /// An empty buffer, a used one where there is one: fresh memory costs a page fault per page.
    fn buffer(&self) -> Vec<u8> {
        self.pool.spares.as_ref().and_then(|spares| spares.try_recv().ok()).unwrap_or_default()
    }
}

impl Drop for PackWriter {
    fn drop(&mut self) {
        self.pool.stop();
    }
}

impl Pool {
    fn start(&mut self, tail: &Arc<Tail>, level: i32) -> Result<()> {
        if self.jobs.is_some() {
            return Ok(());
        }
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX);
        let (jobs, todo) = crossbeam_channel::bounded(2 * threads);
        let (give, spares) = crossbeam_channel::bounded(2 * threads);
        for _ in 0..threads {
            self.threads.push(start_worker(tail, todo.clone(), give.clone(), level)?);
        }
        self.jobs = Some(jobs);
        self.spares = Some(spares);
        Ok(())
    }

    fn stop(&mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            // A panic there has marked the tail, which every later step asks.
            let _ = thread.join();
        }
    }
}

/// All frames are durable; the footer can be written in one short step, under the commit lock.
#[derive(Debug)]
pub struct FinishedPack {
    pub footer: Footer,
    draft: Box<dyn Draft>,
}

impl FinishedPack {
    /// A pack without frames, to carry a journal.
    pub fn empty(backend: &dyn Backend, class: Class) -> Result<FinishedPack> {
        let mut draft = backend.draft("pack")?;
        draft.append(&pack_header(class))?;
        Ok(FinishedPack { footer: Footer::new(class), draft })
    }

    /// Writes footer and trailer.
    pub fn seal(mut self) -> Result<(SealedPack, SealedDraft)> {
        let (bytes, id) = self.footer.seal(self.draft.len())?;
        self.draft.append(&bytes)?;
        let pack = SealedPack { id, footer: self.footer, len: self.draft.len() };
        Ok((pack, SealedDraft { id, draft: self.draft }))
    }
}

/// What a pack that needs no more bytes holds.
#[derive(Debug)]
pub struct SealedPack {
    pub id: PackId,
    pub footer: Footer,
    pub len: u64,
}

/// A pack that needs no more bytes, only to be made durable and named.
#[derive(Debug)]
pub struct SealedDraft {
    id: PackId,
    draft: Box<dyn Draft>,
}

impl SealedDraft {
    /// Makes all of it durable.
    pub fn sync(&mut self) -> Result<()> {
        self.draft.sync()
    }

    /// Gives it its name; it must be durable.
    pub fn publish(&mut self) -> Result<()> {
        self.draft.publish(&pack_name(&self.id))
    }
}

/// The sum of what frames hold, stored.
pub fn stored_bytes(frames: &[FrameRow]) -> u64 {
    frames.iter().map(|frame| u64::from(frame.stored_len)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::ContentId;
    use crate::store::backend::mem::MemBackend;
    use crate::store::pack::reader::PackReader;
    use proptest::prelude::*;

    /// Sizes on all sides of the gathering limit, some compressible, some not.
    fn object() -> impl Strategy<Value = (bool, bool, Vec<u8>)> {
        let size = prop_oneof![8 => 0..3_000usize, 2 => 250_000..270_000usize, 1 => 500_000..1_100_000usize];
        (any::<bool>(), any::<bool>(), size, any::<u32>()).prop_map(|(manifest, plain, size, seed)| {
            let bytes = if plain { vec![seed as u8; size] } else { crate::store::tests::noise(seed, size) };
            (manifest, plain, bytes)
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn a_pack_gives_back_what_was_added(objects in prop::collection::vec(object(), 0..12), level in -1..10i32) {
            let backend = Arc::new(MemBackend::new(None));
            let mut writer = PackWriter::create(&*backend, Class::Files, Some(level)).unwrap();
            for (manifest, taken_back, bytes) in &objects {
                let kind = if *manifest { ObjectKind::Node } else { ObjectKind::Content };
                writer.add(kind, ContentId::of(bytes).0, None, bytes).unwrap();
                if *taken_back {
                    writer.begin_run(ObjectKind::Content);
                    writer.write_run(bytes).unwrap();
                    writer.abort_run().unwrap();
                }
            }
            let (sealed, mut draft) = writer.finish().unwrap().seal().unwrap();
            draft.sync().unwrap();
            draft.publish().unwrap();
            let packs = Arc::new(PackReader::new(backend));
            let footer = packs.footer(&sealed.id).unwrap();
            prop_assert_eq!(&footer, &sealed.footer);
            prop_assert_eq!(footer.objects.len(), objects.len());
            let offsets = footer.offsets();
            for row in &footer.objects {
                let bytes = packs.read(&Footer::location(sealed.id, &offsets, row)).unwrap();
                prop_assert_eq!(ContentId::of(&bytes).0, row.id);
                let half = bytes.len() as u64 / 2;
                let mut part = Vec::new();
                let location = Footer::location(sealed.id, &offsets, row);
                let mut reader = packs.open(&location, half, row.len - half).unwrap();
                std::io::Read::read_to_end(&mut reader, &mut part).unwrap();
                prop_assert_eq!(&part[..], &bytes[half as usize..]);
            }
        }

        #[test]
        fn no_footer_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Footer::decode("footer", &bytes);
            let mut framed = vec![1, 1, 0];
            framed.extend(&bytes);
            let _ = Footer::decode("footer", &framed);
        }
    }
}
