#![doc = include_str!("../README.md")]

mod config;
mod domain;
mod error;
mod failpoint;
mod methods;
mod metrics;
mod rpc;
mod service;
mod store;
mod worker;

use std::sync::Arc;

use poa_chassis::{App, BuildError, Deps};
use poa_proto::task::v1::task_internal_service_server::TaskInternalServiceServer;
use poa_proto::task::v1::task_service_server::TaskServiceServer;
use tonic::service::Routes;

pub use config::{ClaimConfig, Config, PriceConfig, WorkerConfig};
pub use domain::State;
pub use error::Error;
pub use failpoint::Failpoint;

use service::Service;

/// The migrations of this service's database.
static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("../../migrations/task");

/// The gRPC services on the service port.
const SERVICES: &[&str] = &["poa.task.v1.TaskService", "poa.task.v1.TaskInternalService"];

/// Decides a criterion as a submission would: for tests that try many. The outer error says why it is refused at the offer,
/// the inner one why the result fails it.
#[doc(hidden)]
pub fn decide(criterion: &proof_of_agent::Criterion, result: &[u8]) -> Result<Result<(), String>, String> {
    use domain::{Body, Place, criteria};
    criteria::decidable(criterion)?;
    let result = Body { media_type: String::new(), place: Place::Inline(result.to_vec()) };
    let policy = proof_of_agent::ReleasePolicy::OnAttestation;
    Ok(criteria::check(std::slice::from_ref(criterion), policy, &result).map_err(|failed| failed.why))
}

/// Builds the service: connects and migrates its database, starts its workers.
///
/// # Errors
/// Where the database cannot be reached, a peer has no address, or `trust-root.json` is missing from the keys.
pub async fn build(config: Config, deps: Deps) -> Result<App, BuildError> {
    poa_chassis::failpoint::arm::<Failpoint>()?;
    metrics::describe();
    let limits = config.server.limits.clone();
    let service = Arc::new(Service::start(config, &deps).await?);
    let public = TaskServiceServer::from_arc(Arc::new(rpc::Tasks::new(Arc::clone(&service))))
        .max_decoding_message_size(limits.decode_bytes)
        .max_encoding_message_size(limits.encode_bytes);
    let internal = TaskInternalServiceServer::from_arc(Arc::new(rpc::Tasks::new(Arc::clone(&service))))
        .max_decoding_message_size(limits.decode_bytes)
        .max_encoding_message_size(limits.encode_bytes);
    let routes = rpc::in_front_of(Routes::new(public).add_service(internal), service);
    Ok(App { name: "task", services: SERVICES, routes, admin: None })
}
