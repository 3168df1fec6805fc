//! The bytes of a blob on their way into requests: held to their digest, and some of them kept for a
//! request that must be made again.

use crate::error::Error;
use crate::error::Result;
use crate::error::from_stream;
use crate::oci::descriptor::Descriptor;
use crate::oci::digest::Verifier;
use crate::oci::sink::Open;
use bytes::Bytes;
use std::collections::VecDeque;
use std::io::Read;

/// What is kept of a source that cannot be opened again; a smaller blob is kept whole.
pub const KEPT_BYTES_MAX: usize = 8 << 20;
const PIECE_BYTES: usize = 128 << 10;

/// Where the bytes come from.
pub enum Supply<'a> {
    /// A stream; `None` once it is being read.
    Once(Option<&'a mut dyn Read>),
    Again(&'a Open<'a>),
}

impl<'a> Supply<'a> {
    pub fn open(&mut self) -> Result<Box<dyn Read + 'a>> {
        match self {
            Supply::Once(reader) => Ok(Box::new(reader.take().expect("`Feed` keeps what it has opened"))),
            Supply::Again(open) => Ok(open()?),
        }
    }
}

/// The bytes of one blob, held to its digest before the last of them are handed out.
pub struct Feed<'a> {
    supply: Supply<'a>,
    /// Is there from the first byte on.
    reader: Option<Verifier<Box<dyn Read + 'a>>>,
    blob: Descriptor,
    /// The last bytes that were read, for a server that did not get them.
    kept: VecDeque<Bytes>,
    kept_bytes: usize,
    /// Bytes read from the source.
    read: u64,
    /// Bytes handed out.
    at: u64,
}

impl<'a> Feed<'a> {
    pub fn new(supply: Supply<'a>, blob: &Descriptor) -> Feed<'a> {
        Feed {
            supply,
            reader: None,
            blob: blob.clone(),
            kept: VecDeque::new(),
            kept_bytes: 0,
            read: 0,
            at: 0,
        }
    }

    /// The next bytes will be those from `at` on.
    pub fn seek(&mut self, at: u64) -> Result<()> {
        let kept_from = self.read - self.kept_bytes as u64;
        if (kept_from..=self.read).contains(&at) {
            self.at = at;
            return Ok(());
        }
        if matches!(self.supply, Supply::Once(_)) {
            let size = self.blob.size;
            return Err(Error::Network {
                doing: format!("go on sending blob {}", self.blob.digest),
                source: format!(
                    "the connection broke after {} of {size} bytes, and the server has {at}",
                    self.at
                )
                .into(),
            });
        }
        (self.reader, self.read, self.kept_bytes) = (None, 0, 0);
        self.kept.clear();
        self.at = 0;
        while self.at < at {
            let Some(piece) = self.next()? else { break };
            // A piece may reach beyond: it is kept, so going back in it is free.
            self.at = self.at.min(at);
            debug_assert!(!piece.is_empty());
        }
        Ok(())
    }

    pub fn next(&mut self) -> Result<Option<Bytes>> {
        if self.at < self.read {
            return Ok(Some(self.kept_piece()));
        }
        if self.read == self.blob.size && self.reader.is_some() {
            return Ok(None);
        }
        let blob = &self.blob;
        let thing = format!("blob {}", blob.digest);
        let mut reader = match self.reader.take() {
            Some(reader) => reader,
            None => Verifier::new(&thing, &blob.digest, blob.size, self.supply.open()?),
        };
        let left = blob.size - self.read;
        let mut piece = vec![0; PIECE_BYTES.min(usize::try_from(left).unwrap_or(usize::MAX))];
        let mut filled = 0;
        while filled < piece.len() {
            match reader.read(&mut piece[filled..]) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(err) if err.kind() == std::io::ErrorKind::Interrupted => {}
                Err(err) => return Err(from_stream(thing, err)),
            }
        }
        piece.truncate(filled);
        self.read += filled as u64;
        if self.read == blob.size {
            // What is longer than it should be is found out before the server has it whole.
            reader.finish()?;
        }
        self.reader = Some(reader);
        if filled == 0 {
            return Ok(None);
        }
        let piece = Bytes::from(piece);
        self.keep(piece.clone());
        self.at = self.read;
        Ok(Some(piece))
    }

    fn keep(&mut self, piece: Bytes) {
        self.kept_bytes += piece.len();
        self.kept.push_back(piece);
        let kept_max = match self.supply {
            Supply::Once(_) => KEPT_BYTES_MAX,
            Supply::Again(_) => PIECE_BYTES,
        };
        while self.kept_bytes > kept_max
            && let Some(oldest) = self.kept.pop_front()
        {
            self.kept_bytes -= oldest.len();
        }
    }

    /// The rest of the piece that `at` is in.
    fn kept_piece(&mut self) -> Bytes {
        let mut from = self.read - self.kept_bytes as u64;
        for piece in &self.kept {
            let end = from + piece.len() as u64;
            if self.at < end {
                let rest = piece.slice((self.at - from) as usize..);
                self.at = end;
                return rest;
            }
            from = end;
        }
        unreachable!("`seek` has made sure that `at` is among the kept bytes")
    }
}
