//! Evidence of trusted execution, as it was handed in.

use poa_common::{TaskId, Timestamp, TypedId as _};
use poa_storage::{Error, Reader, Tx};
use proof_of_agent::Digest;

/// Stores evidence. The same may be there already.
pub(crate) async fn insert(
    tx: &mut Tx,
    task: TaskId,
    digest: Digest,
    evidence: &[u8],
    now: Timestamp,
) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO tee_evidence (task_id, digest, evidence, created_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (task_id, digest) DO NOTHING",
    )
    .bind(task.uuid())
    .bind(digest.as_bytes().as_slice())
    .bind(evidence)
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// The evidence that a task's submission names, if it was handed in.
pub(crate) async fn find(reader: &Reader, task: TaskId, digest: Digest) -> Result<Option<Vec<u8>>, Error> {
    Ok(sqlx::query_scalar("SELECT evidence FROM tee_evidence WHERE task_id = $1 AND digest = $2")
        .bind(task.uuid())
        .bind(digest.as_bytes().as_slice())
        .fetch_optional(reader)
        .await?)
}
