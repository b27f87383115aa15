//! Locking the rows of a batch.
//!
//! Everyone locks in one order: the switch of payouts, escrows, deposits, withdrawals, then the accounts that follow from
//! them, each by id, and last what all accounts have withdrawn. So two replicas' batches wait for each other and never in a
//! circle.

use std::collections::BTreeSet;

use poa_common::{AccountId, TypedId as _};
use poa_storage::{Error, Tx};
use uuid::Uuid;

use crate::domain::account::Owner;
use crate::domain::book::Book;
use crate::domain::command::{Command, Observation, Observe, ReserveWithdrawal};
use crate::domain::withdrawal::Withdrawal;
use crate::store::{
    accounts, deposits, escrows, hold_invoices, payout_destinations, payout_switch, withdrawals,
};

/// What a batch touches.
#[derive(Default)]
struct Touched {
    escrows: BTreeSet<Uuid>,
    deposits: BTreeSet<Uuid>,
    withdrawals: BTreeSet<Uuid>,
    /// Accounts to lock.
    accounts: BTreeSet<Uuid>,
    /// Those of them that are credited, and so must be there.
    credited: BTreeSet<Uuid>,
    /// Whether it matters how much hold invoices have locked.
    locked: bool,
}

/// The locked rows of these commands.
pub(super) async fn book(tx: &mut Tx, commands: &[Command]) -> Result<Book, Error> {
    let mut touched = Touched::default();
    let mut new: Vec<&ReserveWithdrawal> = Vec::new();
    for command in commands {
        touched.rows_of(command, &mut new);
    }
    let mut book = Book::default();
    if !new.is_empty() {
        // First of all, as whoever commits an intent does: a pause that waits for one of us must not stand between us.
        book.paused = payout_switch::lock(tx).await?;
        let destined = new.iter().filter(|reserve| reserve.destination.is_some());
        let destined: BTreeSet<Uuid> = destined.map(|reserve| reserve.withdrawal.account.uuid()).collect();
        if !destined.is_empty() {
            // Next, as nobody who locks one holds anything else.
            book.destinations = payout_destinations::versions(tx, &ids(&destined)).await?;
        }
    }
    if !touched.escrows.is_empty() {
        for escrow in escrows::lock(tx, &ids(&touched.escrows)).await? {
            book.escrows.load(escrow.id, escrow);
        }
    }
    if !touched.deposits.is_empty() {
        for deposit in deposits::lock(tx, &ids(&touched.deposits)).await? {
            book.deposits.load(deposit.id, deposit);
        }
    }
    if !touched.withdrawals.is_empty() || !new.is_empty() {
        let rows: Vec<&Withdrawal> = new.iter().map(|reserve| &reserve.withdrawal).collect();
        for withdrawal in withdrawals::lock(tx, &ids(&touched.withdrawals), &rows).await? {
            book.withdrawals.load(withdrawal.id, withdrawal);
        }
    }
    for command in commands {
        touched.accounts_of(command, &book);
    }
    lock_accounts(tx, &touched, &mut book).await?;
    if touched.locked {
        // After the locks, as below.
        book.locked = hold_invoices::locked(tx).await?;
    }
    if !new.is_empty() {
        // After the locks: whoever else begins or ends one of these accounts' withdrawals holds them too.
        let accounts: BTreeSet<Uuid> = new.iter().map(|reserve| reserve.withdrawal.account.uuid()).collect();
        volumes(tx, &new, &mut book).await?;
        book.live_withdrawals = withdrawals::count_live(tx, &ids(&accounts)).await?;
    }
    Ok(book)
}

/// What has left lately, where a cap asks for it.
async fn volumes(tx: &mut Tx, new: &[&ReserveWithdrawal], book: &mut Book) -> Result<(), Error> {
    let Some(now) = new.iter().map(|reserve| reserve.withdrawal.create_time).max() else { return Ok(()) };
    let own: BTreeSet<Uuid> = new
        .iter()
        .filter(|reserve| reserve.caps.account.is_set())
        .map(|reserve| reserve.withdrawal.account.uuid())
        .collect();
    if !own.is_empty() {
        book.recent = withdrawals::volumes(tx, &ids(&own), now).await?;
    }
    if new.iter().any(|reserve| reserve.withdrawal.deposit.is_none() && reserve.caps.all.is_set()) {
        book.recent_of_all = withdrawals::volume_of_all(tx, now).await?;
    }
    Ok(())
}

async fn lock_accounts(tx: &mut Tx, touched: &Touched, book: &mut Book) -> Result<(), Error> {
    for (id, account) in accounts::lock(tx, &ids(&touched.accounts)).await? {
        book.accounts.load(id, account);
    }
    let missing: Vec<Uuid> =
        touched.credited.iter().copied().filter(|id| book.accounts.get(id).is_none()).collect();
    if !missing.is_empty() {
        accounts::create(tx, &missing).await?;
        for (id, account) in accounts::lock(tx, &missing).await? {
            book.accounts.load(id, account);
        }
    }
    Ok(())
}

fn ids(set: &BTreeSet<Uuid>) -> Vec<Uuid> {
    set.iter().copied().collect()
}

// === impl Touched ===

impl Touched {
    fn rows_of<'a>(&mut self, command: &'a Command, new: &mut Vec<&'a ReserveWithdrawal>) {
        match command {
            Command::Hold(_)
            | Command::HoldByInvoice(_)
            | Command::Capture(_)
            | Command::Refund(_)
            | Command::Secure(_)
            | Command::Observe(_) => {
                self.escrows.extend(command.escrow().map(|id| id.uuid()));
            }
            Command::CreditDeposit(credit) => {
                self.deposits.insert(credit.deposit.uuid());
            }
            Command::ReserveWithdrawal(reserve) => {
                self.withdrawals.extend(reserve.withdrawal.origin.replaces.map(|id| id.uuid()));
                self.deposits.extend(reserve.withdrawal.deposit.map(|id| id.uuid()));
                new.push(&**reserve);
            }
            Command::TransferWithdrawal(order) => {
                self.deposits.insert(order.deposit.uuid());
                self.withdrawals.insert(order.withdrawal.uuid());
            }
            Command::SettleWithdrawal(settle) => {
                self.withdrawals.insert(settle.withdrawal.uuid());
            }
            Command::ReturnWithdrawal(back) => {
                self.withdrawals.insert(back.withdrawal.uuid());
            }
        }
    }

    /// The accounts of a command, of which some are known from its row alone.
    fn accounts_of(&mut self, command: &Command, book: &Book) {
        match command {
            Command::Hold(hold) => self.debit(hold.payer),
            // Everybody who changes how much is locked locks this one: the limits are kept over all replicas.
            Command::HoldByInvoice(_) => self.counts_locked(),
            Command::Secure(_) => {}
            Command::Observe(observe) => self.observed(observe, book),
            Command::Capture(capture) => {
                self.payer_of(command, book);
                self.credit(capture.payee);
                self.system([Owner::Clearing, Owner::Fees]);
            }
            // A refund in the batch of its hold: the payer is locked by the hold.
            Command::Refund(_) => self.payer_of(command, book),
            Command::CreditDeposit(credit) => {
                if let Some(deposit) = book.deposits.get(&credit.deposit) {
                    self.credit(deposit.account);
                }
                self.system([Owner::Lightning]);
            }
            Command::ReserveWithdrawal(reserve) => self.debit(reserve.withdrawal.account),
            Command::SettleWithdrawal(settle) => {
                if let Some(withdrawal) = book.withdrawals.get(&settle.withdrawal) {
                    self.debit(withdrawal.account);
                }
                // The fees bear what a node takes beyond its limit.
                self.system([Owner::Lightning, Owner::Fees]);
            }
            Command::ReturnWithdrawal(back) => {
                if let Some(withdrawal) = book.withdrawals.get(&back.withdrawal) {
                    self.debit(withdrawal.account);
                }
            }
            Command::TransferWithdrawal(order) => {
                if let Some(withdrawal) = book.withdrawals.get(&order.withdrawal) {
                    self.debit(withdrawal.account);
                }
                if let Some(deposit) = book.deposits.get(&order.deposit) {
                    self.credit(deposit.account);
                }
            }
        }
    }

    fn observed(&mut self, observe: &Observe, book: &Book) {
        match &observe.seen {
            Observation::Accepted { .. } => self.counts_locked(),
            Observation::Final { .. } => {
                self.system([Owner::Lightning]);
                // A payer who has never had a balance has one now.
                if let Some(payer) = book.escrows.get(&observe.escrow).and_then(|escrow| escrow.payer) {
                    self.credit(payer);
                }
            }
            Observation::Made { .. }
            | Observation::Guard
            | Observation::Canceled
            | Observation::GivenUp
            | Observation::Lost => {}
        }
    }

    fn counts_locked(&mut self) {
        self.locked = true;
        self.system([Owner::Lightning]);
    }

    fn payer_of(&mut self, command: &Command, book: &Book) {
        let escrow = command.escrow().and_then(|id| book.escrows.get(&id));
        if let Some(payer) = escrow.and_then(|escrow| escrow.payer) {
            self.debit(payer);
        }
    }

    fn debit(&mut self, account: AccountId) {
        self.accounts.insert(account.uuid());
    }

    /// Never one of the platform's: it is there, and the book refuses to credit it as a user's.
    fn credit(&mut self, account: AccountId) {
        self.accounts.insert(account.uuid());
        self.credited.insert(account.uuid());
    }

    fn system<const N: usize>(&mut self, owners: [Owner; N]) {
        self.accounts.extend(owners.map(Owner::uuid));
    }
}
