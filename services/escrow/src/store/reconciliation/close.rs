//! The end of a round, on one snapshot: the rest of the journal, what differs, and what is owed.

use std::time::Duration;

use poa_common::{DepositId, EscrowId, Msat, Timestamp, TypedId as _, WithdrawalId};
use poa_storage::{Database, Error, Tx};
use sqlx::postgres::PgRow;
use sqlx::{PgExecutor, Row as _};
use uuid::Uuid;

use super::journal::read_to_end;
use super::lists::hash_of;
use super::{State, lock};
use crate::domain::account::Owner;
use crate::domain::reconciliation::{Direction, Flow, Subject};
use crate::domain::{deposit, escrow, withdrawal};
use crate::store::corrupt;

/// How long it may take.
const LIMIT: Duration = Duration::from_secs(25);
/// Differences that are looked at in one round.
const MOST: i64 = 10_000;

/// How a round ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Close {
    pub(crate) state: State,
    /// Whether the node's lists were read to their end.
    pub(crate) caught_up: bool,
    /// Where the journal ended before they were read: what was booked later they need not show.
    pub(crate) booked_before: i64,
    pub(crate) now: Timestamp,
}

/// What the snapshot shows.
#[derive(Clone, Debug)]
pub(crate) struct Closed {
    /// The hashes of which node and journal say different things.
    pub(crate) flows: Vec<Flow>,
    /// What the account `lightning` says that came in, less what its postings say.
    pub(crate) journal_difference: i128,
    /// Whether the journal is shorter than it was.
    pub(crate) journal_shrank: bool,
    pub(crate) owed: Owed,
    /// Whether with this round everything was read from the beginning to the end.
    pub(crate) full: bool,
}

/// What the platform owes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Owed {
    /// What users hold together.
    pub(crate) liabilities: Msat,
    /// What the node was told to send and nobody has heard the end of, with the largest fees: in flight, or gone.
    pub(crate) sent: Msat,
}

/// Ends a round; none where another replica was first.
pub(crate) async fn close(db: &Database, close: Close) -> Result<Option<Closed>, Error> {
    db.transact_within(LIMIT, move |tx| {
        Box::pin(async move {
            sqlx::raw_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SET LOCAL statement_timeout = '20s'")
                .execute(tx.conn())
                .await?;
            let Some(state) = lock(tx, &close.state).await? else { return Ok(None) };
            let last = read_to_end(tx, state).await?;
            let full = close.caught_up && (state.full_under_way || state.adopting);
            if full {
                end_pass(tx, &state, close.now).await?;
            }
            let flows = differing(tx, &close).await?;
            let (came_in, entries, read): (i64, i64, i64) = sqlx::query_as(
                "SELECT -a.available_msat, a.entries, r.ledger_msat FROM accounts a, reconciliation r WHERE a.id = $1",
            )
            .bind(Owner::Lightning.uuid())
            .fetch_one(tx.conn())
            .await?;
            Ok::<_, Error>(Some(Closed {
                flows,
                journal_difference: i128::from(came_in) - i128::from(read),
                journal_shrank: entries < last,
                owed: owed(tx.conn()).await?,
                full,
            }))
        })
    })
    .await
}

/// What is owed now.
pub(crate) async fn owed(executor: impl PgExecutor<'_>) -> Result<Owed, Error> {
    let (liabilities, sent): (i64, i64) = sqlx::query_as(
        "SELECT (SELECT coalesce(sum(available_msat::numeric + held_msat), 0) FROM accounts
                 WHERE kind = 'user')::bigint,
                (SELECT coalesce(sum(amount_msat::numeric + fee_limit_msat), 0) FROM withdrawals
                 WHERE state = 'dispatched' AND deposit_id IS NULL)::bigint",
    )
    .fetch_one(executor)
    .await?;
    Ok(Owed { liabilities: Msat::new(liabilities), sent: Msat::new(sent) })
}

/// What a whole pass has not found again is no longer there. A node that was taken is held to all that it does from here on.
async fn end_pass(tx: &mut Tx, state: &State, now: Timestamp) -> Result<(), Error> {
    if state.full_under_way {
        sqlx::query(
            "UPDATE reconciliation_flows SET node_msat = NULL, node_places = '{}'
             WHERE node_msat IS NOT NULL AND node_id = $1 AND node_pass < $2",
        )
        .bind(state.node.as_bytes().as_slice())
        .bind(state.pass)
        .execute(tx.conn())
        .await?;
        sqlx::query(
            "UPDATE reconciliation_flows SET ledger_msat = NULL WHERE ledger_msat IS NOT NULL AND ledger_pass < $1",
        )
        .bind(state.pass)
        .execute(tx.conn())
        .await?;
    }
    sqlx::query(
        "UPDATE reconciliation SET
             invoices_baseline = CASE WHEN adopting THEN invoices_place ELSE invoices_baseline END,
             payments_baseline = CASE WHEN adopting THEN payments_place ELSE payments_baseline END,
             adopting = false, full_under_way = false, full_at = $1",
    )
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// What differs, with what the ledger knows of it.
async fn differing(tx: &mut Tx, close: &Close) -> Result<Vec<Flow>, Error> {
    sqlx::query(
        "UPDATE reconciliation_flows SET looks = looks + 1, first_look_at = coalesce(first_look_at, $1)
         WHERE node_msat IS DISTINCT FROM ledger_msat AND explained IS NULL",
    )
    .bind(close.now)
    .execute(tx.conn())
    .await?;
    let rows = sqlx::query(
        "SELECT f.direction, f.payment_hash, f.node_msat, cardinality(f.node_places) AS node_rows, f.ledger_msat,
                f.ledger_sequence, f.looks, f.first_look_at,
                d.id AS deposit_id, d.state AS deposit_state, w.id AS withdrawal_id, w.state AS withdrawal_state,
                w.deposit_id IS NOT NULL AS internal, e.id AS escrow_id, e.state AS escrow_state
         FROM reconciliation_flows f
         LEFT JOIN deposits d ON f.direction = 'in' AND d.payment_hash = f.payment_hash
         LEFT JOIN withdrawals w ON f.direction = 'out' AND w.payment_hash = f.payment_hash
         LEFT JOIN hold_invoices h ON f.direction = 'in' AND h.payment_hash = f.payment_hash
         LEFT JOIN escrows e ON e.id = h.escrow_id
         WHERE f.node_msat IS DISTINCT FROM f.ledger_msat AND f.explained IS NULL
         ORDER BY f.first_look_at, f.direction, f.payment_hash LIMIT $1",
    )
    .bind(MOST)
    .fetch_all(tx.conn())
    .await?;
    rows.iter().map(|row| flow(row, close)).collect()
}

fn flow(row: &PgRow, close: &Close) -> Result<Flow, Error> {
    let msat =
        |column| -> Result<Option<Msat>, Error> { Ok(row.try_get::<Option<i64>, _>(column)?.map(Msat::new)) };
    let count = |column| -> Result<u32, Error> {
        u32::try_from(row.try_get::<i32, _>(column)?).map_err(|_| corrupt("a count of the reconciliation"))
    };
    let since: Option<Timestamp> = row.try_get("first_look_at")?;
    let age = since.map_or(Duration::ZERO, |since| Duration::try_from(close.now - since).unwrap_or_default());
    let hash: Vec<u8> = row.try_get("payment_hash")?;
    let direction = Direction::parse(row.try_get("direction")?);
    let sequence: i64 = row.try_get("ledger_sequence")?;
    Ok(Flow {
        direction: direction.ok_or_else(|| corrupt("the direction of a flow"))?,
        hash: hash_of(&hash)?,
        node: msat("node_msat")?,
        node_rows: count("node_rows")?,
        ledger: msat("ledger_msat")?,
        subject: subject(row)?,
        looks: count("looks")?,
        age,
        booked_since: sequence > close.booked_before,
    })
}

fn subject(row: &PgRow) -> Result<Subject, Error> {
    let id = |column| -> Result<Option<Uuid>, Error> { Ok(row.try_get(column)?) };
    if let Some(id) = id("deposit_id")? {
        let state = deposit::State::parse(row.try_get("deposit_state")?);
        let state = state.ok_or_else(|| corrupt("the state of a deposit"))?;
        return Ok(Subject::Deposit { id: DepositId::from_uuid(id), state });
    }
    if let Some(id) = id("withdrawal_id")? {
        let state = withdrawal::State::parse(row.try_get("withdrawal_state")?);
        let state = state.ok_or_else(|| corrupt("the state of a withdrawal"))?;
        let internal = row.try_get("internal")?;
        return Ok(Subject::Withdrawal { id: WithdrawalId::from_uuid(id), state, internal });
    }
    if let Some(id) = id("escrow_id")? {
        let state = escrow::State::parse(row.try_get("escrow_state")?);
        let state = state.ok_or_else(|| corrupt("the state of an escrow"))?;
        return Ok(Subject::Escrow { id: EscrowId::from_uuid(id), state });
    }
    Ok(Subject::Unknown)
}
