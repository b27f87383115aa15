//! What runs at its own pace: the watchers of deposits and of hold invoices, the payouts, and those that begin by themselves.

mod audit;
mod automatic;
mod chain;
mod deposits;
pub(crate) mod dispatch;
pub(crate) mod holds;
mod internal;
pub(crate) mod liabilities;
mod payouts;
pub(crate) mod reconciliation;
mod tracks;

use std::sync::Arc;
use std::time::Duration;

use poa_chassis::Lifecycle;

use self::dispatch::Dispatcher;
use self::liabilities::Attestation;
use self::reconciliation::Rounds;
use crate::service::Service;

/// How long a lookup may take: a node that hangs is asked again later.
const LOOKUP_PATIENCE: Duration = Duration::from_secs(5);

/// Starts all workers. They end with the process.
pub(crate) fn spawn(
    service: &Arc<Service>,
    dispatcher: Dispatcher,
    rounds: Rounds,
    attestation: Option<Attestation>,
    lifecycle: &Lifecycle,
) {
    let stopping = lifecycle.stopping();
    lifecycle.spawn("deposit hints", deposits::follow(Arc::clone(service), stopping.clone()));
    lifecycle.spawn("deposit poll", deposits::poll(Arc::clone(service), stopping.clone()));
    lifecycle.spawn("simulated chain", chain::grow(Arc::clone(service), stopping.clone()));
    lifecycle.spawn("hold invoices", holds::run(Arc::clone(service), stopping.clone()));
    lifecycle.spawn("automatic payouts", automatic::run(Arc::clone(service), stopping.clone()));
    lifecycle.spawn("payouts", payouts::run(Arc::clone(service), dispatcher, stopping.clone()));
    lifecycle.spawn("audit", audit::run(Arc::clone(service), stopping.clone()));
    lifecycle.spawn("reconciliation", rounds.run(Arc::clone(service), stopping.clone()));
    if let Some(attestation) = attestation {
        lifecycle.spawn("liabilities", liabilities::run(Arc::clone(service), attestation, stopping));
    }
}
