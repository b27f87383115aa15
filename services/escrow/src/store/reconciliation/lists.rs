//! The node's side: what it lists as received and sent, and what had not ended when it was read.

use poa_common::{Msat, Timestamp};
use poa_payment::{PaymentHash, Place};
use poa_storage::{Database, Error, Tx};

use super::{State, lock, number, place};
use crate::domain::reconciliation::Direction;
use crate::store::corrupt;

/// One of the node's lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum List {
    Invoices,
    Payments,
}

/// An invoice or a payment that had not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) place: Place,
    pub(crate) hash: PaymentHash,
}

/// What was read of a list, and what follows from it.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    pub(crate) list: List,
    /// From which place on it was read and up to which, where it reads on; none where it looks again.
    pub(crate) reads: Option<(Place, Place)>,
    /// Received or sent, with the fee: for good.
    pub(crate) done: Vec<(Waiting, Msat)>,
    /// Not ended yet.
    pub(crate) waiting: Vec<Waiting>,
    /// Ended: no longer waited for.
    pub(crate) over: Vec<Place>,
}

/// Writes a page; whether it was the next one: if not, another replica reads too.
pub(crate) async fn apply(db: &Database, state: State, page: Page) -> Result<bool, Error> {
    db.transact_idempotent((state, page), |(state, page), tx| {
        Box::pin(async move {
            let Some(found) = lock(tx, state).await? else { return Ok(false) };
            if let Some((from, to)) = page.reads {
                let mark = if page.list == List::Invoices { found.invoices } else { found.payments };
                // Read already: by the attempt before this one, or by another replica. The rows are the same.
                if mark.place >= to {
                    return Ok(true);
                }
                if mark.place != from {
                    return Ok(false);
                }
                advance(tx, page.list, to).await?;
            }
            note_done(tx, &found, page).await?;
            note_waiting(tx, page).await?;
            if page.list == List::Payments {
                import(tx, &found, page).await?;
            }
            Ok::<_, Error>(true)
        })
    })
    .await
}

async fn advance(tx: &mut Tx, list: List, to: Place) -> Result<(), Error> {
    let sql = match list {
        List::Invoices => "UPDATE reconciliation SET invoices_place = $1",
        List::Payments => "UPDATE reconciliation SET payments_place = $1",
    };
    sqlx::query(sql).bind(number(to)?).execute(tx.conn()).await?;
    Ok(())
}

async fn note_done(tx: &mut Tx, state: &State, page: &Page) -> Result<(), Error> {
    if page.done.is_empty() {
        return Ok(());
    }
    let mark = if page.list == List::Invoices { state.invoices } else { state.payments };
    // Until its lists were read to the end once, all that the node shows is from before it was taken.
    let baseline = if state.adopting { i64::MAX } else { number(mark.baseline)? };
    let places = page.done.iter().map(|(row, _)| number(row.place)).collect::<Result<Vec<_>, _>>()?;
    sqlx::query(
        "INSERT INTO reconciliation_flows AS f (direction, payment_hash, node_id, node_msat, node_places, node_pass,
                                                ledger_sequence, ledger_pass, looks)
         SELECT $1, given.hash, $2, sum(given.msat)::bigint, array_agg(given.place ORDER BY given.place), $3, 0, 0, 0
         FROM unnest($4::bytea[], $5::bigint[], $6::bigint[]) AS given (hash, place, msat)
         WHERE given.place > $7
             OR $1 = 'in' AND EXISTS (SELECT FROM deposits d WHERE d.payment_hash = given.hash)
             OR $1 = 'in' AND EXISTS (SELECT FROM hold_invoices h WHERE h.payment_hash = given.hash)
             OR $1 = 'out' AND EXISTS (SELECT FROM withdrawals w WHERE w.payment_hash = given.hash)
         GROUP BY given.hash
         ON CONFLICT ON CONSTRAINT reconciliation_flows_pkey DO UPDATE SET
             node_id = excluded.node_id, node_pass = excluded.node_pass,
             -- The same rows again change nothing; one at another place is another payment under the same hash.
             node_msat = CASE
                 WHEN f.node_msat IS NULL OR f.node_pass < excluded.node_pass OR f.node_places <@ excluded.node_places
                     THEN excluded.node_msat
                 WHEN excluded.node_places <@ f.node_places THEN f.node_msat
                 ELSE f.node_msat + excluded.node_msat END,
             node_places = CASE
                 WHEN f.node_msat IS NULL OR f.node_pass < excluded.node_pass OR f.node_places <@ excluded.node_places
                     THEN excluded.node_places
                 WHEN excluded.node_places <@ f.node_places THEN f.node_places
                 ELSE f.node_places || excluded.node_places END",
    )
    .bind(page.list.direction().as_str())
    .bind(state.node.as_bytes().as_slice())
    .bind(state.pass)
    .bind(page.done.iter().map(|(row, _)| row.hash.as_bytes().to_vec()).collect::<Vec<_>>())
    .bind(places)
    .bind(page.done.iter().map(|(_, msat)| msat.get()).collect::<Vec<_>>())
    .bind(baseline)
    .execute(tx.conn())
    .await?;
    Ok(())
}

async fn note_waiting(tx: &mut Tx, page: &Page) -> Result<(), Error> {
    let over = page.over.iter().copied().chain(page.done.iter().map(|(row, _)| row.place));
    let over = over.map(number).collect::<Result<Vec<_>, _>>()?;
    if !over.is_empty() {
        sqlx::query("DELETE FROM reconciliation_waiting WHERE list = $1 AND place = ANY($2)")
            .bind(page.list.as_str())
            .bind(over)
            .execute(tx.conn())
            .await?;
    }
    if !page.waiting.is_empty() {
        let places = page.waiting.iter().map(|row| number(row.place)).collect::<Result<Vec<_>, _>>()?;
        sqlx::query(
            "INSERT INTO reconciliation_waiting (list, place, payment_hash)
             SELECT $1, place, hash FROM unnest($2::bigint[], $3::bytea[]) AS given (place, hash)
             ON CONFLICT ON CONSTRAINT reconciliation_waiting_pkey DO NOTHING",
        )
        .bind(page.list.as_str())
        .bind(places)
        .bind(page.waiting.iter().map(|row| row.hash.as_bytes().to_vec()).collect::<Vec<_>>())
        .execute(tx.conn())
        .await?;
    }
    Ok(())
}

/// A withdrawal that is reserved and that the node has: the database is older than the node, as after a restore. It was
/// sent, so it is found out as what was sent is, and never sent anew as the first time.
async fn import(tx: &mut Tx, state: &State, page: &Page) -> Result<(), Error> {
    let hashes: Vec<Vec<u8>> = page
        .done
        .iter()
        .map(|(row, _)| row)
        .chain(&page.waiting)
        .map(|row| row.hash.as_bytes().to_vec())
        .collect();
    if hashes.is_empty() {
        return Ok(());
    }
    let imported = sqlx::query(
        "UPDATE withdrawals SET state = 'dispatched', node_id = $2, deadline = invoice_expires_at, dispatches = 1
         WHERE payment_hash = ANY($1) AND state = 'reserved' AND deposit_id IS NULL",
    )
    .bind(hashes)
    .bind(state.node.as_bytes().as_slice())
    .execute(tx.conn())
    .await?;
    if imported.rows_affected() > 0 {
        tracing::warn!(
            withdrawals = imported.rows_affected(),
            "the node has payments that this database has not sent: is it a restored one? they are found out"
        );
    }
    Ok(())
}

/// What had not ended, in the order of its places, after one.
pub(crate) async fn waiting(
    db: &Database,
    list: List,
    after: Place,
    limit: i64,
) -> Result<Vec<Waiting>, Error> {
    let rows: Vec<(i64, Vec<u8>)> = sqlx::query_as(
        "SELECT place, payment_hash FROM reconciliation_waiting
         WHERE list = $1 AND place > $2 ORDER BY place LIMIT $3",
    )
    .bind(list.as_str())
    .bind(number(after)?)
    .bind(limit)
    .fetch_all(db.read())
    .await?;
    rows.iter().map(|(at, hash)| Ok(Waiting { place: place(*at)?, hash: hash_of(hash)? })).collect()
}

/// Deposits that were credited after their end, and that the node has not shown: it listed them as over before the sats
/// arrived, and would not be asked again.
pub(crate) async fn late_deposits(
    db: &Database,
    since: Timestamp,
    limit: i64,
) -> Result<Vec<PaymentHash>, Error> {
    let rows: Vec<Vec<u8>> = sqlx::query_scalar(
        "SELECT d.payment_hash FROM reconciliation_flows f JOIN deposits d USING (payment_hash)
         WHERE f.node_msat IS DISTINCT FROM f.ledger_msat AND f.explained IS NULL AND f.direction = 'in'
             AND f.node_msat IS NULL AND d.settled_at >= d.expires_at AND d.settled_at >= $1
         ORDER BY f.direction, f.payment_hash LIMIT $2",
    )
    .bind(since)
    .bind(limit)
    .fetch_all(db.read())
    .await?;
    rows.iter().map(|hash| hash_of(hash)).collect()
}

pub(super) fn hash_of(bytes: &[u8]) -> Result<PaymentHash, Error> {
    PaymentHash::try_from(bytes).map_err(|_| corrupt("a payment hash"))
}

// === impl List ===

impl List {
    pub(crate) const ALL: [Self; 2] = [Self::Invoices, Self::Payments];

    /// The name in the database, and in logs.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Invoices => "invoices",
            Self::Payments => "payments",
        }
    }

    /// Which way its sats go.
    pub(crate) const fn direction(self) -> Direction {
        match self {
            Self::Invoices => Direction::In,
            Self::Payments => Direction::Out,
        }
    }
}
