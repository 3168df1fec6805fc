//! Making the exact gzip stream again, from its recipe and what it holds.

use crate::error::Error;
use crate::error::Result;
use crate::error::from_stream;
use crate::layer::gzip::encoder::BlockPlan;
use crate::layer::gzip::encoder::Encoder;
use crate::layer::gzip::encoder::StreamEncoder;
use crate::layer::gzip::recipe::Recipe;
use crossbeam_channel::Receiver;
use crossbeam_channel::Sender;
use std::collections::VecDeque;
use std::io;
use std::io::Read;
use std::io::Write;
use std::thread::Scope;

/// What a stream encoder is given at once.
const CHUNK_BYTES: usize = 128 << 10;
/// Blocks under way, their output included, hold no more than this or so.
const BLOCKS_BYTES_MAX: usize = 32 << 20;
/// Each holds tables of a megabyte or two; more threads than these are faster than any tar comes.
const THREADS_MAX: usize = 8;

/// Writes the stream to `out`. Whoever needs proof hashes it.
pub fn rebuild(recipe: &Recipe, tar: &mut dyn Read, out: &mut dyn Write) -> Result<()> {
    let encoder = recipe.setting.encoder()?;
    put(out, &recipe.header)?;
    let mut tar = Checked { from: tar, crc: crc32fast::Hasher::new(), len: 0 };
    match encoder {
        Encoder::Stream(encoder) => stream(encoder, &mut tar, out)?,
        Encoder::Blocks(plan) => blocks(&plan, &mut tar, out)?,
    }
    put(out, &tar.crc.finalize().to_le_bytes())?;
    put(out, &tar.len.to_le_bytes())?;
    put(out, &recipe.tail)
}

/// What is compressed, counted for the trailer.
struct Checked<'a> {
    from: &'a mut dyn Read,
    crc: crc32fast::Hasher,
    /// Of the last 32 bits.
    len: u32,
}

impl Checked<'_> {
    /// Reads until `into` is full or nothing is left.
    fn fill(&mut self, into: &mut [u8]) -> Result<usize> {
        let mut filled = 0;
        while filled < into.len() {
            match self.from.read(&mut into[filled..]) {
                Ok(0) => break,
                Ok(len) => filled += len,
                Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                Err(err) => return Err(from_stream("the layer to compress", err)),
            }
        }
        self.crc.update(&into[..filled]);
        self.len = self.len.wrapping_add(filled as u32);
        Ok(filled)
    }
}

fn stream(mut encoder: Box<dyn StreamEncoder>, tar: &mut Checked, out: &mut dyn Write) -> Result<()> {
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut ready = Vec::with_capacity(2 * CHUNK_BYTES);
    loop {
        let len = tar.fill(&mut chunk)?;
        if len == 0 {
            break;
        }
        encoder.write(&chunk[..len], &mut ready);
        put(out, &ready)?;
        ready.clear();
    }
    encoder.finish(&mut ready);
    put(out, &ready)
}

/// Compresses on several threads and writes the blocks in their order.
fn blocks(plan: &BlockPlan, tar: &mut Checked, out: &mut dyn Write) -> Result<()> {
    let block_bytes = plan.block_bytes.max(1);
    let fits = (BLOCKS_BYTES_MAX / (2 * block_bytes + plan.dictionary_bytes)).max(1);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = cores.min(THREADS_MAX).min(fits);
    let under_way_max = fits.min(2 * threads);
    std::thread::scope(|scope| {
        let (jobs, taken) = crossbeam_channel::unbounded();
        for _ in 0..threads {
            start_thread(scope, plan, taken.clone())?;
        }
        drop(taken);
        let mut cutter = Cutter::new(plan, tar)?;
        let mut under_way: VecDeque<Receiver<Vec<u8>>> = VecDeque::new();
        loop {
            let job = cutter.next()?;
            let is_end = job.is_none();
            if let Some(cut) = job {
                let (done, result) = crossbeam_channel::bounded(1);
                // The receivers live as long as the threads, which wait for this sender to go.
                let _ = jobs.send(Job { cut, done });
                under_way.push_back(result);
            }
            while under_way.len() >= under_way_max || is_end && !under_way.is_empty() {
                let result = under_way.pop_front().expect("it is not empty");
                put(out, &result.recv().map_err(|_| thread_gone())?)?;
            }
            if is_end {
                return Ok(());
            }
        }
    })
}

struct Job {
    cut: Cut,
    done: Sender<Vec<u8>>,
}

fn start_thread<'scope>(
    scope: &'scope Scope<'scope, '_>,
    plan: &'scope BlockPlan,
    jobs: Receiver<Job>,
) -> Result<()> {
    let work = move || {
        let mut encoder = (plan.make)();
        for Job { cut, done } in jobs {
            let mut out = Vec::with_capacity(cut.block.len() / 2);
            encoder.encode(&cut.dictionary, &cut.block, cut.last, &mut out);
            // Nobody waits for it any more when writing has failed.
            let _ = done.send(out);
        }
    };
    let spawned = std::thread::Builder::new().name("compress".into()).spawn_scoped(scope, work);
    spawned.map(drop).map_err(|source| Error::Stream { thing: "a new thread".into(), source })
}

/// A block with the end of what was before it.
struct Cut {
    dictionary: Vec<u8>,
    block: Vec<u8>,
    last: bool,
}

/// Cuts the input into blocks.
struct Cutter<'a, 'b> {
    plan: &'a BlockPlan,
    tar: &'a mut Checked<'b>,
    tail: Vec<u8>,
    ahead: Option<Vec<u8>>,
}

impl<'a, 'b> Cutter<'a, 'b> {
    fn new(plan: &'a BlockPlan, tar: &'a mut Checked<'b>) -> Result<Cutter<'a, 'b>> {
        let mut cutter = Cutter { plan, tar, tail: Vec::new(), ahead: None };
        cutter.ahead = Some(cutter.read()?);
        Ok(cutter)
    }

    fn read(&mut self) -> Result<Vec<u8>> {
        let mut block = vec![0; self.plan.block_bytes];
        let len = self.tar.fill(&mut block)?;
        block.truncate(len);
        Ok(block)
    }

    fn next(&mut self) -> Result<Option<Cut>> {
        let Some(block) = self.ahead.take() else { return Ok(None) };
        let mut last = block.len() < self.plan.block_bytes;
        if !last {
            let next = self.read()?;
            if next.is_empty() && !self.plan.empty_last {
                last = true;
            } else {
                self.ahead = Some(next);
            }
        }
        let dictionary = self.tail.clone();
        self.tail.extend_from_slice(&block);
        self.tail.drain(..self.tail.len().saturating_sub(self.plan.dictionary_bytes));
        Ok(Some(Cut { dictionary, block, last }))
    }
}

fn put(out: &mut dyn Write, bytes: &[u8]) -> Result<()> {
    out.write_all(bytes).map_err(|err| from_stream("the compressed layer being written", err))
}

fn thread_gone() -> Error {
    Error::invalid("gzip encoder", "gave up on a block")
}
