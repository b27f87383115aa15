//! Time and randomness as parameters.

use std::fmt;
use std::sync::Arc;

use time::OffsetDateTime;

use crate::id::TypedId;

/// A moment in UTC. PostgreSQL keeps microseconds, so [`Env::now`] gives no finer ones: what is written
/// is what is read back.
pub type Timestamp = OffsetDateTime;

/// Where the time comes from.
pub trait Clock: Send + Sync {
    /// The wall-clock time, UTC.
    fn now(&self) -> Timestamp;
}

/// Where random bytes come from: a cryptographic source, except in a replayed test.
pub trait Entropy: Send + Sync {
    /// Fills the whole buffer.
    fn fill(&self, bytes: &mut [u8]);
}

/// A clock and a source of randomness, handed to whatever needs them.
#[derive(Clone)]
pub struct Env {
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

// === impl Env ===

impl Env {
    /// An environment from its two parts.
    pub fn new(clock: impl Clock + 'static, entropy: impl Entropy + 'static) -> Self {
        Self { clock: Arc::new(clock), entropy: Arc::new(entropy) }
    }

    /// The wall-clock time, UTC, in whole microseconds.
    pub fn now(&self) -> Timestamp {
        let now = self.clock.now();
        now.replace_nanosecond(now.microsecond() * 1_000).unwrap_or(now)
    }

    /// `N` random bytes.
    pub fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.entropy.fill(&mut bytes);
        bytes
    }

    /// A new time-ordered id.
    pub fn new_id<T: TypedId>(&self) -> T {
        let millis = self.clock.now().unix_timestamp_nanos().div_euclid(1_000_000);
        let millis = u64::try_from(millis).unwrap_or(0);
        T::from_uuid(uuid::Builder::from_unix_timestamp_millis(millis, &self.random()).into_uuid())
    }
}

impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Env")
    }
}
