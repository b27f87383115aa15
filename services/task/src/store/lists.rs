//! ListTasks, and the tasks of a stretch of events.

use poa_common::{AccountId, AgentId, TaskId, TypedId as _};
use poa_storage::{Database, Error};
use uuid::Uuid;

use super::views::{View, view_of};
use crate::domain::State;

/// Whose part the caller plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ListRole {
    Requester,
    /// Of the tasks of all the account's agents, or of the one that the token may act as.
    Worker(Option<AgentId>),
}

/// Which tasks to list.
#[derive(Clone, Debug)]
pub(crate) struct ListFilter {
    pub(crate) account: AccountId,
    pub(crate) role: ListRole,
    /// Empty: all.
    pub(crate) states: Vec<State>,
    /// Older than this one.
    pub(crate) before: Option<TaskId>,
    pub(crate) limit: u32,
}

/// A page, newest first, without bodies.
pub(crate) async fn page(db: &Database, filter: &ListFilter) -> Result<Vec<View>, Error> {
    let states = if filter.states.is_empty() { &State::ALL[..] } else { &filter.states };
    // Two statements, so that each walks the index that is in its order.
    let query = match filter.role {
        ListRole::Requester => sqlx::query(BY_REQUESTER),
        ListRole::Worker(_) => sqlx::query(BY_WORKER),
    };
    let query = query
        .bind(filter.account.uuid())
        .bind(filter.before.map_or(Uuid::max(), |task| task.uuid()))
        .bind(states.iter().map(|state| state.number()).collect::<Vec<_>>())
        .bind(i64::from(filter.limit));
    let query = match filter.role {
        ListRole::Requester => query,
        ListRole::Worker(agent) => query.bind(agent.map(|agent| agent.uuid())),
    };
    let rows = query.fetch_all(db.read()).await?;
    rows.iter().map(view_of).collect()
}

/// These tasks as they are, as far as they exist, without bodies and terms. One that cannot be read is left out: it must
/// not stop those who follow all.
pub(crate) async fn outlines(db: &Database, tasks: &[Uuid]) -> Result<Vec<View>, Error> {
    let rows = sqlx::query(BY_ID).bind(tasks).fetch_all(db.read()).await?;
    let views = rows.iter().filter_map(|row| {
        view_of(row)
            .inspect_err(|error| tracing::error!(%error, "a task cannot be read and is left out"))
            .ok()
    });
    Ok(views.collect())
}

macro_rules! listed {
    ($terms:literal, $by:literal) => {
        concat!(
            "SELECT t.task_id, t.requester_id, t.title, t.capability, t.price_msat, t.fee_msat, t.payee_msat,
                    t.policy, t.direct_agent_id, t.escrow_id, t.funding, ",
            $terms,
            " AS terms, t.created_at,
                    t.input_media_type, t.input_sha256, t.input_size,
                    NULL::bytea AS input_body, NULL::text AS input_uri, s.*,
                    h.invoice AS hold_invoice, h.expires_at AS hold_expires_at, h.paid_msat, h.expiry_height,
                    h.guard_height, h.guard_reached, h.fate,
                    r.media_type AS result_media_type, r.sha256 AS result_sha256, r.size AS result_size,
                    NULL::bytea AS result_body, NULL::text AS result_uri,
                    EXISTS (SELECT FROM statements p WHERE p.task_id = t.task_id AND p.envelope IS NULL)
                        AS pending
             FROM tasks t JOIN task_status s USING (task_id)
             LEFT JOIN results r ON r.task_id = t.task_id AND r.submission = s.submissions
             LEFT JOIN hold_funding h ON h.task_id = t.task_id
             WHERE ",
            $by
        )
    };
}

const BY_REQUESTER: &str = listed!(
    "t.terms",
    "t.requester_id = $1 AND t.task_id < $2 AND s.state = ANY($3)
     ORDER BY t.task_id DESC LIMIT $4"
);
const BY_WORKER: &str = listed!(
    "t.terms",
    "s.account_id = $1 AND s.task_id < $2 AND s.state = ANY($3) AND ($5::uuid IS NULL OR s.agent_id = $5)
     ORDER BY s.task_id DESC LIMIT $4"
);
const BY_ID: &str = listed!("''::bytea", "t.task_id = ANY($1)");
