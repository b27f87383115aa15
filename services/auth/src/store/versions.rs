//! The table `agent_versions`.

use poa_common::{AgentId, Timestamp, TypedId as _};
use poa_storage::{Database, Error as StorageError, Tx};
use proof_of_agent::Digest;
use sqlx::PgExecutor;
use uuid::Uuid;

use super::corrupt;
use crate::error::Error;

/// A published version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Published {
    pub(crate) id: Uuid,
    pub(crate) agent_id: AgentId,
    pub(crate) version: String,
    pub(crate) build_digest: Digest,
    pub(crate) build_size: i64,
    pub(crate) source_ref: Option<String>,
    pub(crate) envelope: Vec<u8>,
    /// SHA-256 of the statement's PAE.
    pub(crate) digest: Digest,
    pub(crate) create_time: Timestamp,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    agent_id: Uuid,
    version: String,
    build_digest: Vec<u8>,
    build_size: i64,
    source_ref: Option<String>,
    envelope: Vec<u8>,
    digest: Vec<u8>,
    created_at: Timestamp,
}

/// Adds a version.
///
/// # Errors
/// `VersionTaken`, and those of the database.
pub(crate) async fn insert(tx: &mut Tx, version: &Published) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO agent_versions
             (id, agent_id, version, build_digest, build_size, source_ref, envelope, digest, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(version.id)
    .bind(version.agent_id.uuid())
    .bind(&version.version)
    .bind(version.build_digest.as_bytes().as_slice())
    .bind(version.build_size)
    .bind(&version.source_ref)
    .bind(&version.envelope)
    .bind(version.digest.as_bytes().as_slice())
    .bind(version.create_time)
    .execute(tx.conn())
    .await
    .map_err(|error| match StorageError::from(error) {
        error if error.constraint() == Some("agent_versions_name_unique") => {
            Error::VersionTaken { version: version.version.clone() }
        }
        error => error.into(),
    })?;
    Ok(())
}

/// An agent's version of this name.
pub(crate) async fn find(
    executor: impl PgExecutor<'_>,
    agent: AgentId,
    version: &str,
) -> Result<Option<Published>, Error> {
    let row: Option<Row> = sqlx::query_as(
        "SELECT id, agent_id, version, build_digest, build_size, source_ref, envelope, digest, created_at
         FROM agent_versions WHERE agent_id = $1 AND version = $2",
    )
    .bind(agent.uuid())
    .bind(version)
    .fetch_optional(executor)
    .await?;
    row.map(Row::published).transpose()
}

/// How many versions an agent has.
pub(crate) async fn count(tx: &mut Tx, agent: AgentId) -> Result<i64, Error> {
    Ok(sqlx::query_scalar("SELECT count(*) FROM agent_versions WHERE agent_id = $1")
        .bind(agent.uuid())
        .fetch_one(tx.conn())
        .await?)
}

/// An agent's versions, newest first, older than `after`.
pub(crate) async fn list(
    db: &Database,
    agent: AgentId,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Published>, Error> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT id, agent_id, version, build_digest, build_size, source_ref, envelope, digest, created_at
         FROM agent_versions WHERE agent_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3",
    )
    .bind(agent.uuid())
    .bind(after.unwrap_or(Uuid::max()))
    .bind(limit)
    .fetch_all(db.read())
    .await?;
    rows.into_iter().map(Row::published).collect()
}

// === impl Row ===

impl Row {
    fn published(self) -> Result<Published, Error> {
        let digest = |bytes: &[u8]| Digest::try_from(bytes).map_err(|error| corrupt(error.to_string()));
        Ok(Published {
            id: self.id,
            agent_id: AgentId::from_uuid(self.agent_id),
            version: self.version,
            build_digest: digest(&self.build_digest)?,
            build_size: self.build_size,
            source_ref: self.source_ref,
            envelope: self.envelope,
            digest: digest(&self.digest)?,
            create_time: self.created_at,
        })
    }
}
