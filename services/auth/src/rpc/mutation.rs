//! A mutating request: what it is known by, so that it is carried out once.

use poa_common::{Timestamp, Violations};
use poa_storage::idempotency::{self, Keep, Key, Outcome};
use poa_storage::{Tx, secret};
use prost::Message;
use uuid::Uuid;

use crate::error::Error;
use crate::store::corrupt;

/// What a mutating request is known by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mutation {
    pub(super) key: Key,
    pub(super) fingerprint: [u8; 32],
    pub(super) now: Timestamp,
}

/// The `request_id` of a message.
pub(super) fn request_id(text: &str, violations: &mut Violations) -> Option<Uuid> {
    violations.parse("request_id", text)
}

/// The fingerprint of a request without secrets: SHA-256 of its bytes.
pub(super) fn fingerprint(message: &impl Message) -> [u8; 32] {
    secret::hash(&message.encode_to_vec())
}

/// Reads a recorded answer.
pub(super) fn recorded<T: Message + Default>(bytes: &[u8]) -> Result<T, Error> {
    T::decode(bytes).map_err(|error| corrupt(format!("a recorded answer: {error}")))
}

// === impl Mutation ===

impl Mutation {
    /// The first statement of the transaction: the recorded answer of a request that was carried out before.
    pub(super) async fn begin(&self, tx: &mut Tx) -> Result<Option<Vec<u8>>, Error> {
        match idempotency::begin(tx, self.key, self.fingerprint, self.now).await? {
            Outcome::Fresh => Ok(None),
            Outcome::Replay(recorded) => Ok(Some(recorded)),
        }
    }

    /// The last statement of the transaction.
    pub(super) async fn record(&self, tx: &mut Tx, answer: &[u8]) -> Result<(), Error> {
        Ok(idempotency::record(tx, self.key, answer, Keep::SevenDays).await?)
    }
}
