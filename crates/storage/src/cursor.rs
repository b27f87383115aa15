//! How far a service has followed another's event stream. Stored in the transaction of the effect, so that
//! neither is ever ahead of the other.

use poa_common::Timestamp;
use sqlx::PgExecutor;

use crate::{Error, Tx};

/// The longest cursor another service may hand out, in bytes.
pub const MAX_CURSOR_BYTES: usize = 256;

/// The stored cursor of this consumer; `None` before the first store. Takes `db.read()` or `tx.conn()`.
///
/// # Errors
/// Those of the database.
pub async fn load(executor: impl PgExecutor<'_>, name: &str) -> Result<Option<Vec<u8>>, Error> {
    Ok(sqlx::query_scalar("SELECT value FROM consumer_cursors WHERE name = $1")
        .bind(name)
        .fetch_optional(executor)
        .await?)
}

/// Stores the cursor, together with whatever else the transaction does.
///
/// # Errors
/// `Corrupt` for a cursor longer than [`MAX_CURSOR_BYTES`], else those of the database.
pub async fn store(tx: &mut Tx, name: &str, value: &[u8], now: Timestamp) -> Result<(), Error> {
    if value.len() > MAX_CURSOR_BYTES {
        return Err(Error::Corrupt(format!("the cursor of {name} has {} bytes", value.len())));
    }
    sqlx::query(
        "INSERT INTO consumer_cursors (name, value, updated_at) VALUES ($1, $2, $3)
         ON CONFLICT (name) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at",
    )
    .bind(name)
    .bind(value)
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(())
}
