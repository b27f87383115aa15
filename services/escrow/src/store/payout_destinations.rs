//! Where accounts are paid out to.

use std::collections::BTreeMap;

use poa_common::{AccountId, Msat, Timestamp, TypedId as _};
use poa_storage::idempotency::{self, Keep, Key, Outcome};
use poa_storage::{Database, Error, Tx};
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::{corrupt, wrote};
use crate::domain::destination::Destination;
use crate::failpoint::{Failpoint, before_commit, committed};

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT d.account_id, d.lightning_address, d.threshold_msat, d.pending_address, d.pending_effective_at, d.had_one,
                    d.version, d.next_number, d.failures, d.next_attempt_at, d.problem
             FROM payout_destinations d ",
            $rest
        )
    };
}

/// A change of a destination, decided on its locked row.
pub(crate) struct Change<F> {
    pub(crate) account: AccountId,
    /// What the request is known by, and the digest of what it asks.
    pub(crate) key: Key,
    pub(crate) fingerprint: [u8; 32],
    pub(crate) now: Timestamp,
    /// What becomes of the row.
    pub(crate) decide: F,
    /// What is answered, also to a repetition.
    pub(crate) answer: fn(&Destination) -> Vec<u8>,
}

/// An account's destination as it is stored.
pub(crate) async fn find(db: &Database, account: AccountId) -> Result<Option<Destination>, Error> {
    let row = sqlx::query(select!("WHERE d.account_id = $1"))
        .bind(account.uuid())
        .fetch_optional(db.read())
        .await?;
    row.as_ref().map(destination).transpose()
}

/// Changes an account's destination. Answers what was answered the first time.
pub(crate) async fn change<F>(db: &Database, change: Change<F>) -> Result<Vec<u8>, Error>
where
    F: Fn(Destination) -> Destination + Send + Sync + 'static,
{
    let answer = db
        .transact_idempotent(change, |change, tx| {
            Box::pin(async move {
                if let Outcome::Replay(answer) =
                    idempotency::begin(tx, change.key, change.fingerprint, change.now).await?
                {
                    return Ok(answer);
                }
                let known = lock_or_create(tx, change.account, change.now).await?;
                let changed = (change.decide)(known);
                write(tx, &changed).await?;
                let answer = (change.answer)(&changed);
                idempotency::record(tx, change.key, &answer, Keep::Forever).await?;
                before_commit(Failpoint::DestinationBeforeCommit).await?;
                Ok::<_, Error>(answer)
            })
        })
        .await?;
    committed(Failpoint::DestinationCommitted).await?;
    Ok(answer)
}

/// What may be due: accounts whose balance has reached their threshold, and of whose automatic payouts none is on its way.
pub(crate) async fn due(db: &Database, now: Timestamp, limit: i64) -> Result<Vec<Destination>, Error> {
    let rows = sqlx::query(select!(
        "JOIN accounts a ON a.id = d.account_id AND a.available_msat >= d.threshold_msat
         WHERE d.threshold_msat > 0 AND d.next_attempt_at <= $1
           AND (d.lightning_address IS NOT NULL OR d.pending_effective_at <= $1)
           AND NOT EXISTS (SELECT FROM withdrawals w WHERE w.account_id = d.account_id AND w.automatic
                                                     AND w.state IN ('reserved', 'dispatched'))
         ORDER BY d.next_attempt_at LIMIT $2"
    ))
    .bind(now)
    .bind(limit)
    .fetch_all(db.read())
    .await?;
    rows.iter().map(destination).collect()
}

/// Writes how an attempt went, unless the destination was changed meanwhile; whether it was written. Idempotent: of those
/// who do so for the same payout one is first.
pub(crate) async fn note(db: &Database, was: &Destination, becomes: Destination) -> Result<bool, Error> {
    let was = (was.version, was.next_number, was.failures);
    let written = db
        .transact_idempotent((was, becomes), |((version, number, failures), becomes), tx| {
            Box::pin(async move {
                let known = lock(tx, becomes.account).await?;
                let same = known.is_some_and(|known| {
                    (known.version, known.next_number, known.failures) == (*version, *number, *failures)
                });
                if same {
                    write(tx, becomes).await?;
                }
                before_commit(Failpoint::AutomaticBeforeCommit).await?;
                Ok::<_, Error>(same)
            })
        })
        .await?;
    committed(Failpoint::AutomaticCommitted).await?;
    Ok(written)
}

/// The versions of these accounts' destinations, which stay until the transaction ends.
pub(crate) async fn versions(tx: &mut Tx, accounts: &[Uuid]) -> Result<BTreeMap<AccountId, i64>, Error> {
    let rows: Vec<(Uuid, i64)> = sqlx::query_as(
        "SELECT account_id, version FROM payout_destinations WHERE account_id = ANY($1) ORDER BY account_id FOR SHARE",
    )
    .bind(accounts)
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(|(id, version)| (AccountId::from_uuid(id), version)).collect())
}

async fn lock(tx: &mut Tx, account: AccountId) -> Result<Option<Destination>, Error> {
    let row = sqlx::query(select!("WHERE d.account_id = $1 FOR UPDATE"))
        .bind(account.uuid())
        .fetch_optional(tx.conn())
        .await?;
    row.as_ref().map(destination).transpose()
}

/// The row, which is there from now on: of two that set a first address at once, the second one decides on the first one's.
async fn lock_or_create(tx: &mut Tx, account: AccountId, now: Timestamp) -> Result<Destination, Error> {
    sqlx::query(
        "INSERT INTO payout_destinations (account_id, threshold_msat, had_one, version, next_number, failures,
                                          next_attempt_at, problem)
         VALUES ($1, 0, false, 0, 1, 0, $2, '') ON CONFLICT DO NOTHING",
    )
    .bind(account.uuid())
    .bind(now)
    .execute(tx.conn())
    .await?;
    lock(tx, account).await?.ok_or_else(|| corrupt("a destination that was just written"))
}

/// Writes a locked row whole.
async fn write(tx: &mut Tx, row: &Destination) -> Result<(), Error> {
    let (pending, effective) = row.pending.clone().unzip();
    let updated = sqlx::query(
        "UPDATE payout_destinations
         SET lightning_address = $2, threshold_msat = $3, pending_address = $4, pending_effective_at = $5, had_one = $6,
             version = $7, next_number = $8, failures = $9, next_attempt_at = $10, problem = $11
         WHERE account_id = $1",
    )
    .bind(row.account.uuid())
    .bind(&row.address)
    .bind(row.threshold.get())
    .bind(pending)
    .bind(effective)
    .bind(row.had_one)
    .bind(row.version)
    .bind(row.next_number)
    .bind(row.failures)
    .bind(row.next_attempt_time)
    .bind(&row.problem)
    .execute(tx.conn())
    .await?;
    wrote(updated.rows_affected(), 1, "a locked destination")
}

fn destination(row: &PgRow) -> Result<Destination, Error> {
    let pending: Option<String> = row.try_get("pending_address")?;
    let effective: Option<Timestamp> = row.try_get("pending_effective_at")?;
    Ok(Destination {
        account: AccountId::from_uuid(row.try_get("account_id")?),
        address: row.try_get("lightning_address")?,
        threshold: Msat::new(row.try_get("threshold_msat")?),
        pending: pending.zip(effective),
        had_one: row.try_get("had_one")?,
        version: row.try_get("version")?,
        next_number: row.try_get("next_number")?,
        failures: row.try_get("failures")?,
        next_attempt_time: row.try_get("next_attempt_at")?,
        problem: row.try_get("problem")?,
    })
}
