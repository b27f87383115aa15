//! When something is next to be done for which task.

use std::time::Duration;

use poa_common::{TaskId, TypedId as _};
use poa_storage::{Database, Error, Tx};
use uuid::Uuid;

use crate::domain::{MeshTime, Moment, Next, Saga, next_step};
use crate::failpoint::{Failpoint, committed};

/// How long a driver that just took or committed a step is left alone. A crash costs this much and no more.
pub(crate) const DRIVE_LEASE: Duration = Duration::from_millis(1_500);

/// A new task, whose creator drives it at once.
pub(super) async fn insert(tx: &mut Tx, saga: &Saga, at: Moment) -> Result<(), Error> {
    sqlx::query("INSERT INTO sagas (task_id, due_us) VALUES ($1, $2)")
        .bind(saga.offer.task.uuid())
        .bind(at.mesh.after(DRIVE_LEASE).micros())
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// After a change: whoever made it goes on with the next step, else the next deadline counts.
pub(super) async fn update(tx: &mut Tx, saga: &Saga, at: Moment) -> Result<(), Error> {
    let due = match next_step(saga, at) {
        Next::Step(_) => at.mesh.after(DRIVE_LEASE),
        Next::Wait(due) => due,
        Next::End => return remove(tx, saga.offer.task).await,
    };
    sqlx::query("UPDATE sagas SET due_us = $2, attempts = 0 WHERE task_id = $1")
        .bind(saga.offer.task.uuid())
        .bind(due.micros())
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Takes at most `limit` tasks that are due, for the length of a drive lease.
pub(crate) async fn take_due(db: &Database, now: MeshTime, limit: u32) -> Result<Vec<TaskId>, Error> {
    // Mostly nothing is due: a plain read finds that out without a transaction.
    let any: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM sagas WHERE due_us <= $1)")
        .bind(now.micros())
        .fetch_one(db.read())
        .await?;
    if !any {
        return Ok(Vec::new());
    }
    let taken: Vec<Uuid> = db
        .transact(move |tx| {
            Box::pin(async move {
                sqlx::query_scalar(
                    "UPDATE sagas SET due_us = $2 WHERE task_id IN (
                         SELECT task_id FROM sagas WHERE due_us <= $1 ORDER BY due_us LIMIT $3
                         FOR UPDATE SKIP LOCKED)
                     RETURNING task_id",
                )
                .bind(now.micros())
                .bind(now.after(DRIVE_LEASE).micros())
                .bind(i64::from(limit))
                .fetch_all(tx.conn())
                .await
                .map_err(Error::from)
            })
        })
        .await?;
    committed(Failpoint::DueTaken).await?;
    Ok(taken.into_iter().map(TaskId::from_uuid).collect())
}

/// Sets a task that had nothing to do when it was peeked at to its next deadline, unless it is due at another moment
/// than `peeked` now: then whoever set that knows better.
pub(crate) async fn postpone(
    db: &Database,
    task: TaskId,
    peeked: MeshTime,
    due: MeshTime,
) -> Result<(), Error> {
    db.transact(move |tx| {
        Box::pin(async move {
            // The condition is on this very row, so that it holds after waiting for another's change of it too.
            sqlx::query("UPDATE sagas SET due_us = $3, attempts = 0 WHERE task_id = $1 AND due_us = $2")
                .bind(task.uuid())
                .bind(peeked.micros())
                .bind(due.micros())
                .execute(tx.conn())
                .await?;
            Ok(())
        })
    })
    .await
}

/// Makes a task due now: something happened elsewhere that its next step may have waited for.
pub(crate) async fn wake(tx: &mut Tx, task: TaskId, now: MeshTime) -> Result<(), Error> {
    sqlx::query("UPDATE sagas SET due_us = least(due_us, $2) WHERE task_id = $1")
        .bind(task.uuid())
        .bind(now.micros())
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// A step failed: tries again later, the later the oftener it failed. Answers how often it did.
pub(crate) async fn back_off(
    db: &Database,
    task: TaskId,
    now: MeshTime,
    first: Duration,
    cap: Duration,
) -> Result<i32, Error> {
    db.transact(move |tx| {
        Box::pin(async move {
            let attempts: Option<i32> = sqlx::query_scalar(
                "UPDATE sagas SET attempts = attempts + 1,
                        due_us = $2 + least($3 * (1::bigint << least(attempts, 20)), $4)
                 WHERE task_id = $1 RETURNING attempts",
            )
            .bind(task.uuid())
            .bind(now.micros())
            .bind(crate::domain::micros_of(first))
            .bind(crate::domain::micros_of(cap))
            .fetch_optional(tx.conn())
            .await?;
            Ok(attempts.unwrap_or(0))
        })
    })
    .await
}

async fn remove(tx: &mut Tx, task: TaskId) -> Result<(), Error> {
    sqlx::query("DELETE FROM sagas WHERE task_id = $1").bind(task.uuid()).execute(tx.conn()).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use poa_storage::DatabaseConfig;

    use super::*;

    async fn set(db: &Database, task: TaskId, due: MeshTime) {
        db.transact(move |tx| {
            Box::pin(async move {
                sqlx::query(
                    "INSERT INTO sagas (task_id, due_us) VALUES ($1, $2)
                     ON CONFLICT (task_id) DO UPDATE SET due_us = $2",
                )
                .bind(task.uuid())
                .bind(due.micros())
                .execute(tx.conn())
                .await
                .map_err(Error::from)
            })
        })
        .await
        .unwrap();
    }

    async fn due(db: &Database, task: TaskId) -> i64 {
        let due = sqlx::query_scalar("SELECT due_us FROM sagas WHERE task_id = $1");
        due.bind(task.uuid()).fetch_one(db.read()).await.unwrap()
    }

    #[tokio::test]
    async fn a_task_that_a_verb_made_due_meanwhile_is_not_postponed() {
        let url = poa_testkit::fresh_database("task").await;
        let db = Database::connect(&DatabaseConfig::new(&url), &crate::MIGRATIONS).await.unwrap();
        let (env, _) = poa_testkit::env(5);
        let task: TaskId = env.new_id();
        let [peeked, soon, late] = [10, 20, 1_000].map(MeshTime::from_micros);
        set(&db, task, peeked).await;
        // Between the peek and the postponement.
        set(&db, task, soon).await;
        postpone(&db, task, peeked, late).await.unwrap();
        assert_eq!(due(&db, task).await, soon.micros());
        postpone(&db, task, soon, late).await.unwrap();
        assert_eq!(due(&db, task).await, late.micros());
    }
}
