//! A requester, a worker with an agent, and what they need to tell a story to its end through whatever strikes.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use poa_e2e::Deployment;
use poa_sdk::api::auth::{RegisterAgentRequest, RegisterRequest};
use poa_sdk::api::task::{ListTasksRequest, task};
use poa_sdk::receipts::TrustRoot;
use poa_sdk::{AccountId, Admin, AgentId, AgentKey, Client, Code, Error, Session, system_env};
use sqlx::PgPool;
use tokio::sync::RwLock;

use crate::books::{Books, Effect};
use crate::deposits;

/// How long an attempt of a call may take: then the caller goes away, and asks again with the same request id.
const ATTEMPT: Duration = Duration::from_secs(3);
/// Between two attempts, and between two looks at what a caller waits for.
const PAUSE: Duration = Duration::from_millis(25);
/// How long a call or a wait may take in all: the longest is for the chain to come to a guard height.
const PATIENCE: Duration = Duration::from_secs(300);
/// How long a leap of the clock may take to be seen by the service.
const SEEN_WITHIN: Duration = Duration::from_secs(10);
/// How long everything may take to come to rest once all stories are told.
const REST_WITHIN: Duration = Duration::from_secs(60);
/// What the requester begins with, in msat.
const MEANS: i64 = 1_000_000_000;

/// The people of one mesh.
pub(crate) struct Market {
    pub(crate) requester: Session,
    pub(crate) worker: Session,
    /// The worker's account, which is paid.
    pub(crate) payee: AccountId,
    pub(crate) agent: AgentId,
    pub(crate) key: AgentKey,
    pub(crate) trust_root: TrustRoot,
    pub(crate) operator: Admin,
    client: Client,
    /// The task service's database, for its clock.
    tasks: PgPool,
    books: Mutex<Books>,
    /// Held by a story that a leap of the clock would end otherwise than it is told.
    pub(crate) calm: RwLock<()>,
}

// === impl Market ===

impl Market {
    /// Two accounts, an agent and a deposit, in a mesh in which nothing strikes yet.
    pub(crate) async fn open(mesh: &Deployment, operator: Admin) -> Self {
        let client = Client::connect(mesh.endpoint().as_str()).expect("an endpoint");
        let (requester, _) = sign_up(&client, "alice").await;
        let (worker, payee) = sign_up(&client, "bob").await;
        let key = AgentKey::generate(&system_env());
        let request = RegisterAgentRequest { name: "worker".to_owned(), ..RegisterAgentRequest::default() };
        let agent = worker.register_agent(request, &key).await.expect("an agent");
        let trust_root = std::fs::read(mesh.trust_root_file()).expect("the trust root");
        let tasks = mesh.variable("task", "POA__DATABASE__URL").expect("the task service's database");
        let market = Self {
            requester,
            worker,
            payee,
            agent: agent.agent_id.parse().expect("an agent's id"),
            key,
            trust_root: TrustRoot::from_json(&trust_root).expect("a trust root"),
            operator,
            client,
            tasks: PgPool::connect(tasks).await.expect("the task service's database"),
            books: Mutex::default(),
            calm: RwLock::default(),
        };
        let effect = deposits::credited(&market, MEANS).await.expect("a deposit");
        market.book(&effect);
        market
    }

    /// Somebody new.
    pub(crate) async fn newcomer(&self) -> Result<Session, String> {
        let name = format!("carol{}", &self.request_id().replace('-', "")[..12]);
        let request = registration(&name);
        let signed_in = insist("sign up", async || self.client.register(request.clone()).await).await?;
        Ok(self.client.session(signed_in.tokens, None))
    }

    /// Adds what a story has come to.
    pub(crate) fn book(&self, effect: &Effect) {
        self.books.lock().unwrap_or_else(PoisonError::into_inner).add(effect);
    }

    /// The books as they are now.
    pub(crate) fn books(&self) -> Books {
        self.books.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until both balances are what the books say.
    pub(crate) async fn rest(&self) -> Result<(), String> {
        let books = self.books();
        let end = Instant::now() + REST_WITHIN;
        loop {
            let requester = insist("a balance", async || self.requester.balance().await).await;
            let worker = insist("a balance", async || self.worker.balance().await).await;
            let wrong = match (requester, worker) {
                (Ok(requester), Ok(worker)) => books.differ(&requester, &worker),
                (Err(error), _) | (_, Err(error)) => Some(error.to_string()),
            };
            match wrong {
                None => return Ok(()),
                Some(wrong) if Instant::now() > end => return Err(wrong),
                Some(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    /// No task of the requester's is left without an end, not even one that nobody knows of.
    pub(crate) async fn every_task_has_ended(&self) {
        let mut request = ListTasksRequest { page_size: 200, ..ListTasksRequest::default() };
        loop {
            let page = insist("a list", async || self.requester.list_tasks(request.clone()).await).await;
            let page = page.expect("a list of tasks");
            for task in &page.tasks {
                assert!(has_ended(task.state()), "{} is {:?}: {}", task.task_id, task.state(), task.note);
            }
            if page.next_page_token.is_empty() {
                return;
            }
            request.page_token = page.next_page_token;
        }
    }

    /// Lets the mesh clock leap, as if so much time had passed, once no story minds. Waits until the service has seen it
    /// and advanced the clock itself: a deadline that it sets by the time before would have passed at once.
    pub(crate) async fn leap(&self, by: Duration) -> Result<(), String> {
        let _nobody_minds = self.calm.write().await;
        let micros = i64::try_from(by.as_micros()).map_err(|error| error.to_string())?;
        let clock = |error: sqlx::Error| format!("the clock: {error}");
        let leaping = sqlx::query_scalar("UPDATE mesh_clock SET now_us = now_us + $1 RETURNING now_us");
        let leapt: i64 = leaping.bind(micros).fetch_one(&self.tasks).await.map_err(clock)?;
        let end = Instant::now() + SEEN_WITHIN;
        // A service that is down reads the clock when it starts.
        while Instant::now() < end {
            let now: i64 = sqlx::query_scalar("SELECT now_us FROM mesh_clock")
                .fetch_one(&self.tasks)
                .await
                .map_err(clock)?;
            if now > leapt {
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }

    /// A fresh request id.
    pub(crate) fn request_id(&self) -> String {
        let random = self.requester.client().env().random();
        uuid::Builder::from_random_bytes(random).into_uuid().hyphenated().to_string()
    }
}

fn registration(username: &str) -> RegisterRequest {
    RegisterRequest {
        username: username.to_owned(),
        password: "correct horse battery staple".to_owned(),
        ..RegisterRequest::default()
    }
}

async fn sign_up(client: &Client, username: &str) -> (Session, AccountId) {
    let signed_in = client.register(registration(username)).await.expect("an account");
    let account = signed_in.account.account_id.parse().expect("an account's id");
    (client.session(signed_in.tokens, None), account)
}

/// Whether a task is over.
pub(crate) fn has_ended(state: task::State) -> bool {
    matches!(state, task::State::Completed | task::State::Canceled | task::State::Expired)
}

/// Makes the same call again and again, until it is answered by something definite. A caller who has waited long
/// enough goes away, and comes back.
pub(crate) async fn insist<T>(
    what: &'static str,
    call: impl AsyncFn() -> Result<T, Error>,
) -> Result<T, Insisted> {
    let end = Instant::now() + PATIENCE;
    loop {
        let why = match tokio::time::timeout(ATTEMPT, call()).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) if !leaves_open(&error) => return Err(Insisted { what, error: Some(error) }),
            Ok(Err(error)) => Some(error),
            Err(_elapsed) => None,
        };
        if Instant::now() > end {
            return Err(Insisted { what, error: why });
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Waits until a look shows what is waited for. A look that fails is made again.
pub(crate) async fn until<T>(
    what: &str,
    look: impl AsyncFn() -> Result<Option<T>, String>,
) -> Result<T, String> {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(seen) = look().await.map_err(|why| format!("{what}: {why}"))? {
            return Ok(seen);
        }
        if Instant::now() > end {
            return Err(format!("not within {PATIENCE:?}: {what}"));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Why a call did not come to anything.
#[derive(Debug)]
pub(crate) struct Insisted {
    what: &'static str,
    error: Option<Error>,
}

// === impl Insisted ===

impl Insisted {
    /// The reason in the registry, empty where there is none.
    pub(crate) fn reason(&self) -> &str {
        self.error.as_ref().map_or("", Error::reason)
    }
}

impl std::fmt::Display for Insisted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.error {
            Some(error) => write!(f, "{}: {error} ({})", self.what, error.reason()),
            None => write!(f, "{}: no answer", self.what),
        }
    }
}

impl From<Insisted> for String {
    fn from(insisted: Insisted) -> Self {
        insisted.to_string()
    }
}

/// Whether an error leaves open what happened.
fn leaves_open(error: &Error) -> bool {
    matches!(error.code(), Some(Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown))
}
