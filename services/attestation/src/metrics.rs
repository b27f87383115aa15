//! The metrics of this service: names, units and meaning, once.

use proof_of_agent::Kind;

/// Statements appended. Label `kind`.
const STATEMENTS: &str = "poa_attestation_statements_total";
/// Statements that were refused. Label `reason`.
const REFUSED: &str = "poa_attestation_statements_refused_total";
/// Checkpoints that this process made.
const CHECKPOINTS: &str = "poa_attestation_checkpoints_total";
/// Leaves in the newest checkpoint that this process made.
const TREE_SIZE: &str = "poa_attestation_tree_leaves";
/// Checkpoints that a witness has cosigned. Label `witness`.
const COSIGNED: &str = "poa_attestation_cosignatures_total";
/// Calls of a witness that failed. Label `witness`.
const WITNESS_FAILURES: &str = "poa_attestation_witness_failures_total";
/// 1 while a witness has seen more of the log than there is: it was restored from an older backup, or forked. Else 0.
const BEHIND: &str = "poa_attestation_log_behind_witness";
/// Agent events applied.
const AGENT_EVENTS: &str = "poa_attestation_agent_events_total";
/// 1 while the stream of agent events has been followed to its end, else 0.
const AGENTS_CAUGHT_UP: &str = "poa_attestation_agents_caught_up";

/// Describes all of them to the recorder. Called once at start.
pub(crate) fn describe() {
    use metrics::Unit::Count;
    metrics::describe_counter!(STATEMENTS, Count, "statements appended, by kind");
    metrics::describe_counter!(REFUSED, Count, "statements refused, by reason");
    metrics::describe_counter!(CHECKPOINTS, Count, "checkpoints made");
    metrics::describe_gauge!(TREE_SIZE, Count, "leaves in the newest checkpoint made here");
    metrics::describe_counter!(COSIGNED, Count, "checkpoints cosigned, by witness");
    metrics::describe_counter!(WITNESS_FAILURES, Count, "failed calls of a witness");
    metrics::describe_gauge!(BEHIND, Count, "1 while a witness has seen more of the log than there is");
    metrics::describe_counter!(AGENT_EVENTS, Count, "agent events applied");
    metrics::describe_gauge!(AGENTS_CAUGHT_UP, Count, "1 while agent events are followed to their end");
    poa_storage::metrics::describe();
}

pub(crate) fn appended(kind: Kind) {
    metrics::counter!(STATEMENTS, "kind" => kind.as_str()).increment(1);
}

pub(crate) fn refused(reason: &'static str) {
    metrics::counter!(REFUSED, "reason" => reason).increment(1);
}

pub(crate) fn checkpoint_made(size: u64) {
    metrics::counter!(CHECKPOINTS).increment(1);
    // A log beyond 2^32 leaves shows as one of 2^32.
    metrics::gauge!(TREE_SIZE).set(f64::from(u32::try_from(size).unwrap_or(u32::MAX)));
}

pub(crate) fn witness_cosigned(witness: &str) {
    metrics::counter!(COSIGNED, "witness" => witness.to_owned()).increment(1);
    metrics::gauge!(BEHIND, "witness" => witness.to_owned()).set(0.0);
}

pub(crate) fn witness_failed(witness: &str, behind: bool) {
    metrics::counter!(WITNESS_FAILURES, "witness" => witness.to_owned()).increment(1);
    if behind {
        metrics::gauge!(BEHIND, "witness" => witness.to_owned()).set(1.0);
    }
}

pub(crate) fn agent_events(count: usize) {
    metrics::counter!(AGENT_EVENTS).increment(u64::try_from(count).unwrap_or(u64::MAX));
}

pub(crate) fn agents_caught_up(caught_up: bool) {
    metrics::gauge!(AGENTS_CAUGHT_UP).set(if caught_up { 1.0 } else { 0.0 });
}
