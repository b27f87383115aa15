//! The service between its neighbours, over the real layers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ed25519_dalek::SigningKey;
use poa_chassis::client::Peers;
use poa_chassis::config::ServerConfig;
use poa_chassis::keyring::{self, Keyring};
use poa_chassis::token::{AccessClaims, sign_access};
use poa_chassis::{App, Deps, InProcess, Lifecycle, Readiness, Served as _, Target, run_app};
use poa_common::{AccountId, AgentId, Env, TaskId, Timestamp};
use poa_proto::attestation::v1::{Attestation, AttestationEvent};
use poa_proto::auth::v1::{Agent, AgentEvent, agent, agent_event};
use poa_proto::search::v1::search_admin_service_client::SearchAdminServiceClient;
use poa_proto::search::v1::search_service_client::SearchServiceClient;
use poa_proto::search::v1::{AgentHit, SearchAgentsRequest, SearchTasksRequest};
use poa_proto::task::v1::task::State;
use poa_proto::task::v1::{Claim, Task, TaskEvent};
use poa_search::Config;
use poa_storage::DatabaseConfig;
use poa_testkit::{FaultProxy, eventually};
use sqlx::{Connection as _, PgConnection};
use tempfile::TempDir;
use tonic::Request;
use tonic::transport::Channel;

use crate::neighbours::Neighbours;

/// Long enough for a loaded machine, short enough to hear of a hang.
pub(crate) const SOON: Duration = Duration::from_secs(30);
const AUDIENCE: &str = "proof-of-agent";
const SERVICES: [&str; 4] = ["auth", "task", "attestation", "search"];

/// A deployment: keys, a database, neighbours, and one replica of the service or more.
pub(crate) struct World {
    pub(crate) env: Env,
    pub(crate) neighbours: Neighbours,
    pub(crate) url: String,
    keys: TempDir,
    jwt: SigningKey,
    peers: BTreeMap<String, Target>,
    channel: Channel,
    admin: Channel,
    lifecycle: Lifecycle,
}

pub(crate) fn stamp(at: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: at.unix_timestamp(), nanos: i32::try_from(at.nanosecond()).unwrap() }
}

/// An event about an active agent.
pub(crate) fn registered(env: &Env, id: AgentId, account: AccountId, name: &str) -> AgentEvent {
    let agent = Agent {
        agent_id: id.to_string(),
        account_id: account.to_string(),
        name: name.to_owned(),
        capabilities: vec!["text.count".to_owned()],
        public_key: vec![7; 32],
        state: agent::State::Active.into(),
        ..Agent::default()
    };
    let kind = agent_event::Kind::Registered.into();
    let event_time = Some(stamp(env.now()));
    AgentEvent { kind, agent: Some(agent), event_time, ..AgentEvent::default() }
}

/// An event about a task.
pub(crate) fn changed(env: &Env, id: TaskId, requester: AccountId, state: State, version: i64) -> TaskEvent {
    let task = Task {
        task_id: id.to_string(),
        requester_id: requester.to_string(),
        title: "Count the sheep".to_owned(),
        capability: "text.count".to_owned(),
        state: state.into(),
        price_msat: 1_000,
        payee_msat: 950,
        update_time: Some(stamp(env.now())),
        ..Task::default()
    };
    TaskEvent { task: Some(task), event_time: Some(stamp(env.now())), version }
}

/// The same with a claim.
pub(crate) fn held(mut event: TaskEvent, agent: AgentId, account: AccountId) -> TaskEvent {
    let claim = Claim { agent_id: agent.to_string(), account_id: account.to_string(), ..Claim::default() };
    event.task.as_mut().unwrap().claim = Some(claim);
    event
}

/// A statement of an agent's in the log.
pub(crate) fn logged(env: &Env, agent: AgentId, log_index: i64) -> AttestationEvent {
    AttestationEvent {
        attestation: Some(Attestation { log_index, ..Attestation::default() }),
        agent_id: agent.to_string(),
        event_time: Some(stamp(env.now())),
    }
}

// === impl World ===

impl World {
    pub(crate) async fn new() -> Self {
        let url = poa_testkit::fresh_database("search").await;
        Self::on(url.clone(), &url).await
    }

    /// The same, with a proxy between the service and its database.
    pub(crate) async fn behind_a_proxy() -> (Self, FaultProxy) {
        let url = poa_testkit::fresh_database("search").await;
        let proxy = FaultProxy::to_unix(poa_testkit::postgres().await.socket()).await;
        let database = url.split_once("///").unwrap().1.split_once('?').unwrap().0;
        let way = format!("postgres://poa@{}/{database}?sslmode=disable", proxy.address());
        (Self::on(url, &way).await, proxy)
    }

    /// On the database at `url`, which the service reaches by `way`.
    async fn on(url: String, way: &str) -> Self {
        let (env, _clock) = poa_testkit::env(11);
        let keys = tempfile::tempdir().unwrap();
        keyring::provision(keys.path(), &SERVICES, &env).unwrap();
        let jwt = keyring::signing_key(&keys.path().join("jwt.key"), &env).unwrap();
        let neighbours = Neighbours::default();
        let mut peers = BTreeMap::new();
        for (name, routes) in neighbours.routes() {
            let (pipe, listen) = InProcess::pair();
            let deps = deps(name, &keys, &BTreeMap::new(), &env);
            let app = App { name, services: &[], routes, admin: None };
            tokio::spawn(
                async move { run_app(app, &ServerConfig::on_ports(0, 0), &deps, listen).await.unwrap() },
            );
            peers.insert(name.to_owned(), Target::InProcess(pipe));
        }
        let (channel, admin, lifecycle) = serve(way, &keys, &peers, &env).await;
        Self { env, neighbours, url, keys, jwt, peers, channel, admin, lifecycle }
    }

    /// Ends the service, and starts another on the same database.
    pub(crate) async fn restart(&mut self) {
        self.lifecycle.stop(Duration::from_secs(10)).await;
        let (channel, admin, lifecycle) = serve(&self.url, &self.keys, &self.peers, &self.env).await;
        (self.channel, self.admin, self.lifecycle) = (channel, admin, lifecycle);
    }

    /// Starts a second replica on the same database, which is asked from now on. Answers with the first one's life.
    pub(crate) async fn second(&mut self) -> Lifecycle {
        let (channel, admin, lifecycle) = serve(&self.url, &self.keys, &self.peers, &self.env).await;
        (self.channel, self.admin) = (channel, admin);
        std::mem::replace(&mut self.lifecycle, lifecycle)
    }

    pub(crate) fn client(&self) -> SearchServiceClient<Channel> {
        SearchServiceClient::new(self.channel.clone())
    }

    pub(crate) fn admin(&self) -> SearchAdminServiceClient<Channel> {
        SearchAdminServiceClient::new(self.admin.clone())
    }

    /// A request of an account's.
    pub(crate) fn by<T>(&self, account: AccountId, message: T) -> Request<T> {
        self.with(account, None, message)
    }

    /// A request of an account's, through a token for one agent where it is given.
    pub(crate) fn with<T>(&self, account: AccountId, agent: Option<AgentId>, message: T) -> Request<T> {
        let now = self.env.now().unix_timestamp();
        let claims = AccessClaims {
            iss: "auth".to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: account,
            scope: "agents.read tasks.read".to_owned(),
            agent,
            sid: None,
            iat: now,
            exp: now + 600,
        };
        let token = sign_access(&self.jwt, &keyring::key_id(&self.jwt.verifying_key()), &claims).unwrap();
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        request
    }

    /// The agents that anybody finds.
    pub(crate) async fn agents(&self, query: &str) -> Vec<AgentHit> {
        let request = SearchAgentsRequest { query: query.to_owned(), ..SearchAgentsRequest::default() };
        let request = self.by(self.env.new_id(), request);
        self.client().search_agents(request).await.unwrap().into_inner().hits
    }

    /// The tasks of the market.
    pub(crate) async fn market(&self) -> Vec<Task> {
        let request = self.by(self.env.new_id(), SearchTasksRequest::default());
        self.client().search_tasks(request).await.unwrap().into_inner().tasks
    }

    /// Waits until so many agents are found.
    pub(crate) async fn until_agents(&self, count: usize) {
        eventually(SOON, &format!("{count} agents"), async || self.agents("").await.len() == count).await;
    }

    /// Waits until the one agent that is found has these numbers: completed tasks, statements.
    pub(crate) async fn until_numbers(&self, tasks: i32, statements: i32) {
        eventually(SOON, &format!("{tasks} tasks and {statements} statements"), async || {
            let hits = self.agents("").await;
            hits.len() == 1 && (hits[0].completed_tasks, hits[0].logged_statements) == (tasks, statements)
        })
        .await;
    }

    /// Waits until all that the neighbours told is in the index.
    pub(crate) async fn until_cursors(&self, agents: i64, tasks: i64, statements: i64) {
        let wanted = [("attestation", statements), ("auth", agents), ("task", tasks)];
        let wanted = wanted.map(|(_, count)| if count == 0 { String::new() } else { count.to_string() });
        eventually(SOON, &format!("cursors {wanted:?}"), async || {
            let mut connection = PgConnection::connect(&self.url).await.unwrap();
            let cursors: Vec<String> = sqlx::query_scalar("SELECT cursor FROM sources ORDER BY source")
                .fetch_all(&mut connection)
                .await
                .unwrap_or_default();
            cursors == wanted
        })
        .await;
    }

    /// Runs statements on the service's database.
    pub(crate) async fn sql(&self, statements: &'static str) {
        let mut connection = PgConnection::connect(&self.url).await.unwrap();
        sqlx::raw_sql(statements).execute(&mut connection).await.unwrap();
    }

    /// The operator's token.
    pub(crate) fn admin_token(&self) -> String {
        std::fs::read_to_string(self.keys.path().join("admin.token")).unwrap().trim().to_owned()
    }
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
) -> (Channel, Channel, Lifecycle) {
    let mut config = Config { database: DatabaseConfig::new(url), ..Config::default() };
    config.server.keys_dir = keys.path().to_owned();
    config.index.check_interval_ms = 50;
    let deps = deps("search", keys, peers, env);
    let lifecycle = deps.lifecycle.clone();
    let mut app = poa_search::build(config.clone(), deps.clone()).await.unwrap();
    let (admin_pipe, admin_listen) = InProcess::pair();
    let admin = poa_chassis::AdminServer::new(deps.readiness.clone(), &lifecycle);
    let admin = admin.with(app.take_admin().unwrap(), &config.server, &deps);
    let (server, own) = (config.server.clone(), lifecycle.clone());
    tokio::spawn(async move { admin.serve(admin_listen, &server, &own).await.unwrap() });
    let (pipe, listen) = InProcess::pair();
    let channel = |pipe| {
        let targets = BTreeMap::from([("search".to_owned(), Target::InProcess(pipe))]);
        Peers::new(targets, Arc::clone(&deps.keyring)).channel("search").unwrap()
    };
    let channels = (channel(pipe), channel(admin_pipe));
    let readiness = deps.readiness.clone();
    tokio::spawn(async move { run_app(app, &config.server, &deps, listen).await.unwrap() });
    eventually(SOON, "the service is ready", async || readiness.missing().is_empty()).await;
    (channels.0, channels.1, lifecycle)
}
