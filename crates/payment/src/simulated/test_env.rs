//! A clock in the test's hand and randomness from a seed.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use poa_common::{Clock, Entropy, Env, Timestamp};
use sha2::{Digest, Sha256};

/// The second at which every test starts: 2027-01-15T08:00:00Z.
const START: i64 = 1_800_000_000;

/// The hands of the clock.
#[derive(Clone)]
pub(crate) struct TestClock(Arc<AtomicI64>);

struct Seeded {
    seed: u64,
    drawn: AtomicU64,
}

/// An environment that is the same for the same seed, and the hands of its clock.
pub(crate) fn env(seed: u64) -> (Env, TestClock) {
    let clock = TestClock(Arc::new(AtomicI64::new(START)));
    (Env::new(clock.clone(), Seeded { seed, drawn: AtomicU64::new(0) }), clock)
}

impl TestClock {
    /// Moves the clock, forwards or back.
    pub(crate) fn advance(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_timestamp(self.0.load(Ordering::SeqCst)).unwrap()
    }
}

impl Entropy for Seeded {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(32) {
            let drawn = self.drawn.fetch_add(1, Ordering::SeqCst);
            let digest =
                Sha256::new().chain_update(self.seed.to_be_bytes()).chain_update(drawn.to_be_bytes());
            chunk.copy_from_slice(&digest.finalize()[..chunk.len()]);
        }
    }
}
