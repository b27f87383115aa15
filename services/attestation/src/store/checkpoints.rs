//! Signed checkpoints, append-only: one per size.

use poa_common::Timestamp;
use poa_storage::{Error, Tx};
use proof_of_agent::Checkpoint;
use sqlx::PgExecutor;

use super::{signed, unsigned};

/// A checkpoint as published.
#[derive(Clone, Debug)]
pub(crate) struct Published {
    /// Leaves in the tree.
    pub(crate) size: u64,
    /// The signed note.
    pub(crate) note: String,
}

/// Stores a checkpoint. A second one of the same size breaks `checkpoints_pkey`.
pub(crate) async fn insert(
    tx: &mut Tx,
    checkpoint: &Checkpoint,
    note: &str,
    now: Timestamp,
) -> Result<(), Error> {
    sqlx::query("INSERT INTO checkpoints (size, root, note, created_at) VALUES ($1, $2, $3, $4)")
        .bind(signed(checkpoint.size)?)
        .bind(checkpoint.root.as_bytes().as_slice())
        .bind(note)
        .bind(now)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// The newest checkpoint; none before the log was opened for the first time.
pub(crate) async fn newest(executor: impl PgExecutor<'_>) -> Result<Option<Published>, Error> {
    let row: Option<(i64, String)> =
        sqlx::query_as("SELECT size, note FROM checkpoints ORDER BY size DESC LIMIT 1")
            .fetch_optional(executor)
            .await?;
    row.map(|(size, note)| Ok(Published { size: unsigned(size)?, note })).transpose()
}
