//! The next layers, begun before their turn: taking one apart leaves a core idle now and then, and
//! decoding is what a layer waits for.

use super::blobs::Blobs;
use super::layer::LayerOf;
use super::layer::Started;
use crate::error::Result;
use crate::oci::digest::Digest;

/// How many layers may be decoded before their turn; each may fill a channel with chunks.
const AHEAD_MAX: usize = 3;

#[derive(Default)]
pub struct Ahead<'scope> {
    started: Vec<(Digest, Started<'scope>)>,
}

impl<'scope> Ahead<'scope> {
    /// Starts the first of `later` that have to be read. One that cannot be started says why when
    /// its turn comes.
    pub fn fill<'a>(
        &mut self,
        later: impl Iterator<Item = &'a LayerOf<'a>>,
        blobs: &Blobs,
        start: impl Fn(&LayerOf) -> Result<Started<'scope>>,
    ) {
        for layer in later {
            let digest = &layer.descriptor.digest;
            if self.started.len() >= AHEAD_MAX {
                break;
            }
            if self.started.iter().any(|(other, _)| other == digest) || !matches!(blobs.get(digest), Ok(None))
            {
                continue;
            }
            let Ok(started) = start(layer) else { break };
            self.started.push((digest.clone(), started));
        }
    }

    /// The layer, if it was begun.
    pub fn take(&mut self, layer: &LayerOf) -> Option<Started<'scope>> {
        let at = self.started.iter().position(|(digest, _)| *digest == layer.descriptor.digest)?;
        Some(self.started.remove(at).1)
    }
}
