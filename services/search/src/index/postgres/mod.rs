//! The index in PostgreSQL: lexemes made by us in a GIN index, trigrams for typing errors.

mod agents;
mod apply;
mod statement;
mod suggest;
mod tasks;
mod terms;

use poa_common::Env;
use poa_storage::{Database, DatabaseConfig, Tx};
use sqlx::Row as _;
use sqlx::migrate::Migrator;
use uuid::Uuid;

use super::{Applied, Dropped, Error, Health, Index};
use crate::domain::{
    AgentHit, AgentQuery, Batch, Generation, Page, Source, SuggestQuery, Suggestion, TaskQuery,
};

/// The tables.
static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations/search");
/// What the migrations make.
const TABLES: [&str; 5] = ["index_state", "sources", "agents", "capabilities", "tasks"];
/// PostgreSQL's code for a table that is not there.
const UNDEFINED_TABLE: &str = "42P01";

/// The index in a PostgreSQL database of its own. Cheap to clone.
#[derive(Clone, Debug)]
pub struct PgIndex {
    env: Env,
    config: DatabaseConfig,
    db: Database,
}

// === impl PgIndex ===

impl PgIndex {
    /// Connects, and makes the tables where they are missing.
    ///
    /// # Errors
    /// As [`Database::connect`].
    pub async fn open(env: Env, config: &DatabaseConfig) -> Result<Self, poa_storage::Error> {
        let db = Database::connect(config, &MIGRATIONS).await?;
        Ok(Self { env, config: config.clone(), db })
    }

    async fn look(&self) -> Result<Health, poa_storage::Error> {
        // Each table that should hold something is asked for one row of it.
        let row = sqlx::query(
            "SELECT (SELECT generation FROM index_state) AS generation,
                    (SELECT count(*) FROM sources) = 3
                    AND ((SELECT NOT filled FROM sources WHERE source = 'auth')
                         OR EXISTS (SELECT FROM agents WHERE message IS NOT NULL))
                    AND ((SELECT NOT filled FROM sources WHERE source = 'task') OR EXISTS (SELECT FROM tasks))
                    AND ((SELECT NOT filled FROM sources WHERE source = 'attestation')
                         OR EXISTS (SELECT FROM agents WHERE logged_statements > 0))
                    AND (EXISTS (SELECT FROM capabilities)
                         OR NOT EXISTS (SELECT FROM agents WHERE active AND capabilities <> '{}')) AS whole",
        )
        .fetch_one(self.db.read())
        .await?;
        let generation: Option<Uuid> = row.try_get("generation")?;
        let whole: Option<bool> = row.try_get("whole")?;
        Ok(match (generation, whole) {
            (Some(generation), Some(true)) => Health::Whole(generation),
            (generation, _) => Health::Damaged(generation),
        })
    }
}

#[tonic::async_trait]
impl Index for PgIndex {
    async fn inspect(&self) -> Result<Health, Error> {
        match self.look().await {
            Err(error) if code(&error).as_deref() == Some(UNDEFINED_TABLE) => {
                tracing::warn!("tables of the index are gone, all of them are made again");
                self.db.transact(|tx| Box::pin(drop_remains(tx))).await?;
                // Its pool ends with it; ours finds the tables.
                let _tables = Database::connect(&self.config, &MIGRATIONS).await?;
                Ok(self.look().await?)
            }
            health => Ok(health?),
        }
    }

    async fn cursor(&self, source: Source) -> Result<String, Error> {
        let cursor: Option<String> = sqlx::query_scalar("SELECT cursor FROM sources WHERE source = $1")
            .bind(source.as_str())
            .fetch_optional(self.db.read())
            .await
            .map_err(poa_storage::Error::from)?;
        Ok(cursor.unwrap_or_default())
    }

    async fn apply(&self, batch: Batch) -> Result<Applied, Error> {
        Ok(apply::apply(&self.db, batch).await?)
    }

    async fn wipe(&self, expected: Option<Generation>) -> Result<Option<Dropped>, Error> {
        let next = Uuid::from_bytes(self.env.random());
        Ok(apply::wipe(&self.db, expected, next).await?)
    }

    async fn agents(&self, query: AgentQuery) -> Result<Page<AgentHit>, Error> {
        agents::search(&self.db, query).await
    }

    async fn tasks(&self, query: TaskQuery) -> Result<Page<Vec<u8>>, Error> {
        tasks::search(&self.db, query).await
    }

    async fn suggest(&self, query: SuggestQuery) -> Result<Vec<Suggestion>, Error> {
        suggest::suggest(&self.db, query).await
    }
}

impl From<poa_storage::Error> for Error {
    fn from(error: poa_storage::Error) -> Self {
        use poa_storage::Error as Storage;
        // Data exceptions, and limits such as the size of an index row.
        let is_data = code(&error).is_some_and(|code| code.starts_with("22") || code.starts_with("54"));
        match error {
            // What was committed may be applied again.
            Storage::Unavailable(_) | Storage::CommitUnknown => Self::Unavailable(error.into()),
            Storage::Busy | Storage::ShuttingDown | Storage::Serialization(_) => Self::Busy(error.into()),
            Storage::Constraint { .. } => Self::Refused(error.into()),
            Storage::Other(_) if is_data => Self::Refused(error.into()),
            Storage::RequestIdReused | Storage::Corrupt(_) | Storage::Config(_) | Storage::Other(_) => {
                Self::Failed(error.into())
            }
        }
    }
}

/// Drops what is left of the tables where one of them is gone, and the record that they were made: by that alone nothing
/// would ever make them again.
async fn drop_remains(tx: &mut Tx) -> Result<(), poa_storage::Error> {
    // Another replica may be making them at this moment. The lock is a table, and may be gone too.
    let has_lock: bool =
        sqlx::query_scalar("SELECT to_regclass('_migration_lock') IS NOT NULL").fetch_one(tx.conn()).await?;
    if has_lock {
        sqlx::raw_sql("SELECT held FROM _migration_lock FOR UPDATE").execute(tx.conn()).await?;
    }
    let is_damaged: bool = sqlx::query_scalar(
        "SELECT bool_or(to_regclass(name) IS NULL) FROM unnest($1::text[]) AS made (name)",
    )
    .bind(TABLES.as_slice())
    .fetch_one(tx.conn())
    .await?;
    if is_damaged {
        // In the order in which whoever applies events locks them.
        sqlx::raw_sql(
            "DROP TABLE IF EXISTS index_state, agents, capabilities, tasks, sources, _sqlx_migrations",
        )
        .execute(tx.conn())
        .await?;
    }
    Ok(())
}

/// PostgreSQL's code of an error, where it is one of PostgreSQL's.
fn code(error: &poa_storage::Error) -> Option<String> {
    let poa_storage::Error::Other(cause) = error else { return None };
    let database = cause.downcast_ref::<sqlx::Error>()?.as_database_error()?;
    database.code().map(std::borrow::Cow::into_owned)
}
