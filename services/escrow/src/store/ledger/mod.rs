//! The writer of the ledger: the one way in which sats move.
//!
//! Commands of all callers gather in a batch. The batch locks its rows, decides each command in the pure
//! [`Book`](crate::domain::book::Book), writes what follows with set-based statements and commits once. A command that is
//! refused is answered so, and the others commit.

mod load;
mod write;

use poa_storage::batch::{BatchHandler, BatchOptions, BatchWriter, Handle, Replies};
use poa_storage::{Database, Error as StorageError, Tx};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{deposits, escrows, withdrawals};
use crate::domain::command::{Command, Reply, ReserveWithdrawal};
use crate::domain::deposit::{self, Deposit};
use crate::domain::escrow::{self, Escrow};
use crate::domain::withdrawal::{self, Withdrawal};
use crate::error::Error;
use crate::{failpoint, metrics};

/// Submits commands to the ledger. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Ledger {
    writer: Handle<Writer>,
}

#[derive(Debug)]
struct Writer;

// === impl Ledger ===

impl Ledger {
    /// Starts the writer, which keeps one of the database's connections. It ends with `stopping`, after what it has.
    pub(crate) async fn spawn(
        db: &Database,
        stopping: CancellationToken,
    ) -> Result<(Self, JoinHandle<()>), StorageError> {
        let (writer, task) = BatchWriter::spawn(db, Writer, BatchOptions::new("ledger"), stopping).await?;
        Ok((Self { writer }, task))
    }

    /// Carries out a command about an escrow; the answer comes after its COMMIT.
    pub(crate) async fn escrow(&self, command: Command) -> Result<Escrow, Error> {
        match self.submit(command).await? {
            Reply::Escrow(escrow) => Ok(*escrow),
            Reply::Deposit(_) | Reply::Withdrawal(_) => Err(mixed_up()),
        }
    }

    /// Carries out a command about a deposit.
    pub(crate) async fn deposit(&self, command: Command) -> Result<Deposit, Error> {
        match self.submit(command).await? {
            Reply::Deposit(deposit) => Ok(*deposit),
            Reply::Escrow(_) | Reply::Withdrawal(_) => Err(mixed_up()),
        }
    }

    /// Carries out a command about a withdrawal.
    pub(crate) async fn withdrawal(&self, command: Command) -> Result<Withdrawal, Error> {
        match self.submit(command).await? {
            Reply::Withdrawal(withdrawal) => Ok(*withdrawal),
            Reply::Escrow(_) | Reply::Deposit(_) => Err(mixed_up()),
        }
    }

    async fn submit(&self, command: Command) -> Result<Reply, Error> {
        let name = command.name();
        let reply = self.writer.submit(command).await;
        failpoint::ledger_committed(&reply).await?;
        metrics::ledger_command(name, &reply);
        reply
    }
}

fn mixed_up() -> Error {
    StorageError::Corrupt("a command was answered with another kind of row".to_owned()).into()
}

// === impl Writer ===

impl BatchHandler for Writer {
    type Command = Command;
    type Reply = Reply;
    type Error = Error;

    async fn apply(&self, tx: &mut Tx, commands: &[Command]) -> Result<Replies<Reply, Error>, Error> {
        let mut book = load::book(tx, commands).await?;
        let replies: Replies<_, _> =
            commands.iter().map(|command| book.decide(command).map_err(Error::from)).collect();
        write::book(tx, &book).await?;
        failpoint::ledger_before_commit(&replies).await?;
        Ok(replies)
    }

    /// The row is the record: where it shows the command's effect, the command was carried out.
    async fn recover(&self, db: &Database, command: &Command) -> Result<Option<Reply>, Error> {
        Ok(match command {
            Command::Hold(hold) => {
                let held = escrows::find(db, hold.escrow).await?;
                held.filter(|escrow| escrow.terms == Some(hold.mandate.digest)).map(reply_escrow)
            }
            Command::HoldByInvoice(order) => {
                let found = escrows::find(db, order.hold.escrow).await?;
                found.filter(|escrow| escrow.terms == Some(order.hold.mandate.digest)).map(reply_escrow)
            }
            Command::Capture(capture) => {
                stands(db, capture.escrow, &[escrow::State::Released, escrow::State::Settling]).await?
            }
            Command::Refund(refund) => stands(db, refund.escrow, &REFUNDED).await?,
            Command::Secure(secure) => stands(db, secure.escrow, &SECURED).await?,
            Command::Observe(observe) => escrows::find(db, observe.escrow)
                .await?
                .filter(|row| row.shows(&observe.seen))
                .map(reply_escrow),
            Command::CreditDeposit(credit) => {
                let found = deposits::find(db, credit.deposit).await?;
                found
                    .filter(|deposit| deposit.state == deposit::State::Settled)
                    .map(|deposit| Reply::Deposit(Box::new(deposit)))
            }
            Command::ReserveWithdrawal(reserve) => reserved(db, reserve).await?,
            Command::SettleWithdrawal(settle) => {
                let found = withdrawals::find(db, settle.withdrawal).await?;
                found.filter(|row| row.state == withdrawal::State::Succeeded).map(reply_withdrawal)
            }
            Command::TransferWithdrawal(order) => {
                let found = withdrawals::find(db, order.withdrawal).await?;
                found.filter(|row| row.state == withdrawal::State::Succeeded).map(reply_withdrawal)
            }
            Command::ReturnWithdrawal(back) => {
                let found = withdrawals::find(db, back.withdrawal).await?;
                found.filter(|row| row.state == withdrawal::State::Failed).map(reply_withdrawal)
            }
        })
    }
}

/// Where a refund leads, by what there was.
const REFUNDED: [escrow::State; 4] =
    [escrow::State::Refunded, escrow::State::Void, escrow::State::Canceling, escrow::State::Canceled];
/// Where securing leads, and what follows.
const SECURED: [escrow::State; 3] = [escrow::State::Settling, escrow::State::Held, escrow::State::Released];

fn reply_escrow(escrow: Escrow) -> Reply {
    Reply::Escrow(Box::new(escrow))
}

fn reply_withdrawal(withdrawal: Withdrawal) -> Reply {
    Reply::Withdrawal(Box::new(withdrawal))
}

async fn stands(
    db: &Database,
    id: poa_common::EscrowId,
    states: &[escrow::State],
) -> Result<Option<Reply>, StorageError> {
    Ok(escrows::find(db, id).await?.filter(|escrow| states.contains(&escrow.state)).map(reply_escrow))
}

async fn reserved(db: &Database, reserve: &ReserveWithdrawal) -> Result<Option<Reply>, StorageError> {
    let new = &reserve.withdrawal;
    let found = withdrawals::find_request(db, new.account, new.request.0).await?;
    Ok(found.filter(|row| row.request == new.request).map(reply_withdrawal))
}
