//! How often a password may be guessed: a bucket per user name, in this process.
//!
//! The gateway's limits are per address, and addresses are cheap. What is bounded here is what somebody can learn
//! about one account. Each name has ten failures at hand, and gets one back every six seconds: 14,400 guesses a day,
//! against passwords of twelve bytes and more. A name that nobody has is counted alike, or the answer would tell.
//!
//! A try is taken before the password is hashed, so that many at once do not slip through, and given back where the
//! password was right: whoever knows it is not held up by how often it is used.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use poa_common::Timestamp;

use crate::error::Error;

/// Failures in a row before anybody has to wait: more than a person mistypes.
const BURST: u32 = 10;
/// When the next try comes back.
const REFILL: Duration = Duration::from_secs(6);
/// Names that are remembered, about 2 MiB. A bucket is full again after a minute at most, and each try costs a hash:
/// a server that computes fewer than 270 a second never remembers as many.
const MAX_NAMES: usize = 16 * 1024;

/// The buckets of all names.
#[derive(Debug, Default)]
pub(crate) struct Guesses {
    /// When a name's bucket is full again.
    full_again: Mutex<HashMap<String, Timestamp>>,
}

// === impl Guesses ===

impl Guesses {
    /// Takes a try of a name; where there is none, an error that says when there is.
    pub(crate) fn take(&self, name: &str, now: Timestamp) -> Result<(), Error> {
        let mut names = self.names();
        let most = REFILL * BURST;
        // A clock that was set back must not lock anybody out for the length of its jump.
        let used_up = names.get(name).map_or(now, |at| (*at).clamp(now, now + most));
        let taken = used_up + REFILL;
        if taken > now + most {
            let retry_after = Duration::try_from(taken - (now + most)).unwrap_or(REFILL);
            return Err(poa_chassis::Error::RateLimited { retry_after }.into());
        }
        if !names.contains_key(name) {
            make_room(&mut names, now);
        }
        names.insert(name.to_owned(), taken);
        Ok(())
    }

    /// Gives a try back.
    pub(crate) fn give_back(&self, name: &str) {
        if let Some(at) = self.names().get_mut(name) {
            *at -= REFILL;
        }
    }

    fn names(&self) -> MutexGuard<'_, HashMap<String, Timestamp>> {
        self.full_again.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Forgets full buckets once there are too many; where none is full, the fullest: a flood of new names does not make
/// the server forget the one that is being guessed.
fn make_room(names: &mut HashMap<String, Timestamp>, now: Timestamp) {
    if names.len() < MAX_NAMES {
        return;
    }
    names.retain(|_, at| *at > now);
    if names.len() < MAX_NAMES {
        return;
    }
    let fullest = names.iter().min_by_key(|(_, at)| **at).map(|(name, _)| name.clone());
    if let Some(name) = fullest {
        names.remove(&name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use poa_common::ServiceError as _;
    use time::macros::datetime;

    const NOW: Timestamp = datetime!(2026-03-01 12:00 UTC);
    const SECOND: Duration = Duration::from_secs(1);

    /// How many tries a name gets at a moment.
    fn tries(guesses: &Guesses, name: &str, now: Timestamp) -> usize {
        std::iter::from_fn(|| guesses.take(name, now).ok()).count()
    }

    #[test]
    fn ten_tries_at_once_and_then_one_every_six_seconds() {
        let guesses = Guesses::default();
        assert_eq!(tries(&guesses, "ada", NOW), 10);
        let refused = guesses.take("ada", NOW + SECOND).unwrap_err();
        assert_eq!((refused.reason(), refused.retry_after()), ("RATE_LIMITED", Some(5 * SECOND)));
        assert_eq!(tries(&guesses, "eve", NOW), 10, "another name is not touched");
        assert_eq!(tries(&guesses, "ada", NOW + 6 * SECOND), 1);
        assert_eq!(
            tries(&guesses, "ada", NOW + 11 * SECOND),
            0,
            "the sixth second counts from the try before"
        );
        assert_eq!(tries(&guesses, "ada", NOW + 18 * SECOND), 2);
        assert_eq!(tries(&guesses, "ada", NOW + 3_600 * SECOND), 10, "and never more than ten");
    }

    #[test]
    fn a_right_password_uses_no_try_up() {
        let guesses = Guesses::default();
        for _ in 0..100 {
            guesses.take("ada", NOW).unwrap();
            guesses.give_back("ada");
        }
        assert_eq!(tries(&guesses, "ada", NOW), 10);
        guesses.give_back("nobody");
    }

    #[test]
    fn a_clock_that_was_set_back_locks_nobody_out() {
        let guesses = Guesses::default();
        assert_eq!(tries(&guesses, "ada", NOW + 3_600 * SECOND), 10);
        assert_eq!(tries(&guesses, "ada", NOW), 0);
        assert!(guesses.take("ada", NOW).unwrap_err().retry_after().unwrap() <= REFILL);
    }

    #[test]
    fn a_flood_of_names_is_forgotten_before_the_one_that_is_guessed() {
        let guesses = Guesses::default();
        assert_eq!(tries(&guesses, "ada", NOW), 10);
        for number in 0..MAX_NAMES + 100 {
            guesses.take(&number.to_string(), NOW).unwrap();
        }
        assert_eq!(guesses.names().len(), MAX_NAMES);
        assert_eq!(tries(&guesses, "ada", NOW), 0);
        guesses.take("later", NOW + 60 * SECOND).unwrap();
        assert_eq!(guesses.names().len(), 1, "full buckets are forgotten first");
    }
}
