//! What the tests share: a database with one small table.

use poa_common::Env;
use poa_storage::{Database, DatabaseConfig, Error, Tx};
use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

use crate::proxy::Proxy;

pub(crate) type TestResult = Result<(), Box<dyn std::error::Error>>;

/// As a service's first migration would be.
const SCHEMA: &str = "CREATE TABLE notes (
    id bigint NOT NULL,
    text text NOT NULL,
    CONSTRAINT notes_pkey PRIMARY KEY (id),
    CONSTRAINT notes_text_not_empty CHECK (text <> '')
);";

pub(crate) fn migrator() -> Migrator {
    Migrator::with_migrations(vec![Migration::new(
        1,
        "notes".into(),
        MigrationType::Simple,
        SCHEMA.into_sql_str(),
        false,
    )])
}

pub(crate) async fn database(connections: u32) -> (Database, String) {
    let url = poa_testkit::fresh_database("storage").await;
    let config = DatabaseConfig::new(url.clone()).with_max_connections(connections);
    (Database::connect(&config, &migrator()).await.unwrap(), url)
}

/// The same behind a proxy that can lose the answer to a COMMIT.
pub(crate) async fn database_behind_proxy(connections: u32) -> (Database, Proxy) {
    let url = poa_testkit::fresh_database("storage").await;
    let proxy = Proxy::before(&url);
    let config = DatabaseConfig::new(proxy.url(&url)).with_max_connections(connections);
    (Database::connect(&config, &migrator()).await.unwrap(), proxy)
}

/// The same, where a silent connection is noticed after four seconds, by a read after one, and nobody waits long for a lock.
pub(crate) async fn impatient_database_behind_proxy(connections: u32) -> (Database, Proxy) {
    let url = poa_testkit::fresh_database("storage").await;
    let proxy = Proxy::before(&url);
    let config = DatabaseConfig {
        statement_timeout_ms: 2_000,
        read_timeout_ms: 1_000,
        lock_timeout_ms: 300,
        ..DatabaseConfig::new(proxy.url(&url)).with_max_connections(connections)
    };
    (Database::connect(&config, &migrator()).await.unwrap(), proxy)
}

pub(crate) fn env() -> Env {
    poa_testkit::env(1).0
}

pub(crate) async fn insert(tx: &mut Tx, id: i64) -> Result<(), Error> {
    sqlx::query("INSERT INTO notes (id, text) VALUES ($1, 'note')").bind(id).execute(tx.conn()).await?;
    Ok(())
}

pub(crate) async fn count(db: &Database) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM notes").fetch_one(db.read()).await.unwrap()
}

/// Sessions of this database that sit in an open transaction.
pub(crate) async fn idle_in_transaction(db: &Database) -> i64 {
    sqlx::query_scalar(
        "SELECT count(*) FROM pg_stat_activity
         WHERE datname = current_database() AND state LIKE 'idle in transaction%'",
    )
    .fetch_one(db.read())
    .await
    .unwrap()
}
