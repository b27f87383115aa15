//! Why the ledger does not do what it is asked. Nothing was written.

use poa_common::{EscrowId, Msat, MsatError};

use super::caps::Span;

/// A refusal, decided in the book.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Too little.
    #[error(
        "the available balance of {available} msat does not cover {needed} msat: deposit, then ask again"
    )]
    InsufficientFunds {
        /// What there is.
        available: Msat,
        /// What it takes.
        needed: Msat,
    },
    /// The payee was paid.
    #[error("the escrow {0} was released already")]
    AlreadyReleased(EscrowId),
    /// The payer has the sats back, or never will hold any.
    #[error("the escrow {0} was refunded already")]
    AlreadyRefunded(EscrowId),
    /// The sats that were locked for it went back to the payer.
    #[error("the sats that the hold invoice of {0} had locked went back to the payer: nothing was released")]
    FundingLost(EscrowId),
    /// Not in this state; it changes by itself.
    #[error("the escrow is {state}, which does not allow this now")]
    EscrowState {
        /// The state that was found.
        state: &'static str,
    },
    /// As many HTLCs or sats as hold invoices may lock at a time.
    #[error("hold invoices have locked as much as they may, {limit}: wait until a task has ended")]
    TooMuchLocked {
        /// How many HTLCs, or msat.
        limit: i64,
    },
    /// No such escrow.
    #[error("there is no such escrow")]
    EscrowNotFound,
    /// The escrow belongs to another task.
    #[error("the escrow is another task's")]
    OtherTask,
    /// The same id for something else.
    #[error("the id was used before for something else: take a new one")]
    RequestIdReused,
    /// The payment hash was used before, by whomever.
    #[error("a withdrawal for this invoice exists: an invoice is paid once")]
    InvoiceAlreadyUsed,
    /// As many withdrawals as one account may have on their way.
    #[error("{limit} withdrawals are on their way, which is the limit: wait until one has ended")]
    TooManyWithdrawals {
        /// How many.
        limit: u32,
    },
    /// As much as may leave in so long.
    #[error("{limit} msat may be withdrawn in {span}, and this would be more: wait, or withdraw less")]
    TooMuchLately {
        /// How much.
        limit: Msat,
        /// In how long.
        span: Span,
    },
    /// The operator or an alarm has stopped payouts.
    #[error("payouts are paused: nothing was done, ask again later with the same request_id")]
    PayoutsPaused,
    /// The invoice of a deposit here, which has been paid or has expired.
    #[error("the invoice is refused: it is not open any more")]
    InvoiceNotOpen,
    /// Only a withdrawal that failed can be replaced, and once.
    #[error("the withdrawal is {state}: only a failed one can be replaced, and once")]
    NotReplaceable {
        /// The state that was found, or `replaced`.
        state: &'static str,
    },
    /// Only what the node has forgotten can be given back on an operator's word.
    #[error(
        "the withdrawal is {state}: only one that the node does not know, long after its end, can be returned"
    )]
    NotReturnable {
        /// The state that was found.
        state: &'static str,
    },
    /// A user's account under one of the platform's keys.
    #[error("this account can neither pay nor be paid")]
    NotAnAccount,
    /// The row is not in a state in which this can happen: a bug, or an alarm.
    #[error("{subject} is {state}, which does not allow this")]
    WrongState {
        /// `deposit` or `withdrawal`.
        subject: &'static str,
        /// The state that was found.
        state: &'static str,
    },
    /// An amount that no balance can hold.
    #[error("the amount is out of range")]
    OutOfRange,
}

impl From<MsatError> for Refusal {
    fn from(_: MsatError) -> Self {
        Self::OutOfRange
    }
}
