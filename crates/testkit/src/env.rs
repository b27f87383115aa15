//! Time in the test's hand and randomness that replays.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use poa_common::{Clock, Entropy, Env, Timestamp};

/// When test time begins: 2026-01-01T00:00:00Z.
const BEGINNING: Timestamp = time::macros::datetime!(2026-01-01 00:00:00 UTC);

/// A clock that moves only when told to. Clones share the time.
#[derive(Clone, Debug)]
pub struct TestClock {
    now: Arc<Mutex<Timestamp>>,
}

/// A generator of bytes that gives the same sequence for the same seed. Not random: for tests alone.
#[derive(Debug)]
pub struct SeededEntropy {
    state: AtomicU64,
}

/// An environment with a clock to step and this seed; put the seed in the failure message.
pub fn env(seed: u64) -> (Env, TestClock) {
    let clock = TestClock::new();
    (Env::new(clock.clone(), SeededEntropy::new(seed)), clock)
}

// === impl TestClock ===

impl TestClock {
    /// A clock at 2026-01-01T00:00:00Z.
    pub fn new() -> Self {
        Self { now: Arc::new(Mutex::new(BEGINNING)) }
    }

    /// Moves the time forward.
    pub fn advance(&self, by: Duration) {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) += by;
    }

    /// Sets the time, also backwards: wall clocks jump.
    pub fn set(&self, now: Timestamp) {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }
}

impl Default for TestClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl SeededEntropy ===

impl SeededEntropy {
    /// A generator from a seed.
    pub fn new(seed: u64) -> Self {
        Self { state: AtomicU64::new(seed) }
    }

    /// The next 64 bits, by SplitMix64: <https://prng.di.unimi.it/splitmix64.c>.
    pub fn next_u64(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut z = self.state.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next_u64().to_le_bytes()[..chunk.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_bytes() {
        let (first, clock) = env(7);
        let (second, _) = env(7);
        assert_eq!(first.random::<20>(), second.random::<20>());
        let before = first.now();
        clock.advance(Duration::from_secs(3));
        assert_eq!(first.now() - before, Duration::from_secs(3));
    }
}
