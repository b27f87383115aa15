//! This service's failpoints: before and after each COMMIT that moves sats or decides that they move, and each call of
//! the node.
//!
//! The platform's fee has none of its own: it is booked by the transaction of the capture.

use std::sync::Arc;

use poa_chassis::failpoint::reach;
use poa_storage::Error as Storage;

use crate::domain::command::Reply;
use crate::domain::{escrow, withdrawal};

poa_chassis::failpoints! {
    /// Where this service can be told to die, to fail or to stall.
    pub enum Failpoint {
        /// A hold is written, and not committed.
        HoldBeforeCommit = "escrow.hold.before_commit",
        /// A hold is committed, and not answered.
        HoldCommitted = "escrow.hold.committed",
        /// A capture with its fee is written, and not committed.
        CaptureBeforeCommit = "escrow.capture.before_commit",
        /// A capture with its fee is committed, and not answered.
        CaptureCommitted = "escrow.capture.committed",
        /// A refund is written, and not committed.
        RefundBeforeCommit = "escrow.refund.before_commit",
        /// A refund is committed, and not answered.
        RefundCommitted = "escrow.refund.committed",
        /// The tombstone of an escrow that never was is written, and not committed.
        VoidBeforeCommit = "escrow.void.before_commit",
        /// The tombstone of an escrow that never was is committed, and not answered.
        VoidCommitted = "escrow.void.committed",
        /// The node is about to be asked for an invoice.
        InvoiceBeforeCall = "escrow.deposit.invoice.before_call",
        /// The node has made an invoice, and nothing is written of it.
        InvoiceCalled = "escrow.deposit.invoice.called",
        /// A deposit is written, and not committed.
        DepositBeforeCommit = "escrow.deposit.before_commit",
        /// A deposit is committed, and its invoice not handed out.
        DepositCommitted = "escrow.deposit.committed",
        /// The node is about to be asked for an invoice's state.
        DepositLookupBeforeCall = "escrow.deposit.lookup.before_call",
        /// The node has told an invoice's state.
        DepositLookupCalled = "escrow.deposit.lookup.called",
        /// A paid deposit is credited, and that not committed.
        CreditBeforeCommit = "escrow.credit.before_commit",
        /// A paid deposit's credit is committed.
        CreditCommitted = "escrow.credit.committed",
        /// A withdrawal and its reservation are written, and not committed.
        WithdrawalBeforeCommit = "escrow.withdrawal.before_commit",
        /// A withdrawal and its reservation are committed, and not answered.
        WithdrawalCommitted = "escrow.withdrawal.committed",
        /// The intent to pay is written, and not committed.
        IntentBeforeCommit = "escrow.payout.intent.before_commit",
        /// The intent to pay is committed, and the node not told.
        IntentCommitted = "escrow.payout.intent.committed",
        /// The node is about to be told to pay.
        DispatchBeforeCall = "escrow.payout.dispatch.before_call",
        /// The node was told to pay, and its answer is not heard.
        DispatchCalled = "escrow.payout.dispatch.called",
        /// The node is about to be asked what became of a payment.
        PayoutLookupBeforeCall = "escrow.payout.lookup.before_call",
        /// The node has told what became of a payment.
        PayoutLookupCalled = "escrow.payout.lookup.called",
        /// That a failure was seen is written, and not committed.
        FailureBeforeCommit = "escrow.payout.failure.before_commit",
        /// That a failure was seen is committed.
        FailureCommitted = "escrow.payout.failure.committed",
        /// A payout's success is booked, and that not committed.
        SettleBeforeCommit = "escrow.payout.settle.before_commit",
        /// A payout's success is committed.
        SettleCommitted = "escrow.payout.settle.committed",
        /// What a payout had reserved is given back, and that not committed.
        ReturnBeforeCommit = "escrow.payout.return.before_commit",
        /// What a payout had reserved is given back.
        ReturnCommitted = "escrow.payout.return.committed",
    }
}

/// The calls of the node, each by the points before and after it.
impl Failpoint {
    pub(crate) const INVOICE: (Self, Self) = (Self::InvoiceBeforeCall, Self::InvoiceCalled);
    pub(crate) const DEPOSIT_LOOKUP: (Self, Self) =
        (Self::DepositLookupBeforeCall, Self::DepositLookupCalled);
    pub(crate) const DISPATCH: (Self, Self) = (Self::DispatchBeforeCall, Self::DispatchCalled);
    pub(crate) const PAYOUT_LOOKUP: (Self, Self) = (Self::PayoutLookupBeforeCall, Self::PayoutLookupCalled);
}

/// The last thing inside of a transaction. To fail there is to lose the connection: nothing was applied.
pub(crate) async fn before_commit(point: Failpoint) -> Result<(), Storage> {
    reach(point).await.map_err(|struck| Storage::Unavailable(Arc::new(struck)))
}

/// The first thing after a COMMIT. To fail there is to have lost its answer.
pub(crate) async fn committed(point: Failpoint) -> Result<(), Storage> {
    reach(point).await.map_err(|_struck| Storage::CommitUnknown)
}

/// A call of the node between its two points. To fail at either is to hear nothing of it, whatever was done.
pub(crate) async fn call<T>(
    (before, after): (Failpoint, Failpoint),
    nothing_heard: T,
    call: impl Future<Output = T>,
) -> T {
    if reach(before).await.is_err() {
        return nothing_heard;
    }
    let answer = call.await;
    if reach(after).await.is_err() { nothing_heard } else { answer }
}

/// The last thing inside of a transaction of the ledger's writer, for each command that it carries out.
pub(crate) async fn ledger_before_commit<E>(replies: &[Result<Reply, E>]) -> Result<(), Storage> {
    for reply in replies.iter().flatten() {
        before_commit(around(reply).0).await?;
    }
    Ok(())
}

/// The first thing after the ledger's writer has committed a command.
pub(crate) async fn ledger_committed<E>(reply: &Result<Reply, E>) -> Result<(), Storage> {
    match reply {
        Ok(reply) => committed(around(reply).1).await,
        Err(_refused) => Ok(()),
    }
}

/// The points before and after the COMMIT of the command that led to this row.
fn around(reply: &Reply) -> (Failpoint, Failpoint) {
    match reply {
        Reply::Escrow(escrow) => match escrow.state {
            escrow::State::Held => (Failpoint::HoldBeforeCommit, Failpoint::HoldCommitted),
            escrow::State::Released => (Failpoint::CaptureBeforeCommit, Failpoint::CaptureCommitted),
            escrow::State::Refunded => (Failpoint::RefundBeforeCommit, Failpoint::RefundCommitted),
            escrow::State::Void => (Failpoint::VoidBeforeCommit, Failpoint::VoidCommitted),
        },
        Reply::Deposit(_) => (Failpoint::CreditBeforeCommit, Failpoint::CreditCommitted),
        Reply::Withdrawal(row) => match row.state {
            withdrawal::State::Reserved | withdrawal::State::Dispatched => {
                (Failpoint::WithdrawalBeforeCommit, Failpoint::WithdrawalCommitted)
            }
            withdrawal::State::Succeeded => (Failpoint::SettleBeforeCommit, Failpoint::SettleCommitted),
            withdrawal::State::Failed => (Failpoint::ReturnBeforeCommit, Failpoint::ReturnCommitted),
        },
    }
}
