#![doc = include_str!("../README.md")]

mod config;
mod domain;
mod error;
mod failpoint;
mod keys;
mod metrics;
mod rpc;
mod store;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use poa_chassis::{App, BuildError, Deps};
use poa_proto::attestation::v1::attestation_internal_service_server::AttestationInternalServiceServer;
use poa_proto::attestation::v1::attestation_service_server::AttestationServiceServer;
use poa_storage::Database;
use poa_storage::batch::{BatchOptions, BatchWriter};
use poa_storage::page::Sealer;
use sqlx::migrate::Migrator;
use tonic::service::Routes;

pub use config::{Config, LogConfig, WitnessConfig};
pub use failpoint::Failpoint;
pub use keys::{KeysError, provision};

use keys::PlatformKeys;
use rpc::Service;
use worker::appender::Appender;
use worker::follower::Follower;
use worker::kept::Kept;
use worker::sequencer::{Nudge, Sequencer};
use worker::witnesses::Courier;

/// The tables of this service.
static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations/attestation");
/// The gRPC services on the service port.
const SERVICES: &[&str] =
    &["poa.attestation.v1.AttestationService", "poa.attestation.v1.AttestationInternalService"];

/// Builds the service: opens its keys, its database and its log, and starts its workers.
///
/// # Errors
/// Keys that are missing or not those of the trust root, a database that cannot be opened or holds another log,
/// no address for auth, and a configuration out of its bounds.
pub async fn build(config: Config, deps: Deps) -> Result<App, BuildError> {
    poa_chassis::failpoint::arm::<Failpoint>()?;
    metrics::describe();
    let interval = config.log.checkpoint_interval_ms;
    if !(1..=10_000).contains(&interval) {
        return Err("log.checkpoint_interval_ms must be 1 to 10,000".into());
    }
    let keys = Arc::new(PlatformKeys::open(deps.keyring.dir(), deps.keyring.secret(), &deps.env)?);
    let auth = deps.peers.identified("auth")?;
    let ready = deps.readiness.latch("database");
    let db = Database::connect(&config.database, &MIGRATIONS).await?;

    let nudge = Nudge::default();
    let sequencer = Sequencer::open(
        deps.env.clone(),
        db.clone(),
        Arc::clone(&keys),
        Duration::from_millis(interval),
        nudge.clone(),
        Kept::at(config.log.kept_checkpoint.clone()),
    )
    .await?;
    let stopping = deps.lifecycle.stopping();
    let (appender, writing) = BatchWriter::spawn(
        &db,
        Appender::new(deps.env.clone(), Arc::clone(&keys)),
        BatchOptions::new("attestation.append"),
        stopping.clone(),
    )
    .await?;
    let (follower, agents) =
        Follower::new(deps.env.clone(), db.clone(), Arc::clone(&keys), nudge.clone(), auth);
    deps.lifecycle.spawn("append", async move {
        if let Err(error) = writing.await {
            tracing::error!(%error, "the writer of statements died");
        }
    });
    deps.lifecycle.spawn("sequencer", sequencer.run(stopping.clone()));
    deps.lifecycle.spawn("agent events", follower.run(stopping));

    for courier in Courier::all(&config.log.witnesses, &deps.env, &db, &keys)? {
        deps.lifecycle.spawn("witness", courier.run(deps.lifecycle.stopping()));
    }

    let pages = Sealer::new(&deps.keyring.secret());
    let env = deps.env.clone();
    let service = Arc::new(Service { env, db, keys, appender, sequencer: nudge, agents, pages, ready });
    service.ready.ready();
    let limits = &config.server.limits;
    let public = AttestationServiceServer::from_arc(Arc::clone(&service))
        .max_decoding_message_size(limits.decode_bytes)
        .max_encoding_message_size(limits.encode_bytes);
    let internal = AttestationInternalServiceServer::from_arc(service)
        .max_decoding_message_size(limits.decode_bytes)
        .max_encoding_message_size(limits.encode_bytes);
    let routes = Routes::new(public).add_service(internal);
    Ok(App { name: "attestation", services: SERVICES, routes, admin: None })
}
