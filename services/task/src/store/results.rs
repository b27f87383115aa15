//! Results.

use poa_common::{TaskId, Timestamp, TypedId as _};
use poa_storage::{Error, Tx};

use super::rows::{body_columns, count_column, size_column};
use crate::domain::Body;

/// Stores a result under the number of its submission.
pub(crate) async fn insert(
    tx: &mut Tx,
    task: TaskId,
    submission: u32,
    result: &Body,
    now: Timestamp,
) -> Result<(), Error> {
    let (inline, uri) = body_columns(result);
    sqlx::query(
        "INSERT INTO results (task_id, submission, media_type, sha256, size, body, uri, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(task.uuid())
    .bind(count_column(submission)?)
    .bind(&result.media_type)
    .bind(result.sha256().to_vec())
    .bind(size_column(result.size())?)
    .bind(inline)
    .bind(uri)
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Removes the results above a number: their receipts were refused.
pub(super) async fn remove_above(tx: &mut Tx, task: TaskId, submission: u32) -> Result<(), Error> {
    sqlx::query("DELETE FROM results WHERE task_id = $1 AND submission > $2")
        .bind(task.uuid())
        .bind(count_column(submission)?)
        .execute(tx.conn())
        .await?;
    Ok(())
}
