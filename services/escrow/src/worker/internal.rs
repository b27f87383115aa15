//! Pays within the ledger what would otherwise leave and come back: intent, cancel, look, transfer.
//!
//! Nothing here can send. The invoice of the deposit is cancelled at the node before any sat moves, and its state is looked
//! up after: what was paid from outside meanwhile stays so, and the withdrawal fails.

use poa_payment::{InvoiceState, NodeId};

use super::payouts::Payouts;
use super::{LOOKUP_PATIENCE, payouts};
use crate::domain::command::{Command, TransferWithdrawal};
use crate::domain::internal::{Step, next};
use crate::domain::withdrawal::{State, Withdrawal};
use crate::error::Error;
use crate::failpoint::{self, Failpoint};
use crate::metrics;
use crate::store::withdrawals::{self, Committed, Intent};

/// Brings one withdrawal within the ledger forward; whether its row has changed.
pub(super) async fn advance(payouts: &Payouts, mut row: Withdrawal, node: NodeId) -> Result<bool, Error> {
    let began = row.state == State::Reserved;
    if began && !begin(payouts, &mut row, node).await? {
        return Ok(false);
    }
    let same_node = row.node == Some(node);
    // The first look may already find it paid from outside: then there is nothing to cancel.
    let mut step = next(look(payouts, &row).await, same_node);
    if step == Step::Cancel {
        cancel(payouts, &row).await;
        step = next(look(payouts, &row).await, same_node);
    }
    match step {
        Step::Transfer => transfer(payouts, &row).await,
        Step::Return(failure) => payouts.give_back(&row, failure).await,
        // Not cancelled after all: the next look tries again.
        Step::Cancel | Step::Wait => Ok(began),
        Step::Alarm(what) => {
            payouts::alarm(&row, what);
            Ok(began)
        }
    }
}

/// Commits the intent; whether there is one.
async fn begin(payouts: &Payouts, row: &mut Withdrawal, node: NodeId) -> Result<bool, Error> {
    let intent =
        Intent { withdrawal: row.id, dispatches: row.dispatches, node, deadline: row.invoice_expire_time };
    match withdrawals::commit_intent(&payouts.service().db, intent).await? {
        Committed::Dispatch(dispatches) => {
            (row.state, row.node, row.dispatches) = (State::Dispatched, Some(node), dispatches);
            Ok(true)
        }
        Committed::Overtaken | Committed::Paused => Ok(false),
    }
}

/// Tells the node to cancel the invoice. Whatever it answers, the look after it decides.
async fn cancel(payouts: &Payouts, row: &Withdrawal) {
    let canceling = payouts.service().provider.cancel_invoice(row.hash);
    let nothing_heard = Err(poa_payment::Error::NoAnswer(None));
    let canceling = failpoint::call(Failpoint::TRANSFER_CANCEL, nothing_heard, canceling);
    match tokio::time::timeout(LOOKUP_PATIENCE, canceling).await {
        Ok(Ok(())) => {}
        Ok(Err(poa_payment::Error::WrongState { .. })) => {}
        Ok(Err(_)) | Err(_) => metrics::node_failed("cancel_invoice"),
    }
}

/// The invoice's state: none where the node did not answer.
async fn look(payouts: &Payouts, row: &Withdrawal) -> Option<Option<InvoiceState>> {
    let looking = payouts.service().provider.lookup_invoice(row.hash);
    let nothing_heard = Err(poa_payment::Error::NoAnswer(None));
    let looking = failpoint::call(Failpoint::TRANSFER_LOOKUP, nothing_heard, looking);
    let looked = tokio::time::timeout(LOOKUP_PATIENCE, looking).await;
    let heard = looked.ok().and_then(Result::ok);
    if heard.is_none() {
        metrics::node_failed("lookup_invoice");
    }
    heard
}

async fn transfer(payouts: &Payouts, row: &Withdrawal) -> Result<bool, Error> {
    let service = payouts.service();
    // A row without a deposit does not come here.
    let Some(deposit) = row.deposit else { return Ok(false) };
    let order = TransferWithdrawal {
        withdrawal: row.id,
        deposit,
        transfer: service.env.new_id(),
        return_transfer: service.env.new_id(),
        time: service.env.now(),
    };
    service.ledger.withdrawal(Command::TransferWithdrawal(order)).await?;
    metrics::withdrawal_ended(State::Succeeded.as_str());
    metrics::deposit_ended("settled");
    service.changed(deposit);
    tracing::info!(withdrawal_id = %row.id, deposit_id = %deposit, "withdrawal paid within the ledger");
    Ok(true)
}
