//! One life of a task: offered and held, claimed, submitted with a receipt, released, seen COMPLETED.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use poa_proto::task::v1::criterion::Check;
use poa_proto::task::v1::task::State;
use poa_proto::task::v1::task_service_client::TaskServiceClient;
use poa_proto::task::v1::{
    ClaimTaskRequest, Content, CreateTaskRequest, Criterion, GetTaskRequest, SubmitResultRequest, Task,
    content,
};
use poa_sdk::receipts::{Content as Digested, Statement};
use poa_sdk::{AcceptanceTerms, WorkDone};
use tonic::{Code, Request, Response, Status};

use crate::Failure;
use crate::clients::{Entry, Wire};
use crate::parties::{CAPABILITY, Parties, Party, Worker, request_id};

/// What each task pays, in msat.
const PRICE_MSAT: i64 = 100_000;
/// Bytes of the input: a page of text.
const INPUT_BYTES: usize = 1_024;
/// Bytes of the result.
const RESULT_BYTES: usize = 256;
/// What the result must match.
const PATTERN: &str = "^done";
/// The wait before a call that a server was too busy for is made again.
const BUSY_PAUSE: Duration = Duration::from_millis(20);
/// Calls of one kind in a lifecycle before it counts as failed.
const MAX_CALLS: u32 = 100;
/// Between two looks at a task that is not yet where it will be.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// The generated client over either way in.
type Client = TaskServiceClient<Wire>;

/// Those who trade, over one way into the mesh.
pub(crate) struct Market {
    parties: Arc<Parties>,
    entry: Entry,
    next: AtomicUsize,
    input: Vec<u8>,
    result: Vec<u8>,
    /// What did not go as it should.
    pub(crate) trouble: Trouble,
}

/// What did not go as it should, although it came to its end.
#[derive(Debug, Default)]
pub(crate) struct Trouble {
    /// Calls that were refused as too many, and made again.
    pub(crate) busy: AtomicU64,
    /// Looks at tasks that were not yet where their call should have left them.
    pub(crate) looks: AtomicU64,
}

/// How long the steps of a lifecycle took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Took {
    /// From the call, or the moment at which it was due, to OPEN with the price held.
    pub(crate) create: Duration,
    /// The claim.
    pub(crate) claim: Duration,
    /// From the submission to COMPLETED.
    pub(crate) submit: Duration,
}

// === impl Market ===

impl Market {
    /// A market.
    pub(crate) fn new(parties: &Arc<Parties>, entry: &Entry) -> Arc<Self> {
        let mut input = b"Please do what is asked for here. ".repeat(INPUT_BYTES.div_ceil(34));
        input.truncate(INPUT_BYTES);
        let mut result = b"done: ".to_vec();
        result.resize(RESULT_BYTES, b'.');
        Arc::new(Self {
            parties: Arc::clone(parties),
            entry: entry.clone(),
            next: AtomicUsize::new(0),
            input,
            result,
            trouble: Trouble::default(),
        })
    }

    /// One whole lifecycle, of the next requester and the next agent. `due` is when it should have begun.
    pub(crate) async fn lifecycle(&self, due: Instant) -> Result<Took, Failure> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let requesters = &self.parties.requesters;
        let workers = &self.parties.workers;
        // Two steps that have no common factor: over time everybody works for everybody.
        let requester = &requesters[number % requesters.len()];
        let worker = &workers[(number / requesters.len() + number * 7) % workers.len()];
        let (wire, origin) = self.entry.wire(number);
        let client = TaskServiceClient::with_origin(wire, origin);

        let task = self.create(&client, requester).await?;
        let create = due.elapsed();
        let begun = Instant::now();
        let acceptance = self.claim(&client, worker, &task).await?;
        let claim = begun.elapsed();
        let begun = Instant::now();
        self.submit(&client, worker, &task, &acceptance).await?;
        Ok(Took { create, claim, submit: begun.elapsed() })
    }

    /// Offers a task; it is open, and its price is held.
    pub(crate) async fn create(&self, client: &Client, requester: &Party) -> Result<Task, Failure> {
        let message = CreateTaskRequest {
            request_id: request_id(&self.parties.env),
            title: "Repeat what I say".to_owned(),
            capability: CAPABILITY.to_owned(),
            input: Some(inline(self.input.clone())),
            criteria: vec![Criterion { check: Some(Check::Pattern(PATTERN.to_owned())) }],
            price_msat: PRICE_MSAT,
            ..CreateTaskRequest::default()
        };
        let send = |mut client: Client, request| async move { client.create_task(request).await };
        let answer = self.call(client, requester, message, send).await?;
        self.until(client, requester, answer.task, State::Open).await
    }

    async fn claim(&self, client: &Client, worker: &Worker, task: &Task) -> Result<Statement, Failure> {
        let terms = AcceptanceTerms {
            task: task.task_id.parse()?,
            agent: worker.agent,
            account: worker.account,
            claim_number: 1,
        };
        let env = &self.parties.env;
        let (acceptance, envelope) = worker.key.accept(env, &task.terms, &terms)?;
        let message = ClaimTaskRequest {
            request_id: request_id(env),
            task_id: task.task_id.clone(),
            agent_id: worker.agent.to_string(),
            acceptance: envelope.to_json(),
        };
        let send = |mut client: Client, request| async move { client.claim_task(request).await };
        self.call(client, &worker.owner, message, send).await?;
        Ok(acceptance)
    }

    async fn submit(
        &self,
        client: &Client,
        worker: &Worker,
        task: &Task,
        acceptance: &Statement,
    ) -> Result<Task, Failure> {
        let env = &self.parties.env;
        let work = WorkDone {
            output: Digested::of(&self.result, "text/plain".to_owned()),
            started: env.now(),
            finished: env.now(),
            build: None,
            evidence: None,
        };
        let envelope = worker.key.submit(env, acceptance, acceptance, work)?;
        let message = SubmitResultRequest {
            request_id: request_id(env),
            task_id: task.task_id.clone(),
            result: Some(inline(self.result.clone())),
            submission: envelope.to_json(),
        };
        let send = |mut client: Client, request| async move { client.submit_result(request).await };
        let answer = self.call(client, &worker.owner, message, send).await?;
        self.until(client, &worker.owner, answer.task, State::Completed).await
    }

    /// Makes a call, and makes it again where the server was too busy.
    async fn call<Q, A, F, Fut>(
        &self,
        client: &Client,
        party: &Party,
        message: Q,
        send: F,
    ) -> Result<A, Failure>
    where
        Q: Clone,
        F: Fn(Client, Request<Q>) -> Fut,
        Fut: Future<Output = Result<Response<A>, Status>>,
    {
        for _ in 0..MAX_CALLS {
            match send(client.clone(), party.signed(message.clone()).await).await {
                Ok(answer) => return Ok(answer.into_inner()),
                Err(status) if status.code() == Code::Unavailable => {
                    self.trouble.busy.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(BUSY_PAUSE).await;
                }
                Err(status) => return Err(status.into()),
            }
        }
        Err("the server stayed too busy".into())
    }

    /// Looks at a task until it is in a state; mostly its call has left it there.
    async fn until(
        &self,
        client: &Client,
        party: &Party,
        task: Option<Task>,
        state: State,
    ) -> Result<Task, Failure> {
        let mut task = task.ok_or("a task")?;
        for _ in 0..MAX_CALLS * 10 {
            if task.state() == state {
                return Ok(task);
            }
            self.trouble.looks.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(LOOK_EVERY).await;
            let message = GetTaskRequest { task_id: task.task_id.clone() };
            let send = |mut client: Client, request| async move { client.get_task(request).await };
            let answer = self.call(client, party, message, send).await?;
            task = answer.task.ok_or("a task")?;
        }
        Err(format!("{} stays {:?}", task.task_id, task.state()).into())
    }
}

fn inline(bytes: Vec<u8>) -> Content {
    Content { media_type: "text/plain".to_owned(), body: Some(content::Body::Inline(bytes)) }
}
