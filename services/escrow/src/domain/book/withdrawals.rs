//! Reserving, settling and giving back.

use poa_common::{AccountId, Msat, TypedId as _};

use super::Book;
use crate::domain::account::Owner;
use crate::domain::command::{ReserveWithdrawal, ReturnWithdrawal, SettleWithdrawal, TransferWithdrawal};
use crate::domain::deposit::{self, Deposit};
use crate::domain::postings::{self, Kind, Transfer};
use crate::domain::refusal::Refusal;
use crate::domain::withdrawal::{State, Withdrawal};

// === impl Book ===

impl Book {
    pub(super) fn reserve(&mut self, reserve: &ReserveWithdrawal) -> Result<Withdrawal, Refusal> {
        let new = &reserve.withdrawal;
        let (request_id, fingerprint) = new.request;
        let same_request =
            |known: &&Withdrawal| known.account == new.account && known.request.0 == request_id;
        if let Some(known) = self.withdrawals.values().find(same_request) {
            let same = known.request.1 == fingerprint;
            return if same { Ok(known.clone()) } else { Err(Refusal::RequestIdReused) };
        }
        if self.paused {
            return Err(Refusal::PayoutsPaused);
        }
        if self.withdrawals.values().any(|known| known.hash == new.hash) {
            return Err(Refusal::InvoiceAlreadyUsed);
        }
        self.replaceable(new)?;
        self.payable_within(new)?;
        self.as_destined(reserve)?;
        if Owner::is_system(new.account.uuid()) {
            return Err(Refusal::NotAnAccount);
        }
        let needed = new.reserve()?;
        if new.amount <= Msat::ZERO || new.fee_limit.is_negative() {
            return Err(Refusal::OutOfRange);
        }
        let live = self.live_withdrawals.get(&new.account).copied().unwrap_or(0);
        if live >= reserve.max_live {
            return Err(Refusal::TooManyWithdrawals { limit: reserve.max_live });
        }
        self.afford(Owner::User(new.account), needed)?;
        self.admit(reserve)?;
        self.post(vec![Transfer {
            id: reserve.transfer,
            kind: Kind::WithdrawReserve,
            subject: new.id.uuid(),
            time: new.create_time,
            postings: postings::withdraw_reserve::postings(new.account, needed)?,
        }])?;
        self.withdrawals.put(new.id, new.clone());
        self.live_withdrawals.insert(new.account, live.saturating_add(1));
        Ok(new.clone())
    }

    /// What is replaced has failed, is the same account's, and is replaced once.
    fn replaceable(&self, new: &Withdrawal) -> Result<(), Refusal> {
        let Some(id) = new.origin.replaces else { return Ok(()) };
        let known = self.withdrawals.get(&id).filter(|known| known.account == new.account);
        let known = known.ok_or(wrong("absent"))?;
        if known.state != State::Failed {
            return Err(Refusal::NotReplaceable { state: known.state.as_str() });
        }
        if known.origin.replaced_by.is_some()
            || self.withdrawals.values().any(|other| other.origin.replaces == Some(id))
        {
            return Err(Refusal::NotReplaceable { state: "replaced" });
        }
        assert_eq!(known.amount, new.amount, "what is replaced has the same amount");
        Ok(())
    }

    /// What the ledger is to pay is the open deposit of just this invoice.
    fn payable_within(&self, new: &Withdrawal) -> Result<(), Refusal> {
        let Some(id) = new.deposit else { return Ok(()) };
        let deposit = self.deposits.get(&id).ok_or(Refusal::InvoiceNotOpen)?;
        if deposit.state != deposit::State::Open {
            return Err(Refusal::InvoiceNotOpen);
        }
        assert_eq!((deposit.hash, deposit.amount), (new.hash, new.amount), "the invoice is the deposit's");
        Ok(())
    }

    /// What is paid out by itself goes where its owner wants it at this moment.
    fn as_destined(&self, reserve: &ReserveWithdrawal) -> Result<(), Refusal> {
        let Some(version) = reserve.destination else { return Ok(()) };
        if self.destinations.get(&reserve.withdrawal.account) == Some(&version) {
            return Ok(());
        }
        Err(Refusal::WrongState { subject: "the payout destination", state: "changed" })
    }

    /// Counts what leaves, with its largest fee, up to the caps. What the ledger pays to another account leaves that account
    /// and not the platform; what it pays to the same one leaves neither. What is given back in the same batch
    /// still counts in it: a batch refuses rather too much than too little.
    fn admit(&mut self, reserve: &ReserveWithdrawal) -> Result<(), Refusal> {
        let new = &reserve.withdrawal;
        let deposit = new.deposit.and_then(|id| self.deposits.get(&id));
        if deposit.is_some_and(|deposit| deposit.account == new.account) {
            return Ok(());
        }
        let most = new.reserve()?;
        let own = self.recent.get(&new.account).copied().unwrap_or_default().with(most)?;
        reserve.caps.account.admit(own)?;
        if deposit.is_none() {
            let all = self.recent_of_all.with(most)?;
            reserve.caps.all.admit(all)?;
            self.recent_of_all = all;
        }
        self.recent.insert(new.account, own);
        Ok(())
    }

    /// One fewer is on its way, where that is counted.
    fn ended(&mut self, account: AccountId) {
        if let Some(live) = self.live_withdrawals.get_mut(&account) {
            *live = live.saturating_sub(1);
        }
    }

    pub(super) fn settle(&mut self, settle: &SettleWithdrawal) -> Result<Withdrawal, Refusal> {
        let known = self.withdrawals.get(&settle.withdrawal).cloned();
        let withdrawal = known.ok_or(wrong("absent"))?;
        match withdrawal.state {
            State::Succeeded => return Ok(withdrawal),
            State::Dispatched => {}
            State::Reserved | State::Failed => return Err(wrong(withdrawal.state.as_str())),
        }
        assert_eq!(settle.preimage.hash(), withdrawal.hash, "the preimage proves this payment");
        assert_eq!(withdrawal.deposit, None, "what the ledger pays is never sent");
        let reserve = withdrawal.reserve()?;
        let sent = withdrawal.amount.checked_add(settle.fee)?;
        let user = withdrawal.account;
        let mut transfers = vec![Transfer {
            id: settle.transfer,
            kind: Kind::Withdraw,
            subject: withdrawal.id.uuid(),
            time: settle.time,
            postings: postings::withdraw::postings(user, sent, reserve)?,
        }];
        let surplus = reserve.checked_sub(sent.min(reserve))?;
        if surplus > Msat::ZERO {
            transfers.push(Transfer {
                id: settle.return_transfer,
                kind: Kind::WithdrawReturn,
                subject: withdrawal.id.uuid(),
                time: settle.time,
                postings: postings::withdraw_return::postings(user, surplus)?,
            });
        }
        self.post(transfers)?;
        let succeeded = Withdrawal {
            state: State::Succeeded,
            fee: settle.fee,
            preimage: Some(settle.preimage.clone()),
            end_time: Some(settle.time),
            ..withdrawal
        };
        self.withdrawals.put(succeeded.id, succeeded.clone());
        self.ended(succeeded.account);
        Ok(succeeded)
    }

    pub(super) fn transfer(&mut self, order: &TransferWithdrawal) -> Result<Withdrawal, Refusal> {
        let known = self.withdrawals.get(&order.withdrawal).cloned();
        let withdrawal = known.ok_or(wrong("absent"))?;
        match withdrawal.state {
            State::Succeeded => return Ok(withdrawal),
            State::Dispatched => {}
            State::Reserved | State::Failed => return Err(wrong(withdrawal.state.as_str())),
        }
        assert_eq!(withdrawal.deposit, Some(order.deposit), "it is this deposit that it pays");
        let known = self.deposits.get(&order.deposit).cloned();
        let deposit = known.ok_or(Refusal::WrongState { subject: "the deposit", state: "absent" })?;
        match deposit.state {
            // Whatever our own clock made of it meanwhile: the node says that nobody else can pay it.
            deposit::State::Open | deposit::State::Expired => {}
            deposit::State::Settled => {
                return Err(Refusal::WrongState { subject: "the deposit", state: "settled" });
            }
        }
        let subject = withdrawal.id.uuid();
        let mut transfers = vec![Transfer {
            id: order.transfer,
            kind: Kind::Transfer,
            subject,
            time: order.time,
            postings: postings::transfer::postings(withdrawal.account, deposit.account, withdrawal.amount)?,
        }];
        if withdrawal.fee_limit > Msat::ZERO {
            transfers.push(Transfer {
                id: order.return_transfer,
                kind: Kind::WithdrawReturn,
                subject,
                time: order.time,
                postings: postings::withdraw_return::postings(withdrawal.account, withdrawal.fee_limit)?,
            });
        }
        self.post(transfers)?;
        let settled = Deposit {
            state: deposit::State::Settled,
            credited: withdrawal.amount,
            settle_time: Some(order.time),
            paid_by: Some(withdrawal.id),
            ..deposit
        };
        let succeeded = Withdrawal { state: State::Succeeded, end_time: Some(order.time), ..withdrawal };
        self.deposits.put(settled.id, settled);
        self.withdrawals.put(succeeded.id, succeeded.clone());
        self.ended(succeeded.account);
        Ok(succeeded)
    }

    pub(super) fn give_back(&mut self, back: &ReturnWithdrawal) -> Result<Withdrawal, Refusal> {
        let known = self.withdrawals.get(&back.withdrawal).cloned();
        let withdrawal = known.ok_or(wrong("absent"))?;
        match withdrawal.state {
            State::Failed => return Ok(withdrawal),
            // A dispatch that came in between makes it uncertain again.
            State::Reserved | State::Dispatched if withdrawal.dispatches == back.dispatches => {}
            state @ (State::Reserved | State::Dispatched | State::Succeeded) => {
                return Err(wrong(state.as_str()));
            }
        }
        self.post(vec![Transfer {
            id: back.transfer,
            kind: Kind::WithdrawReturn,
            subject: withdrawal.id.uuid(),
            time: back.time,
            postings: postings::withdraw_return::postings(withdrawal.account, withdrawal.reserve()?)?,
        }])?;
        let failed = Withdrawal {
            state: State::Failed,
            failure: Some(back.failure.to_owned()),
            end_time: Some(back.time),
            ..withdrawal
        };
        self.withdrawals.put(failed.id, failed.clone());
        self.ended(failed.account);
        Ok(failed)
    }
}

fn wrong(state: &'static str) -> Refusal {
    Refusal::WrongState { subject: "the withdrawal", state }
}
