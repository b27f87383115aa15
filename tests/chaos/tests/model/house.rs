//! The services, each on a runtime and a database of its own: started, crashed and started again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ed25519_dalek::SigningKey;
use poa_chassis::client::Peers;
use poa_chassis::config::ServerConfig;
use poa_chassis::keyring::{self, Keyring};
use poa_chassis::token::{AccessClaims, sign_access};
use poa_chassis::{AdminServer, App, BuildError, Deps, InProcess, Lifecycle, Readiness, Target, run_app};
use poa_common::{AccountId, Env, Network};
use poa_escrow::lightning::{Dispatcher, Lightning};
use poa_payment::simulated::{
    Answer, ChangeFault, Fault, HintFault, LookupFault, OpenError, Options, PayEffect, Resolution,
    SimulatedNode,
};
use poa_payment::{FailureReason, PaymentHash};
use poa_storage::DatabaseConfig;
use poa_testkit::TestClock;
use proof_of_agent::TrustRoot;
use sqlx::{Connection as _, PgConnection};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tonic::transport::Channel;

use crate::dice::Dice;
use crate::network::{Traffic, link};
use crate::plan::Service;

const AUDIENCE: &str = "proof-of-agent";
const NAMES: [&str; 5] = ["auth", "task", "escrow", "attestation", "gateway"];
/// All that an account may do.
const SCOPES: &str = "tasks.read tasks.write work.write money.read money.deposit money.withdraw agents.read \
                      agents.write account.read";
/// How long a service may take to start: generous, because a busy machine is no failure.
const START_WITHIN: Duration = Duration::from_secs(60);
/// The longest lease of a claim, in seconds: longer than a run, so that only time that is let pass ends one.
pub(crate) const LEASE_SECONDS: u32 = 600;

/// Where a service is reached now.
#[derive(Debug)]
pub(crate) struct Door {
    service: Service,
    open: Mutex<Vec<Channel>>,
}

/// A running server.
struct Instance {
    runtime: Runtime,
    admin: Option<Channel>,
}

/// The Lightning network at a start of escrow.
struct Outside {
    node: std::path::PathBuf,
    faults: Vec<Fault>,
    resolved: Vec<PaymentHash>,
}

/// All services, their keys, databases and clocks.
pub(crate) struct House {
    pub(crate) env: Env,
    pub(crate) clock: TestClock,
    pub(crate) trust: TrustRoot,
    pub(crate) traffic: Arc<Traffic>,
    seed: u64,
    folder: TempDir,
    jwt: SigningKey,
    databases: BTreeMap<Service, String>,
    doors: BTreeMap<Service, Arc<Door>>,
    running: Mutex<BTreeMap<Service, Vec<Instance>>>,
    /// How many instances were started so far: each meets faults of its own.
    starts: Mutex<u64>,
    /// Payments that payees have held long enough: they take them at the next start of the node.
    resolved: Mutex<Vec<PaymentHash>>,
}

// === impl Door ===

impl Door {
    pub(crate) fn name(&self) -> &'static str {
        self.service.name()
    }

    /// A channel to one of the running instances, if there is one.
    pub(crate) fn channel(&self, turn: usize) -> Option<Channel> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.get(turn.checked_rem(open.len())?).cloned()
    }
}

// === impl House ===

impl House {
    /// Makes keys and databases, and starts all services.
    pub(crate) async fn open(seed: u64) -> Self {
        let (env, clock) = poa_testkit::env(seed);
        let folder = tempfile::tempdir().unwrap();
        let keys = folder.path().join("keys");
        keyring::provision(&keys, &NAMES, &env).unwrap();
        let trust = poa_attestation::provision(&keys, Network::Simulated, "log.example", &env).unwrap();
        let jwt = keyring::signing_key(&keys.join("jwt.key"), &env).unwrap();
        let mut databases = BTreeMap::new();
        let mut doors = BTreeMap::new();
        for service in Service::ALL {
            databases.insert(service, poa_testkit::fresh_database(service.name()).await);
            doors.insert(service, Arc::new(Door { service, open: Mutex::default() }));
        }
        let traffic = Arc::new(Traffic::default());
        let running = Mutex::default();
        let (starts, resolved) = (Mutex::new(0), Mutex::default());
        let house = Self {
            env,
            clock,
            trust,
            traffic,
            seed,
            folder,
            jwt,
            databases,
            doors,
            running,
            starts,
            resolved,
        };
        for service in [Service::Auth, Service::Escrow, Service::Attestation, Service::Task] {
            house.start(service).await;
        }
        house
    }

    /// Payees take these payments when the node is started next.
    pub(crate) fn resolve(&self, payments: Vec<PaymentHash>) {
        *self.resolved.lock().unwrap_or_else(PoisonError::into_inner) = payments;
    }

    pub(crate) fn door(&self, service: Service) -> Arc<Door> {
        Arc::clone(&self.doors[&service])
    }

    /// How many instances of a service run.
    pub(crate) fn running(&self, service: Service) -> usize {
        self.lock().get(&service).map_or(0, Vec::len)
    }

    /// A channel to the running service, which no fault touches: to look, not to act.
    pub(crate) fn look(&self, service: Service) -> Option<Channel> {
        self.doors[&service].channel(0)
    }

    /// The operators' door of escrow.
    pub(crate) fn operators(&self) -> Option<Channel> {
        self.lock().get(&Service::Escrow)?.first()?.admin.clone()
    }

    pub(crate) fn operators_token(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("keys/admin.token")).unwrap().trim().to_owned()
    }

    pub(crate) async fn sql(&self, service: Service) -> PgConnection {
        PgConnection::connect(&self.databases[&service]).await.unwrap()
    }

    /// An account's token of now.
    pub(crate) fn token(&self, account: AccountId) -> String {
        let now = self.env.now().unix_timestamp();
        let claims = AccessClaims {
            iss: "auth".to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: account,
            scope: SCOPES.to_owned(),
            agent: None,
            sid: None,
            iat: now,
            exp: now + 600,
        };
        sign_access(&self.jwt, &keyring::key_id(&self.jwt.verifying_key()), &claims).unwrap()
    }

    /// Starts one more instance of a service, on its database as it is.
    pub(crate) async fn start(&self, service: Service) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name(service.name())
            .enable_all()
            .build()
            .unwrap();
        let keys = self.folder.path().join("keys");
        let keyring = Arc::new(Keyring::open(&keys, service.name(), AUDIENCE, &self.env).unwrap());
        let start = {
            let mut starts = self.starts.lock().unwrap_or_else(PoisonError::into_inner);
            *starts += 1;
            *starts
        };
        let targets = self.peers_of(service, start);
        let deps = Deps {
            env: self.env.clone(),
            peers: Peers::new(targets, Arc::clone(&keyring)),
            keyring: Arc::clone(&keyring),
            lifecycle: Lifecycle::default(),
            readiness: Readiness::default(),
        };
        let url = self.databases[&service].clone();
        let (pipe, listen) = InProcess::pair();
        let (admin_pipe, admin_listen) = InProcess::pair();
        let (started, ready) = tokio::sync::oneshot::channel();
        let node = self.folder.path().join("node.journal");
        let faults = self.bad_days(service, start);
        let resolved = self.resolved.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let world = Outside { node, faults, resolved };
        runtime.spawn(async move {
            let server = ServerConfig { keys_dir: keys, ..ServerConfig::default() };
            let built = build(service, &url, &server, deps.clone(), world).await;
            let (mut app, server) = match built {
                Ok(built) => built,
                Err(error) => {
                    let _gone = started.send(Err(error.to_string()));
                    return;
                }
            };
            if let Some(routes) = app.admin.take() {
                let (server, lifecycle) = (server.clone(), deps.lifecycle.clone());
                let admin = AdminServer::new(deps.readiness.clone(), &lifecycle).with(routes, &server, &deps);
                tokio::spawn(async move { admin.serve(admin_listen, &server, &lifecycle).await });
            }
            let _gone = started.send(Ok(()));
            run_app(app, &server, &deps, listen).await.unwrap();
        });
        match tokio::time::timeout(START_WITHIN, ready).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => panic!("{} does not start: {error}", service.name()),
            Ok(Err(_)) | Err(_) => panic!("{} does not start", service.name()),
        }
        let targets = BTreeMap::from([
            ("service".to_owned(), Target::InProcess(pipe)),
            ("admin".to_owned(), Target::InProcess(admin_pipe)),
        ]);
        let outside = Peers::new(targets, keyring);
        let admin = (service == Service::Escrow).then(|| outside.channel("admin").unwrap());
        let channel = outside.channel("service").unwrap();
        self.doors[&service].open.lock().unwrap_or_else(PoisonError::into_inner).push(channel);
        self.lock().entry(service).or_default().push(Instance { runtime, admin });
    }

    /// Ends the newest instance of a service at once: nothing drains, nothing is awaited.
    pub(crate) fn crash(&self, service: Service) {
        self.doors[&service].open.lock().unwrap_or_else(PoisonError::into_inner).pop();
        if let Some(instance) = self.lock().get_mut(&service).and_then(Vec::pop) {
            instance.runtime.shutdown_background();
        }
    }

    /// Ends everything.
    pub(crate) fn close(&self) {
        for service in Service::ALL {
            while self.running(service) > 0 {
                self.crash(service);
            }
        }
    }

    /// Whom a service calls, each through a link of its own.
    fn peers_of(&self, service: Service, start: u64) -> BTreeMap<String, Target> {
        let callees: &[Service] = match service {
            Service::Task => &[Service::Escrow, Service::Attestation],
            Service::Escrow => &[Service::Attestation],
            Service::Attestation => &[Service::Auth],
            Service::Auth => &[],
        };
        let target = |callee: &Service| {
            let seed = self.seed.wrapping_add(start << 32);
            let pipe = link(service.name(), seed, self.door(*callee), &self.traffic);
            (callee.name().to_owned(), Target::InProcess(pipe))
        };
        callees.iter().map(target).collect()
    }

    /// What the Lightning node does wrong after this start.
    fn bad_days(&self, service: Service, start: u64) -> Vec<Fault> {
        // The opening is to succeed.
        let first = start <= u64::try_from(Service::ALL.len()).unwrap();
        if service != Service::Escrow || self.traffic.is_healed() || first {
            return Vec::new();
        }
        let mut dice = Dice::new(self.seed, &format!("node#{start}"));
        let pay = |effect, answer| Fault::Pay { effect, answer };
        let kinds = [
            Fault::LookupInvoice(LookupFault::Stale),
            Fault::LookupInvoice(LookupFault::NoAnswer),
            Fault::LookupInvoice(LookupFault::NotFound),
            Fault::LookupPayment(LookupFault::Stale),
            Fault::LookupPayment(LookupFault::NoAnswer),
            Fault::LookupPayment(LookupFault::NotFound),
            Fault::Change(ChangeFault::AnswerLost),
            Fault::Change(ChangeFault::RequestLost),
            Fault::Hint(HintFault::Lose),
            Fault::Hint(HintFault::Duplicate),
            Fault::Hint(HintFault::Delay),
            pay(PayEffect::Usual, Answer::Lost),
            pay(PayEffect::Usual, Answer::Never),
            pay(PayEffect::Usual, Answer::Given),
            pay(PayEffect::StaysInFlight, Answer::Lost),
            pay(PayEffect::Fails(FailureReason::NoRoute), Answer::Given),
            pay(PayEffect::Fails(FailureReason::NoRoute), Answer::Lost),
        ];
        (0..6).map(|_| dice.pick(&kinds)).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Service, Vec<Instance>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.close();
    }
}

async fn build(
    service: Service,
    url: &str,
    server: &ServerConfig,
    deps: Deps,
    outside: Outside,
) -> Result<(App, ServerConfig), BuildError> {
    let database = DatabaseConfig::new(url);
    let placed = |own: ServerConfig| ServerConfig { keys_dir: server.keys_dir.clone(), ..own };
    match service {
        Service::Auth => {
            let mut config = poa_auth::Config { database, ..poa_auth::Config::default() };
            config.server = placed(config.server);
            // Passwords are not what is tested here.
            (config.hashing.memory_kib, config.hashing.passes) = (256, 1);
            let server = config.server.clone();
            Ok((poa_auth::build(config, deps).await?, server))
        }
        Service::Task => {
            let mut config = poa_task::Config { database, ..poa_task::Config::default() };
            config.server = placed(config.server);
            config.claims.lease_seconds = LEASE_SECONDS;
            (config.worker.tick_ms, config.worker.poll_ms) = (20, 40);
            config.worker.call_timeout_ms = 1_500;
            let server = config.server.clone();
            Ok((poa_task::build(config, deps).await?, server))
        }
        Service::Escrow => {
            let mut config = poa_escrow::Config { database, ..poa_escrow::Config::default() };
            config.server = placed(config.server);
            (config.deposits.poll_ms, config.withdrawals.poll_ms) = (100, 100);
            config.withdrawals.call_timeout_ms = 500;
            config.withdrawals.lost_margin_seconds = 0;
            config.liabilities.every_seconds = 1;
            let server = config.server.clone();
            let (node, payer) = open_node(outside.node, deps.env.clone()).await?;
            for payment in outside.resolved {
                // Most have ended already, and some never reached the node.
                let _ended_already = node.resolve_payment(payment, Resolution::Settles).await;
            }
            assert!(node.script(outside.faults));
            let lightning = Lightning::simulated(node, Dispatcher::new(payer));
            Ok((poa_escrow::build_on(config, deps, lightning).await?, server))
        }
        Service::Attestation => {
            let mut config = poa_attestation::Config { database, ..poa_attestation::Config::default() };
            config.server = placed(config.server);
            config.log.checkpoint_interval_ms = 50;
            let server = config.server.clone();
            Ok((poa_attestation::build(config, deps).await?, server))
        }
    }
}

/// Opens the node once the service before has let go of it.
async fn open_node(
    path: std::path::PathBuf,
    env: Env,
) -> Result<(SimulatedNode, poa_payment::simulated::SimulatedPayer), BuildError> {
    let end = Instant::now() + START_WITHIN;
    loop {
        let (options, env) = (Options::new(path.clone()), env.clone());
        match tokio::task::spawn_blocking(move || SimulatedNode::open(&options, env)).await? {
            Err(OpenError::InUse { .. }) if Instant::now() < end => {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            opened => return Ok(opened?),
        }
    }
}
