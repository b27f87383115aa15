//! The table `api_keys`.

use poa_common::{AccountId, AgentId, ApiKeyId, Timestamp, TypedId as _};
use poa_storage::{Database, Tx};
use sqlx::postgres::PgRow;
use sqlx::{PgExecutor, Row as _};
use uuid::Uuid;

use crate::domain::ApiKey;
use crate::error::Error;

/// Adds a key.
pub(crate) async fn insert(tx: &mut Tx, key: &ApiKey, secret_hash: [u8; 32]) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO api_keys
             (id, account_id, name, scopes, agent_id, secret_hash, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(key.id.uuid())
    .bind(key.account_id.uuid())
    .bind(&key.name)
    .bind(&key.scopes)
    .bind(key.agent_id.map(AgentId::uuid))
    .bind(secret_hash.as_slice())
    .bind(key.create_time)
    .bind(key.expire_time)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// How many keys of a locked account work.
pub(crate) async fn count_working(tx: &mut Tx, account_id: AccountId, now: Timestamp) -> Result<i64, Error> {
    Ok(sqlx::query_scalar(
        "SELECT count(*) FROM api_keys WHERE account_id = $1 AND revoked_at IS NULL AND expires_at > $2",
    )
    .bind(account_id.uuid())
    .bind(now)
    .fetch_one(tx.conn())
    .await?)
}

/// A key of this account.
pub(crate) async fn find(
    executor: impl PgExecutor<'_>,
    account_id: AccountId,
    id: ApiKeyId,
) -> Result<Option<ApiKey>, Error> {
    let row = sqlx::query(
        "SELECT id, account_id, name, scopes, agent_id, created_at, expires_at, revoked_at FROM api_keys
         WHERE id = $1 AND account_id = $2",
    )
    .bind(id.uuid())
    .bind(account_id.uuid())
    .fetch_optional(executor)
    .await?;
    row.as_ref().map(api_key).transpose()
}

/// The key of a secret.
pub(crate) async fn by_secret(db: &Database, secret_hash: [u8; 32]) -> Result<Option<ApiKey>, Error> {
    let row = sqlx::query(
        "SELECT id, account_id, name, scopes, agent_id, created_at, expires_at, revoked_at FROM api_keys
         WHERE secret_hash = $1",
    )
    .bind(secret_hash.as_slice())
    .fetch_optional(db.read())
    .await?;
    row.as_ref().map(api_key).transpose()
}

/// An account's keys, newest first, older than `after`.
pub(crate) async fn list(
    db: &Database,
    account_id: AccountId,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<ApiKey>, Error> {
    let rows = sqlx::query(
        "SELECT id, account_id, name, scopes, agent_id, created_at, expires_at, revoked_at FROM api_keys
         WHERE account_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3",
    )
    .bind(account_id.uuid())
    .bind(after.unwrap_or(Uuid::max()))
    .bind(limit)
    .fetch_all(db.read())
    .await?;
    rows.iter().map(api_key).collect()
}

/// Revokes a key of this account, once; answers with the key, or `None` where there is none.
pub(crate) async fn revoke(
    tx: &mut Tx,
    account_id: AccountId,
    id: ApiKeyId,
    now: Timestamp,
) -> Result<Option<ApiKey>, Error> {
    let row = sqlx::query(
        "UPDATE api_keys SET revoked_at = COALESCE(revoked_at, $3) WHERE id = $1 AND account_id = $2
         RETURNING id, account_id, name, scopes, agent_id, created_at, expires_at, revoked_at",
    )
    .bind(id.uuid())
    .bind(account_id.uuid())
    .bind(now)
    .fetch_optional(tx.conn())
    .await?;
    row.as_ref().map(api_key).transpose()
}

/// Deletes at most `limit` keys that were revoked or expired before `end`, and answers how many.
pub(crate) async fn sweep(db: &Database, end: Timestamp, limit: i64) -> Result<u64, Error> {
    db.transact(move |tx| {
        Box::pin(async move {
            let deleted = sqlx::query(
                "DELETE FROM api_keys WHERE id IN (
                     SELECT id FROM api_keys WHERE LEAST(expires_at, revoked_at) < $1
                     ORDER BY LEAST(expires_at, revoked_at) LIMIT $2 FOR UPDATE SKIP LOCKED)",
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

fn api_key(row: &PgRow) -> Result<ApiKey, Error> {
    Ok(ApiKey {
        id: ApiKeyId::from_uuid(row.try_get("id")?),
        account_id: AccountId::from_uuid(row.try_get("account_id")?),
        name: row.try_get("name")?,
        scopes: row.try_get("scopes")?,
        agent_id: row.try_get::<Option<Uuid>, _>("agent_id")?.map(AgentId::from_uuid),
        create_time: row.try_get("created_at")?,
        expire_time: row.try_get("expires_at")?,
        revoke_time: row.try_get("revoked_at")?,
    })
}
