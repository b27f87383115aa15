//! Migrations, one process at a time.
//!
//! sqlx's migrator takes an advisory lock, which distributed PostgreSQL does not have and which poolers
//! lose. Here a row is locked by a transaction on one connection while another connection migrates: when
//! the process dies, its connection does too, and the lock with it.

use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::{Connection, PgConnection};
use tokio::time::Instant;

use crate::{DatabaseConfig, Error};

/// The tables of this crate.
static STORAGE: Migrator = sqlx::migrate!("./migrations");
/// Apart from `_sqlx_migrations`, so that a service numbers its own from 1.
const STORAGE_TABLE: &str = "_storage_migrations";
/// Between two tries to reach a database that is still starting.
const CONNECT_PAUSE: Duration = Duration::from_millis(200);
/// Two replicas may both create the lock table: the loser tries again and finds it.
const CREATE_ATTEMPTS: u32 = 5;

pub(crate) async fn run(config: &DatabaseConfig, migrator: &Migrator) -> Result<(), Error> {
    let mut lock = connect(config).await?;
    create_lock_table(&mut lock).await?;
    // These connections are never pooled: a dropped future closes them, and the server rolls back.
    sqlx::raw_sql("BEGIN").execute(&mut lock).await?;
    sqlx::raw_sql("SELECT held FROM _migration_lock FOR UPDATE").execute(&mut lock).await?;
    let mut connection = connect(config).await?;
    apply(&STORAGE, Some(STORAGE_TABLE), &mut connection).await?;
    apply(migrator, None, &mut connection).await?;
    sqlx::raw_sql("COMMIT").execute(&mut lock).await?;
    connection.close().await?;
    lock.close().await?;
    Ok(())
}

async fn apply(
    migrator: &Migrator,
    table: Option<&'static str>,
    connection: &mut PgConnection,
) -> Result<(), Error> {
    let mut own = Migrator::with_migrations(migrator.iter().cloned().collect());
    own.set_locking(false);
    if let Some(table) = table {
        own.dangerous_set_table_name(table);
    }
    // `run_direct` rather than `run`: the latter's `Acquire` bound does not hold in a spawned future.
    own.run_direct(None, connection, false).await.map_err(Error::other)
}

async fn create_lock_table(connection: &mut PgConnection) -> Result<(), Error> {
    let mut attempt = 1;
    loop {
        let created = sqlx::raw_sql(
            "CREATE TABLE IF NOT EXISTS _migration_lock (held boolean PRIMARY KEY);
             INSERT INTO _migration_lock (held) VALUES (true) ON CONFLICT DO NOTHING;",
        )
        .execute(&mut *connection)
        .await;
        match created {
            Ok(_) => return Ok(()),
            Err(sqlx::Error::Database(_)) if attempt < CREATE_ATTEMPTS => attempt += 1,
            Err(error) => return Err(error.into()),
        }
    }
}

async fn connect(config: &DatabaseConfig) -> Result<PgConnection, Error> {
    let options = config.plain_options()?;
    let deadline = Instant::now() + Duration::from_millis(config.connect_timeout_ms);
    loop {
        match PgConnection::connect_with(&options).await.map_err(Error::from) {
            Ok(connection) => return Ok(connection),
            Err(Error::Unavailable(_)) if Instant::now() < deadline => {
                tokio::time::sleep(CONNECT_PAUSE).await;
            }
            Err(error) => return Err(error),
        }
    }
}
