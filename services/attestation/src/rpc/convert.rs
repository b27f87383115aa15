//! Between the contract's types and ours.

use poa_common::Timestamp;
use poa_proto::attestation::v1::{Attestation, attestation};
use proof_of_agent::{Digest, Kind};

use crate::error::Error;
use crate::store::statements::Stored;

/// A statement as the contract shows it. `tree_size` is that of the newest checkpoint.
pub(super) fn attestation(stored: Stored, tree_size: u64) -> Result<Attestation, Error> {
    let state =
        if stored.log_index < tree_size { attestation::State::Logged } else { attestation::State::Pending };
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
