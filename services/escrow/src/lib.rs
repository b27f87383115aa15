#![doc = include_str!("../README.md")]

pub mod config;
pub mod lightning;
pub mod metrics;

mod audit;
mod domain;
mod egress;
mod error;
mod failpoint;
mod fees;
mod lnurl;
mod preimages;
mod resolves;
mod rpc;
mod service;
mod store;
mod trust;
mod withdraw;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use poa_chassis::{App, BuildError, Deps};
use poa_proto::attestation::v1::attestation_internal_service_client::AttestationInternalServiceClient;
use poa_proto::escrow::v1::escrow_admin_service_server::EscrowAdminServiceServer;
use poa_proto::escrow::v1::escrow_internal_service_server::EscrowInternalServiceServer;
use poa_proto::escrow::v1::escrow_service_server::EscrowServiceServer;
use poa_proto::escrow::v1::faucet_service_server::FaucetServiceServer;
use poa_storage::Database;
use poa_storage::events::{Events, EventsOptions};
use tonic::service::Routes;

pub use config::Config;
pub use domain::caps::Span;
pub use domain::hold_invoice::Unavailable;
pub use domain::invoice::Problem;
pub use domain::refusal::Refusal;
pub use domain::release::Unauthorised;
pub use error::Error;
pub use failpoint::Failpoint;
use lightning::Lightning;
pub use lnurl::{AddressProblem, read_lnurl};
use preimages::Preimages;
use rpc::Rpc;
use service::{Parts, Service};
use store::ledger::Ledger;
use trust::Trust;

/// The service's name.
const NAME: &str = "escrow";
/// A receipt chain of the most and largest statements that the contract allows, and a little: 256 × 64 KiB. Only Task
/// can send it.
const CHAIN_DECODE_BYTES: usize = 17 * 1_024 * 1_024;
/// How long the node may take to say who it is, at the start.
const NODE_PATIENCE: Duration = Duration::from_secs(10);
/// Why payouts are paused where `withdrawals.start_paused` says so.
const STARTED_PAUSED: &str = "started paused, as withdrawals.start_paused says";
/// What is served on the service port of any network.
const SERVICES: [&str; 2] = ["poa.escrow.v1.EscrowService", "poa.escrow.v1.EscrowInternalService"];
/// The same, and the faucet, on the simulated network.
const SERVICES_SIMULATED: [&str; 3] =
    ["poa.escrow.v1.EscrowService", "poa.escrow.v1.EscrowInternalService", "poa.escrow.v1.FaucetService"];

/// Builds the service on the node that its configuration names.
///
/// # Errors
/// Where the node cannot be opened, or as [`build_on`].
pub async fn build(config: Config, deps: Deps) -> Result<App, BuildError> {
    // Seen on the admin port while this process waits for its node, or for its turn at the simulated one.
    let waiting = deps.readiness.latch(if config.lightning.standby { "standby" } else { "lightning node" });
    let lightning = Lightning::open(&config.lightning, deps.env.clone()).await?;
    waiting.retire();
    build_on(config, deps, lightning).await
}

/// Builds the service on a node that is open already.
///
/// # Errors
/// Where the node or the database does not answer, or cannot be used.
pub async fn build_on(config: Config, deps: Deps, lightning: Lightning) -> Result<App, BuildError> {
    poa_chassis::failpoint::arm::<Failpoint>()?;
    config.reconciliation.check()?;
    config.audit.check()?;
    metrics::describe();
    config.holds.check()?;
    config.withdrawals.check()?;
    let latches = [deps.readiness.latch("database"), deps.readiness.latch("lightning")];
    let db = Database::connect(&config.database, &store::MIGRATIONS).await?;
    let stopping = deps.lifecycle.stopping();
    let (ledger, writer) = Ledger::spawn(&db, stopping.clone()).await?;
    deps.lifecycle.spawn("ledger", async move {
        if let Err(error) = writer.await {
            tracing::error!(%error, "the ledger's writer failed");
        }
    });
    let (events, relay) = Events::spawn(&db, EventsOptions::default(), stopping);
    deps.lifecycle.spawn("escrow event relay", async move {
        if let Err(error) = relay.await {
            tracing::error!(%error, "the event relay failed");
        }
    });
    let Lightning { provider, dispatcher, faucet } = lightning;
    // Switched off or not: what was locked before is taken or given back.
    let preimages = match provider.hold_invoices() {
        Some(_) => Some(Preimages::new(&deps.keyring.preimage_secret()?)),
        None => None,
    };
    let node = tokio::time::timeout(NODE_PATIENCE, provider.info()).await??;
    Trust::new(deps.keyring.dir(), node.network).check_network()?;
    let egress = egress::open(&config.egress, node.network)?;
    let switch = if config.withdrawals.start_paused {
        store::payout_switch::pause(&db, STARTED_PAUSED, deps.env.now()).await?
    } else {
        store::payout_switch::read(&db).await?
    };
    metrics::payouts_paused(switch.paused);
    latches.iter().for_each(poa_chassis::Latch::ready);
    let (reconciler, rounds) = worker::reconciliation::channel();
    let attestation = match config.liabilities.every_seconds {
        0 => None,
        _ => Some(AttestationInternalServiceClient::new(deps.peers.identified("attestation")?)),
    };
    let simulated = faucet.is_some();
    let limits = config.server.limits.clone();
    let service = Arc::new(Service::new(Parts {
        config,
        env: deps.env.clone(),
        keyring: Arc::clone(&deps.keyring),
        db,
        ledger,
        provider,
        node,
        egress,
        faucet,
        preimages,
        events,
        reconciler,
        latches,
    }));
    worker::spawn(&service, dispatcher, rounds, attestation, &deps.lifecycle);

    let rpc = Rpc::new(service);
    let mut routes = Routes::new(
        EscrowServiceServer::new(rpc.clone())
            .max_decoding_message_size(limits.decode_bytes)
            .max_encoding_message_size(limits.encode_bytes),
    )
    .add_service(
        EscrowInternalServiceServer::new(rpc.clone())
            .max_decoding_message_size(limits.decode_bytes.max(CHAIN_DECODE_BYTES))
            .max_encoding_message_size(limits.encode_bytes),
    );
    if simulated {
        routes = routes.add_service(
            FaucetServiceServer::new(rpc.clone())
                .max_decoding_message_size(limits.decode_bytes)
                .max_encoding_message_size(limits.encode_bytes),
        );
    }
    let admin = Routes::new(
        EscrowAdminServiceServer::new(rpc)
            .max_decoding_message_size(limits.decode_bytes)
            .max_encoding_message_size(limits.encode_bytes),
    );
    Ok(App {
        name: NAME,
        services: if simulated { &SERVICES_SIMULATED } else { &SERVICES },
        routes,
        admin: Some(admin),
    })
}
