//! What phoenixd's answers mean, in the terms of a provider. Pure: the answer, what was asked, and the time.

use std::time::Duration;

use poa_common::{Msat, Timestamp};

use super::answers::{Funds, Incoming, Misunderstood, NodeInfo, Outgoing};
use super::texts;
use crate::{FailureReason, FeeModel, Info, InvoiceState, NodeId, Outcome, PaymentHash};

/// What phoenixd takes for a payment, whatever the way: 4 sat and 0.4 % of the amount, to the node that finds the route.
pub(super) const FEES: FeeModel = FeeModel::Fixed { base: FEE_BASE, basis_points: FEE_BASIS_POINTS };
const FEE_BASE: Msat = Msat::new(4_000);
const FEE_BASIS_POINTS: u32 = 40;

/// The fee of a payment of so much.
pub(super) fn fee(amount: Msat) -> Option<Msat> {
    amount.share_floor(FEE_BASIS_POINTS).and_then(|share| share.checked_add(FEE_BASE)).ok()
}

/// Who the node is.
pub(super) fn info(answer: &NodeInfo) -> Result<Info, Misunderstood> {
    let node: NodeId =
        answer.node_id.parse().map_err(|_| Misunderstood::Contradiction("a node id that is none"))?;
    let (chain, network) = texts::chain(&answer.chain).ok_or(Misunderstood::Chain)?;
    Ok(Info {
        node,
        network,
        chain,
        height: answer.block_height.unwrap_or(0),
        synced: answer.block_height.is_some(),
    })
}

/// Whether the balance is that of all channels: while one is disconnected, phoenixd leaves it out.
pub(super) fn is_whole(answer: &NodeInfo) -> bool {
    !answer.channels.iter().any(|channel| texts::is_disconnected(&channel.state))
}

/// What can be sent, and what can only pay for liquidity.
pub(super) fn funds(answer: &Funds) -> Result<(Msat, Msat), Misunderstood> {
    Ok((sats(answer.balance_sat)?, sats(answer.fee_credit_sat)?))
}

/// Where an invoice stands. `Canceled` only where it can no longer be paid: it has expired by the node's clock, a margin has
/// passed by ours, and it is unpaid. Until then it is open, so that a payment of the last second is never preceded by an end.
pub(super) fn invoice(
    row: &Incoming,
    now: Timestamp,
    margin: Duration,
) -> Result<InvoiceState, Misunderstood> {
    match (row.is_paid, row.completed_at) {
        (true, Some(at)) => {
            if row.preimage.hash() != row.payment_hash {
                return Err(Misunderstood::Contradiction("a preimage that does not open the hash"));
            }
            // The fees of a channel that also makes room for later payments can be more than what was paid. Less than
            // nothing is nothing here, and the rest a cost of the node's.
            let received = u64::try_from(row.received_sat).unwrap_or(0);
            Ok(InvoiceState::Settled {
                paid: sats(received)?,
                at: moment(at)?,
                preimage: Some(row.preimage.clone()),
            })
        }
        (true, None) => Err(Misunderstood::Contradiction("paid, and never completed")),
        (false, Some(_)) => Err(Misunderstood::Contradiction("completed, and not paid")),
        (false, None) => match row.expires_at {
            Some(at) if row.is_expired && is_over(moment(at)?, margin, now) => Ok(InvoiceState::Canceled),
            Some(_) | None => Ok(InvoiceState::Open),
        },
    }
}

/// What became of a payment; `reason` is what the request for it was answered with, where that is known.
pub(super) fn payment(row: &Outgoing, reason: Option<FailureReason>) -> Result<Outcome, Misunderstood> {
    let hash = payment_hash(row)?;
    match (row.is_paid, row.completed_at, &row.preimage) {
        (true, Some(_), Some(preimage)) => {
            if preimage.hash() != hash {
                return Err(Misunderstood::Contradiction("a preimage that does not open the hash"));
            }
            Ok(Outcome::Settled { preimage: preimage.clone(), fee: msat(row.fees)? })
        }
        (true, _, _) => Err(Misunderstood::Contradiction("paid, without a proof or an end")),
        (false, _, Some(_)) => Err(Misunderstood::Contradiction("a proof of what was not paid")),
        (false, Some(_), None) => Ok(Outcome::Failed(reason.unwrap_or(FailureReason::Error))),
        (false, None, None) => Ok(Outcome::InFlight),
    }
}

/// Whose payment a row is.
pub(super) fn payment_hash(row: &Outgoing) -> Result<PaymentHash, Misunderstood> {
    row.payment_hash
        .filter(|_| texts::is_lightning(&row.sub_type))
        .ok_or(Misunderstood::Contradiction("a payment without a hash"))
}

/// What the payee gets. `sent` is amount and fees together, rounded down; of a whole amount of sats this is exact.
pub(super) fn amount(row: &Outgoing) -> Result<Msat, Misunderstood> {
    let fees = msat(row.fees)?;
    let amount = sats(row.sent)?.checked_sub(Msat::new(fees.get() - fees.get() % 1_000));
    amount
        .ok()
        .filter(|amount| !amount.is_negative())
        .ok_or(Misunderstood::Contradiction("fees above what was sent"))
}

/// An amount of whole sats that can exist.
fn sats(sats: u64) -> Result<Msat, Misunderstood> {
    msat(sats.saturating_mul(1_000))
}

/// An amount that can exist.
fn msat(msat: u64) -> Result<Msat, Misunderstood> {
    i64::try_from(msat)
        .ok()
        .map(Msat::new)
        .filter(|amount| *amount <= Msat::SUPPLY)
        .ok_or(Misunderstood::Contradiction("more than all bitcoin"))
}

/// Whether the margin after a time has passed. One that ends beyond the calendar never has.
fn is_over(at: Timestamp, margin: Duration, now: Timestamp) -> bool {
    let margin = time::Duration::try_from(margin).unwrap_or(time::Duration::MAX);
    at.checked_add(margin).is_some_and(|end| end <= now)
}

/// A time of the node's.
fn moment(millis: u64) -> Result<Timestamp, Misunderstood> {
    Timestamp::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000)
        .map_err(|_| Misunderstood::Contradiction("a time beyond the calendar"))
}
