//! What is asked of the ledger. Ids and times are in the commands, so that deciding one is a pure function.

use poa_common::{AccountId, DepositId, EscrowId, Msat, TaskId, Timestamp, TransferId, WithdrawalId};
use poa_payment::Preimage;

use super::deposit::Deposit;
use super::escrow::Escrow;
use super::fee::{BasisPoints, Split};
use super::mandate::Mandate;
use super::release::Evidence;
use super::withdrawal::Withdrawal;

/// A command.
#[derive(Clone, Debug)]
pub(crate) enum Command {
    Hold(Box<Hold>),
    Capture(Box<Capture>),
    Refund(Refund),
    CreditDeposit(CreditDeposit),
    ReserveWithdrawal(Box<ReserveWithdrawal>),
    SettleWithdrawal(SettleWithdrawal),
    ReturnWithdrawal(ReturnWithdrawal),
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

/// Pays the payee of a verified chain.
#[derive(Clone, Debug)]
pub(crate) struct Capture {
    pub(crate) escrow: EscrowId,
    pub(crate) payee: AccountId,
    pub(crate) evidence: Evidence,
    pub(crate) transfer: TransferId,
    pub(crate) fee_transfer: TransferId,
    pub(crate) time: Timestamp,
}

/// Gives held sats back, or makes sure that none will be held.
#[derive(Clone, Debug)]
pub(crate) struct Refund {
    pub(crate) escrow: EscrowId,
    pub(crate) task: TaskId,
    pub(crate) transfer: TransferId,
    pub(crate) time: Timestamp,
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

// === impl Command ===

impl Command {
    /// The name in metrics.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Hold(_) => "hold",
            Self::Capture(_) => "capture",
            Self::Refund(_) => "refund",
            Self::CreditDeposit(_) => "credit_deposit",
            Self::ReserveWithdrawal(_) => "reserve_withdrawal",
            Self::SettleWithdrawal(_) => "settle_withdrawal",
            Self::ReturnWithdrawal(_) => "return_withdrawal",
        }
    }

    /// The escrow whose row decides.
    pub(crate) fn escrow(&self) -> Option<EscrowId> {
        match self {
            Self::Hold(hold) => Some(hold.escrow),
            Self::Capture(capture) => Some(capture.escrow),
            Self::Refund(refund) => Some(refund.escrow),
            Self::CreditDeposit(_)
            | Self::ReserveWithdrawal(_)
            | Self::SettleWithdrawal(_)
            | Self::ReturnWithdrawal(_) => None,
        }
    }
}
