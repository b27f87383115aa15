//! The service under test with its neighbours.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ed25519_dalek::SigningKey;
use poa_chassis::client::{PeerChannel, Peers};
use poa_chassis::keyring::{self, Keyring};
use poa_chassis::token::{AccessClaims, sign_access};
use poa_chassis::{App, Deps, InProcess, Lifecycle, Listen, Readiness, Target, run_app};
use poa_common::{AccountId, AgentId, Env, Network};
use poa_proto::attestation::v1::attestation_internal_service_server::AttestationInternalServiceServer;
use poa_proto::escrow::v1::escrow_internal_service_server::EscrowInternalServiceServer;
use poa_proto::task::v1::task::State;
use poa_proto::task::v1::task_internal_service_client::TaskInternalServiceClient;
use poa_proto::task::v1::task_service_client::TaskServiceClient;
use poa_proto::task::v1::{
    Content, CreateTaskRequest, Criterion, Funding, GetTaskRequest, ReleasePolicy, Task, content, criterion,
};
use poa_storage::DatabaseConfig;
use poa_task::Config;
use poa_testkit::TestClock;
use proof_of_agent::{DidKey, LogKey, Statement, TrustRoot};
use sqlx::{Connection as _, PgConnection};
use tempfile::TempDir;
use tonic::service::Routes;
use tonic::transport::Channel;
use tonic::{Request, Status};

use super::agent::Agent;
use super::attestation::Attestation;
use super::escrow::Escrow;
use super::{PRICE, SOON};

const AUDIENCE: &str = "proof-of-agent";
const SERVICES: [&str; 5] = ["auth", "task", "escrow", "attestation", "search"];
pub(crate) const SCOPES: &str = "tasks.read tasks.write work.write";

/// The service under test, its neighbours, a requester and an agent.
pub(crate) struct World {
    pub(crate) env: Env,
    pub(crate) clock: TestClock,
    pub(crate) escrow: Escrow,
    pub(crate) attestation: Attestation,
    pub(crate) requester: AccountId,
    pub(crate) agent: Agent,
    pub(crate) url: String,
    keys: Arc<TempDir>,
    peers: BTreeMap<String, Target>,
    jwt: SigningKey,
    pipe: InProcess,
    channel: Channel,
    pub(crate) lifecycle: Lifecycle,
}

/// A request id.
pub(crate) fn uuid(env: &Env) -> String {
    uuid::Builder::from_random_bytes(env.random()).into_uuid().to_string()
}

/// An offer that a pattern decides, so that it is released on attestation.
pub(crate) fn offer(env: &Env) -> CreateTaskRequest {
    CreateTaskRequest {
        request_id: uuid(env),
        title: "Say hello".to_owned(),
        capability: "text.greet".to_owned(),
        input: Some(Content {
            media_type: "text/plain".to_owned(),
            body: Some(content::Body::Inline(b"greet the world".to_vec())),
        }),
        criteria: vec![Criterion { check: Some(criterion::Check::Pattern("hello".to_owned())) }],
        price_msat: PRICE,
        ..CreateTaskRequest::default()
    }
}

/// The same, funded by a hold invoice.
pub(crate) fn hold_offer(env: &Env) -> CreateTaskRequest {
    CreateTaskRequest { funding: Funding::HoldInvoice.into(), ..offer(env) }
}

// === impl World ===

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let (env, clock) = poa_testkit::env(11);
        let keys = Arc::new(tempfile::tempdir().unwrap());
        keyring::provision(keys.path(), &SERVICES, &env).unwrap();
        let receipt = keyring::signing_key(&keys.path().join("receipt.key"), &env).unwrap();
        let log_key = LogKey::new("log.example", DidKey::of(&SigningKey::from_bytes(&[1; 32]))).unwrap();
        let root = TrustRoot::new(
            Network::Simulated,
            "log.example",
            vec![log_key],
            vec![DidKey::of(&receipt)],
            None,
        );
        std::fs::write(keys.path().join("trust-root.json"), root.unwrap().to_json().unwrap()).unwrap();
        let jwt = keyring::signing_key(&keys.path().join("jwt.key"), &env).unwrap();

        let escrow = Escrow::new(DidKey::of(&receipt), env.clone());
        let attestation = Attestation::new(receipt, env.clone());
        let server = EscrowInternalServiceServer::new(escrow.clone());
        let escrow_pipe = neighbour("escrow", Routes::new(server), &keys, &env);
        let server = AttestationInternalServiceServer::new(attestation.clone());
        let attestation_pipe = neighbour("attestation", Routes::new(server), &keys, &env);
        let peers = BTreeMap::from([
            ("escrow".to_owned(), Target::InProcess(escrow_pipe)),
            ("attestation".to_owned(), Target::InProcess(attestation_pipe)),
        ]);
        let url = poa_testkit::fresh_database("task").await;
        let (pipe, channel, lifecycle) = serve(&url, &keys, &peers, &env, change).await;
        let requester: AccountId = env.new_id();
        escrow.deposit(requester, 1_000 * PRICE);
        let agent = Agent {
            id: env.new_id(),
            account: env.new_id(),
            key: SigningKey::from_bytes(&env.random()),
            env: env.clone(),
        };
        attestation.register(agent.id, &agent.account.to_string(), DidKey::of(&agent.key));
        Self {
            env,
            clock,
            escrow,
            attestation,
            requester,
            agent,
            url,
            keys,
            peers,
            jwt,
            pipe,
            channel,
            lifecycle,
        }
    }

    /// Ends the service without a drain, and starts another on the same database.
    pub(crate) async fn restart(&mut self) {
        self.lifecycle.stop(Duration::from_secs(10)).await;
        let (pipe, channel, lifecycle) = serve(&self.url, &self.keys, &self.peers, &self.env, |_| {}).await;
        (self.pipe, self.channel, self.lifecycle) = (pipe, channel, lifecycle);
    }

    /// The same, and between the two something happens that no service sees.
    pub(crate) async fn restart_with(&mut self, meanwhile: impl FnOnce(&Self)) {
        self.lifecycle.stop(Duration::from_secs(10)).await;
        meanwhile(self);
        let (pipe, channel, lifecycle) = serve(&self.url, &self.keys, &self.peers, &self.env, |_| {}).await;
        (self.pipe, self.channel, self.lifecycle) = (pipe, channel, lifecycle);
    }

    /// A second instance of the service on the same database.
    pub(crate) async fn replica(&self) -> TaskServiceClient<Channel> {
        let (_, channel, _lifecycle) = serve(&self.url, &self.keys, &self.peers, &self.env, |_| {}).await;
        TaskServiceClient::new(channel)
    }

    /// Runs a statement on the service's database.
    pub(crate) async fn sql(&self, statement: &'static str) {
        let mut connection = PgConnection::connect(&self.url).await.unwrap();
        sqlx::query(statement).execute(&mut connection).await.unwrap();
    }

    /// A second agent of an account of its own.
    pub(crate) fn another_agent(&self) -> Agent {
        let key = SigningKey::from_bytes(&self.env.random());
        let agent = Agent { id: self.env.new_id(), account: self.env.new_id(), key, env: self.env.clone() };
        self.attestation.register(agent.id, &agent.account.to_string(), DidKey::of(&agent.key));
        agent
    }

    pub(crate) fn client(&self) -> TaskServiceClient<Channel> {
        TaskServiceClient::new(self.channel.clone())
    }

    /// The internal methods, for another service.
    pub(crate) fn internal(&self, caller: &'static str) -> TaskInternalServiceClient<PeerChannel> {
        let keyring = Arc::new(Keyring::open(self.keys.path(), caller, AUDIENCE, &self.env).unwrap());
        let targets = BTreeMap::from([("task".to_owned(), Target::InProcess(self.pipe.clone()))]);
        TaskInternalServiceClient::new(Peers::new(targets, keyring).identified("task").unwrap())
    }

    pub(crate) fn token(&self, account: AccountId, agent: Option<AgentId>) -> String {
        let now = self.env.now().unix_timestamp();
        let claims = AccessClaims {
            iss: "auth".to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: account,
            scope: SCOPES.to_owned(),
            agent,
            sid: None,
            iat: now,
            exp: now + 600,
        };
        sign_access(&self.jwt, &keyring::key_id(&self.jwt.verifying_key()), &claims).unwrap()
    }

    /// A request of an account's.
    pub(crate) fn by<T>(&self, account: AccountId, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let bearer = format!("Bearer {}", self.token(account, None));
        request.metadata_mut().insert("authorization", bearer.parse().unwrap());
        request
    }

    /// A request of an account's through a token for one agent alone.
    pub(crate) fn by_agent<T>(&self, account: AccountId, agent: AgentId, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let bearer = format!("Bearer {}", self.token(account, Some(agent)));
        request.metadata_mut().insert("authorization", bearer.parse().unwrap());
        request
    }

    pub(crate) async fn create(&self, offer: CreateTaskRequest) -> Result<Task, Status> {
        let answer = self.client().create_task(self.by(self.requester, offer)).await?;
        Ok(answer.into_inner().task.unwrap())
    }

    /// An open task, released on attestation.
    pub(crate) async fn open(&self) -> Task {
        let task = self.create(offer(&self.env)).await.unwrap();
        assert_eq!(task.state(), State::Open);
        task
    }

    /// An open task that a person judges.
    pub(crate) async fn open_for_review(&self) -> Task {
        let offer =
            CreateTaskRequest { release_policy: ReleasePolicy::OnAcceptance.into(), ..offer(&self.env) };
        self.create(offer).await.unwrap()
    }

    pub(crate) async fn get(&self, account: AccountId, task: &str) -> Result<Task, Status> {
        let request = GetTaskRequest { task_id: task.to_owned() };
        let answer = self.client().get_task(self.by(account, request)).await?;
        Ok(answer.into_inner().task.unwrap())
    }

    /// The agent claims a task; answers with the task and the acceptance.
    pub(crate) async fn claim(&self, agent: &Agent, task: &Task, number: u32) -> (Task, Statement) {
        let acceptance = agent.acceptance(&task.terms, number);
        let request = agent.claim_with(&task.task_id, &acceptance);
        let answer = self.client().claim_task(self.by(agent.account, request)).await.unwrap();
        (answer.into_inner().task.unwrap(), acceptance)
    }

    pub(crate) async fn submit(
        &self,
        agent: &Agent,
        acceptance: &Statement,
        last: &Statement,
        result: &[u8],
    ) -> Result<Task, Status> {
        let request = agent.submit(acceptance, last, result);
        let answer = self.client().submit_result(self.by(agent.account, request)).await?;
        Ok(answer.into_inner().task.unwrap())
    }

    /// A task whose result waits for the requester.
    pub(crate) async fn submitted(&self) -> (Task, Statement) {
        let task = self.open_for_review().await;
        let (_, acceptance) = self.claim(&self.agent, &task, 1).await;
        let task = self.submit(&self.agent, &acceptance, &acceptance, b"hello").await.unwrap();
        assert_eq!(task.state(), State::Submitted);
        (task, acceptance)
    }

    /// Waits until the requester sees a state.
    pub(crate) async fn until(&self, task: &str, state: State) -> Task {
        let mut seen = None;
        poa_testkit::eventually(SOON, &format!("{task} is {state:?}"), async || {
            let task = self.get(self.requester, task).await.unwrap();
            let there = task.state() == state;
            seen = Some(task);
            there
        })
        .await;
        seen.unwrap()
    }

    /// Lets business time pass, and waits until the service goes by it: then it moves the clock on from there.
    pub(crate) async fn pass(&self, span: Duration) {
        let micros = i64::try_from(span.as_micros()).unwrap();
        let mut connection = PgConnection::connect(&self.url).await.unwrap();
        let jumped: i64 = sqlx::query_scalar("UPDATE mesh_clock SET now_us = now_us + $1 RETURNING now_us")
            .bind(micros)
            .fetch_one(&mut connection)
            .await
            .unwrap();
        poa_testkit::eventually(SOON, "the service goes by the new time", async || {
            self.count("SELECT now_us FROM mesh_clock").await > jumped
        })
        .await;
    }

    /// A count that a statement makes.
    pub(crate) async fn count(&self, statement: &'static str) -> i64 {
        let mut connection = PgConnection::connect(&self.url).await.unwrap();
        sqlx::query_scalar(statement).fetch_one(&mut connection).await.unwrap()
    }
}

fn neighbour(name: &'static str, routes: Routes, keys: &TempDir, env: &Env) -> InProcess {
    let (pipe, listen) = InProcess::pair();
    let deps = deps(name, keys, &BTreeMap::new(), env);
    let config = Config::default().server;
    let app = App { name, services: &[], routes, admin: None };
    tokio::spawn(async move { run_app(app, &config, &deps, listen).await.unwrap() });
    pipe
}

fn deps(name: &'static str, keys: &TempDir, peers: &BTreeMap<String, Target>, env: &Env) -> Deps {
    let keyring = Arc::new(Keyring::open(keys.path(), name, AUDIENCE, env).unwrap());
    Deps {
        env: env.clone(),
        peers: Peers::new(peers.clone(), Arc::clone(&keyring)),
        keyring,
        lifecycle: Lifecycle::default(),
        readiness: Readiness::default(),
    }
}

async fn serve(
    url: &str,
    keys: &TempDir,
    peers: &BTreeMap<String, Target>,
    env: &Env,
    change: impl FnOnce(&mut Config),
) -> (InProcess, Channel, Lifecycle) {
    let mut config = Config { database: DatabaseConfig::new(url), ..Config::default() };
    config.server.keys_dir = keys.path().to_owned();
    config.worker.tick_ms = 20;
    config.worker.poll_ms = 20;
    config.worker.call_timeout_ms = 1_000;
    change(&mut config);
    let deps = deps("task", keys, peers, env);
    let lifecycle = deps.lifecycle.clone();
    let app = poa_task::build(config.clone(), deps.clone()).await.unwrap();
    assert!(deps.readiness.missing().is_empty());
    let (pipe, listen): (InProcess, Listen) = InProcess::pair();
    let targets = BTreeMap::from([("task".to_owned(), Target::InProcess(pipe.clone()))]);
    let channel = Peers::new(targets, Arc::clone(&deps.keyring)).channel("task").unwrap();
    tokio::spawn(async move { run_app(app, &config.server, &deps, listen).await.unwrap() });
    (pipe, channel, lifecycle)
}
