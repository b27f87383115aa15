//! The tables `sessions` and `refresh_tokens`.

use poa_common::{AccountId, SessionId, Timestamp, TypedId as _};
use poa_storage::{Database, Tx};
use sqlx::postgres::PgRow;
use sqlx::{PgExecutor, Row as _};

use super::{digest, one_row};
use crate::domain::{MAX_SESSIONS, RETRY_WINDOW, Session};
use crate::error::Error;

/// A refresh token that is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StoredToken {
    pub(crate) hash: [u8; 32],
    pub(crate) use_time: Option<Timestamp>,
}

/// Adds a session with its first token, and ends the account's oldest ones beyond the limit.
pub(crate) async fn insert(tx: &mut Tx, session: &Session, first_hash: [u8; 32]) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO sessions (id, account_id, generation, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(session.id.uuid())
    .bind(session.account_id.uuid())
    .bind(session.generation)
    .bind(session.create_time)
    .bind(session.expire_time)
    .execute(tx.conn())
    .await?;
    insert_token(tx, session.id, session.generation, first_hash, session.create_time).await?;
    sqlx::query(
        "UPDATE sessions SET revoked_at = $3 WHERE id IN (
             SELECT id FROM sessions WHERE account_id = $1 AND revoked_at IS NULL
             ORDER BY created_at DESC, id DESC OFFSET $2)",
    )
    .bind(session.account_id.uuid())
    .bind(MAX_SESSIONS)
    .bind(session.create_time)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// The session of an id.
pub(crate) async fn find(executor: impl PgExecutor<'_>, id: SessionId) -> Result<Option<Session>, Error> {
    let row = sqlx::query(
        "SELECT id, account_id, generation, created_at, expires_at, revoked_at FROM sessions WHERE id = $1",
    )
    .bind(id.uuid())
    .fetch_optional(executor)
    .await?;
    row.as_ref().map(session).transpose()
}

/// The session of an id, locked until the end of the transaction: refreshes of one session take turns.
pub(crate) async fn lock(tx: &mut Tx, id: SessionId) -> Result<Option<Session>, Error> {
    let row = sqlx::query(
        "SELECT id, account_id, generation, created_at, expires_at, revoked_at FROM sessions
         WHERE id = $1 FOR UPDATE",
    )
    .bind(id.uuid())
    .fetch_optional(tx.conn())
    .await?;
    row.as_ref().map(session).transpose()
}

/// A token of a locked session, where its row is still kept.
pub(crate) async fn token(tx: &mut Tx, id: SessionId, generation: i32) -> Result<Option<StoredToken>, Error> {
    let row: Option<(Vec<u8>, Option<Timestamp>)> =
        sqlx::query_as("SELECT hash, used_at FROM refresh_tokens WHERE session_id = $1 AND generation = $2")
            .bind(id.uuid())
            .bind(generation)
            .fetch_optional(tx.conn())
            .await?;
    row.map(|(hash, use_time)| Ok(StoredToken { hash: digest(&hash)?, use_time })).transpose()
}

/// Spends the newest token of a locked session and adds its successor. Rows that no retry can ask for go.
pub(crate) async fn rotate(
    tx: &mut Tx,
    session: &Session,
    successor: i32,
    successor_hash: [u8; 32],
    now: Timestamp,
) -> Result<(), Error> {
    sqlx::query("DELETE FROM refresh_tokens WHERE session_id = $1 AND used_at <= $2")
        .bind(session.id.uuid())
        .bind(now - RETRY_WINDOW)
        .execute(tx.conn())
        .await?;
    let spent = sqlx::query(
        "UPDATE refresh_tokens SET used_at = $3
         WHERE session_id = $1 AND generation = $2 AND used_at IS NULL",
    )
    .bind(session.id.uuid())
    .bind(session.generation)
    .bind(now)
    .execute(tx.conn())
    .await?;
    one_row(&spent, "a refresh")?;
    insert_token(tx, session.id, successor, successor_hash, now).await?;
    let moved = sqlx::query("UPDATE sessions SET generation = $2 WHERE id = $1 AND generation = $3")
        .bind(session.id.uuid())
        .bind(successor)
        .bind(session.generation)
        .execute(tx.conn())
        .await?;
    one_row(&moved, "a refresh")
}

/// Ends a locked session.
pub(crate) async fn revoke(tx: &mut Tx, id: SessionId, now: Timestamp) -> Result<(), Error> {
    sqlx::query("UPDATE sessions SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL")
        .bind(id.uuid())
        .bind(now)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Deletes at most `limit` sessions that ran out before `end`, and answers how many.
pub(crate) async fn sweep(db: &Database, end: Timestamp, limit: i64) -> Result<u64, Error> {
    db.transact(move |tx| {
        Box::pin(async move {
            let deleted = sqlx::query(
                "DELETE FROM sessions WHERE id IN (
                     SELECT id FROM sessions WHERE expires_at < $1 ORDER BY expires_at LIMIT $2
                     FOR UPDATE SKIP LOCKED)",
            )
            .bind(end)
            .bind(limit)
            .execute(tx.conn())
            .await?;
            Ok(deleted.rows_affected())
        })
    })
    .await
}

async fn insert_token(
    tx: &mut Tx,
    id: SessionId,
    generation: i32,
    hash: [u8; 32],
    now: Timestamp,
) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO refresh_tokens (session_id, generation, hash, issued_at) VALUES ($1, $2, $3, $4)",
    )
    .bind(id.uuid())
    .bind(generation)
    .bind(hash.as_slice())
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(())
}

fn session(row: &PgRow) -> Result<Session, Error> {
    Ok(Session {
        id: SessionId::from_uuid(row.try_get("id")?),
        account_id: AccountId::from_uuid(row.try_get("account_id")?),
        generation: row.try_get("generation")?,
        create_time: row.try_get("created_at")?,
        expire_time: row.try_get("expires_at")?,
        revoke_time: row.try_get("revoked_at")?,
    })
}
