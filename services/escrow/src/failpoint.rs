//! This service's failpoints: before and after each COMMIT that moves sats or decides that they move, and each call of
//! the node.
//!
//! The platform's fee has none of its own: it is booked by the transaction of the capture.

use std::sync::Arc;

use poa_chassis::failpoint::reach;
use poa_storage::Error as Storage;

use crate::domain::command::Reply;
use crate::domain::escrow::{Escrow, State};
use crate::domain::withdrawal;

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
        /// The row of a hold invoice with its sealed preimage is written, and not committed.
        PrepareBeforeCommit = "escrow.hold_invoice.prepare.before_commit",
        /// The row of a hold invoice is committed, and the node not asked.
        PrepareCommitted = "escrow.hold_invoice.prepare.committed",
        /// The node is about to be asked for a hold invoice.
        AddBeforeCall = "escrow.hold_invoice.add.before_call",
        /// The node has made a hold invoice, and nothing is written of it.
        AddCalled = "escrow.hold_invoice.add.called",
        /// A hold invoice is written, and not committed.
        MadeBeforeCommit = "escrow.hold_invoice.made.before_commit",
        /// A hold invoice is committed, and not handed out.
        MadeCommitted = "escrow.hold_invoice.made.committed",
        /// The node is about to be asked for a hold invoice's state.
        HoldLookupBeforeCall = "escrow.hold_invoice.lookup.before_call",
        /// The node has told a hold invoice's state.
        HoldLookupCalled = "escrow.hold_invoice.lookup.called",
        /// What a hold invoice has locked is written, and not committed.
        AcceptBeforeCommit = "escrow.hold_invoice.accept.before_commit",
        /// What a hold invoice has locked is committed.
        AcceptCommitted = "escrow.hold_invoice.accept.committed",
        /// That the chain came to the guard height is written, and not committed.
        GuardBeforeCommit = "escrow.hold_invoice.guard.before_commit",
        /// That the chain came to the guard height is committed.
        GuardCommitted = "escrow.hold_invoice.guard.committed",
        /// The intent to take what is locked is written, and not committed.
        SecureBeforeCommit = "escrow.hold_invoice.secure.before_commit",
        /// The intent to take what is locked is committed, and the node not told.
        SecureCommitted = "escrow.hold_invoice.secure.committed",
        /// The node is about to be told to take what is locked.
        TakeBeforeCall = "escrow.hold_invoice.settle.before_call",
        /// The node was told to take what is locked, and its answer is not heard.
        TakeCalled = "escrow.hold_invoice.settle.called",
        /// The node is about to be asked whether what it took is final.
        FinalityBeforeCall = "escrow.hold_invoice.finality.before_call",
        /// The node has told whether what it took is final.
        FinalityCalled = "escrow.hold_invoice.finality.called",
        /// What came in by a hold invoice is booked, and that not committed.
        FundBeforeCommit = "escrow.hold_invoice.fund.before_commit",
        /// What came in by a hold invoice is booked.
        FundCommitted = "escrow.hold_invoice.fund.committed",
        /// The intent to give back what is locked is written, and not committed.
        CancelingBeforeCommit = "escrow.hold_invoice.canceling.before_commit",
        /// The intent to give back what is locked is committed, and the node not told.
        CancelingCommitted = "escrow.hold_invoice.canceling.committed",
        /// The node is about to be told to give back what is locked.
        CancelBeforeCall = "escrow.hold_invoice.cancel.before_call",
        /// The node was told to give back what is locked, and its answer is not heard.
        CancelCalled = "escrow.hold_invoice.cancel.called",
        /// That a hold invoice was given back, wished for or not, is written, and not committed.
        GivenBackBeforeCommit = "escrow.hold_invoice.given_back.before_commit",
        /// That a hold invoice was given back, wished for or not, is committed.
        GivenBackCommitted = "escrow.hold_invoice.given_back.committed",
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
        /// That nobody has paid a deposit is written, and not committed.
        DepositExpireBeforeCommit = "escrow.deposit.expire.before_commit",
        /// That nobody has paid a deposit is committed.
        DepositExpired = "escrow.deposit.expire.committed",
        /// A paid deposit is credited, and that not committed.
        CreditBeforeCommit = "escrow.credit.before_commit",
        /// A paid deposit's credit is committed.
        CreditCommitted = "escrow.credit.committed",
        /// A Lightning address is about to be asked for an invoice.
        ResolveBeforeCall = "escrow.withdrawal.resolve.before_call",
        /// A Lightning address has given an invoice, and nothing is written of it.
        ResolveCalled = "escrow.withdrawal.resolve.called",
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
        /// What the node was seen to say of a payment, that it failed or is in flight, is written, and not committed.
        FailureBeforeCommit = "escrow.payout.failure.before_commit",
        /// What the node was seen to say of a payment is committed.
        FailureCommitted = "escrow.payout.failure.committed",
        /// A payout's success is booked, and that not committed.
        SettleBeforeCommit = "escrow.payout.settle.before_commit",
        /// A payout's success is committed.
        SettleCommitted = "escrow.payout.settle.committed",
        /// What a payout had reserved is given back, and that not committed.
        ReturnBeforeCommit = "escrow.payout.return.before_commit",
        /// What a payout had reserved is given back.
        ReturnCommitted = "escrow.payout.return.committed",
        /// The node is about to be told to cancel the invoice of a deposit that the ledger pays.
        TransferCancelBeforeCall = "escrow.transfer.cancel.before_call",
        /// The node was told to cancel it, and its answer is not heard.
        TransferCancelCalled = "escrow.transfer.cancel.called",
        /// The node is about to be asked for that invoice's state.
        TransferLookupBeforeCall = "escrow.transfer.lookup.before_call",
        /// The node has told that invoice's state.
        TransferLookupCalled = "escrow.transfer.lookup.called",
        /// A withdrawal is paid within the ledger, and that not committed.
        TransferBeforeCommit = "escrow.transfer.before_commit",
        /// A withdrawal's payment within the ledger is committed.
        TransferCommitted = "escrow.transfer.committed",
        /// Payouts are paused or let go on, and that not committed.
        SwitchBeforeCommit = "escrow.switch.before_commit",
        /// Payouts are paused or let go on, and that is not answered.
        SwitchCommitted = "escrow.switch.committed",
        /// Where an account is paid out to is changed, and that not committed.
        DestinationBeforeCommit = "escrow.destination.before_commit",
        /// Where an account is paid out to is changed, and that not answered.
        DestinationCommitted = "escrow.destination.committed",
        /// How an automatic payout went is written, and not committed.
        AutomaticBeforeCommit = "escrow.automatic.before_commit",
        /// How an automatic payout went is committed.
        AutomaticCommitted = "escrow.automatic.committed",
        /// A snapshot of what is owed is written, and not committed.
        LiabilitiesTakeBeforeCommit = "escrow.liabilities.take.before_commit",
        /// A snapshot of what is owed is committed.
        LiabilitiesTaken = "escrow.liabilities.taken",
        /// The tree over what is owed is written, and not committed.
        LiabilitiesTreeBeforeCommit = "escrow.liabilities.tree.before_commit",
        /// The tree over what is owed is committed.
        LiabilitiesTreeBuilt = "escrow.liabilities.tree.built",
        /// Attestation is about to be asked to state what is owed.
        LiabilitiesBeforeCall = "escrow.liabilities.state.before_call",
        /// Attestation has stated what is owed, and nothing is written of it.
        LiabilitiesCalled = "escrow.liabilities.state.called",
        /// Where the statement of what is owed stands is written, and not committed.
        LiabilitiesNoteBeforeCommit = "escrow.liabilities.note.before_commit",
        /// Where the statement of what is owed stands is committed.
        LiabilitiesNoted = "escrow.liabilities.noted",
    }
}

/// The calls of the node and of others outside, each by the points before and after it.
impl Failpoint {
    pub(crate) const ADD: (Self, Self) = (Self::AddBeforeCall, Self::AddCalled);
    pub(crate) const HOLD_LOOKUP: (Self, Self) = (Self::HoldLookupBeforeCall, Self::HoldLookupCalled);
    pub(crate) const TAKE: (Self, Self) = (Self::TakeBeforeCall, Self::TakeCalled);
    pub(crate) const FINALITY: (Self, Self) = (Self::FinalityBeforeCall, Self::FinalityCalled);
    pub(crate) const CANCEL: (Self, Self) = (Self::CancelBeforeCall, Self::CancelCalled);
    pub(crate) const LIABILITIES: (Self, Self) = (Self::LiabilitiesBeforeCall, Self::LiabilitiesCalled);
    pub(crate) const INVOICE: (Self, Self) = (Self::InvoiceBeforeCall, Self::InvoiceCalled);
    pub(crate) const DEPOSIT_LOOKUP: (Self, Self) =
        (Self::DepositLookupBeforeCall, Self::DepositLookupCalled);
    pub(crate) const DISPATCH: (Self, Self) = (Self::DispatchBeforeCall, Self::DispatchCalled);
    pub(crate) const PAYOUT_LOOKUP: (Self, Self) = (Self::PayoutLookupBeforeCall, Self::PayoutLookupCalled);
    pub(crate) const RESOLVE: (Self, Self) = (Self::ResolveBeforeCall, Self::ResolveCalled);
    pub(crate) const TRANSFER_CANCEL: (Self, Self) =
        (Self::TransferCancelBeforeCall, Self::TransferCancelCalled);
    pub(crate) const TRANSFER_LOOKUP: (Self, Self) =
        (Self::TransferLookupBeforeCall, Self::TransferLookupCalled);
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
        Reply::Escrow(escrow) => around_escrow(escrow),
        Reply::Deposit(_) => (Failpoint::CreditBeforeCommit, Failpoint::CreditCommitted),
        Reply::Withdrawal(row) => match row.state {
            withdrawal::State::Reserved | withdrawal::State::Dispatched => {
                (Failpoint::WithdrawalBeforeCommit, Failpoint::WithdrawalCommitted)
            }
            withdrawal::State::Succeeded if row.deposit.is_some() => {
                (Failpoint::TransferBeforeCommit, Failpoint::TransferCommitted)
            }
            withdrawal::State::Succeeded => (Failpoint::SettleBeforeCommit, Failpoint::SettleCommitted),
            withdrawal::State::Failed => (Failpoint::ReturnBeforeCommit, Failpoint::ReturnCommitted),
        },
    }
}

fn around_escrow(escrow: &Escrow) -> (Failpoint, Failpoint) {
    let invoice = escrow.hold_invoice.as_ref();
    match escrow.state {
        State::Held if invoice.is_some() => (Failpoint::FundBeforeCommit, Failpoint::FundCommitted),
        State::Held => (Failpoint::HoldBeforeCommit, Failpoint::HoldCommitted),
        State::Released => (Failpoint::CaptureBeforeCommit, Failpoint::CaptureCommitted),
        State::Refunded => (Failpoint::RefundBeforeCommit, Failpoint::RefundCommitted),
        State::Void => (Failpoint::VoidBeforeCommit, Failpoint::VoidCommitted),
        State::Awaiting if invoice.is_some_and(|invoice| invoice.bolt11.is_some()) => {
            (Failpoint::MadeBeforeCommit, Failpoint::MadeCommitted)
        }
        State::Awaiting => (Failpoint::PrepareBeforeCommit, Failpoint::PrepareCommitted),
        State::Accepted if invoice.is_some_and(|invoice| invoice.guard_time.is_some()) => {
            (Failpoint::GuardBeforeCommit, Failpoint::GuardCommitted)
        }
        State::Accepted => (Failpoint::AcceptBeforeCommit, Failpoint::AcceptCommitted),
        State::Settling => (Failpoint::SecureBeforeCommit, Failpoint::SecureCommitted),
        State::Canceling => (Failpoint::CancelingBeforeCommit, Failpoint::CancelingCommitted),
        State::Canceled | State::FundingLost => {
            (Failpoint::GivenBackBeforeCommit, Failpoint::GivenBackCommitted)
        }
    }
}
