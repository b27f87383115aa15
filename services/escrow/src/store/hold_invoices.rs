//! Hold invoices: the part of an escrow that one has where the balance does not fund it.

use std::collections::BTreeMap;

use poa_common::{AccountId, EscrowId, Msat, TypedId as _};
use poa_payment::{NodeId, PaymentHash};
use poa_storage::{Database, Error, Tx};
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::{corrupt, wrote};
use crate::domain::escrow::Escrow;
use crate::domain::hold_invoice::{HoldInvoice, Load, Memo};

/// The columns that are read of a hold invoice: all but the preimage.
macro_rules! columns {
    () => {
        "escrow_id, payment_hash, node_id, cltv_blocks, expiry_seconds, invoice, expires_at, paid_msat, parts,
         expiry_height, accepted_at, guard_reached_at"
    };
}
pub(super) use columns;

/// The hold invoice that a statement about escrows has joined, if there is one.
pub(super) fn joined(row: &PgRow) -> Result<Option<HoldInvoice>, Error> {
    let of: Option<Uuid> = row.try_get("escrow_id")?;
    of.map(|_| read(row)).transpose()
}

/// The hold invoices of locked escrows.
pub(super) async fn of(tx: &mut Tx, escrows: &[Uuid]) -> Result<BTreeMap<EscrowId, HoldInvoice>, Error> {
    let rows = sqlx::query(concat!("SELECT ", columns!(), " FROM hold_invoices WHERE escrow_id = ANY($1)"))
        .bind(escrows)
        .fetch_all(tx.conn())
        .await?;
    rows.iter().map(|row| Ok((EscrowId::from_uuid(row.try_get("escrow_id")?), read(row)?))).collect()
}

fn read(row: &PgRow) -> Result<HoldInvoice, Error> {
    let hash: Vec<u8> = row.try_get("payment_hash")?;
    let node: Vec<u8> = row.try_get("node_id")?;
    let number = |column| -> Result<Option<u32>, Error> {
        let found: Option<i64> = row.try_get(column)?;
        found.map(u32::try_from).transpose().map_err(|_| corrupt("the memo of a hold invoice"))
    };
    let paid: Option<i64> = row.try_get("paid_msat")?;
    let memo = match (paid, number("parts")?, number("expiry_height")?, row.try_get("accepted_at")?) {
        (Some(paid), Some(parts), Some(expiry_height), Some(accept_time)) => {
            Some(Memo { paid: Msat::new(paid), parts, expiry_height, accept_time })
        }
        (_, _, _, None) => None,
        (_, _, _, Some(_)) => return Err(corrupt("the memo of a hold invoice")),
    };
    Ok(HoldInvoice {
        hash: PaymentHash::try_from(hash.as_slice()).map_err(|_| corrupt("the hash of a hold invoice"))?,
        node: NodeId::try_from(node.as_slice()).map_err(|_| corrupt("the node of a hold invoice"))?,
        cltv_blocks: u16::try_from(row.try_get::<i32, _>("cltv_blocks")?)
            .map_err(|_| corrupt("the lock of a hold invoice"))?,
        expiry_seconds: u32::try_from(row.try_get::<i32, _>("expiry_seconds")?)
            .map_err(|_| corrupt("the expiry of a hold invoice"))?,
        bolt11: row.try_get("invoice")?,
        expire_time: row.try_get("expires_at")?,
        memo,
        guard_time: row.try_get("guard_reached_at")?,
    })
}

/// Writes the hold invoices of new escrows, with their sealed preimages.
pub(crate) async fn insert(tx: &mut Tx, new: &[(&Escrow, &HoldInvoice, &[u8])]) -> Result<(), Error> {
    let inserted = sqlx::query(
        "INSERT INTO hold_invoices (escrow_id, payment_hash, sealed_preimage, node_id, cltv_blocks, expiry_seconds)
         SELECT * FROM unnest($1::uuid[], $2::bytea[], $3::bytea[], $4::bytea[], $5::int[], $6::int[])",
    )
    .bind(new.iter().map(|(escrow, ..)| escrow.id.uuid()).collect::<Vec<_>>())
    .bind(new.iter().map(|(_, invoice, _)| invoice.hash.as_bytes().to_vec()).collect::<Vec<_>>())
    .bind(new.iter().map(|(.., sealed)| *sealed).collect::<Vec<_>>())
    .bind(new.iter().map(|(_, invoice, _)| invoice.node.as_bytes().to_vec()).collect::<Vec<_>>())
    .bind(new.iter().map(|(_, invoice, _)| i32::from(invoice.cltv_blocks)).collect::<Vec<_>>())
    .bind(new.iter().map(|(_, invoice, _)| i32::try_from(invoice.expiry_seconds).ok()).collect::<Vec<_>>())
    .execute(tx.conn())
    .await?;
    wrote(inserted.rows_affected(), new.len(), "a hold invoice")
}

/// Writes what is known by now of the hold invoices of locked escrows.
pub(crate) async fn update(tx: &mut Tx, known: &[(&Escrow, &HoldInvoice)]) -> Result<(), Error> {
    let number = |value: fn(&Memo) -> u32| {
        known.iter().map(|(_, invoice)| invoice.memo.map(|memo| i64::from(value(&memo)))).collect::<Vec<_>>()
    };
    let memos = known.iter().map(|(_, invoice)| invoice.memo);
    let updated = sqlx::query(
        "UPDATE hold_invoices SET invoice = given.invoice, expires_at = given.expires_at,
                paid_msat = given.paid_msat, parts = given.parts, expiry_height = given.expiry_height,
                accepted_at = given.accepted_at, guard_reached_at = given.guard_reached_at
         FROM unnest($1::uuid[], $2::text[], $3::timestamptz[], $4::bigint[], $5::bigint[], $6::bigint[],
                     $7::timestamptz[], $8::timestamptz[])
              AS given (id, invoice, expires_at, paid_msat, parts, expiry_height, accepted_at, guard_reached_at)
         WHERE hold_invoices.escrow_id = given.id",
    )
    .bind(known.iter().map(|(escrow, _)| escrow.id.uuid()).collect::<Vec<_>>())
    .bind(known.iter().map(|(_, invoice)| invoice.bolt11.as_deref()).collect::<Vec<_>>())
    .bind(known.iter().map(|(_, invoice)| invoice.expire_time).collect::<Vec<_>>())
    .bind(memos.clone().map(|memo| memo.map(|memo| memo.paid.get())).collect::<Vec<_>>())
    .bind(number(|memo| memo.parts))
    .bind(number(|memo| memo.expiry_height))
    .bind(memos.map(|memo| memo.map(|memo| memo.accept_time)).collect::<Vec<_>>())
    .bind(known.iter().map(|(_, invoice)| invoice.guard_time).collect::<Vec<_>>())
    .execute(tx.conn())
    .await?;
    wrote(updated.rows_affected(), known.len(), "a locked hold invoice")
}

/// What open hold invoices have locked, by payer.
pub(crate) async fn locked(tx: &mut Tx) -> Result<BTreeMap<AccountId, Load>, Error> {
    let rows: Vec<(Uuid, i64, i64, i64)> = sqlx::query_as(
        "SELECT payer_id, coalesce(sum(parts), 0)::bigint, count(*) FILTER (WHERE parts IS NULL),
                sum(coalesce(paid_msat, amount_msat))::bigint
         FROM escrows JOIN hold_invoices ON escrow_id = id
         WHERE state IN ('awaiting', 'accepted', 'settling', 'canceling')
         GROUP BY payer_id",
    )
    .fetch_all(tx.conn())
    .await?;
    let count = |number: i64| u32::try_from(number).unwrap_or(u32::MAX);
    let load =
        |parts, unpaid, msat| Load { parts: count(parts), unpaid: count(unpaid), msat: Msat::new(msat) };
    Ok(rows
        .into_iter()
        .map(|(payer, parts, unpaid, msat)| (AccountId::from_uuid(payer), load(parts, unpaid, msat)))
        .collect())
}

/// The sealed preimage of an escrow, for the one call that needs it.
pub(crate) async fn sealed_preimage(db: &Database, escrow: EscrowId) -> Result<Vec<u8>, Error> {
    sqlx::query_scalar("SELECT sealed_preimage FROM hold_invoices WHERE escrow_id = $1")
        .bind(escrow.uuid())
        .fetch_optional(db.read())
        .await?
        .ok_or_else(|| corrupt("an escrow without its hold invoice"))
}
