//! Writing what a batch has decided, with one statement per kind of row.

use std::collections::BTreeSet;
use std::sync::Arc;

use poa_common::{EscrowId, TypedId as _};
use poa_storage::events::{self, NewEvent};
use poa_storage::{Error, Tx};

use crate::domain::book::Book;
use crate::domain::escrow::Escrow;
use crate::store::{TOPIC, corrupt, deposits, escrows, hold_invoices, withdrawals};

/// Another replica made a row of the same key after this batch had looked.
#[derive(Debug, thiserror::Error)]
#[error("another writer was first")]
struct Overtaken;

/// Writes a book. The journal comes first: escrows refer to it.
pub(super) async fn book(tx: &mut Tx, book: &Book) -> Result<(), Error> {
    if !book.lines.is_empty() {
        journal(tx, book).await?;
    }
    let new = book.escrows.inserted();
    if !new.is_empty() {
        ensure_first(escrows::insert(tx, &new).await?, new.len())?;
    }
    let changed: Vec<_> = book
        .escrows
        .updated()
        .into_iter()
        .filter_map(|(id, escrow)| Some((escrow, book.escrows.stored(id)?.state)))
        .collect();
    if !changed.is_empty() {
        escrows::update(tx, &changed).await?;
    }
    holds(tx, book).await?;
    if !book.mandates.is_empty() {
        escrows::insert_mandates(tx, &book.mandates).await?;
    }
    if !book.releases.is_empty() {
        escrows::insert_releases(tx, &book.releases).await?;
    }
    let changed: Vec<_> = book.deposits.updated().into_iter().map(|(_, deposit)| deposit).collect();
    if !changed.is_empty() {
        deposits::update(tx, &changed).await?;
    }
    let new = book.withdrawals.inserted();
    if !new.is_empty() {
        ensure_first(withdrawals::insert(tx, &new).await?, new.len())?;
    }
    let changed: Vec<_> = book.withdrawals.updated().into_iter().map(|(_, row)| row).collect();
    if !changed.is_empty() {
        withdrawals::update(tx, &changed).await?;
    }
    Ok(())
}

/// Hold invoices, behind the escrows that they belong to, and the events about them.
async fn holds(tx: &mut Tx, book: &Book) -> Result<(), Error> {
    let of = |id| {
        let escrow: &Escrow = book.escrows.get(id)?;
        Some((escrow, escrow.hold_invoice.as_ref()?))
    };
    let new: Vec<_> = book
        .preimages
        .iter()
        .filter_map(|(id, sealed)| of(id).map(|(escrow, invoice)| (escrow, invoice, sealed.as_slice())))
        .collect();
    if !new.is_empty() {
        hold_invoices::insert(tx, &new).await?;
    }
    let changed: BTreeSet<EscrowId> = book.events.iter().map(|event| event.escrow).collect();
    let known: Vec<_> = changed.iter().filter_map(of).collect();
    if !known.is_empty() {
        hold_invoices::update(tx, &known).await?;
    }
    events::append_all(
        tx,
        &book
            .events
            .iter()
            .map(|event| NewEvent {
                id: event.id,
                topic: TOPIC,
                subject: event.escrow.uuid(),
                kind: event.kind,
                payload: Vec::new(),
                time: event.time,
            })
            .collect::<Vec<_>>(),
    )
    .await
}

/// A row that was not there to lock can have been made since. Then the batch runs again, and finds it.
fn ensure_first(inserted: u64, expected: usize) -> Result<(), Error> {
    if u64::try_from(expected) == Ok(inserted) {
        Ok(())
    } else {
        Err(Error::Serialization(Arc::new(Overtaken)))
    }
}

/// Transfers, postings and balances: one statement, one round trip.
async fn journal(tx: &mut Tx, book: &Book) -> Result<(), Error> {
    let accounts = book.accounts.updated();
    let updated = sqlx::query(
        "WITH moved AS (
             INSERT INTO transfers (id, kind, subject, created_at)
             SELECT * FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::timestamptz[])
         ), posted AS (
             INSERT INTO postings (account_id, sequence, transfer_id, available_msat, held_msat)
             SELECT * FROM unnest($5::uuid[], $6::bigint[], $7::uuid[], $8::bigint[], $9::bigint[])
         )
         UPDATE accounts SET available_msat = given.available, held_msat = given.held, entries = given.entries
         FROM unnest($10::uuid[], $11::bigint[], $12::bigint[], $13::bigint[]) AS given (id, available, held, entries)
         WHERE accounts.id = given.id",
    )
    .bind(book.transfers.iter().map(|transfer| transfer.id.uuid()).collect::<Vec<_>>())
    .bind(book.transfers.iter().map(|transfer| transfer.kind.as_str()).collect::<Vec<_>>())
    .bind(book.transfers.iter().map(|transfer| transfer.subject).collect::<Vec<_>>())
    .bind(book.transfers.iter().map(|transfer| transfer.time).collect::<Vec<_>>())
    .bind(book.lines.iter().map(|line| line.account).collect::<Vec<_>>())
    .bind(book.lines.iter().map(|line| line.sequence).collect::<Vec<_>>())
    .bind(book.lines.iter().map(|line| line.transfer.uuid()).collect::<Vec<_>>())
    .bind(book.lines.iter().map(|line| line.available.get()).collect::<Vec<_>>())
    .bind(book.lines.iter().map(|line| line.held.get()).collect::<Vec<_>>())
    .bind(accounts.iter().map(|(id, _)| **id).collect::<Vec<_>>())
    .bind(accounts.iter().map(|(_, account)| account.available.get()).collect::<Vec<_>>())
    .bind(accounts.iter().map(|(_, account)| account.held.get()).collect::<Vec<_>>())
    .bind(accounts.iter().map(|(_, account)| account.entries).collect::<Vec<_>>())
    .execute(tx.conn())
    .await?;
    if usize::try_from(updated.rows_affected()) == Ok(accounts.len()) {
        Ok(())
    } else {
        Err(corrupt("an account"))
    }
}
