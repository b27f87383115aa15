//! The escrow service on a runtime of its own, which is dropped in the middle of whatever it does, and started again on
//! the same database and node.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ed25519_dalek::SigningKey;
use poa_chassis::client::Peers;
use poa_chassis::keyring::{self, Keyring};
use poa_chassis::token::{AccessClaims, sign_access};
use poa_chassis::{AdminServer, Deps, InProcess, Lifecycle, Readiness, Target, run_app};
use poa_common::{AccountId, Env};
use poa_escrow::lightning::{Dispatcher, Lightning};
use poa_payment::simulated::{Fault, OpenError, Options, SimulatedNode};
use poa_proto::escrow::v1::escrow_admin_service_client::EscrowAdminServiceClient;
use poa_proto::escrow::v1::escrow_service_client::EscrowServiceClient;
use poa_proto::escrow::v1::{AuditLedgerRequest, LedgerAudit};
use poa_storage::DatabaseConfig;
use poa_testkit::{LnurlServer, TestClock};
use sqlx::PgPool;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tonic::Request;
use tonic::transport::Channel;

const AUDIENCE: &str = "proof-of-agent";
const SERVICES: [&str; 2] = ["escrow", "auth"];
/// What the node begins with: more than is ever sent, in msat.
const NODE_MEANS: i64 = 100_000_000_000;

/// The service with everything that outlives it.
pub(crate) struct House {
    pub(crate) env: Env,
    pub(crate) clock: TestClock,
    pub(crate) sql: PgPool,
    pub(crate) outside: LnurlServer,
    folder: TempDir,
    url: String,
    jwt: SigningKey,
    running: Option<Instance>,
}

/// A running server.
struct Instance {
    node: SimulatedNode,
    runtime: Runtime,
    service: Channel,
    admin: Channel,
}

// === impl House ===

impl House {
    pub(crate) async fn open(seed: u64) -> Self {
        let (env, clock) = poa_testkit::env(seed);
        let folder = tempfile::tempdir().unwrap();
        let keys = folder.path().join("keys");
        keyring::provision(&keys, &SERVICES, &env).unwrap();
        let jwt = keyring::signing_key(&keys.join("jwt.key"), &env).unwrap();
        let url = poa_testkit::fresh_database("payouts").await;
        let sql = PgPool::connect_lazy(&url).unwrap();
        let outside = crate::addresses(folder.path(), env.clone()).await;
        let mut house = Self { env, clock, sql, outside, folder, url, jwt, running: None };
        house.start(Vec::new()).await;
        house
    }

    /// Starts the service on its database and node as they are; the node has these days before it.
    pub(crate) async fn start(&mut self, days: Vec<Fault>) {
        let options = Options {
            opening_balance: poa_common::Msat::new(NODE_MEANS),
            ..Options::new(self.folder.path().join("node.journal"))
        };
        let (node, payer) = loop {
            match SimulatedNode::open(&options, self.env.clone()) {
                Ok(opened) => break opened,
                // What the one before had begun at the node is still being finished.
                Err(OpenError::InUse { .. }) => tokio::time::sleep(Duration::from_millis(2)).await,
                Err(error) => panic!("{error:?}"),
            }
        };
        assert!(node.script(days));
        let keyring = Arc::new(Keyring::open(&self.keys(), "escrow", AUDIENCE, &self.env).unwrap());
        let deps = Deps {
            env: self.env.clone(),
            peers: Peers::new(BTreeMap::new(), Arc::clone(&keyring)),
            keyring: Arc::clone(&keyring),
            lifecycle: Lifecycle::default(),
            readiness: Readiness::default(),
        };
        let config = self.config();
        let lightning = Lightning::simulated(node.clone(), Dispatcher::new(payer));
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let building = poa_escrow::build_on(config.clone(), deps.clone(), lightning);
        let mut app = runtime.spawn(building).await.unwrap().unwrap();
        let (pipe, listen) = InProcess::pair();
        let (admin_pipe, admin_listen) = InProcess::pair();
        let routes = app.admin.take().unwrap();
        let operators =
            AdminServer::new(deps.readiness.clone(), &deps.lifecycle).with(routes, &config.server, &deps);
        let (server, lifecycle) = (config.server.clone(), deps.lifecycle.clone());
        runtime.spawn(async move { operators.serve(admin_listen, &server, &lifecycle).await });
        runtime.spawn(async move { run_app(app, &config.server, &deps, listen).await });
        let targets = BTreeMap::from([
            ("service".to_owned(), Target::InProcess(pipe)),
            ("admin".to_owned(), Target::InProcess(admin_pipe)),
        ]);
        let peers = Peers::new(targets, keyring);
        let (service, admin) = (peers.channel("service").unwrap(), peers.channel("admin").unwrap());
        self.running = Some(Instance { node, runtime, service, admin });
    }

    fn config(&self) -> poa_escrow::Config {
        let database = DatabaseConfig::new(self.url.clone());
        let mut config = poa_escrow::Config { database, ..poa_escrow::Config::default() };
        config.server.keys_dir = self.keys();
        (config.deposits.poll_ms, config.withdrawals.poll_ms) = (100, 20);
        config.withdrawals.call_timeout_ms = 300;
        // By the clock of the test, which runs ahead.
        config.withdrawals.payment_seconds = 20;
        config.withdrawals.lost_margin_seconds = 0;
        (config.withdrawals.max_live, config.deposits.max_open) = (100_000, 100_000);
        config.withdrawals.max_in_flight_per_payee = 0;
        (config.withdrawals.max_msat_per_hour, config.withdrawals.max_msat_per_day) = (0, 0);
        // The service stands alone.
        config.liabilities.every_seconds = 0;
        config.egress.simulated_server = Some(self.outside.https().address());
        config.egress.simulated_roots = Some(self.folder.path().join("roots.pem"));
        config
    }

    /// Ends the service at once: nothing drains, nothing is awaited.
    pub(crate) fn crash(&mut self) {
        self.running.take().unwrap().runtime.shutdown_background();
    }

    fn keys(&self) -> PathBuf {
        self.folder.path().join("keys")
    }

    fn running(&self) -> &Instance {
        self.running.as_ref().unwrap()
    }

    pub(crate) fn node(&self) -> &SimulatedNode {
        &self.running().node
    }

    pub(crate) fn escrow(&self) -> EscrowServiceClient<Channel> {
        EscrowServiceClient::new(self.running().service.clone())
    }

    pub(crate) async fn audit(&self) -> LedgerAudit {
        let token = std::fs::read_to_string(self.keys().join("admin.token")).unwrap();
        let mut client = EscrowAdminServiceClient::new(self.running().admin.clone());
        let answer = client.audit_ledger(with(token.trim(), AuditLedgerRequest {})).await.unwrap();
        answer.into_inner().audit.unwrap()
    }

    /// An account's token of now.
    pub(crate) fn token(&self, account: AccountId) -> String {
        let now = self.env.now().unix_timestamp();
        let claims = AccessClaims {
            iss: "auth".to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: account,
            scope: "money.read money.deposit money.withdraw".to_owned(),
            agent: None,
            sid: None,
            iat: now,
            exp: now + 600,
        };
        sign_access(&self.jwt, &keyring::key_id(&self.jwt.verifying_key()), &claims).unwrap()
    }

    pub(crate) fn request_id(&self) -> String {
        uuid::Builder::from_random_bytes(self.env.random()).into_uuid().to_string()
    }
}

impl Drop for House {
    fn drop(&mut self) {
        if let Some(instance) = self.running.take() {
            instance.runtime.shutdown_background();
        }
    }
}

/// A request with an access token.
pub(crate) fn with<T>(token: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    request
}
