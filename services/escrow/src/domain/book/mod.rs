//! The book: the locked rows of one batch, on which its commands are decided one after another.
//!
//! Deciding is pure. A command that is refused leaves the book as it was; what the others did is written in one go. So a
//! batch gives the same as its commands one by one, in their order.

mod deposits;
mod escrows;
#[cfg(test)]
mod hold_tests;
mod holds;
mod shelf;
#[cfg(test)]
mod tests;
mod withdrawals;

use std::collections::BTreeMap;

use poa_common::{AccountId, DepositId, EscrowId, EventId, Msat, Timestamp, TransferId, WithdrawalId};
use uuid::Uuid;

pub(crate) use self::shelf::Shelf;
use super::account::{Account, Owner};
use super::caps::Volume;
use super::command::{Command, Reply};
use super::deposit::Deposit;
use super::escrow::Escrow;
use super::hold_invoice::Load;
use super::mandate::Mandate;
use super::postings::Transfer;
use super::refusal::Refusal;
use super::release::Evidence;
use super::withdrawal::Withdrawal;

/// The rows that a batch is about.
#[derive(Debug, Default)]
pub(crate) struct Book {
    pub(crate) accounts: Shelf<Uuid, Account>,
    pub(crate) escrows: Shelf<EscrowId, Escrow>,
    pub(crate) deposits: Shelf<DepositId, Deposit>,
    pub(crate) withdrawals: Shelf<WithdrawalId, Withdrawal>,
    /// How many withdrawals are on their way, of accounts that ask for another.
    pub(crate) live_withdrawals: BTreeMap<AccountId, u32>,
    /// What open hold invoices have locked, by payer: read where another one is made or paid.
    pub(crate) locked: BTreeMap<AccountId, Load>,
    /// Sealed preimages of new hold invoices.
    pub(crate) preimages: Vec<(EscrowId, Vec<u8>)>,
    /// What happened to escrows that hold invoices fund, in the order in which it was decided.
    pub(crate) events: Vec<Event>,
    /// What has left lately, of accounts that ask for more, and of all.
    /// The versions of the payout destinations that new withdrawals follow.
    pub(crate) destinations: BTreeMap<AccountId, i64>,
    pub(crate) recent: BTreeMap<AccountId, Volume>,
    pub(crate) recent_of_all: Volume,
    /// Whether payouts are paused.
    pub(crate) paused: bool,
    /// Mandates of new escrows.
    pub(crate) mandates: Vec<(EscrowId, Mandate)>,
    /// To whom was released, and what allowed it.
    pub(crate) releases: Vec<(EscrowId, AccountId, Evidence)>,
    /// The movements, in the order in which they were decided.
    pub(crate) transfers: Vec<Transfer>,
    /// Their postings, with their places in the accounts.
    pub(crate) lines: Vec<Line>,
}

/// A change of an escrow, for those who follow it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) id: EventId,
    pub(crate) escrow: EscrowId,
    /// The state that it led to, or what else happened.
    pub(crate) kind: &'static str,
    pub(crate) time: Timestamp,
}

/// A posting at its place in the journal of its account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) account: Uuid,
    /// 1 for the first posting of the account.
    pub(crate) sequence: i64,
    pub(crate) transfer: TransferId,
    pub(crate) available: Msat,
    pub(crate) held: Msat,
}

// === impl Book ===

impl Book {
    /// Decides a command and carries it out in memory.
    pub(crate) fn decide(&mut self, command: &Command) -> Result<Reply, Refusal> {
        match command {
            Command::Hold(hold) => self.hold(hold).map(|escrow| Reply::Escrow(Box::new(escrow))),
            Command::Capture(capture) => self.capture(capture).map(|escrow| Reply::Escrow(Box::new(escrow))),
            Command::Refund(refund) => self.refund(refund).map(|escrow| Reply::Escrow(Box::new(escrow))),
            Command::HoldByInvoice(hold) => {
                self.hold_by_invoice(hold).map(|escrow| Reply::Escrow(Box::new(escrow)))
            }
            Command::Secure(secure) => self.secure(secure).map(|escrow| Reply::Escrow(Box::new(escrow))),
            Command::Observe(observe) => self.observe(observe).map(|escrow| Reply::Escrow(Box::new(escrow))),
            Command::CreditDeposit(credit) => {
                self.credit(credit).map(|deposit| Reply::Deposit(Box::new(deposit)))
            }
            Command::ReserveWithdrawal(reserve) => {
                self.reserve(reserve).map(|withdrawal| Reply::Withdrawal(Box::new(withdrawal)))
            }
            Command::SettleWithdrawal(settle) => {
                self.settle(settle).map(|withdrawal| Reply::Withdrawal(Box::new(withdrawal)))
            }
            Command::ReturnWithdrawal(back) => {
                self.give_back(back).map(|withdrawal| Reply::Withdrawal(Box::new(withdrawal)))
            }
            Command::TransferWithdrawal(order) => {
                self.transfer(order).map(|withdrawal| Reply::Withdrawal(Box::new(withdrawal)))
            }
        }
    }

    /// The balance of an account; an account that is not there has none.
    fn account(&self, owner: Owner) -> Account {
        self.accounts.get(&owner.uuid()).copied().unwrap_or_default()
    }

    /// Refuses what an account cannot pay.
    fn afford(&self, owner: Owner, needed: Msat) -> Result<(), Refusal> {
        let available = self.account(owner).available;
        if available < needed {
            return Err(Refusal::InsufficientFunds { available, needed });
        }
        Ok(())
    }

    /// Writes movements into the book: all of them or none.
    fn post(&mut self, transfers: Vec<Transfer>) -> Result<(), Refusal> {
        let mut after: BTreeMap<Uuid, (Owner, Account)> = BTreeMap::new();
        let mut lines = Vec::new();
        for transfer in &transfers {
            assert_eq!(transfer.sum(), Ok(Msat::ZERO), "a {} does not sum to zero", transfer.kind.as_str());
            for posting in &transfer.postings {
                let key = posting.owner.uuid();
                let before =
                    after.get(&key).map_or_else(|| self.account(posting.owner), |(_, account)| *account);
                let account = before.after(posting)?;
                after.insert(key, (posting.owner, account));
                lines.push(Line {
                    account: key,
                    sequence: account.entries,
                    transfer: transfer.id,
                    available: posting.available,
                    held: posting.held,
                });
            }
        }
        for (key, (owner, account)) in &after {
            // Every command looks before it takes: a user below zero here is a bug, and stops this command alone.
            let sound = !matches!(owner, Owner::User(_)) || account.is_sound();
            assert!(sound, "the account {key} would fall below zero");
            assert!(self.accounts.get(key).is_some(), "the account {key} was not locked");
        }
        for (key, (_, account)) in after {
            self.accounts.put(key, account);
        }
        self.transfers.extend(transfers);
        self.lines.extend(lines);
        Ok(())
    }
}
