//! Starts the mesh from the inside out, waits, and stops it from the outside in.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use poa_chassis::config::ServerConfig;
use poa_chassis::{
    AdminServer, App, BuildError, Deps, Lifecycle, Listen, Served as _, bind, exit_on_next_signal, signalled,
    system_env,
};
use tokio::task::JoinHandle;

use crate::config::Config;
use crate::databases::Databases;
use crate::provision;
use crate::say::say;
use crate::stage::{Stage, Wiring};

/// The services behind the gateway.
const SERVICES: [&str; 5] = ["auth", "task", "escrow", "attestation", "search"];
/// How often to look whether all parts are up.
const READY_EVERY: Duration = Duration::from_millis(20);
/// How long all parts together may take to come up.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// Runs the whole mesh until SIGTERM or Ctrl-C.
pub(crate) async fn mesh(mut config: Config) -> Result<(), BuildError> {
    poa_chassis::metrics::install();
    let env = system_env();
    provision::deployment(&config, &env)?;
    // Bound before anything is started: a port in use should be the first thing to be heard of.
    let (listen, address) = bind(config.listen).await.map_err(|error| hint(&error, "POA__LISTEN"))?;
    let (admin_listen, admin_address) =
        bind(config.admin_listen).await.map_err(|error| hint(&error, "POA__ADMIN_LISTEN"))?;

    tracing::info!("starting the database");
    let databases = Databases::start(&config).await?;
    let mut servers = Servers::new(Wiring::new(env, &SERVICES));
    let running = async {
        prepare(&mut config, &databases).await?;
        servers.start_all(&config, listen, admin_listen).await?;
        poa_chassis::failpoint::check()?;
        servers.all_ready().await?;
        welcome(&config, address, admin_address);
        servers.one_ended().await
    };
    // A signal counts from here on, also in the middle of the start: the database is stopped in any case.
    let outcome = tokio::select! {
        () = signalled() => Ok(()),
        outcome = running => outcome,
    };
    say("\nstopping: calls in flight may finish, the data stays");
    exit_on_next_signal();
    servers.stop().await;
    databases.stop().await?;
    outcome
}

/// The servers of this process, in the order in which they are stopped.
struct Servers {
    wiring: Wiring,
    stages: Vec<Stage>,
    admin: Option<AdminServer>,
    admin_lifecycle: Lifecycle,
    admin_serving: Option<JoinHandle<()>>,
}

// === impl Servers ===

impl Servers {
    fn new(wiring: Wiring) -> Self {
        let admin_lifecycle = Lifecycle::default();
        let admin = Some(AdminServer::new(wiring.readiness().clone(), &admin_lifecycle));
        Self { wiring, stages: Vec::new(), admin, admin_lifecycle, admin_serving: None }
    }

    /// From the inside out: nobody is started before whom it calls.
    async fn start_all(&mut self, config: &Config, listen: Listen, admin: Listen) -> Result<(), BuildError> {
        tracing::info!("starting the services");
        let Config { auth, escrow, attestation, task, search, gateway, .. } = config.clone();
        self.start("auth", auth.server.clone(), async |deps| poa_auth::build(auth, deps).await).await?;
        let server = attestation.server.clone();
        self.start("attestation", server, async |deps| poa_attestation::build(attestation, deps).await)
            .await?;
        self.start("escrow", escrow.server.clone(), async |deps| poa_escrow::build(escrow, deps).await)
            .await?;
        self.start("task", task.server.clone(), async |deps| poa_task::build(task, deps).await).await?;
        self.start("search", search.server.clone(), async |deps| poa_search::build(search, deps).await)
            .await?;

        let server = gateway.server.clone();
        let deps = self.wiring.deps("gateway", &server)?;
        let edge = poa_gateway::build(gateway, deps.clone()).await?;
        self.stages.insert(0, Stage::start("gateway", edge, server.clone(), &deps, listen));
        self.serve_admin(admin, server);
        Ok(())
    }

    async fn start(
        &mut self,
        name: &'static str,
        server: ServerConfig,
        build: impl AsyncFnOnce(Deps) -> Result<App, BuildError>,
    ) -> Result<(), BuildError> {
        let deps = self.wiring.deps(name, &server)?;
        let mut app = build(deps.clone()).await?;
        if let Some(routes) = app.take_admin() {
            self.admin = self.admin.take().map(|admin| admin.with(routes, &server, &deps));
        }
        let listen = self.wiring.listen(name)?;
        self.stages.insert(0, Stage::start(name, app, server, &deps, listen));
        Ok(())
    }

    fn serve_admin(&mut self, listen: Listen, config: ServerConfig) {
        let Some(admin) = self.admin.take() else { return };
        let lifecycle = self.admin_lifecycle.clone();
        self.admin_serving = Some(tokio::spawn(async move {
            if let Err(error) = admin.serve(listen, &config, &lifecycle).await {
                tracing::error!(%error, "the admin port failed");
            }
        }));
    }

    /// Waits until all parts are up.
    async fn all_ready(&self) -> Result<(), BuildError> {
        let readiness = self.wiring.readiness();
        let ready = async {
            while !readiness.missing().is_empty() {
                tokio::time::sleep(READY_EVERY).await;
            }
        };
        tokio::time::timeout(READY_WITHIN, ready)
            .await
            .map_err(|_| format!("still not up after a minute: {}", readiness.missing().join(", ")).into())
    }

    /// Waits for a server to end by itself, which none should.
    async fn one_ended(&mut self) -> Result<(), BuildError> {
        let mut ends: Vec<_> = self.stages.iter_mut().map(|stage| Box::pin(stage.ended())).collect();
        let ended = std::future::poll_fn(|context| {
            ends.iter_mut()
                .map(|end| Future::poll(end.as_mut(), context))
                .find(std::task::Poll::is_ready)
                .unwrap_or(std::task::Poll::Pending)
        });
        Err(ended.await.into())
    }

    /// From the outside in: nobody is stopped before who calls it.
    async fn stop(self) {
        for stage in self.stages {
            stage.stop().await;
        }
        self.admin_lifecycle.stop(Duration::from_secs(1)).await;
        if let Some(serving) = self.admin_serving {
            serving.abort();
        }
    }
}

/// Gives each service its place: keys, logs and its own database.
pub(crate) async fn prepare(config: &mut Config, databases: &Databases) -> Result<(), BuildError> {
    let shared = config.clone();
    for (server, database, name) in [
        (&mut config.auth.server, &mut config.auth.database, "poa_auth"),
        (&mut config.task.server, &mut config.task.database, "poa_task"),
        (&mut config.escrow.server, &mut config.escrow.database, "poa_escrow"),
        (&mut config.attestation.server, &mut config.attestation.database, "poa_attestation"),
        (&mut config.search.server, &mut config.search.database, "poa_search"),
    ] {
        shared.place(server);
        *database = databases.of(name, database).await?;
    }
    shared.place(&mut config.gateway.server);
    config.escrow.lightning.data_dir = config.data_dir.join("lightning");
    // Beside the databases and not in them: a database from an older backup is noticed.
    config.attestation.log.kept_checkpoint.get_or_insert(config.data_dir.join("log-checkpoint"));
    Ok(())
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
    say(format_args!(
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
    ));
}

/// A path as a person would type it from here.
fn shortened(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(&here).unwrap_or(path).display().to_string()
}

fn hint(error: &std::io::Error, variable: &str) -> String {
    format!("{error}; is a mesh running already? Another port: {variable}=127.0.0.1:PORT")
}
