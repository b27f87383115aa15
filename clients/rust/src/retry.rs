//! When a failed call is made again, and after which wait.

use std::time::Duration;

use poa_common::Env;

use crate::error::Error;

/// Attempts of one call in all: with the waits below about five seconds.
const MAX_ATTEMPTS: u32 = 6;
/// The wait before the second attempt.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// The longest wait of our own choosing.
const LONGEST_WAIT: Duration = Duration::from_secs(3);
/// The longest wait that a server may ask of a call before the call fails instead.
const LONGEST_ASKED_WAIT: Duration = Duration::from_secs(20);

/// Counts the attempts of one call.
#[derive(Debug, Default)]
pub(crate) struct Attempts {
    failed: u32,
}

// === impl Attempts ===

impl Attempts {
    /// The wait before the next attempt, or `None` where there is none. UNAVAILABLE is the only code after which a call
    /// is made again by itself.
    pub(crate) fn after(&mut self, error: &Error, env: &Env) -> Option<Duration> {
        self.failed = self.failed.saturating_add(1);
        if !error.is_unavailable() || self.failed >= MAX_ATTEMPTS {
            return None;
        }
        wait(self.failed, error.retry_after(), env)
    }
}

/// The wait after the `failed`-th failure in a row: doubled each time, with half of it random, and never shorter than
/// what the server asks for. `None` where the server asks for more than a caller waits.
fn wait(failed: u32, asked: Option<Duration>, env: &Env) -> Option<Duration> {
    let own = backoff(failed, LONGEST_WAIT, env);
    match asked {
        Some(asked) if asked > LONGEST_ASKED_WAIT => None,
        // Everybody was told the same, so that they do not come back together.
        Some(asked) => Some(asked + own / 2),
        None => Some(own),
    }
}

/// Exponential, capped, with the upper half random.
pub(crate) fn backoff(failed: u32, longest: Duration, env: &Env) -> Duration {
    let doublings = failed.saturating_sub(1).min(16);
    let full = FIRST_WAIT.saturating_mul(1 << doublings).min(longest);
    let jitter = u32::from(u16::from_be_bytes(env.random()));
    full / 2 + (full / 2).saturating_mul(jitter) / u32::from(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::system_env;

    fn unavailable() -> Error {
        Error::from(tonic::Status::unavailable("no"))
    }

    #[test]
    fn only_unavailable_is_tried_again_and_not_for_ever() {
        let env = system_env();
        assert_eq!(Attempts::default().after(&Error::from(tonic::Status::internal("no")), &env), None);
        let mut attempts = Attempts::default();
        let waits = std::iter::from_fn(|| attempts.after(&unavailable(), &env)).count();
        assert_eq!(waits, 5);
    }

    #[test]
    fn a_wait_grows_stays_bounded_and_honours_the_server() {
        let env = system_env();
        for failed in 1..40 {
            let own = wait(failed, None, &env).unwrap();
            assert!(own >= FIRST_WAIT / 2 && own <= LONGEST_WAIT, "{own:?}");
        }
        let asked = Duration::from_secs(7);
        assert!(wait(1, Some(asked), &env).unwrap() >= asked);
        assert_eq!(wait(1, Some(Duration::from_secs(3_600)), &env), None);
    }
}
