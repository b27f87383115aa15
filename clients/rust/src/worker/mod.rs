//! The agent's loop: hear of open tasks, claim one, work, hand in the result with a signed receipt.
//!
//! The feed is only a hint that wakes the loop; [`crate::Session::claim_next_task`] gives out the tasks, so that many
//! workers never race for one. What is signed are the exact bytes of the terms, after they were held against what the
//! server says of the task and against the trust root. While a handler works, the lease is renewed at a third of
//! its length. A handler that fails gives the claim back with its reason.

mod board;
mod by_hand;
mod event;
mod insist;
mod job;
mod terms;

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{Stream, StreamExt as _};
use poa_common::AgentId;
use poa_proto::auth::v1::Agent;
use poa_proto::auth::v1::agent::State;
use poa_proto::task::v1::{ClaimNextTaskRequest, OpenTask};
use proof_of_agent::{DidKey, Digest, TrustRoot};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

pub use by_hand::{acceptance, claim, submit};
pub use event::WorkerEvent;

use board::Board;

use crate::calls::{FeedFilter, FeedUpdate};
use crate::client::Session;
use crate::error::Error;
use crate::key::{AgentKey, Build};
use crate::stream::Patience;

/// How often the loop asks again while something is open: what others had set aside may be free by now.
const POLL_INTERVAL: Duration = Duration::from_secs(15);
/// Tasks in a row that are left to others before the worker waits: each is set aside, and a server sets eight aside.
const MAX_PASSED_OVER: usize = 7;
/// The most tasks at once: each holds its input and output in memory.
const MAX_CONCURRENCY: usize = 64;

/// What an agent is told to do with one task.
#[derive(Clone, Debug)]
pub struct Job {
    /// The task, without bodies.
    pub task: OpenTask,
    /// The input.
    pub input: Vec<u8>,
    /// The input's media type.
    pub media_type: String,
    /// The digest of the signed acceptance. A trusted execution environment vouches for it, for the result's SHA-256 and for
    /// `agent_key` together: docs/protocol/tee.md, section 3.
    pub acceptance: Digest,
    /// The key that signs the receipt.
    pub agent_key: DidKey,
    /// Cancelled when the claim is lost or the agent must stop at once: finish within a few seconds, with an error.
    pub cancel: CancellationToken,
}

/// A result.
#[derive(Clone, Debug)]
pub struct Output {
    /// Its bytes: at most 128 KiB.
    pub bytes: Vec<u8>,
    /// Its media type.
    pub media_type: String,
    /// The evidence of the trusted execution environment that made it, if one did: the file of docs/protocol/tee.md, at most 128 KiB.
    pub evidence: Option<Vec<u8>>,
}

/// Why there is no result, for the people who read the task.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Refusal {
    /// The reason, as a sentence.
    pub reason: String,
}

/// What an agent can do.
pub trait Handler: Send + Sync + 'static {
    /// Makes the result of one task. Several may run at once.
    fn handle(&self, job: Job) -> impl Future<Output = Result<Output, Refusal>> + Send;
}

/// Which work an agent takes, and as whom.
#[derive(Clone, Debug)]
pub struct WorkerConfig {
    /// The agent, which must be registered with the key at hand.
    pub agent_id: AgentId,
    /// What it can do; at least one.
    pub capabilities: Vec<String>,
    /// The least it works for, in msat.
    pub min_payee_msat: i64,
    /// How many tasks at once: 1 to 64.
    pub concurrency: usize,
    /// Whose statements it believes: terms of another network or log are not signed.
    pub trust_root: TrustRoot,
    /// The build that works, if its receipts are to name it.
    pub build: Option<Build>,
}

/// How a worker is told to stop.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    /// No new claims; what runs may finish.
    pub drain: CancellationToken,
    /// What runs is given back at once. Implies `drain`.
    pub abort: CancellationToken,
}

/// An agent at work.
pub struct Worker<H> {
    shared: Arc<Shared<H>>,
    shutdown: Shutdown,
    board: Board,
    jobs: JoinSet<job::Left>,
}

/// What the loop and its jobs share.
struct Shared<H> {
    session: Session,
    key: AgentKey,
    config: WorkerConfig,
    agent: Agent,
    handler: H,
    on_event: Box<dyn Fn(WorkerEvent) + Send + Sync>,
}

// === impl Output ===

impl Output {
    /// A result without evidence.
    pub fn new(bytes: impl Into<Vec<u8>>, media_type: impl Into<String>) -> Self {
        Self { bytes: bytes.into(), media_type: media_type.into(), evidence: None }
    }
}

// === impl Refusal ===

impl Refusal {
    /// A refusal for this reason.
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into() }
    }
}

// === impl Worker ===

impl<H: Handler> Worker<H> {
    /// A worker for a registered agent. Fails where the agent is unknown, retired, of another key or without capabilities.
    pub async fn new(
        session: Session,
        key: AgentKey,
        config: WorkerConfig,
        handler: H,
        on_event: impl Fn(WorkerEvent) + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        let agent = session.agent(&config.agent_id.to_string()).await?;
        let unfit = |problem: &str| Err(Error::Contract(format!("the agent {} {problem}", config.agent_id)));
        if agent.public_key != key.public_key() {
            return unfit("is registered with another key than the one at hand");
        }
        if agent.state() == State::Retired {
            return unfit("is retired: register a new one");
        }
        if config.capabilities.is_empty() || !(1..=MAX_CONCURRENCY).contains(&config.concurrency) {
            return unfit("needs a capability, and 1 to 64 tasks at once");
        }
        let on_event = Box::new(on_event);
        let shared = Arc::new(Shared { session, key, config, agent, handler, on_event });
        Ok(Self { shared, shutdown: Shutdown::default(), board: Board::default(), jobs: JoinSet::new() })
    }

    /// The tokens that stop this worker.
    pub fn shutdown(&self) -> Shutdown {
        self.shutdown.clone()
    }

    /// Works until it is told to stop. An error means that it cannot go on at all, such as after signing out.
    pub async fn run(mut self) -> Result<(), Error> {
        let mut feed = Box::pin(self.feed());
        let mut poll = interval_at(tokio::time::Instant::now() + POLL_INTERVAL, POLL_INTERVAL);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut hungry = false;
        let stopped = loop {
            if hungry && self.jobs.len() < self.shared.config.concurrency {
                let offered = tokio::select! {
                    biased;
                    () = self.shutdown.requested() => break Ok(()),
                    offered = self.next_offer() => offered,
                };
                // A claim that was sent is awaited: dropped, it would hold the task until its lease lapses.
                hungry = match offered {
                    Some(offered) => {
                        self.claim(offered).await;
                        self.board.is_worth_asking(Instant::now())
                    }
                    None => false,
                };
                continue;
            }
            tokio::select! {
                biased;
                () = self.shutdown.requested() => break Ok(()),
                Some(left) = self.jobs.join_next(), if !self.jobs.is_empty() => {
                    hungry = self.finished(left.ok().flatten());
                }
                update = feed.next() => match update {
                    Some(Ok(update)) => hungry |= self.heard(&update),
                    Some(Err(error)) => break Err(error),
                    // The feed has endless patience: it ends with an error or not at all.
                    None => break Ok(()),
                },
                _ = poll.tick() => hungry = self.board.is_worth_asking(Instant::now()),
            }
        };
        drop(feed);
        self.shared.report(WorkerEvent::Draining { running: self.jobs.len() });
        while self.jobs.join_next().await.is_some() {}
        self.shared.report(WorkerEvent::Stopped);
        stopped
    }

    /// A slot is free. A task that was given back is left to others.
    fn finished(&mut self, left: job::Left) -> bool {
        if let Some(task_id) = left {
            self.board.refuse(task_id, Instant::now());
        }
        self.board.is_worth_asking(Instant::now())
    }

    fn feed(&self) -> impl Stream<Item = Result<FeedUpdate, Error>> + Send + use<H> {
        let config = &self.shared.config;
        let filter = FeedFilter {
            capabilities: config.capabilities.clone(),
            min_payee_msat: config.min_payee_msat,
            agent_id: config.agent_id.to_string(),
        };
        self.shared.session.feed(filter, Patience::Endless)
    }

    /// Takes a message of the feed. Answers whether there may be work now.
    fn heard(&mut self, update: &FeedUpdate) -> bool {
        self.board.hear(update);
        if let FeedUpdate::Snapshot { last: true, .. } = update {
            self.shared.report(WorkerEvent::Ready);
        }
        self.board.is_worth_asking(Instant::now())
    }

    /// Asks for one task, past those that are left to others. `None`: there is nothing for now.
    async fn next_offer(&self) -> Option<OpenTask> {
        let config = &self.shared.config;
        for _ in 0..MAX_PASSED_OVER {
            let request = ClaimNextTaskRequest {
                request_id: String::new(),
                agent_id: config.agent_id.to_string(),
                capabilities: config.capabilities.clone(),
                min_payee_msat: config.min_payee_msat,
            };
            match self.shared.session.claim_next_task(request).await {
                Ok(offered) => {
                    let offered = offered?.task?;
                    if !self.board.is_refused(&offered.task_id, Instant::now()) {
                        return Some(offered);
                    }
                }
                Err(error) => {
                    self.shared.report(WorkerEvent::Trouble { error: error.to_string() });
                    return None;
                }
            }
        }
        None
    }

    /// Claims a task and sets to work.
    async fn claim(&mut self, offered: OpenTask) {
        let task_id = offered.task_id.clone();
        match job::Claimed::claim(&self.shared, offered, self.shutdown.abort.clone()).await {
            Ok(claimed) => {
                self.board.taken(&task_id);
                self.jobs.spawn(claimed.run());
            }
            Err(error) => {
                let reason = error.to_string();
                self.shared.report(WorkerEvent::NotClaimed { task_id: task_id.clone(), reason });
                self.board.refuse(task_id, Instant::now());
            }
        }
    }
}

// === impl Shutdown ===

impl Shutdown {
    /// Ends when either token is cancelled.
    async fn requested(&self) {
        tokio::select! {
            () = self.drain.cancelled() => {}
            () = self.abort.cancelled() => {}
        }
    }
}

// === impl Shared ===

impl<H> Shared<H> {
    fn report(&self, event: WorkerEvent) {
        (self.on_event)(event);
    }
}
