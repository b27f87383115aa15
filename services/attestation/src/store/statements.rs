//! The statements, append-only.

use std::collections::HashMap;

use poa_common::{AccountId, AttestationId, TaskId, Timestamp, TypedId as _};
use poa_storage::{Error, Reader, Tx};
use proof_of_agent::{Digest, Kind};
use sqlx::PgExecutor;
use uuid::Uuid;

use super::{digest, signed, unsigned};

/// One statement, as stored.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    /// Its id.
    pub(crate) id: AttestationId,
    /// The task whose chain it is in.
    pub(crate) task_id: TaskId,
    /// Its place in the chain, from 0.
    pub(crate) sequence: usize,
    /// Its kind.
    pub(crate) kind: Kind,
    /// The SHA-256 of its PAE.
    pub(crate) digest: Digest,
    /// The DSSE envelope as JSON.
    pub(crate) envelope: Vec<u8>,
    /// Its place in the log, from 0.
    pub(crate) log_index: u64,
    /// When it was appended.
    pub(crate) created_at: Timestamp,
}

#[derive(sqlx::FromRow)]
struct Row {
    log_index: i64,
    id: Uuid,
    task_id: Uuid,
    sequence: i32,
    kind: i16,
    digest: Vec<u8>,
    envelope: Vec<u8>,
    created_at: Timestamp,
}

/// Stores statements. Their places are the caller's to give, under the lock of the log's head.
pub(crate) async fn insert(tx: &mut Tx, rows: &[&Stored]) -> Result<(), Error> {
    let indices = rows.iter().map(|row| signed(row.log_index)).collect::<Result<Vec<i64>, _>>()?;
    let ids: Vec<Uuid> = rows.iter().map(|row| row.id.uuid()).collect();
    let tasks: Vec<Uuid> = rows.iter().map(|row| row.task_id.uuid()).collect();
    let sequences = rows.iter().map(|row| i32::try_from(row.sequence)).collect::<Result<Vec<i32>, _>>();
    let kinds: Vec<i16> = rows.iter().map(|row| i16::from(row.kind.number())).collect();
    let digests: Vec<&[u8]> = rows.iter().map(|row| row.digest.as_ref()).collect();
    let envelopes: Vec<&[u8]> = rows.iter().map(|row| row.envelope.as_slice()).collect();
    let times: Vec<Timestamp> = rows.iter().map(|row| row.created_at).collect();
    sqlx::query(
        "INSERT INTO statements
             (log_index, id, task_id, sequence, kind, digest, envelope, created_at)
         SELECT * FROM unnest($1::bigint[], $2::uuid[], $3::uuid[], $4::integer[], $5::smallint[],
                              $6::bytea[], $7::bytea[], $8::timestamptz[])",
    )
    .bind(indices)
    .bind(ids)
    .bind(tasks)
    .bind(sequences.map_err(Error::other)?)
    .bind(kinds)
    .bind(digests)
    .bind(envelopes)
    .bind(times)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// The statements with these digests, each in its task's chain.
pub(crate) async fn by_digest(
    executor: impl PgExecutor<'_>,
    wanted: &[(TaskId, Digest)],
) -> Result<Vec<Stored>, Error> {
    let tasks: Vec<Uuid> = wanted.iter().map(|(task, _)| task.uuid()).collect();
    let digests: Vec<&[u8]> = wanted.iter().map(|(_, digest)| digest.as_ref()).collect();
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT s.log_index, s.id, s.task_id, s.sequence, s.kind, s.digest, s.envelope, s.created_at
         FROM statements s
         WHERE s.task_id = ANY($1)
           AND (s.task_id, s.digest) IN (SELECT * FROM unnest($1::uuid[], $2::bytea[]))",
    )
    .bind(tasks)
    .bind(digests)
    .fetch_all(executor)
    .await?;
    rows.into_iter().map(Row::stored).collect()
}

/// The statement that follows another one in its chain.
pub(crate) async fn next_in_chain(
    executor: impl PgExecutor<'_>,
    statement: &Stored,
) -> Result<Option<Stored>, Error> {
    let row: Option<Row> = sqlx::query_as(
        "SELECT log_index, id, task_id, sequence, kind, digest, envelope, created_at
         FROM statements WHERE task_id = $1 AND sequence = $2 + 1",
    )
    .bind(statement.task_id.uuid())
    .bind(i32::try_from(statement.sequence).map_err(Error::other)?)
    .fetch_optional(executor)
    .await?;
    row.map(Row::stored).transpose()
}

/// The envelopes of these tasks' chains, each chain in order.
pub(crate) async fn envelopes(tx: &mut Tx, tasks: &[TaskId]) -> Result<HashMap<TaskId, Vec<Vec<u8>>>, Error> {
    let tasks: Vec<Uuid> = tasks.iter().map(|task| task.uuid()).collect();
    let rows: Vec<(Uuid, Vec<u8>)> = sqlx::query_as(
        "SELECT task_id, envelope FROM statements WHERE task_id = ANY($1) ORDER BY task_id, sequence",
    )
    .bind(tasks)
    .fetch_all(tx.conn())
    .await?;
    let mut chains: HashMap<TaskId, Vec<Vec<u8>>> = HashMap::new();
    for (task, envelope) in rows {
        chains.entry(TaskId::from_uuid(task)).or_default().push(envelope);
    }
    Ok(chains)
}

/// A task's chain from a place on, in order, at most `limit` statements.
pub(crate) async fn of_task(
    reader: &Reader,
    task: TaskId,
    from_sequence: i32,
    limit: usize,
) -> Result<Vec<Stored>, Error> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT log_index, id, task_id, sequence, kind, digest, envelope, created_at
         FROM statements WHERE task_id = $1 AND sequence >= $2 ORDER BY sequence LIMIT $3",
    )
    .bind(task.uuid())
    .bind(from_sequence)
    .bind(signed(limit)?)
    .fetch_all(reader)
    .await?;
    rows.into_iter().map(Row::stored).collect()
}

/// The statements of the log from a place up to another, which is not among them, in its order, at most `limit`. Entries of
/// another kind are left out.
pub(crate) async fn in_log(
    reader: &Reader,
    first: u64,
    end: u64,
    limit: usize,
) -> Result<Vec<Stored>, Error> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT log_index, id, task_id, sequence, kind, digest, envelope, created_at
         FROM statements WHERE log_index >= $1 AND log_index < $2 ORDER BY log_index LIMIT $3",
    )
    .bind(signed(first)?)
    .bind(signed(end)?)
    .bind(signed(limit)?)
    .fetch_all(reader)
    .await?;
    rows.into_iter().map(Row::stored).collect()
}

/// A statement of a task in which the account is requester, or payee of the current claim.
pub(crate) async fn readable(
    reader: &Reader,
    id: AttestationId,
    account: AccountId,
) -> Result<Option<Stored>, Error> {
    let row: Option<Row> = sqlx::query_as(
        "SELECT s.log_index, s.id, s.task_id, s.sequence, s.kind, s.digest, s.envelope, s.created_at
         FROM statements s
         JOIN chains c ON c.task_id = s.task_id
         WHERE s.id = $1 AND (c.requester_account_id = $2 OR c.payee_account_id = $2)",
    )
    .bind(id.uuid())
    .bind(account.uuid())
    .fetch_optional(reader)
    .await?;
    row.map(Row::stored).transpose()
}

// === impl Row ===

impl Row {
    fn stored(self) -> Result<Stored, Error> {
        let kind = u8::try_from(self.kind).ok().and_then(Kind::from_number);
        Ok(Stored {
            id: AttestationId::from_uuid(self.id),
            task_id: TaskId::from_uuid(self.task_id),
            sequence: usize::try_from(self.sequence).map_err(Error::other)?,
            kind: kind.ok_or_else(|| Error::Corrupt("a stored kind is unknown".to_owned()))?,
            digest: digest(&self.digest)?,
            envelope: self.envelope,
            log_index: unsigned(self.log_index)?,
            created_at: self.created_at,
        })
    }
}
