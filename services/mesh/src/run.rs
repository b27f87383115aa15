//! Starts the mesh from the inside out, waits, and stops it from the outside in.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use poa_chassis::config::ServerConfig;
use poa_chassis::{
    AdminServer, App, BuildError, Lifecycle, Readiness, Served as _, bind, signalled, system_env,
};
use poa_storage::DatabaseConfig;
use poa_storage::embedded::{EmbeddedPostgres, Options, Running};
use secrecy::ExposeSecret as _;

use crate::config::Config;
use crate::provision;
use crate::stage::{Stage, Wiring};

/// The services behind the gateway.
const SERVICES: [&str; 4] = ["auth", "task", "escrow", "attestation"];
/// How often to look whether all parts are up.
const READY_EVERY: Duration = Duration::from_millis(20);
/// How long all parts together may take to come up.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// Where each service's database is.
enum Databases {
    /// A private cluster of ours.
    Private(Running),
    /// A server of the operator's: its URL with `{database}` in it.
    Given(String),
}

/// Runs the whole mesh until SIGTERM or Ctrl-C.
pub(crate) async fn mesh(mut config: Config) -> Result<(), BuildError> {
    poa_chassis::metrics::install();
    let env = system_env();
    std::fs::create_dir_all(&config.data_dir)
        .map_err(|error| format!("cannot make the data folder {}: {error}", config.data_dir.display()))?;
    provision::deployment(&config.keys_dir(), config.network, &env)?;
    // Bound before anything is started: a port in use should be the first thing to be heard of.
    let (listen, address) = bind(config.listen).await.map_err(|error| hint(&error, "POA__LISTEN"))?;
    let (admin_listen, admin_address) =
        bind(config.admin_listen).await.map_err(|error| hint(&error, "POA__ADMIN_LISTEN"))?;

    tracing::info!("starting the database");
    let databases = Databases::start(&config).await?;
    prepare(&mut config, &databases).await?;

    let mut wiring = Wiring::new(env, &SERVICES);
    let admin_lifecycle = Lifecycle::default();
    let mut admin = AdminServer::new(wiring.readiness().clone(), &admin_lifecycle);
    // In the order in which they are stopped.
    let mut stages = Vec::new();
    macro_rules! start {
        ($name:literal, $crate_name:ident, $config:expr) => {{
            let server = $config.server.clone();
            let deps = wiring.deps($name, &server)?;
            let mut app: App = $crate_name::build($config, deps.clone()).await?;
            if let Some(routes) = app.take_admin() {
                admin = admin.with(routes, &server, &deps);
            }
            stages.insert(0, Stage::start($name, app, server, &deps, wiring.listen($name)?));
        }};
    }
    tracing::info!("starting the services");
    start!("auth", poa_auth, config.auth.clone());
    start!("escrow", poa_escrow, config.escrow.clone());
    start!("attestation", poa_attestation, config.attestation.clone());
    start!("task", poa_task, config.task.clone());

    let gateway_config = config.gateway.server.clone();
    let deps = wiring.deps("gateway", &gateway_config)?;
    let edge = poa_gateway::build(config.gateway.clone(), deps.clone()).await?;
    stages.insert(0, Stage::start("gateway", edge, gateway_config.clone(), &deps, listen));
    let admin_serving = serve_admin(admin, admin_listen, gateway_config, admin_lifecycle.clone());

    let outcome = tokio::select! {
        () = signalled() => Ok(()),
        outcome = watch(wiring.readiness(), &mut stages, || welcome(&config, address, admin_address)) => outcome,
    };
    println!("\nstopping: calls in flight may finish, the data stays");
    for stage in stages {
        stage.stop().await;
    }
    admin_lifecycle.stop(Duration::from_secs(1)).await;
    admin_serving.abort();
    databases.stop().await?;
    outcome
}

/// Gives each service its place: keys, logs and its own database.
async fn prepare(config: &mut Config, databases: &Databases) -> Result<(), BuildError> {
    let shared = config.clone();
    for (server, database, name) in [
        (&mut config.auth.server, &mut config.auth.database, "poa_auth"),
        (&mut config.task.server, &mut config.task.database, "poa_task"),
        (&mut config.escrow.server, &mut config.escrow.database, "poa_escrow"),
        (&mut config.attestation.server, &mut config.attestation.database, "poa_attestation"),
    ] {
        shared.place(server);
        *database = databases.of(name, database).await?;
    }
    shared.place(&mut config.gateway.server);
    config.escrow.lightning.data_dir = config.data_dir.join("lightning");
    Ok(())
}

/// Serves the admin port until its lifecycle stops.
fn serve_admin(
    admin: AdminServer,
    listen: poa_chassis::Listen,
    config: ServerConfig,
    lifecycle: Lifecycle,
) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        if let Err(error) = admin.serve(listen, &config, &lifecycle).await {
            tracing::error!(%error, "the admin port failed");
        }
    })
}

/// Waits until all parts are up, says so, then waits for one to end, which none should.
async fn watch(readiness: &Readiness, stages: &mut [Stage], up: impl FnOnce()) -> Result<(), BuildError> {
    let ready = async {
        while !readiness.missing().is_empty() {
            tokio::time::sleep(READY_EVERY).await;
        }
    };
    if tokio::time::timeout(READY_WITHIN, ready).await.is_err() {
        return Err(format!("still not up after a minute: {}", readiness.missing().join(", ")).into());
    }
    up();
    let mut ends: Vec<_> = stages.iter_mut().map(|stage| Box::pin(stage.ended())).collect();
    let ended = std::future::poll_fn(|context| {
        for end in &mut ends {
            if let std::task::Poll::Ready(what) = end.as_mut().poll(context) {
                return std::task::Poll::Ready(what);
            }
        }
        std::task::Poll::Pending
    });
    Err(ended.await.into())
}

/// Tells a person what runs where, and what to type next.
fn welcome(config: &Config, address: SocketAddr, admin: SocketAddr) {
    let network = config.network;
    let port = address.port();
    let poa = std::env::current_exe()
        .ok()
        .map(|mesh| mesh.with_file_name("poa"))
        .filter(|poa| poa.exists())
        .map_or_else(|| "poa".to_owned(), |poa| shortened(&poa));
    println!(
        "\nProof of Agent is up on the {network} network.\n\n\
         \x20 gRPC, grpc-web and a page   http://localhost:{port}\n\
         \x20 metrics and health          http://{admin}/metrics\n\
         \x20 data                        {}\n\
         \x20 operator's token            {}\n\n\
         Next, in another terminal:     {poa} demo{}\n\
         Ctrl-C stops it; the data stays.\n",
        config.data_dir.display(),
        config.keys_dir().join("admin.token").display(),
        if port == 3000 { String::new() } else { format!(" --endpoint http://localhost:{port}") },
    );
}

/// A path as a person would type it from here.
fn shortened(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(&here).unwrap_or(path).display().to_string()
}

fn hint(error: &std::io::Error, variable: &str) -> String {
    format!("{error}; is a mesh running already? Another port: {variable}=127.0.0.1:PORT")
}

// === impl Databases ===

impl Databases {
    async fn start(config: &Config) -> Result<Self, BuildError> {
        let url = config.database_url.expose_secret();
        if url.is_empty() {
            let options =
                Options { data_dir: config.data_dir.join("postgres"), durable: true, bin_dir: None };
            return Ok(Self::Private(EmbeddedPostgres::start(options).await?));
        }
        if url.contains("{database}") {
            Ok(Self::Given(url.to_owned()))
        } else {
            Err("database_url needs {database} where a database's name goes".into())
        }
    }

    /// A service's database, made where it is ours to make. A URL in the service's own section wins.
    async fn of(&self, name: &str, own: &DatabaseConfig) -> Result<DatabaseConfig, BuildError> {
        if !own.url.expose_secret().is_empty() {
            return Ok(own.clone());
        }
        let url = match self {
            Self::Private(cluster) => {
                cluster.ensure_database(name).await?;
                cluster.url_for(name)
            }
            Self::Given(url) => url.replace("{database}", name),
        };
        Ok(DatabaseConfig { url: url.into(), ..own.clone() })
    }

    async fn stop(self) -> Result<(), BuildError> {
        match self {
            Self::Private(cluster) => Ok(cluster.stop().await?),
            Self::Given(_) => Ok(()),
        }
    }
}
