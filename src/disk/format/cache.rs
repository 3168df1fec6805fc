//! A few things that were costly to make, kept for the next who asks.

use crate::error::Result;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;

/// Holds up to a number of values; the one not asked for the longest goes first. Two threads that
/// miss the same value at once both make it: nothing is locked meanwhile.
pub struct Cache<V: ?Sized> {
    kept: Mutex<Kept<V>>,
    values_max: usize,
}

struct Kept<V: ?Sized> {
    values: HashMap<u64, (u64, Arc<V>)>,
    /// Goes up with every question.
    now: u64,
}

impl<V: ?Sized> Cache<V> {
    pub fn new(values_max: usize) -> Cache<V> {
        Cache { kept: Mutex::new(Kept { values: HashMap::new(), now: 0 }), values_max: values_max.max(1) }
    }

    pub fn get(&self, key: u64, make: impl FnOnce() -> Result<Arc<V>>) -> Result<Arc<V>> {
        if let Some(value) = self.kept.lock().expect(NO_PANIC).find(key) {
            return Ok(value);
        }
        let value = make()?;
        let mut kept = self.kept.lock().expect(NO_PANIC);
        while kept.values.len() >= self.values_max {
            let Some(oldest) = kept.values.iter().min_by_key(|(_, (used, _))| *used).map(|(key, _)| *key)
            else {
                break;
            };
            kept.values.remove(&oldest);
        }
        let now = kept.now;
        kept.values.insert(key, (now, Arc::clone(&value)));
        Ok(value)
    }
}

const NO_PANIC: &str = "no panic while held";

impl<V: ?Sized> Kept<V> {
    fn find(&mut self, key: u64) -> Option<Arc<V>> {
        self.now += 1;
        let (used, value) = self.values.get_mut(&key)?;
        *used = self.now;
        Some(Arc::clone(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_asked_for_the_longest_goes_first() {
        let cache = Cache::new(2);
        let made = std::cell::RefCell::new(Vec::new());
        for key in [1, 2, 1, 3, 1, 2, 1] {
            let value = cache.get(key, || {
                made.borrow_mut().push(key);
                Ok(Arc::new(key * 10))
            });
            assert_eq!(*value.unwrap(), key * 10);
        }
        assert_eq!(*made.borrow(), [1, 2, 3, 2]);
    }
}
