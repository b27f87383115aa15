//! The service's tables, one file each.

pub(crate) mod agents;
pub(crate) mod chains;
pub(crate) mod checkpoints;
pub(crate) mod evidence;
pub(crate) mod log;
pub(crate) mod notices;
pub(crate) mod requesters;
pub(crate) mod statements;

use poa_storage::Error;
use proof_of_agent::Digest;

/// A count or place as PostgreSQL keeps it.
pub(crate) fn signed<T: TryInto<i64>>(number: T) -> Result<i64, Error> {
    number.try_into().map_err(|_| Error::Corrupt("a number beyond 2^63 - 1".to_owned()))
}

/// A count or place as it is computed with.
pub(crate) fn unsigned(number: i64) -> Result<u64, Error> {
    number.try_into().map_err(|_| Error::Corrupt("a stored count is negative".to_owned()))
}

/// A stored SHA-256.
pub(crate) fn digest(bytes: &[u8]) -> Result<Digest, Error> {
    Digest::try_from(bytes).map_err(|error| Error::Corrupt(error.to_string()))
}
