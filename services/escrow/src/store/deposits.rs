//! Deposits.

use poa_common::{AccountId, DepositId, Msat, TypedId as _, WithdrawalId};
use poa_payment::PaymentHash;
use poa_storage::{Database, Error, Tx};
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::{corrupt, wrote};
use crate::domain::deposit::{Deposit, State};
use crate::failpoint::{Failpoint, before_commit, committed};

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, account_id, state, amount_msat, credited_msat, invoice, payment_hash, created_at, expires_at,
                    settled_at, fingerprint, paid_by
             FROM deposits ",
            $rest
        )
    };
}

/// What a request is known by, and the digest of what it asks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    pub(crate) id: Uuid,
    pub(crate) fingerprint: [u8; 32],
}

/// An account's deposit.
pub(crate) async fn find_of(
    db: &Database,
    id: DepositId,
    account: AccountId,
) -> Result<Option<Deposit>, Error> {
    let row = sqlx::query(select!("WHERE id = $1 AND account_id = $2"))
        .bind(id.uuid())
        .bind(account.uuid())
        .fetch_optional(db.read())
        .await?;
    row.as_ref().map(deposit).transpose()
}

/// Any deposit, for the service itself.
pub(crate) async fn find(db: &Database, id: DepositId) -> Result<Option<Deposit>, Error> {
    let row = sqlx::query(select!("WHERE id = $1")).bind(id.uuid()).fetch_optional(db.read()).await?;
    row.as_ref().map(deposit).transpose()
}

/// The deposit that a request has made. `RequestIdReused` where that request asked for something else.
pub(crate) async fn find_request(
    db: &Database,
    account: AccountId,
    request: Request,
) -> Result<Option<Deposit>, Error> {
    let row = sqlx::query(select!("WHERE account_id = $1 AND request_id = $2"))
        .bind(account.uuid())
        .bind(request.id)
        .fetch_optional(db.read())
        .await?;
    let Some(row) = row else { return Ok(None) };
    let fingerprint: Vec<u8> = row.try_get("fingerprint")?;
    if fingerprint != request.fingerprint {
        return Err(Error::RequestIdReused);
    }
    deposit(&row).map(Some)
}

/// Any deposit by its hash.
pub(crate) async fn find_hash(db: &Database, hash: PaymentHash) -> Result<Option<Deposit>, Error> {
    let row = sqlx::query(select!("WHERE payment_hash = $1"))
        .bind(hash.as_bytes().as_slice())
        .fetch_optional(db.read())
        .await?;
    row.as_ref().map(deposit).transpose()
}

/// A deposit by its hash, unless it was credited.
pub(crate) async fn find_unsettled(db: &Database, hash: PaymentHash) -> Result<Option<Deposit>, Error> {
    let row = sqlx::query(select!("WHERE payment_hash = $1 AND state <> 'settled'"))
        .bind(hash.as_bytes().as_slice())
        .fetch_optional(db.read())
        .await?;
    row.as_ref().map(deposit).transpose()
}

/// A page of what waits to be paid.
pub(crate) async fn open_after(db: &Database, after: Uuid, limit: i64) -> Result<Vec<Deposit>, Error> {
    let rows = sqlx::query(select!("WHERE state = 'open' AND id > $1 ORDER BY id LIMIT $2"))
        .bind(after)
        .bind(limit)
        .fetch_all(db.read())
        .await?;
    rows.iter().map(deposit).collect()
}

/// Whether an account has this many waiting, counting no further.
pub(crate) async fn has_open(db: &Database, account: AccountId, limit: i64) -> Result<bool, Error> {
    let counted: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM (
             SELECT 1 FROM deposits WHERE account_id = $1 AND state = 'open' LIMIT $2) AS waiting",
    )
    .bind(account.uuid())
    .bind(limit)
    .fetch_one(db.read())
    .await?;
    Ok(counted >= limit)
}

/// Writes a new deposit, unless its request has made one meanwhile. Idempotent.
pub(crate) async fn insert(db: &Database, deposit: Deposit, request: Request) -> Result<(), Error> {
    db.transact_idempotent((deposit, request), |(deposit, request), tx| {
        Box::pin(async move {
            sqlx::query(
                "INSERT INTO deposits (id, account_id, request_id, fingerprint, state, amount_msat, credited_msat,
                                       invoice, payment_hash, created_at, expires_at)
                 VALUES ($1, $2, $3, $4, $5, $6, 0, $7, $8, $9, $10)
                 ON CONFLICT ON CONSTRAINT deposits_request DO NOTHING",
            )
            .bind(deposit.id.uuid())
            .bind(deposit.account.uuid())
            .bind(request.id)
            .bind(request.fingerprint.as_slice())
            .bind(deposit.state.as_str())
            .bind(deposit.amount.get())
            .bind(&deposit.invoice)
            .bind(deposit.hash.as_bytes().as_slice())
            .bind(deposit.create_time)
            .bind(deposit.expire_time)
            .execute(tx.conn())
            .await?;
            before_commit(Failpoint::DepositBeforeCommit).await?;
            Ok::<_, Error>(())
        })
    })
    .await?;
    committed(Failpoint::DepositCommitted).await
}

/// Notes that an open deposit was given up; whether it was still open. One that the ledger is about to pay is not: its
/// invoice is cancelled for just that.
pub(crate) async fn expire(db: &Database, id: DepositId) -> Result<bool, Error> {
    let expired = db
        .transact_idempotent(id, |id, tx| {
            Box::pin(async move {
                // Locked first: a withdrawal that is reserved for it holds this lock, and is seen by the statement after.
                lock(tx, &[id.uuid()]).await?;
                let updated = sqlx::query(
                    "UPDATE deposits SET state = 'expired' WHERE id = $1 AND state = 'open' AND NOT EXISTS (
                         SELECT FROM withdrawals WHERE deposit_id = $1 AND state IN ('reserved', 'dispatched'))",
                )
                .bind(id.uuid())
                .execute(tx.conn())
                .await?;
                before_commit(Failpoint::DepositExpireBeforeCommit).await?;
                Ok::<_, Error>(updated.rows_affected() > 0)
            })
        })
        .await?;
    committed(Failpoint::DepositExpired).await?;
    Ok(expired)
}

/// Locks deposits in the order of their ids, and reads them.
pub(crate) async fn lock(tx: &mut Tx, ids: &[Uuid]) -> Result<Vec<Deposit>, Error> {
    let rows = sqlx::query(select!("WHERE id = ANY($1) ORDER BY id FOR UPDATE"))
        .bind(ids)
        .fetch_all(tx.conn())
        .await?;
    rows.iter().map(deposit).collect()
}

/// Writes what has changed of locked deposits.
pub(crate) async fn update(tx: &mut Tx, deposits: &[&Deposit]) -> Result<(), Error> {
    let updated = sqlx::query(
        "UPDATE deposits SET state = given.state, credited_msat = given.credited_msat, settled_at = given.settled_at,
                             paid_by = given.paid_by
         FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::timestamptz[], $5::uuid[])
              AS given (id, state, credited_msat, settled_at, paid_by)
         WHERE deposits.id = given.id AND deposits.state <> 'settled'",
    )
    .bind(deposits.iter().map(|deposit| deposit.id.uuid()).collect::<Vec<_>>())
    .bind(deposits.iter().map(|deposit| deposit.state.as_str()).collect::<Vec<_>>())
    .bind(deposits.iter().map(|deposit| deposit.credited.get()).collect::<Vec<_>>())
    .bind(deposits.iter().map(|deposit| deposit.settle_time).collect::<Vec<_>>())
    .bind(deposits.iter().map(|deposit| deposit.paid_by.map(|id| id.uuid())).collect::<Vec<_>>())
    .execute(tx.conn())
    .await?;
    wrote(updated.rows_affected(), deposits.len(), "a locked deposit")
}

fn deposit(row: &PgRow) -> Result<Deposit, Error> {
    let hash: Vec<u8> = row.try_get("payment_hash")?;
    Ok(Deposit {
        id: DepositId::from_uuid(row.try_get("id")?),
        account: AccountId::from_uuid(row.try_get("account_id")?),
        state: State::parse(row.try_get("state")?).ok_or_else(|| corrupt("the state of a deposit"))?,
        amount: Msat::new(row.try_get("amount_msat")?),
        credited: Msat::new(row.try_get("credited_msat")?),
        invoice: row.try_get("invoice")?,
        hash: PaymentHash::try_from(hash.as_slice()).map_err(|_| corrupt("the hash of a deposit"))?,
        create_time: row.try_get("created_at")?,
        expire_time: row.try_get("expires_at")?,
        settle_time: row.try_get("settled_at")?,
        paid_by: row.try_get::<Option<Uuid>, _>("paid_by")?.map(WithdrawalId::from_uuid),
    })
}
