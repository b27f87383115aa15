//! Receipt chains.

use poa_common::{TaskId, TypedId as _};
use poa_storage::{Error, Tx};
use proof_of_agent::statement::Kind;
use sqlx::postgres::PgRow;
use sqlx::{PgExecutor, Row as _};

use super::corrupt;
use super::rows::{count, count_column, digest, optional_id};
use crate::domain::{Entry, Paper, Standing};

/// A task's chain. Bytes come with the pending statements and the last one; `all`: with every one.
pub(super) async fn load(
    executor: impl PgExecutor<'_>,
    task: TaskId,
    all: bool,
) -> Result<Vec<Entry>, Error> {
    let rows = sqlx::query(
        "SELECT seq AS entry_seq, kind AS entry_kind, digest AS entry_digest,
                account_id AS entry_account_id, request_id AS entry_request_id,
                envelope IS NULL AS entry_pending,
                CASE WHEN $2 OR envelope IS NULL OR lead(seq) OVER (ORDER BY seq) IS NULL
                     THEN coalesce(envelope, body) END AS entry_bytes
         FROM statements WHERE task_id = $1 ORDER BY seq",
    )
    .bind(task.uuid())
    .bind(all)
    .fetch_all(executor)
    .await?;
    of_rows(&rows)
}

/// The chain that these rows hold, in their order. A row without a statement is a task whose terms were refused.
pub(super) fn of_rows(rows: &[PgRow]) -> Result<Vec<Entry>, Error> {
    let mut chain = Vec::with_capacity(rows.len());
    for row in rows {
        if row.try_get::<Option<i32>, _>("entry_seq")?.is_some() {
            chain.push(entry(row)?);
        }
    }
    Ok(chain)
}

/// The bytes of a task's whole chain, in order.
pub(crate) async fn papers(executor: impl PgExecutor<'_>, task: TaskId) -> Result<Vec<Paper>, Error> {
    let entries = load(executor, task, true).await?;
    Ok(entries.into_iter().filter_map(|entry| entry.paper).collect())
}

/// The exact payload of a task's terms.
pub(crate) async fn terms_of(executor: impl PgExecutor<'_>, task: TaskId) -> Result<Vec<u8>, Error> {
    Ok(sqlx::query_scalar("SELECT terms FROM tasks WHERE task_id = $1")
        .bind(task.uuid())
        .fetch_one(executor)
        .await?)
}

/// Adds a pending or an appended statement.
pub(super) async fn insert(tx: &mut Tx, task: TaskId, entry: &Entry) -> Result<(), Error> {
    let bytes = entry.paper.as_ref().map(Paper::bytes);
    let (body, envelope) = match entry.standing {
        Standing::Pending => (bytes, None),
        Standing::Appended => (None, bytes),
    };
    sqlx::query(
        "INSERT INTO statements (task_id, seq, kind, digest, body, envelope, account_id, request_id)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(task.uuid())
    .bind(count_column(entry.seq)?)
    .bind(i16::from(entry.kind.number()))
    .bind(entry.digest.to_vec())
    .bind(body)
    .bind(envelope)
    .bind(entry.account.map(|account| account.uuid()))
    .bind(entry.request)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// A pending statement is in the log now.
pub(super) async fn mark_appended(tx: &mut Tx, task: TaskId, entry: &Entry) -> Result<(), Error> {
    let updated = sqlx::query(
        "UPDATE statements SET envelope = $3, body = NULL
         WHERE task_id = $1 AND seq = $2 AND envelope IS NULL",
    )
    .bind(task.uuid())
    .bind(count_column(entry.seq)?)
    .bind(entry.paper.as_ref().map(Paper::bytes))
    .execute(tx.conn())
    .await?;
    if updated.rows_affected() == 1 { Ok(()) } else { Err(corrupt("a statement was appended twice")) }
}

/// A pending statement was refused.
pub(super) async fn remove(tx: &mut Tx, task: TaskId, entry: &Entry) -> Result<(), Error> {
    sqlx::query("DELETE FROM statements WHERE task_id = $1 AND seq = $2 AND envelope IS NULL")
        .bind(task.uuid())
        .bind(count_column(entry.seq)?)
        .execute(tx.conn())
        .await?;
    Ok(())
}

fn entry(row: &PgRow) -> Result<Entry, Error> {
    let number: i16 = row.try_get("entry_kind")?;
    let kind = u8::try_from(number).ok().and_then(Kind::from_number);
    let kind = kind.ok_or_else(|| corrupt("an unknown kind of statement"))?;
    let pending: bool = row.try_get("entry_pending")?;
    let signed_by_agent = matches!(kind, Kind::TermsAccepted | Kind::WorkSubmitted);
    let paper = row.try_get::<Option<Vec<u8>>, _>("entry_bytes")?.map(|bytes| {
        if pending && !signed_by_agent { Paper::Payload(bytes) } else { Paper::Envelope(bytes) }
    });
    Ok(Entry {
        seq: count(row, "entry_seq")?,
        kind,
        digest: digest(&row.try_get::<Vec<u8>, _>("entry_digest")?)?,
        standing: if pending { Standing::Pending } else { Standing::Appended },
        paper,
        account: optional_id(row, "entry_account_id")?,
        request: row.try_get("entry_request_id")?,
    })
}
