//! The index in PostgreSQL, held to the suite.

use poa_search::index::postgres::PgIndex;
use poa_storage::DatabaseConfig;

use crate::conformance::suite;

/// An empty index in a database of its own.
async fn fresh() -> PgIndex {
    let url = poa_testkit::fresh_database("search").await;
    let (env, _clock) = poa_testkit::env(3);
    PgIndex::open(env, &DatabaseConfig::new(url)).await.unwrap()
}

suite!(fresh);
