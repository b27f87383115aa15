#![doc = include_str!("../README.md")]

pub mod domain;
pub mod index;

mod config;
mod error;
mod metrics;
mod rpc;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use poa_chassis::{App, BuildError, Deps};
use poa_proto::search::v1::search_admin_service_server::SearchAdminServiceServer;
use poa_proto::search::v1::search_service_server::SearchServiceServer;
use poa_storage::page::Sealer;
use tonic::service::Routes;

pub use config::{Config, IndexConfig};

use index::Index;
use index::postgres::PgIndex;
use rpc::Service;
use worker::feeds::{AgentFeed, StatementFeed, TaskFeed};
use worker::follower::Follower;
use worker::keeper::Keeper;

/// The gRPC services on the service port.
const SERVICES: &[&str] = &["poa.search.v1.SearchService"];

/// Builds the service on PostgreSQL: connects and migrates its database, and begins to follow the other services.
///
/// # Errors
/// A database that cannot be opened, no address for auth, task or attestation, and a configuration out of its bounds.
pub async fn build(config: Config, deps: Deps) -> Result<App, BuildError> {
    let index = PgIndex::open(deps.env.clone(), &config.database).await?;
    build_on(config, deps, Arc::new(index))
}

/// Builds the service on an index that is open already.
///
/// # Errors
/// No address for auth, task or attestation, and a configuration out of its bounds.
pub fn build_on<I: Index>(config: Config, deps: Deps, index: Arc<I>) -> Result<App, BuildError> {
    metrics::describe();
    let interval = config.index.check_interval_ms;
    if !(10..=60_000).contains(&interval) {
        return Err("index.check_interval_ms must be 10 to 60,000".into());
    }
    let ready = deps.readiness.latch("index");
    let (keeper, keeping) = Keeper::new(Arc::clone(&index), Duration::from_millis(interval), ready);
    let agents = Follower::new(&deps.env, keeper.clone(), AgentFeed::new(deps.peers.identified("auth")?));
    let tasks = Follower::new(&deps.env, keeper.clone(), TaskFeed::new(deps.peers.identified("task")?));
    let attestation = deps.peers.identified("attestation")?;
    let statements = Follower::new(&deps.env, keeper.clone(), StatementFeed::new(attestation));
    let stopping = deps.lifecycle.stopping();
    deps.lifecycle.spawn("index", keeping.run(stopping.clone()));
    deps.lifecycle.spawn("agent events", agents.run(stopping.clone()));
    deps.lifecycle.spawn("task events", tasks.run(stopping.clone()));
    deps.lifecycle.spawn("attestation events", statements.run(stopping));

    let service = Arc::new(Service { index, keeper, pages: Sealer::new(&deps.keyring.secret()) });
    let limits = &config.server.limits;
    let public = SearchServiceServer::from_arc(Arc::clone(&service))
        .max_decoding_message_size(limits.decode_bytes)
        .max_encoding_message_size(limits.encode_bytes);
    let admin = SearchAdminServiceServer::from_arc(service)
        .max_decoding_message_size(limits.decode_bytes)
        .max_encoding_message_size(limits.encode_bytes);
    Ok(App {
        name: "search",
        services: SERVICES,
        routes: Routes::new(public),
        admin: Some(Routes::new(admin)),
    })
}
