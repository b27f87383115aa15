//! Validity: each thing that is checked narrows the time in which the same evidence verifies.

use poa_common::Timestamp;

use super::TeeError;

/// The time in question, and the span around it in which the answer is the same.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    time: Timestamp,
    from: Timestamp,
    until: Timestamp,
}

// === impl Window ===

impl Window {
    pub(super) const fn at(time: Timestamp) -> Self {
        let (from, until) =
            (time::PrimitiveDateTime::MIN.assume_utc(), time::PrimitiveDateTime::MAX.assume_utc());
        Self { time, from, until }
    }

    /// `what` is valid from `from` to `until`, both included: it must be so at the time in question.
    pub(super) fn require(
        &mut self,
        what: &'static str,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<(), TeeError> {
        if self.time < from {
            return Err(TeeError::NotYetValid { what, from });
        }
        if self.time > until {
            return Err(TeeError::Expired { what, until });
        }
        self.from = self.from.max(from);
        self.until = self.until.min(until);
        Ok(())
    }

    /// The first and the last moment of the same answer.
    pub(super) const fn span(&self) -> (Timestamp, Timestamp) {
        (self.from, self.until)
    }
}
