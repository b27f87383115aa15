//! The clock and the entropy of this machine: the one place where a client reads them.

use poa_common::{Clock, Entropy, Env, Timestamp};

struct SystemClock;
struct SystemEntropy;

/// The environment of a real program: the system's clock and its cryptographic source of randomness.
pub fn system_env() -> Env {
    Env::new(SystemClock, SystemEntropy)
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock that everything else is handed")]
    fn now(&self) -> Timestamp {
        Timestamp::now_utc()
    }
}

impl Entropy for SystemEntropy {
    /// Without randomness there is no safe key, nonce or request id, so that a system without it is not used.
    #[expect(clippy::expect_used, reason = "an operating system that has started always answers")]
    fn fill(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("the operating system gives random bytes");
    }
}
