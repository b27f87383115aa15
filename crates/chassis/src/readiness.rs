//! Readiness as latches: each part that must be up holds one, and the server is ready while none is open.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// A part's name: the service that it belongs to, where a process holds several, and its own.
type Part = (&'static str, &'static str);

/// The latches of one process.
#[derive(Clone, Debug, Default)]
pub struct Readiness {
    service: &'static str,
    parts: Arc<Mutex<BTreeMap<Part, bool>>>,
}

/// One part's say in the readiness of the process.
#[derive(Debug)]
pub struct Latch {
    part: Part,
    readiness: Readiness,
}

// === impl Readiness ===

impl Readiness {
    /// The same latches, for the parts of one service of several in this process.
    #[must_use]
    pub fn of_service(&self, service: &'static str) -> Self {
        Self { service, parts: Arc::clone(&self.parts) }
    }

    /// A new latch, not ready yet.
    pub fn latch(&self, name: &'static str) -> Latch {
        let part = (self.service, name);
        self.set(part, false);
        Latch { part, readiness: self.clone() }
    }

    /// The parts that are not ready; empty means ready.
    pub fn missing(&self) -> Vec<String> {
        let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        let missing = parts.iter().filter(|(_, ready)| !**ready).map(|(part, _)| part);
        missing.map(|(service, name)| format!("{service} {name}").trim_start().to_owned()).collect()
    }

    /// Whether a part is up, where it still is a part.
    fn change(&self, part: &Part, ready: bool) {
        if let Some(state) = self.parts.lock().unwrap_or_else(PoisonError::into_inner).get_mut(part) {
            *state = ready;
        }
    }

    fn set(&self, part: Part, ready: bool) {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner).insert(part, ready);
    }
}

// === impl Latch ===

impl Latch {
    /// This part is up.
    pub fn ready(&self) {
        self.readiness.change(&self.part, true);
    }

    /// This part is down.
    pub fn lost(&self) {
        self.readiness.change(&self.part, false);
    }

    /// Nothing waits for this part any more.
    pub fn retire(self) {
        self.readiness.parts.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.part);
    }
}

impl Drop for Latch {
    /// A part that is gone is not ready.
    fn drop(&mut self) {
        self.lost();
    }
}
