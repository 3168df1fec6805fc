//! Doing one thing to several packs at once. Most of it is waiting for the medium, which takes
//! several syncs for little more than the time of one.

use crate::error::Error;
use crate::error::Result;
use std::thread::Builder;
use std::thread::Scope;
use std::thread::ScopedJoinHandle;

/// Does `deed` to each, on a thread of its own but for the last. All are tried whatever becomes of
/// the others; the first error in their order is told.
pub fn at_once<T: Send, U: Send>(
    things: impl IntoIterator<Item = T>,
    deed: impl Fn(T) -> Result<U> + Sync,
) -> Result<Vec<U>> {
    let mut things: Vec<T> = things.into_iter().collect();
    let Some(last) = things.pop() else { return Ok(Vec::new()) };
    let deed = &deed;
    std::thread::scope(|scope| {
        let begun: Vec<_> = things.into_iter().map(|thing| begin(scope, move || deed(thing))).collect();
        let last = deed(last);
        let others = begun.into_iter().map(|thread| thread.and_then(wait));
        // All threads are waited for before an error is looked at.
        let done: Vec<Result<U>> = others.chain([last]).collect();
        done.into_iter().collect()
    })
}

/// Begins `deed` on another thread.
pub fn begin<'scope, U: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    deed: impl FnOnce() -> Result<U> + Send + 'scope,
) -> Result<ScopedJoinHandle<'scope, Result<U>>> {
    let thread = Builder::new().name("imgit-sync".to_owned()).spawn_scoped(scope, deed);
    thread.map_err(|source| Error::Stream { thing: "a new thread".to_owned(), source })
}

pub fn wait<U>(thread: ScopedJoinHandle<'_, Result<U>>) -> Result<U> {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU32;
    use std::sync::atomic::Ordering;

    #[test]
    fn all_are_tried_and_the_first_error_is_told() {
        let tried = AtomicU32::new(0);
        let deed = |number: u32| {
            tried.fetch_add(1, Ordering::Relaxed);
            if number % 2 == 1 { Err(Error::Usage(number.to_string())) } else { Ok(number * 10) }
        };
        assert_eq!(at_once([2, 4, 6], deed).unwrap(), [20, 40, 60]);
        assert_eq!(at_once([2, 3, 5, 6], deed).unwrap_err().to_string(), "3");
        assert_eq!(at_once([2, 7], deed).unwrap_err().to_string(), "7");
        assert!(at_once([], deed).unwrap().is_empty());
        assert_eq!(tried.into_inner(), 9);
    }
}
