//! How much may leave in an hour and in a day, of one account and of all: what a thief or a bug can take before somebody
//! looks.
//!
//! Counted are withdrawals that have not failed, by when they were asked for, with their fees: who makes an invoice can make
//! its route cost what the payer allows. What the ledger pays to another account counts for the account that it leaves.

use poa_common::{Msat, MsatError};
use time::Duration;

use super::refusal::Refusal;

/// A stretch of time up to now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// Sixty minutes.
    Hour,
    /// Twenty-four hours.
    Day,
}

/// The most that may leave, by span; nothing is no cap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cap {
    pub(crate) hour: Msat,
    pub(crate) day: Msat,
}

/// All caps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Caps {
    /// Of one account.
    pub(crate) account: Cap,
    /// Of all accounts together.
    pub(crate) all: Cap,
}

/// What has left, by span.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Volume {
    pub(crate) hour: Msat,
    pub(crate) day: Msat,
}

// === impl Span ===

impl Span {
    /// How long it is.
    pub(crate) const fn length(self) -> Duration {
        match self {
            Self::Hour => Duration::HOUR,
            Self::Day => Duration::DAY,
        }
    }

    /// The name for a program.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }
}

impl std::fmt::Display for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Hour => "an hour",
            Self::Day => "a day",
        })
    }
}

// === impl Cap ===

impl Cap {
    /// Whether there is any.
    pub(crate) fn is_set(self) -> bool {
        self.hour > Msat::ZERO || self.day > Msat::ZERO
    }

    /// Refuses what would be more than the cap, after what has left.
    pub(crate) fn admit(self, after: Volume) -> Result<(), Refusal> {
        for (limit, left, span) in [(self.hour, after.hour, Span::Hour), (self.day, after.day, Span::Day)] {
            if limit > Msat::ZERO && left > limit {
                return Err(Refusal::TooMuchLately { limit, span });
            }
        }
        Ok(())
    }

    /// The most that one withdrawal can ever be under this cap.
    pub(crate) fn largest(self) -> Msat {
        [self.hour, self.day].into_iter().filter(|limit| *limit > Msat::ZERO).min().unwrap_or(Msat::SUPPLY)
    }
}

// === impl Volume ===

impl Volume {
    /// With one more.
    pub(crate) fn with(self, amount: Msat) -> Result<Self, MsatError> {
        Ok(Self { hour: self.hour.checked_add(amount)?, day: self.day.checked_add(amount)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volume(hour: i64, day: i64) -> Volume {
        Volume { hour: Msat::new(hour), day: Msat::new(day) }
    }

    #[test]
    fn a_cap_is_reached_and_not_passed_and_none_is_none() {
        let cap = Cap { hour: Msat::new(10), day: Msat::new(20) };
        let refused = |limit: i64, span| Err(Refusal::TooMuchLately { limit: Msat::new(limit), span });
        assert_eq!(cap.admit(volume(10, 20)), Ok(()));
        assert_eq!(cap.admit(volume(11, 11)), refused(10, Span::Hour));
        assert_eq!(cap.admit(volume(5, 21)), refused(20, Span::Day));
        assert_eq!(Cap::default().admit(volume(i64::MAX, i64::MAX)), Ok(()));
        assert!(cap.is_set() && !Cap::default().is_set());
        assert_eq!((cap.largest(), Cap::default().largest()), (Msat::new(10), Msat::SUPPLY));
    }
}
