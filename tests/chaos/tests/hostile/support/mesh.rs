//! A mesh of real processes under attack, with an honest requester and an honest agent who work before and after.

use std::net::SocketAddr;
use std::time::Duration;

use poa_e2e::{Deployment, PROCESSES, request};
use poa_sdk::api::auth::{Agent, RegisterAgentRequest, RegisterRequest};
use poa_sdk::api::escrow::CreateDepositRequest;
use poa_sdk::api::task::{
    ClaimTaskRequest, Content, CreateTaskRequest, Criterion, Task, content, criterion, task,
};
use poa_sdk::worker::{Output, submit};
use poa_sdk::{AcceptanceTerms, Admin, AgentKey, Client, Error, Session, system_env};
use poa_testkit::eventually;

/// The servers that take requests of others than operators: every process.
pub(crate) const SERVERS: [&str; PROCESSES.len()] = {
    let mut names = [""; PROCESSES.len()];
    let mut place = 0;
    while place < names.len() {
        names[place] = PROCESSES[place].0;
        place += 1;
    }
    names
};
/// What an honest task pays, in msat.
pub(crate) const PRICE_MSAT: i64 = 10_000;
/// What the requester has, in msat: enough for every task of a test.
const DEPOSIT_MSAT: i64 = 5_000_000;
/// How long honest work may take. It is seconds on a machine that does nothing else.
const HONEST_WITHIN: Duration = Duration::from_secs(60);
/// The capability of every task here.
pub(crate) const CAPABILITY: &str = "text.count";

/// A process of each kind and two honest people.
pub(crate) struct Mesh {
    pub(crate) deployment: Deployment,
    pub(crate) alice: Session,
    pub(crate) bob: Person,
}

/// Somebody with an agent.
pub(crate) struct Person {
    pub(crate) session: Session,
    pub(crate) account_id: String,
    pub(crate) agent: Agent,
    pub(crate) key: AgentKey,
}

/// The most memory that each process ever had, in KiB.
#[derive(Debug)]
pub(crate) struct Memory(Vec<(&'static str, u64)>);

/// A request for a task with one pattern that its result must match.
pub(crate) fn offer(title: &str, pattern: &str) -> CreateTaskRequest {
    CreateTaskRequest {
        request_id: String::new(),
        title: title.to_owned(),
        capability: CAPABILITY.to_owned(),
        input: Some(inline(b"one two three".to_vec())),
        criteria: vec![Criterion { check: Some(criterion::Check::Pattern(pattern.to_owned())) }],
        price_msat: PRICE_MSAT,
        ..CreateTaskRequest::default()
    }
}

pub(crate) fn inline(bytes: Vec<u8>) -> Content {
    Content { media_type: "text/plain".to_owned(), body: Some(content::Body::Inline(bytes)) }
}

// === impl Mesh ===

impl Mesh {
    /// Starts everything, and has one honest task done.
    pub(crate) async fn start() -> Self {
        let deployment = Deployment::separate().await;
        let endpoint = deployment.endpoint();
        let alice = account(&endpoint, "alice").await.0;
        let bob = Person::new(&endpoint, "bob").await;
        let deposit = CreateDepositRequest { request_id: String::new(), amount_msat: DEPOSIT_MSAT };
        let deposit = alice.create_deposit(deposit).await.expect("an invoice");
        alice.faucet_pay(&deposit.invoice).await.expect("the faucet pays");
        eventually(HONEST_WITHIN, "the deposit is credited", async || {
            alice.balance().await.is_ok_and(|balance| balance.available_msat == DEPOSIT_MSAT)
        })
        .await;
        let mesh = Self { deployment, alice, bob };
        mesh.honest_task("before").await;
        mesh
    }

    /// The service port of a server.
    pub(crate) fn address(&self, server: &str) -> SocketAddr {
        self.deployment.addresses(server).0
    }

    /// The access token of a session.
    pub(crate) async fn token(session: &Session) -> String {
        // As a program would keep it in a file: the SDK shows it nowhere else.
        let tokens = serde_json::to_value(session.tokens().await.expect("a session")).expect("JSON");
        tokens["accessToken"].as_str().expect("an access token").to_owned()
    }

    /// An offered task, open for claims.
    pub(crate) async fn open_task(&self, offer: CreateTaskRequest) -> Task {
        let made = self.alice.create_task(offer).await.expect("a task");
        let mut open = made;
        eventually(HONEST_WITHIN, "the task is open", async || {
            open = self.alice.task(&open.task_id).await.expect("a task");
            open.state() == task::State::Open
        })
        .await;
        open
    }

    /// One task from the offer to the sats, by honest people.
    pub(crate) async fn honest_task(&self, title: &str) -> Task {
        let open = self.open_task(offer(title, r"^\d+$")).await;
        let claimed = self.bob.claim(&open, 1).await.expect("a claim");
        assert_eq!(claimed.state(), task::State::Claimed);
        self.bob.finish(&open.task_id, b"13").await.expect("a submission");
        let mut done = open;
        eventually(HONEST_WITHIN, "the honest task is paid", async || {
            done = self.alice.task(&done.task_id).await.expect("a task");
            done.state() == task::State::Completed
        })
        .await;
        done
    }

    /// After an attack: every process is ready, honest work is done, nothing panicked, every log line is one object, and
    /// the ledger adds up.
    pub(crate) async fn expect_unharmed(&self) {
        self.expect_ready("at the end").await;
        self.honest_task("after").await;
        for server in SERVERS {
            let log = self.deployment.log(server);
            assert!(!log.contains("panicked"), "{server} panicked:\n{log}");
            for line in log.lines() {
                let entry = serde_json::from_str::<serde_json::Value>(line);
                assert!(entry.is_ok_and(|entry| entry.is_object()), "not a log line of {server}: {line}");
            }
        }
        let token = std::fs::read_to_string(self.deployment.admin_token_file()).expect("a token");
        let admin = Admin::connect(self.deployment.admin_endpoint().as_str(), &token).expect("a client");
        let audit = admin.audit_ledger().await.expect("an audit");
        assert!(audit.clean, "{audit:?}");
    }

    /// Every process says that it is ready.
    pub(crate) async fn expect_ready(&self, when: &str) {
        for server in SERVERS {
            let admin = self.deployment.addresses(server).1.port();
            eventually(HONEST_WITHIN, &format!("{server} is ready {when}"), async || {
                request(admin, "GET", "/readyz", &[], b"").await.status == 200
            })
            .await;
        }
    }

    /// What the processes' memory has been at most.
    pub(crate) fn memory(&self) -> Memory {
        Memory(SERVERS.map(|server| (server, high_water(self.deployment.process_id(server)))).to_vec())
    }
}

// === impl Person ===

impl Person {
    pub(crate) async fn new(endpoint: &str, name: &str) -> Self {
        let (session, account_id) = account(endpoint, name).await;
        let (agent, key) = agent(&session, name).await;
        Self { session, account_id, agent, key }
    }

    /// Another agent of the same account.
    pub(crate) async fn another_agent(&self, name: &str) -> Self {
        let (agent, key) = agent(&self.session, name).await;
        let (session, account_id) = (self.session.clone(), self.account_id.clone());
        Self { session, account_id, agent, key }
    }

    /// What the agent accepts of a task.
    pub(crate) fn acceptance(&self, task_id: &str, claim_number: u32) -> AcceptanceTerms {
        AcceptanceTerms {
            task: task_id.parse().expect("a task id"),
            agent: self.agent.agent_id.parse().expect("an agent id"),
            account: self.account_id.parse().expect("an account id"),
            claim_number,
        }
    }

    /// A claim as this agent would send it.
    pub(crate) fn claim_request(&self, task_id: &str, acceptance: Vec<u8>) -> ClaimTaskRequest {
        ClaimTaskRequest {
            request_id: String::new(),
            task_id: task_id.to_owned(),
            agent_id: self.agent.agent_id.clone(),
            acceptance,
        }
    }

    /// Claims a task under the terms that it shows.
    pub(crate) async fn claim(&self, task: &Task, claim_number: u32) -> Result<Task, Error> {
        let accepted = self.acceptance(&task.task_id, claim_number);
        let signed = self.key.accept(&system_env(), &task.terms, &accepted).expect("an acceptance");
        self.session.claim_task(self.claim_request(&task.task_id, signed.1.to_json())).await
    }

    /// Submits a result of a claimed task.
    pub(crate) async fn finish(&self, task_id: &str, result: &[u8]) -> Result<Task, Error> {
        let output = Output::new(result, "text/plain");
        submit(&self.session, &self.key, task_id, output, None, None).await
    }
}

async fn account(endpoint: &str, name: &str) -> (Session, String) {
    let client = Client::connect(endpoint).expect("an endpoint");
    let request = RegisterRequest {
        username: name.to_owned(),
        password: "correct horse battery staple".to_owned(),
        ..RegisterRequest::default()
    };
    let signed_in = client.register(request).await.expect("an account");
    let session = client.session(signed_in.tokens, None);
    let account_id = session.account().await.expect("an account").account_id;
    (session, account_id)
}

async fn agent(session: &Session, name: &str) -> (Agent, AgentKey) {
    let key = AgentKey::generate(&system_env());
    let request = RegisterAgentRequest {
        name: format!("agent of {name}"),
        capabilities: vec![CAPABILITY.to_owned()],
        ..RegisterAgentRequest::default()
    };
    let agent = session.register_agent(request, &key).await.expect("an agent");
    (agent, key)
}

// === impl Memory ===

impl Memory {
    /// Fails where a process grew by more than `bound_kib` since `before`.
    #[track_caller]
    pub(crate) fn expect_growth_below(&self, before: &Self, bound_kib: u64, what: &str) {
        for ((server, now), (_, then)) in self.0.iter().zip(&before.0) {
            let growth = now.saturating_sub(*then);
            println!("{what}: {server} grew by {growth} KiB to {now} KiB");
            assert!(growth < bound_kib, "{what}: {server} grew by {growth} KiB from {then} KiB");
        }
    }
}

/// VmHWM of a process: the most memory that it ever had, in KiB.
fn high_water(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("a running process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("VmHWM");
    line.trim().trim_end_matches(" kB").parse().expect("a number of KiB")
}
