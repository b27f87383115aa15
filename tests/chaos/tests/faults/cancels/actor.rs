//! One caller who hangs up, asks again under the same request id, and knows in the end what must be there.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use poa_sdk::api::auth::Agent;
use poa_sdk::api::escrow::withdrawal::State as PayoutState;
use poa_sdk::api::escrow::{
    CreateDepositRequest, CreateWithdrawalRequest, ListLedgerEntriesRequest, ListWithdrawalsRequest,
    Withdrawal,
};
use poa_sdk::api::task::task::State;
use poa_sdk::api::task::{
    AcceptResultRequest, CancelTaskRequest, ClaimTaskRequest, Content, CreateTaskRequest, GetTaskRequest,
    ListTasksRequest, ReleasePolicy, SubmitResultRequest, Task, content,
};
use poa_sdk::receipts::{self, Statement};
use poa_sdk::{AcceptanceTerms, AgentKey, Session, WorkDone, system_env};
use poa_testkit::{SeededEntropy, eventually};
use tonic::Code;

use super::SETTLED_WITHIN;
use super::calls::{Answer, Call, Caller, leaves_open};
use crate::pair::{FEE_MSAT, PRICE_MSAT, request_id};

/// What each caller has at the beginning.
pub(super) const BUDGET_MSAT: i64 = 10_000 * PRICE_MSAT;
/// What a withdrawal takes out.
const WITHDRAWN_MSAT: i64 = 2_000;
/// The longest time before a caller hangs up, in microseconds: as long as a write takes, about.
const LONGEST_US: u64 = 30_000;

/// What became of all calls.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) calls: usize,
    pub(super) acknowledged: usize,
    dropped: usize,
    out_of_time: usize,
    refused: usize,
    repeated: usize,
}

/// Who calls as a requester, and as an agent.
pub(super) struct Actor {
    requester: Session,
    worker: Session,
    callers: (Caller, Caller),
    agent: Agent,
    key: AgentKey,
    capability: String,
    chance: Arc<SeededEntropy>,
    /// Tasks as they were last seen, with what the agent signed for them.
    tasks: BTreeMap<String, (Task, Option<Statement>)>,
    /// Calls whose outcome is not known.
    open: Vec<Call>,
    /// What was acknowledged: the call, and what it made.
    done: Vec<(Call, String)>,
    pub(super) tally: Tally,
    pub(super) problems: Vec<String>,
}

// === impl Tally ===

impl Tally {
    pub(super) fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.acknowledged += other.acknowledged;
        self.dropped += other.dropped;
        self.out_of_time += other.out_of_time;
        self.refused += other.refused;
        self.repeated += other.repeated;
    }

    pub(super) fn hung_up(&self) -> usize {
        self.dropped + self.out_of_time
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "dropped by the caller {}, out of time {}, refused {}, asked again under the same id {}",
            self.dropped, self.out_of_time, self.refused, self.repeated
        )
    }
}

// === impl Actor ===

impl Actor {
    pub(super) fn new(
        requester: Session,
        worker: Session,
        callers: (Caller, Caller),
        agent: Agent,
        key: AgentKey,
        capability: String,
        chance: Arc<SeededEntropy>,
    ) -> Self {
        Self {
            requester,
            worker,
            callers,
            agent,
            key,
            capability,
            chance,
            tasks: BTreeMap::new(),
            open: Vec::new(),
            done: Vec::new(),
            tally: Tally::default(),
            problems: Vec::new(),
        }
    }

    /// Makes calls until so many were hung up.
    pub(super) async fn hang_up(&mut self, wanted: usize) {
        while self.tally.hung_up() < wanted && self.problems.is_empty() {
            let call = self.next().await;
            let caller = self.caller_of(&call);
            let patience = Duration::from_micros(self.below(LONGEST_US));
            self.tally.calls += 1;
            let answer = if self.below(2) == 0 {
                tokio::time::timeout(patience, caller.send(&call, None)).await.ok()
            } else {
                Some(caller.send(&call, Some(patience)).await)
            };
            match answer {
                None => self.tally.dropped += 1,
                Some(Err(status)) if leaves_open(&status) => self.tally.out_of_time += 1,
                Some(answer) => {
                    self.heard(&call, answer);
                    continue;
                }
            }
            if !call.is_mutation() {
                continue;
            }
            // At once, while the first one may still be under way; or at the end.
            if self.below(2) == 0 {
                self.repeat(call).await;
            } else {
                self.open.push(call);
            }
        }
    }

    /// Finds out what became of every call whose answer was not heard.
    pub(super) async fn repeat_what_is_open(&mut self) {
        for call in std::mem::take(&mut self.open) {
            self.repeat(call).await;
        }
    }

    /// The same call under the same request id, until the answer is definite.
    async fn repeat(&mut self, call: Call) {
        self.tally.repeated += 1;
        let answer = self.caller_of(&call).insist(&call).await;
        self.heard(&call, answer);
    }

    /// A definite answer.
    fn heard(&mut self, call: &Call, answer: Result<Answer, tonic::Status>) {
        match answer {
            Ok(answer) => {
                if call.is_mutation() {
                    self.tally.acknowledged += 1;
                    self.done.push((call.clone(), answer.id().to_owned()));
                }
                if let Answer::Task(task) = answer {
                    let signed = self.tasks.remove(&task.task_id).and_then(|(_, signed)| signed);
                    self.tasks.insert(task.task_id.clone(), (*task, signed));
                }
            }
            // What another call of ours has done meanwhile may stand in the way of this one.
            Err(status) if call.is_mutation() && status.code() == Code::FailedPrecondition => {
                self.tally.refused += 1;
            }
            // Nor does an agent see what was cancelled before it was claimed.
            Err(status) if matches!(call, Call::Claim(_)) && status.code() == Code::NotFound => {
                self.tally.refused += 1;
            }
            Err(status) => self.problems.push(format!("{call}: {status:?}")),
        }
    }

    fn caller_of(&self, call: &Call) -> Caller {
        match call {
            Call::Claim(_) | Call::Submit(_) => self.callers.1.clone(),
            Call::Create(_)
            | Call::Accept(_)
            | Call::Cancel(_)
            | Call::Deposit(_)
            | Call::Withdraw(_)
            | Call::GetTask(_)
            | Call::GetDeposit(_)
            | Call::ListTasks(_)
            | Call::Balance
            | Call::Entries(_) => self.callers.0.clone(),
        }
    }

    /// Any call that makes sense now.
    async fn next(&mut self) -> Call {
        let call = match self.below(100) {
            0..15 => self.one_in(State::Open).map(|task| self.claim(&task)),
            15..30 => self.one_in(State::Claimed).and_then(|task| self.submit(&task)),
            30..45 => self.one_in(State::Submitted).map(|task| {
                Call::Accept(AcceptResultRequest { request_id: request_id(), task_id: task.task_id })
            }),
            45..50 => self.one_in(State::Open).map(|task| {
                Call::Cancel(CancelTaskRequest { request_id: request_id(), task_id: task.task_id })
            }),
            50..55 => Some(Call::Deposit(CreateDepositRequest {
                request_id: request_id(),
                amount_msat: PRICE_MSAT,
            })),
            55..58 => self.withdraw().await,
            58..63 => {
                Some(Call::ListTasks(ListTasksRequest { page_size: 50, ..ListTasksRequest::default() }))
            }
            63..66 => Some(Call::Balance),
            66..69 => Some(Call::Entries(ListLedgerEntriesRequest { page_size: 50, ..Default::default() })),
            69..75 => {
                let known: Vec<&String> = self.tasks.keys().collect();
                let place = usize::try_from(self.below(u64::MAX)).unwrap_or(0) % known.len().max(1);
                let id = known.get(place).copied();
                id.map(|id| Call::GetTask(GetTaskRequest { task_id: id.clone() }))
            }
            _ => None,
        };
        call.unwrap_or_else(|| self.create())
    }

    fn create(&self) -> Call {
        Call::Create(CreateTaskRequest {
            request_id: request_id(),
            title: "Hang up".to_owned(),
            capability: self.capability.clone(),
            input: Some(inline("text")),
            price_msat: PRICE_MSAT,
            release_policy: ReleasePolicy::OnAcceptance.into(),
            ..CreateTaskRequest::default()
        })
    }

    fn claim(&mut self, task: &Task) -> Call {
        let acceptance = AcceptanceTerms {
            task: task.task_id.parse().expect("a task id"),
            agent: self.agent.agent_id.parse().expect("an agent id"),
            account: self.agent.account_id.parse().expect("an account id"),
            // Nobody else claims it, and nothing lapses while the test runs on.
            claim_number: 1,
        };
        let (statement, envelope) =
            self.key.accept(&system_env(), &task.terms, &acceptance).expect("terms to sign");
        self.tasks.insert(task.task_id.clone(), (task.clone(), Some(statement)));
        Call::Claim(ClaimTaskRequest {
            request_id: request_id(),
            task_id: task.task_id.clone(),
            agent_id: self.agent.agent_id.clone(),
            acceptance: envelope.to_json(),
        })
    }

    /// A result for the claim that was logged; `None` where it is another one than was signed last.
    fn submit(&self, task: &Task) -> Option<Call> {
        let (_, signed) = self.tasks.get(&task.task_id)?;
        let acceptance = signed.as_ref()?;
        if task.claim.as_ref()?.acceptance_digest != acceptance.digest().as_bytes() {
            return None;
        }
        let now = system_env().now();
        let output = receipts::Content::of(b"done", "text/plain");
        let work = WorkDone { output, started: now, finished: now, build: None, evidence: None };
        let envelope =
            self.key.submit(&system_env(), acceptance, acceptance, work).expect("a result to sign");
        Some(Call::Submit(SubmitResultRequest {
            request_id: request_id(),
            task_id: task.task_id.clone(),
            result: Some(inline("done")),
            submission: envelope.to_json(),
        }))
    }

    async fn withdraw(&self) -> Option<Call> {
        let invoice = self.requester.faucet_invoice(WITHDRAWN_MSAT).await.ok()?;
        let request_id = request_id();
        Some(Call::Withdraw(CreateWithdrawalRequest {
            request_id,
            invoice,
            fee_limit_msat: None,
            ..Default::default()
        }))
    }

    /// A task that was last seen in this state.
    fn one_in(&self, state: State) -> Option<Task> {
        let fit: Vec<&Task> =
            self.tasks.values().map(|(task, _)| task).filter(|task| task.state() == state).collect();
        let place = usize::try_from(self.below(u64::MAX)).unwrap_or(0) % fit.len().max(1);
        fit.get(place).map(|task| (*task).clone())
    }

    /// Holds what was acknowledged against what is there.
    pub(super) async fn check(&mut self) {
        self.the_same_id_gives_the_same_answer().await;
        let tasks = self.settled_tasks().await;
        let payouts = self.settled_payouts().await;
        let made = |kind: fn(&Call) -> bool| {
            let ids = self.done.iter().filter(|(call, _)| kind(call)).map(|(_, id)| id.clone());
            ids.collect::<std::collections::BTreeSet<_>>()
        };
        let (created, withdrawn) =
            (made(|call| matches!(call, Call::Create(_))), made(|call| matches!(call, Call::Withdraw(_))));
        let listed: std::collections::BTreeSet<_> = tasks.iter().map(|task| task.task_id.clone()).collect();
        if created != listed {
            let (lost, extra) = (created.difference(&listed).count(), listed.difference(&created).count());
            self.problems
                .push(format!("of {} tasks {lost} are lost, {extra} were made twice", created.len()));
        }
        let listed: std::collections::BTreeSet<_> =
            payouts.iter().map(|payout| payout.withdrawal_id.clone()).collect();
        if withdrawn != listed {
            self.problems.push(format!("withdrawals: {withdrawn:?} were acknowledged, there are {listed:?}"));
        }
        let completed = count(&tasks, |state| state == State::Completed);
        let held = PRICE_MSAT
            * count(&tasks, |state| matches!(state, State::Open | State::Claimed | State::Submitted));
        let out: i64 = payouts
            .iter()
            .filter(|payout| payout.state() == PayoutState::Succeeded)
            .map(|payout| payout.amount_msat + payout.fee_msat)
            .sum();
        let balance = self.requester.balance().await.expect("a balance when all is over");
        let expected = (BUDGET_MSAT - completed * PRICE_MSAT - held - out, held);
        let found = (balance.available_msat, balance.held_msat);
        if found != expected {
            self.problems.push(format!("the requester has {found:?}, expected {expected:?}"));
        }
        let earned = self.worker.balance().await.expect("a balance when all is over").available_msat;
        if earned != completed * (PRICE_MSAT - FEE_MSAT) {
            self.problems.push(format!("the agent has {earned} for {completed} tasks"));
        }
    }

    /// A part of what was acknowledged, asked for once more: the same thing, and no other.
    async fn the_same_id_gives_the_same_answer(&mut self) {
        let done = self.done.clone();
        for (call, id) in &done {
            if !self.is_asked_again(call) {
                continue;
            }
            match self.caller_of(call).insist(call).await {
                Ok(answer) if answer.id() == id => {}
                Ok(answer) => {
                    self.problems.push(format!("{id} was acknowledged, then {}: {call}", answer.id()));
                }
                Err(status) => self.problems.push(format!("{call} was acknowledged, then {status:?}")),
            }
        }
        let deposits: Vec<_> =
            done.iter().filter(|(call, _)| matches!(call, Call::Deposit(_))).map(|(_, id)| id).collect();
        for id in deposits {
            let request = poa_sdk::api::escrow::GetDepositRequest { deposit_id: id.clone() };
            if let Err(status) = self.callers.0.insist(&Call::GetDeposit(request)).await {
                self.problems.push(format!("the deposit {id} was acknowledged, then {status:?}"));
            }
        }
    }

    /// Every payment, and one in eight of the others.
    fn is_asked_again(&self, call: &Call) -> bool {
        matches!(call, Call::Withdraw(_)) || self.below(8) == 0
    }

    /// All tasks, once none is between two states.
    async fn settled_tasks(&self) -> Vec<Task> {
        let mut tasks = Vec::new();
        eventually(SETTLED_WITHIN, "every task is where somebody must act, or at its end", async || {
            tasks.clear();
            let mut request = ListTasksRequest { page_size: 200, ..ListTasksRequest::default() };
            loop {
                let Ok(page) = self.requester.list_tasks(request.clone()).await else { return false };
                tasks.extend(page.tasks);
                if page.next_page_token.is_empty() {
                    break;
                }
                request.page_token = page.next_page_token;
            }
            let moving = |state| matches!(state, State::Funding | State::Releasing | State::Refunding);
            count(&tasks, moving) == 0
        })
        .await;
        tasks
    }

    /// All withdrawals, once each is at its end.
    async fn settled_payouts(&self) -> Vec<Withdrawal> {
        let mut payouts = Vec::new();
        eventually(SETTLED_WITHIN, "every withdrawal is at its end", async || {
            let request = ListWithdrawalsRequest { page_size: 200, ..ListWithdrawalsRequest::default() };
            let Ok(page) = self.requester.list_withdrawals(request).await else { return false };
            payouts = page.withdrawals;
            let ended = |state| matches!(state, PayoutState::Succeeded | PayoutState::Failed);
            payouts.iter().all(|payout| ended(payout.state()))
        })
        .await;
        payouts
    }

    fn below(&self, limit: u64) -> u64 {
        self.chance.next_u64() % limit
    }
}

fn count(tasks: &[Task], fits: impl Fn(State) -> bool) -> i64 {
    let count = tasks.iter().filter(|task| fits(task.state())).count();
    i64::try_from(count).expect("a small number")
}

fn inline(body: &str) -> Content {
    let body = Some(content::Body::Inline(body.as_bytes().to_vec()));
    Content { media_type: "text/plain".to_owned(), body }
}
