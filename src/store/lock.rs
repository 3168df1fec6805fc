//! Who may do what at once: writers share one lock, collection takes it alone, and each commit
//! takes a second one for its short last step. Both go away with the process that holds them.

use crate::error::Error;
use crate::error::Result;
use crate::store::backend::Backend;
use crate::store::backend::Held;
use crate::store::backend::LockMode;
use std::time::Duration;
use std::time::Instant;

/// Shared from a writer's first look-up to its commit; exclusive for collection, so that it never
/// takes away what a writer has found to be there.
pub const WRITERS: &str = "writers";
/// Exclusive around sealing, naming and indexing a pack.
pub const COMMIT: &str = "commit";

const RETRY_FIRST: Duration = Duration::from_millis(1);
const RETRY_MOST: Duration = Duration::from_millis(20);

/// Waits for a lock up to `timeout`, then says who has it.
pub fn acquire(
    backend: &dyn Backend,
    name: &'static str,
    mode: LockMode,
    timeout: Duration,
    command: &str,
) -> Result<Box<dyn Held>> {
    let start = Instant::now();
    let mut pause = RETRY_FIRST;
    loop {
        let holder = format!("{command} (process {}, since {})", std::process::id(), jiff::Timestamp::now());
        if let Some(held) = backend.try_lock(name, mode, &holder)? {
            return Ok(held);
        }
        if start.elapsed() >= timeout {
            let holder = backend.lock_holder(name);
            return Err(Error::Locked {
                what: format!("{} ({name})", backend.place().display()),
                holder: if holder.is_empty() { "another process".to_owned() } else { holder },
                waited_ms: start.elapsed().as_millis() as u64,
            });
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(RETRY_MOST);
    }
}
