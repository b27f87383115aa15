//! The queue of open tasks.

use poa_common::{AccountId, AgentId, Msat, TaskId, TypedId as _};
use poa_storage::{Database, Error, Tx};
use sqlx::postgres::PgRow;
use sqlx::{PgExecutor, Row as _};

use super::rows::{count, digest, id, mesh, optional_id, size};
use crate::domain::{MeshTime, Offer};

/// What ClaimNextTask asks for.
#[derive(Clone, Debug)]
pub(crate) struct Filter {
    pub(crate) account: AccountId,
    pub(crate) agent: AgentId,
    pub(crate) capabilities: Vec<String>,
    pub(crate) min_payee: Msat,
}

/// An open task with all that an agent needs to decide and to sign.
#[derive(Clone, Debug)]
pub(crate) struct OpenRow {
    pub(crate) task: TaskId,
    pub(crate) title: String,
    pub(crate) capability: String,
    pub(crate) price: Msat,
    pub(crate) payee: Msat,
    pub(crate) direct_agent: Option<AgentId>,
    pub(crate) input_media_type: String,
    pub(crate) input_sha256: proof_of_agent::Digest,
    pub(crate) input_size: u64,
    pub(crate) terms: Vec<u8>,
    pub(crate) claims: u32,
    pub(crate) open_due: Option<MeshTime>,
}

/// A task opened.
pub(super) async fn insert(tx: &mut Tx, offer: &Offer) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO open_tasks (task_id, capability, payee_msat, direct_agent_id) VALUES ($1, $2, $3, $4)",
    )
    .bind(offer.task.uuid())
    .bind(&offer.capability)
    .bind(offer.payee.get())
    .bind(offer.direct_agent.map(|agent| agent.uuid()))
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// A task is open no more.
pub(super) async fn remove(tx: &mut Tx, task: TaskId) -> Result<(), Error> {
    sqlx::query("DELETE FROM open_tasks WHERE task_id = $1").bind(task.uuid()).execute(tx.conn()).await?;
    Ok(())
}

/// Sets the oldest matching task aside; tasks that others are taking at this moment are passed over.
pub(crate) async fn reserve(
    tx: &mut Tx,
    filter: &Filter,
    now: MeshTime,
    until: MeshTime,
) -> Result<Option<TaskId>, Error> {
    let task: Option<uuid::Uuid> = sqlx::query_scalar(
        "UPDATE open_tasks SET reserved_agent_id = $1, reserved_due_us = $2, reserved_account_id = $6
         WHERE task_id = (
             SELECT task_id FROM open_tasks
             WHERE capability = ANY($3) AND payee_msat >= $4 AND reserved_due_us <= $5
               AND (direct_agent_id IS NULL OR direct_agent_id = $1)
             ORDER BY task_id LIMIT 1 FOR UPDATE SKIP LOCKED)
         RETURNING task_id",
    )
    .bind(filter.agent.uuid())
    .bind(until.micros())
    .bind(&filter.capabilities)
    .bind(filter.min_payee.get())
    .bind(now.micros())
    .bind(filter.account.uuid())
    .fetch_optional(tx.conn())
    .await?;
    Ok(task.map(TaskId::from_uuid))
}

/// When each of the tasks that are set aside for an account is free again, the first one first. Until the transaction
/// ends nobody else sets one aside for it.
pub(crate) async fn reservations(
    tx: &mut Tx,
    account: AccountId,
    now: MeshTime,
) -> Result<Vec<MeshTime>, Error> {
    // Writes nothing new where the row is there, and locks it.
    sqlx::query(
        "INSERT INTO reservers (account_id) VALUES ($1)
         ON CONFLICT (account_id) DO UPDATE SET account_id = excluded.account_id",
    )
    .bind(account.uuid())
    .execute(tx.conn())
    .await?;
    let dues: Vec<i64> = sqlx::query_scalar(
        "SELECT reserved_due_us FROM open_tasks
         WHERE reserved_account_id = $1 AND reserved_due_us > $2 ORDER BY reserved_due_us",
    )
    .bind(account.uuid())
    .bind(now.micros())
    .fetch_all(tx.conn())
    .await?;
    Ok(dues.into_iter().map(MeshTime::from_micros).collect())
}

/// The agent for which a task is set aside now. Waits for one who is setting it aside at this moment.
pub(crate) async fn reservation(tx: &mut Tx, task: TaskId, now: MeshTime) -> Result<Option<AgentId>, Error> {
    let row = sqlx::query(
        "SELECT reserved_agent_id, reserved_due_us FROM open_tasks WHERE task_id = $1 FOR NO KEY UPDATE",
    )
    .bind(task.uuid())
    .fetch_optional(tx.conn())
    .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    let held = mesh(&row, "reserved_due_us")?.is_some_and(|due| due > now);
    Ok(optional_id(&row, "reserved_agent_id")?.filter(|_| held))
}

/// These tasks, as far as they exist, oldest first.
pub(crate) async fn open_rows(
    executor: impl PgExecutor<'_>,
    tasks: &[TaskId],
) -> Result<Vec<OpenRow>, Error> {
    let rows = sqlx::query(
        "SELECT t.task_id, t.title, t.capability, t.price_msat, t.payee_msat, t.direct_agent_id,
                t.input_media_type, t.input_sha256, t.input_size, t.terms, s.claim_number, s.open_due_us
         FROM tasks t JOIN task_status s USING (task_id)
         WHERE t.task_id = ANY($1) ORDER BY t.task_id",
    )
    .bind(tasks.iter().map(|task| task.uuid()).collect::<Vec<_>>())
    .fetch_all(executor)
    .await?;
    rows.iter().map(open_row).collect()
}

/// The ids of the open tasks after a place, oldest first.
pub(crate) async fn open_page(
    db: &Database,
    after: Option<TaskId>,
    limit: u32,
) -> Result<Vec<TaskId>, Error> {
    let ids: Vec<uuid::Uuid> =
        sqlx::query_scalar("SELECT task_id FROM open_tasks WHERE task_id > $1 ORDER BY task_id LIMIT $2")
            .bind(after.map_or(uuid::Uuid::nil(), |task| task.uuid()))
            .bind(i64::from(limit))
            .fetch_all(db.read())
            .await?;
    Ok(ids.into_iter().map(TaskId::from_uuid).collect())
}

fn open_row(row: &PgRow) -> Result<OpenRow, Error> {
    Ok(OpenRow {
        task: id(row, "task_id")?,
        title: row.try_get("title")?,
        capability: row.try_get("capability")?,
        price: Msat::new(row.try_get("price_msat")?),
        payee: Msat::new(row.try_get("payee_msat")?),
        direct_agent: optional_id(row, "direct_agent_id")?,
        input_media_type: row.try_get("input_media_type")?,
        input_sha256: digest(&row.try_get::<Vec<u8>, _>("input_sha256")?)?,
        input_size: size(row.try_get("input_size")?)?,
        terms: row.try_get("terms")?,
        claims: count(row, "claim_number")?,
        open_due: mesh(row, "open_due_us")?,
    })
}
