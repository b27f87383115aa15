//! A running service with a clock and a node in the test's hand.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ed25519_dalek::SigningKey;
use futures_util::future::BoxFuture;
use poa_chassis::client::{PeerChannel, Peers};
use poa_chassis::keyring::{self, Keyring};
use poa_chassis::token::{AccessClaims, sign_access};
use poa_chassis::{AdminServer, Deps, InProcess, Lifecycle, Readiness, Target, run_app};
use poa_common::{AccountId, Env, TypedId};
use poa_escrow::Config;
use poa_escrow::lightning::{Dispatcher, Lightning};
use poa_payment::simulated::{OpenError, Options, SimulatedNode, SimulatedPayer};
use poa_payment::{Outcome, PayIntent, Payer};
use poa_proto::escrow::v1::escrow_admin_service_client::EscrowAdminServiceClient;
use poa_proto::escrow::v1::escrow_internal_service_client::EscrowInternalServiceClient;
use poa_proto::escrow::v1::escrow_service_client::EscrowServiceClient;
use poa_proto::escrow::v1::faucet_service_client::FaucetServiceClient;
use poa_proto::escrow::v1::{AuditLedgerRequest, LedgerAudit};
use poa_storage::DatabaseConfig;
use poa_testkit::TestClock;
use sqlx::{Connection as _, PgConnection};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use crate::chain;

const AUDIENCE: &str = "proof-of-agent";
const SERVICES: [&str; 4] = ["task", "escrow", "auth", "attestation"];
pub(crate) const ALL_SCOPES: &str = "money.read money.deposit money.withdraw tasks.write";
/// Until a worker must have done what a test waits for.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// A deployment: keys, database and node outlive a restart of the service.
pub(crate) struct World {
    pub(crate) env: Env,
    pub(crate) clock: TestClock,
    pub(crate) url: String,
    /// The keys, which replicas share.
    folder: Arc<TempDir>,
    /// The node's file, which they do not.
    node_file: PathBuf,
    config: Config,
    /// Whom the service calls, by name: nobody, unless a test says so.
    peers: BTreeMap<String, Target>,
    running: Option<Running>,
}

struct Running {
    /// None where the service runs on another kind of node.
    simulated: Option<(SimulatedNode, Arc<SimulatedPayer>)>,
    pipe: InProcess,
    admin: InProcess,
    lifecycle: Lifecycle,
    tasks: [JoinHandle<()>; 2],
    /// The service's own: what is dropped with it is dropped as by a crash.
    runtime: Option<Runtime>,
}

/// The node's one payer, in the service's hand and in the test's.
struct Shared(Arc<SimulatedPayer>);

impl Payer for Shared {
    fn pay(&self, intent: PayIntent) -> BoxFuture<'_, Outcome> {
        self.0.pay(intent)
    }
}

/// Somebody with an account.
#[derive(Clone, Debug)]
pub(crate) struct User {
    pub(crate) account: AccountId,
    pub(crate) token: String,
}

pub(crate) async fn world() -> World {
    world_with(|_| {}).await
}

pub(crate) async fn world_with(change: impl FnOnce(&mut Config)) -> World {
    let mut world = prepared(change).await;
    world.start().await;
    world
}

/// A deployment on the node that its configuration names, a stand-in of it: its sats are of a test network.
pub(crate) async fn world_on_its_node(change: impl FnOnce(&mut Config)) -> World {
    let mut world = prepared(change).await;
    let root = world.keys().join("trust-root.json");
    let simulated = std::fs::read_to_string(&root).unwrap();
    std::fs::write(&root, simulated.replace("\"simulated\"", "\"regtest\"")).unwrap();
    let lightning = Lightning::open(&world.config.lightning, world.env.clone()).await.unwrap();
    world.start_with(lightning, None).await;
    world
}

/// Everything but the running service.
async fn prepared(change: impl FnOnce(&mut Config)) -> World {
    let (env, clock) = poa_testkit::env(7);
    let folder = Arc::new(tempfile::tempdir().unwrap());
    keyring::provision(&folder.path().join("keys"), &SERVICES, &env).unwrap();
    let root = chain::trust_root().to_json().unwrap();
    std::fs::write(folder.path().join("keys/trust-root.json"), root).unwrap();
    let url = poa_testkit::fresh_database("escrow").await;
    let mut config = Config { database: DatabaseConfig::new(url.clone()), ..Config::default() };
    config.server.keys_dir = folder.path().join("keys");
    config.deposits.poll_ms = 50;
    config.withdrawals.poll_ms = 50;
    config.withdrawals.call_timeout_ms = 500;
    config.withdrawals.lost_margin_seconds = 0;
    config.liabilities.every_seconds = 0;
    change(&mut config);
    let node_file = folder.path().join("node.journal");
    let peers = BTreeMap::new();
    World { env, clock, url, folder, node_file, config, peers, running: None }
}

/// A request with an access token.
pub(crate) fn with<T>(token: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    request
}

/// The code and the reason of a refusal.
pub(crate) fn refusal<T: std::fmt::Debug>(outcome: Result<T, Status>) -> (Code, String) {
    let status = outcome.unwrap_err();
    (status.code(), poa_chassis::failure(&status).reason)
}

/// One fact of a refusal.
pub(crate) fn fact<T: std::fmt::Debug>(outcome: Result<T, Status>, key: &str) -> String {
    let status = outcome.unwrap_err();
    poa_chassis::failure(&status).metadata.get(key).cloned().unwrap_or_default()
}

// === impl World ===

impl World {
    pub(crate) fn keys(&self) -> PathBuf {
        self.folder.path().join("keys")
    }

    /// A second server on the same database, keys and node.
    pub(crate) async fn replica(&self) -> Self {
        let (node, payer) = self.running().simulated.clone().unwrap();
        let mut replica = Self {
            env: self.env.clone(),
            clock: self.clock.clone(),
            url: self.url.clone(),
            folder: Arc::clone(&self.folder),
            node_file: self.node_file.clone(),
            config: self.config.clone(),
            peers: self.peers.clone(),
            running: None,
        };
        replica.start_on_simulated(node, payer).await;
        replica
    }

    /// Lets the next start use another database.
    pub(crate) fn restore(&mut self, url: String) {
        self.config.database = DatabaseConfig::new(url.clone());
        self.url = url;
    }

    /// What a service beside this one is built with.
    pub(crate) fn deps_of(&self, name: &'static str) -> Deps {
        let keyring = Arc::new(Keyring::open(&self.keys(), name, AUDIENCE, &self.env).unwrap());
        Deps {
            env: self.env.clone(),
            peers: Peers::new(BTreeMap::new(), Arc::clone(&keyring)),
            keyring,
            lifecycle: Lifecycle::default(),
            readiness: Readiness::default(),
        }
    }

    /// Whom the service calls from the next start on.
    pub(crate) fn calls(&mut self, name: &str, target: InProcess) {
        self.peers.insert(name.to_owned(), Target::InProcess(target));
    }

    /// Changes the configuration of the next start.
    pub(crate) fn change(&mut self, change: impl FnOnce(&mut Config)) {
        change(&mut self.config);
    }

    /// Starts the service on its database and node, as they are.
    pub(crate) async fn start(&mut self) {
        let (node, payer) = loop {
            match SimulatedNode::open(&Options::new(&self.node_file), self.env.clone()) {
                Ok(opened) => break opened,
                // The last connection of the service before is still closing.
                Err(OpenError::InUse { .. }) => tokio::task::yield_now().await,
                Err(error) => panic!("{error:?}"),
            }
        };
        self.start_on_simulated(node, Arc::new(payer)).await;
    }

    async fn start_on_simulated(&mut self, node: SimulatedNode, payer: Arc<SimulatedPayer>) {
        let lightning = Lightning::simulated(node.clone(), Dispatcher::new(Shared(Arc::clone(&payer))));
        self.start_with(lightning, Some((node, payer))).await;
    }

    async fn start_with(
        &mut self,
        lightning: Lightning,
        simulated: Option<(SimulatedNode, Arc<SimulatedPayer>)>,
    ) {
        let keyring = Arc::new(Keyring::open(&self.keys(), "escrow", AUDIENCE, &self.env).unwrap());
        let deps = Deps {
            env: self.env.clone(),
            peers: Peers::new(self.peers.clone(), Arc::clone(&keyring)),
            keyring,
            lifecycle: Lifecycle::default(),
            readiness: Readiness::default(),
        };
        let config = self.config.clone();
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let building = poa_escrow::build_on(config.clone(), deps.clone(), lightning);
        let mut app = runtime.spawn(building).await.unwrap().unwrap();
        assert!(deps.readiness.missing().is_empty());
        let (pipe, listen) = InProcess::pair();
        let (admin, admin_listen) = InProcess::pair();
        let lifecycle = deps.lifecycle.clone();
        let routes = app.admin.take().unwrap();
        let operators =
            AdminServer::new(deps.readiness.clone(), &lifecycle).with(routes, &config.server, &deps);
        let admin_task = runtime.spawn({
            let (server, lifecycle) = (config.server.clone(), lifecycle.clone());
            async move { operators.serve(admin_listen, &server, &lifecycle).await.unwrap() }
        });
        let serving =
            runtime.spawn(async move { run_app(app, &config.server, &deps, listen).await.unwrap() });
        let tasks = [serving, admin_task];
        self.running = Some(Running { simulated, pipe, admin, lifecycle, tasks, runtime: Some(runtime) });
    }

    /// Starts the service again on another node; the file of the one before.
    pub(crate) async fn change_node(&mut self) -> PathBuf {
        let other = self.folder.path().join("other.journal");
        self.start_on(other).await
    }

    /// Starts the service again on the node in this file; the file of the one before.
    pub(crate) async fn start_on(&mut self, node_file: PathBuf) -> PathBuf {
        self.stop().await;
        let before = std::mem::replace(&mut self.node_file, node_file);
        self.start().await;
        before
    }

    /// Stops the service in order, and lets go of the node.
    pub(crate) async fn stop(&mut self) {
        let Running { simulated, pipe, admin, lifecycle, tasks, runtime } = self.running.take().unwrap();
        drop((simulated, pipe, admin));
        lifecycle.begin_drain();
        lifecycle.stop(SOON).await;
        for task in tasks {
            task.await.unwrap();
        }
        runtime.unwrap().shutdown_background();
    }

    /// Ends the service in the middle of whatever it does: nothing drains, nothing is awaited.
    pub(crate) fn crash(&mut self) {
        self.running.take().unwrap().runtime.unwrap().shutdown_background();
    }

    fn running(&self) -> &Running {
        self.running.as_ref().unwrap()
    }

    /// The node.
    pub(crate) fn node(&self) -> &SimulatedNode {
        &self.running().simulated.as_ref().unwrap().0
    }

    /// Somebody else who spends from the node.
    pub(crate) fn payer(&self) -> &SimulatedPayer {
        &self.running().simulated.as_ref().unwrap().1
    }

    /// The file of the node.
    pub(crate) fn node_file(&self) -> &std::path::Path {
        &self.node_file
    }

    fn peers(&self, caller: &'static str) -> Peers {
        let keyring = Keyring::open(&self.keys(), caller, AUDIENCE, &self.env).unwrap();
        let running = self.running();
        let targets = BTreeMap::from([
            ("escrow".to_owned(), Target::InProcess(running.pipe.clone())),
            ("admin".to_owned(), Target::InProcess(running.admin.clone())),
        ]);
        Peers::new(targets, Arc::new(keyring))
    }

    pub(crate) fn public_channel(&self) -> Channel {
        self.peers("auth").channel("escrow").unwrap()
    }

    pub(crate) fn admin_channel(&self) -> Channel {
        self.peers("auth").channel("admin").unwrap()
    }

    pub(crate) fn escrow(&self) -> EscrowServiceClient<Channel> {
        EscrowServiceClient::new(self.public_channel())
    }

    pub(crate) fn faucet(&self) -> FaucetServiceClient<Channel> {
        FaucetServiceClient::new(self.public_channel())
    }

    /// The internal methods, as another service calls them.
    pub(crate) fn internal_as(&self, caller: &'static str) -> EscrowInternalServiceClient<PeerChannel> {
        EscrowInternalServiceClient::new(self.peers(caller).identified("escrow").unwrap())
    }

    /// The internal methods, as Task calls them.
    pub(crate) fn internal(&self) -> EscrowInternalServiceClient<PeerChannel> {
        self.internal_as("task")
    }

    pub(crate) fn admin(&self) -> EscrowAdminServiceClient<Channel> {
        EscrowAdminServiceClient::new(self.admin_channel())
    }

    /// A request of an operator.
    pub(crate) fn as_operator<T>(&self, message: T) -> Request<T> {
        let token = std::fs::read_to_string(self.keys().join("admin.token")).unwrap();
        with(token.trim(), message)
    }

    pub(crate) async fn audit(&self) -> LedgerAudit {
        let answer = self.admin().audit_ledger(self.as_operator(AuditLedgerRequest {})).await.unwrap();
        answer.into_inner().audit.unwrap()
    }

    /// Every invariant holds.
    pub(crate) async fn assert_sound(&self) {
        let audit = self.audit().await;
        assert!(
            audit.clean,
            "{:#?}",
            audit.checks.iter().filter(|check| check.violations > 0).collect::<Vec<_>>()
        );
    }

    pub(crate) async fn sql(&self) -> PgConnection {
        PgConnection::connect(&self.url).await.unwrap()
    }

    pub(crate) async fn sql_run(&self, statement: &'static str) {
        sqlx::Executor::execute(&mut self.sql().await, statement).await.unwrap();
    }

    pub(crate) async fn count(&self, query: &'static str) -> i64 {
        sqlx::query_scalar(query).fetch_one(&mut self.sql().await).await.unwrap()
    }

    pub(crate) fn request_id(&self) -> String {
        uuid::Uuid::from_bytes(self.env.random()).to_string()
    }

    /// A token that auth's own key signs.
    pub(crate) fn token(&self, account: AccountId, scope: &str, seconds: i64) -> String {
        let key: SigningKey = keyring::signing_key(&self.keys().join("jwt.key"), &self.env).unwrap();
        let now = self.env.now().unix_timestamp();
        let claims = AccessClaims {
            iss: "auth".to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: account,
            scope: scope.to_owned(),
            agent: None,
            sid: None,
            iat: now,
            exp: now + seconds,
        };
        sign_access(&key, &keyring::key_id(&key.verifying_key()), &claims).unwrap()
    }

    pub(crate) fn user(&self) -> User {
        let account = self.env.new_id();
        User { account, token: self.token(account, ALL_SCOPES, 600) }
    }

    /// The same user with a token of now.
    pub(crate) fn again(&self, user: &User) -> User {
        User { account: user.account, token: self.token(user.account, ALL_SCOPES, 600) }
    }

    /// An id that nobody has.
    pub(crate) fn nobody<T: TypedId>(&self) -> String {
        self.env.new_id::<T>().to_string()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(runtime) = self.running.as_mut().and_then(|running| running.runtime.take()) {
            runtime.shutdown_background();
        }
    }
}
