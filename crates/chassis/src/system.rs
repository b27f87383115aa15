//! The real clock and the real source of randomness: the one place in the servers that reads either.

use poa_common::{Clock, Entropy, Env, Timestamp};

struct SystemClock;
struct OsEntropy;

/// The environment of a running server.
pub fn system_env() -> Env {
    Env::new(SystemClock, OsEntropy)
}

// === impl Clock and Entropy ===

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the clock that everything else takes as a parameter")]
    fn now(&self) -> Timestamp {
        Timestamp::now_utc()
    }
}

impl Entropy for OsEntropy {
    #[expect(clippy::expect_used, reason = "a server without randomness must not go on")]
    fn fill(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("the operating system gives random bytes");
    }
}
