//! How far the node's lists and the journal have been read, and what both say of each payment hash.
//!
//! Whoever reads on changes the one row of `reconciliation` in the same transaction, from where it found it: of two
//! replicas that read at once, one is overtaken and stops.

mod close;
mod journal;
mod lists;

use poa_common::Timestamp;
use poa_payment::{NodeId, Place};
use poa_storage::{Database, Error, Tx};
use sqlx::Row as _;
use sqlx::postgres::PgRow;

pub(crate) use close::{Close, Closed, Owed, close, owed};
pub(crate) use journal::read_journal;
pub(crate) use lists::{List, Page, Waiting, apply, late_deposits, waiting};

use super::corrupt;

/// How far one list of the node was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Where it ended when the node was taken.
    pub(crate) baseline: Place,
    /// The last place that was read.
    pub(crate) place: Place,
}

/// How far all was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct State {
    /// The node that the ledger is held against.
    pub(crate) node: NodeId,
    /// Whether the node's history from before is being passed over.
    pub(crate) adopting: bool,
    pub(crate) invoices: Mark,
    pub(crate) payments: Mark,
    /// The place in the journal of the account `lightning`.
    pub(crate) ledger_sequence: i64,
    /// Counts the times that all was read from the beginning.
    pub(crate) pass: i64,
    /// Whether that is under way.
    pub(crate) full_under_way: bool,
    /// When it was last done.
    pub(crate) full_time: Option<Timestamp>,
}

/// What a round begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Begun {
    /// Read on from here.
    Ready(State),
    /// The ledger is held against another node than the one that answers.
    OtherNode(NodeId),
}

/// Begins a round with the node that answers: takes it, where none is taken; begins at the beginning, where that is asked for
/// and not under way.
pub(crate) async fn begin(db: &Database, node: NodeId, full: bool) -> Result<Begun, Error> {
    db.transact_idempotent((node, full), |(node, full), tx| {
        Box::pin(async move {
            let row = sqlx::query("SELECT * FROM reconciliation FOR UPDATE").fetch_one(tx.conn()).await?;
            let Some(taken) = taken(&row)? else {
                return adopt(tx, *node).await.map(Begun::Ready);
            };
            if taken != *node {
                return Ok(Begun::OtherNode(taken));
            }
            let state = state(&row, taken)?;
            if *full && !state.full_under_way && !state.adopting {
                return restart(tx).await.map(Begun::Ready);
            }
            Ok(Begun::Ready(state))
        })
    })
    .await
}

/// Takes a node: what it did before, and the ledger does not know, is not ours.
async fn adopt(tx: &mut Tx, node: NodeId) -> Result<State, Error> {
    sqlx::query("DELETE FROM reconciliation_waiting").execute(tx.conn()).await?;
    let row = sqlx::query(
        "UPDATE reconciliation SET node_id = $1, adopting = true, invoices_baseline = 0, payments_baseline = 0,
             invoices_place = 0, payments_place = 0, pass = pass + 1, full_under_way = false
         RETURNING *",
    )
    .bind(node.as_bytes().as_slice())
    .fetch_one(tx.conn())
    .await?;
    state(&row, node)
}

/// Reads all from the beginning, the journal too.
async fn restart(tx: &mut Tx) -> Result<State, Error> {
    sqlx::query("DELETE FROM reconciliation_waiting").execute(tx.conn()).await?;
    let row = sqlx::query(
        "UPDATE reconciliation SET invoices_place = 0, payments_place = 0, ledger_sequence = 0, ledger_msat = 0,
             pass = pass + 1, full_under_way = true
         RETURNING *",
    )
    .fetch_one(tx.conn())
    .await?;
    let node = taken(&row)?.ok_or_else(|| corrupt("the node of the reconciliation"))?;
    state(&row, node)
}

/// The row as it is, locked, where it is still that of this pass over this node; none where another replica was first.
async fn lock(tx: &mut Tx, of: &State) -> Result<Option<State>, Error> {
    let row = sqlx::query("SELECT * FROM reconciliation FOR UPDATE").fetch_one(tx.conn()).await?;
    let Some(node) = taken(&row)? else { return Ok(None) };
    let found = state(&row, node)?;
    Ok((found.node == of.node && found.pass == of.pass).then_some(found))
}

fn taken(row: &PgRow) -> Result<Option<NodeId>, Error> {
    let node: Option<Vec<u8>> = row.try_get("node_id")?;
    let read = |bytes: Vec<u8>| {
        NodeId::try_from(bytes.as_slice()).map_err(|_| corrupt("the node of a reconciliation"))
    };
    node.map(read).transpose()
}

fn state(row: &PgRow, node: NodeId) -> Result<State, Error> {
    let place = |column: &str| -> Result<Place, Error> { place(row.try_get(column)?) };
    Ok(State {
        node,
        adopting: row.try_get("adopting")?,
        invoices: Mark { baseline: place("invoices_baseline")?, place: place("invoices_place")? },
        payments: Mark { baseline: place("payments_baseline")?, place: place("payments_place")? },
        ledger_sequence: row.try_get("ledger_sequence")?,
        pass: row.try_get("pass")?,
        full_under_way: row.try_get("full_under_way")?,
        full_time: row.try_get("full_at")?,
    })
}

fn place(number: i64) -> Result<Place, Error> {
    u64::try_from(number).map(Place::new).map_err(|_| corrupt("a place in a node's list"))
}

/// A place as PostgreSQL keeps it. No node counts that far.
fn number(place: Place) -> Result<i64, Error> {
    i64::try_from(place.get()).map_err(|_| corrupt("a place in a node's list"))
}
