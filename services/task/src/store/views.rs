//! Tasks as callers read them.

use poa_common::{AccountId, AgentId, EscrowId, Msat, TaskId, Timestamp, TypedId as _};
use poa_storage::Error;
use proof_of_agent::{Digest, Rail, ReleasePolicy};
use sqlx::postgres::PgRow;
use sqlx::{PgExecutor, Row as _};

use super::hold_funding;
use super::rows::{body, digest, id, optional_id, policy, size};
use super::sagas::status;
use crate::domain::{Body, Hold, State, Status};

/// Which bodies to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bodies {
    None,
    Input,
    All,
}

/// A task as a caller reads it.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) task: TaskId,
    pub(crate) requester: AccountId,
    pub(crate) title: String,
    pub(crate) capability: String,
    pub(crate) price: Msat,
    pub(crate) fee: Msat,
    pub(crate) payee: Msat,
    pub(crate) policy: ReleasePolicy,
    pub(crate) direct_agent: Option<AgentId>,
    pub(crate) escrow: EscrowId,
    pub(crate) rail: Rail,
    /// The hold invoice, where one was made.
    pub(crate) hold: Option<Hold>,
    pub(crate) terms: Vec<u8>,
    pub(crate) created: Timestamp,
    pub(crate) status: Status,
    pub(crate) input: Summary,
    pub(crate) result: Option<Summary>,
    /// Whether a statement waits for the log.
    pub(crate) pending: bool,
}

/// An input or a result, with its body where it was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Summary {
    pub(crate) media_type: String,
    pub(crate) sha256: Digest,
    pub(crate) size: u64,
    pub(crate) body: Option<Body>,
}

/// Who reads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader {
    pub(crate) account: AccountId,
    /// The one agent that the token may act as.
    pub(crate) agent: Option<AgentId>,
}

/// Reads a task for whoever changed it.
pub(crate) async fn view(
    executor: impl PgExecutor<'_>,
    task: TaskId,
    bodies: Bodies,
) -> Result<Option<View>, Error> {
    select(executor, task, bodies, None).await
}

/// Reads a task for a caller: his own, one that his agent claimed, or an open one.
pub(crate) async fn view_for(
    executor: impl PgExecutor<'_>,
    task: TaskId,
    bodies: Bodies,
    reader: Reader,
) -> Result<Option<View>, Error> {
    select(executor, task, bodies, Some(reader)).await
}

async fn select(
    executor: impl PgExecutor<'_>,
    task: TaskId,
    bodies: Bodies,
    reader: Option<Reader>,
) -> Result<Option<View>, Error> {
    let row = sqlx::query(
        "SELECT t.task_id, t.requester_id, t.title, t.capability, t.price_msat, t.fee_msat, t.payee_msat,
                t.policy, t.direct_agent_id, t.escrow_id, t.funding, t.terms, t.created_at,
                t.input_media_type, t.input_sha256, t.input_size,
                CASE WHEN $2 THEN t.input_body END AS input_body, CASE WHEN $2 THEN t.input_uri END AS input_uri,
                s.*,
                h.invoice AS hold_invoice, h.expires_at AS hold_expires_at, h.paid_msat, h.expiry_height,
                h.guard_height, h.guard_reached, h.fate,
                r.media_type AS result_media_type, r.sha256 AS result_sha256, r.size AS result_size,
                CASE WHEN $3 THEN r.body END AS result_body, CASE WHEN $3 THEN r.uri END AS result_uri,
                EXISTS (SELECT FROM statements p WHERE p.task_id = t.task_id AND p.envelope IS NULL) AS pending
         FROM tasks t JOIN task_status s USING (task_id)
         LEFT JOIN results r ON r.task_id = t.task_id AND r.submission = s.submissions
         LEFT JOIN hold_funding h ON h.task_id = t.task_id
         WHERE t.task_id = $1
           AND ($4::uuid IS NULL OR t.requester_id = $4 OR s.state = $6
                OR (s.account_id = $4 AND ($5::uuid IS NULL OR s.agent_id = $5)))",
    )
    .bind(task.uuid())
    .bind(bodies != Bodies::None)
    .bind(bodies == Bodies::All)
    .bind(reader.map(|reader| reader.account.uuid()))
    .bind(reader.and_then(|reader| reader.agent).map(|agent| agent.uuid()))
    .bind(State::Open.number())
    .fetch_optional(executor)
    .await?;
    row.as_ref().map(view_of).transpose()
}

/// A view from a row with the columns that [`view`] selects.
pub(super) fn view_of(row: &PgRow) -> Result<View, Error> {
    let has_result = row.try_get::<Option<i64>, _>("result_size")?.is_some();
    Ok(View {
        task: id(row, "task_id")?,
        requester: id(row, "requester_id")?,
        title: row.try_get("title")?,
        capability: row.try_get("capability")?,
        price: Msat::new(row.try_get("price_msat")?),
        fee: Msat::new(row.try_get("fee_msat")?),
        payee: Msat::new(row.try_get("payee_msat")?),
        policy: policy(row.try_get("policy")?)?,
        direct_agent: optional_id(row, "direct_agent_id")?,
        escrow: id(row, "escrow_id")?,
        rail: hold_funding::rail(row.try_get("funding")?)?,
        hold: hold_funding::of_row(row)?,
        terms: row.try_get("terms")?,
        created: row.try_get("created_at")?,
        status: status(row)?,
        input: summary(row, ["input_media_type", "input_sha256", "input_size", "input_body", "input_uri"])?,
        result: has_result
            .then(|| {
                summary(
                    row,
                    ["result_media_type", "result_sha256", "result_size", "result_body", "result_uri"],
                )
            })
            .transpose()?,
        pending: row.try_get("pending")?,
    })
}

fn summary(row: &PgRow, columns: [&str; 5]) -> Result<Summary, Error> {
    let [media_type, sha256, length, inline, uri] = columns;
    let media_type: String = row.try_get(media_type)?;
    let sha256 = digest(&row.try_get::<Vec<u8>, _>(sha256)?)?;
    let size = size(row.try_get(length)?)?;
    let body = body(media_type.clone(), sha256, size, row.try_get(inline)?, row.try_get(uri)?);
    Ok(Summary { media_type, sha256, size, body })
}
