//! The table `agents`.

use poa_common::{AccountId, AgentId, Timestamp, TypedId as _};
use poa_storage::{Database, Error as StorageError, Tx};
use proof_of_agent::DidKey;
use sqlx::postgres::PgRow;
use sqlx::{PgExecutor, Row as _};
use uuid::Uuid;

use super::{corrupt, one_row};
use crate::domain::{Agent, AgentState};
use crate::error::Error;

/// Adds an agent.
///
/// # Errors
/// `AgentKeyTaken`, and those of the database.
pub(crate) async fn insert(tx: &mut Tx, agent: &Agent) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO agents (id, account_id, name, description, capabilities, public_key, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(agent.id.uuid())
    .bind(agent.account_id.uuid())
    .bind(&agent.name)
    .bind(&agent.description)
    .bind(&agent.capabilities)
    .bind(agent.public_key.as_bytes().as_slice())
    .bind(agent.create_time)
    .execute(tx.conn())
    .await
    .map_err(|error| match StorageError::from(error) {
        error if error.constraint() == Some("agents_public_key_unique") => Error::AgentKeyTaken,
        error => error.into(),
    })?;
    Ok(())
}

/// Stores the key of a locked agent, and whether it signs.
///
/// # Errors
/// `AgentKeyTaken`, and those of the database.
pub(crate) async fn set_key(tx: &mut Tx, agent: &Agent, now: Timestamp) -> Result<(), Error> {
    let sequence = i32::try_from(agent.key_sequence).map_err(|error| corrupt(error.to_string()))?;
    let set = sqlx::query(
        "UPDATE agents SET public_key = $2, key_sequence = $3, key_revoked_at = $4 WHERE id = $1",
    )
    .bind(agent.id.uuid())
    .bind(agent.public_key.as_bytes().as_slice())
    .bind(sequence)
    .bind(agent.key_revoked.then_some(now))
    .execute(tx.conn())
    .await
    .map_err(|error| match StorageError::from(error) {
        error if error.constraint() == Some("agents_public_key_unique") => Error::AgentKeyTaken,
        error => error.into(),
    })?;
    one_row(&set, "a change of a key")
}

/// Stores the newest version of a locked agent.
pub(crate) async fn set_version(tx: &mut Tx, agent: &Agent) -> Result<(), Error> {
    let set = sqlx::query("UPDATE agents SET version = $2, version_has_source = $3 WHERE id = $1")
        .bind(agent.id.uuid())
        .bind(&agent.version)
        .bind(agent.version_has_source)
        .execute(tx.conn())
        .await?;
    one_row(&set, "a new version")
}

/// How many agents a locked account has: active ones, and all.
pub(crate) async fn count(tx: &mut Tx, account_id: AccountId) -> Result<(i64, i64), Error> {
    Ok(sqlx::query_as(
        "SELECT count(*) FILTER (WHERE retired_at IS NULL), count(*) FROM agents WHERE account_id = $1",
    )
    .bind(account_id.uuid())
    .fetch_one(tx.conn())
    .await?)
}

/// Any agent: they are public.
pub(crate) async fn find(executor: impl PgExecutor<'_>, id: AgentId) -> Result<Option<Agent>, Error> {
    let row = sqlx::query(
        "SELECT id, account_id, name, description, capabilities, public_key, created_at, retired_at,
                key_revoked_at, key_sequence, version, version_has_source
         FROM agents WHERE id = $1",
    )
    .bind(id.uuid())
    .fetch_optional(executor)
    .await?;
    row.as_ref().map(agent).transpose()
}

/// An agent of this account, locked until the end of the transaction: its events keep their order.
pub(crate) async fn lock(tx: &mut Tx, account_id: AccountId, id: AgentId) -> Result<Option<Agent>, Error> {
    let row = sqlx::query(
        "SELECT id, account_id, name, description, capabilities, public_key, created_at, retired_at,
                key_revoked_at, key_sequence, version, version_has_source
         FROM agents WHERE id = $1 AND account_id = $2 FOR UPDATE",
    )
    .bind(id.uuid())
    .bind(account_id.uuid())
    .fetch_optional(tx.conn())
    .await?;
    row.as_ref().map(agent).transpose()
}

/// An account's agents, newest first, older than `after`.
pub(crate) async fn list(
    db: &Database,
    account_id: AccountId,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Agent>, Error> {
    let rows = sqlx::query(
        "SELECT id, account_id, name, description, capabilities, public_key, created_at, retired_at,
                key_revoked_at, key_sequence, version, version_has_source
         FROM agents WHERE account_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3",
    )
    .bind(account_id.uuid())
    .bind(after.unwrap_or(Uuid::max()))
    .bind(limit)
    .fetch_all(db.read())
    .await?;
    rows.iter().map(agent).collect()
}

/// Retires a locked, active agent.
pub(crate) async fn retire(tx: &mut Tx, id: AgentId, now: Timestamp) -> Result<(), Error> {
    let retired = sqlx::query("UPDATE agents SET retired_at = $2 WHERE id = $1 AND retired_at IS NULL")
        .bind(id.uuid())
        .bind(now)
        .execute(tx.conn())
        .await?;
    one_row(&retired, "a retirement")
}

fn agent(row: &PgRow) -> Result<Agent, Error> {
    let key: Vec<u8> = row.try_get("public_key")?;
    let retired: Option<Timestamp> = row.try_get("retired_at")?;
    let revoked: Option<Timestamp> = row.try_get("key_revoked_at")?;
    let sequence: i32 = row.try_get("key_sequence")?;
    Ok(Agent {
        id: AgentId::from_uuid(row.try_get("id")?),
        account_id: AccountId::from_uuid(row.try_get("account_id")?),
        name: row.try_get("name")?,
        description: row.try_get("description")?,
        capabilities: row.try_get("capabilities")?,
        public_key: DidKey::from_slice(&key).map_err(|error| corrupt(error.to_string()))?,
        key_revoked: revoked.is_some(),
        key_sequence: u32::try_from(sequence).map_err(|error| corrupt(error.to_string()))?,
        version: row.try_get("version")?,
        version_has_source: row.try_get("version_has_source")?,
        state: if retired.is_some() { AgentState::Retired } else { AgentState::Active },
        create_time: row.try_get("created_at")?,
    })
}
