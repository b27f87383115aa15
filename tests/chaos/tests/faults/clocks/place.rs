//! Two meshes whose wall clocks a test sets: one in this process, and one of real processes under libfaketime.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use poa_chassis::client::Peers;
use poa_chassis::config::ServerConfig;
use poa_chassis::keyring::{self, Keyring};
use poa_chassis::{
    AdminServer, App, BuildError, Deps, InProcess, Lifecycle, Listen, Readiness, Served, Target, bind,
};
use poa_common::{Clock, Entropy, Env, Network, Timestamp};
use poa_e2e::{Deployment, PROCESSES};
use poa_sdk::Admin;
use poa_sdk::system_env;
use poa_storage::DatabaseConfig;
use poa_testkit::eventually;
use tempfile::TempDir;

/// The processes with a clock of their own.
pub(super) const SERVICES: [&str; PROCESSES.len()] = {
    let mut names = [""; PROCESSES.len()];
    let mut place = 0;
    while place < names.len() {
        names[place] = PROCESSES[place].0;
        place += 1;
    }
    names
};
/// How long a jump may take to be seen by a process.
const SEEN_WITHIN: Duration = Duration::from_secs(30);
/// Where Debian keeps the library.
const LIBRARIES: [&str; 2] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
];

/// A mesh whose clocks are in the test's hand.
pub(super) enum Place {
    InProcess(Box<House>),
    Processes(Box<Faked>),
}

/// All services in this process, each with a clock that is so far from the system's.
pub(super) struct House {
    endpoint: String,
    admin: String,
    folder: TempDir,
    offsets: BTreeMap<&'static str, Arc<AtomicI64>>,
    /// Ends with the test.
    _lifecycles: Vec<Lifecycle>,
}

/// Processes that read how far their clock is off from a file each.
pub(super) struct Faked {
    mesh: Deployment,
    folder: TempDir,
}

/// The system's clock, moved.
struct Moved {
    seconds: Arc<AtomicI64>,
}

/// The system's randomness.
struct Random;

// === impl Place ===

impl Place {
    /// Services in this process.
    pub(super) async fn in_process() -> Self {
        Self::InProcess(Box::new(House::open().await.expect("a mesh in this process")))
    }

    /// Real processes; `None` where libfaketime is not installed.
    pub(super) async fn processes() -> Option<Self> {
        let library = LIBRARIES.iter().map(Path::new).find(|path| path.is_file())?;
        let folder = tempfile::tempdir().expect("a folder for the clocks");
        let library = library.to_string_lossy();
        let files: Vec<String> =
            SERVICES.iter().map(|name| folder.path().join(name).to_string_lossy().into_owned()).collect();
        let mut settings = Vec::new();
        for (name, file) in SERVICES.iter().zip(&files) {
            std::fs::write(file, "+0\n").expect("a clock");
            settings.extend([
                (*name, "LD_PRELOAD", &*library),
                (*name, "FAKETIME_TIMESTAMP_FILE", file),
                // The file is read at each look at the clock: a jump needs no time to be seen.
                (*name, "FAKETIME_NO_CACHE", "1"),
                (*name, "FAKETIME_DONT_FAKE_MONOTONIC", "1"),
                (*name, "DONT_FAKE_MONOTONIC", "1"),
            ]);
        }
        settings.push(("task", "POA__CLAIMS__LEASE_SECONDS", "600"));
        let mesh = Deployment::separate_with(&settings).await;
        Some(Self::Processes(Box::new(Faked { mesh, folder })))
    }

    pub(super) fn endpoint(&self) -> String {
        match self {
            Self::InProcess(house) => house.endpoint.clone(),
            Self::Processes(faked) => faked.mesh.endpoint(),
        }
    }

    pub(super) fn operator(&self) -> Admin {
        match self {
            Self::InProcess(house) => {
                let token = std::fs::read_to_string(house.folder.path().join("keys/admin.token"));
                Admin::connect(house.admin.as_str(), &token.expect("the operator's token"))
                    .expect("the admin port")
            }
            Self::Processes(faked) => crate::load::operator(&faked.mesh),
        }
    }

    pub(super) fn trust_root_file(&self) -> PathBuf {
        match self {
            Self::InProcess(house) => house.folder.path().join("keys/trust-root.json"),
            Self::Processes(faked) => faked.mesh.trust_root_file(),
        }
    }

    pub(super) fn logs(&self) -> String {
        match self {
            Self::InProcess(_) => String::new(),
            Self::Processes(faked) => faked.mesh.logs(),
        }
    }

    /// Moves the wall clocks of these services to so many hours from the true time.
    pub(super) async fn jump(&self, services: &[&'static str], hours: i64) {
        match self {
            Self::InProcess(house) => {
                for offset in services.iter().filter_map(|name| house.offsets.get(name)) {
                    offset.store(hours * 3_600, Ordering::SeqCst);
                }
            }
            Self::Processes(faked) => {
                for name in services {
                    // Whole or not at all: the process may be reading.
                    let part = faked.folder.path().join("part");
                    std::fs::write(&part, format!("{hours:+}h\n")).expect("a clock");
                    std::fs::rename(&part, faked.folder.path().join(name)).expect("a clock");
                }
                // A server's date header does not follow its clock backwards, and so it tells of jumps ahead alone.
                for name in services.iter().filter(|_| hours > 0) {
                    faked.sees(name, hours).await;
                }
            }
        }
    }
}

// === impl Faked ===

impl Faked {
    /// Waits until a process dates its answers by the moved clock.
    async fn sees(&self, name: &str, hours: i64) {
        let (_, admin) = self.mesh.addresses(name);
        eventually(SEEN_WITHIN, &format!("{name} sees its clock moved by {hours} h"), async || {
            let answer = poa_e2e::request(admin.port(), "GET", "/livez", &[], b"").await;
            let expected = system_env().now() + time::Duration::hours(hours);
            // "Sun, 06 Nov 1994 08:49:37 GMT": the day tells the jumps apart.
            answer.header("date").and_then(|date| date.get(5..7)) == Some(&format!("{:02}", expected.day()))
        })
        .await;
    }
}

// === impl House ===

impl House {
    async fn open() -> Result<Self, BuildError> {
        let folder = tempfile::tempdir()?;
        let keys = folder.path().join("keys");
        keyring::provision(&keys, &SERVICES, &system_env())?;
        poa_attestation::provision(&keys, Network::Simulated, "simulated.chaos/1", &system_env())?;
        let (mut pipes, mut ends) = (BTreeMap::new(), BTreeMap::new());
        for name in SERVICES {
            let (pipe, end) = InProcess::pair();
            pipes.insert(name.to_owned(), Target::InProcess(pipe));
            ends.insert(name, end);
        }
        let offsets: BTreeMap<_, _> = SERVICES.map(|name| (name, Arc::<AtomicI64>::default())).into();
        let deps = |name: &'static str, audience: &str| -> Result<Deps, BuildError> {
            let seconds = offsets.get(name).cloned().unwrap_or_default();
            let env = Env::new(Moved { seconds }, Random);
            let keyring = Arc::new(Keyring::open(&keys, name, audience, &env)?);
            let peers = Peers::new(pipes.clone(), Arc::clone(&keyring));
            let (lifecycle, readiness) = (Lifecycle::default(), Readiness::default());
            Ok(Deps { env, peers, keyring, lifecycle, readiness })
        };
        let mut lifecycles = Vec::new();

        let mut auth = poa_auth::Config { database: database("auth").await, ..Default::default() };
        keys.clone_into(&mut auth.server.keys_dir);
        // Hashes as in other tests: what a password costs is not the question here.
        (auth.hashing.memory_kib, auth.hashing.passes) = (64, 1);
        let own = deps("auth", &auth.server.audience)?;
        let app = poa_auth::build(auth.clone(), own.clone()).await?;
        lifecycles.push(serve(app, auth.server, own, ends.remove("auth")));

        let mut escrow = poa_escrow::Config { database: database("escrow").await, ..Default::default() };
        keys.clone_into(&mut escrow.server.keys_dir);
        escrow.lightning.data_dir = folder.path().join("lightning");
        std::fs::create_dir_all(&escrow.lightning.data_dir)?;
        let own = deps("escrow", &escrow.server.audience)?;
        let mut app = poa_escrow::build(escrow.clone(), own.clone()).await?;
        let (listen, admin) = bind(([127, 0, 0, 1], 0).into()).await?;
        serve_operators(&mut app, &escrow.server, &own, listen);
        lifecycles.push(serve(app, escrow.server, own, ends.remove("escrow")));

        let mut attestation =
            poa_attestation::Config { database: database("attestation").await, ..Default::default() };
        keys.clone_into(&mut attestation.server.keys_dir);
        let own = deps("attestation", &attestation.server.audience)?;
        let app = poa_attestation::build(attestation.clone(), own.clone()).await?;
        lifecycles.push(serve(app, attestation.server, own, ends.remove("attestation")));

        let mut task = poa_task::Config { database: database("task").await, ..Default::default() };
        keys.clone_into(&mut task.server.keys_dir);
        task.claims.lease_seconds = 600;
        let own = deps("task", &task.server.audience)?;
        let app = poa_task::build(task.clone(), own.clone()).await?;
        lifecycles.push(serve(app, task.server, own, ends.remove("task")));

        let mut search = poa_search::Config { database: database("search").await, ..Default::default() };
        keys.clone_into(&mut search.server.keys_dir);
        let own = deps("search", &search.server.audience)?;
        let app = poa_search::build(search.clone(), own.clone()).await?;
        lifecycles.push(serve(app, search.server, own, ends.remove("search")));

        let mut gateway = poa_gateway::Config::default();
        keys.clone_into(&mut gateway.server.keys_dir);
        let own = deps("gateway", &gateway.server.audience)?;
        let edge = poa_gateway::build(gateway.clone(), own.clone()).await?;
        let (listen, address) = bind(([127, 0, 0, 1], 0).into()).await?;
        lifecycles.push(serve(edge, gateway.server, own, Some(listen)));
        // People come to the gateway by a port.
        ends.remove("gateway");
        assert!(ends.is_empty(), "nothing serves {:?} here", ends.keys());
        Ok(Self {
            endpoint: format!("http://{address}"),
            admin: format!("http://{admin}"),
            folder,
            offsets,
            _lifecycles: lifecycles,
        })
    }
}

async fn database(name: &str) -> DatabaseConfig {
    DatabaseConfig::new(poa_testkit::fresh_database(&format!("clocks_{name}")).await)
}

/// The operators' methods of a service, on a port of their own.
fn serve_operators(app: &mut App, config: &ServerConfig, deps: &Deps, listen: Listen) {
    let mut operators = AdminServer::new(deps.readiness.clone(), &deps.lifecycle);
    if let Some(routes) = app.take_admin() {
        operators = operators.with(routes, config, deps);
    }
    let (config, lifecycle) = (config.clone(), deps.lifecycle.clone());
    tokio::spawn(async move { operators.serve(listen, &config, &lifecycle).await });
}

fn serve(
    served: impl Served + 'static,
    config: ServerConfig,
    deps: Deps,
    listen: Option<Listen>,
) -> Lifecycle {
    let lifecycle = deps.lifecycle.clone();
    let listen = listen.expect("each service is started once");
    tokio::spawn(async move { served.serve(&config, &deps, listen).await });
    lifecycle
}

// === impl Moved ===

impl Clock for Moved {
    fn now(&self) -> Timestamp {
        system_env().now() + time::Duration::seconds(self.seconds.load(Ordering::SeqCst))
    }
}

impl Entropy for Random {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(32) {
            chunk.copy_from_slice(&system_env().random::<32>()[..chunk.len()]);
        }
    }
}

/// A client's environment whose clock is so far off.
pub(super) fn env_at(hours: i64) -> Env {
    Env::new(Moved { seconds: Arc::new(AtomicI64::new(hours * 3_600)) }, Random)
}
