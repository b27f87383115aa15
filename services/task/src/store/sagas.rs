//! The aggregate: a task's status, its chain, its place in the queue and in the schedule, written together.

use poa_common::{AccountId, Env, Msat, TaskId, TypedId as _};
use poa_storage::idempotency::{self, Key};
use poa_storage::{Database, Error, Tx};
use proof_of_agent::Rail;
use proof_of_agent::statement::Kind;
use sqlx::postgres::PgRow;
use sqlx::{PgExecutor, Row as _};

use super::rows::{
    body_columns, count, count_column, digest, id, mesh, optional_id, policy, policy_number, size_column,
    span, span_column,
};
use super::{corrupt, events, hold_funding, open_tasks, results, schedule, statements};
use crate::domain::{
    Body, Claim, End, Entry, MeshTime, Moment, Offer, Saga, SealedToken, Standing, State, Status,
};
use crate::methods::method_of;
use crate::metrics;

/// What a new task has beside its saga.
pub(crate) struct Created<'a> {
    /// What is asked for, for people.
    pub(crate) title: &'a str,
    /// The exact payload of TermsOffered.
    pub(crate) terms: &'a [u8],
    /// What the agent works on.
    pub(crate) input: &'a Body,
}

macro_rules! selected {
    ($more:literal, $join:literal, $end:literal) => {
        concat!(
            "SELECT t.task_id, t.requester_id, t.capability, t.price_msat, t.fee_msat, t.payee_msat, t.policy,
                t.direct_agent_id, t.escrow_id, t.funding, t.open_us, t.work_us, t.review_us, t.lease_us, t.terms_digest,
                s.version, s.state, s.end_state, s.agent_id, s.account_id, s.claim_number, s.claim_lease_us,
                s.lease_due_us, s.work_due_us, s.acceptance_digest, s.submissions, s.open_due_us,
                s.review_due_us, s.resubmit_due_us, s.note, s.payer_token, s.token_expires_at, s.held,
                s.updated_at",
            $more,
            " FROM task_status s JOIN tasks t USING (task_id)",
            $join,
            " WHERE s.task_id = $1",
            $end
        )
    };
}

/// With the moment at which it is due, read by the same statement: if that moment has changed since, so may the task.
/// And with its chain, one statement a row, or one row without any where the terms were refused: read apart, a chain
/// could be further than its task, and the next step a mixture of two.
const SELECT_DUE: &str = selected!(
    ", g.due_us, st.seq AS entry_seq, st.kind AS entry_kind, st.digest AS entry_digest,
       st.account_id AS entry_account_id, st.request_id AS entry_request_id,
       st.envelope IS NULL AS entry_pending,
       CASE WHEN st.envelope IS NULL OR lead(st.seq) OVER (ORDER BY st.seq) IS NULL
            THEN coalesce(st.envelope, st.body) END AS entry_bytes,
       h.invoice AS hold_invoice, h.expires_at AS hold_expires_at, h.paid_msat, h.expiry_height, h.guard_height,
       h.guard_reached, h.fate",
    " LEFT JOIN sagas g ON g.task_id = s.task_id LEFT JOIN statements st ON st.task_id = s.task_id
      LEFT JOIN hold_funding h ON h.task_id = s.task_id",
    " ORDER BY st.seq"
);
const SELECT_LOCKED: &str = selected!("", "", " FOR NO KEY UPDATE OF s");

/// A task as it was a moment ago.
pub(crate) struct Peeked {
    pub(crate) saga: Saga,
    /// When it was due; none for a task that has ended.
    pub(crate) due: Option<MeshTime>,
}

/// Reads a task, and locks it until the transaction ends.
pub(crate) async fn load(tx: &mut Tx, task: TaskId) -> Result<Option<Saga>, Error> {
    let row = sqlx::query(SELECT_LOCKED).bind(task.uuid()).fetch_optional(tx.conn()).await?;
    let Some(row) = row else {
        return Ok(None);
    };
    let statements = statements::load(tx.conn(), task, false).await?;
    let mut saga = saga(&row, statements)?;
    // Read apart: what is joined to a row that had to be waited for is as it was before the wait.
    if saga.offer.rail == Rail::HoldInvoice {
        saga.hold = hold_funding::load(tx.conn(), task).await?;
    }
    Ok(Some(saga))
}

/// Reads a task without a lock: to find out what to do next. Whoever then writes looks again.
pub(crate) async fn peek(db: &Database, task: TaskId) -> Result<Option<Peeked>, Error> {
    let rows = sqlx::query(SELECT_DUE).bind(task.uuid()).fetch_all(db.read()).await?;
    match rows.first() {
        Some(row) => {
            let saga = Saga { hold: hold_funding::of_row(row)?, ..saga(row, statements::of_rows(&rows)?)? };
            Ok(Some(Peeked { saga, due: mesh(row, "due_us")? }))
        }
        None => Ok(None),
    }
}

/// Writes a new task.
pub(crate) async fn create(
    tx: &mut Tx,
    saga: &Saga,
    created: &Created<'_>,
    at: Moment,
    env: &Env,
) -> Result<(), Error> {
    insert_offer(tx, &saga.offer, created, at).await?;
    let status = &saga.status;
    sqlx::query(
        "INSERT INTO task_status (task_id, version, state, claim_number, submissions, note, payer_token,
                                  token_expires_at, held, updated_at)
         VALUES ($1, $2, $3, 0, 0, '', $4, $5, false, $6)",
    )
    .bind(saga.offer.task.uuid())
    .bind(status.version)
    .bind(status.state.number())
    .bind(status.token.as_ref().map(|token| token.sealed.as_slice()))
    .bind(status.token.as_ref().map(|token| token.expires))
    .bind(status.updated)
    .execute(tx.conn())
    .await?;
    for entry in &saga.statements {
        statements::insert(tx, saga.offer.task, entry).await?;
    }
    schedule::insert(tx, saga, at).await?;
    events::note(tx, None, saga, env).await
}

/// Writes what a verb changed: status, chain, results, queue, schedule and event.
pub(crate) async fn save(
    tx: &mut Tx,
    before: &Saga,
    saga: &Saga,
    at: Moment,
    env: &Env,
) -> Result<(), Error> {
    let task = saga.offer.task;
    update_status(tx, before.status.version, task, &saga.status).await?;
    hold_funding::save(tx, task, before.hold.as_ref(), saga.hold.as_ref()).await?;
    save_statements(tx, task, &before.statements, &saga.statements).await?;
    for entry in &saga.refused {
        forget(tx, entry).await?;
    }
    if saga.status.submissions < before.status.submissions {
        results::remove_above(tx, task, saga.status.submissions).await?;
    }
    match (before.status.state == State::Open, saga.status.state == State::Open) {
        (false, true) => open_tasks::insert(tx, &saga.offer).await?,
        (true, false) => open_tasks::remove(tx, task).await?,
        (_, _) => {}
    }
    schedule::update(tx, saga, at).await?;
    if saga.status.version != before.status.version {
        events::note(tx, Some(before.status.state), saga, env).await?;
    }
    if saga.status.state != before.status.state {
        metrics::entered(saga.status.state);
    }
    Ok(())
}

/// Whether an account ever held a claim on a task.
pub(crate) async fn was_claimant(
    executor: impl PgExecutor<'_>,
    task: TaskId,
    account: AccountId,
) -> Result<bool, Error> {
    Ok(sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM statements WHERE task_id = $1 AND kind = $2 AND account_id = $3)",
    )
    .bind(task.uuid())
    .bind(i16::from(Kind::TermsAccepted.number()))
    .bind(account.uuid())
    .fetch_one(executor)
    .await?)
}

async fn insert_offer(tx: &mut Tx, offer: &Offer, created: &Created<'_>, at: Moment) -> Result<(), Error> {
    let (inline, uri) = body_columns(created.input);
    sqlx::query(
        "INSERT INTO tasks (task_id, requester_id, title, capability, price_msat, fee_msat, payee_msat, policy,
                            direct_agent_id, escrow_id, open_us, work_us, review_us, lease_us, terms,
                            terms_digest, input_media_type, input_sha256, input_size, input_body, input_uri,
                            created_at, funding)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21,
                 $22, $23)",
    )
    .bind(offer.task.uuid())
    .bind(offer.requester.uuid())
    .bind(created.title)
    .bind(&offer.capability)
    .bind(offer.price.get())
    .bind(offer.fee.get())
    .bind(offer.payee.get())
    .bind(policy_number(offer.policy))
    .bind(offer.direct_agent.map(|agent| agent.uuid()))
    .bind(offer.escrow.uuid())
    .bind(span_column(offer.open)?)
    .bind(span_column(offer.work)?)
    .bind(span_column(offer.review)?)
    .bind(span_column(offer.lease)?)
    .bind(created.terms)
    .bind(offer.terms.to_vec())
    .bind(&created.input.media_type)
    .bind(created.input.sha256().to_vec())
    .bind(size_column(created.input.size())?)
    .bind(inline)
    .bind(uri)
    .bind(at.wall)
    .bind(hold_funding::rail_number(offer.rail))
    .execute(tx.conn())
    .await?;
    Ok(())
}

async fn update_status(tx: &mut Tx, before: i64, task: TaskId, status: &Status) -> Result<(), Error> {
    let claim = status.claim.as_ref();
    let token = status.token.as_ref();
    let updated = sqlx::query(
        "UPDATE task_status SET version = $3, state = $4, end_state = $5, agent_id = $6, account_id = $7,
                claim_number = $8, claim_lease_us = $9, lease_due_us = $10, work_due_us = $11,
                acceptance_digest = $12, submissions = $13, open_due_us = $14, review_due_us = $15,
                resubmit_due_us = $16, note = $17, payer_token = $18, token_expires_at = $19, held = $20,
                updated_at = $21
         WHERE task_id = $1 AND version = $2",
    )
    .bind(task.uuid())
    .bind(before)
    .bind(status.version)
    .bind(status.state.number())
    .bind(status.end.map(|end| end.state().number()))
    .bind(claim.map(|claim| claim.agent.uuid()))
    .bind(claim.map(|claim| claim.account.uuid()))
    .bind(count_column(status.claims)?)
    .bind(claim.map(|claim| span_column(claim.lease)).transpose()?)
    .bind(claim.map(|claim| claim.lease_due.micros()))
    .bind(claim.map(|claim| claim.work_due.micros()))
    .bind(claim.map(|claim| claim.acceptance.to_vec()))
    .bind(count_column(status.submissions)?)
    .bind(status.open_due.map(|due| due.micros()))
    .bind(status.review_due.map(|due| due.micros()))
    .bind(status.resubmit_due.map(|due| due.micros()))
    .bind(&status.note)
    .bind(token.map(|token| token.sealed.as_slice()))
    .bind(token.map(|token| token.expires))
    .bind(status.held)
    .bind(status.updated)
    .execute(tx.conn())
    .await?;
    if updated.rows_affected() == 1 { Ok(()) } else { Err(corrupt("a locked task changed")) }
}

async fn save_statements(tx: &mut Tx, task: TaskId, before: &[Entry], after: &[Entry]) -> Result<(), Error> {
    for old in before {
        match after.iter().find(|entry| entry.seq == old.seq) {
            Some(new) if old.standing == Standing::Pending && new.standing == Standing::Appended => {
                statements::mark_appended(tx, task, new).await?;
            }
            Some(_) => {}
            None => statements::remove(tx, task, old).await?,
        }
    }
    for new in after.iter().filter(|entry| !before.iter().any(|old| old.seq == entry.seq)) {
        statements::insert(tx, task, new).await?;
    }
    Ok(())
}

/// Only committed effects are recorded: a request whose statement was refused may be tried again under its id.
async fn forget(tx: &mut Tx, refused: &Entry) -> Result<(), Error> {
    let (Some(account), Some(request_id), Some(method)) =
        (refused.account, refused.request, method_of(refused.kind))
    else {
        return Ok(());
    };
    idempotency::forget(tx, Key { principal: account.uuid(), method, request_id }).await
}

fn saga(row: &PgRow, statements: Vec<Entry>) -> Result<Saga, Error> {
    Ok(Saga { offer: offer(row)?, status: status(row)?, hold: None, statements, refused: Vec::new() })
}

fn offer(row: &PgRow) -> Result<Offer, Error> {
    Ok(Offer {
        task: id(row, "task_id")?,
        requester: id(row, "requester_id")?,
        capability: row.try_get("capability")?,
        price: Msat::new(row.try_get("price_msat")?),
        fee: Msat::new(row.try_get("fee_msat")?),
        payee: Msat::new(row.try_get("payee_msat")?),
        policy: policy(row.try_get("policy")?)?,
        direct_agent: optional_id(row, "direct_agent_id")?,
        escrow: id(row, "escrow_id")?,
        rail: hold_funding::rail(row.try_get("funding")?)?,
        open: span(row, "open_us")?,
        work: span(row, "work_us")?,
        review: span(row, "review_us")?,
        lease: span(row, "lease_us")?,
        terms: digest(&row.try_get::<Vec<u8>, _>("terms_digest")?)?,
    })
}

/// The status from a row that has all columns of `task_status`.
pub(super) fn status(row: &PgRow) -> Result<Status, Error> {
    let state = State::from_number(row.try_get("state")?).ok_or_else(|| corrupt("an unknown state"))?;
    let end = match row.try_get::<Option<i16>, _>("end_state")?.and_then(State::from_number) {
        Some(State::Canceled) => Some(End::Canceled),
        Some(State::Expired) => Some(End::Expired),
        Some(_) => return Err(corrupt("an end that is none")),
        None => None,
    };
    let sealed: Option<Vec<u8>> = row.try_get("payer_token")?;
    let expires = row.try_get("token_expires_at")?;
    Ok(Status {
        version: row.try_get("version")?,
        state,
        end,
        claim: claim(row)?,
        claims: count(row, "claim_number")?,
        submissions: count(row, "submissions")?,
        open_due: mesh(row, "open_due_us")?,
        review_due: mesh(row, "review_due_us")?,
        resubmit_due: mesh(row, "resubmit_due_us")?,
        note: row.try_get("note")?,
        held: row.try_get("held")?,
        token: sealed.zip(expires).map(|(sealed, expires)| SealedToken { sealed, expires }),
        updated: row.try_get("updated_at")?,
    })
}

fn claim(row: &PgRow) -> Result<Option<Claim>, Error> {
    let Some(agent) = optional_id(row, "agent_id")? else {
        return Ok(None);
    };
    let gap = || corrupt("a claim with a gap");
    Ok(Some(Claim {
        agent,
        account: id(row, "account_id")?,
        lease: span(row, "claim_lease_us")?,
        lease_due: mesh(row, "lease_due_us")?.ok_or_else(gap)?,
        work_due: mesh(row, "work_due_us")?.ok_or_else(gap)?,
        acceptance: digest(&row.try_get::<Vec<u8>, _>("acceptance_digest")?)?,
    }))
}
