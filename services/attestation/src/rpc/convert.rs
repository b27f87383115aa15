//! Between the contract's types and ours.

use poa_common::Timestamp;
use poa_proto::attestation::v1::{Attestation, attestation};
use proof_of_agent::{Digest, Kind};

use crate::error::Error;
use crate::store::statements::Stored;

/// How far the log has come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reached {
    /// Entries of the published tree.
    pub(super) tree: u64,
    /// Entries of the largest published tree that enough witnesses have seen; 0 where none are asked for.
    pub(super) witnessed: u64,
}

/// A statement as the contract shows it.
pub(super) fn attestation(stored: Stored, reached: Reached) -> Result<Attestation, Error> {
    let state = match stored.log_index {
        index if index < reached.witnessed => attestation::State::Witnessed,
        index if index < reached.tree => attestation::State::Logged,
        _ => attestation::State::Pending,
    };
    Ok(Attestation {
        attestation_id: stored.id.to_string(),
        task_id: stored.task_id.to_string(),
        kind: kind(stored.kind).into(),
        state: state.into(),
        envelope: stored.envelope,
        digest: stored.digest.to_vec(),
        log_index: count(stored.log_index)?,
        create_time: Some(time(stored.created_at)?),
    })
}

/// Hashes as `bytes` fields.
pub(super) fn hashes(hashes: &[Digest]) -> Vec<Vec<u8>> {
    hashes.iter().map(|hash| hash.to_vec()).collect()
}

/// A place or size as the contract has it.
pub(super) fn count(number: u64) -> Result<i64, Error> {
    i64::try_from(number).map_err(Error::bug)
}

/// A place or size of a request that was validated.
pub(super) fn place(field: &str, number: i64) -> Result<u64, Error> {
    u64::try_from(number).map_err(|_| Error::field(field, "must not be negative"))
}

fn kind(kind: Kind) -> attestation::Kind {
    match kind {
        Kind::TermsOffered => attestation::Kind::TermsOffered,
        Kind::TermsAccepted => attestation::Kind::TermsAccepted,
        Kind::WorkSubmitted => attestation::Kind::WorkSubmitted,
        Kind::WorkReceived => attestation::Kind::WorkReceived,
        Kind::Decision => attestation::Kind::Decision,
        Kind::Settlement => attestation::Kind::Settlement,
    }
}

fn time(time: Timestamp) -> Result<prost_types::Timestamp, Error> {
    let nanos = i32::try_from(time.nanosecond()).map_err(Error::bug)?;
    Ok(prost_types::Timestamp { seconds: time.unix_timestamp(), nanos })
}
