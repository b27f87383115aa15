//! The metrics of this service: names, units and meaning, once.

use crate::domain::Source;

/// How far behind a service's events we are, in seconds: the age of the last event that was applied, 0 as soon as the
/// service says that there is no other, and while there is no stream, the time since we were last as new as the service.
/// Not there before anything is known. Label `source`.
const LAG: &str = "poa_search_follower_lag_seconds";
/// Events applied. Label `source`.
const EVENTS: &str = "poa_search_events_total";
/// Events that could not be read or kept, and were passed over. Label `source`.
const POISON: &str = "poa_search_poison_events_total";
/// Times that the index was emptied, to be built anew. Label `cause`.
const REBUILDS: &str = "poa_search_rebuilds_total";

/// Why the index is emptied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// An operator asked for it.
    Operator,
    /// Something of it is gone, or nothing was ever there.
    Damaged,
    /// A service does not know our cursor: it was restored to an earlier state.
    CursorRefused,
}

/// Describes all of them to the recorder. Called once at start.
pub(crate) fn describe() {
    use metrics::Unit::{Count, Seconds};
    metrics::describe_gauge!(LAG, Seconds, "how far behind a service's events the index is");
    metrics::describe_counter!(EVENTS, Count, "events applied, by source");
    metrics::describe_counter!(POISON, Count, "events passed over because they cannot be read or kept");
    metrics::describe_counter!(REBUILDS, Count, "times that the index was emptied, by cause");
    poa_storage::metrics::describe();
}

pub(crate) fn lag(source: Source, seconds: f64) {
    metrics::gauge!(LAG, "source" => source.as_str()).set(seconds.max(0.0));
}

pub(crate) fn events(source: Source, count: usize) {
    metrics::counter!(EVENTS, "source" => source.as_str())
        .increment(u64::try_from(count).unwrap_or(u64::MAX));
}

pub(crate) fn poison(source: Source) {
    metrics::counter!(POISON, "source" => source.as_str()).increment(1);
}

pub(crate) fn rebuild(cause: Cause) {
    metrics::counter!(REBUILDS, "cause" => cause.as_str()).increment(1);
}

// === impl Cause ===

impl Cause {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Damaged => "damaged",
            Self::CursorRefused => "cursor_refused",
        }
    }
}
