//! Withdrawals.

use std::collections::BTreeMap;

use poa_common::{AccountId, Msat, Timestamp, TypedId as _, WithdrawalId};
use poa_payment::{NodeId, PaymentHash, Preimage};
use poa_storage::{Database, Error, Tx};
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::{corrupt, wrote};
use crate::domain::withdrawal::{State, Withdrawal};
use crate::failpoint::{Failpoint, before_commit, committed};

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, account_id, request_id, fingerprint, state, amount_msat, fee_limit_msat, fee_msat, invoice,
                    payment_hash, invoice_expires_at, node_id, deadline, dispatches, failures_seen, preimage, failure, created_at, ended_at
             FROM withdrawals ",
            $rest
        )
    };
}

/// An intent to send, as it is committed before the node is told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Intent {
    pub(crate) withdrawal: WithdrawalId,
    /// How often it was sent before: another that sent it meanwhile has won.
    pub(crate) dispatches: i32,
    pub(crate) node: NodeId,
    /// Until when the node may try.
    pub(crate) deadline: Timestamp,
}

/// An account's withdrawal.
pub(crate) async fn find_of(
    db: &Database,
    id: WithdrawalId,
    account: AccountId,
) -> Result<Option<Withdrawal>, Error> {
    let row = sqlx::query(select!("WHERE id = $1 AND account_id = $2"))
        .bind(id.uuid())
        .bind(account.uuid())
        .fetch_optional(db.read())
        .await?;
    row.as_ref().map(withdrawal).transpose()
}

/// Any withdrawal, for the service itself.
pub(crate) async fn find(db: &Database, id: WithdrawalId) -> Result<Option<Withdrawal>, Error> {
    let row = sqlx::query(select!("WHERE id = $1")).bind(id.uuid()).fetch_optional(db.read()).await?;
    row.as_ref().map(withdrawal).transpose()
}

/// The withdrawal that a request has made, whatever it asked for.
pub(crate) async fn find_request(
    db: &Database,
    account: AccountId,
    request_id: Uuid,
) -> Result<Option<Withdrawal>, Error> {
    let row = sqlx::query(select!("WHERE account_id = $1 AND request_id = $2"))
        .bind(account.uuid())
        .bind(request_id)
        .fetch_optional(db.read())
        .await?;
    row.as_ref().map(withdrawal).transpose()
}

/// The account's withdrawals before one, newest first.
pub(crate) async fn before(
    db: &Database,
    account: AccountId,
    before: Uuid,
    limit: i64,
) -> Result<Vec<Withdrawal>, Error> {
    let rows = sqlx::query(select!("WHERE account_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3"))
        .bind(account.uuid())
        .bind(before)
        .bind(limit)
        .fetch_all(db.read())
        .await?;
    rows.iter().map(withdrawal).collect()
}

/// What is not at its end, oldest first.
pub(crate) async fn live(db: &Database, limit: i64) -> Result<Vec<Withdrawal>, Error> {
    let rows = sqlx::query(select!("WHERE state IN ('reserved', 'dispatched') ORDER BY id LIMIT $1"))
        .bind(limit)
        .fetch_all(db.read())
        .await?;
    rows.iter().map(withdrawal).collect()
}

/// What was never sent and can no longer be paid, oldest first.
pub(crate) async fn unsent_expired(
    db: &Database,
    now: Timestamp,
    limit: i64,
) -> Result<Vec<Withdrawal>, Error> {
    let rows =
        sqlx::query(select!("WHERE state = 'reserved' AND invoice_expires_at <= $1 ORDER BY id LIMIT $2"))
            .bind(now)
            .bind(limit)
            .fetch_all(db.read())
            .await?;
    rows.iter().map(withdrawal).collect()
}

/// How many withdrawals of each of these accounts are not at their end; none where it is left out.
pub(crate) async fn count_live(tx: &mut Tx, accounts: &[Uuid]) -> Result<BTreeMap<AccountId, u32>, Error> {
    let rows: Vec<(Uuid, i64)> = sqlx::query_as(
        "SELECT account_id, count(*) FROM withdrawals
         WHERE account_id = ANY($1) AND state IN ('reserved', 'dispatched') GROUP BY account_id",
    )
    .bind(accounts)
    .fetch_all(tx.conn())
    .await?;
    let counted = rows.into_iter();
    Ok(counted
        .map(|(id, live)| (AccountId::from_uuid(id), u32::try_from(live).unwrap_or(u32::MAX)))
        .collect())
}

/// Commits an intent to send. Answers which dispatch of this hash it is, from 1; none where the withdrawal has moved on.
///
/// Not repeated after an unknown COMMIT: whoever does not know that its intent is committed does not send.
pub(crate) async fn commit_intent(db: &Database, intent: Intent) -> Result<Option<i32>, Error> {
    let dispatches = db.transact_with(intent, |intent, tx| {
        Box::pin(async move {
            let dispatches: Option<i32> = sqlx::query_scalar(
                // The latest deadline of all dispatches: until then any of them may reach the node.
                "UPDATE withdrawals SET state = 'dispatched', node_id = $3, deadline = GREATEST(deadline, $4),
                                        dispatches = dispatches + 1
                 WHERE id = $1 AND dispatches = $2 AND state IN ('reserved', 'dispatched') RETURNING dispatches",
            )
            .bind(intent.withdrawal.uuid())
            .bind(intent.dispatches)
            .bind(intent.node.as_bytes().as_slice())
            .bind(intent.deadline)
            .fetch_optional(tx.conn())
            .await?;
            if dispatches.is_some() {
                before_commit(Failpoint::IntentBeforeCommit).await?;
            }
            Ok::<_, Error>(dispatches)
        })
    })
    .await?;
    if dispatches.is_some() {
        committed(Failpoint::IntentCommitted).await?;
    }
    Ok(dispatches)
}

/// Notes how often in a row a failure was seen.
pub(crate) async fn note_failures(db: &Database, id: WithdrawalId, seen: i16) -> Result<(), Error> {
    db.transact_idempotent((id, seen), |(id, seen), tx| {
        Box::pin(async move {
            sqlx::query("UPDATE withdrawals SET failures_seen = $2 WHERE id = $1 AND state = 'dispatched'")
                .bind(id.uuid())
                .bind(*seen)
                .execute(tx.conn())
                .await?;
            before_commit(Failpoint::FailureBeforeCommit).await?;
            Ok::<_, Error>(())
        })
    })
    .await?;
    committed(Failpoint::FailureCommitted).await
}

/// Locks withdrawals in the order of their ids, and reads them: those with these ids, and those that new ones would
/// collide with, by request or by hash.
pub(crate) async fn lock(tx: &mut Tx, ids: &[Uuid], new: &[&Withdrawal]) -> Result<Vec<Withdrawal>, Error> {
    let rows = sqlx::query(select!(
        "WHERE id IN (
             SELECT unnest($1::uuid[])
             UNION SELECT w.id FROM withdrawals w JOIN unnest($2::bytea[]) AS given (hash) ON w.payment_hash = given.hash
             UNION SELECT w.id FROM withdrawals w JOIN unnest($3::uuid[], $4::uuid[]) AS given (account_id, request_id)
                 ON w.account_id = given.account_id AND w.request_id = given.request_id)
         ORDER BY id FOR UPDATE"
    ))
    .bind(ids)
    .bind(new.iter().map(|row| row.hash.as_bytes().to_vec()).collect::<Vec<_>>())
    .bind(new.iter().map(|row| row.account.uuid()).collect::<Vec<_>>())
    .bind(new.iter().map(|row| row.request.0).collect::<Vec<_>>())
    .fetch_all(tx.conn())
    .await?;
    rows.iter().map(withdrawal).collect()
}

/// Writes new withdrawals. Answers how many were new: fewer where another replica was first.
pub(crate) async fn insert(tx: &mut Tx, withdrawals: &[&Withdrawal]) -> Result<u64, Error> {
    let written = sqlx::query(
        "INSERT INTO withdrawals (id, account_id, request_id, fingerprint, state, amount_msat, fee_limit_msat, fee_msat,
                                  invoice, payment_hash, invoice_expires_at, created_at, dispatches, failures_seen)
         SELECT *, 0, 0
         FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::bytea[], $5::text[], $6::bigint[], $7::bigint[],
                     $8::bigint[], $9::text[], $10::bytea[], $11::timestamptz[], $12::timestamptz[])
         ON CONFLICT DO NOTHING",
    )
    .bind(withdrawals.iter().map(|row| row.id.uuid()).collect::<Vec<_>>())
    .bind(withdrawals.iter().map(|row| row.account.uuid()).collect::<Vec<_>>())
    .bind(withdrawals.iter().map(|row| row.request.0).collect::<Vec<_>>())
    .bind(withdrawals.iter().map(|row| row.request.1.to_vec()).collect::<Vec<_>>())
    .bind(withdrawals.iter().map(|row| row.state.as_str()).collect::<Vec<_>>())
    .bind(withdrawals.iter().map(|row| row.amount.get()).collect::<Vec<_>>())
    .bind(withdrawals.iter().map(|row| row.fee_limit.get()).collect::<Vec<_>>())
    .bind(withdrawals.iter().map(|row| row.fee.get()).collect::<Vec<_>>())
    .bind(withdrawals.iter().map(|row| row.invoice.as_str()).collect::<Vec<_>>())
    .bind(withdrawals.iter().map(|row| row.hash.as_bytes().to_vec()).collect::<Vec<_>>())
    .bind(withdrawals.iter().map(|row| row.invoice_expire_time).collect::<Vec<_>>())
    .bind(withdrawals.iter().map(|row| row.create_time).collect::<Vec<_>>())
    .execute(tx.conn())
    .await?;
    Ok(written.rows_affected())
}

/// Writes the ends of locked withdrawals.
pub(crate) async fn update(tx: &mut Tx, withdrawals: &[&Withdrawal]) -> Result<(), Error> {
    let preimages: Vec<Option<Vec<u8>>> = withdrawals
        .iter()
        .map(|row| row.preimage.as_ref().map(|preimage| preimage.as_bytes().to_vec()))
        .collect();
    let updated = sqlx::query(
        "UPDATE withdrawals SET state = given.state, fee_msat = given.fee_msat, preimage = given.preimage,
                                failure = given.failure, ended_at = given.ended_at
         FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::bytea[], $5::text[], $6::timestamptz[])
              AS given (id, state, fee_msat, preimage, failure, ended_at)
         WHERE withdrawals.id = given.id AND withdrawals.state IN ('reserved', 'dispatched')",
    )
    .bind(withdrawals.iter().map(|row| row.id.uuid()).collect::<Vec<_>>())
    .bind(withdrawals.iter().map(|row| row.state.as_str()).collect::<Vec<_>>())
    .bind(withdrawals.iter().map(|row| row.fee.get()).collect::<Vec<_>>())
    .bind(preimages)
    .bind(withdrawals.iter().map(|row| row.failure.clone()).collect::<Vec<_>>())
    .bind(withdrawals.iter().map(|row| row.end_time).collect::<Vec<_>>())
    .execute(tx.conn())
    .await?;
    wrote(updated.rows_affected(), withdrawals.len(), "a locked withdrawal")
}

fn withdrawal(row: &PgRow) -> Result<Withdrawal, Error> {
    let hash: Vec<u8> = row.try_get("payment_hash")?;
    let fingerprint: Vec<u8> = row.try_get("fingerprint")?;
    let fingerprint = fingerprint.try_into().map_err(|_| corrupt("the fingerprint of a withdrawal"))?;
    let node: Option<Vec<u8>> = row.try_get("node_id")?;
    let preimage: Option<Vec<u8>> = row.try_get("preimage")?;
    Ok(Withdrawal {
        id: WithdrawalId::from_uuid(row.try_get("id")?),
        account: AccountId::from_uuid(row.try_get("account_id")?),
        request: (row.try_get("request_id")?, fingerprint),
        state: State::parse(row.try_get("state")?).ok_or_else(|| corrupt("the state of a withdrawal"))?,
        amount: Msat::new(row.try_get("amount_msat")?),
        fee_limit: Msat::new(row.try_get("fee_limit_msat")?),
        fee: Msat::new(row.try_get("fee_msat")?),
        invoice: row.try_get("invoice")?,
        hash: PaymentHash::try_from(hash.as_slice()).map_err(|_| corrupt("the hash of a withdrawal"))?,
        invoice_expire_time: row.try_get("invoice_expires_at")?,
        node: node
            .map(|bytes| NodeId::try_from(bytes.as_slice()).map_err(|_| corrupt("the node of a withdrawal")))
            .transpose()?,
        deadline: row.try_get("deadline")?,
        dispatches: row.try_get("dispatches")?,
        failures_seen: row.try_get("failures_seen")?,
        preimage: preimage
            .map(|bytes| Preimage::try_from(bytes.as_slice()).map_err(|_| corrupt("a preimage")))
            .transpose()?,
        failure: row.try_get("failure")?,
        create_time: row.try_get("created_at")?,
        end_time: row.try_get("ended_at")?,
    })
}
