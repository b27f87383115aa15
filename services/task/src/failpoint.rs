//! This service's failpoints: before and after each COMMIT that takes a task on, and each call of escrow and attestation.
//!
//! Outcomes that are written together reach the points of each of their steps.

use std::sync::Arc;

use poa_chassis::failpoint::reach;
use poa_storage::Error as Storage;

use crate::domain::Step;

poa_chassis::failpoints! {
    /// Where this service can be told to die, to fail or to stall.
    pub enum Failpoint {
        /// A new task is written, and not committed.
        CreateBeforeCommit = "task.create.before_commit",
        /// A new task is committed, and nothing else done for it.
        CreateCommitted = "task.create.committed",
        /// A claim is written, and not committed.
        ClaimBeforeCommit = "task.claim.before_commit",
        /// A claim is committed, and not logged.
        ClaimCommitted = "task.claim.committed",
        /// A claim that is given back is written, and not committed.
        ReleaseClaimBeforeCommit = "task.release_claim.before_commit",
        /// A claim is given back, and that not answered.
        ReleaseClaimCommitted = "task.release_claim.committed",
        /// A result is written, and not committed.
        SubmitBeforeCommit = "task.submit.before_commit",
        /// A result is committed, and its receipt not logged.
        SubmitCommitted = "task.submit.committed",
        /// The requester's acceptance is written, and not committed.
        AcceptBeforeCommit = "task.accept.before_commit",
        /// The requester's acceptance is committed, and nothing done for it.
        AcceptCommitted = "task.accept.committed",
        /// A cancellation is written, and not committed.
        CancelBeforeCommit = "task.cancel.before_commit",
        /// A cancellation is committed, and nothing done for it.
        CancelCommitted = "task.cancel.committed",
        /// A rejection is written, and not committed.
        RejectBeforeCommit = "task.reject.before_commit",
        /// A rejection is committed, and not logged.
        RejectCommitted = "task.reject.committed",
        /// Tasks that are due are taken by the worker, and not yet driven.
        DueTaken = "task.due.taken",
        /// Escrow is about to be asked for an account's fee.
        QuoteBeforeCall = "task.quote.before_call",
        /// Escrow has answered an account's fee.
        QuoteCalled = "task.quote.called",
        /// Escrow is about to be asked to hold the price.
        HoldBeforeCall = "task.hold.before_call",
        /// Escrow has answered about the hold.
        HoldCalled = "task.hold.called",
        /// The hold's outcome is written, and not committed.
        HoldBeforeCommit = "task.hold.before_commit",
        /// The hold's outcome is committed.
        HoldStored = "task.hold.stored",
        /// Attestation is about to be asked to log a statement.
        AppendBeforeCall = "task.append.before_call",
        /// Attestation has answered about a statement.
        AppendCalled = "task.append.called",
        /// That a statement is logged is written, and not committed.
        AppendBeforeCommit = "task.append.before_commit",
        /// That a statement is logged is committed.
        AppendStored = "task.append.stored",
        /// Escrow is about to be asked to take what a hold invoice locks.
        SecureBeforeCall = "task.secure.before_call",
        /// Escrow has answered about the taking.
        SecureCalled = "task.secure.called",
        /// That the sats are in the ledger, or lost, is written, and not committed.
        SecureBeforeCommit = "task.secure.before_commit",
        /// That the sats are in the ledger, or lost, is committed.
        SecureStored = "task.secure.stored",
        /// Escrow is about to be asked to pay.
        CaptureBeforeCall = "task.capture.before_call",
        /// Escrow has answered about the capture.
        CaptureCalled = "task.capture.called",
        /// The capture's outcome is written, and not committed.
        CaptureBeforeCommit = "task.capture.before_commit",
        /// The capture's outcome is committed.
        CaptureStored = "task.capture.stored",
        /// Escrow is about to be asked to give the price back.
        RefundBeforeCall = "task.refund.before_call",
        /// Escrow has answered about the refund.
        RefundCalled = "task.refund.called",
        /// The refund's outcome is written, and not committed.
        RefundBeforeCommit = "task.refund.before_commit",
        /// The refund's outcome is committed.
        RefundStored = "task.refund.stored",
        /// The decision to pay, by the policy or by silence, is written, and not committed.
        ReleaseBeforeCommit = "task.release.before_commit",
        /// The decision to pay is committed.
        ReleaseStored = "task.release.stored",
        /// A deadline's end of a task is written, and not committed.
        ExpiryBeforeCommit = "task.expiry.before_commit",
        /// A deadline's end of a task is committed.
        ExpiryStored = "task.expiry.stored",
        /// The end of a claim that lapsed is written, and not committed.
        LapseBeforeCommit = "task.lapse.before_commit",
        /// The end of a claim that lapsed is committed.
        LapseStored = "task.lapse.stored",
        /// The end of a task whose lock is about to end, or whose sats are lost, is written, and not committed.
        GiveUpBeforeCommit = "task.give_up.before_commit",
        /// The end of a task whose lock is about to end, or whose sats are lost, is committed.
        GiveUpStored = "task.give_up.stored",
        /// What an event of escrow's says is written with the cursor, and not committed.
        HeardBeforeCommit = "task.heard.before_commit",
        /// What an event of escrow's says is committed with the cursor, and nothing done about it.
        HeardStored = "task.heard.stored",
    }
}

/// The verbs of a requester, each by the points before and after its COMMIT; and the calls of other services, each by the
/// points before and after it.
impl Failpoint {
    pub(crate) const QUOTE: (Self, Self) = (Self::QuoteBeforeCall, Self::QuoteCalled);
    pub(crate) const HOLD: (Self, Self) = (Self::HoldBeforeCall, Self::HoldCalled);
    pub(crate) const APPEND: (Self, Self) = (Self::AppendBeforeCall, Self::AppendCalled);
    pub(crate) const SECURE: (Self, Self) = (Self::SecureBeforeCall, Self::SecureCalled);
    pub(crate) const CAPTURE: (Self, Self) = (Self::CaptureBeforeCall, Self::CaptureCalled);
    pub(crate) const REFUND: (Self, Self) = (Self::RefundBeforeCall, Self::RefundCalled);
    pub(crate) const ACCEPT: (Self, Self) = (Self::AcceptBeforeCommit, Self::AcceptCommitted);
    pub(crate) const CANCEL: (Self, Self) = (Self::CancelBeforeCommit, Self::CancelCommitted);
}

/// Before and after the COMMIT of what a step came to.
fn around_commit(step: Step) -> (Failpoint, Failpoint) {
    match step {
        Step::HoldFunds => (Failpoint::HoldBeforeCommit, Failpoint::HoldStored),
        Step::Append(_) => (Failpoint::AppendBeforeCommit, Failpoint::AppendStored),
        Step::Capture => (Failpoint::CaptureBeforeCommit, Failpoint::CaptureStored),
        Step::Refund => (Failpoint::RefundBeforeCommit, Failpoint::RefundStored),
        Step::Release | Step::AcceptBySilence => (Failpoint::ReleaseBeforeCommit, Failpoint::ReleaseStored),
        Step::AbandonFunding | Step::ExpireOffer | Step::ExpireRejected => {
            (Failpoint::ExpiryBeforeCommit, Failpoint::ExpiryStored)
        }
        Step::LapseClaim => (Failpoint::LapseBeforeCommit, Failpoint::LapseStored),
        Step::Secure => (Failpoint::SecureBeforeCommit, Failpoint::SecureStored),
        Step::GiveUp | Step::EndLost => (Failpoint::GiveUpBeforeCommit, Failpoint::GiveUpStored),
    }
}

/// The last thing inside of a transaction. To fail there is to lose the connection: nothing was applied.
pub(crate) async fn before_commit(point: Failpoint) -> Result<(), Storage> {
    reach(point).await.map_err(|struck| Storage::Unavailable(Arc::new(struck)))
}

/// The first thing after a COMMIT. To fail there is to have lost its answer.
pub(crate) async fn committed(point: Failpoint) -> Result<(), Storage> {
    reach(point).await.map_err(|_struck| Storage::CommitUnknown)
}

/// The last thing inside of the transaction that writes these steps.
pub(crate) async fn before_commit_of(steps: &[Step]) -> Result<(), Storage> {
    for step in steps {
        before_commit(around_commit(*step).0).await?;
    }
    Ok(())
}

/// The first thing after the COMMIT that wrote these steps.
pub(crate) async fn committed_of(steps: &[Step]) -> Result<(), Storage> {
    for step in steps {
        committed(around_commit(*step).1).await?;
    }
    Ok(())
}

/// A call between its two points. To fail at either is to hear no answer, whatever was done.
pub(crate) async fn call<T, E>(
    (before, after): (Failpoint, Failpoint),
    no_answer: impl Fn(String) -> E,
    call: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    reach(before).await.map_err(|struck| no_answer(struck.to_string()))?;
    let answer = call.await;
    reach(after).await.map_err(|struck| no_answer(struck.to_string()))?;
    answer
}
