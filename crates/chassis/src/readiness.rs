//! Readiness as latches: each part that must be up holds one, and the server is ready while none is open.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The latches of one process.
#[derive(Clone, Debug, Default)]
pub struct Readiness {
    parts: Arc<Mutex<BTreeMap<&'static str, bool>>>,
}

/// One part's say in the readiness of the process.
#[derive(Debug)]
pub struct Latch {
    name: &'static str,
    readiness: Readiness,
}

// === impl Readiness ===

impl Readiness {
    /// A new latch, not ready yet.
    pub fn latch(&self, name: &'static str) -> Latch {
        self.set(name, false);
        Latch { name, readiness: self.clone() }
    }

    /// The parts that are not ready; empty means ready.
    pub fn missing(&self) -> Vec<&'static str> {
        let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        parts.iter().filter(|(_, ready)| !**ready).map(|(name, _)| *name).collect()
    }

    fn set(&self, name: &'static str, ready: bool) {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner).insert(name, ready);
    }
}

// === impl Latch ===

impl Latch {
    /// This part is up.
    pub fn ready(&self) {
        self.readiness.set(self.name, true);
    }

    /// This part is down.
    pub fn lost(&self) {
        self.readiness.set(self.name, false);
    }
}

impl Drop for Latch {
    /// A part that is gone is not ready.
    fn drop(&mut self) {
        self.lost();
    }
}
