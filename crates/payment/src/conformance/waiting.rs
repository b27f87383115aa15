//! Waiting for what a real network needs time for: a case asks until the answer is the right one.

use std::fmt;
use std::time::Duration;

use futures_util::future::BoxFuture;
use poa_common::Msat;

use super::{Failure, World, check, state};
use crate::{Balance, InvoiceState, Outcome, PaymentHash};

/// How long a case waits.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks while it waits.
const POLL: Duration = Duration::from_millis(20);

/// Asks until the answer is right, and gives it.
pub(super) async fn until<'a, T: fmt::Debug>(
    look: impl Fn() -> BoxFuture<'a, Result<T, Failure>>,
    right: impl Fn(&T) -> bool,
    expected: impl fmt::Display,
) -> Result<T, Failure> {
    let mut waited = Duration::ZERO;
    loop {
        let found = look().await?;
        if right(&found) {
            return Ok(found);
        }
        check(waited < PATIENCE, format_args!("still {found:?}, expected {expected}"))?;
        tokio::time::sleep(POLL).await;
        waited += POLL;
    }
}

pub(super) async fn until_state(
    world: &dyn World,
    hash: PaymentHash,
    expected: &str,
) -> Result<InvoiceState, Failure> {
    until(|| Box::pin(state(world, hash)), |found| found.as_str() == expected, expected).await
}

pub(super) async fn until_terminal(world: &dyn World, hash: PaymentHash) -> Result<Outcome, Failure> {
    let look =
        || -> BoxFuture<'_, _> { Box::pin(async move { Ok(world.provider().lookup_payment(hash).await) }) };
    until(look, Outcome::is_terminal, "an end").await
}

/// The balance once nothing is held and nothing is in flight: what earlier payments moved has then arrived. A settled HTLC
/// leaves a channel's commitments a moment after the node has said settled.
pub(super) async fn at_rest(world: &dyn World) -> Result<Balance, Failure> {
    let quiet = |found: &Balance| (found.incoming, found.outgoing) == (Msat::ZERO, Msat::ZERO);
    until(|| balance(world), quiet, "nothing held or in flight").await
}

/// Waits until the node can send `spendable` and holds `incoming` for payers, within the world's tolerance, with nothing in
/// flight.
pub(super) async fn until_balance(
    world: &dyn World,
    spendable: Msat,
    incoming: Msat,
) -> Result<Balance, Failure> {
    let tolerance = world.balance_tolerance();
    let near =
        |found: Msat, expected: Msat| found.get().abs_diff(expected.get()) <= tolerance.get().unsigned_abs();
    let right = |found: &Balance| {
        near(found.spendable, spendable) && near(found.incoming, incoming) && found.outgoing == Msat::ZERO
    };
    let expected = format!("{spendable} msat spendable and {incoming} msat held, give or take {tolerance}");
    until(|| balance(world), right, expected).await
}

fn balance(world: &dyn World) -> BoxFuture<'_, Result<Balance, Failure>> {
    Box::pin(async move { Ok(world.provider().balance().await?) })
}
