//! What the platform owes, as it was stated: entries of the log beside those of tasks.

use poa_common::{LiabilitiesId, Timestamp, TypedId as _};
use poa_storage::{Error, Tx};
use proof_of_agent::Digest;
use sqlx::PgExecutor;

use super::{signed, unsigned};

/// A statement as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct Stated {
    /// Its place in the log, from 0.
    pub(crate) log_index: u64,
    /// The DSSE envelope as JSON.
    pub(crate) envelope: Vec<u8>,
}

/// What a statement is stored with.
#[derive(Clone, Debug)]
pub(crate) struct New {
    pub(crate) snapshot: LiabilitiesId,
    /// SHA-256 of its PAE.
    pub(crate) digest: Digest,
    pub(crate) envelope: Vec<u8>,
    /// The hash of its leaf.
    pub(crate) leaf_hash: Digest,
    pub(crate) now: Timestamp,
}

/// The statement of a snapshot, if there is one.
pub(crate) async fn find(
    executor: impl PgExecutor<'_>,
    snapshot: LiabilitiesId,
) -> Result<Option<Stated>, Error> {
    let row: Option<(i64, Vec<u8>)> =
        sqlx::query_as("SELECT log_index, envelope FROM liabilities WHERE snapshot_id = $1")
            .bind(snapshot.uuid())
            .fetch_optional(executor)
            .await?;
    row.map(|(index, envelope)| Ok(Stated { log_index: unsigned(index)?, envelope })).transpose()
}

/// Stores a statement. Its place is the caller's to give, under the lock of the log's head.
pub(crate) async fn insert(tx: &mut Tx, log_index: u64, new: &New) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO liabilities (log_index, snapshot_id, digest, envelope, leaf_hash, created_at)
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(signed(log_index)?)
    .bind(new.snapshot.uuid())
    .bind(new.digest.as_bytes().as_slice())
    .bind(&new.envelope)
    .bind(new.leaf_hash.as_bytes().as_slice())
    .bind(new.now)
    .execute(tx.conn())
    .await?;
    Ok(())
}
