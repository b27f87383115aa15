//! Times and spans between the contract's types and Rust's.

use std::time::Duration;

use poa_common::Timestamp;
use time::format_description::well_known::Rfc3339;

/// The moment that a Timestamp of the contract means; `None` where it is outside of the years 1 to 9999.
pub fn from_time(time: &prost_types::Timestamp) -> Option<Timestamp> {
    let whole = Timestamp::from_unix_timestamp(time.seconds).ok()?;
    Some(whole + time::Duration::nanoseconds(i64::from(time.nanos)))
}

/// A moment as the contract has it.
pub fn to_time(time: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: time.unix_timestamp(),
        nanos: i32::try_from(time.nanosecond()).unwrap_or(0),
    }
}

/// A moment as RFC 3339 in UTC, such as `2026-11-22T10:24:03Z`.
pub fn rfc3339(time: Timestamp) -> String {
    time.to_offset(time::UtcOffset::UTC).format(&Rfc3339).unwrap_or_else(|_| time.to_string())
}

/// A span of the contract as Rust's; a negative one is none at all.
pub fn from_duration(span: &prost_types::Duration) -> Duration {
    let seconds = u64::try_from(span.seconds).unwrap_or(0);
    Duration::new(seconds, u32::try_from(span.nanos).unwrap_or(0).min(999_999_999))
}

/// A span as the contract has it. Spans beyond the contract's range (10,000 years) become its largest.
pub fn to_duration(span: Duration) -> prost_types::Duration {
    const MAX_SECONDS: i64 = 315_576_000_000;
    prost_types::Duration {
        seconds: i64::try_from(span.as_secs()).unwrap_or(MAX_SECONDS).min(MAX_SECONDS),
        nanos: i32::try_from(span.subsec_nanos()).unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_the_contract_is_written_in_utc() {
        let time = from_time(&prost_types::Timestamp { seconds: 1_795_343_043, nanos: 500_000_000 }).unwrap();
        assert_eq!(rfc3339(time), "2026-11-22T10:24:03.5Z");
        assert_eq!(from_time(&to_time(time)), Some(time));
        assert_eq!(from_time(&prost_types::Timestamp { seconds: i64::MAX, nanos: 0 }), None);
    }

    #[test]
    fn a_span_survives_the_round_trip() {
        let span = Duration::new(90, 250_000_000);
        assert_eq!(from_duration(&to_duration(span)), span);
        assert_eq!(from_duration(&prost_types::Duration { seconds: -1, nanos: 0 }), Duration::ZERO);
    }
}
