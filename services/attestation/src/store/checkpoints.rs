//! Signed checkpoints and what witnesses have seen of them, append-only: one per origin and size.

use poa_common::Timestamp;
use poa_storage::{Error, Reader, Tx};
use proof_of_agent::Checkpoint;
use sqlx::PgExecutor;

use super::{signed, unsigned};

/// A checkpoint as published.
#[derive(Clone, Debug)]
pub(crate) struct Published {
    /// Leaves in the tree.
    pub(crate) size: u64,
    /// The signed note, with the witnesses' lines.
    pub(crate) note: String,
}

/// Stores a checkpoint. A second one of the same size breaks `checkpoints_pkey`.
pub(crate) async fn insert(
    tx: &mut Tx,
    checkpoint: &Checkpoint,
    note: &str,
    now: Timestamp,
) -> Result<(), Error> {
    sqlx::query("INSERT INTO checkpoints (origin, size, root, note, created_at) VALUES ($1, $2, $3, $4, $5)")
        .bind(&checkpoint.origin)
        .bind(signed(checkpoint.size)?)
        .bind(checkpoint.root.as_bytes().as_slice())
        .bind(note)
        .bind(now)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// The newest checkpoint under an origin that at least `quorum` of the witnesses have seen, with their lines; none before the log
/// was opened for the first time, or before they have seen one.
pub(crate) async fn newest(
    executor: impl PgExecutor<'_>,
    origin: &str,
    witnesses: &[String],
    quorum: u32,
) -> Result<Option<Published>, Error> {
    let row: Option<(i64, String, Option<String>)> = sqlx::query_as(
        "SELECT c.size, c.note, seen.lines
         FROM checkpoints c
         CROSS JOIN LATERAL (
             SELECT string_agg(s.line, '' ORDER BY s.witness) AS lines, count(*) AS witnesses
             FROM cosignatures s
             WHERE s.origin = c.origin AND s.size = c.size AND s.witness = ANY($2)
         ) AS seen
         WHERE c.origin = $1 AND seen.witnesses >= $3
         ORDER BY c.size DESC LIMIT 1",
    )
    .bind(origin)
    .bind(witnesses)
    .bind(i64::from(quorum))
    .fetch_optional(executor)
    .await?;
    let published = |(size, note, lines): (i64, String, Option<String>)| {
        Ok(Published { size: unsigned(size)?, note: note + &lines.unwrap_or_default() })
    };
    row.map(published).transpose()
}

/// Which origins have checkpoints.
pub(crate) async fn origins(reader: &Reader) -> Result<Vec<String>, Error> {
    Ok(sqlx::query_scalar("SELECT DISTINCT origin FROM checkpoints").fetch_all(reader).await?)
}

/// The size up to which a witness has cosigned; 0 where it has seen nothing yet.
pub(crate) async fn seen_by(reader: &Reader, origin: &str, witness: &str) -> Result<u64, Error> {
    let size: Option<i64> =
        sqlx::query_scalar("SELECT max(size) FROM cosignatures WHERE origin = $1 AND witness = $2")
            .bind(origin)
            .bind(witness)
            .fetch_one(reader)
            .await?;
    unsigned(size.unwrap_or_default())
}

/// Stores what a witness has seen. Another replica may have stored the same.
pub(crate) async fn cosigned(
    tx: &mut Tx,
    origin: &str,
    size: u64,
    witness: &str,
    line: &str,
    now: Timestamp,
) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO cosignatures (origin, size, witness, line, created_at) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (origin, size, witness) DO NOTHING",
    )
    .bind(origin)
    .bind(signed(size)?)
    .bind(witness)
    .bind(line)
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(())
}
