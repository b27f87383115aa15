//! The steps of the demo: two parties, an agent that counts words, and what they do with each other.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use futures_util::StreamExt as _;
use poa_sdk::api::auth::{Agent, RegisterAgentRequest, RegisterRequest};
use poa_sdk::api::escrow::withdrawal::State as WithdrawalState;
use poa_sdk::api::escrow::{CreateDepositRequest, CreateWithdrawalRequest, Withdrawal};
use poa_sdk::api::task::criterion::Check;
use poa_sdk::api::task::task::State;
use poa_sdk::api::task::{Content, CreateTaskRequest, Criterion, ReleasePolicy, Task, content};
use poa_sdk::receipts::TrustRoot;
use poa_sdk::worker::{Handler, Job, Output, Refusal, Worker, WorkerConfig, WorkerEvent};
use poa_sdk::{AgentKey, Client, Session, Timestamp};
use serde_json::json;
use tokio::sync::mpsc;

use super::deposit::{WATCH_PATIENCE, settled};
use super::hire::step;
use super::withdraw::ended;
use crate::failure::{Exit, Failure};
use crate::output::Out;

/// What the result must be.
const SCHEMA: &str = include_str!("../../assets/word-statistics.schema.json");
/// What the agent can do.
const CAPABILITY: &str = "text.statistics";
/// Words that the statistics list.
const TOP_WORDS: usize = 5;
/// How long the feed may take to connect.
const READY_PATIENCE: Duration = Duration::from_secs(30);
/// What is left for the routing fee of the withdrawal.
const WITHDRAWAL_FEE_LIMIT_MSAT: i64 = 5_000;
/// The smallest withdrawal, one sat.
const MIN_WITHDRAWAL_MSAT: i64 = 1_000;
/// Events that the worker may be ahead of the story.
const MAX_EVENTS: usize = 256;

/// What the worker reports.
pub(super) type Events = mpsc::Receiver<WorkerEvent>;

/// Somebody with an account.
pub(super) struct Party {
    pub(super) session: Session,
    pub(super) username: String,
    pub(super) account_id: String,
}

/// Counts lines, words and bytes, and the most frequent words.
pub(super) struct WordStatistics;

// === impl Party ===

impl Party {
    /// Signs up under a new name with a password that nobody needs again.
    pub(super) async fn register(client: &Client, prefix: &str) -> Result<Self, Failure> {
        let env = client.env();
        let request = RegisterRequest {
            request_id: String::new(),
            username: format!("{prefix}-{}", hex::encode(env.random::<4>())),
            password: hex::encode(env.random::<16>()),
            display_name: String::new(),
        };
        let signed_in = client.register(request).await?;
        Ok(Self {
            session: client.session(signed_in.tokens, None),
            username: signed_in.account.username,
            account_id: signed_in.account.account_id,
        })
    }

    pub(super) fn now(&self) -> Timestamp {
        self.session.client().env().now()
    }

    /// Makes an invoice, has the faucet pay it, and waits for the credit, in msat.
    pub(super) async fn deposit(&self, amount_msat: i64) -> Result<i64, Failure> {
        let request = CreateDepositRequest { request_id: String::new(), amount_msat };
        let deposit = self.session.create_deposit(request).await?;
        self.session.faucet_pay(&deposit.invoice).await?;
        Ok(settled(&self.session, &deposit.deposit_id).await?.credited_msat)
    }

    /// Makes a key and registers an agent with it.
    pub(super) async fn register_agent(&self, file: &Path) -> Result<(AgentKey, Agent), Failure> {
        let key = AgentKey::generate(self.session.client().env());
        key.save(file)?;
        let request = RegisterAgentRequest {
            name: "Word counter".to_owned(),
            description: "Lines, words, bytes and the most frequent words of a text, as JSON.".to_owned(),
            capabilities: vec![CAPABILITY.to_owned()],
            ..RegisterAgentRequest::default()
        };
        let agent = self.session.register_agent(request, &key).await?;
        Ok((key, agent))
    }
}

/// A worker for the agent, and what it reports.
pub(super) async fn put_to_work(
    owner: &Party,
    key: AgentKey,
    agent: &Agent,
    trust_root: TrustRoot,
) -> Result<(Worker<WordStatistics>, Events), Failure> {
    let agent_id =
        agent.agent_id.parse().map_err(|_| Failure::new(Exit::Other, "the agent's id is malformed"))?;
    let config = WorkerConfig {
        agent_id,
        capabilities: vec![CAPABILITY.to_owned()],
        min_payee_msat: 0,
        concurrency: 1,
        trust_root,
        build: None,
    };
    let (events, received) = mpsc::channel(MAX_EVENTS);
    // A story that is over does not listen any more.
    let report = move |event| drop(events.try_send(event));
    let worker = Worker::new(owner.session.clone(), key, config, WordStatistics, report).await?;
    Ok((worker, received))
}

/// Waits until the worker hears the feed.
pub(super) async fn until_ready(events: &mut Events) -> Result<(), Failure> {
    let ready = async {
        while let Some(event) = events.recv().await {
            if event == WorkerEvent::Ready {
                return true;
            }
        }
        false
    };
    match tokio::time::timeout(READY_PATIENCE, ready).await {
        Ok(true) => Ok(()),
        Ok(false) | Err(_) => Err(Failure::new(Exit::Unavailable, "the agent did not get to the feed")),
    }
}

/// Offers the text to whoever counts words.
pub(super) async fn hire(requester: &Party, text: &[u8], price_msat: i64) -> Result<Task, Failure> {
    let input = Content {
        media_type: "text/plain; charset=utf-8".to_owned(),
        body: Some(content::Body::Inline(text.to_vec())),
    };
    let request = CreateTaskRequest {
        title: "Word statistics of a text".to_owned(),
        capability: CAPABILITY.to_owned(),
        input: Some(input),
        criteria: vec![Criterion { check: Some(Check::JsonSchema(SCHEMA.to_owned())) }],
        price_msat,
        release_policy: ReleasePolicy::OnAttestation.into(),
        ..CreateTaskRequest::default()
    };
    Ok(requester.session.create_task(request).await?)
}

/// Follows a task to its end; answers with the completed task and its result.
pub(super) async fn settle(out: Out, requester: &Party, task_id: &str) -> Result<Task, Failure> {
    let mut states = requester.session.watch_task(task_id, WATCH_PATIENCE);
    let mut before = State::Unspecified;
    while let Some(task) = states.next().await {
        let task = task?;
        if task.state() != before {
            before = task.state();
            out.progress(&format!("   … {}", step(&task)));
        }
        match task.state() {
            State::Completed => return Ok(requester.session.task(task_id).await?),
            State::Canceled | State::Expired => break,
            State::Unspecified
            | State::Funding
            | State::AwaitingFunds
            | State::Open
            | State::Claimed
            | State::Submitted
            | State::Rejected
            | State::Releasing
            | State::Refunding => {}
        }
    }
    Err(Failure::new(Exit::Refused, format!("the task {task_id} was not completed")))
}

/// Withdraws what was earned to an invoice outside. `None`: it is less than the fee may be.
pub(super) async fn move_out(owner: &Party, earned_msat: i64) -> Result<Option<Withdrawal>, Failure> {
    let whole_sats = (earned_msat - WITHDRAWAL_FEE_LIMIT_MSAT) / 1_000 * 1_000;
    if whole_sats < MIN_WITHDRAWAL_MSAT {
        return Ok(None);
    }
    let invoice = owner.session.faucet_invoice(whole_sats).await?;
    let fee_limit_msat = Some(WITHDRAWAL_FEE_LIMIT_MSAT);
    let request =
        CreateWithdrawalRequest { request_id: String::new(), invoice, fee_limit_msat, ..Default::default() };
    let withdrawal = ended(&owner.session, owner.session.create_withdrawal(request).await?).await?;
    match withdrawal.state() {
        WithdrawalState::Succeeded => Ok(Some(withdrawal)),
        WithdrawalState::Unspecified
        | WithdrawalState::Reserved
        | WithdrawalState::InFlight
        | WithdrawalState::Failed => {
            let message =
                format!("the withdrawal {} was not paid: {}", withdrawal.withdrawal_id, withdrawal.failure);
            Err(Failure::new(Exit::Refused, message))
        }
    }
}

impl Handler for WordStatistics {
    async fn handle(&self, job: Job) -> Result<Output, Refusal> {
        let text = std::str::from_utf8(&job.input).map_err(|_| Refusal::new("the input is not UTF-8"))?;
        Ok(Output::new(statistics(text).to_string(), "application/json"))
    }
}

/// Lines, words, bytes and the most frequent words; equally frequent ones in the order of the alphabet.
fn statistics(text: &str) -> serde_json::Value {
    let mut counts: HashMap<String, u64> = HashMap::new();
    for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        let count = counts.entry(word.to_lowercase()).or_default();
        *count = count.saturating_add(1);
    }
    let mut ranked: Vec<(String, u64)> = counts.into_iter().collect();
    ranked.sort_by(|(a, a_count), (b, b_count)| b_count.cmp(a_count).then_with(|| a.cmp(b)));
    ranked.truncate(TOP_WORDS);
    let top: Vec<_> =
        ranked.into_iter().map(|(word, count)| json!({ "word": word, "count": count })).collect();
    json!({
        "bytes": text.len(),
        "lines": text.lines().count(),
        "words": text.split_whitespace().count(),
        "topWords": top,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_counted_whatever_their_case() {
        let counted = statistics("The cat.\nThe dog, the end\n");
        assert_eq!(counted["words"], 6);
        assert_eq!(counted["lines"], 2);
        assert_eq!(counted["bytes"], 26);
        assert_eq!(counted["topWords"][0], json!({ "word": "the", "count": 3 }));
        assert_eq!(counted["topWords"][1]["word"], "cat");
    }

    #[test]
    fn the_schema_is_json_and_fits_the_contract() {
        let schema: serde_json::Value = serde_json::from_str(SCHEMA).unwrap();
        assert_eq!(schema["type"], "object");
        assert!(SCHEMA.len() <= 16_384);
    }
}
