//! The journal's side: every posting of the account `lightning`, in its order, each with the payment hash of what it is for.

use poa_storage::{Database, Error, Tx};

use super::{State, lock};
use crate::domain::account::Owner;
use crate::store::corrupt;

/// Postings that are read at a time.
const PAGE: i64 = 1_000;

/// The place, what is available after the posting, the payment hash of what it is for.
type Row = (i64, i64, Option<Vec<u8>>);

/// Reads on in the journal, to its end. Answers with the place of the last posting; none where another replica reads too.
pub(crate) async fn read_journal(db: &Database, state: State) -> Result<Option<i64>, Error> {
    loop {
        let page = db
            .transact_idempotent(state, |state, tx| {
                Box::pin(async move {
                    let Some(found) = lock(tx, state).await? else { return Ok(None) };
                    let (sequence, read) = page(tx, &found).await?;
                    Ok::<_, Error>(Some((sequence, read < PAGE)))
                })
            })
            .await?;
        match page {
            None => return Ok(None),
            Some((sequence, true)) => return Ok(Some(sequence)),
            Some((_, false)) => {}
        }
    }
}

/// As [`read_journal`], in a transaction that holds the row already.
pub(super) async fn read_to_end(tx: &mut Tx, mut state: State) -> Result<i64, Error> {
    loop {
        let (sequence, read) = page(tx, &state).await?;
        state.ledger_sequence = sequence;
        if read < PAGE {
            return Ok(sequence);
        }
    }
}

/// Reads the next page: the place of its last posting, and how many there were.
async fn page(tx: &mut Tx, state: &State) -> Result<(i64, i64), Error> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT p.sequence, p.available_msat, coalesce(d.payment_hash, w.payment_hash, h.payment_hash)
         FROM (SELECT sequence, transfer_id, available_msat FROM postings
               WHERE account_id = $1 AND sequence > $2 ORDER BY sequence LIMIT $3) p
         JOIN transfers t ON t.id = p.transfer_id
         LEFT JOIN deposits d ON t.kind = 'deposit' AND d.id = t.subject
         LEFT JOIN withdrawals w ON t.kind = 'withdraw' AND w.id = t.subject
         LEFT JOIN hold_invoices h ON t.kind = 'fund' AND h.escrow_id = t.subject
         ORDER BY p.sequence",
    )
    .bind(Owner::Lightning.uuid())
    .bind(state.ledger_sequence)
    .bind(PAGE)
    .fetch_all(tx.conn())
    .await?;
    let Some((last, _, _)) = rows.last() else { return Ok((state.ledger_sequence, 0)) };
    let last = *last;
    // What came in is a minus here.
    let came_in = rows.iter().try_fold(0_i64, |sum, (_, available, _)| sum.checked_sub(*available));
    let came_in = came_in.ok_or_else(|| corrupt("the sum of what came in"))?;
    note_booked(tx, state, &rows).await?;
    sqlx::query("UPDATE reconciliation SET ledger_sequence = $1, ledger_msat = ledger_msat + $2")
        .bind(last)
        .bind(came_in)
        .execute(tx.conn())
        .await?;
    Ok((last, i64::try_from(rows.len()).map_err(Error::other)?))
}

async fn note_booked(tx: &mut Tx, state: &State, rows: &[Row]) -> Result<(), Error> {
    // One without a subject is the audit's to name; here its sats are in the sum, and nobody's.
    let known = || rows.iter().filter_map(|(sequence, msat, hash)| Some((sequence, msat, hash.as_ref()?)));
    sqlx::query(
        "INSERT INTO reconciliation_flows (direction, payment_hash, node_places, node_pass, ledger_msat,
                                           ledger_sequence, ledger_pass, looks)
         SELECT direction, hash, '{}', 0, sum(msat)::bigint, max(sequence), $4, 0
         FROM (SELECT CASE WHEN msat < 0 THEN 'in' ELSE 'out' END, hash, abs(msat), sequence
               FROM unnest($1::bytea[], $2::bigint[], $3::bigint[]) AS given (hash, msat, sequence))
              AS moved (direction, hash, msat, sequence)
         GROUP BY direction, hash
         ON CONFLICT ON CONSTRAINT reconciliation_flows_pkey DO UPDATE SET
             ledger_msat = excluded.ledger_msat, ledger_sequence = excluded.ledger_sequence,
             ledger_pass = excluded.ledger_pass",
    )
    .bind(known().map(|(_, _, hash)| hash.clone()).collect::<Vec<_>>())
    .bind(known().map(|(_, msat, _)| *msat).collect::<Vec<_>>())
    .bind(known().map(|(sequence, _, _)| *sequence).collect::<Vec<_>>())
    .bind(state.pass)
    .execute(tx.conn())
    .await?;
    Ok(())
}
