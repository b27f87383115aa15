//! Runs a server: from configuration to the last answered call.

use std::error::Error as StdError;
use std::future::Future;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use clap::Parser;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tonic::service::Routes;

use crate::admin::{self, AdminServer};
use crate::client::Peers;
use crate::config::{self, ServerConfig};
use crate::deps::Deps;
use crate::keyring::Keyring;
use crate::layers::{Gate, Port, wrap, wrap_edge};
use crate::lifecycle::{Lifecycle, exit_on_next_signal, signalled};
use crate::readiness::Readiness;
use crate::serve::serve_grpc;
use crate::transport::{Listen, Target, bind, reserve};

/// Why a server could not be built.
pub type BuildError = Box<dyn StdError + Send + Sync>;

/// How long workers may take to end.
const WORKER_PATIENCE: Duration = Duration::from_secs(10);

/// A service, built.
#[derive(Debug)]
pub struct App {
    /// The service's name, such as `escrow`.
    pub name: &'static str,
    /// The full names of the gRPC services on the service port, for health and reflection.
    pub services: &'static [&'static str],
    /// Public and internal methods.
    pub routes: Routes,
    /// Admin methods.
    pub admin: Option<Routes>,
}

/// A built server, ready to be run by [`main`]: an [`App`] or an [`Edge`].
pub trait Served: Send {
    /// Takes out the admin methods, which go to the admin port.
    fn take_admin(&mut self) -> Option<Routes>;

    /// Serves on one port until the drain has ended.
    fn serve(
        self,
        config: &ServerConfig,
        deps: &Deps,
        listen: Listen,
    ) -> impl Future<Output = Result<(), BuildError>> + Send;
}

/// A server that forwards what other servers authorise: traced and shed, nothing else.
#[derive(Debug)]
pub struct Edge(pub Router);

#[derive(Parser)]
struct Arguments {
    /// A TOML file; the environment (POA__SECTION__FIELD) wins over it.
    #[arg(long, value_name = "FILE", env = "POA_CONFIG")]
    config: Option<PathBuf>,
    /// Prints the configuration as it is understood, and ends.
    #[arg(long)]
    print_config: bool,
    /// Asks the server that runs with this configuration whether it is ready, and ends: 0 where it is.
    #[arg(long)]
    healthcheck: bool,
}

/// The whole `main` of a server: reads its configuration, builds the service, serves until SIGTERM, drains.
pub fn main<C, S, F, Fut>(
    name: &'static str,
    defaults: &C,
    server: fn(&C) -> &ServerConfig,
    build: F,
) -> ExitCode
where
    C: Serialize + DeserializeOwned,
    S: Served,
    F: FnOnce(C, Deps) -> Fut,
    Fut: Future<Output = Result<S, BuildError>>,
{
    let arguments = Arguments::parse();
    let config = match config::load(defaults, arguments.config.as_deref()) {
        Ok(config) => config,
        Err(error) => return fail(name, &error),
    };
    if arguments.print_config {
        return match config::print(&config) {
            Ok(text) => {
                println!("{text}");
                ExitCode::SUCCESS
            }
            Err(error) => fail(name, &error),
        };
    }
    if arguments.healthcheck {
        return match crate::healthcheck::check(server(&config).admin_listen) {
            Ok(Ok(())) => ExitCode::SUCCESS,
            Ok(Err(problem)) => fail(name, &std::io::Error::other(problem)),
            Err(error) => fail(name, &error),
        };
    }
    crate::telemetry::init(&server(&config).log);
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return fail(name, &error),
    };
    match runtime.block_on(run(name, config, server, build)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(name, error.as_ref()),
    }
}

/// Serves one built service on one port, with health and reflection, until the drain has ended.
pub async fn run_app(app: App, config: &ServerConfig, deps: &Deps, listen: Listen) -> Result<(), BuildError> {
    app.serve(config, deps, listen).await
}

async fn run<C, S, F, Fut>(
    name: &'static str,
    config: C,
    server: fn(&C) -> &ServerConfig,
    build: F,
) -> Result<(), BuildError>
where
    S: Served,
    F: FnOnce(C, Deps) -> Fut,
    Fut: Future<Output = Result<S, BuildError>>,
{
    crate::failpoint::read()?;
    crate::metrics::install();
    let env = crate::system::system_env();
    let common = server(&config).clone();
    let keyring = Arc::new(Keyring::open(&common.keys_dir, name, &common.audience, &env)?);
    let targets = common.peers.iter().map(|(peer, address)| (peer.clone(), Target::Address(address.clone())));
    let deps = Deps {
        env,
        peers: Peers::new(targets.collect(), Arc::clone(&keyring)),
        keyring,
        lifecycle: Lifecycle::default(),
        readiness: Readiness::default(),
    };
    // Dropped at the end of this function, when nothing is ready any more.
    let started = deps.readiness.latch("start");
    let (admin_listen, admin_address) = bind(common.admin_listen).await?;
    let (reserved, address) = reserve(common.listen)?;
    tracing::info!(service = name, %address, %admin_address, "starting");
    // Before the service: what a start waits for is seen on the admin port.
    let admin_methods = spawn_admin(admin_listen, &common, &deps);
    // One and the same from here on, so that none is missed in between: a process that is the first of its container
    // ignores a signal that it does not wait for, and a build may wait long.
    let mut signal = Box::pin(signalled());
    let built = tokio::select! {
        biased;
        () = &mut signal => {
            tracing::info!(service = name, "stopped before it served");
            exit_on_next_signal();
            deps.lifecycle.stop(WORKER_PATIENCE).await;
            return Ok(());
        }
        built = build(config, deps.clone()) => built,
    };
    let mut app = built?;
    crate::failpoint::check()?;
    let methods = app.take_admin().map(|routes| admin::methods(routes, &common, &deps));
    // Nobody else sets it.
    let _set_once = admin_methods.set(methods.unwrap_or_default());
    let listen = reserved.listen()?;
    started.ready();
    let lifecycle = deps.lifecycle.clone();
    let on_signal = lifecycle.clone();
    tracing::info!(service = name, %address, %admin_address, "serving");
    tokio::spawn(async move {
        signal.await;
        tracing::info!("draining");
        exit_on_next_signal();
        on_signal.begin_drain();
    });
    let served = app.serve(&common, &deps, listen).await;
    lifecycle.stop(WORKER_PATIENCE).await;
    tracing::info!(service = name, "stopped");
    served
}

/// Serves the admin port from now on; the service's own admin methods once they are set.
fn spawn_admin(listen: Listen, config: &ServerConfig, deps: &Deps) -> Arc<OnceLock<Router>> {
    let (admin, methods) = AdminServer::new(deps.readiness.clone(), &deps.lifecycle).with_later();
    let (config, lifecycle) = (config.clone(), deps.lifecycle.clone());
    deps.lifecycle.spawn("admin", async move {
        if let Err(error) = admin.serve(listen, &config, &lifecycle).await {
            tracing::error!(%error, "the admin port failed");
        }
    });
    methods
}

// === impl App ===

impl Served for App {
    fn take_admin(&mut self) -> Option<Routes> {
        self.admin.take()
    }

    /// With health, reflection and every layer.
    async fn serve(self, config: &ServerConfig, deps: &Deps, listen: Listen) -> Result<(), BuildError> {
        let (health_reporter, health) = tonic_health::server::health_reporter();
        for service in self.services {
            health_reporter.set_service_status(*service, tonic_health::ServingStatus::Serving).await;
        }
        let mut routes = self.routes.add_service(health);
        if config.reflection {
            let mut reflection = tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(poa_proto::DESCRIPTORS)
                .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
                .with_service_name(tonic_health::pb::health_server::SERVICE_NAME);
            for service in self.services {
                reflection = reflection.with_service_name(*service);
            }
            routes = routes.add_service(reflection.build_v1()?);
        }
        let gate = Arc::new(Gate::new(Arc::clone(&deps.keyring), deps.env.clone(), Port::Service));
        let router = wrap(routes.prepare().into_axum_router(), gate, &config.limits, &deps.lifecycle);
        serve_grpc(listen, router, config, deps.lifecycle.draining()).await?;
        Ok(())
    }
}

// === impl Edge ===

impl Served for Edge {
    fn take_admin(&mut self) -> Option<Routes> {
        None
    }

    async fn serve(self, config: &ServerConfig, deps: &Deps, listen: Listen) -> Result<(), BuildError> {
        let router = wrap_edge(self.0, &config.limits, &deps.lifecycle);
        Ok(serve_grpc(listen, router, config, deps.lifecycle.draining()).await?)
    }
}

fn fail(name: &str, error: &dyn StdError) -> ExitCode {
    eprintln!("poa-{name}: {}", crate::error::chain(error));
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use rustix::process::{Signal, getpid, kill_process};

    use super::*;

    #[tokio::test]
    async fn a_signal_ends_a_server_that_is_still_being_built() {
        let keys = tempfile::tempdir().unwrap();
        crate::keyring::provision(keys.path(), &["auth"], &crate::system::system_env()).unwrap();
        let config = ServerConfig { keys_dir: keys.path().to_owned(), ..ServerConfig::default() };
        let never = |_config, _deps| async {
            kill_process(getpid(), Signal::TERM).unwrap();
            std::future::pending::<Result<Edge, BuildError>>().await
        };
        let running = run("auth", config, |config| config, never);
        tokio::time::timeout(Duration::from_secs(30), running).await.unwrap().unwrap();
    }
}
