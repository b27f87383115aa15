//! What is asked of the ledger. Ids and times are in the commands, so that deciding one is a pure function.

use poa_common::{
    AccountId, DepositId, EscrowId, EventId, Msat, TaskId, Timestamp, TransferId, WithdrawalId,
};
use poa_payment::Preimage;

use super::caps::Caps;
use super::deposit::Deposit;
use super::escrow::Escrow;
use super::fee::{BasisPoints, Split};
use super::hold_invoice::{HoldInvoice, Limits, Memo};
use super::mandate::Mandate;
use super::release::Evidence;
use super::withdrawal::Withdrawal;

/// A command.
#[derive(Clone, Debug)]
pub(crate) enum Command {
    Hold(Box<Hold>),
    HoldByInvoice(Box<HoldByInvoice>),
    Capture(Box<Capture>),
    Refund(Refund),
    Secure(Secure),
    Observe(Observe),
    CreditDeposit(CreditDeposit),
    ReserveWithdrawal(Box<ReserveWithdrawal>),
    SettleWithdrawal(SettleWithdrawal),
    ReturnWithdrawal(ReturnWithdrawal),
    TransferWithdrawal(TransferWithdrawal),
}

/// The answer to a command: the row as it is after it.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    Escrow(Box<Escrow>),
    Deposit(Box<Deposit>),
    Withdrawal(Box<Withdrawal>),
}

/// Holds sats for a task.
#[derive(Clone, Debug)]
pub(crate) struct Hold {
    pub(crate) escrow: EscrowId,
    pub(crate) task: TaskId,
    pub(crate) payer: AccountId,
    pub(crate) amount: Msat,
    pub(crate) fee: BasisPoints,
    pub(crate) split: Split,
    pub(crate) mandate: Mandate,
    pub(crate) transfer: TransferId,
    pub(crate) time: Timestamp,
}

/// Prepares a hold invoice for a task: its row with the sealed preimage, before the node hears of it.
#[derive(Clone, Debug)]
pub(crate) struct HoldByInvoice {
    /// What it is for. Its transfer is not used: nothing is held yet.
    pub(crate) hold: Hold,
    /// The row, not made yet.
    pub(crate) invoice: HoldInvoice,
    /// The preimage, sealed.
    pub(crate) sealed: Vec<u8>,
    /// How much may be locked at a time, with this one.
    pub(crate) limits: Limits,
    pub(crate) event: EventId,
}

/// Pays the payee of a verified chain; or, of an escrow whose sats are locked, means to take them.
#[derive(Clone, Debug)]
pub(crate) struct Capture {
    pub(crate) escrow: EscrowId,
    pub(crate) payee: AccountId,
    pub(crate) evidence: Evidence,
    pub(crate) transfer: TransferId,
    pub(crate) fee_transfer: TransferId,
    pub(crate) event: EventId,
    pub(crate) time: Timestamp,
}

/// Gives held sats back, means to give locked ones back, or makes sure that none will be held.
#[derive(Clone, Debug)]
pub(crate) struct Refund {
    pub(crate) escrow: EscrowId,
    pub(crate) task: TaskId,
    pub(crate) transfer: TransferId,
    pub(crate) event: EventId,
    pub(crate) time: Timestamp,
}

/// Means to take locked sats into the ledger.
#[derive(Clone, Debug)]
pub(crate) struct Secure {
    pub(crate) escrow: EscrowId,
    pub(crate) task: TaskId,
    pub(crate) event: EventId,
    pub(crate) time: Timestamp,
}

/// Notes what the node says of an escrow's hold invoice.
#[derive(Clone, Debug)]
pub(crate) struct Observe {
    pub(crate) escrow: EscrowId,
    pub(crate) seen: Observation,
    pub(crate) event: EventId,
    pub(crate) time: Timestamp,
}

/// What the node says.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Observation {
    /// It has made the invoice.
    Made {
        /// The BOLT11 text.
        bolt11: String,
        /// Until when it can be paid.
        expire_time: Timestamp,
    },
    /// It is paid.
    Accepted {
        /// What is locked.
        memo: Memo,
        /// How much may be locked at a time, with this.
        limits: Limits,
    },
    /// The chain has come to its guard height.
    Guard,
    /// It is settled, and the sats are ours for good.
    Final {
        /// What arrived.
        paid: Msat,
        /// The transfer that brings it in.
        transfer: TransferId,
    },
    /// It was given back, or can never be paid.
    Canceled,
    /// It was never made, and whoever waited for it has gone.
    GivenUp,
    /// It is settled, and the sats went back all the same.
    Lost,
}

/// Credits what the node says was paid.
#[derive(Clone, Debug)]
pub(crate) struct CreditDeposit {
    pub(crate) deposit: DepositId,
    pub(crate) paid: Msat,
    pub(crate) transfer: TransferId,
    pub(crate) time: Timestamp,
}

/// Reserves the sats of a withdrawal, with its row.
#[derive(Clone, Debug)]
pub(crate) struct ReserveWithdrawal {
    /// The row, RESERVED.
    pub(crate) withdrawal: Withdrawal,
    /// How many of this account may be on their way, with this one.
    pub(crate) max_live: u32,
    /// How much may leave in an hour and in a day, with this one.
    pub(crate) caps: Caps,
    /// The version of the account's payout destination that it follows, where it is paid out by itself.
    pub(crate) destination: Option<i64>,
    pub(crate) transfer: TransferId,
}

/// Books a withdrawal that was paid.
#[derive(Clone, Debug)]
pub(crate) struct SettleWithdrawal {
    pub(crate) withdrawal: WithdrawalId,
    pub(crate) preimage: Preimage,
    pub(crate) fee: Msat,
    pub(crate) transfer: TransferId,
    pub(crate) return_transfer: TransferId,
    pub(crate) time: Timestamp,
}

/// Gives back what was reserved for a withdrawal that certainly was not paid.
#[derive(Clone, Debug)]
pub(crate) struct ReturnWithdrawal {
    pub(crate) withdrawal: WithdrawalId,
    /// The number of dispatches at which that is certain: after another one it no longer is, and nothing is returned.
    pub(crate) dispatches: i32,
    pub(crate) failure: &'static str,
    pub(crate) transfer: TransferId,
    pub(crate) time: Timestamp,
}

/// Pays a withdrawal within the ledger, to the deposit that its invoice belongs to. The node says that the invoice is
/// cancelled: nobody outside can pay it any more.
#[derive(Clone, Debug)]
pub(crate) struct TransferWithdrawal {
    pub(crate) withdrawal: WithdrawalId,
    pub(crate) deposit: DepositId,
    pub(crate) transfer: TransferId,
    pub(crate) return_transfer: TransferId,
    pub(crate) time: Timestamp,
}

// === impl Command ===

impl Command {
    /// The name in metrics.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Hold(_) => "hold",
            Self::HoldByInvoice(_) => "hold_by_invoice",
            Self::Capture(_) => "capture",
            Self::Refund(_) => "refund",
            Self::Secure(_) => "secure",
            Self::Observe(_) => "observe",
            Self::CreditDeposit(_) => "credit_deposit",
            Self::ReserveWithdrawal(_) => "reserve_withdrawal",
            Self::SettleWithdrawal(_) => "settle_withdrawal",
            Self::ReturnWithdrawal(_) => "return_withdrawal",
            Self::TransferWithdrawal(_) => "transfer_withdrawal",
        }
    }

    /// The escrow whose row decides.
    pub(crate) fn escrow(&self) -> Option<EscrowId> {
        match self {
            Self::Hold(hold) => Some(hold.escrow),
            Self::HoldByInvoice(hold) => Some(hold.hold.escrow),
            Self::Capture(capture) => Some(capture.escrow),
            Self::Refund(refund) => Some(refund.escrow),
            Self::Secure(secure) => Some(secure.escrow),
            Self::Observe(observe) => Some(observe.escrow),
            Self::CreditDeposit(_)
            | Self::ReserveWithdrawal(_)
            | Self::SettleWithdrawal(_)
            | Self::ReturnWithdrawal(_)
            | Self::TransferWithdrawal(_) => None,
        }
    }
}

// === impl Observation ===

impl Observation {
    /// What was seen, for logs.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Made { .. } => "made",
            Self::Accepted { .. } => "accepted",
            Self::Guard => "guard",
            Self::Final { .. } => "final",
            Self::Canceled => "canceled",
            Self::GivenUp => "given_up",
            Self::Lost => "lost",
        }
    }
}

impl std::fmt::Debug for Observation {
    /// Without the text: an invoice belongs in no log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
