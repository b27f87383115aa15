//! What callers hold open: connections and calls per IP address, streams per account. A caller at its own limit is refused, so that
//! nobody can use up what is there for all.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

/// Counts what each caller holds.
#[derive(Debug)]
pub struct OpenCounts<K>(Arc<Mutex<HashMap<K, usize>>>);

/// One thing held; dropping it gives it back.
#[derive(Debug)]
pub struct Held<K: Eq + Hash> {
    counts: OpenCounts<K>,
    key: K,
}

// === impl OpenCounts ===

impl<K: Eq + Hash + Clone> OpenCounts<K> {
    /// Nobody holds anything.
    #[expect(clippy::new_without_default, reason = "a default would say nothing of what is counted")]
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(HashMap::new())))
    }

    /// Takes one more, unless the caller holds `limit` already.
    pub fn hold(&self, key: K, limit: usize) -> Option<Held<K>> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(key.clone()).or_default();
        if *count >= limit {
            return None;
        }
        *count += 1;
        Some(Held { counts: Self(Arc::clone(&self.0)), key })
    }
}

// === impl Held ===

impl<K: Eq + Hash> Drop for Held<K> {
    /// A caller who holds nothing is forgotten.
    fn drop(&mut self) {
        let mut counts = self.counts.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_at_its_limit_is_refused_until_something_is_given_back() {
        let counts = OpenCounts::new();
        let first = counts.hold("alice", 2).unwrap();
        let _second = counts.hold("alice", 2).unwrap();
        assert!(counts.hold("alice", 2).is_none());
        assert!(counts.hold("bob", 2).is_some(), "another caller is not touched");
        drop(first);
        assert!(counts.hold("alice", 2).is_some());
        assert_eq!(counts.0.lock().unwrap().len(), 1, "who holds nothing is forgotten");
    }
}
