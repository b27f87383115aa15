//! The metrics of this crate: names, units and meaning, once.

use std::time::Duration;

/// Commands per batch of a batch writer. Label `writer`.
pub const BATCH_SIZE: &str = "poa_storage_batch_commands";
/// Seconds from BEGIN to the answered COMMIT of a batch. Label `writer`.
pub const BATCH_SECONDS: &str = "poa_storage_batch_commit_seconds";
/// Batches that were split because a command failed unexpectedly. Label `writer`.
pub const BATCH_BISECTED: &str = "poa_storage_batch_bisected_total";
/// Batches whose COMMIT was not answered. Label `writer`.
pub const BATCH_UNKNOWN: &str = "poa_storage_batch_commit_unknown_total";
/// Transactions that ran again: conflicts, deadlocks, dead connections.
pub const TRANSACTIONS_RETRIED: &str = "poa_storage_transactions_retried_total";
/// Events given a position by the relay.
pub const EVENTS_PUBLISHED: &str = "poa_storage_events_published_total";

/// Describes all of them to the recorder. Call once at start.
pub fn describe() {
    use metrics::Unit::{Count, Seconds};
    metrics::describe_histogram!(BATCH_SIZE, Count, "commands per batch of a batch writer");
    metrics::describe_histogram!(BATCH_SECONDS, Seconds, "from BEGIN to the answered COMMIT of a batch");
    metrics::describe_counter!(BATCH_BISECTED, Count, "batches split after an unexpected failure");
    metrics::describe_counter!(BATCH_UNKNOWN, Count, "batches whose COMMIT was not answered");
    metrics::describe_counter!(TRANSACTIONS_RETRIED, Count, "transactions that ran again");
    metrics::describe_counter!(EVENTS_PUBLISHED, Count, "events given a position by the relay");
}

pub(crate) fn transaction_retried() {
    metrics::counter!(TRANSACTIONS_RETRIED).increment(1);
}

pub(crate) fn events_published(count: u64) {
    metrics::counter!(EVENTS_PUBLISHED).increment(count);
}

pub(crate) fn batch_committed(writer: &'static str, size: usize, took: Duration) {
    let size = u32::try_from(size).unwrap_or(u32::MAX);
    metrics::histogram!(BATCH_SIZE, "writer" => writer).record(f64::from(size));
    metrics::histogram!(BATCH_SECONDS, "writer" => writer).record(took.as_secs_f64());
}

pub(crate) fn batch_bisected(writer: &'static str) {
    metrics::counter!(BATCH_BISECTED, "writer" => writer).increment(1);
}

pub(crate) fn batch_unknown(writer: &'static str) {
    metrics::counter!(BATCH_UNKNOWN, "writer" => writer).increment(1);
}
