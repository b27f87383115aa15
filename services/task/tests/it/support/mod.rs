//! A task service in this process, with its neighbours and the clocks in the test's hand.

mod agent;
mod attestation;
mod escrow;
mod fault;
mod hold_invoice;
mod world;

pub(crate) use agent::Agent;
pub(crate) use fault::Fault;
pub(crate) use hold_invoice::{Channels, EXPIRY_HEIGHT, GUARD_HEIGHT};
pub(crate) use world::{World, hold_offer, offer, uuid};

use std::time::Duration;

use poa_proto::task::v1::Task;
use poa_proto::task::v1::task::State;
use tonic::{Code, Status};

/// How long anything may take: generous, because a busy machine is no failure.
pub(crate) const SOON: Duration = Duration::from_secs(30);
/// What most offers cost, in msat, and its fee.
pub(crate) const PRICE: i64 = 100_000;
pub(crate) const FEE: i64 = 5_000;

/// The code and the reason of a refusal.
pub(crate) fn refusal<T: std::fmt::Debug>(outcome: Result<T, Status>) -> (Code, String) {
    let status = outcome.unwrap_err();
    let reason = poa_chassis::failure(&status).reason;
    (status.code(), reason)
}

/// The metadata of a refusal under a key.
pub(crate) fn said<T: std::fmt::Debug>(outcome: Result<T, Status>, key: &str) -> String {
    poa_chassis::failure(&outcome.unwrap_err()).metadata.remove(key).unwrap_or_default()
}

/// The fields that a refusal names.
pub(crate) fn bad_fields<T: std::fmt::Debug>(outcome: Result<T, Status>) -> Vec<String> {
    use tonic_types::StatusExt as _;
    let status = outcome.unwrap_err();
    assert_eq!(poa_chassis::failure(&status).reason, "FIELDS_INVALID", "{status:?}");
    let details = status.get_details_bad_request().unwrap();
    details.field_violations.into_iter().map(|violation| violation.field).collect()
}

/// The states' names read better in a failure than their numbers.
pub(crate) fn state(task: &Task) -> State {
    task.state()
}
