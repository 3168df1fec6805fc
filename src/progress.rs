//! What a deed tells its face while it runs, and how the face tells it to stop.

/// Deeds are silent: they call this, and whoever started them decides what a person sees.
pub trait Progress: Sync {
    /// A phase begins: "reading layer 3 of 5". `total` is in bytes where it is known.
    fn begin(&self, _what: &str, _total: Option<u64>) {}
    /// So many more bytes of the phase are done.
    fn advance(&self, _bytes: u64) {}
    /// Something worth a line on stderr that is not an error.
    fn note(&self, _text: &str) {}
    /// One bad thing that does not end the deed; the exit code remembers.
    fn problem(&self, _problem: &crate::error::Error) {}
    /// Asked between steps; `true` makes the deed return [`crate::error::Error::Interrupted`].
    fn cancelled(&self) -> bool {
        false
    }
}

/// Says nothing, never stops.
pub struct Silent;

impl Progress for Silent {}

/// Returns an error when the person asked to stop.
pub fn check(progress: &dyn Progress) -> crate::error::Result<()> {
    if progress.cancelled() {
        return Err(crate::error::Error::Interrupted);
    }
    Ok(())
}
