//! The agent's loop: hear of open tasks, claim one, work, hand in the result with a signed receipt.
//!
//! The feed is only a hint that wakes the loop; [`crate::Session::claim_next_task`] gives out the tasks, so that many
//! workers never race for one. What is signed are the exact bytes of the terms, after they were held against what the
//! server says of the task and against the trust root. While a handler works, the lease is renewed at a third of
//! its length. A handler that fails gives the claim back with its reason.

mod by_hand;
mod event;
mod job;
mod terms;

use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt as _};
use poa_common::AgentId;
use poa_proto::auth::v1::Agent;
use poa_proto::auth::v1::agent::State;
use poa_proto::task::v1::{ClaimNextTaskRequest, OpenTask};
use proof_of_agent::TrustRoot;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

pub use by_hand::{claim, submit};
pub use event::WorkerEvent;

use crate::calls::{FeedFilter, FeedUpdate};
use crate::client::Session;
use crate::error::Error;
use crate::key::AgentKey;
use crate::stream::Patience;

/// How often the loop asks for work without having heard of any: a hint may be lost.
const POLL_INTERVAL: Duration = Duration::from_secs(15);
/// Tasks that were refused lately and are not looked at again.
const MAX_REMEMBERED: usize = 256;
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
    refused: VecDeque<String>,
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
        Ok(Self { shared, shutdown: Shutdown::default(), refused: VecDeque::new() })
    }

    /// The tokens that stop this worker.
    pub fn shutdown(&self) -> Shutdown {
        self.shutdown.clone()
    }

    /// Works until it is told to stop. An error means that it cannot go on at all, such as after signing out.
    pub async fn run(mut self) -> Result<(), Error> {
        let mut feed = Box::pin(self.feed());
        let mut jobs = JoinSet::new();
        let mut poll = interval_at(Instant::now() + POLL_INTERVAL, POLL_INTERVAL);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut hungry = true;
        let stopped = loop {
            if hungry && jobs.len() < self.shared.config.concurrency {
                let offered = tokio::select! {
                    biased;
                    () = self.shutdown.requested() => break Ok(()),
                    offered = self.next_offer() => offered,
                };
                // A claim that was sent is awaited: dropped, it would hold the task until its lease lapses.
                match offered {
                    Some(offered) => hungry = self.claim(offered, &mut jobs).await,
                    None => hungry = false,
                }
                continue;
            }
            tokio::select! {
                biased;
                () = self.shutdown.requested() => break Ok(()),
                Some(_) = jobs.join_next(), if !jobs.is_empty() => hungry = true,
                update = feed.next() => match update {
                    Some(Ok(update)) => hungry |= self.heard(&update),
                    Some(Err(error)) => break Err(error),
                    // The feed has endless patience: it ends with an error or not at all.
                    None => break Ok(()),
                },
                _ = poll.tick() => hungry = true,
            }
        };
        drop(feed);
        self.shared.report(WorkerEvent::Draining { running: jobs.len() });
        while jobs.join_next().await.is_some() {}
        self.shared.report(WorkerEvent::Stopped);
        stopped
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

    /// Whether there may be work now.
    fn heard(&self, update: &FeedUpdate) -> bool {
        match update {
            FeedUpdate::Snapshot { tasks, last, .. } => {
                if *last {
                    self.shared.report(WorkerEvent::Ready);
                }
                !tasks.is_empty()
            }
            FeedUpdate::Opened(_) => true,
            FeedUpdate::Closed(_) => false,
        }
    }

    /// Asks for one task. `None`: there is nothing for now.
    async fn next_offer(&self) -> Option<OpenTask> {
        let config = &self.shared.config;
        let request = ClaimNextTaskRequest {
            request_id: String::new(),
            agent_id: config.agent_id.to_string(),
            capabilities: config.capabilities.clone(),
            min_payee_msat: config.min_payee_msat,
        };
        match self.shared.session.claim_next_task(request).await {
            Ok(offered) => offered?.task.filter(|task| !self.refused.contains(&task.task_id)),
            Err(error) => {
                self.shared.report(WorkerEvent::Trouble { error: error.to_string() });
                None
            }
        }
    }

    /// Claims a task and sets to work. Answers whether to ask for another at once.
    async fn claim(&mut self, offered: OpenTask, jobs: &mut JoinSet<()>) -> bool {
        let task_id = offered.task_id.clone();
        let error = match job::Claimed::claim(&self.shared, offered, self.shutdown.abort.clone()).await {
            Ok(claimed) => {
                jobs.spawn(claimed.run());
                return true;
            }
            Err(error) => error,
        };
        // What the server refused may be had later; what this agent does not sign now it never signs.
        let ours = error.status().is_none();
        self.shared.report(WorkerEvent::NotClaimed { task_id: task_id.clone(), reason: error.to_string() });
        if ours {
            self.refused.push_back(task_id);
            if self.refused.len() > MAX_REMEMBERED {
                self.refused.pop_front();
            }
        }
        ours
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
