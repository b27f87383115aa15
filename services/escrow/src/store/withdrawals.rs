//! Withdrawals.

use std::collections::BTreeMap;

use poa_common::{AccountId, DepositId, Msat, Timestamp, TypedId as _, WithdrawalId};
use poa_payment::{NodeId, PaymentHash, Preimage};
use poa_storage::{Database, Error, Tx};
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::{corrupt, payout_switch, wrote};
use crate::domain::caps::{Span, Volume};
use crate::domain::withdrawal::{Origin, State, Withdrawal};
use crate::failpoint::{Failpoint, before_commit, committed};

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, account_id, request_id, fingerprint, state, amount_msat, fee_limit_msat, fee_msat, invoice,
                    payment_hash, invoice_expires_at, node_id, deadline, dispatches, failures_seen, node_knew, preimage, failure, created_at, ended_at,
                    lightning_address, replaces, automatic, deposit_id, payee_node_id,
                    (SELECT later.id FROM withdrawals later WHERE later.replaces = withdrawals.id) AS replaced_by
             FROM withdrawals ",
            $rest
        )
    };
}

/// What a withdrawal takes, of those that have not failed: with the fee, and as long as it is not known with the largest.
macro_rules! spent {
    () => {
        "amount_msat::numeric + CASE state WHEN 'succeeded' THEN fee_msat ELSE fee_limit_msat END"
    };
}

/// The advisory lock of those who count what all accounts have withdrawn: any number that nothing else uses.
const VOLUME_LOCK: i64 = 0x706f_615f_6f75_7400;

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

/// What became of an intent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Committed {
    /// It is committed, as this dispatch of the hash, from 1.
    Dispatch(i32),
    /// The withdrawal has moved on: nothing was written.
    Overtaken,
    /// Payouts are paused: nothing was written.
    Paused,
}

/// How much of the queue a pass of the worker reads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    /// Payments in flight.
    pub(crate) in_flight: i64,
    /// Of what waits to be sent, and of what the ledger pays, each.
    pub(crate) waiting: i64,
    /// Payments in flight to one payee; more of its withdrawals are left out.
    pub(crate) per_payee: i64,
    /// Payments that may be begun of accounts that have one in flight; more of theirs are left out.
    pub(crate) for_all: i64,
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

/// How many payments are in flight.
pub(crate) async fn in_flight(db: &Database) -> Result<i64, Error> {
    let count = "SELECT count(*) FROM withdrawals WHERE state = 'dispatched' AND deposit_id IS NULL";
    Ok(sqlx::query_scalar(count).fetch_one(db.read()).await?)
}

/// What is not at its end, oldest first. Whoever waits for a payee that has as many in flight as one may is left out, so that
/// it keeps nobody else waiting, and what an account has beside another payment where there is no room for such.
pub(crate) async fn live(db: &Database, room: Room) -> Result<Vec<Withdrawal>, Error> {
    let rows = sqlx::query(select!(
        "WHERE id IN (
             (SELECT id FROM withdrawals WHERE state = 'dispatched' AND deposit_id IS NULL ORDER BY id LIMIT $1)
             UNION ALL
             (SELECT id FROM withdrawals WHERE state IN ('reserved', 'dispatched') AND deposit_id IS NOT NULL
              ORDER BY id LIMIT $2)
             UNION ALL
             (SELECT waiting.id FROM (
                  SELECT id, payee_node_id, account_id,
                         row_number() OVER (PARTITION BY payee_node_id ORDER BY id) AS place,
                         row_number() OVER (PARTITION BY account_id ORDER BY id) AS own_place,
                         row_number() OVER (ORDER BY id) AS any_place
                  FROM withdrawals WHERE state = 'reserved' AND deposit_id IS NULL) AS waiting
              LEFT JOIN (
                  SELECT payee_node_id, count(*) AS payments FROM withdrawals
                  WHERE state = 'dispatched' AND deposit_id IS NULL GROUP BY payee_node_id) AS busy
                  ON busy.payee_node_id = waiting.payee_node_id
              LEFT JOIN (
                  SELECT account_id, count(*) AS payments FROM withdrawals
                  WHERE state = 'dispatched' AND deposit_id IS NULL GROUP BY account_id) AS own
                  ON own.account_id = waiting.account_id
              WHERE (waiting.payee_node_id IS NULL OR waiting.place + coalesce(busy.payments, 0) <= $3)
                  AND (waiting.any_place <= $4 OR waiting.own_place + coalesce(own.payments, 0) = 1)
              ORDER BY waiting.id LIMIT $2))
         ORDER BY id"
    ))
    .bind(room.in_flight)
    .bind(room.waiting)
    .bind(room.per_payee)
    .bind(room.for_all)
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

/// What has left lately of each of these accounts, or gone to another account; none where it is left out.
pub(crate) async fn volumes(
    tx: &mut Tx,
    accounts: &[Uuid],
    now: Timestamp,
) -> Result<BTreeMap<AccountId, Volume>, Error> {
    let rows: Vec<(Uuid, i64, i64)> = sqlx::query_as(concat!(
        "SELECT account_id,
                    least(coalesce(sum(",
        spent!(),
        ") FILTER (WHERE created_at > $2), 0), 9223372036854775807)::bigint,
                    least(sum(",
        spent!(),
        "), 9223372036854775807)::bigint
             FROM withdrawals
             WHERE account_id = ANY($1) AND created_at > $3 AND state <> 'failed'
                 AND NOT EXISTS (SELECT FROM deposits own
                                 WHERE own.id = deposit_id AND own.account_id = withdrawals.account_id)
             GROUP BY account_id"
    ))
    .bind(accounts)
    .bind(now - Span::Hour.length())
    .bind(now - Span::Day.length())
    .fetch_all(tx.conn())
    .await?;
    let volume = |hour, day| Volume { hour: Msat::new(hour), day: Msat::new(day) };
    Ok(rows.into_iter().map(|(id, hour, day)| (AccountId::from_uuid(id), volume(hour, day))).collect())
}

/// What has left lately of all accounts together. Whoever counts it waits for those who do so too, until they have
/// committed: else two replicas would each find room for one more.
pub(crate) async fn volume_of_all(tx: &mut Tx, now: Timestamp) -> Result<Volume, Error> {
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(VOLUME_LOCK).execute(tx.conn()).await?;
    let (hour, day): (i64, i64) = sqlx::query_as(concat!(
        "SELECT least(coalesce(sum(",
        spent!(),
        ") FILTER (WHERE created_at > $1), 0), 9223372036854775807)::bigint,
                    least(coalesce(sum(",
        spent!(),
        "), 0), 9223372036854775807)::bigint
             FROM withdrawals WHERE created_at > $2 AND state <> 'failed' AND deposit_id IS NULL"
    ))
    .bind(now - Span::Hour.length())
    .bind(now - Span::Day.length())
    .fetch_one(tx.conn())
    .await?;
    Ok(Volume { hour: Msat::new(hour), day: Msat::new(day) })
}

/// Commits an intent to send, or to cancel the invoice that the ledger pays.
///
/// The switch is read in the same transaction, and locked: once a pause is committed no intent is. Not repeated after an
/// unknown COMMIT: whoever does not know that its intent is committed does not send.
pub(crate) async fn commit_intent(db: &Database, intent: Intent) -> Result<Committed, Error> {
    let became = db
        .transact_with(intent, |intent, tx| {
            Box::pin(async move {
                if payout_switch::lock(tx).await? {
                    return Ok(Committed::Paused);
                }
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
                let Some(dispatches) = dispatches else { return Ok(Committed::Overtaken) };
                before_commit(Failpoint::IntentBeforeCommit).await?;
                Ok::<_, Error>(Committed::Dispatch(dispatches))
            })
        })
        .await?;
    if matches!(became, Committed::Dispatch(_)) {
        committed(Failpoint::IntentCommitted).await?;
    }
    Ok(became)
}

/// What the node was seen to say of a payment that is not at its end.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sighting {
    /// That it failed, so often in a row.
    Failed(i16),
    /// That it is in flight.
    InFlight,
}

/// Notes what was seen.
pub(crate) async fn note(db: &Database, id: WithdrawalId, seen: Sighting) -> Result<(), Error> {
    db.transact_idempotent((id, seen), |(id, seen), tx| {
        Box::pin(async move {
            let (failures, knows) = match *seen {
                Sighting::Failed(failures) => (failures, false),
                Sighting::InFlight => (0, true),
            };
            sqlx::query(
                "UPDATE withdrawals SET failures_seen = $2, node_knew = node_knew OR $3
                 WHERE id = $1 AND state = 'dispatched'",
            )
            .bind(id.uuid())
            .bind(failures)
            .bind(knows)
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
/// collide with, by request, by hash, or by what they replace.
pub(crate) async fn lock(tx: &mut Tx, ids: &[Uuid], new: &[&Withdrawal]) -> Result<Vec<Withdrawal>, Error> {
    let rows = sqlx::query(select!(
        "WHERE id IN (
             SELECT unnest($1::uuid[])
             UNION SELECT w.id FROM withdrawals w JOIN unnest($2::bytea[]) AS given (hash) ON w.payment_hash = given.hash
             UNION SELECT w.id FROM withdrawals w JOIN unnest($3::uuid[], $4::uuid[]) AS given (account_id, request_id)
                 ON w.account_id = given.account_id AND w.request_id = given.request_id
             UNION SELECT w.id FROM withdrawals w JOIN unnest($5::uuid[]) AS given (replaces) ON w.replaces = given.replaces)
         ORDER BY id FOR UPDATE"
    ))
    .bind(ids)
    .bind(new.iter().map(|row| row.hash.as_bytes().to_vec()).collect::<Vec<_>>())
    .bind(new.iter().map(|row| row.account.uuid()).collect::<Vec<_>>())
    .bind(new.iter().map(|row| row.request.0).collect::<Vec<_>>())
    .bind(new.iter().filter_map(|row| row.origin.replaces.map(|id| id.uuid())).collect::<Vec<_>>())
    .fetch_all(tx.conn())
    .await?;
    rows.iter().map(withdrawal).collect()
}

/// Writes new withdrawals. Answers how many were new: fewer where another replica was first.
pub(crate) async fn insert(tx: &mut Tx, withdrawals: &[&Withdrawal]) -> Result<u64, Error> {
    let written = sqlx::query(
        "INSERT INTO withdrawals (id, account_id, request_id, fingerprint, state, amount_msat, fee_limit_msat, fee_msat,
                                  invoice, payment_hash, invoice_expires_at, created_at, lightning_address, replaces,
                                  automatic, deposit_id, payee_node_id, dispatches, failures_seen)
         SELECT *, 0, 0
         FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::bytea[], $5::text[], $6::bigint[], $7::bigint[],
                     $8::bigint[], $9::text[], $10::bytea[], $11::timestamptz[], $12::timestamptz[], $13::text[],
                     $14::uuid[], $15::boolean[], $16::uuid[], $17::bytea[])
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
    .bind(withdrawals.iter().map(|row| row.origin.address.clone()).collect::<Vec<_>>())
    .bind(withdrawals.iter().map(|row| row.origin.replaces.map(|id| id.uuid())).collect::<Vec<_>>())
    .bind(withdrawals.iter().map(|row| row.origin.automatic).collect::<Vec<_>>())
    .bind(withdrawals.iter().map(|row| row.deposit.map(|id| id.uuid())).collect::<Vec<_>>())
    .bind(withdrawals.iter().map(|row| row.payee.map(|node| node.as_bytes().to_vec())).collect::<Vec<_>>())
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
    let node = |bytes: Option<Vec<u8>>| {
        let node = bytes.map(|bytes| NodeId::try_from(bytes.as_slice()));
        node.transpose().map_err(|_| corrupt("the node of a withdrawal"))
    };
    let other = |id: Option<Uuid>| id.map(WithdrawalId::from_uuid);
    let preimage: Option<Vec<u8>> = row.try_get("preimage")?;
    Ok(Withdrawal {
        id: WithdrawalId::from_uuid(row.try_get("id")?),
        account: AccountId::from_uuid(row.try_get("account_id")?),
        request: (row.try_get("request_id")?, fingerprint),
        origin: Origin {
            address: row.try_get("lightning_address")?,
            replaces: other(row.try_get("replaces")?),
            replaced_by: other(row.try_get("replaced_by")?),
            automatic: row.try_get("automatic")?,
        },
        state: State::parse(row.try_get("state")?).ok_or_else(|| corrupt("the state of a withdrawal"))?,
        amount: Msat::new(row.try_get("amount_msat")?),
        fee_limit: Msat::new(row.try_get("fee_limit_msat")?),
        fee: Msat::new(row.try_get("fee_msat")?),
        invoice: row.try_get("invoice")?,
        hash: PaymentHash::try_from(hash.as_slice()).map_err(|_| corrupt("the hash of a withdrawal"))?,
        invoice_expire_time: row.try_get("invoice_expires_at")?,
        payee: node(row.try_get("payee_node_id")?)?,
        deposit: row.try_get::<Option<Uuid>, _>("deposit_id")?.map(DepositId::from_uuid),
        node: node(row.try_get("node_id")?)?,
        deadline: row.try_get("deadline")?,
        dispatches: row.try_get("dispatches")?,
        failures_seen: row.try_get("failures_seen")?,
        node_knew: row.try_get("node_knew")?,
        preimage: preimage
            .map(|bytes| Preimage::try_from(bytes.as_slice()).map_err(|_| corrupt("a preimage")))
            .transpose()?,
        failure: row.try_get("failure")?,
        create_time: row.try_get("created_at")?,
        end_time: row.try_get("ended_at")?,
    })
}
