//! Between the contract's types and ours.

use poa_common::{Msat, Timestamp, Violations};
use prost::Message;

use crate::domain::is_capability;
use crate::error::Error;

/// A message as it was kept.
pub(super) fn kept<M: Message + Default>(bytes: &[u8]) -> Result<M, Error> {
    M::decode(bytes).map_err(Error::bug)
}

pub(super) fn timestamp(at: Timestamp) -> Result<prost_types::Timestamp, Error> {
    let nanos = i32::try_from(at.nanosecond()).map_err(Error::bug)?;
    Ok(prost_types::Timestamp { seconds: at.unix_timestamp(), nanos })
}

/// An upper bound, where 0 means none.
pub(super) fn bound(msat: i64) -> Option<Msat> {
    (msat > 0).then(|| Msat::new(msat))
}

/// Notes capabilities that are none: they could only find nothing.
pub(super) fn capabilities(asked: &[String], found: &mut Violations) {
    for (place, capability) in asked.iter().enumerate() {
        if !is_capability(capability) {
            found.add(format!("capabilities[{place}]"), "must be of a-z, 0-9, `.`, `-` and `_`");
        }
    }
}
