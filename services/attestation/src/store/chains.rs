//! Where each task's chain ends, and who may read it.

use std::collections::HashMap;

use poa_common::{AccountId, TaskId, TypedId as _};
use poa_storage::{Error, Reader, Tx};
use uuid::Uuid;

use super::digest;
use crate::domain::{ChainEnd, Place};

#[derive(sqlx::FromRow)]
struct Row {
    task_id: Uuid,
    length: i32,
    last_digest: Vec<u8>,
    requester_account_id: Uuid,
    payee_account_id: Option<Uuid>,
}

/// The ends of these tasks' chains; a task without a chain is left out.
pub(crate) async fn ends(tx: &mut Tx, tasks: &[TaskId]) -> Result<HashMap<TaskId, ChainEnd>, Error> {
    let tasks: Vec<Uuid> = tasks.iter().map(|task| task.uuid()).collect();
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT task_id, length, last_digest, requester_account_id, payee_account_id
         FROM chains WHERE task_id = ANY($1)",
    )
    .bind(tasks)
    .fetch_all(tx.conn())
    .await?;
    rows.into_iter().map(Row::end).collect()
}

/// Stores the ends of chains, each task once.
pub(crate) async fn store(tx: &mut Tx, ends: &[(TaskId, ChainEnd)]) -> Result<(), Error> {
    let tasks: Vec<Uuid> = ends.iter().map(|(task, _)| task.uuid()).collect();
    let lengths = ends
        .iter()
        .map(|(_, end)| i32::try_from(end.place.length))
        .collect::<Result<Vec<i32>, _>>()
        .map_err(Error::other)?;
    let digests: Vec<&[u8]> = ends.iter().map(|(_, end)| end.place.last.as_bytes().as_slice()).collect();
    let requesters: Vec<Uuid> = ends.iter().map(|(_, end)| end.requester.uuid()).collect();
    let payees: Vec<Option<Uuid>> = ends.iter().map(|(_, end)| end.payee.map(|id| id.uuid())).collect();
    sqlx::query(
        "INSERT INTO chains (task_id, length, last_digest, requester_account_id, payee_account_id)
         SELECT * FROM unnest($1::uuid[], $2::integer[], $3::bytea[], $4::uuid[], $5::uuid[])
         ON CONFLICT (task_id) DO UPDATE
         SET length = excluded.length, last_digest = excluded.last_digest,
             payee_account_id = excluded.payee_account_id",
    )
    .bind(tasks)
    .bind(lengths)
    .bind(digests)
    .bind(requesters)
    .bind(payees)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Whether an account is the requester of a task, or the payee of its current claim.
pub(crate) async fn may_read(reader: &Reader, task: TaskId, account: AccountId) -> Result<bool, Error> {
    let found: Option<bool> = sqlx::query_scalar(
        "SELECT true FROM chains
         WHERE task_id = $1 AND (requester_account_id = $2 OR payee_account_id = $2)",
    )
    .bind(task.uuid())
    .bind(account.uuid())
    .fetch_optional(reader)
    .await?;
    Ok(found.is_some())
}

// === impl Row ===

impl Row {
    fn end(self) -> Result<(TaskId, ChainEnd), Error> {
        let length = usize::try_from(self.length).map_err(Error::other)?;
        let end = ChainEnd {
            place: Place { length, last: digest(&self.last_digest)? },
            requester: AccountId::from_uuid(self.requester_account_id),
            payee: self.payee_account_id.map(AccountId::from_uuid),
        };
        Ok((TaskId::from_uuid(self.task_id), end))
    }
}
