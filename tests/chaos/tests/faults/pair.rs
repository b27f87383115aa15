//! A requester and an agent who do business with each other, step by step, until each task is at its end.

use std::time::Duration;

use poa_sdk::api::auth::{Agent, RegisterAgentRequest, RegisterRequest};
use poa_sdk::api::escrow::CreateDepositRequest;
use poa_sdk::api::search::SearchTasksRequest;
use poa_sdk::api::search::search_tasks_request::View;
use poa_sdk::api::task::task::State;
use poa_sdk::api::task::{
    ClaimNextTaskRequest, ClaimTaskRequest, Content, CreateTaskRequest, Criterion, ListTasksRequest,
    ReleasePolicy, SubmitResultRequest, Task, content, criterion,
};
use poa_sdk::receipts::{self, Bundle, Policy, Statement, TrustRoot};
use poa_sdk::{AcceptanceTerms, AgentKey, Client, Code, Env, Error, Session, WorkDone, system_env};
use tokio::time::Instant;

use crate::journal::{Ack, Journal};

/// What one task costs.
pub(crate) const PRICE_MSAT: i64 = 10_000;
/// 5 % of it.
pub(crate) const FEE_MSAT: i64 = 500;
/// What a requester has at the beginning: more than any run spends.
pub(crate) const BUDGET_MSAT: i64 = 5_000 * PRICE_MSAT;
/// Everybody's.
const PASSWORD: &str = "correct horse battery staple";
/// Between two looks at a task that somebody else has to move.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long search may be behind when all is over: it may have to connect anew.
const SEARCHED_WITHIN: Duration = Duration::from_secs(60);
/// Before a call is made again whose outcome is not known.
const PAUSE: Duration = Duration::from_millis(100);

/// A requester, an agent, and the word by which they find each other.
pub(crate) struct Pair {
    pub(crate) requester: Session,
    pub(crate) worker: Session,
    agent: Agent,
    key: AgentKey,
    capability: String,
    journal: Journal,
    env: Env,
    number: usize,
}

/// A session of a new account.
pub(crate) async fn sign_up(endpoint: &str, username: String) -> Session {
    sign_up_at(endpoint, username, system_env()).await
}

/// The same with a clock of one's own.
async fn sign_up_at(endpoint: &str, username: String, env: Env) -> Session {
    let client = Client::connect_with(endpoint, env).expect("an endpoint");
    let request = RegisterRequest { username, password: PASSWORD.to_owned(), ..RegisterRequest::default() };
    let signed_in = client.register(request).await.expect("an account");
    client.session(signed_in.tokens, None)
}

/// Gives an account its first sats.
pub(crate) async fn fund(session: &Session, amount_msat: i64) {
    let request = CreateDepositRequest { request_id: String::new(), amount_msat };
    let deposit = session.create_deposit(request).await.expect("an invoice");
    session.faucet_pay(&deposit.invoice).await.expect("the faucet pays");
    poa_testkit::eventually(Duration::from_secs(30), "the deposit is credited", async || {
        session.balance().await.is_ok_and(|balance| balance.available_msat >= amount_msat)
    })
    .await;
}

/// A new request id, to be kept over all attempts of one call.
pub(crate) fn request_id() -> String {
    uuid::Builder::from_random_bytes(system_env().random()).into_uuid().to_string()
}

/// Whether the error leaves open what happened, or says that it may pass.
pub(crate) fn may_pass(error: &Error) -> bool {
    matches!(
        error.code(),
        Some(
            Code::Unavailable
                | Code::DeadlineExceeded
                | Code::Cancelled
                | Code::Unknown
                | Code::ResourceExhausted
                | Code::Internal
                | Code::Aborted
        )
    )
}

// === impl Pair ===

impl Pair {
    /// Signs both up, registers the agent, and funds the requester.
    pub(crate) async fn new(endpoint: &str, number: usize, journal: &Journal) -> Self {
        Self::with_env(endpoint, number, journal, system_env()).await
    }

    /// The same with a clock of their own.
    pub(crate) async fn with_env(endpoint: &str, number: usize, journal: &Journal, env: Env) -> Self {
        let requester = sign_up_at(endpoint, format!("requester{number}"), env.clone()).await;
        let worker = sign_up_at(endpoint, format!("worker{number}"), env.clone()).await;
        let key = AgentKey::generate(&env);
        let capability = format!("text.echo{number}");
        let request = RegisterAgentRequest {
            name: format!("echo {number}"),
            capabilities: vec![capability.clone()],
            ..RegisterAgentRequest::default()
        };
        let agent = worker.register_agent(request, &key).await.expect("an agent");
        fund(&requester, BUDGET_MSAT).await;
        Self { requester, worker, agent, key, capability, journal: journal.clone(), env, number }
    }

    /// Signs both in anew, as people do whose session has ended.
    pub(crate) async fn sign_in_again(&mut self) -> Result<(), Error> {
        let client = self.requester.client().clone();
        let requester = client.login(&format!("requester{}", self.number), PASSWORD).await?;
        let worker = client.login(&format!("worker{}", self.number), PASSWORD).await?;
        (self.requester, self.worker) =
            (client.session(requester.tokens, None), client.session(worker.tokens, None));
        Ok(())
    }

    /// The offer number `turn`: a machine judges every other one.
    fn offer(&self, turn: usize) -> CreateTaskRequest {
        let by_hand = turn.is_multiple_of(2);
        let policy = if by_hand { ReleasePolicy::OnAcceptance } else { ReleasePolicy::OnAttestation };
        let check = || Criterion { check: Some(criterion::Check::Pattern("^echo".to_owned())) };
        CreateTaskRequest {
            request_id: request_id(),
            title: format!("Echo {turn}"),
            capability: self.capability.clone(),
            input: Some(inline(format!("text {turn}"))),
            criteria: if by_hand { Vec::new() } else { vec![check()] },
            price_msat: PRICE_MSAT,
            release_policy: policy.into(),
            ..CreateTaskRequest::default()
        }
    }

    /// One task from its offer to its end.
    ///
    /// # Errors
    /// What is wrong, where it does not come to its end by the deadline.
    pub(crate) async fn lifecycle(&self, turn: usize, deadline: Instant) -> Result<String, String> {
        let task = self.offered(turn, deadline).await?;
        let id = task.task_id.clone();
        self.finish(task, deadline).await.map_err(|problem| format!("{id}: {problem}"))?;
        Ok(id)
    }

    /// An offer that was acknowledged.
    pub(crate) async fn offered(&self, turn: usize, deadline: Instant) -> Result<Task, String> {
        let offer = self.offer(turn);
        let task = self.insist(deadline, || self.requester.create_task(offer.clone())).await;
        let task = task.map_err(|error| format!("the offer {turn} was refused: {error}"))?;
        self.journal.saw(&task.task_id, task.state());
        self.journal.acknowledged(&task.task_id, Ack::Created);
        Ok(task)
    }

    /// Does whatever is next, until the task is completed.
    pub(crate) async fn finish(&self, task: Task, deadline: Instant) -> Result<(), String> {
        self.finish_with(task, None, deadline).await
    }

    /// The same where the agent has signed an acceptance already.
    pub(crate) async fn finish_with(
        &self,
        mut task: Task,
        mut signed: Option<Statement>,
        deadline: Instant,
    ) -> Result<(), String> {
        loop {
            let next = match task.state() {
                State::Completed => return Ok(()),
                State::Open => self.claim(&task.task_id, &mut signed, deadline).await,
                State::Claimed if signed.is_some() => {
                    self.submit(&task.task_id, signed.as_ref(), deadline).await
                }
                State::Submitted if task.release_policy() == ReleasePolicy::OnAcceptance => {
                    self.accept(&task.task_id, deadline).await
                }
                State::Funding
                | State::AwaitingFunds
                | State::Claimed
                | State::Submitted
                | State::Releasing => None,
                State::Unspecified
                | State::Rejected
                | State::Refunding
                | State::Canceled
                | State::Expired => {
                    return Err(format!("it is {:?}: {}", task.state(), task.note));
                }
            };
            task = match next {
                Some(task) => task,
                None => self.look(&task.task_id, deadline).await?,
            };
            self.journal.saw(&task.task_id, task.state());
        }
    }

    /// The task as its requester sees it, after a moment.
    async fn look(&self, id: &str, deadline: Instant) -> Result<Task, String> {
        tokio::time::sleep(LOOK_EVERY).await;
        if Instant::now() >= deadline {
            return Err("it has not ended in time".to_owned());
        }
        let seen = self.insist(deadline, || self.requester.task(id)).await;
        seen.map_err(|error| {
            self.journal.violated(format!("{id}: it was acknowledged, and cannot be read: {error}"));
            error.to_string()
        })
    }

    /// Takes the task; `None` where it is to be looked at again.
    pub(crate) async fn claim(
        &self,
        id: &str,
        signed: &mut Option<Statement>,
        deadline: Instant,
    ) -> Option<Task> {
        let request = ClaimNextTaskRequest {
            request_id: request_id(),
            agent_id: self.agent.agent_id.clone(),
            capabilities: vec![self.capability.clone()],
            min_payee_msat: 0,
        };
        let next = self.insist(deadline, || self.worker.claim_next_task(request.clone())).await;
        let open = next.ok()??.task?;
        if open.task_id != id {
            self.journal.violated(format!("{id}: another open task was given: {}", open.task_id));
            return None;
        }
        let acceptance = AcceptanceTerms {
            task: id.parse().expect("a task id"),
            agent: self.agent.agent_id.parse().expect("an agent id"),
            account: self.agent.account_id.parse().expect("an account id"),
            claim_number: u32::try_from(open.next_claim_number).expect("a claim number"),
        };
        let (statement, envelope) =
            self.key.accept(&self.env, &open.terms, &acceptance).expect("terms to sign");
        *signed = Some(statement);
        let request = ClaimTaskRequest {
            request_id: request_id(),
            task_id: id.to_owned(),
            agent_id: self.agent.agent_id.clone(),
            acceptance: envelope.to_json(),
        };
        let claimed = self.insist(deadline, || self.worker.claim_task(request.clone())).await.ok()?;
        self.journal.acknowledged(id, Ack::Claimed);
        Some(claimed)
    }

    pub(crate) async fn submit(
        &self,
        id: &str,
        signed: Option<&Statement>,
        deadline: Instant,
    ) -> Option<Task> {
        let acceptance = signed?;
        let bytes = format!("echo of {id}").into_bytes();
        let now = self.env.now();
        let work = WorkDone {
            output: receipts::Content::of(&bytes, "text/plain"),
            started: now,
            finished: now,
            build: None,
            evidence: None,
        };
        let envelope = self.key.submit(&self.env, acceptance, acceptance, work).expect("a result to sign");
        let request = SubmitResultRequest {
            request_id: request_id(),
            task_id: id.to_owned(),
            result: Some(inline(bytes)),
            submission: envelope.to_json(),
        };
        let call = || self.worker.submit_result(request.clone());
        let submitted = self.insist(deadline, call).await.ok()?;
        self.journal.acknowledged(id, Ack::Submitted);
        Some(submitted)
    }

    async fn accept(&self, id: &str, deadline: Instant) -> Option<Task> {
        let accepted = self.insist(deadline, || self.requester.accept_result(id)).await.ok()?;
        self.journal.acknowledged(id, Ack::Accepted);
        Some(accepted)
    }

    /// Makes the same call, with the same request id, until the answer is definite or the time is up.
    async fn insist<T, F, Fut>(&self, deadline: Instant, call: F) -> Result<T, Error>
    where
        F: Fn() -> Fut,
        Fut: Future<Output = Result<T, Error>>,
    {
        loop {
            match call().await {
                Ok(answer) => return Ok(answer),
                Err(error) => {
                    self.journal.failed(&error);
                    if !may_pass(&error) || Instant::now() >= deadline {
                        return Err(error);
                    }
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// The receipt of a completed task, checked offline: it was paid, in full.
    pub(crate) async fn receipt_is_good(&self, id: &str, root: &TrustRoot) -> Result<(), String> {
        let deadline = Instant::now() + Duration::from_secs(20);
        let answer = loop {
            let call = || self.requester.receipt(id);
            let answer = self.insist(deadline, call).await.map_err(|error| error.to_string())?;
            // The checkpoint that covers it comes a moment later.
            if answer.logged || Instant::now() >= deadline {
                break answer;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        };
        let bundle = Bundle::from_json(&answer.bundle).map_err(|error| format!("{id}: {error}"))?;
        let policy = Policy { require_paid: true, ..Policy::default() };
        let verified = receipts::verify(&bundle, root, &policy, self.env.now());
        verified.map(|_| ()).map_err(|error| format!("{id}: {error}"))
    }

    /// All tasks of the requester.
    pub(crate) async fn tasks(&self) -> Result<Vec<Task>, Error> {
        let mut tasks = Vec::new();
        let mut request = ListTasksRequest { page_size: 200, ..ListTasksRequest::default() };
        loop {
            let page = self.requester.list_tasks(request.clone()).await?;
            tasks.extend(page.tasks);
            if page.next_page_token.is_empty() {
                return Ok(tasks);
            }
            request.page_token = page.next_page_token;
        }
    }

    /// Waits until search has heard that the newest of the requester's tasks is completed: until it follows again.
    pub(crate) async fn until_searched(&self, tasks: &[Task]) {
        let Some(newest) = tasks.first() else { return };
        let request = SearchTasksRequest {
            view: View::Mine.into(),
            states: vec![State::Completed.into()],
            page_size: 100,
            ..SearchTasksRequest::default()
        };
        poa_testkit::eventually(SEARCHED_WITHIN, "search has heard of the newest task", async || {
            let found = self.requester.search_tasks(request.clone()).await;
            found.is_ok_and(|page| page.tasks.iter().any(|task| task.task_id == newest.task_id))
        })
        .await;
    }

    /// Both balances, in msat: available and held of the requester, available of the worker.
    pub(crate) async fn balances(&self) -> Result<(i64, i64, i64), Error> {
        let (requester, worker) = (self.requester.balance().await?, self.worker.balance().await?);
        Ok((requester.available_msat, requester.held_msat, worker.available_msat))
    }
}

fn inline(body: impl Into<Vec<u8>>) -> Content {
    Content { media_type: "text/plain".to_owned(), body: Some(content::Body::Inline(body.into())) }
}
