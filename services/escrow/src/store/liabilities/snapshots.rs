//! The snapshots themselves: taken, built, stated, published, forgotten.

use std::time::Duration;

use poa_common::{LiabilitiesId, Msat, Timestamp, TypedId as _};
use poa_storage::{Database, Error};
use proof_of_agent::liabilities::SALT_BYTES;
use proof_of_agent::{Digest, Envelope};
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use crate::failpoint::{Failpoint, before_commit, committed};
use crate::store::corrupt;

/// How long taking a snapshot may last. It reads all balances and holds nobody up.
const LIMIT: Duration = Duration::from_secs(60);

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, taken_at, leaf_count, liabilities_msat, root, envelope, log_index, checkpoint, inclusion_proof
             FROM liabilities_snapshots ",
            $rest
        )
    };
}

/// What was owed at a moment.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    pub(crate) id: LiabilitiesId,
    pub(crate) time: Timestamp,
    pub(crate) leaf_count: u64,
    /// The sum of all leaves.
    pub(crate) liabilities: Msat,
    pub(crate) progress: Progress,
}

/// How far it is.
#[derive(Clone, Debug)]
pub(crate) enum Progress {
    /// The balances are read.
    Taken,
    /// The tree has this root.
    Built { root: Digest },
    /// It is signed and has its place in the log; no checkpoint covers it yet.
    Stated { root: Digest },
    /// Whoever is owed something can prove it.
    Published(Answer),
}

/// What attestation answers.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) envelope: Envelope,
    pub(crate) log_index: u64,
    /// None until there is one that covers it.
    pub(crate) checkpoint: Option<(String, Vec<Digest>)>,
}

/// Takes a snapshot of all balances, unless one was taken within `every`; whether one was taken. Accounts that are owed
/// nothing have no leaf; where nobody is owed anything there is no snapshot.
///
/// `secret` is this snapshot's: the salt of a leaf is SHA-256 of it and the account.
pub(crate) async fn take(
    db: &Database,
    id: LiabilitiesId,
    secret: [u8; SALT_BYTES],
    now: Timestamp,
    every: Duration,
) -> Result<bool, Error> {
    let taken = db
        .transact_within(LIMIT, move |tx| {
            Box::pin(async move {
                // The lock first: what is read after it, replicas agree on.
                sqlx::raw_sql(
                    "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SET LOCAL statement_timeout = '55s';
                     LOCK TABLE liabilities_snapshots IN SHARE ROW EXCLUSIVE MODE",
                )
                .execute(tx.conn())
                .await?;
                let (count, sum): (i64, i64) = sqlx::query_as(
                    "SELECT count(*), coalesce(sum(available_msat::numeric + held_msat), 0)::bigint FROM accounts
                     WHERE kind = 'user' AND available_msat::numeric + held_msat > 0
                         AND NOT EXISTS (SELECT FROM liabilities_snapshots WHERE taken_at > $1)",
                )
                .bind(now - every)
                .fetch_one(tx.conn())
                .await?;
                if count == 0 {
                    return Ok(false);
                }
                sqlx::query(
                    "INSERT INTO liabilities_snapshots (id, taken_at, leaf_count, liabilities_msat)
                     VALUES ($1, $2, $3, $4)",
                )
                .bind(id.uuid())
                .bind(now)
                .bind(count)
                .bind(sum)
                .execute(tx.conn())
                .await?;
                sqlx::query(
                    "INSERT INTO liabilities_leaves (snapshot_id, leaf_index, account_id, balance_msat, salt, hash)
                     SELECT $1, row_number() OVER (ORDER BY hash) - 1, account, balance, salt, hash
                     FROM (SELECT account, balance, salt, sha256(
                               convert_to('proof-of-agent liabilities leaf v1' || chr(10), 'UTF8')
                               || uuid_send(account) || salt || int8send(balance)) AS hash
                           FROM (SELECT id AS account, available_msat + held_msat AS balance,
                                        sha256($2 || uuid_send(id)) AS salt
                                 FROM accounts WHERE kind = 'user' AND available_msat::numeric + held_msat > 0) AS owed
                          ) AS leaves",
                )
                .bind(id.uuid())
                .bind(secret.as_slice())
                .execute(tx.conn())
                .await?;
                before_commit(Failpoint::LiabilitiesTakeBeforeCommit).await?;
                Ok::<_, Error>(true)
            })
        })
        .await?;
    if taken {
        committed(Failpoint::LiabilitiesTaken).await?;
    }
    Ok(taken)
}

/// The oldest snapshot that is not published.
pub(crate) async fn unfinished(db: &Database) -> Result<Option<Snapshot>, Error> {
    let row = sqlx::query(select!("WHERE checkpoint IS NULL ORDER BY taken_at LIMIT 1"))
        .fetch_optional(db.read())
        .await?;
    row.as_ref().map(snapshot).transpose()
}

/// The newest snapshot that is.
pub(crate) async fn newest_published(db: &Database) -> Result<Option<Snapshot>, Error> {
    let row = sqlx::query(select!("WHERE checkpoint IS NOT NULL ORDER BY taken_at DESC LIMIT 1"))
        .fetch_optional(db.read())
        .await?;
    row.as_ref().map(snapshot).transpose()
}

/// Writes down what attestation has answered. What is published stays as it is. Idempotent.
pub(crate) async fn note_answer(db: &Database, id: LiabilitiesId, answer: Answer) -> Result<(), Error> {
    db.transact_idempotent((id, answer), |(id, answer), tx| {
        Box::pin(async move {
            let (note, proof) = match &answer.checkpoint {
                Some((note, proof)) => {
                    (Some(note.as_str()), Some(proof.iter().map(|hash| hash.to_vec()).collect::<Vec<_>>()))
                }
                None => (None, None),
            };
            sqlx::query(
                "UPDATE liabilities_snapshots
                 SET envelope = $2, log_index = $3, checkpoint = $4, inclusion_proof = $5
                 WHERE id = $1 AND checkpoint IS NULL",
            )
            .bind(id.uuid())
            .bind(answer.envelope.to_json())
            .bind(i64::try_from(answer.log_index).map_err(Error::other)?)
            .bind(note)
            .bind(proof)
            .execute(tx.conn())
            .await?;
            before_commit(Failpoint::LiabilitiesNoteBeforeCommit).await?;
            Ok::<_, Error>(())
        })
    })
    .await?;
    committed(Failpoint::LiabilitiesNoted).await
}

/// Forgets one snapshot from before a moment, unless no newer one is published; whether there was one. The statement in the
/// log stays.
pub(crate) async fn forget(db: &Database, before: Timestamp) -> Result<bool, Error> {
    db.transact_within(LIMIT, move |tx| {
        Box::pin(async move {
            let old: Option<uuid::Uuid> = sqlx::query_scalar(
                "SELECT id FROM liabilities_snapshots s
                 WHERE taken_at < $1 AND EXISTS (
                     SELECT FROM liabilities_snapshots n WHERE n.taken_at > s.taken_at AND n.checkpoint IS NOT NULL)
                 ORDER BY taken_at LIMIT 1 FOR UPDATE",
            )
            .bind(before)
            .fetch_optional(tx.conn())
            .await?;
            let Some(old) = old else { return Ok(false) };
            for sql in [
                "DELETE FROM liabilities_leaves WHERE snapshot_id = $1",
                "DELETE FROM liabilities_parts WHERE snapshot_id = $1",
                "DELETE FROM liabilities_snapshots WHERE id = $1",
            ] {
                sqlx::query(sql).bind(old).execute(tx.conn()).await?;
            }
            Ok::<_, Error>(true)
        })
    })
    .await
}

fn snapshot(row: &PgRow) -> Result<Snapshot, Error> {
    let count = |number: i64| u64::try_from(number).map_err(|_| corrupt("a count of a snapshot"));
    let root: Option<Vec<u8>> = row.try_get("root")?;
    let root = root.map(|bytes| digest(&bytes)).transpose()?;
    let envelope: Option<Vec<u8>> = row.try_get("envelope")?;
    let progress = match (root, envelope) {
        (None, _) => Progress::Taken,
        (Some(root), None) => Progress::Built { root },
        (Some(root), Some(envelope)) => {
            let note: Option<String> = row.try_get("checkpoint")?;
            let proof: Option<Vec<Vec<u8>>> = row.try_get("inclusion_proof")?;
            match note.zip(proof) {
                None => Progress::Stated { root },
                Some((note, proof)) => Progress::Published(Answer {
                    envelope: Envelope::from_json(&envelope)
                        .map_err(|_| corrupt("a statement of liabilities"))?,
                    log_index: count(row.try_get("log_index")?)?,
                    checkpoint: Some((
                        note,
                        proof.iter().map(|hash| digest(hash)).collect::<Result<Vec<_>, _>>()?,
                    )),
                }),
            }
        }
    };
    Ok(Snapshot {
        id: LiabilitiesId::from_uuid(row.try_get("id")?),
        time: row.try_get("taken_at")?,
        leaf_count: count(row.try_get("leaf_count")?)?,
        liabilities: Msat::new(row.try_get("liabilities_msat")?),
        progress,
    })
}

fn digest(bytes: &[u8]) -> Result<Digest, Error> {
    Digest::try_from(bytes).map_err(|_| corrupt("a hash of a snapshot"))
}
