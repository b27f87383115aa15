//! The model of the money: what came in, what went out, what must be left.

use std::collections::BTreeMap;

use poa_proto::task::v1::task::State;

use crate::plan::What;
use crate::world::World;

/// What a withdrawal may cost on top, at most, in msat: a bound on every limit that the service sets by itself.
const WITHDRAWAL_MARGIN_MSAT: i64 = 20_000;

/// What is known of deposits.
#[derive(Clone, Debug, Default)]
pub(crate) struct Book {
    pub(crate) deposits: BTreeMap<String, Deposit>,
}

/// A deposit that a client knows of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deposit {
    pub(crate) account: usize,
    pub(crate) msat: i64,
    /// Somebody tried to pay it.
    pub(crate) tried: bool,
    /// It was paid for certain.
    pub(crate) paid: bool,
    /// It was seen to be credited.
    pub(crate) settled: bool,
}

// === impl World ===

impl World {
    /// Whether an account's tasks may meet an empty balance: all that it may have spent is more than what it has for sure.
    pub(crate) fn may_be_short(&self, account: usize) -> bool {
        let deposits = self.book.deposits.values().filter(|deposit| deposit.account == account);
        let sure: i64 = deposits.filter(|deposit| deposit.settled).map(|deposit| deposit.msat).sum();
        let spent: i64 = self.ops.iter().map(|(id, op)| self.may_cost(*id, op.what, account)).sum();
        sure < spent
    }

    fn may_cost(&self, id: usize, what: What, account: usize) -> i64 {
        match what {
            What::Create { requester, price_msat, .. } if requester == account => {
                // Asked again after it could not be funded, it makes another task.
                let mut made = self.tasks.values().filter(|known| known.create == id).peekable();
                let alive = made.peek().is_none() || made.any(|known| !known.gone);
                if alive { price_msat } else { 0 }
            }
            What::Withdraw { account: who, msat } if who == account => msat + WITHDRAWAL_MARGIN_MSAT,
            _ => 0,
        }
    }

    /// What can have come in at most, in msat.
    pub(crate) fn at_most_in(&self) -> i64 {
        self.book.deposits.values().filter(|deposit| deposit.tried).map(|deposit| deposit.msat).sum()
    }

    /// What is left inside at least, in msat.
    pub(crate) fn at_least_in(&self) -> i64 {
        let settled: i64 =
            self.book.deposits.values().filter(|deposit| deposit.settled).map(|deposit| deposit.msat).sum();
        let out: i64 = self
            .ops
            .values()
            .filter_map(|op| match op.what {
                What::Withdraw { msat, .. } => Some(msat + WITHDRAWAL_MARGIN_MSAT),
                _ => None,
            })
            .sum();
        settled - out
    }

    /// What an account must have at the end, when every task is over: deposits, less what it paid for, and what it earned.
    /// Withdrawals come on top, as they were seen to end.
    pub(crate) fn must_have(&self, account: usize) -> i64 {
        let deposits = self.book.deposits.values().filter(|deposit| deposit.account == account);
        let deposited: i64 = deposits.filter(|deposit| deposit.settled).map(|deposit| deposit.msat).sum();
        let completed = || self.tasks.values().filter(|known| known.view.state() == State::Completed);
        let paid: i64 =
            completed().filter(|known| known.requester == account).map(|known| known.view.price_msat).sum();
        let own = self.accounts[account].to_string();
        let earned: i64 = completed()
            .filter(|known| known.view.claim.as_ref().is_some_and(|claim| claim.account_id == own))
            .map(|known| known.view.payee_msat)
            .sum();
        deposited - paid + earned
    }
}
