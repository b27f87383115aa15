#![doc = include_str!("../README.md")]

mod config;
mod domain;
mod error;
mod guesses;
mod hashing;
mod info;
mod issuer;
mod metrics;
mod rpc;
mod secrets;
mod state;
mod store;
mod worker;

pub use config::{Config, HashingConfig, InfoConfig, WatchConfig};
pub use error::Error;

use std::sync::Arc;

use poa_chassis::{App, BuildError, Deps};
use poa_storage::Database;
use poa_storage::events::{Events, EventsOptions};

use state::State;

/// The tables of this service.
static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("../../migrations/auth");

/// Builds the service: reads its keys, connects and migrates its database, starts its workers.
///
/// # Errors
/// A key or the trust root is missing, the configuration cannot work, or the database is not reached.
pub async fn build(config: Config, deps: Deps) -> Result<App, BuildError> {
    metrics::describe();
    let database_up = deps.readiness.latch("database");
    let issuer = issuer::Issuer::open(&deps.keyring, &deps.env)?;
    let info = info::ServerInfo::read(&config.info, deps.keyring.dir())?;
    let hasher = hashing::Hasher::new(&config.hashing, &deps.env)?;

    let db = Database::connect(&config.database, &MIGRATIONS).await?;
    let (events, relay) = Events::spawn(&db, EventsOptions::default(), deps.lifecycle.stopping());
    deps.lifecycle.spawn("auth event relay", async move {
        if let Err(error) = relay.await {
            tracing::error!(%error, "the event relay failed");
        }
    });
    deps.lifecycle
        .spawn("auth sweep", worker::sweep::run(db.clone(), deps.env.clone(), deps.lifecycle.stopping()));
    database_up.ready();

    let secret = deps.keyring.secret();
    let state = State {
        env: deps.env.clone(),
        db,
        events,
        hasher,
        guesses: guesses::Guesses::default(),
        issuer,
        secrets: secrets::Secrets::new(&secret),
        pages: poa_storage::page::Sealer::new(&secret),
        info,
        jwks: deps.keyring.dir().join("jwks.json"),
        heartbeat: config.watch.heartbeat(),
        _database_up: database_up,
    };
    Ok(App {
        name: "auth",
        services: rpc::SERVICES,
        routes: rpc::routes(Arc::new(state), &config.server.limits),
        admin: None,
    })
}
